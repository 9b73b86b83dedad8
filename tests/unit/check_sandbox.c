/*
 * A process that has entered the sandbox tries what who took it over would
 * try. Each act is done outside first where that is harmless, so that a
 * refusal is the sandbox's.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/sandbox.h"
#include "lib/upstream.h"
#include "tests/unit/suite.h"

/* What an act says of itself; anything else is a child that died. */
enum {
	DONE = 0,
	REFUSED = 1,
	LACKING = 77 /* the kernel has no such confinement */
};

static char ours[FOLDER_SIZE], others[FOLDER_SIZE];
static int listener; /* the upstream's port, and one that is not */
static int other_listener;
static uint16_t port, other_port;

static int
listen_anywhere(uint16_t *at)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(listen(fd, 8), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	*at = ntohs(a.sin_port);
	return fd;
}

static void
write_file(const char *folder, const char *name)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(write(fd, "text", 4), 4);
	close(fd);
}

static void
setup(void)
{
	make_folder(ours);
	make_folder(others);
	write_file(ours, "file");
	write_file(others, "file");
	listener = listen_anywhere(&port);
	other_listener = listen_anywhere(&other_port);
}

static void
teardown(void)
{
	close(listener);
	close(other_listener);
	remove_folder(ours);
	remove_folder(others);
}

static int
said(int done)
{
	return done != -1 ? DONE : REFUSED;
}

static int
opened(const char *folder, const char *name, int flags)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, flags | O_CLOEXEC, 0600);
	if (fd == -1)
		return REFUSED;
	close(fd);
	return DONE;
}

static int
connected(uint16_t to)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(to) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return fd == -1 ? REFUSED
			: said(connect(fd, (struct sockaddr *)&a, sizeof(a)));
}

static int
made_socket(int family, int type)
{
	return said(socket(family, type, 0));
}

static void *
nothing(void *arg)
{
	return arg;
}

/* --- What a responder needs -------------------------------------------------- */

static int
read_ours(void)
{
	return opened(ours, "file", O_RDWR);
}

static int
make_ours(void)
{
	char from[256], to[256];
	struct stat st;

	snprintf(from, sizeof(from), "%s/new", ours);
	snprintf(to, sizeof(to), "%s/journal", ours);
	if (opened(ours, "new", O_WRONLY | O_CREAT | O_TRUNC) != DONE ||
	    mkdir(to, 0700) == -1)
		return REFUSED;
	snprintf(to, sizeof(to), "%s/journal/hour", ours);
	return said(
	    rename(from, to) == 0 && stat(to, &st) == 0 && unlink(to) == 0
		? 0
		: -1);
}

static int
connect_upstream(void)
{
	return connected(port);
}

static int
start_thread(void)
{
	pthread_t t;

	return pthread_create(&t, NULL, nothing, NULL) == 0 &&
		pthread_join(t, NULL) == 0
	    ? DONE
	    : REFUSED;
}

static int
map_memory(void)
{
	void *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p != MAP_FAILED ? said(munmap(p, 1 << 20)) : REFUSED;
}

static int
abort_itself(void)
{
	pid_t self = getpid();

	signal(SIGUSR1, SIG_IGN);
	return said((int)syscall(SYS_tgkill, self, self, SIGUSR1));
}

/* --- What nobody needs ------------------------------------------------------- */

static int
run_program(void)
{
	char *const argv[] = { (char[]){ "true" }, NULL };

	execve("/bin/true", argv, NULL);
	return REFUSED; /* true itself would end with 0 */
}

static int
run_program_at(void)
{
	char *const argv[] = { (char[]){ "true" }, NULL };

	syscall(SYS_execveat, AT_FDCWD, "/bin/true", argv, NULL, 0);
	return REFUSED;
}

static int
start_process(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return said(pid);
}

