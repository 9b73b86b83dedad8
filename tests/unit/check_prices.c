/*
 * Money, against a calculation that shares nothing with the code: decimal
 * digits, multiplied and divided by hand as on paper.
 */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/db_watch.h"
#include "lib/prices.h"
#include "tests/unit/suite.h"

/* Of the largest sum there is, with some room. */
#define DIGITS 90

/* A decimal number, least significant digit first. */
struct number {
	int digit[DIGITS];
};

static struct number
from_i64(int64_t n)
{
	struct number out = { { 0 } };
	char text[32];
	size_t len;

	snprintf(text, sizeof(text), "%" PRId64, n);
	len = strlen(text);
	for (size_t i = 0; i < len; i++)
		out.digit[i] = text[len - 1 - i] - '0';
	return out;
}

static void
carry(struct number *n)
{
	for (int i = 0; i < DIGITS - 1; i++) {
		n->digit[i + 1] += n->digit[i] / 10;
		n->digit[i] %= 10;
	}
}

/* As on paper: each digit by each digit. */
static struct number
product(struct number a, struct number b)
{
	struct number out = { { 0 } };

	for (int i = 0; i < DIGITS; i++)
		for (int k = 0; i + k < DIGITS; k++)
			out.digit[i + k] += a.digit[i] * b.digit[k];
	carry(&out);
	return out;
}

static struct number
sum(struct number a, struct number b)
{
	for (int i = 0; i < DIGITS; i++)
		a.digit[i] += b.digit[i];
	carry(&a);
	return a;
}

/* Long division, rounded half up. */
static struct number
divided(struct number n, int64_t by)
{
	int64_t rest = 0;

	for (int i = DIGITS - 1; i >= 0; i--) {
		int64_t at = rest * 10 + n.digit[i];

		n.digit[i] = (int)(at / by);
		rest = at % by;
	}
	n.digit[0] += rest * 2 >= by;
	carry(&n);
	return n;
}

/* The number as int64, INT64_MAX when it is larger. */
static int64_t
to_i64(struct number n)
{
	struct number max = from_i64(INT64_MAX);
	int64_t out = 0;

	for (int i = DIGITS - 1; i >= 0; i--) {
		if (n.digit[i] > max.digit[i])
			return INT64_MAX;
		if (n.digit[i] < max.digit[i])
			break;
	}
	for (int i = 18; i >= 0; i--)
		out = out * 10 + n.digit[i];
	return out;
}

static struct number
part(int64_t amount, int64_t price, int64_t of_whole)
{
	return product(
	    product(from_i64(amount), from_i64(price)), from_i64(of_whole));
}

/*
 * Over a denominator of 10^6 * 2^20 * 3600000, which all units divide, though
 * it is not the least such one.
 */
static int64_t
expected(const struct price *p, const struct prices_use *u)
{
	const int64_t million = 1000000, mib = 1048576, hour = 3600000;
	int64_t rest = u->total - u->prompt - u->completion;
	struct number n;

	n = part(u->prompt, p->prompt, mib * 3600);
	n = sum(n, part(u->completion, p->completion, mib * 3600));
	if (u->prompt <= u->total && u->completion <= u->total && rest > 0)
		n = sum(n,
		    part(rest,
			p->prompt > p->completion ? p->prompt : p->completion,
			mib * 3600));
	n = sum(n, part(u->audio_bytes, p->audio_mib, million * 3600));
	n = sum(n, part(u->audio_ms, p->audio_hour, million * mib / 1000));
	return to_i64(divided(n, million * mib / 1000 * hour));
}

static char dir[FOLDER_SIZE];

static void
make_dir(void)
{
	make_folder(dir);
}

static const char *
path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void
remove_dir(void)
{
	remove_folder(dir);
}

static struct prices *
open_prices(void)
{
	struct prices *p = prices_open(dir);

	ck_assert_ptr_nonnull(p);
	ck_assert_int_eq(prices_refresh(p), 0);
	return p;
}

