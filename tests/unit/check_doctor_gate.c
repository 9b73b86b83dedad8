/* pmdoctor: the upstream, what listens, and the gate as it runs. */
#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>

#include "lib/db.h"
#include "lib/usage.h"
#include "tests/unit/doctor_host.h"

/* The upstream with that command line, and who listens at its port. */
static void
start_upstream(const char *words, size_t n, long uid)
{
	static const char *const rows[][2] = { { "0100007F:1F91", "802" },
		{ NULL } };

	host_listeners("tcp", rows);
	host_process(800, "privatemode-pro", 1, uid, words, n);
	host_link("/proc/800/fd/3", "socket:[802]");
}

#define ARGS(text) text, sizeof(text)
#define P "/bin/privatemode-proxy\0"
#define W "--workspace=/var/lib/pm\0"

static const struct {
	const char *words;
	size_t n;
	enum doctor_state state;
	const char *says;
} flag_rows[] = {
	{ ARGS(P W "--apiKey=@/nowhere/key"), DOCTOR_OK, "no option that" },
	{ ARGS(P W "--apiKey\0@/nowhere/key"), DOCTOR_OK, "no option that" },
	{ ARGS(P "--workspace\0/var/lib/pm"), DOCTOR_OK, "no option that" },
	{ ARGS(P W "--dumpRequests"), DOCTOR_FAULT, "--dumpRequests" },
	{ ARGS(P "--dumpRequests\0" W), DOCTOR_FAULT, "--dumpRequests" },
	{ ARGS(P W "-dumpRequests=true"), DOCTOR_FAULT, "--dumpRequests" },
	{ ARGS(P W "--dumpRequests\0/tmp/dump"), DOCTOR_FAULT,
	    "--dumpRequests" },
	{ ARGS(P W "--dumpRequests=false"), DOCTOR_OK, "no option that" },
	{ ARGS(P W "--dumpRequests=0"), DOCTOR_OK, "no option that" },
	{ ARGS(P W "--dumpRequestsNot"), DOCTOR_OK, "no option that" },
	{ ARGS(P W "dumpRequests"), DOCTOR_OK, "no option that" },
	{ ARGS(P W "--apiKey=hush-1"), DOCTOR_FAULT, "command line" },
	{ ARGS(P W "--apiKey\0hush-2"), DOCTOR_FAULT, "command line" },
	{ ARGS(P W "--sharedPromptCache"), DOCTOR_WARNING,
	    "sharedPromptCache" },
	{ ARGS(P W "--sharedPromptCache=false"), DOCTOR_OK, "no option" },
	{ ARGS(P W "--promptCacheSalt=hush"), DOCTOR_WARNING, "is a secret" },
	{ ARGS(P), DOCTOR_WARNING, "no --workspace" },
	{ ARGS(P "--workspace="), DOCTOR_WARNING, "no --workspace" },
	{ ARGS(P "--workspace\0--port=8081"), DOCTOR_WARNING,
	    "no --workspace" },
	{ ARGS(P "--dumpRequests\0--apiKey=hush-1"), DOCTOR_FAULT,
	    "(and 1 more like it)" },
};

START_TEST(the_upstream_keeps_nothing)
{
	start_upstream(flag_rows[_i].words, flag_rows[_i].n, 991);
	FINDS("upstream-flags", flag_rows[_i].state, flag_rows[_i].says);
	ck_assert_ptr_null(strstr(finding.what, "hush"));
	ck_assert_ptr_null(strstr(finding.mend, "hush"));
}
END_TEST

START_TEST(the_upstreams_key_file_is_private)
{
	char words[200];
	int n;

	host_put("/key", "hush");
	n = snprintf(words, sizeof(words),
	    "p%c--workspace=/w%c--apiKey=@%s/key", '\0', '\0', root);
	start_upstream(words, (size_t)n + 1, 991);
	FINDS("upstream-flags", DOCTOR_OK, "no option");
	snprintf(words, sizeof(words), "%s/key", root);
	ck_assert_int_eq(chmod(words, 0604), 0);
	FINDS("upstream-flags", DOCTOR_FAULT, "key is open to others");
}
END_TEST

