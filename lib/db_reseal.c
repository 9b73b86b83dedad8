/* Stores made anew of what is in them: without traces, or under another key. */
#include <limits.h>
#include <string.h>

#include "db_handle.h"
#include "log.h"
#include "secret.h"
#include "text.h"

struct copying {
	struct db *to;
	int (*change)(const char *key, struct buf *val, void *arg);
	void *arg;
};

static int
copy_record(const char *key, const char *val, size_t len, void *arg)
{
	struct copying *c = arg;
	struct buf changed = BUF(INT_MAX - 1);
	int bad;

	if (c->change == NULL)
		return db_put(c->to, key, val, len) == -1;
	bad = buf_add(&changed, val, len) == -1 ||
	    c->change(key, &changed, c->arg) == -1 ||
	    db_put(c->to, key, changed.data, changed.len) == -1;
	buf_free(&changed);
	return bad;
}

static int
copy_and_commit(struct db *from, struct copying *c)
{
	if (from != NULL && db_each(from, "", copy_record, c) == 0)
		return db_commit(c->to);
	db_close(c->to);
	return -1;
}

int
db_compact(const char *path)
{
	struct copying c = { .change = NULL };
	struct db_look look;
	struct db *from;
	int done;

	db_look(path, &look);
	if (look.exists == 0)
		return 0;
	if ((c.to = db_edit_anew(path, NULL)) == NULL)
		return -1;
	from = db_open(path);
	done = copy_and_commit(from, &c);
	db_close(from);
	return done;
}

int
db_is_sealed(const char *path, char id[DB_KEY_ID_SIZE])
{
	struct db_sum_found found;

	if (db_file_look(path, &found) != 1)
		return -1;
	id[0] = '\0';
	if (found.sealed)
		text_hex(id, found.id, sizeof(found.id));
	return found.sealed;
}

/* The seal that a store is to get. */
static int
target(const char *path, enum db_reseal how, struct db_seal *seal)
{
	*seal = (struct db_seal){ .on = 0 };
	if (how == DB_RESEAL_PLAIN)
		return 0;
	if (db_seal_new(seal, path) == -1)
		return -1;
	if (seal->on)
		return 0;
	log_warnx("STORE_KEY_FILE is not set");
	return -1;
}

/* Under the lock that 'to' is. */
static int
reseal(const char *path, enum db_reseal how, const struct db_seal *seal,
    struct copying *c)
{
	struct db *from =
	    how == DB_RESEAL_KEYS ? db_open(path) : db_open_any(path);
	int done;

	if (from == NULL || from->file == NULL ||
	    (from->seal.on == seal->on &&
		memcmp(from->seal.id, seal->id, sizeof(seal->id)) == 0)) {
		done = from == NULL ? -1 : 0;
		db_close(c->to);
	} else {
		if (from->seal.on == seal->on)
			c->change = NULL;
		done = copy_and_commit(from, c) == -1 ? -1 : 1;
	}
	db_close(from);
	return done;
}

int
db_reseal(const char *path, enum db_reseal how,
    int (*change)(const char *key, struct buf *val, void *arg), void *arg)
{
	struct copying c = { .change = change, .arg = arg };
	struct db_look look;
	struct db_seal seal;
	int done = -1;

	db_look(path, &look);
	if (look.exists == 0)
		return 0;
	if (target(path, how, &seal) == 0 &&
	    (c.to = db_edit_anew(path, &seal)) != NULL)
		done = reseal(path, how, &seal, &c);
	secret_wipe(&seal, sizeof(seal));
	return done;
}
