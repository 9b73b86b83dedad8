/* The life of one request: a row of steps, each of which may refuse it. */
#include <string.h>
#include <time.h>

#include "gate.h"
#include "lib/log.h"
#include "lib/secret.h"
#include "lib/text.h"

#define NONE OPENAI_ENDPOINT__MAX

static const struct route routes[] = {
	{ "POST", "/v1/chat/completions", OPENAI_CHAT, OPENAI_DIALECT, FOR_KEYS,
	    relay_answer },
	{ "POST", "/v1/completions", OPENAI_COMPLETIONS, OPENAI_DIALECT,
	    FOR_KEYS, relay_answer },
	{ "POST", "/v1/embeddings", OPENAI_EMBEDDINGS, OPENAI_DIALECT, FOR_KEYS,
	    relay_answer },
	{ "POST", "/v1/audio/transcriptions", OPENAI_TRANSCRIPTIONS,
	    OPENAI_DIALECT, FOR_KEYS, relay_answer },
	{ "POST", "/v1/audio/translations", OPENAI_TRANSLATIONS, OPENAI_DIALECT,
	    FOR_KEYS, relay_answer },
	{ "POST", "/v1/messages", OPENAI_MESSAGES, ANTHROPIC_DIALECT, FOR_KEYS,
	    relay_answer },
	{ "POST", "/unstructured/", OPENAI_UNSTRUCTURED, OPENAI_DIALECT,
	    FOR_KEYS, relay_answer },
	{ "GET", "/v1/models", NONE, OPENAI_DIALECT, FOR_KEYS, info_models },
	{ "GET", "/v1/models/", NONE, OPENAI_DIALECT, FOR_KEYS, info_models },
	{ "GET", "/auth/key-info", NONE, OPENAI_DIALECT, FOR_KEYS, info_key },
	{ "GET", "/auth/usage", NONE, OPENAI_DIALECT, FOR_KEYS, info_usage },
	{ "GET", "/metrics", NONE, OPENAI_DIALECT, FOR_METRICS,
	    metrics_answer },
	{ "GET", "/health", NONE, OPENAI_DIALECT, OPEN_TO_ALL, info_health },
	{ "GET", "/health/ready", NONE, OPENAI_DIALECT, LIMITED_BY_ADDRESS,
	    info_ready },
};

/* For answers to what has no route; the path tells the dialect. */
static const struct route no_route = { .dialect = OPENAI_DIALECT };
static const struct route no_messages_route = { .dialect = ANTHROPIC_DIALECT };

static int
path_matches(const struct route *r, const char *path)
{
	size_t n = strlen(r->path);

	if (r->path[n - 1] == '/')
		return strncmp(path, r->path, n) == 0 && path[n] != '\0';
	return strcmp(path, r->path) == 0;
}

static int
method_matches(const struct route *r, const char *method)
{
	return strcmp(method, r->method) == 0 ||
	    (strcmp(method, "HEAD") == 0 && strcmp(r->method, "GET") == 0);
}

/* 1 with the route; 0 when no path fits, -1 when only the path does. */
static int
find_route(const char *path, const char *method, const struct route **route)
{
	int found = 0;

	*route = strncmp(path, "/v1/messages", 12) == 0 ? &no_messages_route
							: &no_route;
	for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
		if (!path_matches(&routes[i], path))
			continue;
		*route = &routes[i];
		if (method_matches(&routes[i], method))
			return 1;
		found = -1;
	}
	return found;
}

/* The allowed origin that this request comes from, or NULL. */
static const char *
allowed_origin(const struct call *c)
{
	const char *origin = http_field(c->http, HTTP_ORIGIN);
	const char *list =
	    config_text(c->gate->config, CONFIG_CORS_ALLOW_ORIGINS);

	if (origin == NULL || *origin == '\0')
		return NULL;
	while (*list != '\0') {
		size_t n = strcspn(list, ", ");

		if (n == strlen(origin) && strncmp(list, origin, n) == 0)
			return origin;
		list += n;
		list += strspn(list, ", ");
	}
	return NULL;
}

static enum openai_error
answer_preflight(struct call *c)
{
	if (answer_begin(c, 204) == -1 ||
	    http_head(c->http, "Access-Control-Allow-Methods", "%s, OPTIONS",
		c->route->method) == -1 ||
	    http_head(c->http, "Access-Control-Allow-Headers",
		"Authorization, X-API-Key, Content-Type, Accept, OpenAI-Beta, "
		"Anthropic-Version, Anthropic-Beta, "
		"Anthropic-Dangerous-Direct-Browser-Access, X-Stainless-Arch, "
		"X-Stainless-Async, X-Stainless-Helper-Method, "
		"X-Stainless-Lang, X-Stainless-OS, "
		"X-Stainless-Package-Version, X-Stainless-Retry-Count, "
		"X-Stainless-Runtime, X-Stainless-Runtime-Version, "
		"X-Stainless-Timeout") == -1 ||
	    http_head(c->http, "Access-Control-Max-Age", "600") == -1)
		http_cut(c->http);
	return OPENAI_OK;
}

