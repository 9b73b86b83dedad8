/*
 * The trail of changes. Records "a:<number>" hold "hour session action
 * subject"; the numbers go up, and "a" holds the last one.
 */
#include "audit.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "db.h"
#include "log.h"
#include "text.h"

#define LAST "a"
#define PREFIX "a:"
#define NAME_SIZE 24
#define VALUE_MAX 160

/* As they are written down: never to be changed. */
static const char *const action_names[AUDIT_ACTION__MAX] = {
	[AUDIT_LOGIN] = "login",
	[AUDIT_LOGOUT] = "logout",
	[AUDIT_SESSIONS_ENDED] = "sessions-ended",
	[AUDIT_KEY_CREATED] = "key-created",
	[AUDIT_KEY_CHANGED] = "key-changed",
	[AUDIT_KEY_DISABLED] = "key-disabled",
	[AUDIT_KEY_ENABLED] = "key-enabled",
	[AUDIT_KEY_ROTATED] = "key-rotated",
	[AUDIT_KEY_DELETED] = "key-deleted",
	[AUDIT_KEY_ERASED] = "key-erased",
	[AUDIT_ALL_DISABLED] = "all-disabled",
	[AUDIT_ALL_ENABLED] = "all-enabled",
	[AUDIT_SETTING_CHANGED] = "setting-changed",
};

static int
store_path(char dst[PATH_MAX], const char *state_dir)
{
	if (snprintf(dst, PATH_MAX, "%s/admin.gdbm", state_dir) < PATH_MAX)
		return 0;
	log_warnx("the path of STATE_DIR is too long");
	return -1;
}

/* Of equal length, so that text sorts as numbers do. */
static char *
record_name(char dst[NAME_SIZE], int64_t number)
{
	(void)snprintf(dst, NAME_SIZE, PREFIX "%016" PRIx64, (uint64_t)number);
	return dst;
}

/* The number after the last one; -1 on failure. */
static int64_t
next_number(struct db *db)
{
	struct buf text = BUF(24);
	int64_t last = 0;
	int got = db_get(db, LAST, &text);

	if (got == 1 && text_to_i64(text.data, 0, INT64_MAX - 1, &last) == -1) {
		log_warnx("the audit trail's last number is damaged");
		got = -1;
	}
	buf_free(&text);
	return got == -1 ? -1 : last + 1;
}

static int
put_entry(struct db *db, int64_t number, const char *text)
{
	char name[NAME_SIZE], last[24];
	int n = snprintf(last, sizeof(last), "%" PRId64, number);

	if (db_put(db, record_name(name, number), text, strlen(text)) == -1 ||
	    db_put(db, LAST, last, (size_t)n) == -1)
		return -1;
	return number <= AUDIT_MAX
	    ? 0
	    : db_del(db, record_name(name, number - AUDIT_MAX));
}

int
audit_add(const char *state_dir, int64_t now, const char *session,
    enum audit_action action, const char *subject)
{
	char path[PATH_MAX], text[VALUE_MAX], hour[TEXT_HOUR_SIZE];
	int64_t number;
	struct db *db;

	if (store_path(path, state_dir) == -1 || (db = db_edit(path)) == NULL)
		return -1;
	(void)snprintf(text, sizeof(text), "%s %.15s %s %.63s",
	    text_hour(hour, now), session, action_names[action], subject);
	number = next_number(db);
	if (number != -1 && put_entry(db, number, text) != -1)
		return db_commit(db);
	db_close(db);
	return -1;
}

static enum audit_action
action_named(const char *name, size_t n)
{
	enum audit_action action = 0;

	while (action < AUDIT_ACTION__MAX &&
	    (strlen(action_names[action]) != n ||
		memcmp(action_names[action], name, n) != 0))
		action++;
	return action;
}

/* The next word, cut at 'size' - 1. */
static const char *
take_word(const char *text, char *to, size_t size)
{
	size_t n = strcspn(text, " "), kept = n < size ? n : size - 1;

	memcpy(to, text, kept);
	to[kept] = '\0';
	return text + n + (text[n] == ' ');
}

