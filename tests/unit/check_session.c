/* session: who gets in, for how long, and what ends it. */
#include "lib/session.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/db.h"
#include "tests/unit/suite.h"

#define NOW INT64_C(1800000000)
#define IDLE 1800
#define ABSOLUTE 43200

static char folder[FOLDER_SIZE];
static unsigned char secret[SECRET_DIGEST_LEN] =
    "a secret of the installation's";
static struct session_rules rules;

static void
setup(void)
{
	make_memory_folder(folder);
	rules = (struct session_rules){ folder, secret, "a good password", IDLE,
		ABSOLUTE, 0 };
}

static void
teardown(void)
{
	remove_folder(folder);
}

static struct session
begin(char token[SESSION_TOKEN_SIZE], int64_t now)
{
	struct session s;

	ck_assert_int_eq(session_begin(&rules, now, token, &s), 0);
	return s;
}

static enum session_result
find(const char *token, int64_t now)
{
	struct session s;

	return session_find(&rules, token, now, &s);
}

/* --- passwords --- */

START_TEST(the_configured_password)
{
	ck_assert_int_eq(session_has_password(&rules), 1);
	ck_assert_int_eq(session_check_password(&rules, "a good password"),
	    SESSION_PASSWORD_RIGHT);
	ck_assert_int_eq(session_check_password(&rules, "a good passwor"),
	    SESSION_PASSWORD_WRONG);
	ck_assert_int_eq(session_check_password(&rules, "a good password "),
	    SESSION_PASSWORD_WRONG);
	ck_assert_int_eq(
	    session_check_password(&rules, ""), SESSION_PASSWORD_WRONG);
}
END_TEST

START_TEST(no_password_lets_nobody_in)
{
	rules.password = "";
	ck_assert_int_eq(session_has_password(&rules), 0);
	ck_assert_int_eq(
	    session_check_password(&rules, ""), SESSION_PASSWORD_NONE);
}
END_TEST

START_TEST(a_stored_password_stands_in_front)
{
	ck_assert_int_eq(session_store_password(folder, "stored one"), 0);
	ck_assert_int_eq(session_check_password(&rules, "stored one"),
	    SESSION_PASSWORD_RIGHT);
	ck_assert_int_eq(session_check_password(&rules, "a good password"),
	    SESSION_PASSWORD_WRONG);
	rules.password = "";
	ck_assert_int_eq(session_has_password(&rules), 1);
	ck_assert_int_eq(session_store_password(folder, NULL), 0);
	ck_assert_int_eq(session_has_password(&rules), 0);
}
END_TEST

static int
stored_text(const char *name, struct buf *out)
{
	char path[96];
	struct db *db;
	int got;

	snprintf(path, sizeof(path), "%s/admin.gdbm", folder);
	ck_assert_ptr_nonnull(db = db_open(path));
	got = db_get(db, name, out);
	db_close(db);
	return got;
}

static void
store_text(const char *name, const char *text)
{
	char path[96];
	struct db *db;

	snprintf(path, sizeof(path), "%s/admin.gdbm", folder);
	ck_assert_ptr_nonnull(db = db_edit(path));
	ck_assert_int_eq(db_put(db, name, text, strlen(text)), 0);
	ck_assert_int_eq(db_commit(db), 0);
}

START_TEST(two_hashes_of_one_password_differ)
{
	struct buf a = BUF(256), b = BUF(256);

	ck_assert_int_eq(session_store_password(folder, "same"), 0);
	ck_assert_int_eq(stored_text("p", &a), 1);
	ck_assert_int_eq(session_store_password(folder, "same"), 0);
	ck_assert_int_eq(stored_text("p", &b), 1);
	ck_assert_int_eq(strncmp(a.data, "$scrypt$ln=15,r=8,p=1$", 22), 0);
	ck_assert_uint_eq(a.len, 22 + 32 + 1 + 64);
	ck_assert_str_ne(a.data, b.data);
	ck_assert_ptr_null(strstr(a.data, "same"));
	buf_free(&a);
	buf_free(&b);
}
END_TEST

