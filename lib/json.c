/*
 * Skims a JSON document: a state machine with a bit per open level instead of
 * a stack, and sets of wanted members (one bit each) instead of stored names.
 */
#include "json.h"

#include <assert.h>
#include <string.h>

#include "text.h"

enum state {
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

/* Takes a member out of the set; NULL when it is empty. */
static struct json_member *
take_member(const struct json_skim *s, uint32_t *set)
{
	unsigned m;

	if (*set == 0)
		return NULL;
	m = (unsigned)__builtin_ctz(*set);
	*set &= *set - 1;
	return &s->members[m];
}

static void
reset_member(struct json_member *m)
{
	m->type = JSON_ABSENT;
	m->start = m->end = m->count = 0;
	m->nonempty = m->truncated = 0;
	if (m->text != NULL && m->size > 0)
		m->text[0] = '\0';
}

static void
begin_member(struct json_member *m, enum json_kind type, size_t start)
{
	size_t count = m->count + 1;

	reset_member(m);
	m->count = count;
	m->type = type;
	m->start = start;
}

/* A NUL within would make the text look shorter to its reader: not usable. */
static void
add_to_member(struct json_member *m, size_t length, const char *p, size_t n)
{
	if (m->text == NULL || m->truncated)
		return;
	if (length >= m->size || n >= m->size - length || *p == '\0') {
		m->truncated = 1;
		if (m->size > 0)
			m->text[0] = '\0';
		return;
	}
	memcpy(m->text + length, p, n);
	m->text[length + n] = '\0';
}

static void
add_text(struct json_skim *s, const char *p, size_t n)
{
	uint32_t left = s->hit;
	struct json_member *m;

	if (left == 0)
		return;
	while ((m = take_member(s, &left)) != NULL)
		add_to_member(m, s->length, p, n);
	s->length += n;
}

/* A dot in a document's name is no step down, so it matches nothing. */
static int
same_name(const char *path, const char *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (path[i] != p[i] || p[i] == '.' || p[i] == '\0')
			return 0;
	return 1;
}

/* What the member's path says from here on; its names so far matched. */
static const char *
path_here(const struct json_skim *s, const struct json_member *m)
{
	return m->path + s->name_at[s->depth - 1][m - s->members] + s->length;
}

static void
unmatch(struct json_skim *s, const struct json_member *m)
{
	s->matched &= ~(UINT32_C(1) << (m - s->members));
}

static void
match_name(struct json_skim *s, const char *p, size_t n)
{
	uint32_t left = s->matched;
	struct json_member *m;

	if (left == 0)
		return;
	while ((m = take_member(s, &left)) != NULL)
		if (!same_name(path_here(s, m), p, n))
			unmatch(s, m);
	s->length += n;
}

static void
end_name(struct json_skim *s)
{
	uint32_t left = s->matched;
	struct json_member *m;
	char c;

	while ((m = take_member(s, &left)) != NULL) {
		c = *path_here(s, m);
		if (c != '.' && c != '\0')
			unmatch(s, m);
	}
	s->state = COLON;
}

static void
add_decoded(struct json_skim *s, const char *p, size_t n)
{
	if (s->in_name)
		match_name(s, p, n);
	else
		add_text(s, p, n);
}

/* What is open is not empty: an element of it begins. */
static void
mark_nonempty(struct json_skim *s)
{
	uint32_t left;
	struct json_member *m;

	if (s->depth == 0 || s->depth > JSON_LEVELS_MAX + 1)
		return;
	left = s->open[s->depth - 1];
	while ((m = take_member(s, &left)) != NULL)
		m->nonempty = 1;
}

static void
begin_name(struct json_skim *s)
{
	mark_nonempty(s);
	s->matched = 0;
	if (s->depth <= JSON_LEVELS_MAX)
		s->matched = s->alive[s->depth - 1];
	s->length = 0;
	s->in_name = 1;
	s->state = STRING;
}

static void
end_value(struct json_skim *s, size_t end)
{
	struct json_member *m;

	while ((m = take_member(s, &s->hit)) != NULL)
		m->end = end;
	s->state = s->depth > 0 ? AFTER : DONE;
}

static void
open_level(struct json_skim *s, enum json_kind type, uint32_t below)
{
	unsigned bit = 1U << (s->depth % 8);
	unsigned char *bits = &s->is_object[s->depth / 8];

	if (s->depth == JSON_DEPTH_MAX) {
		s->state = BAD;
		return;
	}
	*bits =
	    (unsigned char)(type == JSON_OBJECT ? *bits | bit : *bits & ~bit);
	if (s->depth <= JSON_LEVELS_MAX) {
		s->open[s->depth] = s->hit;
		s->alive[s->depth] = below;
	}
	s->hit = s->matched = 0;
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
	s->hit = s->depth <= JSON_LEVELS_MAX ? s->open[s->depth] : 0;
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

/* Tells the members that this value is theirs, or replaces their parent. */
static uint32_t
claim_value(struct json_skim *s, enum json_kind type)
{
	uint32_t left, below;
	struct json_member *m;

	s->hit = below = 0;
	if (s->matched == 0)
		return 0;
	left = s->hit = s->matched & s->ends[s->depth];
	while ((m = take_member(s, &left)) != NULL)
		begin_member(m, type, s->offset);
	left = below = s->matched & ~s->hit;
	while ((m = take_member(s, &left)) != NULL)
		reset_member(m);
	return below;
}

static void
begin_value(struct json_skim *s, char c)
{
	static const char *const literals[] = {
		[JSON_NULL] = "ull", [JSON_FALSE] = "alse", [JSON_TRUE] = "rue"
	};
	enum json_kind type = type_of(c);
	uint32_t below;

	if (type == JSON_ABSENT) {
		s->state = BAD;
		return;
	}
	mark_nonempty(s);
	below = claim_value(s, type);
	s->length = 0;
	if (type == JSON_OBJECT || type == JSON_ARRAY) {
		open_level(s, type, below);
	} else if (type == JSON_STRING) {
		s->in_name = 0;
		s->state = STRING;
	} else if (type == JSON_NUMBER) {
		add_text(s, &c, 1);
		s->state = c == '-' ? MINUS : c == '0' ? ZERO : INTEGER;
	} else {
		add_text(s, &c, 1);
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

/* Most of all bytes are inside strings, so look at 16 at a time. */
typedef unsigned char block __attribute__((vector_size(16)));
#define BLOCK_OF(c)                                            \
	{                                                      \
		c, c, c, c, c, c, c, c, c, c, c, c, c, c, c, c \
	}

static int
block_is_plain(const char *p)
{
	static const block quote = BLOCK_OF('"'), backslash = BLOCK_OF('\\'),
			   space = BLOCK_OF(' ');
	uint64_t halves[2];
	block b;

	memcpy(&b, p, sizeof(b));
	b = (block)((b == quote) | (b == backslash) | (b < space));
	memcpy(halves, &b, sizeof(b));
	return (halves[0] | halves[1]) == 0;
}

/* How many bytes come before a quote, backslash or control character. */
static size_t
plain_run(const char *p, size_t n)
{
	size_t i = 0;

	while (n - i >= sizeof(block) && block_is_plain(p + i))
		i += sizeof(block);
	while (
	    i < n && p[i] != '"' && p[i] != '\\' && (unsigned char)p[i] >= ' ')
		i++;
	return i;
}

/* A surrogate without its partner becomes U+FFFD, as in json-c. */
static void
drop_high(struct json_skim *s)
{
	if (s->high != 0)
		add_decoded(s, "\xef\xbf\xbd", 3);
	s->high = 0;
}

static size_t
read_string(struct json_skim *s, const char *p, size_t n)
{
	size_t run = plain_run(p, n);

	if (run > 0) {
		drop_high(s);
		add_decoded(s, p, run);
	}
	if (run == n)
		return n;
	if (p[run] == '\\') {
		s->state = ESCAPE;
	} else if (p[run] != '"') {
		s->state = BAD;
	} else {
		drop_high(s);
		if (s->in_name)
			end_name(s);
		else
			end_value(s, s->offset + run + 1);
	}
	return run + 1;
}

static void
read_escape(struct json_skim *s, char c)
{
	static const char names[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
	const char *at = c != '\0' ? strchr(names, c) : NULL;

	if (c == 'u') {
		s->code = s->digits = 0;
		s->state = HEX;
	} else if (at != NULL) {
		drop_high(s);
		add_decoded(s, &bytes[at - names], 1);
		s->state = STRING;
	} else {
		s->state = BAD;
	}
}

static void
add_code(struct json_skim *s, uint32_t c)
{
	char utf8[4];
	size_t n = 0;

	if (c < 0x80) {
		utf8[n++] = (char)c;
	} else {
		if (c < 0x800) {
			utf8[n++] = (char)(0xc0 | c >> 6);
		} else {
			if (c < 0x10000) {
				utf8[n++] = (char)(0xe0 | c >> 12);
			} else {
				utf8[n++] = (char)(0xf0 | c >> 18);
				utf8[n++] = (char)(0x80 | (c >> 12 & 0x3f));
			}
			utf8[n++] = (char)(0x80 | (c >> 6 & 0x3f));
		}
		utf8[n++] = (char)(0x80 | (c & 0x3f));
	}
	add_decoded(s, utf8, n);
}

static void
end_hex(struct json_skim *s)
{
	uint32_t c = s->code;

	s->state = STRING;
	if (c >= 0xdc00 && c < 0xe000) {
		if (s->high != 0)
			c = 0x10000 + ((s->high - 0xd800) << 10) + c - 0xdc00;
		else
			c = 0xfffd;
		s->high = 0;
	} else {
		drop_high(s);
	}
	if (c >= 0xd800 && c < 0xdc00)
		s->high = c;
	else
		add_code(s, c);
}

static void
read_hex(struct json_skim *s, char c)
{
	uint32_t digit;

	if (c >= '0' && c <= '9')
		digit = (uint32_t)(c - '0');
	else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
		digit = (uint32_t)((c | 0x20) - 'a' + 10);
	else {
		s->state = BAD;
		return;
	}
	s->code = s->code << 4 | digit;
	if (++s->digits == 4)
		end_hex(s);
}

static void
read_literal(struct json_skim *s, char c)
{
	if (c != *s->literal) {
		s->state = BAD;
		return;
	}
	add_text(s, &c, 1);
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
static enum state
number_next(unsigned state, char c)
{
	if (c >= '0' && c <= '9') {
		if (state == MINUS)
			return c == '0' ? ZERO : INTEGER;
		if (state == POINT)
			return FRACTION;
		if (state == EXPONENT_LETTER || state == EXPONENT_SIGN)
			return EXPONENT;
		return state == ZERO ? BAD : (enum state)state;
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
	enum state next = BAD;
	size_t i;

	for (i = 0; i < n; i++) {
		next = number_next(s->state, p[i]);
		if (next == BAD)
			break;
		s->state = next;
	}
	if (i > 0)
		add_text(s, p, i);
	if (i == n)
		return n;
	if (number_may_end(s->state))
		end_value(s, s->offset + i);
	else
		s->state = BAD;
	return i;
}

static size_t
read_some(struct json_skim *s, const char *p, size_t n)
{
	if (s->state < STRING)
		return read_marks(s, p, n);
	if (s->state == STRING)
		return read_string(s, p, n);
	if (s->state >= MINUS)
		return read_number(s, p, n);
	if (s->state == ESCAPE)
		read_escape(s, *p);
	else if (s->state == HEX)
		read_hex(s, *p);
	else
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

/* Notes where each name of the path starts; returns how many it has. */
static size_t
split_path(struct json_skim *s, size_t m)
{
	const char *path = s->members[m].path;
	size_t i, levels = 0;

	assert(strlen(path) <= JSON_PATH_MAX);
	if (*path == '\0')
		return 0;
	for (i = 0; i == 0 || path[i - 1] != '\0'; i++) {
		if (i > 0 && path[i - 1] != '.')
			continue;
		assert(levels < JSON_LEVELS_MAX);
		s->name_at[levels++][m] = (unsigned char)i;
	}
	return levels;
}

void
json_skim_init(struct json_skim *s, struct json_member *members, size_t n)
{
	size_t m;

	assert(n <= JSON_MEMBERS_MAX);
	memset(s, 0, sizeof(*s));
	s->members = members;
	s->n_members = n;
	for (m = 0; m < n; m++)
		s->ends[split_path(s, m)] |= UINT32_C(1) << m;
	json_skim_again(s);
}

void
json_skim_again(struct json_skim *s)
{
	size_t m;

	for (m = 0; m < s->n_members; m++)
		reset_member(&s->members[m]);
	s->offset = s->length = 0;
	s->state = VALUE;
	s->depth = 0;
	s->hit = s->high = 0;
	s->in_name = 0;
	s->matched = 0;
	for (m = 0; m <= JSON_LEVELS_MAX; m++)
		s->matched |= s->ends[m];
}

int
json_member_i64(
    const struct json_member *m, int64_t min, int64_t max, int64_t *out)
{
	if (m->type != JSON_NUMBER || m->end == 0 || m->text == NULL ||
	    m->truncated)
		return -1;
	return text_to_i64(m->text, min, max, out);
}

/* More than 30 years of audio is no answer to believe. */
#define SECONDS_MAX INT64_C(1000000000)

int
json_member_ms(const struct json_member *m, int64_t *out)
{
	const char *s = m->text;
	size_t whole, digits, i;
	int64_t ms, unit = 100;
	int rest = 0;

	if ((m->type != JSON_NUMBER && m->type != JSON_STRING) || m->end == 0 ||
	    s == NULL || m->truncated)
		return -1;
	whole = strspn(s, "0123456789");
	if (text_n_to_i64(s, whole, 0, SECONDS_MAX, &ms) == -1)
		return -1;
	ms *= 1000;
	if (s[whole] == '.') {
		s += whole + 1;
		digits = strspn(s, "0123456789");
		for (i = 0; i < digits; i++, unit /= 10) {
			ms += unit * (s[i] - '0');
			rest |= unit == 0 && s[i] != '0';
		}
		whole = digits;
		if (digits == 0)
			return -1;
	}
	if (s[whole] != '\0')
		return -1;
	*out = ms + rest;
	return 0;
}
