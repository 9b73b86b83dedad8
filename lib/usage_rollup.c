/*
 * Rolling closed hours up into usage.gdbm, and reading both. The journal is
 * the truth as long as its file exists: a record counts only when it was made
 * from exactly as many bytes as the file has. So a line that comes late to a
 * closed hour shows at once, and the next roll-up replaces the record.
 */
#include "usage_internal.h"

#include <limits.h>

#include "log.h"

/* A commit copies the whole store, so it takes in many hours. */
#define HOURS_A_COMMIT 1000

/*
 * A record that cannot be read is outdated while its journal exists, which
 * heals it.
 */
enum usage_standing
usage_standing_of(const char *state_dir, struct db *db, int64_t hour)
{
	int64_t size = usage_journal_size(state_dir, hour);
	struct usage_scan scan;
	int found;

	if (size == -2)
		return USAGE_BROKEN;
	found = usage_store_scan(db, hour, &scan);
	if (size == -1)
		return found == -1 ? USAGE_BROKEN : USAGE_CURRENT;
	return found == 1 && scan.size == size ? USAGE_CURRENT : USAGE_OUTDATED;
}

/* 1 when rolled up, 0 when there was no need, -1 (logged). */
static int
roll_hour(const char *state_dir, struct db *db, int64_t hour)
{
	struct usage_table table = USAGE_TABLE(USAGE_ROWS_MAX);
	struct usage_scan scan;
	enum usage_standing standing = usage_standing_of(state_dir, db, hour);
	int done;

	if (standing != USAGE_OUTDATED)
		return standing == USAGE_CURRENT ? 0 : -1;
	done = usage_journal_read(state_dir, hour, NULL, 1, &table, &scan);
	if (done == 1) {
		usage_table_sort(&table);
		usage_malformed += scan.malformed;
		if (usage_store_put(db, hour, &table, &scan) == -1)
			done = -1;
	}
	usage_table_free(&table);
	return done;
}

/*
 * Rolls 'n' hours up in one commit. An hour that fails stays as it was and
 * does not keep the others from being rolled. What another process rolled up
 * since we looked is seen here, under the editor's lock.
 */
static int64_t
roll_batch(const char *state_dir, const char *store, const int64_t *hour,
    size_t n, int *failed)
{
	struct db *db = db_edit(store);
	int64_t rolled = 0;

	if (db == NULL)
		return -1;
	for (size_t i = 0; i < n; i++) {
		int done = roll_hour(state_dir, db, hour[i]);

		if (done == -1)
			*failed = 1;
		else
			rolled += done;
	}
	if (rolled == 0) {
		db_close(db);
		return 0;
	}
	return db_commit(db) == -1 ? -1 : rolled;
}

/* Keeps the hours that need a roll-up, as far as a reader can see. */
static int
keep_due(struct usage_hours *hours, const char *state_dir, const char *store,
    int *failed)
{
	struct db *db = db_open(store);
	size_t kept = 0;

	if (db == NULL)
		return -1;
	for (size_t i = 0; i < hours->n; i++) {
		enum usage_standing s =
		    usage_standing_of(state_dir, db, hours->at[i]);

		if (s == USAGE_OUTDATED)
			hours->at[kept++] = hours->at[i];
		else if (s == USAGE_BROKEN)
			*failed = 1;
	}
	hours->n = kept;
	db_close(db);
	return 0;
}

static int64_t
roll_due(const char *state_dir, const char *store, struct usage_hours *hours)
{
	int64_t rolled = 0;
	int failed = 0;

	usage_hours_sort(hours);
	if (keep_due(hours, state_dir, store, &failed) == -1)
		return -1;
	for (size_t i = 0; i < hours->n; i += HOURS_A_COMMIT) {
		size_t n = hours->n - i;
		int64_t done = roll_batch(state_dir, store, hours->at + i,
		    n < HOURS_A_COMMIT ? n : HOURS_A_COMMIT, &failed);

		if (done == -1)
			return -1;
		rolled += done;
	}
	return failed ? -1 : rolled;
}

