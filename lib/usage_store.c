/*
 * Rolled-up hours as records of usage.gdbm. Key "hour:2026112218"; value one
 * line "1 <journal bytes> <malformed lines> <rows>", then a line a row, all
 * tab-separated.
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
#define VERSION 1

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

static int
parse_head(char **at, struct usage_scan *scan, int64_t *rows)
{
	int64_t version;

	return next_number(at, '\t', &version) == 0 && version == VERSION &&
		next_number(at, '\t', &scan->size) == 0 &&
		next_number(at, '\t', &scan->malformed) == 0 &&
		next_number(at, '\n', rows) == 0
	    ? 0
	    : -1;
}

/* 'table' NULL: the head only. */
static int
parse_record(struct buf *val, int64_t hour, const char *key_id,
    struct usage_table *table, struct usage_scan *scan)
{
	char *at = val->data;
	int64_t rows;

	if (parse_head(&at, scan, &rows) == -1)
		return -1;
	for (int64_t i = 0; table != NULL && i < rows; i++) {
		struct usage_total t = { .hour = hour };

		if (parse_row(&at, &t) == -1)
			return -1;
		if ((key_id == NULL || strcmp(key_id, t.key_id) == 0) &&
		    usage_table_add(table, &t) == -1)
			return -1;
	}
	return table == NULL || at == val->data + val->len ? 0 : -1;
}

int
usage_store_get(struct db *db, int64_t hour, const char *key_id,
    struct usage_table *table, struct usage_scan *scan)
{
	struct buf val = BUF(RECORD_MAX);
	char key[KEY_SIZE];
	int found = db_get(db, key_of(key, hour), &val);

	if (found == 1 && parse_record(&val, hour, key_id, table, scan) == -1) {
		log_warnx("cannot read the record '%s' of usage.gdbm", key);
		found = -1;
	}
	buf_free(&val);
	return found;
}

int
usage_store_scan(struct db *db, int64_t hour, struct usage_scan *scan)
{
	return usage_store_get(db, hour, NULL, NULL, scan);
}

int
usage_store_del(struct db *db, int64_t hour)
{
	char key[KEY_SIZE];

	return db_del(db, key_of(key, hour));
}

static void
print_row(struct buf *val, const struct usage_total *t)
{
	const int64_t number[] = { t->requests, t->errors, t->estimated,
		t->prompt, t->completion, t->cached, t->total, t->audio_bytes,
		t->audio_ms, t->duration_ms };

	(void)buf_printf(val, "%s\t%s\t%s", t->key_id, t->model, t->endpoint);
	for (size_t i = 0; i < sizeof(number) / sizeof(number[0]); i++)
		(void)buf_printf(val, "\t%" PRId64, number[i]);
	(void)buf_puts(val, "\n");
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
	for (size_t i = 0; i < table->n; i++)
		print_row(&val, &table->rows[i]);
	key_of(key, hour);
	if (val.failed)
		log_warnx("no room for the record '%s' of usage.gdbm", key);
	else
		done = db_put(db, key, val.data, val.len);
	buf_free(&val);
	return done;
}
