/*
 * The journal's line and its appending: hostile fields, every cut, a full
 * disk, removed files, threads, and writers that are killed.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/usage_internal.h"
#include "tests/unit/usage_dir.h"

static struct usage_record
example(void)
{
	return (struct usage_record){ .key_id = "key_0123456789abcdef",
		.model = "gpt-oss-120b",
		.endpoint = "chat.completions",
		.status_class = 2,
		.prompt = 100,
		.completion = 20,
		.cached = 5,
		.total = 120,
		.audio_bytes = 7,
		.audio_ms = 8,
		.duration_ms = 1500,
		.first_byte_ms = -1,
		.estimated = 1 };
}

/* The file's bytes, NUL behind them; "" when there is none. */
static char *
slurp(const char *path, size_t *len)
{
	static char bytes[16 << 20];
	int fd = open(path, O_RDONLY);
	ssize_t n;

	*len = 0;
	while (fd != -1 &&
	    (n = read(fd, bytes + *len, sizeof(bytes) - 1 - *len)) > 0)
		*len += (size_t)n;
	if (fd != -1)
		close(fd);
	bytes[*len] = '\0';
	return bytes;
}

/* Calls fn for each whole record of an hour; returns the malformed lines. */
static int
each_record(const char *name, void (*fn)(const struct usage_record *, void *),
    void *arg)
{
	size_t len;
	char *at = slurp(hour_path(name), &len), *end = at + len;
	int malformed = 0;

	while (at < end) {
		char *stop = memchr(at, '\n', (size_t)(end - at));
		size_t n = (size_t)((stop ? stop : end) - at);
		struct usage_record r = { 0 };

		if (n > 0 && usage_line_parse(at, n, &r) == -1)
			malformed++;
		else if (n > 0)
			fn(&r, arg);
		at += n + 1;
	}
	return malformed;
}

static void
count(const struct usage_record *r, void *arg)
{
	(void)r;
	++*(int *)arg;
}

static int
records(const char *name, int *malformed)
{
	int n = 0, bad = each_record(name, count, &n);

	if (malformed != NULL)
		*malformed = bad;
	return n;
}

static void
assert_same(const struct usage_record *a, const struct usage_record *b)
{
	ck_assert_str_eq(a->key_id, b->key_id);
	ck_assert_str_eq(a->model, b->model);
	ck_assert_str_eq(a->endpoint, b->endpoint);
	ck_assert_int_eq(a->status_class, b->status_class);
	ck_assert_int_eq(a->estimated, b->estimated);
	ck_assert_int_eq(a->prompt, b->prompt);
	ck_assert_int_eq(a->completion, b->completion);
	ck_assert_int_eq(a->cached, b->cached);
	ck_assert_int_eq(a->total, b->total);
	ck_assert_int_eq(a->audio_bytes, b->audio_bytes);
	ck_assert_int_eq(a->audio_ms, b->audio_ms);
	ck_assert_int_eq(a->duration_ms, b->duration_ms);
	ck_assert_int_eq(a->first_byte_ms, b->first_byte_ms);
}

START_TEST(line_is_as_documented)
{
	struct usage_record r = example();
	char line[USAGE_LINE_SIZE];
	size_t n = usage_line_format(line, &r);

	ck_assert_str_eq(line,
	    "\n1\tkey_0123456789abcdef\tgpt-oss-120b\tchat.completions\t2\t100"
	    "\t20\t5\t120\t7\t8\t1500\t-1\t1\t.\n");
	ck_assert_uint_eq(n, strlen(line));
}
END_TEST

START_TEST(longest_line_comes_back)
{
	struct usage_record r = example(), got = { 0 };
	char line[USAGE_LINE_SIZE];
	size_t n;

	memset(r.key_id, 'k', sizeof(r.key_id) - 1);
	memset(r.model, ' ', sizeof(r.model) - 1);
	memset(r.endpoint, '~', sizeof(r.endpoint) - 1);
	r.prompt = r.completion = r.cached = r.total = INT64_MAX;
	r.audio_bytes = r.audio_ms = r.duration_ms = INT64_MAX;
	r.first_byte_ms = INT64_MAX;
	n = usage_line_format(line, &r);
	ck_assert_uint_lt(n, USAGE_LINE_SIZE - 1);
	ck_assert_int_eq(usage_line_parse(line + 1, n - 2, &got), 0);
	assert_same(&got, &r);
}
END_TEST