#define HOUR INT64_C(3600)
#define NOON INT64_C(1795348800) /* 2026-11-22T12:00:00Z */

START_TEST(known_prices)
{
	static const struct {
		struct prices_use use;
		int64_t nano;
	} row[] = {
		{ { "gpt-oss-120b", NOON, 400000, 600000, 1000000, 0, 0 },
		    5000000000 },
		{ { "gemma-3-27b", NOON, 1, 0, 1, 0, 0 }, 5000 },
		{ { "gemma-3-27b", NOON, 0, 1, 1, 0, 0 }, 5000 },
		{ { "other", NOON, 1000000, 0, 1000000, 0, 0 }, 5000000000 },
		{ { "", NOON, 1000000, 0, 1000000, 0, 0 }, 5000000000 },
		{ { "qwen3-embedding-4b", NOON, 1000000, 0, 1000000, 0, 0 },
		    130000000 },
		{ { "multilingual-e5", NOON, 1000000, 0, 1000000, 0, 0 },
		    130000000 },
		{ { "whisper-large-v3", NOON, 0, 0, 0, 1048576, 1000 },
		    96000000 },
		/* only the total is known, or it knows of more or of less */
		{ { "gpt-oss-120b", NOON, 0, 0, 7, 0, 0 }, 35000 },
		{ { "gpt-oss-120b", NOON, 2, 3, 7, 0, 0 }, 35000 },
		{ { "gpt-oss-120b", NOON, 2, 3, 4, 0, 0 }, 25000 },
		{ { "gpt-oss-120b", NOON, 5, 3, 4, 0, 0 }, 40000 },
		{ { "gpt-oss-120b", NOON, -5, 3, 4, 0, 0 }, 20000 },
		/* each model is charged for what it is priced by */
		{ { "whisper-large-v3", NOON, 1000, 1000, 2000, 0, 0 }, 0 },
		{ { "gpt-oss-120b", NOON, 0, 0, 0, 1048576, 3600000 }, 0 },
		/* a name is the whole name */
		{ { "whisper-large-v3x", NOON, 1, 0, 1, 1, 0 }, 5000 },
		{ { "Whisper-large-v3", NOON, 1, 0, 1, 1, 0 }, 5000 },
		/* 91.55... nano-EUR a byte; half of one byte's 512th up */
		{ { "whisper-large-v3", NOON, 0, 0, 0, 1, 0 }, 92 },
		{ { "whisper-large-v3", NOON, 0, 0, 0, 256, 0 }, 23438 },
		{ { "whisper-large-v3", NOON, 0, 0, 0, 255, 0 }, 23346 },
		{ { "whisper-large-v3", NOON, 0, 0, 0, 768, 0 }, 70313 },
		{ { "whisper-large-v3", NOON, 0, 0, 0, 0, 0 }, 0 },
		{ { "gpt-oss-120b", NOON, 0, 0, 0, 0, 0 }, 0 },
		{ { "gpt-oss-120b", NOON, -1, -1, -1, -1, -1 }, 0 },
		{ { "whisper-large-v3", NOON, 0, 0, 0, INT64_MIN, INT64_MIN },
		    0 },
		{ { "gpt-oss-120b", NOON, INT64_MAX, INT64_MAX, INT64_MAX,
		      INT64_MAX, INT64_MAX },
		    INT64_MAX },
		/* the last that fits, and the first that does not */
		{ { "gpt-oss-120b", NOON, INT64_MAX / 5000, 0, 0, 0, 0 },
		    INT64_MAX / 5000 * 5000 },
		{ { "gpt-oss-120b", NOON, INT64_MAX / 5000 + 1, 0, 0, 0, 0 },
		    INT64_MAX },
		/* long ago and in times to come */
		{ { "gpt-oss-120b", 0, 1, 0, 0, 0, 0 }, 5000 },
		{ { "gpt-oss-120b", INT64_MAX, 1, 0, 0, 0, 0 }, 5000 },
	};
	struct prices *p = open_prices();

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++)
		ck_assert_msg(prices_cost(p, &row[i].use) == row[i].nano,
		    "row %zu costs %" PRId64, i, prices_cost(p, &row[i].use));
	prices_close(p);
}
END_TEST

