/* JSON objects, built by json-c, whose every step may be out of memory. */
#include "cli/object.h"

#include <stdio.h>

#include "lib/log.h"

int
object_add(struct json_object *to, const char *name, struct json_object *member)
{
	if (member != NULL && json_object_object_add(to, name, member) == 0)
		return 0;
	json_object_put(member);
	return -1;
}

static int
print(struct json_object *o, int flags)
{
	const char *text = NULL;

	if (o != NULL)
		text = json_object_to_json_string_ext(
		    o, flags | JSON_C_TO_STRING_NOSLASHESCAPE);
	if (text != NULL)
		(void)puts(text); /* the program looks at ferror in the end */
	else
		log_warnx("out of memory");
	json_object_put(o);
	return text == NULL ? -1 : 0;
}

int
object_print(struct json_object *o)
{
	return print(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED);
}

int
object_print_line(struct json_object *o)
{
	return print(o, JSON_C_TO_STRING_PLAIN);
}
