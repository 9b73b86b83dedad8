/* A key's record as JSON, and the names it goes by. */
#include "keys_record.h"

#include <json-c/json.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "json.h"
#include "log.h"
#include "text.h"

#define VERSION 1

static const struct number {
	const char *name;
	size_t at;
} numbers[] = {
	{ "created", offsetof(struct key, created) },
	{ "expires", offsetof(struct key, expires) },
	{ "rate_limit", offsetof(struct key, rate_limit) },
	{ "tokens_per_minute", offsetof(struct key, tokens_per_minute) },
	{ "parallel", offsetof(struct key, parallel) },
	{ "budget_eur", offsetof(struct key, budget_eur) },
	{ "budget_tokens", offsetof(struct key, budget_tokens) },
};

static const struct flag {
	const char *name;
	size_t at;
} flags[] = {
	{ "disabled", offsetof(struct key, disabled) },
	{ "disabled_all", offsetof(struct key, disabled_all) },
	{ "prompt_cache", offsetof(struct key, prompt_cache) },
};

static const struct text {
	const char *name;
	size_t at, size;
} texts[] = {
	{ "label", offsetof(struct key, label), KEYS_LABEL_SIZE },
	{ "last4", offsetof(struct key, last4),
	    sizeof(((struct key *)0)->last4) },
	{ "models", offsetof(struct key, models), KEYS_MODELS_SIZE },
	{ "successor", offsetof(struct key, successor), KEYS_ID_SIZE },
	{ "family", offsetof(struct key, family), KEYS_FAMILY_SIZE },
};

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

char *
keys_path(const char *state_dir)
{
	char *path;

	return asprintf(&path, "%s/keys.gdbm", state_dir) == -1 ? NULL : path;
}

char *
keys_name_by_id(char dst[KEYS_NAME_SIZE], const char *id)
{
	snprintf(dst, KEYS_NAME_SIZE, KEYS_BY_ID "%s", id);
	return dst;
}

char *
keys_name_by_hash(
    char dst[KEYS_NAME_SIZE], const unsigned char hash[SECRET_DIGEST_LEN])
{
	memcpy(dst, KEYS_BY_HASH, 2);
	text_hex(dst + 2, hash, SECRET_DIGEST_LEN);
	return dst;
}

static int64_t
number_in(const struct key *key, const struct number *n)
{
	int64_t value;

	memcpy(&value, (const char *)key + n->at, sizeof(value));
	return value;
}

/* What is read of a record, in this order: texts, numbers, flags, these two. */
enum {
	FIRST_NUMBER = LENGTH(texts),
	FIRST_FLAG = FIRST_NUMBER + LENGTH(numbers),
	HASH = FIRST_FLAG + LENGTH(flags),
	RECORD_VERSION,
	MEMBERS
};

/* Room for a number, which is also what a flag and the version are as text. */
#define NUMBER_SIZE 24

struct reading {
	struct json_skim skim;
	struct json_member member[MEMBERS];
	char number[MEMBERS][NUMBER_SIZE];
	char hash[2 * SECRET_DIGEST_LEN + 1];
};

/* Names what is wanted; texts go straight to where they belong. */
static void
begin_reading(struct reading *r, struct key *key)
{
	for (size_t i = 0; i < MEMBERS; i++)
		r->member[i] = (struct json_member){ .text = r->number[i],
			.size = NUMBER_SIZE };
	for (size_t i = 0; i < LENGTH(texts); i++)
		r->member[i] = (struct json_member){ .path = texts[i].name,
			.text = (char *)key + texts[i].at,
			.size = texts[i].size };
	for (size_t i = 0; i < LENGTH(numbers); i++)
		r->member[FIRST_NUMBER + i].path = numbers[i].name;
	for (size_t i = 0; i < LENGTH(flags); i++)
		r->member[FIRST_FLAG + i].path = flags[i].name;
	r->member[HASH] = (struct json_member){
		.path = "hash", .text = r->hash, .size = sizeof(r->hash)
	};
	r->member[RECORD_VERSION].path = "version";
	json_skim_init(&r->skim, r->member, MEMBERS);
}

/* An absent member leaves the field empty or 0; a wrong one is -1. */
static int
take_values(const struct reading *r, struct key *key)
{
	const struct json_member *m = r->member;
	int64_t number;

	for (size_t i = 0; i < LENGTH(texts); i++, m++)
		if (m->type != JSON_ABSENT &&
		    (m->type != JSON_STRING || m->truncated))
			return -1;
	for (size_t i = 0; i < LENGTH(numbers); i++, m++) {
		if (m->type == JSON_ABSENT)
			continue;
		if (json_member_i64(m, INT64_MIN, INT64_MAX, &number) == -1)
			return -1;
		memcpy((char *)key + numbers[i].at, &number, sizeof(number));
	}
	for (size_t i = 0; i < LENGTH(flags); i++, m++) {
		int on = m->type == JSON_TRUE;

		if (m->type != JSON_ABSENT && !on && m->type != JSON_FALSE)
			return -1;
		memcpy((char *)key + flags[i].at, &on, sizeof(on));
	}
	return 0;
}

static int
take_members(const struct reading *r, struct keys_record *record)
{
	const struct json_member *hash = &r->member[HASH];
	struct key *key = &record->key;
	int64_t version;

	/* Nothing is known of how a later version would read its records. */
	if (json_member_i64(
		&r->member[RECORD_VERSION], VERSION, VERSION, &version) == -1)
		return -1;
	if (hash->type != JSON_STRING || hash->truncated ||
	    text_unhex(record->hash, SECRET_DIGEST_LEN, hash->text) == -1 ||
	    take_values(r, key) == -1)
		return -1;
	/* Enabled in between, it is no longer one of those. */
	key->disabled_all = key->disabled && key->disabled_all;
	return key_problem(key) == NULL ? 0 : -1;
}

