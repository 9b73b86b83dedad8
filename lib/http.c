/* One request over libfcgi (or memory): its body, and what goes back. */
#include "http.h"

#include <assert.h>
#include <errno.h>
#include <fastcgi.h>
#include <fcgiapp.h>
#include <inttypes.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "http_internal.h"
#include "log.h"
#include "pages.h"
#include "text.h"

#define HEAD_USUAL 1024
#define EARLY_HEAD_MAX 262144
#define FIELD_MAX 2048 /* of a value, with its NUL */
/*
 * Seconds of silence within a body. lighttpd has a body whole before it sends
 * any of one that it asked about; the other servers pass on what clients send.
 */
#define WHOLE_SILENCE 10
#define BODY_SILENCE 60
/* From here on a body takes several huge pages. */
#define BODY_LARGE (4 << 20)

/* As read(2): 0 at the end. */
static size_t
read_some(struct http *h, char *to, size_t n)
{
	ssize_t some;
	int got;

	if (h->cgi) {
		while (
		    (some = read(STDIN_FILENO, to, n)) == -1 && errno == EINTR)
			continue;
		return some > 0 ? (size_t)some : 0;
	}
	if (h->fcgx == NULL) {
		n = n < h->memory_left ? n : h->memory_left;
		memcpy(to, h->memory_body, n);
		h->memory_body += n;
		h->memory_left -= n;
		return n;
	}
	got = FCGX_GetStr(to, n > 1 << 20 ? 1 << 20 : (int)n, h->fcgx->in);
	return got > 0 ? (size_t)got : 0;
}

/* Over HTTP/2 lighttpd may lose the beginning of a body (docs/servers.md). */
static void
bound_reads(struct http *h)
{
	struct timeval silence = { .tv_sec = BODY_SILENCE };

	if (h->fcgx == NULL || h->read_bound)
		return;
	h->read_bound = 1;
	if (http_was_asked(h))
		silence.tv_sec = WHOLE_SILENCE;
	if (setsockopt(h->fcgx->ipcFd, SOL_SOCKET, SO_RCVTIMEO, &silence,
		sizeof(silence)) == -1)
		log_warn("cannot bound the time of a read");
}

static enum http_body
broken_off(struct http *h, size_t missing)
{
	int error = h->fcgx != NULL ? FCGX_GetError(h->fcgx->in) : 0;

	h->body_read = 1;
	if (error != EAGAIN && error != EWOULDBLOCK)
		return HTTP_BODY_SHORT;
	log_warnx("the web server holds back %zu bytes of a body", missing);
	return HTTP_BODY_LATE;
}

enum http_body
http_body(struct http *h, struct buf *body)
{
	const char *length = http_field(h, HTTP_CONTENT_LENGTH);
	int64_t announced = http_body_announced(h);
	size_t n, got, early = 0;
	char *to = NULL;

	/* Caddy loses a chunked body in silence: nothing announced, refuse. */
	if (length == NULL || *length == '\0' || announced == -1)
		return HTTP_BODY_NO_LENGTH;
	if ((uint64_t)announced > body->max)
		return HTTP_BODY_TOO_LARGE;
	n = (size_t)announced;
	if (n > 0 && (to = buf_room(body, n)) == NULL)
		return HTTP_BODY_MEMORY;
	if (n >= BODY_LARGE)
		(void)pages_gather(to, n); /* without it is as good */
	if (n > 0) {
		bound_reads(h);
		early = http_early_part(h, to, n);
		buf_grown(body, early);
		to += early;
	}
	while (body->len < n) {
		if ((got = read_some(h, to, n - body->len)) == 0)
			return broken_off(h, n - body->len);
		buf_grown(body, got);
		to += got;
	}
	/* lighttpd does not end what it has lost the beginning of. */
	h->body_read = early > 0;
	http_body_discard(h);
	return HTTP_BODY_OK;
}

void
http_body_discard(struct http *h)
{
	char bin[8192];
	size_t n, most = 0, left = SIZE_MAX, early;

	/* Who only asks sends none, and may not even say so. */
	if (h->body_read || http_is_asking(h))
		return;
	if (http_body_announced(h) > 0) {
		bound_reads(h);
		left = (size_t)http_body_announced(h);
		early = http_early_part(h, NULL, left);
		left = early > 0 ? left - early : SIZE_MAX;
	}
	while (left > 0 &&
	    (n = read_some(h, bin, left < sizeof(bin) ? left : sizeof(bin))) >
		0) {
		most = n > most ? n : most;
		left -= n;
	}
	explicit_bzero(bin, most);
	h->body_read = 1;
}

