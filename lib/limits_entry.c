/*
 * One ring of admissions. Every admission is a pair of its own while there is
 * room, so that the window is exact; when the ring is full, admissions of the
 * same window-th part become one pair at the time of the latest of them. That
 * can only make them count longer (by at most a part), never shorter.
 */
#include "limits_internal.h"

/* Milliseconds from a pair's time to 'at_ms'; right for 49 days. */
static uint32_t
age(int64_t at_ms, uint32_t pair_at)
{
	return (uint32_t)at_ms - pair_at;
}

static struct limits_pair *
pair_of(struct limits_entry *e, uint32_t pairs, uint32_t i)
{
	return &e->ring[i & (pairs - 1)];
}

static const struct limits_pair *
const_pair_of(const struct limits_entry *e, uint32_t pairs, uint32_t i)
{
	return &e->ring[i & (pairs - 1)];
}

void
limits_entry_repair(struct limits_entry *e, uint32_t pairs)
{
	uint32_t i;
	int64_t sum = 0;

	if (e->next - e->first > pairs)
		e->first = e->next - pairs;
	if (e->last_ms < 0)
		e->last_ms = 0;
	for (i = e->first; i != e->next; i++)
		sum += pair_of(e, pairs, i)->count;
	e->sum = sum;
}

void
limits_entry_reborn(struct limits_entry *e, int64_t window_ms, int64_t now_ms)
{
	e->first = e->next;
	e->sum = 0;
	e->empty = 0;
	e->last_ms = e->born_ms = now_ms;
	e->held_ms = 0;
	e->window_ms = (uint32_t)window_ms;
}

int
limits_entry_idle(const struct limits_entry *e, int64_t now_ms)
{
	return e->first == e->next || now_ms - e->last_ms >= e->window_ms;
}

int
limits_entry_held(const struct limits_entry *e, int64_t now_ms)
{
	/* No entry holds for two windows: that would be damage. */
	return !limits_entry_idle(e, now_ms) && e->held_ms > now_ms &&
	    e->held_ms - now_ms <= 2 * (int64_t)e->window_ms;
}

/*
 * Threads read the clock before they queue for the lock, so another may have
 * been here with a later time; a thread can even be stopped for longer than a
 * window in between. Time in an entry goes on from there. More than a day
 * ahead is damage: what is in there then counts from now on, neither for ever
 * nor not at all.
 */
static int64_t
time_for(struct limits_entry *e, uint32_t pairs, int64_t now_ms)
{
	uint32_t i;

	if (e->last_ms <= now_ms)
		return now_ms;
	if (e->last_ms - now_ms <= LIMITS_WINDOW_MAX_MS)
		return e->last_ms;
	for (i = e->first; i != e->next; i++)
		pair_of(e, pairs, i)->at = (uint32_t)now_ms;
	e->last_ms = now_ms;
	return now_ms;
}

int64_t
limits_entry_refresh(
    struct limits_entry *e, uint32_t pairs, int64_t window_ms, int64_t now_ms)
{
	const struct limits_pair *p;
	int64_t at_ms;

	if (e->next - e->first > pairs || e->last_ms < 0)
		limits_entry_repair(e, pairs);
	at_ms = time_for(e, pairs, now_ms);
	e->window_ms = (uint32_t)window_ms;
	/* Also keeps what is weeks old from looking new as its time wraps. */
	if (at_ms - e->last_ms >= window_ms)
		e->first = e->next;
	/* What is dropped now would still count for somebody before now. */
	e->last_ms = at_ms;
	while (e->first != e->next) {
		p = pair_of(e, pairs, e->first);
		if (age(at_ms, p->at) < window_ms)
			break;
		e->sum -= p->count;
		e->first++;
	}
	if (e->first == e->next)
		e->sum = 0;
	return at_ms;
}

int64_t
limits_entry_wait(const struct limits_entry *e, uint32_t pairs, int64_t limit,
    int64_t cost, int64_t at_ms)
{
	int64_t excess = e->sum + cost - limit;
	const struct limits_pair *p;
	uint32_t i;

	if (excess <= 0)
		return 0;
	for (i = e->first; i != e->next; i++) {
		p = const_pair_of(e, pairs, i);
		excess -= p->count;
		if (excess <= 0)
			return e->window_ms - age(at_ms, p->at);
	}
	return e->window_ms;
}

