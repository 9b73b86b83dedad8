/*
 * The edges of limits.h: bounds of what is taken, damage and death where they
 * are rarest, and what a budget's tally makes of both.
 */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/limits.h"
#include "lib/limits_internal.h"
#include "tests/unit/limits_dir.h"

#define DAY INT64_C(86400000)
#define WHO UINT64_C(0x1234567890ab)

static void
setup(void)
{
	hush();
	limits_dir_setup(8);
}

static struct limits_window
window(enum limits_table table, uint64_t who, int64_t limit, int64_t window_ms)
{
	return (struct limits_window){ .table = table,
		.who = who,
		.limit = limit,
		.window_ms = window_ms,
		.cost = 1 };
}

static enum limits_result
take(struct limits_window *w, int64_t now_ms)
{
	return limits_take(limits, w, 1, 0, 0, NULL, now_ms);
}

/* --- bounds --- */

static const struct {
	const char *why;
	int64_t limit, window_ms, cost, now_ms;
	enum limits_result result;
} bounds[] = {
	{ "the shortest window", 1, 1, 1, T0, LIMITS_ADMITTED },
	{ "none at all", 1, 0, 1, T0, LIMITS_BROKEN },
	{ "the longest window", 1, DAY, 1, T0, LIMITS_ADMITTED },
	{ "a longer one", 1, DAY + 1, 1, T0, LIMITS_BROKEN },
	{ "what costs nothing", 1, MINUTE, 0, T0, LIMITS_ADMITTED },
	{ "what costs less", 1, MINUTE, -1, T0, LIMITS_BROKEN },
	{ "less than no limit", -1, MINUTE, 1, T0, LIMITS_BROKEN },
	{ "the first moment", 1, MINUTE, 1, 0, LIMITS_ADMITTED },
	{ "the moment before", 1, MINUTE, 1, -1, LIMITS_BROKEN },
};

START_TEST(a_window_has_bounds)
{
	struct limits_window w =
	    window(LIMITS_ADDRESS, 1, bounds[_i].limit, bounds[_i].window_ms);

	w.cost = bounds[_i].cost;
	ck_assert_msg(take(&w, bounds[_i].now_ms) == bounds[_i].result, "%s",
	    bounds[_i].why);
	ck_assert_msg(limits_peek(limits, &w, 1, bounds[_i].now_ms) ==
		(bounds[_i].result == LIMITS_BROKEN ? LIMITS_BROKEN
			: bounds[_i].cost == 0      ? LIMITS_ADMITTED
						    : LIMITS_REFUSED),
	    "%s", bounds[_i].why);
}
END_TEST

START_TEST(eight_windows_are_as_many_as_there_may_be)
{
	struct limits_window w[LIMITS_WINDOWS + 1];

	for (size_t i = 0; i <= LIMITS_WINDOWS; i++)
		w[i] = window(LIMITS_ADDRESS, i, 5, MINUTE);
	ck_assert_int_eq(limits_take(limits, w, LIMITS_WINDOWS, 0, 0, NULL, T0),
	    LIMITS_ADMITTED);
	for (size_t i = 0; i < LIMITS_WINDOWS; i++)
		ck_assert_int_eq(w[i].remaining, 4);
	ck_assert_int_eq(
	    limits_take(limits, w, LIMITS_WINDOWS + 1, 0, 0, NULL, T0),
	    LIMITS_BROKEN);
	ck_assert_int_eq(limits_peek(limits, w, 1, T0), LIMITS_ADMITTED);
	ck_assert_int_eq(w[0].remaining, 4);
}
END_TEST

/* One of another kind or of another holder is another one. */
START_TEST(windows_are_told_apart_by_kind_and_holder)
{
	struct limits_window w[] = {
		window(LIMITS_ADDRESS, 7, 5, MINUTE),
		window(LIMITS_FAILED_AUTH, 7, 5, MINUTE),
		window(LIMITS_ADDRESS, 8, 5, MINUTE),
		window(LIMITS_ADDRESS, 9, 0, MINUTE), /* not limited */
		window(LIMITS_ADDRESS, 9, 0, MINUTE),
	};

	ck_assert_int_eq(
	    limits_take(limits, w, 5, 0, 0, NULL, T0), LIMITS_ADMITTED);
	ck_assert_int_eq(
	    limits_take(limits, w, 5, 0, 0, NULL, T0), LIMITS_ADMITTED);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(w[i].remaining, 3);
}
END_TEST

