/*
 * http.h - one request being answered, the same over FastCGI, CGI and in tests.
 *
 * Strings handed out are borrowed until the request ends. An answer is built
 * in order: status and header fields, then the body; the first byte of body
 * (or http_end) sends the head. One thread at a time.
 */
#ifndef PMPROXY_HTTP_H
#define PMPROXY_HTTP_H

#include <stddef.h>
#include <stdint.h>

#include "buf.h"

struct FCGX_Request;
struct peers;

/* The request header fields that anybody here may ask for. */
enum http_field {
	HTTP_ACCEPT,
	HTTP_ACCEPT_LANGUAGE,
	HTTP_AUTHORIZATION,
	HTTP_ANTHROPIC_BETA,
	HTTP_ANTHROPIC_VERSION,
	HTTP_CONTENT_LENGTH,
	HTTP_CONTENT_LENGTH_SENT, /* the same as a header */
	HTTP_CONTENT_TYPE,
	HTTP_COOKIE,
	HTTP_FORWARDED,
	HTTP_HOST,
	HTTP_OPENAI_BETA,
	HTTP_ORIGIN,
	HTTP_REQUEST_METHOD_ASKED, /* Access-Control-Request-Method */
	HTTP_SEC_FETCH_SITE,
	HTTP_TRANSFER_ENCODING,
	HTTP_X_API_KEY,
	HTTP_X_FORWARDED_FOR,
	HTTP_X_FORWARDED_PROTO,
	HTTP_FIELD__MAX
};

#define HTTP_VARIABLES_MAX 32

struct http {
	/* private */
	struct FCGX_Request *fcgx;
	int cgi; /* standard input and output */
	const char *memory_body;
	size_t memory_left;
	struct buf *memory_out;
	struct buf head;
	char *path;
	size_t path_len;
	int head_sent;
	int body_read; /* standard input was read to its end */
	int read_bound; /* no read waits for ever */
	int failed; /* nobody reads what is written */
	int ambiguous;
	const char *variables[HTTP_VARIABLES_MAX]; /* http_internal.h */
};

/* Borrows the accepted request until http_end; 'whole': its body is there. */
void http_from_fcgx(struct http *, struct FCGX_Request *, int whole);

/* The process's own environment, standard input and output (RFC 3875). */
void http_from_cgi(struct http *);

/*
 * A request made of CGI variables ("NAME=value", NULL-terminated) and a body;
 * the answer, head included, is appended to 'out'. All borrowed.
 */
void http_from_memory(struct http *, const char *const *env, const char *body,
    size_t len, struct buf *out);

const char *http_method(const struct http *); /* never NULL */

/*
 * The path of the request target as the client sent it, still percent-encoded
 * and without the query; never NULL. A path that two readers could read in two
 * ways is "": dot segments, empty segments, backslashes, bytes outside
 * printable ASCII, escapes of a dot, a percent sign or a control byte.
 */
const char *http_path(struct http *);

/* What stands behind the target's '?', as it was sent; never NULL. */
const char *http_query(const struct http *);

/* NULL when the client did not send it. */
const char *http_field(const struct http *, enum http_field);

/*
 * 1 when one of these fields came twice: "X_Forwarded_For" has the CGI name of
 * "X-Forwarded-For", and nothing tells which of them a proxy wrote.
 */
int http_is_ambiguous(const struct http *);

/* "198.51.100.7" as the web server saw it; "" when unknown. */
const char *http_remote_address(const struct http *);

/* The port that the client is connected from; 0 when unknown. */
uint16_t http_remote_port(const struct http *);

/*
 * 1 when the web server only asks whether it may take the request in
 * (FastCGI's authorizer): nothing of a body has been read. With http_admit it
 * is answered by yes, and the ticket comes back with the request itself;
 * every other answer goes to the client.
 */
int http_is_asking(const struct http *);
int http_admit(struct http *, uint64_t ticket);
uint64_t http_ticket(const struct http *); /* 0: none */
int http_was_asked(const struct http *); /* 1 for a request let in so */

/* 1 when the connection to the web server is TLS. */
int http_is_tls(const struct http *);

/*
 * The same as seen from the client's side, when the peer is one of those that
 * are believed. With a list of them it is the right-most hop that is not on
 * the list which counts: left of it the client may have made things up. With
 * "everybody" the right-most of all. Which header they write peers.h knows;
 * X-Forwarded-Proto goes with X-Forwarded-For and is read right-most.
 */
int http_is_secure(const struct http *, const struct peers *);

/*
 * The field that binds browsers to https, where a proxy in front spoke it: the
 * web server says so itself where TLS ends with it.
 */
int http_head_https_only(struct http *, const struct peers *);

#define HTTP_NETWORK_SIZE 9
/*
 * What limits know the client's address by: a byte for its kind and IPv4
 * whole, IPv6 by its /64, since one household or phone has as many. Whatever
 * is no address counts as one and the same. Returns the length.
 */
size_t http_client_network(const struct http *, const struct peers *,
    unsigned char out[HTTP_NETWORK_SIZE]);

enum http_body {
	HTTP_BODY_OK,
	HTTP_BODY_NO_LENGTH, /* its length is not announced */
	HTTP_BODY_TOO_LARGE, /* more than the buffer's cap */
	HTTP_BODY_SHORT, /* it ended before its announced length */
	HTTP_BODY_LATE, /* nothing more of it came for a while */
	HTTP_BODY_MEMORY
};

/*
 * What Content-Length announces, 0 when nothing; -1 when unreadable. Who asks
 * has to vouch for it (PMPROXY_LENGTH): of a chunked body it is not known yet,
 * and a header that looks like it is the client's invention.
 */
int64_t http_body_announced(const struct http *);

/* Reads the whole body into an empty buffer. */
enum http_body http_body(struct http *, struct buf *);

/*
 * Reads and forgets what is left of the body. Before a client can be watched,
 * and before an answer to a request whose body nobody wanted.
 */
void http_body_discard(struct http *);

/*
 * The body was read and the answer will take long: gives back what is not
 * needed for it. May be called again, when the head went out meanwhile.
 */
void http_settle(struct http *);

/* Head: status first, then fields. Values without control characters. */
int http_status(struct http *, int code);
int http_head(struct http *, const char *name, const char *fmt, ...)
    __attribute__((__format__(__printf__, 3, 4)));

/* Body; -1 once the client is gone or has not read for the write timeout. */
int http_write(struct http *, const void *, size_t);
int http_flush(struct http *);

/*
 * 1 when the web server takes some 100 KiB without a wait: a Unix socket says
 * so while at most a quarter of its room is used (unix(7), SO_SNDBUF).
 */
int http_takes_more(const struct http *);

/* How long a write may wait for a client that does not read. */
int http_write_timeout(struct http *, int64_t seconds);

/* The descriptor that stirs when the client goes away; -1 when none does. */
int http_watch_fd(const struct http *);

/* 1 when nobody reads any more. After the body was read. */
int http_gone(struct http *);

/* Nobody takes what is sent: nothing more is, and nothing waits. Always -1. */
int http_abandon(struct http *);

/*
 * Ends the answer so that the client can tell it is incomplete: the web
 * server cuts the connection instead of ending the body tidily.
 */
void http_cut(struct http *);

/* Sends what is not sent yet and wipes what was kept. */
void http_end(struct http *);

#endif
