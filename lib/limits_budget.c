/*
 * Budgets: a tally of what was used in a month, and what requests in flight
 * have reserved. The journal is the truth and the tally its running sum. A
 * tally is put in place only when nothing was written down while it was being
 * counted, so it is neither short of a request nor counts one twice.
 */
#include "limits_internal.h"

#include <string.h>
#include "log.h"

static struct limits_tally *
bucket_of(struct limits_header *header, uint64_t mark)
{
	return header->tally[mark % LIMITS_STRIPES];
}

static struct limits_tally *
find(struct limits_header *header, uint64_t mark)
{
	struct limits_tally *t = bucket_of(header, mark);

	for (uint32_t way = 0; way < LIMITS_WAYS; way++)
		if (atomic_load(&t[way].who) == mark)
			return &t[way];
	return NULL;
}

static void
doubt(struct limits_tally *t)
{
	atomic_fetch_add(&t->doubts, 1);
}

/* A free tally, or that of whoever was away longest: it is counted again. */
static struct limits_tally *
claim(struct limits_header *header, uint64_t mark)
{
	struct limits_tally *t = bucket_of(header, mark), *oldest = t;

	for (uint32_t way = 0; way < LIMITS_WAYS; way++) {
		if (atomic_load(&t[way].who) == 0) {
			oldest = &t[way];
			break;
		}
		if (t[way].used_ms < oldest->used_ms)
			oldest = &t[way];
	}
	oldest->known = 0;
	doubt(oldest);
	atomic_store(&oldest->who, mark);
	return oldest;
}

/* A count under way is doubted, too: it may hold what was erased. */
void
limits_budget_drop(struct limits_header *header, uint64_t who)
{
	struct limits_tally *t = find(header, limits_lease_mark(who));

	if (t == NULL)
		return;
	doubt(t);
	t->known = 0;
	t->month = t->eur = t->tokens = t->used_ms = 0;
	atomic_store(&t->who, 0);
}

void
limits_budget_doubt(struct limits_header *header, uint64_t mark)
{
	struct limits_tally *t = find(header, mark);

	if (t != NULL)
		doubt(t);
}

void
limits_budget_repair(struct limits_header *header, uint32_t stripe)
{
	for (uint32_t way = 0; way < LIMITS_WAYS; way++)
		doubt(&header->tally[stripe][way]);
}

static int
is_known(const struct limits_tally *t, int64_t month, uint64_t basis)
{
	return t->known && t->known_at == atomic_load(&t->doubts) &&
	    t->month == month && t->basis == basis;
}

