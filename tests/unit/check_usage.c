/* Tables of totals, and what usage_each tells of journals not rolled up. */
#include <inttypes.h>

#include "tests/unit/usage_dir.h"

#define GOOD "1\tk\tm\te\t2\t10\t1\t0\t11\t0\t0\t5\t1\t0\t."

static struct usage_total
row(int64_t hour, const char *key, const char *model, const char *endpoint)
{
	struct usage_total t = { .hour = hour, .requests = 1, .total = 3 };

	snprintf(t.key_id, sizeof(t.key_id), "%s", key);
	snprintf(t.model, sizeof(t.model), "%s", model);
	snprintf(t.endpoint, sizeof(t.endpoint), "%s", endpoint);
	return t;
}

START_TEST(table_sums_by_all_four)
{
	static const struct {
		int64_t hour;
		const char *key, *model, *endpoint;
	} in[] = { { 7, "b", "m", "e" }, { 7, "a", "m", "e" },
		{ 3, "z", "m", "e" }, { 7, "a", "m", "d" },
		{ 7, "a", "l", "e" }, { 7, "am", "", "e" },
		{ 7, "a", "m", "e" } };
	static const char *const order[] = { "3zme", "7ale", "7amd", "7ame",
		"7ame", "7bme" };
	struct usage_table t = USAGE_TABLE(100);

	for (int i = 0; i < 7; i++) {
		struct usage_total r =
		    row(in[i].hour, in[i].key, in[i].model, in[i].endpoint);

		ck_assert_int_eq(usage_table_add(&t, &r), 0);
	}
	ck_assert_uint_eq(t.n, 6);
	usage_table_sort(&t);
	for (size_t i = 0; i < t.n; i++) {
		char text[256];

		snprintf(text, sizeof(text), "%" PRId64 "%s%s%s",
		    t.rows[i].hour, t.rows[i].key_id, t.rows[i].model,
		    t.rows[i].endpoint);
		ck_assert_str_eq(text, order[i]);
		ck_assert_int_eq(t.rows[i].requests, i == 3 ? 2 : 1);
		ck_assert_int_eq(t.rows[i].total, i == 3 ? 6 : 3);
	}
	usage_table_free(&t);
}
END_TEST

/* Rows are found again after growing, sorting and clearing. */
START_TEST(table_grows)
{
	struct usage_table t = USAGE_TABLE(5000);

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 5000; i++) {
			struct usage_total r = row(0, "k", "m", "e");

			snprintf(r.key_id, sizeof(r.key_id), "%d", i * 7919);
			ck_assert_int_eq(usage_table_add(&t, &r), 0);
		}
		ck_assert_uint_eq(t.n, 5000);
		if (round == 0)
			usage_table_sort(&t);
		if (round == 1) {
			for (size_t i = 0; i < t.n; i++)
				ck_assert_int_eq(t.rows[i].requests, 2);
			usage_table_clear(&t);
			ck_assert_uint_eq(t.n, 0);
		}
	}
	usage_table_free(&t);
	ck_assert_uint_eq(t.max, 5000);
}
END_TEST

START_TEST(full_table_counts_the_rest_as_other)
{
	struct usage_table t = USAGE_TABLE(10);
	struct usage_total sum = { 0 };

	hush();
	for (int i = 0; i < 100; i++) {
		struct usage_total r = row(5, "k", "m", "e");

		snprintf(r.model, sizeof(r.model), "%d", i % 50);
		ck_assert_int_eq(usage_table_add(&t, &r), 0);
	}
	ck_assert_uint_eq(t.n, 11);
	assert_row(&t.rows[10], 5, "other", "other", "other", 80, 0);
	for (size_t i = 0; i < t.n; i++)
		usage_total_add(&sum, &t.rows[i]);
	ck_assert_int_eq(sum.requests, 100);
	usage_table_free(&t);
}
END_TEST

START_TEST(sums_stop_at_the_largest_number)
{
	static const char line[] =
	    "\n1\tk\tm\te\t2\t9223372036854775807\t9223372036854775807\t"
	    "9223372036854775807\t9223372036854775807\t9223372036854775807\t"
	    "9223372036854775807\t9223372036854775807\t1\t0\t.\n";
	const struct seen *s;

	for (int i = 0; i < 3; i++)
		put_raw("2026112218", line, sizeof(line) - 1);
	s = read_all(NULL);
	ck_assert_uint_eq(s->n, 1);
	ck_assert_int_eq(s->row[0].requests, 3);
	ck_assert_int_eq(s->row[0].prompt, INT64_MAX);
	ck_assert_int_eq(s->row[0].completion, INT64_MAX);
	ck_assert_int_eq(s->row[0].cached, INT64_MAX);
	ck_assert_int_eq(s->row[0].total, INT64_MAX);
	ck_assert_int_eq(s->row[0].audio_bytes, INT64_MAX);
	ck_assert_int_eq(s->row[0].audio_ms, INT64_MAX);
	ck_assert_int_eq(s->row[0].duration_ms, INT64_MAX);
}
END_TEST

