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
#define SERVER (UINT64_C(1) << 63) /* and libcurl's descriptor */

struct upstream_flow {
	struct transfer t; /* first, so that libcurl's callbacks find it */
	struct upstream_exchange x;
	void (*on_end)(void *, enum upstream_end);
	struct upstream_loop *loop;
	struct upstream_flow *next, **from; /* of those under way */
	int64_t held_ms; /* since when its client takes nothing; 0: it does */
	int64_t enough_ms; /* since when enough came; 0: not yet */
	int over; /* and nothing more comes, as 'how' says */
	enum upstream_end how;
	int ended;
};

struct upstream_loop {
	CURLM *multi;
	char *url;
	pthread_t thread;
	int epoll, wake;
	int no_socket; /* nobody asks what is beneath a connection */
	int64_t curl_due_ms; /* libcurl wants to be called; -1: not */
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

/* On the loop's thread. Each may end the flow, which calls its on_end. */
void upstream_flow_begin(struct upstream_flow *);
void upstream_flow_done(struct upstream_flow *, CURLcode);
void upstream_flow_pause(struct upstream_flow *);
void upstream_flow_stir(struct upstream_flow *, uint32_t events);
void upstream_flow_clock(struct upstream_flow *, int64_t now);

#endif
