/* One journal line a request, and the token window settled. */
#include <string.h>
#include <time.h>

#include "catalog.h"
#include "gate.h"
#include "lib/log.h"
#include "lib/text.h"

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

/* A key that was deleted meanwhile may be erased: nothing is to follow. */
static const char *
journal_key(struct call *c)
{
	return keys_has_still(c->gate->keys, &c->key) == 0 ? "deleted"
							   : c->key.id;
}

static void
copy_name(char *to, size_t size, const char *from)
{
	size_t n = strnlen(from, size - 1);

	memcpy(to, from, n);
	to[n] = '\0';
}

/*
 * What is written down counts from then on instead of what was reserved. The
 * basis is read first: use that is priced anew in between is counted anew.
 */
static void
write_down(struct call *c, const struct usage_record *r, int64_t now)
{
	struct gate *g = c->gate;
	uint64_t basis = prices_basis(g->prices);
	int64_t cost = prices_cost(g->prices,
	    &(struct prices_use){ .model = r->model,
		.at = now,
		.prompt = r->prompt,
		.completion = r->completion,
		.total = r->total,
		.audio_bytes = r->audio_bytes,
		.audio_ms = r->audio_ms });

	limits_budget_announce(g->limits, &c->lease);
	if (usage_journal_append(g->journal, r, now) == -1) {
		metrics_add(g->metrics, METRICS_JOURNAL_ERRORS, 1);
		atomic_store(&g->journal_failed, 1);
	}
	limits_budget_settle(g->limits, c->key_hash, &c->lease,
	    text_month_of(now), basis, cost, r->total);
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

	copy_name(r.key_id, sizeof(r.key_id), journal_key(c));
	copy_name(r.model, sizeof(r.model), journal_model(c));
	copy_name(r.endpoint, sizeof(r.endpoint),
	    openai_endpoint_name(c->route->endpoint));
	write_down(c, &r, (int64_t)time(NULL));
	metrics_use(c, &r);
	admit_settle(c, o->total);
}
