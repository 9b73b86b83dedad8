/*
 * Rows as bytes: first the names, each once and with its length in front; then
 * the rows, three places in the list of names and ten numbers each, or twelve
 * where they are sums. A number has seven bits a byte, the lowest first, and
 * the eighth bit says that more follow (LEB128). So a row takes some 25 bytes,
 * where its names alone take twice as many as text.
 */
#include "usage_internal.h"

#include <stdlib.h>
#include <string.h>

#include "log.h"

#define NAMES 3
#define NUMBERS 12
/* Three for each of the most rows, and for the row of "other". */
#define NAMES_MAX ((size_t)NAMES * (USAGE_ROWS_MAX + 1))

/* What a row has to tell, in the order in which it is written. */
#define NUMBERS_OF(t)                                                        \
	{                                                                    \
		&(t)->requests, &(t)->errors, &(t)->estimated, &(t)->prompt, \
		    &(t)->completion, &(t)->cached, &(t)->total,             \
		    &(t)->audio_bytes, &(t)->audio_ms, &(t)->duration_ms,    \
		    &(t)->cost, &(t)->last                                   \
	}

/* Appends; the buffer remembers a failure. */
static void
put_number(struct buf *out, uint64_t n)
{
	unsigned char byte[10];
	size_t len = 0;

	do {
		byte[len++] =
		    (unsigned char)((n & 0x7f) | (n > 0x7f ? 0x80 : 0));
		n >>= 7;
	} while (n > 0);
	(void)buf_add(out, byte, len);
}

static int
compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* All names of the rows, sorted and each once; their number. */
static size_t
list_names(const struct usage_table *t, const char **name)
{
	size_t n = 0, kept = 0;

	for (size_t i = 0; i < t->n; i++) {
		name[n++] = t->rows[i].key_id;
		name[n++] = t->rows[i].model;
		name[n++] = t->rows[i].endpoint;
	}
	qsort(name, n, sizeof(name[0]), compare);
	for (size_t i = 1; i < n; i++)
		if (strcmp(name[i], name[kept]) != 0)
			name[++kept] = name[i];
	return n == 0 ? 0 : kept + 1;
}

static void
put_name(struct buf *out, const char *s, const char **name, size_t n)
{
	const char **found = bsearch(&s, name, n, sizeof(name[0]), compare);

	put_number(out, (uint64_t)(found - name));
}

int
usage_record_put(
    struct buf *out, const struct usage_table *t, enum usage_record_of of)
{
	const char **name = calloc(NAMES * t->n + 1, sizeof(name[0]));
	size_t n;

	if (name == NULL)
		return -1;
	n = list_names(t, name);
	put_number(out, n);
	for (size_t i = 0; i < n; i++) {
		put_number(out, strlen(name[i]));
		(void)buf_puts(out, name[i]);
	}
	for (size_t i = 0; i < t->n; i++) {
		const struct usage_total *row = &t->rows[i];
		const int64_t *const number[NUMBERS] = NUMBERS_OF(row);

		put_name(out, row->key_id, name, n);
		put_name(out, row->model, name, n);
		put_name(out, row->endpoint, name, n);
		for (size_t k = 0; k < (size_t)of; k++)
			put_number(out, (uint64_t)*number[k]);
	}
	free(name);
	return out->failed ? -1 : 0;
}

struct reader {
	const unsigned char *at, *end;
	size_t numbers; /* of a row */
	int bad;
};

/* A number up to 'max'; 0 and 'bad' when there is none. */
static int64_t
get_number(struct reader *r, int64_t max)
{
	uint64_t n = 0;

	/* Most are short, and there are millions. */
	if (r->at < r->end && *r->at < 0x80 && *r->at <= max)
		return *r->at++;
	for (unsigned shift = 0; shift < 63 && r->at < r->end; shift += 7) {
		unsigned char byte = *r->at++;

		n |= (uint64_t)(byte & 0x7f) << shift;
		if ((byte & 0x80) != 0)
			continue;
		if (n <= (uint64_t)max && (byte != 0 || shift == 0))
			return (int64_t)n;
		break;
	}
	r->bad = 1;
	return 0;
}

struct name {
	const unsigned char *p;
	size_t len;
};

