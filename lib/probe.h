/*
 * probe.h - how the upstream looked when a responder last asked it, for pages
 * that must not wait, nor load what it takes to ask.
 *
 * RUN_DIR/upstream holds the last look, always whole. RUN_DIR/upstream.ask is
 * a FIFO: whoever writes to it wakes one responder, which looks again.
 */
#ifndef PMPROXY_PROBE_H
#define PMPROXY_PROBE_H

#include <stddef.h>
#include <stdint.h>

#define PROBE_MODEL_SIZE 64
#define PROBE_MODELS_MAX 100

enum probe_state {
	PROBE_REACHABLE, /* it gave its list of models */
	PROBE_REFUSED, /* it does not take the Privatemode key */
	PROBE_SILENT, /* no answer in time */
	PROBE_UNREACHABLE, /* no connection, or no list */
	PROBE_STATE__MAX
};

struct probe {
	enum probe_state state;
	int64_t at; /* Unix seconds */
	size_t n;
	char models[PROBE_MODELS_MAX][PROBE_MODEL_SIZE];
};

/*
 * For a responder: the descriptor that probe_wait waits on, made when absent;
 * -1 after logging. It is closed with the process.
 */
int probe_listen(const char *run_dir);

/* Waits until somebody asks. 0, or -1 after logging: it will not do again. */
int probe_wait(int fd);

/* Publishes a look; names with control characters are left out. 0 or -1. */
int probe_publish(const char *run_dir, const struct probe *);

/*
 * Asks for a look and waits for it, 'wait_ms' at most. 1 with the new look; 0
 * when none came in time; -1 after logging, also when no responder runs.
 */
int probe_ask(const char *run_dir, int wait_ms, struct probe *);

#endif
