/*
 * Sealed journals: what whoever has the disk but not the key can read of them,
 * or put into them; torn and damaged lines; and erasing.
 */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/usage_seal.h"
#include "tests/unit/seal_keys.h"
#include "tests/unit/usage_dir.h"

#define MODEL "gpt-oss-120b"
#define CHAT "chat.completions"
#define HOUR_NAME "2026112218"
#define NEXT_NAME "2026112219"

static void
setup(void)
{
	usage_dir_setup();
	seal_keys_setup();
	catch_log();
	use_keys(KEY_A);
}

static void
teardown(void)
{
	seal_keys_teardown();
	usage_dir_teardown();
}

/* Lines of two keys in turn, as a responder writes them. */
static void
put_lines(int64_t hour, int n)
{
	struct usage_journal *j = usage_journal_open(dir);

	ck_assert_ptr_nonnull(j);
	for (int i = 0; i < n; i++)
		put_line(j, hour + i, i % 2 ? "key_odd" : "key_even", MODEL,
		    CHAT, 2);
	usage_journal_close(j);
}

static char bytes[1 << 16];

static size_t
slurp(const char *name)
{
	int fd = open(hour_path(name), O_RDONLY);
	ssize_t n;

	ck_assert_int_ne(fd, -1);
	n = read(fd, bytes, sizeof(bytes) - 1);
	ck_assert_int_ge((int)n, 0);
	close(fd);
	bytes[n] = '\0';
	return (size_t)n;
}

/* Requests of a key (NULL: all) in all hours; -1 when they cannot be read. */
static int
requests_of(const char *key)
{
	static struct seen s;
	int64_t n = 0;

	s.n = 0;
	if (usage_each(dir, INT64_MIN, INT64_MAX, key, keep_total, &s) == -1)
		return -1;
	for (size_t i = 0; i < s.n; i++)
		n += s.row[i].requests;
	return (int)n;
}

static void
expect_refused(const char *why)
{
	forget_logged();
	ck_assert_int_eq(requests_of(NULL), -1);
	ck_assert_ptr_nonnull(strstr(logged(), HOUR_NAME));
	ck_assert_msg(strstr(logged(), why) != NULL, "%s", logged());
	/* Nor is it rolled up without them. */
	ck_assert_int_eq(usage_rollup(dir, HOUR_18 + 2 * HOUR, NULL), -1);
	/* Nor said to be erased. */
	ck_assert_int_eq(usage_erase(dir, "key_odd", NULL), -1);
}

START_TEST(lines_round_trip)
{
	put_lines(HOUR_18, 7);
	ck_assert_int_eq(requests_of(NULL), 7);
	ck_assert_int_eq(requests_of("key_odd"), 3);
	ck_assert_int_eq(usage_malformed_lines(), 0);
	ck_assert_int_eq(usage_rollup(dir, HOUR_18 + 2 * HOUR, NULL), 1);
	ck_assert_int_eq(requests_of("key_even"), 4);
	put_lines(HOUR_18, 1); /* late */
	ck_assert_int_eq(requests_of("key_even"), 5);
}
END_TEST

/* The longest line there can be. */
START_TEST(long_lines_round_trip)
{
	struct usage_journal *j = usage_journal_open(dir);
	struct usage_record r = { .status_class = 2,
		.prompt = INT64_MAX,
		.completion = INT64_MAX,
		.cached = INT64_MAX,
		.total = INT64_MAX,
		.audio_bytes = INT64_MAX,
		.audio_ms = INT64_MAX,
		.duration_ms = INT64_MAX,
		.first_byte_ms = INT64_MAX };

	memset(r.key_id, 'k', sizeof(r.key_id) - 1);
	memset(r.model, 'm', sizeof(r.model) - 1);
	memset(r.endpoint, 'e', sizeof(r.endpoint) - 1);
	for (size_t n = sizeof(r.model) - 1; n > 0; n--) {
		r.model[n] = '\0';
		ck_assert_int_eq(usage_journal_append(j, &r, HOUR_18), 0);
	}
	usage_journal_close(j);
	ck_assert_int_eq(requests_of(r.key_id), sizeof(r.model) - 1);
}
END_TEST

