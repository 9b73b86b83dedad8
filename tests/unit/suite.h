/*
 * suite.h - what programs of unit tests share: their main, tables of rows,
 * folders of their own, what was logged, and random numbers that can be had
 * again.
 */
#ifndef PMPROXY_TESTS_SUITE_H
#define PMPROXY_TESTS_SUITE_H

#include <check.h>
#include <stddef.h>

/* Whether this is built with a sanitizer: slower, and not confined. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* Runs test cases, the last one followed by NULL; returns main's status. */
int suite_run(const char *name, ...) __attribute__((__sentinel__));

/* How many rows a table has, and a test called once a row with its _i. */
#define COUNT(rows) ((int)(sizeof(rows) / sizeof((rows)[0])))
#define ADD_ROWS(t, test, rows) tcase_add_loop_test(t, test, 0, COUNT(rows))

#define FOLDER_SIZE 32

/* A new folder, for its owner alone; "memory": where RUN_DIR would be. */
void make_folder(char path[FOLDER_SIZE]);
void make_memory_folder(char path[FOLDER_SIZE]);

/* With all that is in it. */
void remove_folder(const char *path);

/* From here on standard error goes where logged() finds it. */
void catch_log(void);

/* All of it so far; good until the next call. */
const char *logged(void);
void forget_logged(void);

/* For tests that make the code complain. */
void hush(void);

/*
 * Random numbers; without random_start they follow from PMPROXY_TEST_SEED, or
 * from the time. A failure's message names the seed.
 */
extern unsigned long long random_seed;
void random_start(unsigned long long seed);
unsigned random_below(unsigned n);

/* Check reports each of its asserts through a pipe: too slow for hot loops. */
#define MUST(what)                                                         \
	do {                                                               \
		if (!(what))                                               \
			ck_abort_msg("seed %llu: %s", random_seed, #what); \
	} while (0)

#endif
