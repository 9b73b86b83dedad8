/* What the gate says of a key's use. */
#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

#include "gate.h"
#include "info.h"
#include "lib/costs.h"
#include "lib/form.h"
#include "lib/text.h"

/* What a key used in a time, and of which models. */
struct use {
	struct usage_total sum;
	struct usage_table models;
};

/* Many times what an organisation uses; what is beyond counts as "other". */
#define MODELS_MAX 1000

/* 1 on failure, because -1 is the reader's own. */
static int
sum_up(const struct usage_total *total, void *arg)
{
	struct usage_total row = *total;
	struct use *u = arg;

	row.hour = 0;
	row.endpoint[0] = '\0';
	usage_total_add(&u->sum, &row);
	return usage_table_add(&u->models, &row) == -1;
}

/* 0 with what is to be freed, -1 when it cannot be read. */
static int
use_of_key(struct call *c, int64_t from, int64_t to, struct use *u)
{
	const struct usage_query query = { .from = from,
		.to = to,
		.key_id = c->key.id,
		.grain = USAGE_WHOLE };
	const char *state_dir = config_text(c->gate->config, CONFIG_STATE_DIR);
	struct usage_pricing pricing = costs_pricing(c->gate->prices);
	struct usage_reader *reader = NULL;
	int bad;

	*u = (struct use){ .models = USAGE_TABLE(MODELS_MAX) };
	if (prices_refresh(c->gate->prices) == 0)
		reader = usage_reader_open(state_dir, &pricing);
	bad =
	    reader == NULL || usage_reader_each(reader, &query, sum_up, u) != 0;
	usage_reader_close(reader);
	if (bad)
		usage_table_free(&u->models);
	else
		usage_table_sort(&u->models);
	return bad ? -1 : 0;
}

static void
add_use(struct json_object **to, const struct usage_total *t)
{
	char eur[TEXT_EUR_SIZE];

	info_add_number(to, "requests", t->requests);
	info_add_number(to, "errors", t->errors);
	info_add_number(to, "prompt_tokens", t->prompt);
	info_add_number(to, "completion_tokens", t->completion);
	info_add_number(to, "cached_tokens", t->cached);
	info_add_number(to, "total_tokens", t->total);
	info_add_number(to, "audio_bytes", t->audio_bytes);
	info_add_text(to, "cost_eur", text_eur(eur, t->cost));
}

static int64_t
what_is_left(int64_t budget, int64_t used)
{
	return used < budget ? budget - used : 0;
}

/* null without a budget; amounts of EUR are text, which is exact. */
static struct json_object *
budget_of_key(const struct call *c, int64_t spent, int64_t tokens)
{
	struct json_object *o = json_object_new_object();
	const struct key *k = &c->key;
	char eur[TEXT_EUR_SIZE];

	if (k->budget_eur > 0) {
		info_add_text(&o, "eur", text_eur(eur, k->budget_eur));
		info_add_text(&o, "remaining_eur",
		    text_eur(eur, what_is_left(k->budget_eur, spent)));
	}
	if (k->budget_tokens > 0) {
		info_add_number(&o, "tokens", k->budget_tokens);
		info_add_number(&o, "remaining_tokens",
		    what_is_left(k->budget_tokens, tokens));
	}
	info_add_number(
	    &o, "warning_percent", c->live.number[CONFIG_BUDGET_WARNING]);
	return o;
}

int
info_budget(
    struct json_object **to, struct call *c, const struct usage_total *month)
{
	int64_t spent = month->cost, tokens = month->total;
	struct json_object *budget = NULL;

	if (c->key.budget_eur > 0 || c->key.budget_tokens > 0) {
		if (budget_add_others(c, &spent, &tokens) == -1)
			return -1;
		budget = budget_of_key(c, spent, tokens);
	}
	info_add(to, "budget", budget);
	return 0;
}

/* NULL when the usage cannot be read; its sum then is of no use. */
struct json_object *
info_month(struct call *c, struct usage_total *sum)
{
	struct json_object *o = json_object_new_object();
	char when[TEXT_UTC_SIZE];
	struct use u;

	if (use_of_key(c, text_month_of(c->now), budget_next_month(c->now),
		&u) == -1) {
		json_object_put(o);
		return NULL;
	}
	usage_table_free(&u.models);
	*sum = u.sum;
	text_utc(when, c->now);
	when[7] = '\0';
	info_add_text(&o, "period", when);
	add_use(&o, sum);
	return o;
}

/* "month" (the default), "today", "yesterday", "2026-11", "2026-11-22". */
static int
read_period(const char *name, int64_t now, int64_t *from, int64_t *to)
{
	int64_t today = now - now % 86400;
	char day[16];

	if (name == NULL || strcmp(name, "month") == 0) {
		*from = text_month_of(now);
		*to = budget_next_month(now);
		return 0;
	}
	if (strcmp(name, "today") == 0)
		*from = today;
	else if (strcmp(name, "yesterday") == 0)
		*from = today - 86400;
	else if (text_to_day(name, from) == -1) {
		if (snprintf(day, sizeof(day), "%s-01", name) != 10 ||
		    text_to_day(day, from) == -1)
			return -1;
		*to = budget_next_month(*from);
		return 0;
	}
	*to = *from + 86400;
	return 0;
}

static struct json_object *
models_used(const struct use *u)
{
	struct json_object *array = json_object_new_array(), *o;

	for (size_t i = 0; array != NULL && i < u->models.n; i++) {
		o = json_object_new_object();
		info_add_text(&o, "model", u->models.rows[i].model);
		add_use(&o, &u->models.rows[i]);
		if (o != NULL && json_object_array_add(array, o) == 0)
			continue;
		json_object_put(o);
		json_object_put(array);
		array = NULL;
	}
	return array;
}

static enum openai_error
answer_use(struct call *c, int64_t from, int64_t to)
{
	struct json_object *top = json_object_new_object(), *period, *usage;
	struct use month, asked;

	if (use_of_key(c, from, to, &asked) == -1) {
		json_object_put(top);
		return OPENAI_STORE;
	}
	/* What is left of the budget is this month's, whatever is asked for. */
	if (use_of_key(c, text_month_of(c->now), budget_next_month(c->now),
		&month) == -1) {
		usage_table_free(&asked.models);
		json_object_put(top);
		return OPENAI_STORE;
	}
	usage_table_free(&month.models);
	period = json_object_new_object();
	info_add_time(&period, "from", from);
	info_add_time(&period, "to", to);
	usage = json_object_new_object();
	add_use(&usage, &asked.sum);
	info_add(&usage, "models", models_used(&asked));
	usage_table_free(&asked.models);
	info_add_text(&top, "key_id", c->key.id);
	info_add(&top, "period", period);
	info_add(&top, "usage", usage);
	info_add(&top, "limits", info_limits(c));
	if (info_budget(&top, c, &month.sum) == 0)
		return answer_json(c, 200, top);
	json_object_put(top);
	return OPENAI_STORE;
}

enum openai_error
info_usage(struct call *c)
{
	const char *query = http_query(c->http);
	char text[256];
	struct form form;
	int64_t from, to;

	if (strlen(query) >= sizeof(text))
		return OPENAI_BAD_REQUEST;
	memcpy(text, query, strlen(query) + 1);
	if (form_parse(&form, text) == -1 ||
	    read_period(form_get(&form, "period"), c->now, &from, &to) == -1)
		return OPENAI_BAD_REQUEST;
	return answer_use(c, from, to);
}
