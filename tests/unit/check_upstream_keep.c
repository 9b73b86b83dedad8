/* lib/upstream's loop: connections that are kept, and what else it waits for. */
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "tests/unit/loop_exchange.h"

#define SHORT "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"

/* Answers request after request with its connection's number. */
static void
say_number(int fd, int number, const void *arg)
{
	char text[128];

	(void)arg;
	snprintf(text, sizeof(text), SHORT "nr %02d", number);
	while (read_request(fd))
		say_text(fd, text);
}

static struct one *
keeper(struct one *o)
{
	one_init(o, "/");
	o->x.keep = 1;
	return o;
}

/* Runs one to its end; its answer is to be that of this connection. */
static void
expect(int keep, const char *answer)
{
	struct one o;

	keeper(&o)->x.keep = keep;
	ck_assert_int_eq(run(&o), UPSTREAM_DONE);
	ck_assert_str_eq(o.body.data, answer);
	one_free(&o);
}

START_TEST(one_after_another_shares_a_connection)
{
	begin(say_number, NULL);
	for (int i = 0; i < 5; i++)
		expect(1, "nr 01");
	ck_assert_int_eq(seen->connections, 1);
	ck_assert_int_eq(seen->requests, 5);
}
END_TEST

START_TEST(one_that_keeps_none_neither_takes_nor_leaves_any)
{
	begin(say_number, NULL);
	expect(1, "nr 01");
	expect(0, "nr 02");
	expect(1, "nr 01");
	expect(0, "nr 03");
}
END_TEST

/* Says its number once two have asked. */
static void
say_number_to_two(int fd, int number, const void *arg)
{
	char text[128];

	(void)arg;
	snprintf(text, sizeof(text), SHORT "nr %02d", number);
	while (read_request(fd)) {
		while (__atomic_load_n(&seen->requests, __ATOMIC_SEQ_CST) < 2)
			usleep(1000);
		say_text(fd, text);
	}
}

START_TEST(those_at_once_have_one_each)
{
	struct one a, b;

	begin(say_number_to_two, NULL);
	start(keeper(&a));
	start(keeper(&b));
	await_end(&a);
	await_end(&b);
	ck_assert_int_eq(seen->connections, 2);
	ck_assert_str_ne(a.body.data, b.body.data);
	one_free(&a);
	one_free(&b);
	for (int i = 0; i < 4; i++) {
		keeper(&a);
		ck_assert_int_eq(run(&a), UPSTREAM_DONE);
		one_free(&a);
	}
	ck_assert_int_eq(seen->connections, 2);
}
END_TEST

/* Closes after each answer, when told so; the connection looks kept. */
static void
say_number_once(int fd, int number, const void *arg)
{
	char text[128];

	(void)arg;
	snprintf(text, sizeof(text), SHORT "nr %02d", number);
	if (read_request(fd))
		say_text(fd, text);
	close(fd);
	seen->said = number;
}

static void
await_said(int number)
{
	while (seen->said < number)
		usleep(1000);
}

START_TEST(one_that_was_closed_is_replaced)
{
	begin(say_number_once, NULL);
	expect(1, "nr 01");
	await_said(1);
	expect(1, "nr 02");
	await_said(2);
	expect(1, "nr 03");
	ck_assert_int_eq(seen->requests, 3);
}
END_TEST

/* A second answer, which nobody asked for, on the first connection. */
static void
say_one_too_many(int fd, int number, const void *arg)
{
	(void)arg;
	while (read_request(fd)) {
		if (number > 1) {
			say_text(fd, SHORT "right");
			continue;
		}
		say_text(fd, SHORT "first");
		usleep(20000);
		say_text(fd, SHORT "wrong");
		seen->said = 1;
	}
}

/* It would be somebody else's. */
START_TEST(what_came_unasked_is_nobodys_answer)
{
	begin(say_one_too_many, NULL);
	expect(1, "first");
	await_said(1);
	for (int i = 0; i < 3; i++)
		expect(1, "right");
	ck_assert_int_eq(seen->connections, 2);
}
END_TEST

/* Silent with whoever sends nothing, so that it has to be broken off. */
static void
say_half(int fd, int number, const void *arg)
{
	(void)arg;
	while (read_request(fd))
		say_text(fd, number == 1 ? SHORT "ha" : SHORT "whole");
}

START_TEST(one_that_was_broken_off_is_not_kept)
{
	struct one o;

	begin(say_half, NULL);
	keeper(&o)->x.idle_ms = 300;
	ck_assert_int_eq(run(&o), UPSTREAM_BROKEN);
	one_free(&o);
	expect(1, "whole");
	ck_assert_int_eq(seen->connections, 2);
}
END_TEST

/* 16 MiB at once. */
static void
say_a_lot(int fd, int number, const void *arg)
{
	static char some[1 << 20];

	(void)number;
	(void)arg;
	if (!read_request(fd))
		return;
	say_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 16777216\r\n\r\n");
	for (int i = 0; i < 16; i++)
		say(fd, some, sizeof(some));
	linger(fd);
}

/* In between it may be given what libcurl has read, and no more. */
START_TEST(who_takes_nothing_is_given_little)
{
	struct one o;
	size_t n;

	begin(say_a_lot, NULL);
	one_with_client(&o, "/");
	o.x.keep = _i;
	start(&o);
	await_hold(&o);
	usleep(300000); /* for more, if it were to come */
	pthread_mutex_lock(&lock);
	n = o.unsent.len;
	pthread_mutex_unlock(&lock);
	ck_assert_uint_le(n, 900 << 10);
	ck_assert_int_eq(shutdown(o.far, SHUT_RDWR), 0);
	await_end(&o);
	one_free(&o);
}
END_TEST

