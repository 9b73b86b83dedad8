/*
 * sse-load - so many event streams at once through a gate, and how late each
 * event comes: the stand-in, on the same machine, writes into each when it
 * made it. One thread, one epoll. Prints one line of JSON.
 *
 * It talks to 127.0.0.0/8 alone, so that nobody loads what is not theirs.
 */
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/text.h"
#include "sse_stream.h"
#include "sse_tally.h"

#define BATCH 256
#define READ_BYTES 65536
#define SECOND INT64_C(1000000)
/* Beyond what it should take. */
#define PATIENCE_US (60 * SECOND)
/* From the first byte of the last stream to what counts. */
#define SETTLE_US (SECOND / 2)
#define EVENTS_MAX 100000

struct options {
	struct sockaddr_in to;
	int64_t streams, events, rate; /* streams, events of each, a second */
	int64_t opening; /* streams a second */
	int64_t seconds; /* with all of them, then we hang up; 0: to the end */
};

enum state {
	UNOPENED,
	CONNECTING,
	ANSWERING,
	CLOSED
};

struct stream {
	int fd;
	enum state state;
	int64_t asked_us;
	struct sse_stream in;
};

static struct {
	struct options options;
	struct stream *streams;
	struct buf request;
	int epoll;
	int64_t now_us, opened, answering, closed;
	int64_t from_us; /* what counts begins, all answer; 0 before that */
	int over; /* we hang up */
	int64_t bunched; /* events read together with one before them */
	int64_t failed, refused, events, lost, merged;
	struct sse_tally first_byte, delay;
} load = { .request = BUF(65536), .epoll = -1 };

static int64_t
clock_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail on Linux */
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* --- Options --------------------------------------------------------------- */

static void
usage(FILE *to)
{
	(void)fprintf(to,
	    "usage: sse-load [--streams N] [--events N] [--rate N] "
	    "[--opening N] [--seconds N]\n"
	    "                http://127.0.0.1:PORT\n"
	    "N streams of N events, N events and N new streams a second.\n"
	    "With --seconds streams go on until all have been there for so "
	    "long.\nThe key stands in API_KEY.\n");
}

static int64_t
number(const char *text, int64_t max)
{
	int64_t n;

	if (text_to_i64(text, 1, max, &n) == -1)
		errx(2, "not a number from 1 to %lld: '%s'", (long long)max,
		    text);
	return n;
}

static void
read_url(const char *url, struct sockaddr_in *to)
{
	static const char scheme[] = "http://";
	char host[INET_ADDRSTRLEN];
	const char *colon = strrchr(url, ':');
	size_t n;
	int64_t port;

	if (strncmp(url, scheme, strlen(scheme)) != 0)
		errx(2, "no http:// URL: '%s'", url);
	url += strlen(scheme);
	n = colon < url ? 0 : (size_t)(colon - url);
	if (n == 0 || n >= sizeof(host))
		errx(2, "no address and port: '%s'", url);
	memcpy(host, url, n);
	host[n] = '\0';
	*to = (struct sockaddr_in){ .sin_family = AF_INET };
	if (inet_pton(AF_INET, host, &to->sin_addr) != 1 ||
	    ntohl(to->sin_addr.s_addr) >> 24 != IN_LOOPBACKNET)
		errx(2, "only 127.0.0.0/8, not '%s'", host);
	port = number(colon + 1, 65535);
	to->sin_port = htons((uint16_t)port);
}

