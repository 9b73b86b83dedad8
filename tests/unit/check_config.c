/*
 * lib/config: the environment and a .env file, each of a test's own. Standard
 * error is a file, so that what is logged can be read, and searched for what
 * must never be there.
 */
#include <check.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/config.h"
#include "tests/unit/suite.h"

static char folder[FOLDER_SIZE];
static char env_path[64], key_path[64];

static void
setup(void)
{
	make_folder(folder);
	snprintf(env_path, sizeof(env_path), "%s/.env", folder);
	snprintf(key_path, sizeof(key_path), "%s/key", folder);
	catch_log();
	clearenv();
}

static void
teardown(void)
{
	(void)unlink(env_path); /* not every test writes them */
	(void)unlink(key_path);
	ck_assert_int_eq(rmdir(folder), 0);
}

static void
write_bytes(const char *path, const void *p, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(write(fd, p, n), (ssize_t)n);
	close(fd);
}

static void
env_file(const char *text)
{
	write_bytes(env_path, text, strlen(text));
	setenv("PMPROXY_ENV", env_path, 1);
}

static struct config *
load(void)
{
	struct config *c = config_load();

	ck_assert_msg(c != NULL, "%s", logged());
	return c;
}

/* It is refused, and the log says so with these words. */
static void
refused(const char *words)
{
	ck_assert_ptr_null(config_load());
	ck_assert_msg(
	    strstr(logged(), words), "'%s' not in: %s", words, logged());
}

static const struct {
	const char *label, *text;
	int64_t number; /* where text is NULL */
	int live, secret;
	int64_t min, max;
} settings[] = {
	{ "ADMIN_PASSWORD", "", 0, 0, 1, 0, 0 },
	{ "ADMIN_IDLE", NULL, 1800, 0, 0, 60, 86400 },
	{ "ADMIN_LIFETIME", NULL, 43200, 0, 0, 60, 2592000 },
	{ "ADMIN_BIND_ADDRESS", NULL, 0, 0, 0, 0, 1 },
	{ "PUBLIC_HELP", NULL, 0, 0, 0, 0, 1 },
	{ "PRIVATEMODE_API_KEY", "", 0, 0, 1, 0, 0 },
	{ "PRIVATEMODE_API_KEY_FILE", "", 0, 0, 0, 0, 0 },
	{ "API_KEYS", "", 0, 0, 1, 0, 0 },
	{ "UPSTREAM_URL", "http://127.0.0.1:8081", 0, 0, 0, 0, 0 },
	{ "PORT", NULL, 8080, 0, 0, 1, 65535 },
	{ "STATE_DIR", "/var/lib/pmproxy", 0, 0, 0, 0, 0 },
	{ "STORE_KEY_FILE", "", 0, 0, 0, 0, 0 },
	{ "RUN_DIR", "/run/pmproxy", 0, 0, 0, 0, 0 },
	{ "DOMAIN", "", 0, 0, 0, 0, 0 },
	{ "TLS_AUTO", NULL, 0, 0, 0, 0, 1 },
	{ "ACME_URL", "https://acme-v02.api.letsencrypt.org/directory", 0, 0, 0,
	    0, 0 },
	{ "ACME_EMAIL", "", 0, 0, 0, 0, 0 },
	{ "HTTP_PORT", NULL, 0, 0, 0, 0, 65535 },
	{ "TLS_CERT_FILE", "", 0, 0, 0, 0, 0 },
	{ "TLS_KEY_FILE", "", 0, 0, 0, 0, 0 },
	{ "TLS_OCSP_FILE", "", 0, 0, 0, 0, 0 },
	{ "FORCE_HTTPS", NULL, 0, 0, 0, 0, 1 },
	{ "TRUST_PROXY", "0", 0, 0, 0, 0, 0 },
	{ "TRUST_PROXY_HEADER", "X-Forwarded-For", 0, 0, 0, 0, 0 },
	{ "PROXY_PROTOCOL", NULL, 0, 0, 0, 0, 1 },
	{ "CORS_ALLOW_ORIGINS", "", 0, 0, 0, 0, 0 },
	{ "RATE_LIMIT_REQUESTS", NULL, 100, 1, 0, 0, 1000000000 },
	{ "RATE_LIMIT_WINDOW", NULL, 60, 1, 0, 1, 86400 },
	{ "IP_RATE_LIMIT_REQUESTS", NULL, 1000, 1, 0, 0, 1000000000 },
	{ "IP_RATE_LIMIT_WINDOW", NULL, 60, 1, 0, 1, 86400 },
	{ "FAILED_AUTH_LIMIT", NULL, 30, 1, 0, 0, 1000000000 },
	{ "FAILED_AUTH_WINDOW", NULL, 60, 1, 0, 1, 86400 },
	{ "BUDGET_WARNING", NULL, 80, 1, 0, 1, 100 },
	{ "USAGE_RETENTION", NULL, 34560000, 1, 0, 2764800,
	    INT64_C(3153600000) },
	{ "MAX_BODY_BYTES", NULL, 64 << 20, 0, 0, 1024, INT64_C(1) << 30 },
	{ "MAX_BODY_MEMORY", NULL, 512 << 20, 0, 0, 1 << 20, INT64_C(1) << 40 },
	{ "MAX_KEY_BODY_MEMORY", NULL, 256 << 20, 0, 0, 1 << 20,
	    INT64_C(1) << 40 },
	{ "MAX_IN_FLIGHT", NULL, 1000, 0, 0, 1, 20000 },
	{ "PROCESSES", NULL, 2, 0, 0, 1, 32 },
	{ "UPSTREAM_CONNECT_TIMEOUT", NULL, 5, 1, 0, 1, 3600 },
	{ "UPSTREAM_FIRST_BYTE_TIMEOUT", NULL, 300, 1, 0, 1, 86400 },
	{ "UPSTREAM_IDLE_TIMEOUT", NULL, 120, 1, 0, 1, 86400 },
	{ "UPSTREAM_TOTAL_TIMEOUT", NULL, 7200, 1, 0, 1, 86400 },
	{ "KEEPALIVE_INTERVAL", NULL, 15, 1, 0, 1, 3600 },
	{ "METRICS_TOKEN", "", 0, 0, 1, 0, 0 },
	{ "METRICS_BY_KEY", NULL, 0, 0, 0, 0, 1 },
};

