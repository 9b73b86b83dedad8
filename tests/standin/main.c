/*
 * standin - a stand-in for the upstream, privatemode-proxy with vLLM behind
 * it, for tests and the demo. It is no model: it echoes, and says so.
 *
 * Simplifications:
 * - A token is a piece: a word with the space before it, at most 64 bytes.
 *   prompt_tokens = bytes of the prompt / 4, rounded up; completion_tokens =
 *   pieces said. The prompt is the last message's text (or 'prompt', 'input').
 * - cached_tokens = half the prompt in blocks of 16 when the request has a
 *   cache_salt, else 0; nothing is really cached.
 * - A second of audio is 32,000 bytes of the file, whatever is in it, and
 *   has 50 prompt tokens.
 * - Unknown members are ignored and hardly any value is validated, where
 *   vLLM checks each. The sampling parameters do nothing; max_tokens counts.
 * - Vectors have 256 dimensions unless asked, and mean nothing.
 * - No attestation, no encryption, no TLS, no quota of its own.
 * - HTTP: no trailers kept, no compression, no upgrade; a client that closes
 *   its sending side is taken to be gone.
 * - Out of memory, it ends.
 */
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conn.h"
#include "lib/log.h"
#include "lib/text.h"

#define BACKLOG 4096

struct options {
	const char *host;
	int64_t port, ready_fd;
};

static void
usage(FILE *to)
{
	(void)fprintf(to,
	    "usage: standin [--port N] [--host ADDRESS] [--ready-fd N] "
	    "[--require-key KEY]\n"
	    "               [--apiKey @FILE] [--workspace FOLDER]\n"
	    "A stand-in for the upstream; not Privatemode, no model. "
	    "Port 0 is any free one.\n");
}

static int64_t
number(const char *text, int64_t max)
{
	int64_t n;

	if (text_to_i64(text, 0, max, &n) == -1)
		errx(1, "not a number in range: '%s'", text);
	return n;
}

/* The key goes nowhere, but is as missing here as it would be there. */
static void
need_key(const char *given)
{
	FILE *file;

	if (*given != '@')
		errx(1,
		    "--apiKey: a key on the command line shows in ps(1): "
		    "give @FILE");
	if ((file = fopen(given + 1, "re")) == NULL)
		err(1, "failed to read API key file '%s'", given + 1);
	if (fgetc(file) == EOF)
		errx(1, "API key file '%s' is empty", given + 1);
	(void)fclose(file);
}

/* The upstream keeps the manifests that it has seen there. */
static void
make_manifests(const char *workspace)
{
	char path[4096];
	int n = snprintf(path, sizeof(path), "%s/manifests", workspace);

	if (n < 0 || (size_t)n >= sizeof(path))
		errx(1, "--workspace: too long a name");
	if (mkdir(path, 0700) == -1 && errno != EEXIST)
		err(1, "cannot make '%s'", path);
}

static void
options_read(struct options *options, int argc, char **argv)
{
	static const struct option names[] = {
		{ "port", required_argument, NULL, 'p' },
		{ "host", required_argument, NULL, 'h' },
		{ "ready-fd", required_argument, NULL, 'r' },
		{ "require-key", required_argument, NULL, 'k' },
		{ "apiKey", required_argument, NULL, 'a' },
		{ "workspace", required_argument, NULL, 'w' },
		{ "help", no_argument, NULL, '?' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (option == 'p')
			options->port = number(optarg, 65535);
		else if (option == 'h')
			options->host = optarg;
		else if (option == 'r')
			options->ready_fd = number(optarg, 1 << 20);
		else if (option == 'k')
			answer_require_key(optarg);
		else if (option == 'a')
			need_key(optarg);
		else if (option == 'w')
			make_manifests(optarg);
		else {
			usage(optopt == 0 ? stdout : stderr);
			exit(optopt == 0 ? 0 : 1);
		}
	}
	if (optind < argc) {
		usage(stderr);
		exit(1);
	}
}

/* The listening socket; *port becomes the one it got. */
static int
listen_at(const char *host, int64_t *port)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)*port) };
	socklen_t size = sizeof(address);
	int fd, on = 1;

	if (inet_pton(AF_INET, host, &address.sin_addr) != 1)
		log_fatalx("not an IPv4 address: '%s'", host);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	/* Accepted sockets inherit TCP_NODELAY: one call less for each. */
	if (fd == -1 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == -1 ||
	    bind(fd, (struct sockaddr *)&address, size) == -1 ||
	    listen(fd, BACKLOG) == -1 ||
	    getsockname(fd, (struct sockaddr *)&address, &size) == -1)
		log_fatal("cannot listen at %s:%d", host, (int)*port);
	*port = ntohs(address.sin_port);
	return fd;
}

static void
signal_ready(struct watch *watch, uint32_t events)
{
	(void)watch;
	(void)events;
	loop_stop();
}

static int
signal_open(void)
{
	sigset_t set;
	int fd;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, NULL) == -1 ||
	    (fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)) == -1)
		log_fatal("signals");
	return fd;
}

/* Thousands of connections; the default soft limit is 1024. */
static void
raise_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) == -1)
		log_warn("cannot have more open files");
}

static void
announce(const struct options *options)
{
	(void)fprintf(stderr,
	    "standin: this is a stand-in for tests and demos, not Privatemode:"
	    " nothing is encrypted and no model answers\n");
	if (printf("listening on http://%s:%d\n", options->host,
		(int)options->port) < 0 ||
	    fflush(stdout) == EOF)
		log_warn("cannot say where it listens");
	if (options->ready_fd == -1)
		return;
	if (dprintf((int)options->ready_fd, "%d\n", (int)options->port) < 0)
		log_warn("ready-fd");
	(void)close((int)options->ready_fd);
}

int
main(int argc, char **argv)
{
	struct options options = { "127.0.0.1", 8081, -1 };
	struct watch listener = { .ready = conn_accept };
	struct watch signals = { .ready = signal_ready };

	log_init("standin");
	options_read(&options, argc, argv);
	raise_files();
	signals.fd = signal_open();
	listener.fd = listen_at(options.host, &options.port);
	if (loop_init() == -1 || loop_watch(&signals, EPOLLIN) == -1 ||
	    loop_watch(&listener, EPOLLIN) == -1)
		log_fatal("epoll");
	announce(&options);
	loop_run(conn_free_closed);
	/* With connections that are open still, which only the kernel lists. */
	_exit(0);
}
