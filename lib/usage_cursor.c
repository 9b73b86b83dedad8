/*
 * What was given to somebody: a store with a record "hour:YYYYMMDDHH" for each
 * hour, whose value is the bytes of journal that were given. The editor's lock
 * keeps two from giving the same; a commit is all or nothing.
 */
#include "usage_internal.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "text.h"

#define PREFIX "hour:"
#define KEY_SIZE (sizeof(PREFIX) + TEXT_HOUR_SIZE)

struct usage_cursor {
	struct db *given;
};

struct usage_cursor *
usage_cursor_open(const char *path)
{
	struct usage_cursor *c = calloc(1, sizeof(*c));

	if (c == NULL)
		log_warnx("out of memory");
	else if ((c->given = db_edit(path)) != NULL)
		return c;
	free(c);
	return NULL;
}

void
usage_cursor_close(struct usage_cursor *c)
{
	if (c == NULL)
		return;
	db_close(c->given);
	free(c);
}

int
usage_cursor_commit(struct usage_cursor *c)
{
	int done = db_commit(c->given);

	free(c);
	return done;
}

static const char *
key_of(char dst[KEY_SIZE], int64_t hour)
{
	char name[TEXT_HOUR_SIZE];

	(void)snprintf(dst, KEY_SIZE, PREFIX "%s", text_hour(name, hour));
	return dst;
}

/* Bytes of an hour that were given; 0 when none were, -1 (logged). */
static int64_t
given_of(struct usage_cursor *c, int64_t hour)
{
	struct buf text = BUF(64);
	char key[KEY_SIZE];
	int64_t size = 0;
	int found = db_get(c->given, key_of(key, hour), &text);

	if (found == 1 && text_to_i64(text.data, 1, INT64_MAX, &size) == -1) {
		log_warnx("cannot read the record '%s' of what was given", key);
		found = -1;
	}
	buf_free(&text);
	return found == -1 ? -1 : size;
}

static int
remember(struct usage_cursor *c, int64_t hour, int64_t size)
{
	char key[KEY_SIZE], text[32];
	int n = snprintf(text, sizeof(text), "%" PRId64, size);

	return db_put(c->given, key_of(key, hour), text, (size_t)n);
}

/* Bytes that there are of an hour, wherever they are; -1 (logged). */
static int64_t
size_of(const char *state_dir, struct db *db, int64_t hour)
{
	int64_t size = usage_journal_size(state_dir, hour);
	struct usage_scan scan;

	if (size != -1)
		return size == -2 ? -1 : size;
	return usage_store_scan(db, hour, &scan) == 1 ? scan.size : -1;
}

struct giving {
	struct usage_cursor *cursor;
	const char *state_dir;
	struct db *db;
	struct usage_table all, before;
	int (*fn)(
	    const struct usage_total *, const struct usage_total *, void *);
	void *arg;
};

static int
same_names(const struct usage_total *a, const struct usage_total *b)
{
	return strcmp(a->key_id, b->key_id) == 0 &&
	    strcmp(a->model, b->model) == 0 &&
	    strcmp(a->endpoint, b->endpoint) == 0;
}

/* Both tables are in order, and no row of 'before' is missing in 'all'. */
static int
give_rows(struct giving *g)
{
	size_t k = 0;
	int answer = 0;

	for (size_t i = 0; answer == 0 && i < g->all.n; i++) {
		const struct usage_total *row = &g->all.rows[i], *before = NULL;

		if (k < g->before.n && same_names(row, &g->before.rows[k]))
			before = &g->before.rows[k++];
		if (before == NULL || before->requests != row->requests)
			answer = g->fn(row, before, g->arg);
	}
	return answer;
}

/*
 * What came late stands behind what was given. Without its journal an hour
 * cannot have grown: nobody takes one away that is not rolled up.
 */
static int
give_hour(struct giving *g, int64_t hour)
{
	int64_t size = size_of(g->state_dir, g->db, hour);
	int64_t given = given_of(g->cursor, hour);
	struct usage_scan scan;
	int answer;

	if (size == -1 || given == -1)
		return -1;
	if (given >= size)
		return 0;
	if (usage_load_hour(g->state_dir, g->db, hour, NULL, &g->all, &scan) ==
	    -1)
		return -1;
	usage_table_clear(&g->before);
	if (given > 0 &&
	    usage_journal_read_part(g->state_dir, hour, given, &g->before) ==
		-1)
		return -1;
	usage_table_sort(&g->before);
	if ((answer = give_rows(g)) != 0)
		return answer;
	return remember(g->cursor, hour, scan.size);
}

int
usage_cursor_each(struct usage_cursor *c, const char *state_dir, int64_t now,
    int (*fn)(const struct usage_total *, const struct usage_total *, void *),
    void *arg)
{
	struct giving g = { .cursor = c,
		.state_dir = state_dir,
		.all = USAGE_TABLE(USAGE_ROWS_MAX),
		.before = USAGE_TABLE(USAGE_ROWS_MAX),
		.fn = fn,
		.arg = arg };
	int64_t to = usage_hour_of(now - USAGE_SETTLE);
	struct usage_hours hours = { 0 };
	char store[PATH_MAX];
	int answer = -1;

	usage_malformed = 0;
	if (usage_store_path(store, sizeof(store), state_dir) == 0 &&
	    usage_hours_journalled(&hours, state_dir, INT64_MIN, to) == 0 &&
	    (g.db = db_open(store)) != NULL &&
	    usage_store_hours(g.db, &hours, INT64_MIN, to) == 0) {
		usage_hours_sort(&hours);
		answer = 0;
		for (size_t i = 0; answer == 0 && i < hours.n; i++)
			answer = give_hour(&g, hours.at[i]);
	}
	db_close(g.db);
	usage_hours_free(&hours);
	usage_table_free(&g.all);
	usage_table_free(&g.before);
	return answer;
}
