/*
 * Multi handles of libcurl's within a loop. One is for all exchanges that have
 * a connection of their own. Others have one exchange at a time and keep its
 * connection for the next: libcurl says of which connection of many it would
 * take neither before nor after, and one that was spoiled must not be used.
 */
#include <stdlib.h>

#include "log.h"
#include "upstream_flow.h"

/*
 * More that are at rest are closed. Answers come in swarms, and so do the next
 * requests: as many should stay as have been under way.
 */
#define KEPT_MOST 256

/* --- For libcurl. --- */

/* What libcurl watches, as epoll(7) knows it. */
static uint64_t
name_of(const struct upstream_lane *lane, curl_socket_t fd)
{
	return SERVER | (uint64_t)lane->number << 32 | (uint32_t)fd;
}

/*
 * A connection that is kept stays watched: the next exchange waits for the
 * same, and what stirs meanwhile is of interest as well.
 */
static int
unwatch(struct upstream_lane *lane, curl_socket_t fd)
{
	if (lane->number != 0 && lane->socket.fd == fd)
		return 0;
	/* It may have been closed already. */
	(void)upstream_watch(lane->loop, EPOLL_CTL_DEL, fd, 0, 0);
	return 0;
}

/* libcurl's CURLMOPT_SOCKETFUNCTION. */
static int
watch_server(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
	struct upstream_lane *lane = arg;
	struct upstream_socket *s =
	    lane->socket.fd == fd ? &lane->socket : NULL;
	uint32_t events = 0;
	static int yes;

	(void)easy;
	if (what == CURL_POLL_REMOVE)
		return unwatch(lane, fd);
	if (what & CURL_POLL_IN)
		events |= EPOLLIN;
	if (what & CURL_POLL_OUT)
		events |= EPOLLOUT;
	if (known == NULL &&
	    curl_multi_assign(lane->multi, fd, &yes) != CURLM_OK)
		return -1;
	if (lane->number != 0 && s != NULL && s->watched == events)
		return 0;
	if (lane->number != 0 && s != NULL && s->watched != 0)
		known = &yes;
	if (upstream_watch(lane->loop,
		known != NULL ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, events,
		name_of(lane, fd)) == -1) {
		log_warn("cannot watch the upstream");
		return -1;
	}
	if (s != NULL)
		s->watched = events;
	return 0;
}

/* libcurl's CURLMOPT_TIMERFUNCTION. */
static int
set_timer(CURLM *multi, long ms, void *arg)
{
	struct upstream_lane *lane = arg;
	struct upstream_loop *l = lane->loop;

	(void)multi;
	lane->due_ms = ms < 0 ? -1 : monotonic_ms() + ms;
	if (ms == 0 && !lane->at_once) {
		/* As for each that begins: found without a look at all. */
		lane->at_once = 1;
		lane->behind = l->at_once;
		l->at_once = lane;
	} else if (ms > 0 &&
	    (l->curl_due_ms < 0 || lane->due_ms < l->curl_due_ms)) {
		l->curl_due_ms = lane->due_ms;
	}
	return 0;
}

/* --- What is done with it. --- */

static void
end_what_is_done(struct upstream_lane *lane)
{
	/* One that has one exchange at a time may be gone with it. */
	const int shared = lane->number == 0;
	struct upstream_flow *f;
	CURLMsg *m;
	CURLcode code;
	int left;

	while ((m = curl_multi_info_read(lane->multi, &left)) != NULL) {
		code = m->data.result;
		if (m->msg != CURLMSG_DONE ||
		    curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &f) !=
			CURLE_OK)
			continue;
		upstream_flow_done(f, code);
		if (!shared)
			return;
	}
}

static void
drive(struct upstream_lane *lane, curl_socket_t fd, int events)
{
	int running;

	if (curl_multi_socket_action(lane->multi, fd, events, &running) !=
	    CURLM_OK)
		log_warnx("libcurl cannot go on");
	log_request(NULL); /* callbacks may have set it */
	end_what_is_done(lane);
}

void
upstream_lane_stir(struct upstream_loop *l, uint64_t name, uint32_t events)
{
	size_t number = (name & ~SERVER) >> 32;
	curl_socket_t fd = (curl_socket_t)(uint32_t)name;
	struct upstream_lane *lane;
	int how = 0;

	/* What stirred with the end of its lane may still name it. */
	if (number >= l->n_lanes || (lane = l->lanes[number]) == NULL)
		return;
	if (lane->number != 0 && !lane->busy) {
		/* Closed, or spoiled: the next exchange finds out. */
		(void)upstream_watch(l, EPOLL_CTL_DEL, fd, 0, 0);
		lane->socket.watched = 0;
		return;
	}
	if (events & EPOLLIN)
		how |= CURL_CSELECT_IN;
	if (events & EPOLLOUT)
		how |= CURL_CSELECT_OUT;
	if (events & (EPOLLERR | EPOLLHUP))
		how |= CURL_CSELECT_ERR;
	drive(lane, fd, how);
}

static void
drive_if_due(struct upstream_lane *lane, int64_t now)
{
	if (lane->due_ms < 0 || lane->due_ms > now)
		return;
	lane->due_ms = -1;
	drive(lane, CURL_SOCKET_TIMEOUT, 0);
}