static int
trace(void)
{
	return said((int)ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int
read_parent(void)
{
	char byte;
	struct iovec to = { &byte, 1 }, from = { &byte, 1 };

	return said((int)process_vm_readv(getppid(), &to, 1, &from, 1, 0));
}

static int
mount_something(void)
{
	return said(mount("none", others, "tmpfs", 0, NULL));
}

static int
new_user_namespace(void)
{
	return said(unshare(CLONE_NEWUSER));
}

static int
new_namespace(void)
{
	return said(unshare(CLONE_NEWUTS));
}

static int
clone_into_namespace(void)
{
	return said((int)syscall(
	    SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL));
}

static int
use_clone3(void)
{
	uint64_t arguments[8] = { CLONE_NEWUSER };

	return said((int)syscall(SYS_clone3, arguments, sizeof(arguments)));
}

static int
signal_parent(void)
{
	return said(kill(getppid(), 0));
}

static int
signal_group(void)
{
	return said((int)syscall(SYS_tgkill, getppid(), getppid(), 0));
}

static int
write_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED
	    ? DONE
	    : REFUSED;
}

static int
make_code(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return said(mprotect(p, 4096, PROT_READ | PROT_EXEC));
}

static int
be_dumpable(void)
{
	return said(prctl(PR_SET_DUMPABLE, 1L, 0L, 0L, 0L));
}

static int
raise_limit(void)
{
	struct rlimit r = { 0, 0 };

	return said(setrlimit(RLIMIT_CORE, &r));
}

static int
listen_elsewhere(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	return said(bind(fd, (struct sockaddr *)&a, sizeof(a)));
}

/* Files are cut by descriptor alone. */
static int
cut_by_name(void)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/file", ours);
	return said(truncate(path, 1));
}

static int
use_udp(void)
{
	return made_socket(AF_INET, SOCK_DGRAM);
}

static int
use_udp_flagged(void)
{
	return made_socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC);
}

static int
use_unix_socket(void)
{
	return made_socket(AF_UNIX, SOCK_STREAM);
}

static int
use_packets(void)
{
	return made_socket(AF_PACKET, SOCK_RAW);
}

static int
use_netlink(void)
{
	return made_socket(AF_NETLINK, SOCK_RAW);
}

static int
call_kernel(long number)
{
	/* Nonsense as arguments: who may make the call at all gets another
	   error than the filter's. */
	if (syscall(number, -1L, -1L, -1L, -1L, -1L, -1L) != -1)
		return DONE;
	return errno == ENOSYS ? REFUSED : DONE;
}

#define KERNEL_CALL(name)                       \
	static int call_##name(void)            \
	{                                       \
		return call_kernel(SYS_##name); \
	}
KERNEL_CALL(bpf)
KERNEL_CALL(keyctl)
KERNEL_CALL(add_key)
KERNEL_CALL(init_module)
KERNEL_CALL(finit_module)
KERNEL_CALL(delete_module)
KERNEL_CALL(perf_event_open)
KERNEL_CALL(setns)
KERNEL_CALL(pivot_root)
KERNEL_CALL(chroot)
KERNEL_CALL(setresuid)
KERNEL_CALL(setgroups)
KERNEL_CALL(capset)
KERNEL_CALL(seccomp)
KERNEL_CALL(userfaultfd)
KERNEL_CALL(memfd_create)
KERNEL_CALL(io_setup)
KERNEL_CALL(syslog)
KERNEL_CALL(reboot)
KERNEL_CALL(swapon)
KERNEL_CALL(open_by_handle_at)
KERNEL_CALL(process_vm_writev)
KERNEL_CALL(pidfd_open)
KERNEL_CALL(pidfd_getfd)
KERNEL_CALL(kcmp)
KERNEL_CALL(personality)
KERNEL_CALL(mknod)
KERNEL_CALL(symlink)
KERNEL_CALL(io_uring_setup)
KERNEL_CALL(shmget)
KERNEL_CALL(clock_settime)
KERNEL_CALL(sethostname)
KERNEL_CALL(listen)
KERNEL_CALL(landlock_create_ruleset)

static int
read_others(void)
{
	return opened(others, "file", O_RDONLY);
}

static int
write_others(void)
{
	return opened(others, "file", O_WRONLY);
}

static int
make_others(void)
{
	return opened(others, "new", O_WRONLY | O_CREAT);
}

static int
climb_out(void)
{
	char path[256];

	snprintf(path, sizeof(path), "..%s/file", strrchr(others, '/'));
	return opened(ours, path, O_RDONLY);
}

static int
list_others(void)
{
	return opened(others, "", O_RDONLY | O_DIRECTORY);
}

static int
remove_others(void)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/file", others);
	return said(unlink(path));
}