#define N_SETTINGS COUNT(settings)

START_TEST(each_setting_has_its_row)
{
	enum config_name name = config_find(settings[_i].label);
	struct config *c = load();
	int64_t min = -7, max = -7;

	ck_assert_int_eq(N_SETTINGS, CONFIG__MAX);
	ck_assert_int_lt(name, CONFIG__MAX);
	ck_assert_str_eq(config_label(name), settings[_i].label);
	ck_assert_uint_gt(strlen(config_meaning(name)), 5);
	ck_assert_int_eq(config_is_live(name), settings[_i].live);
	ck_assert_int_eq(config_is_secret(name), settings[_i].secret);
	ck_assert_int_eq(
	    config_is_number(name, &min, &max), settings[_i].text == NULL);
	ck_assert_int_eq(min, settings[_i].min);
	ck_assert_int_eq(max, settings[_i].max);
	ck_assert_int_eq(config_is_given(c, name), 0);
	if (settings[_i].text == NULL && name != CONFIG_FORCE_HTTPS) {
		min = -7;
		ck_assert_int_eq(
		    config_parse(name, config_fallback(name), &min), 0);
		ck_assert_int_eq(min, settings[_i].number);
	}
	if (settings[_i].text != NULL)
		ck_assert_str_eq(config_text(c, name), settings[_i].text);
	else
		ck_assert_int_eq(config_number(c, name), settings[_i].number);
	ck_assert_str_eq(logged(), "");
	config_free(c);
}
END_TEST

START_TEST(labels_are_unique_and_found_only_whole)
{
	for (enum config_name a = 0; a < CONFIG__MAX; a++)
		ck_assert_int_eq(config_find(config_label(a)), a);
	ck_assert_int_eq(config_find(""), CONFIG__MAX);
	ck_assert_int_eq(config_find("POR"), CONFIG__MAX);
	ck_assert_int_eq(config_find("PORTS"), CONFIG__MAX);
	ck_assert_int_eq(config_find("port"), CONFIG__MAX);
}
END_TEST

/* From the environment, through the whole load, at and past each bound. */
START_TEST(each_bound_holds)
{
	const char *label = settings[_i].label;
	enum config_name name = config_find(label);
	struct config *c;
	char value[32];

	if (settings[_i].text != NULL)
		return;
	setenv("TRUST_PROXY", "192.0.2.1", 1); /* PROXY_PROTOCOL wants it */
	setenv("DOMAIN", "gate.example.org", 1); /* for TLS_AUTO */
	snprintf(value, sizeof(value), "%" PRId64, settings[_i].min);
	setenv(label, value, 1);
	ck_assert_int_eq(config_number(c = load(), name), settings[_i].min);
	config_free(c);
	snprintf(value, sizeof(value), "%" PRId64, settings[_i].max);
	setenv(label, value, 1);
	ck_assert_int_eq(config_number(c = load(), name), settings[_i].max);
	config_free(c);
	ck_assert_str_eq(logged(), "");
	snprintf(value, sizeof(value), "%" PRId64, settings[_i].min - 1);
	setenv(label, value, 1);
	refused(label);
	ck_assert_ptr_null(strstr(logged(), " from -"));
	snprintf(value, sizeof(value), "%" PRId64, settings[_i].max + 1);
	setenv(label, value, 1);
	forget_logged();
	refused(label);
}
END_TEST

