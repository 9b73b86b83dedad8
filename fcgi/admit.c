/* Who is it, and is there room? Everything that may refuse a request. */
#include <string.h>

#include "gate.h"
#include "lib/secret.h"

/* Whoever is counted is a keyed hash, so no address stands in memory. */
static uint64_t
keyed_hash(const struct gate *g, char kind, const void *p, size_t n)
{
	unsigned char message[1 + KEYS_ID_SIZE], digest[SECRET_DIGEST_LEN];
	uint64_t hash;

	message[0] = (unsigned char)kind;
	if (n > sizeof(message) - 1)
		n = sizeof(message) - 1;
	memcpy(message + 1, p, n);
	secret_hmac(digest, g->secret, message, n + 1);
	memcpy(&hash, digest, sizeof(hash));
	return hash;
}

/* Two windows may ask for it. */
static uint64_t
address_hash(struct call *c)
{
	unsigned char network[HTTP_NETWORK_SIZE];
	size_t n;

	if (c->address_hash != 0)
		return c->address_hash;
	n = http_client_network(c->http, &c->gate->peers, network);
	c->address_hash =
	    keyed_hash(c->gate, (char)network[0], network + 1, n - 1);
	return c->address_hash;
}

/* Takes one from a window of this address. */
static enum openai_error
take_address(struct call *c, enum limits_table table, enum config_name limit,
    enum config_name window, enum openai_error refusal)
{
	struct limits_window w = { .table = table,
		.limit = c->live.number[limit],
		.window_ms = c->live.number[window] * 1000,
		.cost = 1 };

	if (w.limit == 0)
		return OPENAI_OK;
	w.who = address_hash(c);
	switch (limits_take(c->gate->limits, &w, 1, 0, 0, NULL, limits_now())) {
	case LIMITS_ADMITTED:
		return OPENAI_OK;
	case LIMITS_BROKEN:
		return OPENAI_STORE;
	default:
		break;
	}
	c->retry_ms = w.retry_ms > 0 ? w.retry_ms : 1;
	/* The headers tell of the window that refused. */
	c->windows[WINDOW_GLOBAL] = w;
	c->windows_known = 1;
	return refusal;
}

enum openai_error
admit_address(struct call *c)
{
	return take_address(c, LIMITS_ADDRESS, CONFIG_IP_RATE_LIMIT_REQUESTS,
	    CONFIG_IP_RATE_LIMIT_WINDOW, OPENAI_RATE_ADDRESS);
}

/* "Bearer KEY" with the scheme in any case (RFC 9110, 11.1), or X-API-Key. */
static const char *
presented_key(const struct call *c)
{
	const char *value = http_field(c->http, HTTP_AUTHORIZATION);

	if (value != NULL && strncasecmp(value, "Bearer ", 7) == 0)
		return value + 7 + strspn(value + 7, " ");
	return http_field(c->http, HTTP_X_API_KEY);
}

/* Counted only now: it never stands in the way of a valid key. */
static enum openai_error
wrong_key(struct call *c)
{
	enum openai_error refusal =
	    take_address(c, LIMITS_FAILED_AUTH, CONFIG_FAILED_AUTH_LIMIT,
		CONFIG_FAILED_AUTH_WINDOW, OPENAI_RATE_FAILED_AUTH);

	return refusal == OPENAI_OK ? OPENAI_BAD_KEY : refusal;
}

enum openai_error
admit_key(struct call *c)
{
	const char *token = presented_key(c);

	if (token == NULL || *token == '\0')
		return OPENAI_NO_KEY;
	switch (
	    keys_verify(c->gate->keys, token, strlen(token), c->now, &c->key)) {
	case KEYS_OK:
		c->key_hash = c->key.who;
		return OPENAI_OK;
	case KEYS_ERROR:
		return OPENAI_STORE;
	default:
		break;
	}
	return wrong_key(c);
}

enum openai_error
admit_metrics(struct call *c)
{
	enum openai_error error = metrics_token(c, presented_key(c));

	return error == OPENAI_BAD_KEY ? wrong_key(c) : error;
}

enum openai_error
admit_load(struct call *c)
{
	struct gate *g = c->gate;

	c->in_flight = 1;
	if (atomic_fetch_add(&g->in_flight, 1) >= g->max_in_flight)
		return OPENAI_OVERLOADED;
	return body_take(c);
}

