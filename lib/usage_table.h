/*
 * usage_table.h - totals summed by hour, key, model and endpoint, in bounded
 * memory. Not thread-safe.
 *
 * Whoever wants sums over days, or over all models, blanks or rounds those
 * members before adding. Sums stop at INT64_MAX.
 */
#ifndef PMPROXY_USAGE_TABLE_H
#define PMPROXY_USAGE_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "usage.h"

struct usage_table {
	struct usage_total *rows;
	size_t n; /* rows in use */
	size_t max; /* rows at most */
	size_t cap; /* private, as are the others */
	uint32_t *slots;
	size_t n_slots;
	int full;
};

/* struct usage_table t = USAGE_TABLE(100000); allocates nothing. */
#define USAGE_TABLE(max)                      \
	{                                     \
		NULL, 0, (max), 0, NULL, 0, 0 \
	}

/*
 * Adds to the row with the same hour and names, or makes it. Once 'max' rows
 * are there, a new one counts in a last row of which all names are "other",
 * and one log line says so. 0, or -1 after logging that memory is out.
 */
int usage_table_add(struct usage_table *, const struct usage_total *);

/* Adds all numbers of 'from' to 'to', whatever its names. */
void usage_total_add(struct usage_total *to, const struct usage_total *from);

/* Orders the rows by hour, key, model and endpoint. */
void usage_table_sort(struct usage_table *);

/* Empties it and keeps the memory. */
void usage_table_clear(struct usage_table *);
void usage_table_free(struct usage_table *);

#endif
