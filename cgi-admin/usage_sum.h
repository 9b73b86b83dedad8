/* usage_sum.h - the usage of a time, added up for a page. */
#ifndef PMPROXY_CGI_ADMIN_USAGE_SUM_H
#define PMPROXY_CGI_ADMIN_USAGE_SUM_H

#include "lib/costs.h"
#include "usage_ask.h"

struct usage_label {
	char id[KEYS_ID_SIZE];
	char label[KEYS_LABEL_SIZE];
};

struct usage_sum {
	struct usage_total all;
	struct usage_table rows; /* by what was asked; the dearest first */
	struct usage_table days; /* by day, or by month where those are many */
	int by_month;
	/* private */
	const struct usage_ask *ask;
	struct usage_label *labels; /* ordered by id */
	size_t n_labels;
};

/* 0, or -1 after logging; free in both cases. */
int usage_sum_read(
    struct usage_sum *, const struct admin *, const struct usage_ask *);
void usage_sum_free(struct usage_sum *);

/* Finds the labels of the keys in so many rows, before these are named. */
void usage_sum_label(
    struct usage_sum *, const struct admin *, size_t from, size_t n);

/* What a row is called: a key's label, "2026-11-22". Return dst. */
#define USAGE_NAME_SIZE (KEYS_LABEL_SIZE + 32)
const char *usage_sum_name(const struct usage_sum *, const struct usage_ask *,
    const struct usage_total *, char dst[USAGE_NAME_SIZE]);
/* "2026-11-22", or "2026-11" where months are added up. */
char *usage_sum_day(
    const struct usage_sum *, int64_t start, char dst[ADMIN_VALUE_SIZE]);

/* A bar for each day or month, empty ones too; returns how many, to be freed. */
size_t usage_sum_bars(const struct usage_sum *, struct html_bar **);

#endif
