/*
 * The rules of limits.h in one process. Time is a parameter: nothing sleeps.
 * See check_limits_shared.c for what several processes and threads do together,
 * and check_limits_file.c for what can happen to the file.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/limits.h"
#include "lib/limits_internal.h"
#include "tests/unit/limits_dir.h"

static void
setup(void)
{
	limits_dir_setup(64);
}

static struct limits_window
window(enum limits_table table, uint64_t who, int64_t limit, int64_t window_ms)
{
	struct limits_window w = { table, who, limit, window_ms, 1, -1, -1, -1,
		-1 };

	return w;
}

static enum limits_result
take(struct limits_window *w, int64_t now_ms)
{
	return limits_take(limits, w, 1, 0, 0, NULL, now_ms);
}

/* A time or a cost, all of which an unsigned can tell. */
static int64_t
below(int64_t n)
{
	return random_below((unsigned)n);
}

START_TEST(a_window_is_exact_to_the_millisecond)
{
	struct limits_window w = window(LIMITS_KEY_REQUESTS, 7, 3, MINUTE);

	ck_assert_int_eq(take(&w, T0), LIMITS_ADMITTED);
	ck_assert_int_eq(w.remaining, 2);
	ck_assert_int_eq(w.reset_ms, MINUTE);
	ck_assert_int_eq(w.retry_ms, 0);
	ck_assert_int_eq(take(&w, T0 + 10), LIMITS_ADMITTED);
	ck_assert_int_eq(take(&w, T0 + 20), LIMITS_ADMITTED);
	ck_assert_int_eq(w.remaining, 0);
	ck_assert_int_eq(w.reset_ms, MINUTE);
	ck_assert_int_eq(take(&w, T0 + 30), LIMITS_REFUSED);
	ck_assert_int_eq(w.remaining, 0);
	ck_assert_int_eq(w.retry_ms, MINUTE - 30);
	ck_assert_int_eq(w.reset_ms, MINUTE - 10);
	ck_assert_int_eq(take(&w, T0 + MINUTE - 1), LIMITS_REFUSED);
	ck_assert_int_eq(w.retry_ms, 1);
	ck_assert_int_eq(take(&w, T0 + MINUTE), LIMITS_ADMITTED);
	ck_assert_int_eq(take(&w, T0 + MINUTE + 9), LIMITS_REFUSED);
	ck_assert_int_eq(w.retry_ms, 1);
	ck_assert_int_eq(take(&w, T0 + MINUTE + 10), LIMITS_ADMITTED);
}
END_TEST

START_TEST(peek_takes_nothing_and_says_what_take_would)
{
	struct limits_window w = window(LIMITS_FAILED_AUTH, 7, 2, MINUTE);
	int i;

	for (i = 0; i < 5; i++) {
		ck_assert_int_eq(
		    limits_peek(limits, &w, 1, T0), LIMITS_ADMITTED);
		ck_assert_int_eq(w.remaining, 2);
		ck_assert_int_eq(w.reset_ms, 0);
	}
	ck_assert_int_eq(take(&w, T0), LIMITS_ADMITTED);
	ck_assert_int_eq(take(&w, T0 + 1), LIMITS_ADMITTED);
	ck_assert_int_eq(limits_peek(limits, &w, 1, T0 + 2), LIMITS_REFUSED);
	ck_assert_int_eq(w.retry_ms, MINUTE - 2);
}
END_TEST

START_TEST(nothing_is_counted_where_nothing_is_limited)
{
	struct limits_window w = window(LIMITS_GLOBAL, 0, 0, 0);
	int i;

	for (i = 0; i < 10; i++)
		ck_assert_int_eq(take(&w, T0), LIMITS_ADMITTED);
	ck_assert_int_eq(w.remaining, 0);
	w = window(LIMITS_GLOBAL, 0, 1, MINUTE);
	ck_assert_int_eq(take(&w, T0), LIMITS_ADMITTED);
}
END_TEST

START_TEST(what_makes_no_sense_is_never_admitted)
{
	struct limits_window w[9];
	int i;

	for (i = 0; i < 9; i++)
		w[i] = window(LIMITS_ADDRESS, (uint64_t)i, 5, MINUTE);
	ck_assert_int_eq(
	    limits_take(limits, w, 9, 0, 0, NULL, T0), LIMITS_BROKEN);
	w[1].who = 0; /* the same entry twice */
	ck_assert_int_eq(
	    limits_take(limits, w, 2, 0, 0, NULL, T0), LIMITS_BROKEN);
	w[0].limit = -1;
	ck_assert_int_eq(take(&w[0], T0), LIMITS_BROKEN);
	w[0] = window(LIMITS_TABLE__MAX, 0, 5, MINUTE);
	ck_assert_int_eq(take(&w[0], T0), LIMITS_BROKEN);
	w[0] = window(LIMITS_ADDRESS, 0, 5, 86400001);
	ck_assert_int_eq(take(&w[0], T0), LIMITS_BROKEN);
	w[0] = window(LIMITS_ADDRESS, 0, 5, MINUTE);
	w[0].cost = -1;
	ck_assert_int_eq(take(&w[0], T0), LIMITS_BROKEN);
}
END_TEST

