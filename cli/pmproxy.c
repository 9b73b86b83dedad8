/* pmproxy: sets the gate up, starts it, reloads it. */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/serve.h"
#include "cli/setup.h"

enum {
	ROOT = 'r',
	DOMAIN = 'd',
	TLS = 't',
	PASSWORD = 'p',
	KEY = 'k',
	UPSTREAM = 'u',
	NO_DOCTOR = 'n'
};

static const char overall_help[] =
    "usage: pmproxy COMMAND [OPTION]...\n"
    "\n"
    "  setup   make a fresh installation ready to start, or change it\n"
    "  check   say whether the web server's configuration is right\n"
    "  reload  take settings and certificates up; answers go on\n"
    "  serve   start the web server in the foreground, as systemd does\n";

static const char setup_help[] =
    "usage: pmproxy setup [OPTION]...\n"
    "\n"
    "On a terminal it asks for what is missing. What is there is kept, unless\n"
    "an option gives something else. FILE may be - for standard input.\n"
    "\n"
    "  --domain NAME               by which clients reach the gate\n"
    "  --tls auto|none             get a certificate for it (the default with\n"
    "                              a name), or not\n"
    "  --admin-password-file FILE  its first line is the password\n"
    "  --privatemode-key-file FILE its first line is the key\n"
    "  --upstream-binary FILE      the privatemode-proxy program\n"
    "  --root FOLDER               write below it, for an image\n"
    "  --no-doctor                 do not run pmdoctor afterwards\n";

static const char check_help[] =
    "usage: pmproxy check\n"
    "\n"
    "Reads everything as the web server would, and starts nothing.\n";

static const char reload_help[] =
    "usage: pmproxy reload\n"
    "\n"
    "Checks the configuration first. The web server then reads settings and\n"
    "certificates anew; the responders' own settings need a restart.\n";

static const char serve_help[] =
    "usage: pmproxy serve\n"
    "\n"
    "Becomes lighttpd. With NOTIFY_SOCKET it also asks /health over and over\n"
    "and tells systemd.\n";

static const struct option options[] = {
	{ "root", required_argument, NULL, ROOT },
	{ "domain", required_argument, NULL, DOMAIN },
	{ "tls", required_argument, NULL, TLS },
	{ "admin-password-file", required_argument, NULL, PASSWORD },
	{ "privatemode-key-file", required_argument, NULL, KEY },
	{ "upstream-binary", required_argument, NULL, UPSTREAM },
	{ "no-doctor", no_argument, NULL, NO_DOCTOR },
	{ "help", no_argument, NULL, COMMAND_HELP },
	{ NULL, 0, NULL, 0 },
};

static const char *
set_option(void *arg, int letter, const char *value)
{
	struct setup_given *g = arg;

	switch (letter) {
	case ROOT:
		g->root = value;
		return *value == '/' ? NULL : "not an absolute path";
	case DOMAIN:
		g->domain = value;
		return NULL;
	case TLS:
		g->tls = value;
		return strcmp(value, "auto") == 0 || strcmp(value, "none") == 0
		    ? NULL
		    : "neither auto nor none";
	case PASSWORD:
		g->password_file = value;
		return NULL;
	case KEY:
		g->key_file = value;
		return NULL;
	case UPSTREAM:
		g->upstream = value;
		return NULL;
	default:
		g->no_doctor = 1;
		return NULL;
	}
}

static int
prepare(void *arg)
{
	(void)arg;
	return 0;
}

static enum command_exit
setup(char **none, void *arg)
{
	(void)none;
	return setup_run(arg) == 0 ? COMMAND_DONE : COMMAND_FAILED;
}

static enum command_exit
check(char **none, void *arg)
{
	(void)none;
	(void)arg;
	return serve_run(1) == 0 ? COMMAND_DONE : COMMAND_FAILED;
}

static enum command_exit
reload(char **none, void *arg)
{
	(void)none;
	(void)arg;
	return serve_reload() == 0 ? COMMAND_DONE : COMMAND_FAILED;
}

static enum command_exit
serve(char **none, void *arg)
{
	(void)none;
	(void)arg;
	return serve_run(0) == 0 ? COMMAND_DONE : COMMAND_FAILED;
}

static const struct command commands[] = {
	{ "setup", setup_help, "rdtpkun", { NULL }, setup },
	{ "check", check_help, "", { NULL }, check },
	{ "reload", reload_help, "", { NULL }, reload },
	{ "serve", serve_help, "", { NULL }, serve },
};

static const struct program program = { "pmproxy", overall_help, commands,
	sizeof(commands) / sizeof(commands[0]), options, prepare, set_option };

int
main(int argc, char **argv)
{
	struct setup_given given = { .root = "" };

	return command_main(&program, argc, argv, &given);
}
