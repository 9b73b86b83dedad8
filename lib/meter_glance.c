/*
 * Most events of a stream are a piece of text and nothing that counts. They
 * are told from the others by a look at their bytes, 16 at a time, and never
 * read as JSON: whether that is broken does not matter where it says nothing.
 */
#include <endian.h>
#include <string.h>

#include "meter_internal.h"

typedef unsigned char block __attribute__((vector_size(16)));
#define BLOCK_OF(c)                                            \
	{                                                      \
		c, c, c, c, c, c, c, c, c, c, c, c, c, c, c, c \
	}

/* The next byte is needed too. */
#define NEEDED (sizeof(block) + 1)

/*
 * Bits 8 * i and up are set where byte i is a control character, or begins
 * with the byte behind it what matters: a name's first two bytes, or "\u".
 */
static void
look_at_block(const char *p, uint64_t halves[2])
{
	static const block quote = BLOCK_OF('"'), backslash = BLOCK_OF('\\'),
			   space = BLOCK_OF(' '), d = BLOCK_OF('d'),
			   e = BLOCK_OF('e'), m = BLOCK_OF('m'),
			   t = BLOCK_OF('t'), u = BLOCK_OF('u');
	block b, next;

	memcpy(&b, p, sizeof(b));
	memcpy(&next, p + 1, sizeof(next));
	b = (block)((b < space) | ((b == backslash) & (next == u)) |
	    ((b == quote) &
		((next == d) | (next == e) | (next == m) | (next == t) |
		    (next == u))));
	memcpy(halves, &b, sizeof(b));
	halves[0] = le64toh(halves[0]);
	halves[1] = le64toh(halves[1]);
}

static const char *
skip_spaces(const char *p, const char *end)
{
	while (p < end && *p == ' ')
		p++;
	return p;
}

static int
begins(const char *p, const char *end, const char *with)
{
	size_t n = strlen(with);

	return (size_t)(end - p) >= n && memcmp(p, with, n) == 0;
}

/* The model as it is known, spelled without escapes, and its quote. */
static int
is_known_model(const struct meter *m, const char *p, const char *end)
{
	const char *model = m->model;

	for (; p < end && *model != '\0'; p++, model++)
		if (*p != *model || *p == '"' || *p == '\\')
			return 0;
	return p < end && *p == '"';
}

/*
 * What a name at 'p' is followed by when it is one of ours, else NULL. Those
 * below "message" have names like those that are not.
 */
static const char *
behind_name(const char *p, const char *end)
{
	static const char *const names[] = { "usage\"", "model\"", "type\"",
		"error\"", "duration\"" };
	size_t i;

	for (i = 0; p < end && i < sizeof(names) / sizeof(names[0]); i++)
		if (*p == *names[i] && begins(p, end, names[i]))
			return p + strlen(names[i]);
	return NULL;
}

/*
 * A quote is at 'p': does a member begin there that may change anything? None
 * does by being null, nor by a type that is neither of those we know.
 */
static int
may_tell(const struct meter *m, const char *p, const char *end)
{
	const char *name = p + 1, *value = behind_name(name, end);

	if (value == NULL)
		return 0;
	value = skip_spaces(value, end);
	if (value == end || *value != ':')
		return 0;
	value = skip_spaces(value + 1, end);
	if (begins(value, end, "null"))
		return 0;
	if (value == end || *value++ != '"' || value == end)
		return 1;
	if (*name == 't')
		return *value == 'e' || *value == 'm';
	return *name != 'm' || !is_known_model(m, value, end);
}

/* The escape at 'p' may be a letter; our names are of lower case alone. */
static int
may_spell(const char *p, const char *end)
{
	return begins(p, end, "\\u006") || begins(p, end, "\\u007");
}

/* The end of the event whose data ends at 'p', or NULL. */
static const char *
behind_event(const char *p, const char *end)
{
	if (begins(p, end, "\n\n"))
		return p + 2;
	return begins(p, end, "\r\n\r\n") ? p + 4 : NULL;
}

/*
 * The next byte from 'p' on that is not just content: see look_at_block. At
 * the end there is none.
 */
static const char *
next_mark(const char *p, const char *end)
{
	uint64_t halves[2];

	for (; (size_t)(end - p) >= NEEDED; p += sizeof(block)) {
		look_at_block(p, halves);
		if (halves[0] != 0)
			return p + __builtin_ctzll(halves[0]) / 8;
		if (halves[1] != 0)
			return p + 8 + __builtin_ctzll(halves[1]) / 8;
	}
	while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= ' ')
		p++;
	return p;
}

/* Behind a line that names the event, if there is one: not the last event. */
static const char *
behind_event_name(const char *p, const char *end)
{
	const char *lf, *cr;

	if (!begins(p, end, "event:"))
		return p;
	lf = memchr(p, '\n', (size_t)(end - p));
	if (lf == NULL || begins(skip_spaces(p + 6, lf), lf, "message_stop"))
		return end;
	cr = memchr(p, '\r', (size_t)(lf - p));
	return cr == NULL || cr == lf - 1 ? lf + 1 : end;
}

size_t
meter_glance(const struct meter *m, const char *line, size_t n)
{
	const char *end = line + n, *p = behind_event_name(line, end);

	if (!begins(p, end, "data:"))
		return 0;
	p = skip_spaces(p + strlen("data:"), end);
	if (p == end || *p != '{')
		return 0;
	while ((p = next_mark(p, end)) < end) {
		if (*p == '"' ? may_tell(m, p, end)
			      : *p == '\\' && may_spell(p, end))
			return 0;
		if ((unsigned char)*p < ' ') {
			p = behind_event(p, end);
			return p == NULL ? 0 : (size_t)(p - line);
		}
		p++;
	}
	return 0;
}
