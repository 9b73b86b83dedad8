/* db_watch: that looks are few, and that who publishes a change is believed. */
#include "lib/db_watch.h"

#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/suite.h"

static char folder[FOLDER_SIZE], store[96];
static _Atomic long n_looks;

/* The linker puts these two around each other: see the Makefile. */
int __real_stat(const char *, struct stat *);
int __wrap_stat(const char *, struct stat *);

int
__wrap_stat(const char *path, struct stat *st)
{
	n_looks++;
	return __real_stat(path, st);
}

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

static struct db *
edit(const char *value)
{
	struct db *db = db_edit(store);

	ck_assert_ptr_nonnull(db);
	ck_assert_int_eq(db_put(db, "name", value, strlen(value)), 0);
	return db;
}

static struct db_watch
watch(void)
{
	struct db_watch w;
	char *path = strdup(store);

	ck_assert_ptr_nonnull(path);
	db_watch_init(&w, path);
	ck_assert_int_eq(db_watch_refresh(&w), 1);
	return w;
}

static void
check_value(struct db_watch *w, const char *expected)
{
	struct buf value = BUF(64);

	ck_assert_int_eq(db_get(w->db, "name", &value), 1);
	ck_assert_str_eq(value.data, expected);
	buf_free(&value);
}

static int64_t
now_ms(void)
{
	struct timespec t;

	ck_assert_int_eq(clock_gettime(CLOCK_MONOTONIC, &t), 0);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Also of a store that is not there: that is looked for as rarely. */
START_TEST(looks_are_as_many_as_the_time_holds)
{
	struct db_watch w;
	int64_t began;
	long looks;

	if (_i)
		ck_assert_int_eq(db_commit(edit("1")), 0);
	w = watch();
	began = now_ms();
	looks = n_looks;
	do
		MUST(db_watch_current(&w) && db_watch_refresh(&w) == 0);
	while (now_ms() - began < 5 * DB_WATCH_MS);
	looks = n_looks - looks;
	ck_assert_int_ge(looks, 1);
	ck_assert_int_le(looks, (now_ms() - began) / DB_WATCH_MS + 2);
	db_watch_close(&w);
}
END_TEST

/* However long somebody asks without a break. */
static void
ask_until_seen(struct db_watch *w)
{
	int64_t began = now_ms();

	while (db_watch_current(w))
		MUST(now_ms() - began < 60000);
}

START_TEST(what_nobody_announced_is_seen_by_itself)
{
	struct db_watch w;

	hush();
	ck_assert_int_eq(db_commit(edit("1")), 0);
	w = watch();
	ck_assert_int_eq(db_commit(edit("2")), 0);
	ask_until_seen(&w);
	ck_assert_int_eq(db_watch_refresh(&w), 1);
	check_value(&w, "2");
	ck_assert_int_eq(unlink(store), 0);
	ask_until_seen(&w);
	ck_assert_int_eq(db_watch_refresh(&w), -1);
	/* Who has no snapshot looks each time. */
	ck_assert_int_eq(db_commit(edit("3")), 0);
	ck_assert_int_eq(db_watch_refresh(&w), 1);
	check_value(&w, "3");
	db_watch_close(&w);
}
END_TEST

struct looker {
	struct db_watch watch;
	_Atomic int stop;
};

static void *
look_for_ever(void *arg)
{
	struct looker *l = arg;

	while (!l->stop)
		(void)db_watch_current(&l->watch);
	return NULL;
}

/* While another thread looks; the last look is of any age. */
START_TEST(who_publishes_is_believed_at_once)
{
	struct looker l = { .stop = 0 };
	pthread_t thread;
	char value[16];
	int64_t began;

	ck_assert_int_eq(db_commit(edit("0")), 0);
	l.watch = watch();
	for (int i = 1; i <= 2 * DB_WATCH_MS; i++) {
		began = now_ms();
		l.stop = 0;
		ck_assert_int_eq(
		    pthread_create(&thread, NULL, look_for_ever, &l), 0);
		snprintf(value, sizeof(value), "%d", i);
		while (now_ms() - began < i)
			continue;
		ck_assert_int_eq(db_watch_commit(edit(value)), 0);
		ck_assert_int_eq(db_watch_current(&l.watch), 0);
		l.stop = 1;
		ck_assert_int_eq(pthread_join(thread, NULL), 0);
		ck_assert_int_eq(db_watch_refresh(&l.watch), 1);
		check_value(&l.watch, value);
	}
	db_watch_close(&l.watch);
}
END_TEST

static TCase *
cases(void)
{
	TCase *t = tcase_create("db_watch");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, looks_are_as_many_as_the_time_holds, 0, 2);
	tcase_add_test(t, what_nobody_announced_is_seen_by_itself);
	tcase_add_test(t, who_publishes_is_believed_at_once);
	return t;
}

int
main(void)
{
	return suite_run("db_watch", cases(), NULL);
}