static void
set_windows(struct call *c, int64_t tokens)
{
	int64_t window_ms = c->live.number[CONFIG_RATE_LIMIT_WINDOW] * 1000;

	c->windows[WINDOW_GLOBAL] =
	    (struct limits_window){ .table = LIMITS_GLOBAL,
		    .limit = c->live.number[CONFIG_RATE_LIMIT_REQUESTS],
		    .window_ms = window_ms,
		    .cost = 1 };
	c->windows[WINDOW_KEY] =
	    (struct limits_window){ .table = LIMITS_KEY_REQUESTS,
		    .who = c->key_hash,
		    .limit = c->key.rate_limit,
		    .window_ms = window_ms,
		    .cost = 1 };
	c->windows[WINDOW_TOKENS] =
	    (struct limits_window){ .table = LIMITS_KEY_TOKENS,
		    .who = c->key_hash,
		    .limit = c->key.tokens_per_minute,
		    .window_ms = 60000,
		    .cost = tokens };
}

/* The window that keeps the client out longest tells why, and until when. */
static enum openai_error
name_refusal(struct call *c)
{
	static const enum openai_error refusal[WINDOW__MAX] = {
		[WINDOW_GLOBAL] = OPENAI_RATE_REQUESTS,
		[WINDOW_KEY] = OPENAI_RATE_KEY_REQUESTS,
		[WINDOW_TOKENS] = OPENAI_RATE_TOKENS,
	};
	int longest = 0;

	for (int i = 1; i < WINDOW__MAX; i++)
		if (c->windows[i].retry_ms > c->windows[longest].retry_ms)
			longest = i;
	c->retry_ms = c->windows[longest].retry_ms;
	if (c->retry_ms < 1)
		c->retry_ms = 1;
	return refusal[longest];
}

/* To where a disk may be waited for; nothing was taken yet. */
static enum openai_error
leave(struct call *c)
{
	c->left = 1;
	return OPENAI_OK;
}

enum openai_error
admit_request(struct call *c, int64_t tokens)
{
	/* What cannot be journalled is not let in. */
	if (atomic_load(&c->gate->journal_failed)) {
		if (c->quick)
			return leave(c);
		if (usage_journal_check(c->gate->journal) == -1)
			return OPENAI_STORE;
		atomic_store(&c->gate->journal_failed, 0);
	}
	set_windows(c, tokens);
	switch (budget_take(c)) {
	case LIMITS_ADMITTED:
		c->windows_known = c->budget_known = 1;
		return OPENAI_OK;
	case LIMITS_SPENT:
		c->windows_known = c->budget_known = 1;
		return OPENAI_BUDGET;
	case LIMITS_REFUSED:
		c->windows_known = 1;
		return name_refusal(c);
	case LIMITS_PARALLEL:
		c->windows_known = 1;
		return OPENAI_RATE_PARALLEL;
	case LIMITS_UNCOUNTED:
		return c->quick ? leave(c) : OPENAI_STORE;
	case LIMITS_BROKEN:
	default:
		return OPENAI_STORE;
	}
}

enum openai_error
admit_look(struct call *c)
{
	set_windows(c, 1);
	if (limits_peek(c->gate->limits, c->windows, WINDOW__MAX,
		limits_now()) == LIMITS_BROKEN)
		return OPENAI_STORE;
	c->windows_known = 1;
	return OPENAI_OK;
}

enum openai_error
admit_foresee(struct call *c)
{
	set_windows(c, 1);
	switch (limits_peek(
	    c->gate->limits, c->windows, WINDOW__MAX, limits_now())) {
	case LIMITS_ADMITTED:
		return OPENAI_OK;
	case LIMITS_REFUSED:
		c->windows_known = 1;
		return name_refusal(c);
	default:
		return OPENAI_STORE;
	}
}

void
admit_settle(struct call *c, int64_t tokens)
{
	limits_settle(
	    c->gate->limits, &c->windows[WINDOW_TOKENS], tokens, limits_now());
}

void
admit_release(struct call *c)
{
	limits_release(c->gate->limits, &c->lease);
	limits_body_release(c->gate->limits, c->ticket);
	if (c->in_flight)
		atomic_fetch_sub(&c->gate->in_flight, 1);
	c->ticket = 0;
	c->in_flight = 0;
}