/* All that was admitted, for comparison. */
struct model {
	int64_t at[100000], cost[100000];
	int n;
};

static int64_t
model_sum(const struct model *m, int64_t window_ms, int64_t now_ms)
{
	int64_t sum = 0;
	int i;

	for (i = m->n; i-- > 0 && now_ms - m->at[i] < window_ms;)
		sum += m->cost[i];
	return sum;
}

/* When 'cost' fits, from now. */
static int64_t
model_wait(const struct model *m, int64_t limit, int64_t cost,
    int64_t window_ms, int64_t now_ms)
{
	int64_t excess = model_sum(m, window_ms, now_ms) + cost - limit;
	int i;

	if (excess <= 0)
		return 0;
	for (i = 0; i < m->n; i++) {
		if (now_ms - m->at[i] >= window_ms)
			continue;
		if ((excess -= m->cost[i]) <= 0)
			return m->at[i] + window_ms - now_ms;
	}
	return -1;
}

static void
model_add(struct model *m, int64_t cost, int64_t now_ms)
{
	m->at[m->n] = now_ms;
	m->cost[m->n++] = cost;
}

/* Bursts and streams at about four times the limit; seldom, a pause. */
static int64_t
random_step(int64_t window_ms, int64_t limit)
{
	if (below(4 * limit) == 0)
		return below(window_ms * 2);
	if (below(2) == 0)
		return 0;
	return below(window_ms / limit + 2);
}

static const struct {
	enum limits_table table;
	int64_t limit, window_ms;
} exact[] = {
	{ LIMITS_KEY_REQUESTS, 1, 1000 },
	{ LIMITS_KEY_REQUESTS, 2, 1000 },
	{ LIMITS_KEY_REQUESTS, 20, MINUTE },
	{ LIMITS_ADDRESS, 127, MINUTE },
	{ LIMITS_ADDRESS, 128, MINUTE },
	{ LIMITS_FAILED_AUTH, 32, 900000 },
	{ LIMITS_GLOBAL, 1000, 10000 },
	{ LIMITS_GLOBAL, 2500, 86400000 },
};

START_TEST(with_a_pair_for_each_it_decides_as_an_exact_log)
{
	struct limits_window w =
	    window(exact[_i].table, 99, exact[_i].limit, exact[_i].window_ms);
	struct model *m = calloc(1, sizeof(*m));
	int64_t now = T0, wait, sum;
	int i;

	ck_assert_ptr_nonnull(m);
	random_start(20261122 + (unsigned)_i);
	for (i = 0; i < 12000; i++) {
		now += random_step(w.window_ms, w.limit);
		wait = model_wait(m, w.limit, 1, w.window_ms, now);
		ck_assert_int_eq(take(&w, now),
		    wait == 0 ? LIMITS_ADMITTED : LIMITS_REFUSED);
		ck_assert_int_eq(w.retry_ms, wait);
		if (wait == 0)
			model_add(m, 1, now);
		sum = model_sum(m, w.window_ms, now);
		ck_assert_int_eq(w.remaining, w.limit - sum);
		ck_assert_int_eq(w.reset_ms,
		    m->at[m->n - 1] + w.window_ms > now && sum > 0
			? m->at[m->n - 1] + w.window_ms - now
			: 0);
	}
	ck_assert_int_gt(m->n, w.limit);
	ck_assert_int_lt(m->n, 12000);
	free(m);
}
END_TEST

static const struct {
	enum limits_table table;
	int64_t limit, window_ms, cost;
} merged[] = {
	{ LIMITS_FAILED_AUTH, 33, MINUTE, 1 },
	{ LIMITS_FAILED_AUTH, 1000, MINUTE, 1 },
	{ LIMITS_FAILED_AUTH, 200, 1000, 1 },
	{ LIMITS_FAILED_AUTH, 40, 20, 1 },
	{ LIMITS_KEY_REQUESTS, 1500, MINUTE, 1 },
	{ LIMITS_ADDRESS, 3000, 3600000, 1 },
	{ LIMITS_KEY_TOKENS, 100000, MINUTE, 600 },
	{ LIMITS_GLOBAL, 9000, MINUTE, 1 },
};

/*
 * More admissions than pairs: never more than the limit in any window, the
 * first ones at once, and nobody waits longer than a part of the window.
 */
