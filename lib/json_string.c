/*
 * Decodes the strings of a document, names and values alike, as they come:
 * plain bytes in runs, escapes and surrogates across any pieces.
 */
#include <endian.h>
#include <string.h>

#include "json_internal.h"

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

/* The same byte eight times. */
#define WORD_OF(c) (UINT64_C(0x0101010101010101) * (c))

/*
 * How many of eight bytes come before one that is not plain. Subtracting lets
 * the top bit of a byte show that it was smaller; what it borrows spoils bytes
 * behind it alone, and the first is what counts.
 */
static size_t
plain_of_word(const char *p)
{
	uint64_t word, quote, backslash, odd;

	memcpy(&word, p, sizeof(word));
	word = le64toh(word);
	quote = word ^ WORD_OF('"');
	backslash = word ^ WORD_OF('\\');
	odd = ((word - WORD_OF(' ')) & ~word) |
	    ((quote - WORD_OF(1)) & ~quote) |
	    ((backslash - WORD_OF(1)) & ~backslash);
	odd &= WORD_OF(0x80);
	return odd == 0 ? sizeof(word) : (size_t)__builtin_ctzll(odd) / 8;
}

/* How many bytes come before a quote, backslash or control character. */
static size_t
plain_run(const char *p, size_t n)
{
	size_t i = 0, some;

	while (n - i >= sizeof(block) && block_is_plain(p + i))
		i += sizeof(block);
	while (n - i >= sizeof(uint64_t)) {
		some = plain_of_word(p + i);
		i += some;
		if (some < sizeof(uint64_t))
			return i;
	}
	while (
	    i < n && p[i] != '"' && p[i] != '\\' && (unsigned char)p[i] >= ' ')
		i++;
	return i;
}

static void
add_decoded(struct json_skim *s, const char *p, size_t n)
{
	if (s->in_name)
		json_wanted_name(s, p, n);
	else
		json_wanted_text(s, p, n);
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
read_run(struct json_skim *s, const char *p, size_t n)
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
		s->state = STRING_END;
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

size_t
json_read_string(struct json_skim *s, const char *p, size_t n)
{
	size_t at = 0;

	while (at < n && json_in_string(s))
		if (s->state == STRING)
			at += read_run(s, p + at, n - at);
		else if (s->state == ESCAPE)
			read_escape(s, p[at++]);
		else
			read_hex(s, p[at++]);
	return at;
}