START_TEST(nothing_can_be_read_on_the_disk)
{
	size_t n, line;

	put_lines(HOUR_18, 4);
	n = slurp(HOUR_NAME);
	ck_assert_ptr_null(strstr(bytes, "key_"));
	ck_assert_ptr_null(strstr(bytes, MODEL));
	ck_assert_ptr_null(strstr(bytes, "chat"));
	/* Nor is it told by its length. */
	line = n / 4;
	ck_assert_uint_eq(n, 4 * line);
	for (size_t i = 0; i < 4; i++)
		ck_assert(memcmp(bytes + i * line, "\n2\t", 3) == 0);
}
END_TEST

static int
file_has(const char *path, const char *what)
{
	int fd = open(path, O_RDONLY);
	ssize_t n = read(fd, bytes, sizeof(bytes));

	ck_assert_int_gt((int)n, 0);
	close(fd);
	return memmem(bytes, (size_t)n, what, strlen(what)) != NULL;
}

static int64_t
costs_one(void *arg, const struct usage_total *t)
{
	(void)arg;
	return t->requests;
}

static uint64_t
never_changes(void *arg, int64_t before)
{
	(void)arg;
	(void)before;
	return 1;
}

/* Nor in what is made of it. */
START_TEST(nothing_can_be_read_where_it_is_rolled_up)
{
	static const char *const stores[] = { "usage.gdbm", "usage-sums.gdbm",
		"usage-days-202611.gdbm" };
	const struct usage_pricing pricing = { costs_one, never_changes, NULL };
	char path[PATH_MAX];

	for (int sealed = 0; sealed < 2; sealed++) {
		use_keys(sealed ? KEY_A : NULL);
		put_lines(HOUR_18, 4);
		ck_assert_int_eq(
		    usage_rollup(dir, HOUR_18 + 2 * HOUR, &pricing), 1);
		for (int i = 0; i < COUNT(stores); i++) {
			snprintf(path, sizeof(path), "%s/%s", dir, stores[i]);
			ck_assert_int_eq(file_has(path, "key_odd"), !sealed);
			ck_assert_int_eq(file_has(path, MODEL), !sealed);
			ck_assert_int_eq(unlink(path), 0);
		}
		ck_assert_int_eq(unlink(hour_path(HOUR_NAME)), 0);
	}
}
END_TEST

START_TEST(a_wrong_or_missing_key_reads_nothing)
{
	put_lines(HOUR_18, 2);
	use_keys(KEY_B);
	expect_refused(key_file);
	use_keys(NULL);
	expect_refused("STORE_KEY_FILE must name");
	use_keys(KEY_B KEY_A);
	ck_assert_int_eq(requests_of(NULL), 2);
	put_lines(HOUR_18, 2); /* two keys in one hour */
	ck_assert_int_eq(requests_of(NULL), 4);
	use_keys(KEY_A); /* an old key that is dropped too early */
	ck_assert_int_eq(unlink(key_file), 0);
	ck_assert_int_eq(seal_use(key_file), 0);
	forget_logged();
	ck_assert_int_eq(requests_of(NULL), -1);
	ck_assert_ptr_nonnull(strstr(logged(), key_file));
}
END_TEST

START_TEST(without_a_key_nothing_is_written)
{
	struct usage_journal *j = usage_journal_open(dir);
	struct usage_record r = { .status_class = 2 };

	ck_assert_int_eq(seal_use("/nonexistent/key"), 0);
	ck_assert_int_eq(usage_journal_append(j, &r, HOUR_18), -1);
	ck_assert_ptr_nonnull(strstr(logged(), "/nonexistent/key"));
	usage_journal_close(j);
	ck_assert_int_eq(access(hour_path(HOUR_NAME), F_OK), -1);
}
END_TEST

