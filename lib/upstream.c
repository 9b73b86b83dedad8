/*
 * An exchange is an easy handle inside this thread's multi handle: the multi
 * handle owns the kept-alive connection, and its poll can wait for the client
 * as well, so that a client that goes away is noticed within a millisecond.
 */
#include "upstream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <curl/curl.h>

#include "log.h"

/* More than any honest head; past it the upstream is taken as broken. */
#define HEAD_BYTES_MAX 65536
/*
 * A kept-alive connection that the upstream closed shows at once. A reset
 * after longer than this may mean that the request had been read.
 */
#define REUSE_FAILS_MS 1000

struct upstream {
	CURLM *multi;
	char url[512];
};

/* One exchange under way. */
struct transfer {
	const struct upstream_exchange *x;
	CURL *easy;
	struct curl_slist *fields;
	struct upstream_head head;
	size_t head_bytes;
	size_t piece, at; /* reading position in the body's pieces */
	int watch_fd;
	int retried;
	int body_began; /* the head was handed on */
	int stopped; /* by a callback */
	int dirty; /* bytes were handed on since the last pause */
	int64_t started_ms; /* when this attempt began */
	int64_t heard_ms; /* when the upstream was last heard */
	int64_t next_call_ms; /* of on_silence */
};

static int64_t
now_ms(void)
{
	struct timespec t;

	if (clock_gettime(CLOCK_MONOTONIC, &t) == -1)
		abort(); /* only a wrong clock id makes it fail */
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

struct upstream *
upstream_new(const char *url)
{
	struct upstream *u = calloc(1, sizeof(*u));
	size_t n = strlen(url);

	while (n > 0 && url[n - 1] == '/')
		n--;
	if (u == NULL || n >= sizeof(u->url) ||
	    (u->multi = curl_multi_init()) == NULL) {
		log_warnx("cannot prepare for the upstream");
		free(u);
		return NULL;
	}
	memcpy(u->url, url, n);
	/* One thread has one exchange at a time, so one connection does. */
	if (curl_multi_setopt(u->multi, CURLMOPT_MAXCONNECTS, 1L) != CURLM_OK)
		log_warnx("libcurl does not bound its connections");
	return u;
}

void
upstream_free(struct upstream *u)
{
	if (u == NULL)
		return;
	if (curl_multi_cleanup(u->multi) != CURLM_OK)
		log_warnx("libcurl does not let go of its connections");
	free(u);
}

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

/* 1 when this attempt may be repeated; then it has been counted. */
static int
may_retry(struct transfer *t)
{
	int64_t now = now_ms();

	if (t->retried || now - t->started_ms > REUSE_FAILS_MS)
		return 0;
	t->retried = 1;
	t->started_ms = t->heard_ms = now;
	t->piece = t->at = 0;
	return 1;
}

/*
 * libcurl asks to rewind when it found a kept-alive connection dead before a
 * byte of answer came and would send the request again on a new one: the
 * place to say yes once.
 */
static int
rewind_body(void *arg, curl_off_t offset, int origin)
{
	struct transfer *t = arg;

	if (offset != 0 || origin != SEEK_SET || !may_retry(t))
		return CURL_SEEKFUNC_FAIL;
	return CURL_SEEKFUNC_OK;
}

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

static size_t
take_head(char *line, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	struct upstream_head *head = &t->head;
	size_t len = size * n;

	t->heard_ms = now_ms();
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

static size_t
take_body(char *p, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;

	t->heard_ms = now_ms();
	if (begin_body(t) == -1)
		return 0;
	t->dirty = 1;
	if (t->x->on_body(t->x->arg, p, size * n) != 0) {
		t->stopped = 1;
		return 0;
	}
	return size * n;
}

static int
set_fields(struct transfer *t)
{
	/* libcurl's own additions, which would tell of us or delay. */
	static const char *const without[] = { "Expect:", "User-Agent:" };
	struct curl_slist *more = NULL;

	for (size_t i = 0; i < sizeof(without) / sizeof(without[0]); i++) {
		if ((more = curl_slist_append(t->fields, without[i])) == NULL)
			return -1;
		t->fields = more;
	}
	for (const char *const *f = t->x->fields; *f != NULL; f++) {
		if ((more = curl_slist_append(t->fields, *f)) == NULL)
			return -1;
		t->fields = more;
	}
	return 0;
}

static int
set_body(struct transfer *t)
{
	curl_off_t length = 0;

	for (size_t i = 0; i < t->x->n_body; i++)
		length += (curl_off_t)t->x->body[i].iov_len;
	return curl_easy_setopt(t->easy, CURLOPT_POST, 1L) ||
	    curl_easy_setopt(t->easy, CURLOPT_POSTFIELDSIZE_LARGE, length) ||
	    curl_easy_setopt(t->easy, CURLOPT_READFUNCTION, give_body) ||
	    curl_easy_setopt(t->easy, CURLOPT_READDATA, t) ||
	    curl_easy_setopt(t->easy, CURLOPT_SEEKFUNCTION, rewind_body) ||
	    curl_easy_setopt(t->easy, CURLOPT_SEEKDATA, t);
}

/* No proxy, redirect, cookie or decoding: the bytes as they are. */
static int
set_options(struct upstream *u, struct transfer *t)
{
	char url[4096];
	int n = snprintf(url, sizeof(url), "%s%s", u->url, t->x->path);
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
	    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, take_head) ||
	    curl_easy_setopt(e, CURLOPT_HEADERDATA, t) ||
	    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, take_body) ||
	    curl_easy_setopt(e, CURLOPT_WRITEDATA, t) ||
	    curl_easy_setopt(
		e, CURLOPT_CONNECTTIMEOUT_MS, (long)t->x->connect_ms) ||
	    (strcmp(t->x->method, "POST") == 0 && set_body(t));
}

