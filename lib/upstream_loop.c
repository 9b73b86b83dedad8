/*
 * Exchanges that take long, on one thread: a stream is silent most of the
 * time, and a thread of its own would cost more memory and a wake-up for each
 * of its events. Whatever a callback does here, all the others wait for.
 */
#include "upstream_flow.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "log.h"

/* How often to look at clocks. */
#define LOOK_MS 100
#define EVENTS_MOST 64
#define STACK_BYTES (256 * 1024)

/* --- For libcurl. --- */

/* libcurl's CURLMOPT_SOCKETFUNCTION. */
static int
watch_server(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
	struct upstream_loop *l = arg;
	uint32_t events = 0;
	static int yes;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		/* It may have been closed already. */
		(void)upstream_watch(l, EPOLL_CTL_DEL, fd, 0, 0);
		return 0;
	}
	if (what & CURL_POLL_IN)
		events |= EPOLLIN;
	if (what & CURL_POLL_OUT)
		events |= EPOLLOUT;
	if (upstream_watch(l, known != NULL ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd,
		events, SERVER | (uint64_t)fd) == -1) {
		log_warn("cannot watch the upstream");
		return -1;
	}
	return curl_multi_assign(l->multi, fd, &yes) == CURLM_OK ? 0 : -1;
}

/* libcurl's CURLMOPT_TIMERFUNCTION. */
static int
set_timer(CURLM *multi, long ms, void *arg)
{
	struct upstream_loop *l = arg;

	(void)multi;
	l->curl_due_ms = ms < 0 ? -1 : upstream_now_ms() + ms;
	return 0;
}

/* --- One turn. --- */

static void
drive(struct upstream_loop *l, curl_socket_t fd, int events)
{
	int running;

	if (curl_multi_socket_action(l->multi, fd, events, &running) !=
	    CURLM_OK)
		log_warnx("libcurl cannot go on");
	log_request(NULL); /* callbacks may have set it */
}

static void
end_what_is_done(struct upstream_loop *l)
{
	struct upstream_flow *f;
	CURLMsg *m;
	CURLcode code;
	int left;

	while ((m = curl_multi_info_read(l->multi, &left)) != NULL) {
		code = m->data.result;
		if (m->msg == CURLMSG_DONE &&
		    curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &f) ==
			CURLE_OK)
			upstream_flow_done(f, code);
	}
}

static void
tell_pauses(struct upstream_loop *l)
{
	struct transfer *t;

	while ((t = l->changed) != NULL) {
		struct upstream_flow *f = (struct upstream_flow *)(void *)t;

		l->changed = t->next_changed;
		t->listed = 0;
		if (!f->ended && t->dirty)
			upstream_flow_pause(f);
	}
}

static void
look_at_clocks(struct upstream_loop *l)
{
	int64_t now = upstream_now_ms();
	struct upstream_flow *f, *next;

	if (now < l->look_ms)
		return;
	l->look_ms = now + LOOK_MS;
	for (f = l->flows; f != NULL; f = next) {
		next = f->next;
		upstream_flow_clock(f, now);
	}
}

/* 0 once it is to end. */
static int
take_added(struct upstream_loop *l)
{
	struct upstream_flow *added, *next, *first = NULL;
	uint64_t count;
	int ending;

	/* Nothing to read is no mistake: it is asked again when there is. */
	(void)!read(l->wake, &count, sizeof(count));
	(void)pthread_mutex_lock(&l->lock); /* default kind: cannot fail */
	added = l->added;
	l->added = NULL;
	ending = l->ending;
	(void)pthread_mutex_unlock(&l->lock);
	for (; added != NULL; added = next) {
		next = added->next;
		added->next = first;
		first = added;
	}
	for (; first != NULL; first = next) {
		next = first->next;
		upstream_flow_begin(first);
	}
	return !ending;
}

static int
time_left(const struct upstream_loop *l)
{
	int64_t due = l->flows != NULL ? l->look_ms : INT64_MAX;
	int64_t now = upstream_now_ms();

	if (l->curl_due_ms >= 0 && l->curl_due_ms < due)
		due = l->curl_due_ms;
	if (due == INT64_MAX)
		return -1;
	return due <= now ? 0 : (int)(due - now < 60000 ? due - now : 60000);
}

static void
free_ended(struct upstream_loop *l)
{
	struct upstream_flow *f;

	while ((f = l->ended) != NULL) {
		l->ended = f->next;
		free(f);
	}
}

