/*
 * floor - the least that a FastCGI responder can be: libfcgi, libcurl and the
 * gate's way to use them, in whose place lighttpd starts it, and nothing of
 * what the gate is for. What it cannot reach the gate cannot reach either.
 *
 * FLOOR=answer    (in the environment) a constant answer of 500 bytes
 * FLOOR=exchange  the upstream's, over kept handles of libcurl; events one by
 *                 one
 * FLOOR=bare      the same bytes over bare kept sockets, one send(2) and one
 *                 recv(2), nothing of them read: what the kernel takes
 *
 * Those are for short bodies, on one thread and one epoll(7). These are for
 * large ones, of which lighttpd asks, a thread each:
 *
 * FLOOR=read      the body whole into fresh memory, a constant answer
 * FLOOR=post      and on to the upstream over the kept handle of libcurl
 */
#include <curl/curl.h>
#include <errno.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/pages.h"
#include "lib/text.h"

#define ANSWER_BYTES 500
#define BODY_MAX 4096
#define TAKEN_AT_ONCE 8
#define THREADS 16 /* for large bodies */

/* What stirred: the listening socket, one of libcurl's, or an exchange. */
#define DOOR UINT64_C(0)
#define LIBCURLS (UINT64_C(1) << 63)

struct exchange {
	FCGX_Request fcgx;
	CURL *easy;
	curl_socket_t socket; /* bare */
	char asked[BODY_MAX], answered[BODY_MAX];
	size_t n_asked, n_answered;
	int streams; /* its answer has gone out, piece by piece */
	struct exchange *next;
};

static char answer[ANSWER_BYTES + 1];
static char url[512]; /* empty: no exchange */
static int bare, large;

/* Of the thread that has an epoll. */
static struct exchange *idle;
static CURLM *multi;
static int epoll, due;

/* Events go on at once. */
static int
pass_on(struct exchange *x, const char *p, size_t n)
{
	static const char head[] = "Content-Type: text/event-stream\r\n\r\n";
	FCGX_Stream *out = x->fcgx.out;

	if (!x->streams)
		(void)FCGX_PutStr(head, sizeof(head) - 1, out);
	x->streams = 1;
	(void)FCGX_PutStr(p, (int)n, out);
	return FCGX_FFlush(out);
}

static size_t
take(char *p, size_t size, size_t n, void *arg)
{
	struct exchange *x = arg;
	const char *type = NULL;

	if (x->n_answered == 0 && !x->streams && !large &&
	    (curl_easy_getinfo(x->easy, CURLINFO_CONTENT_TYPE, &type) ||
		type == NULL))
		return 0;
	if (x->streams ||
	    (type != NULL && strncmp(type, "text/event-stream", 17) == 0))
		return pass_on(x, p, size * n) == 0 ? size * n : 0;
	if (size * n > sizeof(x->answered) - x->n_answered)
		return 0;
	memcpy(x->answered + x->n_answered, p, size * n);
	x->n_answered += size * n;
	return size * n;
}

static void
watch(int fd, int op, uint32_t events, uint64_t name)
{
	struct epoll_event e = { .events = events, .data.u64 = name };

	if (epoll_ctl(epoll, op, fd, &e) == -1 && op != EPOLL_CTL_DEL)
		log_fatal("cannot watch a socket");
}

static void
connect_only(struct exchange *x)
{
	if (curl_easy_setopt(x->easy, CURLOPT_CONNECT_ONLY, 1L) ||
	    curl_easy_perform(x->easy) ||
	    curl_easy_getinfo(x->easy, CURLINFO_ACTIVESOCKET, &x->socket))
		log_fatalx("libcurl cannot connect");
	watch(x->socket, EPOLL_CTL_ADD, EPOLLIN, (uintptr_t)x);
}

static struct exchange *
make(void)
{
	struct curl_slist *fields =
	    curl_slist_append(NULL, "Content-Type: application/json");
	struct exchange *x = calloc(1, sizeof(*x));

	if (fields == NULL || x == NULL ||
	    FCGX_InitRequest(
		&x->fcgx, STDIN_FILENO, FCGI_FAIL_ACCEPT_ON_INTR) != 0 ||
	    (x->easy = curl_easy_init()) == NULL ||
	    curl_easy_setopt(x->easy, CURLOPT_URL, url) ||
	    curl_easy_setopt(x->easy, CURLOPT_NOSIGNAL, 1L) ||
	    curl_easy_setopt(x->easy, CURLOPT_PROXY, "") ||
	    curl_easy_setopt(x->easy, CURLOPT_HTTPHEADER, fields) ||
	    curl_easy_setopt(x->easy, CURLOPT_POSTFIELDS, x->asked) ||
	    curl_easy_setopt(x->easy, CURLOPT_WRITEFUNCTION, take) ||
	    curl_easy_setopt(x->easy, CURLOPT_WRITEDATA, x) ||
	    curl_easy_setopt(x->easy, CURLOPT_PRIVATE, x))
		log_fatalx("libcurl or libfcgi cannot begin");
	if (bare)
		connect_only(x);
	return x;
}

