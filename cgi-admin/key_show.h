/*
 * key_show.h - keys as people read them: their state, their limits, and what
 * they have used.
 */
#ifndef PMPROXY_CGI_ADMIN_KEY_SHOW_H
#define PMPROXY_CGI_ADMIN_KEY_SHOW_H

#include "admin.h"
#include "lib/costs.h"
#include "lib/keys.h"

/* The state in a few words, marked as good, ending or refused. */
void key_show_state(struct admin *, const struct key *);
/* "60 requests, 10 000 tokens/min, 4 at once", or that there are none. */
void key_show_limits(struct admin *, const struct key *);

/* What one key used this month, and when it was last used. */
struct key_spend {
	char id[KEYS_ID_SIZE];
	int64_t cost, tokens, requests; /* this month; cost in nano-EUR */
	int64_t last; /* start of the last hour; 0: none is kept */
};

struct key_spends {
	/* private: rows found by a hash of their id, empty ones between */
	struct key_spend *rows;
	size_t n, room; /* 'room' is a power of two */
	int64_t month;
};

/* Of all keys, or of one. 0, or -1 after logging; free in both cases. */
int key_spends_read(struct key_spends *, const struct admin *, const char *id);
/* All 0 for a key that used nothing. */
struct key_spend key_spends_of(const struct key_spends *, const char *id);
void key_spends_free(struct key_spends *);
/* The sum of two; the last use is left as it is. */
void key_spend_add(struct key_spend *, struct key_spend);

/* "2026-11-22", or that there is no record of it. */
void key_show_last(struct admin *, int64_t last);

#endif
