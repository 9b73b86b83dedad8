/*
 * words.h - the text of an answer and its pieces, which stand for tokens.
 */
#ifndef STANDIN_WORDS_H
#define STANDIN_WORDS_H

#include "fault.h"
#include "http.h"

struct words {
	struct buf text;
	int64_t pieces;
	size_t piece_max; /* bytes */
	int cut; /* max_tokens ended it early */
};

/*
 * "This is a stand-in, not a model. You said: " and the prompt, as long as
 * 'fault' wants it and of at most 'max' pieces unless that is -1. 0, or -1
 * out of memory.
 */
int words_make(
    struct words *, struct view prompt, const struct fault *, int64_t max);

/* Just this text, in pieces of at most so many bytes. */
int words_set(struct words *, struct view text, size_t piece_max);

/* The next piece from '*at' on: 1, or 0 at the end. */
int words_next(const struct words *, size_t *at, struct view *piece);

void words_free(struct words *);

/* Writes 'n', not negative, without a NUL; returns its end. */
char *words_number(char *to, int64_t n);

/* Bytes of prompt / 4, rounded up. */
int64_t words_tokens(size_t bytes);

/* Where to cut within the first character of several bytes; 0 if none. */
size_t utf8_split(const char *, size_t n);

#endif
