/*
 * Requests that the web server asks about before it takes their bodies in, and
 * the ticket that comes back with them.
 */
#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "lib/http.h"
#include "tests/unit/suite.h"

#define ASKS "FCGI_ROLE=AUTHORIZER"
#define VOUCHED "PMPROXY_LENGTH=known"

static const struct {
	const char *why, *env[5];
	int asking, ambiguous;
	int64_t announced;
	uint64_t ticket;
	uint16_t port;
} requests[] = {
	{ "a request", { "FCGI_ROLE=RESPONDER", "CONTENT_LENGTH=7", NULL }, 0,
	    0, 7, 0, 0 },
	{ "no role", { "REMOTE_PORT=40000", NULL }, 0, 0, 0, 0, 40000 },
	{ "asked of one that has a length",
	    { ASKS, VOUCHED, "HTTP_CONTENT_LENGTH=70000", NULL }, 1, 0, 70000,
	    0, 0 },
	{ "asked of one that has none", { ASKS, NULL }, 1, 0, 0, 0, 0 },
	{ "a length that nobody vouches for",
	    { ASKS, "HTTP_CONTENT_LENGTH=5", NULL }, 1, 0, 0, 0, 0 },
	{ "two lengths",
	    { ASKS, VOUCHED, "HTTP_CONTENT_LENGTH=5",
		"HTTP_CONTENT_LENGTH=70000", NULL },
	    1, 1, 5, 0, 0 },
	{ "a length that is none",
	    { ASKS, VOUCHED, "HTTP_CONTENT_LENGTH=+5", NULL }, 1, 0, -1, 0, 0 },
	{ "a length beyond all",
	    { ASKS, VOUCHED, "HTTP_CONTENT_LENGTH=99999999999999999999", NULL },
	    1, 0, -1, 0, 0 },
	{ "a header of the client's that looks like a role",
	    { "HTTP_FCGI_ROLE=AUTHORIZER", NULL }, 0, 0, 0, 0, 0 },
	{ "a ticket", { "PMPROXY_TICKET=4096", NULL }, 0, 0, 0, 4096, 0 },
	{ "a header of the client's that looks like one",
	    { "HTTP_PMPROXY_TICKET=4096", NULL }, 0, 0, 0, 0, 0 },
	{ "a ticket that is none", { "PMPROXY_TICKET=-1", NULL }, 0, 0, 0, 0,
	    0 },
	{ "a port that is none", { "REMOTE_PORT=65536", NULL }, 0, 0, 0, 0, 0 },
	{ "a Unix socket's", { "REMOTE_PORT=", NULL }, 0, 0, 0, 0, 0 },
};

START_TEST(each_request)
{
	struct http h;

	http_from_memory(&h, requests[_i].env, "", 0, NULL);
	ck_assert_msg(http_is_asking(&h) == requests[_i].asking &&
		http_is_ambiguous(&h) == requests[_i].ambiguous &&
		http_body_announced(&h) == requests[_i].announced &&
		http_ticket(&h) == requests[_i].ticket &&
		http_remote_port(&h) == requests[_i].port,
	    "%s", requests[_i].why);
}
END_TEST

/* lighttpd puts what begins with Variable- into the request's variables. */
START_TEST(the_answer_is_yes_with_a_ticket)
{
	static const char *const env[] = { ASKS, NULL };
	struct buf out = BUF(1024);
	struct http h;

	http_from_memory(&h, env, "", 0, &out);
	ck_assert_int_eq(http_admit(&h, 4097), 0);
	http_end(&h);
	ck_assert_str_eq(
	    out.data, "Status: 200\r\nVariable-PMPROXY_TICKET: 4097\r\n\r\n");
	buf_free(&out);
}
END_TEST

/* The end of a body that never comes would be waited for. */
START_TEST(no_body_is_read_of_who_asks)
{
	static const char *const asks[] = { ASKS, NULL },
				 *const none[] = { NULL };
	struct buf out = BUF(1024);
	struct http h;

	http_from_memory(&h, asks, "body", 4, &out);
	http_body_discard(&h);
	ck_assert_uint_eq(h.memory_left, 4);
	http_from_memory(&h, none, "body", 4, &out);
	http_body_discard(&h);
	ck_assert_uint_eq(h.memory_left, 0);
}
END_TEST

static TCase *
cases(void)
{
	TCase *t = tcase_create("asking");

	ADD_ROWS(t, each_request, requests);
	tcase_add_test(t, the_answer_is_yes_with_a_ticket);
	tcase_add_test(t, no_body_is_read_of_who_asks);
	return t;
}

int
main(void)
{
	return suite_run("http, asking", cases(), NULL);
}
