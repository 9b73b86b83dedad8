/*
 * floor - the least that a FastCGI responder can be: libfcgi and the threads
 * of v1.fcgi, in whose place lighttpd starts it, and nothing of what the gate
 * is for. What it cannot reach the gate cannot reach either.
 *
 * FLOOR=answer    (in the environment) a constant answer of 500 bytes
 * FLOOR=exchange  the upstream's, over one kept handle of libcurl a thread
 * FLOOR=bare      the same bytes over a bare kept socket, one send(2), poll(2)
 *                 and recv(2), nothing of them read: what the kernel takes
 *
 * Those are for short bodies, these for large ones, of which lighttpd asks:
 *
 * FLOOR=read      the body whole into fresh memory, a constant answer
 * FLOOR=post      and on to the upstream over the kept handle of libcurl
 */
#include <curl/curl.h>
#include <fcgiapp.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fcgi/gate.h"
#include "fcgi/workers.h"
#include "lib/log.h"
#include "lib/pages.h"

#define ANSWER_BYTES 500
#define BODY_MAX 4096

struct exchange {
	CURL *easy;
	curl_socket_t socket; /* bare */
	char asked[BODY_MAX], answered[BODY_MAX];
	size_t n_answered;
};

static char answer[ANSWER_BYTES + 1];
static char url[512]; /* empty: no exchange */
static int bare, large;

static size_t
take(char *p, size_t size, size_t n, void *arg)
{
	struct exchange *x = arg;

	if (size * n > sizeof(x->answered) - x->n_answered)
		return 0;
	memcpy(x->answered + x->n_answered, p, size * n);
	x->n_answered += size * n;
	return size * n;
}

static int
connect_only(struct exchange *x)
{
	return curl_easy_setopt(x->easy, CURLOPT_CONNECT_ONLY, 1L) ||
		curl_easy_perform(x->easy) ||
		curl_easy_getinfo(x->easy, CURLINFO_ACTIVESOCKET, &x->socket)
	    ? -1
	    : 0;
}

/* A thread's own, for good. */
static struct exchange *
kept(void)
{
	static _Thread_local struct exchange *x;
	struct curl_slist *fields;

	if (x != NULL)
		return x;
	fields = curl_slist_append(NULL, "Content-Type: application/json");
	if (fields == NULL || (x = calloc(1, sizeof(*x))) == NULL ||
	    (x->easy = curl_easy_init()) == NULL ||
	    curl_easy_setopt(x->easy, CURLOPT_URL, url) ||
	    curl_easy_setopt(x->easy, CURLOPT_NOSIGNAL, 1L) ||
	    curl_easy_setopt(x->easy, CURLOPT_PROXY, "") ||
	    curl_easy_setopt(x->easy, CURLOPT_HTTPHEADER, fields) ||
	    curl_easy_setopt(x->easy, CURLOPT_POSTFIELDS, x->asked) ||
	    curl_easy_setopt(x->easy, CURLOPT_WRITEFUNCTION, take) ||
	    curl_easy_setopt(x->easy, CURLOPT_WRITEDATA, x) ||
	    (bare && connect_only(x) == -1))
		log_fatalx("libcurl cannot begin");
	return x;
}

static void
put(FCGX_Stream *out, int status, const char *body, size_t n)
{
	char head[128];
	int len = snprintf(head, sizeof(head),
	    "Status: %d\r\nContent-Type: application/json\r\n"
	    "Content-Length: %zu\r\n\r\n",
	    status, n);

	/* Who left is nobody to tell. */
	(void)FCGX_PutStr(head, len, out);
	(void)FCGX_PutStr(body, (int)n, out);
}

/* The stand-in answers with one write, so it comes whole. */
static void
pass_on_bare(FCGX_Stream *out, struct exchange *x, size_t n)
{
	struct pollfd p = { .fd = x->socket, .events = POLLIN };
	char sent[BODY_MAX + 256];
	int head = snprintf(sent, sizeof(sent),
	    "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n"
	    "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
	    n);
	const char *end = NULL;
	ssize_t got = -1;

	memcpy(sent + head, x->asked, n);
	if (send(p.fd, sent, (size_t)head + n, MSG_NOSIGNAL) != -1 &&
	    poll(&p, 1, -1) == 1)
		got = recv(p.fd, x->answered, sizeof(x->answered), 0);
	if (got > 0)
		end = memmem(x->answered, (size_t)got, "\r\n\r\n", 4);
	if (end == NULL)
		log_fatalx("no exchange");
	end += 4;
	put(out, 200, end, (size_t)(x->answered + got - end));
}

