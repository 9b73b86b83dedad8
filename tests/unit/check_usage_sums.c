/*
 * Sums of usage: whatever becomes of the stores, what is told is exact to the
 * token and to the nano-euro, by plain counting. Sums that are not made from
 * what is there do not count; a roll-up mends them.
 */
#include <dirent.h>
#include <errno.h>

#include "lib/db.h"
#include "lib/usage_internal.h"
#include "tests/unit/usage_dir.h"

#define DAY INT64_C(86400)
#define KEYS 3
#define MODELS 2
#define HOURS 150
#define STEP (11 * HOUR) /* so that hours lie in three months */
#define START (HOUR_18 - 60 * DAY)
#define END (START + HOURS * STEP)
#define LATER (END + DAY)
#define KEY_TEXT "key_0123456789abcdef"

static const char *const key_names[KEYS] = { KEY_TEXT, "k1", "k2" };
static const char *const model_names[MODELS] = { "m0", "m1" };

/* What an hour's tokens cost, so that no other way of rounding agrees. */
static int64_t changed_at; /* hours from here on cost more */
static int64_t changed_to;

static int64_t
cost(void *arg, const struct usage_total *t)
{
	int64_t rate = 13 + (t->model[1] - '0') * 5;

	(void)arg;
	if (t->hour >= changed_at)
		rate += changed_to;
	return (t->total * rate + 3) / 7;
}

static uint64_t
basis(void *arg, int64_t before)
{
	(void)arg;
	return before > changed_at ? (uint64_t)(changed_at * 1000 + changed_to)
				   : 0;
}

static const struct usage_pricing pricing = { cost, basis, NULL };

/* Lines that were written and are still to count. */
static int64_t lines[HOURS][KEYS][MODELS];
static struct usage_journal *journal;

static void
setup(void)
{
	usage_dir_setup();
	memset(lines, 0, sizeof(lines));
	changed_at = INT64_MAX;
	changed_to = 0;
	journal = usage_journal_open(dir);
}

static void
teardown(void)
{
	usage_journal_close(journal);
	usage_dir_teardown();
}

static int64_t
hour_at(int i)
{
	return START + i * STEP;
}

static void
use(int hour, int key, int model, int n)
{
	for (int i = 0; i < n; i++)
		put_line(journal, hour_at(hour) + i % 3600, key_names[key],
		    model_names[model], "e", 2);
	lines[hour][key][model] += n;
}

static const char *
in_dir(const char *name)
{
	static char path[FOLDER_SIZE + 300];

	snprintf(path, sizeof(path), "%s/%.255s", dir, name);
	return path;
}

struct told {
	int64_t requests, total, cost, last;
	int64_t key[KEYS], key_cost[KEYS];
	int64_t before; /* hours do not go back */
	int64_t rows;
	enum usage_grain grain;
};

static int
add(const struct usage_total *t, void *arg)
{
	struct told *told = arg;

	told->requests += t->requests;
	told->total += t->total;
	told->cost += t->cost;
	told->rows++;
	if (t->last > told->last)
		told->last = t->last;
	if (told->grain != USAGE_WHOLE)
		MUST(t->hour >= told->before);
	told->before = t->hour;
	if (told->grain == USAGE_HOURS)
		MUST(t->hour % HOUR == 0 && t->last == t->hour);
	for (int k = 0; k < KEYS; k++)
		if (strcmp(t->key_id, key_names[k]) == 0) {
			told->key[k] += t->requests;
			told->key_cost[k] += t->cost;
		}
	return 0;
}

/* By plain counting. */
static struct told
expected(int64_t from, int64_t to, int key)
{
	struct told e = { .requests = 0 };

	for (int h = 0; h < HOURS; h++)
		for (int k = 0; k < KEYS; k++)
			for (int m = 0; m < MODELS; m++) {
				struct usage_total t = { .hour = hour_at(h),
					.total = 3 * lines[h][k][m] };
				int64_t n = lines[h][k][m];

				if (n == 0 || t.hour < from || t.hour >= to ||
				    (key != -1 && key != k))
					continue;
				t.model[1] = (char)('0' + m);
				e.requests += n;
				e.total += t.total;
				e.cost += cost(NULL, &t);
				e.key[k] += n;
				e.key_cost[k] += cost(NULL, &t);
				if (t.hour > e.last)
					e.last = t.hour;
			}
	return e;
}

