/*
 * Appending to the journal. Any number of threads and processes write at
 * once; what orders them is the kernel, through O_APPEND. The lock here only
 * guards which descriptor is the current hour's, never a system call that
 * could wait.
 */
#include "usage_seal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "secret.h"
#include "text.h"

/* An hour's open file, closed when the last thread lets go of it. */
struct hour_file {
	int fd;
	int64_t hour;
	struct usage_sealing sealing;
	int refs; /* guarded by the journal's lock */
};

struct usage_journal {
	pthread_mutex_t lock;
	struct hour_file *current; /* NULL before the first line */
	int folder; /* open and locked: see usage_journal_open */
	_Atomic int64_t logged_at; /* second of the last complaint */
	char state_dir[PATH_MAX];
};

static void
file_release(struct usage_journal *j, struct hour_file *f)
{
	int last;

	if (f == NULL)
		return;
	pthread_mutex_lock(&j->lock);
	last = --f->refs == 0;
	pthread_mutex_unlock(&j->lock);
	if (last) {
		close(f->fd);
		usage_sealing_wipe(&f->sealing);
		free(f);
	}
}

/* What root makes must be writable by the gate, which owns the folder. */
static int
give_to_owner(const char *folder, int fd)
{
	struct stat st;

	if (geteuid() != 0)
		return 0;
	return stat(folder, &st) == -1 ? -1 : fchown(fd, st.st_uid, st.st_gid);
}

static int
make_folder(const char *state_dir)
{
	char path[PATH_MAX];
	int fd, done;

	if (usage_journal_path(path, sizeof(path), state_dir, USAGE_NO_HOUR) ==
	    -1)
		return -1;
	if (mkdir(path, 0700) == -1)
		return errno == EEXIST ? 0 : -1;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd == -1)
		return -1;
	done = give_to_owner(state_dir, fd);
	close(fd);
	return done;
}

/* The hour's descriptor, made when absent; -1 with errno. */
static int
open_hour(const char *state_dir, int64_t hour)
{
	static const int flags = O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW;
	char folder[PATH_MAX], path[PATH_MAX];
	int fd;

	if (usage_journal_path(
		folder, sizeof(folder), state_dir, USAGE_NO_HOUR) == -1 ||
	    usage_journal_path(path, sizeof(path), state_dir, hour) == -1) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if ((fd = open(path, flags)) != -1 || errno != ENOENT)
		return fd;
	if ((fd = open(path, flags | O_CREAT, 0600)) == -1 && errno == ENOENT &&
	    make_folder(state_dir) == 0)
		fd = open(path, flags | O_CREAT, 0600);
	if (fd != -1 && give_to_owner(folder, fd) == -1) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Puts 'f' (or nothing) in the place of the current file. */
static void
install(struct usage_journal *j, struct hour_file *f)
{
	struct hour_file *old;

	pthread_mutex_lock(&j->lock);
	old = j->current;
	j->current = f;
	if (f != NULL)
		f->refs++;
	pthread_mutex_unlock(&j->lock);
	file_release(j, old);
}

/*
 * The file of that hour, to be released; NULL with errno. 'fresh': the open
 * one is of no use, open it again. Threads that find the hour changed at the
 * same time each open the file; the last one's stays.
 */
static struct hour_file *
file_acquire(struct usage_journal *j, int64_t hour, int fresh)
{
	struct hour_file *f = NULL;

	pthread_mutex_lock(&j->lock);
	if (!fresh && j->current != NULL && j->current->hour == hour) {
		f = j->current;
		f->refs++;
	}
	pthread_mutex_unlock(&j->lock);
	if (f != NULL)
		return f;
	if ((f = malloc(sizeof(*f))) == NULL)
		return NULL;
	*f = (struct hour_file){ .fd = -1, .hour = hour, .refs = 1 };
	if (usage_sealing_of(&f->sealing, hour) == -1)
		errno = EACCES;
	else
		f->fd = open_hour(j->state_dir, hour);
	if (f->fd == -1) {
		usage_sealing_wipe(&f->sealing);
		free(f);
		return NULL;
	}
	install(j, f);
	return f;
}

/* Once a second at most, however many threads fail at once. */
static void
complain(struct usage_journal *j, int64_t now, int64_t hour, int error)
{
	char name[TEXT_HOUR_SIZE];
	int64_t last = atomic_load(&j->logged_at);

	if (last == now ||
	    !atomic_compare_exchange_strong(&j->logged_at, &last, now))
		return;
	text_hour(name, hour);
	errno = error;
	log_warn("cannot write to '%s/journal/%s'", j->state_dir, name);
}

enum outcome {
	WRITTEN,
	TRY_AGAIN, /* nothing of it counts, and another try may help */
	FAILED
};

/*
 * A short write leaves a piece without its end mark, which counts for nothing
 * and spoils nothing: the next line brings its own newline. A piece that
 * misses only the last newline is whole to a reader, so it must count here.
 */
static enum outcome
write_line(int fd, const char *line, size_t n)
{
	struct stat st;
	ssize_t wrote = write(fd, line, n);

	if (wrote == -1)
		return errno == EINTR || errno == ESTALE ? TRY_AGAIN : FAILED;
	if ((size_t)wrote < n - 1) {
		errno = ENOSPC; /* by far the likeliest reason */
		return TRY_AGAIN;
	}
	/*
	 * Looked at afterwards: a file removed before has taken the line, or
	 * one that was made read-only because another has its place
	 * (usage_reseal.c).
	 */
	if (fstat(fd, &st) == 0 &&
	    (st.st_nlink == 0 || (st.st_mode & S_IWUSR) == 0)) {
		errno = ENOENT;
		return TRY_AGAIN;
	}
	return WRITTEN;
}

/*
 * Not inlined: a responder clears the stack that it used, which a plain line is
 * not to make deeper.
 */
static __attribute__((__noinline__)) enum outcome
write_sealed(const struct hour_file *f, const unsigned char *nonce,
    const char *plain, size_t n)
{
	char line[USAGE_SEALED_SIZE];

	n = usage_line_seal(line, &f->sealing, nonce, plain, n);
	return write_line(f->fd, line, n);
}

int
usage_journal_append(
    struct usage_journal *j, const struct usage_record *r, int64_t now)
{
	char line[USAGE_LINE_SIZE];
	size_t n = usage_line_format(line, r);
	int64_t hour = usage_hour_of(now);
	enum outcome outcome = TRY_AGAIN;
	unsigned char nonce[SEAL_NONCE_LEN];
	int error = 0, nonces = 0;

	for (int try = 0; try < 3 && outcome == TRY_AGAIN; try++) {
		struct hour_file *f = file_acquire(j, hour, try > 0);

		/* One for all tries: it must be the same line in two places. */
		if (f != NULL && f->sealing.n > 0 && nonces++ == 0)
			secret_random(nonce, sizeof(nonce));
		if (f == NULL)
			outcome = FAILED;
		else if (f->sealing.n > 0)
			outcome = write_sealed(f, nonce, line, n);
		else
			outcome = write_line(f->fd, line, n);
		error = errno;
		file_release(j, f);
	}
	if (outcome == WRITTEN)
		return 0;
	complain(j, now, hour, error);
	return -1;
}

/*
 * Writes to a file without a name: that meets a full disk, a read-only one
 * and missing rights as an append would, and leaves nothing behind.
 */
static int
try_write(const char *folder)
{
	static const char line[USAGE_SEALED_SIZE];
	int fd = open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	int done;

	if (fd == -1 && (errno == EOPNOTSUPP || errno == EISDIR))
		return faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS);
	if (fd == -1)
		return -1;
	done = write(fd, line, sizeof(line)) == (ssize_t)sizeof(line) ? 0 : -1;
	close(fd);
	return done;
}

