/* Totals in an open-addressing hash table over an array of rows. */
#include "usage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

#define NO_ROW UINT32_MAX

static void
add_to(int64_t *sum, int64_t n)
{
	if (__builtin_add_overflow(*sum, n, sum))
		*sum = INT64_MAX;
}

void
usage_total_add(struct usage_total *to, const struct usage_total *from)
{
	add_to(&to->requests, from->requests);
	add_to(&to->errors, from->errors);
	add_to(&to->estimated, from->estimated);
	add_to(&to->prompt, from->prompt);
	add_to(&to->completion, from->completion);
	add_to(&to->cached, from->cached);
	add_to(&to->total, from->total);
	add_to(&to->audio_bytes, from->audio_bytes);
	add_to(&to->audio_ms, from->audio_ms);
	add_to(&to->duration_ms, from->duration_ms);
	add_to(&to->cost, from->cost);
	if (from->last > to->last)
		to->last = from->last;
}

static int
compare(const void *left, const void *right)
{
	const struct usage_total *a = left, *b = right;
	int c;

	if (a->hour != b->hour)
		return a->hour < b->hour ? -1 : 1;
	if ((c = strcmp(a->key_id, b->key_id)) != 0 ||
	    (c = strcmp(a->model, b->model)) != 0)
		return c;
	return strcmp(a->endpoint, b->endpoint);
}

/* FNV-1a; the NUL goes in, so that "a","bc" and "ab","c" differ. */
static uint64_t
mix(uint64_t h, const char *s)
{
	do {
		h = (h ^ (unsigned char)*s) * UINT64_C(1099511628211);
	} while (*s++ != '\0');
	return h;
}

static size_t
slot_of(const struct usage_table *t, const struct usage_total *row)
{
	uint64_t h = UINT64_C(14695981039346656037) ^ (uint64_t)row->hour;
	size_t i;

	h = mix(mix(mix(h, row->key_id), row->model), row->endpoint);
	/* The low bits of FNV alone are weak; fold the high ones in. */
	i = (size_t)(h ^ h >> 32) & (t->n_slots - 1);
	while (
	    t->slots[i] != NO_ROW && compare(&t->rows[t->slots[i]], row) != 0)
		i = (i + 1) & (t->n_slots - 1);
	return i;
}

static void
index_rows(struct usage_table *t)
{
	memset(t->slots, 0xff, t->n_slots * sizeof(t->slots[0]));
	for (size_t i = 0; i < t->n; i++)
		t->slots[slot_of(t, &t->rows[i])] = (uint32_t)i;
}

/* Doubles both arrays; the slots stay at most half full. */
static int
grow(struct usage_table *t)
{
	size_t cap = t->cap == 0 ? 64 : t->cap * 2;
	struct usage_total *rows =
	    reallocarray(t->rows, cap, sizeof(t->rows[0]));
	uint32_t *slots;

	if (rows != NULL)
		t->rows = rows;
	slots = rows == NULL
	    ? NULL
	    : reallocarray(t->slots, cap * 2, sizeof(slots[0]));
	if (slots == NULL) {
		log_warnx("out of memory for %zu rows of usage", cap);
		return -1;
	}
	t->slots = slots;
	t->n_slots = cap * 2;
	t->cap = cap;
	index_rows(t);
	return 0;
}

static int
add_row(struct usage_table *t, size_t slot, const struct usage_total *row)
{
	if (t->n == t->cap) {
		if (grow(t) == -1)
			return -1;
		slot = slot_of(t, row);
	}
	t->rows[t->n] = *row;
	t->slots[slot] = (uint32_t)t->n++;
	return 0;
}

static struct usage_total
renamed_other(struct usage_table *t, const struct usage_total *row)
{
	struct usage_total other = *row;

	if (!t->full)
		log_warnx("more than %zu kinds of usage at once: further ones "
			  "count as 'other'",
		    t->max);
	t->full = 1;
	snprintf(other.key_id, sizeof(other.key_id), "other");
	snprintf(other.model, sizeof(other.model), "other");
	snprintf(other.endpoint, sizeof(other.endpoint), "other");
	return other;
}

int
usage_table_add(struct usage_table *t, const struct usage_total *row)
{
	size_t slot;

	if (t->n_slots == 0 && grow(t) == -1)
		return -1;
	slot = slot_of(t, row);
	if (t->slots[slot] == NO_ROW && t->n >= t->max) {
		struct usage_total other = renamed_other(t, row);

		slot = slot_of(t, &other);
		if (t->slots[slot] == NO_ROW)
			return add_row(t, slot, &other);
		row = &other;
		usage_total_add(&t->rows[t->slots[slot]], row);
		return 0;
	}
	if (t->slots[slot] == NO_ROW)
		return add_row(t, slot, row);
	usage_total_add(&t->rows[t->slots[slot]], row);
	return 0;
}

void
usage_table_sort(struct usage_table *t)
{
	if (t->n == 0)
		return;
	qsort(t->rows, t->n, sizeof(t->rows[0]), compare);
	index_rows(t);
}

void
usage_table_clear(struct usage_table *t)
{
	t->n = 0;
	t->full = 0;
	if (t->n_slots > 0)
		index_rows(t);
}

void
usage_table_free(struct usage_table *t)
{
	size_t max = t->max;

	free(t->rows);
	free(t->slots);
	*t = (struct usage_table)USAGE_TABLE(max);
}
