/*
 * lib/upstream, against the stand-in (its folder is ours) with its faults on
 * demand, and against servers of our own that say what no stand-in would.
 */
#include <check.h>
#include <curl/curl.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <json-c/json.h>

#include "lib/buf.h"
#include "lib/limits.h"
#include "lib/secret.h"
#include "lib/text.h"
#include "lib/upstream.h"
#include "tests/unit/own_server.h"
#include "tests/unit/suite.h"

#define CHAT "/v1/chat/completions"
/* Where time is not the subject, however slow the machine. */
#define LONG_MS (SANITIZED ? 120000 : 20000)
#define HELLO                                                           \
	"{\"model\":\"standin-chat\",\"messages\":[{\"role\":\"user\"," \
	"\"content\":\"hello\"}]}"
#define STREAM                                                        \
	"{\"model\":\"standin-chat\",\"stream\":true,\"messages\":[{" \
	"\"role\":\"user\",\"content\":\"hello\"}]}"

static struct upstream *ours, *control;

#define now_ms() limits_now()

/* --- One exchange, and all that came of it. --- */

enum place {
	NOWHERE,
	HEAD,
	BODY,
	PAUSE,
	STIR,
	SILENCE
};

struct answer {
	struct upstream_head head;
	struct buf body;
	int heads, bodies, pauses, stirs, silences;
	enum place stop; /* where to stop */
	int stop_after; /* times */
	int pause_ms; /* a pause takes so long */
	int close_fd; /* closed at the head; -1: none */
	int step_fd; /* told of each pause; -1: none */
	int64_t every_ms; /* answer of on_silence */
	int64_t head_at, body_at, end_at, longest_silence;
	enum upstream_end end;
};

static int
stops(const struct answer *a, enum place place, int times)
{
	return a->stop == place && times > a->stop_after;
}

/* Lets 'in_step' say the next thing. */
static void
step(const struct answer *a)
{
	if (a->step_fd >= 0)
		ck_assert_int_eq(write(a->step_fd, "", 1), 1);
}

static int
on_head(void *arg, const struct upstream_head *head)
{
	struct answer *a = arg;

	a->head = *head;
	a->head_at = now_ms();
	if (a->close_fd >= 0)
		close(a->close_fd);
	return stops(a, HEAD, ++a->heads);
}

static int
on_body(void *arg, const char *p, size_t n)
{
	struct answer *a = arg;

	ck_assert_int_eq(a->heads, 1);
	if (a->bodies++ == 0)
		a->body_at = now_ms();
	ck_assert_int_eq(buf_add(&a->body, p, n), 0);
	return stops(a, BODY, a->bodies);
}

static int
on_pause(void *arg)
{
	struct answer *a = arg;

	step(a);
	ck_assert_int_eq(a->heads, 1);
	if (a->pause_ms > 0)
		(void)poll(NULL, 0, a->pause_ms); /* a client that is slow */
	return stops(a, PAUSE, ++a->pauses);
}

static int
on_stir(void *arg)
{
	struct answer *a = arg;

	return stops(a, STIR, ++a->stirs);
}

static int64_t
on_silence(void *arg, int64_t silent_ms)
{
	struct answer *a = arg;

	ck_assert_int_ge(silent_ms, 0);
	if (silent_ms > a->longest_silence)
		a->longest_silence = silent_ms;
	return stops(a, SILENCE, ++a->silences) ? -1 : a->every_ms;
}

static struct upstream_exchange
exchange(struct answer *a, const char *const *fields)
{
	*a = (struct answer){
		.body = BUF(64 << 20),
		.close_fd = -1,
		.step_fd = -1,
		.every_ms = INT32_MAX,
	};
	return (struct upstream_exchange){ .method = "GET",
		.path = "/v1/models",
		.fields = fields,
		.connect_ms = LONG_MS,
		.first_byte_ms = LONG_MS,
		.idle_ms = LONG_MS,
		.total_ms = 2 * LONG_MS,
		.watch_fd = -1,
		.on_head = on_head,
		.on_body = on_body,
		.on_pause = on_pause,
		.on_stir = on_stir,
		.on_silence = on_silence,
		.arg = a };
}

static enum upstream_end
run(struct upstream *u, const struct upstream_exchange *x)
{
	struct answer *a = x->arg;

	a->end = upstream_run(u, x);
	a->end_at = now_ms();
	return a->end;
}

static struct iovec
piece(const char *text)
{
	union {
		const char *in;
		void *out;
	} same = { .in = text };

	return (struct iovec){ same.out, strlen(text) };
}

/* A chat with a fault; what else is to be changed is done by 'change'. */
struct chat {
	struct answer a;
	struct upstream_exchange x;
	char fault[200];
	const char *fields[4];
	struct iovec body;
};

static void
chat_init(struct chat *c, const char *body, const char *fault)
{
	snprintf(c->fault, sizeof(c->fault), "X-Standin: %s", fault);
	c->fields[0] = "Content-Type: application/json";
	c->fields[1] = *fault != '\0' ? c->fault : NULL;
	c->fields[2] = NULL;
	c->body = piece(body);
	c->x = exchange(&c->a, c->fields);
	c->x.method = "POST";
	c->x.path = CHAT;
	c->x.body = &c->body;
	c->x.n_body = 1;
}

static void
chat_end(struct chat *c)
{
	buf_free(&c->a.body);
}

static enum upstream_end
chat(const char *body, const char *fault)
{
	struct chat c;
	enum upstream_end end;

	chat_init(&c, body, fault);
	end = run(ours, &c.x);
	chat_end(&c);
	return end;
}