int64_t
limits_entry_reset(const struct limits_entry *e, uint32_t pairs, int64_t at_ms)
{
	const struct limits_pair *p;
	uint32_t i;

	for (i = e->next; i != e->first; i--) {
		p = const_pair_of(e, pairs, i - 1);
		if (p->count > 0)
			return e->window_ms - age(at_ms, p->at);
	}
	return 0;
}

/*
 * Which part of a window a pair's time lies in, seen from 'at_ms'. A window
 * touches no more parts than there are pairs.
 */
static int64_t
part_of(
    const struct limits_entry *e, uint32_t pairs, int64_t at_ms, uint32_t at)
{
	int64_t parts = (int64_t)pairs - 1;

	return (at_ms - age(at_ms, at)) / ((e->window_ms + parts - 1) / parts);
}

static int
is_full(const struct limits_entry *e, uint32_t pairs)
{
	return e->next - e->first == pairs;
}

/* Of one time with the newest pair, or when it is tight, of one part. */
static int
joins_newest(const struct limits_entry *e, uint32_t pairs, int64_t at_ms)
{
	uint32_t newest;

	if (e->first == e->next)
		return 0;
	newest = const_pair_of(e, pairs, e->next - 1)->at;
	if (newest == (uint32_t)at_ms)
		return 1;
	return is_full(e, pairs) &&
	    part_of(e, pairs, at_ms, newest) ==
	    part_of(e, pairs, at_ms, (uint32_t)at_ms);
}

static void
add(struct limits_entry *e, struct limits_pair *p, int64_t cost)
{
	/* Full to the brim it refuses whatever the limit, so it may stay so. */
	if (cost > LIMITS_MAX - p->count)
		cost = LIMITS_MAX - p->count;
	p->count += (uint32_t)cost;
	e->sum += cost;
}

/* Drops what was given back wholly; 'merge': makes one pair of each part. */
static void
compact(struct limits_entry *e, uint32_t pairs, int64_t at_ms, int merge)
{
	uint32_t to = e->first, from;
	int64_t part, last_part = -1;
	struct limits_pair p;

	for (from = e->first; from != e->next; from++) {
		p = *pair_of(e, pairs, from);
		if (p.count == 0)
			continue;
		part = part_of(e, pairs, at_ms, p.at);
		if (merge && to != e->first && part == last_part) {
			e->sum -= p.count;
			pair_of(e, pairs, to - 1)->at = p.at;
			add(e, pair_of(e, pairs, to - 1), p.count);
		} else
			*pair_of(e, pairs, to++) = p;
		last_part = part;
	}
	/* Not before the pairs are in place, should the process die here. */
	atomic_signal_fence(memory_order_seq_cst);
	e->next = to;
	e->empty = 0;
}

void
limits_entry_charge(
    struct limits_entry *e, uint32_t pairs, int64_t cost, int64_t at_ms)
{
	struct limits_pair *p;
	int merge;

	if (cost <= 0)
		return;
	if (is_full(e, pairs) && e->empty > 0)
		compact(e, pairs, at_ms, 0);
	merge = joins_newest(e, pairs, at_ms);
	if (!merge && is_full(e, pairs)) {
		compact(e, pairs, at_ms, 1);
		merge = is_full(e, pairs); /* only after a death: no room */
	}
	p = pair_of(e, pairs, merge ? e->next - 1 : e->next);
	if (!merge)
		p->count = 0;
	p->at = (uint32_t)at_ms;
	add(e, p, cost);
	atomic_signal_fence(memory_order_seq_cst);
	if (!merge)
		e->next++;
}

void
limits_entry_refund(struct limits_entry *e, uint32_t pairs, int64_t amount,
    int64_t taken_at, int64_t at_ms)
{
	uint32_t i = e->next, mine = age(at_ms, (uint32_t)taken_at);
	struct limits_pair *p;

	/* Expired, or forgotten when the entry was given to somebody else. */
	if (taken_at < e->born_ms || taken_at > at_ms ||
	    at_ms - taken_at >= e->window_ms)
		return;
	/* Pairs take the latest time of what is in them: the first not before. */
	while (
	    i != e->first && age(at_ms, pair_of(e, pairs, i - 1)->at) <= mine)
		i--;
	if (i == e->next)
		return;
	p = pair_of(e, pairs, i);
	if (amount > p->count)
		amount = p->count;
	p->count -= (uint32_t)amount;
	e->sum -= amount;
	if (p->count == 0)
		e->empty++;
}