static const struct {
	enum config_name name;
	const char *value;
	int64_t want; /* -1: refused */
} values[] = {
	{ CONFIG_PORT, "080", 80 },
	{ CONFIG_PORT, "+80", -1 },
	{ CONFIG_PORT, " 80", -1 },
	{ CONFIG_PORT, "80 ", -1 },
	{ CONFIG_PORT, "", -1 },
	{ CONFIG_PORT, "0x50", -1 },
	{ CONFIG_PORT, "80s", -1 },
	{ CONFIG_PORT, "8e1", -1 },
	{ CONFIG_PORT, "80.0", -1 },
	{ CONFIG_PORT, "18446744073709551696", -1 },
	{ CONFIG_RATE_LIMIT_WINDOW, "90s", 90 },
	{ CONFIG_RATE_LIMIT_WINDOW, "90", 90 },
	{ CONFIG_RATE_LIMIT_WINDOW, "2m", 120 },
	{ CONFIG_RATE_LIMIT_WINDOW, "24h", 86400 },
	{ CONFIG_RATE_LIMIT_WINDOW, "1d", 86400 },
	{ CONFIG_RATE_LIMIT_WINDOW, "25h", -1 },
	{ CONFIG_RATE_LIMIT_WINDOW, "2d", -1 },
	{ CONFIG_RATE_LIMIT_WINDOW, "0", -1 },
	{ CONFIG_RATE_LIMIT_WINDOW, "-1", -1 },
	{ CONFIG_RATE_LIMIT_WINDOW, "1 m", -1 },
	{ CONFIG_RATE_LIMIT_WINDOW, "m", -1 },
	{ CONFIG_RATE_LIMIT_WINDOW, "9223372036854775807w", -1 },
	{ CONFIG_METRICS_BY_KEY, "1", 1 },
	{ CONFIG_METRICS_BY_KEY, "true", 1 },
	{ CONFIG_METRICS_BY_KEY, "TRUE", 1 },
	{ CONFIG_METRICS_BY_KEY, "Yes", 1 },
	{ CONFIG_METRICS_BY_KEY, "on", 1 },
	{ CONFIG_METRICS_BY_KEY, "0", 0 },
	{ CONFIG_METRICS_BY_KEY, "False", 0 },
	{ CONFIG_METRICS_BY_KEY, "no", 0 },
	{ CONFIG_METRICS_BY_KEY, "OFF", 0 },
	{ CONFIG_METRICS_BY_KEY, "2", -1 },
	{ CONFIG_METRICS_BY_KEY, "y", -1 },
	{ CONFIG_METRICS_BY_KEY, "on ", -1 },
	{ CONFIG_METRICS_BY_KEY, "enable", -1 },
	{ CONFIG_UPSTREAM_URL, "http://a", -1 }, /* text is no number */
	{ CONFIG_ADMIN_PASSWORD, "1", -1 },
};

START_TEST(values_are_parsed_whole)
{
	int64_t got = 4711;
	int bad = config_parse(values[_i].name, values[_i].value, &got);

	ck_assert_msg(
	    bad == (values[_i].want == -1 ? -1 : 0), "'%s'", values[_i].value);
	ck_assert_msg(got == (values[_i].want == -1 ? 4711 : values[_i].want),
	    "'%s'", values[_i].value);
}
END_TEST

