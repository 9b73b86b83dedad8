/*
 * db: what a reader may ever see of a store, however its editors die and
 * whatever happened to its file.
 */
#include "lib/db.h"

#include <check.h>
#include <fcntl.h>
#include <gdbm.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/db_sum.h"
#include "tests/unit/suite.h"

#define RECORDS 24

static char folder[FOLDER_SIZE], store[96];

static void
setup(void)
{
	make_folder(folder);
	snprintf(store, sizeof(store), "%s/some.gdbm", folder);
}

static void
teardown(void)
{
	remove_folder(folder);
}

static void
put(struct db *db, const char *key, const char *val)
{
	ck_assert_int_eq(db_put(db, key, val, strlen(val)), 0);
}

static void
edit_one(const char *key, const char *val)
{
	struct db *db = db_edit(store);

	ck_assert_ptr_nonnull(db);
	put(db, key, val);
	ck_assert_int_eq(db_commit(db), 0);
}

static void
expect(struct db *db, const char *key, const char *val)
{
	struct buf b = BUF(4096);

	ck_assert_int_eq(db_get(db, key, &b), val == NULL ? 0 : 1);
	ck_assert_str_eq(b.data, val == NULL ? "" : val);
	buf_free(&b);
}

/* Every record says the same number, in values of differing lengths. */
static int
write_generation(long generation)
{
	struct db *db = db_edit(store);
	char key[32], val[256];

	if (db == NULL)
		return -1;
	for (int i = 0; i < RECORDS; i++) {
		snprintf(key, sizeof(key), "r:%d", i);
		snprintf(val, sizeof(val), "%ld %0*d", generation,
		    (int)(generation * 7 + i * 13) % 200 + 1, 0);
		if (db_put(db, key, val, strlen(val)) == -1) {
			db_close(db);
			return -1;
		}
	}
	return db_commit(db);
}

struct generations {
	long number;
	int count;
};

static int
look_at(const char *key, const char *val, size_t len, void *arg)
{
	struct generations *g = arg;
	long number = strtol(val, NULL, 10);

	(void)key;
	if (strlen(val) != len || (g->count > 0 && number != g->number))
		return 99;
	g->number = number;
	g->count++;
	return 0;
}

/* The generation that the store shows, which must be whole; 0 when absent. */
static long
read_generation(void)
{
	struct generations g = { 0, 0 };
	struct db *db = db_open(store);

	ck_assert_ptr_nonnull(db);
	ck_assert_int_eq(db_each(db, "r:", look_at, &g), 0);
	ck_assert(g.count == 0 || g.count == RECORDS);
	db_close(db);
	return g.number;
}

START_TEST(absent_file_is_an_empty_store)
{
	struct buf b = BUF(10);
	struct db *db = db_open(store);

	ck_assert_ptr_nonnull(db);
	ck_assert_int_eq(db_get(db, "a", &b), 0);
	ck_assert_int_eq(db_each(db, "", look_at, NULL), 0);
	ck_assert_int_eq(db_stale(db), 0);
	edit_one("a", "1");
	ck_assert_int_eq(db_stale(db), 1);
	expect(db, "a", NULL); /* a snapshot stays what it was */
	db_close(db);
	ck_assert_int_eq(access(store, F_OK), 0);
}
END_TEST

START_TEST(absent_folder_is_a_failure)
{
	ck_assert_ptr_null(db_open("/tmp/check_db.absent/some.gdbm"));
	ck_assert_ptr_null(db_edit("/tmp/check_db.absent/some.gdbm"));
}
END_TEST

START_TEST(a_snapshot_notices_every_change)
{
	struct db *db;

	edit_one("a", "1");
	db = db_open(store);
	ck_assert_ptr_nonnull(db);
	ck_assert_int_eq(db_stale(db), 0);
	edit_one("a", "2"); /* as long as before */
	ck_assert_int_eq(db_stale(db), 1);
	expect(db, "a", "1");
	db_close(db);
	db = db_open(store);
	expect(db, "a", "2");
	ck_assert_int_eq(unlink(store), 0);
	ck_assert_int_eq(db_stale(db), 1);
	expect(db, "a", "2");
	db_close(db);
}
END_TEST

