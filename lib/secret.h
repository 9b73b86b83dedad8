/*
 * secret.h - randomness, digests and comparison, all OpenSSL's. Thread-safe.
 * A failure of the library itself (out of memory, no randomness) aborts: no
 * caller could go on safely.
 */
#ifndef PMPROXY_SECRET_H
#define PMPROXY_SECRET_H

#include <stddef.h>
#include <stdint.h>

#define SECRET_DIGEST_LEN 32

/*
 * Before all others, in a program that lives for one page and speaks no TLS:
 * OpenSSL then leaves out its tables of names, half of what its start costs.
 */
void secret_start_small(void);

void secret_random(void *, size_t);
void secret_sha256(unsigned char out[SECRET_DIGEST_LEN], const void *, size_t);
void secret_hmac(unsigned char out[SECRET_DIGEST_LEN],
    const unsigned char key[SECRET_DIGEST_LEN], const void *msg, size_t);

/* 1 when equal, 0 when not; the time depends on 'n' alone. */
int secret_equal(const void *, const void *, size_t n);

void secret_wipe(void *, size_t);

/*
 * Unpadded base64url (RFC 4648, 5) of 'n' bytes; dst holds
 * SECRET_BASE64_SIZE(n). Returns dst.
 */
#define SECRET_BASE64_SIZE(n) (((n) + 2) / 3 * 4 + 1)
char *secret_base64url(char *dst, const unsigned char *src, size_t n);

/*
 * Back, of 'n' characters, a multiple of four: how many bytes, or 0 for what
 * is not base64url or longer than 'max'.
 */
size_t
secret_unbase64url(unsigned char *dst, size_t max, const char *src, size_t n);

/* What a scrypt digest costs to make: 128 * 2^log_n * block bytes at least. */
struct secret_cost {
	unsigned log_n, block, parallel;
};
/* RFC 7914. 0, or -1 when the cost is not possible or there is no memory. */
int secret_scrypt(unsigned char out[SECRET_DIGEST_LEN], const char *password,
    const unsigned char *salt, size_t salt_len, const struct secret_cost *);

/*
 * The installation's secret, STATE_DIR/secret: 32 random bytes, made on first
 * use with mode 0600 and, when root runs this, for the folder's owner. Two
 * processes that start at once agree on one. 0, or -1 after logging why: a
 * file of another length or kind, or one that others may read, is refused
 * rather than replaced, because keys and hashes depend on it.
 */
int secret_installation(
    const char *state_dir, unsigned char out[SECRET_DIGEST_LEN]);

#endif
