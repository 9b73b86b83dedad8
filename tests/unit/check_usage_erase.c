/*
 * Giving once, pruning and erasing: what late lines, lines that come
 * meanwhile, and a death at each system call do to them. Nothing is given
 * twice or lost, no other key's use changes by a token, and nothing is left of
 * a key that was erased.
 */
#include <dirent.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>

#include "lib/db.h"
#include "lib/text.h"
#include "lib/usage_internal.h"
#include "tests/unit/usage_dir.h"

#define LATER (HOUR_18 + 100 * HOUR)
#define KEY "key_00112233aabbccdd"

static const char *
in_dir(const char *name)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

/* Bytes of the word in a file; -1 when there is no file. */
static int
count_in(const char *path, const char *word)
{
	static char bytes[1 << 20];
	int fd = open(path, O_RDONLY), n = 0;
	ssize_t len;

	if (fd == -1)
		return -1;
	len = read(fd, bytes, sizeof(bytes));
	close(fd);
	ck_assert_int_ge(len, 0);
	for (char *at = bytes; (at = memmem(at, (size_t)(len - (at - bytes)),
				    word, strlen(word))) != NULL;
	     at++)
		n++;
	return n;
}

/* In all files of the state folder. */
static int
count_everywhere(const char *word)
{
	char folder[PATH_MAX], path[2 * PATH_MAX];
	const char *const folders[] = { "", "/journal" };
	int n = 0, got;

	for (size_t i = 0; i < 2; i++) {
		struct dirent *e;
		DIR *d;

		snprintf(folder, sizeof(folder), "%s%s", dir, folders[i]);
		if ((d = opendir(folder)) == NULL)
			continue;
		while ((e = readdir(d)) != NULL) {
			if (e->d_type != DT_REG)
				continue;
			snprintf(
			    path, sizeof(path), "%s/%s", folder, e->d_name);
			got = count_in(path, word);
			n += got > 0 ? got : 0;
		}
		closedir(d);
	}
	return n;
}

static int64_t
requests_of(const char *key)
{
	const struct seen *s = read_all(key);
	int64_t sum = 0;

	for (size_t i = 0; i < s->n; i++)
		sum += s->row[i].requests;
	return sum;
}

/* Two keys in four hours, three of them rolled up, one of these with more. */
static struct usage_journal *
make_usage(int lines)
{
	struct usage_journal *j = usage_journal_open(dir);

	for (int i = 0; i < lines; i++) {
		put_line(j, HOUR_18 + i % 3 * HOUR, KEY, "m", "e", 2);
		put_line(j, HOUR_18 + i % 3 * HOUR, "other1", "m", "e", 2);
	}
	ck_assert_int_eq(usage_rollup(dir, LATER, NULL), 3);
	put_line(j, HOUR_18 + HOUR, KEY, "m", "e", 2);
	put_line(j, HOUR_18 + HOUR, "other1", "m", "e", 2);
	put_line(j, LATER, KEY, "m", "e", 2);
	put_line(j, LATER, "other1", "m", "e", 2);
	return j;
}

START_TEST(erases_a_key_and_nothing_else)
{
	struct usage_journal *j = make_usage(30);
	int64_t size = usage_journal_size(dir, HOUR_18);

	ck_assert_int_gt(count_everywhere(KEY), 0);
	/* 32 lines and a row in each of three records. */
	ck_assert_int_eq(usage_erase(dir, KEY, NULL), 35);
	ck_assert_int_eq(count_everywhere(KEY), 0);
	ck_assert_int_eq(usage_journal_size(dir, HOUR_18), size);
	ck_assert_uint_eq(read_all(KEY)->n, 0);
	ck_assert_int_eq(requests_of(NULL), 32);
	ck_assert_int_eq(usage_malformed_lines(), 0);
	ck_assert_int_eq(usage_erase(dir, KEY, NULL), 0);
	/* What comes later is written as ever. */
	put_line(j, LATER, KEY, "m", "e", 2);
	ck_assert_int_eq(requests_of(KEY), 1);
	usage_journal_close(j);
}
END_TEST

