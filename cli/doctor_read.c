/* Files of /proc, /sys and /etc, and where a file lies. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <linux/magic.h>
#include <unistd.h>

#include "cli/doctor.h"

/* Hosts that run containers have thousands of mounts. */
#define MOUNTS_MAX (4 << 20)

int
doctor_path(
    const struct doctor *d, char dst[DOCTOR_PATH_SIZE], const char *fmt, ...)
{
	size_t used = strlen(d->root);
	va_list list;
	int n = -1;

	if (used < DOCTOR_PATH_SIZE) {
		memcpy(dst, d->root, used);
		va_start(list, fmt);
		n = vsnprintf(dst + used, DOCTOR_PATH_SIZE - used, fmt, list);
		va_end(list);
	}
	if (n >= 0 && (size_t)n < DOCTOR_PATH_SIZE - used)
		return 0;
	errno = ENAMETOOLONG;
	return -1;
}

/* As much as there is, or as fits. */
static int
read_all(int fd, struct buf *to)
{
	char part[4096];
	ssize_t n;

	while ((n = read(fd, part, sizeof(part))) != 0) {
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -1;
		if (buf_add(to, part, (size_t)n) == -1) {
			errno = EFBIG;
			return -1;
		}
	}
	return 0;
}

int
doctor_read(const struct doctor *d, struct buf *to, const char *path)
{
	char full[DOCTOR_PATH_SIZE];
	int fd, bad, why;

	if (doctor_path(d, full, "%s", path) == -1)
		return -1;
	fd = open(full, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd == -1)
		return -1;
	bad = read_all(fd, to);
	why = errno;
	(void)close(fd); /* read only */
	errno = why;
	return bad;
}

int
doctor_read_line(
    const struct doctor *d, char *dst, size_t size, const char *path)
{
	struct buf text = BUF(64 << 10);
	int bad = doctor_read(d, &text, path), why = errno;

	if (!bad)
		(void)snprintf(dst, size, "%.*s", (int)strcspn(text.data, "\n"),
		    text.data);
	buf_free(&text);
	errno = why;
	return bad;
}

const char *
doctor_errno(void)
{
	switch (errno) {
	case ENOENT:
	case ENOTDIR:
		return "it is not there";
	case EACCES:
	case EPERM:
		return "no permission, try as root";
	default:
		return "it cannot be read";
	}
}

char *
doctor_next_line(char **text)
{
	char *line = *text;
	size_t n = strcspn(line, "\n");

	if (*line == '\0')
		return NULL;
	*text += n + (line[n] == '\n');
	line[n] = '\0';
	return line;
}

char *
doctor_next_word(char **line)
{
	char *word = *line + strspn(*line, " \t");
	size_t n = strcspn(word, " \t");

	if (*word == '\0')
		return NULL;
	*line = word + n + (word[n] != '\0');
	word[n] = '\0';
	return word;
}

/*
 * A line of mountinfo: id, parent, device, root, place, options, tags up to a
 * lone "-", type, source, options of the file system. 1 when it is that device.
 */
static int
read_mount(char *line, const char *device, struct doctor_mount *mount)
{
	char *word, *last = NULL;
	int place = 0, behind = 0;

	while ((word = doctor_next_word(&line)) != NULL) {
		if (++place == 3 && strcmp(word, device) != 0)
			return 0;
		if (behind == 1)
			(void)snprintf(
			    mount->type, sizeof(mount->type), "%s", word);
		behind += behind > 0;
		if (place > 6 && behind == 0 && strcmp(word, "-") == 0)
			behind = 1;
		last = word;
	}
	if (behind < 3)
		return 0;
	/* One of a list, not a part of some other word. */
	for (last = strstr(last, "noswap"); last != NULL;
	     last = strstr(last + 1, "noswap"))
		if (last[-1] == ',' && (last[6] == ',' || last[6] == '\0'))
			mount->noswap = 1;
	return 1;
}

/* Where mountinfo has no such device: some file systems make their own up. */
static int
guess_mount(const char *path, struct doctor_mount *mount)
{
	struct statfs fs;

	if (statfs(path, &fs) == -1)
		return -1;
	(void)snprintf(mount->type, sizeof(mount->type), "%s",
	    fs.f_type == TMPFS_MAGIC       ? "tmpfs"
		: fs.f_type == RAMFS_MAGIC ? "ramfs"
					   : "another");
	return 0;
}

int
doctor_mount_of(
    const struct doctor *d, const char *path, struct doctor_mount *mount)
{
	struct buf text = BUF(MOUNTS_MAX);
	char device[48], *rest, *line;
	struct stat st;
	int found = 0;

	memset(mount, 0, sizeof(*mount));
	if (stat(path, &st) == -1)
		return -1;
	(void)snprintf(device, sizeof(device), "%u:%u", major(st.st_dev),
	    minor(st.st_dev));
	if (doctor_read(d, &text, "/proc/self/mountinfo") == 0) {
		rest = text.data;
		while (!found && (line = doctor_next_line(&rest)) != NULL)
			found = read_mount(line, device, mount);
	}
	buf_free(&text);
	return found ? 0 : guess_mount(path, mount);
}

int
doctor_in_memory(const struct doctor_mount *mount)
{
	return strcmp(mount->type, "tmpfs") == 0 ||
	    strcmp(mount->type, "ramfs") == 0;
}
