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
 * Clears the pages that the stack ever used, from its end to here: asking the
 * kernel which is cheaper than using all of them.
 */
static __attribute__((__noinline__)) void
wipe_below(char *low)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *here = (char *)__builtin_frame_address(0) - NEAR;
	unsigned char used[256]; /* a page each */

	while (low < here) {
		size_t n = (size_t)(here - low + (ptrdiff_t)page - 1) / page;

		n = n < sizeof(used) ? n : sizeof(used);
		if (mincore(low, n * page, used) == -1)
			memset(used, 1, sizeof(used)); /* all of it, then */
		for (size_t i = 0; i < n; i++, low += page) {
			size_t room = (size_t)(here - low);

			if ((used[i] & 1) != 0)
				explicit_bzero(low, room < page ? room : page);
		}
	}
}

/* Its frame takes the place of the one that wipe_below had. */
static __attribute__((__noinline__)) void
wipe_near(void)
{
	char frame[4 * NEAR];

	explicit_bzero(frame, sizeof(frame));
}

/* The end of this thread's stack, or NULL when it cannot be told. */
static char *
stack_end(void)
{
	static _Thread_local char *low;
	pthread_attr_t attr;
	size_t size;
	void *end;

	if (low == NULL) {
		if (pthread_getattr_np(pthread_self(), &attr) != 0)
			return NULL;
		if (pthread_attr_getstack(&attr, &end, &size) == 0)
			low = end;
		(void)pthread_attr_destroy(&attr); /* glibc: always 0 */
	}
	return low;
}

void
wipe_stack(void)
{
	char *low = stack_end();

	if (low != NULL)
		wipe_below(low);
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