static int64_t rows_told;

/* Asks, and compares; 1 when it came from the sums. */
static int
ask(int64_t from, int64_t to, int key, enum usage_grain grain, int nameless)
{
	struct usage_reader *r = usage_reader_open(dir, &pricing);
	const struct usage_query q = { from, to,
		key == -1 ? NULL : key_names[key], grain, nameless };
	struct told told = { .grain = grain, .before = INT64_MIN }, e;
	int quick;

	MUST(r != NULL);
	quick = usage_reader_is_quick(r);
	MUST(usage_reader_each(r, &q, add, &told) == 0);
	usage_reader_close(r);
	rows_told = told.rows;
	e = expected(from, to, key);
	MUST(told.requests == e.requests);
	MUST(told.total == e.total);
	MUST(told.cost == e.cost);
	/* A day's last hour is told also of a part of it, but never a later. */
	MUST(told.last == e.last);
	for (int k = 0; k < KEYS && (!nameless || key != -1); k++) {
		MUST(told.key[k] == e.key[k]);
		MUST(told.key_cost[k] == e.key_cost[k]);
	}
	return quick;
}

static int
ask_all(void)
{
	int quick = ask(INT64_MIN, INT64_MAX, -1, USAGE_WHOLE, 0);

	ck_assert_int_eq(ask(INT64_MIN, INT64_MAX, -1, USAGE_MONTHS, 1), quick);
	ck_assert_int_eq(ask(INT64_MIN, INT64_MAX, 1, USAGE_DAYS, 0), quick);
	return quick;
}

static void
ask_anything(void)
{
	for (int i = 0; i < 6; i++) {
		int64_t unit = random_below(2) ? DAY : HOUR;
		int64_t from = START - 3 * DAY +
		    (int64_t)random_below((unsigned)((END - START) / HOUR)) *
			HOUR;
		int64_t to = from +
		    (int64_t)random_below((unsigned)((END - START) / HOUR)) *
			HOUR;

		from -= from % unit;
		to -= to % unit;
		(void)ask(random_below(4) == 0 ? INT64_MIN : from,
		    random_below(4) == 0 ? INT64_MAX : to,
		    (int)random_below(KEYS + 1) - 1,
		    (enum usage_grain)random_below(4), (int)random_below(2));
	}
}

static int64_t
roll(int64_t now)
{
	return usage_rollup(dir, now, &pricing);
}

/* A third of the hours, some rows in each. */
static void
fill(void)
{
	for (int h = 0; h < HOURS; h += 3)
		for (int k = 0; k < KEYS; k++)
			use(h, k, h % MODELS, 1 + (h + k) % 4);
}

START_TEST(sums_are_made_and_used)
{
	ck_assert_int_eq(ask_all(), 0);
	ck_assert_int_eq(roll(LATER), 0);
	ck_assert_int_eq(access(in_dir("usage-sums.gdbm"), F_OK), -1);
	fill();
	ck_assert_int_eq(ask_all(), 0);
	ck_assert_int_eq(roll(LATER), HOURS / 3);
	ck_assert_int_eq(ask_all(), 1);
	/* One row a key and model of all time, and one a day of any. */
	ck_assert_int_eq(ask(INT64_MIN, INT64_MAX, -1, USAGE_WHOLE, 0), 1);
	ck_assert_int_eq(rows_told, KEYS * MODELS);
	ck_assert_int_eq(ask(INT64_MIN, INT64_MAX, -1, USAGE_DAYS, 1), 1);
	ck_assert_int_eq(rows_told, HOURS / 3);
	/* Use of the open hour is added. */
	use(HOURS - 1, 0, 0, 5);
	ck_assert_int_eq(ask_all(), 1);
	ck_assert_int_eq(roll(hour_at(HOURS - 1) + HOUR), 0);
	ck_assert_int_eq(ask_all(), 1);
	ck_assert_int_eq(roll(hour_at(HOURS - 1) + HOUR + 120), 1);
	ck_assert_int_eq(ask_all(), 1);
	ck_assert_int_eq(roll(LATER), 0);
	ck_assert_int_eq(ask_all(), 1);
	ask_anything();
}
END_TEST

