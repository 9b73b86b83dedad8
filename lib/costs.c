/* Usage and prices put together. */
#include "costs.h"

#include <stddef.h>

int64_t
costs_of(struct prices *prices, const struct usage_total *t)
{
	const struct prices_use use = { .model = t->model,
		.at = t->hour,
		.prompt = t->prompt,
		.completion = t->completion,
		.total = t->total,
		.audio_bytes = t->audio_bytes,
		.audio_ms = t->audio_ms };

	return prices_cost(prices, &use);
}

static int64_t
cost(void *prices, const struct usage_total *t)
{
	return costs_of(prices, t);
}

static uint64_t
basis(void *prices, int64_t before)
{
	return prices_basis_before(prices, before);
}

struct usage_pricing
costs_pricing(struct prices *prices)
{
	return (struct usage_pricing){ cost, basis, prices };
}

/* The prices of STATE_DIR, to be closed; 'use' is NULL when there are none. */
struct open_prices {
	struct prices *prices;
	struct usage_pricing pricing;
	const struct usage_pricing *use;
};

static void
open_prices(struct open_prices *p, const char *state_dir)
{
	p->prices = prices_open(state_dir);
	p->pricing = costs_pricing(p->prices);
	p->use = p->prices != NULL && prices_refresh(p->prices) == 0
	    ? &p->pricing
	    : NULL;
}

int64_t
costs_rollup(const char *state_dir, int64_t now)
{
	struct open_prices p;
	int64_t hours;

	open_prices(&p, state_dir);
	hours = usage_rollup(state_dir, now, p.use);
	prices_close(p.prices);
	return hours;
}

int64_t
costs_prune(const char *state_dir, int64_t before)
{
	struct open_prices p;
	int64_t hours;

	open_prices(&p, state_dir);
	hours = usage_prune(state_dir, before, p.use);
	prices_close(p.prices);
	return hours;
}

int64_t
costs_erase(const char *state_dir, const char *key_id)
{
	struct open_prices p;
	int64_t erased;

	open_prices(&p, state_dir);
	erased = usage_erase(state_dir, key_id, p.use);
	prices_close(p.prices);
	return erased;
}