/* Asks the stand-in something; the tree is to be put. */
static struct json_object *
ask(const char *method, const char *path)
{
	static const char *const none[] = { NULL };
	struct json_object *o;
	struct answer a;
	struct upstream_exchange x = exchange(&a, none);

	x.method = method;
	x.path = path;
	ck_assert_int_eq(run(control, &x), UPSTREAM_DONE);
	ck_assert_msg(a.head.status == 200, "%s: %s", path, a.body.data);
	o = json_tokener_parse(a.body.data);
	ck_assert_ptr_nonnull(o);
	buf_free(&a.body);
	return o;
}

static int64_t
number(struct json_object *o, const char *name)
{
	struct json_object *value = NULL;

	ck_assert(json_object_object_get_ex(o, name, &value));
	return json_object_get_int64(value);
}

static int64_t
stat_of(const char *name)
{
	struct json_object *o = ask("GET", "/standin/stats");
	int64_t n = number(o, name);

	json_object_put(o);
	return n;
}

static void
await(const char *what)
{
	char path[100];

	snprintf(path, sizeof(path), "/standin/wait?%s&timeout=20000", what);
	json_object_put(ask("GET", path));
}

/* The request that came last; the whole answer is to be put. */
static struct json_object *
last_request(struct json_object **all)
{
	*all = ask("GET", "/standin/requests?n=1");
	ck_assert_uint_eq(json_object_array_length(*all), 1);
	return json_object_array_get_idx(*all, 0);
}

/* --- Servers. --- */

static void
standin_start(void)
{
	char path[4096], fd_text[16], port[16] = "";
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 10);
	int ready[2];

	ck_assert_int_gt(n, 0);
	path[n] = '\0';
	snprintf(strrchr(path, '/'), 10, "/standin");
	ck_assert_int_eq(pipe(ready), 0);
	snprintf(fd_text, sizeof(fd_text), "%d", ready[1]);
	if (fork() == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
		(void)dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO);
		(void)dup2(STDOUT_FILENO, STDERR_FILENO);
		execl(path, "standin", "--port", "0", "--ready-fd", fd_text,
		    (char *)NULL);
		_exit(127);
	}
	close(ready[1]);
	ck_assert_int_gt(read(ready[0], port, sizeof(port) - 1), 0);
	close(ready[0]);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d",
	    (int)strtol(port, NULL, 10));
	ours = upstream_new(url);
	control = upstream_new(url);
	ck_assert_ptr_nonnull(ours);
	ck_assert_ptr_nonnull(control);
}

/* Serves with a function that gets each connection and its number from 1. */
static void
serve(void (*connection)(int fd, int number, const void *arg), const void *arg)
{
	own_server(connection, arg, 0);
	ours = upstream_new(url);
	ck_assert_ptr_nonnull(ours);
}

static void
setup(void)
{
	catch_log();
	ck_assert_int_eq(curl_global_init(CURL_GLOBAL_DEFAULT), 0);
}

static void
setup_standin(void)
{
	setup();
	standin_start();
}

static void
teardown(void)
{
	upstream_free(ours);
	upstream_free(control);
	curl_global_cleanup();
}

static int
lines_logged(void)
{
	int lines = 0;

	for (const char *p = logged(); (p = strchr(p, '\n')) != NULL; p++)
		lines++;
	return lines;
}

/* --- What goes well. --- */

/* A good exchange works on 'ours', and nothing else is in it. */
static void
works(void)
{
	struct json_object *o;
	struct chat c;

	chat_init(&c, HELLO, "");
	ck_assert_int_eq(run(ours, &c.x), UPSTREAM_DONE);
	ck_assert_int_eq(c.a.head.status, 200);
	ck_assert_str_eq(c.a.head.content_type, "application/json");
	ck_assert_str_eq(c.a.head.retry_after, "");
	ck_assert_int_eq(c.a.head.length, (int64_t)c.a.body.len);
	ck_assert_int_eq(c.a.heads, 1);
	o = json_tokener_parse(c.a.body.data);
	ck_assert_ptr_nonnull(o);
	ck_assert_ptr_nonnull(strstr(c.a.body.data, "hello"));
	json_object_put(o);
	chat_end(&c);
}

START_TEST(a_whole_answer)
{
	works();
	ck_assert_int_eq(lines_logged(), 0);
}
END_TEST

START_TEST(a_stream)
{
	struct chat c;

	chat_init(&c, STREAM, "rate=100, words=5");
	ck_assert_int_eq(run(ours, &c.x), UPSTREAM_DONE);
	ck_assert_int_eq(c.a.head.length, -1);
	ck_assert_ptr_nonnull(
	    strstr(c.a.head.content_type, "text/event-stream"));
	ck_assert_uint_gt(c.a.body.len, 14);
	ck_assert_str_eq(c.a.body.data + c.a.body.len - 14, "data: [DONE]\n\n");
	chat_end(&c);
}
END_TEST

/*
 * Says each thing only once the one before was told of, with a pause, so no
 * machine is too slow or too fast.
 */
static void
in_step(int fd, int number, const void *arg)
{
	static const char *const thing[] = { "HTTP/1.1 200 OK\r\n"
					     "Retry-After: 7\r\n"
					     "Content-Length: 9\r\n\r\n",
		"one", "two", "end" };
	const int *from = arg;
	char told;

	(void)number;
	if (!read_request(fd))
		return;
	for (size_t i = 0; i < sizeof(thing) / sizeof(*thing); i++) {
		if (i > 0 && read(*from, &told, 1) != 1)
			return;
		say(fd, thing[i], strlen(thing[i]));
	}
	(void)read_request(fd);
}

