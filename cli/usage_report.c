/* Gathers totals into the rows of a view and prints them. */
#include "cli/usage_report.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/object.h"
#include "cli/usage_print.h"
#include "lib/costs.h"
#include "lib/log.h"

/* More rows than anybody reads; what is beyond counts as "other". */
#define ROWS_MAX 1000000

/* Not a failure: what could be read is right, but somebody should look. */
void
usage_report_malformed(void)
{
	if (usage_malformed_lines() > 0)
		log_warnx("%" PRId64 " lines of the journal cannot be read",
		    usage_malformed_lines());
}

/* Totals on their way into the rows of a view. */
struct gathering {
	const struct usage_request *request;
	struct prices *prices;
	struct usage_table table;
	struct usage_total sum;
	int (*flush)(struct gathering *); /* NULL: all periods at once */
};

/* 1 on failure, which is logged, because -1 is the reader's own. */
static int
gather(const struct usage_total *total, void *arg)
{
	struct gathering *g = arg;
	struct usage_total row = *total;

	usage_view_blank(&g->request->view, &row);
	if (g->flush != NULL && g->table.n > 0 &&
	    g->table.rows[0].hour != row.hour && g->flush(g) == -1)
		return 1;
	usage_total_add(&g->sum, &row);
	return usage_table_add(&g->table, &row) == -1 ? 1 : 0;
}

static int
gather_all(const char *state_dir, struct gathering *g)
{
	const struct usage_request *r = g->request;
	const struct usage_view *view = &r->view;
	const struct usage_query query = { .from = r->range.from,
		.to = r->range.to,
		.key_id = r->key_id,
		.grain = usage_view_grain(view),
		.nameless = !view->key && !view->model && !view->endpoint };
	struct usage_reader *reader = NULL;
	struct usage_pricing pricing;
	int answer = -1;

	if ((g->prices = prices_open(state_dir)) != NULL &&
	    prices_refresh(g->prices) == 0) {
		pricing = costs_pricing(g->prices);
		reader = usage_reader_open(state_dir, &pricing);
	}
	if (reader != NULL)
		answer = usage_reader_each(reader, &query, gather, g);
	usage_reader_close(reader);
	prices_close(g->prices);
	if (answer != 0)
		return -1;
	usage_report_malformed();
	usage_table_sort(&g->table);
	return 0;
}

/* {"rows": [...], "total": {...}} */
static struct json_object *
report_object(const struct gathering *g)
{
	static const struct usage_view whole;
	struct json_object *object = json_object_new_object();
	struct json_object *rows = json_object_new_array();
	int failed = object == NULL || object_add(object, "rows", rows) == -1;

	for (size_t i = 0; !failed && i < g->table.n; i++) {
		struct json_object *row =
		    usage_print_object(&g->request->view, &g->table.rows[i]);

		failed = row == NULL || json_object_array_add(rows, row) == -1;
	}
	if (!failed &&
	    object_add(object, "total", usage_print_object(&whole, &g->sum)) ==
		0)
		return object;
	json_object_put(object);
	return NULL;
}

int
usage_report_show(const char *state_dir, const struct usage_request *request)
{
	struct gathering g = { .request = request,
		.table = USAGE_TABLE(ROWS_MAX) };
	int done = gather_all(state_dir, &g);

	if (done == 0 && request->json)
		done = object_print_line(report_object(&g));
	else if (done == 0)
		usage_print_table(
		    &request->view, g.table.rows, g.table.n, &g.sum);
	usage_table_free(&g.table);
	return done;
}

/* Prints a period's rows; so an export of years holds one period at a time. */
static int
flush(struct gathering *g)
{
	const struct usage_view *view = &g->request->view;

	usage_table_sort(&g->table);
	for (size_t i = 0; i < g->table.n; i++) {
		if (g->request->format == USAGE_CSV)
			usage_print_csv(view, &g->table.rows[i]);
		else if (object_print_line(
			     usage_print_object(view, &g->table.rows[i])) == -1)
			return -1;
	}
	usage_table_clear(&g->table);
	return 0;
}

