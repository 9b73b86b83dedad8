/* Whose request it is, with and without a proxy that is trusted. */
#include <check.h>
#include <string.h>

#include "lib/http.h"
#include "lib/peers.h"
#include "tests/unit/suite.h"

/* Trusted in rows with a list. */
#define LIST "10.0.0.0/8, 2001:db8:ff::/48 unix"
#define PEER "REMOTE_ADDR=10.0.0.1"
#define XFF "X-Forwarded-For"
#define FWD "Forwarded"
#define FOR(list) "HTTP_X_FORWARDED_FOR=" list
#define FORWARDED(list) "HTTP_FORWARDED=" list
#define CLIENT "4\xc6\x33\x64\x07" /* 198.51.100.7 */
#define PROXY "4\x0a\0\0\1"

static const struct {
	const char *why, *trust, *header, *remote, *says;
	size_t len;
	const char *network; /* kind and bytes */
} clients[] = {
	{ "IPv4", "0", XFF, "REMOTE_ADDR=198.51.100.7", NULL, 5, CLIENT },
	{ "IPv6 by its /64", "0", XFF, "REMOTE_ADDR=2001:db8::1", NULL, 9,
	    "6\x20\x01\x0d\xb8\0\0\0\0" },
	{ "IPv4 in IPv6", "0", XFF, "REMOTE_ADDR=::ffff:198.51.100.7", NULL, 5,
	    CLIENT },
	{ "no address", "0", XFF, "REMOTE_ADDR=", NULL, 1, "?" },
	{ "a header nobody trusts", "0", XFF, "REMOTE_ADDR=198.51.100.7",
	    FOR("192.0.2.1"), 5, CLIENT },

	{ "whoever connects", "1", XFF, "REMOTE_ADDR=192.0.2.1",
	    FOR("198.51.100.7"), 5, CLIENT },
	{ "right-most counts", "1", XFF, "REMOTE_ADDR=192.0.2.1",
	    FOR("203.0.113.5, 198.51.100.7 "), 5, CLIENT },
	{ "with a port", "1", XFF, "REMOTE_ADDR=192.0.2.1",
	    FOR("198.51.100.7:443"), 5, CLIENT },
	{ "IPv6 with a port", "1", XFF, "REMOTE_ADDR=198.51.100.7",
	    FOR("192.0.2.1, [2001:db8::1]:443"), 9,
	    "6\x20\x01\x0d\xb8\0\0\0\0" },
	{ "an empty last one", "1", XFF, "REMOTE_ADDR=198.51.100.7",
	    FOR("203.0.113.5, "), 5, CLIENT },
	{ "no address at all", "1", XFF, "REMOTE_ADDR=198.51.100.7",
	    FOR("unknown"), 1, "?" },
	{ "an empty header", "1", XFF, "REMOTE_ADDR=198.51.100.7", FOR(""), 5,
	    CLIENT },
	{ "not the other header", "1", XFF, "REMOTE_ADDR=198.51.100.7",
	    FORWARDED("for=192.0.2.1"), 5, CLIENT },

	{ "a proxy on the list", LIST, XFF, PEER, FOR("198.51.100.7"), 5,
	    CLIENT },
	{ "not on the list", LIST, XFF, "REMOTE_ADDR=198.51.100.7",
	    FOR("192.0.2.1"), 5, CLIENT },
	{ "just outside of it", LIST, XFF, "REMOTE_ADDR=11.0.0.0",
	    FOR("192.0.2.1"), 5, "4\x0b\0\0\0" },
	{ "IPv6 on the list", LIST, XFF, "REMOTE_ADDR=2001:db8:ff::9",
	    FOR("198.51.100.7"), 5, CLIENT },
	{ "IPv6 outside of it", LIST, XFF, "REMOTE_ADDR=2001:db8:fe::9",
	    FOR("198.51.100.7"), 9, "6\x20\x01\x0d\xb8\0\xfe\0\0" },
	{ "IPv4 in IPv6 on it", LIST, XFF, "REMOTE_ADDR=::ffff:10.0.0.1",
	    FOR("198.51.100.7"), 5, CLIENT },
	{ "a listed IPv4 in IPv6", "::ffff:10.0.0.0/104", XFF, PEER,
	    FOR("198.51.100.7"), 5, CLIENT },
	{ "lighttpd's Unix socket", LIST, XFF, "REMOTE_ADDR=/run/x.sock",
	    FOR("198.51.100.7"), 5, CLIENT },
	{ "Caddy's Unix socket", LIST, XFF, "REMOTE_ADDR=@",
	    FOR("198.51.100.7"), 5, CLIENT },
	{ "a Unix socket not listed", "10.0.0.0/8", XFF,
	    "REMOTE_ADDR=/run/x.sock", FOR("198.51.100.7"), 1, "?" },
	{ "an unknown peer is no Unix socket", LIST, XFF,
	    "REMOTE_ADDR=", FOR("198.51.100.7"), 1, "?" },
	{ "proxies behind proxies", LIST, XFF, PEER,
	    FOR("198.51.100.7, 2001:db8:ff::1, 10.9.9.9"), 5, CLIENT },
	{ "made up left of the client", LIST, XFF, PEER,
	    FOR("10.1.1.1, 192.0.2.1, 198.51.100.7, 10.9.9.9"), 5, CLIENT },
	{ "made up with a listed address between", LIST, XFF, PEER,
	    FOR("192.0.2.1, 10.1.1.1, 198.51.100.7"), 5, CLIENT },
	{ "a client on the list", LIST, XFF, PEER, FOR("10.0.0.1, 10.2.2.2"), 5,
	    PROXY },
	{ "no header from the proxy", LIST, XFF, PEER, NULL, 5, PROXY },
	{ "a proxy that hides the client", LIST, XFF, PEER,
	    FOR("192.0.2.1, unknown"), 1, "?" },
	{ "no address left of proxies", LIST, XFF, PEER,
	    FOR("192.0.2.1, ?, 10.9.9.9"), 1, "?" },
	{ "longer than any address", LIST, XFF, PEER,
	    FOR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
	    1, "?" },
	{ "an open bracket", LIST, XFF, PEER, FOR("[2001:db8::1"), 9,
	    "6\x20\x01\x0d\xb8\0\0\0\0" },
	{ "a zone", LIST, XFF, PEER, FOR("fe80::1%eth0"), 1, "?" },
	{ "commas alone", LIST, XFF, PEER, FOR(",,,"), 5, PROXY },
	{ "not the other header, listed", LIST, XFF, PEER,
	    FORWARDED("for=192.0.2.1"), 5, PROXY },

	{ "Forwarded", LIST, FWD, PEER, FORWARDED("for=198.51.100.7"), 5,
	    CLIENT },
	{ "Forwarded from others", LIST, FWD, "REMOTE_ADDR=198.51.100.7",
	    FORWARDED("for=192.0.2.1"), 5, CLIENT },
	{ "its name in any case", LIST, "forwarded", PEER,
	    FORWARDED("For=\"198.51.100.7\""), 5, CLIENT },
	{ "IPv6 in quotes", "1", FWD, PEER,
	    FORWARDED("for=\"[2001:db8::1]:4711\""), 9,
	    "6\x20\x01\x0d\xb8\0\0\0\0" },
	{ "all that it may hold", LIST, FWD, PEER,
	    FORWARDED("for=192.0.2.1, proto=https; by=\"x, for=1.1.1.1\"; "
		      "for=198.51.100.7 ,for=10.2.2.2;host=a"),
	    5, CLIENT },
	{ "the nearest of whoever connects", "1", FWD, PEER,
	    FORWARDED("for=192.0.2.1, for=198.51.100.7"), 5, CLIENT },
	{ "who does not say", LIST, FWD, PEER,
	    FORWARDED("for=192.0.2.1, proto=https"), 5, PROXY },
	{ "a name that is hidden", LIST, FWD, PEER, FORWARDED("for=_a"), 1,
	    "?" },
	{ "an open quote", LIST, FWD, PEER,
	    FORWARDED("for=\"192.0.2.1, for=198.51.100.7"), 1, "?" },
	{ "a quote that swallows the proxy's word", LIST, FWD, PEER,
	    FORWARDED("for=192.0.2.1;a=\", for=\"[2001:db8::1]\""), 1, "?" },
	{ "an escape", LIST, FWD, PEER,
	    FORWARDED("for=192.0.2.1;a=\"\\\", for=198.51.100.7"), 1, "?" },
	{ "two in one", LIST, FWD, PEER,
	    FORWARDED("for=198.51.100.7;for=192.0.2.1"), 1, "?" },
	{ "no pair", LIST, FWD, PEER, FORWARDED("192.0.2.1"), 1, "?" },
	{ "nothing named", LIST, FWD, PEER, FORWARDED("=192.0.2.1"), 1, "?" },
	{ "two words", LIST, FWD, PEER, FORWARDED("for=192.0.2.1 x"), 1, "?" },
	{ "not X-Forwarded-For", LIST, FWD, PEER, FOR("192.0.2.1"), 5, PROXY },
};