START_TEST(an_upstream_that_is_not_seen_is_unknown)
{
	FINDS("upstream-flags", DOCTOR_UNKNOWN, "port 8081 cannot be seen");
	FINDS("upstream-user", DOCTOR_UNKNOWN, "cannot be seen");
	FINDS("upstream-key", DOCTOR_UNKNOWN, "cannot be seen");
	start_upstream(ARGS(P), 0);
	host_remove("/proc/800/cmdline");
	FINDS("upstream-flags", DOCTOR_UNKNOWN, "(process 800) cannot be seen");
	host_configure("UPSTREAM_URL", "https://up.example", NULL);
	FINDS("upstream-flags", DOCTOR_UNKNOWN, "another host");
	FINDS("upstream-listens", DOCTOR_NONE, "over TLS");
	host_configure("UPSTREAM_URL", "http://up.example:8081", NULL);
	FINDS("upstream-listens", DOCTOR_WARNING, "plain HTTP to another host");
}
END_TEST

/* Files of other users' processes are closed: then its name has to do. */
START_TEST(an_upstream_is_found_by_name_too)
{
	host_process(
	    800, "privatemode-pro", 1, 991, ARGS(P W "--dumpRequests"));
	FINDS("upstream-flags", DOCTOR_FAULT, "--dumpRequests");
	host_process(801, "privatemode-pro", 1, 991, ARGS(P W));
	FINDS("upstream-flags", DOCTOR_UNKNOWN, "cannot be seen");
}
END_TEST

START_TEST(who_holds_the_port_is_the_upstream)
{
	/* Whatever another one says of itself. */
	host_process(700, "privatemode-pro", 1, 991, ARGS(P "--dumpRequests"));
	start_upstream(ARGS(P W), 991);
	FINDS("upstream-flags", DOCTOR_OK, "no option");
}
END_TEST

START_TEST(there_is_a_key_and_no_root)
{
	start_upstream(ARGS(P W), 0);
	FINDS("upstream-key", DOCTOR_WARNING, "neither");
	FINDS("upstream-user", DOCTOR_WARNING, "(process 800) runs as root");
	host_configure("PRIVATEMODE_API_KEY", "hush", NULL);
	FINDS("upstream-key", DOCTOR_OK, "the gate has one");
}
END_TEST

START_TEST(the_upstreams_own_key_will_do)
{
	start_upstream(ARGS(P W "--apiKey=@/k"), 991);
	FINDS("upstream-key", DOCTOR_OK, "the upstream has one");
	FINDS("upstream-user", DOCTOR_OK, "user 991");
}
END_TEST

static const struct {
	const char *url, *address, *family;
	enum doctor_state state;
	const char *says;
} listen_rows[] = {
	{ "http://127.0.0.1:8081", "0100007F:1F91", "tcp", DOCTOR_OK, "8081" },
	{ "http://localhost:8081", "0500007F:1F91", "tcp", DOCTOR_OK, "8081" },
	{ "http://127.0.0.1:8081/", "00000000:1F91", "tcp", DOCTOR_FAULT,
	    "port 8081 is open to the network" },
	{ "http://127.0.0.1:8081", "0A00000A:1F91", "tcp", DOCTOR_FAULT,
	    "open to the network" },
	{ "http://127.0.0.1:8081", "0000007E:1F91", "tcp", DOCTOR_FAULT,
	    "open to the network" },
	{ "http://[::1]:8081", "00000000000000000000000001000000:1F91", "tcp6",
	    DOCTOR_OK, "8081" },
	{ "http://[::1]:8081", "0000000000000000FFFF00000100007F:1F91", "tcp6",
	    DOCTOR_OK, "8081" },
	{ "http://127.0.0.1:8081", "00000000000000000000000000000000:1F91",
	    "tcp6", DOCTOR_FAULT, "open to the network" },
	{ "http://127.0.0.1:8082", "0100007F:1F91", "tcp", DOCTOR_FAULT,
	    "nobody listens at port 8082" },
	{ "http://127.0.0.1:8081", "what:1F91", "tcp", DOCTOR_FAULT, "nobody" },
	{ "http://127.0.0.1:8081", "0100007F", "tcp", DOCTOR_FAULT, "nobody" },
	{ "http://127.0.0.1", "00000000:0050", "tcp", DOCTOR_FAULT, "port 80" },
};

START_TEST(the_upstream_is_for_this_host_alone)
{
	const char *const rows[][2] = { { listen_rows[_i].address, "1" },
		{ NULL } };
	const char *const none[][2] = { { NULL } };

	host_configure("UPSTREAM_URL", listen_rows[_i].url, NULL);
	host_listeners("tcp", none);
	host_listeners(listen_rows[_i].family, rows);
	FINDS("upstream-listens", listen_rows[_i].state, listen_rows[_i].says);
}
END_TEST

