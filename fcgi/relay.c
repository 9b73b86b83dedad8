/*
 * From an admitted key to the upstream: the body is read, understood and
 * changed by a few spliced bytes.
 */
#include "relay_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "lib/secret.h"
#include "lib/text.h"

/* Of one, with its name. */
#define FIELD_MAX 1024
/* Reserved of the token window for an answer of unknown length. */
#define TOKENS_UNKNOWN 256
/* The same of a month's budget: longer than most answers are. */
#define BUDGET_TOKENS_UNKNOWN 16384

void
relay_fields_free(struct relay_fields *f)
{
	while (f->n > 0) {
		char *field = f->field[--f->n];

		secret_wipe(field, strlen(field));
		free(field);
	}
}

/* Returns where it ends. */
static char *
put(char *to, const char *s, size_t n)
{
	memcpy(to, s, n);
	return to + n;
}

/* "NAME: VALUE"; a scheme that goes before the value ends in a blank. */
static void
add_field(struct relay_fields *f, const char *name, const char *scheme,
    const char *value)
{
	size_t n_name = strlen(name), n_scheme = strlen(scheme), n_value;
	char *field, *to;

	if (value == NULL || *value == '\0' || f->n == RELAY_FIELDS_MAX ||
	    strpbrk(value, "\r\n") != NULL)
		return;
	n_value = strlen(value);
	if (n_name + 2 + n_scheme + n_value >= FIELD_MAX) {
		log_warnx("the header field '%s' is too long to pass on", name);
		return;
	}
	field = malloc(n_name + 2 + n_scheme + n_value + 1);
	if (field == NULL) {
		log_warn("no memory for header fields");
		f->failed = 1;
		return;
	}
	to = put(field, name, n_name);
	to = put(to, ": ", 2);
	to = put(to, scheme, n_scheme);
	(void)put(to, value, n_value + 1);
	f->field[f->n] = field;
	f->field[++f->n] = NULL;
}

int
relay_fields_fill(const struct call *c, struct relay_fields *f, int client)
{
	const char *type;

	*f = (struct relay_fields){ .n = 0 };
	add_field(f, "Authorization", "Bearer ",
	    config_text(c->gate->config, CONFIG_PRIVATEMODE_API_KEY));
	if (!client)
		return f->failed ? -1 : 0;
	type = http_field(c->http, HTTP_CONTENT_TYPE);
	add_field(f, "Content-Type", "",
	    type != NULL && *type != '\0' ? type : "application/json");
	add_field(f, "Accept", "", http_field(c->http, HTTP_ACCEPT));
	add_field(f, "OpenAI-Beta", "", http_field(c->http, HTTP_OPENAI_BETA));
	add_field(f, "anthropic-version", "",
	    http_field(c->http, HTTP_ANTHROPIC_VERSION));
	add_field(
	    f, "anthropic-beta", "", http_field(c->http, HTTP_ANTHROPIC_BETA));
	return f->failed ? -1 : 0;
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

int
relay_prepare(struct relay *r, struct call *c, struct upstream_exchange *x)
{
	*r = (struct relay){ .c = c,
		.held = BUF(METER_HOLD_MAX + RELAY_ERROR_MAX),
		.body_bytes = (int64_t)c->body.len,
		.first_byte_ms = -1 };
	*x = (struct upstream_exchange){
		.method = "POST",
		.path = http_path(c->http),
		.fields = (const char *const *)r->fields.field,
		.body = r->pieces,
		.n_body = openai_pieces(
		    &c->request, c->body.data, c->body.len, r->pieces),
		.name = c->id,
		.connect_ms = c->live.number[CONFIG_CONNECT_TIMEOUT] * 1000,
		.first_byte_ms =
		    c->live.number[CONFIG_FIRST_BYTE_TIMEOUT] * 1000,
		.idle_ms = c->live.number[CONFIG_IDLE_TIMEOUT] * 1000,
		.total_ms = c->live.number[CONFIG_TOTAL_TIMEOUT] * 1000,
		.watch_fd = http_watch_fd(c->http),
	};
	relay_pass(r, x);
	return relay_fields_fill(c, &r->fields, 1);
}

static enum openai_error
exchange(struct call *c)
{
	struct upstream_exchange x;
	struct relay r;
	enum upstream_end end = UPSTREAM_UNREACHABLE;
	enum openai_error error;

	if (relay_prepare(&r, c, &x) == 0)
		end = relay_run(c, &x);
	relay_fields_free(&r.fields);
	error = relay_end(&r, end);
	buf_free(&r.held);
	secret_wipe(&r.meter, sizeof(r.meter));
	return error;
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
	case HTTP_BODY_LATE:
		return OPENAI_LATE_BODY;
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

	if (!relay_counts_tokens(c))
		prompt = answer = unknown = 0;
	else if (c->route->endpoint == OPENAI_EMBEDDINGS)
		answer = unknown = 0;
	error = budget_expect(
	    c, prompt, unknown ? BUDGET_TOKENS_UNKNOWN : answer, unknown);
	if (error != OPENAI_OK)
		return error;
	if (!relay_counts_tokens(c))
		return admit_request(c, 1);
	return admit_request(c, prompt + (unknown ? TOKENS_UNKNOWN : answer));
}

enum openai_error
relay_answer_on(struct call *c)
{
	enum openai_error error = admit(c);

	if (error != OPENAI_OK || c->left)
		return error;
	if (c->quick && !c->request.stream)
		return relay_flow_begin(c);
	/* A client that stops reading gives its place back. */
	if (http_write_timeout(c->http, c->live.number[CONFIG_IDLE_TIMEOUT]) ==
	    -1)
		return OPENAI_INTERNAL;
	return c->request.stream ? relay_flow_begin(c) : exchange(c);
}

enum openai_error
relay_answer(struct call *c)
{
	enum openai_error error;

	if ((error = admit_load(c)) != OPENAI_OK ||
	    (error = read_body(c)) != OPENAI_OK ||
	    (error = understand(c)) != OPENAI_OK)
		return error;
	return relay_answer_on(c);
}
