/*
 * usage: whatever fails underneath, an error is told as an error and never as
 * less use; no line is lost or counted twice; and what was not done can be
 * done again.
 */
#include <ftw.h>

#include "lib/db.h"
#include "tests/unit/faults.h"
#include "tests/unit/usage_dir.h"

#define NOW (HOUR_18 + 600)
#define OLDEST (HOUR_18 - 3 * HOUR)
#define DUE (HOUR_18 - HOUR) /* the hour that is not rolled up yet */
#define MINE "key_00112233aabbccdd"
#define OTHER "key_ffeeddccbbaa9988"
#define CLOSED 15 /* requests in three hours, and 5 more in the open one */
#define ALL 20
#define ALL_MINE 8

static char kept[FOLDER_SIZE]; /* the state of each beginning */
static struct usage_journal *journal;

/* Three nano-euro a token, so nine a request. */
static int64_t
cost(void *arg, const struct usage_total *t)
{
	(void)arg;
	return 3 * t->total;
}

static uint64_t
basis(void *arg, int64_t before)
{
	(void)arg;
	(void)before;
	return 1;
}

static const struct usage_pricing pricing = { cost, basis, NULL };

static void
use_hour(int64_t hour)
{
	for (int i = 0; i < 5; i++)
		put_line(journal, hour + i, i < 2 ? MINE : OTHER, "m", "e", 2);
}

static void
copy_file(const char *from, const char *to)
{
	char bytes[65536];
	FILE *in = fopen(from, "re"), *out = fopen(to, "we");
	size_t n;

	ck_assert_ptr_nonnull(in);
	ck_assert_ptr_nonnull(out);
	while ((n = fread(bytes, 1, sizeof(bytes), in)) > 0)
		ck_assert_uint_eq(fwrite(bytes, 1, n, out), n);
	ck_assert_int_eq(fclose(out), 0);
	ck_assert_int_eq(fclose(in), 0);
}

static const char *copy_to;

static int
copy_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	char to[PATH_MAX];

	(void)ftw;
	/* Both folders' names are of one length. */
	snprintf(to, sizeof(to), "%s%s", copy_to, path + strlen(copy_to));
	if (type == FTW_D)
		(void)mkdir(to, 0700);
	else {
		copy_file(path, to);
		ck_assert_int_eq(chmod(to, st->st_mode & 0777), 0);
	}
	return 0;
}

static void
copy_folder(const char *from, const char *to)
{
	copy_to = to;
	ck_assert_int_eq(nftw(from, copy_one, 16, FTW_PHYS), 0);
}

static void
begin_anew(void)
{
	usage_journal_close(journal);
	remove_folder(dir);
	copy_folder(kept, dir);
	ck_assert_ptr_nonnull(journal = usage_journal_open(dir));
}

static void
setup(void)
{
	hush();
	make_memory_folder(dir);
	make_memory_folder(kept);
	ck_assert_ptr_nonnull(journal = usage_journal_open(dir));
	use_hour(OLDEST);
	use_hour(OLDEST + HOUR);
	ck_assert_int_eq(usage_rollup(dir, NOW, &pricing), 2);
	use_hour(DUE);
	use_hour(HOUR_18);
	copy_folder(dir, kept);
}

static void
teardown(void)
{
	usage_journal_close(journal);
	remove_folder(kept);
	remove_folder(dir);
}

/* --- asking --- */

struct sum {
	int64_t requests, cost;
	struct usage_query query;
};

static int
add(const struct usage_total *t, void *arg)
{
	struct sum *s = arg;

	s->requests += t->requests;
	s->cost += t->cost;
	return 0;
}

/* The requests of a key, or -1. */
static int64_t
requests_of(const char *key)
{
	struct sum s = { 0, 0, { 0, 0, NULL, 0, 0 } };

	return usage_each(dir, INT64_MIN, INT64_MAX, key, add, &s) == -1
	    ? -1
	    : s.requests;
}

static int
ask_each(void)
{
	return (int)requests_of(NULL);
}

static int
ask_each_mine(void)
{
	return (int)requests_of(MINE);
}

/* A record that cannot be read is to be rolled up anew: then it is more. */
static int
ask_due(void)
{
	int64_t oldest = 0, n = usage_due(dir, NOW, &oldest);

	return n > 1 ? 1 : (int)n;
}

static int64_t
read_sums(const char *key, enum usage_grain grain)
{
	struct sum s = { 0, 0,
		{ INT64_MIN, INT64_MAX, key, grain, grain == USAGE_WHOLE } };
	struct usage_reader *r = usage_reader_open(dir, &pricing);
	int bad = r == NULL || usage_reader_each(r, &s.query, add, &s) == -1;

	usage_reader_close(r);
	if (bad)
		return -1;
	return s.cost == 9 * s.requests ? s.requests : -2;
}

static int
ask_hours(void)
{
	return (int)read_sums(NULL, USAGE_HOURS);
}