/* Calls on_silence when it is due; returns when to look again, -1 to stop. */
static int64_t
tell_silence(struct transfer *t, int64_t now)
{
	int64_t again;

	if (t->x->on_silence == NULL || !t->body_began)
		return INT64_MAX;
	if (t->next_call_ms < t->heard_ms)
		t->next_call_ms = t->heard_ms;
	if (now < t->next_call_ms)
		return t->next_call_ms;
	again = t->x->on_silence(t->x->arg, now - t->heard_ms);
	if (again < 0)
		return -1;
	t->next_call_ms = now + again;
	return t->next_call_ms;
}

/* Waits for the upstream, the client or the next thing that is due. */
static int
wait_for_more(struct upstream *u, struct transfer *t, int64_t until)
{
	struct curl_waitfd client = { .fd = t->watch_fd,
		.events = CURL_WAIT_POLLIN };
	unsigned int n_watched = t->watch_fd >= 0 ? 1 : 0;
	int64_t wait = until - now_ms();

	if (wait < 0)
		wait = 0;
	if (wait > 60000)
		wait = 60000;
	if (curl_multi_poll(u->multi, &client, n_watched, (int)wait, NULL) !=
	    CURLM_OK)
		return -1;
	if (n_watched == 0 || client.revents == 0)
		return 0;
	if (t->x->on_stir(t->x->arg) != 0) {
		t->stopped = 1;
		return -1;
	}
	/* It stays readable, and waiting on it would spin. */
	t->watch_fd = -1;
	return 0;
}

/* How libcurl ended it, CURLE_OK when it did not end yet. */
static CURLcode
result_of(struct upstream *u, const struct transfer *t)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(u->multi, &left)) != NULL)
		if (message->msg == CURLMSG_DONE &&
		    message->easy_handle == t->easy)
			return message->data.result;
	return CURLE_OK;
}

static enum upstream_end
name_end(const struct transfer *t, CURLcode code)
{
	if (t->stopped)
		return UPSTREAM_STOPPED;
	if (code == CURLE_OK && t->body_began)
		return UPSTREAM_DONE;
	log_warnx("upstream: %s", curl_easy_strerror(code));
	return t->body_began ? UPSTREAM_BROKEN : UPSTREAM_UNREACHABLE;
}

/* Drives the transfer until libcurl, a callback or a clock ends it. */
static enum upstream_end
drive(struct upstream *u, struct transfer *t)
{
	int running = 1;

	for (;;) {
		int64_t now, deadline, due;

		if (curl_multi_perform(u->multi, &running) != CURLM_OK)
			return name_end(t, CURLE_FAILED_INIT);
		if (!running || t->stopped)
			break;
		if (t->dirty) {
			t->dirty = 0;
			if (t->x->on_pause(t->x->arg) != 0)
				return UPSTREAM_STOPPED;
		}
		now = now_ms();
		deadline = t->body_began ? t->heard_ms + t->x->idle_ms
					 : t->started_ms + t->x->first_byte_ms;
		if (now >= deadline) {
			log_warnx("upstream: silent for too long");
			return t->body_began ? UPSTREAM_BROKEN
					     : UPSTREAM_TIMEOUT;
		}
		if ((due = tell_silence(t, now)) == -1)
			return UPSTREAM_STOPPED;
		if (wait_for_more(u, t, due < deadline ? due : deadline) == -1)
			return name_end(t, CURLE_FAILED_INIT);
	}
	return name_end(t, result_of(u, t));
}

/* One attempt with a handle of its own, which takes its buffers with it. */
static enum upstream_end
attempt(struct upstream *u, struct transfer *t, int *refused)
{
	enum upstream_end end = UPSTREAM_UNREACHABLE;
	long error = 0;

	*refused = 0;
	t->started_ms = t->heard_ms = now_ms();
	t->easy = curl_easy_init();
	if (t->easy == NULL || set_options(u, t) != 0 ||
	    curl_multi_add_handle(u->multi, t->easy) != CURLM_OK) {
		log_warnx("upstream: libcurl cannot begin");
		goto free;
	}
	end = drive(u, t);
	if (end == UPSTREAM_UNREACHABLE &&
	    curl_easy_getinfo(t->easy, CURLINFO_OS_ERRNO, &error) == CURLE_OK)
		*refused = error == ECONNREFUSED;
	if (curl_multi_remove_handle(u->multi, t->easy) != CURLM_OK)
		log_warnx("upstream: libcurl cannot end");
free:
	curl_easy_cleanup(t->easy);
	curl_slist_free_all(t->fields);
	t->easy = NULL;
	t->fields = NULL;
	return end;
}

enum upstream_end
upstream_run(struct upstream *u, const struct upstream_exchange *x)
{
	struct transfer t = { .x = x, .watch_fd = x->watch_fd };
	enum upstream_end end;
	int refused;

	end = attempt(u, &t, &refused);
	if (refused && may_retry(&t))
		end = attempt(u, &t, &refused);
	return end;
}
