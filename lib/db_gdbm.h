/*
 * db_gdbm.h - GDBM calls that come back. On damage and on a full disk GDBM
 * calls a hook and then exit(3); the hook used here jumps out instead. After
 * DB_GDBM_FAILED from a jump a handle is good for nothing but closing. Private
 * to db.
 */
#ifndef PMPROXY_DB_GDBM_H
#define PMPROXY_DB_GDBM_H

#include <stddef.h>

#include <gdbm.h>

enum db_gdbm_result {
	DB_GDBM_OK,
	DB_GDBM_ABSENT,
	DB_GDBM_FAILED /* gdbm_errno says why */
};

/* 'fd' belongs to the handle once this succeeds. NULL on failure. */
GDBM_FILE db_gdbm_open(int fd, const char *name, int flags);

/* What these give out in *val or *next is the caller's to free(3). */
enum db_gdbm_result db_gdbm_fetch(GDBM_FILE, datum key, datum *val);
enum db_gdbm_result db_gdbm_first(GDBM_FILE, datum *first);
enum db_gdbm_result db_gdbm_next(GDBM_FILE, datum key, datum *next);

enum db_gdbm_result db_gdbm_store(GDBM_FILE, datum key, datum val);
enum db_gdbm_result db_gdbm_delete(GDBM_FILE, datum key);
enum db_gdbm_result db_gdbm_sync(GDBM_FILE);
enum db_gdbm_result db_gdbm_close(GDBM_FILE);

#endif
