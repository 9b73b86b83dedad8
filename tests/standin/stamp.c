/*
 * stamp.c - stamped events from the first of them.
 */
#include <string.h>

#include "loop.h"
#include "stamp.h"
#include "words.h"

#define SHELL_MAX (1 << 16)

void
stamp_free(struct stamp *s)
{
	buf_free(&s->shell);
	memset(s, 0, sizeof(*s));
}

void
stamp_now(struct stamp *s, int64_t i)
{
	char *to = s->text;

	*to++ = '@';
	to = words_number(to, i);
	*to++ = ':';
	to = words_number(to, loop_now());
	*to++ = ';';
	*to = '\0';
}

void
stamp_learn(struct stamp *s, const char *event, size_t n)
{
	size_t len = strlen(s->text);
	const char *stamp = memmem(event, n, s->text, len);
	struct buf shell = BUF(SHELL_MAX);

	if (stamp == NULL)
		return;
	s->at = (size_t)(stamp - event);
	(void)buf_add(&shell, event, s->at);
	(void)buf_add(&shell, stamp + len, n - s->at - len);
	buf_free(&s->shell);
	if (shell.failed)
		buf_free(&shell);
	s->shell = shell;
}

int
stamp_event(struct stamp *s, int64_t i, struct buf *out)
{
	if (s->shell.len == 0)
		return 0;
	stamp_now(s, i);
	/* Out of memory shows in out->failed. */
	(void)buf_add(out, s->shell.data, s->at);
	(void)buf_puts(out, s->text);
	(void)buf_add(out, s->shell.data + s->at, s->shell.len - s->at);
	return 1;
}
