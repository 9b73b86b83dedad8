/*
 * lib/buf: the cap is exact, failure sticks, and no block goes back to the
 * heap with anything in it. The Makefile links this program with a lib/buf
 * whose malloc and free are the two below, which see each block.
 */
#include <check.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "tests/unit/suite.h"

void *watched_malloc(size_t);
void watched_free(void *);

/* The block that the buffer under test holds: one at a time, two in a move. */
static struct {
	unsigned char *p;
	size_t size;
} held[2];
static int allocations, fail_at, freed, dirty;

void *
watched_malloc(size_t size)
{
	unsigned char *p;

	if (++allocations == fail_at)
		return NULL;
	if ((p = malloc(size)) == NULL)
		return NULL;
	memset(p, 0, size);
	for (int i = 0; i < 2; i++)
		if (held[i].p == NULL) {
			held[i].p = p;
			held[i].size = size;
			return p;
		}
	abort();
}

void
watched_free(void *p)
{
	for (int i = 0; p != NULL && i < 2; i++) {
		if (held[i].p != p)
			continue;
		freed++;
		for (size_t at = 0; at < held[i].size; at++)
			dirty += held[i].p[at] != 0;
		held[i].p = NULL;
	}
	free(p);
}

static size_t
held_bytes(void)
{
	return (held[0].p ? held[0].size : 0) + (held[1].p ? held[1].size : 0);
}

START_TEST(a_new_buffer_is_an_empty_string)
{
	struct buf b = BUF(10);

	ck_assert_str_eq(b.data, "");
	ck_assert_int_eq(buf_add(&b, "", 0), 0);
	ck_assert_int_eq(buf_add(&b, NULL, 0), 0);
	ck_assert_int_eq(buf_puts(&b, ""), 0);
	ck_assert_int_eq(buf_printf(&b, "%s", ""), 0);
	ck_assert_str_eq(b.data, "");
	buf_reset(&b);
	buf_free(&b);
	ck_assert_int_eq(allocations, freed);
}
END_TEST

/* Caps around the first size and around a doubling. */
static const size_t caps[] = { 0, 1, 2, 62, 63, 64, 65, 127, 128, 129, 1000 };

START_TEST(the_cap_is_exact)
{
	size_t max = caps[_i];
	struct buf b = BUF(max);

	for (size_t n = 0; n < max; n++) {
		ck_assert_int_eq(buf_add(&b, "x", 1), 0);
		ck_assert_uint_eq(b.len, n + 1);
		ck_assert_int_eq(b.data[b.len], '\0');
		ck_assert_uint_lt(b.len, b.cap);
	}
	ck_assert_int_eq(b.failed, 0);
	ck_assert_int_eq(buf_add(&b, "", 0), 0);
	ck_assert_int_eq(buf_add(&b, "x", 1), -1);
	ck_assert_int_eq(b.failed, 1);
	ck_assert_uint_eq(b.len, max);
	ck_assert_uint_eq(strlen(b.data), max);
	/* A NUL, and never a small allocation for a small cap. */
	ck_assert_uint_le(held_bytes(), (max < 63 ? 63 : max) + 1);
	buf_free(&b);
	ck_assert_uint_eq(held_bytes(), 0);
}
END_TEST

START_TEST(one_add_that_just_fits_and_one_that_does_not)
{
	size_t max = caps[_i];
	struct buf fits = BUF(max), over = BUF(max);
	char *bytes = calloc(1, max + 2);

	ck_assert_ptr_nonnull(bytes);
	memset(bytes, 'y', max + 1);
	ck_assert_int_eq(buf_puts(&over, bytes), -1);
	ck_assert_uint_eq(over.len, 0);
	ck_assert_str_eq(over.data, "");
	ck_assert_int_eq(allocations, 0);
	bytes[max] = '\0';
	ck_assert_int_eq(buf_printf(&fits, "%s", bytes), 0);
	ck_assert_str_eq(fits.data, bytes);
	ck_assert_int_eq(buf_printf(&fits, "%c", 'z'), -1);
	ck_assert_str_eq(fits.data, bytes);
	buf_free(&fits);
	buf_free(&over);
	free(bytes);
}
END_TEST