/* Numbers of every magnitude, from a generator that starts the same always. */
static int64_t
next(uint64_t *state)
{
	int shift;

	*state = *state * UINT64_C(6364136223846793005) +
	    UINT64_C(1442695040888963407);
	shift = (int)(*state >> 58);
	return (int64_t)(((*state << 6) ^ (*state >> 7)) >> 1 >> shift % 63);
}

static struct prices_use
some_use(uint64_t *state, const char *model)
{
	return (struct prices_use){ model, NOON, next(state), next(state),
		next(state), next(state), next(state) };
}

START_TEST(agrees_with_long_division)
{
	uint64_t state = 20261122;
	struct prices *p;

	for (int i = 0; i < 20; i++) {
		struct price price = { next(&state) % (PRICES_MAX + 1),
			next(&state) % (PRICES_MAX + 1),
			next(&state) % (PRICES_MAX + 1),
			i == 0 ? PRICES_MAX : next(&state) % (PRICES_MAX + 1) };

		ck_assert_int_eq(prices_set(dir, "m", &price, NOON), 0);
		p = open_prices();
		for (int k = 0; k < 900; k++) {
			struct prices_use use = some_use(&state, "m");

			ck_assert_int_eq(
			    prices_cost(p, &use), expected(&price, &use));
		}
		prices_close(p);
	}
}
END_TEST

/* Every remainder of the division once, at prices that leave one. */
START_TEST(every_remainder_is_rounded_half_up)
{
	const struct price price = { 1, 1, 96000000, 1 };
	struct prices_use use = { "m", NOON, 0, 0, 0, 0, 0 };
	struct prices *p;

	ck_assert_int_eq(prices_set(dir, "m", &price, NOON), 0);
	p = open_prices();
	for (int64_t n = 0; n < 2048; n++) {
		use.audio_bytes = n;
		use.prompt = use.audio_ms = n * 977;
		ck_assert_int_eq(prices_cost(p, &use), expected(&price, &use));
	}
	use = (struct prices_use){ "m", NOON, 499999, 0, 0, 0, 0 };
	ck_assert_int_eq(prices_cost(p, &use), 0);
	use.completion = 1; /* two kinds make up the half together */
	ck_assert_int_eq(prices_cost(p, &use), 1);
	prices_close(p);
}
END_TEST

static int64_t
cost_at(struct prices *p, const char *model, int64_t at)
{
	return prices_cost(
	    p, &(struct prices_use){ model, at, 1000000, 0, 0, 0, 0 });
}

START_TEST(a_change_never_reaches_the_past)
{
	const struct price one = { 1, 1, 0, 0 }, two = { 2, 2, 0, 0 };
	struct prices *p = open_prices();
	uint64_t basis = prices_basis(p);

	/* From the start of the hour in which it is made. */
	ck_assert_int_eq(prices_set(dir, "gpt-oss-120b", &one, NOON + 999), 0);
	ck_assert_int_eq(cost_at(p, "gpt-oss-120b", NOON), 5000000000);
	ck_assert_uint_eq(prices_basis(p), basis);
	ck_assert_int_eq(prices_refresh(p), 0);
	ck_assert_uint_ne(prices_basis(p), basis);
	ck_assert_int_eq(cost_at(p, "gpt-oss-120b", NOON - 1), 5000000000);
	ck_assert_int_eq(cost_at(p, "gpt-oss-120b", NOON), 1);
	ck_assert_int_eq(cost_at(p, "gpt-oss-120b", INT64_MAX), 1);
	ck_assert_int_eq(cost_at(p, "gemma-3-27b", NOON), 5000000000);

	ck_assert_int_eq(
	    prices_set(dir, "gpt-oss-120b", NULL, NOON + 2 * HOUR), 0);
	ck_assert_int_eq(
	    prices_set(dir, "gpt-oss-120b", &two, NOON + 4 * HOUR), 0);
	/* Within the hour the last word counts. */
	ck_assert_int_eq(
	    prices_set(dir, "gpt-oss-120b", &one, NOON + 5 * HOUR), 0);
	ck_assert_int_eq(
	    prices_set(dir, "gpt-oss-120b", &two, NOON + 6 * HOUR - 1), 0);
	ck_assert_int_eq(prices_refresh(p), 0);
	for (int h = -1; h < 7; h++) {
		static const int64_t want[] = { 5000000000, 1, 1, 5000000000,
			5000000000, 2, 2, 2 };

		ck_assert_int_eq(
		    cost_at(p, "gpt-oss-120b", NOON + h * HOUR), want[h + 1]);
		ck_assert_int_eq(
		    cost_at(p, "gpt-oss-120b", NOON + h * HOUR + HOUR - 1),
		    want[h + 1]);
	}
	/* A clock that went back would rewrite what was charged since. */
	hush();
	ck_assert_int_eq(prices_set(dir, "gpt-oss-120b", &one, NOON), -1);
	ck_assert_int_eq(prices_refresh(p), 0);
	ck_assert_int_eq(cost_at(p, "gpt-oss-120b", NOON + 6 * HOUR), 2);
	prices_close(p);
}
END_TEST

