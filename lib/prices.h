/*
 * prices.h - money: what use costs, in integer nano-EUR throughout. The list
 * is Privatemode's, EUR per million tokens or per MiB of audio.
 */
#ifndef PMPROXY_PRICES_H
#define PMPROXY_PRICES_H

#include <stdint.h>

/*
 * The cost of so many tokens and bytes of audio on that model, in nano-EUR,
 * rounded half up once; INT64_MAX rather than overflow. A model that the list
 * does not name costs as a chat model.
 */
int64_t
prices_cost(const char *model, int64_t total_tokens, int64_t audio_bytes);

#endif
