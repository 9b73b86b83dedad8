/*
 * What a responder gives up before it takes requests, and the one thing that
 * this asks of it later: a folder that takes the place of STATE_DIR or RUN_DIR
 * (a backup brought back, a file system mounted late) is another one to the
 * kernel, and only a new process may open it.
 */
#include <stdlib.h>
#include <sys/stat.h>

#include "gate.h"
#include "lib/log.h"
#include "lib/sandbox.h"

static const char *
folder_of(const struct gate *g, int which)
{
	return config_text(
	    g->config, which == 0 ? CONFIG_STATE_DIR : CONFIG_RUN_DIR);
}

void
confine_user(const struct gate *g)
{
	/* The second: the first undoes it. */
	if (sandbox_leave_root(folder_of(g, 0)) == -1 ||
	    sandbox_private() == -1)
		log_fatalx("the gate cannot start");
}

void
confine(struct gate *g)
{
	const char *folders[] = { folder_of(g, 0), folder_of(g, 1), NULL };
	struct upstream_reach reach;
	struct sandbox s = { .folders = folders };

	if (upstream_reach(
		config_text(g->config, CONFIG_UPSTREAM_URL), &reach) == -1)
		log_fatalx("the gate cannot start");
	s.port = reach.port;
	s.by_name = reach.by_name;
	s.by_tls = reach.by_tls;
	for (int i = 0; i < 2; i++)
		if (stat(folders[i], &g->folders[i]) == -1)
			log_fatal("cannot look at '%s'", folders[i]);
	g->confined = sandbox_enter(&s);
}

int
confine_outlived(const struct gate *g)
{
	struct stat now;

	if ((g->confined & SANDBOX_FILES) == 0)
		return 0;
	for (int i = 0; i < 2; i++) {
		const struct stat *then = &g->folders[i];

		/* One that is not there may come back. */
		if (stat(folder_of(g, i), &now) == -1 ||
		    (now.st_ino == then->st_ino && now.st_dev == then->st_dev))
			continue;
		log_warnx("'%s' is another folder now: a new responder is "
			  "needed",
		    folder_of(g, i));
		return 1;
	}
	return 0;
}
