/*
 * Rolling up: what is due, late lines, damage, two at once, and a process
 * that is killed at each of its system calls. Totals are exact throughout.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "lib/db.h"
#include "lib/usage_internal.h"
#include "tests/unit/usage_dir.h"

#define LATER (HOUR_18 + 100 * HOUR)

static const char *
store_path(void)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/usage.gdbm", dir);
	return path;
}

/* Bytes of journal that the record of an hour was made from; -1: no record. */
static int64_t
rolled_size(int64_t hour)
{
	struct db *db = db_open(store_path());
	struct usage_scan scan = { 0 };
	int found;

	ck_assert_ptr_nonnull(db);
	found = usage_store_scan(db, hour, &scan);
	db_close(db);
	return found == 1 ? scan.size : -1;
}

START_TEST(hours_close_two_minutes_after_their_end)
{
	struct usage_journal *j = usage_journal_open(dir);
	int64_t end = HOUR_18 + HOUR;

	put_line(j, HOUR_18, "a", "m", "e", 2);
	put_line(j, end, "a", "m", "e", 2);
	usage_journal_close(j);
	ck_assert_int_eq(usage_rollup(dir, HOUR_18, NULL), 0);
	ck_assert_int_eq(usage_rollup(dir, end, NULL), 0);
	ck_assert_int_eq(usage_rollup(dir, end + 119, NULL), 0);
	ck_assert_int_eq(rolled_size(HOUR_18), -1);
	ck_assert_int_eq(usage_rollup(dir, end + 120, NULL), 1);
	ck_assert_int_gt(rolled_size(HOUR_18), 0);
	ck_assert_int_eq(rolled_size(end), -1);
	ck_assert_int_eq(usage_rollup(dir, end + 120, NULL), 0);
	ck_assert_uint_eq(read_all(NULL)->n, 2);
}
END_TEST

START_TEST(nothing_to_roll_up)
{
	ck_assert_int_eq(usage_rollup(dir, LATER, NULL), 0);
	usage_journal_close(usage_journal_open(dir));
	ck_assert_int_eq(usage_rollup(dir, LATER, NULL), 0);
	ck_assert_int_eq(access(store_path(), F_OK), -1);
	hush();
	ck_assert_int_eq(usage_rollup("/nonexistent/state", LATER, NULL), -1);
}
END_TEST

/* The same before, after, without the journal and without the store. */
START_TEST(both_sources_tell_the_same)
{
	static struct seen before;
	struct usage_journal *j = usage_journal_open(dir);
	static const char rubbish[] = "\nrubbish\n";

	for (int i = 0; i < 300; i++) {
		char key[16];

		snprintf(key, sizeof(key), "k%d", i % 7);
		put_line(j, HOUR_18 + i % 3 * HOUR, key,
		    i % 5 ? "gpt-oss-120b" : "a model, with = signs",
		    i % 2 ? "chat.completions" : "embeddings", 2 + i % 4);
	}
	usage_journal_close(j);
	put_raw("2026112218", rubbish, sizeof(rubbish) - 1);
	before = *read_all(NULL);
	ck_assert_int_eq(usage_malformed_lines(), 1);

	ck_assert_int_eq(usage_rollup(dir, LATER, NULL), 3);
	ck_assert_int_eq(usage_malformed_lines(), 1);
	for (int i = 0; i < 3; i++) {
		const struct seen *now = read_all(NULL);

		ck_assert_int_eq(usage_malformed_lines(), 1);
		ck_assert_uint_eq(now->n, before.n);
		for (size_t k = 0; k < now->n; k++)
			ck_assert_mem_eq(
			    &now->row[k], &before.row[k], sizeof(now->row[k]));
		now = read_all("k3");
		ck_assert_uint_gt(now->n, 0);
		for (size_t k = 0; k < now->n; k++)
			ck_assert_str_eq(now->row[k].key_id, "k3");
		if (i == 0) {
			ck_assert_int_eq(unlink(hour_path("2026112218")), 0);
			ck_assert_int_eq(unlink(hour_path("2026112219")), 0);
		}
		/* The remaining hour heals from its journal. */
		if (i == 1) {
			struct db *db = db_edit(store_path());

			ck_assert_int_eq(
			    db_put(db, "hour:2026112220", "9\t9\n", 4), 0);
			ck_assert_int_eq(db_commit(db), 0);
			hush();
		}
	}
	ck_assert_int_eq(usage_rollup(dir, LATER, NULL), 1);
	ck_assert_int_eq(unlink(hour_path("2026112220")), 0);
	ck_assert_uint_eq(read_all(NULL)->n, before.n);
}
END_TEST

