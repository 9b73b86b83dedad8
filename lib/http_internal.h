/* http_internal.h - between the files of http.c alone. */
#ifndef PMPROXY_HTTP_INTERNAL_H
#define PMPROXY_HTTP_INTERNAL_H

#include <stddef.h>

#include "http.h"

struct buf;

/* Variables that are no field of the client's, behind enum http_field. */
enum http_variable {
	HTTP_METHOD = HTTP_FIELD__MAX,
	HTTP_TARGET,
	HTTP_PROTOCOL,
	HTTP_REMOTE_ADDRESS,
	HTTP_REMOTE_PORT,
	HTTP_TLS,
	HTTP_ROLE,
	HTTP_TICKET,
	HTTP_LENGTH_ASKED,
	HTTP_EARLY,
	HTTP_VARIABLE__MAX
};

#define HTTP_EARLY_NAME "PMPROXY_BODY"

/*
 * Each variable's value, of "NAME=value", or NULL, to filed[HTTP_VARIABLE__MAX];
 * the first one's when it is there twice. 1 when that is so with a field.
 */
int http_file_variables(const char *const *env, const char *filed[]);

/* One of the request's; NULL: it has no such. */
const char *http_variable(const struct http *, unsigned);

/*
 * When asked: adds what lighttpd sent of the body to the answer's head, to come
 * back with the request. -1 when it is too much for that, or not all of it is
 * there; then it is lost.
 */
int http_early_keep(struct http *, struct buf *head);

/* The beginning of the body that came back; to 'to' unless NULL, up to 'n'. */
size_t http_early_part(const struct http *, char *to, size_t n);

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
