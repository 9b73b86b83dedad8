/*
 * An answer on its way back: what comes from the upstream goes on at once,
 * metered, without what the client did not ask for.
 */
#include "relay_internal.h"

#include <string.h>

#include "lib/log.h"

/*
 * So much of a plain answer is kept back: a short one is then sent whole,
 * with its length, and an upstream that breaks early can still be reported
 * with an honest status.
 */
#define KEPT_BACK 8192
/*
 * So much of one whose length is not announced: over HTTP/2 lighttpd 1.4.69
 * ends such an answer tidily when it is cut, so that it would look whole.
 */
#define KEPT_BACK_UNMEASURED (256 * 1024)

/* From 204 on it is no whole answer, or none at all. */
int
relay_is_success(const struct relay *r)
{
	return r->head.status >= 200 && r->head.status <= 203;
}

/* An endpoint that is paid by the minute or the page tells no tokens. */
int
relay_counts_tokens(const struct call *c)
{
	return c->route->endpoint != OPENAI_TRANSCRIPTIONS &&
	    c->route->endpoint != OPENAI_TRANSLATIONS &&
	    c->route->endpoint != OPENAI_UNSTRUCTURED;
}

/*
 * What is written down: what the upstream told last, else, where it must have
 * worked, a guess from the sizes.
 */
void
relay_settle(struct relay *r, int status, int worked)
{
	const struct meter_usage *u = &r->meter.usage;
	struct call *c = r->c;
	/* Of an error inside a stream the head knew nothing yet. */
	struct outcome o = { .status = r->meter.failed ? 502 : status,
		.prompt = u->prompt,
		.completion = u->completion,
		.cached = u->cached,
		.total = u->total,
		.audio_ms = u->audio_ms,
		.first_byte_ms = r->first_byte_ms };

	if (r->accounted)
		return;
	r->accounted = 1;
	if (worked)
		o.audio_bytes = c->request.audio_bytes;
	if (worked && !u->known && relay_counts_tokens(c)) {
		o.estimated = 1;
		o.prompt = r->body_bytes / 4;
		o.completion =
		    r->kind == EVENTS ? r->meter.events : r->answer_bytes / 4;
		o.total = o.prompt + o.completion;
	}
	account(c, &o);
}

int
relay_send(struct relay *r, const char *p, size_t n)
{
	for (size_t i = n > 8 ? n - 8 : 0; i < n; i++)
		if (p[i] != '\r') {
			r->tail[0] = r->tail[1];
			r->tail[1] = p[i];
		}
	if (r->flow != NULL)
		return relay_flow_send(r, p, n);
	return n > 0 ? http_write(r->c->http, p, n) : 0;
}

int
relay_send_held(struct relay *r)
{
	int bad = relay_send(r, r->held.data, r->held.len);

	buf_reset(&r->held);
	return bad;
}

/* 'length' of the body, -1 when unknown. */
int
relay_send_head(struct relay *r, int64_t length)
{
	struct call *c = r->c;
	struct http *h = c->http;
	int bad = answer_begin(c, r->head.status);

	r->head_sent = 1;
	if (r->head.content_type[0] != '\0')
		bad |= http_head(h, "Content-Type", "%s", r->head.content_type);
	if (r->head.retry_after[0] != '\0')
		bad |= http_head(h, "Retry-After", "%s", r->head.retry_after);
	if (r->head.retry_after_ms[0] != '\0')
		bad |= http_head(
		    h, "retry-after-ms", "%s", r->head.retry_after_ms);
	if (r->head.should_retry[0] != '\0')
		bad |=
		    http_head(h, "x-should-retry", "%s", r->head.should_retry);
	if (r->kind == EVENTS)
		bad |= http_head(h, "Cache-Control", "no-cache") |
		    http_head(h, "X-Accel-Buffering", "no");
	else
		bad |= http_head(h, "Cache-Control", "no-store");
	if (length >= 0)
		bad |=
		    http_head(h, "Content-Length", "%lld", (long long)length);
	return bad ? -1 : 0;
}

static int
type_is(const struct relay *r, const char *type)
{
	return strncasecmp(r->head.content_type, type, strlen(type)) == 0;
}

static int
on_head(void *arg, const struct upstream_head *head)
{
	struct relay *r = arg;
	enum meter_format format = METER_OPAQUE;

	log_request(r->c->id); /* a loop has many */
	r->head = *head;
	r->kind = PLAIN;
	if (!relay_is_success(r)) {
		r->kind = ERROR;
	} else if (type_is(r, "text/event-stream")) {
		r->kind = EVENTS;
		format = METER_EVENTS;
	} else if (type_is(r, "application/json")) {
		format = METER_JSON;
	}
	meter_init(&r->meter, format, r->c->request.strip_usage);
	return r->kind == EVENTS ? relay_send_head(r, -1) : 0;
}