static int64_t
sum_of(int64_t a, int64_t b)
{
	int64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

struct reserved {
	int64_t eur, tokens;
	int writing; /* somebody's use is being written down */
};

/* Adds one place, unless it changed hands while we looked. */
static void
add_place(struct limits_header *header, uint32_t row, uint32_t i, uint64_t mark,
    struct reserved *sum)
{
	const struct limits_hold *hold = &header->hold[row][i];
	int64_t eur, tokens;
	uint32_t writing;

	if (atomic_load_explicit(
		&header->lease[row][i], memory_order_relaxed) != mark)
		return;
	eur = atomic_load(&hold->eur);
	tokens = atomic_load(&hold->tokens);
	writing = atomic_load(&hold->writing);
	if (atomic_load(&header->lease[row][i]) != mark)
		return;
	sum->eur = sum_of(sum->eur, eur);
	sum->tokens = sum_of(sum->tokens, tokens);
	sum->writing |= writing != 0;
}

static struct reserved
reserved_by(struct limits_header *header, uint64_t who)
{
	struct reserved sum = { 0, 0, 0 };
	uint64_t mark = limits_lease_mark(who);
	uint32_t row, i, high;

	for (row = 0; row < LIMITS_PROCESSES; row++) {
		high = atomic_load(&header->high[row]);
		if (high > LIMITS_LEASES)
			high = LIMITS_LEASES;
		for (i = 0; i < high; i++)
			add_place(header, row, i, mark, &sum);
	}
	return sum;
}

/* Not even a request that costs nothing is served from an empty purse. */
static int
fits(int64_t budget, int64_t gone, int64_t cost)
{
	return budget == 0 || (gone < budget && cost <= budget - gone);
}

static int64_t
left_of(int64_t budget, int64_t gone)
{
	return budget == 0 || gone >= budget ? 0 : budget - gone;
}

enum limits_result
limits_budget_fit(struct limits_header *header, uint64_t who,
    struct limits_budget *budget, int64_t now_ms)
{
	uint64_t mark = limits_lease_mark(who);
	struct limits_tally *t = find(header, mark);
	struct reserved reserved;
	int64_t eur, tokens;

	budget->left_eur = budget->left_tokens = 0;
	if (t == NULL)
		t = claim(header, mark);
	t->used_ms = now_ms;
	budget->ticket = atomic_load(&t->doubts);
	if (!is_known(t, budget->month, budget->basis))
		return LIMITS_UNCOUNTED;
	reserved = reserved_by(header, who);
	eur = sum_of(t->eur, reserved.eur);
	tokens = sum_of(t->tokens, reserved.tokens);
	budget->left_eur = left_of(budget->eur, eur);
	budget->left_tokens = left_of(budget->tokens, tokens);
	return fits(budget->eur, eur, budget->cost_eur) &&
		fits(budget->tokens, tokens, budget->cost_tokens)
	    ? LIMITS_ADMITTED
	    : LIMITS_SPENT;
}

/* Puts a tally in place; -1 when something happened since the ticket. */
static int
install(struct limits_header *header, uint64_t who,
    const struct limits_budget *budget, int64_t eur, int64_t tokens)
{
	struct limits_tally *t = find(header, limits_lease_mark(who));
	uint64_t ticket = budget->ticket;

	/*
	 * First the doubts, then the places: whoever dies while writing adds
	 * a doubt before its place goes away. One more doubt makes all other
	 * tickets worthless: they are of counts that grow old from now on.
	 */
	if (t == NULL ||
	    !atomic_compare_exchange_strong(&t->doubts, &ticket, ticket + 1) ||
	    reserved_by(header, who).writing)
		return -1;
	t->known = 0;
	t->month = budget->month;
	t->basis = budget->basis;
	t->eur = eur;
	t->tokens = tokens;
	t->known_at = budget->ticket + 1;
	t->known = 1;
	return 0;
}

int
limits_budget_load(struct limits *limits, uint64_t who,
    const struct limits_budget *budget, int64_t eur, int64_t tokens)
{
	uint32_t lock = limits_lease_lock(who);
	int done = -1;

	if (limits_shm_begin(limits, limits_now()) == -1)
		return -1;
	/* A dead one that was writing would be in the way for ever. */
	(void)limits_lease_reap(&limits->map);
	if (limits_shm_lock(limits->map.header, lock) == 0) {
		done = install(limits->map.header, who, budget, eur, tokens);
		limits_shm_unlock(limits->map.header, lock);
	}
	limits_shm_end(limits);
	return done;
}

void
limits_budget_announce(struct limits *limits, const struct limits_lease *lease)
{
	const struct limits_hold *hold;
	int usable;

	if (lease->slot == 0)
		return;
	hold = &limits->held[lease->slot - 1].hold;
	usable = limits_shm_enter(limits) == 0;
	limits_lease_reserve(limits, lease->slot - 1, atomic_load(&hold->eur),
	    atomic_load(&hold->tokens), 1, usable);
	limits_shm_end(limits);
}

/* A use that no tally takes in makes a count under way worthless. */
static void
tally(struct limits_header *header, uint64_t who, int64_t month, uint64_t basis,
    int64_t eur, int64_t tokens)
{
	struct limits_tally *t = find(header, limits_lease_mark(who));

	if (t == NULL)
		return;
	if (!is_known(t, month, basis)) {
		doubt(t);
		return;
	}
	t->eur = sum_of(t->eur, eur);
	t->tokens = sum_of(t->tokens, tokens);
}

void
limits_budget_settle(struct limits *limits, uint64_t who,
    const struct limits_lease *lease, int64_t month, uint64_t basis,
    int64_t eur, int64_t tokens)
{
	uint32_t lock = limits_lease_lock(who);

	if (lease->slot == 0)
		return;
	if (limits_shm_begin(limits, limits_now()) == -1) {
		limits_lease_reserve(limits, lease->slot - 1, 0, 0, 0, 0);
		return;
	}
	if (limits_shm_lock(limits->map.header, lock) == 0) {
		tally(limits->map.header, who, month, basis, eur, tokens);
		limits_lease_reserve(limits, lease->slot - 1, 0, 0, 0, 1);
		limits_shm_unlock(limits->map.header, lock);
	}
	limits_shm_end(limits);
}

enum limits_result
limits_budget_look(
    struct limits *limits, uint64_t who, struct limits_budget *budget)
{
	enum limits_result result = LIMITS_BROKEN;
	uint32_t lock = limits_lease_lock(who);
	int64_t now_ms = limits_now();

	if (limits_shm_begin(limits, now_ms) == -1)
		return LIMITS_BROKEN;
	if (limits_shm_lock(limits->map.header, lock) == 0) {
		result =
		    limits_budget_fit(limits->map.header, who, budget, now_ms);
		limits_shm_unlock(limits->map.header, lock);
	}
	limits_shm_end(limits);
	return result == LIMITS_SPENT ? LIMITS_ADMITTED : result;
}
