/* password.h - reads a password from a person or a pipe, never from argv. */
#ifndef PMPROXY_CLI_PASSWORD_H
#define PMPROXY_CLI_PASSWORD_H

#define PASSWORD_SIZE 1024

/*
 * Twice without echo from a terminal, else one line of standard input. 0, or
 * -1 after saying what is wrong. Wipe it after use.
 */
int password_read(char out[PASSWORD_SIZE]);

#endif
