/*
 * What one take touches: the entries, and their locks in one order, so that
 * two takes never wait for each other in a circle.
 */
#include "limits_internal.h"

#include <string.h>

#include "log.h"

/* Keeps the locks sorted and each in there once. */
void
limits_taking_need(struct limits_taking *taking, uint32_t lock)
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

void
limits_taking_unlock(struct limits_taking *taking, size_t n)
{
	while (n > 0)
		limits_shm_unlock(taking->header, taking->lock[--n]);
}

int
limits_taking_lock(struct limits_taking *taking)
{
	size_t i;

	for (i = 0; i < taking->locks; i++)
		if (limits_shm_lock(taking->header, taking->lock[i]) == -1) {
			limits_taking_unlock(taking, i);
			return -1;
		}
	return 0;
}

/* Within what a ring can hold; a cost over the limit becomes the limit. */
void
limits_seat_init(
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
int
limits_window_is_valid(const struct limits_window *window)
{
	if ((unsigned)window->table >= LIMITS_TABLE__MAX || window->limit < 0)
		return 0;
	return window->limit == 0 ||
	    (window->cost >= 0 && window->window_ms >= 1 &&
		window->window_ms <= LIMITS_WINDOW_MAX_MS);
}

/* Two windows on one entry would not see what the other is about to take. */
static int
is_counted(
    const struct limits_taking *taking, const struct limits_window *window)
{
	size_t i;

	for (i = 0; i < taking->seats; i++)
		if (taking->seat[i].table == window->table &&
		    taking->seat[i].who == window->who)
			return 1;
	return 0;
}

static void
taking_add(struct limits_taking *taking, struct limits_window *window)
{
	struct limits_seat *seat = &taking->seat[taking->seats++];

	limits_seat_init(seat, window, window->cost);
	seat->window = window;
	limits_taking_need(taking, limits_table_lock(seat->table, seat->who));
}

int
limits_taking_init(struct limits_taking *taking, struct limits_window *window,
    size_t n, int64_t now_ms)
{
	int valid = n <= LIMITS_WINDOWS && now_ms >= 0;
	size_t i;

	memset(taking, 0, sizeof(*taking));
	taking->now_ms = now_ms;
	for (i = 0; i < n && valid; i++) {
		window[i].remaining = window[i].reset_ms = 0;
		window[i].retry_ms = 0;
		window[i].taken_at = now_ms;
		valid = limits_window_is_valid(&window[i]);
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

void
limits_seat_charge(struct limits_seat *seat, int64_t cost, int64_t now_ms)
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

enum limits_result
limits_taking_look(struct limits_taking *taking)
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

void
limits_taking_tell(struct limits_taking *taking)
{
	size_t i;

	for (i = 0; i < taking->seats; i++)
		tell(&taking->seat[i], taking->now_ms);
}

void
limits_taking_charge(struct limits_taking *taking)
{
	struct limits_seat *seat;
	size_t i;

	for (i = 0; i < taking->seats; i++) {
		seat = &taking->seat[i];
		limits_seat_charge(seat, seat->cost, taking->now_ms);
		seat->window->taken_at = seat->at_ms;
	}
}
