/*
 * lib/http, from memory and over libfcgi itself, which a client of our own
 * speaks FastCGI to through a Unix socket.
 */
#include <check.h>
#include <fastcgi.h>
#include <fcgiapp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/http.h"
#include "tests/unit/suite.h"

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void
setup(void)
{
	catch_log();
}

/* --- What came, from memory. --- */

#define A10 "aaaaaaaaaa"
#define A100 A10 A10 A10 A10 A10 A10 A10 A10 A10 A10
#define A1000 A100 A100 A100 A100 A100 A100 A100 A100 A100 A100

static const struct {
	const char *target, *path;
} targets[] = {
	{ "/", "/" },
	{ "/v1/models", "/v1/models" },
	{ "/v1/models/", "/v1/models/" },
	{ "/v1/models?a=b/../c", "/v1/models" },
	{ "/v1/models#x", "/v1/models" },
	{ "/?", "/" },
	{ "/v1/models/gpt-4.1", "/v1/models/gpt-4.1" },
	{ "/v1/models/a..b", "/v1/models/a..b" },
	{ "/v1/models/org%2Fmodel", "/v1/models/org%2Fmodel" },
	{ "/v1/models/org%2fmodel", "/v1/models/org%2fmodel" },
	{ "/a%20b", "/a%20b" },
	{ "/%c3%A4", "/%c3%A4" },
	{ "/~a:b@c!$&'()*+,;=-_", "/~a:b@c!$&'()*+,;=-_" },
	{ "/" A1000 A1000 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	    "/" A1000 A1000 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" },
	{ "/" A1000 A1000 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	    "" },
	{ "", "" },
	{ "?", "" },
	{ "v1", "" },
	{ "*", "" },
	{ "http://a/v1", "" },
	{ "//", "" },
	{ "/v1//models", "" },
	{ "//v1/models", "" },
	{ "/v1/../x", "" },
	{ "/..", "" },
	{ "/v1/..", "" },
	{ "/v1/./x", "" },
	{ "/.", "" },
	{ "/.env", "" },
	{ "/v1/...", "" },
	{ "/v1/%2e%2e/x", "" },
	{ "/v1/.%2E/x", "" },
	{ "/v1/x%2e", "" },
	{ "/v1%2f/x", "" },
	{ "/v1/%2fx", "" },
	{ "/v1%2F%2Fx", "" },
	{ "/v1%2F../x", "" },
	{ "/v1%2f%2e./x", "" },
	{ "/v1/a%2F.", "" },
	{ "/v1/x%252e", "" },
	{ "/v1/x%25", "" },
	{ "/v1/a\\b", "" },
	{ "/v1/a%5Cb", "" },
	{ "/v1/a%5cb", "" },
	{ "/v1/a%00b", "" },
	{ "/v1/a%0ab", "" },
	{ "/v1/a%0D", "" },
	{ "/v1/a%1F", "" },
	{ "/v1/a%7f", "" },
	{ "/v1/a b", "" },
	{ "/v1/a\tb", "" },
	{ "/v1/a\nb", "" },
	{ "/v1/a\x01", "" },
	{ "/v1/a\x7f", "" },
	{ "/v1/\xc3\xa4", "" },
	{ "/v1/a%", "" },
	{ "/v1/a%2", "" },
	{ "/v1/a%zz", "" },
	{ "/v1/a%2g", "" },
	{ "/v1/a%g2", "" },
	{ "/v1/a%-1", "" },
	{ "/v1/a%2?f", "" },
};

START_TEST(a_path_means_one_thing_or_nothing)
{
	char uri[4096];
	const char *const env[] = { uri, NULL };
	struct buf out = BUF(1024);
	struct http h;

	snprintf(uri, sizeof(uri), "REQUEST_URI=%s", targets[_i].target);
	http_from_memory(&h, env, "", 0, &out);
	ck_assert_str_eq(http_path(&h), targets[_i].path);
	ck_assert_str_eq(http_path(&h), targets[_i].path);
	http_status(&h, 200);
	http_end(&h);
	buf_free(&out);
}
END_TEST

static const struct {
	enum http_field field;
	const char *name;
} fields[] = {
	{ HTTP_ACCEPT, "HTTP_ACCEPT" },
	{ HTTP_ACCEPT_LANGUAGE, "HTTP_ACCEPT_LANGUAGE" },
	{ HTTP_AUTHORIZATION, "HTTP_AUTHORIZATION" },
	{ HTTP_ANTHROPIC_BETA, "HTTP_ANTHROPIC_BETA" },
	{ HTTP_ANTHROPIC_VERSION, "HTTP_ANTHROPIC_VERSION" },
	{ HTTP_CONTENT_LENGTH, "CONTENT_LENGTH" },
	{ HTTP_CONTENT_LENGTH_SENT, "HTTP_CONTENT_LENGTH" },
	{ HTTP_CONTENT_TYPE, "CONTENT_TYPE" },
	{ HTTP_COOKIE, "HTTP_COOKIE" },
	{ HTTP_HOST, "HTTP_HOST" },
	{ HTTP_OPENAI_BETA, "HTTP_OPENAI_BETA" },
	{ HTTP_ORIGIN, "HTTP_ORIGIN" },
	{ HTTP_REQUEST_METHOD_ASKED, "HTTP_ACCESS_CONTROL_REQUEST_METHOD" },
	{ HTTP_SEC_FETCH_SITE, "HTTP_SEC_FETCH_SITE" },
	{ HTTP_TRANSFER_ENCODING, "HTTP_TRANSFER_ENCODING" },
	{ HTTP_X_API_KEY, "HTTP_X_API_KEY" },
	{ HTTP_FORWARDED, "HTTP_FORWARDED" },
	{ HTTP_X_FORWARDED_FOR, "HTTP_X_FORWARDED_FOR" },
	{ HTTP_X_FORWARDED_PROTO, "HTTP_X_FORWARDED_PROTO" },
};

START_TEST(each_field_has_its_name)
{
	char text[100], longer[100];
	const char *const env[] = { longer, text, NULL };
	const char *const none[] = { longer, NULL };
	struct buf out = BUF(1024);
	struct http h;

	ck_assert_uint_eq(sizeof(fields) / sizeof(fields[0]), HTTP_FIELD__MAX);
	snprintf(longer, sizeof(longer), "%sX=other", fields[_i].name);
	snprintf(text, sizeof(text), "%s=a=b", fields[_i].name);
	http_from_memory(&h, env, "", 0, &out);
	ck_assert_str_eq(http_field(&h, fields[_i].field), "a=b");
	http_from_memory(&h, none, "", 0, &out);
	ck_assert_ptr_null(http_field(&h, fields[_i].field));
}
END_TEST

START_TEST(what_was_not_sent_is_empty)
{
	static const char *const none[] = { NULL };
	static const char *const env[] = { "REQUEST_METHOD=PATCH",
		"REMOTE_ADDR=198.51.100.7", NULL };
	struct buf out = BUF(1024);
	struct http h;

	http_from_memory(&h, none, "", 0, &out);
	ck_assert_str_eq(http_method(&h), "");
	ck_assert_str_eq(http_path(&h), "");
	ck_assert_str_eq(http_remote_address(&h), "");
	ck_assert_int_eq(http_is_tls(&h), 0);
	ck_assert_int_eq(http_watch_fd(&h), -1);
	ck_assert_int_eq(http_gone(&h), 0);
	http_from_memory(&h, env, "", 0, &out);
	ck_assert_str_eq(http_method(&h), "PATCH");
	ck_assert_str_eq(http_remote_address(&h), "198.51.100.7");
}
END_TEST

START_TEST(a_field_given_twice_is_ambiguous)
{
	const char *const once[] = { "HTTP_X_FORWARDED_FOR=a",
		"HTTP_X_FORWARDED_FOR_TOO=b", "HTTP_X_FORWARDED=c",
		"HTTP_X_API_KEY=d", "HTTP_OTHER=e", "HTTP_OTHER=f", NULL };
	const char *const twice[] = { "HTTP_X_FORWARDED_FOR=a",
		"HTTP_X_API_KEY=d", "HTTP_X_FORWARDED_FOR=b", NULL };
	const char *const none[] = { NULL };
	struct http h;

	http_from_memory(&h, once, "", 0, NULL);
	ck_assert_int_eq(http_is_ambiguous(&h), 0);
	http_from_memory(&h, none, "", 0, NULL);
	ck_assert_int_eq(http_is_ambiguous(&h), 0);
	http_from_memory(&h, twice, "", 0, NULL);
	ck_assert_int_eq(http_is_ambiguous(&h), 1);
}
END_TEST

START_TEST(tls_is_told_by_the_web_server_alone)
{
	static const struct {
		const char *text;
		int is;
	} rows[] = { { "HTTPS=on", 1 }, { "HTTPS=ON", 1 }, { "HTTPS=off", 0 },
		{ "HTTPS=", 0 }, { "HTTPS=1", 0 }, { "HTTP_HTTPS=on", 0 },
		{ "HTTP_X_FORWARDED_PROTO=https", 0 } };
	struct buf out = BUF(1024);
	struct http h;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *const env[] = { rows[i].text, NULL };

		http_from_memory(&h, env, "", 0, &out);
		ck_assert_int_eq(http_is_tls(&h), rows[i].is);
	}
}
END_TEST

