/* The records of the stores of sums. */
#include "usage_sums.h"

#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "buf.h"
#include "log.h"
#include "text.h"

#define VERSION 1
#define META "meta"
#define DAYS "usage-days-"
#define RECORD_MAX ((size_t)USAGE_SUMS_ROWS_MAX * 256)
#define HEX_SIZE (2 * DB_MARK_LEN + 1)

int64_t
usage_day_of(int64_t unix_s)
{
	int64_t rest = unix_s % USAGE_DAY;

	return unix_s - (rest < 0 ? rest + USAGE_DAY : rest);
}

int64_t
usage_next_month(int64_t unix_s)
{
	return text_month_of(text_month_of(unix_s) + 32 * USAGE_DAY);
}

static int
path_of(char *dst, size_t size, const char *state_dir, const char *name)
{
	int n = snprintf(dst, size, "%s/%s", state_dir, name);

	if (n >= 0 && (size_t)n < size)
		return 0;
	log_warnx("the path of STATE_DIR is too long");
	return -1;
}

int
usage_sums_path(char *dst, size_t size, const char *state_dir)
{
	return path_of(dst, size, state_dir, "usage-sums.gdbm");
}

int
usage_days_path(char *dst, size_t size, const char *state_dir, int64_t month)
{
	char hour[TEXT_HOUR_SIZE], name[64];

	(void)snprintf(
	    name, sizeof(name), DAYS "%.6s.gdbm", text_hour(hour, month));
	return path_of(dst, size, state_dir, name);
}

static const char *
name_of(char dst[USAGE_SUMS_NAME_SIZE], enum usage_sums_kind kind, int64_t at)
{
	static const struct {
		const char *prefix;
		int digits;
	} form[] = {
		[USAGE_SUMS_TOTAL_OF_DAY] = { "total:", 8 },
		[USAGE_SUMS_TOTAL_OF_MONTH] = { "total:", 6 },
		[USAGE_SUMS_MONTH] = { "month:", 6 },
		[USAGE_SUMS_DAY] = { "day:", 8 },
		[USAGE_SUMS_ALL] = { "all", 0 },
	};
	char hour[TEXT_HOUR_SIZE] = "";

	if (form[kind].digits > 0)
		text_hour(hour, at);
	(void)snprintf(dst, USAGE_SUMS_NAME_SIZE, "%s%.*s", form[kind].prefix,
	    form[kind].digits, hour);
	return dst;
}

/* The next field of a head, up to 'stop'; NULL without one. */
static const char *
field(const char **at, const char *end, char stop, size_t *n)
{
	const char *from = *at,
		   *found = memchr(from, stop, (size_t)(end - from));

	if (found == NULL)
		return NULL;
	*n = (size_t)(found - from);
	*at = found + 1;
	return from;
}

static int
number(const char **at, const char *end, char stop, int64_t min, int64_t *out)
{
	size_t n;
	const char *text = field(at, end, stop, &n);

	return text == NULL ? -1 : text_n_to_i64(text, n, min, INT64_MAX, out);
}

static int
bytes(const char **at, const char *end, void *out, size_t len)
{
	char hex[HEX_SIZE];
	size_t n;
	const char *text = field(at, end, '\t', &n);

	if (text == NULL || n != 2 * len || n >= sizeof(hex))
		return -1;
	memcpy(hex, text, n);
	hex[n] = '\0';
	return text_unhex(out, len, hex);
}

/* Where the rows begin; NULL for what is no head. */
static const char *
read_head(const struct buf *val, struct usage_sums_head *head)
{
	const char *at = val->data, *end = val->data + val->len;
	int64_t version;

	return number(&at, end, '\t', VERSION, &version) == 0 &&
		version == VERSION &&
		bytes(&at, end, head->tag, sizeof(head->tag)) == 0 &&
		number(&at, end, '\t', 0, &head->rows) == 0 &&
		number(&at, end, '\n', 0, &head->malformed) == 0
	    ? at
	    : NULL;
}

