/* The fields of a key's settings. */
#include "key_form.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/text.h"

#define LIMIT_MAX INT64_C(1000000000000) /* as key_problem has it */

static const struct {
	const char *name, *label, *hint, *unit;
	int size, maxlength, numeric;
} fields[KEY_FIELD__MAX] = {
	[KEY_FIELD_LABEL] = { "label", N_("Label"),
	    N_("For yourselves: an app or a campaign rather than a name."),
	    NULL, 32, 255, 0 },
	[KEY_FIELD_EXPIRES] = { "expires", N_("Expires"),
	    N_("A span like 90d, a day like 2027-01-31 (UTC), or never."), NULL,
	    22, 30, 0 },
	[KEY_FIELD_RATE] = { "rate_limit", N_("Requests"),
	    N_("In a window as long as the settings say; empty is no limit."),
	    NULL, 12, 13, 1 },
	[KEY_FIELD_TOKENS] = { "tokens_per_minute", N_("Tokens a minute"),
	    N_("Empty is no limit."), NULL, 12, 13, 1 },
	[KEY_FIELD_PARALLEL] = { "parallel", N_("Requests at once"),
	    N_("Empty is no limit."), NULL, 12, 13, 1 },
	[KEY_FIELD_BUDGET_EUR] = { "budget_eur", N_("Budget a month, EUR"),
	    N_("Like 20 or 7.50; requests beyond are refused. Empty is none."),
	    NULL, 12, 20, 1 },
	[KEY_FIELD_BUDGET_TOKENS] = { "budget_tokens",
	    N_("Budget a month, tokens"), N_("Empty is none."), NULL, 12, 13,
	    1 },
	[KEY_FIELD_MODELS] = { "models", N_("Models"),
	    N_("Names with commas between, or all."), NULL, 32, 1000, 0 },
};

/* 0 is an empty field. */
static void
number_text(char *dst, size_t size, int64_t n)
{
	dst[0] = '\0';
	if (n != 0)
		(void)snprintf(dst, size, "%lld", (long long)n);
}

static void
value_of(const struct key *key, enum key_field field, char *dst, size_t size)
{
	char text[TEXT_UTC_SIZE + TEXT_EUR_SIZE];

	switch (field) {
	case KEY_FIELD_LABEL:
		(void)snprintf(dst, size, "%s", key->label);
		break;
	case KEY_FIELD_EXPIRES:
		(void)snprintf(dst, size, "%s",
		    key->expires == 0 ? "never" : text_utc(text, key->expires));
		break;
	case KEY_FIELD_RATE:
		number_text(dst, size, key->rate_limit);
		break;
	case KEY_FIELD_TOKENS:
		number_text(dst, size, key->tokens_per_minute);
		break;
	case KEY_FIELD_PARALLEL:
		number_text(dst, size, key->parallel);
		break;
	case KEY_FIELD_BUDGET_EUR:
		(void)snprintf(dst, size, "%s",
		    key->budget_eur == 0 ? ""
					 : text_eur(text, key->budget_eur));
		break;
	case KEY_FIELD_BUDGET_TOKENS:
		number_text(dst, size, key->budget_tokens);
		break;
	default:
		(void)snprintf(dst, size, "%s",
		    key->models[0] == '\0' ? "all" : key->models);
		break;
	}
}

static void
put_field(struct admin *a, const struct key *key, enum key_field i,
    const struct key_form *form)
{
	char value[KEYS_MODELS_SIZE];
	struct html_field f = { .name = fields[i].name,
		.label = _(fields[i].label),
		.value = value,
		.hint = _(fields[i].hint),
		.error = form->errors[i],
		.unit = fields[i].unit != NULL ? _(fields[i].unit) : NULL,
		.size = fields[i].size,
		.maxlength = fields[i].maxlength,
		.numeric = fields[i].numeric,
		.required = i == KEY_FIELD_LABEL };

	value_of(key, i, value, sizeof(value));
	if (form_get(&a->post, f.name) != NULL)
		f.value = admin_post(a, f.name);
	html_field(&a->out, &f);
}

void
key_form_put(
    struct admin *a, const struct key *key, const struct key_form *form)
{
	/* An unticked box sends nothing. */
	int cache = form_get(&a->post, "label") != NULL
	    ? form_get(&a->post, "prompt_cache") != NULL
	    : key->prompt_cache;

	put_field(a, key, KEY_FIELD_LABEL, form);
	put_field(a, key, KEY_FIELD_EXPIRES, form);
	html(&a->out, "<fieldset><legend>%s</legend>\n", _("Limits"));
	for (enum key_field i = KEY_FIELD_RATE; i <= KEY_FIELD_BUDGET_TOKENS;
	     i++)
		put_field(a, key, i, form);
	html(&a->out, "</fieldset>\n");
	put_field(a, key, KEY_FIELD_MODELS, form);
	html_checkbox(&a->out, "prompt_cache",
	    _("Prompt cache: faster with long, repeated prompts; shared with "
	      "no other key"),
	    cache);
}

