/*
 * watch.h - asks a gate over and over whether it answers, and tells systemd,
 * which starts a gate anew that hangs (sd_notify(3), WatchdogSec).
 */
#ifndef PMPROXY_CLI_WATCH_H
#define PMPROXY_CLI_WATCH_H

/*
 * Forks a process that watches the gate which the caller is about to become,
 * and ends with it; does nothing where nobody wants to be told (no
 * NOTIFY_SOCKET). 0, or -1 after logging.
 */
int watch_start(void);

#endif
