/* keys: who gets in, who does not, and that nobody can tell why by the clock. */
#include "lib/keys.h"
#include "lib/keys_record.h"

#include <check.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <gdbm.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/db_watch.h"
#include "lib/json.h"
#include "lib/secret.h"
#include "tests/unit/suite.h"

#define NOW 1700000000
#define ELEMENTS(a) (sizeof(a) / sizeof((a)[0]))

static char folder[FOLDER_SIZE], store[96];

/* The steps of a verification, counted on their way into the libraries. */
static _Atomic long n_fetches, n_parses, n_parsed_objects, n_digests;
static _Atomic long parsed_of_nobody; /* of what is no record of the store */

datum
gdbm_fetch(GDBM_FILE file, datum key)
{
	datum (*real)(GDBM_FILE, datum);

	*(void **)&real = dlsym(RTLD_NEXT, "gdbm_fetch");
	n_fetches++;
	return real(file, key);
}

/* The linker puts these two around each other: see the Makefile. */
int __real_json_skim_feed(struct json_skim *, const char *, size_t);
int __wrap_json_skim_feed(struct json_skim *, const char *, size_t);

int
__wrap_json_skim_feed(struct json_skim *s, const char *text, size_t len)
{
	int answer = __real_json_skim_feed(s, text, len);

	n_parses++;
	n_parsed_objects += answer == 0 && len > 0 && text[0] == '{';
	parsed_of_nobody += memmem(text, len, "\"nobody\"", 8) != NULL;
	return answer;
}

int
EVP_DigestFinal_ex(EVP_MD_CTX *ctx, unsigned char *md, unsigned int *size)
{
	int (*real)(EVP_MD_CTX *, unsigned char *, unsigned int *);

	*(void **)&real = dlsym(RTLD_NEXT, "EVP_DigestFinal_ex");
	n_digests++;
	return real(ctx, md, size);
}

static void
setup(void)
{
	make_folder(folder);
	snprintf(store, sizeof(store), "%s/keys.gdbm", folder);
}

static void
teardown(void)
{
	remove_folder(folder);
}

static struct key
make(const char *label, int64_t now, char secret[KEYS_SECRET_SIZE])
{
	struct key key = { 0 };

	snprintf(key.label, sizeof(key.label), "%s", label);
	ck_assert_int_eq(keys_create(folder, &key, now, secret), KEYS_OK);
	return key;
}

static enum keys_result
verify(struct keys *k, const char *token, int64_t now)
{
	struct key key;

	return keys_verify(k, token, strlen(token), now, &key);
}

static struct keys *
open_keys(const char *env)
{
	struct keys *k = keys_open(folder, env);

	ck_assert_ptr_nonnull(k);
	return k;
}

/* Writes records as no function of keys.h would. */
static void
put_raw(const char *name, const char *val)
{
	struct db *db = db_edit(store);

	ck_assert_ptr_nonnull(db);
	ck_assert_int_eq(db_put(db, name, val, strlen(val)), 0);
	ck_assert_int_eq(db_watch_commit(db), 0);
}

static void
get_raw(const char *name, struct buf *val)
{
	struct db *db = db_open(store);

	ck_assert_ptr_nonnull(db);
	ck_assert_int_eq(db_get(db, name, val), 1);
	db_close(db);
}

static void
name_by_id(char name[128], const struct key *key)
{
	snprintf(name, 128, "k:%s", key->id);
}