/* Answers, and closes as the gate does. */
static void
put(struct exchange *x, int status, const char *body, size_t n)
{
	char head[128];
	int len = snprintf(head, sizeof(head),
	    "Status: %d\r\nContent-Type: application/json\r\n"
	    "Content-Length: %zu\r\n\r\n",
	    status, n);

	if (!x->streams) { /* who left is nobody to tell */
		(void)FCGX_PutStr(head, len, x->fcgx.out);
		(void)FCGX_PutStr(body, (int)n, x->fcgx.out);
	}
	FCGX_Detach(&x->fcgx);
	FCGX_Finish_r(&x->fcgx);
}

/* --- Short bodies. --- */

static void
rest(struct exchange *x)
{
	x->next = idle;
	idle = x;
}

static void
drive(curl_socket_t fd, int how)
{
	int running, left;
	struct exchange *x;
	CURLMsg *m;
	long status = 502;

	if (curl_multi_socket_action(multi, fd, how, &running) != CURLM_OK)
		log_fatalx("libcurl cannot go on");
	while ((m = curl_multi_info_read(multi, &left)) != NULL) {
		CURL *easy = m->easy_handle;
		int bad = m->data.result != CURLE_OK;

		if (curl_easy_getinfo(easy, CURLINFO_PRIVATE, &x) ||
		    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status) ||
		    curl_multi_remove_handle(multi, easy) != CURLM_OK)
			log_fatalx("libcurl lost an exchange");
		put(x, bad ? 502 : (int)status, x->answered, x->n_answered);
		rest(x);
	}
}

/* libcurl's CURLMOPT_SOCKETFUNCTION. */
static int
watch_server(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
	static int yes;
	uint32_t events = 0;

	(void)easy;
	(void)arg;
	if (what & CURL_POLL_IN)
		events |= EPOLLIN;
	if (what & CURL_POLL_OUT)
		events |= EPOLLOUT;
	watch(fd,
	    what == CURL_POLL_REMOVE ? EPOLL_CTL_DEL
		: known != NULL      ? EPOLL_CTL_MOD
				     : EPOLL_CTL_ADD,
	    events, LIBCURLS | (uint32_t)fd);
	return curl_multi_assign(multi, fd, &yes) == CURLM_OK ? 0 : -1;
}

/* libcurl's CURLMOPT_TIMERFUNCTION; only "at once" is heeded. */
static int
set_timer(CURLM *m, long ms, void *arg)
{
	(void)m;
	(void)arg;
	due = ms == 0;
	return 0;
}

/* The stand-in answers with one write, so it comes whole. */
static void
receive_bare(struct exchange *x)
{
	ssize_t got = recv(x->socket, x->answered, sizeof(x->answered), 0);
	const char *end = NULL;

	if (got > 0)
		end = memmem(x->answered, (size_t)got, "\r\n\r\n", 4);
	if (end == NULL)
		log_fatalx("no exchange");
	end += 4;
	put(x, 200, end, (size_t)(x->answered + got - end));
	rest(x);
}

static void
send_bare(const struct exchange *x)
{
	char sent[BODY_MAX + 256];
	int head = snprintf(sent, sizeof(sent),
	    "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n"
	    "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
	    x->n_asked);

	memcpy(sent + head, x->asked, x->n_asked);
	if (send(x->socket, sent, (size_t)head + x->n_asked, MSG_NOSIGNAL) ==
	    -1)
		log_fatal("no exchange");
}

static void
begin(struct exchange *x)
{
	if (curl_easy_setopt(
		x->easy, CURLOPT_POSTFIELDSIZE, (long)x->n_asked) ||
	    curl_multi_add_handle(multi, x->easy) != CURLM_OK)
		log_fatalx("no exchange");
	while (due) {
		due = 0;
		drive(CURL_SOCKET_TIMEOUT, 0);
	}
}

/* 0 when no request waits. */
static int
take_one(void)
{
	struct exchange *x = idle != NULL ? idle : make();
	int n;

	idle = x->next;
	x->next = NULL;
	if (FCGX_Accept_r(&x->fcgx) != 0) {
		rest(x);
		return 0;
	}
	x->n_asked = x->n_answered = 0;
	x->streams = 0;
	/* lighttpd loses an answer when its request is not read. */
	while ((n = FCGX_GetStr(x->asked + x->n_asked,
		    (int)(BODY_MAX - x->n_asked), x->fcgx.in)) > 0)
		x->n_asked += (size_t)n;
	if (*url == '\0' || x->n_asked == 0) {
		put(x, 200, answer, ANSWER_BYTES);
		rest(x);
	} else if (bare) {
		send_bare(x);
	} else {
		begin(x);
	}
	return 1;
}

