/*
 * doctor_host.h - a host for pmdoctor to look at, laid out in a folder: /proc,
 * /sys and so on, STATE_DIR and RUN_DIR.
 */
#ifndef PMPROXY_TESTS_DOCTOR_HOST_H
#define PMPROXY_TESTS_DOCTOR_HOST_H

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "tests/unit/suite.h"

#define MAY_BE_UNUSED __attribute__((__unused__))
#define HOST_NOW INT64_C(1790000000)
#define HOST_PORT 8443
#define HOST_UPSTREAM 8081

static char root[FOLDER_SIZE], state_dir[96], run_dir[96];
static struct doctor host;
static struct config *config;
static struct doctor_finding finding;

/* Makes the folders that a path needs. */
MAY_BE_UNUSED static void
host_folders(const char *path)
{
	char full[512];

	for (const char *at = strchr(path + 1, '/'); at != NULL;
	     at = strchr(at + 1, '/')) {
		snprintf(
		    full, sizeof(full), "%s%.*s", root, (int)(at - path), path);
		ck_assert(mkdir(full, 0700) == 0 || errno == EEXIST);
	}
}

/* A file below the root; its bytes may hold NULs. */
MAY_BE_UNUSED static void
host_bytes(const char *path, const char *bytes, size_t n)
{
	char full[512];
	int fd;

	host_folders(path);
	snprintf(full, sizeof(full), "%s%s", root, path);
	fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(write(fd, bytes, n), (ssize_t)n);
	ck_assert_int_eq(close(fd), 0);
}

MAY_BE_UNUSED static void
host_put(const char *path, const char *text)
{
	host_bytes(path, text, strlen(text));
}

MAY_BE_UNUSED static void
host_remove(const char *path)
{
	char full[512];

	snprintf(full, sizeof(full), "%s%s", root, path);
	ck_assert(unlink(full) == 0 || errno == ENOENT);
}

MAY_BE_UNUSED static void
host_link(const char *path, const char *target)
{
	char full[512];

	host_folders(path);
	snprintf(full, sizeof(full), "%s%s", root, path);
	ck_assert_int_eq(symlink(target, full), 0);
}

/* (Re)loads the configuration; name and value come in pairs before NULL. */
MAY_BE_UNUSED static void
host_configure(const char *name, ...)
{
	va_list list;

	va_start(list, name);
	for (; name != NULL; name = va_arg(list, const char *))
		ck_assert_int_eq(
		    setenv(name, va_arg(list, const char *), 1), 0);
	va_end(list);
	config_free(config);
	config = config_load();
	ck_assert_ptr_nonnull(config);
	host.config = config;
}

MAY_BE_UNUSED static int
host_adjtimex(struct timex *t)
{
	t->status = 0;
	return TIME_OK;
}

MAY_BE_UNUSED static void
host_setup(void)
{
	ck_assert_int_eq(clearenv(), 0);
	make_folder(root);
	snprintf(state_dir, sizeof(state_dir), "%s/state", root);
	snprintf(run_dir, sizeof(run_dir), "%s/run", root);
	ck_assert_int_eq(mkdir(state_dir, 0700), 0);
	ck_assert_int_eq(mkdir(run_dir, 0700), 0);
	memset(&finding, 0, sizeof(finding));
	doctor_init(&host);
	host.root = root;
	host.now = HOST_NOW;
	host.adjtimex = host_adjtimex;
	config = NULL;
	host_configure(
	    "STATE_DIR", state_dir, "RUN_DIR", run_dir, "PORT", "8443", NULL);
	host_put("/proc/swaps", "Filename Type Size Used Priority\n");
}

MAY_BE_UNUSED static void
host_teardown(void)
{
	config_free(config);
	remove_folder(root);
}

/* A process with its limits and command line (NUL between words). */
MAY_BE_UNUSED static void
host_process(int pid, const char *name, int parent, long uid, const char *words,
    size_t n)
{
	char path[64], text[512];

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	snprintf(text, sizeof(text),
	    "Name:\t%s\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t%d\n"
	    "Pid:\t%d\nPPid:\t%d\nUid:\t%ld\t%ld\t%ld\t%ld\n",
	    name, pid, pid, parent, uid, uid, uid, uid);
	host_put(path, text);
	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	host_bytes(path, words, n);
	snprintf(path, sizeof(path), "/proc/%d/fd/0", pid);
	host_link(path, "/dev/null");
}

MAY_BE_UNUSED static void
host_limits(int pid, const char *core, const char *files)
{
	char path[64], text[512];

	snprintf(path, sizeof(path), "/proc/%d/limits", pid);
	snprintf(text, sizeof(text),
	    "Limit                     Soft Limit           Hard Limit\n"
	    "Max core file size        %-20s %-20s bytes     \n"
	    "Max open files            %-20s %-20s files     \n",
	    core, core, files, files);
	host_put(path, text);
}

/* The one table of listening sockets: "0100007F:1F91 1234" and so on. */
MAY_BE_UNUSED static void
host_listeners(const char *family, const char *const rows[][2])
{
	char path[64], text[4096] = "  sl  local_address rem_address   st\n";

	for (int i = 0; rows[i][0] != NULL; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
		    "   %d: %s 00000000:0000 0A 00000000:00000000 00:00000000 "
		    "00000000     0        0 %s 1 0000000000000000 100 0 0 10 0"
		    "\n",
		    i, rows[i][0], rows[i][1]);
	snprintf(path, sizeof(path), "/proc/net/%s", family);
	host_put(path, text);
}

/* Lets /proc/self/mountinfo say this of the file system a path lies on. */
MAY_BE_UNUSED static void
host_mount(const char *path, const char *type, const char *more)
{
	char text[512];
	struct stat st;

	ck_assert_int_eq(stat(path, &st), 0);
	snprintf(text, sizeof(text),
	    "22 27 0:9999 / /proc rw - proc proc rw\n"
	    "40 27 %u:%u / /x rw,relatime shared:7 - %s %s rw,size=9%s\n",
	    major(st.st_dev), minor(st.st_dev), type, type, more);
	host_put("/proc/self/mountinfo", text);
}

/* Runs a check of the table, as the program does. */
MAY_BE_UNUSED static enum doctor_state
look(const char *id)
{
	for (size_t i = 0; i < doctor_n_checks; i++)
		if (strcmp(doctor_checks[i].id, id) == 0) {
			doctor_run(&host, &doctor_checks[i], &finding);
			return finding.state;
		}
	ck_abort_msg("no check '%s'", id);
	return DOCTOR__MAX;
}

/* That it ends so, and says so. */
#define FINDS(id, wanted, words)                                            \
	do {                                                                \
		enum doctor_state got = look(id);                           \
		ck_assert_msg(got == (wanted), "%s: %s: %s", id,            \
		    doctor_state_name(got), finding.what);                  \
		ck_assert_msg(strstr(finding.what, words) != NULL,          \
		    "%s: '%s' does not say '%s'", id, finding.what, words); \
		ck_assert_msg(got < DOCTOR_WARNING || finding.mend[0],      \
		    "%s: '%s': how is it mended?", id, finding.what);       \
	} while (0)

#endif
