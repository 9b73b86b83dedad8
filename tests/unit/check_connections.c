/* Ports of connections: lines of the kernel's list, and the list itself. */
#include <check.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/connections.h"
#include "tests/unit/suite.h"

#define HEAD "   1: 0100007F:1F90 0100007F:"
#define SIX                                            \
	"  12: 00000000000000000000000001000000:1F90 " \
	"00000000000000000000000001000000:"
#define REST " 00000000:00000000 00:00000000 00000000  0  0 1 1 0 20 4 30 10 -1"

static const struct {
	const char *why, *line;
	unsigned port; /* 0: none */
} lines[] = {
	{ "established", HEAD "9C40 01" REST, 40000 },
	{ "the highest", HEAD "FFFF 01" REST, 65535 },
	{ "only said that it sends no more", HEAD "9C40 08" REST, 40000 },
	{ "IPv6", SIX "9C40 01" REST, 40000 },
	{ "a listener", HEAD "0000 0A" REST, 0 },
	{ "we closed first", HEAD "9C40 04" REST, 0 },
	{ "over", HEAD "9C40 06" REST, 0 },
	{ "no port", HEAD "0000 01" REST, 0 },
	{ "the list's first line",
	    "  sl  local_address rem_address   st tx_queue rx_queue", 0 },
	{ "digits that are none", HEAD "9C4x 01" REST, 0 },
	{ "cut in the port", HEAD "9C", 0 },
	{ "cut before the state", HEAD "9C40 ", 0 },
	{ "nothing", "", 0 },
};

START_TEST(each_line)
{
	unsigned char ports[CONNECTIONS_PORTS_SIZE] = { 0 }, none = 0;
	unsigned port = lines[_i].port;

	connections_line(lines[_i].line, ports);
	if (port != 0) {
		ck_assert_msg((ports[port / 8] & 1u << port % 8) != 0, "%s",
		    lines[_i].why);
		ports[port / 8] ^= (unsigned char)(1u << port % 8);
	}
	for (size_t i = 0; i < sizeof(ports); i++)
		none |= ports[i];
	ck_assert_msg(none == 0, "%s", lines[_i].why);
}
END_TEST

static int
is_seen(struct connections *c, in_port_t port)
{
	unsigned char ports[CONNECTIONS_PORTS_SIZE];
	unsigned n = ntohs(port);

	ck_assert_int_eq(connections_ports(c, ports), 0);
	return (ports[n / 8] & 1u << n % 8) != 0;
}

/* Looked at before, during and after: nothing of a look is kept. */
START_TEST(a_connection_comes_and_goes)
{
	struct sockaddr_in at = { .sin_family = AF_INET }, from;
	struct connections *c = connections_open();
	int listener = socket(AF_INET, SOCK_STREAM, 0), client, server;
	socklen_t n = sizeof(at);

	ck_assert_ptr_nonnull(c);
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&at, n), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&at, &n), 0);
	client = socket(AF_INET, SOCK_STREAM, 0);
	n = sizeof(from);
	from = (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_addr = at.sin_addr };
	ck_assert_int_eq(bind(client, (struct sockaddr *)&from, n), 0);
	ck_assert_int_eq(getsockname(client, (struct sockaddr *)&from, &n), 0);
	ck_assert_int_eq(is_seen(c, from.sin_port), 0);
	ck_assert_int_eq(connect(client, (struct sockaddr *)&at, n), 0);
	server = accept(listener, NULL, NULL);
	ck_assert_int_ne(server, -1);
	ck_assert_int_eq(is_seen(c, from.sin_port), 1);
	ck_assert_int_eq(close(client), 0);
	ck_assert_int_eq(close(server), 0);
	ck_assert_int_eq(is_seen(c, from.sin_port), 0);
	ck_assert_int_eq(close(listener), 0);
	connections_close(c);
	connections_close(NULL);
}
END_TEST

static TCase *
cases(void)
{
	TCase *t = tcase_create("connections");

	ADD_ROWS(t, each_line, lines);
	tcase_add_test(t, a_connection_comes_and_goes);
	return t;
}

int
main(void)
{
	return suite_run("connections", cases(), NULL);
}