static void
stir(const struct epoll_event *e)
{
	uint64_t name = e->data.u64;

	if (name == DOOR) {
		for (int i = 0; i < TAKEN_AT_ONCE && take_one(); i++)
			continue;
	} else if (name & LIBCURLS) {
		drive((curl_socket_t)(uint32_t)name, CURL_CSELECT_IN);
	} else {
		receive_bare(e->data.ptr);
	}
}

static void
serve_short(void)
{
	struct epoll_event events[64];

	epoll = epoll_create1(EPOLL_CLOEXEC);
	multi = curl_multi_init();
	if (epoll == -1 || multi == NULL ||
	    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, watch_server) ||
	    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, set_timer) ||
	    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, 512L) ||
	    fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK) == -1)
		log_fatalx("cannot begin");
	watch(STDIN_FILENO, EPOLL_CTL_ADD, EPOLLIN | EPOLLEXCLUSIVE, DOOR);
	for (;;) {
		int n = epoll_wait(epoll, events, 64, -1);

		if (n == -1 && errno != EINTR)
			log_fatal("cannot wait");
		for (int i = 0; i < n; i++)
			stir(&events[i]);
	}
}

/* --- Large bodies. --- */

static void
post(struct exchange *x, char *body, size_t n)
{
	const char *path = FCGX_GetParam("REQUEST_URI", x->fcgx.envp);
	const char *type = FCGX_GetParam("CONTENT_TYPE", x->fcgx.envp);
	struct curl_slist *fields;
	char to[1024], field[256];
	long status = 502;

	(void)snprintf(to, sizeof(to), "%s%s", url, path);
	(void)snprintf(field, sizeof(field), "Content-Type: %s", type);
	fields = curl_slist_append(NULL, field);
	x->n_answered = 0;
	if (fields == NULL || curl_easy_setopt(x->easy, CURLOPT_URL, to) ||
	    curl_easy_setopt(x->easy, CURLOPT_HTTPHEADER, fields) ||
	    curl_easy_setopt(x->easy, CURLOPT_UPLOAD_BUFFERSIZE, 256L << 10) ||
	    curl_easy_setopt(x->easy, CURLOPT_POSTFIELDS, body) ||
	    curl_easy_setopt(x->easy, CURLOPT_POSTFIELDSIZE, (long)n) ||
	    curl_easy_perform(x->easy) ||
	    curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status))
		log_warnx("no exchange");
	put(x, (int)status, x->answered, x->n_answered);
	curl_slist_free_all(fields);
}

static void
serve_large_one(struct exchange *x)
{
	const char *role = FCGX_GetParam("FCGI_ROLE", x->fcgx.envp);
	const char *length = FCGX_GetParam("CONTENT_LENGTH", x->fcgx.envp);
	int64_t n = 0;
	int at = 0, got;
	char *body;

	if (role != NULL && strcmp(role, "AUTHORIZER") == 0) {
		put(x, 200, "", 0);
		return;
	}
	if (length != NULL && text_to_i64(length, 0, INT_MAX, &n) == -1)
		log_fatalx("no length");
	if ((body = malloc((size_t)n + 1)) == NULL)
		log_fatalx("no room for a body");
	(void)pages_gather(body, (size_t)n);
	while (at < n &&
	    (got = FCGX_GetStr(body + at, (int)n - at, x->fcgx.in)) > 0)
		at += got;
	(void)FCGX_GetChar(x->fcgx.in); /* to its end */
	if (*url != '\0' && at > 0)
		post(x, body, (size_t)at);
	else
		put(x, 200, answer, ANSWER_BYTES);
	free(body);
}

static void *
serve_large(void *arg)
{
	struct exchange *x = make();

	while (FCGX_Accept_r(&x->fcgx) == 0)
		serve_large_one(x);
	return arg;
}

int
main(void)
{
	const char *what = getenv("FLOOR"), *upstream = getenv("UPSTREAM_URL");
	pthread_t thread;

	log_init("floor");
	if (what == NULL || upstream == NULL)
		log_fatalx("FLOOR and UPSTREAM_URL are needed");
	memset(answer, ' ', ANSWER_BYTES);
	memcpy(answer, "{}", 2);
	bare = strcmp(what, "bare") == 0;
	large = strcmp(what, "read") == 0 || strcmp(what, "post") == 0;
	if (bare || strcmp(what, "exchange") == 0 || strcmp(what, "post") == 0)
		(void)snprintf(url, sizeof(url), "%s%s", upstream,
		    large ? "" : "/v1/chat/completions");
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0 || FCGX_Init() != 0)
		log_fatalx("libcurl or libfcgi cannot start");
	if (!large)
		serve_short();
	for (int i = 1; i < THREADS; i++)
		if (pthread_create(&thread, NULL, serve_large, NULL) != 0)
			log_fatalx("cannot start threads");
	(void)serve_large(NULL);
	return 1;
}
