/*
 * conn.h - one client's connection: requests are read one after the other,
 * each is answered by its call.
 */
#ifndef STANDIN_CONN_H
#define STANDIN_CONN_H

#include "call.h"
#include "http.h"
#include "loop.h"

enum conn_state {
	CONN_HEAD, /* reading */
	CONN_BODY, /* reading */
	CONN_ANSWER, /* the call has it */
	CONN_DRAIN, /* our side is closed; what comes is thrown away */
	CONN_CLOSED /* to be freed after this batch of events */
};

struct conn {
	struct watch watch;
	struct timer timer;
	enum conn_state state;
	uint64_t number, requests;
	int die_on_reuse;
	struct buf head, body, out;
	size_t out_at; /* of 'out', what is sent */
	int blocked; /* the rest of 'out' waits until it can be sent */
	struct http_body transfer;
	struct call call;
	struct conn *next_closed;
};

/* Accepts all who wait at this listening socket. */
void conn_accept(struct watch *, uint32_t events);

/* Appends to what is to be sent. */
void conn_add(struct conn *, const void *, size_t);

/* Sends: 0 when all is sent, 1 when some must wait, -1 when it is closed. */
int conn_flush(struct conn *);

/* The answer is sent whole: the next request may be read. */
void conn_next(struct conn *);

void conn_close(struct conn *);
void conn_reset(struct conn *); /* with a TCP reset */
void conn_drain(struct conn *); /* ends our side, waits for the client's */

/* Frees the closed ones; for loop_run. */
void conn_free_closed(void);

#endif
