/*
 * limits.h - sliding windows and parallel counts, shared by every thread of
 * every responder, in a file on tmpfs (RUN_DIR/limits).
 *
 * In any window of W milliseconds never more than the limit is admitted, and
 * the first ones up to the limit are admitted at once. Whoever is counted is
 * named by a 64-bit keyed hash only. Windows survive a responder's restart;
 * what a dead process held in parallel counts is given back. All functions
 * are thread-safe; nothing is locked while anything slow happens.
 *
 * The file takes 34 MB, reserved at once. Each kind of window has its own
 * part of it: 4,096 keys for requests and for tokens, 16,384 addresses, 8,192
 * addresses that gave a wrong key, 1,024 that gave a wrong admin password.
 * When one is full the longest unused makes room, but never one that is being
 * refused; where all of those it competes with are, the newcomer is refused. A
 * window is exact while it holds no more than 128 admissions at different
 * milliseconds (global 4,096, wrong keys and passwords 32); above that some
 * count up to a 127th (4,095th, 31st) of the window too long, never too short.
 *
 * A month's budget is what was written down as used in that month plus what
 * requests in flight have reserved. What was used stands in the journal; here
 * is a running tally of it, made when somebody first asks, and made anew
 * whenever there is doubt about it (a death between writing a use down and
 * tallying it, other prices, a new file). Reservations belong to places in
 * flight, so those of the dead come back.
 *
 * A deleted file is made anew, within a second, and the windows start afresh.
 * A damaged one refuses everything until it is deleted or all is restarted.
 */
#ifndef PMPROXY_LIMITS_H
#define PMPROXY_LIMITS_H

#include <stddef.h>
#include <stdint.h>

struct limits;

/* Each kind has its own bounded room: a flood in one evicts none of another. */
enum limits_table {
	LIMITS_GLOBAL,
	LIMITS_KEY_REQUESTS,
	LIMITS_KEY_TOKENS,
	LIMITS_ADDRESS,
	LIMITS_FAILED_AUTH,
	LIMITS_LOGIN_ADDRESS, /* wrong admin passwords */
	LIMITS_LOGIN_ALL,
	LIMITS_TABLE__MAX
};

struct limits_window {
	/* Set by the caller. */
	enum limits_table table;
	uint64_t who;
	int64_t limit; /* 0: not limited, and not counted; at most 2^32 - 1,
			  more is taken as that */
	int64_t window_ms; /* 1 s to 1 day */
	int64_t cost; /* 1 for a request, an estimate for tokens */

	/* Filled in by limits_take, admitted or refused. */
	int64_t remaining; /* what is left of the limit now */
	int64_t reset_ms; /* from now until the window is whole again */
	int64_t retry_ms; /* from now until 'cost' would fit (this window
			      alone); 0 when it fits; a cost over the limit
			      is charged as the limit */
	int64_t taken_at; /* private, for limits_settle */
};

/* What is left of a month's budget; 0 is no budget of that kind. */
struct limits_budget {
	/* Set by the caller. */
	int64_t month; /* names it */
	uint64_t basis; /* names the prices that money is counted by */
	int64_t eur, tokens; /* the budget, EUR in any small unit */
	int64_t cost_eur, cost_tokens; /* what to reserve */

	/* Filled in, unless LIMITS_UNCOUNTED or LIMITS_BROKEN. */
	int64_t left_eur, left_tokens; /* without what is reserved */
	uint64_t ticket; /* LIMITS_UNCOUNTED: private, for _load */
};

enum limits_result {
	LIMITS_ADMITTED,
	LIMITS_REFUSED, /* a window is full: see its retry_ms > 0 */
	LIMITS_PARALLEL, /* too many at once for this key */
	LIMITS_SPENT, /* the budget does not hold that much more */
	LIMITS_UNCOUNTED, /* the month's use is not known here: count it, then
			     limits_budget_load, then take again */
	LIMITS_BROKEN /* the shared memory is unusable: refuse, 503 */
};

/* A place among the requests in flight; zero-initialised it holds nothing. */
struct limits_lease {
	uint32_t slot; /* private; 0: none */
};

/*
 * Maps RUN_DIR/limits, making it when absent, and registers this process
 * ('slots' requests in flight at most, and at most 2,048; 64 processes). Not
 * to be carried over a fork: a child opens its own. NULL after logging.
 */
struct limits *limits_open(const char *run_dir, uint32_t slots);
void limits_close(struct limits *);

/* Milliseconds of the clock that 'now_ms' below means: it never goes back. */
int64_t limits_now(void);

/*
 * Takes from all 'n' windows (at most 8, no two of the same table and 'who')
 * and a place in flight for 'parallel_who', or from none. 'parallel' 0: no
 * limit, but the lease counts all the same. 'lease' NULL: windows only. On
 * refusal every window is filled in.
 */
