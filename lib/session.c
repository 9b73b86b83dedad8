/* Sessions: begun, found again, ended. */
#include "session.h"

#include <string.h>

#include "session_store.h"
#include "text.h"

/* As many admins as are logged in at once; a new one ends the oldest. */
#define SESSIONS_MAX 64
/* How exactly 'seen' is kept: each change of it costs a write. */
#define SEEN_STEP 60
#define TOKEN_LEN 43 /* 32 bytes in base64url */

struct living {
	const struct session_rules *rules;
	uint64_t password;
	int64_t now;
	struct session_record oldest;
	int count;
};

/* Also notes the oldest of those that live. */
static int
is_over(const char *name, const char *text, void *arg)
{
	struct living *l = arg;
	struct session_record r;

	if (session_record_parse(name, text, &r) == -1 ||
	    !session_record_lives(&r, l->rules, l->password, l->now))
		return 1;
	if (l->count++ == 0 || r.session.created < l->oldest.session.created)
		l->oldest = r;
	return 0;
}

/* Removes what has ended, and the oldest when there are too many. */
static int
make_room(struct db *db, const struct session_rules *rules, uint64_t password,
    int64_t now)
{
	struct session_rules any = *rules;
	struct living l = { .rules = &any, .password = password, .now = now };
	char name[SESSION_NAME_SIZE];
	int left;

	any.address = 0; /* from whichever they came */
	left = session_store_prune(db, SESSION_RECORD, is_over, &l);
	if (left < SESSIONS_MAX)
		return left == -1 ? -1 : 0;
	session_record_name(name, l.oldest.session.hash);
	return db_del(db, name) == -1 ? -1 : 0;
}

static void
make_record(struct session_record *r, const struct session_rules *rules,
    int64_t now, char token[SESSION_TOKEN_SIZE])
{
	unsigned char random[32], id[(SESSION_ID_SIZE - 1) / 2];

	secret_random(random, sizeof(random));
	secret_random(id, sizeof(id));
	secret_base64url(token, random, sizeof(random));
	secret_wipe(random, sizeof(random));
	secret_sha256(r->session.hash, token, strlen(token));
	text_hex(r->session.id, id, sizeof(id));
	r->session.created = r->session.seen = now;
	r->address = rules->address;
}

int
session_begin(const struct session_rules *rules, int64_t now,
    char token[SESSION_TOKEN_SIZE], struct session *out)
{
	struct db *db = session_store_edit(rules->state_dir);
	struct session_record r = { 0 };

	if (db == NULL)
		return -1;
	make_record(&r, rules, now, token);
	*out = r.session;
	if (session_password_mark(db, rules, &r.password) == 0 &&
	    make_room(db, rules, r.password, now) == 0 &&
	    session_record_put(db, &r) == 0)
		return db_commit(db);
	db_close(db);
	return -1;
}

/* Reads it in a store that is open to read or to change. */
static enum session_result
find(struct db *db, const struct session_rules *rules,
    const unsigned char hash[SECRET_DIGEST_LEN], int64_t now,
    struct session_record *r)
{
	struct buf text = BUF(SESSION_VALUE_MAX);
	enum session_result result = SESSION_ERROR;
	char name[SESSION_NAME_SIZE];
	uint64_t password = 0;
	int got = db_get(db, session_record_name(name, hash), &text);

	if (got != -1 && session_password_mark(db, rules, &password) == 0)
		result = got == 1 && password != 0 &&
			session_record_parse(name, text.data, r) == 0 &&
			session_record_lives(r, rules, password, now)
		    ? SESSION_OK
		    : SESSION_NONE;
	buf_free(&text);
	return result;
}

/* Notes that it was seen just now, unless it ended in between. */
static enum session_result
keep_alive(
    const struct session_rules *rules, int64_t now, struct session_record *r)
{
	unsigned char hash[SECRET_DIGEST_LEN];
	struct db *db = session_store_edit(rules->state_dir);
	enum session_result result;

	if (db == NULL)
		return SESSION_ERROR;
	memcpy(hash, r->session.hash, sizeof(hash));
	if ((result = find(db, rules, hash, now, r)) == SESSION_OK) {
		r->session.seen = now;
		if (session_record_put(db, r) == 0)
			return db_commit(db) == 0 ? SESSION_OK : SESSION_ERROR;
		result = SESSION_ERROR;
	}
	db_close(db);
	return result;
}

enum session_result
session_find(const struct session_rules *rules, const char *token, int64_t now,
    struct session *out)
{
	unsigned char hash[SECRET_DIGEST_LEN];
	enum session_result result;
	struct session_record r;
	struct db *db;

	/* The name in the store is a hash: looking it up tells no secret. */
	if (strlen(token) != TOKEN_LEN)
		return SESSION_NONE;
	secret_sha256(hash, token, strlen(token));
	if ((db = session_store_open(rules->state_dir)) == NULL)
		return SESSION_ERROR;
	result = find(db, rules, hash, now, &r);
	db_close(db);
	if (result == SESSION_OK &&
	    (now - r.session.seen >= SEEN_STEP || now < r.session.seen))
		result = keep_alive(rules, now, &r);
	if (result == SESSION_OK)
		*out = r.session;
	return result;
}

int
session_end(const struct session_rules *rules, const struct session *s)
{
	struct db *db = session_store_edit(rules->state_dir);
	char name[SESSION_NAME_SIZE];

	if (db == NULL)
		return -1;
	if (db_del(db, session_record_name(name, s->hash)) != -1)
		return db_commit(db);
	db_close(db);
	return -1;
}

static int
every_one(const char *name, const char *text, void *arg)
{
	(void)name;
	(void)text;
	(void)arg;
	return 1;
}

int
session_end_all(const struct session_rules *rules)
{
	struct db *db = session_store_edit(rules->state_dir);
	int left;

	if (db == NULL)
		return -1;
	left = session_store_prune(db, SESSION_RECORD, every_one, NULL);
	if (left == 0)
		return db_commit(db);
	db_close(db);
	return -1;
}

static int
count_one(const char *name, const char *text, size_t len, void *arg)
{
	(void)len;
	(void)is_over(name, text, arg); /* counts those that live */
	return 0;
}

int
session_count(const struct session_rules *rules, int64_t now)
{
	struct session_rules any = *rules;
	struct living l = { .rules = &any, .now = now };
	struct db *db = session_store_open(rules->state_dir);
	int failed;

	if (db == NULL)
		return -1;
	any.address = 0;
	failed = session_password_mark(db, rules, &l.password) == -1 ||
	    db_each(db, SESSION_RECORD, count_one, &l) == -1;
	db_close(db);
	return failed ? -1 : l.count;
}
