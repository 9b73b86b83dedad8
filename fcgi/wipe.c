/*
 * Whatever is freed in this process is wiped first, libfcgi's, libcurl's and
 * json-c's blocks as well as ours: they held what people wrote, and their
 * keys. These definitions take the place of glibc's in every library. glibc's
 * own M_PERTURB leaves small blocks as they are and the end of each.
 *
 * And so is what functions that returned left on a thread's stack.
 */
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "gate.h"
#include "lib/pages.h"

/* A sanitizer brings an allocator of its own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OTHER_ALLOCATOR
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define OTHER_ALLOCATOR
#endif
#endif

#ifndef OTHER_ALLOCATOR

/* glibc's, under the name it keeps for those who replace the others. */
void __libc_free(void *); /* NOLINT(cert-dcl51-cpp): the name is glibc's */

/* From this size on a block has a whole page in it, wherever it begins. */
#define LARGE 8192
/* The kernel clears these faster, and takes them back soon (fcgi/main.c). */
#define HUGE_BLOCK (1 << 20)

static _Thread_local int sparing;

void
wipe_sparingly(int yes)
{
	sparing = yes;
}

void
free(void *p)
{
	size_t n;

	if (p == NULL)
		return;
	n = malloc_usable_size(p);
	if (n < (sparing ? LARGE : HUGE_BLOCK) || pages_forget(p, n) == -1)
		explicit_bzero(p, n);
	__libc_free(p);
}

/* glibc's would give the old block back as it is. */
void *
realloc(void *p, size_t n)
{
	size_t room;
	void *to;

	if (p == NULL)
		return malloc(n);
	if (n == 0) {
		free(p);
		return NULL;
	}
	room = malloc_usable_size(p);
	if (n <= room)
		return p;
	if ((to = malloc(n)) == NULL)
		return NULL;
	memcpy(to, p, room);
	free(p);
	return to;
}

/* Room for what wipe_below itself calls; wipe_near has it. */
#define NEAR 512

/*
 * A page of a stack comes into being by a fault of the thread that uses it
 * first: nobody else writes where a thread has not been. So as long as it had
 * no fault, it went no deeper than before, and the kernel, which would have to
 * look at each page, need not be asked.
 */
struct stack {
	char *end; /* NULL: not told yet */
	char *used; /* nothing is below; NULL: not told yet */
	long faults; /* that the thread had when this was so */
	int counted; /* the kernel counts them at all */
};

/* -1 when that cannot be told. */
static __attribute__((__noinline__)) long
count_faults(void)
{
	struct rusage r;

	if (getrusage(RUSAGE_THREAD, &r) == -1)
		return -1;
	return r.ru_minflt + r.ru_majflt;
}

/* Some kernels only seem to: a fault is made, to see. */
static int
faults_count(void)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	long before = count_faults(), after;
	volatile char *p = mmap(NULL, page, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return 0;
	*p = 1;
	after = count_faults();
	(void)munmap((void *)(uintptr_t)p, page);
	return before != -1 && after > before;
}

/* The first page from 'low' on that was ever used, or 'here'. */
static __attribute__((__noinline__)) char *
first_used(char *low, char *here)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	unsigned char used[256]; /* a page each */

	while (low < here) {
		size_t n = (size_t)(here - low + (ptrdiff_t)page - 1) / page;

		n = n < sizeof(used) ? n : sizeof(used);
		if (mincore(low, n * page, used) == -1)
			return low; /* all of it, then */
		for (size_t i = 0; i < n; i++, low += page)
			if ((used[i] & 1) != 0)
				return low;
	}
	return here;
}

/* Clears what the stack ever used, from there to here. */
static __attribute__((__noinline__)) void
wipe_below(struct stack *s)
{
	char *here = (char *)__builtin_frame_address(0) - NEAR;
	long faults = s->counted ? count_faults() : -1;

	if (s->used == NULL || faults == -1 || faults != s->faults) {
		s->used = first_used(s->end, here);
		s->faults = faults;
	}
	if (s->used < here)
		explicit_bzero(s->used, (size_t)(here - s->used));
}

/* Its frame takes the place of the one that wipe_below had. */
static __attribute__((__noinline__)) void
wipe_near(void)
{
	char frame[4 * NEAR];

	explicit_bzero(frame, sizeof(frame));
}

/* The end of this thread's stack; 0, or -1 when it cannot be told. */
static int
find_end(struct stack *s)
{
	pthread_attr_t attr;
	size_t size;
	void *end;

	if (pthread_getattr_np(pthread_self(), &attr) != 0)
		return -1;
	if (pthread_attr_getstack(&attr, &end, &size) == 0) {
		s->end = end;
		/* Huge pages would come into being without a fault. */
		s->counted =
		    madvise(end, size, MADV_NOHUGEPAGE) == 0 && faults_count();
	}
	(void)pthread_attr_destroy(&attr); /* glibc: always 0 */
	return s->end == NULL ? -1 : 0;
}

void
wipe_stack(void)
{
	static _Thread_local struct stack stack;

	if (stack.end != NULL || find_end(&stack) == 0)
		wipe_below(&stack);
	wipe_near();
}

#else

void
wipe_stack(void)
{
}

void
wipe_sparingly(int yes)
{
	(void)yes;
}

#endif