/* RFC 7914, 12: "pleaseletmein" with N 16384, r 8, p 1, cut to 32 bytes. */
#define SALT "536f6469756d43686c6f726964650000"
START_TEST(scrypt_is_scrypt)
{
	static const unsigned char wanted[SECRET_DIGEST_LEN] = { 0x70, 0x23,
		0xbd, 0xcb, 0x3a, 0xfd, 0x73, 0x48, 0x46, 0x1c, 0x06, 0xcd,
		0x81, 0xfd, 0x38, 0xeb, 0xfd, 0xa8, 0xfb, 0xba, 0x90, 0x4f,
		0x8e, 0x3e, 0xa9, 0xb5, 0x43, 0xf6, 0x54, 0x5d, 0xa1, 0xf2 };
	unsigned char got[SECRET_DIGEST_LEN];

	ck_assert_int_eq(secret_scrypt(got, "pleaseletmein",
			     (const unsigned char *)"SodiumChloride", 14,
			     &(struct secret_cost){ 14, 8, 1 }),
	    0);
	ck_assert_mem_eq(got, wanted, sizeof(got));
}
END_TEST

static const char *const no_hashes[] = { "plain text", "$scrypt$",
	"$scrypt$ln=15,r=8,p=1$", "$scrypt$ln=15,r=8,p=1$" SALT "$",
	"$scrypt$ln=15,r=8,p=1$" SALT "$00",
	"$scrypt$ln=0,r=8,p=1$" SALT "$" SALT SALT,
	"$scrypt$ln=60,r=8,p=1$" SALT "$" SALT SALT,
	"$scrypt$ln=15,r=8,p=9$" SALT "$" SALT SALT,
	"$scrypt$ln=15,r=8,p=1$" SALT "0$" SALT SALT,
	"$scrypt$r=8,ln=15,p=1$" SALT "$" SALT SALT,
	"$scrypt$ln=-15,r=8,p=1$" SALT "$" SALT SALT };

START_TEST(what_is_no_hash_fits_no_password)
{
	store_text("p", no_hashes[_i]);
	ck_assert_int_eq(
	    session_check_password(&rules, ""), SESSION_PASSWORD_WRONG);
	ck_assert_int_eq(session_check_password(&rules, no_hashes[_i]),
	    SESSION_PASSWORD_WRONG);
	ck_assert_int_eq(session_check_password(&rules, "a good password"),
	    SESSION_PASSWORD_WRONG);
}
END_TEST

START_TEST(a_store_that_cannot_be_read_lets_nobody_in)
{
	char path[96], token[SESSION_TOKEN_SIZE];
	FILE *f;

	(void)begin(token, NOW);
	snprintf(path, sizeof(path), "%s/admin.gdbm", folder);
	ck_assert_ptr_nonnull(f = fopen(path, "w"));
	ck_assert_int_gt(fprintf(f, "this is no store"), 0);
	ck_assert_int_eq(fclose(f), 0);
	ck_assert_int_eq(session_has_password(&rules), -1);
	ck_assert_int_eq(session_check_password(&rules, "a good password"),
	    SESSION_PASSWORD_ERROR);
	ck_assert_int_eq(find(token, NOW), SESSION_ERROR);
	ck_assert_int_eq(session_count(&rules, NOW), -1);
}
END_TEST

/* --- sessions --- */

START_TEST(a_session_is_found_by_its_token_alone)
{
	char a[SESSION_TOKEN_SIZE], b[SESSION_TOKEN_SIZE];
	struct session one = begin(a, NOW), two = begin(b, NOW), got;

	ck_assert_str_ne(a, b);
	ck_assert_uint_eq(strlen(a), 43);
	ck_assert_int_eq(session_find(&rules, a, NOW, &got), SESSION_OK);
	ck_assert_str_eq(got.id, one.id);
	ck_assert_int_eq(session_find(&rules, b, NOW, &got), SESSION_OK);
	ck_assert_str_eq(got.id, two.id);
	a[0] = a[0] == 'x' ? 'y' : 'x';
	ck_assert_int_eq(find(a, NOW), SESSION_NONE);
	ck_assert_int_eq(find("", NOW), SESSION_NONE);
	ck_assert_int_eq(find("s:", NOW), SESSION_NONE);
	b[42] = '\0';
	ck_assert_int_eq(find(b, NOW), SESSION_NONE);
}
END_TEST

