/*
 * An exchange on its way on a loop, which it shares with others: what might
 * wait, for a client or for a disk, is done by a worker.
 */
#include "relay_internal.h"

#include <stdlib.h>

#include "arrivals.h"
#include "job.h"
#include "lib/log.h"
#include "workers.h"

/* So much at once never makes a client wait that takes more. */
#define DIRECT_MAX 8192
/*
 * So much later it is asked again. A quarter of a socket is 53 KB of 212, and
 * what is in it takes up to half as much again. libcurl hands on up to 100
 * pieces in a row.
 */
#define UNCHECKED_MAX 65536
/* What a piece takes of a socket's room beside its bytes, amply. */
#define PIECE_COST 1024
/* Of what a client has not taken: a long event, or the start of a document. */
#define OUTBOX_MAX (1024 * 1024)

int
relay_flow_send(struct relay *r, const char *p, size_t n)
{
	if (r->outbox.len > 0 || n > DIRECT_MAX ||
	    r->unchecked + n > UNCHECKED_MAX)
		return buf_add(&r->outbox, p, n);
	r->unchecked += n;
	return n > 0 ? http_write(r->c->http, p, n) : 0;
}

/* 0 once the outbox is empty, UPSTREAM_HOLD while the client takes nothing. */
static int
empty_outbox(struct relay *r)
{
	while (r->outbox_at < r->outbox.len) {
		size_t n = r->outbox.len - r->outbox_at;

		if (!http_takes_more(r->c->http))
			return UPSTREAM_HOLD;
		n = n < DIRECT_MAX ? n : DIRECT_MAX;
		if (http_write(r->c->http, r->outbox.data + r->outbox_at, n) ||
		    http_flush(r->c->http))
			return -1;
		r->outbox_at += n;
		r->unchecked = n;
	}
	r->outbox_at = 0;
	buf_free(&r->outbox);
	return 0;
}

int
relay_flow_pause(struct relay *r)
{
	int bad = empty_outbox(r);

	if (bad != 0)
		return bad;
	if (http_flush(r->c->http) == -1)
		return -1;
	r->unchecked += PIECE_COST;
	if (r->unchecked > UNCHECKED_MAX) {
		if (!http_takes_more(r->c->http))
			return UPSTREAM_HOLD;
		r->unchecked = 0;
	}
	return r->kind == EVENTS && r->meter.finished ? UPSTREAM_ENOUGH : 0;
}

/* An answer that goes out now, and fits in its empty socket. */
static int
is_short(const struct relay *r)
{
	return !r->head_sent && r->held.len <= UNCHECKED_MAX;
}

/* The last that the loop does with it. */
static void
on_end(void *arg, enum upstream_end end)
{
	struct relay *r = arg;
	struct call *c = r->c;

	r->end = end;
	if (c->quick && !c->request.stream && is_short(r)) {
		arrivals_end(c);
		return;
	}
	wipe_stack();
	job_of(c)->stage = JOB_ENDED;
	workers_give(job_of(c));
}

static void
free_relay(struct relay *r)
{
	relay_fields_free(&r->fields);
	buf_free(&r->held);
	buf_free(&r->outbox);
	free(r); /* which wipes it (wipe.c) */
}

enum openai_error
relay_flow_begin(struct call *c)
{
	struct relay *r = malloc(sizeof(*r));
	int is_stream = c->request.stream;
	struct upstream_exchange x;

	if (r == NULL) {
		log_warn("cannot begin a stream");
		return OPENAI_OVERLOADED;
	}
	if (relay_prepare(r, c, &x) == 0) {
		r->outbox = (struct buf)BUF(OUTBOX_MAX);
		x.keep = !is_stream;
		r->flow = upstream_flow_new(
		    is_stream ? c->gate->loop : c->gate->arrivals, &x, on_end);
	}
	if (r->flow == NULL) {
		free_relay(r);
		return OPENAI_OVERLOADED;
	}
	if (is_stream)
		http_settle(c->http);
	c->stream = r;
	return OPENAI_OK;
}

void
relay_start(struct call *c)
{
	upstream_flow_start(c->stream->flow);
}

enum openai_error
relay_rest(struct call *c)
{
	struct relay *r = c->stream;
	enum openai_error error;

	r->flow = NULL; /* a thread of its own again, which may wait */
	if (!c->request.stream && !is_short(r) &&
	    http_write_timeout(c->http, c->live.number[CONFIG_IDLE_TIMEOUT]) ==
		-1)
		(void)http_abandon(c->http);
	/* But not for who has been waited for, in vain. */
	if (r->end == UPSTREAM_STOPPED && !http_takes_more(c->http))
		(void)http_abandon(c->http);
	/* Whoever is gone by now is noticed with the next. */
	if (r->outbox.len > r->outbox_at)
		(void)relay_send(r, r->outbox.data + r->outbox_at,
		    r->outbox.len - r->outbox_at);
	error = relay_end(r, r->end);
	free_relay(r);
	c->stream = NULL;
	return error;
}
