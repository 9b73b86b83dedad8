/*
 * A thread a request, except for streams: once begun they go on without one,
 * and whichever is free ends them. The thread that rested the least takes the
 * next request, because its stack and its heap are still in the processor's
 * caches: with hundreds of threads in accept(2) the kernel would wake the
 * coldest.
 */
#include "workers.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "job.h"
#include "lib/log.h"

/* Enough for OpenSSL and json-c; only touched pages cost memory. */
#define STACK_BYTES (256 * 1024)
/*
 * So many threads may wait for a request at once, and when fewer do than the
 * least, the next is woken. The more may wait, the seldomer a wake-up is due;
 * yet those that wait take turns, and with each turn caches are cold. With two
 * a request costs the least, be it one client that asks or many.
 */
#define ACCEPT_MOST 2
#define ACCEPT_LEAST 1
/* So many may end streams at once: it takes no time, but they end in swarms. */
#define ENDING_MOST 8
/* After SIGTERM, for requests under way ... */
#define DRAIN_SECONDS 10
/* ... and then for telling the clients of the others, and for the journal. */
#define FAREWELL_SECONDS 3
/* How often idle threads are told. */
#define WAKE_MS 100

struct worker {
	pthread_t thread;
	pthread_cond_t turn; /* to accept, or to end a stream */
	struct worker *below; /* in the stack of those at rest */
	int resting;
	int fd; /* of the connection it serves; -1: none */
	int alive;
};

/* All of it is guarded by the lock, which is held for no I/O. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t alive_change = PTHREAD_COND_INITIALIZER;
static struct worker *workers, *rested; /* rested: the last at rest first */
static uint32_t n_workers, n_alive, n_accepting, n_ending;
static uint32_t most_workers;
static struct gate *gate;
static struct job *streams; /* under way without a thread */
static struct job *at_end, **last_at_end = &at_end; /* the first first */
static int shared;
static atomic_int ending; /* no request is taken any more */

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
	w->fd = -1;
	w->alive = 1;
	if ((error = pthread_attr_init(&attr)) != 0)
		return error;
	if ((error = pthread_attr_setstacksize(&attr, STACK_BYTES)) == 0 &&
	    (error = pthread_attr_setdetachstate(
		 &attr, PTHREAD_CREATE_DETACHED)) == 0 &&
	    (error = pthread_cond_init(&w->turn, NULL)) == 0)
		error = pthread_create(&w->thread, &attr, work, w);
	(void)pthread_attr_destroy(&attr); /* glibc: always 0 */
	if (error == 0) {
		n_workers++;
		n_alive++;
	}
	return error;
}

