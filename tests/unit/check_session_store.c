/* session: what stands in admin.gdbm, damaged or from elsewhere. */
#include "lib/session.h"

#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/db.h"
#include "lib/text.h"
#include "tests/unit/suite.h"

#define NOW INT64_C(1800000000)
#define IDLE 1800
#define ABSOLUTE 43200

static char folder[FOLDER_SIZE], store[FOLDER_SIZE + 16];
static unsigned char secret[SECRET_DIGEST_LEN] =
    "a secret of the installation's";
static struct session_rules rules;

static void
setup(void)
{
	make_memory_folder(folder);
	snprintf(store, sizeof(store), "%s/admin.gdbm", folder);
	rules = (struct session_rules){ folder, secret, "a good password", IDLE,
		ABSOLUTE, 0 };
}

static void
teardown(void)
{
	remove_folder(folder);
}

static int
get_text(const char *name, struct buf *out)
{
	struct db *db = db_open(store);
	int got;

	ck_assert_ptr_nonnull(db);
	got = db_get(db, name, out);
	db_close(db);
	return got;
}

static void
put_text(const char *name, const char *text)
{
	struct db *db = db_edit(store);

	ck_assert_ptr_nonnull(db);
	ck_assert_int_eq(db_put(db, name, text, strlen(text)), 0);
	ck_assert_int_eq(db_commit(db), 0);
}

/* --- records --- */

static void
name_of(char name[80], const struct session *s)
{
	memcpy(name, "s:", 3);
	text_hex(name + 2, s->hash, sizeof(s->hash));
}

static enum session_result
find(const char *token, int64_t now)
{
	struct session s;

	return session_find(&rules, token, now, &s);
}

/*
 * What a record becomes: each of its words, or all after the last when 'word'
 * is 5, is replaced by 'text'.
 */
static const struct {
	const char *why;
	int word;
	const char *text;
	enum session_result found;
} damages[] = {
	{ "an id as long as one may be", 0, "12345678", SESSION_OK },
	{ "an id one longer", 0, "123456789", SESSION_NONE },
	{ "no id", 0, "", SESSION_NONE },
	{ "no number", 1, "yesterday", SESSION_NONE },
	{ "before time began", 1, "-1", SESSION_NONE },
	{ "a number and something else", 1, "1800000000x", SESSION_NONE },
	{ "longer than any number", 1, "000000000000001800000000",
	    SESSION_NONE },
	{ "no number of when it was seen", 2, "x", SESSION_NONE },
	{ "seen before time began", 2, "-1", SESSION_NONE },
	{ "another password's", 3, "0123456789abcdef", SESSION_NONE },
	{ "a password of no digits", 3, "0123456789abcdeg", SESSION_NONE },
	{ "the address in capitals", 4, "00000000000000AB", SESSION_OK },
	{ "a digit short", 4, "00000000000000a", SESSION_NONE },
	{ "a digit more", 4, "00000000000000abc", SESSION_NONE },
	{ "no address", 4, "", SESSION_NONE },
	{ "one word more", 5, " more", SESSION_NONE },
	{ "a space more", 5, " ", SESSION_OK },
	{ "nothing more", 5, "", SESSION_OK },
};

START_TEST(a_damaged_record_is_no_session)
{
	char token[SESSION_TOKEN_SIZE], name[80], text[256], word[5][32];
	struct buf old = BUF(256);
	const char *why = damages[_i].why;
	struct session s;

	rules.address = 0xab;
	ck_assert_int_eq(session_begin(&rules, NOW, token, &s), 0);
	name_of(name, &s);
	ck_assert_int_eq(get_text(name, &old), 1);
	ck_assert_int_eq(sscanf(old.data, "%31s %31s %31s %31s %31s", word[0],
			     word[1], word[2], word[3], word[4]),
	    5);
	if (damages[_i].word < 5)
		snprintf(word[damages[_i].word], sizeof(word[0]), "%s",
		    damages[_i].text);
	snprintf(text, sizeof(text), "%s %s %s %s %s%s", word[0], word[1],
	    word[2], word[3], word[4],
	    damages[_i].word == 5 ? damages[_i].text : "");
	put_text(name, text);
	ck_assert_msg(find(token, NOW) == damages[_i].found, "%s", why);
	ck_assert_msg(
	    session_count(&rules, NOW) == (damages[_i].found == SESSION_OK),
	    "%s", why);
	/* And is gone when the next one begins. */
	ck_assert_int_eq(session_begin(&rules, NOW, token, &s), 0);
	ck_assert_msg(get_text(name, &old) == (damages[_i].found == SESSION_OK),
	    "%s", why);
	buf_free(&old);
}
END_TEST