/* No prefix of a line may pass for one: the last number could be cut short. */
START_TEST(no_torn_line_is_whole)
{
	struct usage_record r = example(), got;
	char line[USAGE_LINE_SIZE];
	size_t n = usage_line_format(line, &r);

	for (size_t cut = 0; cut < n - 2; cut++)
		ck_assert_int_eq(usage_line_parse(line + 1, cut, &got), -1);
	for (size_t from = 2; from < n - 1; from++)
		ck_assert_int_eq(
		    usage_line_parse(line + from, n - 1 - from, &got), -1);
	ck_assert_int_eq(usage_line_parse(line + 1, n - 2, &got), 0);
}
END_TEST

/* Any byte in any name gives a line that reads back, and only one line. */
START_TEST(hostile_bytes_become_other)
{
	struct usage_record r, got;
	char line[USAGE_LINE_SIZE];

	for (int c = 1; c < 256; c++) {
		int fits = c >= 0x20 && c <= 0x7e;
		size_t n;

		r = example();
		r.model[3] = (char)c;
		r.key_id[0] = (char)c;
		r.endpoint[5] = (char)c;
		n = usage_line_format(line, &r);
		ck_assert_ptr_eq(memchr(line + 1, '\n', n - 1), line + n - 1);
		ck_assert_int_eq(usage_line_parse(line + 1, n - 2, &got), 0);
		ck_assert_str_eq(got.model, fits ? r.model : "other");
		ck_assert_str_eq(got.key_id, fits ? r.key_id : "other");
		ck_assert_str_eq(got.endpoint, fits ? r.endpoint : "other");
		ck_assert_int_eq(got.total, r.total);
	}
}
END_TEST

START_TEST(hostile_values_are_bounded)
{
	struct usage_record r = example(), got;
	char line[USAGE_LINE_SIZE];
	size_t n;

	memset(r.model, 'm', sizeof(r.model)); /* no NUL at all */
	r.key_id[0] = '\0';
	r.status_class = 99;
	r.estimated = 7;
	r.prompt = INT64_MIN;
	r.audio_ms = -1;
	r.first_byte_ms = -5;
	n = usage_line_format(line, &r);
	ck_assert_int_eq(usage_line_parse(line + 1, n - 2, &got), 0);
	ck_assert_str_eq(got.model, "other");
	ck_assert_str_eq(got.key_id, "other");
	ck_assert_int_eq(got.status_class, 5);
	ck_assert_int_eq(got.estimated, 1);
	ck_assert_int_eq(got.prompt, 0);
	ck_assert_int_eq(got.audio_ms, 0);
	ck_assert_int_eq(got.first_byte_ms, -1);
}
END_TEST

START_TEST(reading_refuses)
{
	static const char *const lines[] = { "", "1", "\t", ".",
		/* another version */
		"2\tk\tm\te\t2\t1\t1\t1\t1\t1\t1\t1\t1\t0\t.",
		/* one field more, one less */
		"1\tk\tm\te\t2\t1\t1\t1\t1\t1\t1\t1\t1\t0\t.\t.",
		"1\tk\tm\te\t2\t1\t1\t1\t1\t1\t1\t1\t0\t.",
		/* an empty name, one with a control byte */
		"1\t\tm\te\t2\t1\t1\t1\t1\t1\t1\t1\t1\t0\t.",
		"1\tk\tm\x01\te\t2\t1\t1\t1\t1\t1\t1\t1\t1\t0\t.",
		/* classes 0 and 6 */
		"1\tk\tm\te\t0\t1\t1\t1\t1\t1\t1\t1\t1\t0\t.",
		"1\tk\tm\te\t6\t1\t1\t1\t1\t1\t1\t1\t1\t0\t.",
		/* negative, beyond 64 bits, empty, with a space, not decimal */
		"1\tk\tm\te\t2\t-1\t1\t1\t1\t1\t1\t1\t1\t0\t.",
		"1\tk\tm\te\t2\t9223372036854775808\t1\t1\t1\t1\t1\t1\t1\t0\t.",
		"1\tk\tm\te\t2\t\t1\t1\t1\t1\t1\t1\t1\t0\t.",
		"1\tk\tm\te\t2\t 1\t1\t1\t1\t1\t1\t1\t1\t0\t.",
		"1\tk\tm\te\t2\t0x1\t1\t1\t1\t1\t1\t1\t1\t0\t.",
		/* estimated is 0 or 1; the end mark is exact */
		"1\tk\tm\te\t2\t1\t1\t1\t1\t1\t1\t1\t1\t2\t.",
		"1\tk\tm\te\t2\t1\t1\t1\t1\t1\t1\t1\t1\t0\t..",
		"1\tk\tm\te\t2\t1\t1\t1\t1\t1\t1\t1\t-2\t0\t." };
	struct usage_record r;
	const char *good = "1\tk\tm\te\t2\t1\t1\t1\t1\t1\t1\t1\t1\t0\t.";

	ck_assert_int_eq(usage_line_parse(good, strlen(good), &r), 0);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		ck_assert_msg(
		    usage_line_parse(lines[i], strlen(lines[i]), &r) == -1,
		    "line %zu was read", i);
}
END_TEST

