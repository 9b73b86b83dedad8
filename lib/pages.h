/* pages.h - memory that is not needed for a while, but keeps its place. */
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

#endif
