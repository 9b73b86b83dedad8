/*
 * Erasing what a key used. A journal is append-only, responders may have it
 * open, and its size is what tells whether the store and the cursors are up to
 * date. So it is neither rewritten nor replaced: the bytes of a line become
 * newlines where they are, and lines that come meanwhile go to the end.
 *
 * First what stands behind the key's id in each line, then, when that is on
 * the disk, the rest. Whoever dies in between leaves lines that end after the
 * id, or a tail of such a line: both are known by their looks when it is
 * repeated, and neither counts as use.
 *
 * Of a sealed line nothing can be told once a byte of it is gone. So whatever
 * cannot be opened goes as well: what an interrupted erasure or a torn write
 * left. It counts for nothing. Only at the very end it may be a line on its
 * way, whose newline is still to come.
 */
#include "usage_seal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "monotonic.h"

#define PAGE 4096
/*
 * A responder asks whether the key is there still and writes its line at once,
 * so a line that is on its way has come by then. Others are not waited for:
 * on a busy gate they never end.
 */
#define ON_ITS_WAY_MS 500

struct erasing {
	const char *id;
	char head[2 + USAGE_KEY_SIZE]; /* how its lines begin: "1\tID" */
	size_t head_len;
	int fd;
	const char *path;
	struct usage_sealing sealing;
	int64_t erased;
};

static int
is_id_byte(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	    (c >= 'A' && c <= 'Z') || c == '_' || c == '.' || c == '-';
}

/* Where the id stands in a line as a whole word; NULL when it does not. */
static const char *
find_id(const struct erasing *e, const char *line, size_t n)
{
	size_t len = strlen(e->id);
	const char *at = line, *end = line + n;

	while ((at = memmem(at, (size_t)(end - at), e->id, len)) != NULL) {
		if ((at == line || !is_id_byte(at[-1])) &&
		    (at + len == end || !is_id_byte(at[len])))
			return at;
		at++;
	}
	return NULL;
}

/* What an interrupted erasure or a torn write left of "1\tID". */
static int
is_rest(const struct erasing *e, const char *line, size_t n)
{
	return n > 1 && n < e->head_len &&
	    (memcmp(line, e->head + e->head_len - n, n) == 0 ||
		memcmp(line, e->head, n) == 0);
}

/* Bytes of a plain line to be kept until the rest is gone; 0: not the key's. */
static size_t
head_of_plain(const struct erasing *e, const char *line, size_t n)
{
	struct usage_record record;
	const char *at;

	if (n < USAGE_LINE_SIZE && usage_line_parse(line, n, &record) == 0)
		return strcmp(record.key_id, e->id) == 0 ? e->head_len : 0;
	if ((at = find_id(e, line, n)) != NULL)
		return (size_t)(at - line) + strlen(e->id);
	return is_rest(e, line, n) ? n : 0;
}

/* The same of any line: 0 and *head, or -1 for one that must not count. */
static int
head_of(const struct erasing *e, const char *line, size_t n, int ended,
    size_t *head)
{
	struct usage_line l;

	*head = 0;
	usage_line_open(&e->sealing, line, n, &l);
	if (l.found == USAGE_FOUND_PLAIN || l.found == USAGE_FOUND_SEALED) {
		(void)usage_line_refused(e->path, &l);
		errno = 0; /* the reason is logged */
		return -1;
	}
	if (e->sealing.n == 0)
		*head = head_of_plain(e, line, n);
	else if (l.found == USAGE_FOUND ? strcmp(l.record.key_id, e->id) == 0
					: ended)
		*head = n;
	return 0;
}

/*
 * Newlines over [at, at + n), the last page first: one that is killed between
 * two pages leaves a beginning, never an end that nobody recognises.
 */
static int
blank(int fd, off_t at, size_t n)
{
	char newlines[PAGE];

	memset(newlines, '\n', sizeof(newlines));
	while (n > 0) {
		size_t part = (size_t)(at + (off_t)n) % PAGE;

		if (part == 0)
			part = PAGE;
		if (part > n)
			part = n;
		n -= part;
		if (pwrite(fd, newlines, part, at + (off_t)n) != (ssize_t)part)
			return -1;
	}
	return 0;
}

/* The tails of the key's lines from there on, or their heads, in one file. */
static int
blank_lines(
    struct erasing *e, const char *map, size_t from, size_t size, int heads)
{
	for (size_t at = from, n; at < size; at += n + 1) {
		const char *stop = memchr(map + at, '\n', size - at);
		size_t head = 0;

		n = stop == NULL ? size - at : (size_t)(stop - map) - at;
		if (n > 0 && head_of(e, map + at, n, stop != NULL, &head) == -1)
			return -1;
		if (head == 0)
			continue;
		if (!heads && blank(e->fd, (off_t)(at + head), n - head) == -1)
			return -1;
		if (heads && blank(e->fd, (off_t)at, n) == -1)
			return -1;
		e->erased += heads;
	}
	return 0;
}

/*
 * One pass over what came behind 'seen', and over the line that was not whole
 * there; 0 or -1 with errno.
 */