/* --- The body, both ways. --- */

static const struct {
	const char *what, *length; /* NULL: not sent */
	size_t body, max;
	enum http_body want;
	int64_t announced;
} bodies[] = {
	{ "none", "0", 0, 10, HTTP_BODY_OK, 0 },
	{ "some", "5", 5, 10, HTTP_BODY_OK, 5 },
	{ "as much as fits", "10", 10, 10, HTTP_BODY_OK, 10 },
	{ "one more", "11", 11, 10, HTTP_BODY_TOO_LARGE, 11 },
	{ "shorter than announced", "6", 5, 10, HTTP_BODY_SHORT, 6 },
	{ "announced and not there", "6", 0, 10, HTTP_BODY_SHORT, 6 },
	{ "longer than announced", "5", 9, 10, HTTP_BODY_OK, 5 },
	{ "there and none announced", "0", 9, 10, HTTP_BODY_OK, 0 },
	{ "not announced", NULL, 5, 10, HTTP_BODY_NO_LENGTH, 0 },
	{ "announced as nothing", "", 5, 10, HTTP_BODY_NO_LENGTH, 0 },
	{ "a word", "five", 5, 10, HTTP_BODY_NO_LENGTH, -1 },
	{ "negative", "-5", 5, 10, HTTP_BODY_NO_LENGTH, -1 },
	{ "a plus", "+5", 5, 10, HTTP_BODY_NO_LENGTH, -1 },
	{ "a blank", " 5", 5, 10, HTTP_BODY_NO_LENGTH, -1 },
	{ "two numbers", "5, 5", 5, 10, HTTP_BODY_NO_LENGTH, -1 },
	{ "hexadecimal", "0x5", 5, 10, HTTP_BODY_NO_LENGTH, -1 },
	{ "the largest number", "9223372036854775807", 5, 10,
	    HTTP_BODY_TOO_LARGE, INT64_MAX },
	{ "past it", "9223372036854775808", 5, 10, HTTP_BODY_NO_LENGTH, -1 },
	{ "far past it", "99999999999999999999999999", 5, 10,
	    HTTP_BODY_NO_LENGTH, -1 },
	{ "more than a record", "70000", 70000, 1 << 20, HTTP_BODY_OK, 70000 },
	{ "large", "3000001", 3000001, 1 << 22, HTTP_BODY_OK, 3000001 },
	{ "in huge pages", "5000001", 5000001, 1 << 23, HTTP_BODY_OK, 5000001 },
	{ "large and short", "3000001", 3000000, 1 << 22, HTTP_BODY_SHORT,
	    3000001 },
};

