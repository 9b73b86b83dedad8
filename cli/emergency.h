/*
 * emergency.h - pmkey's commands for the worst day: no key opens anything, or
 * nothing is left to be found.
 */
#ifndef PMPROXY_CLI_EMERGENCY_H
#define PMPROXY_CLI_EMERGENCY_H

#include "cli/command.h"
#include "lib/config.h"

/*
 * Refuses all keys and ends all sessions of the admin pages; 'end' takes the
 * refusal back, after a line that says so is typed (or piped in).
 */
enum command_exit emergency_lockdown(const struct config *, int end);

/*
 * Overwrites and removes all that is in STATE_DIR and RUN_DIR, after a typed
 * line. May be repeated when it failed.
 */
enum command_exit emergency_destroy(const struct config *);

#endif
