/*
 * One key of an import file. Our own export and the predecessor differ in
 * names and in how they write times, so each member is read under both names
 * and times in both ways. What is not known is left alone.
 */
#include "cli/key_row.h"

#include <json-c/json.h>
#include <math.h>
#include <string.h>

#include "lib/secret.h"
#include "lib/text.h"

/* The member under either name; NULL when absent or null. */
static struct json_object *
find(struct json_object *row, const char *name, const char *legacy)
{
	struct json_object *member = NULL;

	if (!json_object_object_get_ex(row, name, &member) && legacy != NULL)
		(void)json_object_object_get_ex(row, legacy, &member);
	return member;
}

/* 0 with the text copied, or left alone when there is none; -1. */
static int
read_text(struct json_object *from, char *to, size_t size)
{
	const char *text;
	size_t len;

	if (from == NULL)
		return 0;
	if (!json_object_is_type(from, json_type_string))
		return -1;
	text = json_object_get_string(from);
	len = (size_t)json_object_get_string_len(from);
	if (len >= size || strlen(text) != len)
		return -1;
	memcpy(to, text, len + 1);
	return 0;
}

/*
 * Whole seconds. A time of 0 or before has passed, but 0 would mean never in
 * our records: it becomes the first second that has passed.
 */
static int
read_time(struct json_object *from, int64_t *unix_s)
{
	double seconds;

	if (from == NULL)
		return 0;
	if (json_object_is_type(from, json_type_string)) {
		if (text_to_utc(json_object_get_string(from), unix_s) == -1)
			return -1;
	} else if (json_object_is_type(from, json_type_int) ||
	    json_object_is_type(from, json_type_double)) {
		seconds = json_object_get_double(from);
		if (!(fabs(seconds) < 1e15))
			return -1;
		*unix_s = (int64_t)seconds;
	} else {
		return -1;
	}
	if (*unix_s < 1)
		*unix_s = 1;
	return 0;
}

static int
read_count(struct json_object *from, int64_t *count)
{
	if (from == NULL)
		return 0;
	if (!json_object_is_type(from, json_type_int))
		return -1;
	*count = json_object_get_int64(from);
	return *count < 0 ? -1 : 0;
}

/* The number as it is written: a double would not keep it. */
static int
read_eur(struct json_object *from, int64_t *nano_eur)
{
	if (from == NULL)
		return 0;
	if (!json_object_is_type(from, json_type_int) &&
	    !json_object_is_type(from, json_type_double))
		return -1;
	return text_to_eur(json_object_get_string(from), nano_eur);
}

static int
read_flag(struct json_object *from, int *flag)
{
	if (from == NULL)
		return 0;
	if (!json_object_is_type(from, json_type_boolean))
		return -1;
	*flag = json_object_get_boolean(from) ? 1 : 0;
	return 0;
}

/* An array of names, joined; none allow all. */
static int
read_models(struct json_object *from, struct key *key)
{
	char list[KEYS_MODELS_SIZE] = "";
	size_t len = 0, n;

	if (from == NULL)
		return 0;
	if (!json_object_is_type(from, json_type_array))
		return -1;
	for (size_t i = 0; i < json_object_array_length(from); i++) {
		struct json_object *name = json_object_array_get_idx(from, i);

		if (i > 0 && len + 1 < sizeof(list))
			list[len++] = ',';
		if (name == NULL ||
		    read_text(name, list + len, sizeof(list) - len) == -1)
			return -1;
		n = strlen(list + len);
		/* One name must not become two, or none, or all. */
		if (n == 0 || memchr(list + len, ',', n) != NULL ||
		    strcmp(list + len, "all") == 0)
			return -1;
		len += n;
	}
	return len == 0 ? 0 : key_set_models(key, list);
}

