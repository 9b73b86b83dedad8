/* What was used and what it cost: over a time, by key, model, endpoint, day. */
#include <stdlib.h>
#include <string.h>

#include "usage_ask.h"
#include "usage_csv.h"
#include "usage_sum.h"

static void
put_choices(struct admin *a, const struct usage_ask *ask)
{
	html(&a->out,
	    "<form method=\"get\" action=\"/admin/usage\" class=\"bar\">\n"
	    "<p><label for=\"period\">%s</label>\n"
	    "<select id=\"period\" name=\"period\">\n",
	    _("Time"));
	for (const struct usage_choice *c = usage_periods; c->name; c++)
		html_option(&a->out, c->name, _(c->text),
		    strcmp(c->name, ask->period) == 0);
	html(&a->out,
	    "</select></p>\n<p><label for=\"by\">%s</label>\n"
	    "<select id=\"by\" name=\"by\">\n",
	    _("Summed by"));
	for (const struct usage_choice *c = usage_groups; c->name; c++)
		html_option(&a->out, c->name, _(c->text),
		    strcmp(c->name, ask->by) == 0);
	html(&a->out, "</select></p>\n");
}

static void
put_day_field(struct admin *a, const char *name, const char *label,
    const char *value, const char *error)
{
	struct html_field f = { .name = name,
		.label = label,
		.value = value,
		.error = error,
		.type = "date" };

	html_field(&a->out, &f);
}

static void
put_form(struct admin *a, const struct usage_ask *ask)
{
	int is_range = strcmp(ask->period, "range") == 0;

	put_choices(a, ask);
	put_day_field(a, "from", _("From"),
	    is_range ? admin_query(a, "from") : "", ask->from_error);
	put_day_field(a, "to", _("To, included"),
	    is_range ? admin_query(a, "to") : "", ask->to_error);
	if (ask->key[0] != '\0')
		html_hidden(&a->out, "key", ask->key);
	html(&a->out, "<p><button>%s</button></p></form>\n", _("Show"));
	if (ask->key[0] == '\0')
		return;
	html(&a->out, "<p>");
	html(&a->out, _("Only the key %s."), ask->key);
	html(&a->out,
	    " <a href=\"/admin/usage?period=%s&amp;by=%s\">%s</a></p>\n",
	    ask->period, ask->by, _("All keys"));
}

static void
put_figure(struct admin *a, const char *name, const char *value)
{
	html(&a->out, "<div><dt>%s</dt><dd>%s</dd></div>\n", name, value);
}

static void
put_totals(struct admin *a, const struct usage_total *t)
{
	char text[ADMIN_VALUE_SIZE];

	html(&a->out, "<dl class=\"figures\">\n");
	put_figure(a, _("EUR"), admin_eur(text, t->cost));
	put_figure(a, _("Requests"), admin_number(text, t->requests));
	put_figure(a, _("of which failed"), admin_number(text, t->errors));
	put_figure(a, _("Tokens in"), admin_number(text, t->prompt));
	put_figure(a, _("Tokens out"), admin_number(text, t->completion));
	if (t->audio_bytes > 0)
		put_figure(a, _("Audio, MiB"),
		    admin_number(text, (t->audio_bytes + 524288) / 1048576));
	html(&a->out, "</dl>\n");
}

/* Days that nothing was used on are part of the picture. */
static void
put_chart(struct admin *a, const struct usage_sum *s)
{
	struct html_bar *bars;
	size_t n = usage_sum_bars(s, &bars);

	if (n > 1) {
		html(&a->out, "<figure>\n");
		html_bars(&a->out,
		    s->by_month ? _("Requests by month") : _("Requests by day"),
		    bars, n);
		html(&a->out,
		    "<figcaption><span>%s</span> <span>%s</span></figcaption>"
		    "\n</figure>\n",
		    bars[0].label, bars[n - 1].label);
	}
	free(bars);
}

static void
put_head(struct admin *a, const char *first)
{
	html(&a->out,
	    "<table class=\"list\"><thead><tr><th scope=\"col\">%s</th>"
	    "<th scope=\"col\" class=\"num\">%s</th>"
	    "<th scope=\"col\" class=\"num\">%s</th>"
	    "<th scope=\"col\" class=\"num\">%s</th>"
	    "<th scope=\"col\" class=\"num\">%s</th>"
	    "<th scope=\"col\" class=\"num\">%s</th></tr></thead>\n<tbody>\n",
	    first, _("Requests"), _("Failed"), _("Tokens in"), _("Tokens out"),
	    _("EUR"));
}

