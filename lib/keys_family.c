/*
 * Families: a key and all that replaced it, by rotation, count as one. What a
 * family is called is a digest of its first key's id, so that the id can go
 * and the family stay.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keys_record.h"
#include "log.h"
#include "text.h"

#define DIGEST_USED ((KEYS_FAMILY_SIZE - 1) / 2)

char *
keys_family_of(char dst[KEYS_FAMILY_SIZE], const struct key *key)
{
	unsigned char digest[SECRET_DIGEST_LEN];

	if (key->family[0] != '\0') {
		if (dst != key->family)
			memcpy(dst, key->family, KEYS_FAMILY_SIZE);
		return dst;
	}
	secret_sha256(digest, key->id, strlen(key->id));
	return text_hex(dst, digest, DIGEST_USED);
}

uint64_t
key_who(const struct key *key, const unsigned char secret[SECRET_DIGEST_LEN])
{
	unsigned char digest[SECRET_DIGEST_LEN];
	char message[1 + KEYS_FAMILY_SIZE] = "k";
	uint64_t who;

	keys_family_of(message + 1, key);
	secret_hmac(digest, secret, message, strlen(message));
	memcpy(&who, digest, sizeof(who));
	return who;
}

static char *
record_name(char dst[KEYS_NAME_SIZE], const char *family)
{
	(void)snprintf(dst, KEYS_NAME_SIZE, KEYS_FAMILY "%s", family);
	return dst;
}

/* Every id of 'from' but that one; how many were left out. */
static int
copy_without(struct buf *to, const char *from, size_t len, const char *id)
{
	int left_out = 0;

	for (size_t at = 0, n; at < len; at += n) {
		n = strnlen(from + at, len - at);
		n += at + n < len; /* its NUL */
		if (n == strlen(id) + 1 && memcmp(from + at, id, n) == 0)
			left_out++;
		else
			(void)buf_add(to, from + at, n); /* 'failed' tells */
	}
	return left_out;
}

int
keys_family_read(struct db *db, const struct key *key, struct buf *ids)
{
	struct buf members = BUF(KEYS_MEMBERS_MAX);
	char name[KEYS_NAME_SIZE], family[KEYS_FAMILY_SIZE];
	int got;

	(void)buf_add(ids, key->id, strlen(key->id) + 1);
	/* Also of a key that was not rotated yet when it was read. */
	keys_family_of(family, key);
	got = db_get(db, record_name(name, family), &members);
	if (got == 1)
		(void)copy_without(ids, members.data, members.len, key->id);
	buf_free(&members);
	return got == -1 || ids->failed ? -1 : 0;
}

int
keys_family_load(const char *state_dir, const struct key *key, struct buf *ids)
{
	char *path = keys_path(state_dir);
	struct db *db = path == NULL ? NULL : db_open(path);
	int result = db == NULL ? -1 : keys_family_read(db, key, ids);

	db_close(db);
	free(path);
	return result;
}

/* Room for one more is made by forgetting the oldest. */
static void
make_room(struct buf *members)
{
	size_t n = 0;

	if (members->len == 0)
		return;
	while (members->len - n > KEYS_MEMBERS_MAX - KEYS_ID_SIZE)
		n += strnlen(members->data + n, members->len - n) + 1;
	memmove(members->data, members->data + n, members->len - n);
	members->len -= n;
}

int
keys_family_add(struct db *db, const char *family, const char *id)
{
	struct buf members = BUF(KEYS_MEMBERS_MAX), others = members;
	char name[KEYS_NAME_SIZE];
	int bad = db_get(db, record_name(name, family), &members) == -1;

	if (!bad && copy_without(&others, members.data, members.len, id) == 0) {
		make_room(&members);
		(void)buf_add(&members, id, strlen(id) + 1);
		bad = members.failed ||
		    db_put(db, name, members.data, members.len) == -1;
	}
	buf_free(&members);
	buf_free(&others);
	return bad ? -1 : 0;
}

struct member {
	const char *id;
	char name[KEYS_NAME_SIZE];
	struct buf others;
};

/* Stops at a family that has that member, with the others of it. */
static int
find_member(const char *name, const char *val, size_t len, void *arg)
{
	struct member *m = arg;

	buf_reset(&m->others);
	if (copy_without(&m->others, val, len, m->id) == 0)
		return 0;
	(void)snprintf(m->name, sizeof(m->name), "%s", name);
	return m->others.failed ? -1 : 1;
}

int
keys_family_forget(struct db *db, const char *id)
{
	struct member m = { .id = id, .others = BUF(KEYS_MEMBERS_MAX) };
	int got, bad = 0;

	while ((got = db_each(db, KEYS_FAMILY, find_member, &m)) == 1 && !bad)
		bad = m.others.len == 0
		    ? db_del(db, m.name) == -1
		    : db_put(db, m.name, m.others.data, m.others.len) == -1;
	buf_free(&m.others);
	return got == 0 && !bad ? 0 : -1;
}