/* The hash as it is, or of the key when the row holds that. */
static const char *
read_hash(struct json_object *row, struct key_row *out)
{
	struct json_object *hash = find(row, "key_hash", NULL);
	struct json_object *key = find(row, "key", NULL);
	unsigned char own[32];
	const char *text;
	size_t len;

	if (hash != NULL &&
	    (!json_object_is_type(hash, json_type_string) ||
		text_unhex(out->hash, 32, json_object_get_string(hash)) == -1))
		return "\"key_hash\" is not a SHA-256 in hex";
	if (key == NULL)
		return hash == NULL ? "there is no \"key_hash\"" : NULL;
	if (!json_object_is_type(key, json_type_string))
		return "\"key\" is not text";
	text = json_object_get_string(key);
	len = (size_t)json_object_get_string_len(key);
	if (len == 0 || len > KEYS_TOKEN_MAX)
		return "\"key\" is empty or too long";
	secret_sha256(own, text, len);
	if (hash != NULL && !secret_equal(own, out->hash, 32))
		return "\"key_hash\" is not the hash of \"key\"";
	memcpy(out->hash, own, 32);
	/* Of a short key, four characters would be too much. */
	if (len >= 16 && out->key.last4[0] == '\0')
		memcpy(out->key.last4, text + len - 4, 5);
	return NULL;
}

static const char *
read_times(struct json_object *row, struct key *key)
{
	if (read_time(find(row, "created", "created_at"), &key->created) == -1)
		return "\"created\" is not a time";
	if (read_time(find(row, "expires", "expires_at"), &key->expires) == -1)
		return "\"expires\" is neither a time nor null";
	return NULL;
}

static const char *
read_limits(struct json_object *row, struct key *key)
{
	if (read_count(find(row, "rate_limit", NULL), &key->rate_limit) == -1)
		return "\"rate_limit\" is neither a whole number nor null";
	if (read_count(find(row, "tokens_per_minute", NULL),
		&key->tokens_per_minute) == -1)
		return "\"tokens_per_minute\" is neither a whole number nor "
		       "null";
	if (read_count(find(row, "parallel", NULL), &key->parallel) == -1)
		return "\"parallel\" is neither a whole number nor null";
	if (read_eur(find(row, "budget_eur", NULL), &key->budget_eur) == -1)
		return "\"budget_eur\" is neither an amount of EUR nor null";
	if (read_count(find(row, "budget_tokens", NULL), &key->budget_tokens) ==
	    -1)
		return "\"budget_tokens\" is neither a whole number nor null";
	return NULL;
}

static const char *
read_texts(struct json_object *row, struct key *key)
{
	if (read_text(find(row, "label", "description"), key->label,
		sizeof(key->label)) == -1)
		return "\"label\" is not text, or too long";
	if (read_text(
		find(row, "last4", NULL), key->last4, sizeof(key->last4)) == -1)
		return "\"last4\" is not four characters";
	if (read_text(find(row, "successor", NULL), key->successor,
		sizeof(key->successor)) == -1)
		return "\"successor\" is not an id";
	if (read_models(find(row, "models", NULL), key) == -1)
		return "\"models\" is not an array of models' names";
	return NULL;
}

static const char *
read_flags(struct json_object *row, struct key *key)
{
	int enabled = 1;

	if (read_flag(find(row, "enabled", NULL), &enabled) == -1)
		return "\"enabled\" is neither true nor false";
	if (read_flag(find(row, "prompt_cache", NULL), &key->prompt_cache) ==
	    -1)
		return "\"prompt_cache\" is neither true nor false";
	key->disabled = !enabled;
	return NULL;
}

const char *
key_row_read(struct json_object *row, int64_t now, struct key_row *out)
{
	const char *problem = NULL;

	memset(out, 0, sizeof(*out));
	out->key.created = now;
	if (!json_object_is_type(row, json_type_object))
		return "it is not an object";
	if (read_text(find(row, "key_id", NULL), out->key.id,
		sizeof(out->key.id)) == -1 ||
	    out->key.id[0] == '\0')
		return "\"key_id\" is missing, not text, or too long";
	if ((problem = read_texts(row, &out->key)) == NULL &&
	    (problem = read_times(row, &out->key)) == NULL &&
	    (problem = read_limits(row, &out->key)) == NULL &&
	    (problem = read_flags(row, &out->key)) == NULL &&
	    (problem = read_hash(row, out)) == NULL)
		problem = key_problem(&out->key);
	return problem;
}
