/*
 * Skims a JSON document: a state machine with a bit per open level instead of
 * a stack. What it comes by goes to the wanted members (json_wanted.c).
 */
#include <string.h>

#include "json_internal.h"

static void
begin_name(struct json_skim *s)
{
	json_wanted_element(s);
	json_wanted_begin_name(s);
	s->length = 0;
	s->in_name = 1;
	s->state = STRING;
}

static void
end_value(struct json_skim *s, size_t end)
{
	json_wanted_end_value(s, end);
	s->state = s->depth > 0 ? AFTER : DONE;
}

static void
open_level(struct json_skim *s, enum json_kind type)
{
	unsigned bit = 1U << (s->depth % 8);
	unsigned char *bits = &s->is_object[s->depth / 8];

	if (s->depth == JSON_DEPTH_MAX) {
		s->state = BAD;
		return;
	}
	*bits =
	    (unsigned char)(type == JSON_OBJECT ? *bits | bit : *bits & ~bit);
	json_wanted_open(s);
	s->depth++;
	s->state = type == JSON_OBJECT ? FIRST_NAME : FIRST_VALUE;
}

static int
in_object(const struct json_skim *s)
{
	unsigned top = s->depth - 1;

	return s->is_object[top / 8] >> (top % 8) & 1;
}

static void
close_level(struct json_skim *s, char c)
{
	if (c != (in_object(s) ? '}' : ']')) {
		s->state = BAD;
		return;
	}
	s->depth--;
	json_wanted_close(s);
	end_value(s, s->offset + 1);
}

static enum json_kind
type_of(char c)
{
	switch (c) {
	case '{':
		return JSON_OBJECT;
	case '[':
		return JSON_ARRAY;
	case '"':
		return JSON_STRING;
	case 't':
		return JSON_TRUE;
	case 'f':
		return JSON_FALSE;
	case 'n':
		return JSON_NULL;
	default:
		return c == '-' || (c >= '0' && c <= '9') ? JSON_NUMBER
							  : JSON_ABSENT;
	}
}

static void
begin_value(struct json_skim *s, char c)
{
	static const char *const literals[] = {
		[JSON_NULL] = "ull", [JSON_FALSE] = "alse", [JSON_TRUE] = "rue"
	};
	enum json_kind type = type_of(c);

	if (type == JSON_ABSENT) {
		s->state = BAD;
		return;
	}
	json_wanted_element(s);
	json_wanted_value(s, type);
	s->length = 0;
	if (type == JSON_OBJECT || type == JSON_ARRAY) {
		open_level(s, type);
	} else if (type == JSON_STRING) {
		s->in_name = 0;
		s->state = STRING;
	} else if (type == JSON_NUMBER) {
		json_wanted_text(s, &c, 1);
		s->state = c == '-' ? MINUS : c == '0' ? ZERO : INTEGER;
	} else {
		json_wanted_text(s, &c, 1);
		s->literal = literals[type];
		s->state = LITERAL;
	}
}

/* Anything but the inside of strings, numbers and literals. */
static void
read_mark(struct json_skim *s, char c)
{
	switch (s->state) {
	case FIRST_VALUE:
		if (c == ']') {
			close_level(s, c);
			return;
		}
		/* FALLTHROUGH */
	case VALUE:
		begin_value(s, c);
		return;
	case FIRST_NAME:
		if (c == '}') {
			close_level(s, c);
			return;
		}
		/* FALLTHROUGH */
	case NAME:
		if (c == '"')
			begin_name(s);
		else
			s->state = BAD;
		return;
	case COLON:
		s->state = c == ':' ? VALUE : BAD;
		return;
	case AFTER:
		if (c == ',')
			s->state = in_object(s) ? NAME : VALUE;
		else
			close_level(s, c);
		return;
	default:
		s->state = BAD;
	}
}

static size_t
read_marks(struct json_skim *s, const char *p, size_t n)
{
	size_t i = 0;

	while (i < n &&
	    (p[i] == ' ' || p[i] == '\n' || p[i] == '\r' || p[i] == '\t'))
		i++;
	if (i > 0)
		return i;
	read_mark(s, *p);
	return 1;
}

static void
read_literal(struct json_skim *s, char c)
{
	if (c != *s->literal) {
		s->state = BAD;
		return;
	}
	json_wanted_text(s, &c, 1);
	if (*++s->literal == '\0')
		end_value(s, s->offset + 1);
}

static int
number_may_end(unsigned state)
{
	return state == ZERO || state == INTEGER || state == FRACTION ||
	    state == EXPONENT;
}

/* The state after 'c', or BAD when the number cannot go on with it. */
static enum json_state
number_next(unsigned state, char c)
{
	if (c >= '0' && c <= '9') {
		if (state == MINUS)
			return c == '0' ? ZERO : INTEGER;
		if (state == POINT)
			return FRACTION;
		if (state == EXPONENT_LETTER || state == EXPONENT_SIGN)
			return EXPONENT;
		return state == ZERO ? BAD : (enum json_state)state;
	}
	if (c == '.' && (state == ZERO || state == INTEGER))
		return POINT;
	if ((c == 'e' || c == 'E') && number_may_end(state) &&
	    state != EXPONENT)
		return EXPONENT_LETTER;
	if ((c == '+' || c == '-') && state == EXPONENT_LETTER)
		return EXPONENT_SIGN;
	return BAD;
}

/* Stops before the byte that ends the number; that may be the first. */
static size_t
read_number(struct json_skim *s, const char *p, size_t n)
{
	enum json_state next = BAD;
	size_t i;

	for (i = 0; i < n; i++) {
		next = number_next(s->state, p[i]);
		if (next == BAD)
			break;
		s->state = next;
	}
	if (i > 0)
		json_wanted_text(s, p, i);
	if (i == n)
		return n;
	if (number_may_end(s->state))
		end_value(s, s->offset + i);
	else
		s->state = BAD;
	return i;
}

static size_t
read_string(struct json_skim *s, const char *p, size_t n)
{
	size_t used = json_read_string(s, p, n);

	if (s->state != STRING_END)
		return used;
	if (s->in_name) {
		json_wanted_end_name(s);
		s->state = COLON;
	} else {
		end_value(s, s->offset + used);
	}
	return used;
}

static size_t
read_some(struct json_skim *s, const char *p, size_t n)
{
	if (s->state < STRING)
		return read_marks(s, p, n);
	if (json_in_string(s))
		return read_string(s, p, n);
	if (s->state >= MINUS)
		return read_number(s, p, n);
	read_literal(s, *p);
	return 1;
}

int
json_skim_feed(struct json_skim *s, const char *p, size_t n)
{
	size_t used;

	while (n > 0 && s->state != BAD) {
		used = read_some(s, p, n);
		s->offset += used;
		p += used;
		n -= used;
	}
	return s->state == BAD ? -1 : 0;
}

int
json_skim_end(struct json_skim *s)
{
	if (s->depth == 0 && number_may_end(s->state))
		end_value(s, s->offset);
	return s->state == DONE ? 0 : -1;
}

int
json_skim_complete(const struct json_skim *s)
{
	return s->state == DONE;
}

void
json_skim_init(struct json_skim *s, struct json_member *members, size_t n)
{
	memset(s, 0, sizeof(*s));
	s->members = members;
	s->n_members = n;
	json_wanted_init(s);
	json_skim_again(s);
}

void
json_skim_again(struct json_skim *s)
{
	json_wanted_again(s);
	s->offset = s->length = 0;
	s->state = VALUE;
	s->depth = 0;
	s->high = 0;
	s->in_name = 0;
}
