/*
 * conn.c - connections: accept, read requests, send, close.
 */
#include <sys/epoll.h>
#include <sys/socket.h>

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conn.h"
#include "lib/log.h"

#define READ_SIZE (64 << 10)
#define DRAIN_US (5 * 1000000)
#define OUT_KEPT (64 << 10) /* a larger buffer is given back when empty */

static struct conn *closed;

static void conn_ready(struct watch *, uint32_t);
static void conn_timer(struct timer *);

static struct conn *
conn_new(int fd)
{
	struct buf head = BUF(HTTP_HEAD_MAX + READ_SIZE);
	struct buf body = BUF(HTTP_BODY_MAX), out = BUF(HTTP_BODY_MAX);
	struct conn *c = calloc(1, sizeof(*c));
	static uint64_t number;

	if (c == NULL)
		return NULL;
	c->watch = (struct watch){ fd, conn_ready };
	c->timer.fire = conn_timer;
	c->number = ++number;
	c->head = head;
	c->body = body;
	c->out = out;
	return c;
}

void
conn_accept(struct watch *listener, uint32_t events)
{
	struct conn *c;
	int fd;

	(void)events;
	for (;;) {
		fd = accept4(
		    listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd == -1 && (errno == EINTR || errno == ECONNABORTED))
			continue;
		if (fd == -1) {
			if (errno != EAGAIN)
				log_warn("accept");
			return;
		}
		c = conn_new(fd);
		if (c == NULL ||
		    loop_watch(&c->watch, EPOLLIN | EPOLLOUT | EPOLLRDHUP) ==
			-1) {
			log_warn("new connection");
			(void)close(fd);
			free(c);
			continue;
		}
		report_connection(1);
	}
}

void
conn_add(struct conn *c, const void *p, size_t n)
{
	if (buf_add(&c->out, p, n) == -1)
		log_fatalx("out of memory");
}

int
conn_flush(struct conn *c)
{
	ssize_t n;

	while (c->out_at < c->out.len) {
		n = send(c->watch.fd, c->out.data + c->out_at,
		    c->out.len - c->out_at, MSG_NOSIGNAL);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && errno == EAGAIN) {
			c->blocked = 1;
			return 1;
		}
		if (n == -1) {
			conn_close(c);
			return -1;
		}
		c->out_at += (size_t)n;
	}
	if (c->out.cap > OUT_KEPT)
		buf_free(&c->out);
	else
		buf_reset(&c->out);
	c->out_at = 0;
	c->blocked = 0;
	return 0;
}

void
conn_close(struct conn *c)
{
	if (c->state == CONN_CLOSED)
		return;
	if (c->call.record != NULL)
		call_abort(c);
	c->state = CONN_CLOSED;
	timer_clear(&c->timer);
	(void)close(c->watch.fd);
	c->watch.fd = -1;
	c->next_closed = closed;
	closed = c;
	report_connection(0);
}

void
conn_reset(struct conn *c)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };

	if (setsockopt(c->watch.fd, SOL_SOCKET, SO_LINGER, &linger,
		sizeof(linger)) == -1)
		log_warn("SO_LINGER");
	conn_close(c);
}

void
conn_drain(struct conn *c)
{
	(void)shutdown(c->watch.fd, SHUT_WR); /* the client may be gone */
	c->state = CONN_DRAIN;
	timer_set(&c->timer, loop_now() + DRAIN_US);
}

void
conn_free_closed(void)
{
	struct conn *c;

	while ((c = closed) != NULL) {
		closed = c->next_closed;
		buf_free(&c->head);
		buf_free(&c->body);
		buf_free(&c->out);
		free(c);
	}
}

void
conn_next(struct conn *c)
{
	c->state = CONN_HEAD;
	if (c->body.cap > READ_SIZE)
		buf_free(&c->body);
	else
		buf_reset(&c->body);
}

/* Takes the first 'n' bytes off 'head': what is left came too early. */
static void
head_shift(struct conn *c, size_t n)
{
	memmove(c->head.data, c->head.data + n, c->head.len - n);
	c->head.len -= n;
	c->head.data[c->head.len] = '\0';
}

