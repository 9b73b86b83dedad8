/* Asks /health, tells systemd. */
#include "cli/watch.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <curl/curl.h>

#include "lib/config.h"
#include "lib/log.h"
#include "lib/text.h"

/* Before the first answer, when somebody waits for it. */
#define EAGER_MS 250
/* Where systemd names no time, and the longest for one answer. */
#define USUAL_MS 15000
#define ANSWER_MS 10000
#define PORTS 2
#define URL_SIZE 300

struct watch {
	char urls[PORTS][URL_SIZE]; /* "" where there is none */
	CURL *curl;
	int interval_ms;
	int good; /* the last answer was */
};

/* A datagram to NOTIFY_SOCKET, whose @ stands for a NUL. */
static int
notify(const char *text)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	size_t n = path != NULL ? strlen(path) : 0;
	ssize_t sent;
	int fd;

	if (n < 2 || n > sizeof(to.sun_path) || strchr("/@", *path) == NULL) {
		log_warnx("NOTIFY_SOCKET: not a socket's name");
		return -1;
	}
	memcpy(to.sun_path, path, n);
	if (*path == '@')
		to.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd == -1) {
		log_warn("cannot tell systemd");
		return -1;
	}
	sent = sendto(fd, text, strlen(text), MSG_NOSIGNAL,
	    (const struct sockaddr *)&to,
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
	if (sent == -1)
		log_warn("cannot tell systemd");
	(void)close(fd); /* nothing of ours is buffered in it */
	return sent == -1 ? -1 : 0;
}

/* The address that the web server listens on, as this host reaches it. */
static const char *
own_host(void)
{
	const char *given = getenv("PMPROXY_BIND");

	if (given == NULL || *given == '\0' || strcmp(given, "0.0.0.0") == 0)
		return "127.0.0.1";
	return strcmp(given, "[::]") == 0 ? "[::1]" : given;
}

static void
put_url(char out[URL_SIZE], const char *scheme, int64_t port)
{
	int n = snprintf(out, URL_SIZE, "%s://%s:%lld/health", scheme,
	    own_host(), (long long)port);

	if (n < 0 || n >= URL_SIZE)
		*out = '\0';
}

/*
 * Where the gate may be asked. Beside TLS there may be a port without, which
 * is the only one until a first certificate has come. Read anew whenever
 * nobody answers: a reload may have changed it.
 */
static void
find_urls(struct watch *w)
{
	struct config *c = config_load();
	enum config_name plain = config_find("HTTP_PORT");
	int tls;

	if (c == NULL)
		return; /* logged; the old ones stay */
	memset(w->urls, 0, sizeof(w->urls));
	tls = *config_text(c, CONFIG_TLS_CERT_FILE) != '\0';
	put_url(
	    w->urls[0], tls ? "https" : "http", config_number(c, CONFIG_PORT));
	if (plain != CONFIG__MAX && config_number(c, plain) > 0)
		put_url(w->urls[1], "http", config_number(c, plain));
	config_free(c);
}

static size_t
forget(char *data, size_t size, size_t n, void *none)
{
	(void)data;
	(void)none;
	return size * n;
}

/*
 * libcurl keeps the connection: one that stands gets an answer even while
 * others have taken every place that the web server has.
 */
static int
prepare(struct watch *w)
{
	long limit = w->interval_ms < ANSWER_MS ? w->interval_ms : ANSWER_MS;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0 ||
	    (w->curl = curl_easy_init()) == NULL ||
	    curl_easy_setopt(w->curl, CURLOPT_WRITEFUNCTION, forget) != 0 ||
	    curl_easy_setopt(w->curl, CURLOPT_TIMEOUT_MS, limit) != 0 ||
	    curl_easy_setopt(w->curl, CURLOPT_NOSIGNAL, 1L) != 0 ||
	    curl_easy_setopt(w->curl, CURLOPT_PROXY, "") != 0 ||
	    /* On this host, to see whether it lives: by whatever name. */
	    curl_easy_setopt(w->curl, CURLOPT_SSL_VERIFYPEER, 0L) != 0 ||
	    curl_easy_setopt(w->curl, CURLOPT_SSL_VERIFYHOST, 0L) != 0) {
		log_warnx("libcurl cannot start");
		return -1;
	}
	return 0;
}

/* 1 when /health says 200 in time. */
static int
is_healthy(struct watch *w, const char *url)
{
	long status = 0;

	return *url != '\0' &&
	    curl_easy_setopt(w->curl, CURLOPT_URL, url) == CURLE_OK &&
	    curl_easy_perform(w->curl) == CURLE_OK &&
	    curl_easy_getinfo(w->curl, CURLINFO_RESPONSE_CODE, &status) ==
	    CURLE_OK &&
	    status == 200;
}

/* Asks, and tells systemd; what changed is logged. */
static void
look(struct watch *w, int *ready)
{
	int good = 0;

	for (int i = 0; i < PORTS && !good; i++)
		good = is_healthy(w, w->urls[i]);
	if (good) {
		(void)notify(*ready ? "WATCHDOG=1" : "READY=1\nWATCHDOG=1");
		if (*ready && !w->good)
			log_info("the gate answers again");
		*ready = 1;
	} else {
		if (*ready && w->good)
			log_warnx("the gate does not answer /health");
		find_urls(w);
	}
	w->good = good;
}

static int
interval_ms(void)
{
	const char *given = getenv("WATCHDOG_USEC");
	int64_t usec;

	/* Four chances before systemd loses patience. */
	if (given != NULL && text_to_i64(given, 4000, INT32_MAX, &usec) == 0)
		return (int)(usec / 4000);
	return USUAL_MS;
}

/* Until the next look; 0, or -1 once the gate has ended. */
static int
wait_a_while(int gate, int ms)
{
	struct pollfd ends = { .fd = gate, .events = POLLIN };

	if (poll(&ends, 1, ms) == -1 && errno != EINTR) {
		log_warn("cannot watch the gate");
		return -1;
	}
	return ends.revents != 0 ? -1 : 0;
}

static void
watch(int gate)
{
	struct watch w = { .interval_ms = interval_ms(), .good = 1 };
	int ready = 0, ms = 0;

	find_urls(&w);
	if (prepare(&w) == -1)
		return;
	while (wait_a_while(gate, ms) == 0) {
		look(&w, &ready);
		ms = !ready && w.interval_ms > EAGER_MS ? EAGER_MS
							: w.interval_ms;
	}
}

/* Nobody's child: lighttpd waits for its own to end before it starts anew. */
static int
leave_parent(void)
{
	pid_t child = fork();
	int status;

	if (child > 0 && waitpid(child, &status, 0) == child &&
	    WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 1;
	if (child == 0 && (child = fork()) != 0)
		_exit(child == -1);
	if (child == 0)
		return 0;
	log_warn("cannot watch the gate");
	return -1;
}

int
watch_start(void)
{
	int gate, who;

	if (getenv("NOTIFY_SOCKET") == NULL)
		return 0;
	gate = pidfd_open(getpid(), 0); /* closed on exec(3) */
	if (gate == -1) {
		log_warn("cannot watch the gate");
		return -1;
	}
	if ((who = leave_parent()) != 0) {
		(void)close(gate); /* nothing is lost with it */
		return who == 1 ? 0 : -1;
	}
	log_init("pmproxy-watch");
	watch(gate);
	_exit(0);
}
