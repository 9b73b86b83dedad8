/*
 * Places in flight. They are never counted up and down, which a death would
 * leave wrong for ever: each process has a row of leases, each lease says who
 * holds it, and a count is a look at all rows. A row belongs to whoever has
 * the kernel's lock on its byte of the file, so the kernel says who is dead.
 */
#include "limits_internal.h"

#include <fcntl.h>
#include <unistd.h>
#include "log.h"

/* A lease marks who holds it with a number other than 0. */
uint64_t
limits_lease_mark(uint64_t who)
{
	return who == 0 ? 1 : who;
}

uint32_t
limits_lease_lock(uint64_t who)
{
	return LIMITS_LOCK_PARALLEL +
	    (uint32_t)(limits_lease_mark(who) % LIMITS_STRIPES);
}

/*
 * The lock is the open file's, not the process's: it is gone when the process
 * is, also when it forks and the child closes its copies.
 */
static int
row_lock(const struct limits_map *map, int command, short type, uint32_t row,
    short *found)
{
	struct flock lock = {
		.l_type = type,
		.l_whence = SEEK_SET,
		.l_start = row,
		.l_len = 1,
	};

	if (fcntl(map->fd, command, &lock) == -1)
		return -1;
	if (found != NULL)
		*found = lock.l_type;
	return 0;
}

static void
hold_set(struct limits_hold *hold, int64_t eur, int64_t tokens, int writing)
{
	atomic_store(&hold->writing, writing != 0);
	atomic_store(&hold->eur, eur);
	atomic_store(&hold->tokens, tokens);
}

/* Nobody knows how far a dead one came with writing its use down. */
static void
place_clear(struct limits_header *header, uint32_t row, uint32_t slot)
{
	struct limits_hold *hold = &header->hold[row][slot];
	uint64_t mark = atomic_load(&header->lease[row][slot]);

	if (mark != 0 && atomic_load(&hold->writing))
		limits_budget_doubt(header, mark);
	atomic_store(&header->lease[row][slot], 0);
	hold_set(hold, 0, 0, 0);
}

static void
row_clear(struct limits_header *header, uint32_t row)
{
	uint32_t i, high = atomic_load(&header->high[row]);

	if (high > LIMITS_LEASES)
		high = LIMITS_LEASES;
	for (i = 0; i < high; i++)
		place_clear(header, row, i);
	atomic_store(&header->high[row], 0);
	limits_body_drop(header, row);
}

int
limits_lease_join(struct limits_map *map)
{
	struct limits_header *header = map->header;
	uint32_t row;

	if (limits_shm_lock(header, LIMITS_LOCK_REGISTRY) == -1)
		return -1;
	for (row = 0; row < LIMITS_PROCESSES; row++)
		if (row_lock(map, F_OFD_SETLK, F_WRLCK, row, NULL) == 0)
			break;
	if (row < LIMITS_PROCESSES) {
		row_clear(header, row);
		map->process = row;
	}
	limits_shm_unlock(header, LIMITS_LOCK_REGISTRY);
	if (row < LIMITS_PROCESSES)
		return 0;
	log_warnx("more than %u processes share the limits", LIMITS_PROCESSES);
	return -1;
}

void
limits_lease_leave(struct limits_map *map)
{
	if (limits_shm_lock(map->header, LIMITS_LOCK_REGISTRY) == -1)
		return;
	row_clear(map->header, map->process);
	/* When it fails the descriptor's close does the same. */
	(void)row_lock(map, F_OFD_SETLK, F_UNLCK, map->process, NULL);
	limits_shm_unlock(map->header, LIMITS_LOCK_REGISTRY);
}

int
limits_lease_reap(struct limits_map *map)
{
	struct limits_header *header = map->header;
	int dead = 0;
	short found;
	uint32_t row;

	/* No row may find a new owner between the look and the clearing. */
	if (limits_shm_lock(header, LIMITS_LOCK_REGISTRY) == -1)
		return 0;
	for (row = 0; row < LIMITS_PROCESSES; row++) {
		if (row == map->process || atomic_load(&header->high[row]) == 0)
			continue;
		if (row_lock(map, F_OFD_GETLK, F_WRLCK, row, &found) == -1 ||
		    found != F_UNLCK)
			continue;
		row_clear(header, row);
		dead++;
	}
	limits_shm_unlock(header, LIMITS_LOCK_REGISTRY);
	return dead;
}

/* 'mark' 0: of anybody. */
static int64_t
count(struct limits_header *header, uint64_t mark)
{
	uint32_t row, i, high;
	int64_t n = 0;

	for (row = 0; row < LIMITS_PROCESSES; row++) {
		high = atomic_load(&header->high[row]);
		if (high > LIMITS_LEASES)
			high = LIMITS_LEASES;
		for (i = 0; i < high; i++) {
			uint64_t held = atomic_load_explicit(
			    &header->lease[row][i], memory_order_relaxed);

			n += mark == 0 ? held != 0 : held == mark;
		}
	}
	return n;
}

int64_t
limits_lease_count(struct limits_header *header, uint64_t who)
{
	return count(header, limits_lease_mark(who));
}

int64_t
limits_lease_count_all(struct limits_header *header)
{
	return count(header, 0);
}

int
limits_lease_pop(struct limits *limits, uint32_t *slot)
{
	int found;

	(void)pthread_mutex_lock(&limits->free_lock); /* ours: cannot fail */
	found = limits->free_len > 0;
	if (found)
		*slot = limits->free[--limits->free_len];
	(void)pthread_mutex_unlock(&limits->free_lock);
	return found ? 0 : -1;
}

void
limits_lease_push(struct limits *limits, uint32_t slot)
{
	(void)pthread_mutex_lock(&limits->free_lock); /* ours: cannot fail */
	limits->free[limits->free_len++] = slot;
	(void)pthread_mutex_unlock(&limits->free_lock);
}

static void
row_set(struct limits_map *map, uint32_t slot, uint64_t mark)
{
	_Atomic uint32_t *high = &map->header->high[map->process];
	uint32_t seen = atomic_load(high);

	/* First the bound, so that no lease is ever beyond it. */
	while (mark != 0 && seen <= slot &&
	    !atomic_compare_exchange_weak(high, &seen, slot + 1))
		;
	atomic_store(&map->header->lease[map->process][slot], mark);
}

void
limits_lease_hold(struct limits *limits, uint32_t slot, uint64_t who)
{
	atomic_store(&limits->held[slot].who, limits_lease_mark(who));
	row_set(&limits->map, slot, limits_lease_mark(who));
}

void
limits_lease_drop(struct limits *limits, uint32_t slot, int usable)
{
	atomic_store(&limits->held[slot].who, 0);
	if (usable)
		row_set(&limits->map, slot, 0);
	limits_lease_reserve(limits, slot, 0, 0, 0, usable);
}

void
limits_lease_reserve(struct limits *limits, uint32_t slot, int64_t eur,
    int64_t tokens, int writing, int usable)
{
	const struct limits_map *map = &limits->map;

	hold_set(&limits->held[slot].hold, eur, tokens, writing);
	if (usable)
		hold_set(&map->header->hold[map->process][slot], eur, tokens,
		    writing);
}

void
limits_lease_sync(struct limits *limits)
{
	const struct limits_held *held;
	uint32_t i;

	for (i = 0; i < limits->slots; i++) {
		held = &limits->held[i];
		hold_set(&limits->map.header->hold[limits->map.process][i],
		    atomic_load(&held->hold.eur),
		    atomic_load(&held->hold.tokens),
		    (int)atomic_load(&held->hold.writing));
		row_set(&limits->map, i, atomic_load(&held->who));
	}
}