START_TEST(failure_sticks_until_reset)
{
	struct buf b = BUF(4);

	ck_assert_int_eq(buf_puts(&b, "abc"), 0);
	ck_assert_int_eq(buf_puts(&b, "de"), -1);
	/* "d" would fit, but half a row of appends must not look whole. */
	ck_assert_int_eq(buf_puts(&b, "d"), -1);
	ck_assert_int_eq(buf_add(&b, "", 0), -1);
	ck_assert_int_eq(buf_printf(&b, "d"), -1);
	ck_assert_ptr_null(buf_room(&b, 0));
	ck_assert_str_eq(b.data, "abc");
	buf_reset(&b);
	ck_assert_str_eq(b.data, "");
	ck_assert_int_eq(buf_puts(&b, "abcd"), 0);
	ck_assert_str_eq(b.data, "abcd");
	buf_free(&b);
}
END_TEST

START_TEST(sizes_near_the_end_of_memory_are_refused)
{
	struct buf b = BUF(SIZE_MAX);

	ck_assert_int_eq(buf_puts(&b, "a"), 0);
	ck_assert_ptr_null(buf_room(&b, SIZE_MAX));
	buf_reset(&b);
	/* Empty now: with the NUL this would wrap round to nothing. */
	ck_assert_ptr_null(buf_room(&b, SIZE_MAX));
	buf_reset(&b);
	ck_assert_ptr_null(buf_room(&b, SIZE_MAX - 1));
	buf_reset(&b);
	ck_assert_ptr_null(buf_room(&b, PTRDIFF_MAX));
	buf_reset(&b);
	ck_assert_int_eq(buf_puts(&b, "b"), 0);
	buf_free(&b);
}
END_TEST

static void
add_words(struct buf *b)
{
	for (int i = 0; i < 100; i++)
		(void)buf_printf(b, "%s %d, ", "witness", i);
}

START_TEST(no_block_is_given_back_with_anything_in_it)
{
	struct buf b = BUF(4096);

	add_words(&b);
	ck_assert_int_gt(freed, 3); /* it moved several times */
	buf_free(&b);
	ck_assert_int_eq(freed, allocations);
	ck_assert_int_eq(dirty, 0);
}
END_TEST

/* The kernel clears those, but for what is left of pages at both ends. */
START_TEST(large_blocks_are_cleared_as_well)
{
	struct buf b = BUF(8 << 20);
	char *to;

	for (size_t n = 1 << 20; n <= 4 << 20; n *= 2) {
		ck_assert_ptr_nonnull(to = buf_room(&b, n));
		memset(to, 'w', n);
	}
	buf_free(&b);
	ck_assert_int_eq(freed, allocations);
	ck_assert_int_eq(dirty, 0);
}
END_TEST

START_TEST(what_stands_behind_len_is_wiped_as_well)
{
	struct buf b = BUF(4096);
	char *to;

	/* As when a caller reads 60 bytes and keeps none. */
	ck_assert_ptr_nonnull(to = buf_room(&b, 60));
	memset(to, 'w', 60);
	buf_grown(&b, 0);
	ck_assert_ptr_nonnull(buf_room(&b, 2000)); /* moves */
	ck_assert_int_eq(freed, 1);
	ck_assert_int_eq(dirty, 0);
	/* As when a caller shortens it by hand. */
	add_words(&b);
	b.len = 1;
	buf_free(&b);
	ck_assert_int_eq(freed, allocations);
	ck_assert_int_eq(dirty, 0);
}
END_TEST

START_TEST(reset_wipes_and_keeps_the_memory)
{
	struct buf b = BUF(4096);

	add_words(&b);
	buf_reset(&b);
	ck_assert_uint_eq(b.len, 0);
	ck_assert_uint_ge(held_bytes(), 1000);
	for (size_t i = 0; i < b.cap; i++)
		ck_assert_int_eq(b.data[i], 0);
	buf_free(&b);
}
END_TEST

