/*
 * buf.h - bytes that grow up to a cap stated at birth.
 *
 * 'data' is never NULL and data[len] is always NUL. The first append that
 * does not fit or finds no memory fails, and so does every later one, so that
 * a row of appends needs one look at 'failed'. Memory is wiped whenever it is
 * given back, when the buffer moves as well: what passed through leaves no
 * copy behind. Not thread-safe.
 */
#ifndef PMPROXY_BUF_H
#define PMPROXY_BUF_H

#include <stddef.h>

struct buf {
	char *data;
	size_t len; /* bytes in use */
	size_t cap; /* bytes allocated */
	size_t max; /* len never exceeds it */
	int failed;
};

extern char buf_nothing[1];

/* struct buf b = BUF(65536); allocates nothing. */
#define BUF(max)                            \
	{                                   \
		buf_nothing, 0, 0, (max), 0 \
	}

/* Append; 0, or -1 once full or out of memory. */
int buf_add(struct buf *, const void *, size_t);
int buf_puts(struct buf *, const char *);
int buf_printf(struct buf *, const char *fmt, ...)
    __attribute__((__format__(__printf__, 2, 3)));

/*
 * Makes room for exactly 'n' more bytes and returns where they go, or NULL
 * as buf_add fails; the caller writes there and then adds what it wrote to
 * 'len' with buf_grown.
 */
char *buf_room(struct buf *, size_t n);
void buf_grown(struct buf *, size_t n);

/* Empties it, keeps the memory and wipes what was in use; clears 'failed'. */
void buf_reset(struct buf *);

/* Wipes and frees; the buffer is then as new. */
void buf_free(struct buf *);

#endif
