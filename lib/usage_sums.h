/*
 * usage_sums.h - the stores of sums. Private to usage.
 *
 * STATE_DIR/usage-sums.gdbm:
 *	meta		what the sums are made from (struct usage_sums_meta)
 *	total:YYYYMMDD	a day in one row; its tag stands for all it is made of
 *	total:YYYYMM	a month in one row
 *	month:YYYYMM	a month's rows; the tag is the mark of its days' store
 *	all		the rows of all time
 * STATE_DIR/usage-days-YYYYMM.gdbm:
 *	day:YYYYMMDD	a day's rows
 *
 * A record is a line "1 <tag> <rows> <malformed lines>", tab-separated, and
 * rows (usage_record.c). Whoever edits a store of days holds the edit of
 * usage-sums.gdbm meanwhile.
 */
#ifndef PMPROXY_USAGE_SUMS_H
#define PMPROXY_USAGE_SUMS_H

#include "usage_internal.h"

#define USAGE_DAY INT64_C(86400)

/* More rows than the largest month has; with more there are no sums. */
#define USAGE_SUMS_ROWS_MAX 1000000

/* So far back a journal that grew is noticed before the next roll-up. */
#define USAGE_SUMS_WATCHED 168

struct usage_sums_meta {
	unsigned char made_from[DB_MARK_LEN]; /* the mark of usage.gdbm */
	uint64_t basis; /* of the prices, before 'until' */
	int64_t first, until; /* hours: all there is in [first, until) */
	int64_t beyond; /* rolled-up hours from 'until' on */
	/* Bytes of journal in the last hours before 'until', -1: no record. */
	int64_t watched[USAGE_SUMS_WATCHED];
};

struct usage_sums_head {
	unsigned char tag[DB_MARK_LEN];
	int64_t rows, malformed;
};

/* A day that is to be summed up. */
struct usage_sums_day {
	int64_t start;
	size_t first, n; /* its hours */
	struct usage_sums_head head;
};

/* What is known while sums are being made. */
struct usage_sums_making {
	const char *state_dir;
	const struct usage_pricing *pricing;
	struct db *from; /* usage.gdbm */
	struct db *sums;
	struct usage_sums_meta meta;
	struct usage_hours hours; /* that are summed up, in order */
	struct usage_sums_day *days;
	size_t n_days, cap;
	int changed; /* some month is another one */

	/* The month that is being made. */
	int64_t month;
	struct db *store;
	int anew;
	struct usage_table table;
	int64_t at; /* the hour that rows are to get */
};

/*
 * Finds what usage.gdbm holds, up to the first hour that is not rolled up as
 * it stands; then makes what differs. 0 or -1 (logged).
 */
int usage_sums_cover(struct usage_sums_making *);
int usage_sums_make(struct usage_sums_making *);

/* Start of the UTC day of a time, and of the month after its own. */
int64_t usage_day_of(int64_t unix_s);
int64_t usage_next_month(int64_t unix_s);

/* Paths; 0 or -1 (logged). */
int usage_sums_path(char *dst, size_t size, const char *state_dir);
int
usage_days_path(char *dst, size_t size, const char *state_dir, int64_t month);

/* Names of records. */
#define USAGE_SUMS_NAME_SIZE 32
enum usage_sums_kind {
	USAGE_SUMS_TOTAL_OF_DAY,
	USAGE_SUMS_TOTAL_OF_MONTH,
	USAGE_SUMS_MONTH,
	USAGE_SUMS_DAY,
	USAGE_SUMS_ALL
};

/* 1 and what was found, 0 absent, -1 (logged). */
int usage_sums_get_meta(struct db *, struct usage_sums_meta *);
int usage_sums_get_head(
    struct db *, enum usage_sums_kind, int64_t at, struct usage_sums_head *);

/*
 * Calls 'fn' with the rows of a record, whose hour is 'at'. An absent record
 * has none. Its answer, or -1 (logged).
 */
int usage_sums_each(struct db *, enum usage_sums_kind, int64_t at,
    const char *key_id, struct usage_sums_head *,
    int (*fn)(const struct usage_total *, void *), void *);

/* 0 or -1 (logged). */
int usage_sums_put_meta(struct db *, const struct usage_sums_meta *);
int usage_sums_put(struct db *, enum usage_sums_kind, int64_t at,
    const struct usage_sums_head *, struct usage_table *);
int usage_sums_del(struct db *, enum usage_sums_kind, int64_t at);

/*
 * The store of a month's days, found whole and the one that the sums know;
 * NULL when it is not.
 */
struct db *
usage_days_open(struct db *sums, const char *state_dir, int64_t month);

/* Adds the days of [from, to) that have a total; 0 or -1 (logged). */
int
usage_sums_days(struct db *, struct usage_hours *, int64_t from, int64_t to);

/* Removes the stores of days of all months but those; 0 or -1 (logged). */
int usage_days_clean(const char *state_dir, const struct usage_hours *months);

#endif
