/*
 * Rolled-up hours as records of usage.gdbm. Key "hour:2026112218"; value one
 * line "2 <journal bytes> <malformed lines> <rows>", tab-separated, then the
 * rows (usage_record.c). In version 1 these were lines of text.
 */
#include "usage_internal.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "buf.h"
#include "log.h"
#include "text.h"

#define PREFIX "hour:"
#define KEY_SIZE (sizeof(PREFIX) + TEXT_HOUR_SIZE)
#define VERSION_TEXT 1
#define VERSION 2

/* The longest row is shorter than a line of the journal. */
#define RECORD_MAX ((size_t)USAGE_ROWS_MAX * USAGE_LINE_SIZE)

int
usage_store_path(char *dst, size_t size, const char *state_dir)
{
	int n = snprintf(dst, size, "%s/usage.gdbm", state_dir);

	if (n >= 0 && (size_t)n < size)
		return 0;
	log_warnx("the path of STATE_DIR is too long");
	return -1;
}

static const char *
key_of(char dst[KEY_SIZE], int64_t hour)
{
	char name[TEXT_HOUR_SIZE];

	(void)snprintf(dst, KEY_SIZE, PREFIX "%s", text_hour(name, hour));
	return dst;
}

struct hours_in {
	struct usage_hours *hours;
	int64_t from, to;
};

static int
add_hour(const char *key, const char *val, size_t len, void *arg)
{
	struct hours_in *in = arg;
	int64_t hour;

	(void)val;
	(void)len;
	if (text_to_hour(key + sizeof(PREFIX) - 1, &hour) == -1 ||
	    hour < in->from || hour >= in->to)
		return 0;
	/* -1 is db_each's own; any nonzero answer stops it. */
	return usage_hours_add(in->hours, hour) == -1 ? 1 : 0;
}

int
usage_store_hours(
    struct db *db, struct usage_hours *hours, int64_t from, int64_t to)
{
	struct hours_in in = { hours, from, to };

	return db_each(db, PREFIX, add_hour, &in) == 0 ? 0 : -1;
}

/*
 * Cuts the next field off: up to the next 'stop', which becomes a NUL. NULL
 * when there is none.
 */
static char *
next_field(char **at, char stop)
{
	char *field = *at, *end = strchr(field, stop);

	if (end == NULL)
		return NULL;
	*end = '\0';
	*at = end + 1;
	return field;
}

static int
next_number(char **at, char stop, int64_t *out)
{
	const char *field = next_field(at, stop);

	return field ? text_to_i64(field, 0, INT64_MAX, out) : -1;
}

static int
next_name(char **at, char *dst, size_t size)
{
	const char *field = next_field(at, '\t');
	size_t n = field ? strlen(field) : 0;

	if (field == NULL || !usage_name_valid(field, n, size))
		return -1;
	memcpy(dst, field, n + 1);
	return 0;
}

static int
parse_row(char **at, struct usage_total *t)
{
	int64_t *number[] = { &t->requests, &t->errors, &t->estimated,
		&t->prompt, &t->completion, &t->cached, &t->total,
		&t->audio_bytes, &t->audio_ms, &t->duration_ms };
	const size_t n = sizeof(number) / sizeof(number[0]);

	if (next_name(at, t->key_id, sizeof(t->key_id)) == -1 ||
	    next_name(at, t->model, sizeof(t->model)) == -1 ||
	    next_name(at, t->endpoint, sizeof(t->endpoint)) == -1)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (next_number(at, i + 1 < n ? '\t' : '\n', number[i]) == -1)
			return -1;
	return 0;
}

/* The version, or -1. */
static int
parse_head(char **at, struct usage_scan *scan, int64_t *rows)
{
	int64_t version;

	return next_number(at, '\t', &version) == 0 &&
		(version == VERSION || version == VERSION_TEXT) &&
		next_number(at, '\t', &scan->size) == 0 &&
		next_number(at, '\t', &scan->malformed) == 0 &&
		next_number(at, '\n', rows) == 0
	    ? (int)version
	    : -1;
}

/* What one reading of a record is for. */
struct reading {
	int64_t hour;
	const char *key_id; /* NULL: all */
	int (*fn)(const struct usage_total *, void *);
	void *arg;
	struct usage_scan *scan;
	int head_only;
};

