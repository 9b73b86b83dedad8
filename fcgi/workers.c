/*
 * A thread a request, except for those that arrivals.c serves by itself, and
 * for streams: once begun they go on without one, and whichever is free ends
 * them. The thread that rested the least takes the next, because its stack and
 * its heap are still in the processor's caches.
 */
#include "workers.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "job.h"
#include "lib/log.h"

/* Enough for OpenSSL and json-c; only touched pages cost memory. */
#define STACK_BYTES (256 * 1024)
/* So many may end streams at once: it takes no time, but they end in swarms. */
#define ENDING_MOST 8

struct worker {
	pthread_t thread;
	pthread_cond_t turn;
	struct worker *below; /* in the stack of those at rest */
	int resting;
};

struct queue {
	struct job *first, **last;
};

/* All of it is guarded by the lock, which is held for no I/O. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct worker *workers, *rested; /* rested: the last at rest first */
static uint32_t n_workers, most_workers, n_ending;
static struct gate *gate;
static struct queue to_serve = { NULL, &to_serve.first };
static struct queue to_end = { NULL, &to_end.first };

static void
take_lock(void)
{
	(void)pthread_mutex_lock(&lock); /* of the default kind: it */
}

static void
drop_lock(void)
{
	(void)pthread_mutex_unlock(&lock); /* cannot fail */
}

static void *work(void *);

/*
 * With the lock. A thread costs 8 KiB even before it has anything to do, so
 * there are as many as were needed at once so far. 0, or the error.
 */
static int
start_one(void)
{
	struct worker *w = &workers[n_workers];
	pthread_attr_t attr;
	int error;

	if (n_workers == most_workers)
		return 0; /* one of them will be free */
	if ((error = pthread_attr_init(&attr)) != 0)
		return error;
	if ((error = pthread_attr_setstacksize(&attr, STACK_BYTES)) == 0 &&
	    (error = pthread_attr_setdetachstate(
		 &attr, PTHREAD_CREATE_DETACHED)) == 0 &&
	    (error = pthread_cond_init(&w->turn, NULL)) == 0)
		error = pthread_create(&w->thread, &attr, work, w);
	(void)pthread_attr_destroy(&attr); /* glibc: always 0 */
	if (error == 0)
		n_workers++;
	return error;
}

/* With the lock; 0, or the error. */
static int
wake_one(void)
{
	struct worker *w = rested;

	if (w == NULL)
		return start_one();
	rested = w->below;
	w->resting = 0;
	(void)pthread_cond_signal(&w->turn); /* cannot fail */
	return 0;
}

/* Those there are have to do, then. */
static void
tell_shortage(int error)
{
	if (error == 0)
		return;
	errno = error;
	log_warn("cannot start another thread");
}

/* With the lock. */
static void
rest(struct worker *w)
{
	w->below = rested;
	w->resting = 1;
	rested = w;
	while (w->resting)
		(void)pthread_cond_wait(&w->turn, &lock);
}

/* With the lock. */
static void
put(struct queue *q, struct job *j)
{
	j->behind = NULL;
	*q->last = j;
	q->last = &j->behind;
}

/* With the lock; NULL: it is empty. */
static struct job *
take(struct queue *q)
{
	struct job *j = q->first;

	if (j == NULL)
		return NULL;
	q->first = j->behind;
	if (q->first == NULL)
		q->last = &q->first;
	return j;
}

/* With the lock. NULL when there is none, or enough see to others. */
static struct job *
take_ended(int *error)
{
	struct job *j = n_ending < ENDING_MOST ? take(&to_end) : NULL;

	if (j == NULL)
		return NULL;
	n_ending++;
	if (to_end.first != NULL && n_ending < ENDING_MOST)
		*error = wake_one();
	return j;
}

static struct job *
await_job(struct worker *w)
{
	struct job *j;
	int error = 0;

	take_lock();
	while (
	    (j = take_ended(&error)) == NULL && (j = take(&to_serve)) == NULL)
		rest(w);
	drop_lock();
	tell_shortage(error);
	return j;
}

void
workers_give(struct job *j)
{
	int error = 0;

	take_lock();
	if (j->stage != JOB_ENDED) {
		put(&to_serve, j);
		error = wake_one();
	} else {
		if (to_end.first == NULL || n_ending == 0)
			error = wake_one(); /* who takes one calls the next */
		put(&to_end, j);
	}
	drop_lock();
	tell_shortage(error);
}

static void
end_stream(struct job *j)
{
	serve_rest(&j->call);
	wipe_sparingly(1);
	job_close(j);
	wipe_sparingly(0);
	take_lock();
	n_ending--;
	drop_lock();
}

static void
serve_job(struct job *j)
{
	enum served served = SERVED;

	if (j->stage == JOB_ENDED) {
		end_stream(j);
		return;
	}
	if (j->stage == JOB_LEFT)
		served = serve_on(&j->call);
	else if (j->stage == JOB_READ || job_read(j, 0) == 0)
		served = serve(gate, &j->http, &j->call, 0);
	if (served == SERVED)
		job_close(j);
	else
		relay_start(&j->call); /* from here on it is another thread's */
}

static void *
work(void *arg)
{
	for (;;) {
		serve_job(await_job(arg));
		wipe_stack();
	}
	return NULL;
}

void
workers_start(struct gate *g, uint32_t threads)
{
	if ((workers = calloc(threads, sizeof(*workers))) == NULL)
		log_fatal("cannot prepare threads");
	gate = g;
	most_workers = threads;
}