/* The one whole JSON value that the text is, or NULL. */
static struct json_object *
parse_json(const char *text, size_t len)
{
	struct json_tokener *tokener = json_tokener_new_ex(8);
	struct json_object *value;

	if (tokener == NULL || len > KEYS_RECORD_MAX) {
		if (tokener != NULL)
			json_tokener_free(tokener);
		return NULL;
	}
	/* Not strictly: so json-c 0.18 would refuse all beyond ASCII. */
	json_tokener_set_flags(tokener, JSON_TOKENER_VALIDATE_UTF8);
	value = json_tokener_parse_ex(tokener, text, (int)len);
	if (value != NULL && json_tokener_get_parse_end(tokener) != len) {
		json_object_put(value);
		value = NULL;
	}
	json_tokener_free(tokener);
	return value;
}

/* Skimmed, not made a tree of: a list reads thousands. */
int
keys_record_parse(
    const char *id, const char *text, size_t len, struct keys_record *record)
{
	struct reading r = { .hash = "" };
	int bad;

	memset(record, 0, sizeof(*record));
	(void)snprintf(record->key.id, sizeof(record->key.id), "%s", id);
	if (len > KEYS_RECORD_MAX)
		return -1;
	begin_reading(&r, &record->key);
	bad = json_skim_feed(&r.skim, text, len) == -1 ||
	    json_skim_end(&r.skim) == -1 || take_members(&r, record) == -1;
	return bad ? -1 : 0;
}

int
keys_record_glance(const char *text, size_t len, struct keys_record *record)
{
	char number[2][NUMBER_SIZE], hash[2 * SECRET_DIGEST_LEN + 1];
	struct json_member m[] = {
		{ .path = "version", .text = number[0], .size = NUMBER_SIZE },
		{ .path = "expires", .text = number[1], .size = NUMBER_SIZE },
		{ .path = "hash", .text = hash, .size = sizeof(hash) },
		{ .path = "disabled" },
	};
	struct json_skim skim;
	int64_t version;

	memset(record, 0, sizeof(*record));
	json_skim_init(&skim, m, LENGTH(m));
	if (len > KEYS_RECORD_MAX || json_skim_feed(&skim, text, len) == -1 ||
	    json_skim_end(&skim) == -1 ||
	    json_member_i64(&m[0], VERSION, VERSION, &version) == -1 ||
	    (m[1].type != JSON_ABSENT &&
		json_member_i64(&m[1], 0, INT64_MAX, &record->key.expires) ==
		    -1) ||
	    m[2].type != JSON_STRING || m[2].truncated ||
	    text_unhex(record->hash, SECRET_DIGEST_LEN, hash) == -1 ||
	    (m[3].type != JSON_ABSENT && m[3].type != JSON_TRUE &&
		m[3].type != JSON_FALSE))
		return -1;
	record->key.disabled = m[3].type == JSON_TRUE;
	return 0;
}

/* Takes over 'member', which is NULL when there was no memory for it. */
static int
set(struct json_object *to, const char *name, struct json_object *member)
{
	if (member != NULL && json_object_object_add(to, name, member) == 0)
		return 0;
	json_object_put(member);
	return -1;
}

static int
set_members(struct json_object *to, const struct keys_record *record)
{
	const char *key = (const char *)&record->key;
	char hash[2 * SECRET_DIGEST_LEN + 1];
	int bad;

	text_hex(hash, record->hash, SECRET_DIGEST_LEN);
	bad = set(to, "version", json_object_new_int(VERSION));
	bad |= set(to, "hash", json_object_new_string(hash));
	for (size_t i = 0; i < LENGTH(texts); i++)
		bad |= set(to, texts[i].name,
		    json_object_new_string(key + texts[i].at));
	for (size_t i = 0; i < LENGTH(numbers); i++)
		bad |= set(to, numbers[i].name,
		    json_object_new_int64(
			number_in(&record->key, &numbers[i])));
	for (size_t i = 0; i < LENGTH(flags); i++) {
		int value;

		memcpy(&value, key + flags[i].at, sizeof(value));
		bad |= set(to, flags[i].name, json_object_new_boolean(value));
	}
	return bad;
}

int
keys_record_write(
    const struct keys_record *record, const struct buf *old, struct buf *out)
{
	struct json_object *value =
	    old == NULL ? NULL : parse_json(old->data, old->len);
	const char *text = NULL;

	buf_reset(out);
	/*
	 * What is unknown here may be damaged, and then goes: a key that can
	 * be used must be one that can be disabled.
	 */
	if (value == NULL)
		value = json_object_new_object();
	if (json_object_is_type(value, json_type_object) &&
	    set_members(value, record) == 0)
		text = json_object_to_json_string_ext(
		    value, JSON_C_TO_STRING_PLAIN);
	if (text != NULL)
		(void)buf_puts(out, text); /* 'failed' tells */
	json_object_put(value);
	return text == NULL || out->failed ? -1 : 0;
}

enum keys_result
keys_record_get(struct db *db, const char *path, const char *id,
    struct buf *text, struct keys_record *record)
{
	char name[KEYS_NAME_SIZE];
	int got;

	/* Longer than any id, it would be cut to one. */
	if (strlen(id) >= KEYS_ID_SIZE)
		return KEYS_UNKNOWN;
	got = db_get(db, keys_name_by_id(name, id), text);
	if (got == 0)
		return KEYS_UNKNOWN;
	if (got == -1)
		return KEYS_ERROR;
	if (keys_record_parse(id, text->data, text->len, record) == 0)
		return KEYS_OK;
	log_warnx("the record of '%s' in '%s' is damaged", id, path);
	return KEYS_ERROR;
}
