/*
 * session.h - who is logged in to the admin pages: the password, sessions,
 * tokens for forms, and how often one may try. STATE_DIR/admin.gdbm holds the
 * hash of the password and of each session's token, never one of them itself.
 * Every failure is logged where it happens.
 */
#ifndef PMPROXY_SESSION_H
#define PMPROXY_SESSION_H

#include <stdint.h>

#include "limits.h"
#include "secret.h"

/* What sessions are held to; all borrowed. */
struct session_rules {
	const char *state_dir;
	const unsigned char *secret; /* the installation's */
	const char *password; /* of the configuration, or "" */
	int64_t idle_s; /* a session ends after so long without a request */
	int64_t absolute_s; /* and so long after it began */
	uint64_t address; /* hash of the client's; 0: not bound to one */
};

/* --- the password --- */

enum session_password {
	SESSION_PASSWORD_RIGHT,
	SESSION_PASSWORD_WRONG,
	SESSION_PASSWORD_NONE, /* there is none: nobody gets in */
	SESSION_PASSWORD_ERROR
};

/* A stored password stands in front of the configuration's. 1, 0, or -1. */
int session_has_password(const struct session_rules *);
/* Takes about a tenth of a second for a stored one. */
enum session_password
session_check_password(const struct session_rules *, const char *typed);

/* Stores its hash, which ends all sessions; NULL removes it. 0 or -1. */
int session_store_password(const char *state_dir, const char *password);

/* --- how often one may try --- */

struct session_attempt {
	struct limits_window windows[2];
	int64_t retry_ms; /* when refused: until the next may be made */
};

/*
 * Counts an attempt as a wrong one before the password is looked at, so that
 * many at once find no gap. 5 for one address and 20 in all in 5 minutes.
 */
enum limits_result session_attempt_take(struct limits *, uint64_t address,
    struct session_attempt *, int64_t now_ms);
/* The password was right: it does not count. */
void session_attempt_forgive(
    struct limits *, const struct session_attempt *, int64_t now_ms);

/* --- sessions --- */

#define SESSION_TOKEN_SIZE SECRET_BASE64_SIZE(32)
#define SESSION_ID_SIZE 9

struct session {
	char id[SESSION_ID_SIZE]; /* short and public: for the audit trail */
	unsigned char hash[SECRET_DIGEST_LEN]; /* of its token */
	int64_t created, seen; /* Unix seconds; 'seen' to the minute */
};

enum session_result {
	SESSION_OK,
	SESSION_NONE, /* unknown, ended, too old, or bound to another address */
	SESSION_ERROR
};

/* Begins one; wipe the token once it was sent. 0 or -1. */
int session_begin(const struct session_rules *, int64_t now,
    char token[SESSION_TOKEN_SIZE], struct session *);
/* Whose token is it? Keeps the session alive. */
enum session_result session_find(const struct session_rules *,
    const char *token, int64_t now, struct session *);
/* Really: a copy of the token is worth nothing afterwards. 0 or -1. */
int session_end(const struct session_rules *, const struct session *);
int session_end_all(const struct session_rules *);
/* Sessions that live now, or -1. */
int session_count(const struct session_rules *, int64_t now);

/* --- tokens for forms --- */

/*
 * Bound to a session and to one form by name. No two are alike, so that
 * compression tells nothing of them.
 */
#define SESSION_CSRF_SIZE 64
void session_csrf(const struct session_rules *, const struct session *,
    const char *form, char out[SESSION_CSRF_SIZE]);
/* 1 when it is one of that session and form, else 0. NULL is none. */
int session_csrf_ok(const struct session_rules *, const struct session *,
    const char *form, const char *token);

/*
 * For a form that must not work twice, however often it is sent: 1 the first
 * time a valid token comes, 0 later, -1.
 */
int session_once(const struct session_rules *, const char *token, int64_t now);

#endif
