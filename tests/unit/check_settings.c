/* settings: what is in force, at once and everywhere, and what is refused. */
#include "lib/settings.h"

#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/db_watch.h"
#include "tests/unit/suite.h"

#define LIMIT CONFIG_RATE_LIMIT_REQUESTS
#define WINDOW CONFIG_RATE_LIMIT_WINDOW

static char folder[FOLDER_SIZE], store[96];
static struct config *config;

static void
setup(void)
{
	make_folder(folder);
	snprintf(store, sizeof(store), "%s/settings.gdbm", folder);
	ck_assert_int_eq(unsetenv("PMPROXY_ENV"), 0);
	ck_assert_int_eq(setenv("RATE_LIMIT_REQUESTS", "77", 1), 0);
	ck_assert_int_eq(unsetenv("RATE_LIMIT_WINDOW"), 0);
	config = config_load();
	ck_assert_ptr_nonnull(config);
}

static void
teardown(void)
{
	config_free(config);
	remove_folder(folder);
}

static struct settings *
open_settings(void)
{
	struct settings *s = settings_open(folder, config);

	ck_assert_ptr_nonnull(s);
	return s;
}

static int64_t
value_of(struct settings *s, enum config_name name)
{
	struct settings_values values;

	ck_assert_int_eq(settings_read(s, &values), 0);
	return values.number[name];
}

static void
put_raw(const char *name, const void *val, size_t len)
{
	struct db *db = db_edit(store);

	ck_assert_ptr_nonnull(db);
	ck_assert_int_eq(db_put(db, name, val, len), 0);
	ck_assert_int_eq(db_watch_commit(db), 0);
}

START_TEST(without_a_store_the_configuration_counts)
{
	struct settings *s = open_settings();
	struct settings_values values;

	memset(&values, 0x5a, sizeof(values));
	ck_assert_int_eq(settings_read(s, &values), 0);
	for (enum config_name name = 0; name < CONFIG__MAX; name++) {
		ck_assert_int_eq(values.number[name],
		    config_is_live(name) ? config_number(config, name) : 0);
		ck_assert_uint_eq(values.stored[name], 0);
	}
	ck_assert_int_eq(values.number[LIMIT], 77);
	ck_assert_int_eq(access(store, F_OK), -1);
	settings_close(s);
}
END_TEST

START_TEST(a_change_is_in_force_at_the_next_look)
{
	struct settings *s = open_settings();
	struct settings_values values;
	char text[32];

	for (int i = 0; i < 20; i++) {
		snprintf(text, sizeof(text), "%d", i);
		ck_assert_int_eq(settings_set(folder, LIMIT, text), 0);
		ck_assert_int_eq(value_of(s, LIMIT), i);
	}
	ck_assert_int_eq(settings_set(folder, WINDOW, "2h"), 0);
	ck_assert_int_eq(settings_read(s, &values), 0);
	ck_assert_int_eq(values.number[WINDOW], 7200);
	ck_assert_int_eq(values.number[LIMIT], 19);
	ck_assert_uint_eq(values.stored[LIMIT], 1);
	ck_assert_uint_eq(values.stored[WINDOW], 1);
	ck_assert_uint_eq(values.stored[CONFIG_IDLE_TIMEOUT], 0);
	ck_assert_int_eq(settings_unset(folder, LIMIT), 0);
	ck_assert_int_eq(settings_unset(folder, LIMIT), 0);
	ck_assert_int_eq(value_of(s, LIMIT), 77);
	ck_assert_int_eq(value_of(s, WINDOW), 7200);
	settings_close(s);
	s = open_settings();
	ck_assert_int_eq(value_of(s, WINDOW), 7200);
	settings_close(s);
}
END_TEST

