/* What use costs, in integer nano-EUR. */
#include "prices.h"

#include <stddef.h>
#include <string.h>

#define TOKENS 1000000 /* that many have a price in the list */
#define MIB 1048576

struct price {
	const char *model;
	int64_t million_tokens; /* nano-EUR */
	int64_t audio_mib; /* nano-EUR */
};

static const struct price list[] = {
	{ "qwen3-embedding-4b", 130000000, 0 },
	{ "multilingual-e5", 130000000, 0 },
	{ "whisper-large-v3", 0, 96000000 },
};

/* Any other model, listed as chat or not known at all. */
static const struct price chat = { "", 5000000000, 0 };

static const struct price *
price_of(const char *model)
{
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		if (strcmp(model, list[i].model) == 0)
			return &list[i];
	return &chat;
}

/*
 * Both parts over one denominator, so that they are rounded together. The
 * largest factors (2^63 of either use, 2^33 of price, 2^20 of denominator)
 * leave room below 2^127.
 */
int64_t
prices_cost(const char *model, int64_t total_tokens, int64_t audio_bytes)
{
	const struct price *price = price_of(model);
	unsigned __int128 per = (unsigned __int128)TOKENS * MIB, sum;
	uint64_t tokens = total_tokens < 0 ? 0 : (uint64_t)total_tokens;
	uint64_t bytes = audio_bytes < 0 ? 0 : (uint64_t)audio_bytes;

	sum =
	    (unsigned __int128)tokens * (uint64_t)price->million_tokens * MIB +
	    (unsigned __int128)bytes * (uint64_t)price->audio_mib * TOKENS;
	sum = (sum + per / 2) / per;
	return sum > INT64_MAX ? INT64_MAX : (int64_t)sum;
}