static int
ask_days(void)
{
	return (int)read_sums(MINE, USAGE_DAYS);
}

static int
ask_months(void)
{
	return (int)read_sums(NULL, USAGE_MONTHS);
}

static int
ask_whole(void)
{
	return (int)read_sums(NULL, USAGE_WHOLE);
}

/* A line can be written, or cannot: 0 when this is not known to be so. */
static int
ask_check(void)
{
	return usage_journal_check(journal);
}

static int
ask_open(void)
{
	struct usage_journal *j = usage_journal_open(dir);

	usage_journal_close(j);
	return j != NULL ? 0 : -1;
}

static const struct {
	const char *why;
	int (*ask)(void);
	int answer;
} questions[] = {
	{ "each", ask_each, ALL },
	{ "each of one key", ask_each_mine, ALL_MINE },
	{ "how far behind", ask_due, 1 },
	{ "hours", ask_hours, ALL },
	{ "days of one key", ask_days, ALL_MINE },
	{ "months", ask_months, ALL },
	{ "the whole", ask_whole, ALL },
	{ "can a line be written", ask_check, 0 },
	{ "open", ask_open, 0 },
};
static int asked;

static void
nothing(void)
{
}

static void
judge_answer(int result, int failed)
{
	ck_assert_msg(
	    result == questions[asked].answer || (failed && result == -1),
	    "%s: %d", questions[asked].why, result);
}

START_TEST(an_error_is_no_answer)
{
	asked = _i;
	faults_each(nothing, questions[_i].ask, judge_answer);
}
END_TEST

/* Without the sums, and without the store: everything from the journals. */
START_TEST(an_error_is_no_answer_without_sums)
{
	char path[PATH_MAX];

	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir,
		    i == 0 ? "usage-sums.gdbm" : "usage.gdbm");
		ck_assert_int_eq(unlink(path), 0);
		for (asked = 3; asked < 7; asked++)
			faults_each(
			    nothing, questions[asked].ask, judge_answer);
	}
}
END_TEST

/* --- changing --- */

static int
do_append(void)
{
	struct usage_record r = { .key_id = MINE,
		.model = "m",
		.endpoint = "e",
		.status_class = 2,
		.prompt = 2,
		.completion = 1,
		.total = 3 };

	return usage_journal_append(journal, &r, NOW);
}

/* The first of its hour, and no journal there. */
static int
do_append_first(void)
{
	struct usage_journal *j = usage_journal_open(dir);
	struct usage_record r = { .key_id = MINE,
		.model = "m",
		.endpoint = "e",
		.status_class = 2,
		.prompt = 2,
		.completion = 1,
		.total = 3 };
	int done = j == NULL ? -1 : usage_journal_append(j, &r, NOW + 5 * HOUR);

	usage_journal_close(j);
	return done;
}

static int
do_rollup(void)
{
	return usage_rollup(dir, NOW, &pricing) == -1 ? -1 : 0;
}

static int
do_prune(void)
{
	return usage_prune(dir, OLDEST + HOUR, &pricing) == -1 ? -1 : 0;
}

static int
do_erase(void)
{
	return usage_erase(dir, OTHER, &pricing) == -1 ? -1 : 0;
}

static int
do_erase_plainly(void)
{
	return usage_erase(dir, OTHER, NULL) == -1 ? -1 : 0;
}

static const struct {
	const char *why;
	int (*change)(void);
	int64_t mine, other; /* requests afterwards */
	int64_t least; /* in all, at any moment; what a change takes goes */
	int64_t due;
} changes[] = {
	{ "append", do_append, ALL_MINE + 1, ALL - ALL_MINE, ALL, 1 },
	{ "append the first", do_append_first, ALL_MINE + 1, ALL - ALL_MINE,
	    ALL, 1 },
	{ "roll up", do_rollup, ALL_MINE, ALL - ALL_MINE, ALL, 0 },
	{ "prune", do_prune, ALL_MINE - 2, ALL - ALL_MINE - 3, ALL - 5, 1 },
	{ "erase", do_erase, ALL_MINE, 0, ALL_MINE, 1 },
	{ "erase, no prices", do_erase_plainly, ALL_MINE, 0, ALL_MINE, 1 },
};
static int changed;

static void
judge_change(int result, int failed)
{
	const char *why = changes[changed].why;
	int64_t oldest;

	ck_assert_msg(
	    result == 0 || (failed && result == -1), "%s: %d", why, result);
	ck_assert_msg(requests_of(NULL) >= changes[changed].least, "%s", why);
	ck_assert_msg(
	    read_sums(NULL, USAGE_WHOLE) == requests_of(NULL), "%s", why);
	if (result == -1)
		ck_assert_int_eq(changes[changed].change(), 0);
	ck_assert_msg(requests_of(MINE) == changes[changed].mine, "%s", why);
	ck_assert_msg(requests_of(OTHER) == changes[changed].other, "%s", why);
	ck_assert_msg(
	    read_sums(MINE, USAGE_MONTHS) == changes[changed].mine, "%s", why);
	ck_assert_msg(read_sums(OTHER, USAGE_MONTHS) == changes[changed].other,
	    "%s", why);
	ck_assert_msg(
	    usage_due(dir, NOW, &oldest) == changes[changed].due, "%s", why);
}

