/* relay.h - the header fields that go upstream. */
#ifndef PMPROXY_RELAY_H
#define PMPROXY_RELAY_H

#include <stddef.h>

#define RELAY_FIELDS_MAX 8

struct call;

struct relay_fields {
	const char *field[RELAY_FIELDS_MAX + 1]; /* NULL-terminated */
	int n;
	size_t used;
	char text[RELAY_FIELDS_MAX * 1024]; /* so much of it is written */
};

/*
 * The organisation's key, and with 'client' those of the client's fields that
 * say nothing of who it is. Wipe them after use.
 */
void relay_fields_fill(const struct call *, struct relay_fields *, int client);
void relay_fields_wipe(struct relay_fields *);

#endif
