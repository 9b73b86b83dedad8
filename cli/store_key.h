/*
 * store_key.h - pmkey's commands for the key that stores are sealed under: its
 * file, and sealing all there is under it.
 */
#ifndef PMPROXY_CLI_STORE_KEY_H
#define PMPROXY_CLI_STORE_KEY_H

#include <stdint.h>

#include "cli/command.h"
#include "lib/config.h"
#include "lib/db.h"

enum store_key_change {
	STORE_KEY_MAKE, /* the file, with one key */
	STORE_KEY_NEW, /* another key before those that are there */
	STORE_KEY_DROP /* all but the first, once nothing needs them */
};

/* Makes or changes the file that STORE_KEY_FILE names, in one step. */
enum command_exit
store_key_change(const struct config *, enum store_key_change, int64_t now);

/*
 * Writes all stores and journals anew, where they are not yet as they are to
 * be. 'cursor' NULL, or the path of an export's cursor outside of STATE_DIR.
 * May be interrupted and repeated.
 */
enum command_exit store_key_reseal(
    const struct config *, enum db_reseal, const char *cursor, int64_t now);

#endif
