/* pages.h - how the kernel backs a piece of memory. */
#ifndef PMPROXY_PAGES_H
#define PMPROXY_PAGES_H

#include <stddef.h>

/*
 * Clears 'n' bytes, and gives the whole pages among them back to the kernel
 * until they are used again. Private memory only, locked or not. 0, or -1 when
 * the kernel refuses; then none of them need be clear. Costs a system call, and
 * a fault for each page that is used again.
 */
int pages_forget(void *, size_t n);

/*
 * 'n' bytes will be used from end to end: the kernel may back them with huge
 * pages (2 MiB), which saves a fault for each small one. Takes up to a huge
 * page more. 0, or -1 where there are none, which changes nothing else.
 */
int pages_gather(void *, size_t n);

#endif