/* A record of version 1. As everywhere, -1 is a damaged record. */
static int
parse_text(char *at, const char *end, int64_t rows, const struct reading *r)
{
	int answer = 0;

	for (int64_t i = 0; i < rows && answer == 0; i++) {
		struct usage_total t = { .hour = r->hour };

		if (parse_row(&at, &t) == -1)
			return -1;
		if (r->key_id == NULL || strcmp(r->key_id, t.key_id) == 0)
			answer = r->fn(&t, r->arg);
	}
	return answer == 0 && at != end ? -1 : answer;
}

static int
parse_record(struct buf *val, const struct reading *r)
{
	char *at = val->data, *end = val->data + val->len;
	int64_t rows;
	int version = parse_head(&at, r->scan, &rows);

	if (version == -1 || r->head_only)
		return version == -1 ? -1 : 0;
	if (version == VERSION_TEXT)
		return parse_text(at, end, rows, r);
	return usage_record_each(at, (size_t)(end - at), USAGE_RECORD_HOUR,
	    r->hour, rows, r->key_id, r->fn, r->arg);
}

/* *found: 1, 0 or -1 (logged); the answer of parse_record. */
static int
read_record(struct db *db, const struct reading *r, int *found)
{
	struct buf val = BUF(RECORD_MAX);
	char key[KEY_SIZE];
	int answer = 0;

	*found = db_get(db, key_of(key, r->hour), &val);
	if (*found == 1 && (answer = parse_record(&val, r)) == -1) {
		log_warnx("cannot read the record '%s' of usage.gdbm", key);
		*found = -1;
	}
	buf_free(&val);
	return answer;
}

/* 2 when memory is out, because -1 is a damaged record. */
static int
add_row(const struct usage_total *t, void *table)
{
	return usage_table_add(table, t) == -1 ? 2 : 0;
}

int
usage_store_get(struct db *db, int64_t hour, const char *key_id,
    struct usage_table *table, struct usage_scan *scan)
{
	const struct reading r = { .hour = hour,
		.key_id = key_id,
		.fn = add_row,
		.arg = table,
		.scan = scan };
	int found;

	return read_record(db, &r, &found) == 0 ? found : -1;
}

int
usage_store_each(struct db *db, int64_t hour, const char *key_id,
    struct usage_scan *scan, int (*fn)(const struct usage_total *, void *),
    void *arg)
{
	const struct reading r = { .hour = hour,
		.key_id = key_id,
		.fn = fn,
		.arg = arg,
		.scan = scan };
	int found, answer = read_record(db, &r, &found);

	return found == -1 ? -1 : answer;
}

int
usage_store_scan(struct db *db, int64_t hour, struct usage_scan *scan)
{
	const struct reading r = { .hour = hour, .scan = scan, .head_only = 1 };
	int found;

	(void)read_record(db, &r, &found); /* 'found' says it */
	return found;
}

int
usage_store_raw(
    struct db *db, int64_t hour, struct buf *val, struct usage_scan *scan)
{
	char key[KEY_SIZE], head[128], *at = head;
	int found = db_get(db, key_of(key, hour), val);
	int64_t rows;

	if (found != 1)
		return found;
	(void)snprintf(head, sizeof(head), "%s", val->data);
	if (parse_head(&at, scan, &rows) != -1)
		return 1;
	log_warnx("cannot read the record '%s' of usage.gdbm", key);
	return -1;
}

int
usage_store_del(struct db *db, int64_t hour)
{
	char key[KEY_SIZE];

	return db_del(db, key_of(key, hour));
}

int
usage_store_put(struct db *db, int64_t hour, const struct usage_table *table,
    const struct usage_scan *scan)
{
	struct buf val = BUF(RECORD_MAX);
	char key[KEY_SIZE];
	int done = -1;

	(void)buf_printf(&val, "%d\t%" PRId64 "\t%" PRId64 "\t%zu\n", VERSION,
	    scan->size, scan->malformed, table->n);
	key_of(key, hour);
	if (usage_record_put(&val, table, USAGE_RECORD_HOUR) == -1)
		log_warnx("no room for the record '%s' of usage.gdbm", key);
	else
		done = db_put(db, key, val.data, val.len);
	buf_free(&val);
	return done;
}
