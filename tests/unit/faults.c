/* The calls that fail: each is the real one until its turn comes. */
#include "tests/unit/faults.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static _Atomic int left = -1; /* calls until one fails; -1: none does */
static _Atomic int has_failed;

void
faults_arm(int n)
{
	atomic_store(&has_failed, 0);
	atomic_store(&left, n);
}

int
faults_disarm(void)
{
	atomic_store(&left, -1);
	return atomic_load(&has_failed);
}

/* Descriptors; a number, since to list them would open one. */
static int
count_open(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) != -1;
	return n;
}

void
faults_each(void (*begin)(void), int (*work)(void),
    void (*judge)(int result, int failed))
{
	int failed = 1, result, n, n_open = -1;

	for (n = 0; failed; n++) {
		begin();
		faults_arm(n);
		result = work();
		failed = faults_disarm();
		judge(result, failed);
		if (n_open == -1)
			n_open = count_open();
		ck_assert_msg(n_open == count_open(), "left open, %d", n);
	}
	ck_assert_int_gt(n, 1);
}

static int
is_due(void)
{
	int seen = atomic_load(&left);

	while (
	    seen >= 0 && !atomic_compare_exchange_weak(&left, &seen, seen - 1))
		;
	if (seen != 0)
		return 0;
	atomic_store(&has_failed, 1);
	errno = EIO;
	return 1;
}

/* What the linker puts in the place of 'name'. */
#define FAIL(type, name, parameters, arguments, failure)               \
	type __real_##name parameters;                                 \
	type __wrap_##name parameters;                                 \
	type __wrap_##name parameters                                  \
	{                                                              \
		return is_due() ? (failure) : __real_##name arguments; \
	}

FAIL(void *, malloc, (size_t n), (n), NULL)
FAIL(void *, calloc, (size_t n, size_t size), (n, size), NULL)
FAIL(void *, realloc, (void *at, size_t n), (at, n), NULL)
FAIL(void *, reallocarray, (void *at, size_t n, size_t size), (at, n, size),
    NULL)
FAIL(char *, strdup, (const char *s), (s), NULL)
FAIL(ssize_t, read, (int fd, void *to, size_t n), (fd, to, n), -1)
FAIL(
    ssize_t, pread, (int fd, void *to, size_t n, off_t at), (fd, to, n, at), -1)
FAIL(ssize_t, write, (int fd, const void *from, size_t n), (fd, from, n), -1)
FAIL(ssize_t, pwrite, (int fd, const void *from, size_t n, off_t at),
    (fd, from, n, at), -1)
FAIL(ssize_t, sendfile, (int to, int from, off_t *at, size_t n),
    (to, from, at, n), -1)
FAIL(off_t, lseek, (int fd, off_t at, int whence), (fd, at, whence), -1)
FAIL(int, stat, (const char *path, struct stat *st), (path, st), -1)
FAIL(int, lstat, (const char *path, struct stat *st), (path, st), -1)
FAIL(int, fstat, (int fd, struct stat *st), (fd, st), -1)
FAIL(int, fsync, (int fd), (fd), -1)
FAIL(int, fdatasync, (int fd), (fd), -1)
FAIL(int, rename, (const char *from, const char *to), (from, to), -1)
FAIL(int, renameat, (int a, const char *from, int b, const char *to),
    (a, from, b, to), -1)
FAIL(int, unlink, (const char *path), (path), -1)
FAIL(int, unlinkat, (int dir, const char *path, int flags), (dir, path, flags),
    -1)
FAIL(int, mkdir, (const char *path, mode_t mode), (path, mode), -1)
FAIL(int, fchmod, (int fd, mode_t mode), (fd, mode), -1)
FAIL(int, fchown, (int fd, uid_t uid, gid_t gid), (fd, uid, gid), -1)
FAIL(int, flock, (int fd, int how), (fd, how), -1)
FAIL(DIR *, opendir, (const char *path), (path), NULL)
FAIL(struct dirent *, readdir, (DIR * dir), (dir), NULL)
FAIL(void *, mmap, (void *at, size_t n, int prot, int flags, int fd, off_t to),
    (at, n, prot, flags, fd, to), MAP_FAILED)
FAIL(int, posix_fallocate, (int fd, off_t at, off_t n), (fd, at, n), EIO)
FAIL(int, pthread_rwlockattr_init, (pthread_rwlockattr_t * a), (a), EIO)
FAIL(int, pthread_rwlockattr_setkind_np, (pthread_rwlockattr_t * a, int how),
    (a, how), EIO)
FAIL(int, pthread_rwlock_init,
    (pthread_rwlock_t * lock, const pthread_rwlockattr_t *a), (lock, a), EIO)

/* With arguments that may be left out. */
int __real_open(const char *path, int flags, mode_t mode);
int __wrap_open(const char *path, int flags, ...);
int __real_openat(int dir, const char *path, int flags, mode_t mode);
int __wrap_openat(int dir, const char *path, int flags, ...);
int __wrap___asprintf_chk(char **to, int flag, const char *format, ...)
    __attribute__((__format__(printf, 3, 4)));

static mode_t
mode_of(int flags, va_list list)
{
	return flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0;
}

int
__wrap_open(const char *path, int flags, ...)
{
	va_list list;
	mode_t mode;

	va_start(list, flags);
	mode = mode_of(flags, list);
	va_end(list);
	return is_due() ? -1 : __real_open(path, flags, mode);
}

int
__wrap_openat(int dir, const char *path, int flags, ...)
{
	va_list list;
	mode_t mode;

	va_start(list, flags);
	mode = mode_of(flags, list);
	va_end(list);
	return is_due() ? -1 : __real_openat(dir, path, flags, mode);
}

int
__wrap___asprintf_chk(char **to, int flag, const char *format, ...)
{
	va_list list;
	int n;

	(void)flag;
	if (is_due())
		return -1;
	va_start(list, format);
	n = vasprintf(to, format, list);
	va_end(list);
	return n;
}
