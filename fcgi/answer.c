/* The head of every answer, errors, and small JSON answers. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

#include "gate.h"
#include "lib/text.h"

/* Above this openai-node 7 comes back at once instead of waiting. */
#define RETRY_AFTER_HEEDED_S 60

/* A span as Go writes it, which is what OpenAI's headers carry: "6m0s". */
static char *
go_duration(char to[48], int64_t ms)
{
	int64_t h = ms / 3600000, m = ms / 60000 % 60, s = ms / 1000 % 60;

	if (ms < 1000)
		(void)snprintf(to, 48, "%" PRId64 "%s", ms, ms ? "ms" : "s");
	else if (h > 0)
		(void)snprintf(
		    to, 48, "%" PRId64 "h%" PRId64 "m%" PRId64 "s", h, m, s);
	else if (m > 0)
		(void)snprintf(to, 48, "%" PRId64 "m%" PRId64 "s", m, s);
	else if (ms % 1000 == 0)
		(void)snprintf(to, 48, "%" PRId64 "s", s);
	else
		(void)snprintf(
		    to, 48, "%" PRId64 ".%03" PRId64 "s", s, ms % 1000);
	return to;
}

/* Seconds from now, rounded up, as a Unix time. */
static int64_t
unix_after(const struct call *c, int64_t ms)
{
	return c->now + (limits_now() - c->began_ms + ms + 999) / 1000;
}

static int
openai_window(struct call *c, const struct limits_window *w, const char *what)
{
	char name[64], span[48];
	int bad;

	(void)snprintf(name, sizeof(name), "x-ratelimit-limit-%s", what);
	bad = http_head(c->http, name, "%" PRId64, w->limit);
	(void)snprintf(name, sizeof(name), "x-ratelimit-remaining-%s", what);
	bad |= http_head(c->http, name, "%" PRId64, w->remaining);
	(void)snprintf(name, sizeof(name), "x-ratelimit-reset-%s", what);
	bad |= http_head(c->http, name, "%s", go_duration(span, w->reset_ms));
	return bad;
}

static int
anthropic_window(
    struct call *c, const struct limits_window *w, const char *what)
{
	char name[64], when[TEXT_UTC_SIZE];
	int bad;

	(void)snprintf(
	    name, sizeof(name), "anthropic-ratelimit-%s-limit", what);
	bad = http_head(c->http, name, "%" PRId64, w->limit);
	(void)snprintf(
	    name, sizeof(name), "anthropic-ratelimit-%s-remaining", what);
	bad |= http_head(c->http, name, "%" PRId64, w->remaining);
	(void)snprintf(
	    name, sizeof(name), "anthropic-ratelimit-%s-reset", what);
	bad |= http_head(
	    c->http, name, "%s", text_utc(when, unix_after(c, w->reset_ms)));
	return bad;
}

/* Of the organisation's window and the key's own, the one that binds. */
static const struct limits_window *
binding_window(const struct call *c)
{
	const struct limits_window *all = &c->windows[WINDOW_GLOBAL];
	const struct limits_window *own = &c->windows[WINDOW_KEY];

	if (all->limit == 0)
		return own;
	if (own->limit == 0)
		return all;
	return own->remaining <= all->remaining ? own : all;
}

/* Told once little is left, and when that is too little. */
static int
budget_fields(struct call *c)
{
	const struct limits_budget *b = &c->budget;
	char eur[TEXT_EUR_SIZE];
	int bad = 0;

	if (!c->budget_known || b->month == 0)
		return 0;
	if (budget_warns(c, b->eur, b->left_eur))
		bad |= http_head(c->http, "x-pmproxy-budget-remaining-eur",
		    "%s", text_eur(eur, b->left_eur));
	if (budget_warns(c, b->tokens, b->left_tokens))
		bad |= http_head(c->http, "x-pmproxy-budget-remaining-tokens",
		    "%" PRId64, b->left_tokens);
	return bad;
}

static int
rate_fields(struct call *c)
{
	const struct limits_window *requests = binding_window(c);
	const struct limits_window *tokens = &c->windows[WINDOW_TOKENS];
	int (*window)(struct call *, const struct limits_window *,
	    const char *) = c->route->dialect == ANTHROPIC_DIALECT
	    ? anthropic_window
	    : openai_window;
	int bad = 0;

	if (!c->windows_known)
		return 0;
	if (requests->limit > 0) {
		bad |= window(c, requests, "requests");
		bad |= http_head(
		    c->http, "X-RateLimit-Limit", "%" PRId64, requests->limit);
		bad |= http_head(c->http, "X-RateLimit-Remaining", "%" PRId64,
		    requests->remaining);
		bad |= http_head(c->http, "X-RateLimit-Reset", "%" PRId64,
		    unix_after(c, requests->reset_ms));
	}
	if (tokens->limit > 0)
		bad |= window(c, tokens, "tokens");
	return bad;
}

