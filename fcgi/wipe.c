/*
 * Whatever is freed in this process is wiped first, libfcgi's, libcurl's and
 * json-c's blocks as well as ours: they held what people wrote, and their
 * keys. These definitions take the place of glibc's in every library. glibc's
 * own M_PERTURB leaves small blocks as they are and the end of each.
 */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

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

void
free(void *p)
{
	if (p == NULL)
		return;
	explicit_bzero(p, malloc_usable_size(p));
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

#endif