static char *
made_body(size_t n)
{
	char *p = malloc(n + 1);

	for (size_t i = 0; i < n; i++)
		p[i] = (char)('a' + (i + i / 255) % 26);
	p[n] = '\0';
	return p;
}

static void
body_is(struct http *h, int row, const char *sent)
{
	struct buf body = BUF(bodies[row].max);
	enum http_body got;

	ck_assert_int_eq(http_body_announced(h), bodies[row].announced);
	got = http_body(h, &body);
	ck_assert_msg(
	    got == bodies[row].want, "%s: %d", bodies[row].what, (int)got);
	if (got == HTTP_BODY_OK) {
		ck_assert_int_eq((int64_t)body.len, bodies[row].announced);
		ck_assert_int_eq(memcmp(body.data, sent, body.len), 0);
	}
	buf_free(&body);
}

START_TEST(a_body_from_memory)
{
	char *sent = made_body(bodies[_i].body), length[64];
	const char *const env[] = { bodies[_i].length != NULL ? length : NULL,
		NULL };
	struct buf out = BUF(1024);
	struct http h;

	snprintf(length, sizeof(length), "CONTENT_LENGTH=%s",
	    bodies[_i].length != NULL ? bodies[_i].length : "");
	http_from_memory(&h, env, sent, bodies[_i].body, &out);
	body_is(&h, _i, sent);
	http_status(&h, 204);
	http_end(&h);
	buf_free(&out);
	free(sent);
}
END_TEST

/* What came back as a variable stands first; the end of 'rest' is not read. */
START_TEST(a_body_that_came_in_two_parts)
{
	static const struct {
		const char *early, *rest, *length, *whole;
		enum http_body want;
	} rows[] = {
		{ ".ab.", "cd", "4", "abcd", HTTP_BODY_OK },
		{ ".ab.", "cdef", "4", "abcd", HTTP_BODY_OK },
		{ ".abcd.", "", "4", "abcd", HTTP_BODY_OK },
		{ ".abcd.", "ef", "3", "abc", HTTP_BODY_OK },
		{ ".ab.", "c", "4", NULL, HTTP_BODY_SHORT },
		{ ". %25%0a%7f .", "d", "6", " %\n\x7f d", HTTP_BODY_OK },
		{ "..", "ab", "2", "ab", HTTP_BODY_OK },
		{ ".", "ab", "2", "ab", HTTP_BODY_OK },
		{ "", "ab", "2", "ab", HTTP_BODY_OK },
		{ ".%2.", "", "2", "%2", HTTP_BODY_OK },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char early[64], length[64];
		const char *const env[] = { early, length, NULL };
		struct buf out = BUF(1024), body = BUF(100);
		struct http h;

		snprintf(
		    early, sizeof(early), "PMPROXY_BODY=%s", rows[i].early);
		snprintf(length, sizeof(length), "CONTENT_LENGTH=%s",
		    rows[i].length);
		http_from_memory(
		    &h, env, rows[i].rest, strlen(rows[i].rest), &out);
		ck_assert_int_eq(http_body(&h, &body), rows[i].want);
		if (rows[i].whole != NULL) {
			ck_assert_uint_eq(body.len, strlen(rows[i].whole));
			ck_assert_int_eq(
			    memcmp(body.data, rows[i].whole, body.len), 0);
		}
		buf_free(&body);

		/* Who refuses it unread takes no more of it, either. */
		http_from_memory(
		    &h, env, rows[i].rest, strlen(rows[i].rest), &out);
		http_body_discard(&h);
		if (i == 1)
			ck_assert_uint_eq(h.memory_left, 2);
		http_status(&h, 204);
		http_end(&h);
		buf_free(&out);
	}
}
END_TEST