START_TEST(a_new_key_gets_in_as_itself)
{
	char secret[KEYS_SECRET_SIZE];
	struct key made = make("Campaign office", NOW, secret), found;
	struct keys *k = open_keys(NULL);

	ck_assert_uint_eq(strlen(secret), 46);
	ck_assert_int_eq(strncmp(secret, "pm_", 3), 0);
	ck_assert_uint_eq(strspn(secret + 3,
			      "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			      "abcdefghijklmnopqrstuvwxyz0123456789-_"),
	    43);
	ck_assert_str_eq(made.last4, secret + 42);
	ck_assert_uint_eq(strlen(made.id), 20);
	ck_assert_int_eq(strncmp(made.id, "key_", 4), 0);
	ck_assert_uint_eq(strspn(made.id + 4, "0123456789abcdef"), 16);
	ck_assert_int_eq(made.created, NOW);
	ck_assert_int_eq(
	    keys_verify(k, secret, strlen(secret), NOW, &found), KEYS_OK);
	found.snapshot = made.snapshot;
	ck_assert_mem_eq(&found, &made, sizeof(made));
	keys_close(k);
}
END_TEST

START_TEST(the_store_holds_no_key)
{
	static char bytes[1 << 20];
	char secret[KEYS_SECRET_SIZE];
	ssize_t n;
	int fd;

	(void)make("one", NOW, secret);
	fd = open(store, O_RDONLY);
	n = read(fd, bytes, sizeof(bytes));
	close(fd);
	ck_assert_int_gt((int)n, 0);
	for (size_t i = 0; i + 8 <= strlen(secret); i++)
		ck_assert_ptr_null(memmem(bytes, (size_t)n, secret + i, 8));
}
END_TEST

START_TEST(everybody_else_stays_out)
{
	static char longest[KEYS_TOKEN_MAX + 2];
	char secret[KEYS_SECRET_SIZE], other[KEYS_SECRET_SIZE];
	struct key key, untouched;
	struct keys *k = open_keys(NULL);

	ck_assert_int_eq(verify(k, "pm_nobody", NOW), KEYS_UNKNOWN);
	key = make("one", NOW, secret);
	memset(longest, 'a', KEYS_TOKEN_MAX);
	ck_assert_int_eq(verify(k, longest, NOW), KEYS_UNKNOWN);
	longest[KEYS_TOKEN_MAX] = 'a';
	ck_assert_int_eq(verify(k, longest, NOW), KEYS_MALFORMED);
	ck_assert_int_eq(verify(k, "", NOW), KEYS_MALFORMED);
	ck_assert_int_eq(verify(k, "pm_a\nb", NOW), KEYS_MALFORMED);
	ck_assert_int_eq(verify(k, "pm_a\x7f", NOW), KEYS_MALFORMED);
	ck_assert_int_eq(keys_verify(k, "a\0b", 3, NOW, &key), KEYS_MALFORMED);
	memcpy(other, secret, sizeof(other));
	other[45] = (char)(other[45] == 'A' ? 'B' : 'A');
	ck_assert_int_eq(verify(k, other, NOW), KEYS_UNKNOWN);
	ck_assert_int_eq(keys_verify(k, secret, strlen(secret) - 1, NOW, &key),
	    KEYS_UNKNOWN);
	memset(&untouched, 0x5a, sizeof(untouched));
	memset(&key, 0x5a, sizeof(key));
	ck_assert_int_eq(keys_verify(k, other, 46, NOW, &key), KEYS_UNKNOWN);
	ck_assert_mem_eq(&key, &untouched, sizeof(key));
	keys_close(k);
}
END_TEST

START_TEST(a_key_ends_with_its_last_second)
{
	char secret[KEYS_SECRET_SIZE];
	struct key key = make("one", NOW, secret);
	struct keys *k = open_keys(NULL);

	key.expires = NOW + 100;
	ck_assert_int_eq(keys_save(folder, &key), KEYS_OK);
	ck_assert_int_eq(verify(k, secret, NOW + 99), KEYS_OK);
	ck_assert_int_eq(verify(k, secret, NOW + 100), KEYS_EXPIRED);
	ck_assert_int_eq(verify(k, secret, NOW + 101), KEYS_EXPIRED);
	key.expires = 0;
	ck_assert_int_eq(keys_save(folder, &key), KEYS_OK);
	ck_assert_int_eq(verify(k, secret, INT64_MAX), KEYS_OK);
	keys_close(k);
}
END_TEST

START_TEST(a_change_is_in_force_at_once)
{
	char secret[KEYS_SECRET_SIZE], second[KEYS_SECRET_SIZE];
	struct keys *k = open_keys(NULL); /* before there is a store */
	struct key key = make("one", NOW, secret), found;

	ck_assert_int_eq(verify(k, secret, NOW), KEYS_OK);
	for (int i = 0; i < 20; i++) {
		key.disabled = !key.disabled;
		key.rate_limit = i;
		ck_assert_int_eq(keys_save(folder, &key), KEYS_OK);
		ck_assert_int_eq(
		    keys_verify(k, secret, strlen(secret), NOW, &found),
		    key.disabled ? KEYS_DISABLED : KEYS_OK);
		if (!key.disabled)
			ck_assert_int_eq(found.rate_limit, i);
	}
	(void)make("two", NOW, second);
	ck_assert_int_eq(verify(k, second, NOW), KEYS_OK);
	ck_assert_int_eq(keys_delete(folder, key.id), KEYS_OK);
	ck_assert_int_eq(verify(k, secret, NOW), KEYS_UNKNOWN);
	ck_assert_int_eq(verify(k, second, NOW), KEYS_OK);
	keys_close(k);
}
END_TEST

START_TEST(keys_of_the_environment)
{
	struct keys *k = open_keys(" , alpha-alpha-alpha-1 ,,\tbeta\n,"
				   "gamma,");
	char secret[KEYS_SECRET_SIZE];
	struct key key;

	ck_assert_int_eq(
	    keys_verify(k, "alpha-alpha-alpha-1", 19, NOW, &key), KEYS_OK);
	ck_assert_str_eq(key.id, "env_key_0");
	ck_assert_str_eq(key.last4, "ha-1");
	ck_assert_int_eq(keys_verify(k, "beta", 4, NOW, &key), KEYS_OK);
	ck_assert_str_eq(key.id, "env_key_1");
	ck_assert_str_eq(key.last4, ""); /* of a short key, four are much */
	ck_assert_int_eq(keys_verify(k, "gamma", 5, NOW, &key), KEYS_OK);
	ck_assert_str_eq(key.id, "env_key_2");
	ck_assert_int_eq(verify(k, "", NOW), KEYS_MALFORMED);
	ck_assert_int_eq(verify(k, " ", NOW), KEYS_UNKNOWN);
	ck_assert_int_eq(verify(k, "alpha-alpha-alpha-1 ", NOW), KEYS_UNKNOWN);
	ck_assert_int_eq(verify(k, "bet", NOW), KEYS_UNKNOWN);
	(void)make("stored", NOW, secret);
	ck_assert_int_eq(verify(k, secret, NOW), KEYS_OK);
	keys_close(k);
}
END_TEST

START_TEST(which_keys_there_are)
{
	char secret[KEYS_SECRET_SIZE];
	struct keys *k;

	catch_log();
	k = open_keys("good,bad\ttab,other");
	ck_assert_ptr_nonnull(strstr(logged(), "env_key_1 can never be used"));
	ck_assert_ptr_null(strstr(logged(), "env_key_0"));
	ck_assert_ptr_null(strstr(logged(), "env_key_2"));
	ck_assert_int_eq(keys_has(k, "env_key_0"), 1);
	ck_assert_int_eq(keys_has(k, "env_key_2"), 1);
	ck_assert_int_eq(keys_has(k, "env_key_3"), 0);
	{
		struct key key = make("stored", NOW, secret);

		ck_assert_int_eq(keys_has(k, key.id), 1);
		ck_assert_int_eq(keys_delete(folder, key.id), KEYS_OK);
		ck_assert_int_eq(keys_has(k, key.id), 0);
		ck_assert_int_eq(keys_delete(folder, key.id), KEYS_UNKNOWN);
	}
	keys_close(k);
	keys_close(NULL);
}
END_TEST

/* Or else disabling it would have no effect. */
START_TEST(the_store_wins_over_the_environment)
{
	char secret[KEYS_SECRET_SIZE];
	struct key key = make("one", NOW, secret);
	struct keys *k = open_keys(secret);

	key.disabled = 1;
	ck_assert_int_eq(keys_save(folder, &key), KEYS_OK);
	ck_assert_int_eq(verify(k, secret, NOW), KEYS_DISABLED);
	keys_close(k);
}
END_TEST

static void
overwrite(const char *text)
{
	FILE *f = fopen(store, "w");

	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(text, f), 0);
	ck_assert_int_eq(fclose(f), 0);
	db_watch_wait();
}

START_TEST(an_unreadable_store_lets_nobody_in_and_heals)
{
	char secret[KEYS_SECRET_SIZE], saved[128], damaged[128];
	struct keys *k;

	(void)make("one", NOW, secret);
	k = open_keys("environment");
	ck_assert_int_eq(verify(k, secret, NOW), KEYS_OK);
	ck_assert_int_eq(keys_check(k), KEYS_OK);
	snprintf(saved, sizeof(saved), "%s.saved", store);
	snprintf(damaged, sizeof(damaged), "%s.damaged", store);
	ck_assert_int_eq(rename(store, saved), 0);
	overwrite("damaged");
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(verify(k, secret, NOW), KEYS_ERROR);
		ck_assert_int_eq(verify(k, "environment", NOW), KEYS_ERROR);
		ck_assert_int_eq(verify(k, "nobody", NOW), KEYS_ERROR);
		ck_assert_int_eq(verify(k, "", NOW), KEYS_ERROR);
		ck_assert_int_eq(keys_check(k), KEYS_ERROR);
	}
	ck_assert_int_eq(rename(store, damaged), 0);
	/* Gone is not empty. */
	ck_assert_int_eq(verify(k, secret, NOW), KEYS_ERROR);
	ck_assert_int_eq(verify(k, "environment", NOW), KEYS_ERROR);
	ck_assert_int_eq(keys_check(k), KEYS_ERROR);
	ck_assert_int_eq(rename(saved, store), 0);
	ck_assert_int_eq(verify(k, secret, NOW), KEYS_OK);
	ck_assert_int_eq(keys_check(k), KEYS_OK);
	ck_assert_int_eq(rename(damaged, store), 0);
	keys_close(k);
	k = open_keys("environment");
	ck_assert_int_eq(verify(k, "environment", NOW), KEYS_ERROR);
	ck_assert_int_eq(unlink(store), 0);
	ck_assert_int_eq(verify(k, "environment", NOW), KEYS_OK);
	keys_close(k);
}
END_TEST

START_TEST(without_a_folder_nobody_gets_in)
{
	struct keys *k = keys_open("/tmp/check_keys.absent", "environment");

	ck_assert_ptr_nonnull(k);
	ck_assert_int_eq(verify(k, "environment", NOW), KEYS_ERROR);
	ck_assert_int_eq(keys_check(k), KEYS_ERROR);
	keys_close(k);
}
END_TEST

