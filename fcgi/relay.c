/*
 * From an admitted key to the upstream and back: the body is read, understood
 * and changed by a few spliced bytes; the answer passes by, metered.
 */
#include "relay.h"

#include <stdio.h>
#include <string.h>

#include "gate.h"
#include "lib/log.h"
#include "lib/meter.h"
#include "lib/secret.h"
#include "lib/text.h"

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
/* An error's text; a longer one is replaced by ours. */
#define ERROR_MAX 65536
/* Reserved of the token window for an answer of unknown length. */
#define TOKENS_UNKNOWN 256
/* The same of a month's budget. */
#define BUDGET_TOKENS_UNKNOWN 2048

enum kind {
	NOTHING_YET,
	PLAIN, /* one document, of whatever type */
	EVENTS,
	ERROR /* 400 and above: collected, then sent as an error object */
};

/* One answer on its way. */
struct relay {
	struct call *c;
	enum kind kind;
	struct upstream_head head;
	struct meter meter;
	struct buf held; /* not sent yet */
	int64_t answer_bytes;
	int64_t first_byte_ms;
	int head_sent;
	int accounted;
	char tail[2]; /* the last two bytes sent, carriage returns left out */
};

static int
is_success(const struct relay *r)
{
	return r->head.status >= 200 && r->head.status < 300;
}

/* An endpoint that is paid by the minute or the page tells no tokens. */
static int
counts_tokens(const struct call *c)
{
	return c->route->endpoint != OPENAI_TRANSCRIPTIONS &&
	    c->route->endpoint != OPENAI_TRANSLATIONS &&
	    c->route->endpoint != OPENAI_UNSTRUCTURED;
}

/*
 * What is written down: what the upstream told last, else, where it must have
 * worked, a guess from the sizes.
 */
static void
settle(struct relay *r, int status, int worked)
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
	if (worked && !u->known && counts_tokens(c)) {
		o.estimated = 1;
		o.prompt = (int64_t)(c->body.len / 4);
		o.completion =
		    r->kind == EVENTS ? r->meter.events : r->answer_bytes / 4;
		o.total = o.prompt + o.completion;
	}
	account(c, &o);
}

static int
send(struct relay *r, const char *p, size_t n)
{
	for (size_t i = n > 8 ? n - 8 : 0; i < n; i++)
		if (p[i] != '\r') {
			r->tail[0] = r->tail[1];
			r->tail[1] = p[i];
		}
	return n > 0 ? http_write(r->c->http, p, n) : 0;
}

static int
send_held(struct relay *r)
{
	int bad = send(r, r->held.data, r->held.len);

	buf_reset(&r->held);
	return bad;
}

/* 'length' of the body, -1 when unknown. */
static int
send_head(struct relay *r, int64_t length)
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

	r->head = *head;
	r->kind = PLAIN;
	if (!is_success(r)) {
		r->kind = ERROR;
	} else if (type_is(r, "text/event-stream")) {
		r->kind = EVENTS;
		format = METER_EVENTS;
	} else if (type_is(r, "application/json")) {
		format = METER_JSON;
	}
	meter_init(&r->meter, format, r->c->request.strip_usage);
	return r->kind == EVENTS ? send_head(r, -1) : 0;
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
			settle(r, r->head.status, 1);
			/* FALLTHROUGH */
		case METER_PASS:
		default:
			bad = send_held(r) || send(r, p, part);
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
	if (!r->head_sent && send_head(r, r->head.length) == -1)
		return -1;
	if (send_held(r) == -1 || send(r, p, n - 1) == -1)
		return -1;
	return buf_add(&r->held, p + n - 1, 1);
}

static int
on_body(void *arg, const char *p, size_t n)
{
	struct relay *r = arg;

	if (n == 0)
		return 0;
	if (r->answer_bytes == 0)
		r->first_byte_ms = limits_now();
	r->answer_bytes += (int64_t)n;
	if (r->kind == EVENTS)
		return take_events(r, p, n);
	if (r->kind == PLAIN)
		return take_plain(r, p, n);
	/* Past its cap the text is not wanted: the buffer says so itself. */
	(void)buf_add(&r->held, p, n);
	return r->answer_bytes > 16 * ERROR_MAX ? -1 : 0;
}