START_TEST(a_plain_line_is_not_believed)
{
	char line[USAGE_LINE_SIZE];
	struct usage_record r = { .key_id = "key_odd",
		.model = MODEL,
		.endpoint = CHAT,
		.status_class = 2 };
	size_t n = usage_line_format(line, &r);

	put_lines(HOUR_18, 2);
	put_raw(HOUR_NAME, line, n);
	expect_refused("not sealed although");
	expect_refused("pmkey reseal --first");
}
END_TEST

START_TEST(a_line_counts_in_its_hour_alone)
{
	size_t n;

	put_lines(HOUR_18, 1);
	n = slurp(HOUR_NAME);
	put_raw(NEXT_NAME, bytes, n);
	ck_assert_int_eq(requests_of(NULL), 1);
	ck_assert_int_eq(usage_malformed_lines(), 1);
}
END_TEST

START_TEST(a_line_counts_once)
{
	size_t n;

	put_lines(HOUR_18, 200);
	n = slurp(HOUR_NAME) / 200;
	for (int i = 0; i < 3; i++)
		put_raw(HOUR_NAME, bytes + 5 * n, 20 * n);
	ck_assert_int_eq(requests_of(NULL), 200);
	ck_assert_int_eq(usage_malformed_lines(), 0);
}
END_TEST

/* A writer dies, or the disk is full, after each number of bytes. */
START_TEST(a_torn_line_spoils_only_itself)
{
	size_t n;

	put_lines(HOUR_18, 1);
	n = slurp(HOUR_NAME);
	for (size_t cut = 0; cut < n; cut++) {
		ck_assert_int_eq(unlink(hour_path(HOUR_NAME)), 0);
		put_raw(HOUR_NAME, bytes, cut);
		put_lines(HOUR_18 + 1, 1);
		/* All but the last newline is a whole line. */
		MUST(requests_of(NULL) == (cut == n - 1 ? 2 : 1));
		MUST(usage_malformed_lines() == (cut > 1 && cut < n - 1));
	}
}
END_TEST

/* Each byte of the first line: never counted, or refused; and never crashes. */
START_TEST(a_flipped_byte_is_noticed_anywhere)
{
	static char good[4096];
	size_t n;

	put_lines(HOUR_18, 1);
	n = slurp(HOUR_NAME);
	memcpy(good, bytes, n);
	for (size_t at = 1; at < n - 1; at++)
		for (int bit = 0; bit < 8; bit++) {
			int got;

			memcpy(bytes, good, n);
			bytes[at] = (char)(bytes[at] ^ (1 << bit));
			write_file(hour_path(HOUR_NAME), bytes, n);
			got = requests_of(NULL);
			MUST(got == 0 || got == -1);
			/* Only in the key's id, which then is unknown. */
			MUST(got == 0 || (at > 2 && at < 19));
		}
	write_file(hour_path(HOUR_NAME), good, n);
	ck_assert_int_eq(requests_of(NULL), 1);
}
END_TEST

START_TEST(erasing_takes_a_keys_lines)
{
	put_lines(HOUR_18, 6);
	slurp(HOUR_NAME);
	ck_assert_int_eq(usage_rollup(dir, HOUR_18 + 2 * HOUR, NULL), 1);
	ck_assert_int_eq(usage_erase(dir, "key_odd", NULL), 3 + 1);
	ck_assert_int_eq(requests_of("key_odd"), 0);
	ck_assert_int_eq(requests_of("key_even"), 3);
	ck_assert_int_eq(unlink(hour_path(HOUR_NAME)), 0);
	ck_assert_int_eq(requests_of(NULL), 3);
}
END_TEST

