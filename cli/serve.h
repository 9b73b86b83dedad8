/* serve.h - starts lighttpd with the gate's configuration, and reloads it. */
#ifndef PMPROXY_CLI_SERVE_H
#define PMPROXY_CLI_SERVE_H

/*
 * Becomes lighttpd in the foreground, or with 'check' a lighttpd that only
 * says whether its configuration is right. Returns, -1, when it cannot.
 */
int serve_run(int check);

/*
 * Has a running gate read its settings and certificates anew; answers under
 * way go on, and clients have been asked to close their connections for two
 * seconds before it. 0, or -1 after logging.
 */
int serve_reload(void);

#endif
