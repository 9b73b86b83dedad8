/*
 * Journals under another key, or none: nothing is lost, doubled or given twice,
 * whoever writes meanwhile and whoever dies.
 */
#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/db.h"
#include "lib/usage_seal.h"
#include "tests/unit/seal_keys.h"
#include "tests/unit/usage_dir.h"

#define HOUR_NAME "2026112218"
#define NOW (HOUR_18 + 9 * HOUR)

static char cursor[PATH_MAX], store[PATH_MAX];

static void
setup(void)
{
	usage_dir_setup();
	seal_keys_setup();
	catch_log();
	snprintf(cursor, sizeof(cursor), "%s/export-x.gdbm", dir);
	snprintf(store, sizeof(store), "%s/usage.gdbm", dir);
}

static void
teardown(void)
{
	seal_keys_teardown();
	usage_dir_teardown();
}

static void
put_lines(int64_t hour, int n)
{
	struct usage_journal *j = usage_journal_open(dir);

	ck_assert_ptr_nonnull(j);
	for (int i = 0; i < n; i++)
		put_line(j, hour + i, "key_a", i % 2 ? "long-model-name" : "m",
		    "chat.completions", 2);
	usage_journal_close(j);
}

static int
requests(void)
{
	const struct seen *s = read_all(NULL);
	int64_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		n += s->row[i].requests;
	return (int)n;
}

static off_t
size_of(const char *name)
{
	struct stat st;

	ck_assert_int_eq(stat(hour_path(name), &st), 0);
	return st.st_size;
}

static int
count_given(const struct usage_total *t, const struct usage_total *b, void *n)
{
	*(int64_t *)n += t->requests - (b == NULL ? 0 : b->requests);
	return 0;
}

/* What the cursor gives of hours closed by now. */
static int64_t
given(void)
{
	struct usage_cursor *c = usage_cursor_open(cursor);
	int64_t n = 0;

	ck_assert_ptr_nonnull(c);
	ck_assert_int_eq(usage_cursor_each(c, dir, NOW, count_given, &n), 0);
	ck_assert_int_eq(usage_cursor_commit(c), 0);
	return n;
}

static int64_t
due(void)
{
	int64_t oldest;

	return usage_due(dir, NOW, &oldest);
}

/* As pmkey does it, in this order. */
static int64_t
reseal_all(enum db_reseal how)
{
	int64_t n;

	if (usage_reseal_cursor(dir, cursor, how) == -1 ||
	    (n = usage_reseal(dir, how)) == -1 ||
	    db_reseal(store, how, NULL, NULL) == -1)
		return -1;
	return n;
}

/* Nothing is left in the journal but hours. */
static void
expect_no_leftovers(void)
{
	DIR *d = opendir(hour_path(""));
	const struct dirent *e;

	ck_assert_ptr_nonnull(d);
	while ((e = readdir(d)) != NULL)
		MUST(e->d_name[0] == '.' || strlen(e->d_name) == 10);
	closedir(d);
}

START_TEST(another_key_changes_no_size)
{
	off_t size;

	use_keys(KEY_A);
	put_lines(HOUR_18, 5);
	put_raw(HOUR_NAME, "\n2\ttorn", 7);
	put_lines(HOUR_18 + 5, 1);
	put_lines(HOUR_18 + HOUR, 3);
	ck_assert_int_eq(usage_rollup(dir, NOW, NULL), 2);
	ck_assert_int_eq(given(), 9);
	size = size_of(HOUR_NAME);
	use_keys(KEY_B KEY_A);
	ck_assert_int_eq(reseal_all(DB_RESEAL_KEYS), 2);
	ck_assert_int_eq(reseal_all(DB_RESEAL_KEYS), 0);
	use_keys(KEY_B);
	ck_assert_int_eq(size_of(HOUR_NAME), size);
	ck_assert_int_eq(due(), 0);
	ck_assert_int_eq(requests(), 9);
	ck_assert_int_eq(given(), 0);
	put_lines(HOUR_18, 2); /* late */
	ck_assert_int_eq(given(), 2);
	expect_no_leftovers();
}
END_TEST