START_TEST(knows_the_client)
{
	const char *const env[] = { clients[_i].remote, clients[_i].says,
		NULL };
	unsigned char got[HTTP_NETWORK_SIZE];
	struct peers peers;
	struct http h;
	size_t n;

	ck_assert_int_eq(
	    peers_parse(&peers, clients[_i].trust, clients[_i].header), 0);
	http_from_memory(&h, env, "", 0, NULL);
	n = http_client_network(&h, &peers, got);
	ck_assert_msg(
	    n == clients[_i].len && memcmp(got, clients[_i].network, n) == 0,
	    "%s", clients[_i].why);
}
END_TEST

#define PROTO(list) "HTTP_X_FORWARDED_PROTO=" list

static const struct {
	const char *why, *trust, *header, *https, *remote, *says;
	int secure;
} schemes[] = {
	{ "TLS", "0", XFF, "HTTPS=on", PEER, NULL, 1 },
	{ "TLS to a proxy, whatever it says", LIST, XFF, "HTTPS=on", PEER,
	    PROTO("http"), 1 },
	{ "none", "1", XFF, "HTTPS=off", PEER, NULL, 0 },
	{ "a header nobody trusts", "0", XFF, "HTTPS=", PEER, PROTO("https"),
	    0 },
	{ "a trusted one", "1", XFF, "HTTPS=", PEER, PROTO("HTTPS"), 1 },
	{ "a listed one", LIST, XFF, "HTTPS=", PEER, PROTO("https"), 1 },
	{ "one not listed", LIST, XFF, "HTTPS=", "REMOTE_ADDR=192.0.2.1",
	    PROTO("https"), 0 },
	{ "over a Unix socket", LIST, XFF, "HTTPS=", "REMOTE_ADDR=/x",
	    PROTO("https"), 1 },
	{ "right-most counts", "1", XFF, "HTTPS=", PEER, PROTO("https, http"),
	    0 },
	{ "the nearest says https", "1", XFF, "HTTPS=", PEER,
	    PROTO("http,\thttps "), 1 },
	{ "longer than https", "1", XFF, "HTTPS=", PEER, PROTO("httpsx"), 0 },
	{ "a word behind it", "1", XFF, "HTTPS=", PEER, PROTO("https x"), 0 },
	{ "in the other header", LIST, XFF, "HTTPS=", PEER,
	    FORWARDED("proto=https"), 0 },
	{ "Forwarded", LIST, FWD, "HTTPS=", PEER,
	    FORWARDED("for=192.0.2.1;proto=HTTPS"), 1 },
	{ "Forwarded, in quotes, alone", LIST, FWD, "HTTPS=", PEER,
	    FORWARDED("proto=\"https\""), 1 },
	{ "of the client, not of what is left of it", LIST, FWD, "HTTPS=", PEER,
	    FORWARDED("for=192.0.2.1;proto=https, for=198.51.100.7;proto=http"),
	    0 },
	{ "of the client, not of proxies among themselves", LIST, FWD,
	    "HTTPS=", PEER,
	    FORWARDED("for=192.0.2.1;proto=https, for=10.1.1.1;proto=http"),
	    1 },
	{ "said twice", LIST, FWD, "HTTPS=", PEER,
	    FORWARDED("for=192.0.2.1;proto=https;proto=https"), 0 },
	{ "said, then unreadable", LIST, FWD, "HTTPS=", PEER,
	    FORWARDED("for=192.0.2.1;proto=https, \""), 0 },
	{ "Forwarded from others", LIST, FWD, "HTTPS=", "REMOTE_ADDR=192.0.2.1",
	    FORWARDED("for=192.0.2.1;proto=https"), 0 },
	{ "not X-Forwarded-Proto", LIST, FWD, "HTTPS=", PEER, PROTO("https"),
	    0 },
};

