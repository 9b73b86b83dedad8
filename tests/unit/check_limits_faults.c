/*
 * limits: whatever fails underneath, the file is whole or not there, an error
 * is told, and the next try works.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/limits.h"
#include "lib/limits_internal.h"
#include "tests/unit/faults.h"
#include "tests/unit/suite.h"

#define T0 INT64_C(5000000)
#define MINUTE INT64_C(60000)

static char dir[FOLDER_SIZE], file[80], draft[90];
static struct limits *limits;

static void
setup(void)
{
	hush();
	make_memory_folder(dir);
	snprintf(file, sizeof(file), "%s/limits", dir);
	snprintf(draft, sizeof(draft), "%s.new", file);
}

static void
teardown(void)
{
	limits_close(limits);
	remove_folder(dir);
}

static enum limits_result
take(struct limits *from)
{
	struct limits_window w = { .table = LIMITS_KEY_REQUESTS,
		.who = 1,
		.limit = 2,
		.window_ms = MINUTE,
		.cost = 1 };

	return limits_take(from, &w, 1, 0, 0, NULL, T0);
}

static void
begin_empty(void)
{
	limits_close(limits);
	limits = NULL;
	(void)unlink(file);
	(void)unlink(draft);
}

static int
do_open(void)
{
	limits = limits_open(dir, 8);
	return limits != NULL ? 0 : -1;
}

static void
judge_open(int result, int failed)
{
	ck_assert(result == 0 || (failed && result == -1));
	if (result == -1)
		ck_assert_int_eq(do_open(), 0);
	ck_assert_int_eq(access(draft, F_OK), -1);
	ck_assert_int_eq(limits_check(limits), 0);
	ck_assert_int_eq(take(limits), LIMITS_ADMITTED);
	ck_assert_int_eq(take(limits), LIMITS_ADMITTED);
	ck_assert_int_eq(take(limits), LIMITS_REFUSED);
}

START_TEST(a_file_is_made_wholly_or_not_at_all)
{
	faults_each(begin_empty, do_open, judge_open);
}
END_TEST

/* One that is already counting; another process joins. */
static struct limits *second;

static void
begin_used(void)
{
	limits_close(second);
	second = NULL;
	begin_empty();
	ck_assert_int_eq(do_open(), 0);
	ck_assert_int_eq(take(limits), LIMITS_ADMITTED);
	ck_assert_int_eq(take(limits), LIMITS_ADMITTED);
}

static int
do_join(void)
{
	second = limits_open(dir, 8);
	return second != NULL ? 0 : -1;
}

static void
judge_join(int result, int failed)
{
	ck_assert(result == 0 || (failed && result == -1));
	if (result == -1)
		ck_assert_int_eq(do_join(), 0);
	ck_assert_int_eq(limits_check(second), 0);
	ck_assert_int_eq(limits_check(limits), 0);
	/* A file that could not be looked into was replaced, for both. */
	if (take(second) == LIMITS_ADMITTED) {
		ck_assert_int_eq(failed, 1);
		ck_assert_int_eq(take(limits), LIMITS_ADMITTED);
	}
	ck_assert_int_eq(take(second), LIMITS_REFUSED);
	ck_assert_int_eq(take(limits), LIMITS_REFUSED);
}

START_TEST(both_count_in_one_file_whatever_failed)
{
	faults_each(begin_used, do_join, judge_join);
	limits_close(second);
	second = NULL;
}
END_TEST

/* --- moving on to a new file --- */

static struct limits_lease lease;

static void
begin_deleted(void)
{
	begin_used();
	ck_assert_int_eq(
	    limits_take(limits, NULL, 0, 5, 1, &lease, T0), LIMITS_ADMITTED);
	ck_assert_int_eq(unlink(file), 0);
}

static int
do_check(void)
{
	return limits_check(limits);
}

static void
judge_check(int result, int failed)
{
	struct limits_lease other;

	ck_assert(result == 0 || (failed && result == -1));
	/* Until it works again nobody is let through. */
	if (result == -1)
		ck_assert_int_eq(take(limits), LIMITS_BROKEN);
	ck_assert_int_eq(limits_check(limits), 0);
	ck_assert_int_eq(access(file, F_OK), 0);
	ck_assert_int_eq(take(limits), LIMITS_ADMITTED);
	/* What is in flight came along. */
	ck_assert_int_eq(
	    limits_take(limits, NULL, 0, 5, 1, &other, T0), LIMITS_PARALLEL);
	limits_release(limits, &lease);
	ck_assert_int_eq(
	    limits_take(limits, NULL, 0, 5, 1, &other, T0), LIMITS_ADMITTED);
	limits_release(limits, &other);
}

START_TEST(until_there_is_a_new_file_all_is_refused)
{
	faults_each(begin_deleted, do_check, judge_check);
}
END_TEST

/* --- forgetting --- */

static int
do_forget(void)
{
	return limits_forget(dir, 1, 1);
}

static void
judge_forget(int result, int failed)
{
	ck_assert(result == 0 || (failed && result == -1));
	if (result == -1)
		ck_assert_int_eq(do_forget(), 0);
	/* A failure that looks like another version leaves all in place. */
	else if (failed)
		return;
	ck_assert_int_eq(take(limits), LIMITS_ADMITTED);
}

START_TEST(what_could_not_be_forgotten_can_be_later)
{
	faults_each(begin_used, do_forget, judge_forget);
}
END_TEST

START_TEST(nothing_is_forgotten_where_there_is_nothing)
{
	char absent[FOLDER_SIZE + 8];

	ck_assert_int_eq(limits_forget(dir, 1, 1), 0);
	snprintf(absent, sizeof(absent), "%s/no", dir);
	ck_assert_int_eq(limits_forget(absent, 1, 1), 0);
	ck_assert_int_eq(symlink("elsewhere", file), 0);
	ck_assert_int_eq(limits_forget(dir, 1, 1), -1);
	/* Not one of ours: left as it is. */
	ck_assert_int_eq(unlink(file), 0);
	ck_assert_int_eq(do_open(), 0);
	ck_assert_int_eq(take(limits), LIMITS_ADMITTED);
	ck_assert_int_eq(take(limits), LIMITS_ADMITTED);
	ck_assert_int_eq(chmod(file, 0640), 0);
	ck_assert_int_eq(limits_forget(dir, 1, 1), 0);
	ck_assert_int_eq(take(limits), LIMITS_REFUSED);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("limits_faults");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 300);
	tcase_add_test(t, a_file_is_made_wholly_or_not_at_all);
	tcase_add_test(t, both_count_in_one_file_whatever_failed);
	tcase_add_test(t, until_there_is_a_new_file_all_is_refused);
	tcase_add_test(t, what_could_not_be_forgotten_can_be_later);
	tcase_add_test(t, nothing_is_forgotten_where_there_is_nothing);
	return suite_run("limits_faults", t, NULL);
}
