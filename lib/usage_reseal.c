/*
 * Writing journals anew under another key, or none.
 *
 * Under another key each line keeps its length, so that sizes which the store
 * and the cursors remember stay true, and its nonce, so that it is known again
 * (usage_reseal_file.c): responders may append meanwhile.
 *
 * From plain to sealed, or back, lengths change, and a plain line has no
 * nonce. So nobody may append meanwhile; what cursors remember is translated
 * (usage_reseal_cursor.c), and the store finds itself outdated.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "log.h"
#include "usage_reseal.h"

#define JOURNAL_MAX ((size_t)1 << 40)

/* Whether the file has to be written anew; 2 when a line may not be there. */
static int
is_due(struct usage_resealing *r, const struct usage_line *l, const char *line,
    size_t n, void *arg)
{
	int *due = arg;

	(void)line;
	(void)n;
	if (l->found == USAGE_FOUND_SEALED ||
	    (l->found == USAGE_FOUND_PLAIN && r->how == DB_RESEAL_KEYS)) {
		(void)usage_line_refused(r->path, l);
		return 2;
	}
	if (r->how == DB_RESEAL_PLAIN)
		*due |= l->sealed;
	else /* also one that cannot be opened, but names an old key */
		*due |= l->sealed ? !l->first : l->found == USAGE_FOUND_PLAIN;
	return 0;
}

struct writing {
	const struct usage_image *from;
	struct buf out;
};

static int
add_line(struct usage_resealing *r, const struct usage_line *l,
    const char *line, size_t n, void *arg)
{
	struct writing *w = arg;
	char as[USAGE_SEALED_SIZE];

	(void)line;
	(void)n;
	if (l->found != USAGE_FOUND && l->found != USAGE_FOUND_PLAIN)
		return 0;
	n = usage_line_as(&r->as, l, as);
	return buf_add(&w->out, as, n);
}

/* In its place, of the same length. */
static int
replace_line(struct usage_resealing *r, const struct usage_line *l,
    const char *line, size_t n, void *arg)
{
	struct writing *w = arg;
	char *place = w->out.data + (line - w->from->p);
	char as[USAGE_SEALED_SIZE];

	if (!l->sealed || l->first)
		return 0;
	if (l->found == USAGE_FOUND_MALFORMED) {
		memset(place, '\n', n);
		return 0;
	}
	if (usage_line_as(&r->as, l, as) != n + 2)
		return -1;
	memcpy(place, as + 1, n);
	return 0;
}

static int
compose(struct usage_resealing *r, struct writing *w)
{
	int bad;

	if (r->how == DB_RESEAL_KEYS)
		bad = buf_add(&w->out, w->from->p, w->from->n) == -1 ||
		    usage_image_each(r, w->from, replace_line, w) != 0;
	else
		bad = usage_image_each(r, w->from, add_line, w) != 0;
	if (bad)
		log_warnx("no room for '%s'", r->path);
	return bad ? -1 : 0;
}

/* 1 when it was written anew, 0 when there was no need, -1 (logged). */
static int
reseal_hour(struct usage_resealing *r)
{
	struct writing w = { .out = BUF(JOURNAL_MAX) };
	struct usage_image from;
	int there, due = 0;

	if (usage_resealing_recover(r) == -1)
		return -1;
	if ((there = usage_image_open(&from, r->path)) != 1)
		return there;
	w.from = &from;
	if (usage_image_each(r, &from, is_due, &due) != 0 ||
	    (due &&
		(compose(r, &w) == -1 ||
		    usage_resealing_publish(
			r, &from.st, w.out.data, w.out.len) == -1)))
		due = -1;
	usage_image_close(&from);
	buf_free(&w.out);
	return due;
}

int
usage_reseal_recover(const char *state_dir, int64_t hour)
{
	struct usage_resealing r = { .how = DB_RESEAL_KEYS,
		.state_dir = state_dir };
	int done = usage_resealing_begin(&r, hour);

	if (done == 0)
		done = usage_resealing_recover(&r);
	usage_resealing_end(&r);
	return done;
}

/* While this is held nobody starts to write lines; -1 (logged). */
static int
lock_out_writers(const char *state_dir)
{
	char folder[PATH_MAX];
	int fd;

	if (usage_journal_path(
		folder, sizeof(folder), state_dir, USAGE_NO_HOUR) == -1)
		return -1;
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1) {
		log_warn("cannot open '%s'", folder);
		return -1;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	if (errno == EWOULDBLOCK)
		log_warnx(
		    "the gate runs, and writes to '%s': stop it first", folder);
	else
		log_warn("cannot lock '%s'", folder);
	close(fd);
	return -1;
}

int
usage_is_idle(const char *state_dir)
{
	char folder[PATH_MAX];
	int fd;

	if (usage_journal_path(
		folder, sizeof(folder), state_dir, USAGE_NO_HOUR) == -1)
		return -1;
	if (access(folder, F_OK) == -1 && errno == ENOENT)
		return 1;
	if ((fd = lock_out_writers(state_dir)) == -1)
		return -1;
	close(fd);
	return 1;
}

static int64_t
reseal_hours(const char *state_dir, enum db_reseal how)
{
	struct usage_resealing r = { .how = how, .state_dir = state_dir };
	struct usage_hours hours = { 0 };
	int64_t n = 0;
	int failed = 0;

	if (usage_hours_journalled(&hours, state_dir, INT64_MIN, INT64_MAX) ==
	    -1)
		return -1;
	usage_hours_sort(&hours);
	for (size_t i = 0; i < hours.n; i++) {
		int done = usage_resealing_begin(&r, hours.at[i]);

		if (done == 0)
			done = reseal_hour(&r);
		usage_resealing_end(&r);
		failed |= done == -1;
		n += done == 1;
	}
	usage_hours_free(&hours);
	return failed ? -1 : n;
}

int64_t
usage_reseal(const char *state_dir, enum db_reseal how)
{
	char store[PATH_MAX], folder[PATH_MAX];
	int writers = -1;
	int64_t n = -1;
	struct db *lock;

	if (usage_store_path(store, sizeof(store), state_dir) == -1 ||
	    usage_journal_path(
		folder, sizeof(folder), state_dir, USAGE_NO_HOUR) == -1)
		return -1;
	if (access(folder, F_OK) == -1 && errno == ENOENT)
		return 0;
	if (how != DB_RESEAL_KEYS &&
	    (writers = lock_out_writers(state_dir)) == -1)
		return -1;
	/* An editor's lock: no roll-up, no erasure and no pruning meanwhile. */
	if ((lock = db_lock(store)) != NULL)
		n = reseal_hours(state_dir, how);
	db_close(lock);
	if (writers != -1)
		close(writers);
	return n;
}
