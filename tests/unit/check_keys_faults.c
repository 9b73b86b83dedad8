/*
 * keys: whatever fails underneath, an error is told as an error: it lets
 * nobody in, it calls no key unknown, and a store is as it was or as it was
 * meant to be.
 */
#include "lib/keys.h"

#include <check.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/db_watch.h"
#include "lib/secret.h"
#include "tests/unit/faults.h"
#include "tests/unit/suite.h"

#define NOW INT64_C(1700000000)
#define STRANGER "pm_a_key_of_another_gate_altogether_0123456789"

static char folder[FOLDER_SIZE], store[96], saved[96];
static struct key mine, off;
static char my_secret[KEYS_SECRET_SIZE], off_secret[KEYS_SECRET_SIZE];
static struct keys *keys;

/* Whoever waits here goes on at once, and finds that the time has passed. */
static _Atomic int64_t slept_ns;

int __real_clock_gettime(clockid_t, struct timespec *);
int __wrap_clock_gettime(clockid_t, struct timespec *);
int __wrap_nanosleep(const struct timespec *, struct timespec *);

int
__wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
	int64_t ns;

	if (__real_clock_gettime(clock, now) == -1)
		return -1;
	ns = now->tv_nsec + slept_ns;
	now->tv_sec += ns / 1000000000;
	now->tv_nsec = ns % 1000000000;
	return 0;
}

int
__wrap_nanosleep(const struct timespec *span, struct timespec *left)
{
	(void)left;
	slept_ns += (int64_t)span->tv_sec * 1000000000 + span->tv_nsec;
	return 0;
}

static void
copy_file(const char *from, const char *to)
{
	static char bytes[1 << 20];
	FILE *in = fopen(from, "re"), *out;
	size_t n;

	ck_assert_ptr_nonnull(in);
	n = fread(bytes, 1, sizeof(bytes), in);
	ck_assert_int_eq(fclose(in), 0);
	/* Another file, as a commit makes one. */
	ck_assert_int_eq(unlink(to) == 0 || access(to, F_OK) == -1, 1);
	ck_assert_ptr_nonnull(out = fopen(to, "we"));
	ck_assert_uint_eq(fwrite(bytes, 1, n, out), n);
	ck_assert_int_eq(fclose(out), 0);
	ck_assert_int_eq(chmod(to, 0600), 0);
}

static void
make(struct key *key, const char *label, char secret[KEYS_SECRET_SIZE])
{
	*key = (struct key){ .rate_limit = 20 };
	snprintf(key->label, sizeof(key->label), "%s", label);
	ck_assert_int_eq(keys_create(folder, key, NOW, secret), KEYS_OK);
}

static void
setup(void)
{
	struct key next;
	char secret[KEYS_SECRET_SIZE];

	hush();
	make_memory_folder(folder);
	snprintf(store, sizeof(store), "%s/keys.gdbm", folder);
	snprintf(saved, sizeof(saved), "%s/saved", folder);
	make(&mine, "mine", my_secret);
	make(&off, "off", off_secret);
	off.disabled = 1;
	ck_assert_int_eq(keys_save(folder, &off), KEYS_OK);
	ck_assert_int_eq(
	    keys_rotate(folder, mine.id, NOW, 60, &next, secret), KEYS_OK);
	ck_assert_int_eq(keys_load(folder, mine.id, &mine), KEYS_OK);
	copy_file(store, saved);
	ck_assert_ptr_nonnull(keys = keys_open(folder, NULL));
}

static void
teardown(void)
{
	keys_close(keys);
	remove_folder(folder);
}

/* All that is in the store, or -1. */
static int
digest_one(const struct key *k, const unsigned char hash[32], void *arg)
{
	struct buf *text = arg;

	(void)hash;
	/* An id is random, and so is what it hashes to. */
	return buf_printf(text, "%s %d%d %lld %d %d\n", k->label, k->disabled,
	    k->disabled_all, (long long)(k->expires + k->rate_limit),
	    k->successor[0] != '\0', k->family[0] != '\0');
}

static void
describe(struct buf *text)
{
	buf_reset(text);
	ck_assert_int_eq(keys_each(folder, digest_one, text), 0);
	ck_assert_int_eq(buf_printf(text, "%d\n", keys_are_locked(folder)), 0);
}

/* --- asking --- */

static void
begin_anew(void)
{
	copy_file(saved, store);
	db_watch_wait();
}

static int
verify_with(struct keys *k, const char *token, int64_t now)
{
	struct key key;

	return (int)keys_verify(k, token, strlen(token), now, &key);
}

static int
ask_mine(void)
{
	return verify_with(keys, my_secret, NOW);
}

