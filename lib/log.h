/*
 * log.h - one line to standard error per event; the only module that prints
 * events. Whatever a client could have written is escaped, lines are bounded,
 * and nobody passes bytes of a request or an answer in here: a line names the
 * cause, never the content. All functions are thread-safe and keep errno.
 */
#ifndef PMPROXY_LOG_H
#define PMPROXY_LOG_H

#define LOG_PRINTF(f, a) __attribute__((__format__(__printf__, f, a)))

/* Names the program in every line. 'program' must stay valid. */
void log_init(const char *program);

/* Tags this thread's later lines with a request id (copied); NULL clears. */
void log_request(const char *id);

/* The form with an x does not append strerror(errno), as in err(3). */
void log_warn(const char *fmt, ...) LOG_PRINTF(1, 2);
void log_warnx(const char *fmt, ...) LOG_PRINTF(1, 2);
void log_info(const char *fmt, ...) LOG_PRINTF(1, 2);

/* Logs and exits with status 1. Only for programs, before they serve. */
void
log_fatal(const char *fmt, ...) LOG_PRINTF(1, 2) __attribute__((__noreturn__));
void
log_fatalx(const char *fmt, ...) LOG_PRINTF(1, 2) __attribute__((__noreturn__));

#endif
