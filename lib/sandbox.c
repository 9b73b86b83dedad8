/* What stays within a process: no dump, no swap, no more rights than needed. */
#include "sandbox.h"

#include <grp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "log.h"

int
sandbox_private(void)
{
	struct rlimit none = { 0, 0 };

	/*
	 * The limit alone would not do: a kernel that hands dumps to a program
	 * does not look at it.
	 */
	if (setrlimit(RLIMIT_CORE, &none) == -1 ||
	    prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L) == -1 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) == -1) {
		log_warn("cannot keep the memory out of core dumps");
		return -1;
	}
	return 0;
}

int
sandbox_leave_root(const char *folder)
{
	struct stat st;

	if (geteuid() != 0)
		return 0;
	if (stat(folder, &st) == -1) {
		log_warn("cannot look at '%s'", folder);
		return -1;
	}
	if (st.st_uid == 0)
		return 0;
	if (setgroups(1, &st.st_gid) == -1 ||
	    setresgid(st.st_gid, st.st_gid, st.st_gid) == -1 ||
	    setresuid(st.st_uid, st.st_uid, st.st_uid) == -1) {
		log_warn("cannot become the owner of '%s'", folder);
		return -1;
	}
	return 0;
}

/*
 * Within a limit the lock would make allocations fail one day, so it is all or
 * nothing.
 */
static int
may_lock_all(void)
{
	struct rlimit limit, none = { RLIM_INFINITY, RLIM_INFINITY };

	if (setrlimit(RLIMIT_MEMLOCK, &none) == 0) /* root may */
		return 1;
	if (getrlimit(RLIMIT_MEMLOCK, &limit) == -1 ||
	    limit.rlim_max != RLIM_INFINITY)
		return 0;
	limit.rlim_cur = RLIM_INFINITY;
	return setrlimit(RLIMIT_MEMLOCK, &limit) == 0;
}

void
sandbox_no_swap(void)
{
	struct sysinfo system;

	/* Pages as they are touched: most of the stacks never are. */
	if (may_lock_all() &&
	    mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0)
		return;
	if (sysinfo(&system) == -1 || system.totalswap > 0)
		log_warnx("memory may be written to swap: turn swap off, or "
			  "allow locked memory without limit (ulimit -l)");
}