START_TEST(each_byte_of_an_address_counts)
{
	char token[SESSION_TOKEN_SIZE];
	struct session s;

	rules.address = UINT64_C(0xfedcba9876543210);
	ck_assert_int_eq(session_begin(&rules, NOW, token, &s), 0);
	ck_assert_int_eq(find(token, NOW), SESSION_OK);
	for (int bit = 0; bit < 64; bit += 4) {
		rules.address =
		    UINT64_C(0xfedcba9876543210) ^ UINT64_C(1) << bit;
		ck_assert_int_eq(find(token, NOW), SESSION_NONE);
	}
}
END_TEST

START_TEST(times_are_kept_as_they_were)
{
	char token[SESSION_TOKEN_SIZE];
	struct session s, got;

	ck_assert_int_eq(session_begin(&rules, NOW, token, &s), 0);
	ck_assert_int_eq(s.created, NOW);
	ck_assert_int_eq(s.seen, NOW);
	ck_assert_uint_eq(strlen(s.id), SESSION_ID_SIZE - 1);
	for (int later = 59; later <= 60; later++) {
		ck_assert_int_eq(
		    session_find(&rules, token, NOW + later, &got), SESSION_OK);
		ck_assert_str_eq(got.id, s.id);
		ck_assert_mem_eq(got.hash, s.hash, sizeof(s.hash));
		ck_assert_int_eq(got.created, NOW);
		ck_assert_int_eq(got.seen, later < 60 ? NOW : NOW + 60);
	}
	ck_assert_int_eq(
	    session_find(&rules, token, NOW + 70, &got), SESSION_OK);
	ck_assert_int_eq(got.seen, NOW + 60);
	/* A clock set back a little: seen now, and not in the future. */
	ck_assert_int_eq(
	    session_find(&rules, token, NOW + 59, &got), SESSION_OK);
	ck_assert_int_eq(got.seen, NOW + 59);
}
END_TEST

/* From whichever address: all are one installation's. */
START_TEST(sessions_of_all_addresses_are_counted_together)
{
	char first[SESSION_TOKEN_SIZE], token[SESSION_TOKEN_SIZE];
	struct session s;

	rules.address = 1;
	ck_assert_int_eq(session_begin(&rules, NOW, first, &s), 0);
	for (unsigned i = 2; i <= 64; i++) {
		rules.address = i;
		ck_assert_int_eq(session_begin(&rules, NOW + i, token, &s), 0);
		ck_assert_int_eq(session_count(&rules, NOW + i), (int)i);
	}
	rules.address = 1;
	ck_assert_int_eq(find(first, NOW + 64), SESSION_OK);
	rules.address = 65;
	ck_assert_int_eq(session_begin(&rules, NOW + 65, token, &s), 0);
	ck_assert_int_eq(session_count(&rules, NOW + 65), 64);
	rules.address = 1;
	ck_assert_int_eq(find(first, NOW + 65), SESSION_NONE);
	/* What has ended takes up no room. */
	ck_assert_int_eq(session_begin(&rules, NOW + 2 * IDLE, token, &s), 0);
	ck_assert_int_eq(session_count(&rules, NOW + 2 * IDLE), 1);
}
END_TEST

START_TEST(without_a_password_no_session_lives)
{
	char token[SESSION_TOKEN_SIZE];
	struct session s;

	rules.password = "";
	ck_assert_int_eq(session_begin(&rules, NOW, token, &s), 0);
	ck_assert_int_eq(find(token, NOW), SESSION_NONE);
}
END_TEST

static int
count_one(const char *name, const char *text, size_t len, void *n)
{
	(void)name;
	(void)text;
	(void)len;
	++*(int *)n;
	return 0;
}

static int
records(const char *prefix)
{
	struct db *db = db_open(store);
	int n = 0;

	ck_assert_ptr_nonnull(db);
	ck_assert_int_eq(db_each(db, prefix, count_one, &n), 0);
	db_close(db);
	return n;
}

START_TEST(what_has_ended_leaves_the_store)
{
	char token[SESSION_TOKEN_SIZE];
	struct session s;

	ck_assert_int_eq(session_begin(&rules, NOW, token, &s), 0);
	ck_assert_int_eq(session_begin(&rules, NOW + IDLE - 1, token, &s), 0);
	ck_assert_int_eq(records("s:"), 2);
	ck_assert_int_eq(session_begin(&rules, NOW + IDLE, token, &s), 0);
	ck_assert_int_eq(records("s:"), 2);
	ck_assert_int_eq(session_end_all(&rules), 0);
	ck_assert_int_eq(records("s:"), 0);
}
END_TEST