/* What is left of a sealed line is nobody's, so it goes with whoever goes. */
START_TEST(erasing_takes_what_cannot_be_opened)
{
	size_t n, line;

	put_lines(HOUR_18, 3);
	n = slurp(HOUR_NAME);
	line = n / 3;
	put_raw(HOUR_NAME, bytes + line, line / 2); /* torn, of "key_odd" */
	put_lines(HOUR_18 + 4, 1);
	put_raw(HOUR_NAME, bytes + line, line / 3); /* or on its way */
	ck_assert_int_eq(usage_erase(dir, "key_odd", NULL), 2);
	ck_assert_int_eq(requests_of(NULL), 3);
	ck_assert_int_eq(usage_malformed_lines(), 1);
	ck_assert_uint_eq(slurp(HOUR_NAME), 4 * line + line / 2 + line / 3);
	for (size_t i = line; i < 2 * line; i++)
		MUST(bytes[i] == '\n');
	for (size_t i = 3 * line; i < 3 * line + line / 2; i++)
		MUST(bytes[i] == '\n');
}
END_TEST

static int
erase_odd(void)
{
	return usage_erase(dir, "key_odd", NULL) == -1;
}

START_TEST(erasing_may_be_killed_anywhere)
{
	int killed = 0;

	ck_assert_int_eq(seal_ready(), 1);
	for (int n = 1;; n += 3 * stride()) {
		put_lines(HOUR_18, 4);
		if (!killed_at(erase_odd, n))
			break;
		killed++;
		MUST(requests_of("key_even") == 2);
		ck_assert_int_ne(usage_erase(dir, "key_odd", NULL), -1);
		MUST(requests_of(NULL) == 2);
		MUST(usage_malformed_lines() == 0);
		ck_assert_int_eq(unlink(hour_path(HOUR_NAME)), 0);
	}
	ck_assert_int_gt(killed * stride(), 5);
}
END_TEST

static int
count_given(const struct usage_total *t, const struct usage_total *b, void *n)
{
	*(int64_t *)n += t->requests - (b == NULL ? 0 : b->requests);
	return 0;
}

/* What the cursor gives of hours closed by now. */
static int64_t
given(void)
{
	char path[PATH_MAX];
	struct usage_cursor *c;
	int64_t n = 0;

	snprintf(path, sizeof(path), "%s/export-x.gdbm", dir);
	c = usage_cursor_open(path);
	ck_assert_ptr_nonnull(c);
	ck_assert_int_eq(
	    usage_cursor_each(c, dir, HOUR_18 + 9 * HOUR, count_given, &n), 0);
	ck_assert_int_eq(usage_cursor_commit(c), 0);
	return n;
}

START_TEST(a_cursor_gives_each_line_once)
{
	put_lines(HOUR_18, 5);
	ck_assert_int_eq(given(), 5);
	ck_assert_int_eq(given(), 0);
	put_lines(HOUR_18, 3); /* late */
	ck_assert_int_eq(given(), 3);
	ck_assert_int_eq(given(), 0);
}
END_TEST

static TCase *
journals(void)
{
	TCase *t = tcase_create("journals");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, lines_round_trip);
	tcase_add_test(t, long_lines_round_trip);
	tcase_add_test(t, nothing_can_be_read_on_the_disk);
	tcase_add_test(t, nothing_can_be_read_where_it_is_rolled_up);
	tcase_add_test(t, a_wrong_or_missing_key_reads_nothing);
	tcase_add_test(t, without_a_key_nothing_is_written);
	tcase_add_test(t, a_plain_line_is_not_believed);
	tcase_add_test(t, a_line_counts_in_its_hour_alone);
	tcase_add_test(t, a_line_counts_once);
	tcase_add_test(t, a_torn_line_spoils_only_itself);
	tcase_add_test(t, a_flipped_byte_is_noticed_anywhere);
	tcase_add_test(t, erasing_takes_a_keys_lines);
	tcase_add_test(t, erasing_takes_what_cannot_be_opened);
	tcase_add_test(t, erasing_may_be_killed_anywhere);
	tcase_add_test(t, a_cursor_gives_each_line_once);
	tcase_set_timeout(t, 60);
	return t;
}

int
main(void)
{
	return suite_run("usage_seal", journals(), NULL);
}
