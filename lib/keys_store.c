/* Keys made, changed and deleted: each change is one edit of the store. */
#include "keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db_watch.h"
#include "keys_record.h"
#include "log.h"
#include "text.h"

/* Far more keys than an organisation makes. */
#define KEYS_IDS_MAX ((size_t)64 << 20)

struct keys_edit {
	struct db *db;
	char *path;
	struct buf val; /* a record's text, of no meaning between calls */
};

struct keys_edit *
keys_edit(const char *state_dir)
{
	struct keys_edit *e = calloc(1, sizeof(*e));

	if (e == NULL || (e->path = keys_path(state_dir)) == NULL) {
		log_warn("cannot edit the keys in '%s'", state_dir);
		free(e);
		return NULL;
	}
	e->val = (struct buf)BUF(KEYS_RECORD_MAX);
	if ((e->db = db_edit(e->path)) == NULL) {
		keys_edit_close(e);
		return NULL;
	}
	return e;
}

void
keys_edit_close(struct keys_edit *e)
{
	if (e == NULL)
		return;
	db_close(e->db);
	buf_free(&e->val);
	free(e->path);
	free(e);
}

enum keys_result
keys_edit_commit(struct keys_edit *e)
{
	int done = db_watch_commit(e->db);

	e->db = NULL;
	keys_edit_close(e);
	return done == 0 ? KEYS_OK : KEYS_ERROR;
}

/* Commits what went well, drops the rest. */
static enum keys_result
finish(struct keys_edit *e, enum keys_result result)
{
	if (result == KEYS_OK)
		return keys_edit_commit(e);
	keys_edit_close(e);
	return result;
}

/* Leaves the record's text in e->val. */
static enum keys_result
get_record(struct keys_edit *e, const char *id, struct keys_record *record)
{
	return keys_record_get(e->db, e->path, id, &e->val, record);
}

/* Writes a key's main record over the text 'old', or anew when NULL. */
static enum keys_result
put_record(struct keys_edit *e, const struct keys_record *record,
    const struct buf *old)
{
	struct buf text = BUF(KEYS_RECORD_MAX);
	const char *problem = key_problem(&record->key);
	enum keys_result result = KEYS_ERROR;
	char name[KEYS_NAME_SIZE];

	if (problem != NULL) {
		log_warnx("%s", problem);
		return KEYS_MALFORMED;
	}
	keys_name_by_id(name, record->key.id);
	if (keys_record_write(record, old, &text) == -1)
		log_warn("cannot write a key's record");
	else if (db_put(e->db, name, text.data, text.len) == 0)
		result = KEYS_OK;
	buf_free(&text);
	return result;
}

static enum keys_result
add_record(struct keys_edit *e, const struct keys_record *record)
{
	char by_id[KEYS_NAME_SIZE], by_hash[KEYS_NAME_SIZE];
	enum keys_result result;
	int id, hash;

	keys_name_by_hash(by_hash, record->hash);
	id = db_get(e->db, keys_name_by_id(by_id, record->key.id), &e->val);
	hash = db_get(e->db, by_hash, &e->val);
	if (id == -1 || hash == -1)
		return KEYS_ERROR;
	if (id == 1 || hash == 1)
		return KEYS_EXISTS;
	if ((result = put_record(e, record, NULL)) != KEYS_OK)
		return result;
	if (db_put(e->db, by_hash, record->key.id, strlen(record->key.id)) ==
	    -1)
		return KEYS_ERROR;
	return KEYS_OK;
}

enum keys_result
keys_edit_add(struct keys_edit *e, const struct key *key,
    const unsigned char hash[SECRET_DIGEST_LEN])
{
	struct keys_record record = { .key = *key };

	memcpy(record.hash, hash, sizeof(record.hash));
	return add_record(e, &record);
}

enum keys_result
keys_add(const char *state_dir, const struct key *key,
    const unsigned char hash[SECRET_DIGEST_LEN])
{
	struct keys_edit *e = keys_edit(state_dir);

	if (e == NULL)
		return KEYS_ERROR;
	return finish(e, keys_edit_add(e, key, hash));
}