START_TEST(with_fewer_pairs_it_errs_by_a_part_and_to_the_safe_side)
{
	struct limits_window w = window(
	    merged[_i].table, 99, merged[_i].limit, merged[_i].window_ms);
	int64_t parts = limits_geometry[w.table].pairs - 1;
	int64_t part = (w.window_ms + parts - 1) / parts, now = T0;
	struct model *m = calloc(1, sizeof(*m));
	int i, refused = 0;

	ck_assert_ptr_nonnull(m);
	random_start(20261122 + (unsigned)_i);
	for (i = 0; i < 20000; i++) {
		now += random_step(
		    w.window_ms, 2 * w.limit / (1 + merged[_i].cost));
		w.cost = 1 + below(merged[_i].cost);
		if (take(&w, now) == LIMITS_ADMITTED) {
			model_add(m, w.cost, now);
			ck_assert_int_le(
			    model_sum(m, w.window_ms, now), w.limit);
			continue;
		}
		refused++;
		ck_assert_int_gt(
		    model_sum(m, w.window_ms + part, now) + w.cost, w.limit);
		/* What it says about coming back is what it then does. */
		if (refused % 16 != 0)
			continue;
		now += w.retry_ms - 1;
		ck_assert_int_eq(take(&w, now), LIMITS_REFUSED);
		ck_assert_int_eq(w.retry_ms, 1);
		ck_assert_int_eq(take(&w, ++now), LIMITS_ADMITTED);
		model_add(m, w.cost, now);
		ck_assert_int_le(model_sum(m, w.window_ms, now), w.limit);
	}
	ck_assert_int_gt(refused, 0);
	free(m);
}
END_TEST

START_TEST(the_first_ones_are_admitted_at_once)
{
	struct limits_window w = window(LIMITS_KEY_REQUESTS, 5, 10000, MINUTE);
	int i;

	for (i = 0; i < 10000; i++)
		ck_assert_int_eq(take(&w, T0 + i / 2), LIMITS_ADMITTED);
	ck_assert_int_eq(take(&w, T0 + 5000), LIMITS_REFUSED);
}
END_TEST

START_TEST(what_comes_at_one_time_takes_one_pair)
{
	struct limits_window w = window(LIMITS_ADDRESS, 5, 200, MINUTE);
	int i;

	for (i = 0; i < 200; i++)
		ck_assert_int_eq(take(&w, T0 + i / 100), LIMITS_ADMITTED);
	for (i = 0; i < 100; i++)
		ck_assert_int_eq(take(&w, T0 + MINUTE), LIMITS_ADMITTED);
	ck_assert_int_eq(take(&w, T0 + MINUTE), LIMITS_REFUSED);
	ck_assert_int_eq(w.retry_ms, 1);
}
END_TEST

START_TEST(all_windows_or_none)
{
	struct limits_window w[3] = {
		window(LIMITS_GLOBAL, 0, 100, MINUTE),
		window(LIMITS_ADDRESS, 1, 2, MINUTE),
		window(LIMITS_KEY_REQUESTS, 2, 50, MINUTE),
	};
	struct limits_lease lease = { 0 };
	int i;

	for (i = 0; i < 2; i++) {
		ck_assert_int_eq(limits_take(limits, w, 3, 9, 0, &lease, T0),
		    LIMITS_ADMITTED);
		limits_release(limits, &lease);
	}
	for (i = 0; i < 200; i++)
		ck_assert_int_eq(
		    limits_take(limits, w, 3, 9, 0, &lease, T0 + 1),
		    LIMITS_REFUSED);
	ck_assert_int_eq(lease.slot, 0);
	ck_assert_int_eq(limits_parallel(limits, 9), 0);
	ck_assert_int_eq(w[0].remaining, 98);
	ck_assert_int_eq(w[0].retry_ms, 0);
	ck_assert_int_eq(w[1].remaining, 0);
	ck_assert_int_eq(w[1].retry_ms, MINUTE - 1);
	ck_assert_int_eq(w[2].remaining, 48);
	ck_assert_int_eq(w[2].retry_ms, 0);
}
END_TEST

START_TEST(a_refused_place_in_flight_takes_from_no_window)
{
	struct limits_window w = window(LIMITS_KEY_REQUESTS, 2, 5, MINUTE);
	struct limits_lease a = { 0 }, b = { 0 };

	ck_assert_int_eq(
	    limits_take(limits, &w, 1, 9, 1, &a, T0), LIMITS_ADMITTED);
	ck_assert_int_eq(
	    limits_take(limits, &w, 1, 9, 1, &b, T0), LIMITS_PARALLEL);
	ck_assert_int_eq(w.remaining, 4);
	ck_assert_int_eq(w.retry_ms, 0);
	limits_release(limits, &a);
	limits_release(limits, &a);
	ck_assert_int_eq(
	    limits_take(limits, &w, 1, 9, 1, &b, T0), LIMITS_ADMITTED);
	ck_assert_int_eq(limits_parallel(limits, 9), 1);
	/* Others, and a lease without a limit. */
	ck_assert_int_eq(
	    limits_take(limits, NULL, 0, 0, 0, &a, T0), LIMITS_ADMITTED);
	ck_assert_int_eq(limits_parallel(limits, 0), 1);
	ck_assert_int_eq(limits_parallel(limits, 9), 1);
}
END_TEST