static int
pass(struct erasing *e, off_t seen, off_t size, int heads)
{
	size_t from = (size_t)seen;
	char *map;
	int done, error;

	map = mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, e->fd, 0);
	if (map == MAP_FAILED)
		return -1;
	while (from > 0 && map[from - 1] != '\n')
		from--;
	done = blank_lines(e, map, from, (size_t)size, heads);
	error = errno;
	(void)munmap(map, (size_t)size);
	errno = error;
	return done == -1 ? -1 : fdatasync(e->fd);
}

/* Until nothing was added meanwhile, or for as long as it matters. */
static int
erase_open_file(struct erasing *e)
{
	const int64_t until = monotonic_ms() + ON_ITS_WAY_MS;
	struct stat st;
	off_t seen = 0;
	int last = 0;

	while (!last) {
		last = monotonic_ms() >= until;
		if (fstat(e->fd, &st) == -1)
			return -1;
		if (!S_ISREG(st.st_mode)) {
			errno = EINVAL;
			return -1;
		}
		if (st.st_size == seen)
			return 0;
		if (pass(e, seen, st.st_size, 0) == -1 ||
		    pass(e, seen, st.st_size, 1) == -1)
			return -1;
		seen = st.st_size;
	}
	return 0;
}

static int
erase_journal(struct erasing *e, const char *state_dir, int64_t hour)
{
	char path[PATH_MAX];
	int done;

	if (usage_journal_path(path, sizeof(path), state_dir, hour) == -1)
		return -1;
	e->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (e->fd == -1 && errno == ENOENT)
		return 0;
	e->path = path;
	done = e->fd == -1 || usage_sealing_of(&e->sealing, hour) == -1
	    ? -1
	    : erase_open_file(e);
	if (done == -1 && errno != 0)
		log_warn("cannot erase in '%s'", path);
	usage_sealing_wipe(&e->sealing);
	if (e->fd != -1)
		close(e->fd);
	return done;
}

/* 1 when the hour's record had rows of the key, 0 when not, -1 (logged). */
static int
erase_record(struct erasing *e, struct db *db, int64_t hour)
{
	struct usage_table all = USAGE_TABLE(USAGE_ROWS_MAX + 1);
	struct usage_scan scan;
	size_t kept = 0;
	int done = usage_store_get(db, hour, NULL, &all, &scan);

	if (done == 1) {
		for (size_t i = 0; i < all.n; i++)
			if (strcmp(all.rows[i].key_id, e->id) != 0)
				all.rows[kept++] = all.rows[i];
		e->erased += (int64_t)(all.n - kept);
		done = all.n > kept;
		all.n = kept;
		if (done && usage_store_put(db, hour, &all, &scan) == -1)
			done = -1;
	}
	usage_table_free(&all);
	return done;
}

/* The rows go also when a journal failed, and the other way round. */
static int
erase_hours(struct erasing *e, const char *state_dir, struct db *db,
    const struct usage_hours *hours, int *changed)
{
	int failed = 0;

	for (size_t i = 0; i < hours->n; i++) {
		int done = usage_reseal_recover(state_dir, hours->at[i]);

		/* Or its lines would go on in the file that was replaced. */
		if (done == 0)
			done = erase_journal(e, state_dir, hours->at[i]);
		failed |= done == -1;
		done = erase_record(e, db, hours->at[i]);
		failed |= done == -1;
		*changed |= done == 1;
	}
	return failed ? -1 : 0;
}

/* Under the editor's lock no roll-up carries a line into the store. */
static int64_t
erase(struct erasing *e, const char *state_dir, const char *store)
{
	struct usage_hours hours = { 0 };
	struct db *db = db_edit(store);
	int done = -1, changed = 0;

	if (db == NULL)
		return -1;
	if (usage_hours_journalled(&hours, state_dir, INT64_MIN, INT64_MAX) ==
		0 &&
	    usage_store_hours(db, &hours, INT64_MIN, INT64_MAX) == 0) {
		usage_hours_sort(&hours);
		done = erase_hours(e, state_dir, db, &hours, &changed);
	}
	usage_hours_free(&hours);
	if (changed && db_commit(db) == -1)
		return -1;
	if (!changed)
		db_close(db);
	return done == -1 ? -1 : e->erased;
}

int64_t
usage_erase(const char *state_dir, const char *key_id,
    const struct usage_pricing *pricing)
{
	struct erasing e = { .id = key_id, .fd = -1 };
	char store[PATH_MAX];
	size_t n = strlen(key_id);
	int64_t erased;

	for (size_t i = 0; i < n; i++)
		if (!is_id_byte(key_id[i]))
			n = 0;
	if (n == 0 || n >= USAGE_KEY_SIZE) {
		log_warnx("that is not a key's id");
		return -1;
	}
	memcpy(e.head, "1\t", 2);
	memcpy(e.head + 2, key_id, n);
	e.head_len = n + 2;
	if (usage_store_path(store, sizeof(store), state_dir) == -1)
		return -1;
	erased = erase(&e, state_dir, store);
	/* Also after a failure, and when an erasure was cut short here. */
	return usage_sums_follow(state_dir, pricing) == -1 ? -1 : erased;
}
