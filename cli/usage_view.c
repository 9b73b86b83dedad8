/* Periods, groups and ranges of usage. */
#include "cli/usage_view.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/text.h"

#define HOUR INT64_C(3600)
#define DAY INT64_C(86400)

static const char *const period_names[] = { "", "hour", "day", "month" };

int
usage_view_period(struct usage_view *view, const char *name)
{
	for (int i = USAGE_PERIOD_HOUR; i <= USAGE_PERIOD_MONTH; i++)
		if (strcmp(name, period_names[i]) == 0) {
			view->period = (enum usage_period)i;
			return 0;
		}
	return -1;
}

static int
group_one(struct usage_view *view, const char *name)
{
	int *on = strcmp(name, "key") == 0  ? &view->key
	    : strcmp(name, "model") == 0    ? &view->model
	    : strcmp(name, "endpoint") == 0 ? &view->endpoint
					    : NULL;

	if (on == NULL)
		return -1;
	*on = 1;
	return 0;
}

static int
by_one(struct usage_view *view, const char *name)
{
	if (group_one(view, name) == 0)
		return 0;
	if (view->period != USAGE_PERIOD_NONE)
		return -1;
	return usage_view_period(view, name);
}

/* Hands each part of a comma list to 'one', which refuses an empty part. */
static int
each_part(struct usage_view *view, const char *list,
    int (*one)(struct usage_view *, const char *))
{
	char part[16];

	for (;;) {
		size_t n = strcspn(list, ",");

		if (n >= sizeof(part))
			return -1;
		memcpy(part, list, n);
		part[n] = '\0';
		if (one(view, part) == -1)
			return -1;
		if (list[n] == '\0')
			return 0;
		list += n + 1;
	}
}

int
usage_view_group(struct usage_view *view, const char *list)
{
	view->key = view->model = view->endpoint = 0;
	if (strcmp(list, "none") == 0)
		return 0;
	return each_part(view, list, group_one);
}

int
usage_view_by(struct usage_view *view, const char *list)
{
	*view = (struct usage_view){ 0 };
	return each_part(view, list, by_one);
}

/* Start of the month 'ahead' months after that of 't' (negative: before). */
static int64_t
month_start(int64_t t, int ahead)
{
	time_t at = (time_t)t;
	struct tm tm = { 0 };

	if (gmtime_r(&at, &tm) == NULL)
		return t;
	tm = (struct tm){
		.tm_year = tm.tm_year, .tm_mon = tm.tm_mon + ahead, .tm_mday = 1
	};
	return timegm(&tm);
}

static int64_t
year_start(int64_t t)
{
	time_t at = (time_t)t;
	struct tm tm = { 0 };

	if (gmtime_r(&at, &tm) == NULL)
		return t;
	return month_start(t, -tm.tm_mon);
}

static int64_t
day_start(int64_t t)
{
	int64_t into = t % DAY;

	return t - (into < 0 ? into + DAY : into);
}

static int64_t
period_start(enum usage_period period, int64_t hour)
{
	switch (period) {
	case USAGE_PERIOD_NONE:
		return 0;
	case USAGE_PERIOD_HOUR:
		return hour;
	case USAGE_PERIOD_DAY:
		return day_start(hour);
	case USAGE_PERIOD_MONTH:
		break;
	}
	return month_start(hour, 0);
}

void
usage_view_blank(const struct usage_view *view, struct usage_total *t)
{
	t->hour = period_start(view->period, t->hour);
	if (!view->key)
		t->key_id[0] = '\0';
	if (!view->model)
		t->model[0] = '\0';
	if (!view->endpoint)
		t->endpoint[0] = '\0';
}

enum usage_grain
usage_view_grain(const struct usage_view *view)
{
	static const enum usage_grain grain[] = {
		[USAGE_PERIOD_NONE] = USAGE_WHOLE,
		[USAGE_PERIOD_HOUR] = USAGE_HOURS,
		[USAGE_PERIOD_DAY] = USAGE_DAYS,
		[USAGE_PERIOD_MONTH] = USAGE_MONTHS,
	};

	return grain[view->period];
}

char *
usage_view_label(
    char dst[USAGE_LABEL_SIZE], enum usage_period period, int64_t start)
{
	static const int length[] = { 0, TEXT_UTC_SIZE, 10, 7 };
	char utc[TEXT_UTC_SIZE];

	(void)snprintf(dst, USAGE_LABEL_SIZE, "%.*s", length[period],
	    text_utc(utc, start));
	return dst;
}

/* A day or a month as its first hour and the one after its last. */
static int
calendar_range(struct usage_range *range, const char *date)
{
	char day[16];
	int n;

	if (text_to_day(date, &range->from) == 0) {
		range->to = range->from + DAY;
		return 0;
	}
	n = snprintf(day, sizeof(day), "%s-01", date);
	if (n < 0 || (size_t)n >= sizeof(day) ||
	    text_to_day(day, &range->from) == -1)
		return -1;
	range->to = month_start(range->from, 1);
	return 0;
}

int
usage_range_named(struct usage_range *range, const char *name, int64_t now)
{
	int64_t today = day_start(now), month = month_start(now, 0);
	const struct {
		const char *name;
		int64_t from, to;
	} named[] = {
		{ "today", today, today + DAY },
		{ "yesterday", today - DAY, today },
		{ "7d", today - 6 * DAY, today + DAY },
		{ "30d", today - 29 * DAY, today + DAY },
		{ "month", month, month_start(now, 1) },
		{ "year", year_start(now), month_start(year_start(now), 12) },
		{ "all", INT64_MIN, INT64_MAX },
	};

	for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++)
		if (strcmp(name, named[i].name) == 0) {
			range->from = named[i].from;
			range->to = named[i].to;
			return 0;
		}
	return calendar_range(range, name);
}

static int
whole_hour(const char *date, int64_t *at)
{
	int64_t t;

	if (text_to_utc(date, &t) == -1 || t % HOUR != 0)
		return -1;
	*at = t;
	return 0;
}

int
usage_range_from(struct usage_range *range, const char *date)
{
	struct usage_range found;

	if (whole_hour(date, &range->from) == 0)
		return 0;
	if (calendar_range(&found, date) == -1)
		return -1;
	range->from = found.from;
	return 0;
}

int
usage_range_to(struct usage_range *range, const char *date)
{
	struct usage_range found;

	if (whole_hour(date, &range->to) == 0)
		return 0;
	if (calendar_range(&found, date) == -1)
		return -1;
	range->to = found.to;
	return 0;
}
