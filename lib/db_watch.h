/*
 * db_watch.h - a store's newest snapshot, for a process that needs it again
 * and again. While nothing changes it costs one stat(2) in DB_WATCH_MS, in
 * which nobody looks again: who changes such a store therefore publishes it
 * with db_watch_commit, after which no process goes by the old one. What
 * changes the file otherwise is seen that much later. A store that cannot be
 * read is tried, and complained of, once a second, and at once when its file
 * changes. One that was there and is gone is no empty store: without it all
 * limits would be off. Not thread-safe but where it says so.
 */
#ifndef PMPROXY_DB_WATCH_H
#define PMPROXY_DB_WATCH_H

#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

#include "db.h"

#define DB_WATCH_MS 20

struct db_watch {
	char *path;
	struct db *db; /* NULL while the store cannot be read */
	/* private */
	_Atomic int64_t looked_ms; /* when 'db' was the newest */
	struct db_look failed_look;
	time_t failed_at;
	int existed;
};

/* Takes over 'path', from malloc(3); opens nothing yet. */
void db_watch_init(struct db_watch *, char *path);
void db_watch_close(struct db_watch *);

/*
 * 1 when 'db' is the newest snapshot, or was DB_WATCH_MS ago. Threads may ask
 * at the same time.
 */
int db_watch_current(struct db_watch *);

/* Brings 'db' up to date: 1 it is a new one, 0 the same, -1 there is none. */
int db_watch_refresh(struct db_watch *);

/* Gives up a snapshot that turned out to be of no use. */
void db_watch_drop(struct db_watch *);

/*
 * db_commit for a store that others watch: returns, also with -1, when each
 * process that asks from now on looks at what is there now. Takes DB_WATCH_MS
 * and a tick of the clock more.
 */
int db_watch_commit(struct db *edit);

/* Waits so, for whoever changed the file in another way. */
void db_watch_wait(void);

/* A monotonic clock's second, never 0. */
time_t db_watch_second(void);

#endif
