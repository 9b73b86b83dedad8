/*
 * usage.h - what was used: an append-only journal, and totals rolled up from
 * it. A count per key, model, endpoint and hour; no address, no content.
 *
 * STATE_DIR/journal/YYYYMMDDHH holds one UTC hour, a line a request. A line is
 * one O_APPEND write; it begins with a newline as well as ending with one, so
 * that a torn line spoils only itself. STATE_DIR/usage.gdbm holds closed hours
 * rolled up, and remembers which: a roll-up can be repeated, interrupted, or
 * run twice at once. Where STORE_KEY_FILE is set (seal.h) each line is sealed
 * by itself, and an hour with a line that is not is refused.
 * STATE_DIR/usage-sums.gdbm and usage-days-YYYYMM.gdbm hold sums of these hours
 * with their cost, for quick pages; they can be made anew at any time, and
 * count only while they are made from what is there.
 */
#ifndef PMPROXY_USAGE_H
#define PMPROXY_USAGE_H

#include <stddef.h>
#include <stdint.h>

#include "db.h"

#define USAGE_KEY_SIZE 64
#define USAGE_MODEL_SIZE 64
#define USAGE_ENDPOINT_SIZE 32

struct usage_record {
	int64_t at; /* Unix seconds, when the answer ended; set by append */
	char key_id[USAGE_KEY_SIZE];
	char model[USAGE_MODEL_SIZE];
	char endpoint[USAGE_ENDPOINT_SIZE]; /* "chat.completions" */
	int status_class; /* 2, 4 or 5 */
	int estimated; /* token counts are a guess: the upstream told none */
	int64_t prompt, completion, cached, total; /* tokens */
	int64_t audio_bytes; /* of the file part */
	int64_t audio_ms; /* when told */
	int64_t duration_ms;
	int64_t first_byte_ms; /* -1: no byte came */
};

struct usage_journal;

/* For a responder; NULL after logging. Thread-safe from here on. */
struct usage_journal *usage_journal_open(const char *state_dir);

/*
 * Writes one line; when it returns 0 the record survives the death of any
 * process. -1 after logging (not more than once a second).
 */
int usage_journal_append(
    struct usage_journal *, const struct usage_record *, int64_t now);

/* 0 when a line could be written now, else -1; for /health/ready. */
int usage_journal_check(struct usage_journal *);

void usage_journal_close(struct usage_journal *);

/* Totals of one key, model and endpoint in one hour. */
struct usage_total {
	int64_t hour; /* Unix seconds of its start */
	char key_id[USAGE_KEY_SIZE];
	char model[USAGE_MODEL_SIZE];
	char endpoint[USAGE_ENDPOINT_SIZE];
	int64_t requests, errors, estimated;
	int64_t prompt, completion, cached, total;
	int64_t audio_bytes, audio_ms;
	int64_t duration_ms; /* summed */
	/* 0 unless it is said that they are filled in: */
	int64_t cost; /* nano-EUR */
	int64_t last; /* Unix seconds of the start of the last hour of use */
};

/* What use costs, as somebody else knows it (costs.h has the only one). */
struct usage_pricing {
	/* The cost of an hour's total, in nano-EUR. */
	int64_t (*cost)(void *arg, const struct usage_total *);
	/* Another number once anything before that time costs otherwise. */
	uint64_t (*basis)(void *arg, int64_t before);
	void *arg;
};

/*
 * Rolls every closed hour's journal into usage.gdbm, and anew when a line came
 * late; an hour is closed two minutes after its end. Journals stay. Brings the
 * sums up to date, unless there is no pricing. Returns the number of hours
 * rolled, or -1 after logging; one hour that cannot be read keeps no other
 * from being rolled.
 */
int64_t
usage_rollup(const char *state_dir, int64_t now, const struct usage_pricing *);

/*
 * How many closed hours usage_rollup would roll at that time, and in *oldest
 * the first of them; or -1 after logging. Changes nothing.
 */
int64_t usage_due(const char *state_dir, int64_t now, int64_t *oldest);

/*
 * Calls 'fn' with each total of the hours in [from, to), hour by hour in
 * order, rolled-up hours and open journals alike. 'key_id' NULL: all keys.
 * Stops at the first nonzero answer and returns it; -1 after logging.
 */
int usage_each(const char *state_dir, int64_t from, int64_t to,
    const char *key_id, int (*fn)(const struct usage_total *, void *), void *);

/* How coarse totals may be: what is finer is told as well where it must. */
enum usage_grain {
	USAGE_HOURS,
	USAGE_DAYS,
	USAGE_MONTHS,
	USAGE_WHOLE
};

struct usage_query {
	int64_t from, to; /* hours in [from, to) */
	const char *key_id; /* NULL: all */
	enum usage_grain grain;
	int nameless; /* names are of no interest, and may be "all" */
};

