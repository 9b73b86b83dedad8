/*
 * The main, folders, log and random numbers of unit tests. A failed setup is a
 * failed test: all of it may be called only within one, suite_run excepted.
 */
#include "tests/unit/suite.h"

#include <ftw.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "lib/log.h"

unsigned long long random_seed;
static uint64_t random_state;
static int log_fd = -1;

int
suite_run(const char *name, ...)
{
	const char *seed = getenv("PMPROXY_TEST_SEED");
	Suite *suite = suite_create(name);
	SRunner *runner;
	TCase *cases;
	va_list list;
	int failed;

	random_start(seed != NULL ? strtoull(seed, NULL, 10)
				  : (unsigned long long)time(NULL));
	log_init("check");
	va_start(list, name);
	while ((cases = va_arg(list, TCase *)) != NULL)
		suite_add_tcase(suite, cases);
	va_end(list);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}

static void
make_folder_in(const char *base, char path[FOLDER_SIZE])
{
	snprintf(path, FOLDER_SIZE, "%s/pmproxy-check.XXXXXX", base);
	ck_assert_ptr_nonnull(mkdtemp(path));
}

void
make_folder(char path[FOLDER_SIZE])
{
	make_folder_in("/tmp", path);
}

void
make_memory_folder(char path[FOLDER_SIZE])
{
	make_folder_in(
	    access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", path);
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void
remove_folder(const char *path)
{
	ck_assert_int_eq(nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

void
catch_log(void)
{
	log_fd = memfd_create("log", MFD_CLOEXEC);
	ck_assert_int_ne(log_fd, -1);
	ck_assert_int_ne(dup2(log_fd, STDERR_FILENO), -1);
}

const char *
logged(void)
{
	static char text[65536];
	ssize_t n = pread(log_fd, text, sizeof(text) - 1, 0);

	ck_assert_int_ge(n, 0);
	text[n] = '\0';
	return text;
}

void
forget_logged(void)
{
	ck_assert_int_eq(ftruncate(log_fd, 0), 0);
	ck_assert_int_eq(lseek(log_fd, 0, SEEK_SET), 0);
}

void
hush(void)
{
	ck_assert_ptr_nonnull(freopen("/dev/null", "w", stderr));
}

void
random_start(unsigned long long seed)
{
	random_seed = seed;
	/* Seeds that are near each other start far apart; 0 would stay 0. */
	random_state = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15);
	if (random_state == 0)
		random_state = 1;
}

/* Marsaglia's xorshift, 64 bits. */
unsigned
random_below(unsigned n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned)(random_state >> 33) % n;
}