static int
damaged(const char *name)
{
	log_warnx("cannot read the record '%s' of the sums of usage", name);
	return -1;
}

int
usage_sums_get_head(struct db *db, enum usage_sums_kind kind, int64_t at,
    struct usage_sums_head *head)
{
	struct buf val = BUF(RECORD_MAX);
	char name[USAGE_SUMS_NAME_SIZE];
	int found = db_get(db, name_of(name, kind, at), &val);

	*head = (struct usage_sums_head){ .rows = 0 };
	if (found == 1 && read_head(&val, head) == NULL)
		found = damaged(name);
	buf_free(&val);
	return found;
}

int
usage_sums_each(struct db *db, enum usage_sums_kind kind, int64_t at,
    const char *key_id, struct usage_sums_head *head,
    int (*fn)(const struct usage_total *, void *), void *arg)
{
	struct buf val = BUF(RECORD_MAX);
	char name[USAGE_SUMS_NAME_SIZE];
	int found = db_get(db, name_of(name, kind, at), &val), answer = found;
	const char *rows = NULL;

	*head = (struct usage_sums_head){ .rows = 0 };
	if (found == 1 && (rows = read_head(&val, head)) == NULL)
		answer = damaged(name);
	if (rows != NULL &&
	    (answer = usage_record_each(rows,
		 (size_t)(val.data + val.len - rows), USAGE_RECORD_SUMS, at,
		 head->rows, key_id, fn, arg)) == -1)
		answer = damaged(name);
	buf_free(&val);
	return answer;
}

int
usage_sums_put(struct db *db, enum usage_sums_kind kind, int64_t at,
    const struct usage_sums_head *head, struct usage_table *table)
{
	struct buf val = BUF(RECORD_MAX);
	char name[USAGE_SUMS_NAME_SIZE], tag[HEX_SIZE];
	int done = -1;

	usage_table_sort(table);
	name_of(name, kind, at);
	(void)buf_printf(&val, "%d\t%s\t%zu\t%" PRId64 "\n", VERSION,
	    text_hex(tag, head->tag, sizeof(head->tag)), table->n,
	    head->malformed);
	if (usage_record_put(&val, table, USAGE_RECORD_SUMS) == -1)
		log_warnx(
		    "no room for the record '%s' of the sums of usage", name);
	else
		done = db_put(db, name, val.data, val.len);
	buf_free(&val);
	return done;
}

int
usage_sums_del(struct db *db, enum usage_sums_kind kind, int64_t at)
{
	char name[USAGE_SUMS_NAME_SIZE];

	return db_del(db, name_of(name, kind, at)) == -1 ? -1 : 0;
}

int
usage_sums_get_meta(struct db *db, struct usage_sums_meta *m)
{
	struct buf val = BUF(RECORD_MAX);
	int found = db_get(db, META, &val), bad;
	const char *at = val.data, *end = val.data + val.len;
	int64_t version;

	if (found != 1) {
		buf_free(&val);
		return found;
	}
	bad = number(&at, end, '\t', VERSION, &version) == -1 ||
	    version != VERSION ||
	    bytes(&at, end, m->made_from, sizeof(m->made_from)) == -1 ||
	    bytes(&at, end, &m->basis, sizeof(m->basis)) == -1 ||
	    number(&at, end, '\t', INT64_MIN, &m->first) == -1 ||
	    number(&at, end, '\t', INT64_MIN, &m->until) == -1 ||
	    number(&at, end, '\n', 0, &m->beyond) == -1;
	for (size_t i = 0; i < USAGE_SUMS_WATCHED && !bad; i++)
		bad = number(&at, end, '\n', -1, &m->watched[i]) == -1;
	buf_free(&val);
	return bad ? damaged(META) : 1;
}

