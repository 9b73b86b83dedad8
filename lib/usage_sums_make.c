/*
 * Making sums: days from hours, months from days, all from months. A day is
 * made anew when its tag differs, a month when one of its days does.
 */
#include "usage_sums.h"

#include <limits.h>
#include <string.h>

#include "log.h"
#include "text.h"

/* 1 on failure, because -1 is what is no record. */
static int
add_row(const struct usage_total *total, void *arg)
{
	struct usage_sums_making *m = arg;
	struct usage_total row = *total;

	row.hour = m->at;
	return usage_table_add(&m->table, &row) == -1;
}

static int
add_hour_row(const struct usage_total *total, void *arg)
{
	struct usage_sums_making *m = arg;
	struct usage_total row = *total;

	row.cost = m->pricing->cost(m->pricing->arg, total);
	row.last = total->hour;
	return add_row(&row, m);
}

static void
clear(struct usage_sums_making *m, int64_t at)
{
	usage_table_clear(&m->table);
	m->table.max = USAGE_SUMS_ROWS_MAX;
	m->at = at;
}

/* Everything in the table as one row. */
static int
put_total(struct usage_sums_making *m, enum usage_sums_kind kind,
    const struct usage_sums_head *head)
{
	struct usage_table one = USAGE_TABLE(1);
	struct usage_total sum = { .hour = m->at,
		.key_id = "all",
		.model = "all",
		.endpoint = "all" };
	int done;

	for (size_t i = 0; i < m->table.n; i++)
		usage_total_add(&sum, &m->table.rows[i]);
	done = usage_table_add(&one, &sum);
	if (done == 0)
		done = usage_sums_put(m->sums, kind, m->at, head, &one);
	usage_table_free(&one);
	return done;
}

static int
make_day(struct usage_sums_making *m, const struct usage_sums_day *day)
{
	struct usage_scan scan;

	clear(m, day->start);
	for (size_t i = day->first; i < day->first + day->n; i++)
		if (usage_store_each(m->from, m->hours.at[i], NULL, &scan,
			add_hour_row, m) != 0)
			return -1;
	/* Sums that are not of the same names would not be exact. */
	if (m->table.full ||
	    usage_sums_put(m->store, USAGE_SUMS_DAY, day->start, &day->head,
		&m->table) == -1)
		return -1;
	return put_total(m, USAGE_SUMS_TOTAL_OF_DAY, &day->head);
}

static int
is_same(struct usage_sums_making *m, const struct usage_sums_day *day)
{
	struct usage_sums_head head;

	return usage_sums_get_head(
		   m->sums, USAGE_SUMS_TOTAL_OF_DAY, day->start, &head) == 1 &&
	    memcmp(head.tag, day->head.tag, sizeof(head.tag)) == 0;
}

/* Days of the month that are gone from usage.gdbm; 0 or -1 (logged). */
static int
find_gone(struct usage_sums_making *m, const struct usage_sums_day *days,
    size_t n, struct usage_hours *gone)
{
	size_t k = 0, kept = 0;

	if (usage_sums_days(
		m->sums, gone, m->month, usage_next_month(m->month)) == -1)
		return -1;
	usage_hours_sort(gone);
	for (size_t i = 0; i < gone->n; i++) {
		while (k < n && days[k].start < gone->at[i])
			k++;
		if (k == n || days[k].start != gone->at[i])
			gone->at[kept++] = gone->at[i];
	}
	gone->n = kept;
	return 0;
}

static int
drop_days(struct usage_sums_making *m, const struct usage_hours *gone)
{
	for (size_t i = 0; i < gone->n; i++)
		if (usage_sums_del(
			m->sums, USAGE_SUMS_TOTAL_OF_DAY, gone->at[i]) == -1 ||
		    usage_sums_del(m->store, USAGE_SUMS_DAY, gone->at[i]) == -1)
			return -1;
	return 0;
}

/* The month in one record: its days' rows, as the edit has them. */
static int
put_month(struct usage_sums_making *m, const struct usage_sums_day *days,
    size_t n, const char *path)
{
	struct usage_sums_head head = { .rows = 0 }, of_day;
	struct db *store = m->store;

	clear(m, m->month);
	for (size_t i = 0; i < n; i++) {
		if (usage_sums_each(store, USAGE_SUMS_DAY, days[i].start, NULL,
			&of_day, add_row, m) != 0)
			return -1;
		head.malformed += of_day.malformed;
	}
	if (m->table.full)
		return -1;
	m->store = NULL;
	if (db_commit(store) == -1 || db_mark(path, head.tag) != 1 ||
	    usage_sums_put(
		m->sums, USAGE_SUMS_MONTH, m->month, &head, &m->table) == -1)
		return -1;
	m->changed = 1;
	return put_total(m, USAGE_SUMS_TOTAL_OF_MONTH, &head);
}