START_TEST(only_web_and_ssh_are_open)
{
	static const char *const fine[][2] = { { "00000000:0016", "1" },
		{ "00000000:0050", "2" }, { "00000000:01BB", "3" },
		{ "00000000:20FB", "4" }, { "0100007F:0CEA", "5" },
		{ "00000000:08AE", "6" }, { NULL } };
	static const char *const wrong[][2] = { { "00000000:0CEA", "7" },
		{ "00000000:1538", "8" }, { NULL } };

	FINDS("listening", DOCTOR_UNKNOWN, "/proc/net/tcp: it is not there");
	host_process(22, "sshd", 1, 0, ARGS("sshd"));
	host_link("/proc/22/fd/3", "socket:[6]");
	host_listeners("tcp", fine);
	FINDS("listening", DOCTOR_OK, "only web and ssh");
	host_listeners("tcp6", wrong);
	FINDS("listening", DOCTOR_WARNING,
	    "port 3306 is open to the network (and 1 more like it)");
	host_process(33, "mariadbd", 1, 0, ARGS("m"));
	host_link("/proc/33/fd/9", "socket:[7]");
	FINDS("listening", DOCTOR_WARNING, "network (mariadbd) (and 1 more");
}
END_TEST

START_TEST(a_connection_is_no_listener)
{
	host_put("/proc/net/tcp",
	    "  sl  local_address rem_address   st\n"
	    "   0: 0A00000A:9C40 0B00000A:01BB 01 00000000:00000000 "
	    "00:00000000 00000000     0        0 77 1\n");
	FINDS("listening", DOCTOR_OK, "only web and ssh");
}
END_TEST

/* Of two web servers that hide their sockets neither is taken for the gate's */
START_TEST(one_of_many_is_no_guess)
{
	host_process(500, "lighttpd", 1, 990, ARGS("lighttpd"));
	host_limits(500, "1", "10");
	FINDS("file-limits", DOCTOR_WARNING, "lighttpd may open 10 files");
	host_process(501, "lighttpd", 1, 990, ARGS("lighttpd"));
	FINDS("file-limits", DOCTOR_UNKNOWN, "cannot be seen");
}
END_TEST

/* A gate of two responders and a web server. */
static void
start_gate(long uid, const char *files)
{
	static const char *const rows[][2] = { { "00000000:20FB", "501" },
		{ NULL } };

	host_listeners("tcp", rows);
	host_process(500, "lighttpd", 1, uid, ARGS("lighttpd"));
	host_link("/proc/500/fd/4", "socket:[501]");
	host_process(510, "v1.fcgi", 500, uid, ARGS("v1.fcgi"));
	host_process(511, "v1.fcgi", 500, uid, ARGS("v1.fcgi"));
	/* Of another gate. */
	host_process(910, "v1.fcgi", 900, 0, ARGS("v1.fcgi"));
	host_limits(500, "1", files);
	host_limits(510, "0", files);
	host_limits(511, "0", files);
}

START_TEST(the_gate_runs)
{
	FINDS("gate-processes", DOCTOR_UNKNOWN, "cannot be seen");
	host_process(1, "init", 0, 0, ARGS("init"));
	FINDS("gate-processes", DOCTOR_FAULT, "no responder");
	start_gate(990, "9999");
	FINDS("gate-processes", DOCTOR_OK, "2 responders run as user 990");
	host_configure("PROCESSES", "3", NULL);
	FINDS("gate-processes", DOCTOR_WARNING, "2 of 3 responders run");
}
END_TEST

START_TEST(the_gate_is_not_root)
{
	start_gate(0, "9999");
	FINDS("gate-processes", DOCTOR_FAULT, "runs as root");
}
END_TEST

/* lighttpd needs 2 * (1000 + 1024) + 128, a responder 4 * (500 + 16) + 32. */
static const struct {
	const char *files, *in_flight;
	enum doctor_state state;
	const char *says;
} file_rows[] = {
	{ "4176", "1000", DOCTOR_OK, "enough" },
	{ "unlimited", "20000", DOCTOR_OK, "enough" },
	{ "4175", "1000", DOCTOR_WARNING, "lighttpd may open 4175 files" },
	{ "2095", "1000", DOCTOR_WARNING, "(and 2 more like it)" },
	{ "2096", "1000", DOCTOR_WARNING,
	    "may need 4176: fewer requests fit at "
	    "once" },
};

START_TEST(the_gate_may_open_enough_files)
{
	start_gate(990, file_rows[_i].files);
	host_configure("MAX_IN_FLIGHT", file_rows[_i].in_flight, NULL);
	FINDS("file-limits", file_rows[_i].state, file_rows[_i].says);
}
END_TEST