START_TEST(a_longer_id_is_another)
{
	struct usage_journal *j = usage_journal_open(dir);
	static const char *const others[] = { "env_key_10", "aenv_key_1",
		"env_key_1.b", "env_key_", "ENV_KEY_1" };

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		put_line(j, HOUR_18, others[i], "m", "e", 2);
	put_line(j, HOUR_18, "env_key_1", "m", "e", 2);
	/* A model of that name is not the key either. */
	put_line(j, HOUR_18, "x", "env_key_1", "e", 2);
	ck_assert_int_eq(usage_erase(dir, "env_key_1", NULL), 1);
	ck_assert_int_eq(requests_of(NULL), 6);
	ck_assert_int_eq(requests_of("x"), 1);
	usage_journal_close(j);
}
END_TEST

START_TEST(what_is_no_id_is_refused)
{
	static const char *const bad[] = { "", "a b", "a\n", "a\tb",
		"../journal",
		("0123456789012345678901234567890123456789"
		 "012345678901234567890123") };

	hush();
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_int_eq(usage_erase(dir, bad[i], NULL), -1);
}
END_TEST

/* Torn lines of the key, and what an erasure that was cut leaves behind. */
START_TEST(rests_of_lines_go_as_well)
{
	static const char *const rests[] = { "\n1\t" KEY "\tm\te\t2\t1",
		"\n1\t" KEY, "\n1\t" KEY "\t", "\nxx 1\t" KEY "\tm\n",
		"\n1\tkey_00112233a\n", "\n3aabbccdd\n\n\n\n", "\ndd\n\n",
		"\n1\t" KEY "\n\n\n\n\n\n\n" };
	struct usage_journal *j = usage_journal_open(dir);

	for (size_t i = 0; i < sizeof(rests) / sizeof(rests[0]); i++) {
		put_raw("2026112218", rests[i], strlen(rests[i]));
		put_line(j, HOUR_18, "other1", "m", "e", 2);
	}
	put_raw("2026112218", "\nothers' rubbish\n", 17);
	ck_assert_int_eq(usage_erase(dir, KEY, NULL), 8);
	ck_assert_int_eq(count_everywhere("aabb"), 0);
	ck_assert_int_eq(count_everywhere("key_"), 0);
	ck_assert_int_eq(requests_of(NULL), 8);
	ck_assert_int_eq(usage_malformed_lines(), 1);
	usage_journal_close(j);
}
END_TEST

static int
erase_it(void)
{
	return usage_erase(dir, KEY, NULL) == -1;
}

START_TEST(killed_at_every_system_call_of_an_erasure)
{
	struct usage_journal *j = make_usage(6);
	int64_t left = requests_of(KEY), now;
	int n = 1;

	while (killed_at(erase_it, n)) {
		/* The key's use shrinks; the other's stays to the token. */
		now = requests_of(KEY);
		ck_assert_int_le(now, left);
		left = now;
		ck_assert_int_eq(requests_of("other1"), 8);
		ck_assert_int_eq(requests_of(NULL), 8 + now);
		n += stride();
		ck_assert_int_lt(n, 1000000);
		if (now == 0 && n > 400)
			break;
	}
	ck_assert_int_gt(n, 40);
	ck_assert_int_ge(usage_erase(dir, KEY, NULL), 0);
	ck_assert_int_eq(count_everywhere(KEY), 0);
	ck_assert_int_eq(requests_of(NULL), 8);
	ck_assert_int_eq(usage_malformed_lines(), 0);
	/* The sizes still say that the records are right. */
	ck_assert_int_eq(usage_rollup(dir, LATER, NULL), 1);
	ck_assert_int_eq(usage_rollup(dir, LATER, NULL), 0);
	ck_assert_int_eq(requests_of(NULL), 8);
	usage_journal_close(j);
}
END_TEST

static _Atomic int appending, appended;

static void *
append_lines(void *arg)
{
	struct usage_journal *j = arg;

	while (atomic_load(&appending)) {
		put_line(j, LATER, "other1", "m", "e", 2);
		atomic_fetch_add(&appended, 1);
	}
	return NULL;
}

START_TEST(who_appends_meanwhile_loses_nothing)
{
	struct usage_journal *j = usage_journal_open(dir);
	pthread_t thread[3];

	for (int i = 0; i < 200; i++)
		put_line(j, LATER, KEY, "m", "e", 2);
	atomic_store(&appending, 1);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(
		    pthread_create(&thread[i], NULL, append_lines, j), 0);
	/* It ends though others append all the time. */
	ck_assert_int_ge(usage_erase(dir, KEY, NULL), 200);
	atomic_store(&appending, 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_join(thread[i], NULL), 0);
	ck_assert_int_eq(count_everywhere(KEY), 0);
	ck_assert_int_eq(requests_of("other1"), atomic_load(&appended));
	ck_assert_int_eq(usage_malformed_lines(), 0);
	usage_journal_close(j);
}
END_TEST