/* HTTPS by the web server's word, or by a trusted proxy's before it. */
static int
is_https(const struct call *c)
{
	return http_is_secure(c->http, &c->gate->peers);
}

/* Health checks of a load balancer come over plain HTTP. */
static int
is_for_monitors(const struct route *r)
{
	return r->access == OPEN_TO_ALL || r->access == LIMITED_BY_ADDRESS;
}

static enum openai_error
check_access(struct call *c)
{
	enum openai_error error = OPENAI_STORE;

	if (c->route->access == OPEN_TO_ALL)
		return OPENAI_OK;
	if (settings_read(c->gate->settings, &c->live) == 0)
		error = body_was_asked(c) ? OPENAI_OK : admit_address(c);
	/* What says which store is broken must not break with it. */
	if (c->route->access == LIMITED_BY_ADDRESS)
		return error == OPENAI_STORE ? OPENAI_OK : error;
	if (error != OPENAI_OK)
		return error;
	return c->route->access == FOR_METRICS ? admit_metrics(c)
					       : admit_key(c);
}

static enum openai_error
answer(struct call *c)
{
	const char *path = http_path(c->http), *method = http_method(c->http);
	enum openai_error error;
	int found;

	if (*path == '\0' || http_is_ambiguous(c->http))
		return OPENAI_BAD_REQUEST;
	found = find_route(path, method, &c->route);
	if (config_number(c->gate->config, CONFIG_FORCE_HTTPS) &&
	    !is_https(c) && !(found == 1 && is_for_monitors(c->route)))
		return OPENAI_HTTPS_REQUIRED;
	if (found == 0)
		return OPENAI_UNKNOWN_URL;
	if (found == -1 && c->origin != NULL && strcmp(method, "OPTIONS") == 0)
		return answer_preflight(c);
	if (found == -1)
		return OPENAI_METHOD;
	if ((error = check_access(c)) != OPENAI_OK)
		return error;
	return http_is_asking(c->http) ? body_admit(c) : c->route->answer(c);
}

/* Random bytes are dear one by one, so a thread fetches some in advance. */
static void
make_id(struct call *c)
{
	static _Thread_local unsigned char random[32][12];
	static _Thread_local size_t left;

	if (left == 0) {
		secret_random(random, sizeof(random));
		left = sizeof(random) / sizeof(random[0]);
	}
	memcpy(c->id, "req_", 4);
	text_hex(c->id + 4, random[--left], sizeof(random[0]));
}

static void
begin(struct call *c, struct gate *g, struct http *http)
{
	*c = (struct call){ .gate = g,
		.http = http,
		.route = &no_route,
		.now = (int64_t)time(NULL),
		.began_ms = limits_now(),
		.body = BUF(0) };
	make_id(c);
	log_request(c->id);
	c->origin = allowed_origin(c);
}

static void
end(struct call *c, enum openai_error error)
{
	if (error != OPENAI_OK)
		answer_error(c, error, 0);
	buf_free(&c->body); /* before its room is given back */
	admit_release(c);
	metrics_end(c);
	secret_wipe(c, sizeof(*c));
	log_request(NULL);
}

static enum served
finish(struct call *c, enum openai_error error)
{
	if (c->stream != NULL || c->left) {
		log_request(NULL);
		return c->left ? SERVED_IN_PART : SERVED_BY_LOOP;
	}
	end(c, error);
	return SERVED;
}

enum served
serve(struct gate *g, struct http *http, struct call *c, int quick)
{
	begin(c, g, http);
	c->quick = quick;
	return finish(c, answer(c));
}

enum served
serve_on(struct call *c)
{
	log_request(c->id);
	c->quick = c->left = 0;
	return finish(c, relay_answer_on(c));
}

void
serve_rest(struct call *c)
{
	log_request(c->id);
	end(c, relay_rest(c));
}

/* Bodies that were asked about are large, or there may be no room for them. */
int
serve_may_wait(struct http *http)
{
	const struct route *route;

	if (http_is_asking(http) || http_was_asked(http))
		return 1;
	return find_route(http_path(http), http_method(http), &route) == 1 &&
	    route->answer != relay_answer;
}