START_TEST(each_thing_is_told_of_before_the_next_comes)
{
	static const char *const none[] = { NULL };
	struct upstream_exchange x;
	struct answer a;
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	serve(in_step, ends);
	x = exchange(&a, none);
	a.step_fd = ends[1];
	ck_assert_int_eq(run(ours, &x), UPSTREAM_DONE);
	ck_assert_int_eq(a.heads, 1);
	ck_assert_str_eq(a.head.retry_after, "7");
	ck_assert_int_eq(a.bodies, 3);
	ck_assert_int_eq(a.pauses, 3);
	ck_assert_str_eq(a.body.data, "onetwoend");
	buf_free(&a.body);
}
END_TEST

START_TEST(a_large_answer_in_pieces)
{
	struct chat c;

	chat_init(&c, HELLO, "huge=20000000");
	ck_assert_int_eq(run(ours, &c.x), UPSTREAM_DONE);
	ck_assert_uint_gt(c.a.body.len, 20000000);
	ck_assert_int_eq(c.a.head.length, (int64_t)c.a.body.len);
	chat_end(&c);
	chat_init(&c, HELLO, "slow-body=5, pause=10");
	ck_assert_int_eq(run(ours, &c.x), UPSTREAM_DONE);
	ck_assert_int_eq(c.a.head.length, (int64_t)c.a.body.len);
	ck_assert_int_ge(c.a.bodies, 3);
	chat_end(&c);
	chat_init(&c, HELLO, "no-length=1");
	ck_assert_int_eq(run(ours, &c.x), UPSTREAM_DONE);
	ck_assert_int_eq(c.a.head.length, -1);
	chat_end(&c);
	works();
}
END_TEST

static void
fill(char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (char)('a' + (i * 7 + i / 251) % 26);
}

/* Sends three pieces, one of them empty; all of it arrives, and once. */
static void
sends_pieces(size_t n)
{
	static const char head[] = "{\"model\":\"standin-chat\",\"messages\":[{"
				   "\"role\":\"user\",\"content\":\"";
	unsigned char digest[SECRET_DIGEST_LEN];
	char hex[2 * SECRET_DIGEST_LEN + 1], *middle = malloc(n);
	struct json_object *all, *last, *sha = NULL;
	struct buf whole = BUF(64 << 20);
	struct iovec body[4];
	struct chat c;

	fill(middle, n);
	body[0] = piece(head);
	body[1] = (struct iovec){ middle, 0 };
	body[2] = (struct iovec){ middle, n };
	body[3] = piece("\"}]}");
	for (size_t i = 0; i < 4; i++)
		ck_assert_int_eq(
		    buf_add(&whole, body[i].iov_base, body[i].iov_len), 0);
	secret_sha256(digest, whole.data, whole.len);
	text_hex(hex, digest, sizeof(digest));
	chat_init(&c, "", "");
	c.x.body = body;
	c.x.n_body = 4;
	ck_assert_int_eq(run(ours, &c.x), UPSTREAM_DONE);
	ck_assert_int_eq(c.a.head.status, 200);
	last = last_request(&all);
	ck_assert_int_eq(number(last, "body_length"), (int64_t)whole.len);
	ck_assert(json_object_object_get_ex(last, "body_sha256", &sha));
	ck_assert_str_eq(json_object_get_string(sha), hex);
	json_object_put(all);
	chat_end(&c);
	buf_free(&whole);
	free(middle);
}

START_TEST(a_body_in_pieces_arrives_whole)
{
	sends_pieces(1);
	sends_pieces(300000);
	sends_pieces(5000000);
	ck_assert_int_eq(stat_of("requests"), 3);
}
END_TEST

START_TEST(connections_are_kept)
{
	for (int64_t i = 1; i <= 3; i++) {
		struct json_object *all, *last;

		works();
		last = last_request(&all);
		ck_assert_int_eq(number(last, "request_on_connection"), i);
		json_object_put(all);
	}
}
END_TEST

/* Names and values are these, in any order, and no others. */
START_TEST(the_head_is_what_was_given)
{
	static const char *const want[] = { "Host", "Accept", "Authorization",
		"OpenAI-Beta", "Content-Type", "Content-Length" };
	static const char *const fields[] = { "Content-Type: text/x-odd",
		"Authorization: Bearer k", "OpenAI-Beta: a; b", NULL };
	struct json_object *all, *last, *headers = NULL, *pair;
	struct chat c;

	chat_init(&c, HELLO, "");
	c.x.fields = fields;
	ck_assert_int_eq(run(ours, &c.x), UPSTREAM_DONE);
	chat_end(&c);
	last = last_request(&all);
	ck_assert(json_object_object_get_ex(last, "headers", &headers));
	ck_assert_uint_eq(json_object_array_length(headers), 6);
	for (size_t i = 0; i < 6; i++) {
		size_t found = 0;

		for (size_t j = 0; j < 6; j++) {
			pair = json_object_array_get_idx(headers, j);
			pair = json_object_array_get_idx(pair, 0);
			found += strcasecmp(json_object_get_string(pair),
				     want[i]) == 0;
		}
		ck_assert_msg(found == 1, "%s", want[i]);
	}
	json_object_put(all);
	/* Nothing is made up where nothing is given, however long the body. */
	chat_init(&c, HELLO, "");
	c.x.fields = fields + 3;
	ck_assert_int_eq(run(ours, &c.x), UPSTREAM_DONE);
	chat_end(&c);
	last = last_request(&all);
	ck_assert(json_object_object_get_ex(last, "headers", &headers));
	ck_assert_uint_eq(json_object_array_length(headers), 3);
	json_object_put(all);
}
END_TEST

START_TEST(a_field_with_a_line_end_is_not_sent)
{
	static const char *const fields[] = { "A: b\r\nC: d", NULL };
	struct chat c;

	chat_init(&c, HELLO, "");
	c.x.fields = fields;
	ck_assert_int_eq(run(ours, &c.x), UPSTREAM_UNREACHABLE);
	chat_end(&c);
	ck_assert_int_eq(stat_of("requests"), 0);
}
END_TEST