/* 1 when a head was taken, 0 when more must come or it was refused. */
static int
take_head(struct conn *c)
{
	struct http_head head;
	struct view whole = { c->head.data,
		http_head_size(c->head.data, c->head.len) };

	if (whole.n == 0 && c->head.len <= HTTP_HEAD_MAX)
		return 0;
	c->requests++;
	if (whole.n == 0 || http_head_parse(&head, whole.p, whole.n) == -1) {
		memset(&head, 0, sizeof(head));
		whole.n = c->head.len;
		if (call_begin(&c->call, c, whole, &head) == -1)
			log_fatalx("out of memory");
		call_refuse(c, 400, "malformed request");
		return 0;
	}
	if (call_begin(&c->call, c, whole, &head) == -1)
		log_fatalx("out of memory");
	http_body_init(&c->transfer, &head);
	head_shift(c, whole.n);
	c->state = CONN_BODY;
	if (head.length > HTTP_BODY_MAX) {
		call_refuse(c, 413, "body too large");
		return 0;
	}
	if (head.expect && !c->transfer.complete && c->head.len == 0 &&
	    !call_wants_early(&c->call, (struct view){ "", 0 })) {
		conn_add(c, "HTTP/1.1 100 Continue\r\n\r\n", 25);
		return conn_flush(c) == -1 ? 0 : 1;
	}
	return 1;
}

/* Takes what there is of the body; may answer. Returns bytes taken. */
static size_t
take_body(struct conn *c, const char *p, size_t n)
{
	ssize_t took = http_body_feed(&c->transfer, p, n, &c->body);
	struct view body = { c->body.data, c->body.len };

	if (took == -1) {
		call_refuse(c, 400, "malformed or too long body");
		return n;
	}
	if (c->transfer.complete)
		call_answer(c);
	else if (call_wants_early(&c->call, body))
		call_answer_early(c);
	return (size_t)took;
}

/* Goes on with what was read ahead; returns when more must be read. */
static void
conn_parse(struct conn *c)
{
	while (c->state == CONN_HEAD && c->head.len > 0) {
		if (c->die_on_reuse) {
			conn_reset(c);
			return;
		}
		if (!take_head(c))
			return;
		/* An empty body is complete without any byte. */
		head_shift(c, take_body(c, c->head.data, c->head.len));
	}
}

static void
conn_feed(struct conn *c, const char *p, size_t n)
{
	size_t took = 0;

	if (c->state == CONN_DRAIN)
		return;
	if (c->state == CONN_BODY)
		took = take_body(c, p, n);
	if (took == n || c->state == CONN_CLOSED || c->state == CONN_DRAIN)
		return;
	if (buf_add(&c->head, p + took, n - took) == -1)
		log_fatalx("out of memory");
	conn_parse(c);
}

static int
is_reading(const struct conn *c)
{
	return c->state == CONN_HEAD || c->state == CONN_BODY ||
	    c->state == CONN_DRAIN;
}

static void
conn_read(struct conn *c)
{
	static char piece[READ_SIZE];
	ssize_t n;

	conn_parse(c);
	while (is_reading(c)) {
		n = recv(c->watch.fd, piece, sizeof(piece), 0);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && errno == EAGAIN)
			return;
		if (n <= 0) {
			conn_close(c);
			return;
		}
		conn_feed(c, piece, (size_t)n);
	}
}

/* A client that is gone, or has closed its side, wants no answer. */
static void
conn_ready(struct watch *watch, uint32_t events)
{
	struct conn *c = (struct conn *)(void *)((char *)watch -
	    offsetof(struct conn, watch));

	if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
		conn_close(c);
		return;
	}
	if ((events & EPOLLOUT) != 0 && c->blocked && conn_flush(c) == 0 &&
	    c->state == CONN_ANSWER)
		send_run(c);
	if (is_reading(c))
		conn_read(c);
	if ((events & EPOLLRDHUP) != 0 && c->state == CONN_ANSWER)
		conn_close(c);
}

static void
conn_timer(struct timer *timer)
{
	struct conn *c = (struct conn *)(void *)((char *)timer -
	    offsetof(struct conn, timer));

	if (c->state == CONN_DRAIN) {
		conn_close(c);
		return;
	}
	call_timer(c);
	if (is_reading(c))
		conn_read(c);
}
