/*
 * db_sum.h - a checksum inside the file it covers. GDBM reads a zeroed block
 * as absent records, and it stumbles over damaged ones; so it never gets to
 * see a file whose sum does not match. One record's value is DB_SUM_LEN bytes
 * beginning with a mark that nothing else in the file may contain. In a sealed
 * store it is DB_SUM_SEALED_LEN bytes, which also name the key that the sum was
 * made with: without that key nobody makes one that matches. Private to db.
 */
#ifndef PMPROXY_DB_SUM_H
#define PMPROXY_DB_SUM_H

#include <stddef.h>
#include <sys/types.h>

#include "seal.h"

#define DB_SUM_MARK_LEN 16
#define DB_SUM_DIGEST_LEN 32
#define DB_SUM_LEN (DB_SUM_MARK_LEN + DB_SUM_DIGEST_LEN)
#define DB_SUM_SEALED_LEN (DB_SUM_LEN + DB_SUM_MARK_LEN + SEAL_ID_LEN)

extern const unsigned char db_sum_mark[DB_SUM_MARK_LEN];

/* What a file says of itself. */
struct db_sum_found {
	unsigned char digest[DB_SUM_DIGEST_LEN];
	off_t at; /* where the digest stands */
	int sealed;
	unsigned char id[SEAL_ID_LEN]; /* of its key, when sealed */
};

/* 1 when these bytes contain the mark. */
int db_sum_marked(const void *, size_t);

/*
 * The value of the record before there is a sum; 'id' NULL in a plain store.
 * Returns its length.
 */
size_t
db_sum_begin(unsigned char val[DB_SUM_SEALED_LEN], const unsigned char *id);

/*
 * Writes the file's sum behind the mark, made with 'key' (DB_SUM_DIGEST_LEN
 * bytes) or, in a plain store, without (NULL). 0, or -1 with errno.
 */
int db_sum_write(int fd, const unsigned char *key);

/* What the file says, unchecked: 1, 0 without a mark, -1 with errno. */
int db_sum_read(int fd, struct db_sum_found *);

/* 1 when that sum matches the file, 0 when not, -1 with errno. */
int db_sum_check(int fd, const unsigned char *key, const struct db_sum_found *);

#endif