static void
fail(struct key_form *form, enum key_field field, const char *error)
{
	form->errors[field] = error;
	form->n_errors++;
}

/* Without the blanks that a phone's keyboard adds. */
static void
typed(const struct admin *a, enum key_field field, char *dst, size_t size)
{
	const char *value = admin_post(a, fields[field].name);
	size_t n;

	value += strspn(value, " \t");
	n = strlen(value);
	while (n > 0 && (value[n - 1] == ' ' || value[n - 1] == '\t'))
		n--;
	(void)snprintf(dst, size, "%.*s", (int)n, value);
}

static void
read_label(struct admin *a, struct key *key, struct key_form *form)
{
	char text[KEYS_LABEL_SIZE + 1];

	typed(a, KEY_FIELD_LABEL, text, sizeof(text));
	if (text[0] == '\0')
		fail(form, KEY_FIELD_LABEL, _("Give it a label."));
	else if (strlen(text) >= KEYS_LABEL_SIZE)
		fail(form, KEY_FIELD_LABEL, _("At most 255 bytes."));
	else {
		struct key probe = { .id = "none" };

		memcpy(probe.label, text, strlen(text) + 1);
		if (key_problem(&probe) != NULL)
			fail(form, KEY_FIELD_LABEL,
			    _("No control characters or marks that turn the "
			      "writing direction."));
		else
			memcpy(key->label, text, strlen(text) + 1);
	}
}

static void
read_expires(struct admin *a, struct key *key, struct key_form *form)
{
	char text[64], before[64];
	int64_t span, expires;

	typed(a, KEY_FIELD_EXPIRES, text, sizeof(text));
	value_of(key, KEY_FIELD_EXPIRES, before, sizeof(before));
	if (strcmp(text, before) == 0)
		return;
	if (text[0] == '\0' || strcasecmp(text, "never") == 0)
		key->expires = 0;
	else if (text_to_span(text, &span) == 0)
		key->expires = a->now + span;
	else if (text_to_day(text, &expires) == -1 &&
	    text_to_utc(text, &expires) == -1)
		fail(form, KEY_FIELD_EXPIRES,
		    _("Not a span like 90d, a day like 2027-01-31, or never."));
	else if (expires <= a->now)
		fail(form, KEY_FIELD_EXPIRES,
		    _("That time has passed. To end a key, disable it."));
	else
		key->expires = expires;
}

static void
read_limit(struct admin *a, enum key_field field, int64_t *limit,
    struct key_form *form)
{
	char text[64];
	int64_t n = 0;

	typed(a, field, text, sizeof(text));
	if (text[0] != '\0' && text_to_i64(text, 0, LIMIT_MAX, &n) == -1)
		fail(form, field, _("Not a whole number up to 1000000000000."));
	else
		*limit = n;
}

static void
read_budget(struct admin *a, struct key *key, struct key_form *form)
{
	int64_t before = key->budget_eur;
	char text[64];

	typed(a, KEY_FIELD_BUDGET_EUR, text, sizeof(text));
	key->budget_eur = 0;
	if (text[0] != '\0' &&
	    (text_to_eur(text, &key->budget_eur) == -1 ||
		key_problem(key) != NULL)) {
		key->budget_eur = before;
		fail(form, KEY_FIELD_BUDGET_EUR,
		    _("Not an amount of EUR like 20 or 7.50."));
	}
}

static void
read_models(struct admin *a, struct key *key, struct key_form *form)
{
	char text[KEYS_MODELS_SIZE + 1];

	typed(a, KEY_FIELD_MODELS, text, sizeof(text));
	if (key_set_models(key, text[0] == '\0' ? "all" : text) == -1)
		fail(form, KEY_FIELD_MODELS,
		    _("Not names of models with commas between, like a,b."));
}

void
key_form_read(struct admin *a, struct key *key, struct key_form *form)
{
	struct key before = *key;

	*form = (struct key_form){ .n_errors = 0 };
	/* Budgets are judged with an id that a new key has not yet. */
	if (key->id[0] == '\0')
		memcpy(key->id, "none", 5);
	read_label(a, key, form);
	read_expires(a, key, form);
	read_limit(a, KEY_FIELD_RATE, &key->rate_limit, form);
	read_limit(a, KEY_FIELD_TOKENS, &key->tokens_per_minute, form);
	read_limit(a, KEY_FIELD_PARALLEL, &key->parallel, form);
	read_budget(a, key, form);
	read_limit(a, KEY_FIELD_BUDGET_TOKENS, &key->budget_tokens, form);
	read_models(a, key, form);
	key->prompt_cache = form_get(&a->post, "prompt_cache") != NULL;
	memcpy(key->id, before.id, sizeof(key->id));
}
