/*
 * lib/log: whatever is logged comes out as one escaped, bounded line in one
 * write. Standard error is a packet pipe here, where each read gives back
 * exactly what one write put in.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/log.h"
#include "tests/unit/suite.h"

static int from_log = -1;

static void
setup(void)
{
	int pair[2];

	ck_assert_int_eq(pipe2(pair, O_DIRECT | O_NONBLOCK), 0);
	ck_assert_int_ne(dup2(pair[1], STDERR_FILENO), -1);
	close(pair[1]);
	from_log = pair[0];
	log_init("check");
	log_request(NULL);
}

static char *
next_write(char line[PIPE_BUF + 1])
{
	ssize_t n = read(from_log, line, PIPE_BUF);

	line[n < 0 ? 0 : n] = '\0';
	return line;
}

/* The one line that was written, its head checked and taken off. */
static const char *
the_line(char line[PIPE_BUF + 1], const char *level)
{
	char head[64], more[PIPE_BUF + 1];
	size_t n;

	next_write(line);
	n = strlen(line);
	snprintf(head, sizeof(head), "check[%ld]: %s: ", (long)getpid(), level);
	ck_assert_msg(strncmp(line, head, strlen(head)) == 0, "%s", line);
	ck_assert_ptr_eq(strchr(line, '\n'), line + n - 1);
	line[n - 1] = '\0';
	ck_assert_str_eq(next_write(more), "");
	return line + strlen(head);
}

START_TEST(a_line_names_program_process_and_level)
{
	char line[PIPE_BUF + 1];

	log_warnx("cannot open '%s'", "x");
	ck_assert_str_eq(the_line(line, "warning"), "cannot open 'x'");
	log_info("%d keys", 3);
	ck_assert_str_eq(the_line(line, "info"), "3 keys");
	errno = ENOENT;
	log_warn("cannot open '%s'", "x");
	ck_assert_str_eq(the_line(line, "warning"),
	    "cannot open 'x': No such file or directory");
	errno = 0;
	log_warn("no reason");
	ck_assert_str_eq(the_line(line, "warning"), "no reason");
	errno = 54321;
	log_warn("odd");
	ck_assert_str_eq(the_line(line, "warning"), "odd: Unknown error 54321");
}
END_TEST

START_TEST(every_byte_that_a_client_could_write_is_escaped)
{
	char line[PIPE_BUF + 1], text[2] = { (char)_i, '\0' }, want[8];
	const char *got;

	log_warnx("%s", text);
	got = the_line(line, "warning");
	if (_i >= 0x20 && _i < 0x7f && _i != '\\')
		snprintf(want, sizeof(want), "%c", _i);
	else
		snprintf(want, sizeof(want), "\\x%02x", (unsigned)_i);
	ck_assert_str_eq(got, want);
}
END_TEST

START_TEST(a_forged_line_stays_in_its_line)
{
	char line[PIPE_BUF + 1];

	log_request("id\r\nforged[1]: info: ");
	log_warnx("%s", "a\ncheck[1]: fatal: b\x1b[2J\\x0a");
	ck_assert_str_eq(the_line(line, "warning"),
	    "id\\x0d\\x0aforged[1]: info: : "
	    "a\\x0acheck[1]: fatal: b\\x1b[2J\\x5cx0a");
}
END_TEST

static const struct {
	const char *what;
	char filling;
	size_t n;
} longs[] = {
	{ "a long text", 'a', 100000 },
	{ "a long text of bytes that grow fourfold", '\xff', 100000 },
	{ "a text that just fits its buffer", 'b', 511 },
	{ "one byte more", 'b', 512 },
	{ "escapes that just fit, or just not", '\1', 210 },
	{ "escapes that just fit, or just not", '\1', 211 },
	{ "escapes that just fit, or just not", '\1', 212 },
	{ "escapes that just fit, or just not", '\1', 213 },
};

START_TEST(lines_are_bounded_and_keep_their_reason)
{
	char line[PIPE_BUF + 1], id[200], program[200];
	char *text = calloc(1, longs[_i].n + 1);
	size_t n;

	ck_assert_ptr_nonnull(text);
	memset(text, longs[_i].filling, longs[_i].n);
	memset(id, '\2', sizeof(id) - 1);
	id[sizeof(id) - 1] = '\0';
	memset(program, '\3', sizeof(program) - 1);
	program[sizeof(program) - 1] = '\0';
	log_init(program);
	log_request(id);
	errno = EADDRNOTAVAIL;
	log_warn("%s", text);
	next_write(line);
	n = strlen(line);
	ck_assert_uint_lt(n, 1025);
	ck_assert_int_eq(line[n - 1], '\n');
	line[n - 1] = '\0';
	ck_assert_msg(strstr(line, ": Cannot assign requested address"),
	    "%s: %s", longs[_i].what, line);
	ck_assert_str_eq(next_write(line), "");
	free(text);
}
END_TEST

