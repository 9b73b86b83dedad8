/* One escaped line per event, written with a single write(2). */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Below PIPE_BUF, so that lines of several processes never mix in a pipe. */
#define LINE_MAX_LEN 1024

static const char *program_name = "pmproxy";
static _Thread_local char request_id[40];

void
log_init(const char *program)
{
	program_name = program;
}

void
log_request(const char *id)
{
	snprintf(request_id, sizeof(request_id), "%s", id ? id : "");
}

/* A control character or a byte over 126 shows as \xNN; returns the end. */
static size_t
escape(char *to, size_t room, const char *from)
{
	static const char digit[] = "0123456789abcdef";
	size_t n = 0;

	for (; *from != '\0' && n + 4 < room; from++) {
		unsigned char c = (unsigned char)*from;

		if (c >= 0x20 && c < 0x7f && c != '\\') {
			to[n++] = (char)c;
			continue;
		}
		to[n++] = '\\';
		to[n++] = 'x';
		to[n++] = digit[c >> 4];
		to[n++] = digit[c & 15];
	}
	return n;
}

static void LOG_PRINTF(3, 0)
    emit(const char *level, int error, const char *fmt, va_list ap)
{
	char text[LINE_MAX_LEN / 2], line[LINE_MAX_LEN];
	size_t n;
	int head;

	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		snprintf(text, sizeof(text), "a message that cannot be shown");
	head = snprintf(line, sizeof(line), "%s[%ld]: %s: %s%s", program_name,
	    (long)getpid(), level, request_id, request_id[0] ? ": " : "");
	n = head < 0 ? 0 : (size_t)head;
	n += escape(line + n, sizeof(line) - n - 128, text);
	if (error != 0) {
		char reason[96];

		n += (size_t)snprintf(line + n, sizeof(line) - n, ": %s",
		    strerror_r(error, reason, sizeof(reason)));
	}
	line[n++] = '\n';
	/* Nowhere is left to report a failure of the log itself. */
	if (write(STDERR_FILENO, line, n) == -1)
		return;
}

#define LOG_WITH(level, error)                 \
	do {                                   \
		int saved = errno;             \
		va_list ap;                    \
                                               \
		va_start(ap, fmt);             \
		emit(level, (error), fmt, ap); \
		va_end(ap);                    \
		errno = saved;                 \
	} while (0)

void
log_warn(const char *fmt, ...)
{
	LOG_WITH("warning", saved);
}

void
log_warnx(const char *fmt, ...)
{
	LOG_WITH("warning", 0);
}

void
log_info(const char *fmt, ...)
{
	LOG_WITH("info", 0);
}

void
log_fatal(const char *fmt, ...)
{
	LOG_WITH("fatal", saved);
	exit(1);
}

void
log_fatalx(const char *fmt, ...)
{
	LOG_WITH("fatal", 0);
	exit(1);
}