static int
prune_it(void)
{
	return usage_prune(dir, HOUR_18 + 2 * HOUR, NULL) == -1;
}

START_TEST(prunes_whole_hours)
{
	struct usage_journal *j = make_usage(6);

	ck_assert_int_eq(usage_prune(dir, HOUR_18, NULL), 0);
	ck_assert_int_eq(usage_prune(dir, HOUR_18 + HOUR - 1, NULL), 0);
	ck_assert_int_eq(requests_of(NULL), 16);
	ck_assert_int_eq(usage_prune(dir, HOUR_18 + HOUR, NULL), 1);
	ck_assert_int_eq(usage_journal_size(dir, HOUR_18), -1);
	ck_assert_int_eq(requests_of(NULL), 12);
	/* One that nobody rolled up yet, and one that only the store has. */
	put_line(j, HOUR_18 - HOUR, "a", "m", "e", 2);
	ck_assert_int_eq(unlink(hour_path("2026112220")), 0);
	ck_assert_int_eq(usage_prune(dir, HOUR_18 + 3 * HOUR, NULL), 3);
	ck_assert_int_eq(requests_of(NULL), 2);
	ck_assert_int_eq(usage_prune(dir, HOUR_18 + 3 * HOUR, NULL), 0);
	usage_journal_close(j);
}
END_TEST

START_TEST(killed_at_every_system_call_of_a_pruning)
{
	struct usage_journal *j = make_usage(6);
	int n = 1;

	while (killed_at(prune_it, n)) {
		/* All of an hour's use or none; the rest stays. */
		int64_t first = 0, second = 0, sum = 0;
		const struct seen *s = read_all(NULL);

		for (size_t i = 0; i < s->n; i++) {
			sum += s->row[i].requests;
			if (s->row[i].hour == HOUR_18)
				first += s->row[i].requests;
			if (s->row[i].hour == HOUR_18 + HOUR)
				second += s->row[i].requests;
		}
		ck_assert(first == 0 || first == 4);
		ck_assert(second == 0 || second == 6);
		ck_assert_int_eq(sum, 6 + first + second);
		n += stride();
		ck_assert_int_lt(n, 1000000);
	}
	ck_assert_int_gt(n, 20);
	ck_assert_int_eq(requests_of(NULL), 6);
	ck_assert_int_eq(usage_journal_size(dir, HOUR_18), -1);
	usage_journal_close(j);
}
END_TEST

/* What was given, in all runs that went well. */
struct given {
	struct seen seen;
	int64_t requests, total;
};

static int
take_given(
    const struct usage_total *t, const struct usage_total *before, void *arg)
{
	struct given *g = arg;

	g->requests += t->requests - (before ? before->requests : 0);
	g->total += t->total - (before ? before->total : 0);
	g->seen.n++;
	return 0;
}

static int64_t
give(int64_t now, struct given *g)
{
	struct usage_cursor *c = usage_cursor_open(in_dir("cursor.gdbm"));

	ck_assert_ptr_nonnull(c);
	g->seen.n = 0;
	ck_assert_int_eq(usage_cursor_each(c, dir, now, take_given, g), 0);
	ck_assert_int_eq(usage_cursor_commit(c), 0);
	return (int64_t)g->seen.n;
}

