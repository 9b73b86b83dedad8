/* What an installation has, what it is given, and whether that can be right. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/setup_internal.h"
#include "lib/log.h"
#include "lib/session.h"

#ifndef PMPROXY_ETC
#define PMPROXY_ETC "/etc/pmproxy"
#endif
/* Where privatemode-proxy.service looks for it. */
#define UPSTREAM_PATH "/usr/local/bin/privatemode-proxy"

#define KEY_LEAST 8
#define KEY_MOST 1000 /* as PRIVATEMODE_API_KEY_FILE takes */

static int
put_path(char out[PATH_MAX], const char *root, const char *rest)
{
	int n = snprintf(out, PATH_MAX, "%s%s", root, rest);

	if (n > 0 && n < PATH_MAX)
		return 0;
	log_warnx("'%s' is too long", root);
	return -1;
}

static int
is_there(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0;
}

static int
is_given(const struct config *c, const char *label)
{
	enum config_name name = config_find(label);

	return name != CONFIG__MAX && config_is_given(c, name);
}

/* A stored password, or one among the settings. */
static int
has_password(const struct setup *s, const struct config *c)
{
	const struct session_rules rules = { .state_dir = s->state,
		.password = config_text(c, CONFIG_ADMIN_PASSWORD) };
	struct stat st;

	if (stat(s->state, &st) == -1 && errno == ENOENT)
		return *rules.password != '\0';
	return session_has_password(&rules);
}

/* With settings that cannot be read nothing else can be told: -1. */
static int
look_at_settings(struct setup *s)
{
	struct config *c;
	int bad;

	s->has_env = is_there(s->env);
	if ((s->has_env ? setenv("PMPROXY_ENV", s->env, 1)
			: unsetenv("PMPROXY_ENV")) == -1 ||
	    (c = config_load()) == NULL)
		return -1;
	s->has_domain = is_given(c, "DOMAIN");
	s->has_port = is_given(c, "PORT");
	s->has_tls = is_given(c, "TLS_AUTO") || is_given(c, "TLS_CERT_FILE");
	bad =
	    put_path(s->state, s->given.root, config_text(c, CONFIG_STATE_DIR));
	if (!bad && (s->has_password = has_password(s, c)) == -1)
		bad = -1;
	config_free(c);
	return bad;
}

static int
look(struct setup *s)
{
	const char *root = s->given.root;

	if (put_path(s->etc, root, PMPROXY_ETC) == -1 ||
	    put_path(s->env, s->etc, "/env") == -1 ||
	    put_path(s->draft, s->etc, "/env.draft") == -1 ||
	    put_path(s->key, s->etc, "/privatemode.key") == -1 ||
	    put_path(s->upstream, root, UPSTREAM_PATH) == -1)
		return -1;
	s->has_key = is_there(s->key);
	s->has_upstream = is_there(s->upstream);
	return look_at_settings(s);
}

/* --- What is given, or asked for --------------------------------------------- */

static int
take(char *out, size_t size, const char *value)
{
	if (value == NULL)
		return 0;
	if (strlen(value) >= size) {
		log_warnx("'%.40s...' is too long", value);
		return -1;
	}
	memcpy(out, value, strlen(value) + 1);
	return 0;
}

/* One line that may be seen; "" where nothing was typed. 0 or -1. */
static int
ask(const char *question, char *out, size_t size)
{
	size_t n;

	(void)setvbuf(stdin, NULL, _IONBF, 0);
	fputs(question, stderr);
	if (size > INT_MAX || fgets(out, (int)size, stdin) == NULL) {
		log_warnx("no answer");
		return -1;
	}
	n = strcspn(out, "\n");
	if (out[n] == '\0' && n == size - 1) {
		log_warnx("that is too long");
		return -1;
	}
	out[n] = '\0';
	return 0;
}

static int
ask_missing(struct setup *s)
{
	if (!s->has_domain && *s->domain == '\0' &&
	    ask("Name of this host for clients, like ai.example.org (nothing "
		"for none): ",
		s->domain, sizeof(s->domain)) == -1)
		return -1;
	if (!s->has_upstream && *s->program == '\0' &&
	    ask("File of the privatemode-proxy program (nothing if it runs "
		"elsewhere): ",
		s->program, sizeof(s->program)) == -1)
		return -1;
	if (!s->has_key && *s->new_key == '\0' &&
	    password_ask("Privatemode key (nothing if privatemode-proxy has "
			 "it): ",
		s->new_key) == -1)
		return -1;
	if (!s->has_password && *s->new_password == '\0' &&
	    password_read(s->new_password) == -1)
		return -1;
	return 0;
}

static int
read_given(struct setup *s)
{
	const struct setup_given *g = &s->given;

	if (g->key_file != NULL && g->password_file != NULL &&
	    strcmp(g->key_file, "-") == 0 &&
	    strcmp(g->password_file, "-") == 0) {
		log_warnx("only one secret can come from standard input");
		return -1;
	}
	if (take(s->domain, sizeof(s->domain), g->domain) == -1 ||
	    take(s->program, sizeof(s->program), g->upstream) == -1 ||
	    (g->key_file != NULL &&
		password_from(g->key_file, s->new_key) == -1) ||
	    (g->password_file != NULL &&
		(password_from(g->password_file, s->new_password) == -1 ||
		    password_check(s->new_password) == -1)))
		return -1;
	return isatty(STDIN_FILENO) ? ask_missing(s) : 0;
}

/* --- Whether it can be right --------------------------------------------------- */

static int
check_key(const char *key)
{
	size_t n = strlen(key);

	if (n == 0)
		return 0;
	for (const char *p = key; *p != '\0'; p++)
		if (*p <= ' ' || *p > '~') {
			log_warnx("the Privatemode key holds a blank or a "
				  "character that no key has");
			return -1;
		}
	if (n >= KEY_LEAST && n <= KEY_MOST)
		return 0;
	log_warnx("the Privatemode key has not %d to %d characters", KEY_LEAST,
	    KEY_MOST);
	return -1;
}

/* A program for Linux, not an archive or a web page that was saved. */
static int
check_program(const char *path)
{
	char magic[4] = "";
	FILE *in;
	size_t n;

	if (*path == '\0')
		return 0;
	if ((in = fopen(path, "re")) == NULL) {
		log_warn("cannot open '%s'", path);
		return -1;
	}
	n = fread(magic, 1, sizeof(magic), in);
	(void)fclose(in); /* read only: nothing can be lost */
	if (n == sizeof(magic) && memcmp(magic, "\177ELF", n) == 0)
		return 0;
	log_warnx("'%s' is not a program", path);
	return -1;
}

int
setup_gather(struct setup *s)
{
	if (look(s) == -1 || read_given(s) == -1)
		return -1;
	/* Each, so that every mistake is told at once. */
	return check_key(s->new_key) | check_program(s->program);
}
