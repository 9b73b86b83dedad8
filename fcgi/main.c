/*
 * v1.fcgi: a responder of the gate. lighttpd starts it with a listening
 * socket as standard input (so do spawn-fcgi and systemd), or --socket makes
 * one.
 */
#include <errno.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <curl/curl.h>

#include "arrivals.h"
#include "catalog.h"
#include "gate.h"
#include "job.h"
#include "lib/connections.h"
#include "lib/log.h"
#include "lib/sandbox.h"
#include "lib/seal.h"
#include "lib/secret.h"
#include "workers.h"

/* Threads beside those in flight, to say "busy" and answer /health. */
#define SPARE_THREADS 16
/* Heaps for all of them: with more of them each keeps some for itself. */
#define ARENAS_MOST 2
#define BACKLOG 1024
/* Warm connections to the upstream, beyond those in use. */
#define IDLE_UPSTREAMS 64
/* Blocks from this size on leave the process when they are freed. */
#define LARGE_BYTES (1 << 20)

static const char help[] =
    "usage: v1.fcgi [--socket PATH]\n"
    "A FastCGI responder: listens on standard input as lighttpd, spawn-fcgi\n"
    "and systemd hand it over, or on a Unix socket that it makes at PATH.\n"
    "Settings come from the environment or the file named by PMPROXY_ENV.\n";

static int shared_socket; /* other responders listen there, too */

/* The memory holds what people wrote. */
static void
harden(void)
{
	struct rlimit files;

	if (sandbox_private() == -1)
		exit(1);
	sandbox_no_swap();
#ifndef __SANITIZE_ADDRESS__ /* whose allocator has no such switch */
	/*
	 * A large body goes back to the kernel at once. Left alone, glibc
	 * keeps more and more of them: for good where memory is locked.
	 */
	(void)mallopt(M_MMAP_THRESHOLD, LARGE_BYTES);
	/* What one thread freed the others shall use again. */
	(void)mallopt(M_ARENA_MAX, ARENAS_MOST);
#endif
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &files) == -1)
			log_warn("cannot raise the limit of open files");
	}
}

/* systemd hands sockets over from descriptor 3 on (sd_listen_fds(3)). */
static void
take_systemd_socket(void)
{
	const char *pid = getenv("LISTEN_PID"), *n = getenv("LISTEN_FDS");
	char own[24];

	(void)snprintf(own, sizeof(own), "%ld", (long)getpid());
	if (pid == NULL || n == NULL || strcmp(pid, own) != 0 ||
	    strcmp(n, "1") != 0)
		return;
	if (dup2(3, STDIN_FILENO) == -1)
		log_fatal("cannot take systemd's socket");
	close(3);
	shared_socket = 1;
}

static void
open_socket(const char *path)
{
	int fd = FCGX_OpenSocket(path, BACKLOG);

	if (fd == -1 || dup2(fd, STDIN_FILENO) == -1)
		log_fatal("cannot listen on '%s'", path);
	if (fd != STDIN_FILENO)
		close(fd);
}