/* With the lock; 0, or the error. */
static int
wake_one(void)
{
	struct worker *w = rested;

	if (w == NULL)
		return atomic_load(&ending) ? 0 : start_one();
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

/* With the lock. A stream to be ended, or NULL. */
static struct job *
take_ended(struct worker *w, int *error)
{
	struct job *j = at_end;

	if (j == NULL || n_ending == ENDING_MOST)
		return NULL;
	at_end = j->next;
	if (at_end == NULL)
		last_at_end = &at_end;
	w->fd = j->fd;
	n_ending++;
	if (at_end != NULL && n_ending < ENDING_MOST)
		*error = wake_one();
	return j;
}

/* A stream to be ended; or NULL: to accept, unless it is over. */
static struct job *
await_turn(struct worker *w)
{
	struct job *j;
	int over, error = 0;

	take_lock();
	w->fd = -1;
	while ((j = take_ended(w, &error)) == NULL) {
		over = atomic_load(&ending);
		if (over && streams == NULL && at_end == NULL)
			break;
		if (!over && n_accepting < ACCEPT_MOST) {
			n_accepting++;
			break;
		}
		rest(w);
	}
	drop_lock();
	tell_shortage(error);
	return j;
}

static void
end_turn(struct worker *w, int fd)
{
	int error = 0;

	take_lock();
	w->fd = fd;
	n_accepting--;
	if (n_accepting < ACCEPT_LEAST)
		error = wake_one();
	drop_lock();
	tell_shortage(error);
}

static void
begin_stream(struct worker *w, struct job *j)
{
	take_lock();
	w->fd = -1;
	j->next = streams;
	j->from = &streams;
	if (j->next != NULL)
		j->next->from = &j->next;
	streams = j;
	drop_lock();
	relay_start(&j->call); /* from here on it is another thread's */
}

void
workers_take_back(struct call *c)
{
	struct job *j =
	    (struct job *)(void *)((char *)c - offsetof(struct job, call));
	int error = 0;

	take_lock();
	*j->from = j->next;
	if (j->next != NULL)
		j->next->from = j->from;
	j->next = NULL;
	if (at_end == NULL || n_ending == 0)
		error = wake_one(); /* who takes one calls the next */
	*last_at_end = j;
	last_at_end = &j->next;
	drop_lock();
	tell_shortage(error);
}

static void
end_job(struct worker *w, struct job *j)
{
	http_end(&j->http);
	take_lock();
	w->fd = -1; /* before it is closed */
	drop_lock();
	job_close(j);
}

static void
end_stream(struct worker *w, struct job *j)
{
	serve_rest(&j->call);
	wipe_sparingly(1);
	end_job(w, j);
	job_free(j);
	wipe_sparingly(0);
	take_lock();
	n_ending--;
	drop_lock();
}

/* 0, or -1 once it is over. */
static int
accept_request(struct worker *w, struct job *j)
{
	int error;

	while ((error = job_accept(j)) != 0 && !atomic_load(&ending))
		job_wait_out(error);
	if (error != 0) {
		end_turn(w, -1);
		return -1;
	}
	end_turn(w, j->fd);
	return 0;
}

static void
answer_requests(struct worker *w)
{
	struct job *own = NULL, *ended;

	for (;;) {
		ended = await_turn(w);
		if (ended != NULL) {
			end_stream(w, ended);
		} else if (atomic_load(&ending)) {
			break;
		} else if (own == NULL && (own = job_new()) == NULL) {
			end_turn(w, -1);
			job_wait_out(ENOMEM);
		} else if (accept_request(w, own) == -1) {
			continue;
		} else if (serve(gate, &own->http, &own->call)) {
			begin_stream(w, own);
			own = NULL;
		} else {
			end_job(w, own);
		}
		wipe_stack();
	}
	job_free(own);
}

static void *
work(void *arg)
{
	struct worker *w = arg;

	answer_requests(w);
	take_lock();
	w->alive = 0;
	n_alive--;
	(void)pthread_cond_signal(&alive_change);
	drop_lock();
	return NULL;
}

void
workers_start(struct gate *g, uint32_t threads, int shared_socket)
{
	int error = 0;

	if ((workers = calloc(threads, sizeof(*workers))) == NULL)
		log_fatal("cannot prepare threads");
	gate = g;
	most_workers = threads;
	shared = shared_socket;
	take_lock();
	for (int i = 0; i < ACCEPT_MOST && error == 0; i++)
		error = start_one();
	drop_lock();
	if ((errno = error) != 0)
		log_fatal("cannot start threads");
}

/*
 * With the lock. Threads that wait to accept shall see that it ends. On a
 * socket of our own they find that it listens no more. One that is shared has
 * to stay as it is, for the others and for who comes next: there each is woken
 * by a signal, and again, should it have been about to wait only.
 */
static void
wake_idle(void)
{
	while (rested != NULL)
		(void)wake_one(); /* starts none */
	if (!shared)
		return;
	for (uint32_t i = 0; i < n_workers; i++)
		if (workers[i].alive && workers[i].fd == -1)
			(void)pthread_kill(workers[i].thread, SIGUSR2);
}

/* With the lock held; 0 once all threads have ended. */
static int
wait_for_threads(int64_t seconds)
{
	int64_t until = limits_now() + seconds * 1000;
	struct timespec pause;

	while (n_alive > 0) {
		if (limits_now() >= until ||
		    clock_gettime(CLOCK_REALTIME, &pause) == -1)
			return -1;
		wake_idle();
		pause.tv_nsec += WAKE_MS * 1000000;
		pause.tv_sec += pause.tv_nsec / 1000000000;
		pause.tv_nsec %= 1000000000;
		/* Either way it is time to look again. */
		(void)pthread_cond_timedwait(&alive_change, &lock, &pause);
	}
	return 0;
}

void
workers_drain(void)
{
	atomic_store(&ending, 1);
	FCGX_ShutdownPending();
	if (!shared && shutdown(STDIN_FILENO, SHUT_RDWR) == -1)
		log_warn("cannot stop listening");
	take_lock();
	if (wait_for_threads(DRAIN_SECONDS) == -1) {
		log_info("requests under way are broken off");
		/*
		 * As if their clients had left, but for the way back: it takes
		 * an error event. What was used is written down.
		 */
		for (uint32_t i = 0; i < n_workers; i++)
			if (workers[i].fd != -1)
				(void)shutdown(workers[i].fd, SHUT_RD);
		for (struct job *j = streams; j != NULL; j = j->next)
			(void)shutdown(j->fd, SHUT_RD);
		(void)wait_for_threads(FAREWELL_SECONDS);
	}
	drop_lock();
}
