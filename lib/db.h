/*
 * db.h - small GDBM files that are never seen half-written.
 *
 * Readers hold a snapshot: a published file never changes, so it needs no
 * lock. An edit works on a private copy, which is synced and renamed over the
 * old file. Any process may die at any instruction: the store is then the old
 * one or the new one. GDBM's own locks never wait and its files break when
 * edited in place (both measured), hence all this.
 *
 * A handle belongs to one thread at a time. Every failure is logged here,
 * with the file's name.
 */
#ifndef PMPROXY_DB_H
#define PMPROXY_DB_H

#include <stddef.h>

#include "buf.h"

struct db;

/*
 * A snapshot to read. An absent file is an empty one when its folder exists;
 * NULL, after logging, when it cannot be read.
 */
struct db *db_open(const char *path);

/* 1 when the file at the path is no longer the one this snapshot shows. */
int db_stale(const struct db *);

/*
 * A private copy to change. Waits for another editor (flock on a companion
 * ".lock" file, which is never removed). NULL after logging.
 */
struct db *db_edit(const char *path);

/* Replaces 'val' with the record's bytes; 1, 0 absent, -1. */
int db_get(struct db *, const char *key, struct buf *val);
int db_put(struct db *, const char *key, const void *val, size_t len);
/* 1, 0 absent, -1. */
int db_del(struct db *, const char *key);

/*
 * Calls 'fn' for each record whose key begins with 'prefix', in no order;
 * stops at the first nonzero answer and returns it; -1 on failure. 'val' is
 * NUL-terminated behind its 'len' bytes and borrowed for the call.
 */
int db_each(struct db *, const char *prefix,
    int (*fn)(const char *key, const char *val, size_t len, void *), void *);

/* Publishes an edit and closes it; 0, or -1 with the old file in place. */
int db_commit(struct db *);

/* Closes a snapshot, or drops an edit. NULL is fine. */
void db_close(struct db *);

#endif
