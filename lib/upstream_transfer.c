/*
 * One exchange under way, whoever waits for it: a thread of its own
 * (upstream.c) or one thread for many (upstream_loop.c).
 */
#include <errno.h>
#include <string.h>

#include "log.h"
#include "upstream_internal.h"

/*
 * A kept-alive connection that the upstream closed shows at once. A reset
 * after longer than this may mean that the request had been read.
 */
#define REUSE_FAILS_MS 1000

#define URL_MAX 511

char *
upstream_url(const char *url)
{
	size_t n = strlen(url);

	while (n > 0 && url[n - 1] == '/')
		n--;
	return n > URL_MAX ? NULL : strndup(url, n);
}

int
upstream_may_retry(struct transfer *t)
{
	int64_t now = monotonic_ms();

	if (t->retried || now - t->started_ms > REUSE_FAILS_MS)
		return 0;
	t->retried = 1;
	t->started_ms = t->heard_ms = now;
	return 1;
}

int
upstream_begin(CURLM *multi, const char *url, struct transfer *t)
{
	t->sent = t->opened = t->spoiled = 0;
	t->refused = NULL;
	t->code = CURLE_OK;
	t->started_ms = t->heard_ms = monotonic_ms();
	t->easy = curl_easy_init();
	if (t->easy == NULL || upstream_set_options(url, t) != 0 ||
	    curl_multi_add_handle(multi, t->easy) != CURLM_OK) {
		log_warnx("upstream: libcurl cannot begin");
		return -1;
	}
	return 0;
}

void
upstream_finish(CURLM *multi, struct transfer *t)
{
	/* One that was never added is no mistake to it either. */
	if (t->easy != NULL &&
	    curl_multi_remove_handle(multi, t->easy) != CURLM_OK)
		log_warnx("upstream: libcurl cannot end");
	curl_easy_cleanup(t->easy);
	upstream_free_options(t);
	t->easy = NULL;
}

/*
 * 1 when the upstream cannot have read the whole request: it refused the
 * connection, or a kept-alive one broke while sending or was not used at all.
 * (One that broke while waiting for the answer libcurl repeats itself; see
 * begin_request.)
 */
int
upstream_was_unread(const struct transfer *t)
{
	long error = 0, connections = 1;

	/* What cannot be asked is taken as read. */
	(void)curl_easy_getinfo(t->easy, CURLINFO_OS_ERRNO, &error);
	(void)curl_easy_getinfo(t->easy, CURLINFO_NUM_CONNECTS, &connections);
	if (t->spoiled)
		return 1;
	if (t->code == CURLE_COULDNT_CONNECT)
		return error == ECONNREFUSED;
	return t->code == CURLE_SEND_ERROR && connections == 0 &&
	    t->head_bytes == 0;
}

enum upstream_end
upstream_name_end(struct transfer *t, CURLcode code)
{
	t->code = code;
	if (t->stopped)
		return UPSTREAM_STOPPED;
	if (code == CURLE_OK && t->body_began)
		return UPSTREAM_DONE;
	if (t->refused == NULL)
		t->refused =
		    code != CURLE_OK ? curl_easy_strerror(code) : "no answer";
	log_warnx("upstream: %s", t->refused);
	return t->body_began ? UPSTREAM_BROKEN : UPSTREAM_UNREACHABLE;
}

int64_t
upstream_deadline(const struct transfer *t)
{
	int64_t last = t->started_ms + t->x->total_ms;
	int64_t next = t->body_began ? t->heard_ms + t->x->idle_ms
				     : t->started_ms + t->x->first_byte_ms;

	return next < last ? next : last;
}

enum upstream_end
upstream_name_lateness(const struct transfer *t, int64_t now)
{
	log_warnx("upstream: %s",
	    t->body_began && now - t->started_ms >= t->x->total_ms
		? "an answer that takes too long"
		: "silent for too long");
	return t->body_began ? UPSTREAM_BROKEN : UPSTREAM_TIMEOUT;
}

int64_t
upstream_tell_silence(struct transfer *t, int64_t now)
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

enum upstream_end
upstream_last_word(const struct transfer *t, enum upstream_end end)
{
	if (end == UPSTREAM_STOPPED && t->piece < t->x->n_body)
		return UPSTREAM_UNSENT;
	return end;
}

void
upstream_mark(struct transfer *t)
{
	t->dirty = 1;
	if (t->listed || t->changed == NULL)
		return;
	t->listed = 1;
	t->next_changed = *t->changed;
	*t->changed = t;
}
