/*
 * Making the sums of what usage.gdbm holds. They follow from its content
 * alone: each day has a tag that stands for all its hours' records and the
 * prices that hold for them, and is added up anew when that differs. So it
 * does not matter who changed the store, how often, or what died meanwhile.
 *
 * The stores of days are published first; they count only with the mark that
 * usage-sums.gdbm has of them. All under the edit of usage-sums.gdbm.
 */
#include "usage_sums.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "secret.h"
#include "text.h"

/* A record of an hour; see usage_store.c. */
#define RECORD_MAX ((size_t)USAGE_ROWS_MAX * 640)

static struct usage_sums_day *
add_day(struct usage_sums_making *m, int64_t start)
{
	struct usage_sums_day *grown;

	if (m->days == NULL || m->n_days == m->cap) {
		m->cap = m->cap * 2 + 64;
		grown = reallocarray(m->days, m->cap, sizeof(m->days[0]));
		if (grown == NULL) {
			log_warnx("out of memory for the sums of usage");
			return NULL;
		}
		m->days = grown;
	}
	m->days[m->n_days] =
	    (struct usage_sums_day){ .start = start, .first = m->hours.n };
	return &m->days[m->n_days++];
}

static void
stir(unsigned char tag[DB_MARK_LEN], const void *p, size_t n)
{
	unsigned char next[DB_MARK_LEN];

	secret_hmac(next, tag, p, n);
	memcpy(tag, next, DB_MARK_LEN);
}

/* Takes the hour in, with its record and what it costs by. */
static int
take_hour(struct usage_sums_making *m, int64_t hour, const struct buf *val,
    const struct usage_scan *scan)
{
	int64_t start = usage_day_of(hour);
	struct usage_sums_day *day =
	    m->n_days > 0 ? &m->days[m->n_days - 1] : NULL;
	uint64_t basis = m->pricing->basis(m->pricing->arg, hour + USAGE_HOUR);

	if ((day == NULL || day->start != start) &&
	    (day = add_day(m, start)) == NULL)
		return -1;
	if (usage_hours_add(&m->hours, hour) == -1)
		return -1;
	day->n++;
	day->head.malformed += scan->malformed;
	stir(day->head.tag, &hour, sizeof(hour));
	stir(day->head.tag, &basis, sizeof(basis));
	stir(day->head.tag, val->data, val->len);
	m->meta.until = hour + USAGE_HOUR;
	/* One place for each hour, whatever the last one is. */
	m->meta.watched[hour / USAGE_HOUR % USAGE_SUMS_WATCHED] = scan->size;
	return 0;
}

/* Before an hour: what stands where those hours are watched that have none. */
static void
forget_between(struct usage_sums_making *m, int64_t hour)
{
	int64_t at = m->meta.until, longest = USAGE_SUMS_WATCHED * USAGE_HOUR;

	if (m->hours.n == 0 || hour - at > longest)
		at = hour > longest ? hour - longest : 0;
	for (; at < hour; at += USAGE_HOUR)
		m->meta.watched[at / USAGE_HOUR % USAGE_SUMS_WATCHED] = -1;
}

/* 1 when the hour's record says it all. */
static int
is_current(struct usage_sums_making *m, int64_t hour, struct buf *val,
    struct usage_scan *scan)
{
	int64_t size = usage_journal_size(m->state_dir, hour);

	return hour >= 0 && usage_store_raw(m->from, hour, val, scan) == 1 &&
	    (size == -1 || size == scan->size);
}

/*
 * Up to the first hour that is not rolled up as it stands: what comes from
 * there on is read where it is.
 */
static int
take_hours(struct usage_sums_making *m, const struct usage_hours *all)
{
	struct buf val = BUF(RECORD_MAX);
	struct usage_scan scan;
	size_t i = 0;
	int done = 0;

	if (all->n > 0)
		m->meta.first = m->meta.until = all->at[0];
	for (; i < all->n && done == 0; i++) {
		if (!is_current(m, all->at[i], &val, &scan))
			break;
		forget_between(m, all->at[i]);
		done = take_hour(m, all->at[i], &val, &scan);
	}
	buf_free(&val);
	for (; i < all->n; i++)
		m->meta.beyond +=
		    usage_store_scan(m->from, all->at[i], &scan) != 0;
	return done;
}

