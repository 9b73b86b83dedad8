/*
 * Whose key is it? One snapshot of the store a process, looked at by one
 * thread at a time for as long as two fetches take at most, and replaced by
 * whichever thread first finds that the file has changed.
 */
#include "keys.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db_watch.h"
#include "keys_recent.h"
#include "keys_record.h"
#include "log.h"

struct env_key {
	unsigned char hash[SECRET_DIGEST_LEN];
	struct key key;
};

struct keys {
	struct env_key *env;
	size_t n_env;
	const unsigned char *secret; /* of keys_count_by; NULL: not told */

	pthread_mutex_t lock; /* of all below */
	struct db_watch store;
	uint64_t snapshot; /* counts those that were opened */
	struct keys_recent *recent; /* of this snapshot */
	int locked; /* this snapshot says so */
	time_t logged_at;
	char decoy[KEYS_ID_SIZE]; /* some key of the snapshot, or "" */
};

/* Read in place of a record when there is not one key in the store. */
static const char no_record[] =
    "{\"version\":1,\"hash\":"
    "\"00000000000000000000000000000000"
    "00000000000000000000000000000000\","
    "\"label\":\"nobody\",\"last4\":\"0000\",\"models\":\"\","
    "\"successor\":\"\",\"family\":\"\",\"created\":0,\"expires\":0,\"rate_limit\":0,"
    "\"tokens_per_minute\":0,\"parallel\":0,\"budget_eur\":0,"
    "\"budget_tokens\":0,\"disabled\":true,"
    "\"prompt_cache\":false}";

/* The next entry that is not blank, or NULL; moves *list behind it. */
static const char *
next_entry(const char **list, size_t *len)
{
	while (**list != '\0') {
		const char *entry = *list + strspn(*list, " \t\r\n");
		size_t n = strcspn(entry, ",");

		*list = entry[n] == ',' ? entry + n + 1 : entry + n;
		while (n > 0 && strchr(" \t\r\n", entry[n - 1]) != NULL)
			n--;
		if (n > 0) {
			*len = n;
			return entry;
		}
	}
	return NULL;
}

/* Not text that a client could ever send as a key? Every byte is looked at. */
static int
is_malformed(const char *token, size_t len)
{
	int bad = len == 0 || len > KEYS_TOKEN_MAX;

	for (size_t i = 0; i < len && i < KEYS_TOKEN_MAX; i++) {
		unsigned char c = (unsigned char)token[i];

		bad |= (c < 0x20) | (c == 0x7f);
	}
	return bad;
}

static void
set_env_key(struct env_key *e, size_t i, const char *token, size_t len)
{
	secret_sha256(e->hash, token, len);
	snprintf(e->key.id, sizeof(e->key.id), "env_key_%zu", i);
	snprintf(
	    e->key.label, sizeof(e->key.label), "API_KEYS, number %zu", i + 1);
	/* The end of a short key would be too much of it. */
	if (len >= 16)
		memcpy(e->key.last4, token + len - 4, 4);
	if (is_malformed(token, len))
		log_warnx("%s can never be used: it is too long or holds "
			  "control characters",
		    e->key.id);
}

static int
set_env_keys(struct keys *k, const char *list)
{
	const char *rest = list, *token;
	size_t len, n = 0;

	while (next_entry(&rest, &len) != NULL)
		n++;
	if (n == 0)
		return 0;
	if ((k->env = calloc(n, sizeof(*k->env))) == NULL)
		return -1;
	n = 0;
	for (rest = list; (token = next_entry(&rest, &len)) != NULL; n++)
		set_env_key(&k->env[n], n, token, len);
	k->n_env = n;
	return 0;
}

static int
take_as_decoy(const char *name, const char *val, size_t len, void *arg)
{
	struct keys *k = arg;

	(void)val;
	(void)len;
	snprintf(k->decoy, sizeof(k->decoy), "%s", name + strlen(KEYS_BY_ID));
	return 1;
}

static int
look_for_lockdown(struct db *db)
{
	struct buf val = BUF(64);
	int locked = db_get(db, KEYS_LOCKDOWN, &val);

	buf_free(&val);
	return locked;
}

/* Makes the snapshot the store's newest; 0, or -1 when it cannot be read. */
static int
refresh(struct keys *k)
{
	int fresh = db_watch_refresh(&k->store);

	if (fresh != 1)
		return fresh;
	k->snapshot++;
	keys_recent_clear(k->recent);
	k->decoy[0] = '\0';
	if ((k->locked = look_for_lockdown(k->store.db)) != -1 &&
	    db_each(k->store.db, KEYS_BY_ID, take_as_decoy, k) != -1)
		return 0;
	db_watch_drop(&k->store);
	return -1;
}

