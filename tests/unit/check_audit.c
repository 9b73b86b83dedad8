/* audit: what is kept of a change, how long, and that nothing else is. */
#include "lib/audit.h"

#include <check.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/db.h"
#include "tests/unit/suite.h"

#define HOUR 3600
#define NOW (INT64_C(500000) * HOUR)

static char folder[FOLDER_SIZE], path[96];

static void
setup(void)
{
	make_memory_folder(folder);
	snprintf(path, sizeof(path), "%s/admin.gdbm", folder);
}

static void
teardown(void)
{
	remove_folder(folder);
}

struct trail {
	struct audit_entry entries[8];
	int n, stop_at;
};

static int
collect(const struct audit_entry *e, void *arg)
{
	struct trail *t = arg;

	if (t->n < 8)
		t->entries[t->n] = *e;
	t->n++;
	return t->n == t->stop_at ? 7 : 0;
}

static struct trail
read_trail(void)
{
	struct trail t = { .n = 0 };

	ck_assert_int_eq(audit_each(folder, collect, &t), 0);
	return t;
}

START_TEST(an_absent_trail_is_empty)
{
	ck_assert_int_eq(read_trail().n, 0);
}
END_TEST

START_TEST(entries_come_newest_first_and_to_the_hour)
{
	struct trail t;

	ck_assert_int_eq(
	    audit_add(folder, NOW + 59, "aabbccdd", AUDIT_KEY_CREATED, "key_1"),
	    0);
	ck_assert_int_eq(audit_add(folder, NOW + 2 * HOUR - 1, "aabbccdd",
			     AUDIT_SETTING_CHANGED, "RATE_LIMIT_REQUESTS"),
	    0);
	ck_assert_int_eq(
	    audit_add(folder, NOW + 2 * HOUR, "eeff0011", AUDIT_LOGOUT, ""), 0);
	t = read_trail();
	ck_assert_int_eq(t.n, 3);
	ck_assert_int_eq(t.entries[0].action, AUDIT_LOGOUT);
	ck_assert_str_eq(t.entries[0].session, "eeff0011");
	ck_assert_str_eq(t.entries[0].subject, "");
	ck_assert_int_eq(t.entries[0].hour, NOW + 2 * HOUR);
	ck_assert_str_eq(t.entries[1].subject, "RATE_LIMIT_REQUESTS");
	ck_assert_int_eq(t.entries[1].hour, NOW + HOUR);
	ck_assert_int_eq(t.entries[2].action, AUDIT_KEY_CREATED);
	ck_assert_int_eq(t.entries[2].hour, NOW);
}
END_TEST

START_TEST(every_action_reads_back)
{
	struct trail t = { .n = 0 };

	ck_assert_int_eq(
	    audit_add(folder, NOW, "s", (enum audit_action)_i, "x"), 0);
	ck_assert_int_eq(audit_each(folder, collect, &t), 0);
	ck_assert_int_eq(t.n, 1);
	ck_assert_int_eq(t.entries[0].action, _i);
}
END_TEST

START_TEST(a_reader_may_stop)
{
	struct trail t = { .stop_at = 2 };

	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(
		    audit_add(folder, NOW, "s", AUDIT_LOGIN, ""), 0);
	ck_assert_int_eq(audit_each(folder, collect, &t), 7);
	ck_assert_int_eq(t.n, 2);
}
END_TEST

static void
put(const char *name, const char *text)
{
	struct db *db = db_edit(path);

	ck_assert_ptr_nonnull(db);
	ck_assert_int_eq(db_put(db, name, text, strlen(text)), 0);
	ck_assert_int_eq(db_commit(db), 0);
}

static int
has(const char *name)
{
	struct buf text = BUF(256);
	struct db *db = db_open(path);
	int got;

	ck_assert_ptr_nonnull(db);
	got = db_get(db, name, &text);
	db_close(db);
	buf_free(&text);
	return got;
}

