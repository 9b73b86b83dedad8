/* pages.h - memory that is not needed for a while, but keeps its place. */
#ifndef PMPROXY_PAGES_H
#define PMPROXY_PAGES_H

/*
 * Forgets what stands in the whole pages between 'from' and 'to': they go back
 * to the kernel, and are zero when they are used again. Private memory only,
 * locked or not. Where the kernel refuses, nothing happens. Costs a system
 * call, and a fault for each page that is used again.
 */
void pages_forget(void *from, void *to);

#endif
