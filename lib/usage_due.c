/* How far the roll-up is behind. */
#include "usage_internal.h"

#include <limits.h>

int64_t
usage_due(const char *state_dir, int64_t now, int64_t *oldest)
{
	struct usage_hours hours = { 0 };
	char store[PATH_MAX];
	struct db *db = NULL;
	int64_t due = -1;

	/* The folder first, as in usage_each. */
	if (usage_store_path(store, sizeof(store), state_dir) == 0 &&
	    usage_hours_journalled(&hours, state_dir, INT64_MIN,
		usage_hour_of(now - USAGE_SETTLE)) == 0 &&
	    (db = db_open(store)) != NULL)
		due = 0;
	if (due == 0)
		usage_hours_sort(&hours);
	for (size_t i = 0; i < hours.n && due != -1; i++) {
		enum usage_standing s =
		    usage_standing_of(state_dir, db, hours.at[i]);

		if (s == USAGE_BROKEN)
			due = -1;
		else if (s == USAGE_OUTDATED && due++ == 0)
			*oldest = hours.at[i];
	}
	db_close(db);
	usage_hours_free(&hours);
	return due;
}