START_TEST(errno_is_kept)
{
	char line[PIPE_BUF + 1];

	errno = EDOM;
	log_warn("a");
	ck_assert_int_eq(errno, EDOM);
	log_warnx("%s", "b");
	ck_assert_int_eq(errno, EDOM);
	log_info("%100d", 1);
	ck_assert_int_eq(errno, EDOM);
	log_request("x");
	ck_assert_int_eq(errno, EDOM);
	/* Also when nobody can take the line. */
	while (errno == EDOM && *next_write(line) != '\0')
		errno = EDOM;
	close(STDERR_FILENO);
	errno = EDOM;
	log_warn("into nothing");
	ck_assert_int_eq(errno, EDOM);
}
END_TEST

static void *
other_thread(void *unused)
{
	(void)unused;
	log_info("no id of its own");
	log_request("other");
	log_info("its own");
	return NULL;
}

START_TEST(the_request_id_belongs_to_its_thread)
{
	char line[PIPE_BUF + 1], id[] = "req_1";
	pthread_t thread;

	log_request(id);
	id[0] = 'X'; /* it was copied */
	log_info("a");
	ck_assert_str_eq(the_line(line, "info"), "req_1: a");
	ck_assert_int_eq(pthread_create(&thread, NULL, other_thread, NULL), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_ptr_nonnull(strstr(next_write(line), "info: no id of"));
	ck_assert_ptr_nonnull(strstr(next_write(line), "info: other: its"));
	log_info("b");
	ck_assert_str_eq(the_line(line, "info"), "req_1: b");
	log_request(NULL);
	log_info("c");
	ck_assert_str_eq(the_line(line, "info"), "c");
}
END_TEST

/* Many processes log at once into one ordinary pipe; no line is torn. */
#define WRITERS 8
#define LINES 200

static void
write_lines(void)
{
	char text[401];

	memset(text, '\n', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	for (int i = 0; i < LINES; i++)
		log_warnx("%s", text);
	_exit(0);
}

START_TEST(lines_of_many_processes_do_not_mix)
{
	char *line = NULL;
	size_t size = 0, length = 0;
	int pair[2], lines = 0;
	ssize_t n;
	FILE *in;

	ck_assert_int_eq(pipe(pair), 0);
	ck_assert_int_ne(dup2(pair[1], STDERR_FILENO), -1);
	for (int i = 0; i < WRITERS; i++)
		if (fork() == 0)
			write_lines();
	close(pair[1]);
	close(STDERR_FILENO);
	ck_assert_ptr_nonnull(in = fdopen(pair[0], "r"));
	while ((n = getline(&line, &size, in)) > 0) {
		const char *text = strstr(line, "]: warning: \\x0a");

		ck_assert_msg(strncmp(line, "check[", 6) == 0, "%s", line);
		ck_assert_ptr_nonnull(text);
		if (lines++ == 0)
			length = strlen(text);
		ck_assert_uint_eq(strlen(text), length);
	}
	ck_assert_int_eq(lines, WRITERS * LINES);
	for (int i = 0; i < WRITERS; i++)
		ck_assert_int_ne(wait(NULL), -1);
	free(line);
	fclose(in);
}
END_TEST

static int
status_of(void (*fatal)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		fatal();
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
die_of_errno(void)
{
	errno = EACCES;
	log_fatal("cannot open '%s'", "x");
}

static void
die(void)
{
	log_fatalx("no");
}

START_TEST(fatal_lines_end_the_program_with_status_1)
{
	char line[PIPE_BUF + 1];

	ck_assert_int_eq(status_of(die_of_errno), 1);
	ck_assert_ptr_nonnull(strstr(next_write(line),
	    "]: fatal: cannot open 'x': Permission denied\n"));
	ck_assert_int_eq(status_of(die), 1);
	ck_assert_ptr_nonnull(strstr(next_write(line), "]: fatal: no\n"));
}
END_TEST

static TCase *
cases(void)
{
	TCase *t = tcase_create("log");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, a_line_names_program_process_and_level);
	tcase_add_loop_test(
	    t, every_byte_that_a_client_could_write_is_escaped, 1, 256);
	tcase_add_test(t, a_forged_line_stays_in_its_line);
	ADD_ROWS(t, lines_are_bounded_and_keep_their_reason, longs);
	tcase_add_test(t, errno_is_kept);
	tcase_add_test(t, the_request_id_belongs_to_its_thread);
	tcase_add_test(t, lines_of_many_processes_do_not_mix);
	tcase_add_test(t, fatal_lines_end_the_program_with_status_1);
	tcase_set_timeout(t, 60);
	return t;
}

int
main(void)
{
	return suite_run("log", cases(), NULL);
}