int
usage_sums_put_meta(struct db *db, const struct usage_sums_meta *m)
{
	struct buf val = BUF(RECORD_MAX);
	char mark[HEX_SIZE], basis[2 * sizeof(m->basis) + 1];
	unsigned char raw[sizeof(m->basis)];
	int done = -1;

	memcpy(raw, &m->basis, sizeof(raw));
	(void)buf_printf(&val,
	    "%d\t%s\t%s\t%" PRId64 "\t%" PRId64 "\t%" PRId64 "\n", VERSION,
	    text_hex(mark, m->made_from, sizeof(m->made_from)),
	    text_hex(basis, raw, sizeof(raw)), m->first, m->until, m->beyond);
	for (size_t i = 0; i < USAGE_SUMS_WATCHED; i++)
		(void)buf_printf(&val, "%" PRId64 "\n", m->watched[i]);
	if (val.failed)
		log_warnx("out of memory for the sums of usage");
	else
		done = db_put(db, META, val.data, val.len);
	buf_free(&val);
	return done;
}

struct db *
usage_days_open(struct db *sums, const char *state_dir, int64_t month)
{
	unsigned char mark[DB_MARK_LEN];
	struct usage_sums_head head;
	char path[PATH_MAX];
	struct db *db;

	if (usage_sums_get_head(sums, USAGE_SUMS_MONTH, month, &head) != 1 ||
	    usage_days_path(path, sizeof(path), state_dir, month) == -1 ||
	    (db = db_open(path)) == NULL)
		return NULL;
	db_mark_of(db, mark);
	if (memcmp(mark, head.tag, sizeof(mark)) == 0)
		return db;
	db_close(db);
	return NULL;
}

struct days_in {
	struct usage_hours *days;
	int64_t from, to;
};

/* -1 is db_each's own; any nonzero answer stops it. */
static int
add_day(const char *name, const char *val, size_t len, void *arg)
{
	struct days_in *in = arg;
	char hour[TEXT_HOUR_SIZE];
	int64_t day;

	(void)val;
	(void)len;
	(void)snprintf(hour, sizeof(hour), "%s00", strchr(name, ':') + 1);
	if (text_to_hour(hour, &day) == -1 || day < in->from || day >= in->to)
		return 0;
	return usage_hours_add(in->days, day) == -1 ? 1 : 0;
}

int
usage_sums_days(
    struct db *db, struct usage_hours *days, int64_t from, int64_t to)
{
	struct days_in in = { days, from, to };

	return db_each(db, "total:", add_day, &in) == 0 ? 0 : -1;
}

/* The month of a store of days, or of what an edit of it left; 0 or -1. */
static int
month_in(const char *file, int64_t *month)
{
	char hour[TEXT_HOUR_SIZE];

	if (strncmp(file, DAYS, sizeof(DAYS) - 1) != 0 ||
	    strlen(file) < sizeof(DAYS) - 1 + 6)
		return -1;
	(void)snprintf(hour, sizeof(hour), "%.6s0100", file + sizeof(DAYS) - 1);
	return text_to_hour(hour, month);
}

static int
is_one_of(const struct usage_hours *months, int64_t month)
{
	for (size_t i = 0; i < months->n; i++)
		if (months->at[i] == month)
			return 1;
	return 0;
}

int
usage_days_clean(const char *state_dir, const struct usage_hours *months)
{
	DIR *d = opendir(state_dir);
	const struct dirent *e;
	char path[PATH_MAX];
	int64_t month;
	int failed = 0;

	if (d == NULL) {
		log_warn("cannot open '%s'", state_dir);
		return -1;
	}
	while ((e = readdir(d)) != NULL)
		if (month_in(e->d_name, &month) == 0 &&
		    !is_one_of(months, month))
			failed |= usage_days_path(path, sizeof(path), state_dir,
				      month) == -1 ||
			    db_remove(path, 1) == -1;
	closedir(d);
	return failed ? -1 : 0;
}
