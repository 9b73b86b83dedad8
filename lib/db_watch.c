/* A store's newest snapshot, and the promise of those who change it. */
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

/*
 * No system call, and the same for all processes. It may stand still for
 * longer than its tick while the hypervisor runs others, which matters to
 * nobody: who looks and who waits go by the same.
 */
static struct timespec
coarse_clock(void)
{
	struct timespec now = { 0, 0 };

	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now); /* cannot fail */
	return now;
}

/* Never 0. */
static int64_t
now_ms(void)
{
	struct timespec now = coarse_clock();

	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 + 1;
}

time_t
db_watch_second(void)
{
	return coarse_clock().tv_sec + 1;
}

int
db_watch_current(struct db_watch *w)
{
	/* Before the look, which is then no older than this says. */
	int64_t now = now_ms();

	if (w->db == NULL)
		return 0;
	if (now - atomic_load(&w->looked_ms) < DB_WATCH_MS)
		return 1;
	if (db_stale(w->db))
		return 0;
	atomic_store(&w->looked_ms, now);
	return 1;
}

/*
 * A look before the change has a time no later than the one that is read here,
 * so when the clock has gone on by DB_WATCH_MS that look is worth nothing.
 */
void
db_watch_wait(void)
{
	int64_t end = now_ms() + DB_WATCH_MS, left;

	while ((left = end - now_ms()) > 0) {
		struct timespec rest = { 0, left * 1000000 };

		(void)nanosleep(&rest, NULL); /* the clock tells */
	}
}

int
db_watch_commit(struct db *edit)
{
	int done = db_commit(edit);

	db_watch_wait();
	return done;
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
	int64_t now;

	if (db_watch_current(w))
		return 0;
	/* Before opening, so that a change in between is not missed. */
	now = now_ms();
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
	atomic_store(&w->looked_ms, now);
	db_look_of(db, &look);
	w->existed |= look.exists == 1;
	return 1;
}
