/*
 * Counts that many threads and processes add to at once: nothing is lost, and
 * the text is OpenMetrics.
 */
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/metrics.h"
#include "tests/unit/suite.h"

static char dir[FOLDER_SIZE];

static void
setup(void)
{
	make_memory_folder(dir);
}

static void
teardown(void)
{
	remove_folder(dir);
}

static const char *
path_of(void)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/metrics", dir);
	return path;
}

static const char *
text_of(struct metrics *m, int keys)
{
	static struct buf text = BUF(1 << 20);

	buf_reset(&text);
	ck_assert_int_eq(metrics_write(m, &text, keys), 0);
	return text.data;
}

/* Whether the text has this line. */
static int
has_line(const char *text, const char *line)
{
	size_t n = strlen(line);

	for (; text != NULL; text = strchr(text, '\n')) {
		text += *text == '\n';
		if (strncmp(text, line, n) == 0 && text[n] == '\n')
			return 1;
	}
	return 0;
}

START_TEST(counts_and_writes)
{
	struct metrics *m = metrics_open(dir);
	const char *text;

	ck_assert_ptr_nonnull(m);
	ck_assert(
	    has_line(text_of(m, 0), "pmproxy_requests_total{class=\"2xx\"} 0"));
	metrics_add(m, METRICS_REQUESTS_2XX, 1);
	metrics_add(m, METRICS_REQUESTS_2XX, 2);
	metrics_add(m, METRICS_TOKENS_PROMPT, 7);
	metrics_add(m, METRICS_TOKENS_PROMPT, -7);
	metrics_add(m, METRICS_REFUSED_BUDGET, 1);
	metrics_add(m, METRICS_JOURNAL_ERRORS, 4);
	text = text_of(m, 0);
	ck_assert(has_line(text, "# TYPE pmproxy_requests counter"));
	ck_assert(has_line(text, "pmproxy_requests_total{class=\"2xx\"} 3"));
	ck_assert(has_line(text, "pmproxy_tokens_total{kind=\"prompt\"} 7"));
	ck_assert(
	    has_line(text, "pmproxy_refusals_total{reason=\"budget\"} 1"));
	ck_assert(has_line(text, "pmproxy_journal_errors_total 4"));
	ck_assert_ptr_null(strstr(text, "key_id"));
	ck_assert_ptr_null(strstr(text, "EOF"));
	metrics_close(m);
	/* They outlive whoever counted. */
	m = metrics_open(dir);
	ck_assert(has_line(text_of(m, 0), "pmproxy_journal_errors_total 4"));
	metrics_close(m);
}
END_TEST

START_TEST(buckets_add_up)
{
	static const int64_t ms[] = { 0, 50, 51, 100, 2500, 2501, 300000,
		300001, -1, 86400000 };
	static const char *const lines[] = {
		"pmproxy_request_duration_seconds_bucket{le=\"0.05\"} 2",
		"pmproxy_request_duration_seconds_bucket{le=\"0.10\"} 4",
		"pmproxy_request_duration_seconds_bucket{le=\"2.50\"} 5",
		"pmproxy_request_duration_seconds_bucket{le=\"5.00\"} 6",
		"pmproxy_request_duration_seconds_bucket{le=\"300.00\"} 7",
		"pmproxy_request_duration_seconds_bucket{le=\"+Inf\"} 9",
		"pmproxy_request_duration_seconds_count 9",
		"pmproxy_request_duration_seconds_sum 87005.203",
		"pmproxy_first_byte_seconds_count 0",
		"# UNIT pmproxy_first_byte_seconds seconds",
	};
	struct metrics *m = metrics_open(dir);

	for (size_t i = 0; i < sizeof(ms) / sizeof(ms[0]); i++)
		metrics_observe(m, METRICS_DURATION, ms[i]);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		ck_assert_msg(
		    has_line(text_of(m, 0), lines[i]), "%s", lines[i]);
	metrics_close(m);
}
END_TEST

START_TEST(keys_only_when_asked_and_bounded)
{
	struct metrics *m = metrics_open(dir);
	const char *text;
	char id[128];

	for (int i = 0; i < 1030; i++) {
		snprintf(id, sizeof(id), "key_%d", i);
		metrics_add_key(m, id, 1, 10);
		metrics_add_key(m, id, 1, -5);
	}
	memset(id, 'x', 100);
	id[100] = '\0';
	metrics_add_key(m, id, 1, 1);
	ck_assert_ptr_null(strstr(text_of(m, 0), "key_id"));
	text = text_of(m, 1);
	ck_assert(
	    has_line(text, "pmproxy_key_requests_total{key_id=\"key_0\"} 2"));
	ck_assert(
	    has_line(text, "pmproxy_key_tokens_total{key_id=\"key_1023\"} 10"));
	ck_assert(
	    has_line(text, "pmproxy_key_requests_total{key_id=\"other\"} 13"));
	metrics_close(m);
}
END_TEST

