/* An exchange on the loop: what is done with it when something stirs. */
#include "upstream_flow.h"

#include <errno.h>
#include <stdlib.h>

#include "log.h"

/* For what still belongs to an answer of which enough came. */
#define ENOUGH_MS 50

int
upstream_watch(
    struct upstream_loop *l, int op, int fd, uint32_t events, uint64_t what)
{
	struct epoll_event e = { .events = events, .data.u64 = what };

	return epoll_ctl(l->epoll, op, fd, &e);
}

int
upstream_watch_anew(
    struct upstream_loop *l, int fd, uint32_t events, uint64_t what)
{
	int bad = upstream_watch(l, EPOLL_CTL_ADD, fd, events, what);

	if (bad && errno == EEXIST)
		bad = upstream_watch(l, EPOLL_CTL_MOD, fd, events, what);
	return bad;
}

/* By edges: a client that stirred but is not gone stays readable. */
static int
watch_client(struct upstream_flow *f, uint32_t more)
{
	if (f->x.watch_fd < 0)
		return 0;
	f->watched = 1;
	return upstream_watch_anew(f->loop, f->x.watch_fd,
	    EPOLLIN | EPOLLRDHUP | EPOLLET | more, (uintptr_t)f);
}

/* --- From its begin to its end. --- */

static void
end(struct upstream_flow *f, enum upstream_end how)
{
	struct upstream_loop *l = f->loop;

	if (f->watched)
		(void)upstream_watch(l, EPOLL_CTL_DEL, f->x.watch_fd, 0, 0);
	*f->from = f->next;
	if (f->next != NULL)
		f->next->from = f->from;
	/* What stirred with it may still name it. */
	f->ended = 1;
	f->next = l->ended;
	l->ended = f;
	/* First: nobody's answer waits until libcurl has cleared up. */
	f->on_end(f->x.arg, upstream_last_word(&f->t, how));
	if (f->lane != NULL) {
		upstream_finish(f->lane->multi, &f->t);
		upstream_lane_give(f->lane);
	}
	log_request(NULL);
}

static int
begin(struct upstream_flow *f)
{
	f->t.socket = &f->lane->socket;
	return upstream_begin(f->lane->multi, f->loop->url, &f->t);
}

void
upstream_flow_begin(struct upstream_flow *f)
{
	struct upstream_loop *l = f->loop;

	log_request(f->x.name);
	f->next = l->flows;
	f->from = &l->flows;
	if (f->next != NULL)
		f->next->from = &f->next;
	l->flows = f;
	f->lane = upstream_lane_take(l, f->x.keep);
	if (f->lane == NULL || begin(f) == -1)
		end(f, UPSTREAM_UNREACHABLE);
	log_request(NULL);
}

static void
end_late(struct upstream_flow *f, int64_t now)
{
	log_request(f->x.name);
	end(f, upstream_name_lateness(&f->t, now));
}

/* --- What its client is told. --- */

/*
 * As libcurl says. What the upstream cannot have read is tried once more, and
 * what the client has not taken yet it is given first.
 */
void
upstream_flow_done(struct upstream_flow *f, CURLcode code)
{
	log_request(f->x.name);
	f->how = upstream_name_end(&f->t, code);
	if (f->how == UPSTREAM_UNREACHABLE && upstream_was_unread(&f->t) &&
	    upstream_may_retry(&f->t)) {
		upstream_finish(f->lane->multi, &f->t);
		if (begin(f) == -1)
			end(f, UPSTREAM_UNREACHABLE);
	} else if (f->t.dirty) {
		f->over = 1;
		upstream_flow_pause(f);
	} else {
		end(f, f->how);
	}
}

/* Nothing more is read from the upstream until the client has taken some. */
static void
hold(struct upstream_flow *f)
{
	if (f->held_ms != 0)
		return;
	f->held_ms = monotonic_ms();
	if ((!f->over &&
		curl_easy_pause(f->t.easy, CURLPAUSE_RECV) != CURLE_OK) ||
	    watch_client(f, EPOLLOUT) == -1) {
		log_warnx("cannot wait for a slow client");
		end(f, UPSTREAM_STOPPED);
	}
}

static void
let_go(struct upstream_flow *f)
{
	CURLcode code;

	if (f->over)
		end(f, f->how);
	if (f->over || f->held_ms == 0)
		return;
	f->held_ms = 0;
	f->t.heard_ms = monotonic_ms(); /* that was no silence of its */
	if (watch_client(f, 0) == -1) {
		log_warn("cannot watch a client");
		end(f, UPSTREAM_STOPPED);
		return;
	}
	/* Hands on at once what libcurl has. */
	code = curl_easy_pause(f->t.easy, CURLPAUSE_CONT);
	if (code != CURLE_OK)
		end(f, upstream_name_end(&f->t, code));
}

void
upstream_flow_pause(struct upstream_flow *f)
{
	int answer;

	f->t.dirty = 0;
	log_request(f->x.name);
	answer = f->x.on_pause(f->x.arg);
	log_request(NULL);
	if (answer == UPSTREAM_HOLD) {
		hold(f);
		return;
	}
	if (answer != 0 && answer != UPSTREAM_ENOUGH) {
		end(f, UPSTREAM_STOPPED);
		return;
	}
	if (answer == UPSTREAM_ENOUGH && f->enough_ms == 0)
		f->enough_ms = monotonic_ms();
	let_go(f);
}

void
upstream_flow_stir(struct upstream_flow *f, uint32_t events)
{
	if (f->ended)
		return;
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
		log_request(f->x.name);
		if (f->x.on_stir(f->x.arg) != 0) {
			end(f, UPSTREAM_STOPPED);
			return;
		}
		log_request(NULL);
	}
	if ((events & EPOLLOUT) && f->held_ms != 0)
		upstream_flow_pause(f);
}

/* --- Its clocks. --- */

/*
 * A client is watched from the first look on: most answers come before, and
 * would not have been broken off.
 */
void
upstream_flow_clock(struct upstream_flow *f, int64_t now)
{
	if (!f->watched && watch_client(f, 0) == -1) {
		log_warn("cannot watch a client");
		end(f,
		    f->t.body_began ? UPSTREAM_BROKEN : UPSTREAM_UNREACHABLE);
	} else if (f->held_ms != 0) {
		if (now - f->held_ms >= f->x.idle_ms)
			end(f, UPSTREAM_STOPPED);
		else if (now - f->t.started_ms >= f->x.total_ms)
			end_late(f, now);
	} else if (f->enough_ms != 0 && now - f->enough_ms >= ENOUGH_MS) {
		end(f, UPSTREAM_DONE);
	} else if (now >= upstream_deadline(&f->t)) {
		end_late(f, now);
	} else {
		log_request(f->x.name);
		if (upstream_tell_silence(&f->t, now) == -1)
			end(f, UPSTREAM_STOPPED);
		log_request(NULL);
	}
}

struct upstream_flow *
upstream_flow_new(struct upstream_loop *l, const struct upstream_exchange *x,
    void (*on_end)(void *, enum upstream_end))
{
	struct upstream_flow *f = calloc(1, sizeof(*f));

	if (f == NULL) {
		log_warn("cannot begin a stream");
		return NULL;
	}
	f->x = *x;
	f->t.x = &f->x;
	f->t.whole = (struct buf)BUF(UPSTREAM_WHOLE_MAX);
	f->t.changed = &l->changed;
	f->t.alone = !x->keep;
	f->on_end = on_end;
	f->loop = l;
	return f;
}