/* A line of the file, and what CORS_ALLOW_ORIGINS then is; NULL: refused. */
static const struct {
	const char *what, *file, *want;
} lines[] = {
	{ "plain", "CORS_ALLOW_ORIGINS=https://a\n", "https://a" },
	{ "no newline at the end", "CORS_ALLOW_ORIGINS=a", "a" },
	{ "carriage returns", "\r\nCORS_ALLOW_ORIGINS=a\r\n", "a" },
	{ "blanks around", " \tCORS_ALLOW_ORIGINS \t=\t a \t\n", "a" },
	{ "blanks within", "CORS_ALLOW_ORIGINS=a b  c\n", "a b  c" },
	{ "equals signs within", "CORS_ALLOW_ORIGINS=a=b=\n", "a=b=" },
	{ "comments", "# X=1\n\t # y\n#\nCORS_ALLOW_ORIGINS=a\n#b\n", "a" },
	{ "a hash within", "CORS_ALLOW_ORIGINS=a#b\n", "a#b" },
	{ "a hash first", "CORS_ALLOW_ORIGINS=#b\n", "#b" },
	{ "blank lines", "\n  \n\t\nCORS_ALLOW_ORIGINS=a\n\n", "a" },
	{ "double quotes", "CORS_ALLOW_ORIGINS=\"a\"\n", "a" },
	{ "single quotes", "CORS_ALLOW_ORIGINS='a'\r\n", "a" },
	{ "quotes keep blanks", "CORS_ALLOW_ORIGINS=\" a \"\n", " a " },
	{ "quotes keep a comment", "CORS_ALLOW_ORIGINS='a #b'\n", "a #b" },
	{ "the other quote within", "CORS_ALLOW_ORIGINS='a\"b'\n", "a\"b" },
	{ "quotes within", "CORS_ALLOW_ORIGINS=a\"b\"\n", "a\"b\"" },
	{ "only one layer", "CORS_ALLOW_ORIGINS=\"'a'\"\n", "'a'" },
	{ "a backslash is one", "CORS_ALLOW_ORIGINS=\"a\\n$B\"\n", "a\\n$B" },
	{ "empty quotes", "CORS_ALLOW_ORIGINS=\"\"\n", "" },
	{ "nothing", "CORS_ALLOW_ORIGINS=\n", "" },
	{ "export", "export CORS_ALLOW_ORIGINS=a\n", "a" },
	{ "export, blanks", " export \t CORS_ALLOW_ORIGINS=a\n", "a" },
	{ "the last one counts", "CORS_ALLOW_ORIGINS=a\nCORS_ALLOW_ORIGINS=b\n",
	    "b" },
	{ "emptied again", "CORS_ALLOW_ORIGINS=a\nCORS_ALLOW_ORIGINS=\n", "" },
	{ "a byte order mark",
	    "\xef\xbb\xbf"
	    "CORS_ALLOW_ORIGINS=a\n",
	    "a" },
	{ "a name that is not ours", "FOO_BAR=1\nCORS_ALLOW_ORIGINS=a\n", "a" },
	{ "bytes above ASCII", "CORS_ALLOW_ORIGINS=\xc3\xa4\n", "\xc3\xa4" },
	{ "an empty file", "", "" },
	{ "no equals sign", "CORS_ALLOW_ORIGINS\n", NULL },
	{ "no name", "=a\n", NULL },
	{ "only export", "export\n", NULL },
	{ "export and no name", "export =a\n", NULL },
	{ "a name in lower case", "cors_allow_origins=a\n", NULL },
	{ "a quoted name", "\"CORS_ALLOW_ORIGINS\"=a\n", NULL },
	{ "an open quote", "CORS_ALLOW_ORIGINS=\"a\n", NULL },
	{ "one quote", "CORS_ALLOW_ORIGINS='\n", NULL },
	{ "two kinds of quote", "CORS_ALLOW_ORIGINS=\"a'\n", NULL },
	{ "text behind the quote", "CORS_ALLOW_ORIGINS=\"a\"b\n", NULL },
	{ "two quoted texts", "CORS_ALLOW_ORIGINS=\"a\" \"b\"\n", NULL },
	{ "a comment behind", "CORS_ALLOW_ORIGINS=a # b\n", NULL },
	{ "one behind a tab", "CORS_ALLOW_ORIGINS=a\t#b\n", NULL },
	{ "one behind quotes", "CORS_ALLOW_ORIGINS=\"a\" # b\n", NULL },
	{ "a control character", "CORS_ALLOW_ORIGINS=a\x01z\n", NULL },
	{ "a tab within", "CORS_ALLOW_ORIGINS=a\tb\n", NULL },
	{ "a carriage return within", "CORS_ALLOW_ORIGINS=a\rb\n", NULL },
	{ "DEL", "CORS_ALLOW_ORIGINS=a\x7f\n", NULL },
};

START_TEST(lines_mean_one_thing_or_are_refused)
{
	struct config *c;

	env_file(lines[_i].file);
	c = config_load();
	ck_assert_msg((c != NULL) == (lines[_i].want != NULL), "%s: %s",
	    lines[_i].what, logged());
	if (c == NULL) {
		ck_assert_str_ne(logged(), "");
		return;
	}
	ck_assert_msg(strcmp(config_text(c, CONFIG_CORS_ALLOW_ORIGINS),
			  lines[_i].want) == 0,
	    "%s: '%s'", lines[_i].what,
	    config_text(c, CONFIG_CORS_ALLOW_ORIGINS));
	config_free(c);
}
END_TEST

