/*
 * An exchange is an easy handle inside this thread's multi handle: the multi
 * handle owns the kept-alive connection, and its poll can wait for the client
 * as well, so that a client that goes away is noticed within a millisecond.
 */
#include <stdlib.h>

#include "log.h"
#include "upstream_internal.h"

/* How often to look at a client that stirred but is not gone. */
#define LOOK_AGAIN_MS 100

struct upstream {
	CURLM *multi;
	struct upstream_socket socket; /* see upstream_socket.c */
	char *url;
};

struct upstream *
upstream_new(const char *url)
{
	struct upstream *u = calloc(1, sizeof(*u));

	if (u == NULL || (u->url = upstream_url(url)) == NULL ||
	    (u->multi = curl_multi_init()) == NULL) {
		log_warnx("cannot prepare for the upstream");
		if (u != NULL)
			free(u->url);
		free(u);
		return NULL;
	}
	u->socket.fd = -1;
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
	free(u->url);
	free(u);
}

/*
 * A descriptor that stirred stays readable, and waiting on it again would
 * spin: from then on it is looked at now and then.
 */
static int
look_at_client(struct transfer *t, int stirs)
{
	int64_t now = monotonic_ms();

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

/* Waits for the upstream, the client or the next thing that is due. */
static int
wait_for_more(struct upstream *u, struct transfer *t, int64_t until)
{
	struct curl_waitfd client = { .fd = t->x->watch_fd,
		.events = CURL_WAIT_POLLIN };
	unsigned int n_watched = t->x->watch_fd >= 0 && !t->stirred;
	int64_t wait;

	if (t->stirred && t->next_look_ms < until)
		until = t->next_look_ms;
	wait = until - monotonic_ms();
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

/* Tells of the pause; time spent on that is no silence of the upstream's. */
static int
tell_pause(struct transfer *t)
{
	if (!t->dirty)
		return 0;
	t->dirty = 0;
	if (t->x->on_pause(t->x->arg) != 0)
		return -1;
	t->heard_ms = monotonic_ms();
	return 0;
}

/* Drives the transfer until libcurl, a callback or a clock ends it. */
static enum upstream_end
drive(struct upstream *u, struct transfer *t)
{
	int running = 1;

	for (;;) {
		int64_t now, deadline, due;

		if (curl_multi_perform(u->multi, &running) != CURLM_OK)
			return upstream_name_end(t, CURLE_FAILED_INIT);
		if (!running || t->stopped)
			break;
		if (tell_pause(t) == -1)
			return UPSTREAM_STOPPED;
		now = monotonic_ms();
		deadline = upstream_deadline(t);
		if (now >= deadline)
			return upstream_name_lateness(t, now);
		if ((due = upstream_tell_silence(t, now)) == -1)
			return UPSTREAM_STOPPED;
		if (wait_for_more(u, t, due < deadline ? due : deadline) == -1)
			return upstream_name_end(t, CURLE_FAILED_INIT);
	}
	return upstream_name_end(t, result_of(u, t));
}

/* One attempt with a handle of its own, which takes its buffers with it. */
static enum upstream_end
attempt(struct upstream *u, struct transfer *t, int *unread)
{
	enum upstream_end end = UPSTREAM_UNREACHABLE;

	*unread = 0;
	if (upstream_begin(u->multi, u->url, t) == 0) {
		end = drive(u, t);
		if (end == UPSTREAM_UNREACHABLE)
			*unread = upstream_was_unread(t);
	}
	upstream_finish(u->multi, t);
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
	return upstream_last_word(&t, end);
}
