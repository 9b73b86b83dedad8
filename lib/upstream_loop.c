/*
 * Exchanges that take long, on one thread: a stream is silent most of the
 * time, and a thread of its own would cost more memory and a wake-up for each
 * of its events. Whatever a callback does here, all the others wait for.
 */
#include "upstream_flow.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "log.h"

/* How often to look at clocks. */
#define LOOK_MS 100
#define EVENTS_MOST 64
#define STACK_BYTES (256 * 1024)

/* The one that this thread is. */
static _Thread_local struct upstream_loop *this_loop;

/* --- One turn. --- */

static void
tell_pauses(struct upstream_loop *l)
{
	struct transfer *t;

	while ((t = l->changed) != NULL) {
		struct upstream_flow *f = (struct upstream_flow *)(void *)t;

		l->changed = t->next_changed;
		t->listed = 0;
		if (!f->ended && t->dirty)
			upstream_flow_pause(f);
	}
}

static void
look_at_clocks(struct upstream_loop *l)
{
	int64_t now = monotonic_ms();
	struct upstream_flow *f, *next;

	if (now < l->look_ms)
		return;
	l->look_ms = now + LOOK_MS;
	for (f = l->flows; f != NULL; f = next) {
		next = f->next;
		upstream_flow_clock(f, now);
	}
}

/* 0 once it is to end. */
static int
take_added(struct upstream_loop *l)
{
	struct upstream_flow *added, *next, *first = NULL;
	uint64_t count;
	int ending;

	/* Nothing to read is no mistake: it is asked again when there is. */
	(void)!read(l->wake, &count, sizeof(count));
	(void)pthread_mutex_lock(&l->lock); /* default kind: cannot fail */
	added = l->added;
	l->added = NULL;
	ending = l->ending;
	(void)pthread_mutex_unlock(&l->lock);
	for (; added != NULL; added = next) {
		next = added->next;
		added->next = first;
		first = added;
	}
	for (; first != NULL; first = next) {
		next = first->next;
		upstream_flow_begin(first);
	}
	return !ending;
}

static int
time_left(const struct upstream_loop *l)
{
	int64_t due = l->flows != NULL ? l->look_ms : INT64_MAX;
	int64_t now = monotonic_ms();

	if (l->at_once != NULL)
		return 0;
	if (l->curl_due_ms >= 0 && l->curl_due_ms < due)
		due = l->curl_due_ms;
	if (due == INT64_MAX)
		return -1;
	return due <= now ? 0 : (int)(due - now < 60000 ? due - now : 60000);
}

static void
free_ended(struct upstream_loop *l)
{
	struct upstream_flow *f;

	while ((f = l->ended) != NULL) {
		l->ended = f->next;
		free(f);
	}
}

/* 1 when others want in, or the end. */
static int
serve_events(struct upstream_loop *l, const struct epoll_event *e, int n)
{
	int woken = 0;

	for (; n > 0; n--, e++) {
		if (e->data.u64 == WAKE) {
			woken = 1;
		} else if (e->data.u64 & SERVER) {
			upstream_lane_stir(l, e->data.u64, e->events);
		} else if (e->data.u64 & WATCHED) {
			struct upstream_watched *w =
			    (void *)(uintptr_t)(e->data.u64 & ~WATCHED);

			w->ready(w, e->events);
		} else {
			upstream_flow_stir(e->data.ptr, e->events);
		}
	}
	return woken;
}

static void *
run(void *arg)
{
	struct upstream_loop *l = arg;
	struct epoll_event events[EVENTS_MOST];
	int woken = 0, go_on = 1;

	this_loop = l;
	while (go_on || l->flows != NULL) {
		int n = epoll_wait(l->epoll, events, EVENTS_MOST, time_left(l));

		if (n == -1 && errno != EINTR)
			log_fatal("cannot wait for the upstream");
		woken = serve_events(l, events, n);
		/* First, so that who takes nothing is not given more. */
		tell_pauses(l);
		upstream_lanes_clock(l, monotonic_ms());
		tell_pauses(l);
		look_at_clocks(l);
		if (woken)
			go_on = take_added(l);
		free_ended(l);
		if (l->after_turn != NULL)
			l->after_turn();
	}
	return NULL;
}

/* --- Seen from other threads. --- */

static void
wake(struct upstream_loop *l)
{
	const uint64_t one = 1;

	/* It fails only when it counted 2^64 of them, and is readable then. */
	(void)!write(l->wake, &one, sizeof(one));
}

static int
start_thread(struct upstream_loop *l)
{
	pthread_attr_t attr;
	int bad;

	if (pthread_attr_init(&attr) != 0)
		return -1;
	bad = pthread_attr_setstacksize(&attr, STACK_BYTES) != 0 ||
	    pthread_create(&l->thread, &attr, run, l) != 0;
	(void)pthread_attr_destroy(&attr); /* glibc: always 0 */
	return bad ? -1 : 0;
}

static void
free_loop(struct upstream_loop *l)
{
	upstream_lanes_end(l);
	if (l->epoll != -1)
		(void)close(l->epoll); /* nothing to lose in either */
	if (l->wake != -1)
		(void)close(l->wake);
	(void)pthread_mutex_destroy(&l->lock); /* nobody holds it */
	free(l->url);
	free(l);
}

struct upstream_loop *
upstream_loop_new(const char *url, void (*after_turn)(void))
{
	struct upstream_loop *l = calloc(1, sizeof(*l));

	if (l == NULL || pthread_mutex_init(&l->lock, NULL) != 0) {
		log_warn("cannot prepare for streams");
		free(l);
		return NULL;
	}
	l->curl_due_ms = -1;
	l->after_turn = after_turn;
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	l->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if ((l->url = upstream_url(url)) == NULL || l->epoll == -1 ||
	    l->wake == -1 || upstream_lanes_begin(l) == -1 ||
	    upstream_watch(l, EPOLL_CTL_ADD, l->wake, EPOLLIN, WAKE) == -1 ||
	    start_thread(l) == -1) {
		log_warnx("cannot prepare for streams");
		free_loop(l);
		return NULL;
	}
	return l;
}

void
upstream_loop_free(struct upstream_loop *l)
{
	if (l == NULL)
		return;
	(void)pthread_mutex_lock(&l->lock);
	l->ending = 1;
	(void)pthread_mutex_unlock(&l->lock);
	wake(l);
	(void)pthread_join(l->thread, NULL); /* it is ours, and once */
	free_loop(l);
}

void
upstream_flow_start(struct upstream_flow *f)
{
	struct upstream_loop *l = f->loop;

	if (this_loop == l) {
		upstream_flow_begin(f);
		return;
	}
	(void)pthread_mutex_lock(&l->lock);
	f->next = l->added;
	l->added = f;
	(void)pthread_mutex_unlock(&l->lock);
	wake(l);
}

int
upstream_loop_watch(struct upstream_loop *l, int fd, uint32_t events,
    struct upstream_watched *w)
{
	return upstream_watch_anew(
	    l, fd, events, (uint64_t)(uintptr_t)w | WATCHED);
}

int
upstream_loop_unwatch(struct upstream_loop *l, int fd)
{
	return upstream_watch(l, EPOLL_CTL_DEL, fd, 0, 0);
}
