/* key_list.h - pmkey's list of all keys. */
#ifndef PMPROXY_CLI_KEY_LIST_H
#define PMPROXY_CLI_KEY_LIST_H

#include <stdint.h>

#include "cli/command.h"

/* Prints them, the oldest first, as a table or as JSON. */
enum command_exit key_list(const char *state_dir, int64_t now, int json);

#endif
