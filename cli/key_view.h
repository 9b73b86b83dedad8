/* key_view.h - how pmkey shows keys: JSON for scripts, text for people. */
#ifndef PMPROXY_CLI_KEY_VIEW_H
#define PMPROXY_CLI_KEY_VIEW_H

#include "cli/table.h"
#include "lib/keys.h"

struct json_object;

/* "active", "disabled" or "expired". */
const char *key_view_state(const struct key *, int64_t now);

/* The object that scripts read; never a secret. NULL when memory is out. */
struct json_object *key_view_object(const struct key *, int64_t now);

/* The settings of one key, a line each. */
void key_view_print(const struct key *, int64_t now);

/* One key's row in a table with these heads. */
#define KEY_VIEW_COLUMNS 11
extern const char *const key_view_heads[KEY_VIEW_COLUMNS];
void key_view_row(struct table *, const struct key *, int64_t now);

#endif
