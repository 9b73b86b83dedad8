/* One journal line a request, and the token window settled. */
#include <string.h>
#include <time.h>

#include "catalog.h"
#include "gate.h"
#include "lib/log.h"

/*
 * Only names that the upstream lists are written down: in the others a client
 * could write anything.
 */
static const char *
journal_model(struct call *c)
{
	if (c->request.model[0] == '\0')
		return openai_endpoint_name(c->route->endpoint);
	if (strlen(c->request.model) < USAGE_MODEL_SIZE &&
	    catalog_lists(c, c->request.model))
		return c->request.model;
	return "other";
}

static void
copy_name(char *to, size_t size, const char *from)
{
	size_t n = strnlen(from, size - 1);

	memcpy(to, from, n);
	to[n] = '\0';
}

void
account(struct call *c, const struct outcome *o)
{
	struct usage_record r = {
		.status_class = o->status / 100,
		.estimated = o->estimated,
		.prompt = o->prompt,
		.completion = o->completion,
		.cached = o->cached,
		.total = o->total,
		.audio_bytes = o->audio_bytes,
		.audio_ms = o->audio_ms,
		.duration_ms = limits_now() - c->began_ms,
		.first_byte_ms = o->first_byte_ms == -1
		    ? -1
		    : o->first_byte_ms - c->began_ms,
	};

	copy_name(r.key_id, sizeof(r.key_id), c->key.id);
	copy_name(r.model, sizeof(r.model), journal_model(c));
	copy_name(r.endpoint, sizeof(r.endpoint),
	    openai_endpoint_name(c->route->endpoint));
	if (usage_journal_append(c->gate->journal, &r, (int64_t)time(NULL)) ==
	    -1)
		atomic_store(&c->gate->journal_failed, 1);
	admit_settle(c, o->total);
}
