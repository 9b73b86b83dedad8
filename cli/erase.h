/* erase.h - what a key used is erased, wherever it stands. */
#ifndef PMPROXY_CLI_ERASE_H
#define PMPROXY_CLI_ERASE_H

#include <stdint.h>

#include "lib/config.h"
#include "lib/keys.h"

/*
 * Out of the journals, the store and the shared memory of a gate that runs.
 * 'gone': the key itself is erased, so nobody needs its windows any more. How
 * many lines and rows there were, or -1 after logging.
 */
int64_t erase_use(const struct config *, const struct key *, int gone);

#endif
