/* What the gate says of itself, of a key, and of the models. */
#include <string.h>
#include <time.h>

#include <json-c/json.h>

#include "catalog.h"
#include "gate.h"
#include "info.h"
#include "lib/text.h"

/* Adds and owns; without memory the whole answer becomes NULL in the end. */
void
info_add(struct json_object **to, const char *name, struct json_object *value)
{
	if (*to == NULL || json_object_object_add(*to, name, value) != 0) {
		json_object_put(value);
		json_object_put(*to);
		*to = NULL;
	}
}

void
info_add_text(struct json_object **to, const char *name, const char *text)
{
	info_add(to, name, json_object_new_string(text));
}

void
info_add_number(struct json_object **to, const char *name, int64_t n)
{
	info_add(to, name, json_object_new_int64(n));
}

/* A limit of 0 is none, which JSON says with null. */
void
info_add_limit(struct json_object **to, const char *name, int64_t n)
{
	info_add(to, name, n > 0 ? json_object_new_int64(n) : NULL);
}

void
info_add_time(struct json_object **to, const char *name, int64_t unix_s)
{
	char text[TEXT_UTC_SIZE];

	if (unix_s == 0)
		info_add(to, name, NULL);
	else
		info_add_text(to, name, text_utc(text, unix_s));
}

enum openai_error
info_health(struct call *c)
{
	struct json_object *top = json_object_new_object();

	info_add_text(&top, "status", "healthy");
	return answer_json(c, 200, top);
}

enum openai_error
info_ready(struct call *c)
{
	struct gate *g = c->gate;
	struct json_object *top = json_object_new_object();
	struct json_object *checks = json_object_new_object();
	struct settings_values values;
	const struct {
		const char *name;
		int good;
	} rows[] = {
		{ "keys", keys_check(g->keys) == KEYS_OK },
		{ "settings", settings_read(g->settings, &values) == 0 },
		{ "limits", limits_check(g->limits) == 0 },
		{ "journal", usage_journal_check(g->journal) == 0 },
		{ "upstream", catalog_upstream_state(c) == OPENAI_OK },
	};
	int ready = 1;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		info_add_text(
		    &checks, rows[i].name, rows[i].good ? "ok" : "failed");
		ready = ready && rows[i].good;
	}
	info_add_text(&top, "status", ready ? "ready" : "not ready");
	info_add(&top, "checks", checks);
	return answer_json(c, ready ? 200 : 503, top);
}

static struct json_object *
models_of_key(const struct key *k)
{
	struct json_object *array = json_object_new_array();
	const char *at = k->models;

	while (array != NULL && *at != '\0') {
		size_t n = strcspn(at, ",");
		struct json_object *name =
		    json_object_new_string_len(at, (int)n);

		if (json_object_array_add(array, name) != 0)
			json_object_put(name);
		at += n;
		at += strspn(at, ",");
	}
	return array;
}

struct json_object *
info_limits(const struct call *c)
{
	struct json_object *limits = json_object_new_object();
	const struct key *k = &c->key;

	info_add_limit(&limits, "requests", k->rate_limit);
	info_add_number(&limits, "window_seconds",
	    c->live.number[CONFIG_RATE_LIMIT_WINDOW]);
	info_add_limit(&limits, "organisation_requests",
	    c->live.number[CONFIG_RATE_LIMIT_REQUESTS]);
	info_add_limit(&limits, "tokens_per_minute", k->tokens_per_minute);
	info_add_limit(&limits, "parallel", k->parallel);
	info_add(
	    &limits, "models", k->models[0] != '\0' ? models_of_key(k) : NULL);
	return limits;
}

enum openai_error
info_key(struct call *c)
{
	struct usage_total month;
	struct json_object *top = json_object_new_object();
	struct json_object *usage = info_month(c, &month);
	const struct key *k = &c->key;

	if (usage == NULL || admit_look(c) != OPENAI_OK ||
	    info_budget(&top, c, &month) == -1) {
		json_object_put(top);
		json_object_put(usage);
		return OPENAI_STORE;
	}
	info_add_text(&top, "key_id", k->id);
	info_add_text(&top, "label", k->label);
	info_add_time(&top, "created", k->created);
	info_add_time(&top, "expires", k->expires);
	info_add(&top, "limits", info_limits(c));
	info_add(
	    &top, "prompt_cache", json_object_new_boolean(k->prompt_cache));
	info_add(&top, "usage", usage);
	return answer_json(c, 200, top);
}

/* The list without what this key may not use. */
static struct json_object *
filtered(const struct call *c, struct json_object *list)
{
	struct json_object *data = NULL, *id = NULL, *kept;
	size_t n;

	if (!json_object_object_get_ex(list, "data", &data) ||
	    (kept = json_object_new_array()) == NULL)
		return NULL;
	n = json_object_array_length(data);
	for (size_t i = 0; i < n; i++) {
		struct json_object *model = json_object_array_get_idx(data, i);
		const char *name;

		if (!json_object_object_get_ex(model, "id", &id) ||
		    (name = json_object_get_string(id)) == NULL ||
		    !key_allows(&c->key, name))
			continue;
		json_object_get(model);
		if (json_object_array_add(kept, model) != 0)
			json_object_put(model);
	}
	return kept;
}

/* The model of that name out of a filtered list, or NULL. */
static struct json_object *
model_named(struct json_object *models, const char *name)
{
	size_t n = json_object_array_length(models);

	for (size_t i = 0; i < n; i++) {
		struct json_object *model =
		    json_object_array_get_idx(models, i);
		struct json_object *id = NULL;

		if (json_object_object_get_ex(model, "id", &id) &&
		    strcmp(json_object_get_string(id), name) == 0)
			return json_object_get(model);
	}
	return NULL;
}

/* "/v1/models/NAME", in which NAME may hold slashes, encoded or not. */
static enum openai_error
answer_model(struct call *c, struct json_object *models)
{
	const char *name = http_path(c->http) + strlen("/v1/models/");
	char decoded[OPENAI_MODEL_SIZE];
	struct json_object *model;

	if (strlen(name) >= sizeof(decoded))
		return OPENAI_MODEL_NOT_FOUND;
	memcpy(decoded, name, strlen(name) + 1);
	if (text_percent_decode(decoded, 0) == -1 ||
	    (model = model_named(models, decoded)) == NULL)
		return OPENAI_MODEL_NOT_FOUND;
	return answer_json(c, 200, model);
}

enum openai_error
info_models(struct call *c)
{
	struct json_object *list = NULL, *models;
	enum openai_error error;

	http_body_discard(c->http);
	if ((error = admit_load(c)) != OPENAI_OK ||
	    (error = admit_request(c, 1)) != OPENAI_OK)
		return error;
	error = catalog_fetch(c, &list);
	/* A list costs no tokens. */
	admit_settle(c, 0);
	if (error != OPENAI_OK)
		return error;
	if ((models = filtered(c, list)) == NULL) {
		json_object_put(list);
		return OPENAI_INTERNAL;
	}
	if (strcmp(c->route->path, "/v1/models") == 0) {
		info_add(&list, "data", models);
		return answer_json(c, 200, list);
	}
	error = answer_model(c, models);
	json_object_put(models);
	json_object_put(list);
	return error;
}
