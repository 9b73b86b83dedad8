/*
 * catalog.h - the models that the upstream lists: asked for when somebody
 * wants the list, and remembered by name so that usage can be written down
 * under names that exist.
 */
#ifndef PMPROXY_CATALOG_H
#define PMPROXY_CATALOG_H

#include "lib/openai.h"

struct call;
struct catalog;
struct gate;
struct json_object;

/* NULL after logging. */
struct catalog *catalog_new(const char *run_dir);

/*
 * Starts a thread that looks at the upstream for those who ask with probe.h;
 * 0 or -1. Once the process is confined, so that the thread is as well.
 */
int catalog_answer_probes(struct gate *);

/*
 * Asks the upstream for its list, within this call's thread. Fills *list with
 * the whole answer, an object whose "data" is an array (free it with
 * json_object_put), or says what went wrong.
 */
enum openai_error catalog_fetch(struct call *, struct json_object **list);

/*
 * 1 when the upstream lists that model. Asks it again for a name it did not
 * list before, but not more often than every few seconds.
 */
int catalog_lists(struct call *, const char *model);

/* How the last look at the upstream went, asking anew after a few seconds. */
enum openai_error catalog_upstream_state(struct call *);

#endif
