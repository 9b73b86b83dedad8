/*
 * control.c - /standin/: what tests ask about what was received.
 */
#include <stdio.h>
#include <string.h>

#include "answer.h"
#include "lib/text.h"

/* A number in the query; -1 when it is not there or no number. */
static int64_t
query_number(struct view query, const char *name, int64_t max)
{
	struct view value;
	int64_t n = -1;

	if (http_query(query, name, &value) == 0)
		(void)text_n_to_i64(value.p, value.n, 0, max, &n);
	return n;
}

static void
control_requests(struct answer *a)
{
	int64_t n = query_number(a->head.query, "n", REPORT_KEPT);

	answer_json(a,
	    report_requests(n == -1 ? REPORT_KEPT : n,
		query_number(a->head.query, "body", 1) == 1));
}

static void
control_wait(struct answer *a)
{
	static const struct {
		const char *name;
		enum report_count what;
	} counts[] = { { "open", COUNT_OPEN }, { "aborted", COUNT_ABORTED },
		{ "done", COUNT_DONE }, { "requests", COUNT_REQUESTS } };
	size_t i;

	for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		a->waiter.n =
		    query_number(a->head.query, counts[i].name, INT64_MAX);
		if (a->waiter.n == -1)
			continue;
		a->waiter.what = counts[i].what;
		a->wait_ms =
		    query_number(a->head.query, "timeout", 3600 * 1000);
		if (a->wait_ms == -1)
			a->wait_ms = 5000;
		a->waiting = 1;
		return;
	}
	answer_error(a, 400, NULL, NULL,
	    "stand-in: wait?open=N, aborted=N, done=N or requests=N");
}

void
answer_control(struct answer *a, struct view body)
{
	int post = view_is(a->head.method, "POST");

	(void)body;
	if (!post && view_is(a->head.path, "/standin/requests"))
		control_requests(a);
	else if (!post && view_is(a->head.path, "/standin/stats"))
		answer_json(a, report_stats());
	else if (!post && view_is(a->head.path, "/standin/wait"))
		control_wait(a);
	else if (post && view_is(a->head.path, "/standin/reset")) {
		report_reset();
		answer_json(a, report_stats());
	} else
		answer_error(a, 404, NULL, NULL, "stand-in: no such control");
}
