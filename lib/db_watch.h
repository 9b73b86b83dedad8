/*
 * db_watch.h - a store's newest snapshot, for a process that needs it again
 * and again. Costs one stat(2) while nothing changes. A store that cannot be
 * read is tried, and complained of, once a second, and at once when its file
 * changes. One that was there and is gone is no empty store: without it all
 * limits would be off. Not thread-safe but where it says so.
 */
#ifndef PMPROXY_DB_WATCH_H
#define PMPROXY_DB_WATCH_H

#include <time.h>

#include "db.h"

struct db_watch {
	char *path;
	struct db *db; /* NULL while the store cannot be read */
	/* private */
	struct db_look failed_look;
	time_t failed_at;
	int existed;
};

/* Takes over 'path', from malloc(3); opens nothing yet. */
void db_watch_init(struct db_watch *, char *path);
void db_watch_close(struct db_watch *);

/* 1 when 'db' is the newest snapshot. Threads may ask at the same time. */
int db_watch_current(const struct db_watch *);

/* Brings 'db' up to date: 1 it is a new one, 0 the same, -1 there is none. */
int db_watch_refresh(struct db_watch *);

/* Gives up a snapshot that turned out to be of no use. */
void db_watch_drop(struct db_watch *);

/* A monotonic clock's second, never 0. */
time_t db_watch_second(void);

#endif