static int
origin_fields(struct call *c)
{
	if (c->origin == NULL)
		return 0;
	return http_head(
		   c->http, "Access-Control-Allow-Origin", "%s", c->origin) |
	    http_head(c->http, "Vary", "Origin") |
	    http_head(c->http, "Access-Control-Expose-Headers",
		"x-request-id, request-id, retry-after, x-should-retry, "
		"x-ratelimit-limit-requests, x-ratelimit-remaining-requests, "
		"x-ratelimit-reset-requests, x-ratelimit-limit-tokens, "
		"x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens, "
		"x-pmproxy-budget-remaining-eur, "
		"x-pmproxy-budget-remaining-tokens");
}

int
answer_begin(struct call *c, int status)
{
	int bad = http_status(c->http, status);

	c->status = status;
	bad |= http_head(c->http, "x-request-id", "%s", c->id);
	/* The web server obeys, and says so in its own words. */
	if (limits_closing(c->gate->limits, limits_now()))
		bad |= http_head(c->http, "Connection", "close");
	if (c->route->dialect == ANTHROPIC_DIALECT)
		bad |= http_head(c->http, "request-id", "%s", c->id);
	bad |= origin_fields(c);
	if (config_number(c->gate->config, CONFIG_FORCE_HTTPS))
		bad |= http_head_https_only(c->http, &c->gate->peers);
	bad |= rate_fields(c);
	bad |= budget_fields(c);
	return bad ? -1 : 0;
}

/* When to come back, and whether a client's own retries make sense. */
static int
retry_fields(struct call *c)
{
	int64_t seconds = (c->retry_ms + 999) / 1000;
	int bad;

	if (c->retry_ms <= 0)
		return 0;
	bad = http_head(c->http, "Retry-After", "%" PRId64, seconds);
	if (seconds > RETRY_AFTER_HEEDED_S)
		bad |= http_head(c->http, "x-should-retry", "false");
	return bad;
}

static int
error_fields(struct call *c, enum openai_error error)
{
	if (error == OPENAI_BAD_KEY || error == OPENAI_NO_KEY)
		return http_head(c->http, "WWW-Authenticate", "Bearer");
	/* It will be the same until the month or the budget changes. */
	if (error == OPENAI_BUDGET)
		return http_head(c->http, "x-should-retry", "false");
	if (error == OPENAI_METHOD)
		return http_head(c->http, "Allow", "%s%s", c->route->method,
		    strcmp(c->route->method, "GET") == 0 ? ", HEAD" : "");
	return 0;
}

static int
send_body(struct call *c, const char *body, size_t len)
{
	return http_head(c->http, "Content-Type", "application/json") |
	    http_head(c->http, "Cache-Control", "no-store") |
	    http_head(c->http, "Content-Length", "%zu", len) |
	    http_write(c->http, body, len);
}

void
answer_error(struct call *c, enum openai_error error, int status)
{
	struct buf body = BUF(4096);

	if (status == 0) {
		status = openai_error_status(error);
		metrics_refusal(c, error); /* ours, not the upstream's */
	}
	if (error == OPENAI_OVERLOADED || error == OPENAI_RATE_PARALLEL ||
	    error == OPENAI_RATE_BODIES)
		c->retry_ms = 1000;
	if (openai_error_body(&body, error, c->route->dialect, status, c->id) ==
		-1 ||
	    answer_begin(c, status) == -1 || retry_fields(c) != 0 ||
	    error_fields(c, error) != 0 || send_body(c, body.data, body.len))
		http_cut(c->http);
	buf_free(&body);
}

enum openai_error
answer_json(struct call *c, int status, struct json_object *value)
{
	const char *text = NULL;
	size_t len = 0;

	if (value != NULL)
		text = json_object_to_json_string_length(value,
		    JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE,
		    &len);
	if (text == NULL) {
		json_object_put(value);
		return OPENAI_INTERNAL;
	}
	if (answer_begin(c, status) == -1 || send_body(c, text, len))
		http_cut(c->http);
	json_object_put(value);
	return OPENAI_OK;
}