START_TEST(the_store_holds_no_token)
{
	static char store[1 << 20];
	char token[SESSION_TOKEN_SIZE], path[256];
	size_t n;
	FILE *f;

	(void)begin(token, NOW);
	snprintf(path, sizeof(path), "%s/admin.gdbm", folder);
	ck_assert_ptr_nonnull(f = fopen(path, "re"));
	n = fread(store, 1, sizeof(store), f);
	ck_assert_int_eq(fclose(f), 0);
	/* The session is in there, by its hash alone. */
	ck_assert_uint_gt(n, 0);
	ck_assert_uint_lt(n, sizeof(store));
	ck_assert_ptr_null(memmem(store, n, token, strlen(token)));
}
END_TEST

static const struct {
	const char *why;
	int64_t later;
	enum session_result found;
} idle[] = {
	{ "at once", 0, SESSION_OK },
	{ "a second before it ends", IDLE - 1, SESSION_OK },
	{ "when it ends", IDLE, SESSION_NONE },
	{ "long after", 100 * IDLE, SESSION_NONE },
	{ "a clock set back a little", -60, SESSION_OK },
	{ "a clock set back far", -61, SESSION_NONE },
};

START_TEST(a_session_ends_when_idle)
{
	char token[SESSION_TOKEN_SIZE];

	(void)begin(token, NOW);
	ck_assert_msg(find(token, NOW + idle[_i].later) == idle[_i].found, "%s",
	    idle[_i].why);
}
END_TEST

START_TEST(use_keeps_it_alive_until_its_absolute_end)
{
	char token[SESSION_TOKEN_SIZE];
	int64_t at;

	(void)begin(token, NOW);
	for (at = 0; at < ABSOLUTE; at += IDLE - 1)
		ck_assert_int_eq(find(token, NOW + at), SESSION_OK);
	ck_assert_int_eq(find(token, NOW + ABSOLUTE - 1), SESSION_OK);
	ck_assert_int_eq(find(token, NOW + ABSOLUTE), SESSION_NONE);
}
END_TEST

START_TEST(looking_often_writes_seldom)
{
	char token[SESSION_TOKEN_SIZE], path[96];
	struct stat before, after;

	(void)begin(token, NOW);
	snprintf(path, sizeof(path), "%s/admin.gdbm", folder);
	ck_assert_int_eq(stat(path, &before), 0);
	for (int i = 0; i < 60; i++)
		ck_assert_int_eq(find(token, NOW + i), SESSION_OK);
	ck_assert_int_eq(stat(path, &after), 0);
	ck_assert_uint_eq(before.st_ino, after.st_ino);
	ck_assert_int_eq(find(token, NOW + 60), SESSION_OK);
	ck_assert_int_eq(stat(path, &after), 0);
	ck_assert_uint_ne(before.st_ino, after.st_ino);
}
END_TEST

START_TEST(ending_ends_it_for_good)
{
	char a[SESSION_TOKEN_SIZE], b[SESSION_TOKEN_SIZE];
	struct session one = begin(a, NOW);

	(void)begin(b, NOW);
	ck_assert_int_eq(session_end(&rules, &one), 0);
	ck_assert_int_eq(find(a, NOW), SESSION_NONE);
	ck_assert_int_eq(find(b, NOW), SESSION_OK);
	ck_assert_int_eq(session_end(&rules, &one), 0);
	ck_assert_int_eq(session_count(&rules, NOW), 1);
	ck_assert_int_eq(session_end_all(&rules), 0);
	ck_assert_int_eq(find(b, NOW), SESSION_NONE);
	ck_assert_int_eq(session_count(&rules, NOW), 0);
}
END_TEST

