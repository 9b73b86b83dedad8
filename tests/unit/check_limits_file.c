/*
 * What can happen to RUN_DIR/limits: kept, outdated, deleted, damaged, cut
 * short, no room. A second handle stands for a second process.
 */
#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/limits.h"
#include "lib/limits_internal.h"
#include "tests/unit/limits_dir.h"

static char other[80];

static void
setup(void)
{
	limits_dir_setup(8);
	snprintf(other, sizeof(other), "%s-other", dir);
}

static enum limits_result
take(struct limits *from, int64_t now_ms)
{
	struct limits_window w = { LIMITS_ADDRESS, 1, 2, MINUTE, 1, 0, 0, 0,
		0 };

	return limits_take(from, &w, 1, 0, 0, NULL, now_ms);
}

static void
exhaust(void)
{
	ck_assert_int_eq(take(limits, T0), LIMITS_ADMITTED);
	ck_assert_int_eq(take(limits, T0), LIMITS_ADMITTED);
	ck_assert_int_eq(take(limits, T0), LIMITS_REFUSED);
}

static void
reopen(void)
{
	limits_close(limits);
	limits = limits_open(dir, 8);
	ck_assert_ptr_nonnull(limits);
}

START_TEST(windows_survive_a_restart)
{
	struct stat st;

	exhaust();
	reopen();
	ck_assert_int_eq(take(limits, T0 + MINUTE - 1), LIMITS_REFUSED);
	ck_assert_int_eq(take(limits, T0 + MINUTE), LIMITS_ADMITTED);
	ck_assert_int_eq(stat(file, &st), 0);
	ck_assert_int_eq(st.st_mode, S_IFREG | 0600);
	/* No holes: a full tmpfs must not kill anybody later. */
	ck_assert_int_ge(st.st_blocks * 512, st.st_size);
}
END_TEST

START_TEST(leases_do_not_outlive_a_restart)
{
	struct limits_lease lease;

	ck_assert_int_eq(
	    limits_take(limits, NULL, 0, 4, 1, &lease, T0), LIMITS_ADMITTED);
	reopen();
	ck_assert_int_eq(limits_parallel(limits, 4), 0);
}
END_TEST

static void
spoil_boot(struct limits_header *header)
{
	header->boot_id[5] ^= 1;
}

static void
spoil_version(struct limits_header *header)
{
	header->version++;
}

static void
spoil_magic(struct limits_header *header)
{
	header->magic ^= 1;
}

static void (*const spoil[])(
    struct limits_header *) = { spoil_boot, spoil_version, spoil_magic };

START_TEST(another_boot_or_version_starts_afresh)
{
	exhaust();
	spoil[_i](limits->map.header);
	reopen();
	exhaust();
	ck_assert_int_eq(limits_check(limits), 0);
}
END_TEST

START_TEST(a_short_file_starts_afresh)
{
	limits_close(limits);
	ck_assert_int_eq(truncate(file, 100), 0);
	limits = limits_open(dir, 8);
	ck_assert_ptr_nonnull(limits);
	exhaust();
}
END_TEST

START_TEST(a_file_that_others_can_read_starts_afresh)
{
	struct stat st;

	limits_close(limits);
	ck_assert_int_eq(chmod(file, 0644), 0);
	limits = limits_open(dir, 8);
	ck_assert_ptr_nonnull(limits);
	ck_assert_int_eq(stat(file, &st), 0);
	ck_assert_int_eq(st.st_mode, S_IFREG | 0600);
}
END_TEST

START_TEST(a_link_is_not_followed)
{
	struct stat st;

	ck_assert_int_eq(rename(file, other), 0);
	ck_assert_int_eq(symlink(other, file), 0);
	limits_close(limits);
	limits = limits_open(dir, 8);
	ck_assert_ptr_nonnull(limits);
	ck_assert_int_eq(lstat(file, &st), 0);
	ck_assert(S_ISREG(st.st_mode));
	ck_assert_int_eq(unlink(other), 0);
}
END_TEST

START_TEST(what_a_dead_maker_left_is_no_hindrance)
{
	char left[96];
	int fd;

	snprintf(left, sizeof(left), "%s.new", file);
	ck_assert_int_ne(fd = open(left, O_WRONLY | O_CREAT, 0600), -1);
	ck_assert_int_eq(close(fd), 0);
	ck_assert_int_eq(unlink(file), 0);
	reopen();
	exhaust();
	ck_assert_int_eq(access(left, F_OK), -1);
}
END_TEST

START_TEST(no_room_is_told_and_leaves_nothing)
{
	struct rlimit small = { 1 << 20, RLIM_INFINITY };

	limits_close(limits);
	limits = NULL;
	ck_assert_int_eq(unlink(file), 0);
	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	ck_assert_ptr_null(limits_open(dir, 8));
	/* The folder is empty: teardown removes it. */
}
END_TEST

START_TEST(no_folder_is_told)
{
	ck_assert_ptr_null(limits_open("/nonexistent/folder", 8));
}
END_TEST

