/* Gathers totals into the rows of a view and prints them. */
#include "cli/usage_report.h"

#include <inttypes.h>

#include "cli/object.h"
#include "cli/usage_print.h"
#include "lib/log.h"
#include "lib/prices.h"

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

/* 1 on failure, which is logged, because -1 is usage_each's own. */
static int
gather(const struct usage_total *total, void *arg)
{
	struct gathering *g = arg;
	struct usage_total row = *total;

	usage_view_apply(&g->request->view, g->prices, &row);
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
	int answer = -1;

	if ((g->prices = prices_open(state_dir)) != NULL &&
	    prices_refresh(g->prices) == 0)
		answer = usage_each(state_dir, r->range.from, r->range.to,
		    r->key_id, gather, g);
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
		if (g->request->csv)
			usage_print_csv(view, &g->table.rows[i]);
		else if (object_print_line(
			     usage_print_object(view, &g->table.rows[i])) == -1)
			return -1;
	}
	usage_table_clear(&g->table);
	return 0;
}

int
usage_report_export(const char *state_dir, const struct usage_request *request)
{
	struct gathering g = { .request = request,
		.table = USAGE_TABLE(ROWS_MAX),
		.flush = flush };
	int done;

	if (request->csv)
		usage_print_csv_head(&request->view);
	done = gather_all(state_dir, &g);
	if (done == 0)
		done = flush(&g);
	usage_table_free(&g.table);
	return done;
}
