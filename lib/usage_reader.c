/*
 * Usage as it stands: from the sums up to where they go, then from the open
 * journals. What is asked for is cut into pieces, each as long as it may be
 * and the longest for which there is a record.
 *
 * The sums count only while usage.gdbm bears the mark that they were made
 * from, the prices before their end are the same, and no journal of the last
 * days has grown. Else it is usage_each, which needs none of them.
 */
#include "usage_sums.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "text.h"

/* With more hours to look for, it is quicker to list the folder. */
#define LOOKS_MAX 1000

struct month_store {
	int64_t month;
	struct db *db;
};

struct usage_reader {
	char state_dir[PATH_MAX];
	struct usage_pricing pricing;
	struct db *sums; /* NULL: hour by hour */
	struct usage_sums_meta meta;
	struct month_store *months; /* that were needed so far */
	size_t n_months, cap;
};

struct piece {
	enum usage_sums_kind kind;
	int64_t at, end;
	struct db *db; /* NULL: the hours themselves */
};

struct pieces {
	struct piece *list;
	size_t n, cap;
};

/* What is to be told, with its price. */
struct priced {
	const struct usage_pricing *pricing;
	int (*fn)(const struct usage_total *, void *);
	void *arg;
};

static int
price(const struct usage_total *total, void *arg)
{
	const struct priced *p = arg;
	struct usage_total row = *total;

	row.cost = p->pricing->cost(p->pricing->arg, total);
	row.last = total->hour;
	return p->fn(&row, p->arg);
}

/* 1 when no journal of the last hours that are summed up says more. */
static int
journals_are_known(const struct usage_reader *r)
{
	int64_t at = r->meta.until - USAGE_SUMS_WATCHED * USAGE_HOUR, size;

	for (at = at < 0 ? 0 : at; at < r->meta.until; at += USAGE_HOUR) {
		size = usage_journal_size(r->state_dir, at);
		if (size != -1 &&
		    size !=
			r->meta.watched[at / USAGE_HOUR % USAGE_SUMS_WATCHED])
			return 0;
	}
	return 1;
}

static int
sums_count(const struct usage_reader *r, const char *usage)
{
	unsigned char mark[DB_MARK_LEN];

	return db_mark(usage, mark) == 1 &&
	    memcmp(mark, r->meta.made_from, sizeof(mark)) == 0 &&
	    r->pricing.basis(r->pricing.arg, r->meta.until) == r->meta.basis &&
	    journals_are_known(r);
}

static int
open_sums(struct usage_reader *r)
{
	char sums[PATH_MAX], usage[PATH_MAX];
	struct db_look look;

	if (usage_sums_path(sums, sizeof(sums), r->state_dir) == -1 ||
	    usage_store_path(usage, sizeof(usage), r->state_dir) == -1)
		return -1;
	db_look(sums, &look);
	if (look.exists != 1 || (r->sums = db_open(sums)) == NULL)
		return 0;
	if (usage_sums_get_meta(r->sums, &r->meta) == 1 && sums_count(r, usage))
		return 0;
	db_close(r->sums);
	r->sums = NULL;
	return 0;
}

struct usage_reader *
usage_reader_open(const char *state_dir, const struct usage_pricing *pricing)
{
	struct usage_reader *r = calloc(1, sizeof(*r));
	size_t n = strlen(state_dir);

	if (r == NULL || n >= sizeof(r->state_dir)) {
		log_warnx("cannot read the usage in '%s'", state_dir);
		free(r);
		return NULL;
	}
	memcpy(r->state_dir, state_dir, n + 1);
	r->pricing = *pricing;
	if (open_sums(r) == 0)
		return r;
	usage_reader_close(r);
	return NULL;
}

int
usage_reader_is_quick(const struct usage_reader *r)
{
	return r->sums != NULL;
}

void
usage_reader_close(struct usage_reader *r)
{
	if (r == NULL)
		return;
	for (size_t i = 0; i < r->n_months; i++)
		db_close(r->months[i].db);
	free(r->months);
	db_close(r->sums);
	free(r);
}

static struct db *
month_of(struct usage_reader *r, int64_t month)
{
	struct month_store *grown;
	struct db *db;

	for (size_t i = 0; i < r->n_months; i++)
		if (r->months[i].month == month)
			return r->months[i].db;
	if ((db = usage_days_open(r->sums, r->state_dir, month)) == NULL)
		return NULL;
	if (r->n_months == r->cap) {
		r->cap = r->cap * 2 + 16;
		grown = reallocarray(r->months, r->cap, sizeof(r->months[0]));
		if (grown == NULL) {
			db_close(db);
			return NULL;
		}
		r->months = grown;
	}
	r->months[r->n_months++] = (struct month_store){ month, db };
	return db;
}

static int
add_piece(struct pieces *p, struct piece piece)
{
	struct piece *grown;

	if (p->n == p->cap) {
		p->cap = p->cap * 2 + 64;
		grown = reallocarray(p->list, p->cap, sizeof(p->list[0]));
		if (grown == NULL)
			return -1;
		p->list = grown;
	}
	p->list[p->n++] = piece;
	return 0;
}

static int64_t
least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* A whole day: in one row, or in its month's store; 0 or -1. */
static int
day_piece(struct usage_reader *r, const struct usage_query *q, struct piece *p)
{
	struct usage_sums_head head;
	int found;

	p->end = p->at + USAGE_DAY;
	p->db = r->sums;
	p->kind = USAGE_SUMS_TOTAL_OF_DAY;
	if (q->nameless && q->key_id == NULL)
		return 0;
	/* A day without use has no record, nor need its month have a store. */
	found = usage_sums_get_head(r->sums, p->kind, p->at, &head);
	if (found != 1 || head.rows == 0)
		return found == -1 ? -1 : 0;
	p->kind = USAGE_SUMS_DAY;
	p->db = month_of(r, text_month_of(p->at));
	return p->db == NULL ? -1 : 0;
}

