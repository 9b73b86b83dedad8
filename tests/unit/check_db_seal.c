/*
 * Sealed stores: what whoever has the disk but not the key can read of them,
 * or change; and what a wrong, missing or changed key does.
 */
#include <check.h>
#include <fcntl.h>
#include <gdbm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/db.h"
#include "lib/db_sum.h"
#include "tests/unit/seal_keys.h"
#include "tests/unit/suite.h"
#include "tests/unit/usage_dir.h"

#define LABEL "Campaign for the river"

static char store[96], other[96];

static size_t
read_file(const char *path, char *dst, size_t size)
{
	int fd = open(path, O_RDONLY);
	ssize_t n;

	ck_assert_int_ne(fd, -1);
	n = read(fd, dst, size);
	ck_assert(n >= 0 && (size_t)n < size);
	close(fd);
	return (size_t)n;
}

static void
setup(void)
{
	usage_dir_setup();
	snprintf(store, sizeof(store), "%s/some.gdbm", dir);
	snprintf(other, sizeof(other), "%s/other.gdbm", dir);
	seal_keys_setup();
	catch_log();
}

static void
teardown(void)
{
	seal_keys_teardown();
	usage_dir_teardown();
}

static void
put(const char *path, const char *key, const char *val)
{
	struct db *db = db_edit(path);

	ck_assert_ptr_nonnull(db);
	ck_assert_int_eq(db_put(db, key, val, strlen(val)), 0);
	ck_assert_int_eq(db_commit(db), 0);
}

/* The record's value; "" when there is none, NULL when it cannot be read. */
static const char *
get(const char *path, const char *key)
{
	static char text[4096];
	struct buf b = BUF(sizeof(text) - 1);
	struct db *db = db_open(path);
	int got = db == NULL ? -1 : db_get(db, key, &b);

	snprintf(text, sizeof(text), "%s", b.data);
	buf_free(&b);
	db_close(db);
	return got == -1 ? NULL : text;
}

static void
expect_refused(const char *why)
{
	forget_logged();
	ck_assert_ptr_null(db_open(store));
	ck_assert_msg(strstr(logged(), why) != NULL, "%s", logged());
	forget_logged();
	ck_assert_ptr_null(db_edit(store));
	ck_assert_msg(strstr(logged(), why) != NULL, "%s", logged());
}

static int
count(const char *key, const char *val, size_t len, void *n)
{
	ck_assert_uint_eq(strlen(val), len);
	ck_assert(strncmp(key, "id:", 3) == 0);
	++*(int *)n;
	return 0;
}

START_TEST(records_round_trip)
{
	struct db *db;
	int n = 0;

	use_keys(KEY_A);
	for (int i = 0; i < 50; i++) {
		char key[32];

		snprintf(key, sizeof(key), "%s:%d", i % 2 ? "id" : "hash", i);
		put(store, key, LABEL);
	}
	put(store, "id:1", ""); /* and replaced, by nothing */
	ck_assert_str_eq(get(store, "id:3"), LABEL);
	ck_assert_str_eq(get(store, "id:1"), "");
	db = db_open(store);
	ck_assert_int_eq(db_each(db, "id:", count, &n), 0);
	ck_assert_int_eq(n, 25);
	db_close(db);
	db = db_edit(store);
	ck_assert_int_eq(db_del(db, "id:3"), 1);
	ck_assert_int_eq(db_del(db, "id:2"), 0);
	ck_assert_int_eq(db_commit(db), 0);
	ck_assert_int_eq(db_compact(store), 0);
	n = 0;
	db = db_open(store);
	ck_assert_int_eq(db_each(db, "id:", count, &n), 0);
	ck_assert_int_eq(n, 24);
	db_close(db);
}
END_TEST

START_TEST(nothing_can_be_read_on_the_disk)
{
	static char bytes[1 << 20];
	size_t n;

	put(store, "id:key_0123", LABEL);
	n = read_file(store, bytes, sizeof(bytes));
	ck_assert_ptr_nonnull(memmem(bytes, n, LABEL, strlen(LABEL)));
	ck_assert_int_eq(unlink(store), 0);
	use_keys(KEY_A);
	put(store, "id:key_0123", LABEL);
	n = read_file(store, bytes, sizeof(bytes));
	ck_assert_ptr_null(memmem(bytes, n, LABEL, strlen(LABEL)));
	ck_assert_ptr_null(memmem(bytes, n, "key_0123", 8));
	ck_assert_ptr_null(memmem(bytes, n, "id:", 3));
}
END_TEST

