/* Options that say what a key may do. */
#include "cli/key_options.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "lib/text.h"

/* One bit each; both options of the prompt cache set the same field. */
static unsigned
bit_of(enum key_option option)
{
	static const char letters[] = "lertpbBmc";
	const char *at =
	    strchr(letters, (int)(option == KEY_NO_CACHE ? KEY_CACHE : option));

	return 1U << (at - letters);
}

/* "90d" from now, a day or second of the calendar, or "never". */
static const char *
set_expires(struct key_options *o, const char *value)
{
	int64_t *expires = &o->wanted.expires;
	int64_t span;

	if (strcmp(value, "never") == 0)
		*expires = 0;
	else if (text_to_span(value, &span) == 0)
		*expires = o->now + span;
	else if (text_to_day(value, expires) == -1 &&
	    text_to_utc(value, expires) == -1)
		return "not a span like 90d, a day, a time in UTC, or never";
	/* 0 means never, so the first second of 1970 cannot be meant. */
	else if (*expires <= o->now)
		return "that time has passed";
	return NULL;
}

static const char *
set_limit(int64_t *limit, const char *value)
{
	if (text_to_i64(value, 0, INT64_MAX, limit) == -1)
		return "not a whole number; 0 is no limit";
	return NULL;
}

static const char *
set_eur(int64_t *budget, const char *value)
{
	if (text_to_eur(value, budget) == -1)
		return "not an amount of EUR like 20 or 7.50; 0 is no budget";
	return NULL;
}

static const char *
set_label(struct key_options *o, const char *value)
{
	if (strlen(value) >= sizeof(o->wanted.label))
		return "longer than 255 bytes";
	memcpy(o->wanted.label, value, strlen(value) + 1);
	return NULL;
}

static const char *
set_field(struct key_options *o, enum key_option option, const char *value)
{
	switch (option) {
	case KEY_LABEL:
		return set_label(o, value);
	case KEY_EXPIRES:
		return set_expires(o, value);
	case KEY_RATE_LIMIT:
		return set_limit(&o->wanted.rate_limit, value);
	case KEY_TOKENS:
		return set_limit(&o->wanted.tokens_per_minute, value);
	case KEY_PARALLEL:
		return set_limit(&o->wanted.parallel, value);
	case KEY_BUDGET_EUR:
		return set_eur(&o->wanted.budget_eur, value);
	case KEY_BUDGET_TOKENS:
		return set_limit(&o->wanted.budget_tokens, value);
	case KEY_MODELS:
		if (key_set_models(&o->wanted, value) == 0)
			return NULL;
		return "not a list of models' names like a,b, or all";
	case KEY_CACHE:
	case KEY_NO_CACHE:
		o->wanted.prompt_cache = option == KEY_CACHE;
	}
	return NULL;
}

const char *
key_options_set(
    struct key_options *o, enum key_option option, const char *value)
{
	const char *problem = set_field(o, option, value);

	o->given |= bit_of(option);
	if (problem != NULL)
		return problem;
	/* The rest is as a key's must be; an id it has not yet. */
	snprintf(o->wanted.id, sizeof(o->wanted.id), "none");
	return key_problem(&o->wanted);
}

int
key_options_given(const struct key_options *o, enum key_option option)
{
	return (o->given & bit_of(option)) != 0;
}

int
key_options_any(const struct key_options *o)
{
	return o->given != 0;
}

void
key_options_apply(struct key *key, const void *options)
{
	const struct key_options *o = options;
	const struct key *w = &o->wanted;

	if (key_options_given(o, KEY_LABEL))
		memcpy(key->label, w->label, sizeof(key->label));
	if (key_options_given(o, KEY_EXPIRES))
		key->expires = w->expires;
	if (key_options_given(o, KEY_RATE_LIMIT))
		key->rate_limit = w->rate_limit;
	if (key_options_given(o, KEY_TOKENS))
		key->tokens_per_minute = w->tokens_per_minute;
	if (key_options_given(o, KEY_PARALLEL))
		key->parallel = w->parallel;
	if (key_options_given(o, KEY_BUDGET_EUR))
		key->budget_eur = w->budget_eur;
	if (key_options_given(o, KEY_BUDGET_TOKENS))
		key->budget_tokens = w->budget_tokens;
	if (key_options_given(o, KEY_MODELS))
		memcpy(key->models, w->models, sizeof(key->models));
	if (key_options_given(o, KEY_CACHE))
		key->prompt_cache = w->prompt_cache;
}