START_TEST(a_deleted_file_is_made_anew_for_all)
{
	struct limits *second = limits_open(dir, 8);
	struct limits_lease mine, theirs;

	ck_assert_ptr_nonnull(second);
	exhaust();
	ck_assert_int_eq(
	    limits_take(limits, NULL, 0, 4, 2, &mine, T0), LIMITS_ADMITTED);
	ck_assert_int_eq(
	    limits_take(second, NULL, 0, 4, 2, &theirs, T0), LIMITS_ADMITTED);
	ck_assert_int_eq(unlink(file), 0);
	ck_assert_int_eq(limits_check(limits), 0);
	ck_assert_int_eq(access(file, F_OK), 0);
	/* Both count in the new one, the second without being told. */
	ck_assert_int_eq(take(second, T0), LIMITS_ADMITTED);
	ck_assert_int_eq(take(limits, T0), LIMITS_ADMITTED);
	ck_assert_int_eq(take(second, T0), LIMITS_REFUSED);
	ck_assert_int_eq(take(limits, T0), LIMITS_REFUSED);
	/* What is in flight still is. */
	ck_assert_int_eq(limits_parallel(limits, 4), 2);
	limits_release(limits, &mine);
	ck_assert_int_eq(limits_parallel(second, 4), 1);
	limits_release(second, &theirs);
	ck_assert_int_eq(limits_parallel(limits, 4), 0);
	limits_close(second);
}
END_TEST

START_TEST(a_take_notices_within_a_second)
{
	ck_assert_int_eq(take(limits, T0), LIMITS_ADMITTED);
	ck_assert_int_eq(unlink(file), 0);
	ck_assert_int_eq(take(limits, T0 + 999), LIMITS_ADMITTED);
	ck_assert_int_eq(access(file, F_OK), -1);
	ck_assert_int_eq(take(limits, T0 + 1000), LIMITS_ADMITTED);
	ck_assert_int_eq(access(file, F_OK), 0);
}
END_TEST

START_TEST(without_the_folder_all_is_refused)
{
	struct limits_lease lease;

	exhaust();
	ck_assert_int_eq(
	    limits_take(limits, NULL, 0, 4, 0, &lease, T0), LIMITS_ADMITTED);
	ck_assert_int_eq(rename(dir, other), 0);
	ck_assert_int_eq(limits_check(limits), -1);
	ck_assert_int_eq(take(limits, T0), LIMITS_BROKEN);
	ck_assert_int_eq(take(limits, T0 + 5000), LIMITS_BROKEN);
	/* Released meanwhile, it must not be back afterwards. */
	limits_release(limits, &lease);
	ck_assert_int_eq(rename(other, dir), 0);
	ck_assert_int_eq(limits_check(limits), 0);
	ck_assert_int_eq(take(limits, T0 + 5000), LIMITS_REFUSED);
	ck_assert_int_eq(limits_parallel(limits, 4), 0);
}
END_TEST

START_TEST(a_damaged_file_refuses_until_deleted)
{
	struct limits_window w = { LIMITS_ADDRESS, 1, 2, MINUTE, 1, 0, 0, 0,
		0 };

	limits->map.header->magic ^= 1;
	ck_assert_int_eq(take(limits, T0), LIMITS_BROKEN);
	ck_assert_int_eq(limits_peek(limits, &w, 1, T0), LIMITS_BROKEN);
	ck_assert_int_eq(limits_check(limits), -1);
	ck_assert_int_eq(take(limits, T0 + 5000), LIMITS_BROKEN);
	limits_settle(limits, &w, 100, T0 + 5000);
	ck_assert_int_eq(unlink(file), 0);
	ck_assert_int_eq(take(limits, T0 + 6000), LIMITS_ADMITTED);
	ck_assert_int_eq(limits_check(limits), 0);
}
END_TEST

START_TEST(a_file_cut_short_kills_nobody)
{
	struct limits_lease lease;

	ck_assert_int_eq(
	    limits_take(limits, NULL, 0, 4, 0, &lease, T0), LIMITS_ADMITTED);
	ck_assert_int_eq(truncate(file, 0), 0);
	ck_assert_int_eq(limits_check(limits), -1);
	ck_assert_int_eq(take(limits, T0 + 5000), LIMITS_BROKEN);
	ck_assert_int_eq(limits_parallel(limits, 4), 0);
	limits_release(limits, &lease);
	ck_assert_int_eq(unlink(file), 0);
	ck_assert_int_eq(limits_check(limits), 0);
	ck_assert_int_eq(limits_parallel(limits, 4), 0);
}
END_TEST

