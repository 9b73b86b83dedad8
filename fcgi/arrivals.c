/*
 * One thread for short requests: most need no more than a look at memory and
 * an answer of the upstream's. What a thread for each would cost, waking and
 * switching, is more than all that is done for it.
 */
#include "arrivals.h"

#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "job.h"
#include "lib/log.h"
#include "workers.h"

/* Then what waits on the loop has its turn. */
#define TAKEN_AT_ONCE 8
#define DOOR_EVENTS (EPOLLIN | EPOLLEXCLUSIVE)
/* More than wait at once on any socket. */
#define BACKLOG_MOST 4096
/* A shortage of memory or descriptors passes. */
#define SHORTAGE_NS 10000000
/* For a thread that never waits for long. */
#define STOP_SECONDS 5

static struct gate *gate; /* set before the thread takes anything */
static int served; /* in this turn of the loop; of that thread alone */
static int shared; /* others listen on the socket as well */
static atomic_int stopping;
static int stop_fd;
static sem_t stopped;

static void on_door(struct upstream_watched *, uint32_t);
static void on_stop(struct upstream_watched *, uint32_t);

static struct upstream_watched door = { on_door }, stop = { on_stop };

static void
serve_here(struct job *j)
{
	served = 1;
	if (job_read(j, 1) == -1) {
		job_close(j);
	} else if (serve_may_wait(&j->http)) {
		workers_give(j);
	} else {
		switch (serve(gate, &j->http, &j->call, 1)) {
		case SERVED_IN_PART:
			j->stage = JOB_LEFT;
			workers_give(j);
			break;
		case SERVED_BY_LOOP:
			relay_start(&j->call);
			break;
		case SERVED:
		default:
			job_close(j);
			break;
		}
	}
}

/* The web server connects first, and sends an instant later. */
static void
wait_for_it(struct job *j)
{
	if (upstream_loop_watch(gate->arrivals, j->fd,
		EPOLLIN | EPOLLRDHUP | EPOLLONESHOT, &j->watched) == 0)
		return;
	log_warn("cannot wait for a request");
	job_close(j);
}

static void
look_at(struct job *j)
{
	switch (job_look(j)) {
	case JOB_SILENT:
		wait_for_it(j);
		break;
	case JOB_PARTIAL:
		workers_give(j);
		break;
	case JOB_WHOLE:
		serve_here(j);
		break;
	case JOB_GONE:
	default:
		job_close(j);
		break;
	}
}

static void
on_bytes(struct upstream_watched *w, uint32_t events)
{
	struct job *j =
	    (struct job *)(void *)((char *)w - offsetof(struct job, watched));

	(void)events;
	look_at(j); /* of what is watched once no more is heard */
}

/*
 * Without a socket the process ends, so that lighttpd starts another: what went
 * on would refuse all, in silence.
 */
static void
wait_out(int error)
{
	static const struct timespec pause = { .tv_nsec = SHORTAGE_NS };
	static int64_t logged_at;
	int64_t now = limits_now() / 1000;

	errno = error;
	if (error == EBADF || error == EINVAL || error == ENOTSOCK) {
		log_warn("cannot take requests: no listening socket");
		_exit(1);
	}
	if (logged_at != now)
		log_warn("cannot take requests");
	logged_at = now;
	(void)nanosleep(&pause, NULL); /* cut short it is as good */
}

/* So many at most; fewer when no more wait. */
static void
take(int most)
{
	struct job *j;

	while (most-- > 0) {
		if ((j = job_accept()) == NULL) {
			if (errno != EAGAIN && errno != EINTR &&
			    errno != ECONNABORTED && !atomic_load(&stopping))
				wait_out(errno);
			return;
		}
		j->watched.ready = on_bytes;
		look_at(j);
	}
}

/*
 * The kernel wakes whoever began to wait first and waits now. Whoever took one
 * begins anew, or it would take all as long as it has time, and be full while
 * others are empty.
 */
static void
on_door(struct upstream_watched *w, uint32_t events)
{
	(void)events;
	take(shared ? 1 : TAKEN_AT_ONCE);
	if (!shared)
		return;
	if (upstream_loop_unwatch(gate->arrivals, STDIN_FILENO) == -1 ||
	    upstream_loop_watch(gate->arrivals, STDIN_FILENO, DOOR_EVENTS, w) ==
		-1)
		log_fatal("cannot take requests");
}

/*
 * Others who listen, too, are woken for what comes from here on, but not for
 * what is there, of which only this thread may have been told.
 */
static void
on_stop(struct upstream_watched *w, uint32_t events)
{
	(void)w;
	(void)events;
	if (upstream_loop_unwatch(gate->arrivals, stop_fd) == -1 ||
	    upstream_loop_unwatch(gate->arrivals, STDIN_FILENO) == -1)
		log_warn("cannot stop taking requests");
	take(BACKLOG_MOST);
	(void)sem_post(&stopped); /* it counts to one */
}

void
arrivals_end(struct call *c)
{
	served = 1;
	serve_rest(c);
	job_close(job_of(c));
}

static void
after_turn(void)
{
	if (served)
		wipe_stack();
	served = 0;
}

void
arrivals_start(struct gate *g, int shared_socket)
{
	int flags = fcntl(STDIN_FILENO, F_GETFL);

	gate = g;
	shared = shared_socket;
	stop_fd = eventfd(0, EFD_CLOEXEC);
	g->arrivals = upstream_loop_new(
	    config_text(g->config, CONFIG_UPSTREAM_URL), after_turn);
	if (g->arrivals == NULL || stop_fd == -1 ||
	    sem_init(&stopped, 0, 0) == -1 ||
	    upstream_loop_watch(g->arrivals, stop_fd, EPOLLIN, &stop) == -1)
		log_fatalx("the gate cannot start");
	/* Another may have taken what it was woken for. */
	if (flags == -1 ||
	    fcntl(STDIN_FILENO, F_SETFL, flags | O_NONBLOCK) == -1 ||
	    upstream_loop_watch(
		g->arrivals, STDIN_FILENO, DOOR_EVENTS, &door) == -1)
		log_fatal("cannot take requests: no listening socket");
}

void
arrivals_stop(void)
{
	const uint64_t one = 1;
	struct timespec until;

	atomic_store(&stopping, 1);
	/* First, so that the web server finds another way. */
	if (!shared && shutdown(STDIN_FILENO, SHUT_RDWR) == -1)
		log_warn("cannot stop listening");
	if (clock_gettime(CLOCK_REALTIME, &until) == -1)
		return;
	until.tv_sec += STOP_SECONDS;
	if (write(stop_fd, &one, sizeof(one)) == -1 ||
	    sem_timedwait(&stopped, &until) == -1)
		log_warn("cannot stop taking requests");
}
