/* Which hours have a journal. */
#include "usage_internal.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "log.h"
#include "text.h"

#define HOURS_MAX (100 * 366 * 24)

int
usage_hours_add(struct usage_hours *h, int64_t hour)
{
	if (h->n == h->cap) {
		size_t cap = h->cap == 0 ? 1024 : h->cap * 2;
		int64_t *at = cap > 2 * HOURS_MAX
		    ? NULL
		    : reallocarray(h->at, cap, sizeof(at[0]));

		if (at == NULL) {
			log_warnx("too many hours of usage");
			return -1;
		}
		h->at = at;
		h->cap = cap;
	}
	h->at[h->n++] = hour;
	return 0;
}

static int
compare(const void *left, const void *right)
{
	int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;

	return a < b ? -1 : a > b;
}

void
usage_hours_sort(struct usage_hours *h)
{
	size_t kept = 0;

	if (h->n == 0)
		return;
	qsort(h->at, h->n, sizeof(h->at[0]), compare);
	for (size_t i = 1; i < h->n; i++)
		if (h->at[i] != h->at[kept])
			h->at[++kept] = h->at[i];
	h->n = kept + 1;
}

void
usage_hours_free(struct usage_hours *h)
{
	free(h->at);
	*h = (struct usage_hours){ 0 };
}

/* Files with other names are not ours to read. */
static int
add_entries(struct usage_hours *h, DIR *d, int64_t from, int64_t to)
{
	const struct dirent *e;
	int64_t hour;

	errno = 0;
	while ((e = readdir(d)) != NULL)
		if (text_to_hour(e->d_name, &hour) == 0 && hour >= from &&
		    hour < to && usage_hours_add(h, hour) == -1)
			return -1;
	if (errno != 0)
		log_warn("cannot list the journal");
	return errno == 0 ? 0 : -1;
}

int
usage_hours_journalled(
    struct usage_hours *h, const char *state_dir, int64_t from, int64_t to)
{
	char path[PATH_MAX];
	DIR *d;
	int done;

	if (usage_journal_path(path, sizeof(path), state_dir, USAGE_NO_HOUR) ==
	    -1)
		return -1;
	if ((d = opendir(path)) == NULL) {
		if (errno == ENOENT)
			return 0;
		log_warn("cannot open '%s'", path);
		return -1;
	}
	done = add_entries(h, d, from, to);
	closedir(d);
	return done;
}
