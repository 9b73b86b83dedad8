/*
 * Snapshots and edits of GDBM files. Memory maps are used only by programs that
 * say so: a file cut short by somebody else would end the process with SIGBUS.
 */
#include "db.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "db_file.h"
#include "db_gdbm.h"
#include "db_sum.h"
#include "log.h"

/* The record that holds the file's checksum. */
static const char sum_key[] = "pmproxy checksum";

struct db {
	char *path;
	GDBM_FILE file; /* NULL shows an absent file */
	int fd; /* the handle's own, or -1 */
	struct db_look look;
	unsigned char mark[DB_SUM_DIGEST_LEN];
	int editing, broken;
	struct db_draft draft;
	int replaces; /* the edit replaces a file, with this owner and mode */
	struct stat replaced;
};

static void
take_look(const struct stat *st, struct db_look *look)
{
	*look = (struct db_look){ .exists = 1,
		.device = st->st_dev,
		.inode = st->st_ino,
		.size = st->st_size,
		/* Unlike the time of modification, nobody can set it. */
		.changed = st->st_ctim };
}

void
db_look(const char *path, struct db_look *look)
{
	struct stat st;

	if (stat(path, &st) == 0)
		take_look(&st, look);
	else
		*look = (struct db_look){ .exists = errno == ENOENT ? 0 : -1 };
}

void
db_look_of(const struct db *db, struct db_look *look)
{
	*look = db->look;
}

int
db_look_equal(const struct db_look *a, const struct db_look *b)
{
	return a->exists == b->exists && a->device == b->device &&
	    a->inode == b->inode && a->size == b->size &&
	    a->changed.tv_sec == b->changed.tv_sec &&
	    a->changed.tv_nsec == b->changed.tv_nsec;
}

int
db_stale(const struct db *db)
{
	struct db_look now;

	/* The open file keeps its inode number from being used again. */
	db_look(db->path, &now);
	return now.exists == -1 || !db_look_equal(&now, &db->look);
}

int
db_mark(const char *path, unsigned char mark[DB_MARK_LEN])
{
	return db_file_sum(path, mark);
}

void
db_mark_of(const struct db *db, unsigned char mark[DB_MARK_LEN])
{
	memcpy(mark, db->mark, DB_MARK_LEN);
}

static struct db *
new_handle(const char *path)
{
	struct db *db = calloc(1, sizeof(*db));

	if (db == NULL || (db->path = strdup(path)) == NULL) {
		log_warn("cannot open '%s'", path);
		free(db);
		return NULL;
	}
	db->fd = -1;
	return db;
}

static int
open_gdbm(struct db *db, int fd, int flags)
{
	db->file = db_gdbm_open(fd, db->path, flags | GDBM_NOLOCK);
	if (db->file != NULL)
		return 0;
	log_warnx("cannot open '%s': %s", db->path, gdbm_strerror(gdbm_errno));
	return -1;
}

struct db *
db_open(const char *path)
{
	struct db *db = new_handle(path);
	struct stat st;

	if (db == NULL)
		return NULL;
	if (db_file_open(path, &db->fd, &st, db->mark) == -1)
		goto close_db;
	if (db->fd == -1)
		return db;
	take_look(&st, &db->look);
	if (open_gdbm(db, db->fd, GDBM_READER) == -1)
		goto close_db;
	db->fd = -1; /* GDBM's from here on */
	return db;
close_db:
	db_close(db);
	return NULL;
}

/* A logged failure; the handle is not to be trusted any more. */
static int
fail(struct db *db, const char *what)
{
	log_warnx(
	    "cannot %s '%s': %s", what, db->path, gdbm_strerror(gdbm_errno));
	db->broken = 1;
	return -1;
}

static datum
datum_of(const void *p, size_t len)
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

static int
put_raw(struct db *db, const char *key, const void *val, size_t len)
{
	if (db_gdbm_store(db->file, datum_of(key, strlen(key)),
		datum_of(val, len)) != DB_GDBM_OK)
		return fail(db, "write");
	return 0;
}

/* A new store begins with the place for its checksum. */
static int
begin_store(struct db *db)
{
	unsigned char sum[DB_SUM_LEN] = { 0 };

	memcpy(sum, db_sum_mark, DB_SUM_MARK_LEN);
	return put_raw(db, sum_key, sum, sizeof(sum));
}

/*
 * Fills the draft with the store as it is, and opens it. 'anew': leaves it
 * empty, for whoever copies records.
 */
static int
open_draft(struct db *db, int anew)
{
	int fd;

	if (db_file_open(db->path, &db->fd, &db->replaced, db->mark) == -1)
		return -1;
	db->replaces = db->fd != -1;
	if (db->replaces && !anew && db_draft_copy(&db->draft, db->fd) == -1)
		return -1;
	/* GDBM closes its descriptor; the draft is needed after that. */
	if ((fd = fcntl(db->draft.fd, F_DUPFD_CLOEXEC, 0)) == -1) {
		log_warn("cannot edit '%s'", db->path);
		return -1;
	}
	anew |= !db->replaces;
	if (open_gdbm(db, fd, anew ? GDBM_NEWDB : GDBM_WRITER) == -1) {
		close(fd);
		return -1;
	}
	return anew ? begin_store(db) : 0;
}

