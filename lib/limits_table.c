/*
 * Which entry belongs to whom. A table is an array of buckets, a bucket holds
 * LIMITS_WAYS entries. Whoever is new takes one that is idle, else the one
 * used longest ago, but never one that refuses somebody right now: a flood of
 * newcomers could otherwise free the limited.
 */
#include "limits_internal.h"

#include <string.h>

/*
 * Keys are made by admins, so their tables need not withstand a flood; the
 * others must and may. With the leases 34 MB, reserved when the file is made.
 */
const struct limits_geometry limits_geometry[LIMITS_TABLE__MAX] = {
	[LIMITS_GLOBAL] = { 1, 4096 },
	[LIMITS_KEY_REQUESTS] = { 4096 / LIMITS_WAYS, 128 },
	[LIMITS_KEY_TOKENS] = { 4096 / LIMITS_WAYS, 128 },
	[LIMITS_ADDRESS] = { 16384 / LIMITS_WAYS, 128 },
	[LIMITS_FAILED_AUTH] = { 8192 / LIMITS_WAYS, 32 },
	[LIMITS_LOGIN_ADDRESS] = { 1024 / LIMITS_WAYS, 32 },
	[LIMITS_LOGIN_ALL] = { 1, 32 },
};

static size_t
entry_size(enum limits_table table)
{
	return sizeof(struct limits_entry) +
	    limits_geometry[table].pairs * sizeof(struct limits_pair);
}

static size_t
bucket_size(enum limits_table table)
{
	return sizeof(struct limits_bucket) + LIMITS_WAYS * entry_size(table);
}

static size_t
table_offset(enum limits_table table)
{
	size_t offset = sizeof(struct limits_header);
	int i;

	for (i = 0; i < (int)table; i++)
		offset += limits_geometry[i].buckets *
		    bucket_size((enum limits_table)i);
	return offset;
}

size_t
limits_table_size(void)
{
	return table_offset(LIMITS_TABLE__MAX);
}

static struct limits_bucket *
bucket_at(struct limits_header *header, enum limits_table table, uint32_t i)
{
	unsigned char *base = (unsigned char *)header;

	return (struct limits_bucket *)(void *)(base + table_offset(table) +
	    i * bucket_size(table));
}

static struct limits_entry *
entry_at(struct limits_bucket *bucket, enum limits_table table, uint32_t way)
{
	unsigned char *base = (unsigned char *)(bucket + 1);

	return (struct limits_entry *)(void *)(base + way * entry_size(table));
}

/* 'who' is a hash already; this only spreads what a test makes up. */
static uint32_t
bucket_index(enum limits_table table, uint64_t who)
{
	uint64_t mixed = who * UINT64_C(0x9e3779b97f4a7c15);

	return (uint32_t)(mixed >> 40) & (limits_geometry[table].buckets - 1);
}

uint32_t
limits_table_lock(enum limits_table table, uint64_t who)
{
	if (table == LIMITS_GLOBAL)
		return LIMITS_LOCK_GLOBAL;
	return ((uint32_t)table - 1) * LIMITS_STRIPES +
	    bucket_index(table, who) % LIMITS_STRIPES;
}

static int
seat_known(struct limits_seat *seat)
{
	uint32_t way;

	for (way = 0; way < LIMITS_WAYS; way++) {
		if (seat->bucket->who[way] != seat->who)
			continue;
		seat->way = way;
		seat->entry = entry_at(seat->bucket, seat->table, way);
		return 1;
	}
	return 0;
}

static int
is_seated(const struct limits_seat *seat, size_t n, const void *entry)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (seat[i].entry == entry)
			return 1;
	return 0;
}

/* Room for seat 'me', in no entry that another of the 'n' seats uses. */
static void
seat_newcomer(
    struct limits_seat *seat, size_t n, struct limits_seat *me, int64_t now_ms)
{
	struct limits_entry *e;
	uint32_t way;

	me->newcomer = 1;
	for (way = 0; way < LIMITS_WAYS; way++) {
		e = entry_at(me->bucket, me->table, way);
		if (is_seated(seat, n, e) || limits_entry_held(e, now_ms))
			continue;
		if (me->entry == NULL || limits_entry_idle(e, now_ms) ||
		    e->last_ms < me->entry->last_ms) {
			me->entry = e;
			me->way = way;
		}
		if (limits_entry_idle(e, now_ms))
			return;
	}
}

void
limits_table_seat(struct limits_header *header, struct limits_seat *seat,
    size_t n, int64_t now_ms)
{
	size_t i;

	for (i = 0; i < n; i++) {
		seat[i].bucket = bucket_at(header, seat[i].table,
		    bucket_index(seat[i].table, seat[i].who));
		seat[i].newcomer = !seat_known(&seat[i]);
	}
	/* Only now is it known which entries must not make room. */
	for (i = 0; i < n; i++)
		if (seat[i].newcomer)
			seat_newcomer(seat, n, &seat[i], now_ms);
}

void
limits_table_claim(struct limits_seat *seat, int64_t now_ms)
{
	limits_entry_reborn(seat->entry, seat->window_ms, now_ms);
	seat->bucket->who[seat->way] = seat->who;
	seat->newcomer = 0;
}

int64_t
limits_table_room(const struct limits_seat *seat, int64_t now_ms)
{
	int64_t wait, least = LIMITS_WINDOW_MAX_MS;
	uint32_t way;

	for (way = 0; way < LIMITS_WAYS; way++) {
		wait =
		    entry_at(seat->bucket, seat->table, way)->held_ms - now_ms;
		if (wait > 0 && wait < least)
			least = wait;
	}
	return least;
}

void
limits_table_forget(
    struct limits_header *header, enum limits_table table, uint64_t who)
{
	struct limits_bucket *bucket =
	    bucket_at(header, table, bucket_index(table, who));
	uint32_t way;

	for (way = 0; way < LIMITS_WAYS; way++)
		if (bucket->who[way] == who) {
			bucket->who[way] = 0;
			memset(
			    entry_at(bucket, table, way), 0, entry_size(table));
		}
}

void
limits_table_repair(struct limits_header *header, uint32_t lock)
{
	enum limits_table table = LIMITS_GLOBAL;
	uint32_t i, way;

	/* Leases are single stores: nothing to repair. */
	if (lock >= LIMITS_LOCK_PARALLEL && lock < LIMITS_LOCK_GLOBAL)
		limits_budget_repair(header, lock - LIMITS_LOCK_PARALLEL);
	if (lock >= LIMITS_LOCK_PARALLEL && lock != LIMITS_LOCK_GLOBAL)
		return;
	if (lock != LIMITS_LOCK_GLOBAL)
		table = (enum limits_table)(lock / LIMITS_STRIPES + 1);
	for (i = lock == LIMITS_LOCK_GLOBAL ? 0 : lock % LIMITS_STRIPES;
	     i < limits_geometry[table].buckets; i += LIMITS_STRIPES)
		for (way = 0; way < LIMITS_WAYS; way++)
			limits_entry_repair(
			    entry_at(bucket_at(header, table, i), table, way),
			    limits_geometry[table].pairs);
}
