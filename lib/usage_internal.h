/*
 * usage_internal.h - what the files of the usage module share: the journal's
 * line and where its files are. Nobody else includes this.
 */
#ifndef PMPROXY_USAGE_INTERNAL_H
#define PMPROXY_USAGE_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

#include "usage.h"

#define USAGE_HOUR 3600

/* Longer than any line that is written: what does not fit is malformed. */
#define USAGE_LINE_SIZE 640

/*
 * Writes "\n1\tkey\t...\t.\n" and returns its length. Whatever a field holds,
 * the line is one that usage_line_parse reads: a name that could not stand in
 * it becomes "other", a number below its bound that bound.
 */
size_t
usage_line_format(char dst[USAGE_LINE_SIZE], const struct usage_record *);

/* Reads a line without its newlines; 'at' stays. 0, or -1 when malformed. */
int usage_line_parse(const char *, size_t n, struct usage_record *);

/* A name of a key, model or endpoint: printable ASCII that fits its field. */
int usage_name_valid(const char *, size_t n, size_t size);

/* Path of STATE_DIR/journal or, with an hour, of its file; 0 or -1 (logged). */
#define USAGE_NO_HOUR INT64_MIN
int
usage_journal_path(char *dst, size_t size, const char *state_dir, int64_t hour);

/* Start of the hour that a time falls in. */
int64_t usage_hour_of(int64_t unix_s);

#endif
