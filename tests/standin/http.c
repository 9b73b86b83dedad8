/*
 * http.c - reading HTTP/1.x requests.
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "http.h"
#include "lib/text.h"

int
view_is(struct view v, const char *text)
{
	return v.n == strlen(text) && memcmp(v.p, text, v.n) == 0;
}

int
view_is_nocase(struct view v, const char *text)
{
	return v.n == strlen(text) && strncasecmp(v.p, text, v.n) == 0;
}

int
view_begins(struct view v, const char *text)
{
	size_t n = strlen(text);

	return v.n >= n && memcmp(v.p, text, n) == 0;
}

size_t
http_head_size(const char *p, size_t n)
{
	const char *end = n == 0 ? NULL : memmem(p, n, "\r\n\r\n", 4);

	return end == NULL ? 0 : (size_t)(end - p) + 4;
}

/* From '*at' to the next CRLF, which is stepped over. */
static int
line_next(struct view head, size_t *at, struct view *line)
{
	const char *end;

	if (*at >= head.n)
		return 0;
	line->p = head.p + *at;
	end = memmem(line->p, head.n - *at, "\r\n", 2);
	if (end == NULL)
		return 0;
	line->n = (size_t)(end - line->p);
	*at += line->n + 2;
	return 1;
}

int
http_header_next(
    struct view head, size_t *at, struct view *name, struct view *value)
{
	struct view line;
	const char *colon;

	if (*at == 0 && !line_next(head, at, &line))
		return 0; /* the request line */
	if (!line_next(head, at, &line) || line.n == 0)
		return 0;
	colon = memchr(line.p, ':', line.n);
	name->p = line.p;
	name->n = colon == NULL ? line.n : (size_t)(colon - line.p);
	if (colon == NULL)
		colon = line.p + line.n - 1;
	value->p = colon + 1;
	value->n = (size_t)(line.p + line.n - value->p);
	for (; value->n > 0 && (*value->p == ' ' || *value->p == '\t');
	     value->n--)
		value->p++;
	while (value->n > 0 &&
	    (value->p[value->n - 1] == ' ' || value->p[value->n - 1] == '\t'))
		value->n--;
	return 1;
}

static int
request_line(struct http_head *head, struct view line)
{
	const char *end = line.p + line.n, *space, *question, *version;

	space = memchr(line.p, ' ', line.n);
	if (space == NULL || space == line.p || space[1] != '/')
		return -1;
	head->method = (struct view){ line.p, (size_t)(space - line.p) };
	head->path.p = space + 1;
	version = memrchr(line.p, ' ', line.n);
	if (version == space || end - version != 9 ||
	    memcmp(version, " HTTP/1.", 8) != 0)
		return -1;
	head->path.n = (size_t)(version - head->path.p);
	head->chunks_allowed = head->keep_alive = version[8] != '0';
	question = memchr(head->path.p, '?', head->path.n);
	if (question == NULL)
		return 0;
	head->query.p = question + 1;
	head->query.n = (size_t)(version - head->query.p);
	head->path.n = (size_t)(question - head->path.p);
	return 0;
}

/* The headers that concern the transfer itself; -1 when they are wrong. */
static int
transfer_header(struct http_head *head, struct view name, struct view value)
{
	int64_t length;

	if (view_is_nocase(name, "content-length")) {
		if (text_n_to_i64(value.p, value.n, 0, INT64_MAX, &length) ==
		    -1)
			return -1;
		head->length = (size_t)length;
	} else if (view_is_nocase(name, "transfer-encoding")) {
		if (!view_is_nocase(value, "chunked"))
			return -1;
		head->chunked = 1;
	} else if (view_is_nocase(name, "expect")) {
		head->expect = view_is_nocase(value, "100-continue");
	} else if (view_is_nocase(name, "connection")) {
		if (view_is_nocase(value, "close"))
			head->keep_alive = 0;
		else if (view_is_nocase(value, "keep-alive"))
			head->keep_alive = 1;
	}
	return 0;
}

