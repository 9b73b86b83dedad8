/* What a page learns of the upstream from responders, and what it does when
 * there is none. */
#include <check.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/probe.h"
#include "tests/unit/suite.h"

/* Longer than any machine is busy, where an answer has to come ... */
#define LONG_MS 60000
/* ... and as short as can be, where none will. */
#define SHORT_MS 20

static char folder[FOLDER_SIZE];

static void
set_up(void)
{
	make_folder(folder);
	catch_log();
}

static void
tear_down(void)
{
	remove_folder(folder);
}

/* A responder: answers so many who ask. */
struct answers {
	int fd, n;
	struct probe look;
};

static void *
answer(void *arg)
{
	struct answers *a = arg;

	for (int i = 0; i < a->n; i++) {
		if (probe_wait(a->fd) == -1)
			break;
		a->look.at++;
		if (probe_publish(folder, &a->look) == -1)
			break;
	}
	return NULL;
}

static void
begin(struct answers *a, pthread_t *thread)
{
	a->fd = probe_listen(folder);
	ck_assert_int_ne(a->fd, -1);
	ck_assert_int_eq(pthread_create(thread, NULL, answer, a), 0);
}

static void
end(struct answers *a, pthread_t thread)
{
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	close(a->fd);
}

static void
add_model(struct probe *p, const char *name)
{
	(void)snprintf(p->models[p->n++], PROBE_MODEL_SIZE, "%s", name);
}

START_TEST(each_who_asks_gets_a_new_look)
{
	struct answers a = { .n = 3, .look = { .state = PROBE_REFUSED } };
	struct probe got;
	pthread_t thread;

	add_model(&a.look, "gpt-oss-120b");
	add_model(&a.look, "a name of two words");
	begin(&a, &thread);
	for (int i = 1; i <= a.n; i++) {
		ck_assert_int_eq(probe_ask(folder, LONG_MS, &got), 1);
		ck_assert_int_eq(got.at, i);
		ck_assert_int_eq((int)got.state, PROBE_REFUSED);
		ck_assert_uint_eq(got.n, 2);
		ck_assert_str_eq(got.models[0], "gpt-oss-120b");
		ck_assert_str_eq(got.models[1], "a name of two words");
	}
	end(&a, thread);
}
END_TEST

START_TEST(a_list_may_be_full)
{
	struct answers a = { .n = 1 };
	static struct probe got;
	pthread_t thread;

	for (int i = 0; i < PROBE_MODELS_MAX; i++) {
		memset(a.look.models[i], 'm', PROBE_MODEL_SIZE - 1);
		a.look.n++;
	}
	begin(&a, &thread);
	ck_assert_int_eq(probe_ask(folder, LONG_MS, &got), 1);
	ck_assert_uint_eq(got.n, PROBE_MODELS_MAX);
	ck_assert_uint_eq(
	    strlen(got.models[PROBE_MODELS_MAX - 1]), PROBE_MODEL_SIZE - 1);
	end(&a, thread);
}
END_TEST

/* Else a name could end its line and begin another. */
START_TEST(a_name_with_control_characters_is_left_out)
{
	struct answers a = { .n = 1 };
	struct probe got;
	pthread_t thread;

	add_model(&a.look, "two\nlines");
	add_model(&a.look, "one");
	add_model(&a.look, "\x7f");
	begin(&a, &thread);
	ck_assert_int_eq(probe_ask(folder, LONG_MS, &got), 1);
	ck_assert_uint_eq(got.n, 1);
	ck_assert_str_eq(got.models[0], "one");
	end(&a, thread);
}
END_TEST

/* What an earlier responder saw says nothing of now. */
START_TEST(without_a_responder_there_is_no_look)
{
	struct probe got = { .at = 1 };

	ck_assert_int_eq(probe_ask(folder, LONG_MS, &got), -1);
	ck_assert_int_eq(probe_publish(folder, &got), 0);
	ck_assert_int_eq(probe_ask(folder, LONG_MS, &got), -1);
	close(probe_listen(folder)); /* its FIFO stays */
	forget_logged();
	ck_assert_int_eq(probe_ask(folder, LONG_MS, &got), -1);
	ck_assert_ptr_nonnull(strstr(logged(), "no responder listens at"));
}
END_TEST

