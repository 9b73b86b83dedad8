/*
 * The stored form of a password: a scrypt hash with its parameters and salt,
 * so that guessing costs memory and time.
 */
#include "session_store.h"

#include <stdio.h>
#include <string.h>

#include "text.h"

#define SALT_LEN 16
/* A hash from elsewhere may ask for no more than this. */
#define LOG_N_MAX 18
#define BLOCK_MAX 16
#define PARALLEL_MAX 4

static const struct secret_cost cost_now = { 15, 8, 1 };

int
session_hash_password(char out[SESSION_HASH_SIZE], const char *password)
{
	unsigned char salt[SALT_LEN], digest[SECRET_DIGEST_LEN];
	char salt_hex[2 * SALT_LEN + 1], hex[2 * SECRET_DIGEST_LEN + 1];

	secret_random(salt, sizeof(salt));
	if (secret_scrypt(digest, password, salt, SALT_LEN, &cost_now) == -1)
		return -1;
	snprintf(out, SESSION_HASH_SIZE, "$scrypt$ln=%u,r=%u,p=%u$%s$%s",
	    cost_now.log_n, cost_now.block, cost_now.parallel,
	    text_hex(salt_hex, salt, SALT_LEN),
	    text_hex(hex, digest, SECRET_DIGEST_LEN));
	secret_wipe(digest, sizeof(digest));
	secret_wipe(hex, sizeof(hex));
	return 0;
}

/* Takes "NAME=number" and the byte that ends it; 0 or -1. */
static int
take_number(
    const char **at, const char *name, char end, unsigned max, unsigned *out)
{
	size_t len = strlen(name), n;
	int64_t number;

	if (strncmp(*at, name, len) != 0)
		return -1;
	*at += len;
	n = strspn(*at, "0123456789");
	if ((*at)[n] != end || text_n_to_i64(*at, n, 1, max, &number) == -1)
		return -1;
	*at += n + 1;
	*out = (unsigned)number;
	return 0;
}

struct parsed {
	struct secret_cost cost;
	unsigned char salt[SALT_LEN], digest[SECRET_DIGEST_LEN];
};

static int
parse(const char *hash, struct parsed *p)
{
	static const char head[] = "$scrypt$";
	char salt[2 * SALT_LEN + 1] = "";

	if (strncmp(hash, head, sizeof(head) - 1) != 0)
		return -1;
	hash += sizeof(head) - 1;
	if (take_number(&hash, "ln=", ',', LOG_N_MAX, &p->cost.log_n) == -1 ||
	    take_number(&hash, "r=", ',', BLOCK_MAX, &p->cost.block) == -1 ||
	    take_number(&hash, "p=", '$', PARALLEL_MAX, &p->cost.parallel) ==
		-1 ||
	    strcspn(hash, "$") != 2 * SALT_LEN)
		return -1;
	memcpy(salt, hash, 2 * SALT_LEN);
	return text_unhex(p->salt, SALT_LEN, salt) == 0 &&
		hash[2 * SALT_LEN] == '$' &&
		text_unhex(
		    p->digest, SECRET_DIGEST_LEN, hash + 2 * SALT_LEN + 1) == 0
	    ? 0
	    : -1;
}

int
session_hash_check(const char *hash, const char *password)
{
	unsigned char digest[SECRET_DIGEST_LEN];
	struct parsed p;
	int same;

	if (parse(hash, &p) == -1 ||
	    secret_scrypt(digest, password, p.salt, SALT_LEN, &p.cost) == -1)
		return 0;
	same = secret_equal(digest, p.digest, SECRET_DIGEST_LEN);
	secret_wipe(digest, sizeof(digest));
	return same;
}
