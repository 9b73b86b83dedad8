/* What a key's settings may be, and what they allow. */
#include "keys.h"

#include <string.h>

/* The end of the year 9999, as far as times can be written down. */
#define TIME_MAX INT64_C(253402300799)
/* Further than any limit means anything; sums of them stay far from 2^63. */
#define COUNT_MAX INT64_C(1000000000000)
#define EUR_MAX INT64_C(1000000000000000) /* a million, in nano-EUR */

/*
 * The code point at 's' (RFC 3629), and *n, its length in bytes; -1 when the
 * bytes are no UTF-8. NUL ends the text and so breaks a sequence, too.
 */
static int32_t
code_point(const unsigned char *s, size_t *n)
{
	static const int32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	int32_t c;

	*n = s[0] < 0x80 ? 1 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (*n == 1)
		return s[0];
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return -1;
	c = s[0] & (0x7f >> *n);
	for (size_t i = 1; i < *n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return -1;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < least[*n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return -1;
	return c;
}

/*
 * Control characters could rewrite a terminal, and those that turn the
 * writing direction could make a list say something else than it holds.
 */
static int
is_control(int32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x061c ||
	    c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
	    (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

static int
is_plain_text(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	int32_t c;
	size_t n;

	for (; *s != '\0'; s += n)
		if ((c = code_point(s, &n)) == -1 || is_control(c))
			return 0;
	return 1;
}

static int
is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	    (c >= 'A' && c <= 'Z');
}

static int
is_id(const char *id)
{
	size_t n = 0;

	while (is_alnum(id[n]) || (id[n] != '\0' && strchr("_.-", id[n])))
		n++;
	return n > 0 && id[n] == '\0';
}

/* A model's name up to a comma or the end; its length, or 0. */
static size_t
model_length(const char *s)
{
	size_t n = 0;

	while (is_alnum(s[n]) || (s[n] != '\0' && strchr("._:/=+@-", s[n])))
		n++;
	return s[n] == '\0' || s[n] == ',' ? n : 0;
}

static int
is_model_list(const char *s)
{
	size_t n;

	if (*s == '\0')
		return 1;
	for (;; s += n + 1) {
		if ((n = model_length(s)) == 0)
			return 0;
		if (s[n] == '\0')
			return 1;
	}
}

/* 1 when a comma-separated list names this. */
static int
is_listed(const char *list, const char *name, size_t len)
{
	for (;;) {
		size_t n = strcspn(list, ",");

		if (n == len && memcmp(list, name, len) == 0)
			return 1;
		if (list[n] == '\0')
			return 0;
		list += n + 1;
	}
}

int
key_allows(const struct key *key, const char *model)
{
	return key->models[0] == '\0' ||
	    (model[0] != '\0' && is_listed(key->models, model, strlen(model)));
}

/* Appends a name to the list unless it is there; 0, or -1 when full. */
static int
list_model(char models[KEYS_MODELS_SIZE], const char *name, size_t n)
{
	size_t len = strlen(models);

	if (len > 0 && is_listed(models, name, n))
		return 0;
	if (len + (len > 0) + n >= KEYS_MODELS_SIZE)
		return -1;
	if (len > 0)
		models[len++] = ',';
	memcpy(models + len, name, n);
	models[len + n] = '\0';
	return 0;
}

int
key_set_models(struct key *key, const char *list)
{
	char models[KEYS_MODELS_SIZE] = "";

	if (strcmp(list, "all") == 0) {
		key->models[0] = '\0';
		return 0;
	}
	for (;;) {
		size_t end, n;

		list += strspn(list, " ");
		end = strcspn(list, ",");
		for (n = end; n > 0 && list[n - 1] == ' '; n--)
			continue;
		if (n == 0 || list_model(models, list, n) == -1)
			return -1;
		if (list[end] == '\0')
			break;
		list += end + 1;
	}
	if (!is_model_list(models))
		return -1;
	memcpy(key->models, models, sizeof(models));
	return 0;
}

static int
is_within(int64_t value, int64_t max)
{
	return value >= 0 && value <= max;
}

const char *
key_problem(const struct key *key)
{
	if (!is_id(key->id))
		return "the id is not made of letters, digits and _ . -";
	if (!is_plain_text(key->label))
		return "the label is not UTF-8 without control characters";
	if (!is_plain_text(key->last4))
		return "the last four characters are not plain text";
	if (!is_model_list(key->models))
		return "the list of models holds what is no model's name";
	if (key->successor[0] != '\0' && !is_id(key->successor))
		return "the successor is not a key's id";
	if (!is_within(key->created, TIME_MAX) ||
	    !is_within(key->expires, TIME_MAX))
		return "a time is before 1970 or after 9999";
	if (!is_within(key->rate_limit, COUNT_MAX) ||
	    !is_within(key->tokens_per_minute, COUNT_MAX) ||
	    !is_within(key->parallel, COUNT_MAX) ||
	    !is_within(key->budget_eur, EUR_MAX) ||
	    !is_within(key->budget_tokens, COUNT_MAX))
		return "a limit is negative or too large";
	return NULL;
}