/* More than are removed at once, as nothing else of the store goes with them. */
START_TEST(forms_sent_long_ago_are_forgotten)
{
	const int64_t at = NOW + ABSOLUTE;
	char nonce[24], text[24];
	struct db *db = db_edit(store);

	ck_assert_ptr_nonnull(db);
	for (int i = 0; i < 300; i++) {
		snprintf(nonce, sizeof(nonce), "o:%016d", i);
		snprintf(text, sizeof(text), "%lld", (long long)NOW - 1);
		ck_assert_int_eq(db_put(db, nonce, text, strlen(text)), 0);
	}
	ck_assert_int_eq(db_put(db, "o:no-time", "x", 1), 0);
	ck_assert_int_eq(db_put(db, "p:other", "1", 1), 0);
	ck_assert_int_eq(db_commit(db), 0);
	ck_assert_int_eq(session_once(&rules, "00000000000000aa.", NOW), 1);
	ck_assert_int_eq(records("o:"), 301);
	ck_assert_int_eq(session_once(&rules, "00000000000000bb.", at), 1);
	ck_assert_int_le(records("o:"), 301 + 1 - 256);
	ck_assert_int_eq(session_once(&rules, "00000000000000cc.", at), 1);
	ck_assert_int_eq(records("o:"), 3);
	ck_assert_int_eq(session_once(&rules, "00000000000000aa.", at), 0);
	/* Until no session that made it can live. */
	ck_assert_int_eq(session_once(&rules, "00000000000000dd.", at + 1), 1);
	ck_assert_int_eq(records("o:"), 3);
	ck_assert_int_eq(records("p:"), 1);
}
END_TEST

START_TEST(digits_of_either_case_are_one_nonce)
{
	ck_assert_int_eq(session_once(&rules, "0123456789abcdef.1", NOW), 1);
	ck_assert_int_eq(session_once(&rules, "0123456789ABCDEF.1", NOW), 0);
	ck_assert_int_eq(session_once(&rules, "0123456789ABCDEF.2", NOW), 0);
	ck_assert_int_eq(session_once(&rules, "0123456789abcdee.1", NOW), 1);
}
END_TEST

/* --- tokens for forms --- */

static const char *const forms[] = { "", "key",
	"a form with thirty-two letters..",
	"a form with thirty-two letters..." };

/* "csrf:" keeps it from being taken for a MAC of anything else. */
START_TEST(a_form_token_is_a_mac_of_what_it_is_for)
{
	struct session s = { .hash = "the hash of a token of 32 bytes" };
	unsigned char mac[SECRET_DIGEST_LEN], nonce[8];
	char token[SESSION_CSRF_SIZE], hex[33];
	struct buf message = BUF(256);
	int bad = 0;

	session_csrf(&rules, &s, forms[_i], token);
	ck_assert_int_eq(session_csrf_ok(&rules, &s, forms[_i], token), 1);
	ck_assert_uint_eq(strlen(token), 16 + 1 + 32);
	memcpy(hex, token, 16);
	hex[16] = '\0';
	ck_assert_int_eq(text_unhex(nonce, sizeof(nonce), hex), 0);
	bad |= buf_add(&message, "csrf:", 5);
	bad |= buf_add(&message, s.hash, sizeof(s.hash));
	bad |= buf_add(&message, nonce, sizeof(nonce));
	bad |= buf_add(&message, forms[_i],
	    strlen(forms[_i]) < 32 ? strlen(forms[_i]) : 32);
	ck_assert_int_eq(bad, 0);
	secret_hmac(mac, secret, message.data, message.len);
	ck_assert_str_eq(token + 17, text_hex(hex, mac, 16));
	buf_free(&message);
}
END_TEST

/* --- hashes from elsewhere --- */

static const struct {
	const char *why;
	struct secret_cost cost;
	enum session_password result;
} costs[] = {
	{ "the cheapest", { 1, 1, 1 }, SESSION_PASSWORD_RIGHT },
	{ "as much of each as may be", { 5, 16, 4 }, SESSION_PASSWORD_RIGHT },
	{ "larger blocks", { 5, 17, 1 }, SESSION_PASSWORD_WRONG },
	{ "more at once", { 5, 8, 5 }, SESSION_PASSWORD_WRONG },
	{ "as much memory as may be", { 18, 2, 1 }, SESSION_PASSWORD_RIGHT },
	{ "more memory", { 19, 2, 1 }, SESSION_PASSWORD_WRONG },
};

