/* GET /metrics, for a monitoring system that knows METRICS_TOKEN. */
#include <inttypes.h>
#include <string.h>

#include "gate.h"
#include "lib/sandbox.h"
#include "lib/secret.h"

/* A thousand keys of the longest id fit. */
#define TEXT_MAX ((size_t)1 << 20)

enum openai_error
metrics_token(struct call *c, const char *presented)
{
	const char *wanted = config_text(c->gate->config, CONFIG_METRICS_TOKEN);
	unsigned char a[SECRET_DIGEST_LEN], b[SECRET_DIGEST_LEN];
	int same;

	if (*wanted == '\0')
		return OPENAI_UNKNOWN_URL;
	if (presented == NULL || *presented == '\0')
		return OPENAI_NO_KEY;
	/* Digests, so that not even the length tells in time. */
	secret_sha256(a, wanted, strlen(wanted));
	secret_sha256(b, presented, strlen(presented));
	same = secret_equal(a, b, sizeof(a));
	return same ? OPENAI_OK : OPENAI_BAD_KEY;
}

enum openai_error
metrics_answer(struct call *c)
{
	struct buf text = BUF(TEXT_MAX);
	const struct gate *g = c->gate;

	(void)metrics_write(g->metrics, &text,
	    config_number(g->config, CONFIG_METRICS_BY_KEY) != 0);
	(void)buf_printf(&text,
	    "# TYPE pmproxy_in_flight gauge\npmproxy_in_flight %" PRId64
	    "\n# TYPE pmproxy_confined gauge\n"
	    "pmproxy_confined{part=\"calls\"} %d\n"
	    "pmproxy_confined{part=\"files\"} %d\n"
	    "pmproxy_confined{part=\"ports\"} %d\n# EOF\n",
	    limits_in_flight(g->limits), (g->confined & SANDBOX_CALLS) != 0,
	    (g->confined & SANDBOX_FILES) != 0,
	    (g->confined & SANDBOX_PORTS) != 0);
	if (text.failed) {
		buf_free(&text);
		return OPENAI_INTERNAL;
	}
	if (answer_begin(c, 200) == -1 ||
	    http_head(c->http, "Content-Type",
		"application/openmetrics-text; version=1.0.0; "
		"charset=utf-8") == -1 ||
	    http_head(c->http, "Cache-Control", "no-store") == -1 ||
	    http_head(c->http, "Content-Length", "%zu", text.len) == -1 ||
	    http_write(c->http, text.data, text.len) == -1)
		http_cut(c->http);
	buf_free(&text);
	return OPENAI_OK;
}

/* What was refused for lack of room, by the reason that the client is told. */
void
metrics_refusal(struct call *c, enum openai_error error)
{
	static const struct {
		enum openai_error error;
		enum metrics_counter counter;
	} reasons[] = {
		{ OPENAI_RATE_REQUESTS, METRICS_REFUSED_REQUESTS },
		{ OPENAI_RATE_KEY_REQUESTS, METRICS_REFUSED_KEY_REQUESTS },
		{ OPENAI_RATE_TOKENS, METRICS_REFUSED_KEY_TOKENS },
		{ OPENAI_RATE_PARALLEL, METRICS_REFUSED_PARALLEL },
		{ OPENAI_RATE_BODIES, METRICS_REFUSED_PARALLEL },
		{ OPENAI_BUDGET, METRICS_REFUSED_BUDGET },
		{ OPENAI_RATE_ADDRESS, METRICS_REFUSED_ADDRESS },
		{ OPENAI_RATE_FAILED_AUTH, METRICS_REFUSED_FAILED_AUTH },
		{ OPENAI_OVERLOADED, METRICS_REFUSED_OVERLOAD },
	};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].error == error)
			metrics_add(c->gate->metrics, reasons[i].counter, 1);
}

/* Health checks and scrapes are no requests that anybody made. */
void
metrics_end(struct call *c)
{
	int class = c->status / 100;

	if (c->route->access != FOR_KEYS && c->route->answer != NULL)
		return;
	/* Let in, and still to be answered. */
	if (c->status == 0 && http_is_asking(c->http))
		return;
	/* The client left before there was anything to say. */
	if (class < 1 || class > 5)
		class = 4;
	metrics_add(c->gate->metrics,
	    (enum metrics_counter)(METRICS_REQUESTS_1XX + class - 1), 1);
}

/* One that was erased meanwhile is not to stay. */
static void
count_key(struct call *c, const struct usage_record *r)
{
	struct metrics *m = c->gate->metrics;

	metrics_add_key(m, r->key_id, 1, r->total);
	if (strcmp(r->key_id, c->key.id) == 0 &&
	    keys_has(c->gate->keys, r->key_id) == 0)
		metrics_forget_key(m, r->key_id);
}

void
metrics_use(struct call *c, const struct usage_record *r)
{
	struct metrics *m = c->gate->metrics;

	metrics_add(m, METRICS_TOKENS_PROMPT, r->prompt);
	metrics_add(m, METRICS_TOKENS_COMPLETION, r->completion);
	metrics_add(m, METRICS_TOKENS_CACHED, r->cached);
	metrics_observe(m, METRICS_DURATION, r->duration_ms);
	metrics_observe(m, METRICS_FIRST_BYTE, r->first_byte_ms);
	if (config_number(c->gate->config, CONFIG_METRICS_BY_KEY))
		count_key(c, r);
}
