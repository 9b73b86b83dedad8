/* The times and groups that can be asked for. */
#include "usage_ask.h"

#include <string.h>

#include "lib/text.h"

#define DAY INT64_C(86400)
/* No gate of ours is older: "all" needs a beginning. */
#define BEGINNING INT64_C(1735689600) /* 2025-01-01 */

const struct usage_choice usage_periods[] = { { "month", N_("This month") },
	{ "today", N_("Today") }, { "yesterday", N_("Yesterday") },
	{ "7d", N_("7 days") }, { "30d", N_("30 days") },
	{ "year", N_("This year") }, { "all", N_("All time") },
	{ "range", N_("From one day to another") }, { NULL, NULL } };

const struct usage_choice usage_groups[] = { { "key", N_("Key") },
	{ "model", N_("Model") }, { "endpoint", N_("Endpoint") },
	{ "day", N_("Day") }, { NULL, NULL } };

/* The first one for what is none. */
static const struct usage_choice *
choice_of(const struct usage_choice *choices, const char *name)
{
	for (const struct usage_choice *c = choices; c->name != NULL; c++)
		if (strcmp(c->name, name) == 0)
			return c;
	return choices;
}

static int64_t
year_start(int64_t now)
{
	char utc[TEXT_UTC_SIZE];
	int64_t start;

	text_utc(utc, now);
	memcpy(utc + 5, "01-01", 6);
	return text_to_day(utc, &start) == 0 ? start : now;
}

static void
read_range(struct usage_ask *ask, struct admin *a)
{
	int64_t from, to;

	if (text_to_day(admin_query(a, "from"), &from) == -1) {
		ask->from_error = _("Not a day like 2026-11-01.");
		ask->n_errors++;
	}
	if (text_to_day(admin_query(a, "to"), &to) == -1) {
		ask->to_error = _("Not a day like 2026-11-30.");
		ask->n_errors++;
	} else if (ask->n_errors == 0 && to < from) {
		ask->to_error = _("Before the first day.");
		ask->n_errors++;
	}
	if (ask->n_errors > 0)
		return;
	ask->from = from;
	ask->to = to + DAY;
}

static void
read_period(struct usage_ask *ask, struct admin *a)
{
	int64_t today = admin_day_start(a->now);
	const char *p = ask->period;

	ask->from = admin_month_start(a->now);
	ask->to = today + DAY;
	if (strcmp(p, "today") == 0)
		ask->from = today;
	else if (strcmp(p, "yesterday") == 0) {
		ask->from = today - DAY;
		ask->to = today;
	} else if (strcmp(p, "7d") == 0)
		ask->from = today - 6 * DAY;
	else if (strcmp(p, "30d") == 0)
		ask->from = today - 29 * DAY;
	else if (strcmp(p, "year") == 0)
		ask->from = year_start(a->now);
	else if (strcmp(p, "all") == 0)
		ask->from = BEGINNING;
	else if (strcmp(p, "range") == 0)
		read_range(ask, a);
}

void
usage_ask_read(struct usage_ask *ask, struct admin *a)
{
	const char *key = admin_query(a, "key");

	*ask = (struct usage_ask){ .n_errors = 0 };
	ask->period = choice_of(usage_periods, admin_query(a, "period"))->name;
	/* The form shows days only with their period: they were typed now. */
	if (*admin_query(a, "from") != '\0' || *admin_query(a, "to") != '\0')
		ask->period = "range";
	ask->group = choice_of(usage_groups, admin_query(a, "by"));
	ask->by = ask->group->name;
	if (strlen(key) < sizeof(ask->key))
		memcpy(ask->key, key, strlen(key) + 1);
	read_period(ask, a);
}

void
usage_ask_query(const struct usage_ask *ask, struct buf *out)
{
	char day[ADMIN_VALUE_SIZE];

	html(out, "period=%s&amp;by=%s", ask->period, ask->by);
	if (ask->key[0] != '\0') {
		html(out, "&amp;key=");
		html_argument(out, ask->key);
	}
	if (strcmp(ask->period, "range") == 0) {
		html(out, "&amp;from=%s", admin_day(day, ask->from));
		html(out, "&amp;to=%s", admin_day(day, ask->to - 1));
	}
}