START_TEST(no_proxy_of_the_environment_is_used)
{
	static const char *const names[] = { "http_proxy", "HTTP_PROXY",
		"all_proxy", "ALL_PROXY", "https_proxy" };

	for (size_t i = 0; i < 5; i++)
		setenv(names[i], "http://127.0.0.1:9", 1);
	upstream_free(ours);
	ours = upstream_new(url);
	works();
}
END_TEST

START_TEST(a_redirect_is_an_answer)
{
	struct chat c;

	chat_init(&c, HELLO, "redirect=1");
	ck_assert_int_eq(run(ours, &c.x), UPSTREAM_DONE);
	ck_assert_int_eq(c.a.head.status, 302);
	chat_end(&c);
	ck_assert_int_eq(stat_of("requests"), 1);
}
END_TEST

START_TEST(a_head_is_bounded)
{
	ck_assert_int_eq(chat(HELLO, "headers=1000"), UPSTREAM_DONE);
	ck_assert_int_eq(chat(HELLO, "headers=3000"), UPSTREAM_UNREACHABLE);
	ck_assert_int_eq(chat(HELLO, "headers=10000"), UPSTREAM_UNREACHABLE);
	works();
	ck_assert_int_eq(stat_of("requests"), 4);
}
END_TEST

/* --- What is tried again, and what is not. --- */

START_TEST(a_connection_closed_while_idle_is_replaced)
{
	struct json_object *all, *last;

	ck_assert_int_eq(chat(HELLO, "close-idle=1"), UPSTREAM_DONE);
	sends_pieces(200000);
	last = last_request(&all);
	ck_assert_int_eq(number(last, "request_on_connection"), 1);
	json_object_put(all);
	ck_assert_int_eq(stat_of("requests"), 2);
	ck_assert_int_eq(lines_logged(), 0);
}
END_TEST

START_TEST(a_connection_that_dies_on_reuse_is_replaced)
{
	static const size_t sizes[] = { 1, 100000, 20000000 };

	ck_assert_int_eq(chat(HELLO, "die-on-reuse=1"), UPSTREAM_DONE);
	sends_pieces(sizes[_i]);
	ck_assert_int_eq(stat_of("requests"), 2);
}
END_TEST

START_TEST(a_get_that_dies_on_reuse_is_repeated)
{
	static const char *const fault[] = { "X-Standin: die-on-reuse=1",
		NULL };
	static const char *const none[] = { NULL };
	struct answer a;
	struct upstream_exchange x = exchange(&a, fault);

	ck_assert_int_eq(run(ours, &x), UPSTREAM_DONE);
	buf_free(&a.body);
	x = exchange(&a, none);
	ck_assert_int_eq(run(ours, &x), UPSTREAM_DONE);
	ck_assert_int_eq(a.head.status, 200);
	buf_free(&a.body);
	ck_assert_int_eq(stat_of("requests"), 2);
}
END_TEST

#define OTHERS_TEXT "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno"
#define OK_TEXT "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

/* The first request is answered, all later ones are read and dropped. */
static void
answer_once(int fd, int number, const void *arg)
{
	(void)arg;
	if (!read_request(fd) || number > 1)
		return;
	say(fd, OK_TEXT, strlen(OK_TEXT));
	(void)read_request(fd);
}

START_TEST(nothing_is_tried_more_than_twice)
{
	struct answer a;
	static const char *const none[] = { NULL };
	struct upstream_exchange x;

	serve(answer_once, NULL);
	for (int i = 0; i < 2; i++) {
		x = exchange(&a, none);
		if (_i == 0)
			x.method = "POST";
		ck_assert_int_eq(run(ours, &x),
		    i == 0 ? UPSTREAM_DONE : UPSTREAM_UNREACHABLE);
		buf_free(&a.body);
	}
	ck_assert_int_eq(seen->connections, 2);
	ck_assert_int_eq(seen->requests, 3);
}
END_TEST

/* What follows the first answer is there before the second request. */
static void
answer_in_advance(int fd, int number, const void *arg)
{
	(void)arg;
	if (!read_request(fd))
		return;
	say(fd, OK_TEXT, strlen(OK_TEXT));
	if (number > 1)
		return;
	usleep(20000); /* else libcurl reads both at once, and closes */
	say(fd, OTHERS_TEXT, strlen(OTHERS_TEXT));
	seen->said = 1;
	(void)read_request(fd);
}

START_TEST(an_answer_that_nobody_asked_for_is_nobodys)
{
	static const char *const none[] = { NULL };
	struct upstream_exchange x;
	struct answer a;

	serve(answer_in_advance, NULL);
	for (int i = 0; i < 3; i++) {
		x = exchange(&a, none);
		ck_assert_int_eq(run(ours, &x), UPSTREAM_DONE);
		ck_assert_str_eq(a.body.data, "ok");
		buf_free(&a.body);
		while (!seen->said)
			usleep(1000);
	}
	/* The second was not sent where that lay in wait. */
	ck_assert_int_eq(seen->requests, 3);
	ck_assert_int_ge(seen->connections, 2);
}
END_TEST

/* Closes before it reads, which resets: what was sent meets an error. */
static void
drop_second(int fd, int number, const void *arg)
{
	static char bin[1 << 16];

	(void)arg;
	if (!read_request(fd))
		return;
	say(fd, OK_TEXT, strlen(OK_TEXT));
	if (number == 1)
		(void)recv(fd, bin, sizeof(bin), MSG_PEEK);
	else
		(void)read_request(fd);
}