START_TEST(a_settlement_that_makes_no_sense_changes_nothing)
{
	struct limits_window w = window(LIMITS_KEY_TOKENS, 4, 100, MINUTE), odd;

	w.cost = 60;
	ck_assert_int_eq(take(&w, T0), LIMITS_ADMITTED);
	limits_settle(limits, &w, -1, T0);
	limits_settle(limits, &w, 0, -1);
	limits_settle(limits, &w, 60, T0);
	odd = w;
	odd.window_ms = 0;
	limits_settle(limits, &odd, 0, T0);
	odd = w;
	odd.limit = 0;
	limits_settle(limits, &odd, 0, T0);
	ck_assert_int_eq(limits_peek(limits, &w, 1, T0), LIMITS_REFUSED);
	ck_assert_int_eq(w.remaining, 40);
	w.cost = 60;
	w.taken_at = T0;
	limits_settle(limits, &w, 59, T0);
	ck_assert_int_eq(limits_peek(limits, &w, 1, T0), LIMITS_REFUSED);
	ck_assert_int_eq(w.remaining, 41);
}
END_TEST

/* Far fewer than there is room for, so that none has to make room. */
static const struct {
	enum limits_table table;
	uint64_t n;
} crowds[] = {
	{ LIMITS_GLOBAL, 16 },
	{ LIMITS_KEY_REQUESTS, 1000 },
	{ LIMITS_KEY_TOKENS, 1000 },
	{ LIMITS_ADDRESS, 4000 },
	{ LIMITS_FAILED_AUTH, 2000 },
	{ LIMITS_LOGIN_ADDRESS, 250 },
	{ LIMITS_LOGIN_ALL, 16 },
};

START_TEST(each_of_a_crowd_is_remembered)
{
	for (int round = 0; round < 3; round++)
		for (uint64_t who = 1; who <= crowds[_i].n; who++) {
			struct limits_window w =
			    window(crowds[_i].table, who, 5, MINUTE);

			MUST(take(&w, T0 + round) == LIMITS_ADMITTED);
			MUST(w.remaining == 4 - round);
		}
}
END_TEST

/* --- places in flight --- */

START_TEST(places_of_all_are_counted)
{
	struct limits *second = limits_open(dir, 8);
	struct limits_lease lease[4];

	ck_assert_ptr_nonnull(second);
	ck_assert_int_eq(limits_in_flight(limits), 0);
	for (uint64_t i = 0; i < 4; i++)
		ck_assert_int_eq(limits_take(i < 3 ? limits : second, NULL, 0,
				     i / 2, 0, &lease[i], T0),
		    LIMITS_ADMITTED);
	ck_assert_int_eq(limits_in_flight(limits), 4);
	ck_assert_int_eq(limits_in_flight(second), 4);
	ck_assert_int_eq(limits_parallel(limits, 1), 4); /* 0 and 1 are one */
	ck_assert_int_eq(limits_parallel(limits, 2), 0);
	limits_release(limits, &lease[1]);
	ck_assert_int_eq(limits_in_flight(second), 3);
	limits_close(second);
	ck_assert_int_eq(limits_in_flight(limits), 2);
	limits->map.header->magic ^= 1;
	ck_assert_int_eq(limits_in_flight(limits), 0);
	ck_assert_int_eq(limits_parallel(limits, 1), 0);
	limits->map.header->magic ^= 1;
	ck_assert_int_eq(limits_in_flight(limits), 2);
}
END_TEST

START_TEST(as_many_places_as_one_process_may_have)
{
	struct limits *second = limits_open(dir, LIMITS_LEASES);
	struct limits_lease lease = { 0 };

	ck_assert_ptr_nonnull(second);
	for (uint32_t i = 0; i < LIMITS_LEASES; i++)
		ck_assert_int_eq(limits_take(second, NULL, 0, 3, 0, &lease, T0),
		    LIMITS_ADMITTED);
	ck_assert_int_eq(limits_parallel(limits, 3), LIMITS_LEASES);
	ck_assert_int_eq(
	    limits_take(second, NULL, 0, 3, 0, &lease, T0), LIMITS_BROKEN);
	limits_close(second);
	ck_assert_ptr_null(limits_open(dir, LIMITS_LEASES + 1));
	limits_close(NULL);
}
END_TEST