START_TEST(limits_that_are_not_seen_are_unknown)
{
	FINDS("file-limits", DOCTOR_UNKNOWN, "does not run");
	start_gate(990, "9999");
	host_remove("/proc/511/limits");
	FINDS("file-limits", DOCTOR_UNKNOWN, "limits of v1.fcgi");
}
END_TEST

/* HOST_NOW is 2026-09-21T14:13:20Z. */
static const struct {
	const char *hour;
	enum doctor_state state;
	const char *says;
} journal_rows[] = {
	{ "2026092114", DOCTOR_OK, "rolled up" }, /* open */
	{ "2026092113", DOCTOR_OK, "rolled up" },
	{ "2026092111", DOCTOR_OK, "rolled up" },
	{ "2026092110", DOCTOR_WARNING, "from 2026-09-21T10:00:00Z on" },
	{ "2026010100", DOCTOR_WARNING, "1 closed hours" },
	{ "what", DOCTOR_OK, "rolled up" },
};

START_TEST(use_is_rolled_up)
{
	char path[64];

	snprintf(
	    path, sizeof(path), "/state/journal/%s", journal_rows[_i].hour);
	host_put(path, "\n");
	FINDS("journal", journal_rows[_i].state, journal_rows[_i].says);
	ck_assert_int_ne(usage_rollup(state_dir, host.now, NULL), -1);
	FINDS("journal", DOCTOR_OK, "rolled up");
}
END_TEST

START_TEST(the_oldest_hour_counts)
{
	host_put("/state/journal/2026092113", "\n");
	host_put("/state/journal/2026092110", "\n");
	host_put("/state/journal/2026092112", "\n");
	FINDS("journal", DOCTOR_WARNING,
	    "3 closed hours are not rolled up, from 2026-09-21T10:00:00Z on");
}
END_TEST

START_TEST(a_journal_that_is_not_seen_is_unknown)
{
	hush();
	FINDS("journal", DOCTOR_OK, "rolled up");
	host_put("/state/journal", "no folder");
	FINDS("journal", DOCTOR_UNKNOWN, "cannot be told");
	host_configure("STATE_DIR", "/nowhere/state", NULL);
	FINDS("journal", DOCTOR_UNKNOWN, "it is not there");
}
END_TEST

/* Answers so many connections, each with the same bytes. */
struct server {
	int fd, port, times;
	const char *bytes;
	char asked[2048]; /* of the last */
	pthread_t thread;
};

/* All of a head: what is left unread would reset the connection. */
static int
read_head(int fd, char *to, size_t size)
{
	size_t len = 0;
	ssize_t n;

	do {
		if ((n = read(fd, to + len, size - 1 - len)) < 0)
			return -1;
		len += (size_t)n;
		to[len] = '\0';
	} while (n > 0 && strstr(to, "\r\n\r\n") == NULL);
	return 0;
}

static void *
serve(void *arg)
{
	struct server *s = arg;

	for (int i = 0; i < s->times; i++) {
		int fd = accept(s->fd, NULL, NULL);

		if (fd == -1 ||
		    read_head(fd, s->asked, sizeof(s->asked)) == -1 ||
		    write(fd, s->bytes, strlen(s->bytes)) < 0)
			return s;
		close(fd);
	}
	return NULL;
}