START_TEST(mistakes_are_told_all_at_once_with_their_lines)
{
	char want[100];

	env_file("PORT=1\nnonsense\n#\nRUN_DIR='x\nOTHER=1\nlower=1");
	setenv("PROCESSES", "33", 1);
	refused(":2: not of the form NAME=value\n");
	snprintf(want, sizeof(want), "%s:4: the value's quote", env_path);
	ck_assert_ptr_nonnull(strstr(logged(), want));
	ck_assert_ptr_nonnull(strstr(logged(), ":5: 'OTHER' is no setting"));
	ck_assert_ptr_nonnull(strstr(logged(), ":6: not of the form"));
	ck_assert_ptr_null(strstr(logged(), ":1:"));
	ck_assert_ptr_null(strstr(logged(), ":3:"));
	env_file("PORT=0\nRATE_LIMIT_WINDOW=2d\nTRUST_PROXY=maybe\n"
		 "UPSTREAM_URL=ftp://x\nTLS_KEY_FILE=x\nRUN_DIR=\x01\n");
	refused("PORT: not a number from 1 to 65535\n");
	ck_assert_ptr_nonnull(strstr(logged(),
	    "RATE_LIMIT_WINDOW: not a span of time (in seconds) from 1 to "
	    "86400\n"));
	ck_assert_ptr_nonnull(strstr(logged(), "TRUST_PROXY: not a switch"));
	ck_assert_ptr_nonnull(strstr(logged(), "UPSTREAM_URL: "));
	ck_assert_ptr_nonnull(strstr(logged(), "TLS_KEY_FILE go together"));
	ck_assert_ptr_nonnull(strstr(logged(), "RUN_DIR: holds a control"));
	ck_assert_ptr_nonnull(strstr(logged(), "PROCESSES: not a number"));
}
END_TEST

START_TEST(a_nul_byte_hides_nothing)
{
	static const char bytes[] = "PORT=1\0garbage\n";

	write_bytes(env_path, bytes, sizeof(bytes) - 1);
	setenv("PMPROXY_ENV", env_path, 1);
	refused(":1: a NUL byte\n");
}
END_TEST

START_TEST(a_file_that_never_ends_is_refused)
{
	setenv("PMPROXY_ENV", "/dev/zero", 1);
	refused("'/dev/zero' is longer than 262144 bytes");
}
END_TEST

START_TEST(a_long_value_is_whole)
{
	size_t n = (256 << 10) - 1, head = strlen("API_KEYS=");
	char *text = malloc(n + 2);
	struct config *c;

	memcpy(text, "API_KEYS=", head);
	memset(text + head, 'k', n - head);
	text[n] = text[n + 1] = '\0';
	env_file(text);
	c = load();
	ck_assert_str_eq(config_text(c, CONFIG_API_KEYS), text + head);
	config_free(c);
	text[n] = 'k';
	env_file(text);
	c = load();
	ck_assert_str_eq(config_text(c, CONFIG_API_KEYS), text + head);
	config_free(c);
	free(text);
}
END_TEST

START_TEST(a_file_that_cannot_be_read_is_named)
{
	setenv("PMPROXY_ENV", env_path, 1);
	refused("cannot open '/tmp/");
	setenv("PMPROXY_ENV", folder, 1);
	refused("cannot read '/tmp/");
	setenv("PMPROXY_ENV", "", 1);
	config_free(load());
}
END_TEST

START_TEST(the_environment_wins_unless_it_is_empty)
{
	struct config *c;

	env_file("PORT=81\nSTATE_DIR=/file\nMAX_IN_FLIGHT=5\n");
	setenv("PORT", "82", 1);
	setenv("STATE_DIR", "", 1);
	setenv("MAX_IN_FLIGHT", "", 1);
	setenv("RUN_DIR", "", 1);
	setenv("PROCESSES", "", 1);
	c = load();
	ck_assert_int_eq(config_number(c, CONFIG_PORT), 82);
	ck_assert_str_eq(config_text(c, CONFIG_STATE_DIR), "/file");
	ck_assert_int_eq(config_number(c, CONFIG_MAX_IN_FLIGHT), 5);
	ck_assert_int_eq(config_is_given(c, CONFIG_PORT), 1);
	ck_assert_int_eq(config_is_given(c, CONFIG_MAX_IN_FLIGHT), 1);
	ck_assert_int_eq(config_is_given(c, CONFIG_RUN_DIR), 0);
	ck_assert_int_eq(config_is_given(c, CONFIG_TRUST_PROXY), 0);
	ck_assert_str_eq(config_text(c, CONFIG_RUN_DIR), "/run/pmproxy");
	ck_assert_int_eq(config_number(c, CONFIG_PROCESSES), 2);
	config_free(c);
	/* A quote in the environment is the shell's business: it is kept. */
	setenv("STATE_DIR", "\"/env # x\"", 1);
	c = load();
	ck_assert_str_eq(config_text(c, CONFIG_STATE_DIR), "\"/env # x\"");
	config_free(c);
	/* A mistake in the file that the environment repairs is none. */
	env_file("PORT=0\n");
	c = load();
	ck_assert_int_eq(config_number(c, CONFIG_PORT), 82);
	config_free(c);
	setenv("RUN_DIR", "a\nb", 1);
	refused("RUN_DIR: holds a control character");
}
END_TEST

