/*
 * relay_internal.h - one answer on its way: shared by relay.c, which begins
 * it, relay_pass.c, which passes it on, and relay_end.c, which ends it.
 */
#ifndef PMPROXY_RELAY_INTERNAL_H
#define PMPROXY_RELAY_INTERNAL_H

#include "gate.h"
#include "lib/meter.h"
#include "relay.h"

/* An error's text; a longer one is replaced by ours. */
#define RELAY_ERROR_MAX 65536

/*
 * Past this an answer has no end. The upstream's own bound for one that comes
 * whole is half of it, and no stream comes near.
 */
#define RELAY_ANSWER_MAX (INT64_C(256) << 20)

enum relay_kind {
	NOTHING_YET,
	PLAIN, /* one document, of whatever type */
	EVENTS,
	ERROR /* 400 and above: collected, then sent as an error object */
};

struct relay {
	struct call *c;
	enum relay_kind kind;
	struct upstream_head head;
	struct meter meter;
	struct buf held; /* not sent yet */
	int64_t body_bytes; /* of the request */
	int64_t answer_bytes;
	int64_t first_byte_ms;
	int head_sent;
	int accounted;
	int settled; /* what a stream does not need was given back */
	char tail[2]; /* the last two bytes sent, carriage returns left out */
	/* Of the exchange, which borrows them. */
	struct iovec pieces[OPENAI_PIECES_MAX];
	struct relay_fields fields;
	/* On the loop, where nothing may wait: for a client, or a disk. */
	struct upstream_flow *flow; /* NULL: on a thread of its own */
	enum upstream_end end; /* how it went there */
	struct buf outbox; /* what may be too much for the client at once */
	size_t outbox_at; /* sent up to here */
	size_t unchecked; /* sent since the client was seen to take more */
};

/* An endpoint that is paid by the minute or the page tells no tokens. */
int relay_counts_tokens(const struct call *);

/* Writes down what was used, once. 'worked': the upstream did its work. */
void relay_settle(struct relay *, int status, int worked);

int relay_is_success(const struct relay *);
/* 'length' of the body, -1 when unknown. */
int relay_send_head(struct relay *, int64_t length);
int relay_send(struct relay *, const char *, size_t);
int relay_send_held(struct relay *);

/* Puts the callbacks that pass an answer on into an exchange. */
void relay_pass(struct relay *, struct upstream_exchange *);

/* What one begins with; -1 for lack of memory (logged). Frees nothing. */
int relay_prepare(struct relay *, struct call *, struct upstream_exchange *);

/* relay_flow.c: a stream, and what is done instead on the loop. */
enum openai_error relay_flow_begin(struct call *);
int relay_flow_send(struct relay *, const char *, size_t);
int relay_flow_pause(struct relay *);

/* Ends the answer; OPENAI_OK, or the error to answer with instead. */
enum openai_error relay_end(struct relay *, enum upstream_end);

#endif
