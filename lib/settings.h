/*
 * settings.h - settings that can be changed while the gate runs. A value in
 * STATE_DIR/settings.gdbm stands in front of the configuration's; a change that
 * returned is in force for the next request of every process. Only what
 * config_is_live allows.
 */
#ifndef PMPROXY_SETTINGS_H
#define PMPROXY_SETTINGS_H

#include <stdint.h>

#include "config.h"

/* Every live value at one moment; others are 0. */
struct settings_values {
	int64_t number[CONFIG__MAX];
	/* 1 when the value stands in the store, 0 when in the configuration */
	unsigned char stored[CONFIG__MAX];
};

struct settings;

/* Borrows 'config' until closed. NULL after logging. */
struct settings *
settings_open(const char *state_dir, const struct config *config);
void settings_close(struct settings *);

/*
 * The values in force now. Thread-safe, and when nothing changed without I/O but
 * a look at the file now and then (db_watch.h). -1 after logging when the store
 * cannot be read or holds a value out of bounds: requests are then refused,
 * never served with other limits.
 */
int settings_read(struct settings *, struct settings_values *);

/*
 * Validates and stores; unset removes it, whether it was there or not. 0 or
 * -1 after logging.
 */
int settings_set(const char *state_dir, enum config_name, const char *value);
int settings_unset(const char *state_dir, enum config_name);

#endif
