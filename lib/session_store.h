/*
 * session_store.h - records of admin.gdbm, between the files of session alone.
 *
 *	p		the password's hash
 *	s:<hash>	a session: id, began, last seen, password, address
 *	o:<nonce>	when a form that works once was sent
 */
#ifndef PMPROXY_SESSION_STORE_H
#define PMPROXY_SESSION_STORE_H

#include "buf.h"
#include "db.h"
#include "session.h"

#define SESSION_PASSWORD "p"
#define SESSION_RECORD "s:"
#define SESSION_ONCE "o:"
#define SESSION_NAME_SIZE (2 + 2 * SECRET_DIGEST_LEN + 1)
#define SESSION_VALUE_MAX 256

#define SESSION_HASH_SIZE 128
/* "$scrypt$ln=15,r=8,p=1$SALT$HASH", salt and hash in hex; 0 or -1. */
int session_hash_password(char out[SESSION_HASH_SIZE], const char *password);
/* 1 when it is the hash of that password; 0 when not or not such a hash. */
int session_hash_check(const char *hash, const char *password);

/* A session with what it depends on. */
struct session_record {
	struct session session;
	uint64_t password; /* which one it began with */
	uint64_t address; /* 0: any */
};

/* To read, or to change. NULL after logging. */
struct db *session_store_open(const char *state_dir);
struct db *session_store_edit(const char *state_dir);

char *session_record_name(
    char dst[SESSION_NAME_SIZE], const unsigned char hash[SECRET_DIGEST_LEN]);
/* 0 or -1. */
int session_record_parse(
    const char *name, const char *text, struct session_record *);
int session_record_put(struct db *, const struct session_record *);

/* 1 when it is valid at that moment under these rules and this password. */
int session_record_lives(const struct session_record *,
    const struct session_rules *, uint64_t password, int64_t now);

/*
 * Tells passwords apart, so that a changed one ends the sessions of the one
 * before. 0: there is none. 0 or -1.
 */
int session_password_mark(
    struct db *, const struct session_rules *, uint64_t *mark);

/*
 * Removes all records below a prefix for which 'is_over' says so; how many
 * are left, or -1.
 */
int session_store_prune(struct db *, const char *prefix,
    int (*is_over)(const char *name, const char *text, void *), void *);

#endif
