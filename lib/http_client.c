/*
 * Who is at the other end: with a trusted proxy in front not the connection's
 * peer but what the proxy tells of its own.
 */
#include "http.h"

#include <string.h>
#include <strings.h>

#include "http_internal.h"
#include "peers.h"

struct client {
	struct peers_address address;
	int secure;
};

static int
is_https(const char *scheme, size_t n)
{
	return n == 5 && strncasecmp(scheme, "https", n) == 0;
}

/* The nearest proxy writes its own word behind those of others. */
static int
says_https(const char *list)
{
	const char *last;
	size_t n;

	if (list == NULL)
		return 0;
	last = strrchr(list, ',');
	last = last == NULL ? list : last + 1;
	last += strspn(last, " \t");
	n = strcspn(last, " \t");
	return last[n + strspn(last + n, " \t")] == '\0' && is_https(last, n);
}

static void
set_address(struct peers_address *a, const char *text)
{
	peers_address(a, text, strlen(text));
}

static void
take_hop(struct client *c, const struct http *h, const struct http_hop *hop)
{
	if (hop->address != NULL)
		peers_address(&c->address, hop->address, hop->address_len);
	else
		/* It hides whom it serves: that is itself, then. */
		set_address(&c->address, http_remote_address(h));
	c->secure =
	    is_https(hop->scheme != NULL ? hop->scheme : "", hop->scheme_len);
}

/*
 * Each hop was written by the one to its right. Of those not on the list the
 * right-most counts; when all are on it, the first.
 */
static void
follow(struct client *c, const struct http *h, const struct peers *p,
    const char *list)
{
	int (*next)(const char **, struct http_hop *) =
	    p->forwarded ? http_next_forwarded : http_next_listed;
	struct peers_address address;
	struct http_hop hop;
	int more, first = 1;

	while ((more = next(&list, &hop)) == 1) {
		peers_address(&address, hop.address, hop.address_len);
		if (first || p->everybody || hop.address == NULL ||
		    !peers_has(p, &address))
			take_hop(c, h, &hop);
		first = 0;
	}
	/* Somebody means to be misread, so nothing of it is believed. */
	if (more == -1) {
		set_address(&c->address, "");
		c->secure = 0;
	}
}

static void
find_client(struct client *c, const struct http *h, const struct peers *p)
{
	const char *remote = http_remote_address(h), *list;

	set_address(&c->address, remote);
	c->secure = 0;
	if (peers_believe(p, remote)) {
		list = http_field(
		    h, p->forwarded ? HTTP_FORWARDED : HTTP_X_FORWARDED_FOR);
		if (list != NULL && *list != '\0')
			follow(c, h, p, list);
		if (!p->forwarded)
			c->secure =
			    says_https(http_field(h, HTTP_X_FORWARDED_PROTO));
	}
	c->secure = c->secure || http_is_tls(h);
}

int
http_is_secure(const struct http *h, const struct peers *p)
{
	struct client c;

	find_client(&c, h, p);
	return c.secure;
}

int
http_head_https_only(struct http *h, const struct peers *peers)
{
	if (http_is_tls(h) || !http_is_secure(h, peers))
		return 0;
	return http_head(h, "Strict-Transport-Security", "max-age=31536000");
}

size_t
http_client_network(const struct http *h, const struct peers *p,
    unsigned char out[HTTP_NETWORK_SIZE])
{
	struct client c;
	size_t n;

	find_client(&c, h, p);
	n = c.address.kind == '4' ? 4 : c.address.kind == '6' ? 8 : 0;
	out[0] = c.address.kind;
	memcpy(out + 1, c.address.bytes, n);
	return n + 1;
}