START_TEST(an_unknown_key_is_left_alone)
{
	off_t size;

	use_keys(KEY_A);
	put_lines(HOUR_18, 2);
	use_keys(KEY_B);
	put_lines(HOUR_18 + HOUR, 1);
	size = size_of(HOUR_NAME);
	ck_assert_int_eq(usage_reseal(dir, DB_RESEAL_KEYS), -1);
	ck_assert_ptr_nonnull(strstr(logged(), HOUR_NAME));
	ck_assert_int_eq(usage_reseal(dir, DB_RESEAL_FIRST), -1);
	ck_assert_int_eq(usage_reseal(dir, DB_RESEAL_PLAIN), -1);
	ck_assert_int_eq(size_of(HOUR_NAME), size);
	use_keys(KEY_B KEY_A);
	ck_assert_int_eq(usage_reseal(dir, DB_RESEAL_FIRST), 2);
	ck_assert_int_eq(requests(), 3);
	expect_no_leftovers();
}
END_TEST

/* A damaged line of an old key would keep that key needed for ever. */
START_TEST(what_cannot_be_opened_goes_with_its_key)
{
	static char bytes[4096];
	size_t n;
	int fd;

	use_keys(KEY_A);
	put_lines(HOUR_18, 2);
	n = (size_t)size_of(HOUR_NAME);
	fd = open(hour_path(HOUR_NAME), O_RDWR);
	ck_assert_int_eq(read(fd, bytes, sizeof(bytes)), (ssize_t)n);
	ck_assert_int_eq(pwrite(fd, bytes[60] == 'A' ? "B" : "A", 1, 60), 1);
	close(fd);
	use_keys(KEY_B KEY_A);
	ck_assert_int_eq(usage_reseal(dir, DB_RESEAL_KEYS), 1);
	use_keys(KEY_B);
	ck_assert_int_eq(requests(), 1);
	ck_assert_int_eq(size_of(HOUR_NAME), (off_t)n);
}
END_TEST

START_TEST(plain_journals_are_sealed_when_told_so)
{
	put_lines(HOUR_18, 4);
	use_keys(KEY_A);
	ck_assert_int_eq(usage_reseal(dir, DB_RESEAL_KEYS), -1);
	ck_assert_ptr_nonnull(strstr(logged(), "not sealed although"));
	ck_assert_int_eq(usage_reseal(dir, DB_RESEAL_FIRST), 1);
	ck_assert_int_eq(requests(), 4);
	ck_assert_int_eq(usage_reseal(dir, DB_RESEAL_FIRST), 0);
}
END_TEST

START_TEST(nobody_writes_while_lengths_change)
{
	struct usage_journal *j;

	put_lines(HOUR_18, 1);
	j = usage_journal_open(dir);
	use_keys(KEY_A);
	ck_assert_int_eq(usage_reseal(dir, DB_RESEAL_FIRST), -1);
	ck_assert_ptr_nonnull(strstr(logged(), "stop it first"));
	usage_journal_close(j);
	ck_assert_int_eq(usage_reseal(dir, DB_RESEAL_FIRST), 1);
}
END_TEST

/* Cut short at each of its three steps, and gone on with or turned round. */
START_TEST(cursors_stay_true)
{
	for (int steps = 0; steps <= 6; steps++) {
		int turned = steps > 3;

		use_keys(NULL);
		ck_assert_int_eq(given(), 0);
		put_lines(HOUR_18, 5);
		put_raw(HOUR_NAME, "\n1\ttorn\tby", 10);
		ck_assert_int_eq(usage_rollup(dir, NOW, NULL), 1);
		ck_assert_int_eq(given(), 5);
		put_lines(HOUR_18, 2); /* late, and not given */
		use_keys(KEY_A);
		if (steps % 4 > 0)
			ck_assert_int_eq(
			    usage_reseal_cursor(dir, cursor, DB_RESEAL_FIRST),
			    1);
		if (steps % 4 > 1)
			ck_assert_int_eq(usage_reseal(dir, DB_RESEAL_FIRST), 1);
		if (steps % 4 > 2)
			ck_assert_int_eq(
			    db_reseal(store, DB_RESEAL_FIRST, NULL, NULL), 1);
		ck_assert_int_ne(
		    reseal_all(turned ? DB_RESEAL_PLAIN : DB_RESEAL_FIRST), -1);
		use_keys(turned ? NULL : KEY_A);
		ck_assert_int_eq(given(), 2);
		ck_assert_int_eq(requests(), 7);
		ck_assert_int_ne(usage_rollup(dir, NOW, NULL), -1);
		ck_assert_int_eq(requests(), 7);
		ck_assert_int_eq(given(), 0);
		put_lines(HOUR_18, 1);
		ck_assert_int_eq(given(), 1);
		ck_assert_int_eq(unlink(hour_path(HOUR_NAME)), 0);
		ck_assert_int_eq(unlink(store), 0);
		ck_assert_int_eq(unlink(cursor), 0);
	}
}
END_TEST