START_TEST(a_body_cut_by_a_dead_connection_is_sent_again_from_its_start)
{
	static const char *const none[] = { NULL };
	char *text = malloc(60001);
	struct upstream_exchange x;
	struct iovec body;
	struct answer a;

	memset(text, 'x', 60000);
	text[60000] = '\0';
	body = piece(text);
	serve(drop_second, NULL);
	for (int i = 0; i < 2; i++) {
		x = exchange(&a, none);
		x.method = "POST";
		x.body = &body;
		x.n_body = 1;
		ck_assert_int_eq(run(ours, &x), UPSTREAM_DONE);
		ck_assert_str_eq(a.body.data, "ok");
		buf_free(&a.body);
	}
	ck_assert_int_eq(seen->connections, 2);
	ck_assert_int_eq(seen->requests, 2);
	free(text);
}
END_TEST

START_TEST(a_refused_connection_is_tried_twice)
{
	int fd = listen_somewhere(-1); /* bound, so that nobody else is */

	ours = upstream_new(url);
	ck_assert_int_eq(chat(HELLO, ""), UPSTREAM_UNREACHABLE);
	ck_assert_int_eq(lines_logged(), 2);
	ck_assert_int_eq(listen(fd, 1), 0);
	close(fd);
}
END_TEST

START_TEST(a_reset_of_a_new_connection_is_not_tried_again)
{
	ck_assert_int_eq(chat(HELLO, "reset-after=0"), UPSTREAM_UNREACHABLE);
	ck_assert_int_eq(stat_of("requests"), 1);
	works();
	ck_assert_int_eq(stat_of("requests"), 2);
}
END_TEST

START_TEST(a_late_reset_is_not_tried_again)
{
	works();
	ck_assert_int_eq(chat(HELLO, "delay-head=1300, reset-after=0"),
	    UPSTREAM_UNREACHABLE);
	ck_assert_int_eq(stat_of("requests"), 2);
	works();
	/* An early one is, once; on the new connection it is final. */
	ck_assert_int_eq(chat(HELLO, "reset-after=0"), UPSTREAM_UNREACHABLE);
	ck_assert_int_eq(stat_of("requests"), 5);
}
END_TEST

/* --- Failures; after each, the next exchange is as new. --- */

static const struct {
	const char *body, *fault;
	enum upstream_end want;
	int heads;
} failures[] = {
	{ STREAM, "reset-after=2", UPSTREAM_BROKEN, 1 },
	{ STREAM, "close-after=2", UPSTREAM_BROKEN, 1 },
	{ STREAM, "close-after=0", UPSTREAM_BROKEN, 1 },
	{ STREAM, "truncate=1", UPSTREAM_BROKEN, 1 },
	{ HELLO, "truncate=1", UPSTREAM_BROKEN, 1 },
	{ HELLO, "reset-after=10", UPSTREAM_BROKEN, 1 },
	{ HELLO, "reset-after=0", UPSTREAM_UNREACHABLE, 0 },
	{ HELLO, "close-after=0", UPSTREAM_BROKEN, 1 },
	{ HELLO, "status=500", UPSTREAM_DONE, 1 },
	{ HELLO, "status=429, retry-after=3", UPSTREAM_DONE, 1 },
	{ HELLO, "status=503, error-body=empty", UPSTREAM_DONE, 1 },
	{ STREAM, "end-after=1", UPSTREAM_DONE, 1 },
	{ STREAM, "error-after=1", UPSTREAM_DONE, 1 },
	{ HELLO, "set-cookie=1", UPSTREAM_DONE, 1 },
};

START_TEST(after_any_end_the_next_exchange_is_as_new)
{
	struct chat c;

	chat_init(&c, failures[_i].body, failures[_i].fault);
	ck_assert_msg(run(ours, &c.x) == failures[_i].want, "%s: %d",
	    failures[_i].fault, (int)c.a.end);
	ck_assert_int_eq(c.a.heads, failures[_i].heads);
	ck_assert_int_eq(
	    lines_logged(), failures[_i].want == UPSTREAM_DONE ? 0 : 1);
	chat_end(&c);
	works();
	works();
	ck_assert_int_eq(stat_of("requests"), 3);
}
END_TEST

static const struct {
	enum place stop;
	int after;
	const char *fault;
} stop_rows[] = {
	{ HEAD, 0, "stall-after=1" },
	{ BODY, 0, "stall-after=1" },
	{ BODY, 1, "rate=50" },
	{ PAUSE, 0, "stall-after=0" },
	{ PAUSE, 1, "rate=50" },
	{ STIR, 0, "stall-after=1" },
	{ STIR, 0, "delay-head=60000" },
	{ SILENCE, 0, "stall-after=1" },
	{ SILENCE, 3, "stall-after=1" },
};

START_TEST(each_callback_can_stop_it)
{
	/* Stirred at once, it may stop before the request was sent. */
	int at_once = strstr(stop_rows[_i].fault, "delay-head") != NULL;
	enum upstream_end end;
	struct chat c;
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	chat_init(&c, STREAM, stop_rows[_i].fault);
	c.a.stop = stop_rows[_i].stop;
	c.a.stop_after = stop_rows[_i].after;
	c.a.every_ms = 20;
	c.x.watch_fd = pair[0];
	if (c.a.stop == STIR && strstr(c.fault, "stall") != NULL)
		c.a.close_fd = pair[1];
	else if (c.a.stop == STIR)
		close(pair[1]);
	end = run(ours, &c.x);
	ck_assert(
	    end == UPSTREAM_STOPPED || (at_once && end == UPSTREAM_UNSENT));
	ck_assert_int_eq(lines_logged(), 0);
	chat_end(&c);
	works();
}
END_TEST

/* --- Clocks. --- */