START_TEST(nothing_used_is_no_rows)
{
	ck_assert_uint_eq(read_all(NULL)->n, 0);
	usage_journal_close(usage_journal_open(dir));
	ck_assert_uint_eq(read_all(NULL)->n, 0);
	ck_assert_int_eq(usage_malformed_lines(), 0);
	put_raw("2026112218", "", 0);
	ck_assert_uint_eq(read_all(NULL)->n, 0);
}
END_TEST

START_TEST(hours_come_in_order_and_in_range)
{
	struct usage_journal *j = usage_journal_open(dir);
	struct seen s = { .n = 0 };
	const struct seen *all;

	put_line(j, HOUR_18 + HOUR, "a", "m", "e", 5);
	put_line(j, HOUR_18 - 20 * HOUR, "a", "m", "e", 2);
	put_line(j, HOUR_18, "b", "m", "e", 2);
	put_line(j, HOUR_18 + 1, "a", "m2", "e", 4);
	put_line(j, HOUR_18 + 2, "a", "m", "f", 2);
	put_line(j, HOUR_18 + 3599, "a", "m", "e", 3);
	put_line(j, HOUR_18 + 3, "a", "m", "e", 2);
	usage_journal_close(j);

	all = read_all(NULL);
	ck_assert_uint_eq(all->n, 6);
	assert_row(&all->row[0], HOUR_18 - 20 * HOUR, "a", "m", "e", 1, 0);
	assert_row(&all->row[1], HOUR_18, "a", "m", "e", 2, 0);
	assert_row(&all->row[2], HOUR_18, "a", "m", "f", 1, 0);
	assert_row(&all->row[3], HOUR_18, "a", "m2", "e", 1, 1);
	assert_row(&all->row[4], HOUR_18, "b", "m", "e", 1, 0);
	assert_row(&all->row[5], HOUR_18 + HOUR, "a", "m", "e", 1, 1);
	ck_assert_int_eq(all->row[1].prompt, 4);
	ck_assert_int_eq(all->row[1].completion, 2);
	ck_assert_int_eq(all->row[1].total, 6);
	ck_assert_int_eq(all->row[1].duration_ms, 20);
	ck_assert_int_eq(all->row[1].cost, 0);

	all = read_all("b");
	ck_assert_uint_eq(all->n, 1);
	assert_row(&all->row[0], HOUR_18, "b", "m", "e", 1, 0);
	ck_assert_uint_eq(read_all("nobody")->n, 0);

	/* From is within, to is not. */
	ck_assert_int_eq(
	    usage_each(dir, HOUR_18, HOUR_18 + HOUR, NULL, keep_total, &s), 0);
	ck_assert_uint_eq(s.n, 4);
	ck_assert_int_eq(usage_each(dir, HOUR_18 + 1, HOUR_18 + HOUR + 1, NULL,
			     keep_total, &s),
	    0);
	ck_assert_uint_eq(s.n, 5);
	ck_assert_int_eq(s.row[4].hour, HOUR_18 + HOUR);
}
END_TEST

static int
stop_at_second(const struct usage_total *t, void *arg)
{
	(void)t;
	return ++*(int *)arg == 2 ? 42 : 0;
}

START_TEST(the_callers_answer_stops_it)
{
	struct usage_journal *j = usage_journal_open(dir);
	int calls = 0;

	for (int i = 0; i < 5; i++)
		put_line(j, HOUR_18 + i * HOUR, "a", "m", "e", 2);
	usage_journal_close(j);
	ck_assert_int_eq(
	    usage_each(dir, INT64_MIN, INT64_MAX, NULL, stop_at_second, &calls),
	    42);
	ck_assert_int_eq(calls, 2);
}
END_TEST

static void
assert_counts(int64_t requests, int64_t malformed)
{
	const struct seen *s = read_all(NULL);

	ck_assert_int_eq(s->n == 0 ? 0 : s->row[0].requests, requests);
	ck_assert_int_eq(usage_malformed_lines(), malformed);
}

START_TEST(malformed_lines_are_counted_and_skipped)
{
	static const char some[] =
	    "\n" GOOD "\n\nrubbish\n" GOOD "\n1\tk\tm\te\t2\t10\n\n\n" GOOD
	    " \n\0\0\0\n" GOOD "\n";

	put_raw("2026112218", some, sizeof(some) - 1);
	assert_counts(3, 4);
	/* A torn tail, mended by the next line's own newline. */
	put_raw("2026112218", "\n1\tk\tm\te\t2\t1", 13);
	assert_counts(3, 5);
	put_raw("2026112218", "\n" GOOD "\n", sizeof("\n" GOOD "\n") - 1);
	assert_counts(4, 5);
	/* A tail that lacks only its newline is whole. */
	put_raw("2026112218", "\n" GOOD, sizeof("\n" GOOD) - 1);
	assert_counts(5, 5);
}
END_TEST

