/*
 * db_handle.h - what the files of db share: the handle, and records as GDBM has
 * them. Private to db.
 */
#ifndef PMPROXY_DB_HANDLE_H
#define PMPROXY_DB_HANDLE_H

#include <stdint.h>
#include <sys/stat.h>

#include "db.h"
#include "db_file.h"
#include "db_gdbm.h"
#include "db_seal.h"
#include "db_sum.h"

struct db {
	char *path;
	GDBM_FILE file; /* NULL shows an absent file */
	int fd; /* the handle's own, or -1 */
	struct db_look look;
	unsigned char mark[DB_SUM_DIGEST_LEN];
	struct db_seal seal;
	int editing, broken;
	struct db_draft draft;
	int replaces; /* the edit replaces a file, with this owner and mode */
	struct stat replaced;
};

/* The record that holds the file's checksum; its name is the same in all. */
extern const char db_sum_key[];

datum db_datum(const void *, size_t);

/* Logs that GDBM could not "read"; the handle is done for. Returns -1. */
int db_fail(struct db *, const char *what);

/* Stores it as it is; 0 or -1 (logged). */
int db_put_raw(struct db *, datum key, datum val);

/* db_open of a store that may be sealed or plain, whatever is set. */
struct db *db_open_any(const char *path);

/*
 * db_edit of a store that begins empty, for whoever copies records; sealed
 * like that, or (NULL) like the store that it replaces.
 */
struct db *db_edit_anew(const char *path, const struct db_seal *);

#endif