static struct db *
edit(const char *path, int anew)
{
	struct db *db = new_handle(path);

	if (db == NULL)
		return NULL;
	if (db_draft_begin(&db->draft, path) == -1)
		goto close_db;
	db->editing = 1;
	if (open_draft(db, anew) == 0)
		return db;
close_db:
	db_close(db);
	return NULL;
}

struct db *
db_edit(const char *path)
{
	return edit(path, 0);
}

int
db_get(struct db *db, const char *key, struct buf *val)
{
	enum db_gdbm_result got;
	datum found;
	int added;

	buf_reset(val);
	if (db->broken)
		return -1;
	if (db->file == NULL)
		return 0;
	got = db_gdbm_fetch(db->file, datum_of(key, strlen(key)), &found);
	if (got == DB_GDBM_ABSENT)
		return 0;
	if (got != DB_GDBM_OK)
		return fail(db, "read");
	added = buf_add(val, found.dptr, (size_t)found.dsize);
	free_datum(&found);
	if (added == 0)
		return 1;
	log_warnx("a record in '%s' is too long", db->path);
	return -1;
}

/*
 * GDBM puts a value of the same length where the old one was; otherwise, and
 * on deletion, the old bytes would stay in the file. 1, 0 absent, -1.
 */
static int
scrub(struct db *db, const char *key)
{
	enum db_gdbm_result got;
	datum old;
	int done;

	got = db_gdbm_fetch(db->file, datum_of(key, strlen(key)), &old);
	if (got == DB_GDBM_ABSENT)
		return 0;
	if (got != DB_GDBM_OK)
		return fail(db, "read");
	explicit_bzero(old.dptr, (size_t)old.dsize);
	done = put_raw(db, key, old.dptr, (size_t)old.dsize);
	free_datum(&old);
	return done == -1 ? -1 : 1;
}

int
db_put(struct db *db, const char *key, const void *val, size_t len)
{
	assert(db->editing);
	if (db->broken)
		return -1;
	if (len > INT_MAX || db_sum_marked(val, len) ||
	    strcmp(key, sum_key) == 0) {
		log_warnx("a record cannot be kept in '%s'", db->path);
		db->broken = 1;
		return -1;
	}
	if (scrub(db, key) == -1)
		return -1;
	return put_raw(db, key, val, len);
}

int
db_del(struct db *db, const char *key)
{
	int found;

	assert(db->editing);
	if (db->broken)
		return -1;
	if ((found = scrub(db, key)) != 1)
		return found;
	if (db_gdbm_delete(db->file, datum_of(key, strlen(key))) != DB_GDBM_OK)
		return fail(db, "write");
	return 1;
}

struct visit {
	const char *prefix;
	int (*fn)(const char *, const char *, size_t, void *);
	void *arg;
	struct buf key, val;
};

static int
visit(struct db *db, struct visit *v, datum at)
{
	size_t len = strlen(v->prefix);
	int got;

	if ((size_t)at.dsize < len || memcmp(at.dptr, v->prefix, len) != 0)
		return 0;
	buf_reset(&v->key);
	if (buf_add(&v->key, at.dptr, (size_t)at.dsize) == -1) {
		log_warnx("a record in '%s' is too long", db->path);
		return -1;
	}
	if (strcmp(v->key.data, sum_key) == 0)
		return 0;
	if ((got = db_get(db, v->key.data, &v->val)) != 1)
		return got;
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
	return got == DB_GDBM_FAILED ? fail(db, "read") : result;
}

/* Closes GDBM's side, so that the draft is complete. */
static int
finish_gdbm(struct db *db)
{
	GDBM_FILE file = db->file;

	db->file = NULL;
	if (db_gdbm_close(file) == DB_GDBM_OK)
		return 0;
	return fail(db, "write");
}

int
db_commit(struct db *db)
{
	int done = -1;

	assert(db->editing);
	if (db->broken || db_gdbm_sync(db->file) != DB_GDBM_OK) {
		log_warnx("the change to '%s' is dropped", db->path);
	} else if (finish_gdbm(db) == 0) {
		if (db_sum_write(db->draft.fd) == -1)
			log_warn("cannot write '%s'", db->path);
		else if (db_draft_adopt(&db->draft,
			     db->replaces ? &db->replaced : NULL) == 0)
			done = db_draft_publish(&db->draft);
	}
	db_close(db);
	return done;
}

static int
copy_record(const char *key, const char *val, size_t len, void *to)
{
	return db_put(to, key, val, len) == -1;
}

int
db_compact(const char *path)
{
	struct db_look look;
	struct db *to, *from;
	int done = -1;

	db_look(path, &look);
	if (look.exists == 0)
		return 0;
	to = edit(path, 1);
	from = to == NULL ? NULL : db_open(path);
	if (from != NULL && db_each(from, "", copy_record, to) == 0)
		done = db_commit(to);
	else
		db_close(to);
	db_close(from);
	return done;
}

int
db_remove(const char *path, int for_good)
{
	return db_file_remove(path, for_good);
}

void
db_close(struct db *db)
{
	if (db == NULL)
		return;
	if (db->file != NULL)
		(void)db_gdbm_close(db->file); /* a draft that is dropped */
	if (db->fd != -1)
		close(db->fd);
	if (db->editing)
		db_draft_end(&db->draft);
	free(db->path);
	free(db);
}
