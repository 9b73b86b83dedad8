/* What use costs at a given price, and the prices that hold unless set. */
#include "prices.h"

#include <string.h>

#include "prices_internal.h"

#define ALWAYS INT64_MIN
#define CHAT                                 \
	{                                    \
		5000000000, 5000000000, 0, 0 \
	}
#define EMBEDDING                          \
	{                                  \
		130000000, 130000000, 0, 0 \
	}

/*
 * Privatemode's list. When it changes, add a row with the hour of the change
 * behind the model's last one; to alter a row would rewrite the past. The
 * rows of PRICES_OTHERS come last.
 */
const struct prices_listed prices_list[] = {
	{ "gpt-oss-120b", ALWAYS, CHAT },
	{ "gemma-3-27b", ALWAYS, CHAT },
	{ "qwen3-coder-30b-a3b", ALWAYS, CHAT },
	{ "llama-3.3-70b", ALWAYS, CHAT },
	{ "qwen3-embedding-4b", ALWAYS, EMBEDDING },
	{ "multilingual-e5", ALWAYS, EMBEDDING },
	{ "whisper-large-v3", ALWAYS, { 0, 0, 96000000, 0 } },
	{ PRICES_OTHERS, ALWAYS, CHAT },
};
const size_t prices_list_n = sizeof(prices_list) / sizeof(prices_list[0]);

struct price
prices_listed_at(const char *model, int64_t at, int *found)
{
	struct price price = { 0, 0, 0, 0 };

	*found = 0;
	for (size_t i = 0; i < prices_list_n; i++)
		if (prices_list[i].from <= at &&
		    strcmp(prices_list[i].model, model) == 0) {
			price = prices_list[i].price;
			*found = 1;
		}
	return price;
}

/*
 * The units that have a price, and what one denominator holds of each: it is
 * the least that all of them divide.
 */
#define MILLION 1000000
#define MIB 1048576
#define HOUR_MS 3600000
#define WHOLE (INT64_C(1048576) * 9 * 15625)

/* A sum in whole nano-EUR and WHOLEths of one. */
struct sum {
	unsigned __int128 whole;
	uint64_t parts;
};

/*
 * Adds amount * price / unit without a loss. An amount is below 2^63 and a
 * price below 2^50: nothing here comes near 2^128, nor five parts near 2^64.
 */
static void
add(struct sum *sum, int64_t amount, int64_t price, uint64_t unit)
{
	unsigned __int128 cost;

	if (amount <= 0 || price <= 0)
		return;
	cost = (unsigned __int128)(uint64_t)amount * (uint64_t)price;
	sum->whole += cost / unit;
	sum->parts += (uint64_t)(cost % unit) * (WHOLE / unit);
}

/* Tokens that are in the total and in neither of its parts. */
static int64_t
unexplained(const struct prices_use *use)
{
	int64_t prompt = use->prompt > 0 ? use->prompt : 0;
	int64_t completion = use->completion > 0 ? use->completion : 0;

	if (use->total <= prompt || use->total - prompt <= completion)
		return 0;
	return use->total - prompt - completion;
}

int64_t
prices_cost_at(const struct price *price, const struct prices_use *use)
{
	int64_t dearer = price->prompt > price->completion ? price->prompt
							   : price->completion;
	struct sum sum = { 0, WHOLE / 2 };

	add(&sum, use->prompt, price->prompt, MILLION);
	add(&sum, use->completion, price->completion, MILLION);
	add(&sum, unexplained(use), dearer, MILLION);
	add(&sum, use->audio_bytes, price->audio_mib, MIB);
	add(&sum, use->audio_ms, price->audio_hour, HOUR_MS);
	sum.whole += sum.parts / WHOLE;
	return sum.whole > INT64_MAX ? INT64_MAX : (int64_t)sum.whole;
}

static int
is_price(int64_t nano_eur)
{
	return nano_eur >= 0 && nano_eur <= PRICES_MAX;
}

const char *
prices_problem(const char *model, const struct price *price)
{
	size_t n = strlen(model);

	if (n == 0 || n >= PRICES_MODEL_SIZE)
		return "a model's name has 1 to 63 characters";
	for (size_t i = 0; i < n; i++)
		if (model[i] <= 0x20 || model[i] > 0x7e)
			return "a model's name is printable ASCII without "
			       "blanks";
	if (price == NULL)
		return NULL;
	if (!is_price(price->prompt) || !is_price(price->completion) ||
	    !is_price(price->audio_mib) || !is_price(price->audio_hour))
		return "a price is from 0 to 1000000 EUR";
	return NULL;
}