static void
start_server(struct server *s, const char *bytes, int times)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t size = sizeof(at);
	char port[8];

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ne(s->fd, -1);
	ck_assert_int_eq(bind(s->fd, (struct sockaddr *)&at, size), 0);
	ck_assert_int_eq(listen(s->fd, 8), 0);
	ck_assert_int_eq(getsockname(s->fd, (struct sockaddr *)&at, &size), 0);
	s->bytes = bytes;
	s->times = times;
	s->port = ntohs(at.sin_port);
	snprintf(port, sizeof(port), "%d", s->port);
	host_configure("PORT", port, NULL);
	ck_assert_int_eq(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void
stop_server(struct server *s)
{
	void *failed;

	ck_assert_int_eq(pthread_join(s->thread, &failed), 0);
	ck_assert_ptr_null(failed);
	close(s->fd);
}

#define HEAD(status) "HTTP/1.1 " status "\r\nConnection: close\r\n\r\n"

static const struct {
	const char *check, *bytes;
	enum doctor_state state;
	const char *says;
} answer_rows[] = {
	{ "gate-health", HEAD("200 OK") "{}", DOCTOR_OK, "answers" },
	{ "gate-health", HEAD("503 No"), DOCTOR_FAULT, "answers 503" },
	{ "gate-health", "nonsense\r\n", DOCTOR_FAULT, "silent" },
	{ "gate-health", "", DOCTOR_FAULT, "silent" },
	{ "gate-ready", HEAD("200 OK") "{}", DOCTOR_OK, "ready" },
	{ "gate-ready",
	    HEAD("503 No") "{\"status\":\"not ready\",\"checks\":{\"keys\":"
			   "\"failed\",\"limits\":\"ok\",\"upstream\":1}}",
	    DOCTOR_FAULT, "not ready (503): keys upstream" },
	{ "gate-ready", HEAD("503 No") "<html>", DOCTOR_FAULT,
	    "not ready (503)" },
	{ "gate-ready", HEAD("503 No") "{\"checks\":{\"a\":null}}",
	    DOCTOR_FAULT, "not ready (503): a" },
	{ "gate-ready", "", DOCTOR_FAULT, "silent" },
	{ "upstream-answers", HEAD("401 No"), DOCTOR_OK, "it does" },
	{ "upstream-answers", HEAD("502 No"), DOCTOR_WARNING, "answers 502" },
	{ "upstream-answers", "", DOCTOR_FAULT, "silent" },
};

START_TEST(it_answers)
{
	struct server s;
	char url[64];

	start_server(&s, answer_rows[_i].bytes, 1);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/", s.port);
	host_configure("UPSTREAM_URL", url, NULL);
	FINDS(
	    answer_rows[_i].check, answer_rows[_i].state, answer_rows[_i].says);
	stop_server(&s);
}
END_TEST

START_TEST(nobody_answers)
{
	struct server s;

	start_server(&s, "", 0);
	stop_server(&s); /* its port is free now */
	FINDS("gate-health", DOCTOR_FAULT, "silent");
	FINDS("gate-ready", DOCTOR_FAULT, "silent");
}
END_TEST

/* Only this host is asked, whatever the domain's address may be. */
START_TEST(a_domain_is_asked_here)
{
	struct server s;

	start_server(&s, HEAD("200 OK"), 2);
	host.domain = "ai.example.invalid";
	FINDS("gate-health", DOCTOR_OK, "answers");
	host.bind = "127.0.0.1";
	FINDS("gate-health", DOCTOR_OK, "answers");
	stop_server(&s);
}
END_TEST

/* A web server that takes this host for the proxy wants its line first. */
START_TEST(a_proxys_line_comes_first)
{
	struct server s;

	start_server(&s, HEAD("200 OK"), 1);
	host_configure(
	    "PROXY_PROTOCOL", "1", "TRUST_PROXY", "127.0.0.0/8", NULL);
	FINDS("gate-health", DOCTOR_OK, "answers");
	stop_server(&s);
	ck_assert_int_eq(strncmp(s.asked, "PROXY TCP4 127.0.0.1 ", 21), 0);
	start_server(&s, HEAD("200 OK"), 1);
	host_configure("TRUST_PROXY", "192.0.2.1", NULL);
	FINDS("gate-health", DOCTOR_OK, "answers");
	stop_server(&s);
	ck_assert_int_eq(strncmp(s.asked, "GET /health HTTP/1.1", 20), 0);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("doctor");

	tcase_add_checked_fixture(t, host_setup, host_teardown);
	ADD_ROWS(t, the_upstream_keeps_nothing, flag_rows);
	tcase_add_test(t, the_upstreams_key_file_is_private);
	tcase_add_test(t, an_upstream_that_is_not_seen_is_unknown);
	tcase_add_test(t, an_upstream_is_found_by_name_too);
	tcase_add_test(t, who_holds_the_port_is_the_upstream);
	tcase_add_test(t, there_is_a_key_and_no_root);
	tcase_add_test(t, the_upstreams_own_key_will_do);
	ADD_ROWS(t, the_upstream_is_for_this_host_alone, listen_rows);
	tcase_add_test(t, only_web_and_ssh_are_open);
	tcase_add_test(t, a_connection_is_no_listener);
	tcase_add_test(t, one_of_many_is_no_guess);
	tcase_add_test(t, the_gate_runs);
	tcase_add_test(t, the_gate_is_not_root);
	ADD_ROWS(t, the_gate_may_open_enough_files, file_rows);
	tcase_add_test(t, limits_that_are_not_seen_are_unknown);
	ADD_ROWS(t, use_is_rolled_up, journal_rows);
	tcase_add_test(t, the_oldest_hour_counts);
	tcase_add_test(t, a_journal_that_is_not_seen_is_unknown);
	ADD_ROWS(t, it_answers, answer_rows);
	tcase_add_test(t, nobody_answers);
	tcase_add_test(t, a_domain_is_asked_here);
	tcase_add_test(t, a_proxys_line_comes_first);
	return suite_run("doctor_gate", t, NULL);
}