static int
count_lines(const char *path)
{
	FILE *f = fopen(path, "r");
	int c, lines = 0;

	ck_assert_ptr_nonnull(f);
	while ((c = getc(f)) != EOF)
		lines += c == '\n';
	ck_assert_int_eq(fclose(f), 0);
	return lines;
}

/* One line for each second that passes, not for each request. */
START_TEST(a_broken_store_does_not_flood_the_log)
{
	char log[128], secret[KEYS_SECRET_SIZE], name[128];
	struct key key = make("one", NOW, secret);
	struct keys *k = open_keys(NULL);
	time_t start = time(NULL);
	int fd, lines;

	name_by_id(name, &key);
	put_raw(name, "{}");
	snprintf(log, sizeof(log), "%s/log", folder);
	fd = open(log, O_WRONLY | O_CREAT, 0600);
	ck_assert_int_eq(dup2(fd, 2), 2);
	for (int i = 0; i < 500; i++)
		ck_assert_int_eq(verify(k, secret, NOW), KEYS_ERROR);
	overwrite("damaged");
	for (int i = 0; i < 500; i++)
		ck_assert_int_eq(verify(k, secret, NOW), KEYS_ERROR);
	lines = count_lines(log);
	ck_assert_int_ge(lines, 2);
	ck_assert_int_le(lines, 2 * (2 + (int)(time(NULL) - start)));
	keys_close(k);
}
END_TEST

static const struct {
	const char *what, *text;
} damaged[] = {
	{ "no JSON", "" },
	{ "cut short", "{\"version\":1" },
	{ "more behind it", "{\"version\":1}x" },
	{ "an array", "[]" },
	{ "no version", "{\"hash\":\"@\"}" },
	{ "a later version", "{\"version\":2,\"hash\":\"@\"}" },
	{ "no hash", "{\"version\":1}" },
	{ "a short hash", "{\"version\":1,\"hash\":\"00\"}" },
	{ "another hash",
	    "{\"version\":1,\"hash\":\"00000000000000000000000000000000"
	    "00000000000000000000000000000000\"}" },
	{ "a label that is no text",
	    "{\"version\":1,\"hash\":\"@\",\"label\":1}" },
	{ "a NUL in the label",
	    "{\"version\":1,\"hash\":\"@\",\"label\":\"a\\u0000\"}" },
	{ "disabled is text",
	    "{\"version\":1,\"hash\":\"@\",\"disabled\":\"true\"}" },
	{ "expires is null",
	    "{\"version\":1,\"hash\":\"@\",\"expires\":null}" },
	{ "expires has a fraction",
	    "{\"version\":1,\"hash\":\"@\",\"expires\":1.5}" },
	{ "expires before the epoch",
	    "{\"version\":1,\"hash\":\"@\",\"expires\":-1}" },
	{ "a negative limit",
	    "{\"version\":1,\"hash\":\"@\",\"rate_limit\":-1}" },
	{ "a label that is no UTF-8",
	    "{\"version\":1,\"hash\":\"@\",\"label\":\"\xff\"}" },
	{ "a text that is too long",
	    "{\"version\":1,\"hash\":\"@\",\"last4\":\"abcde\"}" },
	{ "a limit beyond all numbers",
	    "{\"version\":1,\"hash\":\"@\","
	    "\"rate_limit\":99999999999999999999}" },
	{ "a comma too many", "{\"version\":1,\"hash\":\"@\",}" },
	{ "models that are none",
	    "{\"version\":1,\"hash\":\"@\",\"models\":\"a,,b\"}" },
};

START_TEST(a_damaged_record_stops_only_its_key)
{
	char secret[KEYS_SECRET_SIZE], second[KEYS_SECRET_SIZE], name[128];
	char text[512], hex[65] = "", *at;
	struct key key = make("one", NOW, secret);
	struct keys *k = open_keys("environment");
	struct buf record = BUF(4096);

	(void)make("two", NOW, second);
	name_by_id(name, &key);
	get_raw(name, &record);
	at = strstr(record.data, "\"hash\":\"");
	ck_assert_ptr_nonnull(at);
	memcpy(hex, at + 8, 64);
	for (size_t i = 0; i < ELEMENTS(damaged); i++) {
		const char *place = strchr(damaged[i].text, '@');

		if (place != NULL)
			snprintf(text, sizeof(text), "%.*s%s%s",
			    (int)(place - damaged[i].text), damaged[i].text,
			    hex, place + 1);
		else
			snprintf(text, sizeof(text), "%s", damaged[i].text);
		put_raw(name, text);
		ck_assert_msg(verify(k, secret, NOW) == KEYS_ERROR, "%s",
		    damaged[i].what);
		ck_assert_int_eq(verify(k, second, NOW), KEYS_OK);
		ck_assert_int_eq(verify(k, "nobody", NOW), KEYS_UNKNOWN);
		ck_assert_int_eq(verify(k, "environment", NOW), KEYS_OK);
	}
	snprintf(text, sizeof(text), "{\"version\":1,\"hash\":\"%s\"}", hex);
	put_raw(name, text); /* the rows differ from this one */
	ck_assert_int_eq(verify(k, secret, NOW), KEYS_OK);
	/* Of one that is not let in no more is read than of an unknown one. */
	snprintf(text, sizeof(text),
	    "{\"version\":1,\"hash\":\"%s\",\"disabled\":true,\"label\":1}",
	    hex);
	put_raw(name, text);
	ck_assert_int_eq(verify(k, secret, NOW), KEYS_DISABLED);
	buf_free(&record);
	keys_close(k);
}
END_TEST

START_TEST(a_hash_without_a_record_is_an_error)
{
	char secret[KEYS_SECRET_SIZE], name[128];
	struct key key = make("one", NOW, secret);
	struct keys *k = open_keys(NULL);
	struct db *db = db_edit(store);

	name_by_id(name, &key);
	ck_assert_int_eq(db_del(db, name), 1);
	ck_assert_int_eq(db_watch_commit(db), 0);
	ck_assert_int_eq(verify(k, secret, NOW), KEYS_ERROR);
	ck_assert_int_eq(verify(k, "nobody", NOW), KEYS_UNKNOWN);
	keys_close(k);
}
END_TEST

struct steps {
	long fetches, parses, objects, digests, of_nobody;
};

static struct steps
steps_of(struct keys *k, const char *token, enum keys_result expected)
{
	struct steps s;

	/* The first may open the store again. */
	ck_assert_int_eq(verify(k, token, NOW), expected);
	n_fetches = n_parses = n_parsed_objects = n_digests = 0;
	parsed_of_nobody = 0;
	ck_assert_int_eq(verify(k, token, NOW), expected);
	s.fetches = n_fetches;
	s.parses = n_parses;
	s.objects = n_parsed_objects;
	s.digests = n_digests;
	s.of_nobody = parsed_of_nobody;
	return s;
}

