/*
 * seal.h - the keys that stores and journals are sealed under, and sealing
 * itself: AES-256-GCM under keys derived by HKDF-SHA256, all OpenSSL's.
 *
 * The file that STORE_KEY_FILE names has a key a line, 32 bytes in hex or
 * base64; empty lines and those that begin with "#" do not count. New things
 * are sealed under the first key, the others are for reading. One file holds
 * for a process; it is read when a key is first needed, and not again.
 * Thread-safe but for seal_use.
 */
#ifndef PMPROXY_SEAL_H
#define PMPROXY_SEAL_H

#include <stddef.h>

#define SEAL_KEY_LEN 32
#define SEAL_ID_LEN 8
#define SEAL_NONCE_LEN 12
#define SEAL_TAG_LEN 16
/* What is sealed is so much longer: its nonce before it, its tag behind. */
#define SEAL_MORE (SEAL_NONCE_LEN + SEAL_TAG_LEN)
#define SEAL_KEYS_MAX 8

/*
 * Names the file; NULL or "": nothing is sealed. Keys of another one are
 * forgotten. 0, or -1 after logging. Before threads are.
 */
int seal_use(const char *path);

/* The file's name; "" without one. */
const char *seal_path(void);

/*
 * How many keys there are, 0 when nothing is to be sealed, or -1 after logging
 * why the file is of no use: then nothing may be read or written.
 */
int seal_ready(void);

/*
 * 1 once the file is another one than that which was read, 0 while it is the
 * same or cannot be looked at. One stat(2).
 */
int seal_outdated(void);

/* A key's id, which tells nothing of the key; 'i' is below seal_ready(). */
void seal_id(size_t i, unsigned char id[SEAL_ID_LEN]);
/* The key with that id, or -1. */
int seal_find(const unsigned char id[SEAL_ID_LEN]);

/* 'n' bytes that follow from the i-th key, for that purpose alone. */
void seal_derive(size_t i, const char *purpose, unsigned char *out, size_t n);

/* What goes along unsealed, and must be the same when it is opened. */
struct seal_with {
	const void *p;
	size_t n;
};

/*
 * Seals 'n' bytes into n + SEAL_MORE. 'nonce' NULL: a random one, of which a
 * key may see 2^32 (NIST SP 800-38D, 8.3).
 */
void seal_close(unsigned char *out, const unsigned char key[SEAL_KEY_LEN],
    struct seal_with with, const unsigned char *nonce, const void *p, size_t n);

/*
 * Opens 'n' bytes into n - SEAL_MORE. 0, or -1 for what was not sealed like
 * this: 'out' is then wiped.
 */
int seal_open(unsigned char *out, const unsigned char key[SEAL_KEY_LEN],
    struct seal_with with, const void *p, size_t n);

#endif