START_TEST(late_lines_replace_the_hour)
{
	struct usage_journal *j = usage_journal_open(dir);
	const struct seen *s;

	put_line(j, HOUR_18, "a", "m", "e", 2);
	ck_assert_int_eq(usage_rollup(dir, LATER, NULL), 1);
	for (int i = 2; i <= 4; i++) {
		int64_t size = rolled_size(HOUR_18);

		put_line(j, HOUR_18 + 3599, "a", "m", "e", 2);
		s = read_all(NULL);
		ck_assert_uint_eq(s->n, 1);
		ck_assert_int_eq(s->row[0].requests, i);
		ck_assert_int_eq(usage_rollup(dir, LATER, NULL), 1);
		ck_assert_int_eq(usage_rollup(dir, LATER, NULL), 0);
		ck_assert_int_gt(rolled_size(HOUR_18), size);
		s = read_all(NULL);
		ck_assert_uint_eq(s->n, 1);
		ck_assert_int_eq(s->row[0].requests, i);
	}
	usage_journal_close(j);
}
END_TEST

START_TEST(one_bad_hour_keeps_no_other_from_rolling)
{
	struct usage_journal *j = usage_journal_open(dir);

	hush();
	put_line(j, HOUR_18, "a", "m", "e", 2);
	put_line(j, HOUR_18 + 2 * HOUR, "a", "m", "e", 2);
	usage_journal_close(j);
	ck_assert_int_eq(mkdir(hour_path("2026112219"), 0700), 0);
	ck_assert_int_eq(usage_rollup(dir, LATER, NULL), -1);
	ck_assert_int_gt(rolled_size(HOUR_18), 0);
	ck_assert_int_gt(rolled_size(HOUR_18 + 2 * HOUR), 0);
	ck_assert_int_eq(rmdir(hour_path("2026112219")), 0);
	ck_assert_int_eq(usage_rollup(dir, LATER, NULL), 0);
}
END_TEST

/* Records that no roll-up wrote are refused once their journal is gone. */
START_TEST(damaged_records_are_not_believed)
{
	static const char *const bad[] = { "", "1", "1\t0\t0\t0",
		"2\t0\t0\t0\n", "1\t0\t0\t1\n", "1\t0\t0\t0\nx",
		"1\t-1\t0\t0\n", "1\t0\t0\t0\t\n",
		"1\t9\t0\t1\nk\tm\te\t1\t1\t1\t1\t1\t1\t1\t1\t1\n",
		"1\t9\t0\t1\nk\tm\te\t1\t1\t1\t1\t1\t1\t1\t1\t1\t1",
		"1\t9\t0\t1\nk\tm\te\t1\t1\t1\t1\t1\t1\t1\t1\t1\t1\t1\n",
		"1\t9\t0\t1\nk\t\te\t1\t1\t1\t1\t1\t1\t1\t1\t1\t1\n",
		"1\t9\t0\t1\nk\tm\te\t1\t1\t1\t1\t-1\t1\t1\t1\t1\t1\n" };
	static const char good[] =
	    "1\t9\t0\t1\nk\tm\te\t1\t1\t1\t1\t1\t1\t1\t1\t1\t1\n";
	struct seen s = { .n = 0 };

	hush();
	for (size_t i = 0; i <= sizeof(bad) / sizeof(bad[0]); i++) {
		int whole = i == sizeof(bad) / sizeof(bad[0]);
		const char *value = whole ? good : bad[i];
		struct db *db = db_edit(store_path());

		ck_assert_int_eq(
		    db_put(db, "hour:2026112218", value, strlen(value)), 0);
		ck_assert_int_eq(db_commit(db), 0);
		ck_assert_msg(usage_each(dir, INT64_MIN, INT64_MAX, NULL,
				  keep_total, &s) == (whole ? 0 : -1),
		    "record %zu", i);
	}
	ck_assert_uint_eq(s.n, 1);
}
END_TEST

