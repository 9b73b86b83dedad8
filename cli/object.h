/* object.h - JSON objects as the programs print them. */
#ifndef PMPROXY_CLI_OBJECT_H
#define PMPROXY_CLI_OBJECT_H

#include <json-c/json.h>

/* Adds a member that it takes over; 0, or -1 when it was NULL or memory is. */
int
object_add(struct json_object *, const char *name, struct json_object *member);

/*
 * Prints it, over many lines or in one, with a newline, and gives it back; 0,
 * or -1 when it is NULL or memory is out, which is logged.
 */
int object_print(struct json_object *);
int object_print_line(struct json_object *);

#endif