/*
 * Usage as it stands at one moment, with its cost: from the sums where they
 * are up to date, else hour by hour. Not thread-safe.
 */
struct usage_reader;

/* NULL after logging. The pricing must hold on to its prices meanwhile. */
struct usage_reader *
usage_reader_open(const char *state_dir, const struct usage_pricing *);

/* 1 when the sums are up to date: asking twice then costs little. */
int usage_reader_is_quick(const struct usage_reader *);

/*
 * Calls 'fn' with totals in order of time, of which 'hour' is the start of
 * whatever they sum up: an hour, a UTC day, a month or, for USAGE_WHOLE, all
 * time. A row may come in parts. 'cost' and 'last' are filled in. Stops at the
 * first nonzero answer and returns it; -1 after logging.
 */
int usage_reader_each(struct usage_reader *, const struct usage_query *,
    int (*fn)(const struct usage_total *, void *), void *);
void usage_reader_close(struct usage_reader *);

/*
 * What was given to somebody, an hour at a time: a store of the bytes of each
 * closed hour's journal that are given. Nothing is given twice and nothing
 * left out, also of an hour to which a line came late.
 */
struct usage_cursor;

/* Waits while another has it open. NULL after logging. */
struct usage_cursor *usage_cursor_open(const char *path);

/*
 * Calls 'fn' with each total of closed hours that was not given yet, hour by
 * hour in order; 'before' is what was given of the same row, NULL when nothing
 * was. Stops at the first nonzero answer and returns it; -1 after logging.
 */
int usage_cursor_each(struct usage_cursor *, const char *state_dir, int64_t now,
    int (*fn)(
	const struct usage_total *, const struct usage_total *before, void *),
    void *);

/*
 * Remembers what usage_cursor_each gave; to be called once that is in safe
 * hands. Closes it, also when it fails; 0 or -1 after logging.
 */
int usage_cursor_commit(struct usage_cursor *);
/* Forgets what was given since it was opened. NULL is fine. */
void usage_cursor_close(struct usage_cursor *);

/*
 * Removes what was used in hours that ended before 'before': journals that are
 * rolled up, then the hours themselves. At any moment an hour is there with
 * all its use or not at all. How many hours went, or -1 after logging. Without
 * pricing the sums go as a whole, until the next roll-up.
 */
int64_t usage_prune(
    const char *state_dir, int64_t before, const struct usage_pricing *);

/*
 * Erases whatever a key used: its lines in all journals, the open one as well,
 * are overwritten with newlines in their place, so that those who append and
 * those who remember sizes notice nothing; its rows leave usage.gdbm and the
 * sums, which go as a whole without pricing. May be interrupted and repeated.
 * How many lines and rows went, or -1 after logging.
 */
int64_t usage_erase(
    const char *state_dir, const char *key_id, const struct usage_pricing *);

/*
 * Writes journals anew as db_reseal does stores, each in one step. Other keys
 * (DB_RESEAL_KEYS) may be brought in while responders write: no line is lost.
 * For the others it fails while any does. May be interrupted and repeated. How
 * many hours were due, or -1 after logging; one that fails keeps no other from
 * it. Cursors have to come first, what is rolled up may come at any time.
 */
int64_t usage_reseal(const char *state_dir, enum db_reseal);

/* 1 when nobody has the journal open to write, else -1 after logging. */
int usage_is_idle(const char *state_dir);

/* db_reseal of a cursor; what it remembers goes on to be true. */
int
usage_reseal_cursor(const char *state_dir, const char *path, enum db_reseal);

/* Lines that could not be read by the last reading or roll-up here. */
int64_t usage_malformed_lines(void);

/*
 * Totals summed by hour, key, model and endpoint, in bounded memory. Whoever
 * wants sums over days, or over all models, rounds or blanks those members
 * before adding. Sums stop at INT64_MAX. Not thread-safe.
 */
struct usage_table {
	struct usage_total *rows;
	size_t n; /* rows in use */
	size_t max; /* rows at most */
	size_t cap; /* private, as are the others */
	uint32_t *slots;
	size_t n_slots;
	int full;
};

/* struct usage_table t = USAGE_TABLE(100000); allocates nothing. */
#define USAGE_TABLE(max)                      \
	{                                     \
		NULL, 0, (max), 0, NULL, 0, 0 \
	}

/*
 * Adds to the row with the same hour and names, or makes it. Once 'max' rows
 * are there, a new one counts in a last row of which all names are "other",
 * and one log line says so. 0, or -1 after logging that memory is out.
 */
int usage_table_add(struct usage_table *, const struct usage_total *);

/* Adds all numbers of 'from' to 'to', whatever its names. */
void usage_total_add(struct usage_total *to, const struct usage_total *from);

/* Orders the rows by hour, key, model and endpoint. */
void usage_table_sort(struct usage_table *);

/* Empties it and keeps the memory. */
void usage_table_clear(struct usage_table *);
void usage_table_free(struct usage_table *);

#endif
