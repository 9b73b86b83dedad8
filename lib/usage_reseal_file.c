/*
 * How a journal gets into another's place while responders append to it.
 *
 * Under another key each line keeps its length and its nonce: sizes that the
 * store and the cursors remember stay true, and a line is known again. The new
 * file takes the old one's place by rename. The old one keeps a second name,
 * is then made read-only, and lines that were added to it meanwhile are added
 * to the new one. Whoever had the old file open and writes a line looks at its
 * mode afterwards: writable, and the line was there before we looked for it;
 * read-only, and it goes to the new file, too, where it counts once. Whoever
 * dies leaves the second name, and the next reseal goes on from there.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "usage_reseal.h"

#define JOURNAL_MAX ((size_t)1 << 40)

int
usage_resealing_begin(struct usage_resealing *r, int64_t hour)
{
	int n, m;

	r->hour = hour;
	if (usage_journal_path(r->path, sizeof(r->path), r->state_dir, hour) ==
	    -1)
		return -1;
	n = snprintf(r->draft, sizeof(r->draft), "%s.draft", r->path);
	m = snprintf(r->old, sizeof(r->old), "%s.old", r->path);
	if (n < 0 || m < 0 || (size_t)n >= sizeof(r->draft) ||
	    (size_t)m >= sizeof(r->old)) {
		log_warnx("the path of STATE_DIR is too long");
		return -1;
	}
	if (usage_sealing_of(&r->keys, hour) == -1)
		return -1;
	r->as = r->keys;
	if (r->how == DB_RESEAL_PLAIN)
		r->as.n = 0;
	return 0;
}

void
usage_resealing_end(struct usage_resealing *r)
{
	usage_sealing_wipe(&r->keys);
	usage_sealing_wipe(&r->as);
}

int
usage_image_open(struct usage_image *i, const char *path)
{
	void *p = NULL;

	*i = (struct usage_image){
		.fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
	};
	if (i->fd == -1 && errno == ENOENT)
		return 0;
	if (i->fd == -1 || fstat(i->fd, &i->st) == -1)
		goto failed;
	errno = EINVAL;
	if (!S_ISREG(i->st.st_mode))
		goto failed;
	i->n = (size_t)i->st.st_size;
	if (i->n > 0 &&
	    (p = mmap(NULL, i->n, PROT_READ, MAP_SHARED, i->fd, 0)) ==
		MAP_FAILED)
		goto failed;
	i->p = p;
	return 1;
failed:
	log_warn("cannot read '%s'", path);
	if (i->fd != -1)
		close(i->fd);
	return -1;
}

void
usage_image_close(struct usage_image *i)
{
	if (i->p != NULL)
		(void)munmap(i->p, i->n);
	close(i->fd);
}

int
usage_image_each(struct usage_resealing *r, const struct usage_image *i,
    int (*fn)(struct usage_resealing *, const struct usage_line *,
	const char *line, size_t n, void *),
    void *arg)
{
	const char *at = i->p, *end = at + i->n, *stop;
	struct usage_line l;
	int answer = 0;

	for (; at < end && answer == 0; at = stop + 1) {
		stop = memchr(at, '\n', (size_t)(end - at));
		if (stop == NULL)
			stop = end;
		if (stop == at)
			continue;
		usage_line_open(&r->keys, at, (size_t)(stop - at), &l);
		answer = fn(r, &l, at, (size_t)(stop - at), arg);
	}
	return answer;
}

size_t
usage_line_as(const struct usage_sealing *as, const struct usage_line *l,
    char dst[USAGE_SEALED_SIZE])
{
	char plain[USAGE_LINE_SIZE];
	size_t n = usage_line_format(plain, &l->record);

	return usage_line_seal(dst, as, l->sealed ? l->nonce : NULL, plain, n);
}

static int
write_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, p, n);

		if (done == -1 && errno != EINTR)
			return -1;
		if (done > 0) {
			p += done;
			n -= (size_t)done;
		}
	}
	return 0;
}

static int
write_draft(const struct usage_resealing *r, const struct stat *st,
    const char *p, size_t n)
{
	int fd = open(r->draft,
	    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	int bad;

	if (fd == -1)
		return -1;
	bad = write_all(fd, p, n) == -1 ||
	    (geteuid() == 0 && fchown(fd, st->st_uid, st->st_gid) == -1) ||
	    fchmod(fd, st->st_mode & 07777) == -1 || fsync(fd) == -1;
	close(fd);
	return bad ? -1 : 0;
}

static int
sync_folder(const struct usage_resealing *r)
{
	char folder[PATH_MAX];
	int fd, done;

	if (usage_journal_path(
		folder, sizeof(folder), r->state_dir, USAGE_NO_HOUR) == -1 ||
	    (fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1)
		return -1;
	done = fsync(fd);
	close(fd);
	return done;
}

static int
note_nonce(struct usage_resealing *r, const struct usage_line *l,
    const char *line, size_t n, void *nonces)
{
	(void)r;
	(void)line;
	(void)n;
	if (l->found != USAGE_FOUND)
		return 0;
	return usage_nonces_add(nonces, l->nonce) == -1 ? -1 : 0;
}

struct carrying {
	struct usage_nonces there;
	struct buf more;
};

/* As it is: under whatever key, and with its nonce. */
static int
carry_line(struct usage_resealing *r, const struct usage_line *l,
    const char *line, size_t n, void *arg)
{
	struct carrying *c = arg;
	int is_new;

	(void)r;
	if (l->found != USAGE_FOUND)
		return 0;
	if ((is_new = usage_nonces_add(&c->there, l->nonce)) != 1)
		return is_new;
	return buf_puts(&c->more, "\n") == -1 ||
		buf_add(&c->more, line, n) == -1 ||
		buf_puts(&c->more, "\n") == -1
	    ? -1
	    : 0;
}

