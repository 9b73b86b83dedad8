/* lighttpd: started, checked, reloaded. */
#include "cli/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/watch.h"
#include "lib/config.h"
#include "lib/limits.h"
#include "lib/log.h"
#include "lib/text.h"

/* Where lighttpd may be; it needs a whole path to start itself anew. */
static const char *const servers[] = { "/usr/sbin/lighttpd",
	"/usr/local/sbin/lighttpd" };

static const char *
find_server(void)
{
	for (size_t i = 0; i < sizeof(servers) / sizeof(servers[0]); i++)
		if (access(servers[i], X_OK) == 0)
			return servers[i];
	log_warn("cannot run '%s'", servers[0]);
	return NULL;
}

/* dirname(path) without its last 'n' parts; 0 or -1. */
static int
cut_parts(char *path, int n)
{
	char *slash;

	while (n-- > 0) {
		if ((slash = strrchr(path, '/')) == NULL)
			return -1;
		*slash = '\0';
	}
	return 0;
}

/*
 * The folder of lighttpd.conf: PMPROXY_SHARE, or in the source tree the one
 * that holds build/. Names the programs' folder for lighttpd.conf, which
 * cannot find it by itself.
 */
static int
find_configuration(char path[PATH_MAX])
{
	const char *share = getenv("PMPROXY_SHARE");
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int len;

	if (n == -1) {
		log_warn("cannot find the program's own folder");
		return -1;
	}
	self[n] = '\0';
	if (cut_parts(self, 2) == -1 || setenv("PMPROXY_BIN", self, 0) == -1 ||
	    (share == NULL && cut_parts(self, 1) == -1)) {
		log_warnx("cannot find the folder of lighttpd.conf");
		return -1;
	}
	len = snprintf(
	    path, PATH_MAX, "%s/lighttpd.conf", share != NULL ? share : self);
	if (len > 0 && len < PATH_MAX && access(path, R_OK) == 0)
		return 0;
	log_warn("cannot read '%s'", path);
	return -1;
}

int
serve_run(int check)
{
	const char *server = find_server();
	char configuration[PATH_MAX];

	if (server == NULL || find_configuration(configuration) == -1)
		return -1;
	/* lighttpd runs what its configuration includes with this shell. */
	if (setenv("SHELL", "/bin/sh", 1) == -1 ||
	    (!check && watch_start() == -1))
		return -1;
	(void)execl(server, server, check ? "-tt" : "-D", "-f", configuration,
	    (char *)NULL);
	log_warn("cannot run '%s'", server);
	return -1;
}

/*
 * Clients are asked to close their connections for so long before lighttpd
 * starts anew, and for so long from then on: it closes those that are idle once
 * when it begins and once when the new process is there.
 */
#define ASKED_SECONDS 2
#define STARTING_MS 5000

/* A short file that the kernel or lighttpd wrote, without its newline. */
static int
read_short(const char *path, char *out, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	ssize_t n;

	if (fd == -1)
		return -1;
	n = read(fd, out, size - 1);
	(void)close(fd); /* read only: nothing can be lost */
	if (n == -1)
		return -1;
	out[n] = '\0';
	out[strcspn(out, "\n")] = '\0';
	return 0;
}

/* lighttpd's, by the file that it writes; -1 when it does not run. */
static pid_t
find_gate(const char *run_dir)
{
	char path[PATH_MAX], text[32];
	int64_t pid;
	int n = snprintf(path, sizeof(path), "%s/lighttpd.pid", run_dir);

	if (n < 0 || (size_t)n >= sizeof(path) ||
	    read_short(path, text, sizeof(text)) == -1 ||
	    text_to_i64(text, 1, INT_MAX, &pid) == -1)
		return -1;
	/* Another may have its number by now. */
	(void)snprintf(path, sizeof(path), "/proc/%lld/comm", (long long)pid);
	if (read_short(path, text, sizeof(text)) == -1 ||
	    strcmp(text, "lighttpd") != 0)
		return -1;
	return (pid_t)pid;
}

/* A gate that took up wrong settings would end. */
static int
check_first(void)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		(void)serve_run(1);
		_exit(1);
	}
	if (child == -1 || waitpid(child, &status, 0) != child) {
		log_warn("cannot check the configuration");
		return -1;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	log_warnx("the configuration is not right: nothing was reloaded");
	return -1;
}

/*
 * lighttpd closes kept connections without looking whether a request has just
 * come on one. So whoever keeps one busy is asked by the responders to leave it;
 * what is left then is idle.
 */
static void
empty_connections(const char *run_dir)
{
	struct timespec left = { .tv_sec = ASKED_SECONDS };
	int64_t until = limits_now() + ASKED_SECONDS * 1000 + STARTING_MS;

	if (limits_closing_set(run_dir, until) != 1)
		return; /* nobody is there to ask */
	while (nanosleep(&left, &left) == -1 && errno == EINTR)
		;
}

int
serve_reload(void)
{
	struct config *config = config_load();
	const char *run_dir;
	pid_t gate;

	if (config == NULL || check_first() == -1) {
		config_free(config);
		return -1;
	}
	run_dir = config_text(config, CONFIG_RUN_DIR);
	if ((gate = find_gate(run_dir)) != -1) {
		empty_connections(run_dir);
		gate = find_gate(run_dir);
	}
	config_free(config);
	if (gate == -1) {
		log_warnx("the gate does not run");
		return -1;
	}
	if (kill(gate, SIGUSR1) == -1) {
		log_warn("cannot signal lighttpd");
		return -1;
	}
	return 0;
}
