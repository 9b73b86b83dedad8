/* A capped, self-wiping byte buffer. */
#include "buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pages.h"

/* From here on the kernel clears faster: pages that it takes back. */
#define LARGE (1 << 20)

char buf_nothing[1];

/* All of it: behind 'len' may stand what buf_room's caller never kept. */
static void
drop(struct buf *b)
{
	if (b->cap > 0) {
		if (b->cap < LARGE || pages_forget(b->data, b->cap) == -1)
			explicit_bzero(b->data, b->cap);
		free(b->data);
	}
}

/* realloc(3) would leave the old copy in the heap, so move by hand. */
static int
move_to(struct buf *b, size_t cap)
{
	char *data = malloc(cap);

	if (data == NULL)
		return -1;
	memcpy(data, b->data, b->len + 1);
	drop(b);
	b->data = data;
	b->cap = cap;
	return 0;
}

char *
buf_room(struct buf *b, size_t n)
{
	size_t cap;

	/* One byte more is for the NUL, so SIZE_MAX itself is out of reach. */
	if (b->failed || n > b->max - b->len || b->len + n >= PTRDIFF_MAX)
		goto fail;
	if (b->len + n + 1 > b->cap) {
		/* Doubling, but an exact fit when the first size is known. */
		cap = b->cap * 2 > b->len + n + 1 ? b->cap * 2 : b->len + n + 1;
		if (cap - 1 > b->max)
			cap = b->max + 1;
		if (cap < 64)
			cap = 64;
		if (move_to(b, cap) == -1)
			goto fail;
	}
	return b->data + b->len;
fail:
	b->failed = 1;
	return NULL;
}

void
buf_grown(struct buf *b, size_t n)
{
	if (n == 0)
		return;
	assert(n <= b->max - b->len && n < b->cap - b->len);
	b->len += n;
	b->data[b->len] = '\0';
}

int
buf_add(struct buf *b, const void *p, size_t n)
{
	char *to;

	if (n == 0)
		return b->failed ? -1 : 0;
	if ((to = buf_room(b, n)) == NULL)
		return -1;
	memcpy(to, p, n);
	buf_grown(b, n);
	return 0;
}

int
buf_puts(struct buf *b, const char *s)
{
	return buf_add(b, s, strlen(s));
}

int
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	char *to;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0 || (to = buf_room(b, (size_t)n)) == NULL) {
		b->failed = 1;
		return -1;
	}
	if (n == 0)
		return 0;
	va_start(ap, fmt);
	n = vsnprintf(to, (size_t)n + 1, fmt, ap);
	va_end(ap);
	buf_grown(b, (size_t)n);
	return 0;
}

void
buf_reset(struct buf *b)
{
	if (b->cap > 0) {
		explicit_bzero(b->data, b->len);
		b->data[0] = '\0';
	}
	b->len = 0;
	b->failed = 0;
}

void
buf_free(struct buf *b)
{
	size_t max = b->max;

	drop(b);
	*b = (struct buf)BUF(max);
}
