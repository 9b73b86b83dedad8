/* Keys read and listed, for the command line and the admin pages. */
#include "keys.h"

#include <stdlib.h>
#include <string.h>

#include "db.h"
#include "keys_record.h"
#include "log.h"

/* So many records are kept as they were read; of further ones only the id. */
#define KEPT_MAX 5000

/* A list of the keys by age, small enough for many of them. */
struct entry {
	int64_t created;
	char id[KEYS_ID_SIZE];
	struct keys_record *kept; /* or NULL: to be read again */
};

struct listing {
	struct entry *entries;
	size_t n, room;
	const char *path;
	int damaged;
};

static void
keep(struct listing *l, const struct keys_record *record)
{
	struct entry *e = &l->entries[l->n++];

	e->created = record->key.created;
	memcpy(e->id, record->key.id, KEYS_ID_SIZE);
	e->kept = l->n <= KEPT_MAX ? malloc(sizeof(*e->kept)) : NULL;
	if (e->kept != NULL)
		*e->kept = *record;
}

static int
note_entry(const char *name, const char *val, size_t len, void *arg)
{
	const char *id = name + strlen(KEYS_BY_ID);
	struct listing *l = arg;
	struct keys_record record;
	struct entry *grown;

	if (keys_record_parse(id, val, len, &record) == -1) {
		log_warnx("the record of '%s' in '%s' is damaged", id, l->path);
		l->damaged = 1;
		return 0;
	}
	if (l->n == l->room) {
		l->room = l->room * 2 + 64;
		grown = reallocarray(l->entries, l->room, sizeof(*l->entries));
		if (grown == NULL) {
			log_warn("cannot list '%s'", l->path);
			return -1;
		}
		l->entries = grown;
	}
	keep(l, &record);
	return 0;
}

static int
by_age(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->created != y->created)
		return x->created < y->created ? -1 : 1;
	return strcmp(x->id, y->id);
}

/* Calls 'fn' for what was listed. */
static int
visit(struct listing *l, struct db *db,
    int (*fn)(const struct key *, const unsigned char hash[32], void *),
    void *arg)
{
	struct buf text = BUF(KEYS_RECORD_MAX);
	struct keys_record record;
	int result = 0;

	for (size_t i = 0; i < l->n && result == 0; i++) {
		const struct keys_record *kept = l->entries[i].kept;

		if (kept == NULL &&
		    keys_record_get(db, l->path, l->entries[i].id, &text,
			&record) == KEYS_OK)
			kept = &record;
		result = kept == NULL ? -1 : fn(&kept->key, kept->hash, arg);
	}
	buf_free(&text);
	return result;
}

/* A snapshot of the store; NULL after logging. *path is to be freed. */
static struct db *
open_store(const char *state_dir, char **path)
{
	if ((*path = keys_path(state_dir)) != NULL)
		return db_open(*path);
	log_warn("cannot open the keys in '%s'", state_dir);
	return NULL;
}

enum keys_result
keys_load(const char *state_dir, const char *id, struct key *out)
{
	struct buf text = BUF(KEYS_RECORD_MAX);
	enum keys_result result = KEYS_ERROR;
	struct keys_record record = { 0 };
	char *path;
	struct db *db = open_store(state_dir, &path);

	if (db != NULL)
		result = keys_record_get(db, path, id, &text, &record);
	if (result == KEYS_OK)
		*out = record.key;
	db_close(db);
	buf_free(&text);
	free(path);
	return result;
}

int
keys_each(const char *state_dir,
    int (*fn)(const struct key *, const unsigned char hash[32], void *),
    void *arg)
{
	struct listing l = { 0 };
	char *path;
	struct db *db = open_store(state_dir, &path);
	int result = -1;

	l.path = path;
	if (db != NULL)
		result = db_each(db, KEYS_BY_ID, note_entry, &l);
	if (l.n > 1)
		qsort(l.entries, l.n, sizeof(*l.entries), by_age);
	if (result == 0)
		result = visit(&l, db, fn, arg);
	for (size_t i = 0; i < l.n; i++)
		free(l.entries[i].kept);
	free(l.entries);
	db_close(db);
	free(path);
	return result == 0 && l.damaged ? -1 : result;
}

int
keys_load_some(const char *state_dir, const char *(*next)(void *),
    void (*fn)(const struct key *, void *), void *arg)
{
	struct buf text = BUF(KEYS_RECORD_MAX);
	enum keys_result result = KEYS_OK;
	struct keys_record record;
	const char *id;
	char *path;
	struct db *db = open_store(state_dir, &path);
	int bad = db == NULL;

	while (!bad && (id = next(arg)) != NULL) {
		result = keys_record_get(db, path, id, &text, &record);
		if (result == KEYS_OK)
			fn(&record.key, arg);
		else if (result != KEYS_UNKNOWN)
			bad = 1;
	}
	db_close(db);
	buf_free(&text);
	free(path);
	return bad ? -1 : 0;
}
