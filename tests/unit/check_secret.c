/* lib/secret: published vectors, and one secret per installation, safely. */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/secret.h"
#include "lib/text.h"
#include "tests/unit/suite.h"

#define LEN SECRET_DIGEST_LEN

static char folder[FOLDER_SIZE], path[128];

static void
setup(void)
{
	make_folder(folder);
	snprintf(path, sizeof(path), "%s/secret", folder);
}

/* What is left in the folder: a draft would be one entry too many. */
static int
entries(void)
{
	DIR *dir = opendir(folder);
	int n = 0;

	ck_assert_ptr_nonnull(dir);
	for (struct dirent *e; (e = readdir(dir)) != NULL;)
		n += e->d_name[0] != '.';
	closedir(dir);
	return n;
}

static void
teardown(void)
{
	char target[128];

	(void)unlink(path);
	(void)rmdir(path);
	snprintf(target, sizeof(target), "%s/target", folder);
	(void)unlink(target);
	ck_assert_int_eq(rmdir(folder), 0);
}

static void
put(const char *at, size_t n, mode_t mode)
{
	static const char bytes[64] = "0123456789abcdef0123456789abcdefg";
	int fd = open(at, O_WRONLY | O_CREAT | O_EXCL, mode);

	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(fchmod(fd, mode), 0);
	ck_assert_int_eq(write(fd, bytes, n), (ssize_t)n);
	close(fd);
}

static const char *
hex(const unsigned char digest[LEN])
{
	static char s[2 * LEN + 1];

	return text_hex(s, digest, LEN);
}

