/*
 * http.h - reading HTTP/1.x requests: heads, and bodies by length or chunked.
 * Pure: works on bytes it is given and does no I/O.
 */
#ifndef STANDIN_HTTP_H
#define STANDIN_HTTP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/buf.h"

#define HTTP_HEAD_MAX (128 << 10)
#define HTTP_BODY_MAX (256 << 20)

struct view {
	const char *p; /* not NUL-terminated */
	size_t n;
};

int view_is(struct view, const char *);
int view_is_nocase(struct view, const char *);
int view_begins(struct view, const char *);

/* The views point into the head that was parsed. */
struct http_head {
	struct view method, path, query;
	struct view content_type, authorization, accept, fault;
	size_t length;
	int chunked, expect, keep_alive;
	int chunks_allowed; /* HTTP/1.1: the answer may be chunked */
};

/* Bytes of the head with its empty line; 0 when it is not whole yet. */
size_t http_head_size(const char *, size_t n);

/* 'n' as http_head_size gave it. 0, or -1 when it is no request. */
int http_head_parse(struct http_head *, const char *, size_t n);

/*
 * The next header of a head: 1, or 0 after the last. '*at' is where to look,
 * 0 at first.
 */
int http_header_next(
    struct view head, size_t *at, struct view *name, struct view *value);

/* Reads a body in pieces. */
struct http_body {
	int chunked;
	size_t left; /* of the body, or of this chunk */
	int state, digits; /* private */
	int complete;
};

void http_body_init(struct http_body *, const struct http_head *);

/*
 * Appends the body's bytes of this piece to 'out'; returns how many bytes of
 * the piece belong to this request, or -1 when it is malformed or too long.
 */
ssize_t
http_body_feed(struct http_body *, const char *, size_t n, struct buf *out);

/* The value of name=... in a query string; 0, or -1 when it is not there. */
int http_query(struct view query, const char *name, struct view *value);

#endif
