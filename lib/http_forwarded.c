/* What proxies in front say in X-Forwarded-For and Forwarded. */
#include <string.h>
#include <strings.h>

#include "http_internal.h"

static const char blanks[] = " \t";

/* Some proxies (Azure's) add the port: "192.0.2.1:443", "[2001:db8::1]:443". */
static void
set_address(struct http_hop *hop, const char *p, size_t n)
{
	const char *end = p + n, *colon = memchr(p, ':', n), *bracket;

	if (n > 0 && *p == '[') {
		p++;
		bracket = memchr(p, ']', n - 1);
		end = bracket != NULL ? bracket : end;
	} else if (colon != NULL &&
	    memchr(colon + 1, ':', n - (size_t)(colon + 1 - p)) == NULL)
		end = colon;
	hop->address = p;
	hop->address_len = (size_t)(end - p);
}

int
http_next_listed(const char **list, struct http_hop *hop)
{
	const char *p = *list;
	size_t n;

	*hop = (struct http_hop){ 0 };
	if (p == NULL)
		return 0;
	p += strspn(p, blanks);
	n = strcspn(p, ",");
	*list = p[n] == ',' ? p + n + 1 : NULL;
	while (n > 0 && strchr(blanks, p[n - 1]) != NULL)
		n--;
	if (n > 0)
		set_address(hop, p, n);
	return 1;
}

/* A token or a quoted string; nothing that matters here needs an escape. */
static int
take_value(const char **at, const char **value, size_t *n)
{
	const char *p = *at;
	int quoted = *p == '"';

	p += quoted;
	*value = p;
	*n = strcspn(p, quoted ? "\"\\" : "\",;\\ \t");
	p += *n;
	if (quoted && *p++ != '"')
		return -1;
	*at = p;
	return 0;
}

/* "name=value"; names are the same in any case. */
static int
take_pair(const char **at, struct http_hop *hop)
{
	const char *name = *at, *value;
	size_t name_len = strcspn(name, "=,;\" \t"), n;

	if (name_len == 0 || name[name_len] != '=')
		return -1;
	*at = name + name_len + 1;
	if (take_value(at, &value, &n) == -1)
		return -1;
	if (name_len == 3 && strncasecmp(name, "for", 3) == 0) {
		if (hop->address != NULL)
			return -1;
		set_address(hop, value, n);
	} else if (name_len == 5 && strncasecmp(name, "proto", 5) == 0) {
		if (hop->scheme != NULL)
			return -1;
		hop->scheme = value;
		hop->scheme_len = n;
	}
	return 0;
}

int
http_next_forwarded(const char **list, struct http_hop *hop)
{
	const char *p = *list;

	*hop = (struct http_hop){ 0 };
	if (p == NULL)
		return 0;
	p += strspn(p, blanks);
	while (*p != ',' && *p != '\0') {
		if (take_pair(&p, hop) == -1)
			return -1;
		p += strspn(p, blanks);
		if (*p == ';') {
			p++;
			p += strspn(p, blanks);
		} else if (*p != ',' && *p != '\0')
			return -1;
	}
	*list = *p == ',' ? p + 1 : NULL;
	return 1;
}