int64_t
usage_rollup(
    const char *state_dir, int64_t now, const struct usage_pricing *pricing)
{
	struct usage_hours hours = { 0 };
	char store[PATH_MAX];
	int64_t rolled = -1;

	usage_malformed = 0;
	/* An hour is closed when it began before the one that is now open. */
	if (usage_store_path(store, sizeof(store), state_dir) == 0 &&
	    usage_hours_journalled(&hours, state_dir, INT64_MIN,
		usage_hour_of(now - USAGE_SETTLE)) == 0)
		rolled = roll_due(state_dir, store, &hours);
	usage_hours_free(&hours);
	/* Also when one hour failed: the others show. */
	if (pricing != NULL && usage_sums_follow(state_dir, pricing) == -1)
		rolled = -1;
	return rolled;
}

int
usage_load_hour(const char *state_dir, struct db *db, int64_t hour,
    const char *key_id, struct usage_table *table, struct usage_scan *scan)
{
	enum usage_standing standing = usage_standing_of(state_dir, db, hour);
	int done = -1;

	*scan = (struct usage_scan){ 0 };
	usage_table_clear(table);
	table->max = USAGE_ROWS_MAX;
	if (standing == USAGE_OUTDATED)
		done =
		    usage_journal_read(state_dir, hour, key_id, 0, table, scan);
	/* A record may hold one row more, the one of "other". */
	table->max = USAGE_ROWS_MAX + 1;
	if (standing == USAGE_CURRENT || done == 0)
		done = usage_store_get(db, hour, key_id, table, scan);
	usage_malformed += scan->malformed;
	usage_table_sort(table);
	return done == -1 ? -1 : 0;
}

/* What is to be told of each total. */
struct telling {
	const char *key_id; /* NULL: all keys */
	int (*fn)(const struct usage_total *, void *);
	void *arg;
};

/* A record is in order and holds each row once: it needs no table. */
static int
tell_hour(const char *state_dir, struct db *db, int64_t hour,
    const struct telling *t, struct usage_table *table)
{
	struct usage_scan scan = { 0 };
	int answer;

	if (usage_standing_of(state_dir, db, hour) == USAGE_CURRENT) {
		answer =
		    usage_store_each(db, hour, t->key_id, &scan, t->fn, t->arg);
		usage_malformed += scan.malformed;
		return answer;
	}
	answer = usage_load_hour(state_dir, db, hour, t->key_id, table, &scan);
	for (size_t k = 0; answer == 0 && k < table->n; k++)
		answer = t->fn(&table->rows[k], t->arg);
	return answer;
}

static int
each_hour(const char *state_dir, struct db *db, const struct usage_hours *hours,
    const struct telling *t)
{
	struct usage_table table = USAGE_TABLE(USAGE_ROWS_MAX);
	int answer = 0;

	for (size_t i = 0; answer == 0 && i < hours->n; i++)
		answer = tell_hour(state_dir, db, hours->at[i], t, &table);
	usage_table_free(&table);
	return answer;
}

int
usage_each(const char *state_dir, int64_t from, int64_t to, const char *key_id,
    int (*fn)(const struct usage_total *, void *), void *arg)
{
	struct usage_hours hours = { 0 };
	char store[PATH_MAX];
	struct db *db = NULL;
	int answer = -1;

	usage_malformed = 0;
	/*
	 * The folder first: an hour that is rolled up and taken away after
	 * this look is in the snapshot.
	 */
	if (usage_store_path(store, sizeof(store), state_dir) == 0 &&
	    usage_hours_journalled(&hours, state_dir, from, to) == 0 &&
	    (db = db_open(store)) != NULL &&
	    usage_store_hours(db, &hours, from, to) == 0) {
		usage_hours_sort(&hours);
		answer = each_hour(state_dir, db, &hours,
		    &(struct telling){ key_id, fn, arg });
	}
	db_close(db);
	usage_hours_free(&hours);
	return answer;
}
