/* Whole pages go back to the kernel. */
#include "pages.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_DONTNEED_LOCKED /* in newer headers; Linux 5.18 */
#define MADV_DONTNEED_LOCKED 24
#endif

void
pages_forget(void *from, void *to)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t past = (uintptr_t)from % page, n;
	char *first = (char *)from + (past > 0 ? page - past : 0);
	int saved = errno;

	n = (uintptr_t)to > (uintptr_t)first
	    ? ((uintptr_t)to - (uintptr_t)first) / page * page
	    : 0;
	/* The other one does not do where memory is locked. */
	if (n > 0 && madvise(first, n, MADV_DONTNEED_LOCKED) == -1)
		(void)madvise(first, n, MADV_DONTNEED); /* it costs memory */
	errno = saved;
}