START_TEST(another_password_ends_all)
{
	char token[SESSION_TOKEN_SIZE];

	(void)begin(token, NOW);
	rules.password = "another";
	ck_assert_int_eq(find(token, NOW), SESSION_NONE);
	rules.password = "a good password";
	ck_assert_int_eq(find(token, NOW), SESSION_OK);
	ck_assert_int_eq(session_store_password(folder, "a good password"), 0);
	ck_assert_int_eq(find(token, NOW), SESSION_NONE);
	(void)begin(token, NOW);
	ck_assert_int_eq(session_store_password(folder, NULL), 0);
	rules.password = "";
	ck_assert_int_eq(find(token, NOW), SESSION_NONE);
}
END_TEST

START_TEST(bound_to_an_address_when_asked)
{
	char token[SESSION_TOKEN_SIZE];

	rules.address = 7;
	(void)begin(token, NOW);
	ck_assert_int_eq(find(token, NOW), SESSION_OK);
	rules.address = 8;
	ck_assert_int_eq(find(token, NOW), SESSION_NONE);
	rules.address = 0;
	ck_assert_int_eq(find(token, NOW), SESSION_OK);
}
END_TEST

START_TEST(the_oldest_makes_room)
{
	char first[SESSION_TOKEN_SIZE], token[SESSION_TOKEN_SIZE];
	char second[SESSION_TOKEN_SIZE];

	(void)begin(first, NOW);
	(void)begin(second, NOW + 1);
	for (int i = 2; i < 64; i++)
		(void)begin(token, NOW + i);
	ck_assert_int_eq(session_count(&rules, NOW + 64), 64);
	ck_assert_int_eq(find(first, NOW + 64), SESSION_OK);
	(void)begin(token, NOW + 65);
	ck_assert_int_eq(session_count(&rules, NOW + 65), 64);
	ck_assert_int_eq(find(first, NOW + 65), SESSION_NONE);
	ck_assert_int_eq(find(second, NOW + 65), SESSION_OK);
}
END_TEST

/* --- tokens for forms --- */

START_TEST(a_form_token_fits_its_form_and_session_alone)
{
	char token[SESSION_TOKEN_SIZE], a[SESSION_CSRF_SIZE];
	char b[SESSION_CSRF_SIZE];
	struct session one = begin(token, NOW), two = begin(token, NOW);
	unsigned char other[SECRET_DIGEST_LEN] = "another installation";

	session_csrf(&rules, &one, "key", a);
	session_csrf(&rules, &one, "key", b);
	ck_assert_str_ne(a, b);
	ck_assert_int_eq(session_csrf_ok(&rules, &one, "key", a), 1);
	ck_assert_int_eq(session_csrf_ok(&rules, &one, "key", b), 1);
	ck_assert_int_eq(session_csrf_ok(&rules, &one, "keys", a), 0);
	ck_assert_int_eq(session_csrf_ok(&rules, &two, "key", a), 0);
	rules.secret = other;
	ck_assert_int_eq(session_csrf_ok(&rules, &one, "key", a), 0);
	rules.secret = secret;
	ck_assert_int_eq(session_csrf_ok(&rules, &one, "key", NULL), 0);
	ck_assert_int_eq(session_csrf_ok(&rules, &one, "key", ""), 0);
	for (size_t i = 0; i < strlen(a); i++) {
		char broken[SESSION_CSRF_SIZE];

		memcpy(broken, a, sizeof(broken));
		broken[i] = broken[i] == '0' ? '1' : '0';
		ck_assert_int_eq(
		    session_csrf_ok(&rules, &one, "key", broken), 0);
		memcpy(broken, a, sizeof(broken));
		broken[i] = '\0';
		ck_assert_int_eq(
		    session_csrf_ok(&rules, &one, "key", broken), 0);
	}
}
END_TEST