/* Fills in what a new key has of its own: id, time, hash and last four. */
static void
make_new(struct keys_record *record, int64_t now, char secret[KEYS_SECRET_SIZE])
{
	unsigned char random[SECRET_DIGEST_LEN], id[8];
	char hex[2 * sizeof(id) + 1];

	secret_random(random, sizeof(random));
	secret_random(id, sizeof(id));
	memcpy(secret, "pm_", 3);
	secret_base64url(secret + 3, random, sizeof(random));
	secret_wipe(random, sizeof(random));
	secret_sha256(record->hash, secret, strlen(secret));
	snprintf(record->key.id, sizeof(record->key.id), "key_%s",
	    text_hex(hex, id, sizeof(id)));
	memcpy(record->key.last4, secret + strlen(secret) - 4, 5);
	record->key.created = now;
	record->key.successor[0] = record->key.family[0] = '\0';
}

enum keys_result
keys_create(const char *state_dir, struct key *key, int64_t now,
    char secret[KEYS_SECRET_SIZE])
{
	struct keys_record record = { .key = *key };
	struct keys_edit *e = keys_edit(state_dir);
	enum keys_result result;

	if (e == NULL)
		return KEYS_ERROR;
	make_new(&record, now, secret);
	if ((result = finish(e, add_record(e, &record))) == KEYS_OK)
		*key = record.key;
	else
		secret_wipe(secret, KEYS_SECRET_SIZE);
	return result;
}

enum keys_result
keys_save(const char *state_dir, const struct key *key)
{
	struct keys_edit *e = keys_edit(state_dir);
	struct keys_record record;
	enum keys_result result;

	if (e == NULL)
		return KEYS_ERROR;
	if ((result = get_record(e, key->id, &record)) == KEYS_OK) {
		record.key = *key;
		result = put_record(e, &record, &e->val);
	}
	return finish(e, result);
}

enum keys_result
keys_change(const char *state_dir, const char *id,
    void (*change)(struct key *, const void *), const void *arg,
    struct key *out)
{
	struct keys_edit *e = keys_edit(state_dir);
	struct keys_record record;
	enum keys_result result;

	if (e == NULL)
		return KEYS_ERROR;
	if ((result = get_record(e, id, &record)) == KEYS_OK) {
		change(&record.key, arg);
		result = put_record(e, &record, &e->val);
		*out = record.key;
	}
	return finish(e, result);
}

/* Ids of all keys, one after the other with their NULs. */
static int
note_id(const char *name, const char *val, size_t len, void *arg)
{
	const char *id = name + strlen(KEYS_BY_ID);

	(void)val;
	(void)len;
	return buf_add(arg, id, strlen(id) + 1);
}

static enum keys_result
change_one(struct keys_edit *e, const char *id,
    int (*change)(struct key *, void *), void *arg)
{
	struct keys_record record;
	char name[KEYS_NAME_SIZE];

	/* One that cannot be read now may be of use again in a moment. */
	if (db_get(e->db, keys_name_by_id(name, id), &e->val) != 1)
		return KEYS_ERROR;
	if (keys_record_parse(id, e->val.data, e->val.len, &record) == -1) {
		log_warnx("the record of '%s' in '%s' is damaged", id, e->path);
		return KEYS_OK; /* nobody can use it */
	}
	if (!change(&record.key, arg))
		return KEYS_OK;
	return put_record(e, &record, &e->val);
}

enum keys_result
keys_change_all(
    const char *state_dir, int (*change)(struct key *, void *), void *arg)
{
	struct keys_edit *e = keys_edit(state_dir);
	struct buf ids = BUF(KEYS_IDS_MAX);
	enum keys_result result = KEYS_OK;

	if (e == NULL)
		return KEYS_ERROR;
	if (db_each(e->db, KEYS_BY_ID, note_id, &ids) != 0) {
		log_warnx("cannot list the keys in '%s'", e->path);
		result = KEYS_ERROR;
	}
	for (const char *id = ids.data;
	     result == KEYS_OK && id < ids.data + ids.len; id += strlen(id) + 1)
		result = change_one(e, id, change, arg);
	buf_free(&ids);
	return finish(e, result);
}

/* The old key's end: when the grace is over, or before if it is due then. */
static void
retire(struct key *old, const char *successor, int64_t end)
{
	if (old->expires == 0 || old->expires > end)
		old->expires = end;
	snprintf(old->successor, sizeof(old->successor), "%s", successor);
}

