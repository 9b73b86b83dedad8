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
#define TEXT_MAX 512
#define REASON_ROOM 128

static const char *program_name = "pmproxy";
static _Thread_local char request_id[40];

void
log_init(const char *program)
{
	program_name = program;
}

/* Not by snprintf: who serves many streams names each with each event. */
void
log_request(const char *id)
{
	size_t n = id != NULL ? strnlen(id, sizeof(request_id) - 1) : 0;

	if (n > 0)
		memcpy(request_id, id, n);
	request_id[n] = '\0';
}

/* A control character or a byte over 126 shows as \xNN; returns the end. */
static size_t
escape(char *to, size_t room, const char *from)
{
	static const char digit[] = "0123456789abcdef";
	size_t n = 0;

	for (; *from != '\0' && n + 4 <= room; from++) {
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
	char text[TEXT_MAX], head[96], reason[96] = "", line[LINE_MAX_LEN];
	const char *why = reason;
	size_t n;

	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		snprintf(text, sizeof(text), "a message that cannot be shown");
	snprintf(head, sizeof(head), "%.32s[%ld]: %s: ", program_name,
	    (long)getpid(), level);
	if (error != 0)
		why = strerror_r(error, reason, sizeof(reason));
	n = escape(line, sizeof(head), head);
	if (request_id[0] != '\0') {
		n += escape(line + n, sizeof(request_id) * 4, request_id);
		n += escape(line + n, 8, ": ");
	}
	/* The reason is kept back room for: it tells more than a long text. */
	n += escape(line + n, sizeof(line) - n - REASON_ROOM, text);
	if (error != 0) {
		n += escape(line + n, 8, ": ");
		n += escape(line + n, sizeof(line) - n - 1, why);
	}
	line[n++] = '\n';
	/* Nowhere is left to report a failure of the log itself. */
	while (write(STDERR_FILENO, line, n) == -1 && errno == EINTR)
		continue;
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
