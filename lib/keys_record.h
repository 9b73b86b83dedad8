/*
 * keys_record.h - how a key is written down in the store. Two records each:
 *
 *	k:<id>			JSON: the settings and the hash
 *	h:<SHA-256 in hex>	the id
 *
 * and one of each family of keys that were rotated:
 *
 *	f:<family>		the ids, each with its NUL
 *
 * Private to keys.
 */
#ifndef PMPROXY_KEYS_RECORD_H
#define PMPROXY_KEYS_RECORD_H

#include "buf.h"
#include "db.h"
#include "keys.h"
#include "secret.h"

#define KEYS_BY_ID "k:"
#define KEYS_BY_HASH "h:"
#define KEYS_FAMILY "f:"
/* A record by that name: no key opens anything. */
#define KEYS_LOCKDOWN "lockdown"

/* A thousand rotations; of older keys nothing is known any more. */
#define KEYS_MEMBERS_MAX ((size_t)65536)

/* Longer than any record with every character escaped. */
#define KEYS_RECORD_MAX ((size_t)65536)
#define KEYS_NAME_SIZE (2 + 2 * SECRET_DIGEST_LEN + 1)

struct keys_record {
	struct key key;
	unsigned char hash[SECRET_DIGEST_LEN];
};

/* "STATE_DIR/keys.gdbm", to be freed; NULL without memory. */
char *keys_path(const char *state_dir);

/* The names of a key's two records. Return dst. */
char *keys_name_by_id(char dst[KEYS_NAME_SIZE], const char *id);
char *keys_name_by_hash(
    char dst[KEYS_NAME_SIZE], const unsigned char hash[SECRET_DIGEST_LEN]);

/*
 * keys_family.c. The family a key is of, or would found; returns dst. Ids are
 * added to it and taken from all in a store that is being edited; 0 or -1.
 */
char *keys_family_of(char dst[KEYS_FAMILY_SIZE], const struct key *);
int keys_family_read(struct db *, const struct key *, struct buf *ids);
int keys_family_add(struct db *, const char *family, const char *id);
int keys_family_forget(struct db *, const char *id);

/*
 * Whether its key is let in: fills in hash, 'disabled' and 'expires', and
 * nothing else. 0, or -1 when these cannot be read.
 */
int keys_record_glance(const char *text, size_t len, struct keys_record *);

/* 0, or -1 when it is not a record with valid settings. Logs nothing. */
int keys_record_parse(
    const char *id, const char *text, size_t len, struct keys_record *);

/*
 * Writes the record's text to 'out'; members of 'old' (NULL for none) that
 * are unknown here are kept if it is sound. 0 or -1. Logs nothing.
 */
int keys_record_write(
    const struct keys_record *, const struct buf *old, struct buf *out);

/*
 * The record of the key with that id, its text left in 'text'. KEYS_OK,
 * KEYS_UNKNOWN, or KEYS_ERROR after logging; 'path' is for the log.
 */
enum keys_result keys_record_get(struct db *, const char *path, const char *id,
    struct buf *text, struct keys_record *);

#endif