/* The longest piece from 'at' on that ends at 'end' or before. */
static int
next_piece(struct usage_reader *r, const struct usage_query *q, struct piece *p,
    int64_t end)
{
	int64_t month_end = usage_next_month(p->at);
	int whole = end == r->meta.until;

	p->db = r->sums;
	if (q->grain == USAGE_WHOLE && whole &&
	    p->at == text_month_of(r->meta.first)) {
		p->kind = USAGE_SUMS_ALL;
		p->end = end;
		return 0;
	}
	if (q->grain >= USAGE_MONTHS && p->at == text_month_of(p->at) &&
	    (whole || month_end <= end)) {
		p->kind = q->nameless && q->key_id == NULL
		    ? USAGE_SUMS_TOTAL_OF_MONTH
		    : USAGE_SUMS_MONTH;
		p->end = month_end;
		return 0;
	}
	if (q->grain >= USAGE_DAYS && p->at == usage_day_of(p->at) &&
	    (whole || p->at + USAGE_DAY <= end))
		return day_piece(r, q, p);
	p->db = NULL;
	p->end = least(usage_day_of(p->at) + USAGE_DAY, end);
	return 0;
}

/* Where the sums begin: earlier there is nothing. */
static int64_t
start_of(const struct usage_reader *r, const struct usage_query *q)
{
	return q->from <= r->meta.first ? text_month_of(r->meta.first)
					: q->from;
}

/*
 * All pieces before any is told: what turns out not to be there then can
 * still be told hour by hour. 0 or -1.
 */
static int
cut(struct usage_reader *r, const struct usage_query *q, struct pieces *p)
{
	struct piece piece = { .at = start_of(r, q) };
	int64_t end = least(q->to, r->meta.until);

	for (; piece.at < end; piece.at = piece.end)
		if (next_piece(r, q, &piece, end) == -1 ||
		    add_piece(p, piece) == -1)
			return -1;
	return 0;
}

static int
each_hour(struct usage_reader *r, const struct usage_query *q, int64_t from,
    int64_t to, const struct priced *told)
{
	struct priced arg = *told;
	int64_t malformed = usage_malformed;
	int answer = usage_each(r->state_dir, from, to, q->key_id, price, &arg);

	usage_malformed += malformed;
	return answer;
}

static int
tell_pieces(struct usage_reader *r, const struct usage_query *q,
    const struct pieces *p, const struct priced *told)
{
	struct usage_sums_head head;
	int answer = 0;

	for (size_t i = 0; i < p->n && answer == 0; i++) {
		const struct piece *piece = &p->list[i];

		if (piece->db == NULL) {
			answer = each_hour(r, q, piece->at, piece->end, told);
			continue;
		}
		answer = usage_sums_each(piece->db, piece->kind, piece->at,
		    q->key_id, &head, told->fn, told->arg);
		usage_malformed += head.malformed;
	}
	return answer;
}

/* Hours in [from, to) that may have a journal. */
static int
find_journals(
    struct usage_reader *r, int64_t from, int64_t to, struct usage_hours *hours)
{
	if ((to - from) / USAGE_HOUR > LOOKS_MAX)
		return usage_hours_journalled(hours, r->state_dir, from, to);
	for (int64_t at = usage_hour_of(from + USAGE_HOUR - 1); at < to;
	     at += USAGE_HOUR) {
		int64_t size = usage_journal_size(r->state_dir, at);

		if (size == -2 ||
		    (size >= 0 && usage_hours_add(hours, at) == -1))
			return -1;
	}
	return 0;
}

static int
tell_journal(struct usage_reader *r, const struct usage_query *q, int64_t hour,
    struct usage_table *table, struct priced *told)
{
	struct usage_scan scan;
	int answer = 0;

	usage_table_clear(table);
	if (usage_journal_read(
		r->state_dir, hour, q->key_id, 0, table, &scan) == -1)
		return -1;
	usage_malformed += scan.malformed;
	usage_table_sort(table);
	for (size_t i = 0; i < table->n && answer == 0; i++)
		answer = price(&table->rows[i], told);
	return answer;
}

/* What is behind the sums. Journals of open hours are in no store. */
static int
tell_rest(struct usage_reader *r, const struct usage_query *q,
    const struct priced *told)
{
	struct usage_table table = USAGE_TABLE(USAGE_ROWS_MAX);
	struct usage_hours hours = { 0 };
	struct priced arg = *told;
	int64_t from = q->from > r->meta.until ? q->from : r->meta.until;
	int answer;

	if (from >= q->to)
		return 0;
	if (r->meta.beyond > 0)
		return each_hour(r, q, from, q->to, told);
	answer = find_journals(r, from, q->to, &hours);
	usage_hours_sort(&hours);
	for (size_t i = 0; i < hours.n && answer == 0; i++)
		answer = tell_journal(r, q, hours.at[i], &table, &arg);
	usage_hours_free(&hours);
	usage_table_free(&table);
	return answer;
}

int
usage_reader_each(struct usage_reader *r, const struct usage_query *q,
    int (*fn)(const struct usage_total *, void *), void *arg)
{
	struct priced told = { &r->pricing, fn, arg };
	struct pieces pieces = { NULL, 0, 0 };
	int answer;

	usage_malformed = 0;
	if (r->sums == NULL || q->grain == USAGE_HOURS ||
	    cut(r, q, &pieces) == -1)
		answer = each_hour(r, q, q->from, q->to, &told);
	else if ((answer = tell_pieces(r, q, &pieces, &told)) == 0)
		answer = tell_rest(r, q, &told);
	free(pieces.list);
	return answer;
}
