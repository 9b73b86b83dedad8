/*
 * session: whatever fails underneath, an error is told as an error: nobody is
 * let in or turned away for it, and what was not done can be done again.
 */
#include "lib/session.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "lib/db.h"
#include "tests/unit/faults.h"
#include "tests/unit/suite.h"

#define NOW INT64_C(1800000000)

static char folder[FOLDER_SIZE], store[FOLDER_SIZE + 16];
static unsigned char secret[SECRET_DIGEST_LEN] =
    "a secret of the installation's";
static struct session_rules rules;
static struct session mine;
static char my_token[SESSION_TOKEN_SIZE];

/* A hash that fits no password, as fast to refuse as one can be. */
static void
store_password(void)
{
	static const char hash[] = "$scrypt$none";
	struct db *db = db_edit(store);

	ck_assert_ptr_nonnull(db);
	ck_assert_int_eq(db_put(db, "p", hash, sizeof(hash) - 1), 0);
	ck_assert_int_eq(db_commit(db), 0);
}

static void
begin_anew(void)
{
	/* Not its lock, on which one that was left behind shows. */
	ck_assert_int_eq(db_remove(store, 0), 0);
	store_password();
	ck_assert_int_eq(session_begin(&rules, NOW, my_token, &mine), 0);
}

static void
setup(void)
{
	hush();
	make_memory_folder(folder);
	snprintf(store, sizeof(store), "%s/admin.gdbm", folder);
	rules = (struct session_rules){ folder, secret, "a good password", 1800,
		43200, 0 };
	begin_anew();
}

static void
teardown(void)
{
	remove_folder(folder);
}

/* --- asking --- */

static int
ask_whose(void)
{
	struct session s;

	return (int)session_find(&rules, my_token, NOW, &s);
}

static int
ask_stranger(void)
{
	char token[SESSION_TOKEN_SIZE];
	struct session s;

	memcpy(token, my_token, sizeof(token));
	token[0] = token[0] == 'x' ? 'y' : 'x';
	return (int)session_find(&rules, token, NOW, &s);
}

static int
ask_count(void)
{
	return session_count(&rules, NOW);
}

static int
ask_whether_password(void)
{
	return session_has_password(&rules);
}

static int
ask_password(void)
{
	return (int)session_check_password(&rules, "another");
}

static const struct {
	const char *why;
	int (*ask)(void);
	int answer, error;
} questions[] = {
	{ "whose token", ask_whose, SESSION_OK, SESSION_ERROR },
	{ "a stranger's token", ask_stranger, SESSION_NONE, SESSION_ERROR },
	{ "how many", ask_count, 1, -1 },
	{ "is there a password", ask_whether_password, 1, -1 },
	{ "is it this one", ask_password, SESSION_PASSWORD_WRONG,
	    SESSION_PASSWORD_ERROR },
};
static int asked;

static void
nothing(void)
{
}

static void
judge_answer(int result, int failed)
{
	ck_assert_msg(result == questions[asked].answer ||
		(failed && result == questions[asked].error),
	    "%s: %d", questions[asked].why, result);
}

START_TEST(an_error_is_no_answer)
{
	asked = _i;
	faults_each(nothing, questions[_i].ask, judge_answer);
}
END_TEST

/* --- changing --- */

static int
do_begin(void)
{
	char token[SESSION_TOKEN_SIZE];
	struct session s;

	return session_begin(&rules, NOW + 1, token, &s);
}

static int
do_keep_alive(void)
{
	struct session s;
	enum session_result r = session_find(&rules, my_token, NOW + 60, &s);

	return r == SESSION_OK ? 0 : r == SESSION_ERROR ? -1 : -2;
}

static int
do_end(void)
{
	return session_end(&rules, &mine);
}

static int
do_end_all(void)
{
	return session_end_all(&rules);
}

/* What was put in place though the caller was told that it is not sure. */
static int
do_once(void)
{
	int once = session_once(&rules, "0123456789abcdef.1", NOW);

	return once == -1 ? -1 : 0;
}

static int
do_remove_password(void)
{
	return session_store_password(folder, NULL);
}

static int
living(void)
{
	return session_count(&rules, NOW + 60);
}

static int
is_seen(void)
{
	struct session s;

	return session_find(&rules, my_token, NOW + 61, &s) == SESSION_OK &&
	    s.seen == NOW + 60;
}

static int
was_sent(void)
{
	return session_once(&rules, "0123456789abcdef.1", NOW) == 0;
}

static int
is_right(void)
{
	return session_check_password(&rules, rules.password) ==
	    SESSION_PASSWORD_RIGHT;
}

static const struct {
	const char *why;
	int (*change)(void);
	int (*effect)(void);
	int value;
} changes[] = {
	{ "begin", do_begin, living, 2 },
	{ "keep alive", do_keep_alive, is_seen, 1 },
	{ "end", do_end, living, 0 },
	{ "end all", do_end_all, living, 0 },
	{ "once", do_once, was_sent, 1 },
	{ "remove the password", do_remove_password, is_right, 1 },
};
static int changed;

static void
judge_change(int result, int failed)
{
	ck_assert_msg(result == 0 || (failed && result == -1), "%s: %d",
	    changes[changed].why, result);
	/* A session that may have begun is one that nobody has the token of. */
	if (result == -1 && changes[changed].change == do_begin)
		begin_anew();
	if (result == -1)
		ck_assert_int_eq(changes[changed].change(), 0);
	ck_assert_msg(changes[changed].effect() == changes[changed].value,
	    "%s, %d", changes[changed].why, result);
}

START_TEST(what_was_not_done_can_be_done_again)
{
	changed = _i;
	faults_each(begin_anew, changes[_i].change, judge_change);
}
END_TEST

static void
bound_files(rlim_t most)
{
	struct rlimit limit;

	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = most;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* The disk is full sooner or later. */
START_TEST(a_full_disk_changes_nothing)
{
	int failed = 0, result = -1;

	changed = _i;
	ck_assert_ptr_ne(signal(SIGXFSZ, SIG_IGN), SIG_ERR);
	for (rlim_t most = 0; result != 0; most += 512) {
		bound_files(most);
		result = changes[_i].change();
		bound_files(RLIM_INFINITY);
		if (result == 0)
			break;
		ck_assert_int_eq(result, -1);
		failed++;
		ck_assert_int_eq(ask_whose(), SESSION_OK);
		ck_assert_int_eq(living(), 1);
	}
	ck_assert_int_gt(failed, 1);
	judge_change(0, 0);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("session_faults");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	ADD_ROWS(t, an_error_is_no_answer, questions);
	ADD_ROWS(t, what_was_not_done_can_be_done_again, changes);
	ADD_ROWS(t, a_full_disk_changes_nothing, changes);
	return suite_run("session_faults", t, NULL);
}
