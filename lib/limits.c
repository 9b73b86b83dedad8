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

/* One take, peek or settlement. */
struct taking {
	struct limits_header *header;
	struct limits_seat seat[LIMITS_WINDOWS];
	size_t seats;
	uint32_t lock[LIMITS_WINDOWS + 1]; /* ascending, no two alike */
	size_t locks;
	int64_t now_ms;
};

int64_t
limits_now(void)
{
	struct timespec t;

	/* With the time asleep: a window is not longer for a nap in it. */
	if (clock_gettime(CLOCK_BOOTTIME, &t) == -1)
		abort(); /* cannot be: every kernel we run on has it */
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Keeps the locks sorted and each in there once. */
static void
need_lock(struct taking *taking, uint32_t lock)
{
	size_t i = taking->locks, j;

	while (i > 0 && taking->lock[i - 1] > lock)
		i--;
	if (i > 0 && taking->lock[i - 1] == lock)
		return;
	for (j = taking->locks++; j > i; j--)
		taking->lock[j] = taking->lock[j - 1];
	taking->lock[i] = lock;
}

static void
unlock_all(struct taking *taking, size_t n)
{
	while (n > 0)
		limits_shm_unlock(taking->header, taking->lock[--n]);
}

static int
lock_all(struct taking *taking)
{
	size_t i;

	for (i = 0; i < taking->locks; i++)
		if (limits_shm_lock(taking->header, taking->lock[i]) == -1) {
			unlock_all(taking, i);
			return -1;
		}
	return 0;
}

/* Within what a ring can hold; a cost over the limit becomes the limit. */
static void
seat_init(
    struct limits_seat *seat, const struct limits_window *window, int64_t cost)
{
	memset(seat, 0, sizeof(*seat));
	seat->table = window->table;
	seat->who = window->who;
	seat->window_ms = window->window_ms;
	seat->pairs = limits_geometry[window->table].pairs;
	seat->limit = window->limit < LIMITS_MAX ? window->limit : LIMITS_MAX;
	seat->cost = cost < seat->limit ? cost : seat->limit;
}

/* Only a bug can break these; none may end in a request let through. */
static int
is_valid(const struct limits_window *window)
{
	if ((unsigned)window->table >= LIMITS_TABLE__MAX || window->limit < 0)
		return 0;
	return window->limit == 0 ||
	    (window->cost >= 0 && window->window_ms >= 1 &&
		window->window_ms <= LIMITS_WINDOW_MAX_MS);
}

/* Two windows on one entry would not see what the other is about to take. */
static int
is_counted(const struct taking *taking, const struct limits_window *window)
{
	size_t i;

	for (i = 0; i < taking->seats; i++)
		if (taking->seat[i].table == window->table &&
		    taking->seat[i].who == window->who)
			return 1;
	return 0;
}

static void
taking_add(struct taking *taking, struct limits_window *window)
{
	struct limits_seat *seat = &taking->seat[taking->seats++];

	seat_init(seat, window, window->cost);
	seat->window = window;
	need_lock(taking, limits_table_lock(seat->table, seat->who));
}

static int
taking_init(struct taking *taking, struct limits_window *window, size_t n,
    int64_t now_ms)
{
	int valid = n <= LIMITS_WINDOWS && now_ms >= 0;
	size_t i;

	memset(taking, 0, sizeof(*taking));
	taking->now_ms = now_ms;
	for (i = 0; i < n && valid; i++) {
		window[i].remaining = window[i].reset_ms = 0;
		window[i].retry_ms = 0;
		window[i].taken_at = now_ms;
		valid = is_valid(&window[i]);
		if (!valid || window[i].limit == 0)
			continue;
		valid = !is_counted(taking, &window[i]);
		taking_add(taking, &window[i]);
	}
	if (valid)
		return 0;
	log_warnx("limits: a window makes no sense");
	return -1;
}

/* What the caller is told about a window as it is now. */
static void
tell(struct limits_seat *seat, int64_t now_ms)
{
	struct limits_window *window = seat->window;
	int64_t ahead = seat->at_ms - now_ms, left;

	if (seat->newcomer) {
		window->remaining = seat->entry != NULL ? seat->limit : 0;
		window->reset_ms = window->retry_ms;
		return;
	}
	left = seat->limit - seat->entry->sum;
	window->remaining = left > 0 ? left : 0;
	window->reset_ms =
	    limits_entry_reset(seat->entry, seat->pairs, seat->at_ms);
	if (window->reset_ms > 0)
		window->reset_ms += ahead;
}

/* Whether one window has room; marks it as refusing if not. */
static int
fits(struct limits_seat *seat, int64_t now_ms)
{
	struct limits_window *window = seat->window;
	int64_t wait;

	seat->at_ms = now_ms;
	if (seat->newcomer) {
		window->retry_ms =
		    seat->entry != NULL ? 0 : limits_table_room(seat, now_ms);
		return seat->entry != NULL;
	}
	seat->at_ms = limits_entry_refresh(
	    seat->entry, seat->pairs, seat->window_ms, now_ms);
	wait = limits_entry_wait(
	    seat->entry, seat->pairs, seat->limit, seat->cost, seat->at_ms);
	if (wait == 0)
		return 1;
	if (seat->at_ms + wait > seat->entry->held_ms)
		seat->entry->held_ms = seat->at_ms + wait;
	window->retry_ms = seat->at_ms + wait - now_ms;
	return 0;
}

static void
charge(struct limits_seat *seat, int64_t cost, int64_t now_ms)
{
	struct limits_entry *e;
	int64_t wait;

	if (cost == 0)
		return;
	if (seat->newcomer)
		limits_table_claim(seat, now_ms);
	e = seat->entry;
	limits_entry_charge(e, seat->pairs, cost, seat->at_ms);
	/* Full now: not to be evicted until one more would fit. */
	wait = limits_entry_wait(e, seat->pairs, seat->limit, 1, seat->at_ms);
	if (wait > 0)
		e->held_ms = seat->at_ms + wait;
}

static enum limits_result
look_at_all(struct taking *taking)
{
	enum limits_result result = LIMITS_ADMITTED;
	size_t i;

	limits_table_seat(
	    taking->header, taking->seat, taking->seats, taking->now_ms);
	for (i = 0; i < taking->seats; i++)
		if (!fits(&taking->seat[i], taking->now_ms))
			result = LIMITS_REFUSED;
	return result;
}

static void
tell_all(struct taking *taking)
{
	size_t i;

	for (i = 0; i < taking->seats; i++)
		tell(&taking->seat[i], taking->now_ms);
}

static void
charge_all(struct taking *taking)
{
	struct limits_seat *seat;
	size_t i;

	for (i = 0; i < taking->seats; i++) {
		seat = &taking->seat[i];
		charge(seat, seat->cost, taking->now_ms);
		seat->window->taken_at = seat->at_ms;
	}
}

/* A place in flight that is wanted; 'slot' is already ours. */
struct place {
	uint64_t who;
	int64_t limit;
	struct limits_budget *budget; /* NULL: none */
	uint32_t slot;
};

static enum limits_result
look_at_place(struct taking *taking, const struct place *place)
{
	if (place->limit > 0 &&
	    limits_lease_count(taking->header, place->who) >= place->limit)
		return LIMITS_PARALLEL;
	return LIMITS_ADMITTED;
}

static enum limits_result
look_at_budget(struct taking *taking, const struct place *place)
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
look(struct taking *taking, const struct place *place)
{
	enum limits_result windows = look_at_all(taking), rest;

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
take_under_lock(
    struct limits *limits, struct taking *taking, const struct place *place)
{
	enum limits_result result;

	taking->header = limits->map.header;
	if (lock_all(taking) == -1)
		return LIMITS_BROKEN;
	result = look(taking, place);
	if (result == LIMITS_ADMITTED) {
		charge_all(taking);
		if (place != NULL)
			hold_place(limits, place);
	}
	tell_all(taking);
	unlock_all(taking, taking->locks);
	return result;
}

static enum limits_result
take(struct limits *limits, struct taking *taking, const struct place *place)
{
	enum limits_result result;

	if (limits_shm_begin(limits, taking->now_ms) == -1)
		return LIMITS_BROKEN;
	if (place != NULL)
		need_lock(taking, limits_lease_lock(place->who));
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
	struct taking taking;

	if (lease != NULL)
		lease->slot = 0;
	if (taking_init(&taking, window, n, now_ms) == -1 ||
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
	struct taking taking;

	if (taking_init(&taking, window, n, now_ms) == -1 ||
	    limits_shm_begin(limits, now_ms) == -1)
		return LIMITS_BROKEN;
	taking.header = limits->map.header;
	if (lock_all(&taking) == 0) {
		result = look_at_all(&taking);
		tell_all(&taking);
		unlock_all(&taking, taking.locks);
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
		charge(seat, difference, now_ms);
	else if (!seat->newcomer)
		limits_entry_refund(seat->entry, seat->pairs, -difference,
		    taken_at, seat->at_ms);
}

void
limits_settle(struct limits *limits, const struct limits_window *window,
    int64_t cost, int64_t now_ms)
{
	struct taking taking = { .now_ms = now_ms, .seats = 1 };
	struct limits_seat *seat = &taking.seat[0];
	int64_t difference;

	if (window->limit == 0 || cost < 0 || !is_valid(window) || now_ms < 0)
		return;
	seat_init(seat, window, window->cost);
	difference = cost - seat->cost;
	if (difference == 0 || limits_shm_begin(limits, now_ms) == -1)
		return;
	taking.header = limits->map.header;
	need_lock(&taking, limits_table_lock(seat->table, seat->who));
	if (lock_all(&taking) == 0) {
		limits_table_seat(taking.header, seat, 1, now_ms);
		settle(seat, difference, window->taken_at, now_ms);
		unlock_all(&taking, taking.locks);
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

int
limits_check(struct limits *limits)
{
	return limits_shm_check(limits);
}