static int
on_pause(void *arg)
{
	struct relay *r = arg;

	return r->head_sent ? http_flush(r->c->http) : 0;
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

	if (r->kind != EVENTS)
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
relay_fields_wipe(struct relay_fields *f)
{
	secret_wipe(f, sizeof(*f));
}

static void
add_field(struct relay_fields *f, const char *name, const char *value)
{
	int n;

	if (value == NULL || *value == '\0' || f->n == RELAY_FIELDS_MAX ||
	    strpbrk(value, "\r\n") != NULL)
		return;
	n = snprintf(f->text[f->n], sizeof(f->text[0]), "%s: %s", name, value);
	if (n < 0 || (size_t)n >= sizeof(f->text[0])) {
		log_warnx("the header field '%s' is too long to pass on", name);
		return;
	}
	f->field[f->n] = f->text[f->n];
	f->field[++f->n] = NULL;
}

void
relay_fields_fill(const struct call *c, struct relay_fields *f, int client)
{
	const char *key =
	    config_text(c->gate->config, CONFIG_PRIVATEMODE_API_KEY);
	const char *type;
	char bearer[1024];

	*f = (struct relay_fields){ .n = 0 };
	if (*key != '\0' &&
	    snprintf(bearer, sizeof(bearer), "Bearer %s", key) <
		(int)sizeof(bearer))
		add_field(f, "Authorization", bearer);
	secret_wipe(bearer, sizeof(bearer));
	if (!client)
		return;
	type = http_field(c->http, HTTP_CONTENT_TYPE);
	add_field(f, "Content-Type",
	    type != NULL && *type != '\0' ? type : "application/json");
	add_field(f, "Accept", http_field(c->http, HTTP_ACCEPT));
	add_field(f, "OpenAI-Beta", http_field(c->http, HTTP_OPENAI_BETA));
	add_field(f, "anthropic-version",
	    http_field(c->http, HTTP_ANTHROPIC_VERSION));
	add_field(
	    f, "anthropic-beta", http_field(c->http, HTTP_ANTHROPIC_BETA));
}

enum upstream_end
relay_run(struct call *c, const struct upstream_exchange *x)
{
	struct upstream *u = upstream_pool_take(c->gate->upstreams);
	enum upstream_end end;

	if (u == NULL)
		return UPSTREAM_UNREACHABLE;
	end = upstream_run(u, x);
	upstream_pool_give(c->gate->upstreams, u);
	return end;
}

static enum upstream_end
exchange(struct relay *r)
{
	struct call *c = r->c;
	struct iovec pieces[OPENAI_PIECES_MAX];
	struct relay_fields fields;
	struct upstream_exchange x = {
		.method = "POST",
		.path = http_path(c->http),
		.body = pieces,
		.n_body = openai_pieces(
		    &c->request, c->body.data, c->body.len, pieces),
		.connect_ms = c->live.number[CONFIG_CONNECT_TIMEOUT] * 1000,
		.first_byte_ms =
		    c->live.number[CONFIG_FIRST_BYTE_TIMEOUT] * 1000,
		.idle_ms = c->live.number[CONFIG_IDLE_TIMEOUT] * 1000,
		.watch_fd = http_watch_fd(c->http),
		.on_head = on_head,
		.on_body = on_body,
		.on_pause = on_pause,
		.on_stir = on_stir,
		.on_silence = on_silence,
		.arg = r,
	};
	enum upstream_end end;

	relay_fields_fill(c, &fields, 1);
	x.fields = fields.field;
	end = relay_run(c, &x);
	relay_fields_wipe(&fields);
	return end;
}

static enum openai_error
finish_error(struct relay *r)
{
	int status = r->head.status;

	if (status < 400) {
		log_warnx("the upstream answers with status %d", status);
		settle(r, 502, 0);
		return OPENAI_UPSTREAM_UNREACHABLE;
	}
	if (status == 401 || status == 403) {
		log_warnx("the upstream refuses PRIVATEMODE_API_KEY");
		settle(r, 502, 0);
		return OPENAI_UPSTREAM_AUTH;
	}
	settle(r, status, 0);
	if (r->held.failed || !openai_is_error_object(r->held.data)) {
		int64_t seconds = 0;

		if (text_to_i64(r->head.retry_after, 1, 86400, &seconds) == 0)
			r->c->retry_ms = seconds * 1000;
		answer_error(r->c,
		    status == 429 ? OPENAI_RATE_REQUESTS
				  : OPENAI_UPSTREAM_ERROR,
		    status);
		return OPENAI_OK;
	}
	(void)snprintf(r->head.content_type, sizeof(r->head.content_type),
	    "application/json");
	if (send_head(r, (int64_t)r->held.len) == -1 || send_held(r) == -1)
		http_cut(r->c->http);
	return OPENAI_OK;
}

/* The answer broke off. Tell so in the way that is left. */
static enum openai_error
finish_broken(struct relay *r)
{
	struct buf event = BUF(4096);

	settle(r, 502, is_success(r));
	if (!r->head_sent)
		return OPENAI_UPSTREAM_BROKEN;
	if (r->kind != EVENTS ||
	    openai_error_event(&event, OPENAI_UPSTREAM_BROKEN,
		r->c->route->dialect, r->c->id) == -1 ||
	    send(r, event.data, event.len) == -1)
		http_cut(r->c->http);
	buf_free(&event);
	return OPENAI_OK;
}

/* The client is gone; the upstream may have worked all the same. */
static enum openai_error
finish_stopped(struct relay *r)
{
	if (r->kind == ERROR)
		return finish_error(r);
	settle(r, r->head_sent ? r->head.status : 499, 1);
	if (!r->head_sent)
		return OPENAI_CLIENT_GONE;
	/* Many a client hangs up on the last event. */
	if (r->kind == EVENTS && r->meter.finished)
		return OPENAI_OK;
	/* A client that closed one direction only may still read on. */
	return finish_broken(r);
}

static enum openai_error
finish_done(struct relay *r)
{
	if (r->kind == ERROR)
		return finish_error(r);
	meter_end(&r->meter);
	/* The SDKs take a tidy end without its last event for success. */
	if (r->kind == EVENTS && !r->meter.finished && !r->meter.failed) {
		log_warnx("the upstream ends a stream without its last event");
		return finish_broken(r);
	}
	settle(r, r->head.status, 1);
	if ((!r->head_sent && send_head(r, (int64_t)r->held.len) == -1) ||
	    send_held(r) == -1)
		http_cut(r->c->http);
	return OPENAI_OK;
}

static enum openai_error
finish(struct relay *r, enum upstream_end end)
{
	switch (end) {
	case UPSTREAM_DONE:
		return finish_done(r);
	case UPSTREAM_STOPPED:
		return finish_stopped(r);
	case UPSTREAM_BROKEN:
		if (r->kind == ERROR)
			return finish_error(r);
		/* Whatever breaks behind its last event, the stream is whole. */
		if (r->kind == EVENTS && r->meter.finished)
			return finish_done(r);
		return finish_broken(r);
	case UPSTREAM_TIMEOUT:
		settle(r, 504, 0);
		return OPENAI_UPSTREAM_TIMEOUT;
	case UPSTREAM_UNREACHABLE:
	default:
		settle(r, 502, 0);
		return OPENAI_UPSTREAM_UNREACHABLE;
	}
}

static enum openai_error
read_body(struct call *c)
{
	c->body.max =
	    (size_t)config_number(c->gate->config, CONFIG_MAX_BODY_BYTES);
	switch (http_body(c->http, &c->body)) {
	case HTTP_BODY_OK:
		return OPENAI_OK;
	case HTTP_BODY_NO_LENGTH:
		return OPENAI_NO_LENGTH;
	case HTTP_BODY_TOO_LARGE:
		return OPENAI_TOO_LARGE;
	case HTTP_BODY_SHORT:
		return OPENAI_SHORT_BODY;
	case HTTP_BODY_MEMORY:
	default:
		log_warnx("no memory for a body");
		return OPENAI_OVERLOADED;
	}
}

/* What the request says of itself, and whether the key may have it. */
static enum openai_error
understand(struct call *c)
{
	char salt[2 * SECRET_DIGEST_LEN + 1] = "";
	enum openai_error error;

	if (c->key.prompt_cache) {
		char message[16 + KEYS_ID_SIZE];
		unsigned char digest[SECRET_DIGEST_LEN];
		int n = snprintf(
		    message, sizeof(message), "cache_salt:%s", c->key.id);

		secret_hmac(
		    digest, c->gate->secret, message, n > 0 ? (size_t)n : 0);
		text_hex(salt, digest, sizeof(digest));
		secret_wipe(digest, sizeof(digest));
	}
	error = openai_read(c->route->endpoint,
	    http_field(c->http, HTTP_CONTENT_TYPE), c->body.data, c->body.len,
	    *salt != '\0' ? salt : NULL, &c->request);
	secret_wipe(salt, sizeof(salt));
	if (error == OPENAI_OK && c->request.model[0] != '\0' &&
	    !key_allows(&c->key, c->request.model))
		return OPENAI_MODEL_NOT_FOUND;
	return error;
}

/*
 * Reserves of the token window and of the budget until the true count is
 * known. A window is whole again in a minute, so its guess may be low; a
 * budget should not be passed by many answers at once.
 */
static enum openai_error
admit(struct call *c)
{
	int64_t prompt = (int64_t)(c->body.len / 4) + 1;
	int64_t answer = c->request.max_tokens;
	int unknown = answer == 0;
	enum openai_error error;

	if (!counts_tokens(c))
		prompt = answer = unknown = 0;
	else if (c->route->endpoint == OPENAI_EMBEDDINGS)
		answer = unknown = 0;
	error =
	    budget_expect(c, prompt, unknown ? BUDGET_TOKENS_UNKNOWN : answer);
	if (error != OPENAI_OK)
		return error;
	if (!counts_tokens(c))
		return admit_request(c, 1);
	return admit_request(c, prompt + (unknown ? TOKENS_UNKNOWN : answer));
}

enum openai_error
relay_answer(struct call *c)
{
	struct relay r = { .c = c,
		.held = BUF(METER_HOLD_MAX + ERROR_MAX),
		.first_byte_ms = -1 };
	enum openai_error error;

	if ((error = admit_load(c)) != OPENAI_OK ||
	    (error = read_body(c)) != OPENAI_OK ||
	    (error = understand(c)) != OPENAI_OK ||
	    (error = admit(c)) != OPENAI_OK)
		return error;
	/* A client that stops reading gives its place back. */
	if (http_write_timeout(c->http, c->live.number[CONFIG_IDLE_TIMEOUT]) ==
	    -1)
		return OPENAI_INTERNAL;
	error = finish(&r, exchange(&r));
	buf_free(&r.held);
	secret_wipe(&r.meter, sizeof(r.meter));
	return error;
}
