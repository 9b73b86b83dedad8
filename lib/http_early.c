/*
 * What lighttpd sends of a body to whom it only asks. Over HTTP/2 that happens
 * when the body's beginning comes together with the head, and lighttpd then
 * sends it to nobody else. So it goes back with the answer, as a variable of
 * the request: control characters and '%' percent-encoded, between two dots.
 */
#include <errno.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>

#include "http.h"
#include "http_internal.h"
#include "log.h"

/* A client may send so much before anybody says more. */
#define EARLY_MAX 65535
/* Of it encoded: with all other variables lighttpd passes on 64 KiB. */
#define ENCODED_MAX 54000

static int
is_plain(unsigned char c)
{
	return c >= 0x20 && c != 0x7f && c != '%';
}

static int
encode(struct buf *head, const struct buf *part)
{
	size_t from = 0, limit = head->len + ENCODED_MAX;

	(void)buf_puts(head, "Variable-" HTTP_EARLY_NAME ": .");
	for (size_t i = 0; i < part->len; i++) {
		unsigned char c = (unsigned char)part->data[i];

		if (is_plain(c))
			continue;
		(void)buf_add(head, part->data + from, i - from);
		(void)buf_printf(head, "%%%02x", c);
		from = i + 1;
	}
	(void)buf_add(head, part->data + from, part->len - from);
	return buf_puts(head, ".\r\n") == -1 || head->len > limit ? -1 : 0;
}

/* Whatever is there; -1 when that is not all, or cannot be told. */
static int
read_part(struct FCGX_Request *fcgx, struct buf *part)
{
	char *to = buf_room(part, EARLY_MAX);
	int flags, got, unread = 0;

	if (to == NULL || (flags = fcntl(fcgx->ipcFd, F_GETFL)) == -1 ||
	    fcntl(fcgx->ipcFd, F_SETFL, flags | O_NONBLOCK) == -1)
		return -1;
	got = FCGX_GetStr(to, EARLY_MAX, fcgx->in);
	if (got > 0)
		buf_grown(part, (size_t)got);
	if (fcntl(fcgx->ipcFd, F_SETFL, flags) == -1 ||
	    ioctl(fcgx->ipcFd, FIONREAD, &unread) == -1)
		return -1;
	return unread > 0 ? -1 : 0;
}

int
http_early_keep(struct http *h, struct buf *head)
{
	struct buf part = BUF(EARLY_MAX);
	const char *protocol = http_variable(h, HTTP_PROTOCOL);
	int result = 0;

	if (h->fcgx == NULL || protocol == NULL ||
	    strcmp(protocol, "HTTP/2.0") != 0)
		return 0;
	if (read_part(h->fcgx, &part) == -1 ||
	    (part.len > 0 && encode(head, &part) == -1)) {
		log_warnx("the beginning of a body came too early");
		result = -1;
	}
	buf_free(&part);
	return result;
}

static unsigned
nibble(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

size_t
http_early_part(const struct http *h, char *to, size_t n)
{
	const char *p = http_variable(h, HTTP_EARLY), *end;
	size_t len = 0;

	if (p == NULL || strlen(p) < 2)
		return 0;
	for (end = p + strlen(p) - 1, p++; p < end && len < n; p++, len++) {
		char c = *p;

		if (c == '%' && end - p > 2) {
			c = (char)(nibble(p[1]) << 4 | nibble(p[2]));
			p += 2;
		}
		if (to != NULL)
			to[len] = c;
	}
	return len;
}
