/* sse_tally.c - a sorted array: exact, and small enough for a bench. */
#include <err.h>
#include <stdlib.h>

#include "sse_tally.h"

void
sse_tally_add(struct sse_tally *t, int64_t us)
{
	if (t->n == t->cap) {
		t->cap = t->cap == 0 ? 4096 : t->cap * 2;
		t->us = reallocarray(t->us, t->cap, sizeof(*t->us));
		if (t->us == NULL)
			err(1, "no memory for times");
	}
	t->us[t->n++] = us;
}

static int
by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* The smallest that so many thousandths are not above. */
static long long
share(const struct sse_tally *t, size_t thousandths)
{
	size_t rank = (t->n * thousandths + 999) / 1000;

	return (long long)t->us[rank == 0 ? 0 : rank - 1];
}

void
sse_tally_print(struct sse_tally *t, const char *name, FILE *to)
{
	if (t->n == 0) {
		(void)fprintf(to, "\"%s\":null", name);
		return;
	}
	qsort(t->us, t->n, sizeof(*t->us), by_size);
	(void)fprintf(to,
	    "\"%s\":{\"n\":%zu,\"p50\":%lld,\"p99\":%lld,\"p999\":%lld,"
	    "\"max\":%lld}",
	    name, t->n, share(t, 500), share(t, 990), share(t, 999),
	    share(t, 1000));
}

void
sse_tally_free(struct sse_tally *t)
{
	free(t->us);
	*t = (struct sse_tally){ 0 };
}