/* --- A web server of our own. --- */

static char folder[FOLDER_SIZE];
static struct FCGX_Request request;
static int listener = -1, server = -1; /* the web server's end */

static void
setup_fcgi(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	setup();
	make_folder(folder);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", folder);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(
	    bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(listener, 4), 0);
	server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(
	    connect(server, (struct sockaddr *)&address, sizeof(address)), 0);
	/* The folder is for the name alone. */
	ck_assert_int_eq(unlink(address.sun_path), 0);
	ck_assert_int_eq(rmdir(folder), 0);
	ck_assert_int_eq(FCGX_Init(), 0);
	ck_assert_int_eq(FCGX_InitRequest(&request, listener, 0), 0);
}

/* libfcgi waits for the web server to hang up, as lighttpd does. */
static void
finish(void)
{
	if (server >= 0)
		(void)shutdown(server, SHUT_WR); /* may be done already */
	FCGX_Finish_r(&request);
}

static void
teardown_fcgi(void)
{
	finish();
	FCGX_Free(&request, 1);
	close(listener);
	close(server);
}

/* One record, its content cut into records of at most 'most' bytes. */
static void
add_records(struct buf *b, int type, const char *p, size_t n, size_t most)
{
	do {
		size_t part = n < most ? n : most,
		       pad = part > 8 ? part % 3 : 0;
		unsigned char head[8] = { FCGI_VERSION_1, (unsigned char)type,
			0, 1, (unsigned char)(part >> 8), (unsigned char)part,
			(unsigned char)pad, 0 };

		ck_assert_int_eq(buf_add(b, head, sizeof(head)), 0);
		ck_assert_int_eq(buf_add(b, p, part), 0);
		ck_assert_int_eq(buf_add(b, "pad", pad), 0);
		p += part;
		n -= part;
	} while (n > 0);
}

static void
add_parameter(struct buf *b, const char *name, const char *value)
{
	size_t n = strlen(name), v = strlen(value);
	unsigned char lengths[5] = { (unsigned char)n,
		(unsigned char)(0x80 | v >> 24), (unsigned char)(v >> 16),
		(unsigned char)(v >> 8), (unsigned char)v };

	(void)buf_add(b, lengths, sizeof(lengths));
	(void)buf_puts(b, name);
	(void)buf_puts(b, value);
}

/* A whole request, its body in records of at most 'most' bytes. */
static struct buf
made_request(const char *length, const char *body, size_t n, size_t most)
{
	static const char begin[8] = { 0, FCGI_RESPONDER };
	struct buf b = BUF(1 << 26), parameters = BUF(1 << 16);

	add_parameter(&parameters, "REQUEST_METHOD", "POST");
	add_parameter(&parameters, "REQUEST_URI", "/v1/x?y");
	add_parameter(&parameters, "REMOTE_ADDR", "2001:db8::1");
	add_parameter(&parameters, "HTTP_X_API_KEY", "key");
	if (length != NULL)
		add_parameter(&parameters, "CONTENT_LENGTH", length);
	add_records(&b, FCGI_BEGIN_REQUEST, begin, sizeof(begin), 8);
	add_records(&b, FCGI_PARAMS, parameters.data, parameters.len, 100);
	add_records(&b, FCGI_PARAMS, "", 0, 1);
	if (n > 0)
		add_records(&b, FCGI_STDIN, body, n, most);
	add_records(&b, FCGI_STDIN, "", 0, 1);
	buf_free(&parameters);
	return b;
}

/* From a process of its own, 'step' bytes at a time; its id. */
static pid_t
send_in_steps(const struct buf *b, size_t step)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (size_t at = 0; at < b->len;) {
		size_t n = b->len - at < step ? b->len - at : step;
		ssize_t sent = send(server, b->data + at, n, MSG_NOSIGNAL);

		if (sent <= 0)
			_exit(1);
		at += (size_t)sent;
	}
	_exit(0);
}

