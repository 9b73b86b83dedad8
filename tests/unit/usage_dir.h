/*
 * usage_dir.h - what the tests of usage share: a state folder of their own,
 * lines to put into it, and the totals that are read back.
 */
#ifndef PMPROXY_TESTS_USAGE_DIR_H
#define PMPROXY_TESTS_USAGE_DIR_H

#include <check.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/usage.h"
#include "tests/unit/suite.h"

#define MAYBE_UNUSED __attribute__((__unused__))

#define HOUR INT64_C(3600)
#define HOUR_18 INT64_C(1795370400) /* 2026-11-22T18:00:00Z */

static char dir[FOLDER_SIZE];

MAYBE_UNUSED static void
usage_dir_setup(void)
{
	make_folder(dir);
}

MAYBE_UNUSED static void
usage_dir_teardown(void)
{
	remove_folder(dir);
}

MAYBE_UNUSED static const char *
hour_path(const char *name)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/journal/%s", dir, name);
	return path;
}

/* Adds bytes to an hour's file as they are. */
MAYBE_UNUSED static void
put_raw(const char *name, const void *bytes, size_t n)
{
	char folder[PATH_MAX];
	int fd;

	snprintf(folder, sizeof(folder), "%s/journal", dir);
	(void)mkdir(folder, 0700);
	fd = open(hour_path(name), O_WRONLY | O_APPEND | O_CREAT, 0600);
	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(write(fd, bytes, n), (ssize_t)n);
	close(fd);
}

/* Appends as a responder does; 2 prompt and 1 completion token a line. */
MAYBE_UNUSED static void
put_line(struct usage_journal *j, int64_t at, const char *key,
    const char *model, const char *endpoint, int status_class)
{
	struct usage_record r = { .status_class = status_class,
		.prompt = 2,
		.completion = 1,
		.total = 3,
		.duration_ms = 10 };

	snprintf(r.key_id, sizeof(r.key_id), "%s", key);
	snprintf(r.model, sizeof(r.model), "%s", model);
	snprintf(r.endpoint, sizeof(r.endpoint), "%s", endpoint);
	ck_assert_int_eq(usage_journal_append(j, &r, at), 0);
}

struct seen {
	struct usage_total row[512];
	size_t n;
};

MAYBE_UNUSED static int
keep_total(const struct usage_total *t, void *arg)
{
	struct seen *s = arg;

	ck_assert_uint_lt(s->n, 512);
	s->row[s->n++] = *t;
	return 0;
}

/* All that usage_each tells of all time. */
MAYBE_UNUSED static const struct seen *
read_all(const char *key_id)
{
	static struct seen s;

	s.n = 0;
	ck_assert_int_eq(
	    usage_each(dir, INT64_MIN, INT64_MAX, key_id, keep_total, &s), 0);
	return &s;
}

MAYBE_UNUSED static void
assert_row(const struct usage_total *t, int64_t hour, const char *key,
    const char *model, const char *endpoint, int64_t requests, int64_t errors)
{
	ck_assert_int_eq(t->hour, hour);
	ck_assert_str_eq(t->key_id, key);
	ck_assert_str_eq(t->model, model);
	ck_assert_str_eq(t->endpoint, endpoint);
	ck_assert_int_eq(t->requests, requests);
	ck_assert_int_eq(t->errors, errors);
}

/*
 * Does it in a child that is killed when it enters or leaves a system call,
 * the n-th such stop; 1 when it was, 0 when it came through and returned 0.
 */
MAYBE_UNUSED static int
killed_at(int (*work)(void), int n)
{
	pid_t pid = fork();
	int status;

	ck_assert_int_ne(pid, -1);
	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == -1)
			_exit(77);
		raise(SIGSTOP);
		_exit(work());
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFSTOPPED(status), "no tracing here");
	for (int i = 0; i < n && WIFSTOPPED(status); i++) {
		ck_assert_int_eq(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), 0);
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	}
	if (WIFEXITED(status)) {
		ck_assert_int_eq(WEXITSTATUS(status), 0);
		return 0;
	}
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	while (waitpid(pid, &status, 0) == pid && !WIFSIGNALED(status))
		;
	return 1;
}

MAYBE_UNUSED static int
under_valgrind(void)
{
	const char *preload = getenv("LD_PRELOAD");

	return preload != NULL && strstr(preload, "valgrind") != NULL;
}

/*
 * Valgrind's own calls are traced as well, a hundred for each of ours, and a
 * sanitizer's.
 */
MAYBE_UNUSED static int
stride(void)
{
	if (under_valgrind())
		return 500;
	return SANITIZED ? 3 : 1;
}

#endif