/* With the sums, a page does not read the store of hours. */
START_TEST(sums_stand_for_a_damaged_store)
{
	struct stat st;
	int fd;

	fill();
	ck_assert_int_gt(roll(LATER), 0);
	ck_assert_int_eq(stat(in_dir("usage.gdbm"), &st), 0);
	fd = open(in_dir("usage.gdbm"), O_RDWR);
	ck_assert_int_eq(pwrite(fd, "\xff\xff\xff\xff", 4, st.st_size - 8), 4);
	close(fd);
	hush();
	ck_assert_int_eq(ask_all(), 1);
	ck_assert_int_eq(usage_each(dir, INT64_MIN, INT64_MAX, NULL, add,
			     &(struct told){ .grain = USAGE_WHOLE }),
	    -1);
}
END_TEST

START_TEST(a_late_line_shows_at_once)
{
	fill();
	ck_assert_int_gt(roll(LATER), 0);
	use(HOURS - 3, 1, 1, 1);
	ck_assert_int_eq(ask_all(), 0);
	ck_assert_int_eq(roll(LATER), 1);
	ck_assert_int_eq(ask_all(), 1);
	/* In an hour that had no journal. */
	use(HOURS - 5, 1, 1, 1);
	ck_assert_int_eq(ask_all(), 0);
	ck_assert_int_eq(roll(LATER), 1);
	ck_assert_int_eq(ask_all(), 1);
	/* Long ago: the roll-up sees it. */
	use(0, 1, 1, 1);
	ck_assert_int_eq(roll(LATER), 1);
	ck_assert_int_eq(ask_all(), 1);
	/* Whose journal is gone has not grown. */
	for (int h = 0; h < HOURS; h++) {
		char name[32];
		time_t at = (time_t)hour_at(h);
		struct tm tm;

		strftime(name, sizeof(name), "%Y%m%d%H", gmtime_r(&at, &tm));
		if (unlink(hour_path(name)) == -1)
			ck_assert_int_eq(errno, ENOENT);
	}
	ck_assert_int_eq(ask_all(), 1);
}
END_TEST

START_TEST(an_hour_that_cannot_be_rolled_up_ends_the_sums)
{
	fill();
	hush();
	ck_assert_int_eq(mkdir(hour_path("2026111200"), 0700), 0);
	ck_assert_int_eq(roll(LATER), -1);
	ck_assert_int_eq(ask(START, START + 20 * DAY, -1, USAGE_DAYS, 0), 1);
	ck_assert_int_eq(rmdir(hour_path("2026111200")), 0);
	ck_assert_int_eq(ask_all(), 1);
	ck_assert_int_eq(roll(LATER), 0);
	ck_assert_int_eq(ask_all(), 1);
}
END_TEST

START_TEST(prices_are_those_of_the_hour)
{
	fill();
	ck_assert_int_gt(roll(hour_at(100)), 0);
	/* From then on: what was summed up costs as it did. */
	changed_at = hour_at(101);
	changed_to = 4;
	ck_assert_int_eq(ask_all(), 1);
	ck_assert_int_gt(roll(LATER), 0);
	ck_assert_int_eq(ask_all(), 1);
	/* Within a day and in the past: not without a roll-up. */
	changed_at = hour_at(50);
	changed_to = 9;
	ck_assert_int_eq(ask_all(), 0);
	ck_assert_int_eq(roll(LATER), 0);
	ck_assert_int_eq(ask_all(), 1);
	ask_anything();
}
END_TEST

static void
copy_file(const char *from, const char *to)
{
	char command[3 * PATH_MAX];

	snprintf(
	    command, sizeof(command), "cp '%s/%s' '%s/%s'", dir, from, dir, to);
	ck_assert_int_eq(system(command), 0);
}

