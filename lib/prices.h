/*
 * prices.h - money: what use costs, in integer nano-EUR throughout.
 *
 * A model has a price for a million prompt tokens, for a million completion
 * tokens, for a MiB of audio and for an hour of audio. What an admin sets is
 * kept in STATE_DIR/settings.gdbm with the hour from which it applies, and so
 * is each earlier price: the past costs what it cost. Where nothing is set,
 * Privatemode's list holds, which is part of the program and dated as well.
 */
#ifndef PMPROXY_PRICES_H
#define PMPROXY_PRICES_H

#include <stdint.h>

#define PRICES_MODEL_SIZE 64
/* The model that stands for all that have no price of their own. */
#define PRICES_OTHERS "*"
/* A million EUR: more is a slip of the keyboard. */
#define PRICES_MAX INT64_C(1000000000000000)

/* In nano-EUR. */
struct price {
	int64_t prompt, completion; /* a million tokens */
	int64_t audio_mib; /* a MiB of audio */
	int64_t audio_hour; /* an hour of it */
};

/* What is to be paid for: use of one model within one hour. */
struct prices_use {
	const char *model;
	int64_t at; /* Unix seconds, anywhere in the hour */
	int64_t prompt, completion, total; /* tokens */
	int64_t audio_bytes, audio_ms;
};

struct prices;

/*
 * The prices of STATE_DIR. NULL after logging, only for lack of memory or
 * paths: a store that cannot be read shows itself in prices_refresh.
 */
struct prices *prices_open(const char *state_dir);
void prices_close(struct prices *);

/*
 * Looks whether prices changed (one stat(2) when nothing did); before what is
 * to be priced alike. 0, or -1 after logging when the store cannot be read or
 * holds what is no price: nothing can be priced then. Thread-safe.
 */
int prices_refresh(struct prices *);

/*
 * The cost in nano-EUR as of the last refresh, rounded half up once; INT64_MAX
 * rather than overflow. Cached tokens cost as prompt; tokens that only the
 * total counts as the dearer of the two kinds. Thread-safe.
 */
int64_t prices_cost(struct prices *, const struct prices_use *);

/* A number that is another one after any change of prices. Thread-safe. */
uint64_t prices_basis(struct prices *);

/*
 * The same of the prices that hold before that time, so that it stays the same
 * after a change from then on. Thread-safe.
 */
uint64_t prices_basis_before(struct prices *, int64_t before);

/* The price of a model in that hour. Thread-safe. */
struct price prices_at(struct prices *, const char *model, int64_t at);

/* One row of a model's history, for lists. */
struct prices_row {
	const char *model; /* borrowed for the call */
	int64_t from; /* Unix seconds of an hour; INT64_MIN: always */
	int set; /* by an admin; 0: as the list of the program has it */
	struct price price;
};

/*
 * Each model that has a price of its own, PRICES_OTHERS last, each with its
 * history from the oldest row on. Stops at the first nonzero answer and
 * returns it. 'fn' must not call prices.
 */
int prices_each(
    struct prices *, int (*fn)(const struct prices_row *, void *), void *);

/* What is wrong with a model's name or a price; NULL when nothing is. */
const char *prices_problem(const char *model, const struct price *);

/*
 * Sets a model's price from the hour of 'now' on; NULL goes back to the list.
 * A price set earlier in the same hour is replaced. 0, or -1 after logging,
 * also when the last change lies in a later hour (a clock that went back).
 */
int prices_set(const char *state_dir, const char *model, const struct price *,
    int64_t now);

#endif
