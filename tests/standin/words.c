/*
 * words.c - the text of an answer. A piece is a word with the space before
 * it, and ends at a whole character.
 */
#include <string.h>

#include "words.h"

#define ANNOUNCEMENT "This is a stand-in, not a model. You said: "
#define MANY_BYTES "Zażółć gęślą jaźń, 牛さん, 🐄🐖🐓🐟 — "
#define PIECE_MAX 64
#define PIECE_MAX_HUGE 4096

static int
is_continuation(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

size_t
utf8_split(const char *p, size_t n)
{
	size_t i;

	for (i = 0; i + 1 < n; i++)
		if ((unsigned char)p[i] >= 0xc2 && is_continuation(p[i + 1]))
			return i + 1;
	return 0;
}

int64_t
words_tokens(size_t bytes)
{
	return (int64_t)((bytes + 3) / 4);
}

int
words_next(const struct words *w, size_t *at, struct view *piece)
{
	const char *p = w->text.data + *at;
	size_t left = w->text.len - *at, n = 0;

	if (left == 0)
		return 0;
	if (w->piece_max == PIECE_MAX) {
		while (n < left && n < PIECE_MAX && p[n] == ' ')
			n++;
		while (n < left && n < PIECE_MAX && p[n] != ' ')
			n++;
	} else
		n = left < w->piece_max ? left : w->piece_max;
	/* Back to a whole character, unless this is no UTF-8 at all. */
	if (n < left && is_continuation(p[n])) {
		size_t back = n;

		while (back > 0 && n - back < 3 && is_continuation(p[back]))
			back--;
		if (back > 0 && !is_continuation(p[back]))
			n = back;
	}
	*piece = (struct view){ p, n };
	*at += n;
	return 1;
}

/* Counts the pieces, and ends the text after 'max' of them. */
static void
words_count(struct words *w, int64_t max)
{
	struct view piece;
	size_t at = 0;

	w->pieces = 0;
	while ((max == -1 || w->pieces < max) && words_next(w, &at, &piece))
		w->pieces++;
	if (at < w->text.len) {
		w->text.len = at;
		w->text.data[at] = '\0';
		w->cut = 1;
	}
}

char *
words_number(char *to, int64_t n)
{
	char digits[20];
	size_t i = sizeof(digits);

	do
		digits[--i] = (char)('0' + n % 10);
	while ((n /= 10) > 0);
	memcpy(to, digits + i, sizeof(digits) - i);
	return to + sizeof(digits) - i;
}

/* Not by printf: a load asks for thousands of words with each stream. */
static int
fill_pieces(struct words *w, int64_t want)
{
	char word[32] = " word";
	size_t n;

	for (; w->pieces < want; w->pieces++) {
		n = (size_t)(words_number(word + 5, w->pieces) - word);
		if (buf_add(&w->text, word, n) == -1)
			return -1;
	}
	words_count(w, want);
	w->cut = 0;
	return 0;
}

static int
fill_bytes(struct words *w, size_t want)
{
	static const char filler[] = "stand-in ";
	size_t take;

	w->piece_max = PIECE_MAX_HUGE;
	while (w->text.len < want) {
		take = want - w->text.len;
		if (take > sizeof(filler) - 1)
			take = sizeof(filler) - 1;
		if (buf_add(&w->text, filler, take) == -1)
			return -1;
	}
	w->text.len = want;
	w->text.data[want] = '\0';
	return 0;
}

int
words_make(
    struct words *w, struct view prompt, const struct fault *fault, int64_t max)
{
	w->text = (struct buf)BUF((size_t)HTTP_BODY_MAX);
	w->piece_max = PIECE_MAX;
	w->cut = 0;
	if (fault->split_utf8 && buf_puts(&w->text, MANY_BYTES) == -1)
		return -1;
	if (buf_puts(&w->text, ANNOUNCEMENT) == -1 ||
	    buf_add(&w->text, prompt.p, prompt.n) == -1)
		return -1;
	if (fault->huge > 0 && fill_bytes(w, (size_t)fault->huge) == -1)
		return -1;
	words_count(w, -1);
	if (fault->words >= 0 && fill_pieces(w, fault->words) == -1)
		return -1;
	if (max >= 0 && max < w->pieces)
		words_count(w, max);
	return 0;
}

int
words_set(struct words *w, struct view text, size_t piece_max)
{
	w->text = (struct buf)BUF((size_t)HTTP_BODY_MAX);
	w->piece_max = piece_max;
	w->cut = 0;
	if (buf_add(&w->text, text.p, text.n) == -1)
		return -1;
	words_count(w, -1);
	return 0;
}

void
words_free(struct words *w)
{
	buf_free(&w->text);
}
