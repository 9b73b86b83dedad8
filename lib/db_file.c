/*
 * An edit's files. The draft's name is fixed: whoever holds the lock is the
 * only editor alive, so a draft that is there already was left by a dead one.
 */
#include "db_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "log.h"

/* What sendfile(2) takes at most. */
#define COPY_MAX ((size_t)0x7ffff000)

static int
open_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *name = slash == NULL ? strdup(".")
				   : strndup(path, (size_t)(slash - path) + 1);
	int fd = -1;

	if (name != NULL)
		fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1)
		log_warn("cannot open the folder of '%s'", path);
	free(name);
	return fd;
}

static int
check_sum(const char *path, struct db_file *f, const struct db_sum_found *found)
{
	switch (db_sum_check(f->fd, f->seal.on ? f->seal.sum : NULL, found)) {
	case 1:
		memcpy(f->sum, found->digest, sizeof(f->sum));
		return 0;
	case 0:
		log_warnx(f->seal.on
			? "'%s' is damaged, or was changed by somebody "
			  "without its key"
			: "'%s' is damaged or not a store of pmproxy",
		    path);
		return -1;
	default:
		log_warn("cannot read '%s'", path);
		return -1;
	}
}

static int
check_file(const char *path, enum db_seal_want want, struct db_file *f)
{
	struct db_sum_found found;

	if (fstat(f->fd, &f->st) == -1) {
		log_warn("cannot open '%s'", path);
		return -1;
	}
	if (!S_ISREG(f->st.st_mode)) {
		log_warnx("'%s' is not a file", path);
		return -1;
	}
	switch (db_sum_read(f->fd, &found)) {
	case 1:
		if (db_seal_found(&f->seal, path, &found, want) == -1)
			return -1;
		return check_sum(path, f, &found);
	case 0:
		log_warnx("'%s' is damaged or not a store of pmproxy", path);
		return -1;
	default:
		log_warn("cannot read '%s'", path);
		return -1;
	}
}

/* Not blocking, lest somebody put a FIFO there. */
static int
open_file(const char *path)
{
	return open(
	    path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
}

int
db_file_look(const char *path, struct db_sum_found *what)
{
	int fd = open_file(path), found = -1;

	if (fd == -1 && errno == ENOENT)
		return 0;
	if (fd != -1)
		found = db_sum_read(fd, what);
	if (found == -1)
		log_warn("cannot read '%s'", path);
	else if (found == 0)
		log_warnx("'%s' is damaged or not a store of pmproxy", path);
	if (fd != -1)
		close(fd);
	return found == 1 ? 1 : -1;
}

int
db_file_open(const char *path, enum db_seal_want want, struct db_file *f)
{
	int folder;

	*f = (struct db_file){ .fd = open_file(path) };
	if (f->fd != -1) {
		if (check_file(path, want, f) == 0)
			return 0;
		close(f->fd);
		f->fd = -1;
		return -1;
	}
	if (errno != ENOENT) {
		log_warn("cannot open '%s'", path);
		return -1;
	}
	/* An absent file in a folder that is there is an empty store. */
	if ((folder = open_folder(path)) == -1)
		return -1;
	close(folder);
	return db_seal_new(&f->seal, path);
}

/*
 * What root makes must not lock the web server's own account out, so a new
 * file goes to the owner of its folder. Others cannot give files away.
 */
static int
give_to_owner_of(int folder, int fd)
{
	struct stat dir, st;

	if (geteuid() != 0)
		return 0;
	if (fstat(folder, &dir) == -1 || fstat(fd, &st) == -1)
		return -1;
	if (st.st_uid == dir.st_uid && st.st_gid == dir.st_gid)
		return 0;
	return fchown(fd, dir.st_uid, dir.st_gid);
}

static int
take_lock(int folder, const char *path)
{
	char *name = NULL;
	int fd = -1, got = -1;

	if (asprintf(&name, "%s.lock", path) == -1)
		name = NULL;
	else
		fd =
		    open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd != -1 && give_to_owner_of(folder, fd) == 0)
		while ((got = flock(fd, LOCK_EX)) == -1 && errno == EINTR)
			continue;
	if (got == -1) {
		log_warn("cannot lock '%s'", path);
		if (fd != -1)
			close(fd);
		fd = -1;
	}
	free(name);
	return fd;
}