static int
move_out(void)
{
	char from[256], to[256];

	snprintf(from, sizeof(from), "%s/file", ours);
	snprintf(to, sizeof(to), "%s/taken", others);
	return said(rename(from, to));
}

static int
read_passwords(void)
{
	return opened("/etc", "passwd", O_RDONLY);
}

static int
read_environment(void)
{
	return opened("/proc/self", "environ", O_RDONLY);
}

static int
read_disk(void)
{
	return opened("/dev", "zero", O_RDONLY);
}

static int
connect_elsewhere(void)
{
	return connected(other_port);
}

struct act {
	const char *what;
	int (*act)(void);
	int outside; /* what it says there; -1: not to be tried */
	unsigned part; /* what refuses it */
};

static const struct act needed[] = {
	{ "read and write a file of ours", read_ours, DONE, 0 },
	{ "make, move and remove ours", make_ours, -1, 0 },
	{ "connect to the upstream", connect_upstream, DONE, 0 },
	{ "start a thread", start_thread, DONE, 0 },
	{ "allocate", map_memory, DONE, 0 },
	{ "signal oneself, as abort does", abort_itself, DONE, 0 },
};

static const struct act forbidden[] = {
	{ "execve", run_program, DONE, SANDBOX_CALLS },
	{ "execveat", run_program_at, DONE, SANDBOX_CALLS },
	{ "fork", start_process, DONE, SANDBOX_CALLS },
	{ "ptrace", trace, DONE, SANDBOX_CALLS },
	{ "read the parent's memory", read_parent, -1, SANDBOX_CALLS },
	{ "mount", mount_something, -1, SANDBOX_CALLS },
	{ "unshare users", new_user_namespace, -1, SANDBOX_CALLS },
	{ "unshare names", new_namespace, -1, SANDBOX_CALLS },
	{ "clone into a namespace", clone_into_namespace, -1, SANDBOX_CALLS },
	{ "clone3", use_clone3, -1, SANDBOX_CALLS },
	{ "signal the parent", signal_parent, DONE, SANDBOX_CALLS },
	{ "signal the parent's thread", signal_group, DONE, SANDBOX_CALLS },
	{ "map writable code", write_code, DONE, SANDBOX_CALLS },
	{ "turn data into code", make_code, DONE, SANDBOX_CALLS },
	{ "be dumpable again", be_dumpable, DONE, SANDBOX_CALLS },
	{ "set a limit", raise_limit, DONE, SANDBOX_CALLS },
	{ "listen elsewhere", listen_elsewhere, DONE, SANDBOX_CALLS },
	{ "truncate", cut_by_name, DONE, SANDBOX_CALLS },
	{ "UDP", use_udp, DONE, SANDBOX_CALLS },
	{ "UDP with flags", use_udp_flagged, -1, SANDBOX_CALLS },
	{ "a Unix socket", use_unix_socket, DONE, SANDBOX_CALLS },
	{ "raw packets", use_packets, -1, SANDBOX_CALLS },
	{ "netlink", use_netlink, DONE, SANDBOX_CALLS },
#define ROW(name)                                     \
	{                                             \
#name, call_##name, -1, SANDBOX_CALLS \
	}
	ROW(bpf),
	ROW(keyctl),
	ROW(add_key),
	ROW(init_module),
	ROW(finit_module),
	ROW(delete_module),
	ROW(perf_event_open),
	ROW(setns),
	ROW(pivot_root),
	ROW(chroot),
	ROW(setresuid),
	ROW(setgroups),
	ROW(capset),
	ROW(seccomp),
	ROW(userfaultfd),
	ROW(memfd_create),
	ROW(io_setup),
	ROW(syslog),
	ROW(reboot),
	ROW(swapon),
	ROW(open_by_handle_at),
	ROW(process_vm_writev),
	ROW(pidfd_open),
	ROW(pidfd_getfd),
	ROW(kcmp),
	ROW(personality),
	ROW(mknod),
	ROW(symlink),
	ROW(io_uring_setup),
	ROW(shmget),
	ROW(clock_settime),
	ROW(sethostname),
	ROW(listen),
	ROW(landlock_create_ruleset),
#undef ROW
	{ "read a file elsewhere", read_others, DONE, SANDBOX_FILES },
	{ "write a file elsewhere", write_others, DONE, SANDBOX_FILES },
	{ "make a file elsewhere", make_others, DONE, SANDBOX_FILES },
	{ "read through ..", climb_out, DONE, SANDBOX_FILES },
	{ "list a folder elsewhere", list_others, DONE, SANDBOX_FILES },
	{ "remove a file elsewhere", remove_others, -1, SANDBOX_FILES },
	{ "move a file out", move_out, -1, SANDBOX_FILES },
	{ "read /etc/passwd", read_passwords, DONE, SANDBOX_FILES },
	{ "read its environment", read_environment, DONE, SANDBOX_FILES },
	{ "open a device", read_disk, DONE, SANDBOX_FILES },
	{ "connect to another port", connect_elsewhere, DONE, SANDBOX_PORTS },
};

