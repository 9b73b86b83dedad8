/*
 * send.c - sends an answer step by step. Each step does what can be done at
 * once and says how long to wait for the next.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "call.h"
#include "conn.h"
#include "lib/log.h"

#define PART_MAX (1 << 20)
#define SPLIT_MS 3 /* long enough for the halves to be read apart */
#define RESET_US 20000 /* a reset may overtake bytes that are not read yet */
#define TURNS_MAX 64 /* events before others have their turn */
#define SLOW_PIECES 10
#define SLOW_PAUSE_MS 20
#define NO_STEP (-1) /* the call has ended, or is silent for ever */

/* We break it off, as we were told: that is no abort. */
static int64_t
call_break(struct conn *c, void (*how)(struct conn *))
{
	call_end(c, REPORT_DONE);
	how(c);
	return NO_STEP;
}

void
send_begin(struct call *call)
{
	const struct fault *f = &call->answer.fault;
	const struct {
		int64_t after;
		enum call_cut cut;
	} cuts[] = { { f->stall_after, CUT_STALL },
		{ f->reset_after, CUT_RESET }, { f->close_after, CUT_CLOSE },
		{ f->end_after, CUT_END }, { f->error_after, CUT_ERROR } };
	size_t i;

	for (i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++)
		if (cuts[i].after >= 0) {
			call->cut = cuts[i].cut;
			call->cut_at = cuts[i].after;
		}
	if (!f->truncate)
		return;
	call->cut = CUT_TRUNCATE;
	call->cut_at = 2;
	if (!call->answer.streaming) {
		call->cut = CUT_CLOSE;
		call->cut_at = (int64_t)call->answer.body.len / 2;
	}
}

static const char *
http_date(void)
{
	static char text[40];
	static time_t made;
	time_t now = time(NULL);
	struct tm tm;

	if (now != made && gmtime_r(&now, &tm) != NULL &&
	    strftime(text, sizeof(text), "%a, %d %b %Y %T GMT", &tm) > 0)
		made = now;
	return text;
}

static void
head_faults(struct buf *out, const struct fault *fault)
{
	int64_t i;

	if (fault->retry_after[0] != '\0')
		(void)buf_printf(
		    out, "Retry-After: %s\r\n", fault->retry_after);
	if (fault->set_cookie)
		(void)buf_puts(out,
		    "Set-Cookie: upstream=1; Path=/\r\n"
		    "Server: stand-in\r\nX-Secret: upstream\r\n"
		    "Connection: keep-alive\r\n"
		    "Keep-Alive: timeout=5\r\n");
	for (i = 0; i < fault->headers; i++)
		(void)buf_printf(out, "X-Extra-%lld: aaaaaaaaaaaaaaaa\r\n",
		    (long long)i + 1);
}

static const char *
reason(int status)
{
	static const struct {
		int status;
		const char *reason;
	} reasons[] = { { 200, "OK" }, { 302, "Found" }, { 400, "Bad Request" },
		{ 401, "Unauthorized" }, { 404, "Not Found" },
		{ 405, "Method Not Allowed" }, { 429, "Too Many Requests" },
		{ 500, "Internal Server Error" },
		{ 503, "Service Unavailable" } };
	size_t i;

	for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Stand-in";
}

static void
add_head(struct conn *c)
{
	struct call *call = &c->call;
	struct answer *a = &call->answer;
	const char *type = a->fault.type[0] != '\0' ? a->fault.type : a->type;
	struct buf *out = &c->out;

	(void)buf_printf(out, "HTTP/1.1 %d %s\r\nDate: %s\r\nX-Standin: 1\r\n",
	    a->status, reason(a->status), http_date());
	if (type[0] != '\0')
		(void)buf_printf(out, "Content-Type: %s\r\n", type);
	head_faults(out, &a->fault);
	(void)buf_add(out, a->headers.data, a->headers.len);
	if (call->chunked)
		(void)buf_puts(out, "Transfer-Encoding: chunked\r\n");
	else if (!a->streaming && !a->fault.no_length)
		(void)buf_printf(out, "Content-Length: %zu\r\n", a->body.len);
	if (call->close && !a->fault.close_idle)
		(void)buf_puts(out, "Connection: close\r\n");
	conn_add(c, "\r\n", 2);
}

