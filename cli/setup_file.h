/* setup_file.h - files that are whole or not there, with owner and mode. */
#ifndef PMPROXY_CLI_SETUP_FILE_H
#define PMPROXY_CLI_SETUP_FILE_H

#include <stddef.h>
#include <sys/types.h>

#include "lib/buf.h"

struct setup_owner {
	uid_t user;
	gid_t group;
	mode_t mode;
	int change; /* 0: everything stays the caller's */
};

/* Replaces 'path' with these bytes; 0 or -1 after logging. */
int setup_file_write(
    const char *path, const void *data, size_t n, const struct setup_owner *);

/* The same with a copy of a program of any length. */
int
setup_file_copy(const char *path, const char *from, const struct setup_owner *);

/* All of a file; 1, 0 when there is none, -1 after logging. */
int setup_file_read(const char *path, struct buf *);

/* Makes a folder, and those above it; puts owner and mode right. 0 or -1. */
int setup_folder(const char *path, const struct setup_owner *);

/*
 * Sets NAME=value in the text of a .env file: in the place of the line that
 * has it, or that has it behind a #, else at the end. 0 or -1.
 */
int setup_env_set(struct buf *text, const char *name, const char *value);

#endif