static int
status_of(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

/* A request without a body, accepted, and read to its end. */
static void
begin(struct http *h)
{
	struct buf b = made_request("0", "", 0, 1), body = BUF(10);

	ck_assert_int_eq(
	    send(server, b.data, b.len, MSG_NOSIGNAL), (ssize_t)b.len);
	ck_assert_int_eq(FCGX_Accept_r(&request), 0);
	http_from_fcgx(h, &request, 0);
	ck_assert_int_eq(http_body(h, &body), HTTP_BODY_OK);
	buf_free(&b);
}

/* Reads up to the end of the connection; 1 when the answer was ended. */
static int
read_answer(struct buf *out)
{
	static unsigned char text[1 << 22];
	size_t n = 0, at = 0;
	int ended = 0;
	ssize_t got;

	while ((got = read(server, text + n, sizeof(text) - n)) > 0)
		n += (size_t)got;
	while (n - at >= 8) {
		size_t content = (size_t)text[at + 4] << 8 | text[at + 5];
		size_t whole = 8 + content + text[at + 6];

		if (n - at < whole)
			break;
		if (text[at + 1] == FCGI_STDOUT)
			(void)buf_add(out, text + at + 8, content);
		ended |= text[at + 1] == FCGI_END_REQUEST;
		at += whole;
	}
	ck_assert_int_eq(out->failed, 0);
	return ended;
}

START_TEST(a_body_over_fastcgi)
{
	char *sent = made_body(bodies[_i].body);
	struct buf b =
	    made_request(bodies[_i].length, sent, bodies[_i].body, 65535);
	pid_t pid = send_in_steps(&b, 1 << 20);
	struct buf out = BUF(1 << 20);
	struct http h;

	ck_assert_int_eq(FCGX_Accept_r(&request), 0);
	http_from_fcgx(&h, &request, 0);
	ck_assert_str_eq(http_method(&h), "POST");
	ck_assert_str_eq(http_path(&h), "/v1/x");
	ck_assert_str_eq(http_remote_address(&h), "2001:db8::1");
	ck_assert_str_eq(http_field(&h, HTTP_X_API_KEY), "key");
	ck_assert_ptr_null(http_field(&h, HTTP_ORIGIN));
	body_is(&h, _i, sent);
	ck_assert_int_eq(http_status(&h, 200), 0);
	http_end(&h);
	finish();
	/* Whatever was wrong, the request was read and the answer ended. */
	ck_assert_int_eq(status_of(pid), 0);
	ck_assert_int_eq(read_answer(&out), 1);
	ck_assert_str_eq(out.data, "Status: 200\r\n\r\n");
	buf_free(&out);
	buf_free(&b);
	free(sent);
}
END_TEST

static const struct {
	size_t body, record, step;
} splits[] = { { 1, 1, 1 }, { 300, 1, 1 }, { 300, 7, 3 }, { 5000, 100, 11 },
	{ 20000, 8191, 8192 }, { 20000, 8192, 8191 }, { 70000, 65535, 4099 },
	{ 200000, 1000, 65536 } };

START_TEST(a_body_in_any_split)
{
	char *sent = made_body(splits[_i].body), length[32];
	struct buf b, body = BUF(1 << 20);
	struct http h;
	pid_t pid;

	snprintf(length, sizeof(length), "%zu", splits[_i].body);
	b = made_request(length, sent, splits[_i].body, splits[_i].record);
	pid = send_in_steps(&b, splits[_i].step);
	ck_assert_int_eq(FCGX_Accept_r(&request), 0);
	http_from_fcgx(&h, &request, 0);
	ck_assert_int_eq(http_body(&h, &body), HTTP_BODY_OK);
	ck_assert_str_eq(body.data, sent);
	ck_assert_int_eq(status_of(pid), 0);
	http_status(&h, 200);
	http_end(&h);
	buf_free(&body);
	buf_free(&b);
	free(sent);
}
END_TEST

/* --- What goes back. --- */

START_TEST(an_answer_in_memory)
{
	static const char *const env[] = { NULL };
	struct buf out = BUF(1024);
	struct http h;

	http_from_memory(&h, env, "", 0, &out);
	ck_assert_int_eq(http_status(&h, 201), 0);
	ck_assert_int_eq(http_head(&h, "A", "%d-%s", 1, "x"), 0);
	ck_assert_int_eq(http_head(&h, "B", "%s", ""), 0);
	ck_assert_str_eq(out.data, "");
	ck_assert_int_eq(http_write(&h, "one", 3), 0);
	ck_assert_int_eq(http_flush(&h), 0);
	ck_assert_int_eq(http_write(&h, " two", 4), 0);
	ck_assert_int_eq(http_flush(&h), 0);
	http_end(&h);
	ck_assert_str_eq(
	    out.data, "Status: 201\r\nA: 1-x\r\nB: \r\n\r\none two");
	buf_free(&out);
	ck_assert_str_eq(logged(), "");
}
END_TEST

static const struct {
	const char *value;
	int ok;
} values[] = {
	{ "", 1 },
	{ "a b", 1 },
	{ "a\tb", 1 },
	{ "\xc3\xa4", 1 },
	{ "a\rb", 0 },
	{ "a\nb", 0 },
	{ "a\r\nSet-Cookie: b", 0 },
	{ "a\r\n", 0 },
	{ "\n", 0 },
	{ "a\x01", 0 },
	{ "a\x1b", 0 },
	{ "a\x7f", 0 },
	{ A1000 A1000 A10 A10 A10 A10 "aaaaaaa", 1 },
	{ A1000 A1000 A10 A10 A10 A10 "aaaaaaaa", 0 },
};

/* Whether it is formatted or passed on as it is. */
static int
put_value(struct http *h, int formatted, const char *value)
{
	return formatted ? http_head(h, "A", "%s%s", "", value)
			 : http_head(h, "A", "%s", value);
}

static void
value_is_checked(const char *value, int ok, int formatted)
{
	static const char *const env[] = { NULL };
	struct buf out = BUF(8192);
	char want[4096];
	struct http h;

	http_from_memory(&h, env, "", 0, &out);
	http_status(&h, 200);
	ck_assert_int_eq(put_value(&h, formatted, value), ok ? 0 : -1);
	ck_assert_int_eq(http_head(&h, "B", "c"), 0);
	http_end(&h);
	snprintf(want, sizeof(want), "Status: 200\r\n%s%s%sB: c\r\n\r\n",
	    ok ? "A: " : "", ok ? value : "", ok ? "\r\n" : "");
	ck_assert_str_eq(out.data, want);
	ck_assert_int_eq(strstr(logged(), "'A'") == NULL, ok);
	ck_assert_ptr_null(strstr(logged(), "Cookie"));
	buf_free(&out);
}

START_TEST(a_value_holds_no_other_field)
{
	value_is_checked(values[_i].value, values[_i].ok, 0);
	value_is_checked(values[_i].value, values[_i].ok, 1);
}
END_TEST

START_TEST(a_head_that_is_too_long_is_no_answer)
{
	static const char *const env[] = { NULL };
	struct buf out = BUF(1 << 20);
	struct http h;
	int bad = 0;

	http_from_memory(&h, env, "", 0, &out);
	http_status(&h, 200);
	for (int i = 0; i < 20; i++)
		bad |= http_head(&h, "A", "%s", A1000);
	ck_assert_int_eq(bad, -1);
	ck_assert_int_eq(http_write(&h, "x", 1), -1);
	ck_assert_int_eq(http_gone(&h), 1);
	http_end(&h);
	ck_assert_str_eq(out.data, "");
	ck_assert_ptr_nonnull(strstr(logged(), "without a head"));
	buf_free(&out);
}
END_TEST

START_TEST(a_full_memory_is_told)
{
	static const char *const env[] = { NULL };
	struct buf out = BUF(20);
	struct http h;

	http_from_memory(&h, env, "", 0, &out);
	http_status(&h, 200);
	ck_assert_int_eq(http_write(&h, "abc", 3), 0);
	ck_assert_int_eq(http_write(&h, "abcd", 4), -1);
	http_end(&h);
	buf_free(&out);
}
END_TEST

/* Only a bug can do these things; it ends the process. */
START_TEST(the_order_is_head_then_body)
{
	static const char *const env[] = { NULL };
	struct buf out = BUF(1024);
	struct http h;

	http_from_memory(&h, env, "", 0, &out);
	if (_i == 0)
		(void)http_head(&h, "A", "b");
	http_status(&h, 200);
	if (_i == 1)
		http_status(&h, 200);
	(void)http_write(&h, "x", 1);
	if (_i == 2)
		http_status(&h, 200);
	if (_i == 3)
		(void)http_head(&h, "A", "b");
}
END_TEST

START_TEST(an_answer_over_fastcgi)
{
	struct buf out = BUF(1 << 22);
	struct pollfd p = { .fd = server, .events = POLLIN };
	char *text = made_body(100000);
	struct http h;

	begin(&h);
	http_status(&h, 200);
	ck_assert_int_eq(http_head(&h, "A", "b"), 0);
	ck_assert_int_eq(http_write(&h, "one", 3), 0);
	ck_assert_int_eq(poll(&p, 1, 0), 0);
	ck_assert_int_eq(http_flush(&h), 0);
	ck_assert_int_eq(poll(&p, 1, 5000), 1);
	ck_assert_int_eq(http_write(&h, text, 100000), 0);
	http_end(&h);
	finish();
	ck_assert_int_eq(read_answer(&out), 1);
	ck_assert_int_eq(
	    strncmp(out.data, "Status: 200\r\nA: b\r\n\r\none", 24), 0);
	ck_assert_str_eq(out.data + 24, text);
	buf_free(&out);
	free(text);
}
END_TEST

/* Ended, or cut, which must show all the same. */
START_TEST(a_settled_answer_goes_on)
{
	struct buf out = BUF(1 << 20);
	char long_one[30000];
	struct http h;

	memset(long_one, 'x', sizeof(long_one));
	begin(&h);
	ck_assert_int_eq(http_status(&h, 200), 0);
	ck_assert_int_eq(http_write(&h, "one", 3), 0);
	ck_assert_int_eq(http_flush(&h), 0);
	http_settle(&h);
	ck_assert_ptr_null(request.in);
	ck_assert_int_eq(http_gone(&h), 0);
	ck_assert_int_eq(http_write(&h, "two", 3), 0);
	ck_assert_int_eq(http_write(&h, long_one, sizeof(long_one)), 0);
	if (_i == 1)
		http_cut(&h);
	http_end(&h);
	finish();
	ck_assert_int_eq(read_answer(&out), _i == 0);
	ck_assert(strncmp(out.data, "Status: 200\r\n\r\nonetwox", 22) == 0);
	if (_i == 0)
		ck_assert_uint_eq(out.len, 15 + 6 + sizeof(long_one));
	buf_free(&out);
}
END_TEST

START_TEST(a_cut_answer_has_no_end)
{
	struct buf out = BUF(1 << 20);
	struct http h;

	begin(&h);
	http_status(&h, 200);
	ck_assert_int_eq(http_write(&h, "one", 3), 0);
	ck_assert_int_eq(http_flush(&h), 0);
	ck_assert_int_eq(http_write(&h, "two", 3), 0);
	http_cut(&h);
	ck_assert_int_eq(http_write(&h, "three", 5), -1);
	ck_assert_int_eq(http_gone(&h), 1);
	http_end(&h);
	FCGX_Finish_r(&request);
	ck_assert_int_eq(read_answer(&out), 0);
	ck_assert_str_eq(out.data, "Status: 200\r\n\r\none");
	buf_free(&out);
}
END_TEST

START_TEST(a_body_nobody_wanted_is_read_all_the_same)
{
	char *sent = made_body(3000000);
	struct buf b = made_request("3000000", sent, 3000000, 65535);
	pid_t pid = send_in_steps(&b, 1 << 20);
	struct buf out = BUF(1 << 20);
	struct http h;

	ck_assert_int_eq(FCGX_Accept_r(&request), 0);
	http_from_fcgx(&h, &request, 0);
	http_status(&h, 401);
	http_end(&h);
	finish();
	ck_assert_int_eq(status_of(pid), 0);
	ck_assert_int_eq(read_answer(&out), 1);
	ck_assert_str_eq(out.data, "Status: 401\r\n\r\n");
	buf_free(&out);
	buf_free(&b);
	free(sent);
}
END_TEST

/* --- Who is gone. --- */

static void
half_close(void)
{
	ck_assert_int_eq(shutdown(server, SHUT_WR), 0);
}

static void
close_all(void)
{
	close(server);
	server = -1;
}

static void
say_abort(void)
{
	struct buf b = BUF(100);

	add_records(&b, FCGI_ABORT_REQUEST, "", 0, 1);
	ck_assert_int_eq(send(server, b.data, b.len, 0), (ssize_t)b.len);
	buf_free(&b);
}

static void
say_something(void)
{
	ck_assert_int_eq(send(server, "\1\5\0\1\0\0\0\0", 8, 0), 8);
}

static void
say_and_half_close(void)
{
	say_something();
	half_close();
}

static void
stay(void)
{
}

static const struct {
	const char *what;
	void (*act)(void);
	int stirs, gone;
} acts[] = {
	{ "stays", stay, 0, 0 },
	{ "half-closes", half_close, 1, 1 },
	{ "closes", close_all, 1, 1 },
	{ "says that it aborts", say_abort, 1, 1 },
	{ "says something else", say_something, 1, 0 },
	{ "says something and half-closes", say_and_half_close, 1, 1 },
};

START_TEST(who_is_gone_shows)
{
	struct pollfd p = { .events = POLLIN };
	struct http h;

	begin(&h);
	p.fd = http_watch_fd(&h);
	/* Nothing of the request is left, so it is quiet. */
	ck_assert_int_eq(poll(&p, 1, 0), 0);
	ck_assert_int_eq(http_gone(&h), 0);
	acts[_i].act();
	ck_assert_msg(poll(&p, 1, acts[_i].stirs ? 5000 : 0) == acts[_i].stirs,
	    "%s", acts[_i].what);
	ck_assert_msg(http_gone(&h) == acts[_i].gone, "%s", acts[_i].what);
	/* Looking takes nothing away. */
	ck_assert_int_eq(http_gone(&h), acts[_i].gone);
	http_status(&h, 200);
	http_end(&h);
}
END_TEST

START_TEST(one_that_half_closed_still_gets_its_answer)
{
	struct buf out = BUF(1 << 20);
	struct http h;

	begin(&h);
	half_close();
	ck_assert_int_eq(http_gone(&h), 1);
	http_status(&h, 499);
	ck_assert_int_eq(http_write(&h, "x", 1), 0);
	http_end(&h);
	finish();
	ck_assert_int_eq(read_answer(&out), 1);
	ck_assert_str_eq(out.data, "Status: 499\r\n\r\nx");
	buf_free(&out);
}
END_TEST

START_TEST(a_going_is_seen_while_one_waits)
{
	struct pollfd p = { .events = POLLIN };
	int64_t *at = mmap(NULL, sizeof(*at), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct http h;

	begin(&h);
	if (fork() == 0) {
		(void)poll(NULL, 0, 30); /* until the other one waits */
		*at = now_ms();
		(void)shutdown(server, SHUT_WR);
		_exit(0);
	}
	p.fd = http_watch_fd(&h);
	ck_assert_int_eq(poll(&p, 1, 20000), 1);
	ck_assert_int_eq(http_gone(&h), 1);
	/* It takes no time; this is for a busy machine. */
	ck_assert_int_lt(now_ms() - *at, 200);
	(void)wait(NULL);
	http_status(&h, 200);
	http_end(&h);
}
END_TEST

START_TEST(writing_to_one_that_closed_fails)
{
	char *text = made_body(20000);
	struct http h;

	begin(&h);
	close_all();
	http_status(&h, 200);
	(void)http_write(&h, text, 20000); /* may be in the buffer still */
	ck_assert_int_eq(http_flush(&h), -1);
	ck_assert_int_eq(http_write(&h, "x", 1), -1);
	ck_assert_int_eq(http_gone(&h), 1);
	http_end(&h);
	free(text);
}
END_TEST

START_TEST(a_write_does_not_wait_for_ever)
{
	char *text = made_body(1 << 20);
	int64_t began;
	struct http h;

	begin(&h);
	ck_assert_int_eq(http_write_timeout(&h, 1), 0);
	http_status(&h, 200);
	began = now_ms();
	/* The socket takes some; then nobody reads. */
	ck_assert_int_eq(http_write(&h, text, 1 << 20), -1);
	ck_assert_int_ge(now_ms() - began, 990);
	ck_assert_int_lt(now_ms() - began, 10000);
	began = now_ms();
	ck_assert_int_eq(http_write(&h, "x", 1), -1);
	http_end(&h);
	FCGX_Finish_r(&request);
	/* The farewell does not wait again. */
	ck_assert_int_lt(now_ms() - began, 900);
	free(text);
}
END_TEST

static TCase *
memory_cases(void)
{
	TCase *t = tcase_create("memory");

	tcase_add_checked_fixture(t, setup, NULL);
	ADD_ROWS(t, a_path_means_one_thing_or_nothing, targets);
	ADD_ROWS(t, each_field_has_its_name, fields);
	tcase_add_test(t, what_was_not_sent_is_empty);
	tcase_add_test(t, a_field_given_twice_is_ambiguous);
	tcase_add_test(t, tls_is_told_by_the_web_server_alone);
	ADD_ROWS(t, a_body_from_memory, bodies);
	tcase_add_test(t, a_body_that_came_in_two_parts);
	tcase_add_test(t, an_answer_in_memory);
	ADD_ROWS(t, a_value_holds_no_other_field, values);
	tcase_add_test(t, a_head_that_is_too_long_is_no_answer);
	tcase_add_test(t, a_full_memory_is_told);
	tcase_add_loop_test_raise_signal(
	    t, the_order_is_head_then_body, SIGABRT, 0, 4);
	tcase_set_timeout(t, 60);
	return t;
}

static TCase *
fcgi_cases(void)
{
	TCase *t = tcase_create("fastcgi");

	tcase_add_checked_fixture(t, setup_fcgi, teardown_fcgi);
	ADD_ROWS(t, a_body_over_fastcgi, bodies);
	ADD_ROWS(t, a_body_in_any_split, splits);
	tcase_add_test(t, an_answer_over_fastcgi);
	tcase_add_loop_test(t, a_settled_answer_goes_on, 0, 2);
	tcase_add_test(t, a_cut_answer_has_no_end);
	tcase_add_test(t, a_body_nobody_wanted_is_read_all_the_same);
	ADD_ROWS(t, who_is_gone_shows, acts);
	tcase_add_test(t, one_that_half_closed_still_gets_its_answer);
	tcase_add_test(t, a_going_is_seen_while_one_waits);
	tcase_add_test(t, writing_to_one_that_closed_fails);
	tcase_add_test(t, a_write_does_not_wait_for_ever);
	tcase_set_timeout(t, 60);
	return t;
}

int
main(void)
{
	return suite_run("http", memory_cases(), fcgi_cases(), NULL);
}
