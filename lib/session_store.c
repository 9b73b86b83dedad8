/* Records of admin.gdbm. */
#include "session_store.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "text.h"

static struct db *
open_with(const char *state_dir, struct db *(*how)(const char *))
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/admin.gdbm", state_dir) <
	    (int)sizeof(path))
		/* cppcheck-suppress returnDanglingLifetime; a handle */
		return how(path);
	log_warnx("the path of STATE_DIR is too long");
	return NULL;
}

struct db *
session_store_open(const char *state_dir)
{
	return open_with(state_dir, db_open);
}

struct db *
session_store_edit(const char *state_dir)
{
	return open_with(state_dir, db_edit);
}

char *
session_record_name(
    char dst[SESSION_NAME_SIZE], const unsigned char hash[SECRET_DIGEST_LEN])
{
	memcpy(dst, SESSION_RECORD, 2);
	text_hex(dst + 2, hash, SECRET_DIGEST_LEN);
	return dst;
}

/* "id began seen password address", the last two in hex. */
int
session_record_put(struct db *db, const struct session_record *r)
{
	char name[SESSION_NAME_SIZE], text[SESSION_VALUE_MAX];
	int n = snprintf(text, sizeof(text),
	    "%s %" PRId64 " %" PRId64 " %016" PRIx64 " %016" PRIx64,
	    r->session.id, r->session.created, r->session.seen, r->password,
	    r->address);

	session_record_name(name, r->session.hash);
	return db_put(db, name, text, (size_t)n);
}

/* The next word of 'text', NUL-terminated in 'to'; 0 or -1. */
static int
take_word(const char **text, char *to, size_t size)
{
	size_t n = strcspn(*text, " ");

	if (n == 0 || n >= size)
		return -1;
	memcpy(to, *text, n);
	to[n] = '\0';
	*text += n + ((*text)[n] == ' ');
	return 0;
}

static int
take_time(const char **text, int64_t *out)
{
	char word[24];

	return take_word(text, word, sizeof(word)) == 0
	    ? text_to_i64(word, 0, INT64_MAX, out)
	    : -1;
}

static int
take_hex(const char **text, uint64_t *out)
{
	unsigned char bytes[8];
	char word[17];

	if (take_word(text, word, sizeof(word)) == -1 ||
	    text_unhex(bytes, sizeof(bytes), word) == -1)
		return -1;
	*out = 0;
	for (size_t i = 0; i < sizeof(bytes); i++)
		*out = *out << 8 | bytes[i];
	return 0;
}

int
session_record_parse(
    const char *name, const char *text, struct session_record *r)
{
	return text_unhex(r->session.hash, SECRET_DIGEST_LEN, name + 2) == 0 &&
		take_word(&text, r->session.id, SESSION_ID_SIZE) == 0 &&
		take_time(&text, &r->session.created) == 0 &&
		take_time(&text, &r->session.seen) == 0 &&
		take_hex(&text, &r->password) == 0 &&
		take_hex(&text, &r->address) == 0 && *text == '\0'
	    ? 0
	    : -1;
}

int
session_record_lives(const struct session_record *r,
    const struct session_rules *rules, uint64_t password, int64_t now)
{
	const struct session *s = &r->session;

	/* A clock set back must not make a session young again. */
	return r->password == password && now >= s->created - 60 &&
	    now - s->created < rules->absolute_s &&
	    now - s->seen < rules->idle_s &&
	    (r->address == 0 || rules->address == 0 ||
		r->address == rules->address);
}

int
session_password_mark(
    struct db *db, const struct session_rules *rules, uint64_t *mark)
{
	struct buf hash = BUF(SESSION_HASH_SIZE);
	unsigned char digest[SECRET_DIGEST_LEN];
	int got = db_get(db, SESSION_PASSWORD, &hash);
	const char *which = got == 1 ? hash.data : rules->password;

	*mark = 0;
	if (got != -1 && *which != '\0') {
		secret_hmac(digest, rules->secret, which, strlen(which));
		memcpy(mark, digest, sizeof(*mark));
		*mark |= 1;
	}
	buf_free(&hash);
	return got == -1 ? -1 : 0;
}

struct pruning {
	int (*is_over)(const char *, const char *, void *);
	void *arg;
	char (*over)[SESSION_NAME_SIZE]; /* names to remove */
	size_t n_over, room;
	int left;
};

static int
look_at(const char *name, const char *val, size_t len, void *arg)
{
	struct pruning *p = arg;

	(void)len;
	if (!p->is_over(name, val, p->arg)) {
		p->left++;
		return 0;
	}
	/* The rest is removed another time. */
	if (p->n_over == p->room || strlen(name) >= SESSION_NAME_SIZE)
		return 0;
	memcpy(p->over[p->n_over++], name, strlen(name) + 1);
	return 0;
}

#define PRUNED_AT_ONCE 256

int
session_store_prune(struct db *db, const char *prefix,
    int (*is_over)(const char *, const char *, void *), void *arg)
{
	struct pruning p = { is_over, arg, NULL, 0, PRUNED_AT_ONCE, 0 };
	int failed;

	p.over = calloc(p.room, sizeof(*p.over));
	if (p.over == NULL) {
		log_warn("cannot look through the sessions");
		return -1;
	}
	failed = db_each(db, prefix, look_at, &p) == -1;
	for (size_t i = 0; i < p.n_over && !failed; i++)
		failed = db_del(db, p.over[i]) == -1;
	free(p.over);
	return failed ? -1 : p.left;
}
