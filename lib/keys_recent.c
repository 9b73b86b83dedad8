/* One place a key, found by its hash: who comes later takes it over. */
#include "keys_recent.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A power of two; each place takes some 1.6 KiB once it is used. */
#define PLACES 1024

struct keys_recent {
	uint64_t snapshot; /* counts from 1 */
	struct place {
		uint64_t snapshot; /* of another: empty */
		unsigned char hash[SECRET_DIGEST_LEN];
		struct key key;
	} places[PLACES];
};

struct keys_recent *
keys_recent_new(void)
{
	struct keys_recent *r = calloc(1, sizeof(*r));

	if (r != NULL)
		r->snapshot = 1;
	return r;
}

void
keys_recent_free(struct keys_recent *r)
{
	if (r != NULL)
		secret_wipe(r, sizeof(*r));
	free(r);
}

void
keys_recent_clear(struct keys_recent *r)
{
	r->snapshot++;
}

/* Hashes of keys are random already. */
static size_t
place_of(const unsigned char hash[SECRET_DIGEST_LEN])
{
	return ((size_t)hash[0] | (size_t)hash[1] << 8) & (PLACES - 1);
}

const struct key *
keys_recent_find(
    const struct keys_recent *r, const unsigned char hash[SECRET_DIGEST_LEN])
{
	const struct place *p = &r->places[place_of(hash)];

	if (p->snapshot != r->snapshot ||
	    !secret_equal(p->hash, hash, SECRET_DIGEST_LEN))
		return NULL;
	return &p->key;
}

void
keys_recent_add(struct keys_recent *r,
    const unsigned char hash[SECRET_DIGEST_LEN], const struct key *key)
{
	struct place *p = &r->places[place_of(hash)];

	memcpy(p->hash, hash, SECRET_DIGEST_LEN);
	p->key = *key;
	p->snapshot = r->snapshot;
}
