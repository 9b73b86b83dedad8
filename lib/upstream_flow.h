/*
 * upstream_flow.h - between upstream_loop.c, which waits for what stirs, and
 * upstream_flow.c, which knows what is then to be done with an exchange.
 */
#ifndef PMPROXY_UPSTREAM_FLOW_H
#define PMPROXY_UPSTREAM_FLOW_H

#include <pthread.h>
#include <sys/epoll.h>

#include "upstream_internal.h"

/* What stirred, beside a pointer to a flow (its client). */
#define WAKE UINT64_C(1)
#define WATCHED UINT64_C(2) /* and a pointer to a struct upstream_watched */
#define SERVER (UINT64_C(1) << 63) /* and lane and descriptor of libcurl's */

#define UPSTREAM_LANES_MAX 65536

/* A multi handle; see upstream_lane.c. */
struct upstream_lane {
	struct upstream_loop *loop;
	CURLM *multi;
	uint32_t number; /* 0: all share it */
	struct upstream_socket socket;
	int64_t due_ms; /* libcurl wants to be called; -1: not */
	int busy, at_once;
	struct upstream_lane *next, **from; /* busy, too, or at rest */
	struct upstream_lane *behind; /* due at once, too */
};

struct upstream_flow {
	struct transfer t; /* first, so that libcurl's callbacks find it */
	struct upstream_exchange x;
	void (*on_end)(void *, enum upstream_end);
	struct upstream_loop *loop;
	struct upstream_lane *lane;
	struct upstream_flow *next, **from; /* of those under way */
	int64_t held_ms; /* since when its client takes nothing; 0: it does */
	int64_t enough_ms; /* since when enough came; 0: not yet */
	int watched; /* its client is */
	int over; /* and nothing more comes, as 'how' says */
	enum upstream_end how;
	int ended;
};

struct upstream_loop {
	char *url;
	void (*after_turn)(void);
	pthread_t thread;
	int epoll, wake;
	struct upstream_lane **lanes; /* by number; NULL: none has it */
	size_t n_lanes, n_resting;
	struct upstream_lane *busy, *resting; /* resting: the last first */
	struct upstream_lane *at_once; /* libcurl wants to be called */
	int64_t curl_due_ms; /* or then, for the first of them; -1: none */
	int64_t look_ms; /* when to look at clocks */
	struct upstream_flow *flows, *ended; /* under way; to be freed */
	struct transfer *changed;
	pthread_mutex_t lock; /* of what follows; held for no I/O */
	struct upstream_flow *added; /* the last first */
	int ending;
};

/* epoll_ctl(2) for a descriptor and what it is known by. */
int upstream_watch(
    struct upstream_loop *, int op, int fd, uint32_t events, uint64_t what);

/* The same for one that may be watched already; not any more as it was. */
int upstream_watch_anew(
    struct upstream_loop *, int fd, uint32_t events, uint64_t what);

/*
 * Lanes, on the loop's thread. Begin and end are those of the loop; -1 for lack
 * of memory. One is taken to keep its connection, or shared; NULL after
 * logging.
 */
int upstream_lanes_begin(struct upstream_loop *);
void upstream_lanes_end(struct upstream_loop *);
struct upstream_lane *upstream_lane_take(struct upstream_loop *, int keep);
void upstream_lane_give(struct upstream_lane *);
/* A descriptor of libcurl's stirred, or time passed. */
void upstream_lane_stir(struct upstream_loop *, uint64_t name, uint32_t events);
void upstream_lanes_clock(struct upstream_loop *, int64_t now);

/* On the loop's thread. Each may end the flow, which calls its on_end. */
void upstream_flow_begin(struct upstream_flow *);
void upstream_flow_done(struct upstream_flow *, CURLcode);
void upstream_flow_pause(struct upstream_flow *);
void upstream_flow_stir(struct upstream_flow *, uint32_t events);
void upstream_flow_clock(struct upstream_flow *, int64_t now);

#endif