START_TEST(the_oldest_goes)
{
	ck_assert_int_eq(audit_add(folder, NOW, "s", AUDIT_LOGIN, ""), 0);
	ck_assert_int_eq(audit_add(folder, NOW, "s", AUDIT_LOGOUT, ""), 0);
	put("a", "3999");
	ck_assert_int_eq(audit_add(folder, NOW, "s", AUDIT_LOGIN, ""), 0);
	ck_assert_int_eq(has("a:0000000000000001"), 1);
	ck_assert_int_eq(audit_add(folder, NOW, "s", AUDIT_LOGIN, ""), 0);
	ck_assert_int_eq(has("a:0000000000000001"), 0);
	ck_assert_int_eq(has("a:0000000000000002"), 1);
}
END_TEST

START_TEST(damage_is_seen)
{
	struct trail t = { .n = 0 };

	ck_assert_int_eq(audit_add(folder, NOW, "s", AUDIT_LOGIN, ""), 0);
	put("a:0000000000000009", "no entry");
	put("a:000000000000000a", "2026112218 s of-a-later-version x");
	ck_assert_int_eq(audit_each(folder, collect, &t), 0);
	ck_assert_int_eq(t.n, 2);
	ck_assert_int_eq(t.entries[0].action, AUDIT_ACTION__MAX);
	put("a", "-4");
	ck_assert_int_eq(audit_add(folder, NOW, "s", AUDIT_LOGIN, ""), -1);
}
END_TEST

START_TEST(long_names_are_cut)
{
	struct trail t;
	char name[200];

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	ck_assert_int_eq(
	    audit_add(folder, NOW, name, AUDIT_KEY_DELETED, name), 0);
	t = read_trail();
	ck_assert_uint_eq(strlen(t.entries[0].session), 15);
	ck_assert_uint_eq(strlen(t.entries[0].subject), 63);
	ck_assert_int_eq(t.entries[0].action, AUDIT_KEY_DELETED);
}
END_TEST

START_TEST(a_subject_is_forgotten)
{
	char bytes[65536];
	struct trail t;
	size_t n;
	FILE *f;

	ck_assert_int_eq(audit_forget(folder, "key_1"), 0);
	ck_assert_int_eq(
	    audit_add(folder, NOW, "s", AUDIT_KEY_CREATED, "key_1"), 0);
	ck_assert_int_eq(
	    audit_add(folder, NOW, "s", AUDIT_KEY_CREATED, "key_12"), 0);
	ck_assert_int_eq(audit_add(folder, NOW, "key_1", AUDIT_LOGIN, ""), 0);
	ck_assert_int_eq(
	    audit_add(folder, NOW, "s", AUDIT_KEY_DELETED, "key_1"), 0);
	ck_assert_int_eq(audit_forget(folder, "key_1"), 0);
	ck_assert_int_eq(audit_forget(folder, "key_1"), 0);
	t = read_trail();
	ck_assert_int_eq(t.n, 4);
	ck_assert_str_eq(t.entries[0].subject, "");
	ck_assert_int_eq(t.entries[0].action, AUDIT_KEY_DELETED);
	ck_assert_str_eq(t.entries[1].session, "key_1");
	ck_assert_str_eq(t.entries[2].subject, "key_12");
	ck_assert_str_eq(t.entries[3].subject, "");
	f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	n = fread(bytes, 1, sizeof(bytes), f);
	(void)fclose(f);
	ck_assert_ptr_null(memmem(bytes, n, "deleted key_1", 13));
	ck_assert_ptr_null(memmem(bytes, n, "created key_1 ", 14));
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("audit");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, an_absent_trail_is_empty);
	tcase_add_test(t, entries_come_newest_first_and_to_the_hour);
	tcase_add_loop_test(t, every_action_reads_back, 0, AUDIT_ACTION__MAX);
	tcase_add_test(t, a_reader_may_stop);
	tcase_add_test(t, the_oldest_goes);
	tcase_add_test(t, damage_is_seen);
	tcase_add_test(t, long_names_are_cut);
	tcase_add_test(t, a_subject_is_forgotten);
	return suite_run("audit", t, NULL);
}