/* Opens records without the sum's help: whoever has it needs more. */
static void
with_raw_records(void (*fn)(GDBM_FILE, datum a, datum b))
{
	GDBM_FILE file =
	    gdbm_open(store, 0, GDBM_WRITER | GDBM_NOLOCK, 0, NULL);
	datum found[2] = { { 0 }, { 0 } }, at, next;
	int n = 0;

	ck_assert_ptr_nonnull(file);
	for (at = gdbm_firstkey(file); at.dptr != NULL; at = next) {
		next = gdbm_nextkey(file, at);
		if (at.dsize != 32)
			free(at.dptr);
		else {
			ck_assert_int_lt(n, 2);
			found[n++] = at;
		}
	}
	fn(file, found[0], found[1]);
	free(found[0].dptr);
	free(found[1].dptr);
	gdbm_close(file);
}

static void
differ(GDBM_FILE file, datum a, datum b)
{
	datum of_a = gdbm_fetch(file, a), of_b = gdbm_fetch(file, b);

	ck_assert_ptr_nonnull(b.dptr);
	ck_assert_int_eq(of_a.dsize, of_b.dsize);
	ck_assert(memcmp(of_a.dptr + 28, of_b.dptr + 28,
		      (size_t)of_a.dsize - 28) != 0);
	free(of_a.dptr);
	free(of_b.dptr);
}

/* The same words twice look like different ones. */
START_TEST(equal_values_are_not_seen_to_be_equal)
{
	use_keys(KEY_A);
	put(store, "id:a", LABEL);
	put(store, "id:b", LABEL);
	with_raw_records(differ);
}
END_TEST

START_TEST(a_wrong_or_missing_key_opens_nothing)
{
	use_keys(KEY_A);
	put(store, "id:a", LABEL);
	use_keys(KEY_B);
	expect_refused(key_file);
	expect_refused("some.gdbm' is sealed under a key (");
	use_keys(NULL);
	expect_refused("STORE_KEY_FILE must name");
	use_keys(KEY_A64);
	ck_assert_str_eq(get(store, "id:a"), LABEL);
	use_keys(KEY_A);
	ck_assert_int_eq(unlink(key_file), 0);
	ck_assert_int_eq(seal_use(key_file), 0);
	expect_refused(key_file);
	/* Not even an empty store may begin. */
	ck_assert_int_eq(unlink(store), 0);
	expect_refused(key_file);
}
END_TEST

START_TEST(a_plain_store_is_not_believed)
{
	put(store, "id:a", LABEL);
	use_keys(KEY_A);
	expect_refused("some.gdbm' is not sealed although");
	use_keys(NULL);
	ck_assert_str_eq(get(store, "id:a"), LABEL);
}
END_TEST

static const struct {
	const char *text, *why;
} bad_file[] = {
	{ "", "no key in" },
	{ "# only a comment\n\n", "no key in" },
	{ "0011\n", ":1: not 32 bytes" },
	{ KEY_A "\n# good so far\nABEiM0RVZneImaq7zN3u\n", ":4: not 32 bytes" },
	{ "ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v==\n", ":1: not 32" },
	{ "zz112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n",
	    ":1: not 32" },
	{ "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff0\n",
	    ":1: not 32" },
	{ KEY_A KEY_A KEY_A KEY_A KEY_A KEY_A KEY_A KEY_A KEY_A, ":9: more" },
};

START_TEST(a_file_of_keys_is_read_whole_or_refused)
{
	use_keys(bad_file[_i].text);
	expect_refused(bad_file[_i].why);
	expect_refused(key_file);
	/* No value of the file is logged. */
	ck_assert_ptr_null(strstr(logged(), "0011"));
}
END_TEST

START_TEST(a_file_of_keys_is_its_owners_alone)
{
	static const struct {
		mode_t mode;
		int good_for_root, good;
	} rows[] = { { 0600, 1, 1 }, { 0400, 1, 1 }, { 0640, 1, 0 },
		{ 0440, 1, 0 }, { 0604, 0, 0 }, { 0620, 0, 0 } };

	for (int i = 0; i < COUNT(rows); i++) {
		int good =
		    geteuid() == 0 ? rows[i].good_for_root : rows[i].good;

		use_keys(KEY_A);
		ck_assert_int_eq(chmod(key_file, rows[i].mode), 0);
		ck_assert_int_eq(seal_ready(), good ? 1 : -1);
		ck_assert_int_eq(unlink(key_file), 0);
	}
	ck_assert_int_eq(mkfifo(key_file, 0600), 0);
	ck_assert_int_eq(seal_use(key_file), 0);
	ck_assert_int_eq(seal_ready(), -1);
}
END_TEST

START_TEST(a_file_of_keys_that_changes_is_noticed)
{
	use_keys(KEY_A);
	ck_assert_int_eq(seal_outdated(), 0); /* not read yet */
	ck_assert_int_eq(seal_ready(), 1);
	ck_assert_int_eq(seal_outdated(), 0);
	write_file(key_file, KEY_B KEY_A, strlen(KEY_B KEY_A));
	ck_assert_int_eq(seal_outdated(), 1);
	ck_assert_int_eq(seal_ready(), 1); /* and not read again */
	use_keys(KEY_B KEY_A);
	ck_assert_int_eq(seal_ready(), 2);
	ck_assert_int_eq(seal_outdated(), 0);
	ck_assert_int_eq(unlink(key_file), 0);
	ck_assert_int_eq(seal_outdated(), 0); /* it may come back */
}
END_TEST

