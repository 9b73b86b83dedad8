/* A password from a terminal or a pipe. */
#include "cli/password.h"

#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/secret.h"
#include "lib/session.h"

#define LEAST 10 /* characters: fewer are soon guessed */

/* One line without its end; 0 or -1. */
static int
read_line(FILE *in, char out[PASSWORD_SIZE])
{
	size_t n;

	if (fgets(out, PASSWORD_SIZE, in) == NULL) {
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
	return 0;
}

int
password_check(const char *password)
{
	if (strlen(password) >= LEAST)
		return 0;
	log_warnx("the password needs %d bytes at least", LEAST);
	return -1;
}

int
password_ask(const char *question, char out[PASSWORD_SIZE])
{
	struct termios shown, hidden;
	int done;

	(void)setvbuf(stdin, NULL, _IONBF, 0);
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
	done = read_line(stdin, out);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown); /* as it was */
	fputs("\n", stderr);
	return done;
}

int
password_from(const char *path, char out[PASSWORD_SIZE])
{
	FILE *in = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	int bad;

	if (in == NULL) {
		log_warn("cannot open '%s'", path);
		return -1;
	}
	/* Nothing of it stays in a buffer of stdio's. */
	(void)setvbuf(in, NULL, _IONBF, 0);
	bad = read_line(in, out);
	if (in != stdin)
		(void)fclose(in); /* read only: nothing can be lost */
	return bad;
}

int
password_read(char out[PASSWORD_SIZE])
{
	char again[PASSWORD_SIZE];
	int same;

	if (!isatty(STDIN_FILENO))
		return password_from("-", out) == -1 ? -1 : password_check(out);
	if (password_ask("New admin password: ", out) == -1 ||
	    password_check(out) == -1 ||
	    password_ask("The same again: ", again) == -1)
		return -1;
	same = strcmp(out, again) == 0;
	secret_wipe(again, sizeof(again));
	if (!same)
		log_warnx("these are not the same");
	return same ? 0 : -1;
}

int
password_change(const char *state_dir, int remove)
{
	char password[PASSWORD_SIZE] = "";
	int bad = 0;

	if (!remove)
		bad = password_read(password);
	if (!bad)
		bad =
		    session_store_password(state_dir, remove ? NULL : password);
	secret_wipe(password, sizeof(password));
	return bad ? -1 : 0;
}