START_TEST(more_leases_than_slots_are_refused)
{
	struct limits_lease lease[65] = { { 0 } };
	int i;

	for (i = 0; i < 64; i++)
		ck_assert_int_eq(
		    limits_take(limits, NULL, 0, 3, 0, &lease[i], T0),
		    LIMITS_ADMITTED);
	ck_assert_int_eq(limits_parallel(limits, 3), 64);
	ck_assert_int_eq(
	    limits_take(limits, NULL, 0, 3, 0, &lease[64], T0), LIMITS_BROKEN);
	limits_release(limits, &lease[10]);
	ck_assert_int_eq(limits_take(limits, NULL, 0, 3, 64, &lease[64], T0),
	    LIMITS_ADMITTED);
	ck_assert_ptr_null(limits_open(dir, LIMITS_LEASES + 1));
}
END_TEST

START_TEST(settling_follows_an_exact_log)
{
	struct limits_window w = window(LIMITS_KEY_TOKENS, 4, 5000, MINUTE);
	struct limits_window open[8];
	struct model *m = calloc(1, sizeof(*m));
	int64_t now = T0, wait, cost;
	int i, j, at[8], n = 0;

	ck_assert_ptr_nonnull(m);
	for (i = 0; i < 20000; i++) {
		/* At most 64 a minute: each has a pair of its own. */
		now += 950 + below(4000);
		w.cost = below(1200);
		wait = model_wait(m, w.limit, w.cost, w.window_ms, now);
		ck_assert_int_eq(take(&w, now),
		    wait == 0 ? LIMITS_ADMITTED : LIMITS_REFUSED);
		ck_assert_int_eq(w.retry_ms, wait);
		if (wait == 0) {
			model_add(m, w.cost, now);
			open[n] = w;
			at[n++] = m->n - 1;
		}
		if (n < 8 && below(3) > 0)
			continue;
		while (n > 0) {
			j = (int)below(n--);
			now += below(20);
			cost = below(2) * below(3000);
			limits_settle(limits, &open[j], cost, now);
			if (cost < open[j].cost) {
				m->cost[at[j]] = cost;
			} else if (cost > open[j].cost) {
				model_add(m, cost - open[j].cost, now);
			}
			open[j] = open[n];
			at[j] = at[n];
		}
	}
	ck_assert_int_gt(m->n, 5000);
	free(m);
}
END_TEST

START_TEST(settling_late_gives_nothing_back)
{
	struct limits_window w = window(LIMITS_KEY_TOKENS, 4, 100, MINUTE);
	struct limits_window first;

	w.cost = 100;
	ck_assert_int_eq(take(&w, T0), LIMITS_ADMITTED);
	first = w;
	ck_assert_int_eq(take(&w, T0 + MINUTE), LIMITS_ADMITTED);
	limits_settle(limits, &first, 0, T0 + MINUTE + 1);
	ck_assert_int_eq(take(&w, T0 + MINUTE + 2), LIMITS_REFUSED);
	limits_settle(limits, &w, 0, T0 + MINUTE + 3); /* never taken */
	ck_assert_int_eq(
	    limits_peek(limits, &w, 1, T0 + MINUTE + 4), LIMITS_REFUSED);
}
END_TEST

START_TEST(settling_twice_takes_from_nobody_else)
{
	struct limits_window w = window(LIMITS_KEY_TOKENS, 4, 100, MINUTE);
	struct limits_window first;

	w.cost = 50;
	ck_assert_int_eq(take(&w, T0), LIMITS_ADMITTED);
	first = w;
	ck_assert_int_eq(take(&w, T0 + 1), LIMITS_ADMITTED);
	limits_settle(limits, &first, 0, T0 + 2);
	limits_settle(limits, &first, 0, T0 + 3);
	ck_assert_int_eq(limits_peek(limits, &w, 1, T0 + 4), LIMITS_ADMITTED);
	ck_assert_int_eq(w.remaining, 50);
}
END_TEST

START_TEST(what_was_given_back_takes_no_pair)
{
	struct limits_window w = window(LIMITS_FAILED_AUTH, 4, 32, MINUTE);
	struct limits_window back;
	int64_t i;

	for (i = 0; i < 30; i++) {
		back = w;
		ck_assert_int_eq(take(&back, T0 + i), LIMITS_ADMITTED);
		limits_settle(limits, &back, 0, T0 + i);
	}
	/* 32 pairs are room for these 32, each at its own time. */
	for (i = 0; i < 32; i++)
		ck_assert_int_eq(take(&w, T0 + 100 + i), LIMITS_ADMITTED);
	for (i = 0; i < 32; i++) {
		ck_assert_int_eq(
		    take(&w, T0 + MINUTE + 99 + i), LIMITS_REFUSED);
		ck_assert_int_eq(w.retry_ms, 1);
		ck_assert_int_eq(
		    take(&w, T0 + MINUTE + 100 + i), LIMITS_ADMITTED);
	}
}
END_TEST