START_TEST(https_is_forced_where_tls_is_on_unless_told)
{
	struct config *c;

	setenv("TLS_CERT_FILE", "/cert", 1);
	refused("TLS_CERT_FILE and TLS_KEY_FILE go together");
	setenv("TLS_KEY_FILE", "/key", 1);
	c = load();
	ck_assert_int_eq(config_number(c, CONFIG_FORCE_HTTPS), 1);
	config_free(c);
	setenv("FORCE_HTTPS", "off", 1);
	c = load();
	ck_assert_int_eq(config_number(c, CONFIG_FORCE_HTTPS), 0);
	config_free(c);
	unsetenv("TLS_CERT_FILE");
	refused("TLS_CERT_FILE and TLS_KEY_FILE go together");
	unsetenv("TLS_KEY_FILE");
	setenv("FORCE_HTTPS", "1", 1);
	c = load();
	ck_assert_int_eq(config_number(c, CONFIG_FORCE_HTTPS), 1);
	config_free(c);
}
END_TEST

static const struct {
	const char *name;
	int ok;
} domains[] = {
	{ "gate.example.org", 1 },
	{ "localhost", 1 },
	{ "XN--BCHER-KVA.example", 1 },
	{ "3.example", 1 },
	{ "a-b.c--d", 1 },
	{ "192.0.2.1", 0 },
	{ "gate.example.org.", 0 },
	{ ".example.org", 0 },
	{ "a..b", 0 },
	{ "-a.example", 0 },
	{ "a-.example", 0 },
	{ "*.example.org", 0 },
	{ "a_b.example", 0 },
	{ "a.example/x", 0 },
	{ "a.example:443", 0 },
	{ "a example", 0 },
	{ "b\xc3\xbc"
	  "cher.example",
	    0 },
};

START_TEST(a_domain_is_the_name_of_a_host)
{
	struct config *c;

	setenv("DOMAIN", domains[_i].name, 1);
	if (!domains[_i].ok) {
		refused("DOMAIN: not the name of a host");
		return;
	}
	c = load();
	ck_assert_str_eq(config_text(c, CONFIG_DOMAIN), domains[_i].name);
	config_free(c);
}
END_TEST

START_TEST(a_domain_is_no_longer_than_names_may_be)
{
	char name[300];
	struct config *c;

	memset(name, 'a', sizeof(name));
	for (int i = 63; i < 252; i += 64)
		name[i] = '.';
	name[253] = '\0';
	setenv("DOMAIN", name, 1);
	config_free(c = load());
	name[253] = 'a';
	name[254] = '\0';
	setenv("DOMAIN", name, 1);
	refused("DOMAIN: not");
	memset(name, 'a', 64);
	name[63] = '\0';
	setenv("DOMAIN", name, 1);
	config_free(c = load());
	name[63] = 'a';
	name[64] = '\0';
	setenv("DOMAIN", name, 1);
	refused("DOMAIN: not");
}
END_TEST

