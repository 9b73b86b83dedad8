/*
 * lib/pages: what is forgotten reads as zero and takes no memory; no more is
 * gathered than was named.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/pages.h"
#include "suite.h"

#define PAGES 6

static size_t page;
static unsigned char *memory;

static void
setup(void)
{
	page = (size_t)sysconf(_SC_PAGESIZE);
	memory = mmap(NULL, PAGES * page, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(memory, MAP_FAILED);
	memset(memory, 'x', PAGES * page);
}

static void
teardown(void)
{
	ck_assert_int_eq(munmap(memory, PAGES * page), 0);
}

static int
resident(void)
{
	unsigned char in[PAGES];
	int n = 0;

	ck_assert_int_eq(mincore(memory, PAGES * page, in), 0);
	for (size_t i = 0; i < PAGES; i++)
		n += in[i] & 1;
	return n;
}

/* From and to, in sixteenths of a page, and how many pages go back. */
static const struct {
	size_t from, to;
	int whole;
} spans[] = {
	{ 0, 0, 0 }, /* nothing */
	{ 3, 7, 0 }, /* within one */
	{ 3, 16, 0 }, /* to its end */
	{ 3, 31, 0 }, /* over an edge */
	{ 3, 32, 1 }, /* one, and what is before */
	{ 0, 17, 1 }, /* one, and what is behind */
	{ 16, 48, 2 }, /* no more than whole ones */
	{ 1, 95, 4 }, /* nearly all */
	{ 0, 96, 6 }, /* all */
};

START_TEST(what_is_forgotten_is_zero_and_gone)
{
	size_t from = spans[_i].from * page / 16, to = spans[_i].to * page / 16;

	ck_assert_int_eq(pages_forget(memory + from, to - from), 0);
	ck_assert_int_eq(resident(), PAGES - spans[_i].whole);
	for (size_t i = 0; i < PAGES * page; i++)
		MUST(memory[i] == (i >= from && i < to ? 0 : 'x'));
	memset(memory, 'y', PAGES * page);
	ck_assert_int_eq(resident(), PAGES);
}
END_TEST

START_TEST(locked_memory_goes_back_as_well)
{
	if (mlock(memory, PAGES * page) == -1)
		return; /* not allowed to so much */
	ck_assert_int_eq(pages_forget(memory, PAGES * page), 0);
	ck_assert_int_eq(resident(), 0);
}
END_TEST

START_TEST(a_refusal_is_told)
{
	ck_assert_int_eq(munmap(memory + 2 * page, page), 0);
	ck_assert_int_eq(pages_forget(memory, PAGES * page), -1);
}
END_TEST

/* Pages of 'memory' that may be part of a huge one, by the kernel's word. */
static size_t
gathered(void)
{
	FILE *maps = fopen("/proc/self/smaps", "r");
	unsigned long begin = 0, end = 0, from, to;
	unsigned long first = (unsigned long)memory;
	char line[512];
	size_t bytes = 0;

	ck_assert_ptr_nonnull(maps);
	while (fgets(line, sizeof(line), maps) != NULL) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2) {
			begin = from > first ? from : first;
			end = to < first + PAGES * page ? to
							: first + PAGES * page;
		} else if (begin < end && strncmp(line, "VmFlags:", 8) == 0 &&
		    strstr(line, " hg") != NULL) {
			bytes += end - begin;
		}
	}
	ck_assert_int_eq(fclose(maps), 0);
	return bytes / page;
}

START_TEST(whole_pages_are_gathered)
{
	size_t from = spans[_i].from * page / 16, to = spans[_i].to * page / 16;
	size_t whole = (size_t)spans[_i].whole;

	if (access("/sys/kernel/mm/transparent_hugepage", F_OK) == -1)
		whole = 0;
	ck_assert_int_eq(pages_gather(memory + from, to - from),
	    whole == 0 && spans[_i].whole > 0 ? -1 : 0);
	ck_assert_uint_eq(gathered(), whole);
	for (size_t i = 0; i < PAGES * page; i++)
		MUST(memory[i] == 'x');
}
END_TEST

static TCase *
cases(void)
{
	TCase *t = tcase_create("pages");

	tcase_add_checked_fixture(t, setup, teardown);
	ADD_ROWS(t, what_is_forgotten_is_zero_and_gone, spans);
	ADD_ROWS(t, whole_pages_are_gathered, spans);
	tcase_add_test(t, locked_memory_goes_back_as_well);
	tcase_add_test(t, a_refusal_is_told);
	return t;
}

int
main(void)
{
	return suite_run("pages", cases(), NULL);
}
