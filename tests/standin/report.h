/*
 * report.h - what the stand-in received: the last requests, and counts that
 * tests can await. Requests to /standin/ itself are not counted.
 */
#ifndef STANDIN_REPORT_H
#define STANDIN_REPORT_H

#include <stddef.h>
#include <stdint.h>

#include <json-c/json.h>

#include "http.h"
#include "lib/secret.h"

#define REPORT_KEPT 1000
#define REPORT_BODY_KEPT (64 << 10)

enum report_state {
	REPORT_OPEN,
	REPORT_DONE,
	REPORT_ABORTED
};

/* One request, from its head's arrival on. */
struct record {
	uint64_t connection, on_connection;
	int64_t start_us, end_us;
	enum report_state state;
	unsigned char sha256[SECRET_DIGEST_LEN];
	size_t body_len;
	char *body; /* NULL when empty or above REPORT_BODY_KEPT */
	/* private */
	int counted;
	unsigned holders, generation;
	size_t head_len;
	char head[];
};

/*
 * A copy of 'head', to be given to report_end exactly once; NULL out of
 * memory. 'counted' is 0 for control requests, which are kept nowhere else.
 */
struct record *report_begin(struct view head, int counted);

/* The whole body, or what came of it. */
void report_body(struct record *, const char *, size_t n);

/* Gives the record back; its head is no longer to be looked at. */
void report_end(struct record *, enum report_state);

void report_connection(int opened);

/* Forgets all there was; what is still open is not counted any more. */
void report_reset(void);

/* JSON for /standin/stats and /standin/requests; to be put by the caller. */
struct json_object *report_stats(void);
struct json_object *report_requests(int64_t n, int with_bodies);

enum report_count {
	COUNT_OPEN,
	COUNT_ABORTED,
	COUNT_DONE,
	COUNT_REQUESTS
};

/* Awaits a count: 'open' exactly, the others at least. */
struct waiter {
	enum report_count what;
	int64_t n;
	void (*met)(struct waiter *); /* called once; it is then forgotten */
	struct waiter *next, **before; /* private */
};

/* 1 when the count is met already (and nothing is awaited), else 0. */
int report_wait(struct waiter *);
void report_forget(struct waiter *);

#endif