static int
make_draft(struct db_draft *d)
{
	if (asprintf(&d->draft, "%s.draft", d->path) == -1) {
		d->draft = NULL;
		return -1;
	}
	if (unlink(d->draft) == -1 && errno != ENOENT)
		return -1;
	d->fd = open(
	    d->draft, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	return d->fd == -1 ? -1 : 0;
}

int
db_draft_begin(struct db_draft *d, const char *path)
{
	*d = (struct db_draft){ .folder = -1, .lock = -1, .fd = -1 };
	if ((d->path = strdup(path)) == NULL)
		log_warn("cannot edit '%s'", path);
	else if ((d->folder = open_folder(path)) != -1 &&
	    (d->lock = take_lock(d->folder, path)) != -1) {
		if (make_draft(d) == 0)
			return 0;
		log_warn("cannot make a draft of '%s'", path);
	}
	db_draft_end(d);
	return -1;
}

int
db_draft_copy(struct db_draft *d, int from)
{
	off_t at = 0;
	ssize_t n;

	do {
		n = sendfile(d->fd, from, &at, COPY_MAX);
	} while (n > 0 || (n == -1 && errno == EINTR));
	/* GDBM reads on from where the descriptor stands. */
	if (n == 0 && lseek(d->fd, 0, SEEK_SET) == 0)
		return 0;
	log_warn("cannot copy '%s'", d->path);
	return -1;
}

int
db_draft_adopt(struct db_draft *d, const struct stat *replaced)
{
	struct stat st;

	if (replaced == NULL) {
		if (give_to_owner_of(d->folder, d->fd) == 0)
			return 0;
		log_warn("cannot set the owner of '%s'", d->path);
		return -1;
	}
	if (fstat(d->fd, &st) == 0 &&
	    ((st.st_uid == replaced->st_uid && st.st_gid == replaced->st_gid) ||
		fchown(d->fd, replaced->st_uid, replaced->st_gid) == 0) &&
	    fchmod(d->fd, replaced->st_mode & 07777) == 0)
		return 0;
	log_warn("cannot keep the owner and mode of '%s'", d->path);
	return -1;
}

int
db_draft_publish(struct db_draft *d)
{
	if (fsync(d->fd) == -1 || rename(d->draft, d->path) == -1) {
		log_warn("cannot publish '%s'", d->path);
		return -1;
	}
	free(d->draft);
	d->draft = NULL;
	if (fsync(d->folder) == -1) {
		log_warn("the change to '%s' is in force, but a power failure "
			 "may undo it",
		    d->path);
		return -1;
	}
	return 0;
}

void
db_draft_end(struct db_draft *d)
{
	if (d->fd != -1)
		close(d->fd);
	if (d->draft != NULL && unlink(d->draft) == -1 && errno != ENOENT)
		log_warn("cannot remove '%s'", d->draft);
	if (d->folder != -1)
		close(d->folder);
	if (d->lock != -1)
		close(d->lock); /* and so unlocked */
	free(d->draft);
	free(d->path);
	*d = (struct db_draft){ .folder = -1, .lock = -1, .fd = -1 };
}

/* The store first: what is left of an edit is nothing without it. */
int
db_file_remove(const char *path, int for_good)
{
	static const char *const suffix[] = { "", ".draft", ".lock" };
	char *name;
	int failed = 0;

	for (size_t i = 0; i < (for_good ? 3 : 1); i++) {
		if (asprintf(&name, "%s%s", path, suffix[i]) == -1)
			name = NULL;
		if (name == NULL || (unlink(name) == -1 && errno != ENOENT)) {
			log_warn("cannot remove '%s%s'", path, suffix[i]);
			failed = 1;
		}
		free(name);
	}
	return failed ? -1 : 0;
}
