/*
 * loop_exchange.h - exchanges on an upstream's loop, whose callbacks do as a
 * test says and count what is called.
 */
#ifndef PMPROXY_TESTS_LOOP_EXCHANGE_H
#define PMPROXY_TESTS_LOOP_EXCHANGE_H

#include <check.h>
#include <curl/curl.h>
#include <poll.h>
#include <pthread.h>
#include <time.h>

#include "lib/buf.h"
#include "lib/upstream.h"
#include "tests/unit/own_server.h"
#include "tests/unit/suite.h"

/* Where time is not the subject, however slow the machine. */
#define LONG_MS (SANITIZED ? 120000 : 30000)
#define HEAD_TEXT "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n\r\n"

static struct upstream_loop *loop;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t change = PTHREAD_COND_INITIALIZER;

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* One exchange: what its callbacks are to do, and what came of it. */
struct one {
	struct upstream_exchange x;
	struct buf body, unsent;
	char path[32];
	int client; /* where its body goes; -1: nowhere */
	int far; /* the client's own end of that */
	int stop_at_head, enough;
	int64_t every_ms;
	int heads, silences, stirs, after_end; /* calls */
	int holds;
	int64_t began_ms, end_ms;
	enum upstream_end end;
	int ended;
};

static int
on_head(void *arg, const struct upstream_head *head)
{
	struct one *o = arg;

	o->heads += head->status == 200;
	o->after_end += o->ended;
	return o->stop_at_head ? -1 : 0;
}

static int
on_body(void *arg, const char *p, size_t n)
{
	struct one *o = arg;
	int bad;

	pthread_mutex_lock(&lock);
	o->after_end += o->ended;
	bad = buf_add(&o->unsent, p, n) | buf_add(&o->body, p, n);
	pthread_cond_broadcast(&change);
	pthread_mutex_unlock(&lock);
	return bad;
}

/* A client gets what it takes without a wait. */
static int
on_pause(void *arg)
{
	struct one *o = arg;
	ssize_t n;

	o->after_end += o->ended;
	while (o->client >= 0 && o->unsent.len > 0) {
		n = send(o->client, o->unsent.data, o->unsent.len,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n <= 0) {
			pthread_mutex_lock(&lock);
			o->holds++;
			pthread_cond_broadcast(&change);
			pthread_mutex_unlock(&lock);
			return UPSTREAM_HOLD;
		}
		memmove(o->unsent.data, o->unsent.data + n,
		    o->unsent.len - (size_t)n);
		o->unsent.len -= (size_t)n;
	}
	return o->enough ? UPSTREAM_ENOUGH : 0;
}

static int
on_stir(void *arg)
{
	struct one *o = arg;
	struct pollfd p = { .fd = o->client, .events = POLLRDHUP };

	o->after_end += o->ended;
	o->stirs++;
	return poll(&p, 1, 0) == 1;
}

static int64_t
on_silence(void *arg, int64_t silent_ms)
{
	struct one *o = arg;

	o->after_end += o->ended;
	o->silences += silent_ms >= 0;
	return o->every_ms;
}

static void
on_end(void *arg, enum upstream_end end)
{
	struct one *o = arg;

	pthread_mutex_lock(&lock);
	o->end = end;
	o->ended++;
	o->end_ms = now_ms();
	pthread_cond_broadcast(&change);
	pthread_mutex_unlock(&lock);
}

static void
one_init(struct one *o, const char *path)
{
	static const char *const none[] = { NULL };

	*o = (struct one){ .body = BUF(64 << 20),
		.unsent = BUF(64 << 20),
		.client = -1,
		.far = -1,
		.every_ms = INT32_MAX };
	snprintf(o->path, sizeof(o->path), "%s", path);
	o->x = (struct upstream_exchange){ .method = "GET",
		.path = o->path,
		.fields = none,
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
		.arg = o };
}

/* With a client at the other end of a pair of sockets. */
static void
one_with_client(struct one *o, const char *path)
{
	int pair[2];

	one_init(o, path);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	o->client = o->x.watch_fd = pair[0];
	o->far = pair[1];
}

static void
start(struct one *o)
{
	struct upstream_flow *f = upstream_flow_new(loop, &o->x, on_end);

	ck_assert_ptr_nonnull(f);
	o->began_ms = now_ms();
	upstream_flow_start(f);
}

static void
await_end(struct one *o)
{
	pthread_mutex_lock(&lock);
	while (!o->ended)
		pthread_cond_wait(&change, &lock);
	pthread_mutex_unlock(&lock);
}

/* Until its client took nothing. */
static void
await_hold(struct one *o)
{
	pthread_mutex_lock(&lock);
	while (o->holds == 0)
		pthread_cond_wait(&change, &lock);
	pthread_mutex_unlock(&lock);
}

static enum upstream_end
run(struct one *o)
{
	start(o);
	await_end(o);
	return o->end;
}

/* Nothing is called after on_end, which is called once. */
static void
one_free(struct one *o)
{
	ck_assert_int_eq(o->ended, 1);
	ck_assert_int_eq(o->after_end, 0);
	buf_free(&o->body);
	buf_free(&o->unsent);
	if (o->client >= 0)
		close(o->client);
	if (o->far >= 0)
		close(o->far);
}

static void
setup(void)
{
	catch_log();
	ck_assert_int_eq(curl_global_init(CURL_GLOBAL_DEFAULT), 0);
}

static void
teardown(void)
{
	upstream_loop_free(loop);
	curl_global_cleanup();
}

static void
begin(void (*connection)(int, int, const void *), const void *arg)
{
	own_server(connection, arg, 1);
	loop = upstream_loop_new(url, NULL);
	ck_assert_ptr_nonnull(loop);
}

/* --- Servers. --- */

static void
say_text(int fd, const char *text)
{
	say(fd, text, strlen(text));
}

/* Waits for its end, which an upstream does that keeps connections. */
static void
linger(int fd)
{
	char bin[512];

	while (read(fd, bin, sizeof(bin)) > 0)
		continue;
}

#endif