/* In a child, since there is no way back; how it ended. */
static int
child_says(int (*act)(void), unsigned part, int confined)
{
	const char *folders[] = { ours, NULL };
	struct sandbox s = { .folders = folders, .port = port };
	int status;
	pid_t pid = fork();

	ck_assert_int_ne(pid, -1);
	if (pid == 0) {
		if (confined && (sandbox_enter(&s) & part) != part)
			_exit(LACKING);
		_exit(act());
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

START_TEST(what_is_needed_goes)
{
	const struct act *a = &needed[_i];

	ck_assert_msg(child_says(a->act, 0, 1) == DONE, "%s", a->what);
}
END_TEST

START_TEST(what_is_forbidden_fails)
{
	const struct act *a = &forbidden[_i];
	int said_inside;

	if (SANITIZED)
		return;
	said_inside = child_says(a->act, a->part, 1);
	if (said_inside == LACKING) /* the sandbox logs which */
		return;
	ck_assert_msg(said_inside == REFUSED, "%s: %d", a->what, said_inside);
	if (a->outside != -1)
		ck_assert_msg(child_says(a->act, a->part, 0) == a->outside,
		    "%s: refused outside, too", a->what);
}
END_TEST

/* The kernel of a developer's machine and of CI has at least this one. */
START_TEST(calls_are_confined_here)
{
	if (!SANITIZED)
		ck_assert_int_eq(
		    child_says(start_thread, SANDBOX_CALLS, 1), DONE);
}
END_TEST

static int
is_bare(void)
{
	char line[128];
	int bare = 0;
	FILE *f = fopen("/proc/self/status", "r");

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		bare += strcmp(line, "NoNewPrivs:\t1\n") == 0 ||
		    strcmp(line, "CapEff:\t0000000000000000\n") == 0 ||
		    strcmp(line, "CapPrm:\t0000000000000000\n") == 0 ||
		    strcmp(line, "Seccomp:\t2\n") == 0;
	if (f != NULL)
		fclose(f);
	return bare == 4 ? DONE : REFUSED;
}

/* /proc is out of reach inside, so it is opened before. */
START_TEST(nothing_is_left_to_gain)
{
	const char *folders[] = { ours, "/proc", NULL };
	struct sandbox s = { .folders = folders, .port = port };
	int status;
	pid_t pid;

	if (SANITIZED)
		return;
	pid = fork();
	if (pid == 0)
		_exit((sandbox_enter(&s) & SANDBOX_CALLS) == 0 ? LACKING
							       : is_bare());
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == DONE);
}
END_TEST

static int
by_name(void)
{
	const char *folders[] = { ours, NULL };
	struct sandbox s = { .folders = folders, .port = port, .by_name = 1 };

	if ((sandbox_enter(&s) & SANDBOX_FILES) != 0 && read_others() == DONE)
		return REFUSED;
	return use_udp() == DONE && read_passwords() == DONE &&
		connect_upstream() == DONE && run_program() == REFUSED
	    ? DONE
	    : REFUSED;
}

START_TEST(a_name_can_be_looked_up)
{
	if (SANITIZED)
		return;
	ck_assert_int_eq(child_says(by_name, 0, 0), DONE);
}
END_TEST

static int
make_private(void)
{
	struct rlimit core;

	return sandbox_private() == 0 && sandbox_private() == 0 &&
		prctl(PR_GET_DUMPABLE) == 0 &&
		prctl(PR_GET_NO_NEW_PRIVS, 0L, 0L, 0L, 0L) == 1 &&
		getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0
	    ? DONE
	    : REFUSED;
}

START_TEST(private_means_no_dump)
{
	ck_assert_int_eq(child_says(make_private, 0, 0), DONE);
}
END_TEST

static int
locked_kib(void)
{
	char line[128];
	int kib = -1;
	FILE *f = fopen("/proc/self/status", "r");

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, "VmLck:", 6) == 0)
			kib = (int)strtol(line + 6, NULL, 10);
	if (f != NULL)
		fclose(f);
	return kib;
}