static void
read_options(struct options *o, int argc, char *argv[])
{
	static const struct option names[] = {
		{ "streams", required_argument, NULL, 's' },
		{ "events", required_argument, NULL, 'e' },
		{ "rate", required_argument, NULL, 'r' },
		{ "opening", required_argument, NULL, 'o' },
		{ "seconds", required_argument, NULL, 't' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1)
		if (option == 's')
			o->streams = number(optarg, 20000);
		else if (option == 'e')
			o->events = number(optarg, EVENTS_MAX);
		else if (option == 'r')
			o->rate = number(optarg, 10000);
		else if (option == 'o')
			o->opening = number(optarg, 1000000);
		else if (option == 't')
			o->seconds = number(optarg, 3600);
		else {
			usage(option == 'h' ? stdout : stderr);
			exit(option == 'h' ? 0 : 2);
		}
	if (optind != argc - 1) {
		usage(stderr);
		exit(2);
	}
	/* No more than could come: the stand-in makes the words first. */
	if (o->seconds > 0)
		o->events = o->rate *
		    (o->seconds + (PATIENCE_US + SETTLE_US) / SECOND +
			o->streams / o->opening + 1);
	read_url(argv[optind], &o->to);
}

static void
make_request(const struct options *o, struct buf *request)
{
	const char *key = getenv("API_KEY");
	struct buf body = BUF(4096);

	(void)buf_printf(&body,
	    "{\"model\":\"standin/stamp=1,rate=%lld,words=%lld\","
	    "\"stream\":true,"
	    "\"messages\":[{\"role\":\"user\",\"content\":\"a note\"}]}",
	    (long long)o->rate, (long long)o->events);
	(void)buf_printf(request,
	    "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
	    "Authorization: Bearer %s\r\nContent-Type: application/json\r\n"
	    "Content-Length: %zu\r\n\r\n%s",
	    key == NULL ? "none" : key, body.len, body.data);
	if (body.failed || request->failed)
		errx(1, "no room for the request");
	buf_free(&body);
}

/* --- Streams --------------------------------------------------------------- */

static void
stream_close(struct stream *s)
{
	struct sse_stream *in = &s->in;

	load.events += in->events;
	load.lost += in->lost;
	if (!load.over) {
		load.failed += in->status != 200 || !in->done || !in->ended;
		load.lost += load.options.events - in->next;
	}
	load.merged += in->merged;
	load.refused += in->status != 0 && in->status != 200;
	load.closed++;
	if (s->fd != -1)
		(void)close(s->fd);
	s->fd = -1;
	s->state = CLOSED;
}

static void
stream_open(struct stream *s)
{
	struct epoll_event event = { .events = EPOLLOUT, .data.ptr = s };
	const struct sockaddr_in *to = &load.options.to;

	load.opened++;
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd == -1 ||
	    (connect(s->fd, (const struct sockaddr *)to, sizeof(*to)) == -1 &&
		errno != EINPROGRESS) ||
	    epoll_ctl(load.epoll, EPOLL_CTL_ADD, s->fd, &event) == -1) {
		warn("connect");
		stream_close(s);
		return;
	}
	s->state = CONNECTING;
}

/* A new connection takes a short request at once. */
static void
stream_ask(struct stream *s)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = s };
	ssize_t n;

	s->asked_us = clock_us();
	n = send(s->fd, load.request.data, load.request.len, MSG_NOSIGNAL);
	if (n != (ssize_t)load.request.len ||
	    epoll_ctl(load.epoll, EPOLL_CTL_MOD, s->fd, &event) == -1) {
		warn("send");
		stream_close(s);
		return;
	}
	s->state = ANSWERING;
}

/* Only while all streams are there: fewer would look better. */
static void
stamp_read(void *whose, int64_t at_us)
{
	(void)whose;
	if (load.from_us != 0 && at_us >= load.from_us && load.closed == 0)
		sse_tally_add(&load.delay, load.now_us - at_us);
}

static void
first_byte(const struct stream *s)
{
	sse_tally_add(&load.first_byte, load.now_us - s->asked_us);
	if (++load.answering == load.options.streams)
		load.from_us =
		    load.now_us + (load.options.seconds > 0 ? SETTLE_US : 0);
}

static void
stream_read(struct stream *s)
{
	static char bytes[READ_BYTES];
	int64_t before = s->in.events;
	ssize_t n = recv(s->fd, bytes, sizeof(bytes), 0);

	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	load.now_us = clock_us();
	if (n > 0) {
		if (s->in.status == 0)
			first_byte(s);
		sse_stream_feed(&s->in, bytes, (size_t)n, stamp_read, s);
		if (s->in.events > before + 1)
			load.bunched += s->in.events - before - 1;
	}
	if (n <= 0 || s->in.ended || s->in.broken ||
	    (s->in.status != 0 && s->in.status != 200))
		stream_close(s);
}

