/*
 * loop.h - one thread, one epoll, timers in a heap. Descriptors are watched
 * edge-triggered: who is told reads or writes until it would block.
 */
#ifndef STANDIN_LOOP_H
#define STANDIN_LOOP_H

#include <stddef.h>
#include <stdint.h>

struct timer {
	int64_t at_us;
	size_t slot; /* private; 0 while it is not set */
	void (*fire)(struct timer *);
};

struct watch {
	int fd;
	void (*ready)(struct watch *, uint32_t events);
};

/* Microseconds of a clock that cannot go back. */
int64_t loop_now(void);

/* Sets it anew when it is set already. */
void timer_set(struct timer *, int64_t at_us);
void timer_clear(struct timer *);

/* 0 or -1. 'watch' must stay where it is until its descriptor is closed and
 * the batch of events has ended. */
int loop_init(void);
int loop_watch(struct watch *, uint32_t events);

/* Runs until loop_stop; calls 'after_batch' when a batch is dealt with. */
void loop_run(void (*after_batch)(void));
void loop_stop(void);

#endif