static int
ask_late(void)
{
	return verify_with(keys, my_secret, NOW + 60);
}

static int
ask_off(void)
{
	return verify_with(keys, off_secret, NOW);
}

static int
ask_stranger(void)
{
	return verify_with(keys, STRANGER, NOW);
}

static int
ask_afresh(void)
{
	struct keys *k = keys_open(folder, "an_environment_key,another_one");
	int got = k == NULL ? KEYS_ERROR : verify_with(k, "another_one", NOW);

	if (got == KEYS_OK)
		got = verify_with(k, my_secret, NOW);
	keys_close(k);
	return got;
}

static int
ask_check(void)
{
	return (int)keys_check(keys);
}

static int
ask_has(void)
{
	return keys_has(keys, off.id);
}

static int
ask_has_not(void)
{
	return keys_has(keys, "key_0000000000000000");
}

static int
ask_load(void)
{
	struct key key;

	return (int)keys_load(folder, off.id, &key);
}

static int
count_one(const struct key *key, const unsigned char hash[32], void *n)
{
	(void)key;
	(void)hash;
	++*(int *)n;
	return 0;
}

static int
ask_each(void)
{
	int n = 0;

	return keys_each(folder, count_one, &n) == -1 ? -1 : n;
}

struct asking {
	const char *ids[4];
	int at, n;
};

static const char *
next_id(void *arg)
{
	struct asking *a = arg;

	return a->ids[a->at++];
}

static void
count_some(const struct key *key, void *arg)
{
	struct asking *a = arg;

	a->n += strcmp(key->id, a->ids[a->at - 1]) == 0;
}

static int
ask_some(void)
{
	struct asking a = { { mine.id, "key_0000000000000000", off.id, NULL },
		0, 0 };

	return keys_load_some(folder, next_id, count_some, &a) == -1 ? -1 : a.n;
}

static int
count_ids(int result, struct buf *ids)
{
	int n = 0;

	for (size_t i = 0; i < ids->len; i++)
		n += ids->data[i] == '\0';
	buf_free(ids);
	return result == -1 ? -1 : n;
}

static int
ask_family(void)
{
	struct buf ids = BUF(1024);

	return count_ids(keys_family(keys, &mine, &ids), &ids);
}

static int
ask_family_load(void)
{
	struct buf ids = BUF(1024);

	return count_ids(keys_family_load(folder, &mine, &ids), &ids);
}

static int
ask_locked(void)
{
	return keys_are_locked(folder);
}

static const struct {
	const char *why;
	int (*ask)(void);
	int answer, error;
} questions[] = {
	{ "mine", ask_mine, KEYS_OK, KEYS_ERROR },
	{ "mine, rotated and its grace over", ask_late, KEYS_EXPIRED,
	    KEYS_ERROR },
	{ "a disabled one", ask_off, KEYS_DISABLED, KEYS_ERROR },
	{ "a stranger's", ask_stranger, KEYS_UNKNOWN, KEYS_ERROR },
	{ "from the start", ask_afresh, KEYS_OK, KEYS_ERROR },
	{ "can it be read", ask_check, KEYS_OK, KEYS_ERROR },
	{ "is it there", ask_has, 1, -1 },
	{ "is one there that is not", ask_has_not, 0, -1 },
	{ "load", ask_load, KEYS_OK, KEYS_ERROR },
	{ "each", ask_each, 3, -1 },
	{ "some, of which one is not there", ask_some, 2, -1 },
	{ "the family", ask_family, 2, -1 },
	{ "the family, loaded", ask_family_load, 2, -1 },
	{ "is it locked", ask_locked, 0, -1 },
};
static int asked;

static void
judge_answer(int result, int failed)
{
	ck_assert_msg(result == questions[asked].answer ||
		(failed && result == questions[asked].error),
	    "%s: %d", questions[asked].why, result);
	/* Tried once a second, and at once when the file changes. */
	begin_anew();
	ck_assert_msg(questions[asked].ask() == questions[asked].answer,
	    "%s, afterwards", questions[asked].why);
}

START_TEST(an_error_is_no_answer)
{
	asked = _i;
	faults_each(begin_anew, questions[_i].ask, judge_answer);
}
END_TEST

/* --- changing --- */

static char fresh_secret[KEYS_SECRET_SIZE];

static int
do_create(void)
{
	struct key key = { .label = "fresh" };

	return (int)keys_create(folder, &key, NOW + 1, fresh_secret);
}

static int
do_add(void)
{
	static const unsigned char hash[SECRET_DIGEST_LEN] = "of some key";
	struct key key = {
		.id = "imported", .label = "an import", .created = NOW
	};

	return (int)keys_add(folder, &key, hash);
}