START_TEST(what_is_put_back_from_a_backup_counts_by_its_content)
{
	fill();
	ck_assert_int_gt(roll(hour_at(100)), 0);
	copy_file("usage.gdbm", "old-usage");
	copy_file("usage-sums.gdbm", "old-sums");
	ck_assert_int_gt(roll(LATER), 0);
	/* Old sums beside a newer store. */
	copy_file("old-sums", "usage-sums.gdbm");
	ck_assert_int_eq(ask_all(), 0);
	ck_assert_int_eq(roll(LATER), 0);
	ck_assert_int_eq(ask_all(), 1);
	/* An old store beside newer sums; and both, with a month's newer. */
	copy_file("old-usage", "usage.gdbm");
	ck_assert_int_eq(ask_all(), 0);
	copy_file("old-sums", "usage-sums.gdbm");
	(void)ask_all();
	ask_anything();
	ck_assert_int_gt(roll(LATER), 0);
	ck_assert_int_eq(ask_all(), 1);
}
END_TEST

static int
is_sums(const char *name)
{
	size_t n = strlen(name);

	return (strncmp(name, "usage-sums", 10) == 0 ||
		   strncmp(name, "usage-days", 10) == 0) &&
	    n > 5 && strcmp(name + n - 5, ".gdbm") == 0;
}

/* Calls 'fn' with each store of sums; how many there are. */
static int
each_store(void (*fn)(const char *path))
{
	char found[16][256];
	const struct dirent *e;
	DIR *d = opendir(dir);
	int n = 0;

	ck_assert_ptr_nonnull(d);
	while ((e = readdir(d)) != NULL)
		if (is_sums(e->d_name) && n < 16)
			snprintf(found[n++], sizeof(found[0]), "%s", e->d_name);
	closedir(d);
	for (int i = 0; i < n && fn != NULL; i++)
		fn(in_dir(found[i]));
	return n;
}

static void
damage(const char *path)
{
	struct stat st;
	char name[PATH_MAX], byte;
	int fd;

	snprintf(name, sizeof(name), "%s", path);
	fd = open(name, O_RDWR);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(pread(fd, &byte, 1, st.st_size / 2), 1);
	byte = (char)(byte ^ 1);
	ck_assert_int_eq(pwrite(fd, &byte, 1, st.st_size / 2), 1);
	close(fd);
	(void)ask_all();
	ask_anything();
	ck_assert_int_eq(roll(LATER), 0);
	ck_assert_int_eq(ask_all(), 1);
	ck_assert_int_eq(truncate(name, st.st_size / 2), 0);
	(void)ask_all();
	ck_assert_int_eq(roll(LATER), 0);
	ck_assert_int_eq(ask(START, START + 40 * DAY, -1, USAGE_DAYS, 0), 1);
	ck_assert_int_eq(unlink(name), 0);
	(void)ask_all();
	ck_assert_int_eq(roll(LATER), 0);
	ck_assert_int_eq(access(name, F_OK), 0);
	ck_assert_int_eq(ask_all(), 1);
}

START_TEST(damaged_sums_do_not_count_and_are_made_anew)
{
	fill();
	ck_assert_int_gt(roll(LATER), 0);
	hush();
	random_start(11);
	ck_assert_int_eq(each_store(damage), 4);
}
END_TEST

/* Where the key's id stands in the folder, in how many files. */
static int
named_in(const char *path, const char *word)
{
	static char bytes[1 << 22];
	int fd = open(path, O_RDONLY);
	ssize_t n;

	ck_assert_int_ne(fd, -1);
	n = read(fd, bytes, sizeof(bytes));
	close(fd);
	ck_assert(n >= 0 && n < (ssize_t)sizeof(bytes));
	return memmem(bytes, (size_t)n, word, strlen(word)) != NULL;
}

static int
files_naming(const char *word)
{
	const struct dirent *e;
	DIR *d = opendir(dir);
	int n = 0;

	while ((e = readdir(d)) != NULL)
		if (e->d_type == DT_REG)
			n += named_in(in_dir(e->d_name), word);
	closedir(d);
	return n;
}

static void
forget_key(int key)
{
	for (int h = 0; h < HOURS; h++)
		for (int m = 0; m < MODELS; m++)
			lines[h][key][m] = 0;
}

