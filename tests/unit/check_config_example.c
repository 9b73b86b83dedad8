/*
 * .env.example is the manual of the settings: it has each of them once, with
 * the default that lib/config has, and nothing else. Run from the project's
 * folder, as the Makefile does.
 */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/config.h"
#include "tests/unit/suite.h"

#define EXAMPLE ".env.example"

static char *
next_line(FILE *in, char line[512])
{
	if (fgets(line, 512, in) == NULL)
		return NULL;
	ck_assert_msg(strchr(line, '\n') != NULL, "a line is too long");
	line[strcspn(line, "\n")] = '\0';
	return line;
}

/* "#PORT=8080" and "PORT=8080" give PORT and cut the line at '='. */
static enum config_name
setting_of(char *line, const char **value)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ_";
	char *name = line + (*line == '#');
	size_t n = strspn(name, letters);

	if (n == 0 || name[n] != '=')
		return CONFIG__MAX;
	name[n] = '\0';
	*value = name + n + 1;
	ck_assert_msg(
	    config_find(name) != CONFIG__MAX, "%s is no setting", name);
	return config_find(name);
}

START_TEST(each_setting_stands_there_once_with_its_default)
{
	FILE *in = fopen(EXAMPLE, "r");
	int seen[CONFIG__MAX] = { 0 };
	enum config_name name;
	const char *value;
	char line[512];

	ck_assert_msg(in != NULL, "no %s here", EXAMPLE);
	while (next_line(in, line) != NULL) {
		if ((name = setting_of(line, &value)) == CONFIG__MAX)
			continue;
		seen[name]++;
		ck_assert_msg(strcmp(value, config_fallback(name)) == 0,
		    "%s is '%s', not '%s'", config_label(name), value,
		    config_fallback(name));
	}
	for (name = 0; name < CONFIG__MAX; name++)
		ck_assert_msg(seen[name] == 1, "%s: there %d times",
		    config_label(name), seen[name]);
	fclose(in);
}
END_TEST

/* A "(live)" closes the comment above the settings that are, and no other. */
START_TEST(live_settings_are_marked)
{
	FILE *in = fopen(EXAMPLE, "r");
	enum config_name name;
	const char *value;
	char line[512];
	int marked = 0;

	ck_assert_msg(in != NULL, "no %s here", EXAMPLE);
	while (next_line(in, line) != NULL) {
		if (line[0] == '\0')
			marked = 0;
		else if (strstr(line, "(live)") != NULL)
			marked = 1;
		if ((name = setting_of(line, &value)) != CONFIG__MAX)
			ck_assert_msg(marked == config_is_live(name),
			    "%s: wrongly marked", config_label(name));
	}
	fclose(in);
}
END_TEST

/* With every # taken off it must say what an empty environment says. */
START_TEST(it_loads_and_changes_nothing)
{
	char path[] = "/tmp/check_config_example.XXXXXX", line[512];
	int64_t plain[CONFIG__MAX];
	FILE *in = fopen(EXAMPLE, "r"), *out;
	struct config *c;
	const char *value;
	int fd;

	ck_assert_int_eq(clearenv(), 0);
	ck_assert_ptr_nonnull(c = config_load());
	for (enum config_name name = 0; name < CONFIG__MAX; name++)
		plain[name] = config_number(c, name);
	config_free(c);
	ck_assert_msg(in != NULL, "no %s here", EXAMPLE);
	ck_assert_int_ne(fd = mkstemp(path), -1);
	ck_assert_ptr_nonnull(out = fdopen(fd, "w"));
	while (next_line(in, line) != NULL) {
		enum config_name name = setting_of(line, &value);

		if (name != CONFIG__MAX)
			fprintf(out, "%s=%s\n", config_label(name), value);
	}
	fclose(in);
	ck_assert_int_eq(fclose(out), 0);
	ck_assert_int_eq(setenv("PMPROXY_ENV", path, 1), 0);
	ck_assert_ptr_nonnull(c = config_load());
	for (enum config_name name = 0; name < CONFIG__MAX; name++)
		ck_assert_msg(config_number(c, name) == plain[name],
		    "%s: %" PRId64, config_label(name), plain[name]);
	config_free(c);
	ck_assert_int_eq(remove(path), 0);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("config example");

	tcase_add_test(t, each_setting_stands_there_once_with_its_default);
	tcase_add_test(t, live_settings_are_marked);
	tcase_add_test(t, it_loads_and_changes_nothing);
	return suite_run("config example", t, NULL);
}