START_TEST(every_refusal_takes_the_same_steps)
{
	static const enum keys_result results[] = { KEYS_OK, KEYS_DISABLED,
		KEYS_EXPIRED, KEYS_UNKNOWN, KEYS_MALFORMED, KEYS_MALFORMED,
		KEYS_OK };
	char secrets[3][KEYS_SECRET_SIZE];
	const char *tokens[] = { secrets[0], secrets[1], secrets[2], "nobody",
		"", "a\tb", "environment" };
	struct key key;
	struct keys *k = open_keys("other,environment,third");
	struct steps first, s;

	/* In an empty store the decoy is no record of the store. */
	s = steps_of(k, "nobody", KEYS_UNKNOWN);
	ck_assert_int_eq(s.parses, 1);
	ck_assert_int_eq(s.objects, 1);
	ck_assert_int_eq(s.of_nobody, 1);
	(void)make("good", NOW, secrets[0]);
	key = make("disabled", NOW, secrets[1]);
	key.disabled = 1;
	ck_assert_int_eq(keys_save(folder, &key), KEYS_OK);
	key = make("expired", NOW, secrets[2]);
	key.expires = NOW;
	ck_assert_int_eq(keys_save(folder, &key), KEYS_OK);
	/* Who is let in shows anyway: that may be quick. */
	s = steps_of(k, tokens[0], results[0]);
	ck_assert_int_eq(s.fetches, 0);
	ck_assert_int_eq(s.parses, 0);
	ck_assert_int_eq(s.digests, 1);
	first = steps_of(k, tokens[1], results[1]);
	ck_assert_int_eq(first.fetches, 2);
	ck_assert_int_eq(first.objects, 1);
	ck_assert_int_eq(first.digests, 1);
	ck_assert_int_eq(first.of_nobody, 0);
	for (size_t i = 1; i < ELEMENTS(results); i++) {
		s = steps_of(k, tokens[i], results[i]);
		ck_assert_mem_eq(&s, &first, sizeof(s));
	}
	keys_close(k);
}
END_TEST

/* More keys than are remembered, so that they take each other's places. */
START_TEST(keys_used_of_late_are_not_mixed_up)
{
	const int n = 3000;
	struct keys_edit *e = keys_edit(folder);
	struct keys *k = open_keys(NULL);
	struct key found;
	char token[16];

	ck_assert_ptr_nonnull(e);
	for (int i = 0; i < n; i++) {
		struct key key = { .created = NOW };
		unsigned char hash[SECRET_DIGEST_LEN];

		snprintf(token, sizeof(token), "token %d", i);
		snprintf(key.id, sizeof(key.id), "key_%d", i);
		snprintf(key.last4, sizeof(key.last4), "0000");
		secret_sha256(hash, token, strlen(token));
		ck_assert_int_eq(keys_edit_add(e, &key, hash), KEYS_OK);
	}
	ck_assert_int_eq(keys_edit_commit(e), KEYS_OK);
	for (int i = 0; i < 3 * n; i++) {
		snprintf(token, sizeof(token), "token %d", i % n);
		ck_assert_int_eq(
		    keys_verify(k, token, strlen(token), NOW, &found), KEYS_OK);
		ck_assert_int_eq(strncmp(found.id, "key_", 4), 0);
		ck_assert_str_eq(found.id + 4, token + 6);
		ck_assert_int_eq(keys_has_still(k, &found), 1);
	}
	keys_close(k);
}
END_TEST

START_TEST(a_key_used_of_late_ends_when_it_is_to)
{
	char secret[KEYS_SECRET_SIZE];
	struct key key = make("one", NOW, secret), found;
	struct keys *k = open_keys(NULL);

	key.expires = NOW + 10;
	ck_assert_int_eq(keys_save(folder, &key), KEYS_OK);
	ck_assert_int_eq(verify(k, secret, NOW), KEYS_OK);
	ck_assert_int_eq(verify(k, secret, NOW + 9), KEYS_OK);
	ck_assert_int_eq(verify(k, secret, NOW + 10), KEYS_EXPIRED);
	ck_assert_int_eq(
	    keys_verify(k, secret, strlen(secret), NOW, &found), KEYS_OK);
	ck_assert_int_eq(keys_has_still(k, &found), 1);
	key.disabled = 1;
	ck_assert_int_eq(keys_save(folder, &key), KEYS_OK);
	ck_assert_int_eq(verify(k, secret, NOW), KEYS_DISABLED);
	ck_assert_int_eq(keys_has_still(k, &found), 1);
	ck_assert_int_eq(keys_delete(folder, key.id), KEYS_OK);
	ck_assert_int_eq(keys_has_still(k, &found), 0);
	ck_assert_int_eq(verify(k, secret, NOW), KEYS_UNKNOWN);
	keys_close(k);
}
END_TEST

START_TEST(settings_are_kept_and_changed)
{
	char secret[KEYS_SECRET_SIZE];
	struct key key =
	    make("Rescue coordination \xc3\xa9\xe2\x9c\x93", NOW, secret);
	struct key read;

	key.expires = 253402300799;
	key.prompt_cache = 1;
	key.rate_limit = 1;
	key.tokens_per_minute = 1000000000000;
	key.parallel = 3;
	key.budget_eur = 1000000000000000;
	key.budget_tokens = 1000000;
	ck_assert_int_eq(key_set_models(&key, "standin/k=v, b:c"), 0);
	ck_assert_int_eq(keys_save(folder, &key), KEYS_OK);
	ck_assert_int_eq(keys_load(folder, key.id, &read), KEYS_OK);
	ck_assert_mem_eq(&read, &key, sizeof(key));
	ck_assert_int_eq(keys_load(folder, "key_0", &read), KEYS_UNKNOWN);
	ck_assert_int_eq(keys_load(folder, "", &read), KEYS_UNKNOWN);
	snprintf(key.id, sizeof(key.id), "key_0");
	ck_assert_int_eq(keys_save(folder, &key), KEYS_UNKNOWN);
	ck_assert_int_eq(keys_delete(folder, "key_0"), KEYS_UNKNOWN);
}
END_TEST

START_TEST(members_of_a_later_version_survive_a_change)
{
	char secret[KEYS_SECRET_SIZE], name[128], text[1024];
	struct key key = make("one", NOW, secret), successor;
	struct buf record = BUF(4096);

	name_by_id(name, &key);
	get_raw(name, &record);
	snprintf(text, sizeof(text), "{\"budget\":{\"eur\":1.50,\"n\":[1]},%s",
	    record.data + 1);
	put_raw(name, text);
	key.rate_limit = 5;
	ck_assert_int_eq(keys_save(folder, &key), KEYS_OK);
	get_raw(name, &record);
	ck_assert_ptr_nonnull(
	    strstr(record.data, "\"budget\":{\"eur\":1.50,\"n\":[1]}"));
	ck_assert_ptr_nonnull(strstr(record.data, "\"rate_limit\":5"));
	ck_assert_int_eq(
	    keys_rotate(folder, key.id, NOW, 60, &successor, secret), KEYS_OK);
	get_raw(name, &record);
	ck_assert_ptr_nonnull(strstr(record.data, "\"budget\":"));
	buf_free(&record);
}
END_TEST