/* Lines that end around the reader's buffer of 64 KiB, and one much longer. */
START_TEST(lines_over_any_length_are_one_malformed_line)
{
	static char junk[300000];
	static const size_t lengths[] = { 638, 639, 640, 641, 65534, 65535,
		65536, 65537, 131071, 131072, 200000 };
	int len;

	memset(junk, '1', sizeof(junk));
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		put_raw("2026112218", "\n", 1);
		put_raw("2026112218", junk, lengths[i]);
		put_raw(
		    "2026112218", "\n" GOOD "\n", sizeof("\n" GOOD "\n") - 1);
		assert_counts((int64_t)i + 1, (int64_t)i + 1);
	}
	/* One that would be right but for its length. */
	len = snprintf(junk, sizeof(junk),
	    "\n1\tk\tm\te\t2\t%0620d\t1\t0\t11\t0\t0\t5\t1\t0\t.\n", 1);
	put_raw("2026112218", junk, (size_t)len);
	assert_counts(11, 12);
	/* Without an end. */
	put_raw("2026112218", junk + 1, (size_t)len - 3);
	memset(junk, '1', sizeof(junk));
	put_raw("2026112218", junk, sizeof(junk));
	assert_counts(11, 13);
}
END_TEST

/* Enough lines of changing length to end at every place of the buffer. */
START_TEST(lines_across_buffers)
{
	static char text[2 << 20];
	size_t n = 0;
	int64_t lines = 0;
	const struct seen *s;

	while (n < sizeof(text) - 400) {
		n += (size_t)snprintf(text + n, sizeof(text) - n,
		    "\n1\tk\tm\te\t2\t%.*d\t1\t0\t11\t0\t0\t5\t1\t0\t.\n",
		    (int)(1 + lines * 7 % 200), 1);
		lines++;
	}
	put_raw("2026112218", text, n);
	s = read_all(NULL);
	ck_assert_uint_eq(s->n, 1);
	ck_assert_int_eq(s->row[0].requests, lines);
	ck_assert_int_eq(s->row[0].prompt, lines);
	ck_assert_int_eq(usage_malformed_lines(), 0);
}
END_TEST

START_TEST(other_files_in_the_folder_are_left_alone)
{
	put_raw("2026112218", "\n" GOOD "\n", sizeof("\n" GOOD "\n") - 1);
	put_raw("2026112218~", "\n" GOOD "\n", sizeof("\n" GOOD "\n") - 1);
	put_raw("2026112224", "\n" GOOD "\n", sizeof("\n" GOOD "\n") - 1);
	put_raw("README", "\n" GOOD "\n", sizeof("\n" GOOD "\n") - 1);
	assert_counts(1, 0);
}
END_TEST

/* What cannot be read is a failure, not a zero; and no named pipe blocks. */
START_TEST(unreadable_hours_fail)
{
	struct seen s = { .n = 0 };

	hush();
	put_raw("2026112217", "\n" GOOD "\n", sizeof("\n" GOOD "\n") - 1);
	ck_assert_int_eq(mkfifo(hour_path("2026112218"), 0600), 0);
	ck_assert_int_eq(
	    usage_each(dir, INT64_MIN, INT64_MAX, NULL, keep_total, &s), -1);
	ck_assert_int_eq(unlink(hour_path("2026112218")), 0);
	ck_assert_int_eq(symlink("2026112217", hour_path("2026112218")), 0);
	ck_assert_int_eq(
	    usage_each(dir, INT64_MIN, INT64_MAX, NULL, keep_total, &s), -1);
	ck_assert_int_eq(unlink(hour_path("2026112218")), 0);
	ck_assert_int_eq(mkdir(hour_path("2026112218"), 0700), 0);
	ck_assert_int_eq(
	    usage_each(dir, INT64_MIN, INT64_MAX, NULL, keep_total, &s), -1);
	ck_assert_int_eq(
	    usage_each(dir, INT64_MIN, HOUR_18, NULL, keep_total, &s), 0);
	ck_assert_int_eq(usage_each("/nonexistent/state", INT64_MIN, INT64_MAX,
			     NULL, keep_total, &s),
	    -1);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("usage");

	tcase_add_checked_fixture(t, usage_dir_setup, usage_dir_teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, table_sums_by_all_four);
	tcase_add_test(t, table_grows);
	tcase_add_test(t, full_table_counts_the_rest_as_other);
	tcase_add_test(t, sums_stop_at_the_largest_number);
	tcase_add_test(t, nothing_used_is_no_rows);
	tcase_add_test(t, hours_come_in_order_and_in_range);
	tcase_add_test(t, the_callers_answer_stops_it);
	tcase_add_test(t, malformed_lines_are_counted_and_skipped);
	tcase_add_test(t, lines_over_any_length_are_one_malformed_line);
	tcase_add_test(t, lines_across_buffers);
	tcase_add_test(t, other_files_in_the_folder_are_left_alone);
	tcase_add_test(t, unreadable_hours_fail);
	return suite_run("usage", t, NULL);
}
