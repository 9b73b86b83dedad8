/*
 * key_import.h - keys to and from files: the predecessor's api_keys.json, and
 * pmkey's own export, which holds hashes and never keys.
 */
#ifndef PMPROXY_CLI_KEY_IMPORT_H
#define PMPROXY_CLI_KEY_IMPORT_H

#include <stdint.h>

struct json_object;

/*
 * Adds the keys in the file ("-" is standard input) to the store: all that
 * are not there yet, or none, when a row cannot be read or a write fails.
 * The summary, to be given back with json_object_put, or NULL after logging.
 */
struct json_object *
key_import(const char *state_dir, const char *path, int64_t now);

/* Says the summary in words. */
void key_import_print(struct json_object *summary);

/* Everything the store knows, to be given back; NULL after logging. */
struct json_object *key_export(const char *state_dir, int64_t now);

#endif
