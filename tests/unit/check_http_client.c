/* Whose request it is, with and without a proxy that is trusted. */
#include <check.h>
#include <string.h>

#include "lib/http.h"
#include "tests/unit/suite.h"

static const struct {
	const char *why, *remote, *forwarded;
	int trust;
	size_t len;
	const char *network; /* kind and bytes */
} clients[] = {
	{ "IPv4", "REMOTE_ADDR=198.51.100.7", NULL, 0, 5, "4\xc6\x33\x64\x07" },
	{ "IPv6 by its /64", "REMOTE_ADDR=2001:db8::1", NULL, 0, 9,
	    "6\x20\x01\x0d\xb8\0\0\0\0" },
	{ "IPv4 in IPv6", "REMOTE_ADDR=::ffff:198.51.100.7", NULL, 0, 5,
	    "4\xc6\x33\x64\x07" },
	{ "no address", "REMOTE_ADDR=", NULL, 0, 1, "?" },
	{ "a header nobody trusts", "REMOTE_ADDR=198.51.100.7",
	    "HTTP_X_FORWARDED_FOR=192.0.2.1", 0, 5, "4\xc6\x33\x64\x07" },
	{ "a trusted one", "REMOTE_ADDR=198.51.100.7",
	    "HTTP_X_FORWARDED_FOR=192.0.2.1", 1, 5, "4\xc0\x00\x02\x01" },
	{ "right-most counts", "REMOTE_ADDR=198.51.100.7",
	    "HTTP_X_FORWARDED_FOR=203.0.113.5, 192.0.2.1 ", 1, 5,
	    "4\xc0\x00\x02\x01" },
	{ "with a port", "REMOTE_ADDR=198.51.100.7",
	    "HTTP_X_FORWARDED_FOR=192.0.2.1:443", 1, 5, "4\xc0\x00\x02\x01" },
	{ "IPv6 with a port", "REMOTE_ADDR=198.51.100.7",
	    "HTTP_X_FORWARDED_FOR=192.0.2.1, [2001:db8::1]:443", 1, 9,
	    "6\x20\x01\x0d\xb8\0\0\0\0" },
	{ "an empty last one", "REMOTE_ADDR=198.51.100.7",
	    "HTTP_X_FORWARDED_FOR=203.0.113.5, ", 1, 5, "4\xc6\x33\x64\x07" },
	{ "no address at all", "REMOTE_ADDR=198.51.100.7",
	    "HTTP_X_FORWARDED_FOR=unknown", 1, 1, "?" },
};

START_TEST(knows_the_client)
{
	const char *const env[] = { clients[_i].remote, clients[_i].forwarded,
		NULL };
	unsigned char got[HTTP_NETWORK_SIZE];
	struct http h;

	http_from_memory(&h, env, "", 0, NULL);
	ck_assert_uint_eq(
	    http_client_network(&h, clients[_i].trust, got), clients[_i].len);
	ck_assert_msg(memcmp(got, clients[_i].network, clients[_i].len) == 0,
	    "%s", clients[_i].why);
}
END_TEST

static const struct {
	const char *why, *https, *forwarded;
	int trust, secure;
} schemes[] = {
	{ "TLS", "HTTPS=on", NULL, 0, 1 },
	{ "none", "HTTPS=off", NULL, 1, 0 },
	{ "a header nobody trusts", "HTTPS=", "HTTP_X_FORWARDED_PROTO=https", 0,
	    0 },
	{ "a trusted one", "HTTPS=", "HTTP_X_FORWARDED_PROTO=HTTPS", 1, 1 },
	{ "right-most counts", "HTTPS=", "HTTP_X_FORWARDED_PROTO=https, http",
	    1, 0 },
	{ "the nearest says https",
	    "HTTPS=", "HTTP_X_FORWARDED_PROTO=http,\thttps ", 1, 1 },
	{ "longer than https", "HTTPS=", "HTTP_X_FORWARDED_PROTO=httpsx", 1,
	    0 },
};

START_TEST(knows_the_scheme)
{
	const char *const env[] = { schemes[_i].https, schemes[_i].forwarded,
		NULL };
	struct http h;

	http_from_memory(&h, env, "", 0, NULL);
	ck_assert_msg(
	    http_is_secure(&h, schemes[_i].trust) == schemes[_i].secure, "%s",
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