START_TEST(what_was_not_done_can_be_done_again)
{
	changed = _i;
	faults_each(begin_anew, changes[_i].change, judge_change);
}
END_TEST

/* --- giving --- */

static int64_t given;
static int committing;

static int
give(const struct usage_total *t, const struct usage_total *before, void *arg)
{
	(void)arg;
	given += t->requests - (before != NULL ? before->requests : 0);
	return 0;
}

static int
do_give(void)
{
	char path[FOLDER_SIZE + 32];
	struct usage_cursor *c;

	snprintf(path, sizeof(path), "%s/export.gdbm", dir);
	given = committing = 0;
	if ((c = usage_cursor_open(path)) == NULL)
		return -1;
	if (usage_cursor_each(c, dir, NOW, give, NULL) == -1) {
		usage_cursor_close(c);
		return -1;
	}
	committing = 1;
	return usage_cursor_commit(c);
}

static void
judge_giving(int result, int failed)
{
	ck_assert(result == 0 || (failed && result == -1));
	if (result == 0 || committing)
		ck_assert_int_eq(given, CLOSED);
	if (result == -1) {
		/* A commit that failed is as if it was not, or is in place. */
		failed = committing;
		ck_assert_int_eq(do_give(), 0);
		ck_assert(given == CLOSED || (failed && given == 0));
	}
	/* Then only what came late. */
	ck_assert_int_eq(do_give(), 0);
	ck_assert_int_eq(given, 0);
	put_line(journal, OLDEST, MINE, "m", "e", 2);
	ck_assert_int_eq(do_give(), 0);
	ck_assert_int_eq(given, 1);
}

START_TEST(nothing_is_left_out_when_giving_fails)
{
	faults_each(begin_anew, do_give, judge_giving);
}
END_TEST

/* --- what can be said beforehand --- */

START_TEST(a_path_that_is_too_long_is_no_usage)
{
	static char path[PATH_MAX];
	char cursor[FOLDER_SIZE + 32];
	struct sum s = { 0, 0, { 0, 0, NULL, 0, 0 } };
	struct usage_cursor *c;
	int64_t oldest;

	memset(path, 'x', sizeof(path) - 1);
	ck_assert_ptr_null(usage_journal_open(path));
	ck_assert_ptr_null(usage_reader_open(path, &pricing));
	ck_assert_int_eq(
	    usage_each(path, INT64_MIN, INT64_MAX, NULL, add, &s), -1);
	ck_assert_int_eq(usage_rollup(path, NOW, &pricing), -1);
	ck_assert_int_eq(usage_due(path, NOW, &oldest), -1);
	ck_assert_int_eq(usage_prune(path, NOW, &pricing), -1);
	ck_assert_int_eq(usage_erase(path, MINE, &pricing), -1);
	snprintf(cursor, sizeof(cursor), "%s/export.gdbm", dir);
	ck_assert_ptr_nonnull(c = usage_cursor_open(cursor));
	ck_assert_int_eq(usage_cursor_each(c, path, NOW, give, NULL), -1);
	usage_cursor_close(c);
	usage_cursor_close(NULL);
	usage_reader_close(NULL);
	usage_journal_close(NULL);
}
END_TEST

START_TEST(how_far_behind)
{
	int64_t oldest = -1;

	ck_assert_int_eq(usage_due(dir, NOW, &oldest), 1);
	ck_assert_int_eq(oldest, DUE);
	/* It closes two minutes after its end. */
	ck_assert_int_eq(usage_due(dir, HOUR_18 + 119, &oldest), 0);
	ck_assert_int_eq(usage_due(dir, HOUR_18 + 120, &oldest), 1);
	put_line(journal, OLDEST, MINE, "m", "e", 2);
	ck_assert_int_eq(usage_due(dir, NOW, &oldest), 2);
	ck_assert_int_eq(oldest, OLDEST);
	ck_assert_int_eq(usage_rollup(dir, NOW, &pricing), 2);
	ck_assert_int_eq(usage_due(dir, NOW, &oldest), 0);
	ck_assert_int_eq(usage_due(dir, NOW + HOUR, &oldest), 1);
	ck_assert_int_eq(oldest, HOUR_18);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("usage_faults");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 300);
	ADD_ROWS(t, an_error_is_no_answer, questions);
	tcase_add_test(t, an_error_is_no_answer_without_sums);
	ADD_ROWS(t, what_was_not_done_can_be_done_again, changes);
	tcase_add_test(t, nothing_is_left_out_when_giving_fails);
	tcase_add_test(t, a_path_that_is_too_long_is_no_usage);
	tcase_add_test(t, how_far_behind);
	return suite_run("usage_faults", t, NULL);
}
