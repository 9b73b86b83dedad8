/*
 * An exchange is an easy handle inside this thread's multi handle: the multi
 * handle owns the kept-alive connection, and its poll can wait for the client
 * as well, so that a client that goes away is noticed within a millisecond.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "log.h"
#include "upstream_internal.h"

/*
 * A kept-alive connection that the upstream closed shows at once. A reset
 * after longer than this may mean that the request had been read.
 */
#define REUSE_FAILS_MS 1000
/* How often to look at a client that stirred but is not gone. */
#define LOOK_AGAIN_MS 100

#define URL_MAX 511

struct upstream {
	CURLM *multi;
	int socket; /* beneath its connection; see upstream_socket.c */
	char url[];
};

int64_t
upstream_now_ms(void)
{
	struct timespec t;

	if (clock_gettime(CLOCK_MONOTONIC, &t) == -1)
		abort(); /* only a wrong clock id makes it fail */
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

struct upstream *
upstream_new(const char *url)
{
	struct upstream *u;
	size_t n = strlen(url);

	while (n > 0 && url[n - 1] == '/')
		n--;
	u = n > URL_MAX ? NULL : calloc(1, sizeof(*u) + n + 1);
	if (u == NULL || (u->multi = curl_multi_init()) == NULL) {
		log_warnx("cannot prepare for the upstream");
		free(u);
		return NULL;
	}
	memcpy(u->url, url, n);
	u->socket = -1;
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

int
upstream_may_retry(struct transfer *t)
{
	int64_t now = upstream_now_ms();

	if (t->retried || now - t->started_ms > REUSE_FAILS_MS)
		return 0;
	t->retried = 1;
	t->started_ms = t->heard_ms = now;
	return 1;
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

/*
 * A descriptor that stirred stays readable, and waiting on it again would
 * spin: from then on it is looked at now and then.
 */
static int
look_at_client(struct transfer *t, int stirs)
{
	int64_t now = upstream_now_ms();

	if (!stirs && (!t->stirred || now < t->next_look_ms))
		return 0;
	if (t->x->on_stir(t->x->arg) != 0) {
		t->stopped = 1;
		return -1;
	}
	t->stirred = 1;
	t->next_look_ms = now + LOOK_AGAIN_MS;
	return 0;
}

/* Between asking and being answered may lie a while. */
static void
tell_wait(struct transfer *t)
{
	if (t->waited || !t->sent || t->x->on_wait == NULL)
		return;
	t->waited = 1;
	if (!t->body_began)
		t->x->on_wait(t->x->arg);
}

/* Waits for the upstream, the client or the next thing that is due. */
static int
wait_for_more(struct upstream *u, struct transfer *t, int64_t until)
{
	struct curl_waitfd client = { .fd = t->x->watch_fd,
		.events = CURL_WAIT_POLLIN };
	unsigned int n_watched = t->x->watch_fd >= 0 && !t->stirred;
	int64_t wait;

	tell_wait(t);
	if (t->stirred && t->next_look_ms < until)
		until = t->next_look_ms;
	wait = until - upstream_now_ms();
	if (wait < 0)
		wait = 0;
	if (wait > 60000)
		wait = 60000;
	if (curl_multi_poll(u->multi, &client, n_watched, (int)wait, NULL) !=
	    CURLM_OK)
		return -1;
	return look_at_client(t, n_watched > 0 && client.revents != 0);
}

/* How libcurl ended it. */
static CURLcode
result_of(struct upstream *u, const struct transfer *t)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(u->multi, &left)) != NULL)
		if (message->msg == CURLMSG_DONE &&
		    message->easy_handle == t->easy)
			return message->data.result;
	return CURLE_FAILED_INIT;
}

static enum upstream_end
name_end(struct transfer *t, CURLcode code)
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

/* Tells of the pause; time spent on that is no silence of the upstream's. */
static int
tell_pause(struct transfer *t)
{
	if (!t->dirty)
		return 0;
	t->dirty = 0;
	if (t->x->on_pause(t->x->arg) != 0)
		return -1;
	t->heard_ms = upstream_now_ms();
	return 0;
}

/* Until when the next thing has to happen. */
static int64_t
deadline_of(const struct transfer *t)
{
	int64_t last = t->started_ms + t->x->total_ms;
	int64_t next = t->body_began ? t->heard_ms + t->x->idle_ms
				     : t->started_ms + t->x->first_byte_ms;

	return next < last ? next : last;
}

static enum upstream_end
name_lateness(const struct transfer *t, int64_t now)
{
	log_warnx("upstream: %s",
	    t->body_began && now - t->started_ms >= t->x->total_ms
		? "an answer that takes too long"
		: "silent for too long");
	return t->body_began ? UPSTREAM_BROKEN : UPSTREAM_TIMEOUT;
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
		if (tell_pause(t) == -1)
			return UPSTREAM_STOPPED;
		now = upstream_now_ms();
		deadline = deadline_of(t);
		if (now >= deadline)
			return name_lateness(t, now);
		if ((due = tell_silence(t, now)) == -1)
			return UPSTREAM_STOPPED;
		if (wait_for_more(u, t, due < deadline ? due : deadline) == -1)
			return name_end(t, CURLE_FAILED_INIT);
	}
	return name_end(t, result_of(u, t));
}

/*
 * 1 when the upstream cannot have read the whole request: it refused the
 * connection, or a kept-alive one broke while sending or was not used at all.
 * (One that broke while waiting for the answer libcurl repeats itself; see
 * begin_request.)
 */
static int
was_unread(const struct transfer *t)
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

/* One attempt with a handle of its own, which takes its buffers with it. */
static enum upstream_end
attempt(struct upstream *u, struct transfer *t, int *unread)
{
	enum upstream_end end = UPSTREAM_UNREACHABLE;

	*unread = 0;
	t->sent = t->opened = t->spoiled = 0;
	t->refused = NULL;
	t->code = CURLE_OK;
	t->started_ms = t->heard_ms = upstream_now_ms();
	t->easy = curl_easy_init();
	if (t->easy == NULL || upstream_set_options(u->url, t) != 0 ||
	    curl_multi_add_handle(u->multi, t->easy) != CURLM_OK) {
		log_warnx("upstream: libcurl cannot begin");
		goto free;
	}
	end = drive(u, t);
	if (end == UPSTREAM_UNREACHABLE)
		*unread = was_unread(t);
	if (curl_multi_remove_handle(u->multi, t->easy) != CURLM_OK)
		log_warnx("upstream: libcurl cannot end");
free:
	curl_easy_cleanup(t->easy);
	upstream_free_options(t);
	t->easy = NULL;
	return end;
}

enum upstream_end
upstream_run(struct upstream *u, const struct upstream_exchange *x)
{
	struct transfer t = {
		.x = x, .socket = &u->socket, .whole = BUF(UPSTREAM_WHOLE_MAX)
	};
	enum upstream_end end;
	int unread;

	end = attempt(u, &t, &unread);
	if (unread && upstream_may_retry(&t))
		end = attempt(u, &t, &unread);
	if (end == UPSTREAM_STOPPED && t.piece < x->n_body)
		end = UPSTREAM_UNSENT;
	return end;
}