/* Found by a fuzzer: what reads a record overlooks more than what writes it. */
START_TEST(a_record_damaged_where_it_is_unknown_can_be_disabled)
{
	char secret[KEYS_SECRET_SIZE], name[128], text[1024];
	struct key key = make("one", NOW, secret);
	struct buf record = BUF(4096);
	struct keys *k = open_keys(NULL);

	name_by_id(name, &key);
	get_raw(name, &record);
	snprintf(text, sizeof(text), "{\"later\xff\":1,%s", record.data + 1);
	put_raw(name, text);
	ck_assert_int_eq(verify(k, secret, NOW), KEYS_OK);
	key.disabled = 1;
	ck_assert_int_eq(keys_save(folder, &key), KEYS_OK);
	ck_assert_int_eq(verify(k, secret, NOW), KEYS_DISABLED);
	buf_free(&record);
	keys_close(k);
}
END_TEST

START_TEST(hostile_labels_are_refused)
{
	static const struct {
		const char *label;
		int good;
	} rows[] = {
		{ "", 1 },
		{ "Witness \xe2\x80\x9csix\xe2\x80\x9d <script>", 1 },
		{ "\xf0\x9f\x90\x96", 1 },
		{ "\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf", 1 },
		{ "a\nb", 0 },
		{ "a\x1b[2J", 0 },
		{ "a\x7f", 0 },
		{ "\xc2\x85", 0 }, /* next line */
		{ "\xc2\x9b", 0 }, /* control sequence introducer */
		{ "\xe2\x80\xae"
		  "abc",
		    0 }, /* right-to-left override */
		{ "\xe2\x81\xa6", 0 }, /* isolate */
		{ "\xe2\x80\xa8", 0 }, /* line separator */
		{ "\xff", 0 },
		{ "\x80", 0 },
		{ "\xc3", 0 }, /* cut short */
		{ "\xe2\x82", 0 },
		{ "\xf0\x9f\x90", 0 },
		{ "\xc0\xaf", 0 }, /* overlong */
		{ "\xe0\x80\xaf", 0 },
		{ "\xf0\x80\x80\xaf", 0 },
		{ "\xed\xa0\x80", 0 }, /* surrogate */
		{ "\xf4\x90\x80\x80", 0 }, /* past the last */
		{ "\xf5\x80\x80\x80", 0 },
	};
	char secret[KEYS_SECRET_SIZE];

	for (size_t i = 0; i < ELEMENTS(rows); i++) {
		struct key key = { 0 };

		snprintf(key.label, sizeof(key.label), "%s", rows[i].label);
		memset(secret, 'x', sizeof(secret));
		ck_assert_msg((keys_create(folder, &key, NOW, secret) ==
				  KEYS_OK) == rows[i].good,
		    "row %zu", i);
		if (!rows[i].good) {
			ck_assert_int_eq(secret[0], 0);
			ck_assert_str_eq(key.id, "");
		}
	}
}
END_TEST

START_TEST(model_lists)
{
	static const struct {
		const char *list, *models;
	} rows[] = {
		{ "all", "" },
		{ "a", "a" },
		{ " gpt-oss-120b , a/b:c=d+e@f_1.0 ",
		    "gpt-oss-120b,a/b:c=d+e@f_1.0" },
		{ "a,b,a,c,b", "a,b,c" },
		{ "a,ab,b", "a,ab,b" },
		{ "", NULL },
		{ ",", NULL },
		{ "a,", NULL },
		{ ",a", NULL },
		{ "a,,b", NULL },
		{ "a b", NULL },
		{ "a;b", NULL },
		{ "a\n", NULL },
		{ "\"a\"", NULL },
		{ "mod\xc3\xa8le", NULL },
	};
	char longest[KEYS_MODELS_SIZE + 1] = "";
	struct key key = { .id = "key_1" };

	for (size_t i = 0; i < ELEMENTS(rows); i++) {
		int good = rows[i].models != NULL;

		snprintf(key.models, sizeof(key.models), "before");
		ck_assert_msg(
		    key_set_models(&key, rows[i].list) == (good ? 0 : -1),
		    "row %zu", i);
		ck_assert_str_eq(key.models, good ? rows[i].models : "before");
		ck_assert_ptr_null(key_problem(&key));
	}
	memset(longest, 'a', KEYS_MODELS_SIZE - 1);
	ck_assert_int_eq(key_set_models(&key, longest), 0);
	longest[KEYS_MODELS_SIZE - 1] = 'a';
	ck_assert_int_eq(key_set_models(&key, longest), -1);
}
END_TEST

START_TEST(a_key_allows_the_models_it_names)
{
	struct key key = { .models = "b,abc" };

	ck_assert_int_eq(key_allows(&key, "abc"), 1);
	ck_assert_int_eq(key_allows(&key, "b"), 1);
	ck_assert_int_eq(key_allows(&key, "a"), 0);
	ck_assert_int_eq(key_allows(&key, "ab"), 0);
	ck_assert_int_eq(key_allows(&key, "bc"), 0);
	ck_assert_int_eq(key_allows(&key, "abcd"), 0);
	ck_assert_int_eq(key_allows(&key, "ABC"), 0);
	ck_assert_int_eq(key_allows(&key, "b,abc"), 0);
	ck_assert_int_eq(key_allows(&key, ""), 0);
	key.models[0] = '\0';
	ck_assert_int_eq(key_allows(&key, "anything"), 1);
	ck_assert_int_eq(key_allows(&key, ""), 1);
}
END_TEST

START_TEST(what_is_out_of_bounds_is_not_stored)
{
	char secret[KEYS_SECRET_SIZE];
	struct key good = make("one", NOW, secret), key = good;
	int64_t *const fields[] = { &key.created, &key.expires, &key.rate_limit,
		&key.tokens_per_minute, &key.parallel, &key.budget_eur,
		&key.budget_tokens };

	for (size_t i = 0; i < ELEMENTS(fields); i++) {
		key = good;
		*fields[i] = -1;
		ck_assert_int_eq(keys_save(folder, &key), KEYS_MALFORMED);
		*fields[i] = INT64_MAX;
		ck_assert_int_eq(keys_save(folder, &key), KEYS_MALFORMED);
	}
	key = good;
	snprintf(key.successor, sizeof(key.successor), "../secret");
	ck_assert_int_eq(keys_save(folder, &key), KEYS_MALFORMED);
	snprintf(key.id, sizeof(key.id), "a b");
	key.successor[0] = '\0';
	ck_assert_int_eq(
	    keys_add(folder, &key, (unsigned char[32]){ 1 }), KEYS_MALFORMED);
	key.id[0] = '\0';
	ck_assert_int_eq(
	    keys_add(folder, &key, (unsigned char[32]){ 1 }), KEYS_MALFORMED);
}
END_TEST