static int
store_is_known(struct usage_sums_making *m)
{
	struct db *db = usage_days_open(m->sums, m->state_dir, m->month);

	db_close(db);
	return db != NULL;
}

/* The edit of the month's days; one that cannot be read is made anew. */
static int
open_days(struct usage_sums_making *m, const char *path)
{
	m->store = m->anew ? NULL : db_edit(path);
	if (m->store != NULL)
		return 0;
	m->anew = 1;
	if (db_remove(path, 1) == -1)
		return -1;
	m->store = db_edit(path);
	return m->store == NULL ? -1 : 0;
}

/* The days that changed, and with them their month. */
static int
make_days(struct usage_sums_making *m, const struct usage_sums_day *days,
    size_t n, const struct usage_hours *gone, const char *path)
{
	if (open_days(m, path) == -1 || drop_days(m, gone) == -1)
		return -1;
	for (size_t i = 0; i < n; i++)
		if ((m->anew || !is_same(m, &days[i])) &&
		    make_day(m, &days[i]) == -1)
			return -1;
	return put_month(m, days, n, path);
}

static int
make_month(
    struct usage_sums_making *m, const struct usage_sums_day *days, size_t n)
{
	struct usage_hours gone = { 0 };
	char path[PATH_MAX];
	int due, done = -1;

	m->month = text_month_of(days[0].start);
	if (usage_days_path(path, sizeof(path), m->state_dir, m->month) == -1)
		return -1;
	due = m->anew = !store_is_known(m);
	for (size_t i = 0; i < n && !due; i++)
		due = !is_same(m, &days[i]);
	if (find_gone(m, days, n, &gone) == 0)
		done =
		    due || gone.n > 0 ? make_days(m, days, n, &gone, path) : 0;
	usage_hours_free(&gone);
	return done;
}

/* Months that are gone, and all of a day that is gone with its month. */
static int
drop_months(struct usage_sums_making *m, const struct usage_hours *months)
{
	struct usage_hours had = { 0 };
	int done = usage_sums_days(m->sums, &had, INT64_MIN, INT64_MAX);

	for (size_t i = 0; i < had.n && done == 0; i++) {
		int64_t month = text_month_of(had.at[i]);
		int kept = 0;

		for (size_t k = 0; k < months->n && !kept; k++)
			kept = months->at[k] == month;
		if (kept)
			continue;
		m->changed = 1;
		done = usage_sums_del(
			   m->sums, USAGE_SUMS_TOTAL_OF_DAY, had.at[i]) == -1 ||
			usage_sums_del(
			    m->sums, USAGE_SUMS_TOTAL_OF_MONTH, month) == -1 ||
			usage_sums_del(m->sums, USAGE_SUMS_MONTH, month) == -1
		    ? -1
		    : 0;
	}
	usage_hours_free(&had);
	return done == 0 ? usage_days_clean(m->state_dir, months) : -1;
}

static int
put_all(struct usage_sums_making *m, const struct usage_hours *months)
{
	struct usage_sums_head head = { .rows = 0 }, of_month;

	clear(m, 0);
	for (size_t i = 0; i < months->n; i++) {
		if (usage_sums_each(m->sums, USAGE_SUMS_MONTH, months->at[i],
			NULL, &of_month, add_row, m) != 0)
			return -1;
		head.malformed += of_month.malformed;
	}
	return m->table.full
	    ? -1
	    : usage_sums_put(m->sums, USAGE_SUMS_ALL, 0, &head, &m->table);
}

/* The days of one month after another. */
static int
make_each(struct usage_sums_making *m, struct usage_hours *months)
{
	size_t n;

	for (size_t i = 0; i < m->n_days; i += n) {
		int64_t month = text_month_of(m->days[i].start);

		for (n = 1; i + n < m->n_days &&
		     text_month_of(m->days[i + n].start) == month;)
			n++;
		if (usage_hours_add(months, month) == -1 ||
		    make_month(m, &m->days[i], n) == -1)
			return -1;
	}
	return 0;
}

int
usage_sums_make(struct usage_sums_making *m)
{
	struct usage_hours months = { 0 };
	int done = -1;

	if (make_each(m, &months) == 0 && drop_months(m, &months) == 0)
		done = m->changed ? put_all(m, &months) : 0;
	usage_hours_free(&months);
	return done;
}
