/*
 * Loaded into programs of the gate by tests (LD_PRELOAD): the wall clock is
 * off by the seconds that the file STEP_CLOCK_FILE, a name given to the
 * compiler, holds (an int64). A clock that measures spans is not touched: no step changes that.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *off;

static int64_t
step(void)
{
	return off != NULL ? *off : 0;
}

/* Before a responder gives up the right to open files elsewhere. */
__attribute__((constructor)) static void
begin(void)
{
	int fd = open(STEP_CLOCK_FILE, O_RDONLY | O_CLOEXEC);
	void *map = MAP_FAILED;

	if (fd != -1)
		map = mmap(NULL, sizeof(*off), PROT_READ, MAP_SHARED, fd, 0);
	if (map != MAP_FAILED)
		off = map;
	if (fd != -1)
		close(fd);
}

int
clock_gettime(clockid_t clock, struct timespec *t)
{
	if (syscall(SYS_clock_gettime, clock, t) == -1)
		return -1;
	if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)
		t->tv_sec += step();
	return 0;
}

time_t
time(time_t *out)
{
	struct timespec t = { 0 };

	(void)clock_gettime(CLOCK_REALTIME, &t);
	if (out != NULL)
		*out = t.tv_sec;
	return t.tv_sec;
}

int
gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
	struct timespec t = { 0 };

	(void)zone;
	(void)clock_gettime(CLOCK_REALTIME, &t);
	tv->tv_sec = t.tv_sec;
	tv->tv_usec = t.tv_nsec / 1000;
	return 0;
}