START_TEST(a_responder_that_hangs_is_not_waited_for)
{
	int fd = probe_listen(folder);
	struct probe got;

	ck_assert_int_eq(probe_ask(folder, SHORT_MS, &got), 0);
	/* A FIFO that is full is no reason to wait, either. */
	ck_assert_int_eq(fcntl(fd, F_SETPIPE_SZ, 4096), 4096);
	ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	while (write(fd, "?", 1) == 1)
		;
	ck_assert_int_eq(probe_ask(folder, SHORT_MS, &got), 0);
	ck_assert_str_eq(logged(), "");
	close(fd);
}
END_TEST

static const struct {
	const char *why, *text;
} damaged[] = {
	{ "empty", "" },
	{ "cut short", "0 1234" },
	{ "no time", "0\n" },
	{ "a state that is none", "4 1234\n" },
	{ "a time that is none", "0 12x\n" },
	{ "a model cut short", "0 1234\ngpt-" },
	{ "a model too long",
	    "0 1234\n"
	    "0123456789012345678901234567890123456789012345678901234567890123"
	    "\n" },
};

static void
put_look(const char *text)
{
	char path[FOLDER_SIZE + 16], aside[FOLDER_SIZE + 16];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/upstream", folder);
	(void)snprintf(aside, sizeof(aside), "%s/aside", folder);
	ck_assert_ptr_nonnull(f = fopen(aside, "w"));
	ck_assert_int_ge(fputs(text, f), 0);
	ck_assert_int_eq(fclose(f), 0);
	ck_assert_int_eq(rename(aside, path), 0);
}

static void *
answer_badly(void *arg)
{
	const struct answers *a = arg;

	if (probe_wait(a->fd) == 0)
		put_look(damaged[a->n].text);
	return NULL;
}

START_TEST(a_damaged_look_is_none)
{
	struct answers a = { .fd = probe_listen(folder), .n = _i };
	struct probe got;
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, answer_badly, &a), 0);
	ck_assert_msg(
	    probe_ask(folder, LONG_MS, &got) == -1, "%s", damaged[_i].why);
	ck_assert_ptr_nonnull(strstr(logged(), "/upstream' is damaged"));
	end(&a, thread);
}
END_TEST

START_TEST(only_the_owner_may_ask_and_read)
{
	char path[FOLDER_SIZE + 16];
	struct probe look = { .at = 1 };
	struct stat st;

	close(probe_listen(folder));
	ck_assert_int_eq(probe_publish(folder, &look), 0);
	(void)snprintf(path, sizeof(path), "%s/upstream.ask", folder);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0600);
	(void)snprintf(path, sizeof(path), "%s/upstream", folder);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0600);
}
END_TEST

START_TEST(what_is_no_fifo_is_refused)
{
	char path[FOLDER_SIZE + 16];

	(void)snprintf(path, sizeof(path), "%s/upstream.ask", folder);
	close(open(path, O_WRONLY | O_CREAT, 0600));
	ck_assert_int_eq(probe_listen(folder), -1);
	ck_assert_ptr_nonnull(strstr(logged(), "is not a FIFO"));
}
END_TEST

START_TEST(a_folder_that_is_gone_is_named)
{
	struct probe look = { .at = 1 };

	ck_assert_int_eq(probe_listen("/nonexistent/run"), -1);
	ck_assert_int_eq(probe_publish("/nonexistent/run", &look), -1);
	ck_assert_int_eq(probe_ask("/nonexistent/run", LONG_MS, &look), -1);
	ck_assert_ptr_nonnull(strstr(logged(), "'/nonexistent/run'"));
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("probe");

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, each_who_asks_gets_a_new_look);
	tcase_add_test(t, a_list_may_be_full);
	tcase_add_test(t, a_name_with_control_characters_is_left_out);
	tcase_add_test(t, without_a_responder_there_is_no_look);
	tcase_add_test(t, a_responder_that_hangs_is_not_waited_for);
	ADD_ROWS(t, a_damaged_look_is_none, damaged);
	tcase_add_test(t, only_the_owner_may_ask_and_read);
	tcase_add_test(t, what_is_no_fifo_is_refused);
	tcase_add_test(t, a_folder_that_is_gone_is_named);
	return suite_run("probe", t, NULL);
}
