/*
 * sse_tally.h - times, all of them, and what share of them is below what.
 */
#ifndef BENCH_SSE_TALLY_H
#define BENCH_SSE_TALLY_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct sse_tally {
	int64_t *us; /* freed by sse_tally_free */
	size_t n, cap;
};

/* Ends the program where there is no memory. */
void sse_tally_add(struct sse_tally *, int64_t us);

/*
 * "NAME":{"n":...,"p50":...,"p99":...,"p999":...,"max":...}, the times in
 * microseconds; null instead of the object when there are none. Sorts.
 */
void sse_tally_print(struct sse_tally *, const char *name, FILE *to);

void sse_tally_free(struct sse_tally *);

#endif