static const struct {
	const char *body, *fault;
	int64_t first_ms, idle_ms, total_ms;
	enum upstream_end want;
} clocks[] = {
	{ HELLO, "delay-head=60000", 150, 20000, 60000, UPSTREAM_TIMEOUT },
	{ STREAM, "delay-body=60000", 20000, 150, 60000, UPSTREAM_BROKEN },
	{ STREAM, "stall-after=1", 20000, 150, 60000, UPSTREAM_BROKEN },
	{ HELLO, "stall-after=10", 20000, 150, 60000, UPSTREAM_BROKEN },
	/* Never silent, and too long all the same. */
	{ STREAM, "rate=50, words=100000", 20000, 20000, 2000,
	    UPSTREAM_BROKEN },
	{ HELLO, "delay-head=60000", 20000, 20000, 150, UPSTREAM_TIMEOUT },
};

START_TEST(silence_ends_an_exchange)
{
	int64_t began;
	struct chat c;

	chat_init(&c, clocks[_i].body, clocks[_i].fault);
	c.x.first_byte_ms = clocks[_i].first_ms;
	c.x.idle_ms = clocks[_i].idle_ms;
	c.x.total_ms = clocks[_i].total_ms;
	began = now_ms();
	ck_assert_int_eq(run(ours, &c.x), clocks[_i].want);
	ck_assert_int_ge(c.a.end_at - began, 149);
	ck_assert_int_lt(c.a.end_at - began, 5000);
	chat_end(&c);
	await("aborted=1");
	works();
}
END_TEST

START_TEST(a_slow_client_is_no_silence_of_the_upstream)
{
	struct chat c;

	/* An event each 333 ms, 250 of which the client takes. */
	chat_init(&c, STREAM, "rate=3, words=1");
	c.a.pause_ms = 250;
	c.x.idle_ms = 240;
	ck_assert_int_eq(run(ours, &c.x), UPSTREAM_DONE);
	chat_end(&c);
}
END_TEST

START_TEST(a_connect_that_is_not_answered_ends)
{
	int fds[64], listener = listen_somewhere(0);
	struct sockaddr_in address;
	socklen_t size = sizeof(address);
	int64_t began;
	struct chat c;

	/* Past its backlog the kernel drops what knocks. */
	ck_assert_int_eq(
	    getsockname(listener, (struct sockaddr *)&address, &size), 0);
	for (size_t i = 0; i < 64; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)connect(fds[i], (struct sockaddr *)&address, size);
	}
	ours = upstream_new(url);
	chat_init(&c, HELLO, "");
	c.x.connect_ms = 200;
	began = now_ms();
	ck_assert_int_eq(run(ours, &c.x), UPSTREAM_UNREACHABLE);
	ck_assert_int_ge(c.a.end_at - began, 150);
	ck_assert_int_lt(c.a.end_at - began, 5000);
	ck_assert_int_eq(lines_logged(), 1);
	chat_end(&c);
	for (size_t i = 0; i < 64; i++)
		close(fds[i]);
	close(listener);
}
END_TEST

START_TEST(silence_is_told_as_often_as_asked)
{
	struct chat c;

	chat_init(&c, STREAM, "stall-after=1");
	c.a.every_ms = 50;
	c.a.stop = SILENCE;
	c.a.stop_after = 5;
	ck_assert_int_eq(run(ours, &c.x), UPSTREAM_STOPPED);
	ck_assert_int_eq(c.a.silences, 6);
	ck_assert_int_ge(c.a.end_at - c.a.head_at, 249);
	ck_assert_int_lt(c.a.end_at - c.a.head_at, 5000);
	ck_assert_int_ge(c.a.longest_silence, 200);
	chat_end(&c);
	/* Before the head there is nothing to keep alive. */
	chat_init(&c, STREAM, "delay-head=300, stall-after=1");
	c.a.every_ms = 10;
	c.a.stop = SILENCE;
	ck_assert_int_eq(run(ours, &c.x), UPSTREAM_STOPPED);
	ck_assert_int_eq(c.a.heads, 1);
	chat_end(&c);
}
END_TEST

/* --- The client. --- */

