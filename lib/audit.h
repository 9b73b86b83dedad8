/*
 * audit.h - who changed what in the admin pages: to the hour, by session, with
 * ids of keys and names of settings only. In STATE_DIR/admin.gdbm, the latest
 * few thousand. Failures are logged.
 */
#ifndef PMPROXY_AUDIT_H
#define PMPROXY_AUDIT_H

#include <stdint.h>

#define AUDIT_MAX 4000 /* entries kept */

enum audit_action {
	AUDIT_LOGIN,
	AUDIT_LOGOUT,
	AUDIT_SESSIONS_ENDED,
	AUDIT_KEY_CREATED,
	AUDIT_KEY_CHANGED,
	AUDIT_KEY_DISABLED,
	AUDIT_KEY_ENABLED,
	AUDIT_KEY_ROTATED,
	AUDIT_KEY_DELETED,
	AUDIT_KEY_ERASED, /* deleted with its usage */
	AUDIT_ALL_DISABLED,
	AUDIT_ALL_ENABLED,
	AUDIT_SETTING_CHANGED,
	AUDIT_ACTION__MAX /* also: one that a later version wrote */
};

struct audit_entry {
	int64_t hour; /* Unix seconds of its start */
	enum audit_action action;
	char session[16];
	char subject[64]; /* a key's id, a setting's name, or "" */
};

/* 'now' is kept to the hour. 0 or -1. */
int audit_add(const char *state_dir, int64_t now, const char *session,
    enum audit_action, const char *subject);

/*
 * Blanks a subject wherever it stands; no byte of it is left in the file. May
 * be repeated. 0 or -1.
 */
int audit_forget(const char *state_dir, const char *subject);

/*
 * Each entry, newest first; stops at the first nonzero answer, returns it; -1
 * on failure.
 */
int audit_each(const char *state_dir,
    int (*fn)(const struct audit_entry *, void *), void *);

#endif