START_TEST(others_cost_what_others_cost)
{
	const struct price three = { 3, 3, 0, 0 }, four = { 4, 4, 0, 0 };
	struct prices *p = open_prices();

	ck_assert_int_eq(prices_set(dir, PRICES_OTHERS, &three, NOON), 0);
	ck_assert_int_eq(prices_set(dir, "new", &four, NOON), 0);
	ck_assert_int_eq(prices_set(dir, "new", NULL, NOON + HOUR), 0);
	ck_assert_int_eq(prices_refresh(p), 0);
	ck_assert_int_eq(cost_at(p, "unheard-of", NOON), 3);
	ck_assert_int_eq(cost_at(p, "unheard-of", NOON - 1), 5000000000);
	ck_assert_int_eq(cost_at(p, "new", NOON - 1), 5000000000);
	ck_assert_int_eq(cost_at(p, "new", NOON), 4);
	ck_assert_int_eq(cost_at(p, "new", NOON + HOUR), 3);
	/* What the list names is none of them. */
	ck_assert_int_eq(cost_at(p, "gpt-oss-120b", NOON), 5000000000);
	prices_close(p);
}
END_TEST

START_TEST(what_is_no_price_is_refused)
{
	static const struct price good = { 0, PRICES_MAX, 0, 0 };
	static const struct price bad[] = { { -1, 0, 0, 0 },
		{ 0, PRICES_MAX + 1, 0, 0 }, { 0, 0, INT64_MIN, 0 },
		{ 0, 0, 0, INT64_MAX } };
	static const char *const names[] = { "", "a b", "a\n", "\x7f",
		"\xc3\xa9",
		("0123456789012345678901234567890123456789"
		 "012345678901234567890123") };

	hush();
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_int_eq(prices_set(dir, "m", &bad[i], NOON), -1);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		ck_assert_int_eq(prices_set(dir, names[i], &good, NOON), -1);
	ck_assert_int_eq(prices_set(dir, "m", &good, -1), -1);
	ck_assert_int_eq(access(path_of("settings.gdbm"), F_OK), -1);
	ck_assert_int_eq(prices_set(dir, "m", &good, NOON), 0);
	ck_assert_int_eq(prices_set("/nonexistent/dir", "m", &good, NOON), -1);
}
END_TEST

static void
put_record(const char *name, const char *value)
{
	struct db *db = db_edit(path_of("settings.gdbm"));

	ck_assert_ptr_nonnull(db);
	ck_assert_int_eq(db_put(db, name, value, strlen(value)), 0);
	ck_assert_int_eq(db_watch_commit(db), 0);
}

