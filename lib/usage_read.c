/*
 * Reading one hour's journal into a table, through a buffer of fixed size.
 * What is not a whole line is counted and skipped; a whole one that is not
 * sealed as it should be is refused, and with it the hour.
 */
#include "usage_seal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"

_Thread_local int64_t usage_malformed;

struct reader {
	const char *path;
	const char *key_id; /* NULL: all */
	int64_t hour;
	struct usage_table *table;
	struct usage_scan *scan;
	size_t held; /* bytes of a line that has not ended, in 'bytes' */
	int skipping; /* inside a line too long to be one */
	int64_t most; /* bytes to read at most */
	struct usage_sealing sealing;
	struct usage_nonces seen; /* of sealed lines */
	char bytes[65536];
};

int64_t
usage_malformed_lines(void)
{
	return usage_malformed;
}

static struct usage_total
total_of(const struct usage_record *r, int64_t hour)
{
	struct usage_total t = { .hour = hour,
		.requests = 1,
		.errors = r->status_class >= 4,
		.estimated = r->estimated,
		.prompt = r->prompt,
		.completion = r->completion,
		.cached = r->cached,
		.total = r->total,
		.audio_bytes = r->audio_bytes,
		.audio_ms = r->audio_ms,
		.duration_ms = r->duration_ms };

	memcpy(t.key_id, r->key_id, sizeof(t.key_id));
	memcpy(t.model, r->model, sizeof(t.model));
	memcpy(t.endpoint, r->endpoint, sizeof(t.endpoint));
	return t;
}

static int
take_line(struct reader *r, const char *line, size_t n)
{
	struct usage_total total;
	struct usage_line l;

	if (n == 0)
		return 0;
	usage_line_open(&r->sealing, line, n, &l);
	if (l.found == USAGE_FOUND_MALFORMED) {
		r->scan->malformed++;
		return 0;
	}
	if (l.found != USAGE_FOUND)
		return usage_line_refused(r->path, &l);
	if (l.sealed) {
		int is_new = usage_nonces_add(&r->seen, l.nonce);

		if (is_new != 1)
			return is_new;
	}
	if (r->key_id != NULL && strcmp(r->key_id, l.record.key_id) != 0)
		return 0;
	total = total_of(&l.record, r->hour);
	return usage_table_add(r->table, &total);
}

/* Takes the lines that end within the buffer, and moves the rest to its start. */
static int
take_lines(struct reader *r, size_t n)
{
	const char *at = r->bytes, *end = r->bytes + r->held + n, *stop;

	while ((stop = memchr(at, '\n', (size_t)(end - at))) != NULL) {
		if (!r->skipping && take_line(r, at, (size_t)(stop - at)) == -1)
			return -1;
		r->skipping = 0;
		at = stop + 1;
	}
	r->held = (size_t)(end - at);
	memmove(r->bytes, at, r->held);
	if (!r->skipping && r->held >= USAGE_SEALED_SIZE) {
		r->skipping = 1;
		r->scan->malformed++;
	}
	if (r->skipping)
		r->held = 0;
	return 0;
}

/* To the end of the file; the size is what was read, not what fstat said. */
static int
read_lines(struct reader *r, int fd)
{
	for (;;) {
		size_t room = sizeof(r->bytes) - r->held;
		ssize_t n;

		if (r->most - r->scan->size < (int64_t)room)
			room = (size_t)(r->most - r->scan->size);
		n = read(fd, r->bytes + r->held, room);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1) {
			log_warn("cannot read '%s'", r->path);
			return -1;
		}
		if (n == 0)
			return take_line(r, r->bytes, r->held);
		r->scan->size += n;
		if (take_lines(r, (size_t)n) == -1)
			return -1;
	}
}

static int
read_all(struct reader *r, int fd)
{
	int done = usage_sealing_of(&r->sealing, r->hour);

	if (done == 0)
		done = read_lines(r, fd);
	usage_sealing_wipe(&r->sealing);
	usage_nonces_free(&r->seen);
	return done;
}

/* A named pipe in the journal must not make a reader wait. */
static int
open_regular(const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd == -1)
		return -1;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return fd;
	close(fd);
	errno = EINVAL;
	return -1;
}

int
usage_journal_read(const char *state_dir, int64_t hour, const char *key_id,
    int sync, struct usage_table *table, struct usage_scan *scan)
{
	char path[PATH_MAX];
	struct reader r = {
		.path = path,
		.key_id = key_id,
		.hour = hour,
		.table = table,
		.scan = scan,
		.most = INT64_MAX,
	};
	int fd, done = -1;

	*scan = (struct usage_scan){ 0 };
	if (usage_journal_path(path, sizeof(path), state_dir, hour) == -1)
		return -1;
	if ((fd = open_regular(path)) == -1) {
		if (errno == ENOENT)
			return 0;
		log_warn("cannot open '%s'", path);
		return -1;
	}
	if (sync && fdatasync(fd) == -1)
		log_warn("cannot sync '%s'", path);
	else
		done = read_all(&r, fd);
	close(fd);
	return done == 0 ? 1 : -1;
}

int
usage_journal_read_part(const char *state_dir, int64_t hour, int64_t size,
    struct usage_table *table)
{
	struct usage_scan scan = { 0 };
	char path[PATH_MAX];
	struct reader r = { .path = path,
		.hour = hour,
		.table = table,
		.scan = &scan,
		.most = size };
	int fd, done;

	if (usage_journal_path(path, sizeof(path), state_dir, hour) == -1)
		return -1;
	if ((fd = open_regular(path)) == -1) {
		log_warn("cannot open '%s'", path);
		return -1;
	}
	done = read_all(&r, fd);
	close(fd);
	if (done == 0 && scan.size < size) {
		log_warnx("'%s' is shorter than it was", path);
		done = -1;
	}
	return done;
}

int64_t
usage_journal_size(const char *state_dir, int64_t hour)
{
	char path[PATH_MAX];
	struct stat st;

	if (usage_journal_path(path, sizeof(path), state_dir, hour) == -1)
		return -2;
	if (lstat(path, &st) == 0)
		return st.st_size;
	if (errno == ENOENT)
		return -1;
	log_warn("cannot look at '%s'", path);
	return -2;
}