START_TEST(an_automatic_certificate_brings_its_settings)
{
	struct config *c;

	setenv("TLS_AUTO", "1", 1);
	refused("TLS_AUTO: needs DOMAIN");
	setenv("DOMAIN", "gate.example.org", 1);
	setenv("STATE_DIR", "/state", 1);
	c = load();
	ck_assert_str_eq(
	    config_text(c, CONFIG_TLS_CERT_FILE), "/state/tls/live/chain.pem");
	ck_assert_str_eq(
	    config_text(c, CONFIG_TLS_KEY_FILE), "/state/tls/live/key.pem");
	ck_assert_str_eq(
	    config_text(c, CONFIG_TLS_OCSP_FILE), "/state/tls/live/ocsp.der");
	ck_assert_int_eq(config_number(c, CONFIG_HTTP_PORT), 80);
	ck_assert_int_eq(config_number(c, CONFIG_FORCE_HTTPS), 1);
	config_free(c);
	setenv("HTTP_PORT", "8080", 1);
	refused("HTTP_PORT: the same as PORT");
	setenv("HTTP_PORT", "8081", 1);
	c = load();
	ck_assert_int_eq(config_number(c, CONFIG_HTTP_PORT), 8081);
	config_free(c);
	setenv("HTTP_PORT", "0", 1);
	refused("TLS_AUTO: needs an HTTP_PORT");
	unsetenv("HTTP_PORT");
	setenv("TLS_KEY_FILE", "/key", 1);
	refused("TLS_KEY_FILE: is for a certificate of your own");
}
END_TEST

static const struct {
	const char *url;
	int ok;
} authorities[] = {
	{ "https://acme.example/directory", 1 },
	{ "https://127.0.0.1:14000/dir", 1 },
	{ "http://acme.example/directory", 0 },
	{ "acme.example", 0 },
	{ "https://acme.example/a b", 0 },
};

START_TEST(an_authority_is_asked_over_tls)
{
	struct config *c;

	setenv("ACME_URL", authorities[_i].url, 1);
	if (!authorities[_i].ok) {
		refused("ACME_URL: not of the form");
		return;
	}
	config_free(c = load());
}
END_TEST

static const struct {
	const char *url;
	int ok;
} urls[] = {
	{ "http://127.0.0.1:8081", 1 },
	{ "https://upstream.example", 1 },
	{ "http://[::1]:8081/", 1 },
	{ "http://a/base", 1 },
	{ "http://", 0 },
	{ "https://", 0 },
	{ "http:///x", 0 },
	{ "HTTP//a", 0 },
	{ "127.0.0.1:8081", 0 },
	{ "unix:/run/x", 0 },
	{ "file:///etc/passwd", 0 },
	{ "http://name:secret@a", 0 },
	{ "http://a?b", 0 },
	{ "http://a#b", 0 },
	{ "http://a b", 0 },
	{ "http://a\\b", 0 },
};

START_TEST(the_upstream_is_an_origin)
{
	struct config *c;

	setenv("UPSTREAM_URL", urls[_i].url, 1);
	c = config_load();
	ck_assert_msg((c != NULL) == urls[_i].ok, "%s", urls[_i].url);
	if (c == NULL)
		ck_assert_ptr_nonnull(strstr(logged(), "UPSTREAM_URL: "));
	config_free(c);
}
END_TEST

/* The content of a key file; NULL: refused. */
static const struct {
	const char *what, *bytes;
	size_t n;
	const char *want;
} keys[] = {
	{ "a key", "key-1", 5, "key-1" },
	{ "a newline", "key-1\n", 6, "key-1" },
	{ "more of them", "key-1 \r\n\n", 9, "key-1" },
	{ "a quote is part of it", "\"key", 4, "\"key" },
	{ "quotes are part of it", "\"key\"\n", 6, "\"key\"" },
	{ "nothing", "", 0, NULL },
	{ "newlines", "\n\n", 2, NULL },
	{ "a NUL byte", "key\0-1", 6, NULL },
	{ "two lines", "key-1\nkey-2\n", 12, NULL },
	{ "a control character", "key\x1b", 4, NULL },
};

START_TEST(a_key_may_come_from_a_file)
{
	struct config *c;

	write_bytes(key_path, keys[_i].bytes, keys[_i].n);
	setenv("PRIVATEMODE_API_KEY_FILE", key_path, 1);
	c = config_load();
	ck_assert_msg((c != NULL) == (keys[_i].want != NULL), "%s: %s",
	    keys[_i].what, logged());
	ck_assert_ptr_null(strstr(logged(), "key-1"));
	if (c == NULL) {
		ck_assert_ptr_nonnull(strstr(logged(), "PRIVATEMODE_API_KEY"));
		return;
	}
	ck_assert_str_eq(
	    config_text(c, CONFIG_PRIVATEMODE_API_KEY), keys[_i].want);
	config_free(c);
}
END_TEST

START_TEST(a_key_has_one_source)
{
	char key[2000];

	setenv("PRIVATEMODE_API_KEY_FILE", key_path, 1);
	refused("cannot open '/tmp/");
	write_bytes(key_path, "key-1\n", 6);
	setenv("PRIVATEMODE_API_KEY", "key-2", 1);
	refused("only one of them can hold");
	unsetenv("PRIVATEMODE_API_KEY");
	config_free(load());
	/* A key is never cut. */
	memset(key, 'k', sizeof(key));
	write_bytes(key_path, key, sizeof(key));
	refused("' is longer than");
}
END_TEST

