/*
 * environment.h - lighttpd starts CGI programs without its own environment,
 * so the settings come to them in a variable of their own.
 */
#ifndef PMPROXY_CGI_ADMIN_ENVIRONMENT_H
#define PMPROXY_CGI_ADMIN_ENVIRONMENT_H

/*
 * Puts into the environment what PMPROXY_CGI_ENV holds: "NAME=value" with
 * NULs between, all in hex so that no configuration file can misread it. 0,
 * also without that variable; -1 after logging.
 */
int environment_take(void);

#endif