START_TEST(a_client_that_goes_away_is_noticed_at_once)
{
	const char *fault = _i == 0 ? "delay-head=60000" : "stall-after=2";
	int64_t *closed_at = mmap(NULL, sizeof(*closed_at),
	    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct chat c;
	int pair[2];

	ck_assert_ptr_ne(closed_at, MAP_FAILED);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	if (fork() == 0) {
		close(pair[0]);
		await("open=1");
		if (_i == 1)
			(void)poll(NULL, 0, 50); /* into the stream's silence */
		*closed_at = now_ms();
		_exit(0); /* closes its end */
	}
	close(pair[1]);
	chat_init(&c, STREAM, fault);
	c.x.watch_fd = pair[0];
	c.a.stop = STIR;
	ck_assert_int_eq(run(ours, &c.x), UPSTREAM_STOPPED);
	ck_assert_int_eq(c.a.stirs, 1);
	/* It takes 1 ms; the rest is for a busy machine. */
	ck_assert_int_lt(c.a.end_at - *closed_at, 5000);
	chat_end(&c);
	(void)wait(NULL);
	await("aborted=1");
	ck_assert_int_eq(stat_of("aborted"), 1);
	works();
}
END_TEST

START_TEST(a_client_that_only_stirs_is_looked_at_now_and_then)
{
	struct chat c;
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ck_assert_int_eq(write(pair[1], "x", 1), 1);
	chat_init(&c, STREAM, "delay-head=450, words=1");
	c.x.watch_fd = pair[0];
	ck_assert_int_eq(run(ours, &c.x), UPSTREAM_DONE);
	ck_assert_int_ge(c.a.stirs, 2);
	ck_assert_int_le(c.a.stirs, 10);
	chat_end(&c);
	/* So it is noticed when it goes away later on. */
	chat_init(&c, STREAM, "delay-head=60000");
	c.x.watch_fd = pair[0];
	c.a.stop = STIR;
	c.a.stop_after = 3;
	ck_assert_int_eq(run(ours, &c.x), UPSTREAM_STOPPED);
	ck_assert_int_eq(c.a.stirs, 4);
	chat_end(&c);
	/* One that does not stir is never asked after. */
	ck_assert_int_eq(read(pair[0], c.fault, 1), 1);
	chat_init(&c, STREAM, "delay-head=250, words=1");
	c.x.watch_fd = pair[0];
	ck_assert_int_eq(run(ours, &c.x), UPSTREAM_DONE);
	ck_assert_int_eq(c.a.stirs, 0);
	chat_end(&c);
}
END_TEST

/* --- What no honest server says. --- */

static const struct {
	const char *what, *text;
	enum upstream_end want;
	int status;
	const char *body;
} texts[] = {
	{ "interim answers are passed over",
	    "HTTP/1.1 100 Continue\r\n\r\n"
	    "HTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\n"
	    "Content-Type: text/x-early\r\n\r\n" OK_TEXT,
	    UPSTREAM_DONE, 200, "ok" },
	{ "chunks",
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	    "1;x=y\r\no\r\n1\r\nk\r\n0\r\nRetry-After: 1\r\n\r\n",
	    UPSTREAM_DONE, 200, "ok" },
	{ "no content", "HTTP/1.1 204 No Content\r\n\r\n", UPSTREAM_DONE, 204,
	    "" },
	{ "up to the close", "HTTP/1.0 200 OK\r\n\r\nok", UPSTREAM_DONE, 200,
	    "ok" },
	{ "no head at all", "hello\n", UPSTREAM_UNREACHABLE, 0, "" },
	{ "nothing", "", UPSTREAM_UNREACHABLE, 0, "" },
	{ "half a head", "HTTP/1.1 200 OK\r\nContent-Le", UPSTREAM_UNREACHABLE,
	    0, "" },
	{ "an interim answer alone", "HTTP/1.1 100 Continue\r\n\r\n",
	    UPSTREAM_UNREACHABLE, 0, "" },
	{ "no number for a status", "HTTP/1.1 abc\r\n\r\n",
	    UPSTREAM_UNREACHABLE, 0, "" },
	{ "less than announced",
	    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", UPSTREAM_BROKEN,
	    200, "ok" },
	{ "more than announced",
	    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK",
	    UPSTREAM_DONE, 200, "ok" },
	{ "a broken chunk",
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	    "2\r\nok\r\nzz\r\n",
	    UPSTREAM_BROKEN, 200, "ok" },
	{ "chunks that do not end",
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	    "2\r\nok\r\n",
	    UPSTREAM_BROKEN, 200, "ok" },
	{ "another protocol",
	    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\nok",
	    UPSTREAM_UNREACHABLE, 0, "" },
	{ "another version", "HTTP/2 200\r\nContent-Length: 2\r\n\r\nok",
	    UPSTREAM_UNREACHABLE, 0, "" },
	{ "a length and chunks",
	    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
	    UPSTREAM_UNREACHABLE, 0, "" },
	{ "two lengths",
	    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\ncontent-length: 2\r\n"
	    "\r\nok",
	    UPSTREAM_UNREACHABLE, 0, "" },
	{ "a length that is none",
	    "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
	    UPSTREAM_UNREACHABLE, 0, "" },
	{ "a length of the largest",
	    "HTTP/1.1 200 OK\r\nContent-Length: 999999999999999999\r\n\r\nok",
	    UPSTREAM_BROKEN, 200, "ok" },
	{ "a length beyond the largest",
	    "HTTP/1.1 200 OK\r\nContent-Length: 1000000000000000002\r\n\r\n"
	    "ok",
	    UPSTREAM_UNREACHABLE, 0, "" },
	{ "an encoding", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nok",
	    UPSTREAM_UNREACHABLE, 0, "" },
	{ "an encoding that is none",
	    "HTTP/1.1 200 OK\r\nContent-Encoding: Identity\r\n"
	    "Transfer-Encoding: Chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
	    UPSTREAM_DONE, 200, "ok" },
	{ "an encoding of the transfer",
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
	    "2\r\nok\r\n0\r\n\r\n",
	    UPSTREAM_UNREACHABLE, 0, "" },
	{ "a type with a line end of its own",
	    "HTTP/1.1 200 OK\r\nContent-Type: a/b\rX: y\r\n\r\nok",
	    UPSTREAM_UNREACHABLE, 0, "" },
	{ "faults of an interim answer are its own",
	    "HTTP/1.1 103 Early Hints\r\nContent-Encoding: x\r\n\r\n" OK_TEXT,
	    UPSTREAM_DONE, 200, "ok" },
	{ "a chunk larger than what comes",
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	    "ffffffff\r\nok",
	    UPSTREAM_BROKEN, 200, "ok" },
};

static void
say_text(int fd, int number, const void *arg)
{
	(void)number;
	if (read_request(fd))
		say(fd, arg, strlen(arg));
}

START_TEST(odd_answers_have_an_end)
{
	static const char *const none[] = { NULL };
	struct answer a;
	struct upstream_exchange x;

	serve(say_text, texts[_i].text);
	for (int i = 0; i < 2; i++) {
		x = exchange(&a, none);
		ck_assert_msg(run(ours, &x) == texts[_i].want, "%s: %d",
		    texts[_i].what, (int)a.end);
		ck_assert_int_eq(a.heads, texts[_i].status != 0);
		ck_assert_int_eq(a.head.status, texts[_i].status);
		ck_assert_str_eq(a.body.data, texts[_i].body);
		ck_assert_str_eq(a.head.retry_after, "");
		ck_assert_str_eq(a.head.content_type, "");
		buf_free(&a.body);
	}
	ck_assert_int_eq(seen->requests, 2);
}
END_TEST

static void
say_for_ever(int fd, int number, const void *arg)
{
	(void)number;
	if (!read_request(fd))
		return;
	say(fd, "HTTP/1.1 200 OK\r\n", 17);
	for (int i = 0; i < 1 << 20; i++) /* it ends when nobody reads */
		say(fd, arg, strlen(arg));
}

START_TEST(a_head_without_end_is_refused)
{
	static const char *const none[] = { NULL };
	struct answer a;
	struct upstream_exchange x = exchange(&a, none);

	serve(say_for_ever, _i == 0 ? "X-Again: a\r\n" : "aaaaaaaaaaaaaaaaaaa");
	ck_assert_int_eq(run(ours, &x), UPSTREAM_UNREACHABLE);
	ck_assert_int_eq(a.heads, 0);
	buf_free(&a.body);
}
END_TEST

static const struct {
	const char *line, *type, *after, *after_ms, *retry;
} heads[] = {
	{ "Content-Type: text/plain; charset=utf-8",
	    "text/plain; charset=utf-8", "", "", "" },
	{ "content-type:\ttext/plain \t", "text/plain", "", "", "" },
	{ "Content-Type:", "", "", "", "" },
	{ "Content-Typ: a", "", "", "", "" },
	{ "X-Content-Type: a", "", "", "", "" },
	{ "RETRY-AFTER: 12", "", "12", "", "" },
	{ "retry-after-ms: 1500", "", "", "1500", "" },
	{ "X-Should-Retry: false", "", "", "", "false" },
	{ "X-Should-Retry: a value longer than any", "", "", "", "" },
	{ "Retry-After: 1\r\nRetry-After: 2", "", "2", "", "" },
};

START_TEST(few_fields_of_a_head_come_through)
{
	static const char *const none[] = { NULL };
	struct answer a;
	struct upstream_exchange x = exchange(&a, none);
	char text[200];

	snprintf(text, sizeof(text),
	    "HTTP/1.1 200 OK\r\n%s\r\nContent-Length: 0\r\n\r\n",
	    heads[_i].line);
	serve(say_text, text);
	ck_assert_int_eq(run(ours, &x), UPSTREAM_DONE);
	ck_assert_str_eq(a.head.content_type, heads[_i].type);
	ck_assert_str_eq(a.head.retry_after, heads[_i].after);
	ck_assert_str_eq(a.head.retry_after_ms, heads[_i].after_ms);
	ck_assert_str_eq(a.head.should_retry, heads[_i].retry);
	ck_assert_int_eq(a.head.length, 0);
	buf_free(&a.body);
}
END_TEST

static TCase *
standin_cases(void)
{
	TCase *t = tcase_create("standin");

	tcase_add_checked_fixture(t, setup_standin, teardown);
	tcase_add_test(t, a_whole_answer);
	tcase_add_test(t, a_stream);
	tcase_add_test(t, a_large_answer_in_pieces);
	tcase_add_test(t, a_body_in_pieces_arrives_whole);
	tcase_add_test(t, connections_are_kept);
	tcase_add_test(t, the_head_is_what_was_given);
	tcase_add_test(t, a_field_with_a_line_end_is_not_sent);
	tcase_add_test(t, no_proxy_of_the_environment_is_used);
	tcase_add_test(t, a_redirect_is_an_answer);
	tcase_add_test(t, a_head_is_bounded);
	tcase_add_test(t, a_connection_closed_while_idle_is_replaced);
	tcase_add_loop_test(
	    t, a_connection_that_dies_on_reuse_is_replaced, 0, 3);
	tcase_add_test(t, a_get_that_dies_on_reuse_is_repeated);
	tcase_add_test(t, a_reset_of_a_new_connection_is_not_tried_again);
	tcase_add_test(t, a_late_reset_is_not_tried_again);
	ADD_ROWS(t, after_any_end_the_next_exchange_is_as_new, failures);
	ADD_ROWS(t, each_callback_can_stop_it, stop_rows);
	ADD_ROWS(t, silence_ends_an_exchange, clocks);
	tcase_add_test(t, a_slow_client_is_no_silence_of_the_upstream);
	tcase_add_test(t, silence_is_told_as_often_as_asked);
	tcase_add_loop_test(
	    t, a_client_that_goes_away_is_noticed_at_once, 0, 2);
	tcase_add_test(t, a_client_that_only_stirs_is_looked_at_now_and_then);
	tcase_set_timeout(t, 120);
	return t;
}

static TCase *
own_cases(void)
{
	TCase *t = tcase_create("own servers");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, each_thing_is_told_of_before_the_next_comes);
	tcase_add_loop_test(t, nothing_is_tried_more_than_twice, 0, 2);
	tcase_add_test(
	    t, a_body_cut_by_a_dead_connection_is_sent_again_from_its_start);
	tcase_add_test(t, an_answer_that_nobody_asked_for_is_nobodys);
	tcase_add_test(t, a_refused_connection_is_tried_twice);
	tcase_add_test(t, a_connect_that_is_not_answered_ends);
	ADD_ROWS(t, odd_answers_have_an_end, texts);
	tcase_add_loop_test(t, a_head_without_end_is_refused, 0, 2);
	ADD_ROWS(t, few_fields_of_a_head_come_through, heads);
	tcase_set_timeout(t, 120);
	return t;
}

int
main(void)
{
	return suite_run("upstream", standin_cases(), own_cases(), NULL);
}
