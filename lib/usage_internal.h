/*
 * usage_internal.h - what the files of the usage module share: the journal's
 * line and where its files are. Nobody else includes this.
 */
#ifndef PMPROXY_USAGE_INTERNAL_H
#define PMPROXY_USAGE_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

#include "db.h"
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

/*
 * Once this many seconds have passed since an hour's end it is closed. A line
 * may still come late, from a process that was stopped; then the hour is
 * rolled up anew.
 */
#define USAGE_SETTLE 120

/* Distinct keys, models and endpoints in one hour; see usage_table.h. */
#define USAGE_ROWS_MAX 100000

/* A growing list of hours, at most a century of them. */
struct usage_hours {
	int64_t *at;
	size_t n, cap;
};
int usage_hours_add(struct usage_hours *, int64_t hour); /* 0, -1 logged */
void usage_hours_sort(struct usage_hours *); /* drops doubles as well */
void usage_hours_free(struct usage_hours *);

/* Adds the hours in [from, to) that have a journal; 0 or -1 (logged). */
int usage_hours_journalled(
    struct usage_hours *, const char *state_dir, int64_t from, int64_t to);

/* What was read of one hour, besides its totals. */
struct usage_scan {
	int64_t size; /* bytes of journal */
	int64_t malformed; /* lines that could not be read */
};

/* Bytes in an hour's journal, -1 when there is none, -2 (logged). */
int64_t usage_journal_size(const char *state_dir, int64_t hour);

/*
 * Adds an hour's journal to the table, only one key's lines unless 'key_id' is
 * NULL. 'sync' makes the file durable first. 1, 0 without a file, -1 (logged).
 */
int usage_journal_read(const char *state_dir, int64_t hour, const char *key_id,
    int sync, struct usage_table *, struct usage_scan *);

/*
 * The same of its first 'size' bytes only, of all keys; these must be there.
 */
int usage_journal_read_part(
    const char *state_dir, int64_t hour, int64_t size, struct usage_table *);

/*
 * Ends what a reseal of that hour left that died. Under the editor's lock of
 * usage.gdbm; 0 or -1 (logged).
 */
int usage_reseal_recover(const char *state_dir, int64_t hour);

/* STATE_DIR/usage.gdbm; 0 or -1 (logged). */
int usage_store_path(char *dst, size_t size, const char *state_dir);

/* Adds the rolled-up hours in [from, to); 0 or -1 (logged). */
int
usage_store_hours(struct db *, struct usage_hours *, int64_t from, int64_t to);

/* What an hour was rolled up from; 1, 0 when it is not there, -1 (logged). */
int usage_store_scan(struct db *, int64_t hour, struct usage_scan *);

/* The same, and adds its rows to the table as usage_journal_read does. */
int usage_store_get(struct db *, int64_t hour, const char *key_id,
    struct usage_table *, struct usage_scan *);

/*
 * Calls 'fn' with each row of the hour's record, in order, once all of it was
 * found right: its answer, 0 also without a record, or -1 (logged).
 */
int usage_store_each(struct db *, int64_t hour, const char *key_id,
    struct usage_scan *, int (*fn)(const struct usage_total *, void *),
    void *arg);

/* How many numbers a row has: sums have their cost and their last hour. */
enum usage_record_of {
	USAGE_RECORD_HOUR = 10,
	USAGE_RECORD_SUMS = 12
};

/* The rows as bytes, behind what 'out' holds already; 0, -1 no memory. */
int usage_record_put(
    struct buf *out, const struct usage_table *, enum usage_record_of);

/*
 * Reads so many rows back ('key_id' NULL: all), and tells them once all were
 * found right. fn's answer, or -1 for what is no record. Logs nothing.
 */
int usage_record_each(const char *p, size_t len, enum usage_record_of,
    int64_t hour, int64_t rows, const char *key_id,
    int (*fn)(const struct usage_total *, void *), void *);

/* The hour's record as it is, replacing 'val'; 1, 0 absent, -1 (logged). */
int usage_store_raw(
    struct db *, int64_t hour, struct buf *val, struct usage_scan *);

/* Removes the hour's record; 1, 0 when there is none, -1 (logged). */
int usage_store_del(struct db *, int64_t hour);

/* Replaces the hour's record; 0 or -1 (logged). */
int usage_store_put(struct db *, int64_t hour, const struct usage_table *,
    const struct usage_scan *);

/* What an hour's record says, measured by the hour's journal. */
enum usage_standing {
	USAGE_CURRENT, /* the record says it all */
	USAGE_OUTDATED, /* the journal says more */
	USAGE_BROKEN /* no telling; logged */
};
enum usage_standing
usage_standing_of(const char *state_dir, struct db *, int64_t hour);

/* Fills the table with an hour's totals, from wherever they are. */
int usage_load_hour(const char *state_dir, struct db *, int64_t hour,
    const char *key_id, struct usage_table *, struct usage_scan *);

/*
 * Brings the sums up to date after a change of usage.gdbm, or without pricing
 * takes them away. 0 or -1 (logged).
 */
int usage_sums_follow(const char *state_dir, const struct usage_pricing *);

/* Behind usage_malformed_lines. */
extern _Thread_local int64_t usage_malformed;

/* Start of the hour that a time falls in. */
int64_t usage_hour_of(int64_t unix_s);

#endif
