/*
 * db_file.h - the files of a store: the whole and checked file to read, and
 * an edit's lock, private draft and publication. Private to db. Every failure
 * is logged.
 */
#ifndef PMPROXY_DB_FILE_H
#define PMPROXY_DB_FILE_H

#include <sys/stat.h>

#include "db_seal.h"
#include "db_sum.h"

/* A store's file, found whole and sealed as it should be. */
struct db_file {
	int fd; /* -1: absent, and the rest is nothing */
	struct stat st;
	struct db_seal seal;
	unsigned char sum[DB_SUM_DIGEST_LEN];
};

/*
 * Opens a store's file to read, once its checksum is found right. 0, also when
 * the file is absent but its folder is there; -1.
 */
int db_file_open(const char *path, enum db_seal_want, struct db_file *);

/* What the file says, without a check: 1, 0 absent, -1. */
int db_file_look(const char *path, struct db_sum_found *);

/* Removes it, 'for_good' with its draft and its lock; 0 or -1. */
int db_file_remove(const char *path, int for_good);

struct db_draft {
	char *path; /* of the store; the rest is named after it */
	char *draft;
	int folder, lock, fd; /* -1 when not open */
};

/*
 * Waits for the lock, removes what a dead editor left and makes a new, empty
 * draft. 0, or -1 with nothing to clean up.
 */
int db_draft_begin(struct db_draft *, const char *path);

/* Copies the whole file 'from' into the draft; 0 or -1. */
int db_draft_copy(struct db_draft *, int from);

/*
 * Gives the draft the owner, group and mode of the file it replaces, or for a
 * new one ('replaced' NULL) the folder's owner and mode 0600. 0 or -1.
 */
int db_draft_adopt(struct db_draft *, const struct stat *replaced);

/* Makes the draft the store, durably; 0 or -1. */
int db_draft_publish(struct db_draft *);

/* Removes an unpublished draft and gives the lock back. */
void db_draft_end(struct db_draft *);

#endif
