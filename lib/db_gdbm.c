/* GDBM calls, each with a way back from its fatal errors. */
#include "db_gdbm.h"

#include <setjmp.h>

#include "db.h"

enum operation {
	OPEN,
	FETCH,
	FIRST,
	NEXT,
	STORE,
	DELETE,
	SYNC,
	CLOSE
};

/* Arguments and results live here, so that a jump finds them unharmed. */
struct call {
	enum operation operation;
	GDBM_FILE file;
	int fd, flags;
	const char *name;
	datum key, val;
	int status;
};

static _Thread_local jmp_buf *way_back;

static void
jump(const char *message)
{
	(void)message; /* gdbm_errno says the same */
	if (way_back != NULL)
		longjmp(*way_back, 1);
}

static void
perform(struct call *c)
{
	switch (c->operation) {
	case OPEN:
		c->file = gdbm_fd_open(c->fd, c->name, 0, c->flags, jump);
		break;
	case FETCH:
		c->val = gdbm_fetch(c->file, c->key);
		break;
	case FIRST:
		c->val = gdbm_firstkey(c->file);
		break;
	case NEXT:
		c->val = gdbm_nextkey(c->file, c->key);
		break;
	case STORE:
		c->status = gdbm_store(c->file, c->key, c->val, GDBM_REPLACE);
		break;
	case DELETE:
		c->status = gdbm_delete(c->file, c->key);
		break;
	case SYNC:
		c->status = gdbm_sync(c->file);
		break;
	case CLOSE:
		c->status = gdbm_close(c->file);
		break;
	}
}

/* 0, or -1 when GDBM gave up within the call. */
static int
guarded(struct call *c)
{
	jmp_buf here;

	gdbm_errno = GDBM_NO_ERROR;
	way_back = &here;
	if (setjmp(here) != 0) {
		way_back = NULL;
		return -1;
	}
	perform(c);
	way_back = NULL;
	return 0;
}

static int maps_files;

void
db_map_files(void)
{
	maps_files = 1;
}

GDBM_FILE
db_gdbm_open(int fd, const char *name, int flags)
{
	struct call c = {
		.operation = OPEN, .fd = fd, .name = name, .flags = flags
	};

	if ((flags & GDBM_OPENMASK) != GDBM_READER || !maps_files)
		c.flags |= GDBM_NOMMAP;
	return guarded(&c) == 0 ? c.file : NULL;
}

/* For calls that answer with a datum, which is empty when there is none. */
static enum db_gdbm_result
give_datum(struct call *c, datum *out)
{
	out->dptr = NULL;
	out->dsize = 0;
	if (guarded(c) == -1)
		return DB_GDBM_FAILED;
	*out = c->val;
	if (out->dptr != NULL)
		return DB_GDBM_OK;
	return gdbm_errno == GDBM_ITEM_NOT_FOUND ? DB_GDBM_ABSENT
						 : DB_GDBM_FAILED;
}

enum db_gdbm_result
db_gdbm_fetch(GDBM_FILE file, datum key, datum *val)
{
	struct call c = { .operation = FETCH, .file = file, .key = key };

	return give_datum(&c, val);
}

enum db_gdbm_result
db_gdbm_first(GDBM_FILE file, datum *first)
{
	struct call c = { .operation = FIRST, .file = file };

	return give_datum(&c, first);
}

enum db_gdbm_result
db_gdbm_next(GDBM_FILE file, datum key, datum *next)
{
	struct call c = { .operation = NEXT, .file = file, .key = key };

	return give_datum(&c, next);
}

/* For calls that answer 0 or not. */
static enum db_gdbm_result
give_status(struct call *c)
{
	if (guarded(c) == -1)
		return DB_GDBM_FAILED;
	if (c->status == 0)
		return DB_GDBM_OK;
	return gdbm_errno == GDBM_ITEM_NOT_FOUND ? DB_GDBM_ABSENT
						 : DB_GDBM_FAILED;
}

enum db_gdbm_result
db_gdbm_store(GDBM_FILE file, datum key, datum val)
{
	struct call c = {
		.operation = STORE, .file = file, .key = key, .val = val
	};

	return give_status(&c);
}

enum db_gdbm_result
db_gdbm_delete(GDBM_FILE file, datum key)
{
	struct call c = { .operation = DELETE, .file = file, .key = key };

	return give_status(&c);
}

enum db_gdbm_result
db_gdbm_sync(GDBM_FILE file)
{
	struct call c = { .operation = SYNC, .file = file };

	return give_status(&c);
}

enum db_gdbm_result
db_gdbm_close(GDBM_FILE file)
{
	struct call c = { .operation = CLOSE, .file = file };

	return give_status(&c);
}
