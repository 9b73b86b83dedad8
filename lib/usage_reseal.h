/*
 * usage_reseal.h - a journal that is read to be written anew, and how the new
 * one gets into its place. Private to usage.
 */
#ifndef PMPROXY_USAGE_RESEAL_H
#define PMPROXY_USAGE_RESEAL_H

#include <limits.h>
#include <sys/stat.h>

#include "usage_seal.h"

struct usage_resealing {
	enum db_reseal how;
	const char *state_dir;
	int64_t hour;
	/* The journal, what is to be it, and what was it. */
	char path[PATH_MAX], draft[PATH_MAX], old[PATH_MAX];
	struct usage_sealing keys; /* that there are */
	struct usage_sealing as; /* how lines are to be */
};

/* 'how' and 'state_dir' are set. 0, or -1 (logged); to be ended in any case. */
int usage_resealing_begin(struct usage_resealing *, int64_t hour);
void usage_resealing_end(struct usage_resealing *);

/* A journal in memory. */
struct usage_image {
	int fd;
	struct stat st;
	char *p;
	size_t n;
};

/* As it is now; 1, 0 when there is none, -1 (logged). */
int usage_image_open(struct usage_image *, const char *path);
void usage_image_close(struct usage_image *);

/*
 * Calls 'fn' with each line that is not empty, and where it stands; stops at
 * the first nonzero answer and returns it.
 */
int usage_image_each(struct usage_resealing *, const struct usage_image *,
    int (*fn)(struct usage_resealing *, const struct usage_line *,
	const char *line, size_t n, void *),
    void *arg);

/* The line as it is to be, with its nonce; its length. */
size_t usage_line_as(const struct usage_sealing *as, const struct usage_line *,
    char dst[USAGE_SEALED_SIZE]);

/* Puts 'n' bytes into the place of that journal; 0 or -1 (logged). */
int usage_resealing_publish(
    struct usage_resealing *, const struct stat *, const char *p, size_t n);

/* Ends what a reseal of that hour left that died; 0 or -1 (logged). */
int usage_resealing_recover(struct usage_resealing *);

#endif
