/* password.h - reads a password from a person or a pipe, never from argv. */
#ifndef PMPROXY_CLI_PASSWORD_H
#define PMPROXY_CLI_PASSWORD_H

#define PASSWORD_SIZE 1024

/*
 * Twice without echo from a terminal, else one line of standard input. 0, or
 * -1 after saying what is wrong. Wipe it after use.
 */
int password_read(char out[PASSWORD_SIZE]);

/* Any secret: once without echo from the terminal that standard input is. */
int password_ask(const char *question, char out[PASSWORD_SIZE]);

/* The first line of a file, or of standard input for "-". 0 or -1. */
int password_from(const char *path, char out[PASSWORD_SIZE]);

/* 0, or -1 after saying that it is too short for an admin's password. */
int password_check(const char *password);

/*
 * Reads the password of the admin pages and stores its hash, or forgets the
 * stored one; 0, or -1 after logging.
 */
int password_change(const char *state_dir, int remove);

#endif