static int64_t
step_head(struct conn *c)
{
	struct call *call = &c->call;

	if (call->cut == CUT_RESET && call->cut_at == 0)
		return call_break(c, conn_reset);
	add_head(c);
	call->phase = CALL_BODY;
	if (call->answer.fault.delay_body > 0) {
		call->due_us =
		    loop_now() + call->answer.fault.delay_body * 1000;
		(void)conn_flush(c);
		return call->answer.fault.delay_body * 1000;
	}
	call->due_us = loop_now();
	if (call->answer.streaming)
		(void)conn_flush(c);
	return 0;
}

/* Appends bytes of the body, as a chunk if the answer is chunked. */
static void
add_body(struct conn *c, const char *p, size_t n)
{
	char size[24];

	if (c->call.chunked && n > 0) {
		(void)snprintf(size, sizeof(size), "%zx\r\n", n);
		conn_add(c, size, strlen(size));
	}
	conn_add(c, p, n);
	if (c->call.chunked && n > 0)
		conn_add(c, "\r\n", 2);
}

/* Microseconds between two writes of what belongs together. */
static int64_t
part_pause(const struct fault *fault)
{
	int64_t pause = fault->slow_body > 0 ? SLOW_PAUSE_MS : SPLIT_MS;

	if (fault->slow_body <= 0 && !fault->split_utf8)
		return 0;
	return (fault->pause >= 0 ? fault->pause : pause) * 1000;
}

/* What is left of a block to send now, at most 'end' bytes of it. */
static size_t
part_size(const struct call *call, const struct buf *block, size_t end)
{
	size_t n = end - call->sent, split = 0;

	if (call->answer.fault.split_utf8)
		split = utf8_split(block->data + call->sent, n);
	if (split > 0)
		n = split;
	return n > PART_MAX ? PART_MAX : n;
}

static int64_t
cut_whole(struct conn *c)
{
	switch (c->call.cut) {
	case CUT_STALL:
		return NO_STEP;
	case CUT_RESET:
		if (!c->call.reset_soon) {
			c->call.reset_soon = 1;
			return RESET_US;
		}
		return call_break(c, conn_reset);
	default:
		return call_break(c, conn_close);
	}
}

static int64_t
step_whole(struct conn *c)
{
	struct call *call = &c->call;
	const struct fault *fault = &call->answer.fault;
	const struct buf *body = &call->answer.body;
	size_t end = body->len, n, pieces;
	int cut = call->cut != CUT_NOT && (size_t)call->cut_at <= body->len;

	if (cut)
		end = (size_t)call->cut_at;
	n = part_size(call, body, end);
	if (fault->slow_body > 0) {
		pieces = fault->slow_body == 1 ? SLOW_PIECES
					       : (size_t)fault->slow_body;
		if (n > body->len / pieces + 1)
			n = body->len / pieces + 1;
	}
	add_body(c, body->data + call->sent, n);
	call->sent += n;
	if (conn_flush(c) == -1)
		return NO_STEP;
	if (call->sent < end)
		return part_pause(fault);
	if (cut && c->out.len == 0)
		return cut_whole(c);
	if (!cut)
		call->phase = CALL_DONE;
	return 0;
}

static void
add_stream_end(struct conn *c)
{
	if (c->call.chunked)
		conn_add(c, "0\r\n\r\n", 5);
	c->call.phase = CALL_DONE;
}

/* In the middle of an event: a chunk that is longer than what comes. */
static void
add_truncated(struct conn *c)
{
	struct call *call = &c->call;
	char size[24];

	buf_reset(&call->block);
	(void)stream_event(
	    &call->answer.reply, &call->answer.fault, &call->block);
	(void)snprintf(size, sizeof(size), "%zx\r\n", call->block.len);
	if (call->chunked)
		conn_add(c, size, strlen(size));
	conn_add(c, call->block.data, call->block.len / 2);
}

