/*
 * Taking from several windows and a place in flight, all or nothing: all the
 * locks involved are taken in one order, everything is looked at, then
 * everything is written.
 */
#include "limits_internal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "log.h"

int64_t
limits_now(void)
{
	struct timespec t;

	/* With the time asleep: a window is not longer for a nap in it. */
	if (clock_gettime(CLOCK_BOOTTIME, &t) == -1)
		abort(); /* cannot be: every kernel we run on has it */
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* A place in flight that is wanted; 'slot' is already ours. */
struct place {
	uint64_t who;
	int64_t limit;
	struct limits_budget *budget; /* NULL: none */
	uint32_t slot;
};

static enum limits_result
look_at_place(struct limits_taking *taking, const struct place *place)
{
	if (place->limit > 0 &&
	    limits_lease_count(taking->header, place->who) >= place->limit)
		return LIMITS_PARALLEL;
	return LIMITS_ADMITTED;
}

static enum limits_result
look_at_budget(struct limits_taking *taking, const struct place *place)
{
	if (place->budget == NULL)
		return LIMITS_ADMITTED;
	return limits_budget_fit(
	    taking->header, place->who, place->budget, taking->now_ms);
}

/* The lease says who holds it only once it says what is reserved. */
static void
hold_place(struct limits *limits, const struct place *place)
{
	struct limits_budget *budget = place->budget;

	if (budget != NULL) {
		limits_lease_reserve(limits, place->slot, budget->cost_eur,
		    budget->cost_tokens, 0, 1);
		if (budget->eur > 0)
			budget->left_eur -= budget->cost_eur;
		if (budget->tokens > 0)
			budget->left_tokens -= budget->cost_tokens;
	}
	limits_lease_hold(limits, place->slot, place->who);
}

/*
 * A budget that is spent comes first, since waiting does not help there; one
 * that has to be counted last, since that costs.
 */
static enum limits_result
look(struct limits_taking *taking, const struct place *place)
{
	enum limits_result windows = limits_taking_look(taking), rest;

	if (place == NULL)
		return windows;
	rest = look_at_budget(taking, place);
	if (rest == LIMITS_SPENT)
		return rest;
	if (windows == LIMITS_ADMITTED)
		windows = look_at_place(taking, place);
	return windows == LIMITS_ADMITTED ? rest : windows;
}

static enum limits_result
take_under_lock(struct limits *limits, struct limits_taking *taking,
    const struct place *place)
{
	enum limits_result result;

	taking->header = limits->map.header;
	if (limits_taking_lock(taking) == -1)
		return LIMITS_BROKEN;
	result = look(taking, place);
	if (result == LIMITS_ADMITTED) {
		limits_taking_charge(taking);
		if (place != NULL)
			hold_place(limits, place);
	}
	limits_taking_tell(taking);
	limits_taking_unlock(taking, taking->locks);
	return result;
}

static enum limits_result
take(struct limits *limits, struct limits_taking *taking,
    const struct place *place)
{
	enum limits_result result;

	if (limits_shm_begin(limits, taking->now_ms) == -1)
		return LIMITS_BROKEN;
	if (place != NULL)
		limits_taking_need(taking, limits_lease_lock(place->who));
	result = take_under_lock(limits, taking, place);
	/* The dead must not stand in the way of the living. */
	if ((result == LIMITS_PARALLEL || result == LIMITS_SPENT) &&
	    limits_lease_reap(&limits->map) > 0)
		result = take_under_lock(limits, taking, place);
	limits_shm_end(limits);
	return result;
}

enum limits_result
limits_take(struct limits *limits, struct limits_window *window, size_t n,
    uint64_t parallel_who, int64_t parallel, struct limits_lease *lease,
    int64_t now_ms)
{
	return limits_take_budget(
	    limits, window, n, parallel_who, parallel, NULL, lease, now_ms);
}

/* Only a bug can break this. */
static int
budget_is_valid(
    const struct limits_budget *budget, const struct limits_lease *lease)
{
	if (budget == NULL ||
	    (lease != NULL && budget->eur >= 0 && budget->tokens >= 0 &&
		budget->cost_eur >= 0 && budget->cost_tokens >= 0))
		return 1;
	log_warnx("limits: a budget makes no sense");
	return 0;
}

enum limits_result
limits_take_budget(struct limits *limits, struct limits_window *window,
    size_t n, uint64_t parallel_who, int64_t parallel,
    struct limits_budget *budget, struct limits_lease *lease, int64_t now_ms)
{
	struct place place = { parallel_who, parallel, budget, 0 };
	enum limits_result result;
	struct limits_taking taking;

	if (lease != NULL)
		lease->slot = 0;
	if (limits_taking_init(&taking, window, n, now_ms) == -1 ||
	    !budget_is_valid(budget, lease))
		return LIMITS_BROKEN;
	if (lease == NULL)
		return take(limits, &taking, NULL);
	if (limits_lease_pop(limits, &place.slot) == -1) {
		if (!atomic_exchange(&limits->full_logged, 1))
			log_warnx(
			    "more than %u requests in flight", limits->slots);
		return LIMITS_BROKEN;
	}
	result = take(limits, &taking, &place);
	if (result == LIMITS_ADMITTED)
		lease->slot = place.slot + 1;
	else
		limits_lease_push(limits, place.slot);
	return result;
}

enum limits_result
limits_peek(struct limits *limits, struct limits_window *window, size_t n,
    int64_t now_ms)
{
	enum limits_result result = LIMITS_BROKEN;
	struct limits_taking taking;

	if (limits_taking_init(&taking, window, n, now_ms) == -1 ||
	    limits_shm_begin(limits, now_ms) == -1)
		return LIMITS_BROKEN;
	taking.header = limits->map.header;
	if (limits_taking_lock(&taking) == 0) {
		result = limits_taking_look(&taking);
		limits_taking_tell(&taking);
		limits_taking_unlock(&taking, taking.locks);
	}
	limits_shm_end(limits);
	return result;
}

/* The entry's own window counts: it may have changed since the take. */
static void
settle(struct limits_seat *seat, int64_t difference, int64_t taken_at,
    int64_t now_ms)
{
	if (seat->entry == NULL)
		return; /* evicted, and all others refuse somebody */
	seat->at_ms = now_ms;
	if (!seat->newcomer)
		seat->at_ms = limits_entry_refresh(seat->entry, seat->pairs,
		    seat->entry->window_ms > 0 ? seat->entry->window_ms
					       : seat->window_ms,
		    now_ms);
	if (difference > 0)
		limits_seat_charge(seat, difference, now_ms);
	else if (!seat->newcomer)
		limits_entry_refund(seat->entry, seat->pairs, -difference,
		    taken_at, seat->at_ms);
}

void
limits_settle(struct limits *limits, const struct limits_window *window,
    int64_t cost, int64_t now_ms)
{
	struct limits_taking taking = { .now_ms = now_ms, .seats = 1 };
	struct limits_seat *seat = &taking.seat[0];
	int64_t difference;

	if (window->limit == 0 || cost < 0 || !limits_window_is_valid(window) ||
	    now_ms < 0)
		return;
	limits_seat_init(seat, window, window->cost);
	difference = cost - seat->cost;
	if (difference == 0 || limits_shm_begin(limits, now_ms) == -1)
		return;
	taking.header = limits->map.header;
	limits_taking_need(&taking, limits_table_lock(seat->table, seat->who));
	if (limits_taking_lock(&taking) == 0) {
		limits_table_seat(taking.header, seat, 1, now_ms);
		settle(seat, difference, window->taken_at, now_ms);
		limits_taking_unlock(&taking, taking.locks);
	}
	limits_shm_end(limits);
}

void
limits_release(struct limits *limits, struct limits_lease *lease)
{
	int usable;

	if (lease->slot == 0)
		return;
	usable = limits_shm_enter(limits) == 0;
	limits_lease_drop(limits, lease->slot - 1, usable);
	limits_shm_end(limits);
	limits_lease_push(limits, lease->slot - 1);
	lease->slot = 0;
}

int64_t
limits_parallel(struct limits *limits, uint64_t who)
{
	int64_t count;

	if (limits_shm_begin(limits, limits_now()) == -1)
		return 0;
	(void)limits_lease_reap(&limits->map); /* only the living count */
	count = limits_lease_count(limits->map.header, who);
	limits_shm_end(limits);
	return count;
}

int64_t
limits_in_flight(struct limits *limits)
{
	int64_t count;

	if (limits_shm_begin(limits, limits_now()) == -1)
		return 0;
	(void)limits_lease_reap(&limits->map); /* only the living count */
	count = limits_lease_count_all(limits->map.header);
	limits_shm_end(limits);
	return count;
}

int
limits_check(struct limits *limits)
{
	return limits_shm_check(limits);
}
