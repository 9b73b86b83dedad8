/* A store's newest snapshot. */
#include "db_watch.h"

#include <stdlib.h>

#include "log.h"

void
db_watch_init(struct db_watch *w, char *path)
{
	*w = (struct db_watch){ .path = path };
}

void
db_watch_close(struct db_watch *w)
{
	db_close(w->db);
	free(w->path);
	*w = (struct db_watch){ 0 };
}

time_t
db_watch_second(void)
{
	struct timespec now = { 0, 0 };

	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now); /* cannot fail */
	return now.tv_sec + 1;
}

int
db_watch_current(const struct db_watch *w)
{
	return w->db != NULL && !db_stale(w->db);
}

static void
drop(struct db_watch *w, const struct db_look *look)
{
	db_close(w->db);
	w->db = NULL;
	w->failed_look = *look;
	w->failed_at = db_watch_second();
}

void
db_watch_drop(struct db_watch *w)
{
	struct db_look look;

	/* Of the snapshot, not of what may have taken its place by now. */
	db_look_of(w->db, &look);
	drop(w, &look);
}

int
db_watch_refresh(struct db_watch *w)
{
	struct db_look look;
	struct db *db;

	if (db_watch_current(w))
		return 0;
	/* Before opening, so that a change in between is not missed. */
	db_look(w->path, &look);
	if (w->db == NULL && w->failed_at == db_watch_second() &&
	    db_look_equal(&look, &w->failed_look))
		return -1;
	if (w->existed && look.exists == 0)
		log_warnx("'%s' is gone; put it back, or restart to begin "
			  "with an empty one",
		    w->path);
	if ((w->existed && look.exists == 0) ||
	    (db = db_open(w->path)) == NULL) {
		drop(w, &look);
		return -1;
	}
	db_close(w->db);
	w->db = db;
	db_look_of(db, &look);
	w->existed |= look.exists == 1;
	return 1;
}
