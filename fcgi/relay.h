/* relay.h - the header fields that go upstream. */
#ifndef PMPROXY_RELAY_H
#define PMPROXY_RELAY_H

#include <stddef.h>

#define RELAY_FIELDS_MAX 8

struct call;

struct relay_fields {
	char *field[RELAY_FIELDS_MAX + 1]; /* NULL-terminated */
	int n, failed;
};

/*
 * The organisation's key, and with 'client' those of the client's fields that
 * say nothing of who it is. 0, or -1 for lack of memory (logged); either way
 * to be freed, which wipes them.
 */
int relay_fields_fill(const struct call *, struct relay_fields *, int client);
void relay_fields_free(struct relay_fields *);

#endif