static int
parse(const char *text, struct audit_entry *e)
{
	char hour[TEXT_HOUR_SIZE], action[32];

	text = take_word(text, hour, sizeof(hour));
	text = take_word(text, e->session, sizeof(e->session));
	text = take_word(text, action, sizeof(action));
	(void)take_word(text, e->subject, sizeof(e->subject));
	e->action = action_named(action, strlen(action));
	return text_to_hour(hour, &e->hour);
}

struct row {
	char name[NAME_SIZE];
	struct audit_entry entry;
};

struct trail {
	struct row *rows; /* room for AUDIT_MAX */
	size_t n;
};

static int
collect(const char *name, const char *val, size_t len, void *arg)
{
	struct trail *t = arg;
	struct row *row = &t->rows[t->n];

	(void)len;
	if (t->n == AUDIT_MAX || strlen(name) >= NAME_SIZE)
		return 0;
	if (parse(val, &row->entry) == -1) {
		log_warnx("an entry of the audit trail is damaged");
		return 0;
	}
	memcpy(row->name, name, strlen(name) + 1);
	t->n++;
	return 0;
}

static int
newest_first(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	return strcmp(y->name, x->name);
}

int
audit_each(const char *state_dir, int (*fn)(const struct audit_entry *, void *),
    void *arg)
{
	struct trail t = { calloc(AUDIT_MAX, sizeof(*t.rows)), 0 };
	char path[PATH_MAX];
	struct db *db = NULL;
	int result = -1;

	if (t.rows == NULL)
		log_warn("cannot read the audit trail");
	else if (store_path(path, state_dir) == 0)
		db = db_open(path);
	if (db != NULL)
		result = db_each(db, PREFIX, collect, &t);
	db_close(db);
	if (result == 0)
		qsort(t.rows, t.n, sizeof(*t.rows), newest_first);
	for (size_t i = 0; i < t.n && result == 0; i++)
		result = fn(&t.rows[i].entry, arg);
	free(t.rows);
	return result;
}

/* Gathers the names of the entries about one subject. */
struct about {
	const char *subject;
	struct trail trail;
};

static int
collect_about(const char *name, const char *val, size_t len, void *arg)
{
	struct about *a = arg;
	size_t n = a->trail.n;

	if (collect(name, val, len, &a->trail) == 0 && a->trail.n > n &&
	    strcmp(a->trail.rows[n].entry.subject, a->subject) != 0)
		a->trail.n = n;
	return 0;
}

/* The entry as audit_add wrote it, but for what stands behind its action. */
static int
blank_entry(struct db *db, const struct row *row, size_t n)
{
	struct buf text = BUF(VALUE_MAX);
	int done = db_get(db, row->name, &text);

	if (done == 1)
		done = text.len < n
		    ? -1
		    : db_put(db, row->name, text.data, text.len - n);
	buf_free(&text);
	return done;
}

static int
blank_entries(struct db *db, struct about *a)
{
	if (db_each(db, PREFIX, collect_about, a) != 0)
		return -1;
	for (size_t i = 0; i < a->trail.n; i++)
		if (blank_entry(db, &a->trail.rows[i], strlen(a->subject)) ==
		    -1)
			return -1;
	return 0;
}

int
audit_forget(const char *state_dir, const char *subject)
{
	struct about a = { subject,
		{ calloc(AUDIT_MAX, sizeof(struct row)), 0 } };
	char path[PATH_MAX];
	struct db_look look = { .exists = -1 };
	struct db *db = NULL;
	int done = -1;

	if (a.trail.rows != NULL && store_path(path, state_dir) == 0)
		db_look(path, &look);
	if (look.exists == 0)
		done = 0;
	else if (look.exists == 1 && (db = db_edit(path)) != NULL) {
		if (blank_entries(db, &a) == 0)
			done = db_commit(db);
		else
			db_close(db);
	}
	free(a.trail.rows);
	return done;
}
