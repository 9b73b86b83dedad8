/*
 * A key's month: what a request reserves of it, and how the use so far is
 * counted when shared memory does not know it.
 */
#include <string.h>
#include <time.h>

#include "gate.h"
#include "lib/costs.h"
#include "lib/log.h"
#include "lib/text.h"

/* Seconds of audio are guessed from its bytes; few recordings have less. */
#define AUDIO_BYTES_A_SECOND 4000
/* Answers may end while their use is being counted. */
#define COUNTS_MAX 200
#define TAKES_MAX 8
/* Tokens of prompt and answer together that models can hold. */
#define LONGEST_TEXT 131072

int64_t
budget_next_month(int64_t unix_s)
{
	return text_month_of(text_month_of(unix_s) + INT64_C(32) * 86400);
}

int
budget_warns(const struct call *c, int64_t budget, int64_t left)
{
	int64_t percent = c->live.number[CONFIG_BUDGET_WARNING];

	return budget > 0 &&
	    (__int128)(budget - left) * 100 >= (__int128)budget * percent;
}

static int64_t
cost_of(const struct call *c, int64_t completion)
{
	return prices_cost(c->gate->prices,
	    &(struct prices_use){ .model = c->request.model,
		.at = c->now,
		.prompt = c->prompt_expected,
		.completion = completion,
		.audio_bytes = c->request.audio_bytes,
		.audio_ms =
		    c->request.audio_bytes * 1000 / AUDIO_BYTES_A_SECOND });
}

static void
set_cost(struct call *c, int64_t completion)
{
	c->completion_expected = completion;
	c->budget.cost_tokens = c->prompt_expected + completion;
	c->budget.cost_eur = cost_of(c, completion);
}

enum openai_error
budget_expect(
    struct call *c, int64_t prompt, int64_t completion, int open_ended)
{
	/* Also for who has no budget: what is written down has its price. */
	if (prices_refresh(c->gate->prices) == -1)
		return OPENAI_STORE;
	if (c->key.budget_eur == 0 && c->key.budget_tokens == 0)
		return OPENAI_OK;
	c->budget = (struct limits_budget){ .month = text_month_of(c->now),
		.basis = prices_basis(c->gate->prices),
		.eur = c->key.budget_eur,
		.tokens = c->key.budget_tokens };
	c->open_ended = open_ended;
	c->prompt_expected = prompt;
	set_cost(c, completion);
	return OPENAI_OK;
}

/* Whether prompt and answer fit in what the budget held at the last look. */
static int
fits(const struct call *c, int64_t completion)
{
	const struct limits_budget *b = &c->budget;

	return (b->tokens == 0 ||
		   c->prompt_expected + completion <= b->left_tokens) &&
	    (b->eur == 0 || cost_of(c, completion) <= b->left_eur);
}

/* The longest answer up to 'most' that fits; 0 when none does. */
static int64_t
longest(const struct call *c, int64_t most)
{
	int64_t least = 0, middle;

	while (least < most) {
		middle = most - (most - least) / 2;
		if (fits(c, middle))
			least = middle;
		else
			most = middle - 1;
	}
	return least;
}

/* What is left of the budget is reserved instead; 1 when that is something. */
static int
reserve_the_rest(struct call *c)
{
	int64_t completion = longest(c, c->completion_expected);

	if (!c->open_ended || completion < c->request.choices)
		return 0;
	set_cost(c, completion);
	c->scarce = 1;
	return 1;
}

/*
 * As long as the budget holds the longest answer that there can be besides,
 * nothing is bounded. Then each ends with what was reserved for it, so that
 * all of them together do not pass the budget.
 */
static void
bound_answer(struct call *c)
{
	int64_t reserved = c->completion_expected;
	int64_t possible = LONGEST_TEXT - c->prompt_expected;

	if (c->open_ended &&
	    (c->scarce || (reserved < possible && !fits(c, possible))))
		openai_bound(&c->request, reserved / c->request.choices);
}

struct count {
	int64_t eur, tokens;
};

static void
add(int64_t *sum, int64_t n)
{
	if (__builtin_add_overflow(*sum, n, sum))
		*sum = INT64_MAX;
}