START_TEST(a_hash_says_what_it_costs)
{
	const struct secret_cost *c = &costs[_i].cost;
	unsigned char digest[SECRET_DIGEST_LEN];
	char text[256], hex[2 * SECRET_DIGEST_LEN + 1];

	ck_assert_int_eq(secret_scrypt(digest, "open",
			     (const unsigned char *)"SodiumChloride!!", 16, c),
	    0);
	snprintf(text, sizeof(text),
	    "$scrypt$ln=%u,r=%u,p=%u$536f6469756d43686c6f726964652121$%s",
	    c->log_n, c->block, c->parallel,
	    text_hex(hex, digest, sizeof(digest)));
	put_text("p", text);
	ck_assert_msg(
	    session_check_password(&rules, "open") == costs[_i].result, "%s",
	    costs[_i].why);
	ck_assert_int_eq(
	    session_check_password(&rules, "opem"), SESSION_PASSWORD_WRONG);
}
END_TEST

/* Two processes that were born alike must not make the same numbers. */
START_TEST(what_is_random_is_so_after_a_fork)
{
	struct buf hash[2] = { BUF(256), BUF(256) };
	char token[SESSION_TOKEN_SIZE];
	struct session s;
	int status;

	for (int i = 0; i < 2; i++) {
		pid_t pid = fork();

		ck_assert_int_ne(pid, -1);
		if (pid == 0)
			_exit(session_store_password(folder, "same") != 0 ||
			    session_begin(&rules, NOW, token, &s) != 0);
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert_int_eq(status, 0);
		ck_assert_int_eq(get_text("p", &hash[i]), 1);
	}
	ck_assert_str_ne(hash[0].data, hash[1].data);
	rules.password = "";
	ck_assert_int_eq(
	    session_check_password(&rules, "same"), SESSION_PASSWORD_RIGHT);
	for (int i = 0; i < 2; i++)
		buf_free(&hash[i]);
}
END_TEST

/* --- a store that cannot be used --- */

START_TEST(nothing_is_changed_in_a_store_that_cannot_be_read)
{
	char token[SESSION_TOKEN_SIZE];
	struct session s;
	FILE *f;

	hush();
	ck_assert_int_eq(session_begin(&rules, NOW, token, &s), 0);
	ck_assert_ptr_nonnull(f = fopen(store, "w"));
	ck_assert_int_gt(fprintf(f, "this is no store"), 0);
	ck_assert_int_eq(fclose(f), 0);
	ck_assert_int_eq(session_end(&rules, &s), -1);
	ck_assert_int_eq(session_end_all(&rules), -1);
	ck_assert_int_eq(session_once(&rules, "0123456789abcdef.1", NOW), -1);
	ck_assert_int_eq(session_store_password(folder, "another"), -1);
	ck_assert_int_eq(session_store_password(folder, NULL), -1);
	ck_assert_int_eq(session_begin(&rules, NOW, token, &s), -1);
}
END_TEST

START_TEST(a_path_that_is_too_long_is_no_store)
{
	static char path[5000];
	char token[SESSION_TOKEN_SIZE];
	struct session s;

	catch_log();
	memset(path, 'x', sizeof(path) - 1);
	rules.state_dir = path;
	ck_assert_int_eq(session_has_password(&rules), -1);
	ck_assert_ptr_nonnull(
	    strstr(logged(), "path of STATE_DIR is too long"));
	ck_assert_int_eq(session_begin(&rules, NOW, token, &s), -1);
	ck_assert_int_eq(session_count(&rules, NOW), -1);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("session_store");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	ADD_ROWS(t, a_damaged_record_is_no_session, damages);
	tcase_add_test(t, each_byte_of_an_address_counts);
	tcase_add_test(t, times_are_kept_as_they_were);
	tcase_add_test(t, sessions_of_all_addresses_are_counted_together);
	tcase_add_test(t, without_a_password_no_session_lives);
	tcase_add_test(t, what_has_ended_leaves_the_store);
	tcase_add_test(t, forms_sent_long_ago_are_forgotten);
	tcase_add_test(t, digits_of_either_case_are_one_nonce);
	ADD_ROWS(t, a_form_token_is_a_mac_of_what_it_is_for, forms);
	ADD_ROWS(t, a_hash_says_what_it_costs, costs);
	tcase_add_test(t, what_is_random_is_so_after_a_fork);
	tcase_add_test(t, nothing_is_changed_in_a_store_that_cannot_be_read);
	tcase_add_test(t, a_path_that_is_too_long_is_no_store);
	return suite_run("session_store", t, NULL);
}
