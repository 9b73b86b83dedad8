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

#endif