START_TEST(rotation_makes_a_successor_and_a_grace)
{
	char secret[KEYS_SECRET_SIZE], fresh[KEYS_SECRET_SIZE];
	struct key key = make("one", NOW, secret), successor, old;
	struct keys *k = open_keys(NULL);

	key.rate_limit = 7;
	key.prompt_cache = 1;
	snprintf(key.models, sizeof(key.models), "a,b");
	ck_assert_int_eq(keys_save(folder, &key), KEYS_OK);
	ck_assert_int_eq(
	    keys_rotate(folder, key.id, NOW + 1000, 60, &successor, fresh),
	    KEYS_OK);
	ck_assert_str_ne(fresh, secret);
	ck_assert_str_ne(successor.id, key.id);
	ck_assert_str_eq(successor.label, key.label);
	ck_assert_str_eq(successor.models, "a,b");
	ck_assert_str_eq(successor.last4, fresh + 42);
	ck_assert_str_eq(successor.successor, "");
	ck_assert_int_eq(successor.rate_limit, 7);
	ck_assert_int_eq(successor.prompt_cache, 1);
	ck_assert_int_eq(successor.created, NOW + 1000);
	ck_assert_int_eq(successor.expires, 0);
	ck_assert_int_eq(keys_load(folder, key.id, &old), KEYS_OK);
	ck_assert_str_eq(old.successor, successor.id);
	ck_assert_int_eq(verify(k, fresh, NOW + 1000), KEYS_OK);
	ck_assert_int_eq(verify(k, secret, NOW + 1059), KEYS_OK);
	ck_assert_int_eq(verify(k, secret, NOW + 1060), KEYS_EXPIRED);
	ck_assert_int_eq(
	    keys_rotate(folder, "key_0", NOW, 60, &successor, fresh),
	    KEYS_UNKNOWN);
	keys_close(k);
}
END_TEST

START_TEST(rotation_and_expiry)
{
	char secret[KEYS_SECRET_SIZE];
	struct key key = make("one", NOW, secret), successor, old;

	key.expires = NOW + 1000;
	ck_assert_int_eq(keys_save(folder, &key), KEYS_OK);
	/* Near its end the grace must not make it live longer. */
	ck_assert_int_eq(
	    keys_rotate(folder, key.id, NOW + 990, 60, &successor, secret),
	    KEYS_OK);
	ck_assert_int_eq(successor.expires, NOW + 990 + 1000);
	ck_assert_int_eq(keys_load(folder, key.id, &old), KEYS_OK);
	ck_assert_int_eq(old.expires, NOW + 1000);
	ck_assert_int_eq(
	    keys_rotate(folder, successor.id, NOW + 995, 0, &old, secret),
	    KEYS_OK);
	ck_assert_int_eq(keys_load(folder, successor.id, &key), KEYS_OK);
	ck_assert_int_eq(key.expires, NOW + 995);
	key.disabled = 1;
	ck_assert_int_eq(keys_save(folder, &key), KEYS_OK);
	ck_assert_int_eq(
	    keys_rotate(folder, key.id, NOW, 60, &old, secret), KEYS_DISABLED);
	ck_assert_int_eq(secret[0], 0);
}
END_TEST

static const unsigned char hash_key[SECRET_DIGEST_LEN] = { 1 };

/* The ids of those that share a budget, with blanks between. */
static const char *
family_of(struct keys *k, const struct key *key)
{
	static char text[1024];
	struct buf ids = BUF(4096), loaded = BUF(4096);
	size_t n = 0;

	ck_assert_int_eq(keys_family(k, key, &ids), 0);
	ck_assert_int_eq(keys_family_load(folder, key, &loaded), 0);
	ck_assert_uint_eq(ids.len, loaded.len);
	ck_assert_mem_eq(ids.data, loaded.data, ids.len);
	for (size_t at = 0; at < ids.len; at += strlen(ids.data + at) + 1)
		n += (size_t)snprintf(
		    text + n, sizeof(text) - n, "%s ", ids.data + at);
	buf_free(&ids);
	buf_free(&loaded);
	return text;
}

/* Found out or remembered, of the store or of the environment. */
START_TEST(who_a_key_counts_as_comes_with_it)
{
	char secret[KEYS_SECRET_SIZE];
	struct key made = make("one", NOW, secret), found;
	struct keys *k = open_keys("environment");
	const char *tokens[] = { secret, secret, "environment" };

	ck_assert_int_eq(
	    keys_verify(k, secret, strlen(secret), NOW, &found), KEYS_OK);
	ck_assert_uint_eq(found.who, 0); /* nobody said how to count */
	keys_close(k);
	k = open_keys("environment");
	keys_count_by(k, hash_key);
	for (size_t i = 0; i < ELEMENTS(tokens); i++) {
		ck_assert_int_eq(
		    keys_verify(k, tokens[i], strlen(tokens[i]), NOW, &found),
		    KEYS_OK);
		ck_assert_uint_eq(found.who, key_who(&found, hash_key));
		ck_assert_int_eq(found.who == key_who(&made, hash_key), i < 2);
	}
	keys_close(k);
}
END_TEST

START_TEST(a_rotated_key_and_its_successors_count_as_one)
{
	char secret[KEYS_SECRET_SIZE], text[4 * KEYS_ID_SIZE + 8];
	struct key first = make("one", NOW, secret), second, third, fourth;
	struct key other = make("other", NOW, secret), early = first;
	struct keys *k = open_keys(NULL);
	uint64_t who = key_who(&first, hash_key);

	snprintf(text, sizeof(text), "%s ", first.id);
	ck_assert_str_eq(family_of(k, &first), text);
	ck_assert_int_eq(
	    keys_rotate(folder, first.id, NOW, 60, &second, secret), KEYS_OK);
	ck_assert_int_eq(
	    keys_rotate(folder, second.id, NOW, 60, &third, secret), KEYS_OK);
	/* A second successor is of the family as well. */
	ck_assert_int_eq(
	    keys_rotate(folder, first.id, NOW, 60, &fourth, secret), KEYS_OK);
	ck_assert_int_eq(keys_load(folder, first.id, &first), KEYS_OK);
	ck_assert_uint_eq(key_who(&first, hash_key), who);
	ck_assert_uint_eq(key_who(&second, hash_key), who);
	ck_assert_uint_eq(key_who(&third, hash_key), who);
	ck_assert_uint_eq(key_who(&fourth, hash_key), who);
	ck_assert_uint_ne(key_who(&other, hash_key), who);
	snprintf(text, sizeof(text), "%s %s %s %s ", third.id, first.id,
	    second.id, fourth.id);
	ck_assert_str_eq(family_of(k, &third), text);
	/* Nor is one forgotten by who read the key before the rotation. */
	ck_assert_ptr_nonnull(strstr(family_of(k, &early), fourth.id));
	keys_close(k);
}
END_TEST

START_TEST(a_family_keeps_the_deleted_and_forgets_the_erased)
{
	char secret[KEYS_SECRET_SIZE], text[4 * KEYS_ID_SIZE + 8];
	struct key first = make("one", NOW, secret), second, third;
	struct keys *k = open_keys(NULL);
	uint64_t who = key_who(&first, hash_key);

	ck_assert_int_eq(
	    keys_rotate(folder, first.id, NOW, 60, &second, secret), KEYS_OK);
	ck_assert_int_eq(
	    keys_rotate(folder, second.id, NOW, 60, &third, secret), KEYS_OK);
	ck_assert_int_eq(keys_delete(folder, second.id), KEYS_OK);
	ck_assert_ptr_nonnull(strstr(family_of(k, &third), second.id));
	ck_assert_int_eq(keys_erase(folder, second.id), KEYS_OK);
	ck_assert_ptr_null(strstr(family_of(k, &third), second.id));
	ck_assert_int_eq(keys_erase(folder, first.id), KEYS_OK);
	snprintf(text, sizeof(text), "%s ", third.id);
	ck_assert_str_eq(family_of(k, &third), text);
	ck_assert_int_eq(keys_load(folder, third.id, &third), KEYS_OK);
	ck_assert_uint_eq(key_who(&third, hash_key), who);
	keys_close(k);
}
END_TEST