static int64_t
cut_stream(struct conn *c)
{
	struct call *call = &c->call;
	struct answer *a = &call->answer;

	switch (call->cut) {
	case CUT_END:
		add_stream_end(c);
		return conn_flush(c) == -1 ? NO_STEP : 0;
	case CUT_ERROR:
		buf_reset(&call->block);
		stream_error(&a->reply, &a->fault, &call->block);
		add_body(c, call->block.data, call->block.len);
		add_stream_end(c);
		return conn_flush(c) == -1 ? NO_STEP : 0;
	case CUT_TRUNCATE:
		add_truncated(c);
		if (conn_flush(c) == -1)
			return NO_STEP;
		return call_break(c, conn_close);
	default:
		return cut_whole(c);
	}
}

/* The next events, as many as go out together; 0 after the last. */
static int
block_make(struct call *call)
{
	struct answer *a = &call->answer;
	int64_t n, most = a->fault.burst > 0 ? a->fault.burst : 1;

	buf_reset(&call->block);
	call->sent = 0;
	if (call->cut != CUT_NOT && most > call->cut_at - call->events)
		most = call->cut_at - call->events;
	for (n = 0; n < most; n++)
		if (!stream_event(&a->reply, &a->fault, &call->block))
			break;
	call->events += n;
	if (call->block.failed)
		log_fatalx("out of memory");
	return n > 0;
}

/* Until the next block is due; lateness is caught up with. */
static int64_t
block_wait(struct call *call)
{
	const struct fault *fault = &call->answer.fault;
	int64_t burst = fault->burst > 0 ? fault->burst : 1, wait;

	if (fault->rate <= 0)
		return 0;
	call->due_us += burst * 1000000 / fault->rate;
	wait = call->due_us - loop_now();
	return wait > 0 ? wait : 0;
}

static int64_t
step_event(struct conn *c)
{
	struct call *call = &c->call;
	size_t n;

	if (call->sent == call->block.len) {
		if (call->cut != CUT_NOT && call->events >= call->cut_at)
			return cut_stream(c);
		if (!block_make(call)) {
			add_stream_end(c);
			return conn_flush(c) == -1 ? NO_STEP : 0;
		}
	}
	n = part_size(call, &call->block, call->block.len);
	add_body(c, call->block.data + call->sent, n);
	call->sent += n;
	if (conn_flush(c) == -1)
		return NO_STEP;
	if (call->sent < call->block.len)
		return part_pause(&call->answer.fault);
	return block_wait(call);
}

static int64_t
step_done(struct conn *c)
{
	struct call *call = &c->call;
	int close = call->close || call->answer.fault.close_idle;
	int drain = c->state == CONN_BODY || call->answer.fault.early == 1;

	c->die_on_reuse = (int)call->answer.fault.die_on_reuse;
	call_end(c, REPORT_DONE);
	if (drain)
		conn_drain(c);
	else if (close)
		conn_close(c);
	else
		conn_next(c);
	return NO_STEP;
}

static int64_t
call_step(struct conn *c)
{
	if (c->call.phase == CALL_HEAD)
		return step_head(c);
	if (c->call.phase == CALL_DONE)
		return step_done(c);
	return c->call.answer.streaming ? step_event(c) : step_whole(c);
}

void
send_run(struct conn *c)
{
	int64_t wait;

	/* While a timer runs, its time has not come. */
	if (c->timer.slot != 0)
		return;
	c->call.turns = 0;
	while (c->call.record != NULL && !c->blocked) {
		wait = call_step(c);
		if (wait == NO_STEP)
			return;
		if (wait > 0 || ++c->call.turns > TURNS_MAX) {
			timer_set(&c->timer, loop_now() + wait);
			return;
		}
	}
}
