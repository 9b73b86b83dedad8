/* Files that are whole or not there. */
#include "cli/setup_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/log.h"

struct draft {
	const char *path; /* of the file to be */
	char name[PATH_MAX];
	int fd;
};

/* Owner and mode before the first byte, so that nobody else ever reads one. */
static int
begin(struct draft *d, const char *path, const struct setup_owner *owner)
{
	int n = snprintf(d->name, sizeof(d->name), "%s.XXXXXX", path);

	d->path = path;
	d->fd = -1;
	if (n > 0 && (size_t)n < sizeof(d->name))
		d->fd = mkostemp(d->name, O_CLOEXEC);
	if (d->fd == -1) {
		log_warn("cannot write '%s'", path);
		return -1;
	}
	if ((!owner->change || fchown(d->fd, owner->user, owner->group) == 0) &&
	    fchmod(d->fd, owner->mode) == 0)
		return 0;
	log_warn("cannot give '%s' its owner and mode", path);
	return -1;
}

static int
put(const struct draft *d, const char *data, size_t n)
{
	ssize_t wrote;

	for (; n > 0; data += wrote, n -= (size_t)wrote) {
		wrote = write(d->fd, data, n);
		if (wrote == -1 && errno != EINTR) {
			log_warn("cannot write '%s'", d->path);
			return -1;
		}
		if (wrote == -1)
			wrote = 0;
	}
	return 0;
}

/* A rename is for good once the folder is on the disk. */
static int
sync_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *folder = slash == NULL || slash == path
	    ? strdup(slash == NULL ? "." : "/")
	    : strndup(path, (size_t)(slash - path));
	int fd = -1, bad = -1;

	if (folder != NULL)
		fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd != -1) {
		bad = fsync(fd);
		(void)close(fd); /* read only: nothing can be lost */
	}
	if (bad)
		log_warn("cannot sync the folder of '%s'", path);
	free(folder);
	return bad;
}

/* Publishes the draft, or takes it away when 'bad'. 0 or -1. */
static int
finish(struct draft *d, int bad)
{
	if (d->fd == -1)
		return -1;
	if (!bad && fsync(d->fd) == -1)
		bad = -1;
	if (close(d->fd) == -1)
		bad = -1;
	if (!bad && rename(d->name, d->path) == 0)
		return sync_folder(d->path);
	if (!bad)
		log_warn("cannot write '%s'", d->path);
	(void)unlink(d->name); /* it may be gone already */
	return -1;
}

int
setup_file_write(const char *path, const void *data, size_t n,
    const struct setup_owner *owner)
{
	struct draft d;
	int bad = begin(&d, path, owner);

	return finish(&d, bad || put(&d, data, n));
}

static int
copy_all(const struct draft *d, int from)
{
	char part[65536];
	ssize_t n;

	while ((n = read(from, part, sizeof(part))) != 0) {
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1) {
			log_warn("cannot read what becomes '%s'", d->path);
			return -1;
		}
		if (put(d, part, (size_t)n) == -1)
			return -1;
	}
	return 0;
}

int
setup_file_copy(
    const char *path, const char *from, const struct setup_owner *owner)
{
	int fd = open(from, O_RDONLY | O_CLOEXEC | O_NOCTTY), bad;
	struct draft d;

	if (fd == -1) {
		log_warn("cannot open '%s'", from);
		return -1;
	}
	bad = begin(&d, path, owner);
	bad = finish(&d, bad || copy_all(&d, fd));
	(void)close(fd); /* read only: nothing can be lost */
	return bad;
}

int
setup_file_read(const char *path, struct buf *to)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	char part[4096];
	ssize_t n;

	if (fd == -1 && errno == ENOENT)
		return 0;
	if (fd == -1) {
		log_warn("cannot open '%s'", path);
		return -1;
	}
	while ((n = read(fd, part, sizeof(part))) > 0 ||
	    (n == -1 && errno == EINTR))
		if (n > 0 && buf_add(to, part, (size_t)n) == -1)
			break;
	explicit_bzero(part, sizeof(part));
	(void)close(fd); /* read only: nothing can be lost */
	if (n == -1)
		log_warn("cannot read '%s'", path);
	else if (to->failed)
		log_warnx("'%s' is longer than %zu bytes", path, to->max);
	return n == -1 || to->failed ? -1 : 1;
}

int
setup_folder(const char *path, const struct setup_owner *owner)
{
	char part[PATH_MAX];
	size_t n = strlen(path);

	if (n >= sizeof(part)) {
		log_warnx("'%s' is too long", path);
		return -1;
	}
	memcpy(part, path, n + 1);
	for (char *p = part + 1; *p != '\0'; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(part, 0755) == -1 && errno != EEXIST)
			goto failed;
		*p = '/';
	}
	if ((mkdir(path, owner->mode) == -1 && errno != EEXIST) ||
	    (owner->change && chown(path, owner->user, owner->group) == -1) ||
	    chmod(path, owner->mode) == -1)
		goto failed;
	return 0;
failed:
	log_warn("cannot make the folder '%s'", path);
	return -1;
}

/* Whether a line is "NAME=", maybe behind a # without a blank. */
static int
is_setting(const char *line, const char *name, int commented)
{
	size_t n = strlen(name);

	if (commented && *line++ != '#')
		return 0;
	return strncmp(line, name, n) == 0 && line[n] == '=';
}

/* The last line that has the name, since that one counts; NULL without. */
static const char *
find_line(const char *text, const char *name, int commented)
{
	const char *found = NULL, *line = text;

	while (*line != '\0') {
		if (is_setting(line, name, commented))
			found = line;
		line += strcspn(line, "\n");
		line += *line == '\n';
	}
	return found;
}

int
setup_env_set(struct buf *text, const char *name, const char *value)
{
	struct buf all = BUF(text->max);
	const char *line = find_line(text->data, name, 0), *rest;
	int bad = 0;

	if (line == NULL)
		line = find_line(text->data, name, 1);
	if (line == NULL)
		line = text->data + text->len;
	rest = line + strcspn(line, "\n");
	bad = buf_add(&all, text->data, (size_t)(line - text->data));
	if (all.len > 0 && all.data[all.len - 1] != '\n')
		bad |= buf_puts(&all, "\n");
	bad |= buf_printf(&all, "%s=%s", name, value);
	bad |= buf_puts(&all, *rest == '\0' ? "\n" : rest);
	buf_reset(text);
	bad |= buf_add(text, all.data, all.len);
	buf_free(&all);
	if (bad)
		log_warnx("the settings are too long");
	return bad ? -1 : 0;
}
