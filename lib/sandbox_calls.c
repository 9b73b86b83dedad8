/*
 * seccomp: system calls by list. Whatever is not listed is answered as if the
 * kernel did not have it, for which the C library has other ways where there
 * are any: so a newer one still runs.
 */
#include <errno.h>
#include <linux/sched.h>
#include <linux/sockios.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "sandbox_internal.h"

/* With any arguments. A name that this machine's kernel lacks is skipped. */
static const char *const calls[] = {
	/* files, which Landlock confines */
	"access", "chmod", "close", "close_range", "dup", "dup2", "dup3",
	"faccessat", "faccessat2", "fadvise64", "fallocate", "fchmod",
	"fchmodat", "fchown", "fcntl", "fcntl64", "fdatasync", "flock", "fstat",
	"fstat64", "fstatat64", "fstatfs", "fstatfs64", "fsync", "ftruncate",
	"ftruncate64", "futimesat", "getcwd", "getdents", "getdents64", "link",
	"linkat", "lseek", "_llseek", "lstat", "lstat64", "mkdir", "mkdirat",
	"newfstatat", "open", "openat", "pread64", "preadv", "pwrite64",
	"pwritev", "read", "readlink", "readlinkat", "readv", "rename",
	"renameat", "renameat2", "rmdir", "sendfile", "stat", "stat64",
	"statfs", "statfs64", "statx", "sync_file_range", "umask", "unlink",
	"unlinkat", "utimensat", "write", "writev",
	/* connections */
	"accept", "accept4", "connect", "getpeername", "getsockname",
	"getsockopt", "recv", "recvfrom", "recvmmsg", "recvmsg", "send",
	"sendmmsg", "sendmsg", "sendto", "setsockopt", "shutdown",
	/* waiting and time */
	"clock_getres", "clock_gettime", "clock_gettime64", "clock_nanosleep",
	"clock_nanosleep_time64", "epoll_create1", "epoll_ctl", "epoll_pwait",
	"epoll_wait", "eventfd2", "futex", "futex_time64", "futex_waitv",
	"gettimeofday", "nanosleep", "pipe", "pipe2", "poll", "ppoll",
	"ppoll_time64", "pselect6", "restart_syscall", "select", "time",
	"timerfd_create", "timerfd_settime",
	/* memory and threads */
	"brk", "exit", "exit_group", "get_robust_list", "getcpu", "madvise",
	"membarrier", "mincore", "mlock", "mremap", "msync", "munlock",
	"munmap", "rseq", "sched_getaffinity", "sched_yield", "set_robust_list",
	"set_tid_address", "sigaltstack",
	/* signals to itself */
	"rt_sigaction", "rt_sigpending", "rt_sigprocmask", "rt_sigreturn",
	"rt_sigtimedwait", "rt_sigtimedwait_time64", "sigreturn",
	/* who and where am I */
	"getegid", "geteuid", "getgid", "getpid", "getrandom", "getrlimit",
	"getrusage", "gettid", "getuid", "sysinfo", "times", "ugetrlimit",
	"uname"
};

/* One way for a call to be let in; it may have several. */
struct row {
	const char *call;
	struct scmp_arg_cmp argument;
};

#define EQUALS(n, value)                         \
	{                                        \
		.arg = (n), .op = SCMP_CMP_EQ,   \
		.datum_a = (scmp_datum_t)(value) \
	}
/* Of the bits in 'mask' exactly those in 'value'. */
#define BITS(n, mask, value)                          \
	{                                             \
		.arg = (n), .op = SCMP_CMP_MASKED_EQ, \
		.datum_a = (scmp_datum_t)(mask),      \
		.datum_b = (scmp_datum_t)(value)      \
	}

#define NAMESPACES                                                     \
	(CLONE_NEWCGROUP | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWNS | \
	    CLONE_NEWPID | CLONE_NEWUSER | CLONE_NEWUTS | CLONE_NEWTIME)

/*
 * A thread, and no process. (clone3 hides its flags from the filter; glibc
 * then takes clone.)
 */