START_TEST(proxies_are_named_or_refused)
{
	struct config *c;

	setenv("TRUST_PROXY", "10.0.0.0/8 unix", 1);
	setenv("TRUST_PROXY_HEADER", "Forwarded", 1);
	c = load();
	ck_assert_str_eq(config_text(c, CONFIG_TRUST_PROXY), "10.0.0.0/8 unix");
	config_free(c);
	setenv("TRUST_PROXY_HEADER", "X-Real-IP", 1);
	refused("TRUST_PROXY_HEADER: neither");
	unsetenv("TRUST_PROXY_HEADER");
	setenv("TRUST_PROXY", "10.0.0.1/8", 1);
	refused("TRUST_PROXY: not a switch, nor a list");
	/* Without a list anybody could say who he is. */
	setenv("PROXY_PROTOCOL", "1", 1);
	setenv("TRUST_PROXY", "1", 1);
	refused("PROXY_PROTOCOL: needs a list");
	setenv("TRUST_PROXY", "unix", 1);
	refused("PROXY_PROTOCOL: needs a list");
	setenv("TRUST_PROXY", "", 1);
	refused("PROXY_PROTOCOL: needs a list");
	setenv("TRUST_PROXY", "10.0.0.1", 1);
	c = load();
	ck_assert_int_eq(config_number(c, CONFIG_PROXY_PROTOCOL), 1);
	config_free(c);
}
END_TEST

START_TEST(no_value_is_ever_logged)
{
	static const char secret[] = "hunter2";

	/* In every place where a mistake can be made. */
	env_file("ADMIN_PASSWORD=\"hunter2\nAPI_KEYS=hunter2 # x\n"
		 "PRIVATEMODE_API_KEY=\x01hunter2\nhunter2\nhunter2=1\n"
		 "RUN_DIR=hunter2\x01\nexport hunter2\nPORT=hunter2\n");
	refused(":1: ");
	ck_assert_ptr_null(strstr(logged(), secret));
	env_file(
	    "PRIVATEMODE_API_KEY=\x01hunter2\nRUN_DIR=hunter2\x01\n"
	    "PORT=hunter2\nRATE_LIMIT_WINDOW=hunter2\n"
	    "TRUST_PROXY=hunter2\nTRUST_PROXY_HEADER=hunter2\nUPSTREAM_URL=http://hunter2@x\n");
	setenv("ADMIN_PASSWORD", "hunter2\n", 1);
	setenv("API_KEYS", "hunter2\n", 1);
	refused("ADMIN_PASSWORD: holds");
	ck_assert_ptr_null(strstr(logged(), secret));
}
END_TEST

static TCase *
cases(void)
{
	TCase *t = tcase_create("config");

	tcase_add_checked_fixture(t, setup, teardown);
	ADD_ROWS(t, each_setting_has_its_row, settings);
	tcase_add_test(t, labels_are_unique_and_found_only_whole);
	ADD_ROWS(t, each_bound_holds, settings);
	ADD_ROWS(t, values_are_parsed_whole, values);
	ADD_ROWS(t, lines_mean_one_thing_or_are_refused, lines);
	tcase_add_test(t, mistakes_are_told_all_at_once_with_their_lines);
	tcase_add_test(t, a_nul_byte_hides_nothing);
	tcase_add_test(t, a_file_that_never_ends_is_refused);
	tcase_add_test(t, a_long_value_is_whole);
	tcase_add_test(t, a_file_that_cannot_be_read_is_named);
	tcase_add_test(t, the_environment_wins_unless_it_is_empty);
	tcase_add_test(t, https_is_forced_where_tls_is_on_unless_told);
	tcase_add_test(t, proxies_are_named_or_refused);
	ADD_ROWS(t, a_domain_is_the_name_of_a_host, domains);
	tcase_add_test(t, a_domain_is_no_longer_than_names_may_be);
	tcase_add_test(t, an_automatic_certificate_brings_its_settings);
	ADD_ROWS(t, an_authority_is_asked_over_tls, authorities);
	ADD_ROWS(t, the_upstream_is_an_origin, urls);
	ADD_ROWS(t, a_key_may_come_from_a_file, keys);
	tcase_add_test(t, a_key_has_one_source);
	tcase_add_test(t, no_value_is_ever_logged);
	tcase_set_timeout(t, 60);
	return t;
}

int
main(void)
{
	return suite_run("config", cases(), NULL);
}