START_TEST(append_makes_private_files)
{
	struct usage_journal *j = usage_journal_open(dir);
	struct usage_record r = example();
	struct stat st;

	umask(022);
	ck_assert_ptr_nonnull(j);
	ck_assert_int_eq(usage_journal_append(j, &r, HOUR_18 + 5), 0);
	ck_assert_int_eq(stat(hour_path(""), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0700);
	ck_assert_int_eq(stat(hour_path("2026112218"), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	ck_assert_int_eq(records("2026112218", NULL), 1);
	usage_journal_close(j);
}
END_TEST

START_TEST(append_goes_to_the_hour_of_now)
{
	struct usage_journal *j = usage_journal_open(dir);
	struct usage_record r = example();
	static const int64_t at[] = { -1, 0, 3599, 3600, 3598, 7199, 0 };

	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++)
		ck_assert_int_eq(
		    usage_journal_append(j, &r, HOUR_18 + at[i]), 0);
	ck_assert_int_eq(records("2026112217", NULL), 1);
	ck_assert_int_eq(records("2026112218", NULL), 4);
	ck_assert_int_eq(records("2026112219", NULL), 2);
	usage_journal_close(j);
}
END_TEST

START_TEST(removed_file_and_folder_come_back)
{
	struct usage_journal *j = usage_journal_open(dir);
	struct usage_record r = example();
	char folder[PATH_MAX];

	ck_assert_int_eq(usage_journal_append(j, &r, HOUR_18), 0);
	ck_assert_int_eq(unlink(hour_path("2026112218")), 0);
	ck_assert_int_eq(usage_journal_append(j, &r, HOUR_18), 0);
	ck_assert_int_eq(records("2026112218", NULL), 1);
	snprintf(folder, sizeof(folder), "%s/journal", dir);
	remove_folder(folder);
	ck_assert_int_eq(usage_journal_append(j, &r, HOUR_18), 0);
	ck_assert_int_eq(records("2026112218", NULL), 1);
	ck_assert_int_eq(usage_journal_append(j, &r, HOUR_18), 0);
	ck_assert_int_eq(records("2026112218", NULL), 2);
	usage_journal_close(j);
}
END_TEST

/*
 * A disk that is full after any number of bytes of a line: the answer says
 * whether a reader will find it, and the next line is whole again.
 */
START_TEST(full_disk_at_every_byte)
{
	struct usage_journal *j = usage_journal_open(dir);
	struct usage_record r = example();
	struct rlimit full = { 0, RLIM_INFINITY },
		      all = { RLIM_INFINITY, RLIM_INFINITY };
	char line[USAGE_LINE_SIZE];
	size_t n = usage_line_format(line, &r);

	signal(SIGXFSZ, SIG_IGN);
	hush();
	for (size_t fits = 0; fits <= n; fits++) {
		int before, after, malformed, answer;

		ck_assert_int_eq(
		    unlink(hour_path("2026112218")) == 0 || errno == ENOENT, 1);
		ck_assert_int_eq(usage_journal_append(j, &r, HOUR_18), 0);
		before = records("2026112218", NULL);
		full.rlim_cur = n + fits;
		setrlimit(RLIMIT_FSIZE, &full);
		answer = usage_journal_append(j, &r, HOUR_18);
		setrlimit(RLIMIT_FSIZE, &all);
		after = records("2026112218", NULL);
		ck_assert_int_eq(after - before, answer == 0 ? 1 : 0);
		ck_assert_int_eq(answer, fits >= n - 1 ? 0 : -1);
		ck_assert_int_eq(usage_journal_append(j, &r, HOUR_18), 0);
		ck_assert_int_eq(records("2026112218", &malformed), after + 1);
		ck_assert_int_le(malformed, 1);
	}
	usage_journal_close(j);
}
END_TEST

START_TEST(failures_are_logged_once_a_second)
{
	struct usage_journal *j = usage_journal_open(dir);
	struct usage_record r = example();
	char log[PATH_MAX], *text;
	size_t len;
	int fd, lines = 0;

	snprintf(log, sizeof(log), "%s/log", dir);
	ck_assert_int_ne(fd = open(log, O_WRONLY | O_CREAT, 0600), -1);
	ck_assert_int_ne(dup2(fd, STDERR_FILENO), -1);
	/* A folder in the file's place fails for root as well. */
	ck_assert_int_eq(mkdir(hour_path("2026112218"), 0700), 0);
	for (int i = 0; i < 50; i++)
		ck_assert_int_eq(
		    usage_journal_append(j, &r, HOUR_18 + i / 25), -1);
	text = slurp(log, &len);
	for (; *text != '\0'; text++)
		lines += *text == '\n';
	ck_assert_int_eq(lines, 2);
	ck_assert_int_eq(rmdir(hour_path("2026112218")), 0);
	usage_journal_close(j);
}
END_TEST

START_TEST(open_and_check_tell_when_no_line_could_be_written)
{
	struct usage_journal *j = usage_journal_open(dir);
	char elsewhere[PATH_MAX], folder[PATH_MAX];
	struct rlimit none = { 0, RLIM_INFINITY };
	int fd;

	hush();
	ck_assert_int_eq(usage_journal_check(j), 0);
	snprintf(folder, sizeof(folder), "%s/journal", dir);
	ck_assert_int_eq(rmdir(folder), 0); /* and check leaves nothing in it */
	ck_assert_int_eq(usage_journal_check(j), 0);
	ck_assert_int_eq(rmdir(folder), 0);
	ck_assert_int_ne(fd = open(folder, O_WRONLY | O_CREAT, 0600), -1);
	ck_assert_int_eq(usage_journal_check(j), -1);
	ck_assert_int_eq(unlink(folder), 0);
	ck_assert_int_eq(usage_journal_check(j), 0);
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &none);
	ck_assert_int_eq(usage_journal_check(j), -1);
	usage_journal_close(j);
	snprintf(elsewhere, sizeof(elsewhere), "%s/not/there", dir);
	ck_assert_ptr_null(usage_journal_open(elsewhere));
	memset(elsewhere, 'x', sizeof(elsewhere) - 1);
	elsewhere[sizeof(elsewhere) - 1] = '\0';
	ck_assert_ptr_null(usage_journal_open(elsewhere));
}
END_TEST

#define THREADS 16
#define EACH 500

static struct usage_journal *shared;

static void *
append_many(void *arg)
{
	struct usage_record r = example();

	snprintf(r.key_id, sizeof(r.key_id), "%d", *(int *)arg);
	for (int i = 0; i < EACH; i++) {
		r.prompt = i;
		/* The hour changes to and fro below everybody's feet. */
		if (usage_journal_append(
			shared, &r, HOUR_18 + (i / 10) % 2 * 3600) == -1)
			return arg;
	}
	return NULL;
}

static void
mark(const struct usage_record *r, void *arg)
{
	int(*seen)[EACH] = arg;

	seen[strtol(r->key_id, NULL, 10)][r->prompt]++;
}

START_TEST(threads_share_a_journal)
{
	static int seen[THREADS][EACH], id[THREADS];
	pthread_t thread[THREADS];

	shared = usage_journal_open(dir);
	for (int i = 0; i < THREADS; i++) {
		id[i] = i;
		ck_assert_int_eq(
		    pthread_create(&thread[i], NULL, append_many, &id[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		void *failed;

		ck_assert_int_eq(pthread_join(thread[i], &failed), 0);
		ck_assert_ptr_null(failed);
	}
	usage_journal_close(shared);
	ck_assert_int_eq(each_record("2026112218", mark, seen), 0);
	ck_assert_int_eq(each_record("2026112219", mark, seen), 0);
	for (int i = 0; i < THREADS; i++)
		for (int k = 0; k < EACH; k++)
			ck_assert_int_eq(seen[i][k], 1);
}
END_TEST

#define WRITERS 6
#define ROUNDS 10
#define SEQ_MAX 20000

/* Appends until it is killed; a byte down the pipe is an acknowledgement. */
static void
writer(int id, int pipe_fd)
{
	struct usage_journal *j = usage_journal_open(dir);
	struct usage_record r = example();

	snprintf(r.key_id, sizeof(r.key_id), "%d", id);
	for (int i = 0; i < SEQ_MAX; i++) {
		r.prompt = i;
		if (usage_journal_append(j, &r, HOUR_18) == -1 ||
		    write(pipe_fd, "+", 1) != 1)
			_exit(1);
	}
	for (;;)
		pause();
}

/* Kills the writer after 'n' acknowledgements; returns how many there were. */
static int
reap(pid_t pid, int fd, int n)
{
	char bytes[4096];
	ssize_t got;
	int status, acks = 0;

	while (acks < n && (got = read(fd, bytes, 1)) == 1)
		acks++;
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFSIGNALED(status), "a writer failed by itself");
	while ((got = read(fd, bytes, sizeof(bytes))) > 0)
		acks += (int)got;
	close(fd);
	return acks;
}

static int seen_by[WRITERS * ROUNDS][SEQ_MAX];

static void
mark_sequence(const struct usage_record *r, void *arg)
{
	(void)arg;
	seen_by[strtol(r->key_id, NULL, 10)][r->prompt]++;
}

/* What was acknowledged is there once; the one in flight at most once. */
static void
assert_acknowledged(int id, int acks)
{
	for (int i = 0; i < SEQ_MAX; i++)
		if (i == acks)
			ck_assert_int_le(seen_by[id][i], 1);
		else
			ck_assert_int_eq(seen_by[id][i], i < acks ? 1 : 0);
}

START_TEST(killed_writers_lose_nothing_acknowledged)
{
	int acks[WRITERS * ROUNDS], malformed;

	for (int round = 0; round < ROUNDS; round++) {
		pid_t pid[WRITERS];
		int fd[WRITERS][2];

		for (int i = 0; i < WRITERS; i++) {
			ck_assert_int_eq(pipe2(fd[i], O_CLOEXEC), 0);
			pid[i] = fork();
			ck_assert_int_ne(pid[i], -1);
			if (pid[i] == 0)
				writer(round * WRITERS + i, fd[i][1]);
			close(fd[i][1]);
		}
		for (int i = 0; i < WRITERS; i++)
			acks[round * WRITERS + i] =
			    reap(pid[i], fd[i][0], 1 + round * 7 + i * 13);
	}
	malformed = each_record("2026112218", mark_sequence, NULL);
	ck_assert_int_le(malformed, WRITERS * ROUNDS);
	for (int i = 0; i < WRITERS * ROUNDS; i++)
		assert_acknowledged(i, acks[i]);
}
END_TEST

int
main(void)
{
	TCase *line = tcase_create("line"), *append = tcase_create("append");

	tcase_add_test(line, line_is_as_documented);
	tcase_add_test(line, longest_line_comes_back);
	tcase_add_test(line, no_torn_line_is_whole);
	tcase_add_test(line, hostile_bytes_become_other);
	tcase_add_test(line, hostile_values_are_bounded);
	tcase_add_test(line, reading_refuses);
	tcase_add_checked_fixture(append, usage_dir_setup, usage_dir_teardown);
	tcase_set_timeout(append, 60);
	tcase_add_test(append, append_makes_private_files);
	tcase_add_test(append, append_goes_to_the_hour_of_now);
	tcase_add_test(append, removed_file_and_folder_come_back);
	tcase_add_test(append, full_disk_at_every_byte);
	tcase_add_test(append, failures_are_logged_once_a_second);
	tcase_add_test(
	    append, open_and_check_tell_when_no_line_could_be_written);
	tcase_add_test(append, threads_share_a_journal);
	tcase_add_test(append, killed_writers_lose_nothing_acknowledged);
	return suite_run("usage_journal", line, append, NULL);
}
