/*
 * prices_internal.h - what the files of the prices module share. Nobody else
 * includes it.
 *
 * prices.c        the list, and what use costs at a given price
 * prices_book.c   dated prices of all models, in memory and as records
 * prices_store.c  STATE_DIR/settings.gdbm
 */
#ifndef PMPROXY_PRICES_INTERNAL_H
#define PMPROXY_PRICES_INTERNAL_H

#include <stddef.h>

#include "buf.h"
#include "prices.h"

/* One change an hour fits for weeks; a history beyond that is no accident. */
#define PRICES_CHANGES_MAX 1000
#define PRICES_RECORD_MAX ((size_t)PRICES_CHANGES_MAX * 256)

/* A price that holds from an hour on. */
struct prices_change {
	int64_t from;
	int listed; /* back to the program's list; 'price' is not used */
	struct price price;
};

/* What was set for one model, oldest first. */
struct prices_history {
	char model[PRICES_MODEL_SIZE];
	struct prices_change *change;
	size_t n;
};

struct prices_book {
	struct prices_history *history;
	size_t n;
	uint64_t basis;
};

/* The program's own list; the last row stands for all other models. */
struct prices_listed {
	const char *model;
	int64_t from; /* INT64_MIN: always */
	struct price price;
};
extern const struct prices_listed prices_list[];
extern const size_t prices_list_n;

/* The listed price in that hour, of the model or else of all others. */
struct price prices_listed_at(const char *model, int64_t at, int *found);

int64_t prices_cost_at(const struct price *, const struct prices_use *);

/* Empty; prices_book_free leaves an empty one. */
void prices_book_free(struct prices_book *);
const struct prices_history *
prices_book_find(const struct prices_book *, const char *model);
struct price
prices_book_at(const struct prices_book *, const char *model, int64_t at);

/* Stands for all prices that hold before that time; the list's as well. */
uint64_t prices_book_basis(const struct prices_book *, int64_t before);

/* Reads a model's record into the book; 0 or -1. Logs nothing. */
int prices_book_read(
    struct prices_book *, const char *model, const char *text, size_t len);

/*
 * The model's record with one more change, into 'out'; 'change' by the hour
 * replaces one of the same hour. 0, -1 no memory or no room, -2 when a later
 * change stands there already.
 */
int prices_book_write(const struct prices_book *, const char *model,
    const struct prices_change *, struct buf *out);

#endif
