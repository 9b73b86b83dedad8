/* Nothing here asks twice, and each step is of use without the next. */
#include "cli/emergency.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/db_watch.h"
#include "lib/keys.h"
#include "lib/log.h"
#include "lib/secret.h"
#include "lib/session.h"

#define END_WORDS "end the lockdown"
#define DESTROY_WORDS "destroy everything"

static int
is_typed(const char *what, const char *words)
{
	char line[64];

	fprintf(stderr, "%s\nTo go on, type: %s\n", what, words);
	if (fgets(line, sizeof(line), stdin) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (strcmp(line, words) == 0)
			return 1;
	}
	log_warnx("nothing was changed");
	return 0;
}

enum command_exit
emergency_lockdown(const struct config *config, int end)
{
	const char *state_dir = config_text(config, CONFIG_STATE_DIR);
	const struct session_rules rules = { .state_dir = state_dir };
	int bad;

	if (end) {
		if (!is_typed(
			"All keys will be what they were before.", END_WORDS) ||
		    keys_lock(state_dir, 0) != KEYS_OK)
			return COMMAND_FAILED;
		printf("The lockdown is over.\n");
		return COMMAND_DONE;
	}
	/* Both, even when one of them fails. */
	bad = keys_lock(state_dir, 1) != KEYS_OK;
	bad |= session_end_all(&rules) == -1;
	if (bad)
		return COMMAND_FAILED;
	printf("All keys are refused, and nobody is logged in to the admin "
	       "pages.\nTo end this: pmkey lockdown --end\n");
	return COMMAND_DONE;
}

/* Random bytes over all of it, and on the disk; 0 or -1. */
static int
overwrite(int fd, off_t size)
{
	unsigned char noise[65536];
	off_t at = 0;

	while (at < size) {
		size_t n = size - at < (off_t)sizeof(noise)
		    ? (size_t)(size - at)
		    : sizeof(noise);
		ssize_t written;

		secret_random(noise, n);
		written = pwrite(fd, noise, n, at);
		if (written == -1 && errno != EINTR)
			return -1;
		if (written > 0)
			at += written;
	}
	return fsync(fd);
}

static int
destroy_file(const char *path, off_t size)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW), bad = fd == -1;

	if (fd != -1) {
		bad = overwrite(fd, size) == -1;
		bad |= ftruncate(fd, 0) == -1;
		bad |= close(fd) == -1;
	}
	/* What cannot be overwritten is removed all the same. */
	if (bad)
		log_warn("cannot overwrite '%s'", path);
	if (unlink(path) == 0)
		return bad ? -1 : 0;
	log_warn("cannot remove '%s'", path);
	return -1;
}

/* One thing that was found in the folder; 0 or -1 after logging. */
static int
destroy_entry(const FTSENT *e)
{
	switch (e->fts_info) {
	case FTS_D:
		return 0;
	case FTS_F:
		return destroy_file(e->fts_accpath, e->fts_statp->st_size);
	case FTS_DP:
		/* The folder itself stays, for what is set up anew. */
		if (e->fts_level == 0 || rmdir(e->fts_accpath) == 0)
			return 0;
		log_warn("cannot remove '%s'", e->fts_path);
		return -1;
	case FTS_DNR:
	case FTS_ERR:
	case FTS_NS:
		errno = e->fts_errno;
		log_warn("cannot read '%s'", e->fts_path);
		return -1;
	default: /* links, sockets: nothing is in them */
		if (unlink(e->fts_accpath) == 0)
			return 0;
		log_warn("cannot remove '%s'", e->fts_path);
		return -1;
	}
}

static int
destroy_folder(const char *path)
{
	char copy[4096], *paths[] = { copy, NULL };
	FTSENT *e;
	FTS *walk;
	int bad = 0;

	if (strlen(path) >= sizeof(copy) || access(path, F_OK) == -1)
		return 0;
	memcpy(copy, path, strlen(path) + 1);
	walk = fts_open(paths, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, NULL);
	if (walk == NULL) {
		log_warn("cannot read '%s'", path);
		return -1;
	}
	while ((e = fts_read(walk)) != NULL)
		bad |= destroy_entry(e) == -1;
	if (fts_close(walk) == -1)
		bad = 1;
	return bad ? -1 : 0;
}

/* Before the stores: what is sealed under it can then be read by nobody. */
static int
destroy_store_key(const struct config *config)
{
	const char *path = config_text(config, CONFIG_STORE_KEY_FILE);
	struct stat st;

	if (*path == '\0' || (lstat(path, &st) == -1 && errno == ENOENT))
		return 0;
	return destroy_file(path, st.st_size);
}

enum command_exit
emergency_destroy(const struct config *config)
{
	const char *state_dir = config_text(config, CONFIG_STATE_DIR);
	int bad;

	if (!is_typed("All keys, all settings and all records of use will be "
		      "gone for good.",
		DESTROY_WORDS))
		return COMMAND_FAILED;
	/*
	 * No lockdown first: it would publish a new store, and leave what was
	 * in the old one on the disk. A gate that runs refuses all requests
	 * once its store is damaged or gone.
	 */
	bad = destroy_store_key(config) == -1;
	bad |= destroy_folder(state_dir) == -1;
	bad |= destroy_folder(config_text(config, CONFIG_RUN_DIR)) == -1;
	db_watch_wait();
	printf(
	    "Gone: all that was in '%s' and '%s'%s.\n"
	    "Not touched: the file of settings, certificates outside of "
	    "these folders, the\nPrivatemode key, backups, and copies that "
	    "a disk may keep of what was overwritten:\ndelete the VM and its "
	    "disk as well. Stop or restart the gate.\n",
	    state_dir, config_text(config, CONFIG_RUN_DIR),
	    *config_text(config, CONFIG_STORE_KEY_FILE) != '\0'
		? ", and the store key"
		: "");
	return bad ? COMMAND_FAILED : COMMAND_DONE;
}
