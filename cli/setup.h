/*
 * setup.h - makes a fresh installation one that can start: its settings, the
 * Privatemode key, the upstream's program, the admin password. What is there
 * stays unless something else is given, so it can be run again.
 */
#ifndef PMPROXY_CLI_SETUP_H
#define PMPROXY_CLI_SETUP_H

/* As given by options; NULL for what is not. Secrets only as files. */
struct setup_given {
	const char *root; /* everything is below this folder; "" is / */
	const char *domain;
	const char *tls; /* "auto" or "none" */
	const char *password_file, *key_file; /* "-" is standard input */
	const char *upstream; /* the program's file */
	int no_doctor;
};

/*
 * Asks for what is missing where standard input is a terminal, checks all of
 * it, then writes, then says what is left to do. 0 or -1 after logging; what
 * is checked and found wrong changes nothing.
 */
int setup_run(const struct setup_given *);

#endif