START_TEST(what_was_missing_is_charged_over_the_limit)
{
	struct limits_window w = window(LIMITS_KEY_TOKENS, 4, 100, MINUTE);

	w.cost = 10;
	ck_assert_int_eq(take(&w, T0), LIMITS_ADMITTED);
	limits_settle(limits, &w, 1000, T0 + 500);
	w.cost = 1;
	ck_assert_int_eq(take(&w, T0 + MINUTE), LIMITS_REFUSED);
	ck_assert_int_eq(w.remaining, 0);
	ck_assert_int_eq(w.retry_ms, 500);
	ck_assert_int_eq(take(&w, T0 + MINUTE + 500), LIMITS_ADMITTED);
	/* An absurd count fills it up and does no more. */
	limits_settle(limits, &w, INT64_MAX, T0 + MINUTE + 500);
	limits_settle(limits, &w, INT64_MAX, T0 + MINUTE + 501);
	w.limit = INT64_MAX;
	ck_assert_int_eq(take(&w, T0 + 2 * MINUTE), LIMITS_REFUSED);
	ck_assert_int_eq(take(&w, T0 + 2 * MINUTE + 501), LIMITS_ADMITTED);
}
END_TEST

START_TEST(a_cost_over_the_limit_needs_an_empty_window)
{
	struct limits_window w = window(LIMITS_KEY_TOKENS, 4, 100, MINUTE);

	w.cost = 5000;
	ck_assert_int_eq(take(&w, T0), LIMITS_ADMITTED);
	ck_assert_int_eq(w.remaining, 0);
	w.cost = 1;
	ck_assert_int_eq(take(&w, T0 + 1), LIMITS_REFUSED);
	ck_assert_int_eq(take(&w, T0 + MINUTE), LIMITS_ADMITTED);
	w.cost = 5000;
	ck_assert_int_eq(take(&w, T0 + MINUTE + 1), LIMITS_REFUSED);
	ck_assert_int_eq(w.retry_ms, MINUTE - 1);
	ck_assert_int_eq(take(&w, T0 + 2 * MINUTE), LIMITS_ADMITTED);
	/* Charged as the limit: settled, it gives back only that. */
	limits_settle(limits, &w, 40, T0 + 2 * MINUTE + 1);
	w.cost = 61;
	ck_assert_int_eq(take(&w, T0 + 2 * MINUTE + 2), LIMITS_REFUSED);
	w.cost = 60;
	ck_assert_int_eq(take(&w, T0 + 2 * MINUTE + 2), LIMITS_ADMITTED);
}
END_TEST

START_TEST(a_changed_limit_is_in_force_at_once)
{
	struct limits_window w = window(LIMITS_KEY_REQUESTS, 8, 4, MINUTE);
	int i;

	for (i = 0; i < 4; i++)
		ck_assert_int_eq(take(&w, T0 + i), LIMITS_ADMITTED);
	w.limit = 6;
	ck_assert_int_eq(take(&w, T0 + 4), LIMITS_ADMITTED);
	ck_assert_int_eq(take(&w, T0 + 5), LIMITS_ADMITTED);
	ck_assert_int_eq(take(&w, T0 + 6), LIMITS_REFUSED);
	w.limit = 2;
	ck_assert_int_eq(take(&w, T0 + MINUTE + 3), LIMITS_REFUSED);
	ck_assert_int_eq(w.retry_ms, 1);
	ck_assert_int_eq(w.remaining, 0);
	ck_assert_int_eq(take(&w, T0 + MINUTE + 4), LIMITS_ADMITTED);
	/* A shorter window forgets sooner, a longer one later. */
	w = window(LIMITS_KEY_REQUESTS, 9, 1, MINUTE);
	ck_assert_int_eq(take(&w, T0), LIMITS_ADMITTED);
	w.window_ms = 2 * MINUTE;
	ck_assert_int_eq(take(&w, T0 + MINUTE), LIMITS_REFUSED);
	ck_assert_int_eq(w.retry_ms, MINUTE);
	w.window_ms = 1000;
	ck_assert_int_eq(take(&w, T0 + MINUTE), LIMITS_ADMITTED);
}
END_TEST

