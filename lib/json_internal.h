/*
 * json_internal.h - between the files of json.c alone: where in the grammar a
 * skim is, its strings, and the members it looks for.
 */
#ifndef PMPROXY_JSON_INTERNAL_H
#define PMPROXY_JSON_INTERNAL_H

#include "json.h"

/* In this order: marks come before STRING, and numbers are last. */
enum json_state {
	VALUE,
	FIRST_VALUE, /* or the end of an empty array */
	NAME,
	FIRST_NAME, /* or the end of an empty object */
	COLON,
	AFTER, /* a value, within an array or object */
	DONE,
	STRING,
	ESCAPE,
	HEX,
	STRING_END, /* only until it is dealt with */
	LITERAL,
	/* Within a number, named for what was read last. */
	MINUS,
	ZERO,
	INTEGER,
	POINT,
	FRACTION,
	EXPONENT_LETTER,
	EXPONENT_SIGN,
	EXPONENT,
	BAD
};

/* --- json_string.c --- */

static inline int
json_in_string(const struct json_skim *s)
{
	return s->state >= STRING && s->state < STRING_END;
}

/* Up to the end of the string or of the bytes; returns how many it took. */
size_t json_read_string(struct json_skim *, const char *, size_t);

/* --- json_wanted.c --- */

/* Takes the caller's members; their paths must be within the bounds. */
void json_wanted_init(struct json_skim *);
void json_wanted_again(struct json_skim *);

/* For those below alone, where there is something to do. */
void json_wanted_mark_nonempty(struct json_skim *);
void json_wanted_match_name(struct json_skim *, const char *, size_t);
void json_wanted_match_end(struct json_skim *);
void json_wanted_claim(struct json_skim *, enum json_kind);
void json_wanted_add_text(struct json_skim *, const char *, size_t);
void json_wanted_end(struct json_skim *, size_t end);

/*
 * In most places of most documents nothing is wanted: there, these cost a
 * comparison and no call, which a skim's speed hangs on.
 */

/* A name or value begins in what is open, which so is not empty. */
static inline void
json_wanted_element(struct json_skim *s)
{
	if (s->depth > 0 && s->depth <= JSON_LEVELS_MAX + 1 &&
	    s->open[s->depth - 1] != 0)
		json_wanted_mark_nonempty(s);
}

static inline void
json_wanted_begin_name(struct json_skim *s)
{
	s->matched = s->depth <= JSON_LEVELS_MAX ? s->alive[s->depth - 1] : 0;
}

/* The name goes on with these bytes, decoded. */
static inline void
json_wanted_name(struct json_skim *s, const char *p, size_t n)
{
	if (s->matched != 0)
		json_wanted_match_name(s, p, n);
}

static inline void
json_wanted_end_name(struct json_skim *s)
{
	if (s->matched != 0)
		json_wanted_match_end(s);
}

/* A value begins with the next byte. */
static inline void
json_wanted_value(struct json_skim *s, enum json_kind type)
{
	s->hit = 0;
	if (s->matched != 0)
		json_wanted_claim(s, type);
}

/* It goes on with these bytes, decoded. */
static inline void
json_wanted_text(struct json_skim *s, const char *p, size_t n)
{
	if (s->hit != 0)
		json_wanted_add_text(s, p, n);
}

static inline void
json_wanted_end_value(struct json_skim *s, size_t end)
{
	if (s->hit != 0)
		json_wanted_end(s, end);
}

/* Before s->depth grows. */
static inline void
json_wanted_open(struct json_skim *s)
{
	if (s->depth <= JSON_LEVELS_MAX) {
		s->open[s->depth] = s->hit;
		s->alive[s->depth] = s->matched;
	}
	s->hit = s->matched = 0;
}

/* After it shrank. */
static inline void
json_wanted_close(struct json_skim *s)
{
	s->hit = s->depth <= JSON_LEVELS_MAX ? s->open[s->depth] : 0;
}

#endif
