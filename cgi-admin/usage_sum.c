/* Adding usage up in two ways at once: by what was asked, and by day. */
#include "usage_sum.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"

#define DAY INT64_C(86400)
#define ROWS_MAX 20000
#define BARS_MAX 62 /* days; of more, months are shown */
#define MONTHS_MAX 1200

static int64_t
bucket_of(const struct usage_sum *s, int64_t hour)
{
	return s->by_month ? admin_month_start(hour) : admin_day_start(hour);
}

/* Blanks whatever rows are not told apart by. */
static void
blank(struct usage_total *t, const struct usage_sum *s)
{
	const char *by = s->ask->by;

	t->hour = strcmp(by, "day") == 0 ? admin_day_start(t->hour) : 0;
	if (strcmp(by, "key") != 0)
		memset(t->key_id, 0, sizeof(t->key_id));
	if (strcmp(by, "model") != 0)
		memset(t->model, 0, sizeof(t->model));
	if (strcmp(by, "endpoint") != 0)
		memset(t->endpoint, 0, sizeof(t->endpoint));
}

static int
add_day(const struct usage_total *total, void *arg)
{
	struct usage_sum *s = arg;
	struct usage_total day = *total;

	usage_total_add(&s->all, total);
	day.hour = bucket_of(s, total->hour);
	memset(day.key_id, 0, sizeof(day.key_id));
	memset(day.model, 0, sizeof(day.model));
	memset(day.endpoint, 0, sizeof(day.endpoint));
	return usage_table_add(&s->days, &day);
}

static int
add_row(const struct usage_total *total, void *arg)
{
	struct usage_sum *s = arg;
	struct usage_total row = *total;

	blank(&row, s);
	return usage_table_add(&s->rows, &row);
}

static int
add_both(const struct usage_total *total, void *arg)
{
	return add_day(total, arg) == -1 ? -1 : add_row(total, arg);
}

/* The rows are whole sums, so they are asked for apart where that is quick. */
static int
add_up(struct usage_sum *s, struct usage_reader *r)
{
	struct usage_query q = { .from = s->ask->from,
		.to = s->ask->to,
		.key_id = s->ask->key[0] != '\0' ? s->ask->key : NULL,
		.grain = s->by_month ? USAGE_MONTHS : USAGE_DAYS,
		.nameless = 1 };
	int by_day = strcmp(s->ask->by, "day") == 0;

	if (!usage_reader_is_quick(r)) {
		q.grain = USAGE_HOURS;
		return usage_reader_each(r, &q, add_both, s);
	}
	if (usage_reader_each(r, &q, add_day, s) != 0)
		return -1;
	q.grain = by_day ? USAGE_DAYS : USAGE_WHOLE;
	q.nameless = by_day;
	return usage_reader_each(r, &q, add_row, s);
}

static int
read_usage(struct usage_sum *s, const char *state_dir)
{
	struct prices *prices = prices_open(state_dir);
	struct usage_pricing pricing = costs_pricing(prices);
	struct usage_reader *reader = NULL;
	int answer = -1;

	if (prices != NULL && prices_refresh(prices) == 0)
		reader = usage_reader_open(state_dir, &pricing);
	if (reader != NULL)
		answer = add_up(s, reader);
	usage_reader_close(reader);
	prices_close(prices);
	return answer == 0 ? 0 : -1;
}

static int
dearest_first(const void *x, const void *y)
{
	const struct usage_total *a = x, *b = y;

	if (a->cost != b->cost)
		return a->cost < b->cost ? 1 : -1;
	if (a->requests != b->requests)
		return a->requests < b->requests ? 1 : -1;
	return strcmp(a->key_id, b->key_id);
}

/* Rows whose keys' labels are wanted. */
struct labelling {
	struct usage_sum *sum;
	size_t at, end;
};

static const char *
next_id(void *arg)
{
	struct labelling *l = arg;

	return l->at < l->end ? l->sum->rows.rows[l->at++].key_id : NULL;
}

static void
add_label(const struct key *key, void *arg)
{
	struct usage_sum *s = ((struct labelling *)arg)->sum;

	memcpy(s->labels[s->n_labels].id, key->id, KEYS_ID_SIZE);
	memcpy(s->labels[s->n_labels++].label, key->label, KEYS_LABEL_SIZE);
}