START_TEST(a_damaged_record_prices_nothing)
{
	static const char good[] =
	    "[{\"from\":3600,\"prompt\":1,\"completion\":2,\"audio_mib\":3,"
	    "\"audio_hour\":4},{\"from\":7200}]";
	static const char *const bad[] = { "", "[]", "{}", "null", "[1]",
		"[{}]", "[{\"from\":1}]", "[{\"from\":\"3600\"}]",
		"[{\"from\":3600}]x", "[{\"from\":3600}", "[{\"from\":3600.0}]",
		"[{\"from\":3600},{\"from\":3600}]",
		"[{\"from\":7200},{\"from\":3600}]",
		"[{\"from\":3600,\"prompt\":1}]",
		"[{\"from\":3600,\"prompt\":-1,\"completion\":2,"
		"\"audio_mib\":3,\"audio_hour\":4}]",
		"[{\"from\":3600,\"prompt\":1,\"completion\":2,"
		"\"audio_mib\":3,\"audio_hour\":1000000000000001}]" };
	const struct price one = { 1, 1, 1, 1 };
	struct prices *p;

	hush();
	p = prices_open(dir);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		put_record("price:m", bad[i]);
		ck_assert_msg(prices_refresh(p) == -1, "record %zu", i);
		/* Not to be overwritten by what builds on it. */
		ck_assert_int_eq(prices_set(dir, "m", &one, NOON), -1);
	}
	put_record("price:m", good);
	ck_assert_int_eq(prices_refresh(p), 0);
	ck_assert_int_eq(prices_at(p, "m", 3600).audio_hour, 4);
	ck_assert_int_eq(prices_at(p, "m", 7200).prompt, 5000000000);
	put_record("price:a b", good);
	ck_assert_int_eq(prices_refresh(p), -1);
	prices_close(p);
}
END_TEST

struct listing {
	char text[2048];
};

static int
add_row(const struct prices_row *row, void *arg)
{
	struct listing *l = arg;
	size_t n = strlen(l->text);

	snprintf(l->text + n, sizeof(l->text) - n, "%s%s%s %" PRId64 "\n",
	    row->model, row->set ? " set" : "",
	    row->from == INT64_MIN ? "" : " dated", row->price.prompt);
	return 0;
}

START_TEST(lists_every_model_with_its_history)
{
	const struct price one = { 1, 1, 0, 0 };
	struct listing l = { "" };
	struct prices *p = open_prices();

	ck_assert_int_eq(prices_set(dir, "new", &one, NOON), 0);
	ck_assert_int_eq(prices_set(dir, "gpt-oss-120b", &one, NOON), 0);
	ck_assert_int_eq(prices_set(dir, "gpt-oss-120b", NULL, NOON + HOUR), 0);
	ck_assert_int_eq(prices_set(dir, PRICES_OTHERS, &one, NOON), 0);
	ck_assert_int_eq(prices_refresh(p), 0);
	ck_assert_int_eq(prices_each(p, add_row, &l), 0);
	ck_assert_str_eq(l.text,
	    "gpt-oss-120b 5000000000\ngpt-oss-120b set dated 1\n"
	    "gpt-oss-120b dated 5000000000\ngemma-3-27b 5000000000\n"
	    "qwen3-coder-30b-a3b 5000000000\nllama-3.3-70b 5000000000\n"
	    "qwen3-embedding-4b 130000000\nmultilingual-e5 130000000\n"
	    "whisper-large-v3 0\nnew set dated 1\n"
	    "* 5000000000\n* set dated 1\n");
	prices_close(p);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("prices");

	tcase_add_checked_fixture(t, make_dir, remove_dir);
	tcase_add_test(t, known_prices);
	tcase_add_test(t, agrees_with_long_division);
	tcase_add_test(t, every_remainder_is_rounded_half_up);
	tcase_add_test(t, a_change_never_reaches_the_past);
	tcase_add_test(t, others_cost_what_others_cost);
	tcase_add_test(t, what_is_no_price_is_refused);
	tcase_add_test(t, a_damaged_record_prices_nothing);
	tcase_add_test(t, lists_every_model_with_its_history);
	tcase_set_timeout(t, 120);
	return suite_run("prices", t, NULL);
}
