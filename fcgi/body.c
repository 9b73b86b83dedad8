/*
 * Room for bodies. lighttpd keeps a body until it is whole and only then calls
 * a responder, so for any but a small one it asks first, on the head alone
 * (lighttpd.conf): whoever has no key, or has used up a share, is refused while
 * the body is still with the client.
 */
#include <sys/statvfs.h>
#include <time.h>

#include "gate.h"
#include "lib/connections.h"
#include "lib/log.h"

/* Those of four digits are free: lighttpd.conf does not ask about them. */
#define COUNTED_BYTES 10000
/* A look at all connections costs, so a flood of refusals gets few. */
#define LOOK_MS 250
/*
 * A chunked body takes up the room of a large one until it is there, which is
 * mostly soon: so many threads may wait, that often, for so long.
 */
#define PATIENT_THREADS 16
#define PATIENT_TRIES 5
#define PATIENT_MS 100

#if CONNECTIONS_PORTS_SIZE != LIMITS_PORTS_SIZE
#error "one bit for each port in both"
#endif

int
body_was_asked(struct call *c)
{
	uint64_t ticket = http_ticket(c->http);

	if (http_is_asking(c->http) ||
	    limits_body_arrive(
		c->gate->limits, ticket, http_body_announced(c->http)) == -1)
		return 0;
	c->ticket = ticket;
	return 1;
}

/* What may come, when lighttpd asks; -1 when it makes no sense. */
static int64_t
expected_bytes(const struct call *c)
{
	int64_t bytes = http_body_announced(c->http);

	if (bytes == 0 && http_is_asking(c->http))
		return config_number(c->gate->config, CONFIG_MAX_BODY_BYTES);
	return bytes;
}

static int64_t
room_for_uploads(const struct gate *g)
{
	struct statvfs fs;

	if (statvfs(g->upload_dir, &fs) == 0)
		return (int64_t)(fs.f_bavail * fs.f_frsize);
	log_warn("cannot look at '%s'", g->upload_dir);
	return -1;
}

/* Gives back what clients held that went away; how many they were. */
static int
sweep(struct gate *g)
{
	unsigned char ports[CONNECTIONS_PORTS_SIZE];
	int64_t now_ms = limits_now(), last_ms = atomic_load(&g->looked_ms);
	int known;

	if (now_ms - last_ms < LOOK_MS ||
	    !atomic_compare_exchange_strong(&g->looked_ms, &last_ms, now_ms))
		return 0;
	known = g->connections != NULL &&
	    connections_ports(g->connections, ports) == 0;
	return limits_body_sweep(g->limits, known ? ports : NULL, now_ms);
}

/* 1 after a moment, or 0 when too many wait already. */
static int
wait_a_moment(struct gate *g)
{
	static const struct timespec moment = { 0, PATIENT_MS * 1000000 };
	int patient = atomic_fetch_add(&g->waiting, 1) < PATIENT_THREADS;

	if (patient)
		(void)nanosleep(&moment, NULL); /* cut short it is as good */
	atomic_fetch_sub(&g->waiting, 1);
	return patient;
}

static enum limits_result
take_patiently(struct gate *g, struct limits_body *b)
{
	enum limits_result result =
	    limits_body_take(g->limits, b, limits_now());

	for (int i = 1; i < PATIENT_TRIES; i++) {
		if (result != LIMITS_PARALLEL && result != LIMITS_REFUSED)
			break;
		if (sweep(g) == 0 && !wait_a_moment(g))
			break;
		result = limits_body_take(g->limits, b, limits_now());
	}
	return result;
}

enum openai_error
body_take(struct call *c)
{
	struct gate *g = c->gate;
	struct limits_body b = {
		.who = c->key_hash,
		.bytes = expected_bytes(c),
		.share = config_number(g->config, CONFIG_MAX_KEY_BODY_MEMORY),
		.all = config_number(g->config, CONFIG_MAX_BODY_MEMORY),
		.waits = http_is_asking(c->http),
		.port = http_remote_port(c->http),
	};
	enum limits_result result;

	if (b.bytes > config_number(g->config, CONFIG_MAX_BODY_BYTES))
		return OPENAI_TOO_LARGE;
	if (c->ticket != 0 || (!b.waits && b.bytes < COUNTED_BYTES))
		return OPENAI_OK;
	if (b.bytes == -1)
		return OPENAI_NO_LENGTH;
	if (b.waits && (b.room = room_for_uploads(g)) == -1)
		return OPENAI_STORE;
	result = take_patiently(g, &b);
	c->ticket = b.ticket;
	if (result == LIMITS_ADMITTED)
		return OPENAI_OK;
	if (result == LIMITS_PARALLEL)
		return OPENAI_RATE_BODIES;
	return result == LIMITS_REFUSED ? OPENAI_OVERLOADED : OPENAI_STORE;
}

enum openai_error
body_admit(struct call *c)
{
	enum openai_error error;

	if ((error = admit_foresee(c)) != OPENAI_OK ||
	    (error = body_take(c)) != OPENAI_OK)
		return error;
	if (http_admit(c->http, c->ticket) == -1)
		return OPENAI_LATE_BODY;
	c->ticket = 0; /* it comes back with the request */
	return OPENAI_OK;
}