static void
pass_on(FCGX_Stream *out, struct exchange *x, long n)
{
	long status = 502;

	x->n_answered = 0;
	if (curl_easy_setopt(x->easy, CURLOPT_POSTFIELDSIZE, n) != CURLE_OK ||
	    curl_easy_perform(x->easy) != CURLE_OK ||
	    curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status) !=
		CURLE_OK)
		log_warnx("no exchange");
	put(out, (int)status, x->answered, x->n_answered);
}

static void
post(struct http *http, char *body, size_t n)
{
	const char *path = FCGX_GetParam("REQUEST_URI", http->fcgx->envp);
	const char *type = FCGX_GetParam("CONTENT_TYPE", http->fcgx->envp);
	struct exchange *x = kept();
	struct curl_slist *fields;
	char to[1024], field[256];

	(void)snprintf(to, sizeof(to), "%s%s", url, path);
	(void)snprintf(field, sizeof(field), "Content-Type: %s", type);
	fields = curl_slist_append(NULL, field);
	if (fields == NULL || curl_easy_setopt(x->easy, CURLOPT_URL, to) ||
	    curl_easy_setopt(x->easy, CURLOPT_HTTPHEADER, fields) ||
	    curl_easy_setopt(x->easy, CURLOPT_UPLOAD_BUFFERSIZE, 256L << 10) ||
	    curl_easy_setopt(x->easy, CURLOPT_POSTFIELDS, body))
		log_fatalx("libcurl cannot post");
	pass_on(http->fcgx->out, x, (long)n);
	curl_slist_free_all(fields);
}

static void
serve_large(struct http *http)
{
	int64_t n = http_body_announced(http);
	char *body = malloc((size_t)n + 1);
	int at = 0, got;

	if (http_is_asking(http)) {
		put(http->fcgx->out, 200, "", 0);
		free(body);
		return;
	}
	if (body == NULL || n < 0 || n > INT_MAX)
		log_fatalx("no room for a body");
	(void)pages_gather(body, (size_t)n);
	while (at < n &&
	    (got = FCGX_GetStr(body + at, (int)n - at, http->fcgx->in)) > 0)
		at += got;
	(void)FCGX_GetChar(http->fcgx->in); /* to its end */
	if (*url != '\0' && at > 0)
		post(http, body, (size_t)at);
	else
		put(http->fcgx->out, 200, answer, ANSWER_BYTES);
	free(body);
}

static void
serve_short(struct http *http)
{
	struct exchange *x = *url != '\0' ? kept() : NULL;
	FCGX_Stream *in = http->fcgx->in, *out = http->fcgx->out;
	char body[BODY_MAX];
	int n, all = 0;

	/* lighttpd loses an answer when its request is not read. */
	while ((n = FCGX_GetStr(body, sizeof(body), in)) > 0) {
		if (x != NULL && n + all <= BODY_MAX)
			memcpy(x->asked + all, body, (size_t)n);
		all = all + n <= BODY_MAX ? all + n : BODY_MAX;
	}
	if (x != NULL && all > 0 && bare)
		pass_on_bare(out, x, (size_t)all);
	else if (x != NULL && all > 0)
		pass_on(out, x, all);
	else
		put(out, 200, answer, ANSWER_BYTES);
}

/* In place of the gate's (fcgi/gate.h); this gate is no more than a name. */
int
serve(struct gate *g, struct http *http, struct call *c)
{
	(void)g;
	(void)c;
	if (large)
		serve_large(http);
	else
		serve_short(http);
	http->body_read = http->head_sent = 1;
	return 0;
}

/* No answer here goes on without its thread. */
void
serve_rest(struct call *c)
{
	(void)c;
}

void
relay_start(struct call *c)
{
	(void)c;
}

void
wipe_stack(void)
{
}

void
wipe_sparingly(int yes)
{
	(void)yes;
}

int
main(void)
{
	struct config *config;
	const char *what = getenv("FLOOR");
	uint32_t threads;

	log_init("floor");
	if (what == NULL || (config = config_load()) == NULL)
		log_fatalx("FLOOR and the settings of a gate are needed");
	threads = (uint32_t)(config_number(config, CONFIG_MAX_IN_FLIGHT) /
		      config_number(config, CONFIG_PROCESSES)) +
	    16;
	memset(answer, ' ', ANSWER_BYTES);
	memcpy(answer, "{}", 2);
	bare = strcmp(what, "bare") == 0;
	large = strcmp(what, "read") == 0 || strcmp(what, "post") == 0;
	if (bare || strcmp(what, "exchange") == 0 || strcmp(what, "post") == 0)
		(void)snprintf(url, sizeof(url), "%s%s",
		    config_text(config, CONFIG_UPSTREAM_URL),
		    large ? "" : "/v1/chat/completions");
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0 || FCGX_Init() != 0)
		log_fatalx("libcurl or libfcgi cannot start");
	workers_start(NULL, threads, 0);
	(void)pause(); /* until a signal: lighttpd's, or libfcgi's SIGUSR1 */
	_exit(0);
}
