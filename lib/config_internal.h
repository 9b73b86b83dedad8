/*
 * config_internal.h - between the files of config.c alone: the table of
 * settings, and the reader of files.
 */
#ifndef PMPROXY_CONFIG_INTERNAL_H
#define PMPROXY_CONFIG_INTERNAL_H

#include "buf.h"
#include "config.h"

/* "a number": for the sentence that says what a value is not. */
const char *config_wanted(enum config_name);

/* Whole, up to the buffer's cap. 0, or -1 after logging why. */
int config_read_file(const char *path, struct buf *);

/*
 * Calls 'take' for each setting of a .env file; it answers 0 or -1, and the
 * value is its own only while it runs. 0, or -1 after logging each mistake
 * with its line's number.
 */
int config_read_env(const char *path,
    int (*take)(void *, enum config_name, const char *value), void *arg);

#endif