/* A family of 65,536 bytes of ids: then the oldest goes, and no more. */
START_TEST(a_family_that_is_full_forgets_its_oldest)
{
	char secret[KEYS_SECRET_SIZE], id[KEYS_ID_SIZE], name[128];
	struct key key = make("one", NOW, secret);
	struct buf ids = BUF(2 * KEYS_MEMBERS_MAX);
	char family[KEYS_FAMILY_SIZE];
	const char *at;
	struct db *db = db_edit(store);
	int n = 0;

	keys_family_of(family, &key);
	/* At once: to add them one by one would take a while. */
	for (int i = 0; i < 1000; i++) {
		snprintf(id, sizeof(id), "key_%059d", i);
		ck_assert_int_eq(buf_add(&ids, id, sizeof(id)), 0);
	}
	snprintf(name, sizeof(name), KEYS_FAMILY "%s", family);
	ck_assert_int_eq(db_put(db, name, ids.data, ids.len), 0);
	for (int i = 1000; i < 1030; i++) {
		snprintf(id, sizeof(id), "key_%059d", i);
		ck_assert_int_eq(keys_family_add(db, family, id), 0);
	}
	buf_reset(&ids);
	ck_assert_int_eq(db_watch_commit(db), 0);
	ck_assert_int_eq(keys_family_load(folder, &key, &ids), 0);
	ck_assert_str_eq(ids.data, key.id);
	/* What is left is the newest, whole and in order. */
	at = ids.data + strlen(ids.data) + 1;
	n = (int)((ids.len - (size_t)(at - ids.data)) / KEYS_ID_SIZE);
	ck_assert_int_eq(n, (int)(KEYS_MEMBERS_MAX / KEYS_ID_SIZE));
	for (int i = 1030 - n; i < 1030; i++, at += KEYS_ID_SIZE) {
		snprintf(id, sizeof(id), "key_%059d", i);
		ck_assert_str_eq(at, id);
	}
	ck_assert_ptr_eq(at, ids.data + ids.len);
	buf_free(&ids);
}
END_TEST

START_TEST(a_lockdown_refuses_every_key_and_ends)
{
	char secrets[2][KEYS_SECRET_SIZE];
	struct keys *k = open_keys("environment");
	struct key disabled;
	struct steps refused;

	(void)make("one", NOW, secrets[0]);
	disabled = make("two", NOW, secrets[1]);
	disabled.disabled = 1;
	ck_assert_int_eq(keys_save(folder, &disabled), KEYS_OK);
	ck_assert_int_eq(verify(k, secrets[0], NOW), KEYS_OK);
	ck_assert_int_eq(keys_are_locked(folder), 0);
	ck_assert_int_eq(keys_lock(folder, 1), KEYS_OK);
	ck_assert_int_eq(keys_are_locked(folder), 1);
	/* All the same, in steps as well. */
	refused = steps_of(k, secrets[0], KEYS_DISABLED);
	ck_assert_int_eq(refused.fetches, 2);
	ck_assert_int_eq(verify(k, secrets[1], NOW), KEYS_DISABLED);
	ck_assert_int_eq(verify(k, "environment", NOW), KEYS_DISABLED);
	ck_assert_int_eq(verify(k, "nobody", NOW), KEYS_DISABLED);
	/* A key made or changed meanwhile ends nothing. */
	(void)make("three", NOW, secrets[1]);
	ck_assert_int_eq(verify(k, secrets[1], NOW), KEYS_DISABLED);
	ck_assert_int_eq(keys_lock(folder, 1), KEYS_OK);
	ck_assert_int_eq(keys_lock(folder, 0), KEYS_OK);
	ck_assert_int_eq(verify(k, secrets[0], NOW), KEYS_OK);
	ck_assert_int_eq(verify(k, secrets[1], NOW), KEYS_OK);
	ck_assert_int_eq(verify(k, "environment", NOW), KEYS_OK);
	ck_assert_int_eq(keys_load(folder, disabled.id, &disabled), KEYS_OK);
	ck_assert_int_eq(disabled.disabled, 1);
	ck_assert_int_eq(keys_lock(folder, 0), KEYS_OK);
	keys_close(k);
}
END_TEST

static int
disable_but(struct key *key, void *label)
{
	if (strcmp(key->label, label) == 0)
		return 0;
	key->disabled = key->disabled_all = 1;
	return 1;
}

START_TEST(all_keys_change_at_once_but_those_that_are_to_stay)
{
	static const char *const labels[] = { "one", "two", "stays", "four" };
	char secrets[4][KEYS_SECRET_SIZE], stays[] = "stays";
	struct keys *k = open_keys(NULL);

	for (size_t i = 0; i < 4; i++)
		(void)make(labels[i], NOW, secrets[i]);
	ck_assert_int_eq(keys_change_all(folder, disable_but, stays), KEYS_OK);
	for (size_t i = 0; i < 4; i++)
		ck_assert_int_eq(verify(k, secrets[i], NOW),
		    i == 2 ? KEYS_OK : KEYS_DISABLED);
	keys_close(k);
}
END_TEST

struct seen {
	int n, stop_at;
	char labels[256];
};

static int
note(const struct key *key, const unsigned char hash[32], void *arg)
{
	struct seen *seen = arg;
	size_t len = strlen(seen->labels);

	(void)hash;
	snprintf(
	    seen->labels + len, sizeof(seen->labels) - len, "%s ", key->label);
	return ++seen->n == seen->stop_at ? 5 : 0;
}

START_TEST(keys_are_listed_oldest_first)
{
	char secret[KEYS_SECRET_SIZE], name[128];
	struct seen seen = { 0 };
	struct key key;

	ck_assert_int_eq(keys_each(folder, note, &seen), 0);
	ck_assert_int_eq(seen.n, 0);
	(void)make("c", NOW + 2, secret);
	(void)make("a", NOW, secret);
	key = make("b", NOW + 1, secret);
	(void)make("d", NOW + 3, secret);
	ck_assert_int_eq(keys_each(folder, note, &seen), 0);
	ck_assert_str_eq(seen.labels, "a b c d ");
	seen = (struct seen){ .stop_at = 2 };
	ck_assert_int_eq(keys_each(folder, note, &seen), 5);
	ck_assert_str_eq(seen.labels, "a b ");
	name_by_id(name, &key);
	put_raw(name, "damaged");
	seen = (struct seen){ 0 };
	ck_assert_int_eq(keys_each(folder, note, &seen), -1);
	ck_assert_str_eq(seen.labels, "a c d ");
	/* And it can be got rid of, with its hash. */
	ck_assert_int_eq(keys_load(folder, key.id, &key), KEYS_ERROR);
	ck_assert_int_eq(keys_save(folder, &key), KEYS_ERROR);
	ck_assert_int_eq(keys_delete(folder, key.id), KEYS_OK);
	seen = (struct seen){ 0 };
	ck_assert_int_eq(keys_each(folder, note, &seen), 0);
	ck_assert_str_eq(seen.labels, "a c d ");
	overwrite("damaged");
	ck_assert_int_eq(keys_each(folder, note, &seen), -1);
}
END_TEST

static int
count_record(const char *key, const char *val, size_t len, void *arg)
{
	(void)key;
	(void)val;
	(void)len;
	++*(int *)arg;
	return 0;
}

