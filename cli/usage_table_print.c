/* Totals as a table for people. */
#include "cli/usage_print.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define COLUMNS_MAX 12
#define CELL_SIZE 64

struct line {
	char cell[COLUMNS_MAX][CELL_SIZE];
	size_t n, n_names; /* cells, and how many of them are text */
};

static char *
next_cell(struct line *l)
{
	return l->cell[l->n++];
}

static void
text_cell(struct line *l, const char *s)
{
	(void)snprintf(next_cell(l), CELL_SIZE, "%s", s);
}

static void
number_cell(struct line *l, int64_t n)
{
	(void)snprintf(next_cell(l), CELL_SIZE, "%" PRId64, n);
}

/* Four places show the cost of a single question; rounded half up. */
static void
cost_cell(struct line *l, int64_t nano_eur)
{
	int64_t part = nano_eur / 100000 + (nano_eur % 100000 >= 50000);

	(void)snprintf(next_cell(l), CELL_SIZE, "%" PRId64 ".%04" PRId64,
	    part / 10000, part % 10000);
}

static void
number_cells(struct line *l, const struct usage_total *t)
{
	number_cell(l, t->requests);
	number_cell(l, t->errors);
	number_cell(l, t->prompt);
	number_cell(l, t->completion);
	number_cell(l, t->cached);
	number_cell(l, t->total);
	number_cell(l, t->audio_bytes);
	cost_cell(l, t->cost);
}

static struct line
head_line(const struct usage_view *view)
{
	static const char *const period[] = { "", "HOUR", "DAY", "MONTH" };
	static const char *const number[] = { "REQUESTS", "ERRORS", "PROMPT",
		"COMPLETION", "CACHED", "TOKENS", "AUDIO BYTES", "EUR" };
	struct line l = { .n = 0 };

	if (view->period != USAGE_PERIOD_NONE)
		text_cell(&l, period[view->period]);
	if (view->key)
		text_cell(&l, "KEY");
	if (view->model)
		text_cell(&l, "MODEL");
	if (view->endpoint)
		text_cell(&l, "ENDPOINT");
	l.n_names = l.n;
	for (size_t i = 0; i < sizeof(number) / sizeof(number[0]); i++)
		text_cell(&l, number[i]);
	return l;
}

static struct line
total_line(const struct usage_view *view, const struct usage_total *t)
{
	char label[USAGE_LABEL_SIZE];
	struct line l = { .n = 0 };

	if (view->period != USAGE_PERIOD_NONE)
		text_cell(&l, usage_view_label(label, view->period, t->hour));
	if (view->key)
		text_cell(&l, t->key_id);
	if (view->model)
		text_cell(&l, t->model);
	if (view->endpoint)
		text_cell(&l, t->endpoint);
	l.n_names = l.n;
	number_cells(&l, t);
	return l;
}

static struct line
sum_line(size_t n_names, const struct usage_total *sum)
{
	struct line l = { .n_names = n_names };

	for (size_t i = 0; i < n_names; i++)
		text_cell(&l, i == 0 ? "total" : "");
	number_cells(&l, sum);
	return l;
}

static void
widen(int width[COLUMNS_MAX], const struct line *l)
{
	for (size_t i = 0; i < l->n; i++) {
		int len = (int)strlen(l->cell[i]);

		if (len > width[i])
			width[i] = len;
	}
}

static void
print_line(const int width[COLUMNS_MAX], const struct line *l)
{
	for (size_t i = 0; i < l->n; i++)
		printf("%s%*s", i == 0 ? "" : "  ",
		    i < l->n_names ? -width[i] : width[i], l->cell[i]);
	(void)putchar('\n');
}

void
usage_print_table(const struct usage_view *view, const struct usage_total *row,
    size_t n, const struct usage_total *sum)
{
	int width[COLUMNS_MAX] = { 0 };
	struct line head = head_line(view), line;
	struct line foot = sum_line(head.n_names, sum);

	widen(width, &head);
	widen(width, &foot);
	for (size_t i = 0; i < n; i++) {
		line = total_line(view, &row[i]);
		widen(width, &line);
	}
	print_line(width, &head);
	for (size_t i = 0; i < n; i++) {
		line = total_line(view, &row[i]);
		print_line(width, &line);
	}
	print_line(width, &foot);
}
