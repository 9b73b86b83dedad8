/* lib/upstream's loop: many exchanges on one thread, none of which may wait. */
#include <fcntl.h>

#include "tests/unit/loop_exchange.h"

/* Until so many bytes of its answer came. */
static void
await_body(struct one *o, size_t n)
{
	pthread_mutex_lock(&lock);
	while (o->body.len < n)
		pthread_cond_wait(&change, &lock);
	pthread_mutex_unlock(&lock);
}

/* 1 while it goes on, with less than so much of its answer. */
static int
is_short_of(struct one *o, size_t n)
{
	int yes;

	pthread_mutex_lock(&lock);
	yes = !o->ended && o->body.len < n;
	pthread_mutex_unlock(&lock);
	return yes;
}

/* --- Servers. --- */

static void
say_chunk(int fd, const char *p, size_t n)
{
	char head[20];

	snprintf(head, sizeof(head), "%zx\r\n", n);
	say_text(fd, head);
	say(fd, p, n);
	say_text(fd, "\r\n");
}

/* Says what 'arg' says, and keeps the connection. */
static void
say_this(int fd, int number, const void *arg)
{
	(void)number;
	if (read_request(fd))
		say_text(fd, arg);
	linger(fd);
}

/* The same, and closes it. */
static void
say_this_and_close(int fd, int number, const void *arg)
{
	(void)number;
	if (read_request(fd))
		say_text(fd, arg);
}

/* Each is told its own path, in two pieces, once all of them have asked. */
#define MANY 40
static void
say_path(int fd, int number, const void *arg)
{
	char text[512] = "", *end;

	(void)number;
	(void)arg;
	if (read(fd, text, sizeof(text) - 1) <= 0)
		return;
	(void)__atomic_add_fetch(&seen->requests, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&seen->requests, __ATOMIC_SEQ_CST) < MANY)
		usleep(1000);
	end = strchr(text + 5, ' ');
	say_text(fd, HEAD_TEXT CHUNKED);
	say_chunk(fd, "of ", 3);
	say_chunk(fd, text + 4, (size_t)(end - text - 4));
	say_text(fd, "0\r\n\r\n");
	linger(fd);
	(void)__atomic_add_fetch(&seen->said, 1, __ATOMIC_SEQ_CST);
}

START_TEST(each_of_many_gets_its_own_answer)
{
	static struct one all[MANY];
	char path[32], body[40];

	begin(say_path, NULL);
	for (int i = 0; i < MANY; i++) {
		snprintf(path, sizeof(path), "/v1/%d", i);
		one_init(&all[i], path);
		start(&all[i]);
	}
	for (int i = 0; i < MANY; i++) {
		await_end(&all[i]);
		ck_assert_int_eq(all[i].end, UPSTREAM_DONE);
		ck_assert_int_eq(all[i].heads, 1);
		snprintf(body, sizeof(body), "of /v1/%d", i);
		ck_assert_str_eq(all[i].body.data, body);
		one_free(&all[i]);
	}
	/* Each had a connection, which nobody has after it. */
	ck_assert_int_eq(seen->connections, MANY);
	while (__atomic_load_n(&seen->said, __ATOMIC_SEQ_CST) < MANY)
		usleep(1000);
}
END_TEST

/* --- Clients. --- */

#define LARGE (8 << 20)

/* Byte by byte it follows from where it stands. */
static char
byte_at(size_t i)
{
	return (char)('a' + i % 23);
}

/* More than sockets hold; how far it came stands in seen->said. */
static void
say_much(int fd, int number, const void *arg)
{
	char part[4096];

	(void)number;
	(void)arg;
	if (!read_request(fd))
		return;
	say_text(fd, HEAD_TEXT CHUNKED);
	for (size_t at = 0; at < LARGE; at += sizeof(part)) {
		for (size_t i = 0; i < sizeof(part); i++)
			part[i] = byte_at(at + i);
		say_chunk(fd, part, sizeof(part));
		seen->said = (int)(at + sizeof(part));
	}
	say_text(fd, "0\r\n\r\n");
	linger(fd);
}

static size_t
read_all(int fd, size_t want)
{
	static char part[1 << 16];
	size_t at = 0;
	ssize_t n;

	while (at < want && (n = read(fd, part, sizeof(part))) > 0)
		for (ssize_t i = 0; i < n; i++, at++)
			if (part[i] != byte_at(at))
				return 0;
	return at;
}

/* A slow client makes nobody wait, holds the upstream up, and loses nothing. */
START_TEST(a_client_that_takes_nothing_is_waited_for)
{
	struct one slow, quick;

	begin(say_much, NULL);
	one_with_client(&slow, "/slow");
	start(&slow);
	await_hold(&slow);
	one_init(&quick, "/quick");
	ck_assert_int_eq(run(&quick), UPSTREAM_DONE);
	ck_assert_uint_eq(quick.body.len, LARGE);
	one_free(&quick);
	/* What the quick one got the slow one has not even been sent. */
	ck_assert(is_short_of(&slow, LARGE));
	ck_assert_uint_eq(read_all(slow.far, LARGE), LARGE);
	await_end(&slow);
	ck_assert_int_eq(slow.end, UPSTREAM_DONE);
	one_free(&slow);
}
END_TEST