int
usage_sums_cover(struct usage_sums_making *m)
{
	struct usage_hours all = { 0 };
	int done = -1;

	if (usage_hours_journalled(&all, m->state_dir, INT64_MIN, INT64_MAX) ==
		0 &&
	    usage_store_hours(m->from, &all, INT64_MIN, INT64_MAX) == 0) {
		usage_hours_sort(&all);
		done = take_hours(m, &all);
	}
	usage_hours_free(&all);
	db_mark_of(m->from, m->meta.made_from);
	m->meta.basis = m->pricing->basis(m->pricing->arg, m->meta.until);
	return done;
}

static void
make_free(struct usage_sums_making *m)
{
	db_close(m->from);
	db_close(m->store);
	db_close(m->sums);
	usage_hours_free(&m->hours);
	usage_table_free(&m->table);
	free(m->days);
}

/* What is damaged is to be made anew, also of a month that stays the same. */
static int
days_are_whole(struct db *sums, const char *state_dir)
{
	struct usage_hours days = { 0 };
	int64_t month = INT64_MIN;
	int whole = usage_sums_days(sums, &days, INT64_MIN, INT64_MAX) == 0;

	usage_hours_sort(&days);
	for (size_t i = 0; i < days.n && whole; i++) {
		struct db *db;

		if (text_month_of(days.at[i]) == month)
			continue;
		month = text_month_of(days.at[i]);
		db = usage_days_open(sums, state_dir, month);
		whole = db != NULL;
		db_close(db);
	}
	usage_hours_free(&days);
	return whole;
}

/* 1 when the sums are made from usage.gdbm as it is. */
static int
is_up_to_date(const char *state_dir, const char *sums, const char *usage,
    const struct usage_pricing *pricing)
{
	unsigned char mark[DB_MARK_LEN];
	struct usage_sums_meta meta;
	struct db_look look;
	struct db *db;
	int is = 0;

	db_look(sums, &look);
	if (look.exists != 1 || db_mark(usage, mark) != 1 ||
	    (db = db_open(sums)) == NULL)
		return 0;
	if (usage_sums_get_meta(db, &meta) == 1)
		is = memcmp(meta.made_from, mark, sizeof(mark)) == 0 &&
		    meta.basis == pricing->basis(pricing->arg, meta.until) &&
		    days_are_whole(db, state_dir);
	db_close(db);
	return is;
}

/* An edit of the sums; of none when these are of no use. */
static struct db *
edit_sums(const char *path)
{
	struct usage_sums_meta meta;
	struct db *db = db_edit(path);

	if (db != NULL && usage_sums_get_meta(db, &meta) != -1)
		return db;
	db_close(db);
	log_warnx("'%s' is of no use, and is removed", path);
	return db_remove(path, 0) == -1 ? NULL : db_edit(path);
}

static int
make(const char *state_dir, const char *sums, const char *usage,
    const struct usage_pricing *pricing)
{
	struct usage_sums_making m = { .state_dir = state_dir,
		.pricing = pricing,
		.table = USAGE_TABLE(USAGE_SUMS_ROWS_MAX) };
	int done = -1;

	for (size_t i = 0; i < USAGE_SUMS_WATCHED; i++)
		m.meta.watched[i] = -1;
	/* The lock first: then nobody makes them from what is newer. */
	if ((m.sums = edit_sums(sums)) != NULL &&
	    (m.from = db_open(usage)) != NULL && usage_sums_cover(&m) == 0 &&
	    usage_sums_make(&m) == 0 &&
	    usage_sums_put_meta(m.sums, &m.meta) == 0) {
		done = db_commit(m.sums);
		m.sums = NULL;
	}
	make_free(&m);
	return done;
}

/* Under the lock, or somebody would publish what is being made meanwhile. */
static int
drop(const char *state_dir, const char *sums)
{
	static const struct usage_hours none = { 0 };
	struct db *lock = edit_sums(sums);
	int done = -1;

	/* The one that names the others goes first. */
	if (lock != NULL && db_remove(sums, 0) == 0)
		done = usage_days_clean(state_dir, &none);
	db_close(lock);
	return done;
}

int
usage_sums_follow(const char *state_dir, const struct usage_pricing *pricing)
{
	char sums[PATH_MAX], usage[PATH_MAX];
	struct db_look look;

	if (usage_sums_path(sums, sizeof(sums), state_dir) == -1 ||
	    usage_store_path(usage, sizeof(usage), state_dir) == -1)
		return -1;
	db_look(usage, &look);
	if (pricing == NULL || look.exists == 0)
		return drop(state_dir, sums);
	if (is_up_to_date(state_dir, sums, usage, pricing))
		return 0;
	if (make(state_dir, sums, usage, pricing) == 0)
		return 0;
	/* What does not follow must not stay: erased use may be in it. */
	(void)drop(state_dir, sums);
	return -1;
}
