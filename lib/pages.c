/* Whole pages go back to the kernel, what is left is cleared by hand. */
#include "pages.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_DONTNEED_LOCKED /* in newer headers; Linux 5.18 */
#define MADV_DONTNEED_LOCKED 24
#endif

/* The other one does not do where memory is locked. */
static int
give_back(char *p, size_t n)
{
	int saved = errno, bad;

	bad = madvise(p, n, MADV_DONTNEED_LOCKED) == -1 &&
	    madvise(p, n, MADV_DONTNEED) == -1;
	errno = saved;
	return bad ? -1 : 0;
}

int
pages_gather(void *p, size_t n)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t before = (page - (uintptr_t)p % page) % page;
	int saved = errno, bad;

	if (n < before + page)
		return 0;
	bad = madvise(
	    (char *)p + before, (n - before) / page * page, MADV_HUGEPAGE);
	errno = saved;
	return bad;
}

int
pages_forget(void *p, size_t n)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t before = (page - (uintptr_t)p % page) % page, whole;
	char *from = p;

	before = before < n ? before : n;
	whole = (n - before) / page * page;
	if (whole > 0 && give_back(from + before, whole) == -1)
		return -1;
	explicit_bzero(from, before);
	explicit_bzero(from + before + whole, n - before - whole);
	return 0;
}
