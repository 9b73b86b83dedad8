/*
 * "pmusage export --since-last" as a whole, killed at each of its system
 * calls: its output and what it remembers. Either all of it is remembered as
 * given, and then the output is whole; or the next run gives all of it again.
 */

#include "tests/unit/usage_dir.h"

#define HOURS 3
#define KEYS 2
#define LINES 4

static char program[PATH_MAX];

static const char *
in_dir(const char *name)
{
	static char path[FOLDER_SIZE + 300];

	snprintf(path, sizeof(path), "%s/%.255s", dir, name);
	return path;
}

/* The program beside this one's folder. */
static void
find_program(void)
{
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 32);
	char *slash;

	ck_assert_int_gt((int)n, 0);
	program[n] = '\0';
	ck_assert_ptr_nonnull(slash = strrchr(program, '/'));
	*slash = '\0';
	ck_assert_ptr_nonnull(slash = strrchr(program, '/'));
	memcpy(slash, "/bin/pmusage", sizeof("/bin/pmusage"));
	ck_assert_int_eq(access(program, X_OK), 0);
}

static const char *output;

/* Becomes the program, with its standard output in a new file. */
static int
export_it(void)
{
	int fd = open(in_dir(output), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd == -1 || dup2(fd, STDOUT_FILENO) == -1 ||
	    setenv("STATE_DIR", dir, 1) == -1 ||
	    setenv("RUN_DIR", dir, 1) == -1 ||
	    /* Which does not work where something is traced. */
	    setenv("ASAN_OPTIONS", "detect_leaks=0", 1) == -1 ||
	    setenv("PMPROXY_ENV", "/dev/null", 1) == -1)
		return 1;
	execl(program, program, "export", "--format", "jsonl", "--since-last",
	    "cron", (char *)NULL);
	return 1;
}

/* Tokens in an output; -1 when it does not end with a whole line. */
static int64_t
tokens_in(const char *name)
{
	static const char wanted[] = "\"total_tokens\":";
	FILE *f = fopen(in_dir(name), "r");
	char line[1024];
	int64_t sum = 0;
	int whole = 1;

	if (f == NULL)
		return 0; /* killed before it was made */
	while (fgets(line, sizeof(line), f) != NULL) {
		const char *at = strstr(line, wanted);

		whole = strchr(line, '\n') != NULL;
		if (at != NULL)
			sum += strtoll(at + strlen(wanted), NULL, 10);
	}
	ck_assert_int_eq(fclose(f), 0);
	return whole ? sum : -1;
}

static int64_t
run_to(const char *name)
{
	pid_t pid = fork();
	int status;

	output = name;
	ck_assert_int_ne(pid, -1);
	if (pid == 0)
		_exit(export_it());
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	return tokens_in(name);
}

/* Nothing was given yet, but what a run that died has left stays. */
static void
forget_given(void)
{
	if (unlink(in_dir("export-cron.gdbm")) == -1)
		ck_assert_int_eq(access(in_dir("export-cron.gdbm"), F_OK), -1);
	(void)unlink(in_dir("first"));
}

static void
use(int64_t at)
{
	struct usage_journal *j = usage_journal_open(dir);
	char key[8];

	for (int h = 0; h < HOURS; h++)
		for (int i = 0; i < LINES; i++) {
			snprintf(key, sizeof(key), "k%d", i % KEYS);
			put_line(j, at + h * HOUR, key, "m", "e", 2);
		}
	usage_journal_close(j);
}

START_TEST(killed_at_every_system_call)
{
	const int64_t all = 3 * HOURS * LINES;
	int n = 1, given = 0, again = 0;

	/* Which does not follow the program: there is nothing to learn. */
	if (under_valgrind())
		return;
	find_program();
	use(HOUR_18 - 365 * 24 * HOUR);
	for (;;) {
		int64_t first, second;
		int killed;

		forget_given();
		output = "first";
		killed = killed_at(export_it, n);
		first = tokens_in("first");
		second = run_to("second");
		/* All of it, once. */
		ck_assert_msg((second == all) != (second == 0),
		    "stop %d: then %lld of %lld", n, (long long)second,
		    (long long)all);
		if (second == 0) {
			ck_assert_int_eq(first, all);
			given++;
		} else
			again++;
		ck_assert_int_eq(run_to("third"), 0);
		if (!killed)
			break;
		n += 2 * stride();
		ck_assert_int_lt(n, 1000000);
	}
	/* There were moments before and after it was remembered. */
	ck_assert_int_gt(again * stride(), 20);
	ck_assert_int_gt(given * stride(), 2);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("export");

	tcase_add_checked_fixture(t, usage_dir_setup, usage_dir_teardown);
	tcase_set_timeout(t, 300);
	tcase_add_test(t, killed_at_every_system_call);
	return suite_run("usage_export", t, NULL);
}