enum limits_result limits_take(struct limits *, struct limits_window *,
    size_t n, uint64_t parallel_who, int64_t parallel,
    struct limits_lease *lease, int64_t now_ms);

/*
 * The same, and a reservation from the month's budget of 'parallel_who'
 * ('budget' NULL: none), which needs a lease. A reservation of 0 still needs
 * something left of the budget.
 */
enum limits_result limits_take_budget(struct limits *, struct limits_window *,
    size_t n, uint64_t parallel_who, int64_t parallel, struct limits_budget *,
    struct limits_lease *lease, int64_t now_ms);

/*
 * What was counted after LIMITS_UNCOUNTED, from what is written down. 0, or -1
 * when use was written down meanwhile: ask and count again.
 */
int limits_budget_load(struct limits *, uint64_t who,
    const struct limits_budget *, int64_t eur, int64_t tokens);

/*
 * Around writing a use down: announce it before, settle it after. From there
 * on it counts instead of what the lease had reserved. To be called whether
 * there is a budget or not: one may be set at any time.
 */
void limits_budget_announce(struct limits *, const struct limits_lease *);
void
limits_budget_settle(struct limits *, uint64_t who, const struct limits_lease *,
    int64_t month, uint64_t basis, int64_t eur, int64_t tokens);

/* Fills in what is left; LIMITS_ADMITTED, or why it could not. */
enum limits_result
limits_budget_look(struct limits *, uint64_t who, struct limits_budget *);

/*
 * Forgets what shared memory knows of the use of 'who', when there is such
 * memory: the month is counted anew, and with 'windows' the windows of a key
 * begin afresh. For programs that have not opened it; root may. 0 or -1.
 */
int limits_forget(const char *run_dir, uint64_t who, int windows);

/*
 * The web server is about to start anew: until then (limits_now(), a minute
 * from now at most) responders ask clients to close their connections after an
 * answer. No limit, but this is the memory that they share. For programs that
 * have not opened it; root may. 1, 0 when there is no such memory, or -1.
 */
int limits_closing_set(const char *run_dir, int64_t until_ms);
/* Whether they are to be asked now; not where that cannot be read. */
int limits_closing(struct limits *, int64_t now_ms);

/* Fills in the windows and takes nothing. */
enum limits_result
limits_peek(struct limits *, struct limits_window *, size_t n, int64_t now_ms);

/*
 * The true cost of an admitted take is known: what was too much is given
 * back, what was missing is charged now (even over the limit).
 */
void limits_settle(struct limits *, const struct limits_window *, int64_t cost,
    int64_t now_ms);

/* Gives the place in flight back. An empty lease is fine. */
void limits_release(struct limits *, struct limits_lease *);

/*
 * Memory that bodies of requests hold, from before they are read: while they
 * wait in the web server until they are whole, and then in a process here.
 * What one of ours holds comes back when it dies, what waits when its client's
 * connection is seen to be gone (limits_body_sweep). 4,096 bodies at once.
 */
struct limits_body {
	/* Set by the caller. */
	uint64_t who;
	int64_t bytes; /* to be reserved */
	int64_t
	    share; /* of this 'who'; a larger one fits while it holds none */
	int64_t all; /* of everybody together */
	int64_t room; /* free where waiting bodies are kept */
	int waits; /* it is still to come */
	uint16_t port; /* its client's, when it waits; 0: not known */

	uint64_t ticket; /* filled in; 0: nothing is held */
};

/*
 * LIMITS_ADMITTED, LIMITS_PARALLEL (more than its share), LIMITS_REFUSED (more
 * than all, or than there is room) or LIMITS_BROKEN. What waits is counted
 * against 'room' as if nothing of it had come yet.
 */
enum limits_result
limits_body_take(struct limits *, struct limits_body *, int64_t now_ms);

/*
 * What waited has come whole, 'bytes' of it, and is this process's now. 0, or
 * -1 when there is no such ticket (any more).
 */
int limits_body_arrive(struct limits *, uint64_t ticket, int64_t bytes);

/* A ticket of 0, or one that is known no more, is fine. */
void limits_body_release(struct limits *, uint64_t ticket);

#define LIMITS_PORTS_SIZE (65536 / 8)
/*
 * Gives back what waits for a client whose connection is gone: 'ports' has a
 * bit for each port that a client is connected from, as seen after 'since_ms'.
 * NULL, and who has no port: what waits for more than a quarter of an hour.
 * Returns how many.
 */
int limits_body_sweep(struct limits *,
    const unsigned char ports[LIMITS_PORTS_SIZE], int64_t since_ms);

/* Requests in flight for 'who', in all processes that live. */
int64_t limits_parallel(struct limits *, uint64_t who);

/* Requests in flight for all together, in all processes that live. */
int64_t limits_in_flight(struct limits *);

/* 0 when the shared memory is usable, -1 when not; for /health/ready. */
int limits_check(struct limits *);

#endif