START_TEST(a_damaged_entry_counts_what_it_holds)
{
	struct limits_seat seat = { .table = LIMITS_ADDRESS, .who = 1 };

	exhaust();
	limits_table_seat(limits->map.header, &seat, 1, T0);
	ck_assert(!seat.newcomer);
	seat.entry->first = seat.entry->next + 77;
	ck_assert_int_eq(take(limits, T0 + 1), LIMITS_REFUSED);
	ck_assert_int_eq(take(limits, T0 + MINUTE), LIMITS_ADMITTED);
	/* A time beyond all reason refuses for a window, not for ever. */
	ck_assert_int_eq(take(limits, T0 + MINUTE), LIMITS_ADMITTED);
	seat.entry->last_ms = INT64_MAX;
	ck_assert_int_eq(take(limits, T0 + MINUTE + 1), LIMITS_REFUSED);
	ck_assert_int_eq(take(limits, T0 + 2 * MINUTE + 1), LIMITS_ADMITTED);
}
END_TEST

START_TEST(more_processes_than_rows_are_refused)
{
	struct limits *more[LIMITS_PROCESSES];
	uint32_t i;

	for (i = 0; i < LIMITS_PROCESSES - 1; i++)
		ck_assert_ptr_nonnull(more[i] = limits_open(dir, 1));
	ck_assert_ptr_null(limits_open(dir, 1));
	limits_close(more[7]);
	ck_assert_ptr_nonnull(more[7] = limits_open(dir, 1));
	for (i = 0; i < LIMITS_PROCESSES - 1; i++)
		limits_close(more[i]);
}
END_TEST

START_TEST(a_word_to_close_is_heard_until_its_end)
{
	struct limits *second = limits_open(dir, 1);

	ck_assert_ptr_nonnull(second);
	ck_assert_int_eq(limits_closing(limits, T0), 0);
	ck_assert_int_eq(limits_closing_set(dir, T0 + 1000), 1);
	ck_assert_int_eq(limits_closing(limits, T0), 1);
	ck_assert_int_eq(limits_closing(second, T0 + 999), 1);
	ck_assert_int_eq(limits_closing(limits, T0 + 1000), 0);
	/* It may be taken back. */
	ck_assert_int_eq(limits_closing_set(dir, 0), 1);
	ck_assert_int_eq(limits_closing(second, T0), 0);
	limits_close(second);
}
END_TEST

START_TEST(a_word_to_close_holds_for_a_minute_at_most)
{
	ck_assert_int_eq(limits_closing_set(dir, T0 + MINUTE), 1);
	ck_assert_int_eq(limits_closing(limits, T0 - 1), 0);
	ck_assert_int_eq(limits_closing(limits, T0), 1);
	ck_assert_int_eq(limits_closing_set(dir, INT64_MAX), 1);
	ck_assert_int_eq(limits_closing(limits, T0), 0);
	ck_assert_int_eq(limits_closing_set(dir, INT64_MIN), 1);
	ck_assert_int_eq(limits_closing(limits, T0), 0);
}
END_TEST

START_TEST(where_no_gate_runs_nobody_is_asked_to_close)
{
	struct limits_map map = { 0 };

	ck_assert_int_eq(limits_file_find(dir, &map), 1);
	ck_assert_int_eq(limits_closing_set(dir, T0 + 1000), 1);
	atomic_store(&map.header->magic, 0);
	limits_file_close(&map);
	ck_assert_int_eq(limits_closing(limits, T0), 0);
	ck_assert_int_eq(limits_closing_set(dir, T0 + 1000), 0);
	ck_assert_int_eq(unlink(file), 0);
	ck_assert_int_eq(limits_closing_set(dir, T0 + 1000), 0);
	ck_assert_int_eq(access(file, F_OK), -1);
	ck_assert_int_eq(limits_closing_set("/nowhere", T0 + 1000), 0);
}
END_TEST

static TCase *
cases(void)
{
	TCase *t = tcase_create("file");

	tcase_add_checked_fixture(t, setup, limits_dir_teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, windows_survive_a_restart);
	tcase_add_test(t, leases_do_not_outlive_a_restart);
	ADD_ROWS(t, another_boot_or_version_starts_afresh, spoil);
	tcase_add_test(t, a_short_file_starts_afresh);
	tcase_add_test(t, a_file_that_others_can_read_starts_afresh);
	tcase_add_test(t, a_link_is_not_followed);
	tcase_add_test(t, what_a_dead_maker_left_is_no_hindrance);
	tcase_add_test(t, no_room_is_told_and_leaves_nothing);
	tcase_add_test(t, no_folder_is_told);
	tcase_add_test(t, a_deleted_file_is_made_anew_for_all);
	tcase_add_test(t, a_take_notices_within_a_second);
	tcase_add_test(t, without_the_folder_all_is_refused);
	tcase_add_test(t, a_damaged_file_refuses_until_deleted);
	tcase_add_test(t, a_file_cut_short_kills_nobody);
	tcase_add_test(t, a_damaged_entry_counts_what_it_holds);
	tcase_add_test(t, more_processes_than_rows_are_refused);
	tcase_add_test(t, a_word_to_close_is_heard_until_its_end);
	tcase_add_test(t, a_word_to_close_holds_for_a_minute_at_most);
	tcase_add_test(t, where_no_gate_runs_nobody_is_asked_to_close);
	return t;
}

int
main(void)
{
	return suite_run("limits, the file", cases(), NULL);
}
