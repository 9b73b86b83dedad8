/*
 * db_sum.h - a checksum inside the file it covers. GDBM reads a zeroed block
 * as absent records, and it stumbles over damaged ones; so it never gets to
 * see a file whose sum does not match. One record's value is DB_SUM_LEN bytes
 * beginning with a mark that nothing else in the file may contain. Private to
 * db.
 */
#ifndef PMPROXY_DB_SUM_H
#define PMPROXY_DB_SUM_H

#include <stddef.h>

#define DB_SUM_MARK_LEN 16
#define DB_SUM_DIGEST_LEN 32
#define DB_SUM_LEN (DB_SUM_MARK_LEN + DB_SUM_DIGEST_LEN)

extern const unsigned char db_sum_mark[DB_SUM_MARK_LEN];

/* 1 when these bytes contain the mark. */
int db_sum_marked(const void *, size_t);

/* Writes the file's sum behind the mark; 0, or -1 with errno. */
int db_sum_write(int fd);

/*
 * 1 when the sum matches, 0 when not or without a mark, -1 with errno. The sum
 * that the file holds is left in 'sum'.
 */
int db_sum_check(int fd, unsigned char sum[DB_SUM_DIGEST_LEN]);

/* The sum that the file holds, unchecked; answers alike. */
int db_sum_read(int fd, unsigned char sum[DB_SUM_DIGEST_LEN]);

#endif