void
http_settle(struct http *h)
{
	struct FCGX_Stream *out;

	if (h->head_sent)
		buf_free(&h->head);
	/* libfcgi reads the next request of a connection that is kept. */
	if (h->fcgx == NULL || !h->body_read || h->fcgx->keepConnection ||
	    h->fcgx->in == NULL)
		return;
	out = h->fcgx->out;
	FCGX_FreeStream(&h->fcgx->in);
	/* Nothing is written to it, so nothing is sent to end it. */
	(void)FCGX_FClose(h->fcgx->err);
	FCGX_FreeStream(&h->fcgx->err);
	/* 8 KiB, of which events that are flushed one by one use little. */
	(void)pages_forget(out->wrNext, (size_t)(out->stop - out->wrNext));
}

int
http_status(struct http *h, int code)
{
	char number[TEXT_I64_SIZE];

	assert(!h->head_sent && h->head.len == 0);
	/* Room for most heads at once, instead of growing to it in steps. */
	if (buf_room(&h->head, HEAD_USUAL) == NULL)
		return -1;
	(void)buf_puts(&h->head, "Status: ");
	(void)buf_add(&h->head, number, text_i64(number, code));
	return buf_add(&h->head, "\r\n", 2); /* tells of all before */
}

/* A line end would begin a field of somebody else's. */
static int
is_field_value(const char *s)
{
	while ((unsigned char)*s >= 0x20 ? *s != 0x7f : *s == '\t')
		s++;
	return *s == '\0';
}

/* Most values are texts as they are, for which formatting costs more. */
static __attribute__((__format__(__printf__, 2, 0))) const char *
field_value(char made[FIELD_MAX], const char *fmt, va_list ap)
{
	int n;

	if (strcmp(fmt, "%s") == 0)
		return va_arg(ap, const char *);
	if (strchr(fmt, '%') == NULL)
		return fmt;
	n = vsnprintf(made, FIELD_MAX, fmt, ap);
	return n < 0 || n >= FIELD_MAX ? NULL : made;
}

int
http_head(struct http *h, const char *name, const char *fmt, ...)
{
	char made[FIELD_MAX];
	const char *value;
	va_list ap;

	assert(!h->head_sent && h->head.len > 0);
	va_start(ap, fmt);
	value = field_value(made, fmt, ap);
	va_end(ap);
	if (value == NULL || strlen(value) >= FIELD_MAX ||
	    !is_field_value(value)) {
		log_warnx("the header field '%s' is not sent: its value has "
			  "control characters or is too long",
		    name);
		return -1;
	}
	(void)buf_puts(&h->head, name);
	(void)buf_add(&h->head, ": ", 2);
	(void)buf_puts(&h->head, value);
	return buf_add(&h->head, "\r\n", 2); /* tells of all before */
}

int
http_admit(struct http *h, uint64_t ticket)
{
	struct buf early = BUF(EARLY_HEAD_MAX);
	int result = -1;

	if (http_early_keep(h, &early) == 0 && http_status(h, 200) == 0) {
		h->head.max += early.len;
		result = http_head(
			     h, "Variable-PMPROXY_TICKET", "%" PRIu64, ticket) |
		    buf_add(&h->head, early.data, early.len);
	}
	buf_free(&early);
	return result;
}

/* After a failed write nothing may block again, libfcgi's farewell least. */
int
http_abandon(struct http *h)
{
	h->failed = 1;
	if (h->fcgx != NULL && h->fcgx->ipcFd >= 0)
		(void)shutdown(h->fcgx->ipcFd, SHUT_RDWR); /* gone already */
	return -1;
}

static int
put_cgi(struct http *h, const char *p, size_t n)
{
	ssize_t done;

	while (n > 0) {
		done = write(STDOUT_FILENO, p, n);
		if (done == -1 && errno == EINTR)
			continue;
		if (done == -1)
			return http_abandon(h);
		p += done;
		n -= (size_t)done;
	}
	return 0;
}