START_TEST(each_allocation_may_fail)
{
	struct buf b = BUF(4096);

	fail_at = _i;
	add_words(&b);
	ck_assert_int_eq(b.failed, 1);
	ck_assert_int_eq(b.data[b.len], '\0');
	/* What fitted before is still there, whole. */
	if (b.len > 0)
		ck_assert_int_eq(strncmp(b.data, "witness 0, ", 11), 0);
	ck_assert_int_eq(buf_puts(&b, "x"), -1);
	buf_free(&b);
	ck_assert_int_eq(freed, allocations - 1);
	ck_assert_int_eq(dirty, 0);
	ck_assert_str_eq(b.data, "");
}
END_TEST

START_TEST(room_is_used_as_far_as_it_is_grown)
{
	struct buf b = BUF(100);
	char *to = buf_room(&b, 100);

	ck_assert_ptr_nonnull(to);
	ck_assert_uint_eq(b.len, 0);
	memset(to, 'r', 100); /* all of it may be written */
	buf_grown(&b, 3);
	ck_assert_str_eq(b.data, "rrr");
	ck_assert_ptr_null(buf_room(&b, 98));
	ck_assert_str_eq(b.data, "rrr");
	buf_free(&b);
}
END_TEST

START_TEST(growing_past_the_room_is_a_bug_that_stops_the_program)
{
	struct buf b = BUF(100);

	ck_assert_ptr_nonnull(buf_room(&b, 10));
	buf_grown(&b, 101);
}
END_TEST

START_TEST(a_freed_buffer_is_as_new)
{
	struct buf b = BUF(3);

	ck_assert_int_eq(buf_puts(&b, "abcd"), -1);
	buf_free(&b);
	buf_free(&b);
	ck_assert_int_eq(b.failed, 0);
	ck_assert_uint_eq(b.max, 3);
	ck_assert_int_eq(buf_puts(&b, "abc"), 0);
	buf_free(&b);
}
END_TEST

START_TEST(bytes_of_any_value_pass)
{
	struct buf b = BUF(600);
	char all[256];

	for (int i = 0; i < 256; i++)
		all[i] = (char)i;
	ck_assert_int_eq(buf_add(&b, all, 256), 0);
	ck_assert_int_eq(buf_add(&b, all, 256), 0);
	ck_assert_mem_eq(b.data, all, 256);
	ck_assert_mem_eq(b.data + 256, all, 256);
	buf_free(&b);
}
END_TEST

/* Many small adds must not copy everything each time. */
START_TEST(growth_is_by_doubling)
{
	struct buf b = BUF(1 << 20);
	int bad = 0;

	/* Not a million assertions: Check writes each of them down. */
	for (int i = 0; i < 1 << 20; i++)
		bad |= buf_add(&b, "x", 1);
	ck_assert_int_eq(bad, 0);
	ck_assert_int_le(allocations, 16);
	buf_free(&b);
}
END_TEST

static TCase *
cases(void)
{
	TCase *t = tcase_create("buf");
	int n = COUNT(caps);

	tcase_add_test(t, a_new_buffer_is_an_empty_string);
	tcase_add_loop_test(t, the_cap_is_exact, 0, n);
	tcase_add_loop_test(
	    t, one_add_that_just_fits_and_one_that_does_not, 0, n);
	tcase_add_test(t, failure_sticks_until_reset);
	tcase_add_test(t, sizes_near_the_end_of_memory_are_refused);
	tcase_add_test(t, no_block_is_given_back_with_anything_in_it);
	tcase_add_test(t, large_blocks_are_cleared_as_well);
	tcase_add_test(t, what_stands_behind_len_is_wiped_as_well);
	tcase_add_test(t, reset_wipes_and_keeps_the_memory);
	tcase_add_loop_test(t, each_allocation_may_fail, 1, 6);
	tcase_add_test(t, room_is_used_as_far_as_it_is_grown);
	tcase_add_test_raise_signal(
	    t, growing_past_the_room_is_a_bug_that_stops_the_program, SIGABRT);
	tcase_add_test(t, a_freed_buffer_is_as_new);
	tcase_add_test(t, bytes_of_any_value_pass);
	tcase_add_test(t, growth_is_by_doubling);
	tcase_set_timeout(t, 60);
	return t;
}

int
main(void)
{
	return suite_run("buf", cases(), NULL);
}
