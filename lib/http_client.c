/*
 * Who is at the other end: with a trusted proxy in front not the connection's
 * peer but what the proxy tells of its own.
 */
#include "http.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

/* What stands right-most in a list; its length, blanks not counted. */
static size_t
last_of(const char *list, const char **last)
{
	const char *comma = strrchr(list, ',');

	*last = comma == NULL ? list : comma + 1;
	*last += strspn(*last, " \t");
	return strcspn(*last, " \t");
}

int
http_is_secure(const struct http *h, int trust_proxy)
{
	const char *list = http_field(h, HTTP_X_FORWARDED_PROTO), *last;
	size_t n;

	if (http_is_tls(h))
		return 1;
	if (list == NULL || !trust_proxy)
		return 0;
	n = last_of(list, &last);
	return n == 5 && strncasecmp(last, "https", n) == 0;
}

/* Some proxies (Azure's) add the port: "192.0.2.1:443", "[2001:db8::1]:443". */
static size_t
without_port(const char **address, size_t n)
{
	const char *colon = memchr(*address, ':', n);

	if (**address == '[') {
		(*address)++;
		return strcspn(*address, "]");
	}
	if (colon == NULL ||
	    memchr(colon + 1, ':', n - (size_t)(colon + 1 - *address)) != NULL)
		return n;
	return (size_t)(colon - *address);
}

static const char *
client_address(const struct http *h, int trust_proxy, char to[64])
{
	const char *list = http_field(h, HTTP_X_FORWARDED_FOR), *last;
	size_t n;

	if (list == NULL || !trust_proxy)
		return http_remote_address(h);
	n = last_of(list, &last);
	n = without_port(&last, n);
	if (n == 0 || n >= 64)
		return http_remote_address(h);
	memcpy(to, last, n);
	to[n] = '\0';
	return to;
}

static size_t
network(
    unsigned char out[HTTP_NETWORK_SIZE], char kind, const void *p, size_t n)
{
	out[0] = (unsigned char)kind;
	memcpy(out + 1, p, n);
	return n + 1;
}

size_t
http_client_network(
    const struct http *h, int trust_proxy, unsigned char out[HTTP_NETWORK_SIZE])
{
	char text[64];
	const char *address = client_address(h, trust_proxy, text);
	unsigned char bytes[16];

	if (inet_pton(AF_INET, address, bytes) == 1)
		return network(out, '4', bytes, 4);
	if (inet_pton(AF_INET6, address, bytes) != 1)
		return network(out, '?', "", 0);
	/* ::ffff:198.51.100.7 is an IPv4 client of a dual socket. */
	if (memcmp(bytes, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12) == 0)
		return network(out, '4', bytes + 12, 4);
	return network(out, '6', bytes, 8);
}