static enum keys_result
rotate(struct keys_edit *e, struct keys_record *old, int64_t now,
    int64_t grace_s, struct key *successor, char secret[KEYS_SECRET_SIZE])
{
	struct keys_record fresh = { .key = old->key };
	enum keys_result result;

	if (old->key.disabled) {
		log_warnx("'%s' is disabled", old->key.id);
		return KEYS_DISABLED;
	}
	if (old->key.expires != 0)
		fresh.key.expires = now + (old->key.expires - old->key.created);
	make_new(&fresh, now, secret);
	keys_family_of(old->key.family, &old->key);
	memcpy(fresh.key.family, old->key.family, sizeof(fresh.key.family));
	retire(&old->key, fresh.key.id, now + grace_s);
	/* First the old one, whose text add_record would overwrite. */
	if ((result = put_record(e, old, &e->val)) == KEYS_OK)
		result = add_record(e, &fresh);
	if (result == KEYS_OK &&
	    (keys_family_add(e->db, old->key.family, old->key.id) == -1 ||
		keys_family_add(e->db, old->key.family, fresh.key.id) == -1))
		result = KEYS_ERROR;
	*successor = fresh.key;
	return result;
}

enum keys_result
keys_rotate(const char *state_dir, const char *id, int64_t now, int64_t grace_s,
    struct key *successor, char secret[KEYS_SECRET_SIZE])
{
	struct keys_edit *e = keys_edit(state_dir);
	struct keys_record old;
	enum keys_result result;

	if (e == NULL)
		return KEYS_ERROR;
	if ((result = get_record(e, id, &old)) == KEYS_OK)
		result = rotate(e, &old, now, grace_s, successor, secret);
	if ((result = finish(e, result)) != KEYS_OK)
		secret_wipe(secret, KEYS_SECRET_SIZE);
	return result;
}

struct owner {
	const char *id;
	char name[KEYS_NAME_SIZE];
};

static int
find_hash_of(const char *name, const char *val, size_t len, void *arg)
{
	struct owner *owner = arg;

	(void)len;
	if (strcmp(val, owner->id) != 0 || strlen(name) >= KEYS_NAME_SIZE)
		return 0;
	memcpy(owner->name, name, strlen(name) + 1);
	return 1;
}

/*
 * Looks for the hash among all, because a record that is damaged must be
 * deletable as well.
 */
static enum keys_result
delete_record(struct keys_edit *e, const char *id)
{
	struct owner owner = { .id = id };
	char by_id[KEYS_NAME_SIZE];
	int got;

	if (strlen(id) >= KEYS_ID_SIZE)
		return KEYS_UNKNOWN;
	got = db_del(e->db, keys_name_by_id(by_id, id));
	if (got != 1)
		return got == 0 ? KEYS_UNKNOWN : KEYS_ERROR;
	got = db_each(e->db, KEYS_BY_HASH, find_hash_of, &owner);
	if (got == 1)
		got = db_del(e->db, owner.name);
	return got == -1 ? KEYS_ERROR : KEYS_OK;
}

enum keys_result
keys_delete(const char *state_dir, const char *id)
{
	struct keys_edit *e = keys_edit(state_dir);

	if (e == NULL)
		return KEYS_ERROR;
	return finish(e, delete_record(e, id));
}

/* A key that names another as its successor. */
struct heir {
	const char *id;
	struct keys_record record;
};

static int
find_heir(const char *name, const char *val, size_t len, void *arg)
{
	struct heir *heir = arg;

	return keys_record_parse(
		   name + strlen(KEYS_BY_ID), val, len, &heir->record) == 0 &&
	    strcmp(heir->record.key.successor, heir->id) == 0;
}

static enum keys_result
erase_record(struct keys_edit *e, const char *id)
{
	enum keys_result result = delete_record(e, id);
	struct heir heir = { .id = id };
	char name[KEYS_ID_SIZE];
	int got = 0;

	if (result == KEYS_ERROR)
		return result;
	while ((got = db_each(e->db, KEYS_BY_ID, find_heir, &heir)) == 1) {
		/* The record is read anew, over the id as well. */
		memcpy(name, heir.record.key.id, sizeof(name));
		result = get_record(e, name, &heir.record);
		if (result != KEYS_OK)
			return result;
		heir.record.key.successor[0] = '\0';
		result = put_record(e, &heir.record, &e->val);
		if (result != KEYS_OK)
			return result;
	}
	if (got != 0 || keys_family_forget(e->db, id) == -1)
		return KEYS_ERROR;
	return KEYS_OK;
}

enum keys_result
keys_erase(const char *state_dir, const char *id)
{
	struct keys_edit *e = keys_edit(state_dir);
	enum keys_result result;
	char *path;

	if (e == NULL)
		return KEYS_ERROR;
	if ((result = finish(e, erase_record(e, id))) != KEYS_OK)
		return result;
	/* The names of records that are gone still stand in the file. */
	if ((path = keys_path(state_dir)) == NULL || db_compact(path) == -1)
		result = KEYS_ERROR;
	free(path);
	return result;
}
