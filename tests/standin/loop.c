/*
 * loop.c - waits for descriptors and times, and calls who asked.
 */
#include <sys/epoll.h>

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "lib/log.h"
#include "loop.h"

#define BATCH 256
#define NEVER (-1)

/* A binary heap, earliest first; heap[0] is not used. */
static struct {
	struct timer **heap;
	size_t n, cap;
	int epoll, stopped;
} loop = { .epoll = -1 };

int64_t
loop_now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail on Linux */
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void
heap_put(size_t slot, struct timer *timer)
{
	loop.heap[slot] = timer;
	timer->slot = slot;
}

static void
heap_up(size_t slot, struct timer *timer)
{
	for (; slot > 1 && loop.heap[slot / 2]->at_us > timer->at_us; slot /= 2)
		heap_put(slot, loop.heap[slot / 2]);
	heap_put(slot, timer);
}

static void
heap_down(size_t slot, struct timer *timer)
{
	size_t child;

	for (; (child = slot * 2) <= loop.n; slot = child) {
		if (child < loop.n &&
		    loop.heap[child + 1]->at_us < loop.heap[child]->at_us)
			child++;
		if (loop.heap[child]->at_us >= timer->at_us)
			break;
		heap_put(slot, loop.heap[child]);
	}
	heap_put(slot, timer);
}

void
timer_clear(struct timer *timer)
{
	struct timer *last;
	size_t slot = timer->slot;

	if (slot == 0)
		return;
	timer->slot = 0;
	last = loop.heap[loop.n--];
	if (last == timer)
		return;
	if (slot > 1 && loop.heap[slot / 2]->at_us > last->at_us)
		heap_up(slot, last);
	else
		heap_down(slot, last);
}

void
timer_set(struct timer *timer, int64_t at_us)
{
	timer_clear(timer);
	if (loop.n + 2 > loop.cap) {
		loop.cap = loop.cap == 0 ? 256 : loop.cap * 2;
		loop.heap =
		    reallocarray(loop.heap, loop.cap, sizeof(struct timer *));
		if (loop.heap == NULL)
			log_fatal("timers");
	}
	timer->at_us = at_us;
	heap_up(++loop.n, timer);
}

int
loop_init(void)
{
	loop.epoll = epoll_create1(EPOLL_CLOEXEC);
	return loop.epoll == -1 ? -1 : 0;
}

int
loop_watch(struct watch *watch, uint32_t events)
{
	struct epoll_event event = { .events = events | EPOLLET,
		.data.ptr = watch };

	return epoll_ctl(loop.epoll, EPOLL_CTL_ADD, watch->fd, &event);
}

/* Milliseconds until the next timer, rounded up. */
static int
loop_patience(void)
{
	int64_t left;

	if (loop.n == 0)
		return NEVER;
	left = (loop.heap[1]->at_us - loop_now() + 999) / 1000;
	if (left < 0)
		return 0;
	return left > 60000 ? 60000 : (int)left;
}

static void
loop_fire(void)
{
	int64_t now = loop_now();
	struct timer *timer;

	while (loop.n > 0 && loop.heap[1]->at_us <= now) {
		timer = loop.heap[1];
		timer_clear(timer);
		timer->fire(timer);
	}
}

void
loop_run(void (*after_batch)(void))
{
	struct epoll_event events[BATCH];
	struct watch *watch;
	int i, n;

	while (!loop.stopped) {
		n = epoll_wait(loop.epoll, events, BATCH, loop_patience());
		if (n == -1 && errno != EINTR)
			log_fatal("epoll_wait");
		for (i = 0; i < n; i++) {
			watch = events[i].data.ptr;
			if (watch->fd != -1)
				watch->ready(watch, events[i].events);
		}
		loop_fire();
		after_batch();
	}
	free(loop.heap);
	loop.heap = NULL;
	loop.n = loop.cap = 0;
}

void
loop_stop(void)
{
	loop.stopped = 1;
}