struct keys *
keys_open(const char *state_dir, const char *env_keys)
{
	struct keys *k = calloc(1, sizeof(*k));
	char *path = keys_path(state_dir);

	if (k == NULL || path == NULL ||
	    (k->recent = keys_recent_new()) == NULL ||
	    set_env_keys(k, env_keys == NULL ? "" : env_keys) == -1 ||
	    pthread_mutex_init(&k->lock, NULL) != 0) {
		log_warn("cannot open the keys in '%s'", state_dir);
		free(path);
		if (k != NULL) {
			free(k->env);
			keys_recent_free(k->recent);
		}
		free(k);
		return NULL;
	}
	db_watch_init(&k->store, path);
	(void)refresh(k); /* what is wrong with it is better logged now */
	return k;
}

void
keys_close(struct keys *k)
{
	if (k == NULL)
		return;
	db_watch_close(&k->store);
	(void)pthread_mutex_destroy(&k->lock);
	if (k->env != NULL)
		secret_wipe(k->env, k->n_env * sizeof(*k->env));
	free(k->env);
	keys_recent_free(k->recent);
	free(k);
}

/* What one look-up found, or the decoy in its place. */
struct found {
	int known, locked;
	struct buf id, text;
	uint64_t snapshot;
};

/*
 * Both records of the key with that hash. One that is not there costs the
 * same: the second fetch then gets the decoy.
 */
static int
fetch(struct keys *k, const unsigned char hash[SECRET_DIGEST_LEN],
    struct found *f)
{
	char by_hash[KEYS_NAME_SIZE], by_id[KEYS_NAME_SIZE];
	int got;

	keys_name_by_hash(by_hash, hash);
	got = db_get(k->store.db, by_hash, &f->id);
	secret_wipe(by_hash, sizeof(by_hash));
	if (got == -1)
		return -1;
	f->known = got;
	if (!f->known && buf_puts(&f->id, k->decoy) == -1)
		return -1;
	got = db_get(k->store.db, keys_name_by_id(by_id, f->id.data), &f->text);
	if (got == 0 && !f->known)
		return buf_puts(&f->text, no_record);
	/* A hash without a key is refused when its record is parsed. */
	return got == -1 ? -1 : 0;
}

/*
 * 1 when it was used since the store last changed, with 'out' filled in; else
 * 0 with its records fetched, or -1. One look at the store does for both.
 */
static int
find(struct keys *k, const unsigned char hash[SECRET_DIGEST_LEN],
    struct found *f, struct key *out)
{
	const struct key *recent = NULL;
	int result;

	if (pthread_mutex_lock(&k->lock) != 0)
		abort();
	if ((result = refresh(k)) == 0)
		recent = keys_recent_find(k->recent, hash);
	if (recent != NULL) {
		*out = *recent;
		result = 1;
	} else if (result == 0 && (result = fetch(k, hash, f)) == -1) {
		db_watch_drop(&k->store);
	}
	f->snapshot = k->snapshot;
	f->locked = k->locked;
	if (pthread_mutex_unlock(&k->lock) != 0)
		abort();
	return result;
}

static void
remember(struct keys *k, const unsigned char hash[SECRET_DIGEST_LEN],
    const struct key *key)
{
	if (pthread_mutex_lock(&k->lock) != 0)
		abort();
	if (key->snapshot == k->snapshot)
		keys_recent_add(k->recent, hash, key);
	if (pthread_mutex_unlock(&k->lock) != 0)
		abort();
}

/* Once a second at most. */
static void
log_bad_record(struct keys *k, const char *id)
{
	time_t now = db_watch_second();
	int first;

	if (pthread_mutex_lock(&k->lock) != 0)
		abort();
	first = k->logged_at != now;
	k->logged_at = now;
	if (pthread_mutex_unlock(&k->lock) != 0)
		abort();
	if (first)
		log_warnx(
		    "the record of '%s' in '%s' is damaged", id, k->store.path);
}

static void
count(const struct keys *k, struct key *key)
{
	if (k->secret != NULL)
		key->who = key_who(key, k->secret);
}

void
keys_count_by(struct keys *k, const unsigned char secret[SECRET_DIGEST_LEN])
{
	k->secret = secret;
	for (size_t i = 0; i < k->n_env; i++)
		count(k, &k->env[i].key);
}

static enum keys_result
judge(const struct key *key, int64_t now)
{
	if (key->disabled)
		return KEYS_DISABLED;
	if (key->expires != 0 && now >= key->expires)
		return KEYS_EXPIRED;
	return KEYS_OK;
}

