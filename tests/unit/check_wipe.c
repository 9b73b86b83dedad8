/* wipe: what functions that returned left on a stack, however deep, is gone. */
#include <check.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fcgi/gate.h"
#include "tests/unit/suite.h"

#define STACK_BYTES ((size_t)256 * 1024)
#define CANARY_LEN 16

static char canary[CANARY_LEN];
static long n_asked;

/* The linker puts these two around each other: see the Makefile. */
int __real_mincore(void *, size_t, unsigned char *);
int __wrap_mincore(void *, size_t, unsigned char *);

int
__wrap_mincore(void *at, size_t n, unsigned char *used)
{
	n_asked++;
	return __real_mincore(at, n, used);
}

/* So deep, and with nothing in between that would be touched. */
static __attribute__((__noinline__)) void
leave_canary(size_t depth)
{
	volatile char *frame = __builtin_alloca(depth);

	for (size_t i = 0; i < CANARY_LEN; i++)
		frame[i] = canary[i];
}

/*
 * How often it stands below here. Only what was used is looked at: to read the
 * rest would use it.
 */
static __attribute__((__noinline__)) int
count_canaries(void)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *here = __builtin_frame_address(0), *low;
	pthread_attr_t attr;
	size_t size;
	void *end;
	int n = 0;

	MUST(pthread_getattr_np(pthread_self(), &attr) == 0 &&
	    pthread_attr_getstack(&attr, &end, &size) == 0 &&
	    pthread_attr_destroy(&attr) == 0);
	for (low = end; low < here; low += page) {
		unsigned char used;

		MUST(__real_mincore(low, page, &used) == 0);
		for (size_t i = 0; (used & 1) && i < page; i += CANARY_LEN)
			n += memcmp(low + i, canary, CANARY_LEN) == 0;
	}
	return n;
}

/* Frames are aligned as the canary is, or most would not be found. */
static int
leaves(size_t depth)
{
	leave_canary(depth);
	return count_canaries();
}

static void *
leave_and_wipe(void *arg)
{
	(void)arg;
	for (int i = 0; i < 40; i++) {
		/* Mostly where it was already, and beyond looking's own. */
		size_t depth = 8192 +
		    random_below(i % 4 ? 16 << 10 : STACK_BYTES - (32 << 10));

		MUST(leaves(depth) == 1);
		wipe_stack();
		MUST(count_canaries() == 0);
	}
	return NULL;
}

static void
run(void *(*fn)(void *))
{
	pthread_attr_t attr;
	pthread_t thread;

	ck_assert_int_eq(pthread_attr_init(&attr), 0);
	ck_assert_int_eq(pthread_attr_setstacksize(&attr, STACK_BYTES), 0);
	ck_assert_int_eq(pthread_create(&thread, &attr, fn, NULL), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(pthread_attr_destroy(&attr), 0);
}

START_TEST(nothing_is_left_however_deep)
{
	for (size_t i = 0; i < CANARY_LEN; i++)
		canary[i] = (char)(1 + random_below(255));
	for (int i = 0; i < 30; i++)
		run(leave_and_wipe);
}
END_TEST

static void *
stay_where_it_was(void *arg)
{
	(void)arg;
	leave_canary(20000);
	/* Holes that are filled are faults as well. */
	for (int i = 0; i < 4; i++)
		wipe_stack();
	n_asked = 0;
	for (int i = 0; i < 100; i++) {
		leave_canary(20000);
		wipe_stack();
	}
	return NULL;
}

START_TEST(the_kernel_is_asked_only_after_a_fault)
{
	run(stay_where_it_was);
	ck_assert_int_le(n_asked, 2); /* 0, but for a kernel that moves pages */
}
END_TEST

static TCase *
cases(void)
{
	TCase *t = tcase_create("wipe");

	if (SANITIZED)
		return t; /* which has an allocator and stacks of its own */
	tcase_set_timeout(t, 120);
	tcase_add_test(t, nothing_is_left_however_deep);
	tcase_add_test(t, the_kernel_is_asked_only_after_a_fault);
	return t;
}

int
main(void)
{
	return suite_run("wipe", cases(), NULL);
}