/* --- All of them ------------------------------------------------------------ */

static void
open_due(int64_t begun_us)
{
	int64_t due =
	    1 + (clock_us() - begun_us) * load.options.opening / 1000000;

	while (load.opened < due && load.opened < load.options.streams)
		stream_open(&load.streams[load.opened]);
}

/* Whether there is more to wait for. */
static int
goes_on(int64_t end_us)
{
	int64_t seconds = load.options.seconds;

	load.now_us = clock_us();
	load.over = seconds > 0 && load.from_us != 0 &&
	    load.now_us >= load.from_us + seconds * SECOND;
	return !load.over && load.now_us < end_us &&
	    load.closed < load.options.streams;
}

static void
run(int64_t begun_us, int64_t end_us)
{
	struct epoll_event events[BATCH];
	struct stream *s;
	int i, n;

	while (goes_on(end_us)) {
		open_due(begun_us);
		n = epoll_wait(load.epoll, events, BATCH,
		    load.opened < load.options.streams ? 1 : 100);
		if (n == -1 && errno != EINTR)
			err(1, "epoll_wait");
		for (i = 0; i < n; i++) {
			s = events[i].data.ptr;
			if (s->state == CONNECTING)
				stream_ask(s);
			else if (s->state == ANSWERING)
				stream_read(s);
		}
	}
	for (i = 0; i < load.options.streams; i++)
		if (load.streams[i].state != CLOSED)
			stream_close(&load.streams[i]);
}

/* Events that should have come, all in all or in the time that counts. */
static int64_t
expected(void)
{
	const struct options *o = &load.options;

	return o->streams * (o->seconds > 0 ? o->rate * o->seconds : o->events);
}

static void
report(int64_t took_us)
{
	(void)printf("{\"streams\":%lld,\"expected\":%lld,\"events\":%lld,"
		     "\"lost\":%lld,\"merged\":%lld,\"bunched\":%lld,"
		     "\"failed\":%lld,\"refused\":%lld,\"seconds\":%.3f,",
	    (long long)load.options.streams, (long long)expected(),
	    (long long)load.events, (long long)load.lost,
	    (long long)load.merged, (long long)load.bunched,
	    (long long)load.failed, (long long)load.refused,
	    (double)took_us / 1e6);
	sse_tally_print(&load.first_byte, "first_byte_us", stdout);
	(void)printf(",");
	sse_tally_print(&load.delay, "delay_us", stdout);
	if (printf("}\n") < 0 || fflush(stdout) == EOF)
		err(1, "cannot print");
}

static void
raise_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) == -1)
		warn("cannot have more open files");
}

int
main(int argc, char *argv[])
{
	struct options *o = &load.options;
	int64_t begun_us, i;

	*o = (struct options){
		.streams = 1, .events = 100, .rate = 20, .opening = 2000
	};
	read_options(o, argc, argv);
	make_request(o, &load.request);
	raise_files();
	load.streams = calloc((size_t)o->streams, sizeof(*load.streams));
	load.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (load.streams == NULL || load.epoll == -1)
		err(1, "cannot begin");
	for (i = 0; i < o->streams; i++)
		load.streams[i].fd = -1;
	begun_us = clock_us();
	run(begun_us,
	    begun_us + PATIENCE_US + o->streams * SECOND / o->opening +
		(o->seconds > 0 ? o->seconds * SECOND
				: o->events * SECOND / o->rate));
	report(clock_us() - begun_us);
	i = load.failed + load.lost + load.merged;
	sse_tally_free(&load.first_byte);
	sse_tally_free(&load.delay);
	free(load.streams);
	buf_free(&load.request);
	(void)close(load.epoll);
	return i == 0 ? 0 : 1;
}