/* 1 when others want in, or the end. */
static int
serve_events(struct upstream_loop *l, const struct epoll_event *e, int n)
{
	int woken = 0;

	for (; n > 0; n--, e++) {
		if (e->data.u64 == WAKE) {
			woken = 1;
		} else if (e->data.u64 & SERVER) {
			int how = 0;

			if (e->events & EPOLLIN)
				how |= CURL_CSELECT_IN;
			if (e->events & EPOLLOUT)
				how |= CURL_CSELECT_OUT;
			if (e->events & (EPOLLERR | EPOLLHUP))
				how |= CURL_CSELECT_ERR;
			drive(l, (curl_socket_t)(e->data.u64 & ~SERVER), how);
		} else {
			upstream_flow_stir(e->data.ptr, e->events);
		}
	}
	return woken;
}

static void *
run(void *arg)
{
	struct upstream_loop *l = arg;
	struct epoll_event events[EVENTS_MOST];
	int woken = 0, go_on = 1;

	while (go_on || l->flows != NULL) {
		int n = epoll_wait(l->epoll, events, EVENTS_MOST, time_left(l));

		if (n == -1 && errno != EINTR)
			log_fatal("cannot wait for the upstream");
		woken = serve_events(l, events, n);
		if (l->curl_due_ms >= 0 &&
		    l->curl_due_ms <= upstream_now_ms()) {
			l->curl_due_ms = -1;
			drive(l, CURL_SOCKET_TIMEOUT, 0);
		}
		end_what_is_done(l);
		tell_pauses(l);
		look_at_clocks(l);
		if (woken)
			go_on = take_added(l);
		free_ended(l);
	}
	return NULL;
}

/* --- Seen from other threads. --- */

static void
wake(struct upstream_loop *l)
{
	const uint64_t one = 1;

	/* It fails only when it counted 2^64 of them, and is readable then. */
	(void)!write(l->wake, &one, sizeof(one));
}

static int
start_thread(struct upstream_loop *l)
{
	pthread_attr_t attr;
	int bad;

	if (pthread_attr_init(&attr) != 0)
		return -1;
	bad = pthread_attr_setstacksize(&attr, STACK_BYTES) != 0 ||
	    pthread_create(&l->thread, &attr, run, l) != 0;
	(void)pthread_attr_destroy(&attr); /* glibc: always 0 */
	return bad ? -1 : 0;
}

static int
set_multi(struct upstream_loop *l)
{
	return curl_multi_setopt(
		   l->multi, CURLMOPT_SOCKETFUNCTION, watch_server) ||
	    curl_multi_setopt(l->multi, CURLMOPT_SOCKETDATA, l) ||
	    curl_multi_setopt(l->multi, CURLMOPT_TIMERFUNCTION, set_timer) ||
	    curl_multi_setopt(l->multi, CURLMOPT_TIMERDATA, l);
}

static void
free_loop(struct upstream_loop *l)
{
	if (l->multi != NULL && curl_multi_cleanup(l->multi) != CURLM_OK)
		log_warnx("libcurl does not let go of its connections");
	if (l->epoll != -1)
		(void)close(l->epoll); /* nothing to lose in either */
	if (l->wake != -1)
		(void)close(l->wake);
	(void)pthread_mutex_destroy(&l->lock); /* nobody holds it */
	free(l->url);
	free(l);
}

struct upstream_loop *
upstream_loop_new(const char *url)
{
	struct upstream_loop *l = calloc(1, sizeof(*l));

	if (l == NULL || pthread_mutex_init(&l->lock, NULL) != 0) {
		log_warn("cannot prepare for streams");
		free(l);
		return NULL;
	}
	l->curl_due_ms = -1;
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	l->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	l->multi = curl_multi_init();
	if ((l->url = upstream_url(url)) == NULL || l->epoll == -1 ||
	    l->wake == -1 || l->multi == NULL || set_multi(l) ||
	    upstream_watch(l, EPOLL_CTL_ADD, l->wake, EPOLLIN, WAKE) == -1 ||
	    start_thread(l) == -1) {
		log_warnx("cannot prepare for streams");
		free_loop(l);
		return NULL;
	}
	return l;
}

void
upstream_loop_free(struct upstream_loop *l)
{
	if (l == NULL)
		return;
	(void)pthread_mutex_lock(&l->lock);
	l->ending = 1;
	(void)pthread_mutex_unlock(&l->lock);
	wake(l);
	(void)pthread_join(l->thread, NULL); /* it is ours, and once */
	free_loop(l);
}

void
upstream_flow_start(struct upstream_flow *f)
{
	struct upstream_loop *l = f->loop;

	(void)pthread_mutex_lock(&l->lock);
	f->next = l->added;
	l->added = f;
	(void)pthread_mutex_unlock(&l->lock);
	wake(l);
}
