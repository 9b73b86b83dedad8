/* The admin password, and how often one may try it. */
#include <string.h>

#include "session_store.h"

#define ATTEMPTS_ADDRESS 5
#define ATTEMPTS_ALL 20
#define ATTEMPTS_WINDOW_MS (5 * 60 * 1000)

/* The stored hash, "" when there is none; 0 or -1. */
static int
read_hash(const struct session_rules *rules, struct buf *hash)
{
	struct db *db = session_store_open(rules->state_dir);
	int got;

	if (db == NULL)
		return -1;
	got = db_get(db, SESSION_PASSWORD, hash);
	db_close(db);
	return got == -1 ? -1 : 0;
}

int
session_has_password(const struct session_rules *rules)
{
	struct buf hash = BUF(SESSION_HASH_SIZE);
	int bad = read_hash(rules, &hash);
	int some = hash.len > 0 || *rules->password != '\0';

	buf_free(&hash);
	return bad ? -1 : some;
}

/* Digests are of one length, so that nothing is told by the time it takes. */
static int
is_configured_one(const struct session_rules *rules, const char *typed)
{
	unsigned char a[SECRET_DIGEST_LEN], b[SECRET_DIGEST_LEN];

	secret_hmac(a, rules->secret, typed, strlen(typed));
	secret_hmac(b, rules->secret, rules->password, strlen(rules->password));
	return secret_equal(a, b, sizeof(a));
}

enum session_password
session_check_password(const struct session_rules *rules, const char *typed)
{
	struct buf hash = BUF(SESSION_HASH_SIZE);
	enum session_password result = SESSION_PASSWORD_ERROR;
	int right;

	if (read_hash(rules, &hash) == 0) {
		if (hash.len == 0 && *rules->password == '\0')
			result = SESSION_PASSWORD_NONE;
		else {
			right = hash.len > 0
			    ? session_hash_check(hash.data, typed)
			    : is_configured_one(rules, typed);
			result = right ? SESSION_PASSWORD_RIGHT
				       : SESSION_PASSWORD_WRONG;
		}
	}
	buf_free(&hash);
	return result;
}

int
session_store_password(const char *state_dir, const char *password)
{
	char hash[SESSION_HASH_SIZE];
	struct db *db;
	int bad;

	/* Before the edit, which keeps others waiting. */
	if (password != NULL && session_hash_password(hash, password) == -1)
		return -1;
	if ((db = session_store_edit(state_dir)) == NULL)
		return -1;
	/* Sessions name the password that they began with. */
	bad = password != NULL
	    ? db_put(db, SESSION_PASSWORD, hash, strlen(hash))
	    : db_del(db, SESSION_PASSWORD);
	if (bad != -1)
		return db_commit(db);
	db_close(db);
	return -1;
}

enum limits_result
session_attempt_take(struct limits *limits, uint64_t address,
    struct session_attempt *a, int64_t now_ms)
{
	enum limits_result result;

	*a = (struct session_attempt){ .windows = {
					   { .table = LIMITS_LOGIN_ADDRESS,
					       .who = address,
					       .limit = ATTEMPTS_ADDRESS,
					       .window_ms = ATTEMPTS_WINDOW_MS,
					       .cost = 1 },
					   { .table = LIMITS_LOGIN_ALL,
					       .who = 1,
					       .limit = ATTEMPTS_ALL,
					       .window_ms = ATTEMPTS_WINDOW_MS,
					       .cost = 1 },
				       } };
	result = limits_take(limits, a->windows, 2, 0, 0, NULL, now_ms);
	for (int i = 0; i < 2; i++)
		if (a->windows[i].retry_ms > a->retry_ms)
			a->retry_ms = a->windows[i].retry_ms;
	return result;
}

void
session_attempt_forgive(
    struct limits *limits, const struct session_attempt *a, int64_t now_ms)
{
	for (int i = 0; i < 2; i++)
		limits_settle(limits, &a->windows[i], 0, now_ms);
}
