/* The one switch for all keys, for when there is no time to think of each. */
#include "keys.h"

#include <stdlib.h>

#include "db_watch.h"
#include "keys_record.h"
#include "log.h"

enum keys_result
keys_lock(const char *state_dir, int locked)
{
	char *path = keys_path(state_dir);
	struct db *db = path == NULL ? NULL : db_edit(path);
	int done = -1;

	free(path);
	if (db == NULL)
		return KEYS_ERROR;
	if ((locked ? db_put(db, KEYS_LOCKDOWN, "1", 1)
		    : db_del(db, KEYS_LOCKDOWN)) == -1)
		db_close(db);
	else
		done = db_watch_commit(db);
	return done == -1 ? KEYS_ERROR : KEYS_OK;
}

int
keys_are_locked(const char *state_dir)
{
	struct buf val = BUF(64);
	char *path = keys_path(state_dir);
	struct db *db = path == NULL ? NULL : db_open(path);
	int locked = db == NULL ? -1 : db_get(db, KEYS_LOCKDOWN, &val);

	db_close(db);
	buf_free(&val);
	free(path);
	return locked;
}