START_TEST(deleting_leaves_no_record)
{
	char secret[KEYS_SECRET_SIZE];
	struct key first = make("one", NOW, secret);
	struct key second = make("two", NOW, secret);
	struct db *db;
	int n = 0;

	ck_assert_int_eq(keys_delete(folder, first.id), KEYS_OK);
	ck_assert_int_eq(keys_delete(folder, first.id), KEYS_UNKNOWN);
	ck_assert_int_eq(keys_delete(folder, second.id), KEYS_OK);
	db = db_open(store);
	ck_assert_int_eq(db_each(db, "", count_record, &n), 0);
	ck_assert_int_eq(n, 0);
	db_close(db);
}
END_TEST

START_TEST(imports_are_all_or_nothing)
{
	struct key key = { .id = "legacy-1",
		.label = "old",
		.last4 = "wxyz",
		.created = NOW };
	unsigned char hash[32];
	struct keys_edit *e;
	struct keys *k = open_keys(NULL);

	secret_sha256(hash, "the key", 7);
	e = keys_edit(folder);
	ck_assert_ptr_nonnull(e);
	ck_assert_int_eq(keys_edit_add(e, &key, hash), KEYS_OK);
	keys_edit_close(e);
	ck_assert_int_eq(verify(k, "the key", NOW), KEYS_UNKNOWN);
	e = keys_edit(folder);
	ck_assert_int_eq(keys_edit_add(e, &key, hash), KEYS_OK);
	ck_assert_int_eq(verify(k, "the key", NOW), KEYS_UNKNOWN);
	hash[0] ^= 1;
	ck_assert_int_eq(keys_edit_add(e, &key, hash), KEYS_EXISTS);
	snprintf(key.id, sizeof(key.id), "legacy-2");
	hash[0] ^= 1;
	ck_assert_int_eq(keys_edit_add(e, &key, hash), KEYS_EXISTS);
	ck_assert_int_eq(keys_edit_commit(e), KEYS_OK);
	ck_assert_int_eq(verify(k, "the key", NOW), KEYS_OK);
	ck_assert_int_eq(keys_add(folder, &key, hash), KEYS_EXISTS);
	hash[0] ^= 1;
	ck_assert_int_eq(keys_add(folder, &key, hash), KEYS_OK);
	keys_close(k);
}
END_TEST

/* What the editing process shares with the threads that verify. */
struct arena {
	_Atomic int64_t published; /* what the store says, at least */
	_Atomic int stop;
	struct keys *keys;
	char secret[KEYS_SECRET_SIZE], other[KEYS_SECRET_SIZE];
	_Atomic long verified, wrong;
};

static void *
verify_for_ever(void *arg)
{
	struct arena *a = arg;
	struct key key;

	do {
		int64_t least = a->published;

		if (keys_verify(a->keys, a->secret, strlen(a->secret), NOW,
			&key) != KEYS_OK ||
		    key.rate_limit < least)
			a->wrong++;
		if (verify(a->keys, a->other, NOW) != KEYS_DISABLED ||
		    verify(a->keys, "nobody", NOW) != KEYS_UNKNOWN)
			a->wrong++;
		a->verified++;
	} while (!a->stop);
	return NULL;
}

static void
publish_changes(struct arena *a, struct key *key)
{
	for (int i = 1; i <= 150; i++) {
		key->rate_limit = i;
		/* Of changing length, so that everything moves. */
		memset(key->label, 'x', (size_t)(i % 100));
		key->label[i % 100] = '\0';
		if (keys_save(folder, key) != KEYS_OK)
			_exit(1);
		a->published = i;
	}
	_exit(0);
}

START_TEST(threads_never_see_less_than_was_published)
{
	struct arena *a = mmap(NULL, sizeof(*a), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_t threads[64];
	struct key key, other;
	int status;
	pid_t editor;

	ck_assert_ptr_ne(a, MAP_FAILED);
	key = make("one", NOW, a->secret);
	other = make("two", NOW, a->other);
	other.disabled = 1;
	ck_assert_int_eq(keys_save(folder, &other), KEYS_OK);
	a->keys = open_keys("environment");
	editor = fork();
	ck_assert_int_ne(editor, -1);
	if (editor == 0)
		publish_changes(a, &key);
	for (size_t i = 0; i < ELEMENTS(threads); i++)
		ck_assert_int_eq(
		    pthread_create(&threads[i], NULL, verify_for_ever, a), 0);
	ck_assert_int_eq(waitpid(editor, &status, 0), editor);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	a->stop = 1;
	for (size_t i = 0; i < ELEMENTS(threads); i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	ck_assert_int_eq(a->wrong, 0);
	ck_assert_int_ge(a->verified, 64);
	keys_close(a->keys);
}
END_TEST

static TCase *
cases(void)
{
	TCase *t = tcase_create("keys");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, a_new_key_gets_in_as_itself);
	tcase_add_test(t, the_store_holds_no_key);
	tcase_add_test(t, everybody_else_stays_out);
	tcase_add_test(t, a_key_ends_with_its_last_second);
	tcase_add_test(t, a_change_is_in_force_at_once);
	tcase_add_test(t, keys_of_the_environment);
	tcase_add_test(t, which_keys_there_are);
	tcase_add_test(t, the_store_wins_over_the_environment);
	tcase_add_test(t, an_unreadable_store_lets_nobody_in_and_heals);
	tcase_add_test(t, without_a_folder_nobody_gets_in);
	tcase_add_test(t, a_broken_store_does_not_flood_the_log);
	tcase_add_test(t, a_damaged_record_stops_only_its_key);
	tcase_add_test(t, a_hash_without_a_record_is_an_error);
	tcase_add_test(t, every_refusal_takes_the_same_steps);
	tcase_add_test(t, keys_used_of_late_are_not_mixed_up);
	tcase_add_test(t, a_key_used_of_late_ends_when_it_is_to);
	tcase_add_test(t, settings_are_kept_and_changed);
	tcase_add_test(t, members_of_a_later_version_survive_a_change);
	tcase_add_test(t, a_record_damaged_where_it_is_unknown_can_be_disabled);
	tcase_add_test(t, hostile_labels_are_refused);
	tcase_add_test(t, model_lists);
	tcase_add_test(t, a_key_allows_the_models_it_names);
	tcase_add_test(t, what_is_out_of_bounds_is_not_stored);
	tcase_add_test(t, rotation_makes_a_successor_and_a_grace);
	tcase_add_test(t, rotation_and_expiry);
	tcase_add_test(t, who_a_key_counts_as_comes_with_it);
	tcase_add_test(t, a_rotated_key_and_its_successors_count_as_one);
	tcase_add_test(t, a_family_keeps_the_deleted_and_forgets_the_erased);
	tcase_add_test(t, a_family_that_is_full_forgets_its_oldest);
	tcase_add_test(t, all_keys_change_at_once_but_those_that_are_to_stay);
	tcase_add_test(t, a_lockdown_refuses_every_key_and_ends);
	tcase_add_test(t, keys_are_listed_oldest_first);
	tcase_add_test(t, deleting_leaves_no_record);
	tcase_add_test(t, imports_are_all_or_nothing);
	tcase_add_test(t, threads_never_see_less_than_was_published);
	return t;
}

int
main(void)
{
	return suite_run("keys", cases(), NULL);
}