START_TEST(a_client_that_never_takes_any_is_given_up)
{
	struct one o;

	begin(say_much, NULL);
	one_with_client(&o, "/");
	o.x.idle_ms = 300;
	ck_assert_int_eq(run(&o), UPSTREAM_STOPPED);
	ck_assert_int_ge(o.holds, 1);
	ck_assert_int_ge(o.end_ms - o.began_ms, 300);
	one_free(&o);
}
END_TEST

/* The end that matters is the client's: it has the rest first. */
START_TEST(an_answer_is_over_once_its_client_has_it)
{
	static char text[400000];
	size_t head;
	struct one o;

	head = (size_t)snprintf(
	    text, sizeof(text), HEAD_TEXT "Content-Length: 300000\r\n\r\n");
	for (size_t i = 0; i < 300000; i++)
		text[head + i] = byte_at(i);
	begin(_i == 0 ? say_this : say_this_and_close, text);
	one_with_client(&o, "/");
	start(&o);
	await_body(&o, 300000);
	usleep(20000); /* to see nothing happen */
	ck_assert(is_short_of(&o, 300001));
	ck_assert_uint_eq(read_all(o.far, 300000), 300000);
	await_end(&o);
	ck_assert_int_eq(o.end, UPSTREAM_DONE);
	one_free(&o);
}
END_TEST

START_TEST(a_client_that_goes_away_ends_it)
{
	struct one o, other;

	begin(say_this, _i == 0 ? "" : HEAD_TEXT CHUNKED "5\r\nfirst\r\n");
	one_with_client(&other, "/other");
	start(&other);
	one_with_client(&o, "/");
	start(&o);
	while (__atomic_load_n(&seen->requests, __ATOMIC_SEQ_CST) < 2)
		usleep(1000);
	await_body(&o, _i == 0 ? 0 : 5);
	close(o.far);
	o.far = -1;
	await_end(&o);
	ck_assert_int_eq(o.end, UPSTREAM_STOPPED);
	ck_assert(is_short_of(&other, 6));
	one_free(&o);
	close(other.far);
	other.far = -1;
	await_end(&other);
	one_free(&other);
}
END_TEST

/* Bytes that end nothing are no reason to look again and again. */
START_TEST(a_client_that_only_stirs_is_looked_at_once)
{
	struct one o;

	begin(say_this, "");
	one_with_client(&o, "/");
	o.x.first_byte_ms = 400;
	ck_assert_int_eq(write(o.far, "x", 1), 1);
	ck_assert_int_eq(run(&o), UPSTREAM_TIMEOUT);
	ck_assert_int_eq(o.stirs, 1);
	one_free(&o);
}
END_TEST

/* Nobody would notice when it leaves. */
START_TEST(a_client_that_cannot_be_watched_is_told_so)
{
	struct one o;

	begin(say_this, "");
	one_init(&o, "/");
	o.x.watch_fd = open("/dev/null", O_RDONLY); /* epoll takes no file */
	ck_assert_int_ne(o.x.watch_fd, -1);
	ck_assert_int_eq(run(&o), UPSTREAM_UNREACHABLE);
	ck_assert_int_eq(close(o.x.watch_fd), 0);
	one_free(&o);
}
END_TEST

/* --- Ends. --- */

START_TEST(enough_is_an_end)
{
	struct one o;

	begin(say_this, HEAD_TEXT CHUNKED "5\r\nfirst\r\n");
	one_init(&o, "/");
	o.enough = 1;
	ck_assert_int_eq(run(&o), UPSTREAM_DONE);
	ck_assert_str_eq(o.body.data, "first");
	one_free(&o);
}
END_TEST

START_TEST(a_callback_can_stop_it)
{
	struct one o;

	begin(say_this, HEAD_TEXT CHUNKED "5\r\nfirst\r\n");
	one_init(&o, "/");
	o.stop_at_head = 1;
	ck_assert_int_eq(run(&o), UPSTREAM_STOPPED);
	ck_assert_uint_eq(o.body.len, 0);
	one_free(&o);
}
END_TEST

static const struct {
	const char *text;
	int64_t first_byte_ms, idle_ms, total_ms;
	enum upstream_end end;
} clocks[] = {
	{ "", 200, LONG_MS, LONG_MS, UPSTREAM_TIMEOUT },
	{ HEAD_TEXT CHUNKED "1\r\na\r\n", LONG_MS, 200, LONG_MS,
	    UPSTREAM_BROKEN },
	{ HEAD_TEXT CHUNKED "1\r\na\r\n", LONG_MS, LONG_MS, 200,
	    UPSTREAM_BROKEN },
};