/* The list of names, to be freed; NULL when it is damaged or memory is out. */
static struct name *
get_names(struct reader *r, size_t *n)
{
	struct name *name;

	*n = (size_t)get_number(r, (int64_t)NAMES_MAX);
	/* Each takes two bytes at least, so a lie costs no memory. */
	if (r->bad || *n > (size_t)(r->end - r->at) / 2 ||
	    (name = calloc(*n + 1, sizeof(*name))) == NULL)
		return NULL;
	for (size_t i = 0; i < *n; i++) {
		name[i].len = (size_t)get_number(r, r->end - r->at);
		name[i].p = r->at;
		if (name[i].len > (size_t)(r->end - r->at) || r->bad ||
		    !usage_name_valid(
			(const char *)r->at, name[i].len, USAGE_KEY_SIZE)) {
			free(name);
			return NULL;
		}
		r->at += name[i].len;
	}
	return name;
}

/* A name in its field, of which no byte is left of what stood there. */
static void
copy_name(char *to, size_t size, const struct name *from, struct reader *r)
{
	if (from->p == NULL || from->len >= size) {
		r->bad = 1;
		return;
	}
	memcpy(to, from->p, from->len);
	memset(to + from->len, 0, size - from->len);
}

/* The place in the list of the key that is asked for; 'n' when not there. */
static size_t
find_key(const struct name *name, size_t n, const char *key_id)
{
	size_t i = 0;

	while (i < n &&
	    (strlen(key_id) != name[i].len ||
		memcmp(key_id, name[i].p, name[i].len) != 0))
		i++;
	return i;
}

/* The next row; its names only when it is of the key that is wanted. */
static int
get_row(struct reader *r, const struct name *name, size_t n, size_t wanted,
    struct usage_total *t)
{
	const int64_t last = (int64_t)n - 1;
	size_t key = (size_t)get_number(r, last);
	size_t model = (size_t)get_number(r, last);
	size_t endpoint = (size_t)get_number(r, last);
	int64_t *const number[NUMBERS] = NUMBERS_OF(t);

	for (size_t k = 0; k < r->numbers; k++)
		*number[k] = get_number(r, INT64_MAX);
	if (r->bad || (wanted < n && key != wanted))
		return 0;
	copy_name(t->key_id, sizeof(t->key_id), &name[key], r);
	copy_name(t->model, sizeof(t->model), &name[model], r);
	copy_name(t->endpoint, sizeof(t->endpoint), &name[endpoint], r);
	return 1;
}

/* All rows, or those of one key; -1 for what is no record. */
static int64_t
get_rows(struct reader *r, int64_t hour, int64_t rows, const char *key_id,
    struct usage_total *out)
{
	struct name *name;
	size_t n, wanted;
	int64_t kept = 0;

	if ((name = get_names(r, &n)) == NULL)
		return -1;
	wanted = key_id != NULL ? find_key(name, n, key_id) : n;
	r->bad |= rows > 0 && n == 0;
	for (int64_t i = 0; i < rows && !r->bad; i++) {
		out[kept].hour = hour;
		kept += get_row(r, name, n, wanted, &out[kept]);
	}
	free(name);
	/* Whoever is not in the list has no row. */
	if (key_id != NULL && wanted == n)
		kept = 0;
	return r->bad || r->at != r->end ? -1 : kept;
}

int
usage_record_each(const char *p, size_t len, enum usage_record_of of,
    int64_t hour, int64_t rows, const char *key_id,
    int (*fn)(const struct usage_total *, void *), void *arg)
{
	const unsigned char *at = (const unsigned char *)p;
	struct reader r = { at, at + len, (size_t)of, 0 };
	struct usage_total *out;
	int64_t n = -1;
	int answer = 0;

	/* A row takes a byte for each of its names and numbers at least. */
	if (rows > (int64_t)(len / (NAMES + r.numbers)) ||
	    (out = calloc((size_t)rows + 1, sizeof(*out))) == NULL)
		return -1;
	n = get_rows(&r, hour, rows, key_id, out);
	for (int64_t i = 0; i < n && answer == 0; i++)
		answer = fn(&out[i], arg);
	free(out);
	return n == -1 ? -1 : answer;
}