START_TEST(the_seal_comes_off_again)
{
	use_keys(KEY_A);
	put_lines(HOUR_18, 5);
	ck_assert_int_eq(usage_rollup(dir, NOW, NULL), 1);
	ck_assert_int_eq(given(), 5);
	put_lines(HOUR_18, 1);
	ck_assert_int_eq(reseal_all(DB_RESEAL_PLAIN), 1);
	use_keys(NULL);
	ck_assert_int_eq(requests(), 6);
	ck_assert_int_eq(given(), 1);
	ck_assert_int_eq(usage_rollup(dir, NOW, NULL), 1);
	ck_assert_int_eq(requests(), 6);
}
END_TEST

static int
reseal_keys(void)
{
	return usage_reseal(dir, DB_RESEAL_KEYS) == -1;
}

static int
reseal_first(void)
{
	return usage_reseal(dir, DB_RESEAL_FIRST) == -1;
}

START_TEST(a_reseal_may_be_killed_anywhere)
{
	int killed = 0;

	for (int n = 1;; n += stride()) {
		use_keys(KEY_A);
		put_lines(HOUR_18, 3);
		use_keys(KEY_B KEY_A);
		ck_assert_int_eq(seal_ready(), 2);
		if (!killed_at(reseal_keys, n))
			break;
		killed++;
		/* All is there, under whichever key. */
		MUST(requests() == 3);
		put_lines(HOUR_18, 1);
		if (n % 2) {
			ck_assert_int_ne(usage_reseal(dir, DB_RESEAL_KEYS), -1);
			use_keys(KEY_B);
		} else /* erasing ends it as well */
			ck_assert_int_eq(usage_erase(dir, "key_b", NULL), 0);
		MUST(requests() == 4);
		expect_no_leftovers();
		ck_assert_int_eq(unlink(hour_path(HOUR_NAME)), 0);
	}
	ck_assert_int_gt(killed * stride(), 40);
}
END_TEST

/* Dead between the rename and what was written to the old file meanwhile. */
START_TEST(what_the_old_file_got_is_carried_over)
{
	static char bytes[4096];
	char old[PATH_MAX + 8];
	off_t size;
	int fd;

	use_keys(KEY_A);
	put_lines(HOUR_18, 2);
	size = size_of(HOUR_NAME);
	put_lines(HOUR_18, 1);
	snprintf(old, sizeof(old), "%s.old", hour_path(HOUR_NAME));
	ck_assert_int_eq(rename(hour_path(HOUR_NAME), old), 0);
	fd = open(old, O_RDONLY);
	ck_assert_int_eq(read(fd, bytes, (size_t)size), (ssize_t)size);
	close(fd);
	put_raw(HOUR_NAME, bytes, (size_t)size);
	ck_assert_int_eq(requests(), 2);
	use_keys(KEY_B KEY_A);
	ck_assert_int_eq(usage_reseal(dir, DB_RESEAL_KEYS), 1);
	use_keys(KEY_B);
	ck_assert_int_eq(requests(), 3);
	expect_no_leftovers();
}
END_TEST

