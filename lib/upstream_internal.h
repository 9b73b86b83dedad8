/*
 * upstream_internal.h - between the files of upstream.c alone: one exchange
 * under way, how libcurl is told of it, and what it brings back.
 */
#ifndef PMPROXY_UPSTREAM_INTERNAL_H
#define PMPROXY_UPSTREAM_INTERNAL_H

#include <curl/curl.h>

#include "buf.h"
#include "monotonic.h"
#include "upstream.h"

/*
 * A body up to this is sent with its head at once: one system call and one
 * packet less, and libcurl needs no buffer of 64 KiB.
 */
#define UPSTREAM_WHOLE_MAX 16384

/* A socket of libcurl's, beneath a connection that may be kept. */
struct upstream_socket {
	int fd; /* -1: unknown */
	uint32_t watched; /* by a loop, for these events */
};

struct transfer {
	const struct upstream_exchange *x;
	CURL *easy;
	struct curl_slist *fields;
	struct upstream_head head;
	size_t head_bytes;
	int n_lengths, n_codings; /* fields that say how long it is */
	const char *refused; /* why the answer is none, or NULL */
	size_t piece, at; /* reading position in the body's pieces */
	struct buf whole; /* or the pieces of a short body, joined */
	CURLcode code; /* how libcurl ended this attempt */
	struct upstream_socket *socket; /* where it is noted */
	int opened; /* this attempt opened it */
	int spoiled; /* it was kept, and something came unasked */
	int sent; /* this attempt was on some connection already */
	int retried;
	int body_began; /* the head was handed on */
	int stopped; /* by a callback */
	int dirty; /* bytes were handed on since the last pause */
	int stirred; /* watch_fd did, and nobody was gone */
	int64_t started_ms; /* when this attempt began */
	int64_t heard_ms; /* when the upstream was last heard, or we busy */
	int64_t next_call_ms; /* of on_silence */
	int64_t next_look_ms; /* at a client that stirred */
	struct transfer **changed; /* a loop's list of dirty ones, or NULL */
	struct transfer *next_changed;
	int listed; /* on it */
	int alone; /* over a connection that nobody keeps */
};

/* A copy without slashes at its end; NULL for lack of memory, or too long. */
char *upstream_url(const char *);

/* 1 when this attempt may be repeated; then it has been counted. */
int upstream_may_retry(struct transfer *);

/*
 * Begins an attempt with a handle of its own within 'multi'; 0, or -1 after
 * logging. Either way upstream_finish ends it, and takes its buffers away.
 */
int upstream_begin(CURLM *multi, const char *url, struct transfer *);
void upstream_finish(CURLM *multi, struct transfer *);

/* What came of it, by libcurl's word or by the clock; logged when bad. */
enum upstream_end upstream_name_end(struct transfer *, CURLcode);
enum upstream_end upstream_name_lateness(const struct transfer *, int64_t now);

/* The same as callers are told it. */
enum upstream_end
upstream_last_word(const struct transfer *, enum upstream_end);

/* 1 when the upstream cannot have read the whole request. */
int upstream_was_unread(const struct transfer *);

/* Until when the next thing has to happen. */
int64_t upstream_deadline(const struct transfer *);

/* Calls on_silence when it is due; returns when to ask again, -1 to stop. */
int64_t upstream_tell_silence(struct transfer *, int64_t now);

/* Bytes were handed on: a pause is to be told. */
void upstream_mark(struct transfer *);

/* Sets every option of t->easy; 0, or not. */
int upstream_set_options(const char *url, struct transfer *);

/* Wipes and frees what upstream_set_options made. */
void upstream_free_options(struct transfer *);

/* libcurl's callbacks for its socket; the second gets t->socket. */
curl_socket_t
upstream_open_socket(void *transfer, curlsocktype, struct curl_sockaddr *);
int upstream_close_socket(void *, curl_socket_t);

/* 1 when the kept connection cannot be trusted with another request. */
int upstream_is_spoiled(const struct transfer *);

/* libcurl's callbacks for an answer. */
size_t upstream_take_head(char *, size_t, size_t, void *transfer);
size_t upstream_take_body(char *, size_t, size_t, void *transfer);

#endif
