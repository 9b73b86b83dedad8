/*
 * metrics.h - counts since boot for a monitoring system, shared by all
 * processes in RUN_DIR/metrics and written out as OpenMetrics text. Nothing is
 * locked; a count costs one atomic addition. All functions are thread-safe.
 */
#ifndef PMPROXY_METRICS_H
#define PMPROXY_METRICS_H

#include <stdint.h>

#include "buf.h"

struct metrics;

enum metrics_counter {
	METRICS_REQUESTS_1XX, /* by the first digit of the status */
	METRICS_REQUESTS_2XX,
	METRICS_REQUESTS_3XX,
	METRICS_REQUESTS_4XX,
	METRICS_REQUESTS_5XX,
	METRICS_TOKENS_PROMPT,
	METRICS_TOKENS_COMPLETION,
	METRICS_TOKENS_CACHED,
	METRICS_REFUSED_REQUESTS, /* by the window of all together */
	METRICS_REFUSED_KEY_REQUESTS,
	METRICS_REFUSED_KEY_TOKENS,
	METRICS_REFUSED_PARALLEL,
	METRICS_REFUSED_BUDGET,
	METRICS_REFUSED_ADDRESS,
	METRICS_REFUSED_FAILED_AUTH,
	METRICS_REFUSED_OVERLOAD,
	METRICS_JOURNAL_ERRORS,
	METRICS_COUNTER__MAX
};

enum metrics_histogram {
	METRICS_DURATION,
	METRICS_FIRST_BYTE,
	METRICS_HISTOGRAM__MAX
};

/* NULL after logging. */
struct metrics *metrics_open(const char *run_dir);
void metrics_close(struct metrics *);

void metrics_add(struct metrics *, enum metrics_counter, int64_t n);
void metrics_observe(struct metrics *, enum metrics_histogram, int64_t ms);

/*
 * Counts for one key by its id, for the first 1,024 keys; further ones count
 * as "other".
 */
void metrics_add_key(
    struct metrics *, const char *key_id, int64_t requests, int64_t tokens);

/*
 * Takes a key's counts and its id out: here, or in the file of 'run_dir' when
 * there is one (0 or -1), which root may as well. The place stays empty.
 */
void metrics_forget_key(struct metrics *, const char *key_id);
int metrics_forget(const char *run_dir, const char *key_id);

/*
 * Appends all of it, without the end mark: the caller may have gauges of its
 * own. 'keys': the counts by key as well. 0, or -1 when the buffer is full.
 */
int metrics_write(struct metrics *, struct buf *, int keys);

#endif