static void
put_cell(struct admin *a, const char *head, const char *value)
{
	html(&a->out, "<td class=\"num\" data-label=\"%s\">%s</td>", head,
	    value);
}

static void
put_row(struct admin *a, const char *name, const struct usage_total *t)
{
	char text[ADMIN_VALUE_SIZE];

	html(&a->out, "<tr><th scope=\"row\">%s</th>", name);
	put_cell(a, _("Requests"), admin_number(text, t->requests));
	put_cell(a, _("Failed"), admin_number(text, t->errors));
	put_cell(a, _("Tokens in"), admin_number(text, t->prompt));
	put_cell(a, _("Tokens out"), admin_number(text, t->completion));
	put_cell(a, _("EUR"), admin_eur(text, t->cost));
	html(&a->out, "</tr>\n");
}

static void
put_rows(struct admin *a, const struct usage_ask *ask, struct usage_sum *s)
{
	int64_t n = (int64_t)s->rows.n,
		pages = (n + ADMIN_ROWS - 1) / ADMIN_ROWS;
	int64_t page =
	    admin_query_number(a, "page", 1, pages > 0 ? pages : 1, 1);
	char name[USAGE_NAME_SIZE];
	struct buf query = BUF(1024);

	html(&a->out, "<h2>");
	html(&a->out, _("Summed by: %s"), _(ask->group->text));
	html(&a->out, "</h2>\n");
	put_head(a, _(ask->group->text));
	usage_sum_label(s, a, (size_t)(page - 1) * ADMIN_ROWS, ADMIN_ROWS);
	for (int64_t i = (page - 1) * ADMIN_ROWS;
	     i < n && i < page * ADMIN_ROWS; i++)
		put_row(a, usage_sum_name(s, ask, &s->rows.rows[i], name),
		    &s->rows.rows[i]);
	html(&a->out, "</tbody></table>\n");
	usage_ask_query(ask, &query);
	html(&query, "&amp;page=");
	admin_pager(a, query.data, page, n);
	buf_free(&query);
}

/* What the chart shows, for whoever cannot see it. */
static void
put_days(struct admin *a, const struct usage_sum *s)
{
	char day[ADMIN_VALUE_SIZE];

	html(&a->out, "<details><summary>%s</summary>\n",
	    s->by_month ? _("The months as a table")
			: _("The days as a table"));
	put_head(a, s->by_month ? _("Month") : _("Day"));
	for (size_t i = 0; i < s->days.n; i++)
		put_row(a, usage_sum_day(s, s->days.rows[i].hour, day),
		    &s->days.rows[i]);
	html(&a->out, "</tbody></table></details>\n");
}

static void
put_csv_link(struct admin *a, const struct usage_ask *ask)
{
	struct buf query = BUF(1024);

	usage_ask_query(ask, &query);
	html(&a->out, "<p><a href=\"/admin/usage?");
	(void)buf_puts(&a->out, query.data);
	html(&a->out, "&amp;format=csv\">%s</a></p>\n",
	    _("Download these rows as CSV"));
	buf_free(&query);
}

static void
put_page(struct admin *a, const struct usage_ask *ask, struct usage_sum *s)
{
	char from[ADMIN_VALUE_SIZE], to[ADMIN_VALUE_SIZE];

	admin_begin(a, NULL);
	if (ask->n_errors > 0)
		admin_say_errors(a, ask->n_errors);
	put_form(a, ask);
	html(&a->out, "<p>");
	html(&a->out, _("From %s to %s, in UTC."), admin_day(from, ask->from),
	    admin_day(to, ask->to - 1));
	html(&a->out, "</p>\n");
	put_totals(a, &s->all);
	if (s->rows.n == 0)
		html(&a->out, "<p>%s</p>\n", _("Nothing was used."));
	else {
		put_chart(a, s);
		if (strcmp(ask->by, "day") != 0)
			put_days(a, s);
		put_rows(a, ask, s);
		put_csv_link(a, ask);
	}
	admin_end(a);
}

static void
show(struct admin *a)
{
	struct usage_ask ask;
	struct usage_sum sum;

	usage_ask_read(&ask, a);
	if (usage_sum_read(&sum, a, &ask) == -1)
		admin_fail_store(a);
	else if (strcmp(admin_query(a, "format"), "csv") == 0)
		usage_csv_put(a, &ask, &sum);
	else
		put_page(a, &ask, &sum);
	usage_sum_free(&sum);
}

static const struct admin_page page = { "usage", N_("Usage"), show, NULL, 0,
	0 };

int
main(void)
{
	return admin_main(&page);
}