/* --- damage and death --- */

/* A child that dies with a lock; 0 leaves it to be repaired. */
static void
die_with(uint32_t lock)
{
	pid_t pid = fork();
	int status;

	ck_assert_int_ne(pid, -1);
	if (pid == 0)
		_exit(limits_shm_lock(limits->map.header, lock) != 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}

/* Nobody repaired what the dead left: nobody can have the lock any more. */
static void
ruin(uint32_t lock)
{
	pthread_mutex_t *mutex = &limits->map.header->lock[lock].mutex;

	die_with(lock);
	ck_assert_int_eq(pthread_mutex_lock(mutex), EOWNERDEAD);
	ck_assert_int_eq(pthread_mutex_unlock(mutex), 0);
}

static uint32_t
lock_of(int which)
{
	return which == 0 ? limits_table_lock(LIMITS_ADDRESS, 1)
	    : which == 1  ? limits_lease_lock(WHO)
			  : LIMITS_LOCK_GLOBAL;
}

static enum limits_result
take_all(struct limits_lease *lease, int64_t now_ms)
{
	struct limits_window w[] = {
		window(LIMITS_GLOBAL, 0, 100, MINUTE),
		window(LIMITS_ADDRESS, 1, 100, MINUTE),
	};

	return limits_take(limits, w, 2, WHO, 2, lease, now_ms);
}

/* Nothing is admitted past it, and no other lock stays taken. */
START_TEST(a_lock_beyond_repair_refuses_all)
{
	struct limits_lease lease;
	struct limits_window other = window(LIMITS_ADDRESS, 99, 5, MINUTE);

	ck_assert_int_eq(take_all(&lease, T0), LIMITS_ADMITTED);
	limits_release(limits, &lease);
	ruin(lock_of(_i));
	ck_assert_int_eq(take_all(&lease, T0), LIMITS_BROKEN);
	ck_assert_uint_eq(lease.slot, 0);
	ck_assert_int_eq(take(&other, T0), LIMITS_BROKEN);
	ck_assert_int_eq(limits_check(limits), -1);
	for (int i = 0; i < 3; i++) {
		pthread_mutex_t *mutex =
		    &limits->map.header->lock[lock_of(i)].mutex;

		if (i == _i)
			continue;
		ck_assert_int_eq(pthread_mutex_trylock(mutex), 0);
		ck_assert_int_eq(pthread_mutex_unlock(mutex), 0);
	}
	ck_assert_int_eq(unlink(file), 0);
	ck_assert_int_eq(limits_check(limits), 0);
	ck_assert_int_eq(take_all(&lease, T0), LIMITS_ADMITTED);
	limits_release(limits, &lease);
}
END_TEST

/* It shows where the lock is one that nobody can have. */
START_TEST(a_settlement_is_made_under_its_lock)
{
	struct limits_window w = window(LIMITS_KEY_TOKENS, 1, 5, MINUTE);

	ck_assert_int_eq(take(&w, T0), LIMITS_ADMITTED);
	ruin(limits_table_lock(LIMITS_KEY_TOKENS, 1));
	ck_assert_int_eq(limits_check(limits), 0);
	limits_settle(limits, &w, 3, T0);
	ck_assert_int_eq(limits_check(limits), -1);
}
END_TEST

START_TEST(what_cannot_be_forgotten_is_told)
{
	ck_assert_int_eq(limits_forget(dir, 5, 1), 0);
	ruin(_i == 0      ? limits_lease_lock(WHO)
		: _i == 1 ? limits_table_lock(LIMITS_KEY_REQUESTS, WHO)
			  : limits_table_lock(LIMITS_KEY_TOKENS, WHO));
	ck_assert_int_ne(limits_forget(dir, WHO, 1), 0);
}
END_TEST

START_TEST(a_time_before_all_time_is_mended)
{
	struct limits_window w = window(LIMITS_ADDRESS, 1, 2, MINUTE);
	struct limits_seat seat = { .table = LIMITS_ADDRESS, .who = 1 };

	ck_assert_int_eq(take(&w, T0), LIMITS_ADMITTED);
	limits_table_seat(limits->map.header, &seat, 1, T0);
	seat.entry->last_ms = INT64_MIN;
	ck_assert_int_eq(take(&w, T0 + 1), LIMITS_ADMITTED);
	ck_assert_int_eq(take(&w, T0 + 1), LIMITS_ADMITTED);
	ck_assert_int_eq(take(&w, T0 + 1), LIMITS_REFUSED);
	ck_assert_int_eq(take(&w, T0 + 1 + MINUTE), LIMITS_ADMITTED);
}
END_TEST

/* The sum is derived again, whichever table the dead one was in. */
START_TEST(a_death_makes_sums_anew)
{
	struct limits_window w = window((enum limits_table)_i, 1, 3, MINUTE);
	struct limits_seat seat = { .table = (enum limits_table)_i, .who = 1 };

	ck_assert_int_eq(take(&w, T0), LIMITS_ADMITTED);
	ck_assert_int_eq(take(&w, T0 + 1), LIMITS_ADMITTED);
	limits_table_seat(limits->map.header, &seat, 1, T0);
	seat.entry->sum = 0;
	die_with(limits_table_lock((enum limits_table)_i, 1));
	ck_assert_int_eq(take(&w, T0 + 2), LIMITS_ADMITTED);
	ck_assert_int_eq(take(&w, T0 + 2), LIMITS_REFUSED);
	ck_assert_int_eq(w.remaining, 0);
}
END_TEST

/* --- one ring --- */

#define PAIRS 8u

static struct limits_entry *
new_entry(void)
{
	struct limits_entry *e =
	    calloc(1, sizeof(*e) + PAIRS * sizeof(struct limits_pair));

	ck_assert_ptr_nonnull(e);
	limits_entry_reborn(e, MINUTE, T0);
	return e;
}

START_TEST(a_ring_gives_back_what_it_holds_and_no_more)
{
	struct limits_entry *e = new_entry();

	limits_entry_charge(e, PAIRS, 10, T0 + 10);
	limits_entry_charge(e, PAIRS, 0, T0 + 11);
	limits_entry_charge(e, PAIRS, 20, T0 + 20);
	ck_assert_int_eq(e->sum, 30);
	/* Before it was this one's; in the future; later than all in it. */
	limits_entry_refund(e, PAIRS, 5, T0 - 1, T0 + 30);
	limits_entry_refund(e, PAIRS, 5, T0 + 31, T0 + 30);
	limits_entry_refund(e, PAIRS, 5, T0 + 21, T0 + 30);
	ck_assert_int_eq(e->sum, 30);
	/* A window ago, and a moment less. */
	limits_entry_refund(e, PAIRS, 5, T0 + 10, T0 + 10 + MINUTE);
	ck_assert_int_eq(e->sum, 30);
	limits_entry_refund(e, PAIRS, 5, T0 + 10, T0 + 9 + MINUTE);
	ck_assert_int_eq(e->sum, 25);
	/* The first that is not before; never more than there is. */
	limits_entry_refund(e, PAIRS, 5, T0 + 11, T0 + 30);
	ck_assert_int_eq(e->sum, 20);
	limits_entry_refund(e, PAIRS, 100, T0 + 10, T0 + 30);
	ck_assert_int_eq(e->sum, 15);
	ck_assert_int_eq(limits_entry_reset(e, PAIRS, T0 + 30), MINUTE - 10);
	limits_entry_refund(e, PAIRS, 100, T0 + 20, T0 + 30);
	ck_assert_int_eq(e->sum, 0);
	ck_assert_int_eq(limits_entry_reset(e, PAIRS, T0 + 30), 0);
	ck_assert_int_eq(limits_entry_wait(e, PAIRS, 5, 5, T0 + 30), 0);
	/* More than the limit never fits: a window, rather than for ever. */
	ck_assert_int_eq(limits_entry_wait(e, PAIRS, 5, 6, T0 + 30), MINUTE);
	free(e);
}
END_TEST

START_TEST(a_ring_is_idle_when_all_has_left_it)
{
	struct limits_entry *e = new_entry();

	ck_assert_int_eq(limits_entry_idle(e, T0), 1);
	limits_entry_charge(e, PAIRS, 1, T0);
	ck_assert_int_eq(limits_entry_idle(e, T0 + MINUTE - 1), 0);
	ck_assert_int_eq(limits_entry_idle(e, T0 + MINUTE), 1);
	/* Held for two windows at most: more would be damage. */
	e->held_ms = T0 + 2 * MINUTE;
	ck_assert_int_eq(limits_entry_held(e, T0), 1);
	e->held_ms++;
	ck_assert_int_eq(limits_entry_held(e, T0), 0);
	ck_assert_int_eq(limits_entry_held(e, T0 + 1), 1);
	e->held_ms = T0 + 5;
	ck_assert_int_eq(limits_entry_held(e, T0 + 4), 1);
	ck_assert_int_eq(limits_entry_held(e, T0 + 5), 0);
	free(e);
}
END_TEST

/* --- budgets --- */

static struct limits_budget
budget(int64_t eur)
{
	return (struct limits_budget){ .month = 1, .basis = 7, .eur = eur };
}

static enum limits_result
look(uint64_t who, struct limits_budget *b)
{
	return limits_budget_look(limits, who, b);
}

static void
count_as(uint64_t who, int64_t eur)
{
	struct limits_budget b = budget(100);

	ck_assert_int_eq(look(who, &b), LIMITS_UNCOUNTED);
	ck_assert_int_eq(limits_budget_load(limits, who, &b, eur, 0), 0);
	ck_assert_int_eq(look(who, &b), LIMITS_ADMITTED);
	ck_assert_int_eq(b.left_eur, 100 - eur);
}

static enum limits_result
ask_at(uint64_t who, int64_t now_ms)
{
	struct limits_budget b = budget(100);
	struct limits_lease lease;
	enum limits_result result;

	result =
	    limits_take_budget(limits, NULL, 0, who, 0, &b, &lease, now_ms);
	limits_release(limits, &lease);
	return result;
}

/* All of one stripe; the one that was away longest is counted again. */
START_TEST(the_budget_longest_unused_makes_room)
{
	uint64_t who[LIMITS_WAYS + 1];
	int64_t now = limits_now() + MINUTE;

	for (uint64_t i = 0; i <= LIMITS_WAYS; i++)
		who[i] = WHO + i * LIMITS_STRIPES;
	for (uint64_t i = 0; i < LIMITS_WAYS; i++) {
		count_as(who[i], 1);
		ck_assert_int_eq(
		    ask_at(who[i], now + (int64_t)i), LIMITS_ADMITTED);
	}
	ck_assert_int_eq(ask_at(who[0], now + 100), LIMITS_ADMITTED);
	ck_assert_int_eq(ask_at(who[LIMITS_WAYS], now + 101), LIMITS_UNCOUNTED);
	for (uint64_t i = 0; i < LIMITS_WAYS; i++)
		if (i != 1)
			ck_assert_int_eq(ask_at(who[i], now + 102 + (int64_t)i),
			    LIMITS_ADMITTED);
	ck_assert_int_eq(ask_at(who[1], now + 200), LIMITS_UNCOUNTED);
	/* Another stripe is another room. */
	count_as(WHO + 1, 1);
	ck_assert_int_eq(ask_at(who[2], now + 201), LIMITS_ADMITTED);
}
END_TEST

/* Whoever died there may have been about to tally a use. */
START_TEST(a_death_under_its_lock_has_a_month_counted_anew)
{
	struct limits_budget b = budget(100);

	count_as(WHO, 10);
	count_as(WHO + LIMITS_STRIPES, 20); /* the same lock */
	count_as(WHO + 1, 30);
	die_with(limits_lease_lock(WHO));
	ck_assert_int_eq(look(WHO, &b), LIMITS_UNCOUNTED);
	ck_assert_int_eq(look(WHO + LIMITS_STRIPES, &b), LIMITS_UNCOUNTED);
	ck_assert_int_eq(look(WHO + 1, &b), LIMITS_ADMITTED);
	ck_assert_int_eq(b.left_eur, 70);
}
END_TEST

START_TEST(without_a_place_nothing_is_reserved_or_tallied)
{
	const struct limits_lease none = { 0 };
	struct limits_budget b = budget(100);

	count_as(WHO, 10);
	limits_budget_announce(limits, &none);
	limits_budget_settle(limits, WHO, &none, 1, 7, 50, 0);
	ck_assert_int_eq(look(WHO, &b), LIMITS_ADMITTED);
	ck_assert_int_eq(b.left_eur, 90);
	/* Of somebody who is not known nothing has to be forgotten. */
	ck_assert_int_eq(limits_forget(dir, WHO + 1, 1), 0);
	ck_assert_int_eq(look(WHO, &b), LIMITS_ADMITTED);
}
END_TEST

START_TEST(a_budget_without_shared_memory_is_broken)
{
	struct limits_budget b = budget(100), other;
	struct limits_lease lease;

	count_as(WHO, 10);
	b.cost_eur = 40;
	ck_assert_int_eq(limits_take_budget(
			     limits, NULL, 0, WHO, 0, &b, &lease, limits_now()),
	    LIMITS_ADMITTED);
	ck_assert_int_eq(b.left_eur, 50);
	limits_budget_announce(limits, &lease);
	limits->map.header->magic ^= 1;
	other = budget(100);
	ck_assert_int_eq(look(WHO, &other), LIMITS_BROKEN);
	ck_assert_int_eq(limits_budget_load(limits, WHO, &other, 0, 0), -1);
	limits_budget_settle(limits, WHO, &lease, 1, 7, 50, 0);
	/* Nothing is reserved from the new one, where the journal counts. */
	ck_assert_int_eq(unlink(file), 0);
	ck_assert_int_eq(limits_check(limits), 0);
	count_as(WHO, 60);
	limits_release(limits, &lease);
	other = budget(100);
	ck_assert_int_eq(look(WHO, &other), LIMITS_ADMITTED);
	ck_assert_int_eq(other.left_eur, 40);
}
END_TEST

/* What was announced while it was gone is doubted until it is settled. */
START_TEST(what_is_being_written_is_so_in_a_new_file_too)
{
	struct limits_budget b = budget(100);
	struct limits_lease lease;

	count_as(WHO, 10);
	ck_assert_int_eq(limits_take_budget(
			     limits, NULL, 0, WHO, 0, &b, &lease, limits_now()),
	    LIMITS_ADMITTED);
	limits_budget_announce(limits, &lease);
	ck_assert_int_eq(unlink(file), 0);
	ck_assert_int_eq(limits_check(limits), 0);
	ck_assert_int_eq(look(WHO, &b), LIMITS_UNCOUNTED);
	ck_assert_int_eq(limits_budget_load(limits, WHO, &b, 10, 0), -1);
	limits_budget_settle(limits, WHO, &lease, 1, 7, 5, 0);
	count_as(WHO, 15);
	limits_release(limits, &lease);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("edges");

	tcase_add_checked_fixture(t, setup, limits_dir_teardown);
	tcase_set_timeout(t, 60);
	ADD_ROWS(t, a_window_has_bounds, bounds);
	tcase_add_test(t, eight_windows_are_as_many_as_there_may_be);
	tcase_add_test(t, windows_are_told_apart_by_kind_and_holder);
	tcase_add_test(t, a_settlement_that_makes_no_sense_changes_nothing);
	ADD_ROWS(t, each_of_a_crowd_is_remembered, crowds);
	tcase_add_test(t, places_of_all_are_counted);
	tcase_add_test(t, as_many_places_as_one_process_may_have);
	tcase_add_loop_test(t, a_lock_beyond_repair_refuses_all, 0, 3);
	tcase_add_test(t, a_settlement_is_made_under_its_lock);
	tcase_add_loop_test(t, what_cannot_be_forgotten_is_told, 0, 3);
	tcase_add_test(t, a_time_before_all_time_is_mended);
	tcase_add_loop_test(t, a_death_makes_sums_anew, 0, LIMITS_TABLE__MAX);
	tcase_add_test(t, a_ring_gives_back_what_it_holds_and_no_more);
	tcase_add_test(t, a_ring_is_idle_when_all_has_left_it);
	tcase_add_test(t, the_budget_longest_unused_makes_room);
	tcase_add_test(t, a_death_under_its_lock_has_a_month_counted_anew);
	tcase_add_test(t, without_a_place_nothing_is_reserved_or_tallied);
	tcase_add_test(t, a_budget_without_shared_memory_is_broken);
	tcase_add_test(t, what_is_being_written_is_so_in_a_new_file_too);
	return suite_run("limits, the edges", t, NULL);
}