START_TEST(a_written_over_file_is_noticed)
{
	struct timespec times[2];
	struct stat st;
	struct db *db;
	int fd;

	edit_one("a", "1");
	db = db_open(store);
	ck_assert_int_eq(stat(store, &st), 0);
	fd = open(store, O_WRONLY);
	ck_assert_int_eq((int)pwrite(fd, "x", 1, st.st_size - 1), 1);
	times[0] = st.st_atim;
	times[1] = st.st_mtim; /* as a careful copying program would */
	ck_assert_int_eq(futimens(fd, times), 0);
	close(fd);
	ck_assert_int_eq(db_stale(db), 1);
	db_close(db);
}
END_TEST

START_TEST(a_dropped_edit_leaves_nothing)
{
	struct db *db;
	char draft[128];

	edit_one("a", "1");
	db = db_edit(store);
	put(db, "a", "2");
	put(db, "b", "3");
	expect(db, "b", "3"); /* an edit sees its own changes */
	db_close(db);
	db = db_open(store);
	expect(db, "a", "1");
	expect(db, "b", NULL);
	db_close(db);
	snprintf(draft, sizeof(draft), "%s.draft", store);
	ck_assert_int_eq(access(draft, F_OK), -1);
}
END_TEST

static int
count_until(const char *key, const char *val, size_t len, void *arg)
{
	int *left = arg;

	(void)key;
	(void)val;
	(void)len;
	return --*left == 0 ? 7 : 0;
}

START_TEST(each_goes_by_prefix_and_stops)
{
	struct db *db = db_edit(store);
	int left;

	put(db, "k:1", "");
	put(db, "k:2", "x");
	put(db, "h:1", "y");
	put(db, "", "z");
	ck_assert_int_eq(db_commit(db), 0);
	db = db_open(store);
	left = 3;
	ck_assert_int_eq(db_each(db, "k:", count_until, &left), 0);
	ck_assert_int_eq(left, 1);
	left = 5; /* the checksum's record does not show */
	ck_assert_int_eq(db_each(db, "", count_until, &left), 0);
	ck_assert_int_eq(left, 1);
	left = 2;
	ck_assert_int_eq(db_each(db, "", count_until, &left), 7);
	expect(db, "k:1", "");
	expect(db, "", "z");
	db_close(db);
}
END_TEST

START_TEST(a_record_too_long_for_its_reader_is_a_failure)
{
	struct buf b = BUF(3);
	struct db *db;

	edit_one("a", "1234");
	edit_one("b", "123");
	db = db_open(store);
	ck_assert_int_eq(db_get(db, "a", &b), -1);
	ck_assert_int_eq(db_get(db, "b", &b), 1);
	ck_assert_str_eq(b.data, "123");
	buf_free(&b);
	db_close(db);
}
END_TEST

static size_t
read_store(char *bytes, size_t size)
{
	int fd = open(store, O_RDONLY);
	ssize_t n = read(fd, bytes, size);

	ck_assert_int_gt((int)n, 0);
	close(fd);
	return (size_t)n;
}