/* Those that want to be called at once. What they want meanwhile waits. */
static void
drive_at_once(struct upstream_loop *l, int64_t now)
{
	struct upstream_lane *lane = l->at_once, *next;

	for (l->at_once = NULL; lane != NULL; lane = next) {
		next = lane->behind;
		lane->at_once = 0;
		drive_if_due(lane, now);
	}
}

void
upstream_lanes_clock(struct upstream_loop *l, int64_t now)
{
	struct upstream_lane *lane, *next;

	drive_at_once(l, now);
	if (l->curl_due_ms < 0 || l->curl_due_ms > now)
		return;
	for (lane = l->busy; lane != NULL; lane = next) {
		next = lane->next;
		drive_if_due(lane, now);
	}
	l->curl_due_ms = -1;
	for (lane = l->busy; lane != NULL; lane = lane->next)
		if (lane->due_ms >= 0 &&
		    (l->curl_due_ms < 0 || lane->due_ms < l->curl_due_ms))
			l->curl_due_ms = lane->due_ms;
}

/* --- Its life. --- */

static int
set_multi(struct upstream_lane *lane)
{
	CURLM *m = lane->multi;

	return curl_multi_setopt(m, CURLMOPT_SOCKETFUNCTION, watch_server) ||
	    curl_multi_setopt(m, CURLMOPT_SOCKETDATA, lane) ||
	    curl_multi_setopt(m, CURLMOPT_TIMERFUNCTION, set_timer) ||
	    curl_multi_setopt(m, CURLMOPT_TIMERDATA, lane) ||
	    (lane->number != 0 &&
		curl_multi_setopt(m, CURLMOPT_MAXCONNECTS, 1L));
}

/* A free place among the loop's lanes; -1 for lack of memory. */
static int
find_place(struct upstream_loop *l, uint32_t *number)
{
	struct upstream_lane **more;
	size_t n = l->n_lanes;

	for (*number = 0; *number < n; (*number)++)
		if (l->lanes[*number] == NULL)
			return 0;
	if (n >= UPSTREAM_LANES_MAX)
		return -1;
	/* NOLINTNEXTLINE(bugprone-sizeof-expression): pointers are meant */
	more = reallocarray(l->lanes, n + 1, sizeof(*more));
	if (more == NULL)
		return -1;
	l->lanes = more;
	l->lanes[l->n_lanes++] = NULL;
	return 0;
}

static void
free_lane(struct upstream_lane *lane)
{
	if (lane->multi != NULL && curl_multi_cleanup(lane->multi) != CURLM_OK)
		log_warnx("libcurl does not let go of its connections");
	free(lane);
}

static void
make_busy(struct upstream_lane *lane)
{
	struct upstream_loop *l = lane->loop;

	lane->busy = 1;
	lane->next = l->busy;
	lane->from = &l->busy;
	if (lane->next != NULL)
		lane->next->from = &lane->next;
	l->busy = lane;
}

static struct upstream_lane *
lane_new(struct upstream_loop *l)
{
	struct upstream_lane *lane = calloc(1, sizeof(*lane));

	if (lane == NULL)
		return NULL;
	lane->loop = l;
	lane->due_ms = lane->socket.fd = -1;
	if (find_place(l, &lane->number) == -1 ||
	    (lane->multi = curl_multi_init()) == NULL || set_multi(lane)) {
		free_lane(lane);
		return NULL;
	}
	l->lanes[lane->number] = lane;
	return lane;
}

int
upstream_lanes_begin(struct upstream_loop *l)
{
	struct upstream_lane *shared = lane_new(l); /* the first, number 0 */

	if (shared == NULL)
		return -1;
	make_busy(shared); /* for good */
	return 0;
}

struct upstream_lane *
upstream_lane_take(struct upstream_loop *l, int keep)
{
	struct upstream_lane *lane = keep ? l->resting : l->lanes[0];

	if (!keep)
		return lane;
	if (lane != NULL) {
		l->resting = lane->next;
		l->n_resting--;
	} else if ((lane = lane_new(l)) == NULL) {
		log_warnx("no connection to the upstream can be prepared");
		return NULL;
	}
	make_busy(lane);
	return lane;
}

/* Whoever ends before libcurl was called is due at once still. */
static void
forget(struct upstream_lane *lane)
{
	struct upstream_lane **from = &lane->loop->at_once;

	while (lane->at_once && *from != NULL && *from != lane)
		from = &(*from)->behind;
	if (lane->at_once && *from == lane)
		*from = lane->behind;
}

void
upstream_lane_give(struct upstream_lane *lane)
{
	struct upstream_loop *l = lane->loop;

	if (lane->number == 0)
		return;
	*lane->from = lane->next;
	if (lane->next != NULL)
		lane->next->from = lane->from;
	lane->busy = 0;
	lane->due_ms = -1;
	if (l->n_resting == KEPT_MOST) {
		l->lanes[lane->number] = NULL;
		forget(lane);
		free_lane(lane);
		return;
	}
	lane->next = l->resting;
	l->resting = lane;
	l->n_resting++;
}

void
upstream_lanes_end(struct upstream_loop *l)
{
	for (size_t i = 0; i < l->n_lanes; i++)
		if (l->lanes[i] != NULL)
			free_lane(l->lanes[i]);
	free(l->lanes);
}