/* Adds what the old file has and the new one lacks. */
static int
carry_over(struct usage_resealing *r, const struct usage_image *old)
{
	struct carrying c = { .more = BUF(JOURNAL_MAX) };
	struct usage_image now;
	int fd = -1, bad;

	if (usage_image_open(&now, r->path) != 1)
		return -1;
	bad = usage_image_each(r, &now, note_nonce, &c.there) != 0 ||
	    usage_image_each(r, old, carry_line, &c) != 0;
	usage_image_close(&now);
	if (!bad && c.more.len > 0)
		bad =
		    (fd = open(r->path,
			 O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW)) == -1 ||
		    write_all(fd, c.more.data, c.more.len) == -1 ||
		    fdatasync(fd) == -1;
	if (fd != -1)
		close(fd);
	usage_nonces_free(&c.there);
	buf_free(&c.more);
	return bad ? -1 : 0;
}

/* The old file's last use, when another has its place. */
static int
retire(struct usage_resealing *r)
{
	struct usage_image old;
	int fd = open(r->old, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), bad;
	struct stat st;

	if (fd == -1)
		return -1;
	bad = fstat(fd, &st) == -1 || fchmod(fd, st.st_mode & 07555) == -1;
	close(fd);
	/* From here on nothing is added to it that is believed to be there. */
	if (bad || usage_image_open(&old, r->old) != 1)
		return -1;
	bad = carry_over(r, &old) == -1 || unlink(r->old) == -1 ||
	    sync_folder(r) == -1;
	usage_image_close(&old);
	return bad ? -1 : 0;
}

/* What a reseal left that died; 0 or -1 with errno. */
static int
clear_up(struct usage_resealing *r)
{
	struct stat old, now;

	if (unlink(r->draft) == -1 && errno != ENOENT)
		return -1;
	if (lstat(r->old, &old) == -1)
		return errno == ENOENT ? 0 : -1;
	if (lstat(r->path, &now) == -1)
		return -1;
	if (old.st_ino == now.st_ino && old.st_dev == now.st_dev)
		return unlink(r->old);
	return retire(r);
}

int
usage_resealing_recover(struct usage_resealing *r)
{
	int done = clear_up(r);

	if (done == -1)
		log_warn("cannot go on with the reseal of '%s'", r->path);
	return done;
}

/* Puts the draft in the journal's place. */
static int
publish(struct usage_resealing *r)
{
	int two_names = r->how == DB_RESEAL_KEYS;

	if ((two_names && link(r->path, r->old) == -1) ||
	    rename(r->draft, r->path) == -1 || sync_folder(r) == -1)
		return -1;
	return two_names ? retire(r) : 0;
}

int
usage_resealing_publish(
    struct usage_resealing *r, const struct stat *st, const char *p, size_t n)
{
	if (write_draft(r, st, p, n) == 0 && publish(r) == 0)
		return 0;
	log_warn("cannot write '%s' anew", r->path);
	return -1;
}