static int
count_rows(const struct usage_total *t, void *arg)
{
	(void)t;
	++*(int *)arg;
	return 0;
}

static int
read_rows(const struct buf *bytes, size_t n, int64_t rows, const char *key_id,
    int (*fn)(const struct usage_total *, void *), void *arg)
{
	return usage_record_each(
	    bytes->data, n, USAGE_RECORD_HOUR, HOUR_18, rows, key_id, fn, arg);
}

/* Rows as bytes: read back the same, and refused when cut anywhere. */
START_TEST(rows_as_bytes_are_whole_or_nothing)
{
	static const int64_t numbers[] = { 0, 1, 127, 128, 16383, 16384,
		INT64_MAX - 1, INT64_MAX };
	struct usage_table t = USAGE_TABLE(1000);
	struct buf bytes = BUF(1 << 20);
	struct seen s = { .n = 0 };
	int rows = 0;

	for (int i = 0; i < 64; i++) {
		struct usage_total row = { .hour = HOUR_18,
			.requests = numbers[i % 8],
			.errors = numbers[i / 8],
			.total = numbers[(i + 3) % 8],
			.duration_ms = numbers[(i + 5) % 8] };

		snprintf(row.key_id, sizeof(row.key_id), "k%d", i % 7);
		snprintf(row.model, sizeof(row.model), "m%062d", i % 5);
		snprintf(row.endpoint, sizeof(row.endpoint), "e%d", i);
		ck_assert_int_eq(usage_table_add(&t, &row), 0);
	}
	usage_table_sort(&t);
	ck_assert_int_eq(usage_record_put(&bytes, &t, USAGE_RECORD_HOUR), 0);
	ck_assert_int_eq(
	    read_rows(&bytes, bytes.len, 64, NULL, keep_total, &s), 0);
	ck_assert_uint_eq(s.n, 64);
	for (size_t i = 0; i < s.n; i++)
		ck_assert_mem_eq(&s.row[i], &t.rows[i], sizeof(s.row[i]));
	for (size_t n = 0; n < bytes.len; n++)
		ck_assert_int_eq(
		    read_rows(&bytes, n, 64, NULL, count_rows, &rows), -1);
	ck_assert_int_eq(
	    read_rows(&bytes, bytes.len, 63, NULL, count_rows, &rows), -1);
	ck_assert_int_eq(
	    read_rows(&bytes, bytes.len, 65, NULL, count_rows, &rows), -1);
	ck_assert_int_eq(rows, 0);
	ck_assert_int_eq(
	    read_rows(&bytes, bytes.len, 64, "k6", count_rows, &rows), 0);
	ck_assert_int_eq(rows, 9);
	ck_assert_int_eq(
	    read_rows(&bytes, bytes.len, 64, "k", count_rows, &rows), 0);
	ck_assert_int_eq(rows, 9);
	/* Any byte may be another one: no more is asked than to survive it. */
	for (size_t i = 0; i < bytes.len; i++)
		for (int bit = 0; bit < 8; bit++) {
			bytes.data[i] = (char)(bytes.data[i] ^ 1 << bit);
			(void)read_rows(
			    &bytes, bytes.len, 64, NULL, count_rows, &rows);
			bytes.data[i] = (char)(bytes.data[i] ^ 1 << bit);
		}
	usage_table_free(&t);
	buf_free(&bytes);
}
END_TEST

#define RACERS 4

START_TEST(roll_ups_at_once)
{
	struct usage_journal *j = usage_journal_open(dir);
	pid_t pid[RACERS];
	int status, rolled;

	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 40; i++)
			put_line(j, HOUR_18 + i % 20 * HOUR, "a", "m", "e", 2);
		for (int i = 0; i < RACERS; i++) {
			pid[i] = fork();
			ck_assert_int_ne(pid[i], -1);
			if (pid[i] == 0)
				_exit(
				    (int)usage_rollup(dir, LATER, NULL) & 0xff);
		}
		rolled = 0;
		for (int i = 0; i < RACERS; i++) {
			ck_assert_int_eq(waitpid(pid[i], &status, 0), pid[i]);
			ck_assert(WIFEXITED(status));
			rolled += WEXITSTATUS(status);
		}
		/* Nobody does again what another has just done. */
		ck_assert_int_eq(rolled, 20);
		for (int i = 0; i < 20; i++)
			ck_assert_int_gt(rolled_size(HOUR_18 + i * HOUR), 0);
		for (size_t i = 0; i < 20; i++) {
			const struct usage_total *t = &read_all(NULL)->row[i];

			ck_assert_int_eq(t->requests, 2 * (round + 1));
		}
	}
	usage_journal_close(j);
}
END_TEST