START_TEST(what_is_out_of_bounds_is_not_stored)
{
	static const struct {
		enum config_name name;
		const char *value;
	} rows[] = {
		{ LIMIT, "" },
		{ LIMIT, "-1" },
		{ LIMIT, "1.5" },
		{ LIMIT, " 1" },
		{ LIMIT, "1000000001" },
		{ LIMIT, "99999999999999999999" },
		{ LIMIT,
		    "00000000000000000000000000000000000000000000000000000000"
		    "000000001" },
		{ WINDOW, "0" },
		{ WINDOW, "86401" },
		{ WINDOW, "2x" },
		{ CONFIG_PORT, "80" }, /* not live */
		{ CONFIG_ADMIN_PASSWORD, "secret" },
		{ CONFIG_CORS_ALLOW_ORIGINS, "https://example.org" },
		{ CONFIG__MAX, "1" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ck_assert_msg(
		    settings_set(folder, rows[i].name, rows[i].value) == -1,
		    "row %zu", i);
	ck_assert_int_eq(settings_unset(folder, CONFIG_PORT), -1);
	ck_assert_int_eq(settings_unset(folder, CONFIG__MAX), -1);
	ck_assert_int_eq(access(store, F_OK), -1);
	ck_assert_int_eq(settings_set(folder, LIMIT, "0"), 0);
	ck_assert_int_eq(settings_set(folder, LIMIT, "1000000000"), 0);
	ck_assert_int_eq(settings_set(folder, WINDOW, "1"), 0);
	ck_assert_int_eq(settings_set(folder, WINDOW, "1d"), 0);
}
END_TEST

/* Requests must be refused then, not served with other limits. */
START_TEST(a_bad_value_in_the_store_is_a_failure)
{
	static const struct {
		const char *value;
		size_t len;
	} rows[] = { { "", 0 }, { "x", 1 }, { "-1", 2 }, { "1\0", 2 },
		{ "1000000001", 10 },
		{ "0000000000000000000000000000000000000000000000000000000000"
		  "0000001",
		    65 } };
	struct settings *s = open_settings(), *fresh;
	struct settings_values values;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		put_raw("s:RATE_LIMIT_REQUESTS", rows[i].value, rows[i].len);
		ck_assert_msg(settings_read(s, &values) == -1, "row %zu", i);
		ck_assert_int_eq(settings_read(s, &values), -1);
		fresh = open_settings();
		ck_assert_int_eq(settings_read(fresh, &values), -1);
		settings_close(fresh);
		ck_assert_int_eq(settings_set(folder, LIMIT, "5"), 0);
		ck_assert_int_eq(value_of(s, LIMIT), 5);
	}
	/* Others keep things in this file, too. */
	put_raw("admin:password", "\xff", 1);
	put_raw("s:SOME_LATER_SETTING", "what", 4);
	ck_assert_int_eq(value_of(s, LIMIT), 5);
	settings_close(s);
}
END_TEST

START_TEST(an_unreadable_store_is_a_failure_and_heals)
{
	struct settings *s = open_settings();
	struct settings_values values;
	FILE *f;

	ck_assert_int_eq(settings_set(folder, LIMIT, "5"), 0);
	ck_assert_int_eq(value_of(s, LIMIT), 5);
	ck_assert_ptr_nonnull(f = fopen(store, "w"));
	ck_assert_int_eq(fclose(f), 0);
	db_watch_wait();
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(settings_read(s, &values), -1);
	ck_assert_int_eq(settings_set(folder, LIMIT, "6"), -1);
	/* Gone is not empty, or the limits would fall back in silence. */
	ck_assert_int_eq(unlink(store), 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(settings_read(s, &values), -1);
	ck_assert_int_eq(settings_set(folder, LIMIT, "6"), 0);
	ck_assert_int_eq(value_of(s, LIMIT), 6);
	settings_close(s);
	s = settings_open("/tmp/check_settings.absent", config);
	ck_assert_ptr_nonnull(s);
	ck_assert_int_eq(settings_read(s, &values), -1);
	settings_close(s);
	ck_assert_int_eq(
	    settings_set("/tmp/check_settings.absent", LIMIT, "6"), -1);
}
END_TEST

struct arena {
	_Atomic int64_t published;
	_Atomic int stop;
	_Atomic long read, wrong;
	struct settings *settings;
};

/* Both values always move together, being set in one edit. */
static void *
read_for_ever(void *arg)
{
	struct arena *a = arg;
	struct settings_values v;

	do {
		int64_t least = a->published;

		if (settings_read(a->settings, &v) == -1 ||
		    v.number[LIMIT] < least ||
		    v.number[LIMIT] != v.number[WINDOW])
			a->wrong++;
		a->read++;
	} while (!a->stop);
	return NULL;
}

static void
publish_changes(struct arena *a)
{
	for (int i = 2; i <= 60; i++) {
		struct db *db = db_edit(store);
		char text[32];

		snprintf(text, sizeof(text), "%d", i);
		if (db == NULL ||
		    db_put(db, "s:RATE_LIMIT_REQUESTS", text, strlen(text)) ==
			-1 ||
		    db_put(db, "s:RATE_LIMIT_WINDOW", text, strlen(text)) ==
			-1 ||
		    db_watch_commit(db) == -1)
			_exit(1);
		a->published = i;
	}
	_exit(0);
}

START_TEST(threads_see_whole_changes_once_published)
{
	struct arena *a = mmap(NULL, sizeof(*a), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_t threads[16];
	int status;
	pid_t editor;

	ck_assert_ptr_ne(a, MAP_FAILED);
	ck_assert_int_eq(settings_set(folder, LIMIT, "1"), 0);
	ck_assert_int_eq(settings_set(folder, WINDOW, "1"), 0);
	a->settings = open_settings();
	if ((editor = fork()) == 0)
		publish_changes(a);
	ck_assert_int_ne(editor, -1);
	for (size_t i = 0; i < 16; i++)
		ck_assert_int_eq(
		    pthread_create(&threads[i], NULL, read_for_ever, a), 0);
	ck_assert_int_eq(waitpid(editor, &status, 0), editor);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	a->stop = 1;
	for (size_t i = 0; i < 16; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	ck_assert_int_eq(a->wrong, 0);
	ck_assert_int_ge(a->read, 16);
	settings_close(a->settings);
}
END_TEST

static TCase *
cases(void)
{
	TCase *t = tcase_create("settings");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, without_a_store_the_configuration_counts);
	tcase_add_test(t, a_change_is_in_force_at_the_next_look);
	tcase_add_test(t, what_is_out_of_bounds_is_not_stored);
	tcase_add_test(t, a_bad_value_in_the_store_is_a_failure);
	tcase_add_test(t, an_unreadable_store_is_a_failure_and_heals);
	tcase_add_test(t, threads_see_whole_changes_once_published);
	return t;
}

int
main(void)
{
	return suite_run("settings", cases(), NULL);
}
