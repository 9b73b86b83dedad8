/*
 * A look is a few lines of text: "STATE TIME", then a model a line. It is
 * written aside and renamed, which is also what wakes those who wait for it.
 */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "log.h"
#include "monotonic.h"
#include "text.h"

static const char name[] = "upstream";

#define LOOK_MAX ((size_t)PROBE_MODELS_MAX * PROBE_MODEL_SIZE + 64)

static int
path_of(char path[PATH_MAX], const char *run_dir, const char *suffix)
{
	int n = snprintf(path, PATH_MAX, "%s/%s%s", run_dir, name, suffix);

	if (n > 0 && n < PATH_MAX)
		return 0;
	log_warnx("the path of RUN_DIR is too long");
	return -1;
}

int
probe_listen(const char *run_dir)
{
	char path[PATH_MAX];
	struct stat st;
	int fd;

	if (path_of(path, run_dir, ".ask") == -1)
		return -1;
	if (mkfifo(path, 0600) == -1 && errno != EEXIST) {
		log_warn("cannot create '%s'", path);
		return -1;
	}
	/* To write as well: so that its end is never reached. */
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd == -1) {
		log_warn("cannot open '%s'", path);
		return -1;
	}
	if (fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode))
		return fd;
	log_warnx("'%s' is not a FIFO", path);
	close(fd);
	return -1;
}

int
probe_wait(int fd)
{
	char asked[64]; /* by so many at once */
	ssize_t n;

	do
		n = read(fd, asked, sizeof(asked));
	while (n == -1 && errno == EINTR);
	if (n > 0)
		return 0;
	log_warn("cannot wait for who asks after the upstream");
	return -1;
}

static int
is_plain(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return 0;
	return 1;
}

static int
write_whole(const char *path, const struct buf *b)
{
	int fd = open(
	    path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	ssize_t n;

	if (fd == -1)
		return -1;
	n = write(fd, b->data, b->len);
	if (n >= 0 && (size_t)n < b->len)
		errno = ENOSPC;
	return close(fd) == 0 && n == (ssize_t)b->len ? 0 : -1;
}

int
probe_publish(const char *run_dir, const struct probe *p)
{
	char path[PATH_MAX], aside[PATH_MAX], suffix[32];
	struct buf b = BUF(LOOK_MAX);
	int done;

	(void)snprintf(suffix, sizeof(suffix), ".%ld", (long)getpid());
	if (path_of(path, run_dir, "") == -1 ||
	    path_of(aside, run_dir, suffix) == -1)
		return -1;
	done = buf_printf(&b, "%d %lld\n", (int)p->state, (long long)p->at);
	for (size_t i = 0; i < p->n && done == 0; i++)
		if (is_plain(p->models[i]))
			done = buf_printf(&b, "%s\n", p->models[i]);
	if (done == 0)
		done = write_whole(aside, &b);
	if (done == 0)
		done = rename(aside, path);
	if (done == -1) {
		log_warn("cannot write '%s'", path);
		(void)unlink(aside); /* it may not be there */
	}
	buf_free(&b);
	return done;
}

/* Cuts a line off the front; NULL at the end. */
static char *
next_line(char **rest)
{
	char *line = *rest, *end = strchr(line, '\n');

	if (end == NULL)
		return NULL;
	*end = '\0';
	*rest = end + 1;
	return line;
}

static int
parse(struct probe *p, char *text)
{
	char *line = next_line(&text), *at;
	int64_t state;

	*p = (struct probe){ .n = 0 };
	if (line == NULL || (at = strchr(line, ' ')) == NULL)
		return -1;
	*at++ = '\0';
	if (text_to_i64(line, 0, PROBE_STATE__MAX - 1, &state) == -1 ||
	    text_to_i64(at, 0, INT64_MAX, &p->at) == -1)
		return -1;
	p->state = (enum probe_state)state;
	while ((line = next_line(&text)) != NULL) {
		size_t n = strlen(line);

		if (n >= PROBE_MODEL_SIZE || p->n == PROBE_MODELS_MAX)
			return -1;
		memcpy(p->models[p->n++], line, n + 1);
	}
	return *text == '\0' ? 0 : -1;
}

static int
read_look(const char *run_dir, struct probe *p)
{
	char path[PATH_MAX], text[LOOK_MAX + 1];
	ssize_t n = -1;
	int fd;

	if (path_of(path, run_dir, "") == -1)
		return -1;
	if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)) != -1) {
		n = read(fd, text, sizeof(text) - 1);
		close(fd);
	}
	if (n == -1) {
		log_warn("cannot read '%s'", path);
		return -1;
	}
	text[n] = '\0';
	if (strlen(text) == (size_t)n && parse(p, text) == 0)
		return 1;
	log_warnx("'%s' is damaged", path);
	return -1;
}

/* 1 when one of the events is that a look was put in place. */
static int
is_published(int notify)
{
	union {
		struct inotify_event event; /* for its alignment */
		char bytes[4096];
	} got;
	ssize_t n = read(notify, got.bytes, sizeof(got.bytes));
	size_t at = 0;

	while (n > 0 && at + sizeof(got.event) <= (size_t)n) {
		struct inotify_event event;

		memcpy(&event, got.bytes + at, sizeof(event));
		at += sizeof(event);
		if (event.len > 0 && strcmp(got.bytes + at, name) == 0)
			return 1;
		at += event.len;
	}
	return 0;
}

static int
await_look(int notify, int wait_ms)
{
	int64_t until = monotonic_ms() + wait_ms, left = wait_ms;
	struct pollfd poll_fd = { .fd = notify, .events = POLLIN };

	for (; left > 0; left = until - monotonic_ms())
		if (poll(&poll_fd, 1, (int)left) == 1 && is_published(notify))
			return 1;
	return 0;
}

static int
wake_responder(const char *run_dir)
{
	char path[PATH_MAX];
	int fd, done;

	if (path_of(path, run_dir, ".ask") == -1)
		return -1;
	fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	/* A full one wakes somebody as well. */
	done = fd != -1 && (write(fd, "?", 1) == 1 || errno == EAGAIN) ? 0 : -1;
	if (done == -1 && (errno == ENOENT || errno == ENXIO))
		log_warnx("no responder listens at '%s'", path);
	else if (done == -1)
		log_warn("cannot write to '%s'", path);
	if (fd != -1)
		close(fd);
	return done;
}

int
probe_ask(const char *run_dir, int wait_ms, struct probe *p)
{
	int notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	int got = -1;

	/* From here on no look is missed. */
	if (notify == -1 ||
	    inotify_add_watch(notify, run_dir, IN_MOVED_TO) == -1)
		log_warn("cannot watch '%s'", run_dir);
	else if ((got = wake_responder(run_dir)) == 0 &&
	    (got = await_look(notify, wait_ms)) == 1)
		got = read_look(run_dir, p);
	if (notify != -1)
		close(notify);
	return got;
}
