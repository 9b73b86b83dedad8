/*
 * The file's checksum: a chain of HMACs over its blocks, with the place of the
 * sum itself read as zeros. The chain begins with the key, if there is one. All
 * blocks but the last are full and the last one is not, so no file's blocks
 * are the beginning of another's: that makes the chain a MAC.
 */
#include "db_sum.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "secret.h"

#define BLOCK ((size_t)65536)
#define DIGEST ((size_t)DB_SUM_DIGEST_LEN)

/* Random, and not UTF-8, so that no text can hold it. */
const unsigned char db_sum_mark[DB_SUM_MARK_LEN] = { 0xb1, 0x00, 0xf7, 0x9c,
	0x5e, 0xe3, 0x02, 0x8d, 0xc4, 0x71, 0xfe, 0x13, 0xa6, 0x0b, 0xd8,
	0x3f };

/* The same, behind the sum of a sealed store; the id of its key follows. */
static const unsigned char sealed_mark[DB_SUM_MARK_LEN] = { 0x9d, 0xe4, 0x00,
	0x56, 0xb7, 0xc2, 0xf1, 0x0a, 0x83, 0xff, 0x6e, 0x19, 0xd0, 0x35, 0xea,
	0x94 };

int
db_sum_marked(const void *p, size_t n)
{
	return memmem(p, n, db_sum_mark, DB_SUM_MARK_LEN) != NULL;
}

/* Reads until the block is full or the file ends; the length, or -1. */
static ssize_t
read_block(int fd, unsigned char *block, size_t size, off_t at)
{
	size_t have = 0;
	ssize_t n;

	while (have < size) {
		n = pread(fd, block + have, size - have, at + (off_t)have);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -1;
		if (n == 0)
			break;
		have += (size_t)n;
	}
	return (ssize_t)have;
}

/* Where the digest goes: 1 and *at, 0 without a mark, -1. */
static int
find_digest(int fd, unsigned char *block, off_t *at)
{
	const unsigned char *found;
	off_t from = 0;
	ssize_t n;

	for (;;) {
		if ((n = read_block(fd, block, BLOCK, from)) == -1)
			return -1;
		found = memmem(block, (size_t)n, db_sum_mark, DB_SUM_MARK_LEN);
		if (found != NULL) {
			*at = from + (found - block) + DB_SUM_MARK_LEN;
			return 1;
		}
		if ((size_t)n < BLOCK)
			return 0;
		/* A mark may lie across the blocks' border. */
		from += (off_t)(BLOCK - DB_SUM_MARK_LEN + 1);
	}
}

/* Reads as zeros what of the digest's place lies in this block. */
static void
blank(unsigned char *block, size_t n, off_t from, off_t at)
{
	off_t start = at > from ? at : from;
	off_t end = at + (off_t)DIGEST < from + (off_t)n ? at + (off_t)DIGEST
							 : from + (off_t)n;

	if (start < end)
		memset(block + (start - from), 0, (size_t)(end - start));
}

static int
digest_of(int fd, unsigned char *block, off_t at, const unsigned char *key,
    unsigned char sum[DIGEST])
{
	unsigned char chain[DIGEST] = { 0 };
	off_t from = 0;
	ssize_t n;

	if (key != NULL)
		memcpy(chain, key, DIGEST);
	do {
		if ((n = read_block(fd, block, BLOCK, from)) == -1)
			return -1;
		blank(block, (size_t)n, from, at);
		secret_hmac(sum, chain, block, (size_t)n);
		memcpy(chain, sum, DIGEST);
		from += n;
	} while ((size_t)n == BLOCK);
	return 0;
}

/* What is at hand while a file is being read. */
struct work {
	int fd;
	const unsigned char *key;
	unsigned char *block;
	struct db_sum_found *found;
};

static int
write_sum(struct work *w)
{
	unsigned char sum[DIGEST];
	off_t at;
	int found = find_digest(w->fd, w->block, &at);

	if (found == 0)
		errno = EINVAL;
	if (found != 1 || digest_of(w->fd, w->block, at, w->key, sum) == -1)
		return -1;
	return pwrite(w->fd, sum, DIGEST, at) == (ssize_t)DIGEST ? 0 : -1;
}

static int
read_sum(struct work *w)
{
	unsigned char tail[DIGEST + DB_SUM_MARK_LEN + SEAL_ID_LEN];
	int found = find_digest(w->fd, w->block, &w->found->at);
	ssize_t n;

	if (found != 1)
		return found;
	n = read_block(w->fd, tail, sizeof(tail), w->found->at);
	if (n < (ssize_t)DIGEST)
		return n == -1 ? -1 : 0;
	memcpy(w->found->digest, tail, DIGEST);
	w->found->sealed = n == (ssize_t)sizeof(tail) &&
	    memcmp(tail + DIGEST, sealed_mark, DB_SUM_MARK_LEN) == 0;
	if (w->found->sealed)
		memcpy(
		    w->found->id, tail + DIGEST + DB_SUM_MARK_LEN, SEAL_ID_LEN);
	return 1;
}

static int
check_sum(struct work *w)
{
	unsigned char sum[DIGEST];

	if (digest_of(w->fd, w->block, w->found->at, w->key, sum) == -1)
		return -1;
	return secret_equal(sum, w->found->digest, DIGEST);
}

/* The block is on the heap because responders' stacks are small. */
static int
with_block(int (*fn)(struct work *), struct work w)
{
	int result;

	if ((w.block = malloc(BLOCK)) == NULL)
		return -1;
	result = fn(&w);
	secret_wipe(w.block, BLOCK);
	free(w.block);
	return result;
}

size_t
db_sum_begin(unsigned char val[DB_SUM_SEALED_LEN], const unsigned char *id)
{
	memset(val, 0, DB_SUM_SEALED_LEN);
	memcpy(val, db_sum_mark, DB_SUM_MARK_LEN);
	if (id == NULL)
		return DB_SUM_LEN;
	memcpy(val + DB_SUM_LEN, sealed_mark, DB_SUM_MARK_LEN);
	memcpy(val + DB_SUM_LEN + DB_SUM_MARK_LEN, id, SEAL_ID_LEN);
	return DB_SUM_SEALED_LEN;
}

int
db_sum_write(int fd, const unsigned char *key)
{
	return with_block(write_sum, (struct work){ .fd = fd, .key = key });
}

int
db_sum_read(int fd, struct db_sum_found *found)
{
	*found = (struct db_sum_found){ .at = 0 };
	return with_block(read_sum, (struct work){ .fd = fd, .found = found });
}

int
db_sum_check(int fd, const unsigned char *key, const struct db_sum_found *found)
{
	struct db_sum_found copy = *found;

	return with_block(
	    check_sum, (struct work){ .fd = fd, .key = key, .found = &copy });
}
