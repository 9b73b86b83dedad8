/* pmkey list. */
#include "cli/key_list.h"

#include <json-c/json.h>
#include <stdio.h>

#include "cli/key_view.h"
#include "cli/object.h"
#include "lib/keys.h"
#include "lib/log.h"

struct listing {
	struct json_object *array; /* NULL: a table */
	struct table table;
	int64_t now;
	int n;
};

static int
add_to_list(const struct key *key, const unsigned char hash[32], void *arg)
{
	struct listing *l = arg;
	struct json_object *o;

	(void)hash;
	l->n++;
	if (l->array == NULL) {
		key_view_row(&l->table, key, l->now);
		return 0;
	}
	o = key_view_object(key, l->now);
	if (o != NULL && json_object_array_add(l->array, o) == 0)
		return 0;
	json_object_put(o);
	log_warnx("out of memory");
	return 1;
}

static enum command_exit
list_json(const char *state_dir, int64_t now)
{
	struct listing l = { .array = json_object_new_array(), .now = now };
	int bad;

	if (l.array == NULL) {
		log_warnx("out of memory");
		return COMMAND_FAILED;
	}
	bad = keys_each(state_dir, add_to_list, &l) != 0;
	/* Nothing rather than an empty list of a store that is not read. */
	if (bad && l.n == 0)
		json_object_put(l.array);
	else
		bad |= object_print(l.array) == -1;
	return bad ? COMMAND_FAILED : COMMAND_DONE;
}

enum command_exit
key_list(const char *state_dir, int64_t now, int json)
{
	struct listing l = { .table = TABLE(key_view_heads), .now = now };
	int bad;

	if (json)
		return list_json(state_dir, now);
	bad = keys_each(state_dir, add_to_list, &l) != 0;
	if (l.n == 0 && !bad)
		puts("There are no keys yet.");
	else if (l.n > 0 && table_print(&l.table) == -1) {
		log_warnx("out of memory");
		bad = 1;
	}
	return bad ? COMMAND_FAILED : COMMAND_DONE;
}
