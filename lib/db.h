/*
 * db.h - small GDBM files that are never seen half-written.
 *
 * Readers hold a snapshot: a published file never changes, so it needs no
 * lock. An edit works on a private copy, which is synced and renamed over the
 * old file. Any process may die at any instruction: the store is then the old
 * one or the new one. GDBM's own locks never wait and its files break when
 * edited in place (both measured), hence all this.
 *
 * Where STORE_KEY_FILE is set (seal.h) all stores are sealed: whoever has the
 * disk, but not the key, reads no name and no value and changes nothing
 * unnoticed. One that is not sealed is refused there, and a sealed one where
 * it is not set. A store is under one key, and stays so while it is edited.
 *
 * A handle belongs to one thread at a time. Every failure is logged here,
 * with the file's name. A file that is damaged, cut short, or not written
 * here is refused whole: it carries a checksum. A value that is replaced or
 * deleted is overwritten in the file as well; a deleted record's name is not.
 */
#ifndef PMPROXY_DB_H
#define PMPROXY_DB_H

#include <stddef.h>
#include <sys/types.h>
#include <time.h>

#include "buf.h"

struct db;

/*
 * For a program that lives for a moment: reads stores through memory maps, at
 * a fraction of the system calls. A store that somebody cuts short meanwhile
 * then ends the process, which a responder with requests under way could not
 * afford. Before the first store is opened.
 */
void db_map_files(void);

/* How the file at a path looked at one moment, to notice changes by. */
struct db_look {
	int exists; /* 1, 0, or -1 when that cannot be told */
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec changed;
};

/* One stat(2). */
void db_look(const char *path, struct db_look *);
/* What an open handle shows. */
void db_look_of(const struct db *, struct db_look *);
int db_look_equal(const struct db_look *, const struct db_look *);

/*
 * A snapshot to read. An absent file is an empty one when its folder exists;
 * NULL, after logging, when it cannot be read.
 */
struct db *db_open(const char *path);

/*
 * 1 when the file at the path is no longer the one this snapshot shows, or
 * when that cannot be told. One stat(2).
 */
int db_stale(const struct db *);

/*
 * A store's mark says what is in it: it is another one after any change, and
 * the same on whatever disk the file is. 1 with the mark of the file at the
 * path, of which nothing else is read or checked; 0 absent, -1.
 */
#define DB_MARK_LEN 32
int db_mark(const char *path, unsigned char mark[DB_MARK_LEN]);
/* The mark of what a snapshot shows; zeros when that is an absent file. */
void db_mark_of(const struct db *, unsigned char mark[DB_MARK_LEN]);

/*
 * A private copy to change. Waits for another editor (flock on a companion
 * ".lock" file, which is never removed). NULL after logging.
 */
struct db *db_edit(const char *path);

/*
 * What an editor waits for and nothing else: while it is held nobody edits that
 * store. To be closed. NULL after logging.
 */
struct db *db_lock(const char *path);

/* Replaces 'val' with the record's bytes; 1, 0 absent, -1. */
int db_get(struct db *, const char *key, struct buf *val);
/* 0 or -1; after a failure the edit can no longer be committed. */
int db_put(struct db *, const char *key, const void *val, size_t len);
/* 1, 0 absent, -1 as db_put. */
int db_del(struct db *, const char *key);

/*
 * Calls 'fn' for each record whose key begins with 'prefix', in no order;
 * stops at the first nonzero answer and returns it; -1 on failure. 'val' is
 * NUL-terminated behind its 'len' bytes and borrowed for the call, which must
 * not change the store.
 */
int db_each(struct db *, const char *prefix,
    int (*fn)(const char *key, const char *val, size_t len, void *), void *);

/*
 * Publishes an edit and closes it, also when it fails; 0, or -1 with the old
 * file in place (or, as the log then says, with the new one in place but not
 * surely kept through a power failure).
 */
int db_commit(struct db *);

/*
 * Makes the file anew of what is in it, so that not even a name is left of
 * what was deleted. A store that is not there is fine. 0 or -1.
 */
int db_compact(const char *path);

/*
 * What a store may be made: from any key to the first one of STORE_KEY_FILE;
 * the same and, what is not sealed, for the first time; not sealed.
 */
enum db_reseal {
	DB_RESEAL_KEYS,
	DB_RESEAL_FIRST,
	DB_RESEAL_PLAIN
};

/*
 * Makes the file anew in that way, in one step for its readers. Where a plain
 * store becomes a sealed one or the other way round, 'change' (NULL: none) may
 * change each value; 0 or -1 (logged). 1 made anew, 0 nothing to do, -1.
 */
int db_reseal(const char *path, enum db_reseal,
    int (*change)(const char *key, struct buf *val, void *), void *);

/*
 * 1 when the file at the path says that it is sealed, with its key's id; 0
 * plain; -1 absent or (logged) unreadable. Nothing is checked.
 */
#define DB_KEY_ID_SIZE 17
int db_is_sealed(const char *path, char id[DB_KEY_ID_SIZE]);

/*
 * Removes the file. 'for_good': with what its editors left and their lock;
 * only when another store's edit keeps all others from this one. 0 or -1.
 */
int db_remove(const char *path, int for_good);

/* Closes a snapshot, or drops an edit. NULL is fine. */
void db_close(struct db *);

#endif