START_TEST(knows_the_scheme)
{
	const char *const env[] = { schemes[_i].https, schemes[_i].remote,
		schemes[_i].says, NULL };
	struct peers peers;
	struct http h;

	ck_assert_int_eq(
	    peers_parse(&peers, schemes[_i].trust, schemes[_i].header), 0);
	http_from_memory(&h, env, "", 0, NULL);
	ck_assert_msg(http_is_secure(&h, &peers) == schemes[_i].secure, "%s",
	    schemes[_i].why);
}
END_TEST

START_TEST(knows_the_query)
{
	const char *const with[] = { "REQUEST_URI=/admin/key?id=a?b&c", NULL };
	const char *const empty[] = { "REQUEST_URI=/admin/key?", NULL };
	const char *const without[] = { "REQUEST_URI=/admin/key",
		"QUERY_STRING=id=x", NULL };
	const char *const none[] = { NULL };
	struct http h;

	http_from_memory(&h, with, "", 0, NULL);
	ck_assert_str_eq(http_query(&h), "id=a?b&c");
	http_from_memory(&h, empty, "", 0, NULL);
	ck_assert_str_eq(http_query(&h), "");
	http_from_memory(&h, without, "", 0, NULL);
	ck_assert_str_eq(http_query(&h), "");
	http_from_memory(&h, none, "", 0, NULL);
	ck_assert_str_eq(http_query(&h), "");
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("http client");

	ADD_ROWS(t, knows_the_client, clients);
	ADD_ROWS(t, knows_the_scheme, schemes);
	tcase_add_test(t, knows_the_query);
	return suite_run("http client", t, NULL);
}