static const struct row always[] = {
	{ "clone", BITS(0, NAMESPACES | CLONE_THREAD, CLONE_THREAD) },
	{ "ioctl", EQUALS(1, FIONBIO) },
	{ "ioctl", EQUALS(1, FIONREAD) },
	{ "ioctl", EQUALS(1, SIOCOUTQ) },
	{ "prctl", EQUALS(0, PR_SET_NAME) },
	{ "prlimit64", EQUALS(2, 0) }, /* to ask */
	{ "socketpair", EQUALS(0, AF_UNIX) },
};

/* No code that was not there from the start. */
static const struct row unless_named[] = {
	{ "mmap", BITS(2, PROT_EXEC, 0) },
	{ "mmap2", BITS(2, PROT_EXEC, 0) },
	{ "mprotect", BITS(2, PROT_EXEC, 0) },
};

/* The C library loads code for some ways to look a name up, and asks around. */
static const struct row when_named[] = {
	{ "socket", EQUALS(0, AF_UNIX) },
	{ "socket", EQUALS(0, AF_NETLINK) },
};

static int
let_in(scmp_filter_ctx filter, const char *name, unsigned n,
    const struct scmp_arg_cmp *arguments)
{
	int call = seccomp_syscall_resolve_name(name), error;

	if (call < 0) /* not on this machine, or not known to the library */
		return 0;
	error =
	    seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, n, arguments);
	if (error != 0) {
		errno = -error;
		log_warn("cannot confine '%s'", name);
	}
	return error;
}

static int
let_rows_in(scmp_filter_ctx filter, const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (let_in(filter, rows[i].call, 1, &rows[i].argument) != 0)
			return -1;
	return 0;
}

/* TCP to the upstream; UDP only where names are looked up. */
static int
let_sockets_in(scmp_filter_ctx filter, int by_name)
{
	static const int families[] = { AF_INET, AF_INET6 };

	for (size_t i = 0; i < 2; i++) {
		struct scmp_arg_cmp tcp[] = { EQUALS(0, families[i]),
			BITS(1, 0xf, SOCK_STREAM) };
		struct scmp_arg_cmp udp[] = { EQUALS(0, families[i]),
			BITS(1, 0xf, SOCK_DGRAM) };

		if (let_in(filter, "socket", 2, tcp) != 0 ||
		    (by_name && let_in(filter, "socket", 2, udp) != 0))
			return -1;
	}
	return 0;
}

#define ROWS(rows) (rows), sizeof(rows) / sizeof((rows)[0])

static int
let_code_in(scmp_filter_ctx filter)
{
	static const char *const map[] = { "mmap", "mmap2", "mprotect" };

	for (size_t i = 0; i < 3; i++)
		if (let_in(filter, map[i], 0, NULL) != 0)
			return -1;
	return let_rows_in(filter, ROWS(when_named));
}

static int
fill(scmp_filter_ctx filter, const struct sandbox *s)
{
	struct scmp_arg_cmp own = EQUALS(0, getpid());

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (let_in(filter, calls[i], 0, NULL) != 0)
			return -1;
	if (let_rows_in(filter, ROWS(always)) == -1 ||
	    let_in(filter, "tgkill", 1, &own) != 0 || /* abort(3) */
	    let_sockets_in(filter, s->by_name) == -1)
		return -1;
	return s->by_name ? let_code_in(filter)
			  : let_rows_in(filter, ROWS(unless_named));
}

static scmp_filter_ctx
make_filter(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));

	/*
	 * Calls of another architecture would pass by the list. The rules make
	 * a tree rather than a row: the filter runs at every call.
	 */
	if (filter != NULL &&
	    seccomp_attr_set(
		filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) == 0 &&
	    seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2) == 0)
		return filter;
	log_warnx("system calls are not confined: libseccomp cannot begin");
	if (filter != NULL)
		seccomp_release(filter);
	return NULL;
}

unsigned
sandbox_confine_calls(const struct sandbox *s)
{
	scmp_filter_ctx filter = make_filter();
	unsigned held = 0;
	int error;

	if (filter == NULL)
		return 0;
	if (fill(filter, s) == 0) { /* else it is logged */
		error = seccomp_load(filter);
		if (error == 0) {
			held = SANDBOX_CALLS;
		} else {
			errno = -error;
			log_warn("system calls are not confined");
		}
	}
	seccomp_release(filter);
	return held;
}
