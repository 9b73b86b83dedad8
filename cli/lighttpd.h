/*
 * lighttpd.h - what lighttpd.conf needs of the settings, in lighttpd's own
 * syntax. lighttpd.conf runs "pmsettings lighttpd" in its own folder and
 * reads what it prints (include_shell), so that .env files, defaults and
 * bounds have one reader for all programs.
 */
#ifndef PMPROXY_LIGHTTPD_H
#define PMPROXY_LIGHTTPD_H

#include <stdio.h>

#include "lib/config.h"

/*
 * Prints one "var.name = value" a line; never a secret. -1 after logging when
 * a value cannot be written in lighttpd's syntax, 'out' takes no more, or the
 * program's own folder cannot be found. Nothing is printed when a value is
 * refused.
 */
int lighttpd_print(const struct config *, FILE *out);

#endif
