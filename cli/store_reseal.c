/*
 * Sealing all there is. Cursors come first, because they are in terms of the
 * journals as they were; then journals; then the other stores, of which each
 * stands alone.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "cli/store_key.h"
#include "lib/costs.h"
#include "lib/log.h"
#include "lib/seal.h"
#include "lib/usage.h"

/*
 * Seconds within which a responder notices another file of keys, one after
 * another, and another one has read it; see fcgi/renew.c.
 */
#define NOTICED 6
/* Lines may be written under the old key while journals are gone through. */
#define ROUNDS 5

struct resealing {
	const char *state_dir, *cursor;
	enum db_reseal how;
	int stores; /* that were written anew */
	int64_t hours;
	int failed;
};

static int
ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && strcmp(s + n - m, end) == 0;
}

static void
count(struct resealing *r, int done)
{
	r->failed |= done == -1;
	r->stores += done == 1;
}

static void
reseal_store(struct resealing *r, const char *name, int cursors)
{
	int is_cursor = strncmp(name, "export-", 7) == 0;
	char path[PATH_MAX];

	if (!ends_with(name, ".gdbm") || is_cursor != cursors)
		return;
	if (snprintf(path, sizeof(path), "%s/%s", r->state_dir, name) >=
	    (int)sizeof(path)) {
		log_warnx("the path of STATE_DIR is too long");
		r->failed = 1;
	} else
		count(r,
		    is_cursor ? usage_reseal_cursor(r->state_dir, path, r->how)
			      : db_reseal(path, r->how, NULL, NULL));
}

static void
reseal_stores(struct resealing *r, int cursors)
{
	DIR *d = opendir(r->state_dir);
	const struct dirent *e;

	if (d == NULL) {
		log_warn("cannot open '%s'", r->state_dir);
		r->failed = 1;
		return;
	}
	while ((e = readdir(d)) != NULL)
		reseal_store(r, e->d_name, cursors);
	closedir(d);
}

static void
reseal_journals(struct resealing *r)
{
	int64_t n = 1;

	for (int i = 0; i < ROUNDS && n > 0; i++) {
		if ((n = usage_reseal(r->state_dir, r->how)) > r->hours)
			r->hours = n;
	}
	if (n > 0)
		log_warnx("a responder still writes under an old key: repeat "
			  "this in a minute");
	r->failed |= n != 0;
}

/* A responder that met the first key too early would refuse its requests. */
static void
wait_for_responders(const struct config *config, int64_t now)
{
	const char *path = config_text(config, CONFIG_STORE_KEY_FILE);
	int64_t noticed =
	    NOTICED * (config_number(config, CONFIG_PROCESSES) + 1);
	struct timespec pause = { 0, 0 };
	struct stat st;

	if (stat(path, &st) == -1 || st.st_mtime > now ||
	    now - st.st_mtime >= noticed)
		return;
	pause.tv_sec = noticed - (now - st.st_mtime);
	log_info("waiting %d seconds, until responders know the new key",
	    (int)pause.tv_sec);
	while (nanosleep(&pause, &pause) == -1 && errno == EINTR)
		continue;
}

static int
reseal_all(struct resealing *r)
{
	if (r->how != DB_RESEAL_KEYS && usage_is_idle(r->state_dir) != 1)
		return -1;
	reseal_stores(r, 1);
	if (r->cursor != NULL)
		count(r, usage_reseal_cursor(r->state_dir, r->cursor, r->how));
	/* What they remember must be translated while journals are as before. */
	if (r->failed && r->how != DB_RESEAL_KEYS)
		return -1;
	reseal_journals(r);
	reseal_stores(r, 0);
	return r->failed ? -1 : 0;
}

enum command_exit
store_key_reseal(const struct config *config, enum db_reseal how,
    const char *cursor, int64_t now)
{
	struct resealing r = { .state_dir =
				   config_text(config, CONFIG_STATE_DIR),
		.cursor = cursor,
		.how = how };
	int keys = seal_ready();

	if (keys == 0)
		log_warnx("STORE_KEY_FILE is not set: it names the file of the "
			  "key");
	if (keys <= 0)
		return COMMAND_FAILED;
	if (how == DB_RESEAL_KEYS && keys > 1)
		wait_for_responders(config, now);
	if (reseal_all(&r) == -1)
		return COMMAND_FAILED;
	printf("Written anew: %d stores, %" PRId64 " hours of use.\n", r.stores,
	    r.hours);
	if (how == DB_RESEAL_PLAIN) {
		printf("Nothing is sealed any more: take STORE_KEY_FILE out of "
		       "the settings, and\nstart the gate.\n");
		if (seal_use(NULL) == -1)
			return COMMAND_FAILED;
	}
	/* Sums know the stores that they are made from by their marks. */
	if (r.stores + r.hours > 0 && costs_rollup(r.state_dir, now) == -1)
		return COMMAND_FAILED;
	return COMMAND_DONE;
}
