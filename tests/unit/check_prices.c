/*
 * Money, against a calculation that shares nothing with the code: decimal
 * digits, multiplied and divided by hand as on paper.
 */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/prices.h"

#define DIGITS 60

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

/* Times a small number. */
static struct number
times(struct number n, int by)
{
	for (int i = 0; i < DIGITS; i++)
		n.digit[i] *= by;
	carry(&n);
	return n;
}

/* Long division by a small number, rounded half up. */
static struct number
divided(struct number n, int by)
{
	int rest = 0;

	for (int i = DIGITS - 1; i >= 0; i--) {
		int at = rest * 10 + n.digit[i];

		n.digit[i] = at / by;
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

/* 5 EUR a million tokens are 5000 nano-EUR each, 0.13 EUR are 130. */
static int64_t
expect_tokens(int64_t tokens, int nano_each)
{
	return to_i64(times(from_i64(tokens), nano_each));
}

/* 0.096 EUR a MiB: bytes * 96000000 / 1048576 = bytes * 46875 / 512. */
static int64_t
expect_audio(int64_t bytes)
{
	return to_i64(divided(times(from_i64(bytes), 46875), 512));
}

START_TEST(known_prices)
{
	static const struct {
		const char *model;
		int64_t tokens, bytes, nano;
	} row[] = {
		{ "gpt-oss-120b", 1000000, 0, 5000000000 },
		{ "gemma-3-27b", 1, 0, 5000 },
		{ "other", 1000000, 0, 5000000000 },
		{ "", 1000000, 0, 5000000000 },
		{ "qwen3-embedding-4b", 1000000, 0, 130000000 },
		{ "multilingual-e5", 1000000, 0, 130000000 },
		{ "whisper-large-v3", 0, 1048576, 96000000 },
		/* each model is charged for what it is priced by */
		{ "whisper-large-v3", 1000000, 0, 0 },
		{ "gpt-oss-120b", 0, 1048576, 0 },
		/* a name is the whole name */
		{ "whisper-large-v3x", 1, 1, 5000 },
		{ "Whisper-large-v3", 1, 1, 5000 },
		/* 91.55... nano-EUR a byte; half of one byte's 512th up */
		{ "whisper-large-v3", 0, 1, 92 },
		{ "whisper-large-v3", 0, 256, 23438 }, /* 23437.5 */
		{ "whisper-large-v3", 0, 255, 23346 }, /* 23345.9... */
		{ "whisper-large-v3", 0, 768, 70313 }, /* 70312.5 */
		{ "whisper-large-v3", 0, 0, 0 },
		{ "gpt-oss-120b", 0, 0, 0 },
		{ "gpt-oss-120b", -1, -1, 0 },
		{ "whisper-large-v3", INT64_MIN, INT64_MIN, 0 },
		{ "gpt-oss-120b", INT64_MAX, INT64_MAX, INT64_MAX },
		{ "whisper-large-v3", INT64_MAX, INT64_MAX, INT64_MAX },
		/* the last that fits, and the first that does not */
		{ "gpt-oss-120b", INT64_MAX / 5000, 0,
		    INT64_MAX / 5000 * 5000 },
		{ "gpt-oss-120b", INT64_MAX / 5000 + 1, 0, INT64_MAX },
	};

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++)
		ck_assert_msg(prices_cost(row[i].model, row[i].tokens,
				  row[i].bytes) == row[i].nano,
		    "row %zu costs %" PRId64, i,
		    prices_cost(row[i].model, row[i].tokens, row[i].bytes));
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

START_TEST(agrees_with_long_division)
{
	uint64_t state = 20261122;

	for (int i = 0; i < 20000; i++) {
		int64_t tokens = next(&state), bytes = next(&state);

		ck_assert_int_ge(tokens, 0);
		ck_assert_int_eq(prices_cost("gpt-oss-120b", tokens, bytes),
		    expect_tokens(tokens, 5000));
		ck_assert_int_eq(
		    prices_cost("qwen3-embedding-4b", tokens, bytes),
		    expect_tokens(tokens, 130));
		ck_assert_int_eq(prices_cost("whisper-large-v3", tokens, bytes),
		    expect_audio(bytes));
	}
	/* Every remainder of the division once. */
	for (int64_t bytes = 0; bytes < 1024; bytes++)
		ck_assert_int_eq(prices_cost("whisper-large-v3", 0, bytes),
		    expect_audio(bytes));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("prices");
	TCase *t = tcase_create("prices");
	SRunner *sr;
	int failed;

	tcase_add_test(t, known_prices);
	tcase_add_test(t, agrees_with_long_division);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