/* Each byte of a small store, each time with a sum as anybody can make it. */
START_TEST(a_flipped_byte_is_noticed_anywhere)
{
	static char bytes[1 << 20], bad[1 << 20];
	size_t n, used = 0;

	use_keys(KEY_A);
	put(store, "id:a", LABEL);
	n = read_file(store, bytes, sizeof(bytes));
	for (size_t at = 0; at < n; at += bytes[at] ? 1 : 61) {
		int fd;

		used++;
		memcpy(bad, bytes, n);
		bad[at] = (char)(bad[at] ^ (1 << at % 8));
		write_file(store, bad, n);
		MUST(get(store, "id:a") == NULL);
		/* Whoever did it makes the sum right, for all he knows. */
		fd = open(store, O_RDWR);
		(void)db_sum_write(fd, NULL);
		close(fd);
		MUST(get(store, "id:a") == NULL);
	}
	ck_assert_uint_gt(used, 200);
	write_file(store, bytes, n);
	ck_assert_str_eq(get(store, "id:a"), LABEL);
}
END_TEST

static void
swap(GDBM_FILE file, datum a, datum b)
{
	datum of_a = gdbm_fetch(file, a), of_b = gdbm_fetch(file, b);

	ck_assert_ptr_nonnull(b.dptr);
	ck_assert_int_eq(gdbm_store(file, a, of_b, GDBM_REPLACE), 0);
	ck_assert_int_eq(gdbm_store(file, b, of_a, GDBM_REPLACE), 0);
	free(of_a.dptr);
	free(of_b.dptr);
}

static void
smuggle(GDBM_FILE file, datum a, datum b)
{
	(void)a;
	(void)b;
	ck_assert_int_eq(gdbm_store(file, (datum){ (char[]){ "id:mine" }, 7 },
			     (datum){ (char[]){ "{}" }, 2 }, GDBM_INSERT),
	    0);
}

/* With the store's own key for the sum, as nobody has it outside. */
static void
sum_up(const char *path)
{
	unsigned char keys[96];
	int fd = open(path, O_RDWR);

	ck_assert_int_eq(seal_ready(), 1);
	seal_derive(0, "store some.gdbm", keys, sizeof(keys));
	ck_assert_int_eq(db_sum_write(fd, keys + 64), 0);
	close(fd);
}

static int
touch(const char *key, const char *val, size_t len, void *arg)
{
	(void)key;
	(void)val;
	(void)len;
	(void)arg;
	return 0;
}

static int
read_each(void)
{
	struct db *db = db_open(store);
	int got;

	ck_assert_ptr_nonnull(db);
	got = db_each(db, "", touch, NULL);
	db_close(db);
	return got;
}

START_TEST(a_record_counts_under_its_name_alone)
{
	use_keys(KEY_A);
	put(store, "id:a", LABEL);
	put(store, "id:b", LABEL);
	with_raw_records(swap);
	ck_assert_ptr_null(db_open(store)); /* the sum says it */
	sum_up(store);
	forget_logged();
	ck_assert_ptr_null(get(store, "id:a")); /* and so does the record */
	ck_assert_int_eq(read_each(), -1);
	ck_assert_ptr_nonnull(strstr(logged(), "was not sealed there"));
}
END_TEST

START_TEST(a_plain_record_is_not_believed)
{
	use_keys(KEY_A);
	put(store, "id:a", LABEL);
	with_raw_records(smuggle);
	ck_assert_ptr_null(db_open(store));
	sum_up(store);
	ck_assert_str_eq(get(store, "id:mine"), "");
	ck_assert_int_eq(read_each(), -1);
}
END_TEST

START_TEST(a_store_counts_under_its_name_alone)
{
	use_keys(KEY_A);
	put(other, "id:a", LABEL);
	ck_assert_int_eq(rename(other, store), 0);
	expect_refused("changed by somebody without its key");
	ck_assert_int_eq(rename(store, other), 0);
	ck_assert_str_eq(get(other, "id:a"), LABEL);
}
END_TEST

static const char *
key_of(const char *path)
{
	static char id[DB_KEY_ID_SIZE];

	return db_is_sealed(path, id) == 1 ? id : "";
}