/* Whether the id stands anywhere in the file. */
static int
is_in_file(const char *id)
{
	static char bytes[1 << 20];
	FILE *f = fopen(path_of(), "r");
	size_t n;

	ck_assert_ptr_nonnull(f);
	n = fread(bytes, 1, sizeof(bytes), f);
	ck_assert(feof(f));
	ck_assert_int_eq(fclose(f), 0);
	return memmem(bytes, n, id, strlen(id)) != NULL;
}

START_TEST(an_erased_key_leaves_nothing)
{
	struct metrics *m = metrics_open(dir);

	metrics_add_key(m, "key_a", 1, 10);
	metrics_add_key(m, "key_ab", 2, 20);
	ck_assert_int_eq(metrics_forget(dir, "key_a"), 0);
	ck_assert_ptr_null(strstr(text_of(m, 1), "\"key_a\""));
	ck_assert(has_line(
	    text_of(m, 1), "pmproxy_key_tokens_total{key_id=\"key_ab\"} 20"));
	ck_assert_int_eq(metrics_forget(dir, "key_ab"), 0);
	ck_assert(!is_in_file("key_a"));
	/* One that goes on in use (its use alone was erased) begins at 0. */
	metrics_add_key(m, "key_a", 1, 5);
	ck_assert(has_line(
	    text_of(m, 1), "pmproxy_key_tokens_total{key_id=\"key_a\"} 5"));
	metrics_close(m);
	ck_assert_int_eq(unlink(path_of()), 0);
	ck_assert_int_eq(metrics_forget(dir, "key_a"), 0);
	ck_assert_int_eq(access(path_of(), F_OK), -1);
	ck_assert_int_eq(metrics_forget("/nowhere", "key_a"), 0);
}
END_TEST

START_TEST(another_version_is_replaced_not_changed)
{
	struct metrics *old = metrics_open(dir), *m;
	FILE *f = fopen(path_of(), "r+");

	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite("other", 1, 5, f), 5);
	ck_assert_int_eq(fclose(f), 0);
	m = metrics_open(dir);
	metrics_add(old, METRICS_JOURNAL_ERRORS, 1);
	ck_assert(has_line(text_of(m, 0), "pmproxy_journal_errors_total 0"));
	metrics_close(m);
	metrics_close(old);
	/* Cut short, it must not end whoever looks. */
	ck_assert_int_eq(truncate(path_of(), 100), 0);
	m = metrics_open(dir);
	ck_assert_ptr_nonnull(m);
	(void)text_of(m, 1);
	metrics_close(m);
	catch_log();
	ck_assert_ptr_null(metrics_open("/nonexistent/run"));
	ck_assert_ptr_nonnull(strstr(logged(), "/nonexistent/run/metrics"));
}
END_TEST

#define THREADS 4
#define PROCESSES 4
#define TIMES 20000

static void *
count(void *arg)
{
	struct metrics *m = arg;

	for (int i = 0; i < TIMES; i++) {
		metrics_add(m, METRICS_REQUESTS_2XX, 1);
		metrics_add_key(m, i % 2 ? "key_a" : "key_b", 1, 2);
	}
	return NULL;
}

static void __attribute__((__noreturn__)) count_in_threads(void)
{
	struct metrics *m = metrics_open(dir);
	pthread_t thread[THREADS];

	for (int k = 0; k < THREADS; k++)
		if (m == NULL ||
		    pthread_create(&thread[k], NULL, count, m) != 0)
			_exit(1);
	for (int k = 0; k < THREADS; k++)
		(void)pthread_join(thread[k], NULL);
	metrics_close(m);
	_exit(0);
}

START_TEST(many_at_once_lose_nothing)
{
	struct metrics *m = metrics_open(dir);
	char line[128];
	int status;

	for (int i = 0; i < PROCESSES; i++) {
		pid_t pid = fork();

		ck_assert_int_ne(pid, -1);
		if (pid == 0) {
			metrics_close(m);
			count_in_threads();
		}
	}
	while (wait(&status) > 0)
		ck_assert_int_eq(status, 0);
	snprintf(line, sizeof(line), "pmproxy_requests_total{class=\"2xx\"} %d",
	    PROCESSES * THREADS * TIMES);
	ck_assert(has_line(text_of(m, 1), line));
	/* Half of the times, two tokens each; and one place for each key. */
	snprintf(line, sizeof(line),
	    "pmproxy_key_tokens_total{key_id=\"key_a\"} %d",
	    PROCESSES * THREADS * TIMES);
	ck_assert(has_line(text_of(m, 1), line));
	metrics_close(m);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("metrics");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, counts_and_writes);
	tcase_add_test(t, buckets_add_up);
	tcase_add_test(t, keys_only_when_asked_and_bounded);
	tcase_add_test(t, an_erased_key_leaves_nothing);
	tcase_add_test(t, another_version_is_replaced_not_changed);
	tcase_add_test(t, many_at_once_lose_nothing);
	return suite_run("metrics", t, NULL);
}