START_TEST(time_that_wraps_or_lies_ahead_does_no_harm)
{
	struct limits_window w = window(LIMITS_KEY_REQUESTS, 8, 1, MINUTE);
	int64_t wrap = INT64_C(1) << 32;

	ck_assert_int_eq(take(&w, T0), LIMITS_ADMITTED);
	ck_assert_int_eq(take(&w, T0 + wrap), LIMITS_ADMITTED);
	/* A thread that read the clock first and got the lock later. */
	ck_assert_int_eq(take(&w, T0 + wrap - 5), LIMITS_REFUSED);
	ck_assert_int_eq(w.retry_ms, MINUTE + 5);
	/* Across the wrap itself. */
	w.who = 9;
	ck_assert_int_eq(take(&w, wrap - 3), LIMITS_ADMITTED);
	ck_assert_int_eq(take(&w, wrap + MINUTE - 4), LIMITS_REFUSED);
	ck_assert_int_eq(take(&w, wrap + MINUTE - 3), LIMITS_ADMITTED);
	/* A thread that was stopped for windows in between. */
	w.who = 11;
	ck_assert_int_eq(take(&w, T0 + 100 * MINUTE), LIMITS_ADMITTED);
	ck_assert_int_eq(take(&w, T0), LIMITS_REFUSED);
	ck_assert_int_eq(take(&w, T0 + 101 * MINUTE - 1), LIMITS_REFUSED);
	ck_assert_int_eq(take(&w, T0 + 101 * MINUTE), LIMITS_ADMITTED);
	/* One that looked, and took nothing, still was there. */
	w.who = 12;
	ck_assert_int_eq(take(&w, T0), LIMITS_ADMITTED);
	ck_assert_int_eq(
	    limits_peek(limits, &w, 1, T0 + MINUTE), LIMITS_ADMITTED);
	ck_assert_int_eq(take(&w, T0 + MINUTE - 1), LIMITS_ADMITTED);
	ck_assert_int_eq(w.taken_at, T0 + MINUTE);
	/* More than a day ahead is damage: a window, not for ever. */
	w.who = 10;
	ck_assert_int_eq(take(&w, T0 + 1441 * MINUTE), LIMITS_ADMITTED);
	ck_assert_int_eq(take(&w, T0), LIMITS_REFUSED);
	ck_assert_int_eq(w.retry_ms, MINUTE);
	ck_assert_int_eq(take(&w, T0 + MINUTE - 1), LIMITS_REFUSED);
	ck_assert_int_eq(take(&w, T0 + MINUTE), LIMITS_ADMITTED);
}
END_TEST

/* A sanitizer takes thirty times as long. */
#define FLOOD (SANITIZED ? 100000 : 1000000)

START_TEST(a_flood_never_frees_a_limited_address)
{
	struct limits_window limited[4], w;
	uint64_t who;
	int i, j;

	for (i = 0; i < 4; i++) {
		limited[i] = window(LIMITS_ADDRESS, (uint64_t)i + 1, 3, MINUTE);
		for (j = 0; j < 3; j++)
			ck_assert_int_eq(
			    take(&limited[i], T0), LIMITS_ADMITTED);
	}
	for (who = 100; who < 100 + FLOOD; who++) {
		w = window(LIMITS_ADDRESS, who * UINT64_C(0x2545f4914f6cdd1d),
		    3, MINUTE);
		ck_assert_int_eq(take(&w, T0 + (int64_t)who * 50000 / FLOOD),
		    LIMITS_ADMITTED);
		if (who % (FLOOD / 100) == 0)
			for (i = 0; i < 4; i++)
				ck_assert_int_eq(
				    take(&limited[i],
					T0 + (int64_t)who * 50000 / FLOOD),
				    LIMITS_REFUSED);
	}
	for (i = 0; i < 4; i++) {
		ck_assert_int_eq(
		    take(&limited[i], T0 + MINUTE - 1), LIMITS_REFUSED);
		ck_assert_int_eq(
		    take(&limited[i], T0 + MINUTE), LIMITS_ADMITTED);
	}
}
END_TEST

START_TEST(a_flood_of_one_kind_evicts_none_of_another)
{
	struct limits_window w;
	enum limits_table table;
	uint64_t who;

	for (table = 0; table < LIMITS_TABLE__MAX; table++)
		for (who = 1; who <= 16 && (int)table != _i; who++) {
			w = window(table, who, 3, MINUTE);
			ck_assert_int_eq(take(&w, T0), LIMITS_ADMITTED);
		}
	for (who = 100; who < 100 + FLOOD / 20; who++) {
		w = window((enum limits_table)_i, who, 3, MINUTE);
		ck_assert_int_eq(take(&w, T0 + 1), LIMITS_ADMITTED);
	}
	for (table = 0; table < LIMITS_TABLE__MAX; table++)
		for (who = 1; who <= 16 && (int)table != _i; who++) {
			w = window(table, who, 3, MINUTE);
			ck_assert_int_eq(take(&w, T0 + 2), LIMITS_ADMITTED);
			ck_assert_int_eq(w.remaining, 1);
		}
}
END_TEST

