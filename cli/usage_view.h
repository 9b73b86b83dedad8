/*
 * usage_view.h - how totals are put together for people and scripts: over
 * which time, and summed by what. All times are UTC.
 */
#ifndef PMPROXY_CLI_USAGE_VIEW_H
#define PMPROXY_CLI_USAGE_VIEW_H

#include <stdint.h>

#include "lib/usage.h"

enum usage_period {
	USAGE_PERIOD_NONE,
	USAGE_PERIOD_HOUR,
	USAGE_PERIOD_DAY,
	USAGE_PERIOD_MONTH
};

/* Which columns tell totals apart. */
struct usage_view {
	enum usage_period period;
	int key, model, endpoint; /* switches */
};

/* "hour", "day" or "month"; 0 or -1. */
int usage_view_period(struct usage_view *, const char *name);

/* A comma list of "key", "model", "endpoint" ("none": empty); 0 or -1. */
int usage_view_group(struct usage_view *, const char *list);

/* A comma list of both, with one period at most; 0 or -1. */
int usage_view_by(struct usage_view *, const char *list);

/* How coarse totals may be for the view. */
enum usage_grain usage_view_grain(const struct usage_view *);

/*
 * Blanks what the view does not tell apart; the hour becomes the start of its
 * period.
 */
void usage_view_blank(const struct usage_view *, struct usage_total *);

/* "2026-11-22T18:00:00Z", "2026-11-22" or "2026-11"; "" without a period. */
#define USAGE_LABEL_SIZE 32
char *
usage_view_label(char dst[USAGE_LABEL_SIZE], enum usage_period, int64_t start);

/* Times of hours: from inclusive, to exclusive. */
struct usage_range {
	int64_t from, to;
};

/*
 * "today", "yesterday", "7d", "30d" (with today), "month", "year", "all",
 * "2026-11" or "2026-11-22"; 0 or -1.
 */
int usage_range_named(struct usage_range *, const char *name, int64_t now);

/*
 * One end of a range: a day or a month stands for its start as 'from', and
 * its end as 'to'; a whole hour "2026-11-22T18:00:00Z" for itself. 0 or -1.
 */
int usage_range_from(struct usage_range *, const char *date);
int usage_range_to(struct usage_range *, const char *date);

#endif
