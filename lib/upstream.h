/*
 * upstream.h - one streamed exchange with the model server, over libcurl.
 *
 * A struct upstream keeps the connection alive between exchanges; the
 * transfer's own handle and buffers live for one exchange only, so that
 * nothing of it stays behind. One thread at a time; each thread has its own.
 */
#ifndef PMPROXY_UPSTREAM_H
#define PMPROXY_UPSTREAM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct upstream;

/* The fields of an answer's head that may reach a client. */
struct upstream_head {
	int status;
	int64_t length; /* of the body; -1 when not announced */
	int body_taken; /* the request's pieces are not looked at any more */
	char content_type[256];
	char retry_after[64];
	char retry_after_ms[64];
	char should_retry[16]; /* x-should-retry */
};

struct upstream_exchange {
	const char *method; /* "GET" or "POST" */
	const char *path; /* appended to the upstream's URL */
	const char *const *fields; /* "Name: value", NULL-terminated */
	const struct iovec *body; /* POST: its pieces, borrowed */
	size_t n_body;
	const char *name; /* of log lines, in a loop; or NULL */

	int64_t connect_ms; /* to connect */
	int64_t first_byte_ms; /* from the request until the head */
	int64_t idle_ms; /* of silence within the answer */
	int64_t total_ms; /* from the request until the answer's end */

	int keep; /* in a loop: the connection, for the next that keeps */
	int watch_fd; /* -1, or a descriptor whose stirring means on_stir */

	/* A callback that answers nonzero stops the exchange. */
	int (*on_head)(void *, const struct upstream_head *);
	int (*on_body)(void *, const char *, size_t);
	/* No more came just now: time to flush. In a loop it may also answer
	   UPSTREAM_HOLD or UPSTREAM_ENOUGH. */
	int (*on_pause)(void *);
	int (*on_stir)(void *); /* watch_fd is readable or hung up */
	/* The answer has been silent for so long; returns the number of ms
	   after which to be called again, or -1 to stop. NULL: never. */
	int64_t (*on_silence)(void *, int64_t silent_ms);
	void *arg;
};

enum upstream_end {
	UPSTREAM_DONE, /* the whole answer came */
	UPSTREAM_STOPPED, /* a callback stopped it */
	UPSTREAM_UNSENT, /* so early that the request was not sent whole */
	UPSTREAM_UNREACHABLE, /* no connection, or no head that can be read */
	UPSTREAM_TIMEOUT, /* no head in time */
	UPSTREAM_BROKEN /* the answer broke off, went silent, or had no end */
};

/* How an upstream is reached. */
struct upstream_reach {
	uint16_t port;
	int by_name; /* its address must be looked up */
	int by_tls;
};

/* 0, or -1 after logging that 'url' is none. */
int upstream_reach(const char *url, struct upstream_reach *);

/* 'url' without a trailing path. NULL for lack of memory (logged). */
struct upstream *upstream_new(const char *url);
void upstream_free(struct upstream *);

/*
 * Runs one exchange. When it fails before the upstream could have read the
 * request (connection refused; a kept-alive connection found dead, or with
 * something on it that nobody asked for) it is tried once more on a new
 * connection, and nothing else is. An answer is one only when it is HTTP/1 and
 * its length can be read in one way; encodings, which nobody asked for, make it
 * none. A failure is logged with its reason, never with content.
 */
enum upstream_end
upstream_run(struct upstream *, const struct upstream_exchange *);

/*
 * Many exchanges at once on one thread, which is the loop's. Each has a
 * connection of its own, kept by nobody unless it says 'keep'. Callbacks are
 * called on that thread and must not wait: instead of writing to a client that
 * takes nothing on_pause answers
 */
struct upstream_loop;
struct upstream_flow; /* one of them */

/* to be called again once watch_fd takes bytes, and no more is read till then;
   after idle_ms the exchange ends as stopped, */
#define UPSTREAM_HOLD 1
/* or that nothing that matters can follow: what does not come in an instant is
   not waited for, and the exchange ends as done. */
#define UPSTREAM_ENOUGH 2

/*
 * NULL after logging. Freeing it waits for the exchanges under way.
 * 'after_turn' (or NULL) is called whenever the loop is about to wait again.
 */
struct upstream_loop *
upstream_loop_new(const char *url, void (*after_turn)(void));
void upstream_loop_free(struct upstream_loop *);

/*
 * Prepares an exchange as upstream_run runs it. What it borrows has to stay
 * until on_end was called with its 'arg', which is the last that happens. NULL
 * after logging. Once started it is the loop's. Thread-safe.
 */
struct upstream_flow *
upstream_flow_new(struct upstream_loop *, const struct upstream_exchange *,
    void (*on_end)(void *arg, enum upstream_end));
void upstream_flow_start(struct upstream_flow *);

/*
 * What else the loop's thread waits for: 'ready' is called there, with the
 * events (epoll(7)) that the descriptor has of those asked for. It must not
 * wait, and may start exchanges, which then begin at once. What is watched
 * already is from then on watched like this. 0, or -1 with errno.
 * Thread-safe; a call may still be under way when unwatch returns.
 */
struct upstream_watched {
	void (*ready)(struct upstream_watched *, uint32_t events);
};
int upstream_loop_watch(
    struct upstream_loop *, int fd, uint32_t events, struct upstream_watched *);
int upstream_loop_unwatch(struct upstream_loop *, int fd);

/*
 * Upstreams that threads share: the one given back last is taken next, so
 * that few connections stay open and those are warm. Thread-safe.
 */
struct upstream_pool;

/* Keeps 'keep' idle ones at most; borrows 'url'. NULL after logging. */
struct upstream_pool *upstream_pool_new(const char *url, size_t keep);
void upstream_pool_free(struct upstream_pool *); /* with all given back */

/* NULL after logging, for lack of memory. */
struct upstream *upstream_pool_take(struct upstream_pool *);
void upstream_pool_give(struct upstream_pool *, struct upstream *);

#endif