int
http_head_parse(struct http_head *head, const char *p, size_t n)
{
	struct view all = { p, n }, name, value;
	size_t at = 0;

	memset(head, 0, sizeof(*head));
	if (!line_next(all, &at, &name) || request_line(head, name) == -1)
		return -1;
	while (http_header_next(all, &at, &name, &value)) {
		if (transfer_header(head, name, value) == -1)
			return -1;
		if (view_is_nocase(name, "content-type"))
			head->content_type = value;
		else if (view_is_nocase(name, "authorization"))
			head->authorization = value;
		else if (view_is_nocase(name, "accept"))
			head->accept = value;
		else if (view_is_nocase(name, "x-standin"))
			head->fault = value;
	}
	return head->chunked && head->length > 0 ? -1 : 0;
}

enum {
	CHUNK_SIZE,
	CHUNK_EXTENSION,
	CHUNK_DATA,
	CHUNK_END,
	CHUNK_TRAILER
};

void
http_body_init(struct http_body *body, const struct http_head *head)
{
	memset(body, 0, sizeof(*body));
	body->chunked = head->chunked;
	body->left = head->length;
	body->complete = !head->chunked && head->length == 0;
}

static ssize_t
feed_data(struct http_body *body, const char *p, size_t n, struct buf *out)
{
	size_t take = n < body->left ? n : body->left;

	if (buf_add(out, p, take) == -1)
		return -1;
	body->left -= take;
	return (ssize_t)take;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One byte of what stands around the chunks; 0 or -1. */
static int
feed_framing(struct http_body *body, char c)
{
	int digit;

	switch (body->state) {
	case CHUNK_SIZE:
		digit = hex_digit(c);
		if (digit >= 0) {
			body->digits = 1;
			body->left = body->left * 16 + (size_t)digit;
			return body->left > HTTP_BODY_MAX ? -1 : 0;
		}
		if (!body->digits)
			return -1;
		body->digits = 0;
		body->state = CHUNK_EXTENSION;
		/* FALLTHROUGH */
	case CHUNK_EXTENSION:
		if (c == '\n')
			body->state =
			    body->left > 0 ? CHUNK_DATA : CHUNK_TRAILER;
		return c == '\n' || c == '\r' || c == ';' || isprint(c) ? 0
									: -1;
	case CHUNK_END:
		if (c == '\n')
			body->state = CHUNK_SIZE;
		return c == '\n' || c == '\r' ? 0 : -1;
	default:
		/* 'left' counts this trailer line's bytes */
		if (c == '\n' && body->left == 0)
			body->complete = 1;
		else if (c == '\n')
			body->left = 0;
		else if (c != '\r')
			body->left = 1;
		return 0;
	}
}

ssize_t
http_body_feed(struct http_body *body, const char *p, size_t n, struct buf *out)
{
	size_t at = 0;
	ssize_t took;

	while (at < n && !body->complete) {
		if (body->chunked && body->state != CHUNK_DATA) {
			if (feed_framing(body, p[at++]) == -1)
				return -1;
			continue;
		}
		if ((took = feed_data(body, p + at, n - at, out)) == -1)
			return -1;
		at += (size_t)took;
		if (body->left == 0 && body->chunked)
			body->state = CHUNK_END;
		else if (body->left == 0)
			body->complete = 1;
	}
	return (ssize_t)at;
}

int
http_query(struct view query, const char *name, struct view *value)
{
	size_t n = strlen(name);
	const char *p = query.p, *end = query.p + query.n, *stop;

	for (; p < end; p = stop + 1) {
		stop = memchr(p, '&', (size_t)(end - p));
		if (stop == NULL)
			stop = end;
		if ((size_t)(stop - p) > n && memcmp(p, name, n) == 0 &&
		    p[n] == '=') {
			value->p = p + n + 1;
			value->n = (size_t)(stop - value->p);
			return 0;
		}
	}
	return -1;
}
