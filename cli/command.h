/*
 * command.h - a program made of commands: picks one out of a table, reads its
 * options, answers --help, and sees to it that what was printed got out.
 */
#ifndef PMPROXY_CLI_COMMAND_H
#define PMPROXY_CLI_COMMAND_H

#include <getopt.h>
#include <stddef.h>

enum command_exit {
	COMMAND_DONE,
	COMMAND_FAILED, /* or the answer is no */
	COMMAND_WRONG_USE
};

#define COMMAND_OPERANDS_MAX 2

struct command {
	const char *name, *help;
	const char *takes; /* letters of its options, beside --help */
	/* What it needs behind them, in capitals. */
	const char *operands[COMMAND_OPERANDS_MAX + 1];
	enum command_exit (*run)(char **operands, void *request);
};

struct program {
	const char *name, *help;
	const struct command *commands;
	size_t n_commands;
	const struct option *options; /* of all commands; ends with zeros */
	/* Before a command runs; 0, or -1 after logging. */
	int (*prepare)(void *request);
	/* Takes an option up: NULL, or what is wrong with its value. */
	const char *(*set_option)(void *request, int letter, const char *value);
};

/* The letter of --help; every program's options hold it. */
#define COMMAND_HELP 'h'

/* Does all of it; returns what main is to return. */
int command_main(const struct program *, int argc, char **argv, void *request);

/* Complains about a use that is found wrong while running. */
enum command_exit command_misused(const char *why);

#endif
