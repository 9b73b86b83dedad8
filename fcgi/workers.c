/*
 * A thread a request. The thread that rested the least takes the next one,
 * because its stack and its heap are still in the processor's caches: with
 * hundreds of threads in accept(2) the kernel would wake the coldest.
 */
#include "workers.h"

#include <errno.h>
#include <fcgiapp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "gate.h"
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
/* After SIGTERM, for requests under way ... */
#define DRAIN_SECONDS 10
/* ... and then for telling the clients of the others, and for the journal. */
#define FAREWELL_SECONDS 3
/* How often idle threads are told. */
#define WAKE_MS 100

struct worker {
	pthread_t thread;
	struct gate *gate;
	pthread_cond_t turn; /* to accept */
	struct worker *below; /* in the stack of those at rest */
	int resting;
	int fd; /* of the connection it serves; -1: none */
	int alive;
};

/* All of it is guarded by the lock, which is held for no I/O. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t alive_change = PTHREAD_COND_INITIALIZER;
static struct worker *workers, *rested; /* rested: the last at rest first */
static uint32_t n_workers, n_alive, n_accepting;
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

/* With the lock. Whoever is woken counts as accepting from here on. */
static void
wake_one(void)
{
	struct worker *w = rested;

	if (w == NULL)
		return;
	rested = w->below;
	w->resting = 0;
	n_accepting++;
	(void)pthread_cond_signal(&w->turn); /* cannot fail */
}

static void
await_turn(struct worker *w)
{
	take_lock();
	w->fd = -1;
	if (n_accepting < ACCEPT_MOST || atomic_load(&ending)) {
		n_accepting++;
	} else {
		w->below = rested;
		w->resting = 1;
		rested = w;
		while (w->resting)
			(void)pthread_cond_wait(&w->turn, &lock);
	}
	drop_lock();
}

static void
end_turn(struct worker *w, int fd)
{
	take_lock();
	w->fd = fd;
	n_accepting--;
	if (n_accepting < ACCEPT_LEAST)
		wake_one();
	drop_lock();
}

/*
 * After an accept that failed. A thread that ended here would be missing for
 * good, and in silence: a shortage passes, and without a socket lighttpd
 * starts another responder.
 */
static void
wait_out(int error)
{
	static const struct timespec pause = { .tv_nsec = 100000000 };
	static _Atomic int64_t logged_at;
	int64_t now = limits_now() / 1000, last = atomic_load(&logged_at);

	if (atomic_load(&ending))
		return;
	errno = error < 0 ? -error : EIO;
	if (errno == EBADF || errno == EINVAL || errno == ENOTSOCK) {
		log_warn("cannot take requests: no listening socket");
		_exit(1);
	}
	if (last != now &&
	    atomic_compare_exchange_strong(&logged_at, &last, now))
		log_warn("cannot take requests");
	(void)nanosleep(&pause, NULL); /* cut short it is as good */
}

static void
answer_requests(struct worker *w)
{
	FCGX_Request request;
	struct http http;
	int error;

	if (FCGX_InitRequest(
		&request, STDIN_FILENO, FCGI_FAIL_ACCEPT_ON_INTR) != 0) {
		log_warnx("libfcgi cannot prepare a request");
		return;
	}
	while (!atomic_load(&ending)) {
		await_turn(w);
		while ((error = FCGX_Accept_r(&request)) != 0 &&
		    !atomic_load(&ending))
			wait_out(error);
		if (error != 0) {
			end_turn(w, -1);
			break;
		}
		http_from_fcgx(&http, &request);
		end_turn(w, http_watch_fd(&http));
		serve(w->gate, &http);
		http_end(&http);
		take_lock();
		w->fd = -1; /* before it is closed */
		drop_lock();
		/* The request was read whole: no need to wait for its end. */
		FCGX_Detach(&request);
		FCGX_Finish_r(&request);
		wipe_stack();
	}
	FCGX_Free(&request, 1);
}

static void
set_alive(struct worker *w, int alive)
{
	take_lock();
	w->thread = pthread_self();
	w->alive = alive;
	if (!alive) {
		n_alive--;
		(void)pthread_cond_signal(&alive_change);
	}
	drop_lock();
}

static void *
work(void *arg)
{
	struct worker *w = arg;

	set_alive(w, 1);
	answer_requests(w);
	set_alive(w, 0);
	return NULL;
}

void
workers_start(struct gate *g, uint32_t threads, int shared_socket)
{
	pthread_attr_t attr;
	pthread_t thread;

	if (pthread_attr_init(&attr) != 0 ||
	    pthread_attr_setstacksize(&attr, STACK_BYTES) != 0 ||
	    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED) != 0)
		log_fatalx("cannot prepare threads");
	if ((workers = calloc(threads, sizeof(*workers))) == NULL)
		log_fatal("cannot prepare threads");
	n_workers = n_alive = threads;
	shared = shared_socket;
	for (uint32_t i = 0; i < threads; i++) {
		workers[i].gate = g;
		workers[i].fd = -1;
		if (pthread_cond_init(&workers[i].turn, NULL) != 0)
			log_fatalx("cannot prepare threads");
	}
	for (uint32_t i = 0; i < threads; i++)
		if ((errno = pthread_create(
			 &thread, &attr, work, &workers[i])) != 0)
			log_fatal("cannot start thread %u", i + 1);
	(void)pthread_attr_destroy(&attr); /* glibc: always 0 */
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
		wake_one();
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
		(void)wait_for_threads(FAREWELL_SECONDS);
	}
	drop_lock();
}