START_TEST(a_first_seal_may_be_killed_anywhere)
{
	int killed = 0;

	for (int n = 1;; n += stride()) {
		use_keys(NULL);
		put_lines(HOUR_18, 3);
		use_keys(KEY_A);
		ck_assert_int_eq(seal_ready(), 1);
		if (!killed_at(reseal_first, n))
			break;
		killed++;
		ck_assert_int_ne(usage_reseal(dir, DB_RESEAL_FIRST), -1);
		MUST(requests() == 3);
		expect_no_leftovers();
		ck_assert_int_eq(unlink(hour_path(HOUR_NAME)), 0);
	}
	ck_assert_int_gt(killed * stride(), 30);
}
END_TEST

#define WRITERS 3
/* Each writes so many while a round lasts at most, so that rounds end. */
#define LINES 1000
#define ROUNDS 4

/* Shared with the writers. */
struct progress {
	atomic_int round; /* that they may write in; ROUNDS: no more */
	atomic_int lines[WRITERS]; /* taken in all */
};

/* Appends as a responder does; 0 when each line was taken. */
static int
write_on(struct progress *p, int writer)
{
	struct usage_journal *j = usage_journal_open(dir);
	struct usage_record r = { .key_id = "key_a",
		.model = "m",
		.endpoint = "chat.completions",
		.status_class = 2 };
	int bad = j == NULL, n = 0;

	while (!bad && atomic_load(&p->round) < ROUNDS) {
		if (n >= LINES * (1 + atomic_load(&p->round))) {
			(void)sched_yield();
			continue;
		}
		bad = usage_journal_append(j, &r, HOUR_18 + n) == -1;
		atomic_store(&p->lines[writer], ++n);
	}
	usage_journal_close(j);
	return bad;
}

static int
lines_written(struct progress *p)
{
	int n = 0;

	for (int i = 0; i < WRITERS; i++)
		n += atomic_load(&p->lines[i]);
	return n;
}

/* Each that was taken counts, and counts once. */
START_TEST(writers_lose_nothing)
{
	struct progress *p = mmap(NULL, sizeof(*p), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid[WRITERS];
	int status;

	ck_assert_ptr_ne(p, MAP_FAILED);
	use_keys(KEY_A KEY_B);
	put_lines(HOUR_18, 1);
	for (int i = 0; i < WRITERS; i++)
		if ((pid[i] = fork()) == 0) {
			(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
			_exit(write_on(p, i));
		}
	for (int round = 0, before = 0; round < ROUNDS; round++) {
		while (lines_written(p) == before)
			(void)sched_yield();
		use_keys(round % 2 == 0 ? KEY_B KEY_A : KEY_A KEY_B);
		ck_assert_int_ne(usage_reseal(dir, DB_RESEAL_KEYS), -1);
		before = lines_written(p);
		atomic_store(&p->round, round + 1);
	}
	for (int i = 0; i < WRITERS; i++) {
		ck_assert_int_eq(waitpid(pid[i], &status, 0), pid[i]);
		ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
	ck_assert_int_eq(requests(), lines_written(p) + 1);
	ck_assert_int_eq(munmap(p, sizeof(*p)), 0);
	expect_no_leftovers();
}
END_TEST

static TCase *
journals(void)
{
	TCase *t = tcase_create("journals");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, another_key_changes_no_size);
	tcase_add_test(t, an_unknown_key_is_left_alone);
	tcase_add_test(t, what_cannot_be_opened_goes_with_its_key);
	tcase_add_test(t, plain_journals_are_sealed_when_told_so);
	tcase_add_test(t, nobody_writes_while_lengths_change);
	tcase_add_test(t, cursors_stay_true);
	tcase_add_test(t, the_seal_comes_off_again);
	tcase_add_test(t, a_reseal_may_be_killed_anywhere);
	tcase_add_test(t, what_the_old_file_got_is_carried_over);
	tcase_add_test(t, a_first_seal_may_be_killed_anywhere);
	tcase_add_test(t, writers_lose_nothing);
	tcase_set_timeout(t, 120);
	return t;
}

int
main(void)
{
	return suite_run("usage_reseal", journals(), NULL);
}
