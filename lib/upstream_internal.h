/*
 * upstream_internal.h - between the files of upstream.c alone: one exchange
 * under way, how libcurl is told of it, and what it brings back.
 */
#ifndef PMPROXY_UPSTREAM_INTERNAL_H
#define PMPROXY_UPSTREAM_INTERNAL_H

#include <curl/curl.h>

#include "buf.h"
#include "upstream.h"

/*
 * A body up to this is sent with its head at once: one system call and one
 * packet less, and libcurl needs no buffer of 64 KiB.
 */
#define UPSTREAM_WHOLE_MAX 16384

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
	int *socket; /* beneath the connection that is kept; -1 unknown */
	int opened; /* this attempt opened it */
	int spoiled; /* it was kept, and something came unasked */
	int sent; /* this attempt was on some connection already */
	int retried;
	int waited; /* on_wait was called */
	int body_began; /* the head was handed on */
	int stopped; /* by a callback */
	int dirty; /* bytes were handed on since the last pause */
	int stirred; /* watch_fd did, and nobody was gone */
	int64_t started_ms; /* when this attempt began */
	int64_t heard_ms; /* when the upstream was last heard, or we busy */
	int64_t next_call_ms; /* of on_silence */
	int64_t next_look_ms; /* at a client that stirred */
};

int64_t upstream_now_ms(void);

/* 1 when this attempt may be repeated; then it has been counted. */
int upstream_may_retry(struct transfer *);

/* Sets every option of t->easy; 0, or not. */
int upstream_set_options(const char *url, struct transfer *);

/* What libcurl shares between threads, or NULL. Lives as long as we do. */
CURLSH *upstream_names(void);

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