static int
roll_up(void)
{
	return usage_rollup(dir, LATER, NULL) == -1;
}

static void
assert_requests(int64_t each)
{
	const struct seen *s = read_all(NULL);

	ck_assert_uint_eq(s->n, 3);
	for (size_t i = 0; i < s->n; i++) {
		ck_assert_int_eq(s->row[i].requests, each);
		ck_assert_int_eq(s->row[i].total, 3 * each);
	}
}

/*
 * First over an empty store, then over one whose hours have all grown: each
 * round one call further, until the roll-up comes through.
 */
START_TEST(killed_at_every_system_call)
{
	struct usage_journal *j = usage_journal_open(dir);

	for (int round = 1; round <= 2; round++) {
		int n = 1;

		for (int i = 0; i < 3; i++)
			put_line(j, HOUR_18 + i * HOUR, "a", "m", "e", 2);
		while (killed_at(roll_up, n)) {
			assert_requests(round);
			n += stride();
			ck_assert_int_lt(n, 1000000);
		}
		/* It takes far more calls than that to do the work. */
		ck_assert_int_gt(n, 20);
		assert_requests(round);
		ck_assert_int_eq(usage_rollup(dir, LATER, NULL), 0);
	}
	for (int i = 0; i < 3; i++)
		ck_assert_int_gt(rolled_size(HOUR_18 + i * HOUR), 0);
	usage_journal_close(j);
}
END_TEST

#define KEYS 4
#define HOURS 5

static void
assert_expected(int64_t expect[HOURS][KEYS])
{
	const struct seen *s = read_all(NULL);
	size_t row = 0;

	for (int h = 0; h < HOURS; h++)
		for (int k = 0; k < KEYS; k++) {
			if (expect[h][k] == 0)
				continue;
			ck_assert_uint_lt(row, s->n);
			ck_assert_int_eq(s->row[row].hour, HOUR_18 + h * HOUR);
			ck_assert_int_eq(s->row[row].key_id[0], 'a' + k);
			ck_assert_int_eq(s->row[row].requests, expect[h][k]);
			row++;
		}
	ck_assert_uint_eq(row, s->n);
}

/* Lines at any time and roll-ups at any time, against plain counting. */
START_TEST(any_order_of_lines_and_roll_ups)
{
	struct usage_journal *j = usage_journal_open(dir);
	int64_t expect[HOURS][KEYS] = { { 0 } };

	random_start(7);
	for (int i = 0; i < 600; i++) {
		unsigned h = random_below(HOURS);
		unsigned k = random_below(KEYS);
		char key[2] = { (char)('a' + k), '\0' };

		if (random_below(6) == 0)
			ck_assert_int_ge(
			    usage_rollup(dir, HOUR_18 + h * HOUR + 300, NULL),
			    0);
		put_line(j, HOUR_18 + h * HOUR, key, "m", "e", 2);
		expect[h][k]++;
		if (random_below(4) == 0)
			assert_expected(expect);
	}
	assert_expected(expect);
	usage_journal_close(j);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("rollup");

	tcase_add_checked_fixture(t, usage_dir_setup, usage_dir_teardown);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, hours_close_two_minutes_after_their_end);
	tcase_add_test(t, nothing_to_roll_up);
	tcase_add_test(t, both_sources_tell_the_same);
	tcase_add_test(t, late_lines_replace_the_hour);
	tcase_add_test(t, one_bad_hour_keeps_no_other_from_rolling);
	tcase_add_test(t, damaged_records_are_not_believed);
	tcase_add_test(t, rows_as_bytes_are_whole_or_nothing);
	tcase_add_test(t, roll_ups_at_once);
	tcase_add_test(t, killed_at_every_system_call);
	tcase_add_test(t, any_order_of_lines_and_roll_ups);
	return suite_run("usage_rollup", t, NULL);
}
