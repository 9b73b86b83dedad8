/*
 * call.c - the life of one exchange: begun, answered, ended or aborted.
 */
#include <stddef.h>
#include <string.h>

#include "call.h"
#include "conn.h"
#include "lib/log.h"

#define EARLY_LOOK (64 << 10)

int
call_begin(struct call *call, const struct conn *c, struct view head,
    const struct http_head *parsed)
{
	struct buf block = BUF(HTTP_BODY_MAX);
	struct http_head own = *parsed;

	memset(call, 0, sizeof(*call));
	call->record = report_begin(head, !answer_is_control(parsed));
	if (call->record == NULL)
		return -1;
	call->record->connection = c->number;
	call->record->on_connection = c->requests;
	/* 'parsed' points into the connection's buffer, ours must not. */
	if (own.path.n > 0)
		(void)http_head_parse(&own, call->record->head, head.n);
	answer_init(&call->answer, &own);
	call->block = block;
	return 0;
}

void
call_end(struct conn *c, enum report_state state)
{
	struct record *record = c->call.record;

	timer_clear(&c->timer);
	answer_free(&c->call.answer);
	buf_free(&c->call.block);
	c->call.record = NULL;
	report_end(record, state);
}

void
call_abort(struct conn *c)
{
	if (c->state == CONN_BODY)
		report_body(c->call.record, c->body.data, c->body.len);
	call_end(c, REPORT_ABORTED);
}

static void
call_go(struct conn *c)
{
	struct call *call = &c->call;
	struct answer *a = &call->answer;

	call->chunked = a->streaming && a->head.chunks_allowed;
	call->close = call->close || !a->head.keep_alive ||
	    (!a->streaming && a->fault.no_length) ||
	    (a->streaming && !call->chunked);
	if (a->fault.bad_json && !a->streaming && a->body.len > 2)
		a->body.len -= a->body.len / 3;
	send_begin(call);
	c->state = CONN_ANSWER;
	if (a->fault.delay_head > 0)
		timer_set(&c->timer, loop_now() + a->fault.delay_head * 1000);
	else
		send_run(c);
}

static void
wait_met(struct waiter *waiter)
{
	struct conn *c = (struct conn *)(void *)((char *)waiter -
	    offsetof(struct conn, call.answer.waiter));

	c->call.answer.waiting = 0;
	timer_clear(&c->timer);
	answer_json(&c->call.answer, report_stats());
	/* From the timer, as others may be in the middle of their work. */
	timer_set(&c->timer, loop_now());
}

void
call_timer(struct conn *c)
{
	struct answer *a = &c->call.answer;

	if (c->call.record != NULL && a->waiting) {
		a->waiting = 0;
		report_forget(&a->waiter);
		answer_error(a, 504, NULL, NULL, "stand-in: waited in vain");
	}
	send_run(c);
}

void
call_answer(struct conn *c)
{
	struct answer *a = &c->call.answer;

	report_body(c->call.record, c->body.data, c->body.len);
	answer_make(a, (struct view){ c->body.data, c->body.len });
	if (a->body.failed || a->headers.failed)
		log_fatalx("out of memory");
	if (!a->waiting) {
		call_go(c);
		return;
	}
	c->state = CONN_ANSWER;
	a->waiter.met = wait_met;
	if (report_wait(&a->waiter)) {
		wait_met(&a->waiter);
		return;
	}
	timer_set(&c->timer, loop_now() + a->wait_ms * 1000);
}

/* The faults of the header, or of a model's name in what came so far. */
int
call_wants_early(struct call *call, struct view body)
{
	struct fault *fault = &call->answer.fault;
	struct view head = call->answer.head.fault;
	static const char prefix[] = "\"" FAULT_MODEL_PREFIX;
	const char *p, *end;
	char why[200];

	if (head.n > 0 &&
	    fault_parse(fault, head.p, head.n, why, sizeof(why)) == 0 &&
	    fault->early > 0)
		return 1;
	if (body.n == 0 || body.n > EARLY_LOOK)
		return 0;
	p = memmem(body.p, body.n, prefix, sizeof(prefix) - 1);
	if (p == NULL)
		return 0;
	p += sizeof(prefix) - 1;
	end = memchr(p, '"', (size_t)(body.p + body.n - p));
	return end != NULL &&
	    fault_parse(fault, p, (size_t)(end - p), why, sizeof(why)) == 0 &&
	    fault->early > 0;
}

void
call_answer_early(struct conn *c)
{
	report_body(c->call.record, c->body.data, c->body.len);
	answer_early(&c->call.answer);
	c->call.close = 1;
	call_go(c);
}

void
call_refuse(struct conn *c, int status, const char *message)
{
	report_body(c->call.record, c->body.data, c->body.len);
	answer_refuse(&c->call.answer, status, message);
	c->call.close = 1;
	c->call.answer.fault.early = 1; /* the answer must not be lost */
	call_go(c);
}
