/* One command out of a table. */
#include "cli/command.h"

#include <stdio.h>
#include <string.h>

#include "lib/log.h"
#include "lib/sandbox.h"

enum command_exit
command_misused(const char *why)
{
	log_warnx("%s", why);
	return COMMAND_WRONG_USE;
}

/* Says how to find out more. */
static int
wrong_use(const struct program *p, const struct command *c)
{
	fprintf(stderr, "Try '%s %s%s--help'.\n", p->name, c ? c->name : "",
	    c ? " " : "");
	return COMMAND_WRONG_USE;
}

static const struct command *
find_command(const struct program *p, const char *name)
{
	for (size_t i = 0; i < p->n_commands; i++)
		if (strcmp(name, p->commands[i].name) == 0)
			return &p->commands[i];
	return NULL;
}

static const char *
option_name(const struct option *options, int letter)
{
	while (options->name != NULL && options->val != letter)
		options++;
	return options->name == NULL ? "?" : options->name;
}

/* 1 when all is read, 0 after --help, -1 after saying what is wrong. */
static int
read_options(const struct program *p, const struct command *c, int argc,
    char **argv, void *request)
{
	const char *problem;
	int letter;

	optind = 2;
	while ((letter = getopt_long(argc, argv, "", p->options, NULL)) != -1) {
		if (letter == '?') /* getopt has said what is wrong */
			return -1;
		if (letter == COMMAND_HELP) {
			fputs(c->help, stdout);
			return 0;
		}
		problem = strchr(c->takes, letter) == NULL
		    ? "this command has no such option"
		    : p->set_option(request, letter, optarg);
		if (problem != NULL) {
			log_warnx("--%s: %s", option_name(p->options, letter),
			    problem);
			return -1;
		}
	}
	return 1;
}

/* 1 when there is as much as the command needs, else 0 after saying so. */
static int
has_operands(const struct command *c, int argc, char **argv)
{
	int needed = 0;

	while (c->operands[needed] != NULL)
		needed++;
	if (argc - optind < needed)
		log_warnx("missing: %s", c->operands[argc - optind]);
	else if (argc - optind > needed)
		log_warnx("not expected: '%s'", argv[optind + needed]);
	return argc - optind == needed;
}

static int
run(const struct program *p, int argc, char **argv, void *request)
{
	const struct command *c;
	enum command_exit code;
	int ready;

	if (argc > 1 && strcmp(argv[1], "--help") == 0) {
		fputs(p->help, stdout);
		return COMMAND_DONE;
	}
	if (argc < 2)
		return wrong_use(p, NULL);
	if ((c = find_command(p, argv[1])) == NULL) {
		log_warnx("no such command: '%s'", argv[1]);
		return wrong_use(p, NULL);
	}
	if ((ready = read_options(p, c, argc, argv, request)) == 0)
		return COMMAND_DONE;
	if (ready == -1 || !has_operands(c, argc, argv))
		return wrong_use(p, c);
	if (p->prepare(request) == -1)
		return COMMAND_FAILED;
	code = c->run(argv + optind, request);
	return code == COMMAND_WRONG_USE ? wrong_use(p, c) : (int)code;
}

int
command_main(const struct program *p, int argc, char **argv, void *request)
{
	int code;

	log_init(p->name);
	if (sandbox_private() == -1)
		return COMMAND_FAILED;
	code = run(p, argc, argv, request);
	/* A full disk or a closed pipe is a failure, too. */
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	log_warn("cannot write to standard output");
	return code == COMMAND_DONE ? COMMAND_FAILED : code;
}