/* The result for the store's keys; KEYS_UNKNOWN takes all steps, too. */
static enum keys_result
verify_stored(struct keys *k, const unsigned char hash[SECRET_DIGEST_LEN],
    int64_t now, struct key *key)
{
	struct found f = { .id = BUF(KEYS_ID_SIZE - 1),
		.text = BUF(KEYS_RECORD_MAX) };
	struct keys_record record = { 0 };
	enum keys_result result = KEYS_ERROR;
	int sound, how = find(k, hash, &f, key);

	if (how == 1)
		return judge(key, now);
	if (how == 0) {
		sound = !keys_record_glance(f.text.data, f.text.len, &record);
		sound &= secret_equal(record.hash, hash, SECRET_DIGEST_LEN);
		result = judge(&record.key, now);
		/* The rest only of one that is let in. */
		if (f.known && sound && !f.locked && result == KEYS_OK)
			sound = keys_record_parse(f.id.data, f.text.data,
				    f.text.len, &record) == 0;
		*key = record.key;
		if (!f.known) {
			result = KEYS_UNKNOWN;
		} else if (!sound) {
			log_bad_record(k, f.id.data);
			result = KEYS_ERROR;
		}
		if (f.locked && result != KEYS_ERROR)
			result = KEYS_DISABLED;
	}
	key->snapshot = f.snapshot;
	if (result == KEYS_OK) {
		count(k, key);
		remember(k, hash, key);
	}
	secret_wipe(&record, sizeof(record));
	buf_free(&f.id);
	buf_free(&f.text);
	return result;
}

/* Compares with every one, so that the time does not tell which. */
static const struct key *
find_env_key(const struct keys *k, const unsigned char hash[SECRET_DIGEST_LEN])
{
	const struct key *found = NULL;

	for (size_t i = 0; i < k->n_env; i++)
		if (secret_equal(k->env[i].hash, hash, SECRET_DIGEST_LEN))
			found = &k->env[i].key;
	return found;
}

enum keys_result
keys_verify(
    struct keys *k, const char *token, size_t len, int64_t now, struct key *out)
{
	unsigned char hash[SECRET_DIGEST_LEN];
	int malformed = is_malformed(token, len);
	enum keys_result result;
	const struct key *env;
	struct key key = { 0 };

	secret_sha256(hash, token, len > KEYS_TOKEN_MAX ? KEYS_TOKEN_MAX : len);
	env = find_env_key(k, hash);
	result = verify_stored(k, hash, now, &key);
	secret_wipe(hash, sizeof(hash));
	if (result == KEYS_ERROR)
		return KEYS_ERROR;
	if (malformed)
		return KEYS_MALFORMED;
	if (result == KEYS_UNKNOWN && env != NULL) {
		key = *env;
		result = KEYS_OK;
	}
	if (result == KEYS_OK)
		*out = key;
	return result;
}

enum keys_result
keys_check(struct keys *k)
{
	static const unsigned char nobody[SECRET_DIGEST_LEN];
	struct found f = { .id = BUF(KEYS_ID_SIZE - 1),
		.text = BUF(KEYS_RECORD_MAX) };
	struct key key;
	int result = find(k, nobody, &f, &key);

	buf_free(&f.id);
	buf_free(&f.text);
	return result == -1 ? KEYS_ERROR : KEYS_OK;
}

int
keys_has_still(struct keys *k, const struct key *key)
{
	int fresh, same;

	if (pthread_mutex_lock(&k->lock) != 0)
		abort();
	fresh = refresh(k);
	same = fresh == 0 && key->snapshot == k->snapshot;
	if (pthread_mutex_unlock(&k->lock) != 0)
		abort();
	return same ? 1 : keys_has(k, key->id);
}

int
keys_has(struct keys *k, const char *id)
{
	struct buf text = BUF(KEYS_RECORD_MAX);
	char name[KEYS_NAME_SIZE];
	int found = 0;

	for (size_t i = 0; i < k->n_env; i++)
		if (strcmp(k->env[i].key.id, id) == 0)
			return 1;
	keys_name_by_id(name, id);
	if (pthread_mutex_lock(&k->lock) != 0)
		abort();
	found = refresh(k) == -1 ? -1 : db_get(k->store.db, name, &text);
	if (pthread_mutex_unlock(&k->lock) != 0)
		abort();
	buf_free(&text);
	return found;
}

int
keys_family(struct keys *k, const struct key *key, struct buf *ids)
{
	int result;

	if (pthread_mutex_lock(&k->lock) != 0)
		abort();
	if ((result = refresh(k)) == 0)
		result = keys_family_read(k->store.db, key, ids);
	if (pthread_mutex_unlock(&k->lock) != 0)
		abort();
	return result;
}
