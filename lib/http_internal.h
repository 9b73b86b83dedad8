/* http_internal.h - between the files of http.c alone. */
#ifndef PMPROXY_HTTP_INTERNAL_H
#define PMPROXY_HTTP_INTERNAL_H

#include <stddef.h>

/*
 * What two parsers could read in two ways is no path of ours: dot segments,
 * empty ones, backslashes, and dots, percent signs or control bytes hidden by
 * an escape. An escaped slash is one here, as some readers have it.
 */
int http_is_plain_path(const char *, size_t);

/* What a proxy says of who came to it: views into a header field. */
struct http_hop {
	const char *address; /* no port, no brackets; NULL: it does not say */
	size_t address_len;
	const char *scheme; /* NULL: it does not say */
	size_t scheme_len;
};

/*
 * Takes the next hop off a list, X-Forwarded-For or Forwarded (RFC 7239). 1,
 * 0 at its end, -1 when the rest cannot be read.
 */
int http_next_listed(const char **list, struct http_hop *);
int http_next_forwarded(const char **list, struct http_hop *);

#endif
