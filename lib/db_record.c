/*
 * The records of a store, and their names in the file: as they are in a plain
 * store, as HMACs in a sealed one.
 */
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "db_handle.h"
#include "log.h"

const char db_sum_key[] = "pmproxy checksum";

datum
db_datum(const void *p, size_t len)
{
	/* GDBM only reads it, but its type cannot say so. */
	return (datum){ .dptr = (char *)(uintptr_t)p, .dsize = (int)len };
}

static void
free_datum(datum *d)
{
	if (d->dptr != NULL)
		explicit_bzero(d->dptr, (size_t)d->dsize);
	free(d->dptr);
	d->dptr = NULL;
}

int
db_put_raw(struct db *db, datum key, datum val)
{
	if (db_gdbm_store(db->file, key, val) != DB_GDBM_OK)
		return db_fail(db, "write");
	return 0;
}

/* Where a record is in the file; 'room' is what the answer points into. */
static datum
place_of(
    const struct db *db, const char *key, unsigned char room[DB_SEAL_NAME_LEN])
{
	if (!db->seal.on)
		return db_datum(key, strlen(key));
	db_seal_name(&db->seal, key, room);
	return db_datum(room, DB_SEAL_NAME_LEN);
}

static int
too_long(const struct db *db)
{
	log_warnx("a record in '%s' is too long", db->path);
	return -1;
}

/* The sealed record's name and value; 0 or -1 (logged). */
static int
unseal(struct db *db, datum at, datum found, struct buf *name, struct buf *val)
{
	if (db_seal_open(&db->seal, at.dptr, (size_t)at.dsize, found.dptr,
		(size_t)found.dsize, name, val) == 0)
		return 0;
	if (name->failed || val->failed)
		return too_long(db);
	log_warnx("a record in '%s' was not sealed there", db->path);
	db->broken = 1;
	return -1;
}

/*
 * What stands there, replacing 'val' and, in a sealed store, 'name'; 1, 0
 * absent, -1 (logged).
 */
static int
fetch(struct db *db, datum at, struct buf *name, struct buf *val)
{
	enum db_gdbm_result got;
	datum found;
	int bad;

	buf_reset(val);
	got = db_gdbm_fetch(db->file, at, &found);
	if (got == DB_GDBM_ABSENT)
		return 0;
	if (got != DB_GDBM_OK)
		return db_fail(db, "read");
	if (db->seal.on)
		bad = unseal(db, at, found, name, val);
	else if ((bad = buf_add(val, found.dptr, (size_t)found.dsize)) == -1)
		(void)too_long(db);
	free_datum(&found);
	return bad ? -1 : 1;
}

int
db_get(struct db *db, const char *key, struct buf *val)
{
	unsigned char room[DB_SEAL_NAME_LEN];
	struct buf name = BUF(INT_MAX - 1);
	int got;

	buf_reset(val);
	if (db->broken)
		return -1;
	if (db->file == NULL)
		return 0;
	got = fetch(db, place_of(db, key, room), &name, val);
	buf_free(&name);
	return got;
}

/*
 * GDBM puts a value of the same length where the old one was; otherwise, and
 * on deletion, the old bytes would stay in the file. 1, 0 absent, -1.
 */
static int
scrub(struct db *db, datum key)
{
	enum db_gdbm_result got;
	datum old;
	int done;

	got = db_gdbm_fetch(db->file, key, &old);
	if (got == DB_GDBM_ABSENT)
		return 0;
	if (got != DB_GDBM_OK)
		return db_fail(db, "read");
	explicit_bzero(old.dptr, (size_t)old.dsize);
	done = db_put_raw(db, key, old);
	free_datum(&old);
	return done == -1 ? -1 : 1;
}

static int
put_sealed(struct db *db, const char *key, datum at, datum val)
{
	struct buf sealed = BUF(INT_MAX - 1);
	int done = -1;

	if (db_seal_record(&db->seal, key, (const unsigned char *)at.dptr,
		val.dptr, (size_t)val.dsize, &sealed) == 0)
		done = db_put_raw(db, at, db_datum(sealed.data, sealed.len));
	else {
		log_warnx("out of memory for a record of '%s'", db->path);
		db->broken = 1;
	}
	buf_free(&sealed);
	return done;
}

int
db_put(struct db *db, const char *key, const void *val, size_t len)
{
	unsigned char room[DB_SEAL_NAME_LEN];
	datum at;

	assert(db->editing);
	if (db->broken)
		return -1;
	if (len > INT_MAX || db_sum_marked(val, len) ||
	    strcmp(key, db_sum_key) == 0) {
		log_warnx("a record cannot be kept in '%s'", db->path);
		db->broken = 1;
		return -1;
	}
	at = place_of(db, key, room);
	if (scrub(db, at) == -1)
		return -1;
	return db->seal.on ? put_sealed(db, key, at, db_datum(val, len))
			   : db_put_raw(db, at, db_datum(val, len));
}

int
db_del(struct db *db, const char *key)
{
	unsigned char room[DB_SEAL_NAME_LEN];
	datum at = place_of(db, key, room);
	int found;

	assert(db->editing);
	if (db->broken)
		return -1;
	if ((found = scrub(db, at)) != 1)
		return found;
	if (db_gdbm_delete(db->file, at) != DB_GDBM_OK)
		return db_fail(db, "write");
	return 1;
}

struct visit {
	const char *prefix;
	int (*fn)(const char *, const char *, size_t, void *);
	void *arg;
	struct buf key, val;
};

static int
is_sum(datum at)
{
	return (size_t)at.dsize == strlen(db_sum_key) &&
	    memcmp(at.dptr, db_sum_key, strlen(db_sum_key)) == 0;
}

/* A plain store's names need no look at the values. */
static int
is_wanted(const struct db *db, const struct visit *v, datum at)
{
	size_t len = strlen(v->prefix);

	return !is_sum(at) &&
	    (db->seal.on ||
		((size_t)at.dsize >= len &&
		    memcmp(at.dptr, v->prefix, len) == 0));
}

static int
visit(struct db *db, struct visit *v, datum at)
{
	int got;

	if (!is_wanted(db, v, at))
		return 0;
	buf_reset(&v->key);
	if (!db->seal.on && buf_add(&v->key, at.dptr, (size_t)at.dsize) == -1)
		return too_long(db);
	if ((got = fetch(db, at, &v->key, &v->val)) != 1)
		return got;
	if (strncmp(v->key.data, v->prefix, strlen(v->prefix)) != 0)
		return 0;
	return v->fn(v->key.data, v->val.data, v->val.len, v->arg);
}

int
db_each(struct db *db, const char *prefix,
    int (*fn)(const char *key, const char *val, size_t len, void *), void *arg)
{
	struct visit v = { prefix, fn, arg, BUF(INT_MAX - 1),
		BUF(INT_MAX - 1) };
	enum db_gdbm_result got;
	datum at, next;
	int result = 0;

	if (db->broken)
		return -1;
	if (db->file == NULL)
		return 0;
	got = db_gdbm_first(db->file, &at);
	while (got == DB_GDBM_OK && result == 0) {
		result = visit(db, &v, at);
		if (result == 0)
			got = db_gdbm_next(db->file, at, &next);
		free_datum(&at);
		if (result == 0)
			at = next;
	}
	buf_free(&v.key);
	buf_free(&v.val);
	return got == DB_GDBM_FAILED ? db_fail(db, "read") : result;
}
