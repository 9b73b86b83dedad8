/* Which values of TRUST_PROXY mean whom, and which are refused. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "lib/peers.h"
#include "tests/unit/suite.h"

/* A list, and what is in it and out of it, blank-separated. */
static const struct {
	const char *why, *list, *in, *out;
} lists[] = {
	{ "an address", "192.0.2.1", "192.0.2.1 ::ffff:192.0.2.1",
	    "192.0.2.0 192.0.2.2 :: 192.0.2.1:80" },
	{ "a network", "192.0.2.0/24", "192.0.2.0 192.0.2.255",
	    "192.0.1.255 192.0.3.0" },
	{ "one that ends within a byte", "10.4.0.0/14", "10.4.0.0 10.7.255.255",
	    "10.3.255.255 10.8.0.0" },
	{ "the largest", "128.0.0.0/1", "128.0.0.0 255.255.255.255",
	    "127.255.255.255" },
	{ "IPv6", "2001:db8::1", "2001:DB8:0::1", "2001:db8:: 2001:db8::2" },
	{ "an IPv6 network", "2001:db8:8000::/33",
	    "2001:db8:ffff::", "2001:db8:7fff:: 2001:db9:8000::" },
	{ "the largest of IPv6", "8000::/1", "ffff::", "7fff:: 128.0.0.0" },
	{ "IPv4 in IPv6", "::ffff:192.0.2.1", "192.0.2.1", "192.0.2.2" },
	{ "its networks", "::ffff:192.0.2.0/120", "192.0.2.255", "192.0.3.0" },
	{ "IPv6 does not hold IPv4", "::/1", "::1", "192.0.2.1" },
	{ "several", " 192.0.2.1,198.51.100.0/24\t2001:db8::1 ,",
	    "192.0.2.1 198.51.100.9 2001:db8::1", "192.0.2.2 2001:db8::2" },
	{ "what is no address", "0.0.0.0/1", "0.0.0.0",
	    "? unknown 1.2.3 1.2.3.4.5 01.2.3.4x" },
};

static void
each(const struct peers *peers, const char *list, int want, const char *why)
{
	struct peers_address address;
	size_t n;

	for (; *list != '\0'; list += n + (list[n] == ' ')) {
		n = strcspn(list, " ");
		peers_address(&address, list, n);
		ck_assert_msg(peers_has(peers, &address) == want, "%s: %.*s",
		    why, (int)n, list);
	}
}

START_TEST(lists_hold_what_they_say)
{
	struct peers peers;

	ck_assert_int_eq(
	    peers_parse(&peers, lists[_i].list, "X-Forwarded-For"), 0);
	ck_assert_int_eq(peers_is_list(&peers), 1);
	ck_assert_int_eq(peers.everybody, 0);
	each(&peers, lists[_i].in, 1, lists[_i].why);
	each(&peers, lists[_i].out, 0, lists[_i].why);
}
END_TEST

static const char *const wrong[] = {
	"2", "y", "on ,", "enable", "maybe", ",", " ", "192.0.2",
	"192.0.2.1/33", "192.0.2.1/-1", "192.0.2.1/", "192.0.2.1/24",
	"10.0.0.0/0", "0.0.0.0/0", "::/0", "::ffff:0.0.0.0/96",
	"::ffff:0.0.0.0/95", "2001:db8::/129", "2001:db8::1/64", "10.0.0.0/8/8",
	"10.0.0.0/ 8", "10.0.0.0/0x8", "192.0.2.1:80", "[2001:db8::1]",
	"proxy.example", "1 192.0.2.1", "0,192.0.2.1", "192.0.2.1 x",
	"192.0.2.1;192.0.2.2", "fe80::1%eth0", "all", "*",
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
};

START_TEST(slips_are_refused)
{
	struct peers peers;

	ck_assert_msg(
	    peers_parse(&peers, wrong[_i], "Forwarded") == -1, "%s", wrong[_i]);
}
END_TEST

START_TEST(a_list_has_an_end)
{
	char list[8 * (PEERS_MAX + 1)] = "";
	struct peers peers;
	size_t n = 0;

	for (int i = 0; i <= PEERS_MAX; i++) {
		ck_assert_int_eq(peers_parse(&peers, list, "Forwarded"), 0);
		ck_assert_uint_eq(peers.n, (size_t)i);
		n += (size_t)snprintf(
		    list + n, sizeof(list) - n, "1.0.0.%d ", i % 10);
	}
	ck_assert_int_eq(peers_parse(&peers, list, "Forwarded"), -1);
}
END_TEST

START_TEST(who_is_believed)
{
	struct peers peers;

	ck_assert_int_eq(peers_parse(&peers, "OFF", "forwarded"), 0);
	ck_assert_int_eq(peers.forwarded, 1);
	ck_assert_int_eq(peers_believe(&peers, "192.0.2.1"), 0);
	ck_assert_int_eq(peers_believe(&peers, "@"), 0);
	ck_assert_int_eq(peers_parse(&peers, "Yes", "x-forwarded-for"), 0);
	ck_assert_int_eq(peers.forwarded, 0);
	ck_assert_int_eq(peers_believe(&peers, "192.0.2.1"), 1);
	ck_assert_int_eq(peers_believe(&peers, "/run/socket"), 1);
	ck_assert_int_eq(peers_believe(&peers, ""), 1);
	ck_assert_int_eq(peers_is_list(&peers), 0);
	ck_assert_int_eq(peers_parse(&peers, "Unix", "Forwarded"), 0);
	ck_assert_int_eq(peers_is_list(&peers), 1);
	ck_assert_int_eq(peers_believe(&peers, "/run/socket"), 1);
	ck_assert_int_eq(peers_believe(&peers, "@"), 1);
	ck_assert_int_eq(peers_believe(&peers, ""), 0);
	ck_assert_int_eq(peers_believe(&peers, "127.0.0.1"), 0);
	ck_assert_int_eq(peers_parse(&peers, "1", "X-Real-IP"), -1);
	ck_assert_int_eq(peers_parse(&peers, "1", ""), -1);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("peers");

	ADD_ROWS(t, lists_hold_what_they_say, lists);
	ADD_ROWS(t, slips_are_refused, wrong);
	tcase_add_test(t, a_list_has_an_end);
	tcase_add_test(t, who_is_believed);
	return suite_run("peers", t, NULL);
}