/* All or nothing: a lock within a limit would make allocations fail. */
static int
lock_memory(void)
{
	struct rlimit limit;
	void *p;
	int kib;

	sandbox_no_swap();
	if (getrlimit(RLIMIT_MEMLOCK, &limit) == -1)
		return REFUSED;
	kib = locked_kib();
	p = mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return REFUSED;
	memset(p, 1, 64 << 20);
	if (limit.rlim_cur == RLIM_INFINITY && kib > 0)
		return locked_kib() >= kib + (64 << 10) ? DONE : REFUSED;
	return kib == 0 && locked_kib() == 0 ? DONE : REFUSED;
}

START_TEST(memory_is_locked_whole_or_not_at_all)
{
	if (!SANITIZED)
		ck_assert_int_eq(child_says(lock_memory, 0, 0), DONE);
}
END_TEST

static int
leave_root(void)
{
	return sandbox_leave_root(ours) == 0 && getuid() == 65534 &&
		geteuid() == 65534 && getgid() == 65533 && setuid(0) == -1 &&
		read_ours() == DONE
	    ? DONE
	    : REFUSED;
}

static int
stay_root(void)
{
	uid_t before = getuid();

	return sandbox_leave_root(ours) == 0 && getuid() == before ? DONE
								   : REFUSED;
}

START_TEST(root_becomes_the_owner)
{
	char path[256];

	ck_assert_int_eq(child_says(stay_root, 0, 0), DONE);
	if (getuid() != 0) /* nobody else can be anybody else */
		return;
	snprintf(path, sizeof(path), "%s/file", ours);
	ck_assert_int_eq(chown(ours, 65534, 65533), 0);
	ck_assert_int_eq(chown(path, 65534, 65533), 0);
	ck_assert_int_eq(child_says(leave_root, 0, 0), DONE);
}
END_TEST

static const struct {
	const char *url;
	struct upstream_reach is;
} reaches[] = {
	{ "http://127.0.0.1:8081", { 8081, 0, 0 } },
	{ "http://127.0.0.1", { 80, 0, 0 } },
	{ "https://10.1.2.3/", { 443, 0, 1 } },
	{ "http://[::1]:8081", { 8081, 0, 0 } },
	{ "http://localhost:8081", { 8081, 1, 0 } },
	{ "https://upstream.example", { 443, 1, 1 } },
	{ "http://127.0.0.1.example:1", { 1, 1, 0 } },
};

START_TEST(the_way_to_the_upstream)
{
	struct upstream_reach r;

	ck_assert_int_eq(upstream_reach(reaches[_i].url, &r), 0);
	ck_assert_uint_eq(r.port, reaches[_i].is.port);
	ck_assert_int_eq(r.by_name, reaches[_i].is.by_name);
	ck_assert_int_eq(r.by_tls, reaches[_i].is.by_tls);
}
END_TEST

START_TEST(no_way_to_the_upstream)
{
	struct upstream_reach r;

	hush();
	ck_assert_int_eq(upstream_reach("http://127.0.0.1:99999", &r), -1);
	ck_assert_int_eq(upstream_reach("", &r), -1);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("sandbox"), *reach = tcase_create("reach");

	tcase_add_checked_fixture(t, setup, teardown);
	ADD_ROWS(t, what_is_needed_goes, needed);
	ADD_ROWS(t, what_is_forbidden_fails, forbidden);
	tcase_add_test(t, calls_are_confined_here);
	tcase_add_test(t, nothing_is_left_to_gain);
	tcase_add_test(t, a_name_can_be_looked_up);
	tcase_add_test(t, private_means_no_dump);
	tcase_add_test(t, memory_is_locked_whole_or_not_at_all);
	tcase_add_test(t, root_becomes_the_owner);
	ADD_ROWS(reach, the_way_to_the_upstream, reaches);
	tcase_add_test(reach, no_way_to_the_upstream);
	return suite_run("sandbox", t, reach, NULL);
}