/* Seventeen who meet in one bucket of sixteen. */
static void
neighbours(enum limits_table table, uint64_t who[LIMITS_WAYS + 1])
{
	uint64_t candidate;
	struct limits_seat a = { .table = table }, b = { .table = table };
	size_t n = 0;

	a.who = 1;
	limits_table_seat(limits->map.header, &a, 1, T0);
	for (candidate = 1; n <= LIMITS_WAYS; candidate++) {
		b.who = candidate;
		limits_table_seat(limits->map.header, &b, 1, T0);
		if (a.bucket == b.bucket)
			who[n++] = candidate;
	}
}

START_TEST(the_longest_unused_makes_room)
{
	uint64_t who[LIMITS_WAYS + 1];
	struct limits_window w;
	size_t i;

	neighbours(LIMITS_ADDRESS, who);
	for (i = 0; i < LIMITS_WAYS; i++) {
		w = window(LIMITS_ADDRESS, who[i], 3, MINUTE);
		ck_assert_int_eq(take(&w, T0 + (int64_t)i), LIMITS_ADMITTED);
	}
	/* 0 is full, 1 was used again: 2 is the one. */
	w = window(LIMITS_ADDRESS, who[0], 3, MINUTE);
	w.cost = 2;
	ck_assert_int_eq(take(&w, T0), LIMITS_ADMITTED);
	w = window(LIMITS_ADDRESS, who[1], 3, MINUTE);
	ck_assert_int_eq(take(&w, T0 + 20), LIMITS_ADMITTED);
	w = window(LIMITS_ADDRESS, who[LIMITS_WAYS], 3, MINUTE);
	ck_assert_int_eq(take(&w, T0 + 21), LIMITS_ADMITTED);
	for (i = 0; i < LIMITS_WAYS + 1; i++) {
		w = window(LIMITS_ADDRESS, who[i], 3, MINUTE);
		(void)limits_peek(limits, &w, 1, T0 + 22);
		ck_assert_int_eq(w.remaining,
		    i == 0       ? 0
			: i == 1 ? 1
			: i == 2 ? 3
				 : 2);
	}
}
END_TEST

START_TEST(nobody_limited_makes_room)
{
	uint64_t who[LIMITS_WAYS + 1];
	struct limits_window w;
	size_t i;

	neighbours(LIMITS_FAILED_AUTH, who);
	for (i = 0; i < LIMITS_WAYS; i++) {
		w = window(LIMITS_FAILED_AUTH, who[i], 1, MINUTE);
		ck_assert_int_eq(
		    take(&w, T0 + 100 * (int64_t)(i + 1)), LIMITS_ADMITTED);
	}
	w = window(LIMITS_FAILED_AUTH, who[LIMITS_WAYS], 1, MINUTE);
	ck_assert_int_eq(limits_peek(limits, &w, 1, T0 + 2000), LIMITS_REFUSED);
	ck_assert_int_eq(take(&w, T0 + 2000), LIMITS_REFUSED);
	ck_assert_int_eq(w.retry_ms, MINUTE - 1900);
	ck_assert_int_eq(w.remaining, 0);
	ck_assert_int_eq(take(&w, T0 + MINUTE + 99), LIMITS_REFUSED);
	ck_assert_int_eq(take(&w, T0 + MINUTE + 100), LIMITS_ADMITTED);
	for (i = 1; i < LIMITS_WAYS; i++) {
		w = window(LIMITS_FAILED_AUTH, who[i], 1, MINUTE);
		ck_assert_int_eq(take(&w, T0 + MINUTE + 100), LIMITS_REFUSED);
	}
}
END_TEST

START_TEST(one_who_waits_for_a_big_cost_does_not_make_room)
{
	uint64_t who[LIMITS_WAYS + 1];
	struct limits_window w;
	size_t i;

	neighbours(LIMITS_KEY_TOKENS, who);
	w = window(LIMITS_KEY_TOKENS, who[0], 100, MINUTE);
	w.cost = 60;
	ck_assert_int_eq(take(&w, T0), LIMITS_ADMITTED);
	ck_assert_int_eq(take(&w, T0 + 1), LIMITS_REFUSED);
	/* All others were used later, so it would be the first to go. */
	w.cost = 1;
	for (i = 1; i < LIMITS_WAYS + 1; i++) {
		w.who = who[i];
		ck_assert_int_eq(
		    take(&w, T0 + 1 + (int64_t)i), LIMITS_ADMITTED);
	}
	w.who = who[0];
	w.cost = 60;
	ck_assert_int_eq(take(&w, T0 + MINUTE - 1), LIMITS_REFUSED);
	ck_assert_int_eq(take(&w, T0 + MINUTE), LIMITS_ADMITTED);
}
END_TEST

