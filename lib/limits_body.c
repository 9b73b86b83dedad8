/*
 * Memory that bodies hold. A body that the web server takes in belongs to no
 * process of ours, and nobody tells when its client leaves in the middle. So
 * the port that it comes from is remembered, and where room is short a look at
 * the kernel's list of connections says which are gone.
 */
#include "limits_internal.h"

/* Where the client's connection cannot be seen. */
#define WAIT_MS (15 * 60 * 1000)

static struct limits_held_body *
find(struct limits_header *header, uint64_t ticket)
{
	struct limits_held_body *body = &header->body[ticket % LIMITS_BODIES];

	return ticket != 0 && body->ticket == ticket ? body : NULL;
}

/* A place that is free, or NULL. */
static struct limits_held_body *
find_room(struct limits_header *header)
{
	uint32_t i, *high = &header->bodies_high;

	if (*high > LIMITS_BODIES)
		*high = LIMITS_BODIES;
	while (*high > 0 && header->body[*high - 1].ticket == 0)
		(*high)--;
	for (i = 0; i < *high; i++)
		if (header->body[i].ticket == 0)
			return &header->body[i];
	if (*high == LIMITS_BODIES)
		return NULL;
	return &header->body[(*high)++];
}

static enum limits_result
look(const struct limits_header *header, const struct limits_body *b)
{
	int64_t own = 0, all = 0, waiting = 0;
	const struct limits_held_body *held;

	for (uint32_t i = 0; i < header->bodies_high; i++) {
		held = &header->body[i];
		if (held->ticket == 0)
			continue;
		all += held->bytes;
		own += held->who == b->who ? held->bytes : 0;
		waiting += held->process == 0 ? held->bytes : 0;
	}
	if (own > 0 && b->bytes > b->share - own)
		return LIMITS_PARALLEL;
	if (b->bytes > b->all - all ||
	    (b->waits && b->bytes > b->room - waiting))
		return LIMITS_REFUSED;
	return LIMITS_ADMITTED;
}

/* The row of this process, which is not passed over when it dies. */
static uint32_t
own_row(struct limits *limits)
{
	const struct limits_map *map = &limits->map;
	uint32_t unused = 0;

	(void)atomic_compare_exchange_strong(
	    &map->header->high[map->process], &unused, 1);
	return map->process + 1;
}

static void
hold(struct limits *limits, struct limits_held_body *held,
    struct limits_body *b, int64_t now_ms)
{
	struct limits_header *header = limits->map.header;
	uint64_t place = (uint64_t)(held - header->body);

	held->who = b->who;
	held->bytes = b->bytes;
	held->since_ms = now_ms;
	held->process = b->waits ? 0 : own_row(limits);
	held->port = b->port;
	b->ticket = ++header->tickets * LIMITS_BODIES + place;
	held->ticket = b->ticket;
}

static enum limits_result
take(struct limits *limits, struct limits_body *b, int64_t now_ms)
{
	struct limits_header *header = limits->map.header;
	struct limits_held_body *held;
	enum limits_result result;

	if (limits_shm_lock(header, LIMITS_LOCK_BODIES) == -1)
		return LIMITS_BROKEN;
	held = find_room(header);
	result = look(header, b);
	if (result == LIMITS_ADMITTED && held == NULL)
		result = LIMITS_REFUSED;
	if (result == LIMITS_ADMITTED)
		hold(limits, held, b, now_ms);
	limits_shm_unlock(header, LIMITS_LOCK_BODIES);
	return result;
}

enum limits_result
limits_body_take(struct limits *limits, struct limits_body *b, int64_t now_ms)
{
	enum limits_result result;

	b->ticket = 0;
	if (b->bytes < 0 || limits_shm_begin(limits, now_ms) == -1)
		return LIMITS_BROKEN;
	result = take(limits, b, now_ms);
	/* The dead must not stand in the way of the living. */
	if (result != LIMITS_ADMITTED && result != LIMITS_BROKEN &&
	    limits_lease_reap(&limits->map) > 0)
		result = take(limits, b, now_ms);
	limits_shm_end(limits);
	return result;
}

/* With 'bytes' -1 it is released instead. */
static int
change(struct limits *limits, uint64_t ticket, int64_t bytes)
{
	struct limits_held_body *held = NULL;
	struct limits_header *header;

	if (ticket == 0 || limits_shm_begin(limits, limits_now()) == -1)
		return -1;
	header = limits->map.header;
	if (limits_shm_lock(header, LIMITS_LOCK_BODIES) == 0) {
		held = find(header, ticket);
		if (held != NULL && bytes == -1) {
			held->ticket = 0;
		} else if (held != NULL) {
			held->process = own_row(limits);
			held->bytes = bytes;
		}
		limits_shm_unlock(header, LIMITS_LOCK_BODIES);
	}
	limits_shm_end(limits);
	return held != NULL ? 0 : -1;
}

int
limits_body_arrive(struct limits *limits, uint64_t ticket, int64_t bytes)
{
	return bytes < 0 ? -1 : change(limits, ticket, bytes);
}

void
limits_body_release(struct limits *limits, uint64_t ticket)
{
	(void)change(limits, ticket, -1); /* it may be gone with its file */
}

static int
is_gone(const struct limits_held_body *held,
    const unsigned char ports[LIMITS_PORTS_SIZE], int64_t since_ms)
{
	if (held->process != 0)
		return 0;
	if (ports == NULL || held->port == 0)
		return since_ms - held->since_ms > WAIT_MS;
	/* A connection that came after the look is not in it. */
	return held->since_ms < since_ms &&
	    (ports[held->port / 8] & 1u << held->port % 8) == 0;
}

int
limits_body_sweep(struct limits *limits,
    const unsigned char ports[LIMITS_PORTS_SIZE], int64_t since_ms)
{
	struct limits_held_body *held;
	struct limits_header *header;
	int gone = 0;

	if (limits_shm_begin(limits, since_ms) == -1)
		return 0;
	header = limits->map.header;
	if (limits_shm_lock(header, LIMITS_LOCK_BODIES) == 0) {
		for (uint32_t i = 0; i < LIMITS_BODIES; i++) {
			held = &header->body[i];
			if (held->ticket == 0 ||
			    !is_gone(held, ports, since_ms))
				continue;
			held->ticket = 0;
			gone++;
		}
		limits_shm_unlock(header, LIMITS_LOCK_BODIES);
	}
	limits_shm_end(limits);
	return gone;
}

void
limits_body_drop(struct limits_header *header, uint32_t row)
{
	if (limits_shm_lock(header, LIMITS_LOCK_BODIES) == -1)
		return;
	for (uint32_t i = 0; i < LIMITS_BODIES; i++)
		if (header->body[i].process == row + 1)
			header->body[i].ticket = 0;
	limits_shm_unlock(header, LIMITS_LOCK_BODIES);
}