START_TEST(a_form_that_works_once)
{
	char token[SESSION_TOKEN_SIZE], a[SESSION_CSRF_SIZE];
	char b[SESSION_CSRF_SIZE];
	struct session one = begin(token, NOW);

	session_csrf(&rules, &one, "key", a);
	session_csrf(&rules, &one, "key", b);
	ck_assert_int_eq(session_once(&rules, a, NOW), 1);
	ck_assert_int_eq(session_once(&rules, a, NOW), 0);
	ck_assert_int_eq(session_once(&rules, b, NOW + 5), 1);
	ck_assert_int_eq(session_once(&rules, a, NOW + 5), 0);
	/* The same nonce in the other case is the same. */
	for (char *p = b; *p != '\0'; p++)
		if (*p >= 'a' && *p <= 'f')
			*p = (char)(*p - 'a' + 'A');
	ck_assert_int_eq(session_once(&rules, b, NOW + 5), 0);
}
END_TEST

/* --- how often one may try --- */

START_TEST(attempts_are_counted_by_address_and_in_all)
{
	struct limits *limits = limits_open(folder, 1);
	struct session_attempt a;
	int64_t t = 1000000;

	ck_assert_ptr_nonnull(limits);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(session_attempt_take(limits, 11, &a, t + i),
		    LIMITS_ADMITTED);
	ck_assert_int_eq(
	    session_attempt_take(limits, 11, &a, t + 10), LIMITS_REFUSED);
	ck_assert_int_eq(a.retry_ms, 300000 - 10);
	for (uint64_t who = 12; who < 15; who++)
		for (int i = 0; i < 5; i++)
			ck_assert_int_eq(
			    session_attempt_take(limits, who, &a, t + 20),
			    LIMITS_ADMITTED);
	/* Twenty in all: an address that never tried has to wait as well. */
	ck_assert_int_eq(
	    session_attempt_take(limits, 99, &a, t + 30), LIMITS_REFUSED);
	ck_assert_int_eq(
	    session_attempt_take(limits, 99, &a, t + 300000), LIMITS_ADMITTED);
	limits_close(limits);
}
END_TEST

START_TEST(the_right_password_does_not_count)
{
	struct limits *limits = limits_open(folder, 1);
	struct session_attempt a;

	ck_assert_ptr_nonnull(limits);
	for (int i = 0; i < 50; i++) {
		ck_assert_int_eq(
		    session_attempt_take(limits, 11, &a, 1000000 + i),
		    LIMITS_ADMITTED);
		session_attempt_forgive(limits, &a, 1000000 + i);
	}
	limits_close(limits);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("session");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, the_configured_password);
	tcase_add_test(t, no_password_lets_nobody_in);
	tcase_add_test(t, a_stored_password_stands_in_front);
	tcase_add_test(t, two_hashes_of_one_password_differ);
	tcase_add_test(t, scrypt_is_scrypt);
	ADD_ROWS(t, what_is_no_hash_fits_no_password, no_hashes);
	tcase_add_test(t, a_store_that_cannot_be_read_lets_nobody_in);
	tcase_add_test(t, a_session_is_found_by_its_token_alone);
	tcase_add_test(t, the_store_holds_no_token);
	ADD_ROWS(t, a_session_ends_when_idle, idle);
	tcase_add_test(t, use_keeps_it_alive_until_its_absolute_end);
	tcase_add_test(t, looking_often_writes_seldom);
	tcase_add_test(t, ending_ends_it_for_good);
	tcase_add_test(t, another_password_ends_all);
	tcase_add_test(t, bound_to_an_address_when_asked);
	tcase_add_test(t, the_oldest_makes_room);
	tcase_add_test(t, a_form_token_fits_its_form_and_session_alone);
	tcase_add_test(t, a_form_that_works_once);
	tcase_add_test(t, attempts_are_counted_by_address_and_in_all);
	tcase_add_test(t, the_right_password_does_not_count);
	return suite_run("session", t, NULL);
}