/* FIPS 180-2, appendix B; the empty message from NIST's test vectors. */
START_TEST(sha256_gives_the_published_digests)
{
	unsigned char out[LEN];
	char *many = malloc(1000000);

	secret_sha256(out, "", 0);
	ck_assert_str_eq(hex(out),
	    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	secret_sha256(out, "abc", 3);
	ck_assert_str_eq(hex(out),
	    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	secret_sha256(out,
	    "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56);
	ck_assert_str_eq(hex(out),
	    "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
	ck_assert_ptr_nonnull(many);
	memset(many, 'a', 1000000);
	secret_sha256(out, many, 1000000);
	ck_assert_str_eq(hex(out),
	    "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
	free(many);
}
END_TEST

/*
 * RFC 4231 with its keys filled up to 32 bytes by zeros, which HMAC does with
 * a short key anyway.
 */
START_TEST(hmac_gives_the_published_digests)
{
	unsigned char key[LEN] = { 0 }, out[LEN], data[50];

	memset(key, 0x0b, 20);
	secret_hmac(out, key, "Hi There", 8);
	ck_assert_str_eq(hex(out),
	    "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
	memset(key, 0, LEN);
	memcpy(key, "Jefe", 4);
	secret_hmac(out, key, "what do ya want for nothing?", 28);
	ck_assert_str_eq(hex(out),
	    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	memset(key, 0, LEN);
	memset(key, 0xaa, 20);
	memset(data, 0xdd, 50);
	secret_hmac(out, key, data, 50);
	ck_assert_str_eq(hex(out),
	    "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
	memset(key, 0, LEN);
	for (int i = 0; i < 25; i++)
		key[i] = (unsigned char)(i + 1);
	memset(data, 0xcd, 50);
	secret_hmac(out, key, data, 50);
	ck_assert_str_eq(hex(out),
	    "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b");
}
END_TEST

/* RFC 4648, 10, without padding; then each of the two changed letters. */
static const struct {
	const char *bytes;
	size_t n;
	const char *want;
} codes[] = {
	{ "", 0, "" },
	{ "f", 1, "Zg" },
	{ "fo", 2, "Zm8" },
	{ "foo", 3, "Zm9v" },
	{ "foob", 4, "Zm9vYg" },
	{ "fooba", 5, "Zm9vYmE" },
	{ "foobar", 6, "Zm9vYmFy" },
	{ "\xfb\xef\xbe", 3, "----" },
	{ "\xff\xff\xff", 3, "____" },
	{ "\0", 1, "AA" },
	{ "\0\0\0", 3, "AAAA" },
};

START_TEST(base64url_gives_the_published_texts)
{
	char *out = malloc(SECRET_BASE64_SIZE(codes[_i].n));

	ck_assert_ptr_nonnull(out);
	ck_assert_ptr_eq(
	    secret_base64url(
		out, (const unsigned char *)codes[_i].bytes, codes[_i].n),
	    out);
	ck_assert_str_eq(out, codes[_i].want);
	free(out);
}
END_TEST

START_TEST(equal_looks_at_every_byte)
{
	unsigned char a[LEN], b[LEN];

	secret_random(a, sizeof(a));
	memcpy(b, a, sizeof(a));
	ck_assert_int_eq(secret_equal(a, b, LEN), 1);
	ck_assert_int_eq(secret_equal(a, b, 0), 1);
	for (size_t at = 0; at < LEN; at++)
		for (int bit = 0; bit < 8; bit++) {
			b[at] ^= (unsigned char)(1 << bit);
			ck_assert_int_eq(secret_equal(a, b, LEN), 0);
			ck_assert_int_eq(secret_equal(a, b, at), 1);
			b[at] = a[at];
		}
}
END_TEST

START_TEST(random_bytes_differ_and_stay_in_their_place)
{
	unsigned char a[LEN + 2] = { 0 }, b[LEN + 2] = { 0 };

	secret_random(a + 1, LEN);
	secret_random(b + 1, LEN);
	ck_assert_mem_ne(a + 1, b + 1, LEN);
	ck_assert_int_eq(a[0] | a[LEN + 1], 0);
	secret_random(a, 0);
	secret_wipe(b + 1, LEN - 1);
	for (int i = 1; i < LEN; i++)
		ck_assert_int_eq(b[i], 0);
}
END_TEST

START_TEST(the_installation_keeps_its_secret)
{
	unsigned char first[LEN], again[LEN];
	struct stat st;

	umask(0);
	ck_assert_int_eq(secret_installation(folder, first), 0);
	ck_assert_int_eq(secret_installation(folder, again), 0);
	ck_assert_mem_eq(first, again, LEN);
	ck_assert_int_eq(lstat(path, &st), 0);
	ck_assert(S_ISREG(st.st_mode));
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	ck_assert_int_eq(st.st_size, LEN);
	ck_assert_uint_eq(st.st_nlink, 1);
	ck_assert_int_eq(entries(), 1);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(secret_installation(folder, again), 0);
	ck_assert_mem_ne(first, again, LEN);
}
END_TEST

#define RACERS 16

static void
race(int start, int answers)
{
	unsigned char mine[LEN] = { 0 };
	char go;

	/* Ends when the last writer closes: all start at once. */
	(void)!read(start, &go, 1);
	if (secret_installation(folder, mine) == -1)
		_exit(1);
	_exit(write(answers, mine, LEN) == LEN ? 0 : 1);
}

START_TEST(many_processes_at_once_agree_on_one)
{
	unsigned char first[LEN], other[LEN];
	int start[2], answers[2], status;

	ck_assert_int_eq(pipe(start), 0);
	ck_assert_int_eq(pipe(answers), 0);
	for (int i = 0; i < RACERS; i++)
		if (fork() == 0) {
			close(start[1]);
			race(start[0], answers[1]);
		}
	close(start[1]);
	ck_assert_int_eq(read(answers[0], first, LEN), LEN);
	for (int i = 1; i < RACERS; i++) {
		ck_assert_int_eq(read(answers[0], other, LEN), LEN);
		ck_assert_mem_eq(first, other, LEN);
	}
	for (int i = 0; i < RACERS; i++) {
		ck_assert_int_ne(wait(&status), -1);
		ck_assert_int_eq(status, 0);
	}
	ck_assert_int_eq(entries(), 1);
}
END_TEST

static const struct {
	const char *what;
	size_t n;
	mode_t mode;
	int result;
} files[] = {
	{ "32 bytes", 32, 0600, 0 },
	{ "32 bytes that cannot be written", 32, 0400, 0 },
	{ "an empty file", 0, 0600, -1 },
	{ "31 bytes", 31, 0600, -1 },
	{ "33 bytes", 33, 0600, -1 },
	{ "one that the group may read", 32, 0640, -1 },
	{ "one that anybody may read", 32, 0604, -1 },
	{ "one that anybody may write", 32, 0602, -1 },
};

/* And the file stays as it was: nothing is ever made anew over it. */
START_TEST(only_a_private_file_of_the_right_length_is_taken)
{
	unsigned char out[LEN] = { 0 };
	struct stat before, after;

	put(path, files[_i].n, files[_i].mode);
	ck_assert_int_eq(stat(path, &before), 0);
	ck_assert_msg(secret_installation(folder, out) == files[_i].result,
	    "%s", files[_i].what);
	if (files[_i].result == 0)
		ck_assert_mem_eq(out, "0123456789abcdef0123456789abcdef", LEN);
	else
		ck_assert_mem_eq(out, (unsigned char[LEN]){ 0 }, LEN);
	ck_assert_int_eq(stat(path, &after), 0);
	ck_assert_uint_eq(before.st_ino, after.st_ino);
	ck_assert_int_eq(before.st_size, after.st_size);
	ck_assert_int_eq(entries(), 1);
}
END_TEST

START_TEST(links_folders_and_pipes_are_refused)
{
	unsigned char out[LEN];
	char target[128];

	snprintf(target, sizeof(target), "%s/target", folder);
	put(target, LEN, 0600);
	ck_assert_int_eq(symlink(target, path), 0);
	ck_assert_int_eq(secret_installation(folder, out), -1);
	ck_assert_int_eq(unlink(target), 0);
	/* A link to nothing must not be written through either. */
	ck_assert_int_eq(secret_installation(folder, out), -1);
	ck_assert_int_eq(access(target, F_OK), -1);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_int_eq(secret_installation(folder, out), -1);
	ck_assert_int_eq(rmdir(path), 0);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(secret_installation(folder, out), -1);
}
END_TEST

START_TEST(a_folder_that_is_not_there_is_an_error)
{
	unsigned char out[LEN];
	char *name = malloc(8000);

	ck_assert_int_eq(secret_installation("/nonexistent", out), -1);
	ck_assert_ptr_nonnull(name);
	memset(name, 'a', 7999);
	name[7999] = '\0';
	ck_assert_int_eq(secret_installation(name, out), -1);
	name[4090] = '\0'; /* the secret fits, its draft does not */
	ck_assert_int_eq(secret_installation(name, out), -1);
	free(name);
}
END_TEST

/* Root's tools, run first, must not lock the web server's user out. */
START_TEST(what_root_makes_belongs_to_the_owner_of_the_folder)
{
	unsigned char by_root[LEN], by_owner[LEN];
	struct stat st;

	if (geteuid() != 0)
		return;
	ck_assert_int_eq(chown(folder, 12345, 23456), 0);
	ck_assert_int_eq(secret_installation(folder, by_root), 0);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_uid, 12345);
	ck_assert_uint_eq(st.st_gid, 23456);
	ck_assert_int_eq(setegid(23456), 0);
	ck_assert_int_eq(seteuid(12345), 0);
	ck_assert_int_eq(secret_installation(folder, by_owner), 0);
	ck_assert_mem_eq(by_root, by_owner, LEN);
	/* Somebody else is kept out. */
	ck_assert_int_eq(seteuid(0), 0);
	ck_assert_int_eq(seteuid(12346), 0);
	ck_assert_int_eq(secret_installation(folder, by_owner), -1);
	ck_assert_int_eq(seteuid(0), 0);
}
END_TEST

static TCase *
cases(void)
{
	TCase *t = tcase_create("secret");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, sha256_gives_the_published_digests);
	tcase_add_test(t, hmac_gives_the_published_digests);
	ADD_ROWS(t, base64url_gives_the_published_texts, codes);
	tcase_add_test(t, equal_looks_at_every_byte);
	tcase_add_test(t, random_bytes_differ_and_stay_in_their_place);
	tcase_add_test(t, the_installation_keeps_its_secret);
	tcase_add_test(t, many_processes_at_once_agree_on_one);
	ADD_ROWS(t, only_a_private_file_of_the_right_length_is_taken, files);
	tcase_add_test(t, links_folders_and_pipes_are_refused);
	tcase_add_test(t, a_folder_that_is_not_there_is_an_error);
	tcase_add_test(t, what_root_makes_belongs_to_the_owner_of_the_folder);
	tcase_set_timeout(t, 60);
	return t;
}

int
main(void)
{
	return suite_run("secret", cases(), NULL);
}
