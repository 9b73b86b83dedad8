/* key_row.h - one key of an import file. */
#ifndef PMPROXY_CLI_KEY_ROW_H
#define PMPROXY_CLI_KEY_ROW_H

#include "lib/keys.h"

struct json_object;

/* Of pmkey's own export; the predecessor's files have none. */
#define KEY_ROW_VERSION 1

struct key_row {
	struct key key;
	unsigned char hash[32];
};

/*
 * Reads a row as pmkey or the predecessor wrote it. NULL, or what is wrong
 * with it, in a few words; key.id is then the row's id as far as there is one
 * that can be printed. A key of unknown age counts as made now.
 */
const char *key_row_read(struct json_object *, int64_t now, struct key_row *);

#endif
