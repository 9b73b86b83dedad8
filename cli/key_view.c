/* Keys as JSON and as text. */
#include "cli/key_view.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "cli/object.h"
#include "lib/text.h"

const char *const key_view_heads[KEY_VIEW_COLUMNS] = { "KEY ID", "LABEL",
	"LAST 4", "STATE", "EXPIRES", ">REQUESTS", ">TOKENS/MIN", ">PARALLEL",
	">EUR/MONTH", ">TOKENS/MONTH", "MODELS" };

const char *
key_view_state(const struct key *key, int64_t now)
{
	if (key->disabled)
		return "disabled";
	return key->expires != 0 && now >= key->expires ? "expired" : "active";
}

/* null is a member like others; it needs no memory. */
static int
add_null(struct json_object *to, const char *name)
{
	return json_object_object_add(to, name, NULL);
}

static int
add_text(struct json_object *to, const char *name, const char *text)
{
	return object_add(to, name, json_object_new_string(text));
}

static int
add_time(struct json_object *to, const char *name, int64_t unix_s)
{
	char utc[TEXT_UTC_SIZE];

	if (unix_s == 0)
		return add_null(to, name);
	return add_text(to, name, text_utc(utc, unix_s));
}

static int
add_limit(struct json_object *to, const char *name, int64_t limit)
{
	if (limit == 0)
		return add_null(to, name);
	return object_add(to, name, json_object_new_int64(limit));
}

/* A number of EUR, without a floating-point number's noise; or null. */
static int
add_eur(struct json_object *to, const char *name, int64_t nano_eur)
{
	char eur[TEXT_EUR_SIZE];

	if (nano_eur == 0)
		return add_null(to, name);
	return object_add(to, name,
	    json_object_new_double_s(
		(double)nano_eur / 1e9, text_eur(eur, nano_eur)));
}

static int
add_flag(struct json_object *to, const char *name, int flag)
{
	return object_add(to, name, json_object_new_boolean(flag));
}

/* An empty array allows all, as an empty list does. */
static struct json_object *
new_models(const char *list)
{
	struct json_object *models = json_object_new_array(), *name;

	while (models != NULL && *list != '\0') {
		size_t n = strcspn(list, ",");

		name = json_object_new_string_len(list, (int)n);
		if (name == NULL || json_object_array_add(models, name) != 0) {
			json_object_put(name);
			json_object_put(models);
			return NULL;
		}
		list += list[n] == ',' ? n + 1 : n;
	}
	return models;
}

struct json_object *
key_view_object(const struct key *key, int64_t now)
{
	struct json_object *o = json_object_new_object();
	int bad = 0;

	if (o == NULL)
		return NULL;
	bad |= add_text(o, "key_id", key->id);
	bad |= add_text(o, "label", key->label);
	bad |= add_text(o, "last4", key->last4);
	bad |= add_time(o, "created", key->created);
	bad |= add_time(o, "expires", key->expires);
	bad |= add_flag(o, "enabled", !key->disabled);
	bad |= add_text(o, "state", key_view_state(key, now));
	bad |= add_limit(o, "rate_limit", key->rate_limit);
	bad |= add_limit(o, "tokens_per_minute", key->tokens_per_minute);
	bad |= add_limit(o, "parallel", key->parallel);
	bad |= add_eur(o, "budget_eur", key->budget_eur);
	bad |= add_limit(o, "budget_tokens", key->budget_tokens);
	bad |= object_add(o, "models", new_models(key->models));
	bad |= add_flag(o, "prompt_cache", key->prompt_cache);
	bad |= key->successor[0] == '\0'
	    ? add_null(o, "successor")
	    : add_text(o, "successor", key->successor);
	if (!bad)
		return o;
	json_object_put(o);
	return NULL;
}

static void
print_limit(const char *what, int64_t limit)
{
	if (limit == 0)
		printf("%-15s no limit\n", what);
	else
		printf("%-15s %" PRId64 "\n", what, limit);
}

static void
print_eur(const char *what, int64_t nano_eur)
{
	char eur[TEXT_EUR_SIZE];

	if (nano_eur == 0)
		printf("%-15s no limit\n", what);
	else
		printf("%-15s %s\n", what, text_eur(eur, nano_eur));
}

void
key_view_print(const struct key *key, int64_t now)
{
	char created[TEXT_UTC_SIZE], expires[TEXT_UTC_SIZE] = "never";

	if (key->expires != 0)
		text_utc(expires, key->expires);
	printf("%-15s %s\n", "Key id:", key->id);
	printf("%-15s %s\n", "Label:", key->label);
	if (key->last4[0] != '\0')
		printf("%-15s ...%s\n", "Ends in:", key->last4);
	printf("%-15s %s\n", "State:", key_view_state(key, now));
	printf("%-15s %s\n", "Created:", text_utc(created, key->created));
	printf("%-15s %s\n", "Expires:", expires);
	print_limit("Requests:", key->rate_limit);
	print_limit("Tokens/minute:", key->tokens_per_minute);
	print_limit("At once:", key->parallel);
	print_eur("EUR/month:", key->budget_eur);
	print_limit("Tokens/month:", key->budget_tokens);
	printf("%-15s %s\n",
	    "Models:", key->models[0] == '\0' ? "all" : key->models);
	printf("%-15s %s\n", "Prompt cache:", key->prompt_cache ? "on" : "off");
	if (key->successor[0] != '\0')
		printf("%-15s %s\n", "Successor:", key->successor);
}

static void
add_limit_cell(struct table *t, int64_t limit)
{
	char text[32] = "-";

	if (limit != 0)
		snprintf(text, sizeof(text), "%" PRId64, limit);
	table_add(t, text);
}

void
key_view_row(struct table *t, const struct key *key, int64_t now)
{
	char expires[TEXT_UTC_SIZE] = "never", eur[TEXT_EUR_SIZE] = "-";

	if (key->expires != 0)
		text_utc(expires, key->expires);
	if (key->budget_eur != 0)
		text_eur(eur, key->budget_eur);
	table_add(t, key->id);
	table_add(t, key->label);
	table_add(t, key->last4);
	table_add(t, key_view_state(key, now));
	table_add(t, expires);
	add_limit_cell(t, key->rate_limit);
	add_limit_cell(t, key->tokens_per_minute);
	add_limit_cell(t, key->parallel);
	table_add(t, eur);
	add_limit_cell(t, key->budget_tokens);
	table_add(t, key->models[0] == '\0' ? "all" : key->models);
}