static int
do_import(void)
{
	struct keys_edit *e = keys_edit(folder);
	struct key key = { .label = "an import", .created = NOW };
	unsigned char hash[SECRET_DIGEST_LEN] = "of one key or another";
	enum keys_result r = e == NULL ? KEYS_ERROR : KEYS_OK;

	for (int i = 0; i < 2 && r == KEYS_OK; i++) {
		snprintf(key.id, sizeof(key.id), "imported-%d", i);
		hash[0] = (unsigned char)i;
		r = keys_edit_add(e, &key, hash);
	}
	if (r == KEYS_OK)
		return (int)keys_edit_commit(e);
	keys_edit_close(e);
	return (int)r;
}

static int
do_save(void)
{
	struct key key = off;

	key.rate_limit = 7;
	return (int)keys_save(folder, &key);
}

static void
enable(struct key *key, const void *arg)
{
	(void)arg;
	key->disabled = 0;
}

static int
do_change(void)
{
	struct key out;

	return (int)keys_change(folder, off.id, enable, NULL, &out);
}

static int
disable(struct key *key, void *arg)
{
	(void)arg;
	if (key->disabled)
		return 0;
	key->disabled = key->disabled_all = 1;
	return 1;
}

static int
do_change_all(void)
{
	return (int)keys_change_all(folder, disable, NULL);
}

static int
do_rotate(void)
{
	struct key next;

	return (int)keys_rotate(
	    folder, mine.id, NOW + 1, 30, &next, fresh_secret);
}

static int
do_delete(void)
{
	return (int)keys_delete(folder, mine.id);
}

static int
do_erase(void)
{
	return (int)keys_erase(folder, mine.successor);
}

static int
do_lock(void)
{
	return (int)keys_lock(folder, 1);
}

static const struct {
	const char *why;
	int (*change)(void);
	int secret; /* it makes a key, which is shown */
} changes[] = {
	{ "create", do_create, 1 },
	{ "add", do_add, 0 },
	{ "import", do_import, 0 },
	{ "save", do_save, 0 },
	{ "change", do_change, 0 },
	{ "change all", do_change_all, 0 },
	{ "rotate", do_rotate, 1 },
	{ "delete", do_delete, 0 },
	{ "erase", do_erase, 0 },
	{ "lock", do_lock, 0 },
};
static int changed;
static struct buf before = BUF(4096), after = BUF(4096), found = BUF(4096);

static void
begin_change(void)
{
	begin_anew();
	memset(fresh_secret, 0, sizeof(fresh_secret));
}

static void
judge_change(int result, int failed)
{
	const char *why = changes[changed].why;

	ck_assert_msg(result == KEYS_OK || (failed && result == KEYS_ERROR),
	    "%s: %d", why, result);
	describe(&found);
	ck_assert_msg(strcmp(found.data, after.data) == 0 ||
		(result == KEYS_ERROR && strcmp(found.data, before.data) == 0),
	    "%s, %d:\n%s", why, result, found.data);
	/* What is not in the store must not be shown, and the other way. */
	ck_assert_msg((fresh_secret[0] != '\0') ==
		(changes[changed].secret && result == KEYS_OK),
	    "%s", why);
	if (changes[changed].secret && result == KEYS_OK)
		ck_assert_msg(
		    verify_with(keys, fresh_secret, NOW + 1) == KEYS_OK, "%s",
		    why);
	/* And no lock is left behind. */
	begin_anew();
	ck_assert_int_eq(changes[changed].change(), KEYS_OK);
}

START_TEST(a_change_is_done_wholly_or_not_at_all)
{
	changed = _i;
	describe(&before);
	ck_assert_int_eq(changes[_i].change(), KEYS_OK);
	describe(&after);
	ck_assert_str_ne(before.data, after.data);
	faults_each(begin_change, changes[_i].change, judge_change);
	buf_free(&before);
	buf_free(&after);
	buf_free(&found);
}
END_TEST

START_TEST(no_key_names_one_that_was_erased)
{
	struct key key;

	ck_assert_str_ne(mine.successor, "");
	ck_assert_int_eq(keys_erase(folder, mine.successor), KEYS_OK);
	ck_assert_int_eq(keys_load(folder, mine.id, &key), KEYS_OK);
	ck_assert_str_eq(key.successor, "");
	ck_assert_str_eq(key.label, "mine");
	ck_assert_int_eq(ask_each(), 2);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("keys_faults");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 300);
	ADD_ROWS(t, an_error_is_no_answer, questions);
	ADD_ROWS(t, a_change_is_done_wholly_or_not_at_all, changes);
	tcase_add_test(t, no_key_names_one_that_was_erased);
	return suite_run("keys_faults", t, NULL);
}
