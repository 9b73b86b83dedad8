/*
 * costs.h - usage and prices put together: what a total costs, and keeping
 * the sums of usage, which hold costs, up to date.
 */
#ifndef PMPROXY_COSTS_H
#define PMPROXY_COSTS_H

#include <stdint.h>

#include "prices.h"
#include "usage.h"

/*
 * The cost in nano-EUR of a total of one hour: rounded once, here. Costs of
 * longer times are sums of these. Thread-safe.
 */
int64_t costs_of(struct prices *, const struct usage_total *);

/* The same for readers of usage; good as long as the prices are. */
struct usage_pricing costs_pricing(struct prices *);

/*
 * usage_rollup, usage_prune and usage_erase with the prices of STATE_DIR. When
 * these cannot be read, which is logged, the sums stay out of date until they
 * can, and nothing that was erased or pruned stays in them.
 */
int64_t costs_rollup(const char *state_dir, int64_t now);
int64_t costs_prune(const char *state_dir, int64_t before);
int64_t costs_erase(const char *state_dir, const char *key_id);

#endif