START_TEST(an_erased_key_leaves_the_sums)
{
	for (int with = 1; with >= 0; with--) {
		memset(lines, 0, sizeof(lines));
		fill();
		ck_assert_int_ne(usage_rollup(dir, LATER, &pricing), -1);
		ck_assert_int_ge(files_naming(KEY_TEXT), 5);
		ck_assert_int_gt(
		    usage_erase(dir, KEY_TEXT, with ? &pricing : NULL), 0);
		forget_key(0);
		ck_assert_int_eq(files_naming(KEY_TEXT), 0);
		/* The other keys' lines are still there. */
		if (with == 0) {
			ck_assert_int_eq(each_store(NULL), 0);
			break;
		}
		ck_assert_int_eq(ask_all(), 1);
		ask_anything();
		usage_dir_teardown();
		usage_journal_close(journal);
		usage_dir_setup();
		journal = usage_journal_open(dir);
	}
}
END_TEST

static int64_t prune_before;

static void
forget_hours(void)
{
	for (int h = 0; h < HOURS; h++)
		if (hour_at(h) + HOUR <= prune_before)
			memset(lines[h], 0, sizeof(lines[h]));
}

START_TEST(pruned_hours_leave_the_sums)
{
	fill();
	ck_assert_int_gt(roll(LATER), 0);
	ck_assert_int_eq(each_store(NULL), 4);
	for (int i = 1; i <= 4; i++) {
		prune_before = START + i * 20 * DAY + 5 * HOUR;
		ck_assert_int_gt(usage_prune(dir, prune_before, &pricing), 0);
		forget_hours();
		(void)ask_all();
		if (i < 4)
			ck_assert_int_eq(ask_all(), 1);
		ask_anything();
	}
	ck_assert_int_eq(expected(INT64_MIN, INT64_MAX, -1).requests, 0);
	ck_assert_int_eq(files_naming("k1"), 0);
	ck_assert_int_le(each_store(NULL), 1);
}
END_TEST

/*
 * A kill as a call ends and one as the next begins leave the same behind, so
 * each second stop is enough in what follows.
 */
static int
roll_it(void)
{
	return roll(LATER) == -1;
}

START_TEST(killed_at_every_system_call_of_a_roll_up)
{
	for (int round = 0; round < 2; round++) {
		int n = 1;

		for (int i = 0; i < 2; i++)
			use(round == 0 ? 40 + i * 80 : 106 + i * 5, i % KEYS,
			    round, 3);
		while (killed_at(roll_it, n)) {
			(void)ask(INT64_MIN, INT64_MAX, -1, USAGE_WHOLE, 0);
			(void)ask(INT64_MIN, INT64_MAX, -1, USAGE_DAYS, 0);
			n += 2 * stride();
			ck_assert_int_lt(n, 1000000);
		}
		ck_assert_int_gt(n, 100);
		ck_assert_int_eq(ask_all(), 1);
	}
}
END_TEST

static int
erase_it(void)
{
	return usage_erase(dir, KEY_TEXT, &pricing) == -1;
}

/* However often it dies, the other keys' use stays, and in the end no trace. */
START_TEST(killed_at_every_system_call_of_an_erasure)
{
	int n = 1;

	for (int i = 0; i < 2; i++)
		for (int k = 0; k < KEYS; k++)
			use(i * 80, k, 0, 4);
	ck_assert_int_gt(roll(LATER), 0);
	while (killed_at(erase_it, n)) {
		struct told told = { .grain = USAGE_WHOLE };
		struct usage_reader *r = usage_reader_open(dir, &pricing);
		const struct usage_query q = { INT64_MIN, INT64_MAX, NULL,
			USAGE_WHOLE, 0 };

		ck_assert_int_eq(usage_reader_each(r, &q, add, &told), 0);
		usage_reader_close(r);
		ck_assert_int_eq(told.key[1], 8);
		ck_assert_int_eq(told.key[2], 8);
		ck_assert_int_le(told.key[0], 8);
		n += 2 * stride();
		ck_assert_int_lt(n, 1000000);
	}
	ck_assert_int_gt(n, 100);
	forget_key(0);
	ck_assert_int_eq(ask_all(), 1);
	ck_assert_int_eq(files_naming(KEY_TEXT), 0);
}
END_TEST