START_TEST(two_newcomers_in_one_take_get_an_entry_each)
{
	uint64_t who[LIMITS_WAYS + 1];
	struct limits_window w, two[2];
	size_t i;

	neighbours(LIMITS_ADDRESS, who);
	for (i = 0; i < LIMITS_WAYS - 1; i++) {
		w = window(LIMITS_ADDRESS, who[i], 2, MINUTE);
		ck_assert_int_eq(take(&w, T0), LIMITS_ADMITTED);
		/* All but the first are full, and one entry is empty. */
		if (i > 0)
			ck_assert_int_eq(take(&w, T0), LIMITS_ADMITTED);
	}
	two[0] = window(LIMITS_ADDRESS, who[LIMITS_WAYS], 2, MINUTE);
	two[1] = window(LIMITS_ADDRESS, who[LIMITS_WAYS - 1], 2, MINUTE);
	for (i = 0; i < 2; i++)
		ck_assert_int_eq(
		    limits_take(limits, two, 2, 0, 0, NULL, T0 + 1),
		    LIMITS_ADMITTED);
	ck_assert_int_eq(two[0].remaining, 0);
	ck_assert_int_eq(two[1].remaining, 0);
	/* The first one was evicted, and comes back to a full bucket. */
	w = window(LIMITS_ADDRESS, who[0], 2, MINUTE);
	ck_assert_int_eq(take(&w, T0 + 1), LIMITS_REFUSED);
}
END_TEST

START_TEST(a_refund_never_goes_to_the_next_owner)
{
	uint64_t who[LIMITS_WAYS + 1];
	struct limits_window w, mine;
	size_t i;

	neighbours(LIMITS_KEY_TOKENS, who);
	mine = window(LIMITS_KEY_TOKENS, who[0], 100, MINUTE);
	mine.cost = 50;
	ck_assert_int_eq(take(&mine, T0), LIMITS_ADMITTED);
	for (i = 1; i <= LIMITS_WAYS; i++) {
		w = window(LIMITS_KEY_TOKENS, who[i], 100, MINUTE);
		ck_assert_int_eq(take(&w, T0 + (int64_t)i), LIMITS_ADMITTED);
	}
	/* Evicted; then back with other requests, which the refund is not of. */
	w = window(LIMITS_KEY_TOKENS, who[0], 100, MINUTE);
	w.cost = 100;
	ck_assert_int_eq(take(&w, T0 + 100), LIMITS_ADMITTED);
	limits_settle(limits, &mine, 0, T0 + 101);
	w.cost = 1;
	ck_assert_int_eq(take(&w, T0 + 102), LIMITS_REFUSED);
}
END_TEST

static TCase *
window_cases(void)
{
	TCase *t = tcase_create("windows");

	tcase_add_checked_fixture(t, setup, limits_dir_teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_window_is_exact_to_the_millisecond);
	tcase_add_test(t, peek_takes_nothing_and_says_what_take_would);
	tcase_add_test(t, nothing_is_counted_where_nothing_is_limited);
	tcase_add_test(t, what_makes_no_sense_is_never_admitted);
	ADD_ROWS(t, with_a_pair_for_each_it_decides_as_an_exact_log, exact);
	ADD_ROWS(
	    t, with_fewer_pairs_it_errs_by_a_part_and_to_the_safe_side, merged);
	tcase_add_test(t, the_first_ones_are_admitted_at_once);
	tcase_add_test(t, what_comes_at_one_time_takes_one_pair);
	tcase_add_test(t, all_windows_or_none);
	tcase_add_test(t, a_refused_place_in_flight_takes_from_no_window);
	tcase_add_test(t, more_leases_than_slots_are_refused);
	tcase_add_test(t, settling_follows_an_exact_log);
	tcase_add_test(t, settling_late_gives_nothing_back);
	tcase_add_test(t, settling_twice_takes_from_nobody_else);
	tcase_add_test(t, what_was_given_back_takes_no_pair);
	tcase_add_test(t, what_was_missing_is_charged_over_the_limit);
	tcase_add_test(t, a_cost_over_the_limit_needs_an_empty_window);
	tcase_add_test(t, a_changed_limit_is_in_force_at_once);
	tcase_add_test(t, time_that_wraps_or_lies_ahead_does_no_harm);
	return t;
}

static TCase *
eviction_cases(void)
{
	TCase *t = tcase_create("eviction");

	tcase_add_checked_fixture(t, setup, limits_dir_teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_flood_never_frees_a_limited_address);
	tcase_add_loop_test(t, a_flood_of_one_kind_evicts_none_of_another, 0,
	    LIMITS_TABLE__MAX);
	tcase_add_test(t, the_longest_unused_makes_room);
	tcase_add_test(t, nobody_limited_makes_room);
	tcase_add_test(t, one_who_waits_for_a_big_cost_does_not_make_room);
	tcase_add_test(t, two_newcomers_in_one_take_get_an_entry_each);
	tcase_add_test(t, a_refund_never_goes_to_the_next_owner);
	return t;
}

int
main(void)
{
	return suite_run("limits", window_cases(), eviction_cases(), NULL);
}
