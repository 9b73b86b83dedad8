/*
 * When a responder is to end, so that a new one takes its place: a confined
 * process cannot see or read what was changed under it.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "gate.h"
#include "lib/log.h"
#include "lib/seal.h"

/*
 * One responder after another: while one is replaced the others answer. Whoever
 * goes leaves the time of it; what cannot be told keeps nobody.
 */
static int
is_my_turn(const struct gate *g)
{
	char path[PATH_MAX];
	struct stat st;
	int fd, turn = 1;

	(void)snprintf(path, sizeof(path), "%s/renewal",
	    config_text(g->config, CONFIG_RUN_DIR));
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd == -1)
		return 1;
	if (flock(fd, LOCK_EX | LOCK_NB) == -1)
		turn = 0;
	else if (fstat(fd, &st) == 0 && st.st_size > 0)
		turn = llabs((long long)(time(NULL) - st.st_mtime)) >=
		    RENEW_SECONDS - 1;
	if (turn && pwrite(fd, "", 1, 0) != 1)
		log_warn("cannot write to '%s'", path);
	close(fd);
	return turn;
}

/* A new responder reads them; this one cannot any more. */
static int
has_other_keys(const struct gate *g)
{
	if (!seal_outdated() || !is_my_turn(g))
		return 0;
	log_info("'%s' has changed: a new responder reads it", seal_path());
	return 1;
}

int
renew_due(const struct gate *g)
{
	return confine_outlived(g) || has_other_keys(g);
}
