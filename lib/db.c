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

#include "db_handle.h"
#include "log.h"
#include "secret.h"

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
	struct db_sum_found what;
	int found = db_file_look(path, &what);

	if (found == 1)
		memcpy(mark, what.digest, DB_MARK_LEN);
	return found;
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

static struct db *
open_to_read(const char *path, enum db_seal_want want)
{
	struct db *db = new_handle(path);
	struct db_file f;

	if (db == NULL || db_file_open(path, want, &f) == -1)
		goto close_db;
	db->seal = f.seal;
	if (f.fd == -1)
		return db;
	db->fd = f.fd;
	memcpy(db->mark, f.sum, sizeof(db->mark));
	take_look(&f.st, &db->look);
	if (open_gdbm(db, db->fd, GDBM_READER) == -1)
		goto close_db;
	db->fd = -1; /* GDBM's from here on */
	return db;
close_db:
	db_close(db);
	return NULL;
}

struct db *
db_open(const char *path)
{
	return open_to_read(path, DB_SEAL_AS_SET);
}

int
db_fail(struct db *db, const char *what)
{
	log_warnx(
	    "cannot %s '%s': %s", what, db->path, gdbm_strerror(gdbm_errno));
	db->broken = 1;
	return -1;
}

/* A new store begins with the place for its checksum. */
static int
begin_store(struct db *db)
{
	unsigned char sum[DB_SUM_SEALED_LEN];
	size_t n = db_sum_begin(sum, db->seal.on ? db->seal.id : NULL);

	return db_put_raw(
	    db, db_datum(db_sum_key, strlen(db_sum_key)), db_datum(sum, n));
}

/* How an edit begins. */
struct start {
	int anew; /* empty, for whoever copies records */
	const struct db_seal *seal; /* NULL: as the store was */
};

/* Fills the draft with the store as it is, and opens it. */
static int
open_draft(struct db *db, const struct start *start)
{
	int anew = start->anew, fd;
	struct db_file f;

	if (db_file_open(db->path,
		start->seal == NULL ? DB_SEAL_AS_SET : DB_SEAL_ANY, &f) == -1)
		return -1;
	db->fd = f.fd;
	db->replaced = f.st;
	db->seal = start->seal == NULL ? f.seal : *start->seal;
	memcpy(db->mark, f.sum, sizeof(db->mark));
	secret_wipe(&f.seal, sizeof(f.seal));
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
edit(const char *path, const struct start *start)
{
	struct db *db = new_handle(path);

	if (db == NULL)
		return NULL;
	if (db_draft_begin(&db->draft, path) == -1)
		goto close_db;
	db->editing = 1;
	if (open_draft(db, start) == 0)
		return db;
close_db:
	db_close(db);
	return NULL;
}

struct db *
db_edit_anew(const char *path, const struct db_seal *seal)
{
	return edit(path, &(struct start){ .anew = 1, .seal = seal });
}

struct db *
db_open_any(const char *path)
{
	return open_to_read(path, DB_SEAL_ANY);
}

struct db *
db_lock(const char *path)
{
	struct db *db = new_handle(path);

	if (db == NULL)
		return NULL;
	db->editing = 1;
	if (db_draft_begin(&db->draft, path) == 0)
		return db;
	db->editing = 0;
	db_close(db);
	return NULL;
}

struct db *
db_edit(const char *path)
{
	return edit(path, &(struct start){ .anew = 0 });
}

/* Closes GDBM's side, so that the draft is complete. */
static int
finish_gdbm(struct db *db)
{
	GDBM_FILE file = db->file;

	db->file = NULL;
	if (db_gdbm_close(file) == DB_GDBM_OK)
		return 0;
	return db_fail(db, "write");
}

int
db_commit(struct db *db)
{
	int done = -1;

	assert(db->editing);
	if (db->broken || db_gdbm_sync(db->file) != DB_GDBM_OK) {
		log_warnx("the change to '%s' is dropped", db->path);
	} else if (finish_gdbm(db) == 0) {
		if (db_sum_write(
			db->draft.fd, db->seal.on ? db->seal.sum : NULL) == -1)
			log_warn("cannot write '%s'", db->path);
		else if (db_draft_adopt(&db->draft,
			     db->replaces ? &db->replaced : NULL) == 0)
			done = db_draft_publish(&db->draft);
	}
	db_close(db);
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
	secret_wipe(db, sizeof(*db));
	free(db);
}
