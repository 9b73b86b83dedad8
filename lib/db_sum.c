/*
 * The file's checksum: a chain of HMACs over its blocks, with the place of the
 * sum itself read as zeros.
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
digest_of(int fd, unsigned char *block, off_t at, unsigned char sum[DIGEST])
{
	unsigned char chain[DIGEST];
	off_t from = 0;
	ssize_t n;

	memset(chain, 0, DIGEST);
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

static int
write_sum(int fd, unsigned char *block, unsigned char sum[DIGEST])
{
	off_t at;
	int found = find_digest(fd, block, &at);

	if (found == 0)
		errno = EINVAL;
	if (found != 1 || digest_of(fd, block, at, sum) == -1)
		return -1;
	return pwrite(fd, sum, DIGEST, at) == (ssize_t)DIGEST ? 0 : -1;
}

/* 1 and where it is, 0 without one, -1. */
static int
stored_sum(
    int fd, unsigned char *block, off_t *at, unsigned char stored[DIGEST])
{
	int found = find_digest(fd, block, at);
	ssize_t n;

	if (found != 1)
		return found;
	if ((n = read_block(fd, stored, DIGEST, *at)) == -1)
		return -1;
	return n == (ssize_t)DIGEST;
}

static int
read_sum(int fd, unsigned char *block, unsigned char stored[DIGEST])
{
	off_t at;

	return stored_sum(fd, block, &at, stored);
}

static int
check_sum(int fd, unsigned char *block, unsigned char stored[DIGEST])
{
	unsigned char sum[DIGEST];
	off_t at;
	int found = stored_sum(fd, block, &at, stored);

	if (found != 1)
		return found;
	if (digest_of(fd, block, at, sum) == -1)
		return -1;
	return secret_equal(sum, stored, DIGEST);
}

/* The block is on the heap because responders' stacks are small. */
static int
with_block(int fd, int (*fn)(int, unsigned char *, unsigned char *),
    unsigned char sum[DIGEST])
{
	unsigned char *block = malloc(BLOCK);
	int result;

	if (block == NULL)
		return -1;
	result = fn(fd, block, sum);
	secret_wipe(block, BLOCK);
	free(block);
	return result;
}

int
db_sum_write(int fd)
{
	unsigned char sum[DIGEST];

	return with_block(fd, write_sum, sum);
}

int
db_sum_check(int fd, unsigned char sum[DB_SUM_DIGEST_LEN])
{
	return with_block(fd, check_sum, sum);
}

int
db_sum_read(int fd, unsigned char sum[DB_SUM_DIGEST_LEN])
{
	return with_block(fd, read_sum, sum);
}