static int
by_id(const void *x, const void *y)
{
	const struct usage_label *a = x, *b = y;

	return strcmp(a->id, b->id);
}

int
usage_sum_read(
    struct usage_sum *s, const struct admin *a, const struct usage_ask *ask)
{
	*s = (struct usage_sum){ .rows = USAGE_TABLE(ROWS_MAX),
		.days = USAGE_TABLE(ROWS_MAX),
		.ask = ask,
		.by_month = (ask->to - ask->from) / DAY > BARS_MAX };
	if (read_usage(s, a->state_dir) == -1)
		return -1;
	usage_table_sort(&s->days);
	usage_table_sort(&s->rows);
	if (strcmp(ask->by, "day") != 0 && s->rows.n > 1)
		qsort(s->rows.rows, s->rows.n, sizeof(*s->rows.rows),
		    dearest_first);
	return 0;
}

void
usage_sum_label(
    struct usage_sum *s, const struct admin *a, size_t from, size_t n)
{
	struct labelling l = { s, from, from };

	if (strcmp(s->ask->by, "key") != 0 || from >= s->rows.n)
		return;
	l.end = n < s->rows.n - from ? from + n : s->rows.n;
	free(s->labels);
	s->n_labels = 0;
	s->labels = calloc(l.end - from, sizeof(*s->labels));
	/* Without labels there are ids; what is damaged is logged. */
	if (s->labels == NULL)
		log_warn("cannot read the keys' labels");
	else
		(void)keys_load_some(a->state_dir, next_id, add_label, &l);
	if (s->n_labels > 1)
		qsort(s->labels, s->n_labels, sizeof(*s->labels), by_id);
}

void
usage_sum_free(struct usage_sum *s)
{
	usage_table_free(&s->rows);
	usage_table_free(&s->days);
	free(s->labels);
}

static const char *
label_of(const struct usage_sum *s, const char *id)
{
	struct usage_label wanted = { .label = "" };
	const struct usage_label *found = NULL;

	memcpy(wanted.id, id, KEYS_ID_SIZE);
	if (s->n_labels > 0)
		found = bsearch(
		    &wanted, s->labels, s->n_labels, sizeof(*s->labels), by_id);
	return found != NULL && found->label[0] != '\0' ? found->label : id;
}

const char *
usage_sum_name(const struct usage_sum *s, const struct usage_ask *ask,
    const struct usage_total *t, char dst[USAGE_NAME_SIZE])
{
	char day[ADMIN_VALUE_SIZE];
	const char *name = strcmp(ask->by, "key") == 0 ? label_of(s, t->key_id)
	    : strcmp(ask->by, "model") == 0            ? t->model
	    : strcmp(ask->by, "endpoint") == 0         ? t->endpoint
					       : admin_day(day, t->hour);

	(void)snprintf(dst, USAGE_NAME_SIZE, "%s", name);
	return dst[0] != '\0' ? dst : "-";
}

char *
usage_sum_day(
    const struct usage_sum *s, int64_t start, char dst[ADMIN_VALUE_SIZE])
{
	admin_day(dst, start);
	if (s->by_month)
		dst[7] = '\0';
	return dst;
}

/* The day or month after the one that begins at 'start'. */
static int64_t
next_bucket(const struct usage_sum *s, int64_t start)
{
	return s->by_month ? admin_month_start(start + 31 * DAY) : start + DAY;
}

/* From the first that was used, so that "all" does not begin with nothing. */
size_t
usage_sum_bars(const struct usage_sum *s, struct html_bar **bars)
{
	int64_t at, end = s->ask->to;
	size_t n = 0, row = 0;

	*bars = calloc(MONTHS_MAX, sizeof(**bars));
	if (*bars == NULL || s->days.n == 0)
		return 0;
	at = s->by_month ? s->days.rows[0].hour : s->ask->from;
	for (; at < end && n < MONTHS_MAX; at = next_bucket(s, at), n++) {
		struct html_bar *bar = &(*bars)[n];
		char text[ADMIN_VALUE_SIZE];

		(void)snprintf(bar->label, sizeof(bar->label), "%.31s",
		    usage_sum_day(s, at, text));
		if (row < s->days.n && s->days.rows[row].hour == at)
			bar->amount = s->days.rows[row++].requests;
		admin_number(bar->value, bar->amount);
	}
	return n;
}
