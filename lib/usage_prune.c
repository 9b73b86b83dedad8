/*
 * Removing old hours. First the journals, one by one, of hours that the store
 * holds; then all these hours from the store, in one commit. Whoever dies in
 * between leaves hours that are rolled up as if their journals were gone.
 */
#include "usage_internal.h"

#include <errno.h>
#include <limits.h>
#include <unistd.h>

#include "log.h"

/* 1 when the hour needs its journal no more and has none, -1 (logged). */
static int
drop_journal(const char *state_dir, struct db *db, int64_t hour)
{
	char path[PATH_MAX];

	if (usage_standing_of(state_dir, db, hour) != USAGE_CURRENT) {
		log_warnx("an old hour cannot be rolled up, so it stays");
		return -1;
	}
	if (usage_journal_path(path, sizeof(path), state_dir, hour) == -1)
		return -1;
	if (unlink(path) == 0 || errno == ENOENT)
		return 1;
	log_warn("cannot remove '%s'", path);
	return -1;
}

static int64_t
drop_hours(const char *state_dir, struct db *db,
    const struct usage_hours *hours, int *failed)
{
	int64_t dropped = 0;

	for (size_t i = 0; i < hours->n; i++) {
		if (drop_journal(state_dir, db, hours->at[i]) == -1) {
			*failed = 1;
			continue;
		}
		if (usage_store_del(db, hours->at[i]) == -1)
			return -1;
		dropped++;
	}
	return dropped;
}

/* The hours that go are those of an editor's view, under its lock. */
static int64_t
prune(const char *state_dir, const char *store, int64_t to)
{
	struct usage_hours hours = { 0 };
	struct db *db = db_edit(store);
	int64_t dropped = -1;
	int failed = 0;

	if (db == NULL)
		return -1;
	if (usage_hours_journalled(&hours, state_dir, INT64_MIN, to) == 0 &&
	    usage_store_hours(db, &hours, INT64_MIN, to) == 0) {
		usage_hours_sort(&hours);
		dropped = drop_hours(state_dir, db, &hours, &failed);
	}
	usage_hours_free(&hours);
	if (dropped > 0) {
		if (db_commit(db) == -1)
			return -1;
	} else
		db_close(db);
	return failed ? -1 : dropped;
}

int64_t
usage_prune(
    const char *state_dir, int64_t before, const struct usage_pricing *pricing)
{
	char store[PATH_MAX];
	int64_t dropped;

	/* Whole hours, each to its end; and each is rolled up first. */
	if (usage_store_path(store, sizeof(store), state_dir) == -1 ||
	    usage_rollup(state_dir, before + USAGE_SETTLE, NULL) == -1)
		return -1;
	dropped = prune(state_dir, store, usage_hour_of(before));
	/* Also when some hours stay. */
	return usage_sums_follow(state_dir, pricing) == -1 ? -1 : dropped;
}
