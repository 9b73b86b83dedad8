/* A password from a terminal or a pipe. */
#include "cli/password.h"

#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/secret.h"

#define LEAST 10 /* characters: fewer are soon guessed */

/* One line without its end; 0 or -1. */
static int
read_line(char out[PASSWORD_SIZE])
{
	size_t n;

	if (fgets(out, PASSWORD_SIZE, stdin) == NULL) {
		log_warnx("no password was given");
		return -1;
	}
	n = strcspn(out, "\n");
	if (out[n] != '\n' && n == PASSWORD_SIZE - 1) {
		log_warnx(
		    "the password is longer than %d bytes", PASSWORD_SIZE - 2);
		return -1;
	}
	out[n] = '\0';
	if (n < LEAST) {
		log_warnx("the password needs %d bytes at least", LEAST);
		return -1;
	}
	return 0;
}

/* The same, asked for on the terminal that standard input is. */
static int
ask(const char *question, char out[PASSWORD_SIZE])
{
	struct termios shown, hidden;
	int done;

	if (tcgetattr(STDIN_FILENO, &shown) == -1) {
		log_warn("cannot hide what is typed");
		return -1;
	}
	hidden = shown;
	hidden.c_lflag &= ~(tcflag_t)ECHO;
	fputs(question, stderr);
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden) == -1) {
		log_warn("cannot hide what is typed");
		return -1;
	}
	done = read_line(out);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown); /* as it was */
	fputs("\n", stderr);
	return done;
}

int
password_read(char out[PASSWORD_SIZE])
{
	char again[PASSWORD_SIZE];
	int same;

	/* Nothing of it stays in a buffer of stdio's. */
	(void)setvbuf(stdin, NULL, _IONBF, 0);
	if (!isatty(STDIN_FILENO))
		return read_line(out);
	if (ask("New admin password: ", out) == -1 ||
	    ask("The same again: ", again) == -1)
		return -1;
	same = strcmp(out, again) == 0;
	secret_wipe(again, sizeof(again));
	if (!same)
		log_warnx("these are not the same");
	return same ? 0 : -1;
}