static int
put(struct http *h, const void *p, size_t n)
{
	const char *from = p;

	if (h->failed)
		return -1;
	if (h->cgi)
		return put_cgi(h, p, n);
	if (h->fcgx == NULL)
		return buf_add(h->memory_out, p, n);
	while (n > 0) {
		int part = n > 1 << 30 ? 1 << 30 : (int)n;

		if (FCGX_PutStr(from, part, h->fcgx->out) != part)
			return http_abandon(h);
		from += part;
		n -= (size_t)part;
	}
	return 0;
}

static int
send_head(struct http *h)
{
	if (h->head_sent)
		return h->failed ? -1 : 0;
	h->head_sent = 1;
	if (h->head.failed || h->head.len == 0) {
		log_warnx("an answer without a head: the connection is cut");
		http_cut(h);
		return -1;
	}
	return put(h, h->head.data, h->head.len) ? -1 : put(h, "\r\n", 2);
}

int
http_write(struct http *h, const void *p, size_t n)
{
	return send_head(h) == -1 ? -1 : put(h, p, n);
}

int
http_flush(struct http *h)
{
	if (send_head(h) == -1)
		return -1;
	if (h->fcgx != NULL && FCGX_FFlush(h->fcgx->out) == -1)
		return http_abandon(h);
	return 0;
}

/*
 * libfcgi marks ipcFd as not for use, but neither reports that a client went
 * away nor bounds a write. These four functions are the only ones to look.
 */
int
http_watch_fd(const struct http *h)
{
	return h->fcgx != NULL ? h->fcgx->ipcFd : -1;
}

int
http_takes_more(const struct http *h)
{
	struct pollfd p = { .events = POLLOUT };

	if (h->fcgx == NULL)
		return 1;
	p.fd = h->fcgx->ipcFd;
	return poll(&p, 1, 0) != 0; /* an error the write will show */
}

int
http_write_timeout(struct http *h, int64_t seconds)
{
	struct timeval timeout = { .tv_sec = (time_t)seconds };

	if (h->fcgx == NULL)
		return 0;
	if (setsockopt(h->fcgx->ipcFd, SOL_SOCKET, SO_SNDTIMEO, &timeout,
		sizeof(timeout)) == -1) {
		log_warn("cannot bound the time of a write");
		return -1;
	}
	return 0;
}

/*
 * Gone is who hung up, even with bytes before that in the socket, and who
 * says so: after a body nothing but an abort can follow.
 */
int
http_gone(struct http *h)
{
	unsigned char record[FCGI_HEADER_LEN];
	struct pollfd p = { .events = POLLRDHUP };
	ssize_t n;

	if (h->failed)
		return 1;
	if (h->fcgx == NULL)
		return 0;
	p.fd = h->fcgx->ipcFd;
	if (poll(&p, 1, 0) == 1)
		return 1;
	n = recv(p.fd, record, sizeof(record), MSG_PEEK | MSG_DONTWAIT);
	return n >= 2 && record[1] == FCGI_ABORT_REQUEST;
}

/*
 * An answer that is over before lighttpd has sent its head gets a length from
 * it, that of what came: it would look whole. So what was written is to be
 * read before the end shows. Bounded, because a client that reads slowly makes
 * lighttpd wait; its head has long been sent then.
 */
static void
wait_until_read(int fd)
{
	const struct timespec pause = { 0, 10 * 1000000 };
	int unread = 1;

	for (int i = 0; i < 50 && unread != 0; i++) {
		if (ioctl(fd, SIOCOUTQ, &unread) == -1)
			return;
		/* Once more when it was read: it is to be worked on, too. */
		(void)nanosleep(&pause, NULL);
	}
}

void
http_cut(struct http *h)
{
	if (!h->failed && h->head_sent && h->fcgx != NULL)
		wait_until_read(h->fcgx->ipcFd);
	/* Without FastCGI's end record lighttpd cuts the connection, too. */
	(void)http_abandon(h); /* its answer is for callers that just failed */
}

void
http_end(struct http *h)
{
	if (!h->failed) {
		/* lighttpd loses an answer when its request is not read. */
		http_body_discard(h);
		(void)send_head(h); /* nobody is left to tell */
	}
	/* FCGX_Finish_r goes by its reader, and sends nothing without. */
	if (h->fcgx != NULL && h->fcgx->in == NULL)
		(void)FCGX_FClose(h->fcgx->out); /* nobody is left to tell */
	if (h->path != NULL)
		explicit_bzero(h->path, h->path_len);
	free(h->path);
	h->path = NULL;
	buf_free(&h->head);
}