int
usage_journal_check(struct usage_journal *j)
{
	char folder[PATH_MAX];

	if (usage_journal_path(
		folder, sizeof(folder), j->state_dir, USAGE_NO_HOUR) == -1)
		return -1;
	if (make_folder(j->state_dir) == 0 && try_write(folder) == 0)
		return 0;
	log_warn("cannot write to '%s'", folder);
	return -1;
}

/*
 * Held as long as lines may be written: a reseal that changes how long they
 * are waits for nobody to do so (usage_reseal.c).
 */
static int
lock_folder(const char *state_dir)
{
	char path[PATH_MAX];
	int fd = -1, got = -1;

	if (usage_journal_path(path, sizeof(path), state_dir, USAGE_NO_HOUR) ==
		0 &&
	    (fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) != -1)
		while ((got = flock(fd, LOCK_SH)) == -1 && errno == EINTR)
			continue;
	if (got == 0)
		return fd;
	log_warn("cannot lock '%s/journal'", state_dir);
	if (fd != -1)
		close(fd);
	return -1;
}

struct usage_journal *
usage_journal_open(const char *state_dir)
{
	struct usage_journal *j = calloc(1, sizeof(*j));
	/* The longest path made of it must fit as well. */
	size_t room = sizeof(j->state_dir) - sizeof("/journal/2026112218");

	if (j == NULL) {
		log_warnx("out of memory");
		return NULL;
	}
	if (strlen(state_dir) >= room) {
		log_warnx("the path of STATE_DIR is too long");
		free(j);
		return NULL;
	}
	memcpy(j->state_dir, state_dir, strlen(state_dir) + 1);
	j->folder = -1;
	atomic_store(&j->logged_at, INT64_MIN);
	pthread_mutex_init(&j->lock, NULL);
	if (make_folder(state_dir) == -1) {
		log_warn("cannot create '%s/journal'", state_dir);
		usage_journal_close(j);
		return NULL;
	}
	if ((j->folder = lock_folder(state_dir)) == -1) {
		usage_journal_close(j);
		return NULL;
	}
	return j;
}

void
usage_journal_close(struct usage_journal *j)
{
	if (j == NULL)
		return;
	install(j, NULL);
	if (j->folder != -1)
		close(j->folder); /* and so unlocked */
	pthread_mutex_destroy(&j->lock);
	free(j);
}