START_TEST(silence_ends_it)
{
	struct one o;

	begin(say_this, clocks[_i].text);
	one_init(&o, "/");
	o.x.first_byte_ms = clocks[_i].first_byte_ms;
	o.x.idle_ms = clocks[_i].idle_ms;
	o.x.total_ms = clocks[_i].total_ms;
	ck_assert_int_eq(run(&o), clocks[_i].end);
	ck_assert_int_ge(o.end_ms - o.began_ms, 200);
	ck_assert_int_lt(o.end_ms - o.began_ms, LONG_MS);
	one_free(&o);
}
END_TEST

START_TEST(silence_is_told_as_often_as_asked)
{
	struct one o;

	begin(say_this, HEAD_TEXT CHUNKED "1\r\na\r\n");
	one_init(&o, "/");
	o.every_ms = _i == 0 ? 1 : LONG_MS;
	o.x.idle_ms = 1000;
	ck_assert_int_eq(run(&o), UPSTREAM_BROKEN);
	/* A loop looks at clocks ten times a second. */
	if (_i == 0)
		ck_assert_int_ge(o.silences, 3);
	else
		ck_assert_int_le(o.silences, 1);
	one_free(&o);
}
END_TEST

static const struct {
	const char *text;
	enum upstream_end end;
} endings[] = {
	{ "", UPSTREAM_UNREACHABLE },
	{ "HTTP/1.1 200 OK\r\nContent-Le", UPSTREAM_UNREACHABLE },
	{ "nonsense\r\n\r\n", UPSTREAM_UNREACHABLE },
	{ HEAD_TEXT CHUNKED, UPSTREAM_BROKEN },
	{ HEAD_TEXT CHUNKED "5\r\nfir", UPSTREAM_BROKEN },
	{ HEAD_TEXT "Content-Length: 9\r\n\r\nfirst", UPSTREAM_BROKEN },
	{ HEAD_TEXT "Content-Length: 5\r\n\r\nfirst", UPSTREAM_DONE },
	{ HEAD_TEXT "\r\nfirst", UPSTREAM_DONE },
};

START_TEST(ends_have_the_names_that_they_have_elsewhere)
{
	struct upstream *u;
	struct one here, there;

	begin(say_this_and_close, endings[_i].text);
	one_init(&here, "/");
	ck_assert_int_eq(run(&here), endings[_i].end);
	u = upstream_new(url);
	ck_assert_ptr_nonnull(u);
	one_init(&there, "/");
	ck_assert_int_eq(upstream_run(u, &there.x), endings[_i].end);
	ck_assert_str_eq(here.body.data, there.body.data);
	there.ended = 1;
	upstream_free(u);
	one_free(&here);
	one_free(&there);
}
END_TEST

START_TEST(a_refused_connection_is_tried_twice)
{
	int listener = listen_somewhere(-1), lines = 0;
	struct one o;

	close(listener);
	loop = upstream_loop_new(url, NULL);
	ck_assert_ptr_nonnull(loop);
	one_init(&o, "/");
	ck_assert_int_eq(run(&o), UPSTREAM_UNREACHABLE);
	for (const char *p = logged(); (p = strchr(p, '\n')) != NULL; p++)
		lines++;
	ck_assert_int_eq(lines, 2);
	one_free(&o);
}
END_TEST

/* Whoever frees it need not know what is under way. */
START_TEST(freeing_waits_for_what_is_under_way)
{
	struct one o;

	begin(say_this, "");
	one_init(&o, "/");
	o.x.first_byte_ms = 300;
	start(&o);
	upstream_loop_free(loop);
	loop = NULL;
	ck_assert_int_eq(o.end, UPSTREAM_TIMEOUT);
	one_free(&o);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("loop");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, each_of_many_gets_its_own_answer);
	tcase_add_test(t, a_client_that_takes_nothing_is_waited_for);
	tcase_add_test(t, a_client_that_never_takes_any_is_given_up);
	tcase_add_loop_test(t, an_answer_is_over_once_its_client_has_it, 0, 2);
	tcase_add_loop_test(t, a_client_that_goes_away_ends_it, 0, 2);
	tcase_add_test(t, a_client_that_only_stirs_is_looked_at_once);
	tcase_add_test(t, a_client_that_cannot_be_watched_is_told_so);
	tcase_add_test(t, enough_is_an_end);
	tcase_add_test(t, a_callback_can_stop_it);
	ADD_ROWS(t, silence_ends_it, clocks);
	tcase_add_loop_test(t, silence_is_told_as_often_as_asked, 0, 2);
	ADD_ROWS(t, ends_have_the_names_that_they_have_elsewhere, endings);
	tcase_add_test(t, a_refused_connection_is_tried_twice);
	tcase_add_test(t, freeing_waits_for_what_is_under_way);
	tcase_set_timeout(t, 120);
	return suite_run("upstream_loop", t, NULL);
}
