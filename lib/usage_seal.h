/*
 * usage_seal.h - lines of the journal as they are on the disk: plain, or each
 * sealed by itself. Private to usage.
 *
 * A sealed line is "2 <key's id> <base64url of nonce, text, tag> .", with tabs.
 * Its text is the plain line, with blanks behind it so that its length tells
 * little. Keys are an hour's own, so no line counts in another hour. A nonce
 * is what a line is known by, under whatever key: one that stands there twice
 * counts once.
 */
#ifndef PMPROXY_USAGE_SEAL_H
#define PMPROXY_USAGE_SEAL_H

#include "seal.h"
#include "usage_internal.h"

/* Longer than any sealed line. */
#define USAGE_SEALED_SIZE 1024

struct usage_sealing {
	size_t n; /* keys; 0: lines are plain */
	struct {
		unsigned char id[SEAL_ID_LEN], key[SEAL_KEY_LEN];
	} of[SEAL_KEYS_MAX];
};

/* The sealing of an hour's lines; 0, or -1 after logging. */
int usage_sealing_of(struct usage_sealing *, int64_t hour);
void usage_sealing_wipe(struct usage_sealing *);

/*
 * Writes a line, given as usage_line_format makes it, as it is to be: sealed
 * under the first key, or plain. 'nonce' NULL: a new one. Returns its length.
 */
size_t
usage_line_seal(char dst[USAGE_SEALED_SIZE], const struct usage_sealing *,
    const unsigned char *nonce, const char *line, size_t n);

enum usage_found {
	USAGE_FOUND, /* a record */
	USAGE_FOUND_MALFORMED, /* torn, damaged, or nothing at all */
	/* Whole, but it must not count: */
	USAGE_FOUND_PLAIN, /* not sealed, where all lines should be */
	USAGE_FOUND_SEALED /* under a key that is not at hand */
};

/* A line that was read. */
struct usage_line {
	enum usage_found found;
	int sealed;
	int first; /* ... under the first key */
	unsigned char id[SEAL_ID_LEN], nonce[SEAL_NONCE_LEN];
	struct usage_record record; /* also of USAGE_FOUND_PLAIN */
};

/* Reads a line without its newlines. */
void usage_line_open(const struct usage_sealing *, const char *line, size_t n,
    struct usage_line *);

/* Logs what is wrong with a line of that file that must not count; -1. */
int usage_line_refused(const char *path, const struct usage_line *);

/* Nonces that were seen; { 0 } is an empty set. */
struct usage_nonces {
	uint64_t *slot; /* 0 is a free one */
	size_t n, cap;
};

/* 1 when it is new, 0 when it was there, -1 (logged) without memory. */
int usage_nonces_add(
    struct usage_nonces *, const unsigned char nonce[SEAL_NONCE_LEN]);
void usage_nonces_free(struct usage_nonces *);

#endif
