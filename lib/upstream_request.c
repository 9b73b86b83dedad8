/* What libcurl is told: the request, and no more than the request. */
#include <stdio.h>
#include <string.h>

#include "secret.h"
#include "upstream_internal.h"

/*
 * libcurl's 16 KiB, but in a loop: there it hands on up to 100 pieces before
 * whoever takes them can say that a client takes no more.
 */
#define TRICKLE_BYTES 2048L
#define LOOP_BYTES 8192L
/* libcurl polls twice for each piece that it sends, of 64 KiB by itself. */
#define UPLOAD_BYTES (256L << 10)
#define UPLOAD_LARGE (1L << 20)

static size_t
give_body(char *to, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	size_t room = size * n, given = 0;

	while (given < room && t->piece < t->x->n_body) {
		const struct iovec *v = &t->x->body[t->piece];
		size_t part = v->iov_len - t->at;

		if (part > room - given)
			part = room - given;
		memcpy(to + given, (const char *)v->iov_base + t->at, part);
		given += part;
		t->at += part;
		if (t->at == v->iov_len) {
			t->piece++;
			t->at = 0;
		}
	}
	return given;
}

static int
rewind_body(void *arg, curl_off_t offset, int origin)
{
	struct transfer *t = arg;

	if (offset != 0 || origin != SEEK_SET)
		return CURL_SEEKFUNC_FAIL;
	t->piece = t->at = 0;
	return CURL_SEEKFUNC_OK;
}

/*
 * Called when a connection is there and nothing of the request is on it yet.
 * A second time in one attempt means that libcurl found a kept-alive
 * connection dead before a byte of answer came: the place to say yes once.
 */
static int
begin_request(void *arg, char *to, char *from, int to_port, int from_port)
{
	struct transfer *t = arg;

	(void)to;
	(void)from;
	(void)to_port;
	(void)from_port;
	if (t->sent && !upstream_may_retry(t))
		return CURL_PREREQFUNC_ABORT;
	if (upstream_is_spoiled(t)) {
		t->spoiled = 1;
		t->refused = "it sent more than it was asked for";
		return CURL_PREREQFUNC_ABORT;
	}
	t->sent = 1;
	t->piece = t->whole.len > 0 ? t->x->n_body : 0;
	t->at = 0;
	return CURL_PREREQFUNC_OK;
}

static int
add_field(struct transfer *t, const char *field)
{
	struct curl_slist *more = curl_slist_append(t->fields, field);

	if (more == NULL)
		return -1;
	t->fields = more;
	return 0;
}

static int
set_fields(struct transfer *t)
{
	/* libcurl's own additions, which would tell of us, delay or guess. */
	static const char *const without[] = {
		"Expect:", "User-Agent:", "Content-Type:"
	};

	for (size_t i = 0; i < sizeof(without) / sizeof(without[0]); i++)
		if (add_field(t, without[i]) == -1)
			return -1;
	for (const char *const *f = t->x->fields; *f != NULL; f++)
		if (strpbrk(*f, "\r\n") != NULL || add_field(t, *f) == -1)
			return -1;
	return 0;
}

void
upstream_free_options(struct transfer *t)
{
	/* The organisation's key is among them. */
	for (struct curl_slist *f = t->fields; f != NULL; f = f->next)
		secret_wipe(f->data, strlen(f->data));
	curl_slist_free_all(t->fields);
	t->fields = NULL;
	buf_free(&t->whole);
}

static int
join_body(struct transfer *t)
{
	for (size_t i = 0; i < t->x->n_body; i++)
		(void)buf_add(&t->whole, t->x->body[i].iov_base,
		    t->x->body[i].iov_len); /* it sticks when it fails */
	return t->whole.failed ? -1 : 0;
}

static curl_off_t
body_length(const struct transfer *t)
{
	curl_off_t length = 0;

	for (size_t i = 0; i < t->x->n_body; i++)
		length += (curl_off_t)t->x->body[i].iov_len;
	return length;
}

static int
set_body(struct transfer *t)
{
	const curl_off_t length = body_length(t);

	if (curl_easy_setopt(t->easy, CURLOPT_POST, 1L) ||
	    curl_easy_setopt(t->easy, CURLOPT_POSTFIELDSIZE_LARGE, length))
		return -1;
	if (length > 0 && length <= UPSTREAM_WHOLE_MAX)
		return join_body(t) == -1 ||
		    curl_easy_setopt(
			t->easy, CURLOPT_POSTFIELDS, t->whole.data);
	return (length >= UPLOAD_LARGE &&
		   curl_easy_setopt(
		       t->easy, CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_BYTES)) ||
	    curl_easy_setopt(t->easy, CURLOPT_READFUNCTION, give_body) ||
	    curl_easy_setopt(t->easy, CURLOPT_READDATA, t) ||
	    curl_easy_setopt(t->easy, CURLOPT_SEEKFUNCTION, rewind_body) ||
	    curl_easy_setopt(t->easy, CURLOPT_SEEKDATA, t);
}

/* Which one libcurl would take of those that are kept nobody could check. */
static int
set_alone(struct transfer *t)
{
	return curl_easy_setopt(t->easy, CURLOPT_FRESH_CONNECT, 1L) ||
	    curl_easy_setopt(t->easy, CURLOPT_FORBID_REUSE, 1L);
}

/* No proxy, redirect, cookie or decoding: the bytes as they are. */
int
upstream_set_options(const char *base, struct transfer *t)
{
	char url[4096];
	int n = snprintf(url, sizeof(url), "%s%s", base, t->x->path);
	CURL *e = t->easy;

	if (n < 0 || (size_t)n >= sizeof(url) || set_fields(t) == -1)
		return -1;
	return curl_easy_setopt(e, CURLOPT_URL, url) ||
	    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https") ||
	    curl_easy_setopt(e, CURLOPT_PROXY, "") ||
	    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L) ||
	    curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L) ||
	    curl_easy_setopt(
		e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) ||
	    curl_easy_setopt(e, CURLOPT_HTTPHEADER, t->fields) ||
	    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, upstream_take_head) ||
	    curl_easy_setopt(e, CURLOPT_HEADERDATA, t) ||
	    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, upstream_take_body) ||
	    curl_easy_setopt(e, CURLOPT_WRITEDATA, t) ||
	    curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, begin_request) ||
	    curl_easy_setopt(e, CURLOPT_PREREQDATA, t) ||
	    curl_easy_setopt(
		e, CURLOPT_OPENSOCKETFUNCTION, upstream_open_socket) ||
	    curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, t) ||
	    curl_easy_setopt(
		e, CURLOPT_CLOSESOCKETFUNCTION, upstream_close_socket) ||
	    curl_easy_setopt(e, CURLOPT_CLOSESOCKETDATA, t->socket) ||
	    curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, (long)t->retried) ||
	    curl_easy_setopt(
		e, CURLOPT_CONNECTTIMEOUT_MS, (long)t->x->connect_ms) ||
	    curl_easy_setopt(e, CURLOPT_PRIVATE, t) ||
	    (t->changed != NULL &&
		curl_easy_setopt(e, CURLOPT_BUFFERSIZE,
		    t->alone ? TRICKLE_BYTES : LOOP_BYTES)) ||
	    (t->alone && set_alone(t)) ||
	    (strcmp(t->x->method, "POST") == 0 && set_body(t));
}
