/* cli/setup_file: settings put into a text, files whole with their mode. */
#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/setup_file.h"
#include "tests/unit/suite.h"

static const struct {
	const char *why, *before, *name, *value, *after;
} edits[] = {
	{ "an empty file gets its first line", "", "PORT", "443",
	    "PORT=443\n" },
	{ "in its place, and nothing else changes", "# a\nPORT=1\nB=2\n",
	    "PORT", "443", "# a\nPORT=443\nB=2\n" },
	{ "a default behind a # is its place", "# port\n#PORT=8080\n\nB=2\n",
	    "PORT", "443", "# port\nPORT=443\n\nB=2\n" },
	{ "a set one comes before a commented one", "#PORT=8080\nPORT=1\n",
	    "PORT", "443", "#PORT=8080\nPORT=443\n" },
	{ "the last one counts, as for who reads it", "PORT=1\nPORT=2\n",
	    "PORT", "443", "PORT=1\nPORT=443\n" },
	{ "a longer name is another one", "HTTP_PORT=80\nPORTS=1\n", "PORT",
	    "443", "HTTP_PORT=80\nPORTS=1\nPORT=443\n" },
	{ "prose behind a # is no place", "# PORT=8080 is usual\n", "PORT",
	    "443", "# PORT=8080 is usual\nPORT=443\n" },
	{ "a last line without its end gets one", "A=1", "PORT", "443",
	    "A=1\nPORT=443\n" },
	{ "so does it when it is the one", "PORT=1", "PORT", "443",
	    "PORT=443\n" },
	{ "the same value changes nothing", "PORT=443\n", "PORT", "443",
	    "PORT=443\n" },
	{ "an empty value", "PORT=1\n", "PORT", "", "PORT=\n" },
};

START_TEST(settings_find_their_line)
{
	struct buf text = BUF(1000);

	ck_assert_int_eq(buf_puts(&text, edits[_i].before), 0);
	ck_assert_int_eq(
	    setup_env_set(&text, edits[_i].name, edits[_i].value), 0);
	ck_assert_msg(strcmp(text.data, edits[_i].after) == 0, "%s: %s",
	    edits[_i].why, text.data);
	buf_free(&text);
}
END_TEST

START_TEST(a_text_that_is_full_is_refused)
{
	struct buf text = BUF(12);

	hush();
	ck_assert_int_eq(buf_puts(&text, "A=1\n"), 0);
	ck_assert_int_eq(setup_env_set(&text, "PORT", "443"), -1);
	buf_free(&text);
}
END_TEST

static const struct setup_owner private = { .mode = 0600 };

/* How many files there are, "." and ".." left out. */
static int
files_in(const char *folder)
{
	DIR *dir = opendir(folder);
	int n = 0;

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir) != NULL)
		n++;
	ck_assert_int_eq(closedir(dir), 0);
	return n - 2;
}

START_TEST(a_file_is_replaced_whole)
{
	char folder[FOLDER_SIZE], path[100];
	struct buf got = BUF(100);
	struct stat st;

	make_folder(folder);
	(void)snprintf(path, sizeof(path), "%s/key", folder);
	ck_assert_int_eq(setup_file_read(path, &got), 0);
	ck_assert_int_eq(setup_file_write(path, "longer one", 10, &private), 0);
	ck_assert_int_eq(chmod(path, 0644), 0);
	ck_assert_int_eq(setup_file_write(path, "short", 5, &private), 0);
	ck_assert_int_eq(setup_file_read(path, &got), 1);
	ck_assert_str_eq(got.data, "short");
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0600);
	ck_assert_int_eq(files_in(folder), 1);
	buf_free(&got);
	remove_folder(folder);
}
END_TEST

START_TEST(what_cannot_be_published_leaves_nothing)
{
	char folder[FOLDER_SIZE], path[100], inside[120];

	hush();
	make_folder(folder);
	/* A folder with something in it cannot be renamed over. */
	(void)snprintf(path, sizeof(path), "%s/key", folder);
	(void)snprintf(inside, sizeof(inside), "%s/x", path);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_int_eq(mkdir(inside, 0700), 0);
	ck_assert_int_eq(setup_file_write(path, "short", 5, &private), -1);
	ck_assert_int_eq(setup_file_copy(path, "/bin/true", &private), -1);
	ck_assert_int_eq(setup_file_copy(inside, folder, &private), -1);
	ck_assert_int_eq(files_in(folder), 1);
	(void)snprintf(path, sizeof(path), "%s/none/key", folder);
	ck_assert_int_eq(setup_file_write(path, "short", 5, &private), -1);
	remove_folder(folder);
}
END_TEST

START_TEST(a_file_longer_than_allowed_is_refused)
{
	char folder[FOLDER_SIZE], path[100];
	struct buf got = BUF(4);

	hush();
	make_folder(folder);
	(void)snprintf(path, sizeof(path), "%s/key", folder);
	ck_assert_int_eq(setup_file_write(path, "short", 5, &private), 0);
	ck_assert_int_eq(setup_file_read(path, &got), -1);
	buf_free(&got);
	remove_folder(folder);
}
END_TEST

START_TEST(folders_are_made_with_those_above)
{
	static const struct setup_owner owner = { .mode = 0700 };
	char folder[FOLDER_SIZE], path[100];
	struct stat st;

	make_folder(folder);
	(void)snprintf(path, sizeof(path), "%s/a/b/c", folder);
	ck_assert_int_eq(setup_folder(path, &owner), 0);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0700);
	/* One that is there is put right. */
	ck_assert_int_eq(chmod(path, 0777), 0);
	ck_assert_int_eq(setup_folder(path, &owner), 0);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0700);
	remove_folder(folder);
}
END_TEST

static TCase *
cases(void)
{
	TCase *t = tcase_create("setup_file");

	ADD_ROWS(t, settings_find_their_line, edits);
	tcase_add_test(t, a_text_that_is_full_is_refused);
	tcase_add_test(t, a_file_is_replaced_whole);
	tcase_add_test(t, what_cannot_be_published_leaves_nothing);
	tcase_add_test(t, a_file_longer_than_allowed_is_refused);
	tcase_add_test(t, folders_are_made_with_those_above);
	return t;
}

int
main(void)
{
	return suite_run("setup_file", cases(), NULL);
}
