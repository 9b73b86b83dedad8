/* What comes back: the head's few fields that matter, then the body. */
#include <string.h>
#include <strings.h>

#include "upstream_internal.h"

/* More than any honest head; past it the upstream is taken as broken. */
#define HEAD_BYTES_MAX 65536

/* Copies a field's value when 'line' is that field and it fits. */
static void
take_field(const char *line, size_t n, const char *name, char *to, size_t room)
{
	size_t len = strlen(name);

	if (n <= len || line[len] != ':' || strncasecmp(line, name, len) != 0)
		return;
	line += len + 1;
	n -= len + 1;
	while (n > 0 && (*line == ' ' || *line == '\t')) {
		line++;
		n--;
	}
	while (n > 0 && strchr(" \t\r\n", line[n - 1]) != NULL)
		n--;
	if (n >= room || memchr(line, '\0', n) != NULL)
		return;
	memcpy(to, line, n);
	to[n] = '\0';
}

/* Hands the head on, once it is whole and the final one. */
static int
begin_body(struct transfer *t)
{
	curl_off_t length = -1;
	long status = 0;

	if (t->body_began)
		return 0;
	if (curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status) !=
		CURLE_OK ||
	    curl_easy_getinfo(t->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T,
		&length) != CURLE_OK)
		return -1;
	if (status < 200)
		return 0;
	t->head.status = (int)status;
	t->head.length = length;
	t->body_began = 1;
	t->dirty = 1;
	t->next_call_ms = t->heard_ms;
	if (t->x->on_head(t->x->arg, &t->head) != 0) {
		t->stopped = 1;
		return -1;
	}
	return 0;
}

size_t
upstream_take_head(char *line, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	struct upstream_head *head = &t->head;
	size_t len = size * n;

	t->heard_ms = upstream_now_ms();
	t->head_bytes += len;
	if (t->head_bytes > HEAD_BYTES_MAX)
		return 0;
	if (len >= 5 && strncmp(line, "HTTP/", 5) == 0)
		*head = (struct upstream_head){ 0 }; /* after a 1xx, anew */
	take_field(line, len, "Content-Type", head->content_type,
	    sizeof(head->content_type));
	take_field(line, len, "Retry-After", head->retry_after,
	    sizeof(head->retry_after));
	take_field(line, len, "Retry-After-Ms", head->retry_after_ms,
	    sizeof(head->retry_after_ms));
	take_field(line, len, "X-Should-Retry", head->should_retry,
	    sizeof(head->should_retry));
	/* The line that ends the head; after a 1xx another head follows. */
	if ((line[0] == '\r' || line[0] == '\n') && begin_body(t) == -1)
		return 0;
	return len;
}

size_t
upstream_take_body(char *p, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;

	t->heard_ms = upstream_now_ms();
	if (begin_body(t) == -1)
		return 0;
	t->dirty = 1;
	if (t->x->on_body(t->x->arg, p, size * n) != 0) {
		t->stopped = 1;
		return 0;
	}
	return size * n;
}