static int
prune_it(void)
{
	return usage_prune(dir, prune_before, &pricing) == -1;
}

START_TEST(killed_at_every_system_call_of_a_pruning)
{
	int n = 1;

	for (int i = 0; i < 4; i++)
		use(i * 40, i % KEYS, 0, 2);
	ck_assert_int_gt(roll(LATER), 0);
	prune_before = START + 40 * DAY;
	while (killed_at(prune_it, n)) {
		struct told told = { .grain = USAGE_DAYS };
		struct usage_reader *r = usage_reader_open(dir, &pricing);
		const struct usage_query q = { INT64_MIN, INT64_MAX, NULL,
			USAGE_DAYS, 0 };

		ck_assert_int_eq(usage_reader_each(r, &q, add, &told), 0);
		usage_reader_close(r);
		/* An hour with all its use, or not at all. */
		ck_assert_int_eq(told.requests % 2, 0);
		ck_assert(told.requests >= 2 && told.requests <= 8);
		(void)ask(prune_before, INT64_MAX, -1, USAGE_DAYS, 0);
		n += 2 * stride();
		ck_assert_int_lt(n, 1000000);
	}
	ck_assert_int_gt(n, 100);
	forget_hours();
	ck_assert_int_eq(ask_all(), 1);
}
END_TEST

/* Anything in any order, against plain counting. */
START_TEST(any_order_of_everything)
{
	int64_t rolled_to = 0;
	int quick = 0;

	random_start(5);
	for (int i = 0; i < 400; i++) {
		unsigned what = random_below(20);
		int h = (int)random_below(HOURS);
		int k = (int)random_below(KEYS);
		const struct usage_pricing *with =
		    random_below(3) ? &pricing : NULL;

		if (what < 12)
			use(h, k, (int)random_below(MODELS),
			    1 + (int)random_below(3));
		/* A line of long ago waits for a roll-up. */
		if (what < 12 ? hour_at(h) < rolled_to - 7 * DAY : what < 16) {
			int64_t now = hour_at(h) + 2 * HOUR;

			ck_assert_int_ge(roll(now), 0);
			if (now > rolled_to)
				rolled_to = now;
		} else if (what == 16) {
			changed_at = hour_at(h);
			changed_to = (int64_t)random_below(9);
		} else if (what == 17 && random_below(4) == 0) {
			ck_assert_int_ge(
			    usage_erase(dir, key_names[k], with), 0);
			forget_key(k);
		} else if (what == 18 && random_below(6) == 0) {
			prune_before = hour_at(h / 3);
			ck_assert_int_ge(
			    usage_prune(dir, prune_before, with), 0);
			forget_hours();
		}
		quick += ask(INT64_MIN, INT64_MAX, -1, USAGE_WHOLE, 0);
		ask_anything();
	}
	ck_assert_int_gt(quick, 50);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("sums");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 200);
	tcase_add_test(t, sums_are_made_and_used);
	tcase_add_test(t, sums_stand_for_a_damaged_store);
	tcase_add_test(t, a_late_line_shows_at_once);
	tcase_add_test(t, an_hour_that_cannot_be_rolled_up_ends_the_sums);
	tcase_add_test(t, prices_are_those_of_the_hour);
	tcase_add_test(t, what_is_put_back_from_a_backup_counts_by_its_content);
	tcase_add_test(t, damaged_sums_do_not_count_and_are_made_anew);
	tcase_add_test(t, an_erased_key_leaves_the_sums);
	tcase_add_test(t, pruned_hours_leave_the_sums);
	tcase_add_test(t, killed_at_every_system_call_of_a_roll_up);
	tcase_add_test(t, killed_at_every_system_call_of_an_erasure);
	tcase_add_test(t, killed_at_every_system_call_of_a_pruning);
	tcase_add_test(t, any_order_of_everything);
	return suite_run("usage_sums", t, NULL);
}