START_TEST(an_edit_keeps_the_key_and_a_reseal_changes_it)
{
	char a[DB_KEY_ID_SIZE];

	use_keys(KEY_A);
	put(store, "id:a", LABEL);
	snprintf(a, sizeof(a), "%s", key_of(store));
	use_keys(KEY_B KEY_A);
	put(store, "id:b", LABEL);
	ck_assert_str_eq(key_of(store), a);
	ck_assert_int_eq(db_compact(store), 0);
	ck_assert_str_eq(key_of(store), a);
	ck_assert_int_eq(db_reseal(store, DB_RESEAL_KEYS, NULL, NULL), 1);
	ck_assert_str_ne(key_of(store), a);
	ck_assert_int_eq(db_reseal(store, DB_RESEAL_KEYS, NULL, NULL), 0);
	use_keys(KEY_B);
	ck_assert_str_eq(get(store, "id:a"), LABEL);
	ck_assert_str_eq(get(store, "id:b"), LABEL);
	/* An old key that is dropped too early. */
	use_keys(KEY_A);
	ck_assert_int_eq(db_reseal(store, DB_RESEAL_KEYS, NULL, NULL), -1);
	ck_assert_int_eq(db_reseal(store, DB_RESEAL_FIRST, NULL, NULL), -1);
	ck_assert_int_eq(db_reseal(store, DB_RESEAL_PLAIN, NULL, NULL), -1);
	use_keys(KEY_B);
	ck_assert_str_eq(get(store, "id:a"), LABEL);
}
END_TEST

START_TEST(a_plain_store_is_sealed_when_told_so_and_back)
{
	put(store, "id:a", LABEL);
	ck_assert_int_eq(db_reseal(store, DB_RESEAL_FIRST, NULL, NULL), -1);
	use_keys(KEY_A);
	ck_assert_int_eq(db_reseal(store, DB_RESEAL_KEYS, NULL, NULL), -1);
	ck_assert_int_eq(db_reseal(other, DB_RESEAL_FIRST, NULL, NULL), 0);
	ck_assert_int_eq(access(other, F_OK), -1);
	ck_assert_int_eq(db_reseal(store, DB_RESEAL_FIRST, NULL, NULL), 1);
	ck_assert_str_eq(get(store, "id:a"), LABEL);
	ck_assert_int_eq(db_reseal(store, DB_RESEAL_FIRST, NULL, NULL), 0);
	ck_assert_int_eq(db_reseal(store, DB_RESEAL_PLAIN, NULL, NULL), 1);
	ck_assert_str_eq(key_of(store), "");
	ck_assert_int_eq(db_reseal(store, DB_RESEAL_PLAIN, NULL, NULL), 0);
	use_keys(NULL);
	ck_assert_str_eq(get(store, "id:a"), LABEL);
}
END_TEST

static int
reseal_some(void)
{
	return db_reseal(store, DB_RESEAL_KEYS, NULL, NULL) == -1;
}

START_TEST(a_reseal_may_be_killed_anywhere)
{
	int killed = 0;

	use_keys(KEY_A);
	put(store, "id:a", LABEL);
	use_keys(KEY_B KEY_A);
	ck_assert_int_eq(seal_ready(), 2);
	for (int n = 1; killed_at(reseal_some, n); n += stride()) {
		killed++;
		ck_assert_str_eq(get(store, "id:a"), LABEL);
	}
	ck_assert_int_gt(killed * stride(), 20);
	use_keys(KEY_B);
	ck_assert_str_eq(get(store, "id:a"), LABEL);
}
END_TEST

static TCase *
stores(void)
{
	TCase *t = tcase_create("stores");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, records_round_trip);
	tcase_add_test(t, nothing_can_be_read_on_the_disk);
	tcase_add_test(t, equal_values_are_not_seen_to_be_equal);
	tcase_add_test(t, a_wrong_or_missing_key_opens_nothing);
	tcase_add_test(t, a_plain_store_is_not_believed);
	tcase_add_test(t, a_flipped_byte_is_noticed_anywhere);
	tcase_add_test(t, a_record_counts_under_its_name_alone);
	tcase_add_test(t, a_plain_record_is_not_believed);
	tcase_add_test(t, a_store_counts_under_its_name_alone);
	tcase_add_test(t, an_edit_keeps_the_key_and_a_reseal_changes_it);
	tcase_add_test(t, a_plain_store_is_sealed_when_told_so_and_back);
	tcase_add_test(t, a_reseal_may_be_killed_anywhere);
	tcase_set_timeout(t, 60);
	return t;
}

static TCase *
files(void)
{
	TCase *t = tcase_create("files of keys");

	tcase_add_checked_fixture(t, setup, teardown);
	ADD_ROWS(t, a_file_of_keys_is_read_whole_or_refused, bad_file);
	tcase_add_test(t, a_file_of_keys_is_its_owners_alone);
	tcase_add_test(t, a_file_of_keys_that_changes_is_noticed);
	return t;
}

int
main(void)
{
	return suite_run("db_seal", stores(), files(), NULL);
}
