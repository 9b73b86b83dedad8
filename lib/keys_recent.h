/*
 * keys_recent.h - between the files of keys.c alone: the keys used of late, as
 * they were read from one snapshot of the store, so that most requests fetch
 * and parse nothing. Only keys that were valid are in here: whatever is
 * refused takes the long way, always the same. Not thread-safe.
 */
#ifndef PMPROXY_KEYS_RECENT_H
#define PMPROXY_KEYS_RECENT_H

#include "keys.h"
#include "secret.h"

struct keys_recent;

/* NULL for lack of memory. */
struct keys_recent *keys_recent_new(void);
void keys_recent_free(struct keys_recent *); /* wipes it; NULL is fine */

/* Forgets all of them: there is a new snapshot. */
void keys_recent_clear(struct keys_recent *);

/* The key with that hash, borrowed until the next call, or NULL. */
const struct key *keys_recent_find(
    const struct keys_recent *, const unsigned char hash[SECRET_DIGEST_LEN]);

/* May take the place of another one. */
void keys_recent_add(struct keys_recent *,
    const unsigned char hash[SECRET_DIGEST_LEN], const struct key *);

#endif