static int
count_one(const struct usage_total *t, void *arg)
{
	struct count *count = arg;

	add(&count->tokens, t->total);
	add(&count->eur, t->cost);
	return 0;
}

/* Enough for the ids of any family, and its own. */
#define FAMILY_MAX ((size_t)1 << 17)

/* Month's use of the keys that share the budget, without its own if asked. */
static int
each_of_family(struct call *c, int64_t month, int others,
    int (*fn)(const struct usage_total *, void *), void *arg)
{
	struct usage_query query = { .from = month,
		.to = budget_next_month(month),
		.grain = USAGE_MONTHS };
	struct usage_pricing pricing = costs_pricing(c->gate->prices);
	struct buf ids = BUF(FAMILY_MAX);
	struct usage_reader *reader = usage_reader_open(
	    config_text(c->gate->config, CONFIG_STATE_DIR), &pricing);
	int bad =
	    reader == NULL || keys_family(c->gate->keys, &c->key, &ids) != 0;
	size_t at = others && !bad ? strlen(ids.data) + 1 : 0;

	for (; at < ids.len && !bad; at += strlen(ids.data + at) + 1) {
		query.key_id = ids.data + at;
		bad = usage_reader_each(reader, &query, fn, arg);
	}
	usage_reader_close(reader);
	buf_free(&ids);
	return bad ? -1 : 0;
}

/* 1 when the tally is in place, 0 to try again, -1 when nothing can be read. */
static int
count(struct call *c)
{
	struct gate *g = c->gate;
	const struct limits_budget *b = &c->budget;
	struct count sum = { 0, 0 };

	if (each_of_family(c, b->month, 0, count_one, &sum) == -1)
		return -1;
	/* The prices changed on the way: it would be a bit of both. */
	if (prices_basis(g->prices) != b->basis)
		return 0;
	return limits_budget_load(
		   g->limits, c->key_hash, b, sum.eur, sum.tokens) == 0;
}

int
budget_add_others(struct call *c, int64_t *eur, int64_t *tokens)
{
	struct count sum = { *eur, *tokens };

	if (each_of_family(c, text_month_of(c->now), 1, count_one, &sum) == -1)
		return -1;
	*eur = sum.eur;
	*tokens = sum.tokens;
	return 0;
}

static enum limits_result
take(struct call *c)
{
	struct limits_budget *b = &c->budget;

	if (b->month != 0) {
		b->month = text_month_of((int64_t)time(NULL));
		b->basis = prices_basis(c->gate->prices);
	}
	return limits_take_budget(c->gate->limits, c->windows, WINDOW__MAX,
	    c->key_hash, c->key.parallel, b->month != 0 ? b : NULL, &c->lease,
	    limits_now());
}

/* One thread at a time: the others find it done. */
static enum limits_result
count_and_take(struct call *c)
{
	static const struct timespec nap = { 0, 2000000 };
	enum limits_result result;
	int counted = 0;

	for (int i = 0; i < COUNTS_MAX; i++) {
		if ((result = take(c)) != LIMITS_UNCOUNTED)
			return result;
		if ((counted = count(c)) == -1)
			return LIMITS_BROKEN;
		if (counted == 0)
			(void)nanosleep(&nap, NULL); /* waking early is fine */
	}
	log_warnx("what '%s' used this month cannot be counted", c->key.id);
	return LIMITS_BROKEN;
}

static enum limits_result
take_counted(struct call *c)
{
	enum limits_result result = take(c);

	if (result != LIMITS_UNCOUNTED || c->quick)
		return result;
	(void)pthread_mutex_lock(&c->gate->counting); /* ours: cannot fail */
	result = count_and_take(c);
	(void)pthread_mutex_unlock(&c->gate->counting);
	return result;
}

enum limits_result
budget_take(struct call *c)
{
	enum limits_result result = take_counted(c);

	/* Others may take of it meanwhile. */
	for (int i = 0; i < TAKES_MAX && result == LIMITS_SPENT; i++) {
		if (!reserve_the_rest(c))
			break;
		result = take_counted(c);
	}
	if (result == LIMITS_ADMITTED)
		bound_answer(c);
	return result;
}