/*
 * The last event and what may follow it: the client has it only once the use
 * is written down, and that is a worker's.
 */
static int
keep_last(struct relay *r, const char *p, size_t n)
{
	if (r->held.len + n > METER_HOLD_MAX + RELAY_ERROR_MAX)
		return -1;
	return buf_add(&r->held, p, n);
}

static int
take_events(struct relay *r, const char *p, size_t n)
{
	while (n > 0) {
		enum meter_verdict verdict;
		size_t part = meter_step(&r->meter, p, n, &verdict);
		int bad = 0;

		switch (verdict) {
		case METER_HOLD:
			bad = buf_add(&r->held, p, part);
			break;
		case METER_DROP:
			buf_reset(&r->held);
			break;
		case METER_LAST:
			if (r->flow != NULL)
				return keep_last(r, p, n);
			relay_settle(r, r->head.status, 1);
			/* FALLTHROUGH */
		case METER_PASS:
		default:
			bad = relay_send_held(r) || relay_send(r, p, part);
			break;
		}
		if (bad)
			return -1;
		p += part;
		n -= part;
	}
	return 0;
}

/*
 * All but the last byte goes on: the client has the whole answer only once
 * its use is written down.
 */
static int
take_plain(struct relay *r, const char *p, size_t n)
{
	enum meter_verdict verdict;
	size_t keep = r->head.length < 0 ? KEPT_BACK_UNMEASURED : KEPT_BACK;

	for (size_t at = 0; at < n;)
		at += meter_step(&r->meter, p + at, n - at, &verdict);
	if (!r->head_sent && r->held.len + n <= keep)
		return buf_add(&r->held, p, n);
	if (!r->head_sent && relay_send_head(r, r->head.length) == -1)
		return -1;
	if (relay_send_held(r) == -1 || relay_send(r, p, n - 1) == -1)
		return -1;
	return buf_add(&r->held, p + n - 1, 1);
}

static int
on_body(void *arg, const char *p, size_t n)
{
	struct relay *r = arg;

	if (n == 0)
		return 0;
	/* With events nothing is logged; of many streams each id is cold. */
	if (r->kind != EVENTS)
		log_request(r->c->id);
	if (r->answer_bytes == 0)
		r->first_byte_ms = limits_now();
	r->answer_bytes += (int64_t)n;
	if (r->answer_bytes > RELAY_ANSWER_MAX)
		return -1;
	if (r->kind == EVENTS && r->flow != NULL && r->meter.finished)
		return keep_last(r, p, n);
	if (r->kind == EVENTS)
		return take_events(r, p, n);
	if (r->kind == PLAIN)
		return take_plain(r, p, n);
	/* Past its cap the text is not wanted: the buffer says so itself. */
	(void)buf_add(&r->held, p, n);
	return r->answer_bytes > 16 * RELAY_ERROR_MAX ? -1 : 0;
}

static int
on_pause(void *arg)
{
	struct relay *r = arg;

	if (!r->head_sent)
		return 0;
	if (!r->settled && r->kind == EVENTS && r->head.body_taken) {
		r->settled = 1;
		buf_free(&r->c->body);
		http_settle(r->c->http);
	}
	return r->flow != NULL ? relay_flow_pause(r) : http_flush(r->c->http);
}

static int
on_stir(void *arg)
{
	struct relay *r = arg;

	return http_gone(r->c->http);
}

/* A comment keeps middle boxes and impatient clients from hanging up. */
static int64_t
on_silence(void *arg, int64_t silent_ms)
{
	struct relay *r = arg;
	int64_t every = r->c->live.number[CONFIG_KEEPALIVE_INTERVAL] * 1000;
	const char *comment = ": keep-alive\n\n";

	if (r->kind != EVENTS || r->meter.finished)
		return INT32_MAX;
	if (silent_ms < every)
		return every - silent_ms;
	/* Within an event a blank line would end it, within a line all would. */
	if (r->tail[1] == '\n' && r->tail[0] != '\n')
		comment = ": keep-alive\n";
	else if (r->tail[1] != '\n' && r->tail[1] != '\0')
		return every;
	if (http_write(r->c->http, comment, strlen(comment)) == -1 ||
	    http_flush(r->c->http) == -1)
		return -1;
	return every;
}

void
relay_pass(struct relay *r, struct upstream_exchange *x)
{
	x->on_head = on_head;
	x->on_body = on_body;
	x->on_pause = on_pause;
	x->on_stir = on_stir;
	x->on_silence = on_silence;
	x->arg = r;
}