/* By key, model and endpoint, and each through time. */
static int
compare_series(const void *a, const void *b)
{
	const struct usage_total *one = a, *two = b;
	int order = strcmp(one->key_id, two->key_id);

	if (order == 0)
		order = strcmp(one->model, two->model);
	if (order == 0)
		order = strcmp(one->endpoint, two->endpoint);
	if (order == 0)
		order = (one->hour > two->hour) - (one->hour < two->hour);
	return order;
}

/* OpenMetrics wants all samples of a number together, and of a label set. */
static int
finish(struct gathering *g)
{
	if (g->request->format != USAGE_OPENMETRICS)
		return flush(g);
	if (g->table.n > 0)
		qsort(g->table.rows, g->table.n, sizeof(g->table.rows[0]),
		    compare_series);
	usage_print_openmetrics(&g->request->view, g->table.rows, g->table.n);
	return 0;
}

static struct gathering
begin(const struct usage_request *request)
{
	if (request->format == USAGE_CSV)
		usage_print_csv_head(&request->view);
	return (struct gathering){ .request = request,
		.table = USAGE_TABLE(ROWS_MAX),
		.flush = request->format == USAGE_OPENMETRICS ? NULL : flush };
}

int
usage_report_export(const char *state_dir, const struct usage_request *request)
{
	struct gathering g = begin(request);
	int done = gather_all(state_dir, &g);

	if (done == 0)
		done = finish(&g);
	usage_table_free(&g.table);
	return done;
}

/* What is left of a row when what was given of it is taken off. */
static void
subtract(struct usage_total *row, const struct usage_total *before)
{
	row->requests -= before->requests;
	row->errors -= before->errors;
	row->estimated -= before->estimated;
	row->prompt -= before->prompt;
	row->completion -= before->completion;
	row->cached -= before->cached;
	row->total -= before->total;
	row->audio_bytes -= before->audio_bytes;
	row->audio_ms -= before->audio_ms;
	row->duration_ms -= before->duration_ms;
	row->cost -= before->cost;
}

/* Each priced whole before, so that rows of one hour add up to its cost. */
static int
gather_rest(const struct usage_total *total, const struct usage_total *before,
    void *arg)
{
	struct gathering *g = arg;
	struct usage_total row = *total, given;

	row.cost = costs_of(g->prices, &row);
	if (before != NULL) {
		given = *before;
		given.cost = costs_of(g->prices, &given);
		subtract(&row, &given);
	}
	usage_view_blank(&g->request->view, &row);
	if (g->flush != NULL && g->table.n > 0 &&
	    g->table.rows[0].hour != row.hour && g->flush(g) == -1)
		return 1;
	return usage_table_add(&g->table, &row) == -1 ? 1 : 0;
}

/* A name is one in STATE_DIR, a path is where it says. */
static struct usage_cursor *
open_cursor(const char *state_dir, const char *name)
{
	char path[PATH_MAX];
	int n = strchr(name, '/') != NULL
	    ? snprintf(path, sizeof(path), "%s", name)
	    : snprintf(
		  path, sizeof(path), "%s/export-%s.gdbm", state_dir, name);

	if (n >= 0 && (size_t)n < sizeof(path))
		return usage_cursor_open(path);
	log_warnx("'%s' is too long", name);
	return NULL;
}

/* In safe hands: a file is on the disk, a pipe has taken it. */
static int
is_given(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout) &&
	    (fdatasync(STDOUT_FILENO) == 0 || errno == EINVAL ||
		errno == EROFS))
		return 1;
	log_warn("cannot write to standard output");
	return 0;
}

int
usage_report_rest(const char *state_dir, const struct usage_request *request)
{
	struct usage_cursor *cursor = open_cursor(state_dir, request->cursor);
	struct gathering g;
	int done = -1;

	if (cursor == NULL)
		return -1;
	g = begin(request);
	if ((g.prices = prices_open(state_dir)) != NULL &&
	    prices_refresh(g.prices) == 0)
		done = usage_cursor_each(
		    cursor, state_dir, request->now, gather_rest, &g);
	usage_report_malformed();
	if (done == 0)
		done = finish(&g);
	prices_close(g.prices);
	usage_table_free(&g.table);
	if (done == 0 && is_given())
		return usage_cursor_commit(cursor);
	usage_cursor_close(cursor);
	return -1;
}