static void
write_store(const char *bytes, size_t n)
{
	int fd = open(store, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	ck_assert_int_eq((int)write(fd, bytes, n), (int)n);
	close(fd);
}

START_TEST(what_is_deleted_or_replaced_is_gone_from_the_file)
{
	static char bytes[1 << 20];
	struct db *db;
	size_t n;

	edit_one("a", "Operation Lighthouse");
	edit_one("b", "Operation Seawall");
	edit_one("b", "longer than it was before");
	db = db_edit(store);
	ck_assert_int_eq(db_del(db, "a"), 1);
	ck_assert_int_eq(db_del(db, "a"), 0);
	ck_assert_int_eq(db_commit(db), 0);
	n = read_store(bytes, sizeof(bytes));
	ck_assert_ptr_null(memmem(bytes, n, "Lighthouse", 10));
	ck_assert_ptr_null(memmem(bytes, n, "Seawall", 7));
	ck_assert_ptr_nonnull(memmem(bytes, n, "longer than", 11));
}
END_TEST

/* Neither a reader nor an editor takes it, and it stays as it is. */
static void
expect_refused(const char *bytes, size_t n)
{
	static char after[1 << 20];

	write_store(bytes, n);
	ck_assert_ptr_null(db_open(store));
	ck_assert_ptr_null(db_edit(store));
	if (n > 0) {
		ck_assert_uint_eq(read_store(after, sizeof(after)), n);
		ck_assert_mem_eq(after, bytes, n);
	}
}

START_TEST(damaged_files_are_refused)
{
	static char good[1 << 20], bad[(1 << 20) + 1];
	size_t n;

	ck_assert_int_eq(write_generation(1), 0);
	n = read_store(good, sizeof(good));
	ck_assert_uint_gt(n, 8192);
	expect_refused("", 0);
	for (size_t cut = 1; cut < n; cut += 1021)
		expect_refused(good, cut);
	expect_refused(good, n - 1);
	for (size_t at = 0; at < n; at += 331) {
		memcpy(bad, good, n);
		bad[at] = (char)(bad[at] ^ 0x10);
		expect_refused(bad, n);
	}
	for (size_t at = 0; at + 4096 <= n; at += 4096) {
		memcpy(bad, good, n);
		memset(bad + at, 0, 4096);
		/* GDBM leaves some blocks empty: those are no damage. */
		if (memcmp(bad, good, n) != 0)
			expect_refused(bad, n);
	}
	memcpy(bad, good, n);
	bad[n] = 0;
	expect_refused(bad, n + 1);
	write_store(good, n);
	ck_assert_int_eq(read_generation(), 1);
}
END_TEST

START_TEST(foreign_files_are_refused)
{
	static char zeros[65536];
	datum key = { .dptr = zeros, .dsize = 4 };
	char elsewhere[128];
	GDBM_FILE raw;

	expect_refused("not a database\n", 15);
	expect_refused(zeros, sizeof(zeros));
	ck_assert_int_eq(unlink(store), 0);
	raw = gdbm_open(store, 0, GDBM_NEWDB, 0600, NULL);
	ck_assert_int_eq(gdbm_store(raw, key, key, GDBM_INSERT), 0);
	ck_assert_int_eq(gdbm_close(raw), 0);
	ck_assert_ptr_null(db_open(store));
	ck_assert_int_eq(unlink(store), 0);
	ck_assert_int_eq(mkfifo(store, 0600), 0);
	ck_assert_ptr_null(db_open(store));
	ck_assert_int_eq(unlink(store), 0);
	ck_assert_int_eq(mkdir(store, 0700), 0);
	ck_assert_ptr_null(db_open(store));
	ck_assert_ptr_null(db_edit(store));
	ck_assert_int_eq(rmdir(store), 0);
	edit_one("a", "1"); /* a good store, but a link would be replaced */
	snprintf(elsewhere, sizeof(elsewhere), "%s.elsewhere", store);
	ck_assert_int_eq(rename(store, elsewhere), 0);
	ck_assert_int_eq(symlink(elsewhere, store), 0);
	ck_assert_ptr_null(db_open(store));
	ck_assert_ptr_null(db_edit(store));
}
END_TEST

/* An open handle whose file is cut short fails; the process goes on. */
START_TEST(a_file_cut_under_an_open_handle_is_survived)
{
	static char good[1 << 20];
	struct buf b = BUF(4096);
	char key[32];
	struct db *db;
	int failed = 0;
	size_t n;

	ck_assert_int_eq(write_generation(1), 0);
	n = read_store(good, sizeof(good));
	for (size_t cut = 0; cut < n; cut += 997) {
		write_store(good, n);
		db = db_open(store);
		ck_assert_ptr_nonnull(db);
		ck_assert_int_eq(truncate(store, (off_t)cut), 0);
		ck_assert_int_eq(db_stale(db), 1);
		for (int i = 0; i < RECORDS; i++) {
			snprintf(key, sizeof(key), "r:%d", i);
			failed += db_get(db, key, &b) == -1;
		}
		(void)db_each(db, "", look_at, &(struct generations){ 0, 0 });
		db_close(db);
	}
	ck_assert_int_gt(failed, 0);
	buf_free(&b);
}
END_TEST

/* GDBM would end the process here. */
START_TEST(a_full_disk_leaves_the_old_store)
{
	struct rlimit limit = { 65536, 65536 };
	char key[32], val[4096];
	struct db *db;
	int failed = 0;

	ck_assert_int_eq(write_generation(5), 0);
	ck_assert_ptr_ne(signal(SIGXFSZ, SIG_IGN), SIG_ERR);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	memset(val, 'v', sizeof(val));
	db = db_edit(store);
	ck_assert_ptr_nonnull(db);
	for (int i = 0; i < 40; i++) {
		snprintf(key, sizeof(key), "big:%d", i);
		failed += db_put(db, key, val, sizeof(val)) == -1;
	}
	ck_assert_int_gt(failed, 0);
	ck_assert_int_eq(db_commit(db), -1);
	ck_assert_int_eq(read_generation(), 5);
	ck_assert_int_eq(write_generation(6), 0);
	ck_assert_int_eq(read_generation(), 6);
}
END_TEST

/* The checksum is found by a mark; a value must not be able to fake it. */
START_TEST(the_checksum_cannot_be_forged_by_a_value)
{
	static char bytes[1 << 20];
	const char *at;
	struct db *db;
	size_t n;

	edit_one("a", "1");
	n = read_store(bytes, sizeof(bytes));
	at = memmem(bytes, n, "pmproxy checksum", 16);
	ck_assert_ptr_nonnull(at);
	db = db_edit(store);
	ck_assert_int_eq(db_put(db, "b", at + 16, 48), -1);
	ck_assert_int_eq(db_commit(db), -1);
	db = db_edit(store);
	ck_assert_int_eq(db_put(db, "pmproxy checksum", "x", 1), -1);
	ck_assert_int_eq(db_commit(db), -1);
	db = db_open(store);
	expect(db, "a", "1");
	expect(db, "b", NULL);
	db_close(db);
}
END_TEST

static int
sum_matches(int fd)
{
	struct db_sum_found found;
	int got = db_sum_read(fd, &found);

	return got == 1 ? db_sum_check(fd, NULL, &found) : got;
}

/* The sum's place may lie across the blocks in which a file is read. */
START_TEST(the_checksum_may_stand_anywhere)
{
	static char bytes[3 * 65536];
	const size_t block = 65536;
	int fd;

	for (size_t at = block - 50; at < block + 3; at++) {
		memset(bytes, 'x', sizeof(bytes));
		memcpy(bytes + at, db_sum_mark, DB_SUM_MARK_LEN);
		write_store(bytes, sizeof(bytes));
		fd = open(store, O_RDWR);
		ck_assert_int_eq(sum_matches(fd), 0);
		ck_assert_int_eq(db_sum_write(fd, NULL), 0);
		ck_assert_int_eq(sum_matches(fd), 1);
		ck_assert_int_eq(
		    (int)pwrite(fd, "y", 1, (off_t)(2 * block)), 1);
		ck_assert_int_eq(sum_matches(fd), 0);
		close(fd);
	}
	/* Cut within the sum, and without any. */
	write_store(bytes, block + 20);
	fd = open(store, O_RDWR);
	ck_assert_int_eq(sum_matches(fd), 0);
	ck_assert_int_eq(ftruncate(fd, 100), 0);
	ck_assert_int_eq(sum_matches(fd), 0);
	ck_assert_int_eq(db_sum_write(fd, NULL), -1);
	close(fd);
}
END_TEST

/* A store longer than the checksum's blocks, its border included. */
START_TEST(large_stores_round_trip)
{
	char key[32], val[300];
	struct db *db = db_edit(store);
	int left;

	for (int i = 0; i < 2000; i++) {
		snprintf(key, sizeof(key), "k:%d", i);
		snprintf(val, sizeof(val), "%0*d", i % 290 + 1, i);
		put(db, key, val);
	}
	ck_assert_int_eq(db_commit(db), 0);
	db = db_open(store);
	ck_assert_ptr_nonnull(db);
	for (int i = 0; i < 2000; i++) {
		snprintf(key, sizeof(key), "k:%d", i);
		snprintf(val, sizeof(val), "%0*d", i % 290 + 1, i);
		expect(db, key, val);
	}
	left = 2001;
	ck_assert_int_eq(db_each(db, "k:", count_until, &left), 0);
	ck_assert_int_eq(left, 1);
	db_close(db);
}
END_TEST

/* Commits until it is stopped, and tells of each commit after it. */
static void
edit_for_ever(int report)
{
	long generation = read_generation();

	for (;;) {
		if (write_generation(++generation) == -1)
			_exit(3);
		if (write(report, &generation, sizeof(generation)) !=
		    (ssize_t)sizeof(generation))
			_exit(4);
	}
}

/* Reads what the pipe still holds; the last commit that was reported. */
static long
last_report(int from, long before)
{
	long generation = before, next;

	while (read(from, &next, sizeof(next)) == (ssize_t)sizeof(next))
		generation = next;
	return generation;
}

static void
die_once(long *committed, unsigned *seed, int patience)
{
	int ends[2], status;
	long seen;
	pid_t editor;

	ck_assert_int_eq(pipe(ends), 0);
	editor = fork();
	ck_assert_int_ne(editor, -1);
	if (editor == 0) {
		close(ends[0]);
		edit_for_ever(ends[1]);
	}
	close(ends[1]);
	/* Anywhere in an edit, whose parts take very different times. */
	for (int i = rand_r(seed) % 8; i >= 0; i--) {
		seen = read_generation();
		ck_assert_int_ge(seen, *committed);
		*committed = seen;
		usleep((useconds_t)(rand_r(seed) % 400 * patience));
	}
	ck_assert_int_eq(kill(editor, SIGKILL), 0);
	ck_assert_int_eq(waitpid(editor, &status, 0), editor);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	*committed = last_report(ends[0], *committed);
	close(ends[0]);
	/* What was acknowledged is there; at most one more may be. */
	seen = read_generation();
	ck_assert_int_ge(seen, *committed);
	ck_assert_int_le(seen, *committed + 1);
	*committed = seen;
}

START_TEST(killed_editors_leave_the_old_store_or_the_new)
{
	unsigned seed = 20261122;
	long committed = 0;
	char draft[128];

	/* On a slow machine they die before they could commit anything. */
	for (int i = 0; i < 200 || (committed <= 20 && i < 2000); i++)
		die_once(&committed, &seed, 1 << (i < 1000 ? i / 100 : 10));
	ck_assert_int_gt(committed, 20);
	ck_assert_int_eq(write_generation(committed + 1), 0);
	snprintf(draft, sizeof(draft), "%s.draft", store);
	ck_assert_int_eq(access(draft, F_OK), -1);
}
END_TEST

static void
count_up(const char *own)
{
	struct buf b = BUF(64);

	for (int i = 0; i < 30; i++) {
		struct db *db = db_edit(store);
		char val[32];
		long n;

		if (db == NULL || db_get(db, "n", &b) == -1)
			_exit(1);
		n = b.len == 0 ? 0 : strtol(b.data, NULL, 10);
		snprintf(val, sizeof(val), "%ld", n + 1);
		if (db_put(db, "n", val, strlen(val)) == -1 ||
		    db_put(db, own, val, strlen(val)) == -1 ||
		    db_commit(db) == -1)
			_exit(2);
	}
	_exit(0);
}

START_TEST(editors_at_once_lose_no_update)
{
	static const char *const names[] = { "a", "b", "c", "d" };
	int status;
	struct db *db;

	for (int i = 0; i < 4; i++) {
		pid_t editor = fork();

		ck_assert_int_ne(editor, -1);
		if (editor == 0)
			count_up(names[i]);
	}
	for (int i = 0; i < 4; i++) {
		ck_assert_int_ne(wait(&status), -1);
		ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
	db = db_open(store);
	expect(db, "n", "120");
	db_close(db);
}
END_TEST

static void
expect_owner(const char *path, uid_t owner, gid_t group, mode_t mode)
{
	struct stat st;

	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_uid, owner);
	ck_assert_uint_eq(st.st_gid, group);
	ck_assert_uint_eq(st.st_mode & 07777, mode);
}

START_TEST(a_store_is_private_and_keeps_its_mode)
{
	umask(0);
	edit_one("a", "1");
	expect_owner(store, geteuid(), getegid(), 0600);
	ck_assert_int_eq(chmod(store, 0640), 0);
	umask(077);
	edit_one("a", "2");
	expect_owner(store, geteuid(), getegid(), 0640);
}
END_TEST

START_TEST(what_root_edits_stays_its_owners)
{
	char lock[128];

	if (geteuid() != 0)
		return; /* only root can give files away */
	snprintf(lock, sizeof(lock), "%s.lock", store);
	ck_assert_int_eq(chown(folder, 4242, 4243), 0);
	edit_one("a", "1");
	expect_owner(store, 4242, 4243, 0600);
	expect_owner(lock, 4242, 4243, 0600);
	ck_assert_int_eq(chown(store, 4244, 4245), 0);
	edit_one("a", "2");
	expect_owner(store, 4244, 4245, 0600);
}
END_TEST

START_TEST(one_who_cannot_keep_the_owner_must_not_edit)
{
	char lock[128];
	int status;
	pid_t other;

	if (geteuid() != 0)
		return;
	edit_one("a", "1");
	ck_assert_int_eq(chmod(folder, 0777), 0);
	ck_assert_int_eq(chmod(store, 0644), 0);
	snprintf(lock, sizeof(lock), "%s.lock", store);
	ck_assert_int_eq(unlink(lock), 0);
	if ((other = fork()) == 0) {
		struct db *db;

		if (setgid(4242) == -1 || setuid(4242) == -1 ||
		    (db = db_edit(store)) == NULL ||
		    db_put(db, "a", "2", 1) == -1)
			_exit(2);
		_exit(db_commit(db) == -1 ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(other, &status, 0), other);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 0);
	expect_owner(store, 0, 0, 0644);
}
END_TEST

START_TEST(handles_leak_no_descriptors)
{
	int before, after;

	edit_one("a", "1");
	before = dup(0);
	close(before);
	for (int i = 0; i < 20; i++) {
		edit_one("a", "1");
		db_close(db_edit(store));
		db_close(db_open(store));
		write_store("damaged", 7);
		ck_assert_ptr_null(db_open(store));
		ck_assert_ptr_null(db_edit(store));
		ck_assert_int_eq(unlink(store), 0);
		db_close(db_open(store));
		db_close(db_edit(store));
	}
	after = dup(0);
	close(after);
	ck_assert_int_eq(after, before);
}
END_TEST

static TCase *
cases(void)
{
	TCase *t = tcase_create("db");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, absent_file_is_an_empty_store);
	tcase_add_test(t, absent_folder_is_a_failure);
	tcase_add_test(t, a_snapshot_notices_every_change);
	tcase_add_test(t, a_written_over_file_is_noticed);
	tcase_add_test(t, a_dropped_edit_leaves_nothing);
	tcase_add_test(t, each_goes_by_prefix_and_stops);
	tcase_add_test(t, a_record_too_long_for_its_reader_is_a_failure);
	tcase_add_test(t, what_is_deleted_or_replaced_is_gone_from_the_file);
	tcase_add_test(t, damaged_files_are_refused);
	tcase_add_test(t, foreign_files_are_refused);
	tcase_add_test(t, a_file_cut_under_an_open_handle_is_survived);
	tcase_add_test(t, a_full_disk_leaves_the_old_store);
	tcase_add_test(t, the_checksum_cannot_be_forged_by_a_value);
	tcase_add_test(t, the_checksum_may_stand_anywhere);
	tcase_add_test(t, large_stores_round_trip);
	tcase_add_test(t, killed_editors_leave_the_old_store_or_the_new);
	tcase_add_test(t, editors_at_once_lose_no_update);
	tcase_add_test(t, a_store_is_private_and_keeps_its_mode);
	tcase_add_test(t, what_root_edits_stays_its_owners);
	tcase_add_test(t, one_who_cannot_keep_the_owner_must_not_edit);
	tcase_add_test(t, handles_leak_no_descriptors);
	return t;
}

int
main(void)
{
	return suite_run("db", cases(), NULL);
}