START_TEST(gives_each_closed_hour_once)
{
	struct usage_journal *j = usage_journal_open(dir);
	struct given g = { .requests = 0 };
	struct usage_cursor *c;

	put_line(j, HOUR_18, "a", "m", "e", 2);
	put_line(j, HOUR_18, "b", "m", "e", 2);
	ck_assert_int_eq(give(HOUR_18 + HOUR + 119, &g), 0);
	ck_assert_int_eq(give(HOUR_18 + HOUR + 120, &g), 2);
	ck_assert_int_eq(give(LATER, &g), 0);
	/* Late: the rest only, whether rolled up in between or not. */
	put_line(j, HOUR_18, "a", "m", "e", 2);
	ck_assert_int_eq(give(LATER, &g), 1);
	put_line(j, HOUR_18, "c", "m", "e", 2);
	put_line(j, HOUR_18, "a", "m", "e", 2);
	ck_assert_int_eq(usage_rollup(dir, LATER, NULL), 1);
	ck_assert_int_eq(give(LATER, &g), 2);
	ck_assert_int_eq(give(LATER, &g), 0);
	ck_assert_int_eq(g.requests, 5);
	ck_assert_int_eq(g.total, 15);
	/* What is not committed was not given. */
	put_line(j, HOUR_18 + HOUR, "a", "m", "e", 2);
	c = usage_cursor_open(in_dir("cursor.gdbm"));
	ck_assert_int_eq(usage_cursor_each(c, dir, LATER, take_given, &g), 0);
	usage_cursor_close(c);
	g.requests = 0;
	ck_assert_int_eq(give(LATER, &g), 1);
	ck_assert_int_eq(g.requests, 1);
	/* Gone journals and an erased key change nothing. */
	ck_assert_int_eq(usage_erase(dir, "b", NULL), 2);
	ck_assert_int_eq(give(LATER, &g), 0);
	ck_assert_int_eq(usage_rollup(dir, LATER, NULL), 1);
	ck_assert_int_eq(unlink(hour_path("2026112218")), 0);
	ck_assert_int_eq(give(LATER, &g), 0);
	usage_journal_close(j);
}
END_TEST

/* Writes what is given to a file, then commits, as pmusage does. */
static int
give_to_file(void)
{
	struct usage_cursor *c = usage_cursor_open(in_dir("cursor.gdbm"));
	struct given g = { .requests = 0 };
	int fd;

	if (c == NULL || usage_cursor_each(c, dir, LATER, take_given, &g) != 0)
		return 1;
	fd = open(in_dir("out"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd == -1 ||
	    write(fd, &g.requests, sizeof(g.requests)) != sizeof(g.requests) ||
	    close(fd) == -1)
		return 1;
	return usage_cursor_commit(c) == -1;
}

/* Whether all that there is of the hour is known as given. */
static int
is_given(int64_t hour)
{
	struct db *db = db_open(in_dir("cursor.gdbm"));
	struct buf val = BUF(64);
	char name[32], text[TEXT_HOUR_SIZE];
	int64_t size = -1;

	snprintf(name, sizeof(name), "hour:%s", text_hour(text, hour));
	if (db != NULL && db_get(db, name, &val) == 1)
		ck_assert_int_eq(text_to_i64(val.data, 0, INT64_MAX, &size), 0);
	db_close(db);
	buf_free(&val);
	return size == usage_journal_size(dir, hour);
}

/* Each round a line more, and one call further. */
START_TEST(killed_at_every_system_call_of_giving)
{
	struct usage_journal *j = usage_journal_open(dir);
	int64_t out, all = 0, counted = 0;
	int n = 1, fd, killed;

	do {
		put_line(j, HOUR_18 + all % 3 * HOUR, "a", "m", "e", 2);
		all++;
		(void)unlink(in_dir("out"));
		killed = killed_at(give_to_file, n);
		n += stride();
		ck_assert_int_lt(n, 1000000);
		/* Once it counts as given, all of it has been written. */
		if (!is_given(HOUR_18 + (all - 1) % 3 * HOUR))
			continue;
		fd = open(in_dir("out"), O_RDONLY);
		ck_assert_int_eq(read(fd, &out, sizeof(out)), sizeof(out));
		close(fd);
		ck_assert_int_eq(out, all - counted);
		counted = all;
	} while (killed);
	ck_assert_int_gt(n, 20);
	ck_assert_int_eq(counted, all);
	usage_journal_close(j);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("erase");

	tcase_add_checked_fixture(t, usage_dir_setup, usage_dir_teardown);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, erases_a_key_and_nothing_else);
	tcase_add_test(t, a_longer_id_is_another);
	tcase_add_test(t, what_is_no_id_is_refused);
	tcase_add_test(t, rests_of_lines_go_as_well);
	tcase_add_test(t, killed_at_every_system_call_of_an_erasure);
	tcase_add_test(t, who_appends_meanwhile_loses_nothing);
	tcase_add_test(t, prunes_whole_hours);
	tcase_add_test(t, killed_at_every_system_call_of_a_pruning);
	tcase_add_test(t, gives_each_closed_hour_once);
	tcase_add_test(t, killed_at_every_system_call_of_giving);
	return suite_run("usage: give, prune, erase", t, NULL);
}