static void
read_arguments(int argc, char *argv[])
{
	static const struct option options[] = { { "socket", required_argument,
						     NULL, 's' },
		{ "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 } };
	int c, wrong = 0;

	while ((c = getopt_long(argc, argv, "s:h", options, NULL)) != -1)
		switch (c) {
		case 's':
			open_socket(optarg);
			break;
		case 'h':
			printf("%s", help);
			exit(0);
		default:
			wrong = 1;
		}
	if (wrong || optind != argc) {
		fprintf(stderr, "%s", help);
		exit(2);
	}
	take_systemd_socket();
}

/*
 * A thread that waits to accept has a descriptor set aside already; one that
 * relays has three more for the upstream.
 */
static void
check_descriptors(uint32_t threads)
{
	uint64_t need = (uint64_t)threads * 4 + 32;
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < need)
		log_warnx("MAX_IN_FLIGHT needs up to %llu open files, the "
			  "limit is %llu (ulimit -n)",
		    (unsigned long long)need,
		    (unsigned long long)files.rlim_cur);
}

/* Each process has its share of the bounds; returns its threads. */
static uint32_t
share_bounds(struct gate *g)
{
	int64_t processes = config_number(g->config, CONFIG_PROCESSES);

	g->max_in_flight =
	    (config_number(g->config, CONFIG_MAX_IN_FLIGHT) + processes - 1) /
	    processes;
	return (uint32_t)g->max_in_flight + SPARE_THREADS;
}

/*
 * Connections are looked at where REMOTE_PORT is the port of one: a PROXY
 * header gives another. Without them, bodies that never come are waited for.
 */
static void
prepare_bodies(struct gate *g, const char *run_dir)
{
	if (asprintf(&g->upload_dir, "%s/upload", run_dir) == -1)
		log_fatal("the gate cannot start");
	if (!config_number(g->config, CONFIG_PROXY_PROTOCOL))
		g->connections = connections_open();
}

static uint32_t
prepare(struct gate *g)
{
	const char *state_dir, *run_dir;
	uint32_t threads;

	if ((g->config = config_load()) == NULL ||
	    config_peers(g->config, &g->peers) == -1)
		exit(1);
	confine_user(g);
	threads = share_bounds(g);
	check_descriptors(threads);
	state_dir = config_text(g->config, CONFIG_STATE_DIR);
	run_dir = config_text(g->config, CONFIG_RUN_DIR);
	prepare_bodies(g, run_dir);
	/* Now, as its file is out of reach later on. */
	if (seal_ready() == -1 ||
	    secret_installation(state_dir, g->secret) == -1 ||
	    (g->settings = settings_open(state_dir, g->config)) == NULL ||
	    (g->prices = prices_open(state_dir)) == NULL ||
	    (g->metrics = metrics_open(run_dir)) == NULL ||
	    (g->keys = keys_open(
		 state_dir, config_text(g->config, CONFIG_API_KEYS))) == NULL ||
	    (g->limits = limits_open(run_dir, threads)) == NULL ||
	    (g->journal = usage_journal_open(state_dir)) == NULL ||
	    (g->catalog = catalog_new(run_dir)) == NULL ||
	    (g->upstreams = upstream_pool_new(
		 config_text(g->config, CONFIG_UPSTREAM_URL),
		 IDLE_UPSTREAMS)) == NULL)
		log_fatalx("the gate cannot start");
	/* The first request shall not be the one that finds a full disk. */
	atomic_store(&g->journal_failed, 1);
	keys_count_by(g->keys, g->secret);
	if (pthread_mutex_init(&g->counting, NULL) != 0)
		log_fatalx("the gate cannot start");
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0 || FCGX_Init() != 0)
		log_fatalx("libcurl or libfcgi cannot start");
	return threads;
}

/* Waits for a signal to end, or a reason to begin anew; what to exit with. */
static int
wait_for_reason(const struct gate *g, const sigset_t *signals)
{
	static const struct timespec pause = { .tv_sec = RENEW_SECONDS };

	while (sigtimedwait(signals, NULL, &pause) == -1)
		if (renew_due(g))
			return 1;
	return 0;
}

int
main(int argc, char *argv[])
{
	static struct gate gate;
	sigset_t signals;
	uint32_t threads;
	int code;

	log_init("v1.fcgi");
	harden();
	read_arguments(argc, argv);
	threads = prepare(&gate);
	/* Blocked in every thread: only wait_for_reason takes them. */
	if (sigemptyset(&signals) == -1 || sigaddset(&signals, SIGTERM) == -1 ||
	    sigaddset(&signals, SIGINT) == -1 ||
	    sigaddset(&signals, SIGUSR1) == -1 ||
	    pthread_sigmask(SIG_BLOCK, &signals, NULL) != 0 ||
	    signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		log_fatal("cannot set signals up");
	confine(&gate);
	if (catalog_answer_probes(&gate) == -1)
		log_fatalx("cannot start the thread that asks the upstream");
	gate.loop = upstream_loop_new(
	    config_text(gate.config, CONFIG_UPSTREAM_URL), NULL);
	if (gate.loop == NULL)
		log_fatalx("the gate cannot start");
	workers_start(&gate, threads);
	arrivals_start(&gate, shared_socket);
	code = wait_for_reason(&gate, &signals);
	arrivals_stop();
	jobs_drain();
	/* At once: threads may still use what exit(3) would take apart. */
	_exit(code);
}
