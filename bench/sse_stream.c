/*
 * sse_stream.c - three readers on top of each other: lines of HTTP, chunks,
 * and stamps within events.
 */
#include <string.h>
#include <strings.h>

#include "lib/text.h"
#include "sse_stream.h"

enum {
	IN_STATUS,
	IN_HEAD,
	IN_SIZE, /* the line with a chunk's size */
	IN_DATA,
	IN_DATA_END, /* the line end behind a chunk */
	IN_TRAILER
};

enum {
	NO_STAMP,
	STAMP_NUMBER, /* after "@" */
	STAMP_TIME /* after ":" */
};

#define NO_DIGITS (-1)
#define DIGITS_LIMIT (INT64_MAX / 10 - 9)

/* Keeps the beginning of a line; 1 when it has ended, without its end. */
static int
line_add(struct sse_line *line, char c)
{
	if (c == '\n') {
		if (line->len > 0 && line->len <= sizeof(line->text) &&
		    line->text[line->len - 1] == '\r')
			line->len--;
		return 1;
	}
	if (line->len < sizeof(line->text))
		line->text[line->len] = c;
	line->len++;
	return 0;
}

/* The same of bytes that do not end it. */
static void
line_add_all(struct sse_line *line, const char *p, size_t n)
{
	size_t room =
	    line->len < sizeof(line->text) ? sizeof(line->text) - line->len : 0;

	if (room > 0)
		memcpy(line->text + line->len, p, n < room ? n : room);
	line->len += n;
}

static int
line_begins(const struct sse_line *line, const char *with)
{
	size_t n = strlen(with);

	return line->len >= n && strncasecmp(line->text, with, n) == 0;
}

static void
stamp_end(struct sse_stream *s, sse_stamp told, void *whose)
{
	s->lost += s->number < s->next ? 1 : s->number - s->next;
	s->next = s->number + 1;
	s->events++;
	if (s->stamps_here++ > 0)
		s->merged++;
	told(whose, s->at_us);
}

/* "@NUMBER:MICROSECONDS;"; anything else in between makes it no stamp. */
static void
stamp_feed(struct sse_stream *s, char c, sse_stamp told, void *whose)
{
	int64_t *digits = s->stamp == STAMP_NUMBER ? &s->number : &s->at_us;

	if (c == '@') {
		s->stamp = STAMP_NUMBER;
		s->number = s->at_us = NO_DIGITS;
	} else if (s->stamp == NO_STAMP) {
		return;
	} else if (c >= '0' && c <= '9' && *digits < DIGITS_LIMIT) {
		*digits = (*digits == NO_DIGITS ? 0 : *digits * 10) + (c - '0');
	} else if (c == ':' && s->stamp == STAMP_NUMBER &&
	    s->number != NO_DIGITS) {
		s->stamp = STAMP_TIME;
	} else {
		if (c == ';' && s->stamp == STAMP_TIME && s->at_us != NO_DIGITS)
			stamp_end(s, told, whose);
		s->stamp = NO_STAMP;
	}
}

/* One byte of the body. A blank line ends an event. */
static void
body_feed(struct sse_stream *s, char c, sse_stamp told, void *whose)
{
	stamp_feed(s, c, told, whose);
	if (!line_add(&s->event, c))
		return;
	if (s->event.len == 0)
		s->stamps_here = 0;
	else if (s->event.len == strlen("data: [DONE]") &&
	    line_begins(&s->event, "data: [DONE]"))
		s->done = 1;
	s->event.len = 0;
}

/* How many bytes neither begin a stamp nor end a line. */
static size_t
plain_run(const char *p, size_t n)
{
	const char *end = memchr(p, '\n', n);

	if (end != NULL)
		n = (size_t)(end - p);
	end = memchr(p, '@', n);
	return end == NULL ? n : (size_t)(end - p);
}

/* Some bytes of the body, all in one chunk; returns how many it took. */
static size_t
body_take(
    struct sse_stream *s, const char *p, size_t n, sse_stamp told, void *whose)
{
	size_t run;

	if (s->chunked && (int64_t)n > s->chunk_left)
		n = (size_t)s->chunk_left;
	run = s->stamp == NO_STAMP ? plain_run(p, n) : 0;
	if (run > 0) {
		line_add_all(&s->event, p, run);
	} else {
		body_feed(s, *p, told, whose);
		run = 1;
	}
	if (s->chunked && (s->chunk_left -= (int64_t)run) == 0)
		s->place = IN_DATA_END;
	return run;
}

static void
status_line(struct sse_stream *s)
{
	int64_t status;

	if (s->http.len < 12 || !line_begins(&s->http, "HTTP/1.") ||
	    text_n_to_i64(s->http.text + 9, 3, 100, 999, &status) == -1) {
		s->broken = 1;
		return;
	}
	s->status = (int)status;
	s->place = IN_HEAD;
}

static void
head_line(struct sse_stream *s)
{
	if (s->http.len == 0)
		s->place = s->chunked ? IN_SIZE : IN_DATA;
	else if (line_begins(&s->http, "Transfer-Encoding: chunked"))
		s->chunked = 1;
}

/* Hex digits; what may follow them is ignored. */
static void
size_line(struct sse_stream *s)
{
	static const char hex[] = "0123456789abcdef";
	const char *digit;
	size_t i;

	s->chunk_left = 0;
	for (i = 0; i < s->http.len && i < 8; i++) {
		digit = memchr(hex, s->http.text[i] | 0x20, sizeof(hex) - 1);
		if (digit == NULL)
			break;
		s->chunk_left = s->chunk_left * 16 + (digit - hex);
	}
	s->broken = i == 0;
	s->place = s->chunk_left > 0 ? IN_DATA : IN_TRAILER;
}

/* A line of HTTP, whole. */
static void
http_line(struct sse_stream *s)
{
	switch (s->place) {
	case IN_STATUS:
		status_line(s);
		break;
	case IN_HEAD:
		head_line(s);
		break;
	case IN_SIZE:
		size_line(s);
		break;
	case IN_DATA_END:
		s->broken = s->http.len > 0;
		s->place = IN_SIZE;
		break;
	default:
		s->ended = s->http.len == 0;
	}
	s->http.len = 0;
}

void
sse_stream_feed(
    struct sse_stream *s, const char *p, size_t n, sse_stamp told, void *whose)
{
	size_t i = 0;

	while (i < n && !s->broken && !s->ended)
		if (s->place == IN_DATA)
			i += body_take(s, p + i, n - i, told, whose);
		else if (line_add(&s->http, p[i++]))
			http_line(s);
}
