/*
 * Core dumps. A file is written up to a process's limit; a program behind "|"
 * gets everything, whatever the limit, unless that is 1. Responders forbid
 * dumps themselves (PR_SET_DUMPABLE); the web server's file sets the limit to
 * 1; the upstream has what its service gave it.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/doctor.h"

#define NAMES_MAX 64

/* The last "Storage=" of a file of systemd-coredump: 1, or 0 without. */
static int
read_storage(const struct doctor *d, const char *path, int *none)
{
	struct buf text = BUF(64 << 10);
	char *rest, *line;
	int found = 0;

	if (doctor_read(d, &text, path) == 0) {
		rest = text.data;
		while ((line = doctor_next_line(&rest)) != NULL) {
			line += strspn(line, " \t");
			if (strncasecmp(line, "Storage", 7) != 0)
				continue;
			line += 7 + strspn(line + 7, " \t");
			if (*line++ != '=')
				continue;
			line += strspn(line, " \t");
			*none = strncmp(line, "none", 4) == 0 &&
			    strspn(line + 4, " \t\r") == strlen(line + 4);
			found = 1;
		}
	}
	buf_free(&text);
	return found;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Drop-ins rank by name, wherever they lie, above the file itself. */
static int
coredump_stores_none(const struct doctor *d)
{
	static const char *const folders[] = { "/usr/lib/systemd",
		"/run/systemd", "/etc/systemd" };
	char names[NAMES_MAX][64], path[DOCTOR_PATH_SIZE];
	size_t n = 0;
	int none = 0;

	for (size_t i = 0; i < 3; i++) {
		const struct dirent *e;
		DIR *dir;

		(void)snprintf(
		    path, sizeof(path), "%s/coredump.conf", folders[i]);
		(void)read_storage(d, path, &none);
		if (doctor_path(d, path, "%s/coredump.conf.d", folders[i]) ==
			-1 ||
		    (dir = opendir(path)) == NULL)
			continue;
		while (n < NAMES_MAX && (e = readdir(dir)) != NULL)
			if (strlen(e->d_name) < sizeof(names[0]) &&
			    strstr(e->d_name, ".conf") != NULL)
				(void)snprintf(names[n++], sizeof(names[0]),
				    "%s", e->d_name);
		(void)closedir(dir);
	}
	qsort(names, n, sizeof(names[0]), by_name);
	for (size_t j = 0; j < n; j++)
		/* Of one name only the highest folder's counts. */
		for (size_t i = 3; i-- > 0;) {
			(void)snprintf(path, sizeof(path),
			    "%s/coredump.conf.d/%s", folders[i], names[j]);
			if (read_storage(d, path, &none))
				break;
		}
	return none;
}

enum pattern {
	NOWHERE, /* no dump is kept */
	FILES, /* held by a limit of 0 */
	LIMITED_PROGRAM, /* systemd-coredump, which keeps to a limit of 0 */
	PROGRAM /* held by a limit of 1 alone */
};

static enum pattern
read_pattern(const struct doctor *d, const char *pattern)
{
	char uses_pid[8] = "0";
	const char *program;
	size_t n;

	(void)doctor_read_line(
	    d, uses_pid, sizeof(uses_pid), "/proc/sys/kernel/core_uses_pid");
	if (*pattern == '\0' && strcmp(uses_pid, "0") == 0)
		return NOWHERE;
	if (*pattern != '|')
		return FILES;
	program = pattern + 1;
	n = strcspn(program, " ");
	if ((n == 10 && strncmp(program, "/bin/false", n) == 0) ||
	    (n == 9 && strncmp(program, "/bin/true", n) == 0) ||
	    (n == 14 && strncmp(program, "/usr/bin/false", n) == 0) ||
	    (n == 13 && strncmp(program, "/usr/bin/true", n) == 0))
		return NOWHERE;
	if (strstr(program, "systemd-coredump") == NULL)
		return PROGRAM;
	return coredump_stores_none(d) ? NOWHERE : LIMITED_PROGRAM;
}

/* 1 when the process may leave a dump, 0 not, -1 not to be seen. */
static int
may_dump(const struct doctor *d, enum pattern pattern, int pid)
{
	int64_t limit[2];

	if (doctor_limit(d, pid, "Max core file size", limit) == -1)
		return -1;
	if (limit[0] == 1)
		return 0;
	return pattern == PROGRAM || limit[0] > 0;
}

static void
look_at_part(const struct doctor *d, const struct doctor_processes *all,
    enum doctor_part part, enum pattern pattern, struct doctor_finding *f)
{
	struct doctor_process found[DOCTOR_PARTS_MAX];
	size_t n = doctor_find(d, all, part, found);

	if (n == 0 &&
	    doctor_worse(f, DOCTOR_UNKNOWN,
		"the %s does not run or cannot be seen",
		part == DOCTOR_SERVER ? "web server" : "upstream"))
		doctor_mend(f,
		    "as root, while it runs: pmdoctor --check "
		    "core-dumps");
	for (size_t i = 0; i < n; i++) {
		int may = may_dump(d, pattern, found[i].pid);

		if (may == -1)
			(void)doctor_worse(f, DOCTOR_UNKNOWN,
			    "the limits of %s cannot be seen", found[i].name);
		if (may == 1 &&
		    doctor_worse(f, DOCTOR_FAULT,
			"%s (process %d) would leave a core dump",
			found[i].name, found[i].pid))
			doctor_mend(f,
			    "sysctl kernel.core_pattern='|/bin/false'"
			    ", or LimitCORE=1 in its service");
	}
}

void
doctor_core_dumps(const struct doctor *d, struct doctor_finding *f)
{
	char line[256];
	struct doctor_processes all;
	enum pattern pattern;

	if (doctor_read_line(
		d, line, sizeof(line), "/proc/sys/kernel/core_pattern") == -1) {
		doctor_say(
		    f, DOCTOR_UNKNOWN, "core_pattern: %s", doctor_errno());
		return;
	}
	pattern = read_pattern(d, line);
	if (pattern == NOWHERE) {
		doctor_say(f, DOCTOR_OK, "this host keeps no core dumps");
		return;
	}
	/* Responders forbid theirs: nothing to ask. */
	doctor_say(f, DOCTOR_OK, "no part of the gate may leave a core dump");
	if (doctor_processes(d, &all) == -1)
		doctor_say(f, DOCTOR_UNKNOWN, "/proc: %s", doctor_errno());
	look_at_part(d, &all, DOCTOR_SERVER, pattern, f);
	look_at_part(d, &all, DOCTOR_UPSTREAM, pattern, f);
	doctor_processes_free(&all);
}