/* More than are kept: the handles of the others go with their exchanges. */
#define SWARM 300

/* Answers once all of them have asked. */
static void
say_number_to_all(int fd, int number, const void *arg)
{
	(void)arg;
	while (read_request(fd)) {
		while (
		    __atomic_load_n(&seen->requests, __ATOMIC_SEQ_CST) < SWARM)
			usleep(10000);
		say_text(fd, number > 0 ? SHORT "whole" : SHORT "never");
	}
}

START_TEST(a_swarm_leaves_no_more_than_are_kept)
{
	static struct one o[SWARM];

	begin(say_number_to_all, NULL);
	for (int i = 0; i < SWARM; i++)
		start(keeper(&o[i]));
	for (int i = 0; i < SWARM; i++) {
		await_end(&o[i]);
		ck_assert_int_eq(o[i].end, UPSTREAM_DONE);
		one_free(&o[i]);
	}
	ck_assert_int_eq(seen->connections, SWARM);
	expect(1, "whole");
	ck_assert_int_eq(seen->connections, SWARM);
}
END_TEST

#define LEAVING 150
START_TEST(those_whose_clients_left_before_they_began_end)
{
	static struct one o[LEAVING];

	begin(say_number, NULL);
	for (int i = 0; i < LEAVING; i++) {
		one_with_client(&o[i], "/");
		o[i].x.keep = 1;
		close(o[i].far);
		o[i].far = -1;
	}
	for (int i = 0; i < LEAVING; i++)
		start(&o[i]);
	for (int i = 0; i < LEAVING; i++) {
		await_end(&o[i]);
		one_free(&o[i]);
	}
	for (int i = 0; i < 3; i++) {
		struct one next;

		keeper(&next);
		ck_assert_int_eq(run(&next), UPSTREAM_DONE);
		one_free(&next);
	}
}
END_TEST

/* --- What else stirs. --- */

static struct {
	struct upstream_watched w;
	struct one *o; /* to be begun */
	int fd, calls, turns;
	pthread_t thread;
} other;

static void
on_ready(struct upstream_watched *w, uint32_t events)
{
	uint64_t count;

	ck_assert_ptr_eq(w, &other.w);
	ck_assert_uint_eq(events, EPOLLIN);
	ck_assert_int_eq(read(other.fd, &count, sizeof(count)), sizeof(count));
	pthread_mutex_lock(&lock);
	other.thread = pthread_self();
	other.calls++;
	pthread_cond_broadcast(&change);
	pthread_mutex_unlock(&lock);
	if (other.o != NULL)
		start(other.o);
}

static void
after_turn(void)
{
	pthread_mutex_lock(&lock);
	other.turns++;
	pthread_cond_broadcast(&change);
	pthread_mutex_unlock(&lock);
}

static void
stir_other(void)
{
	const uint64_t one = 1;

	ck_assert_int_eq(write(other.fd, &one, sizeof(one)), sizeof(one));
}

static void
await_count(const int *what, int n)
{
	pthread_mutex_lock(&lock);
	while (*what < n)
		pthread_cond_wait(&change, &lock);
	pthread_mutex_unlock(&lock);
}

static void
begin_with_other(void)
{
	own_server(say_number, NULL, 1);
	loop = upstream_loop_new(url, after_turn);
	ck_assert_ptr_nonnull(loop);
	other.w.ready = on_ready;
	other.fd = eventfd(0, EFD_CLOEXEC);
	ck_assert_int_ne(other.fd, -1);
	ck_assert_int_eq(
	    upstream_loop_watch(loop, other.fd, EPOLLIN, &other.w), 0);
}

START_TEST(an_exchange_can_begin_on_the_loops_thread)
{
	struct one o;

	begin_with_other();
	other.o = keeper(&o);
	stir_other();
	await_end(&o);
	ck_assert_int_eq(o.end, UPSTREAM_DONE);
	ck_assert_int_eq(pthread_equal(other.thread, pthread_self()), 0);
	one_free(&o);
	close(other.fd);
}
END_TEST

START_TEST(what_is_watched_no_more_is_not_told)
{
	begin_with_other();
	stir_other();
	await_count(&other.calls, 1);
	await_count(&other.turns, 1);
	ck_assert_int_eq(upstream_loop_unwatch(loop, other.fd), 0);
	stir_other();
	expect(1, "nr 01"); /* several turns */
	ck_assert_int_eq(other.calls, 1);
	ck_assert_int_ge(other.turns, 2);
	ck_assert_int_eq(upstream_loop_unwatch(loop, other.fd), -1);
	close(other.fd);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("keep");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, one_after_another_shares_a_connection);
	tcase_add_test(t, one_that_keeps_none_neither_takes_nor_leaves_any);
	tcase_add_test(t, those_at_once_have_one_each);
	tcase_add_test(t, one_that_was_closed_is_replaced);
	tcase_add_test(t, what_came_unasked_is_nobodys_answer);
	tcase_add_test(t, one_that_was_broken_off_is_not_kept);
	tcase_add_loop_test(t, who_takes_nothing_is_given_little, 0, 2);
	tcase_add_test(t, a_swarm_leaves_no_more_than_are_kept);
	tcase_add_test(t, those_whose_clients_left_before_they_began_end);
	tcase_add_test(t, an_exchange_can_begin_on_the_loops_thread);
	tcase_add_test(t, what_is_watched_no_more_is_not_told);
	tcase_set_timeout(t, 120);
	return suite_run("upstream_keep", t, NULL);
}
