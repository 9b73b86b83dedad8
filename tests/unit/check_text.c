/* lib/text, all but times: every parser at, below and above each of its bounds. */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/text.h"
#include "tests/unit/suite.h"

/* Stands in *out before each call: a refusal must leave it alone. */
#define UNTOUCHED INT64_C(-77)
#define NO INT64_C(-78)

static void
ck_number(const char *s, int result, int64_t out, int64_t want)
{
	if (want == NO) {
		ck_assert_msg(result == -1, "'%s' was taken", s);
		ck_assert_msg(out == UNTOUCHED, "'%s' changed the result", s);
		return;
	}
	ck_assert_msg(result == 0, "'%s' was refused", s);
	ck_assert_msg(out == want, "'%s' gave %" PRId64, s, out);
}

static const struct {
	const char *s;
	int64_t min, max, want;
} integers[] = {
	{ "0", 0, 0, 0 },
	{ "7", 7, 7, 7 },
	{ "6", 7, 9, NO },
	{ "10", 7, 9, NO },
	{ "9", 7, 9, 9 },
	{ "-5", -5, 5, -5 },
	{ "-6", -5, 5, NO },
	{ "007", 0, 9, 7 },
	{ "9223372036854775807", INT64_MIN, INT64_MAX, INT64_MAX },
	{ "9223372036854775808", INT64_MIN, INT64_MAX, NO },
	{ "-9223372036854775808", INT64_MIN, INT64_MAX, INT64_MIN },
	{ "-9223372036854775809", INT64_MIN, INT64_MAX, NO },
	{ "92233720368547758070", INT64_MIN, INT64_MAX, NO },
	{ "18446744073709551617", INT64_MIN, INT64_MAX, NO },
	{ "99999999999999999999999999999999", INT64_MIN, INT64_MAX, NO },
	{ "", INT64_MIN, INT64_MAX, NO },
	{ "-", INT64_MIN, INT64_MAX, NO },
	{ "--1", INT64_MIN, INT64_MAX, NO },
	{ "-0", INT64_MIN, INT64_MAX, 0 },
	{ "+1", INT64_MIN, INT64_MAX, NO },
	{ " 1", INT64_MIN, INT64_MAX, NO },
	{ "1 ", INT64_MIN, INT64_MAX, NO },
	{ "1\n", INT64_MIN, INT64_MAX, NO },
	{ "1.0", INT64_MIN, INT64_MAX, NO },
	{ "1e3", INT64_MIN, INT64_MAX, NO },
	{ "0x10", INT64_MIN, INT64_MAX, NO },
	{ "1,000", INT64_MIN, INT64_MAX, NO },
	{ "\xd9\xa1", INT64_MIN, INT64_MAX, NO },
	{ "1/", INT64_MIN, INT64_MAX, NO },
	{ "1:", INT64_MIN, INT64_MAX, NO },
};

START_TEST(integers_are_taken_whole_or_refused)
{
	const char *s = integers[_i].s;
	int64_t out = UNTOUCHED;
	int result = text_to_i64(s, integers[_i].min, integers[_i].max, &out);

	ck_number(s, result, out, integers[_i].want);
}
END_TEST

static const int64_t numbers[] = { 0, 1, -1, 9, 10, -10, 99, 100,
	INT64_C(1000000000000000000), INT64_MAX, INT64_MIN, INT64_MIN + 1 };

START_TEST(integers_come_back_as_they_went)
{
	char text[TEXT_I64_SIZE], expected[32];
	int64_t back = UNTOUCHED;

	snprintf(expected, sizeof(expected), "%" PRId64, numbers[_i]);
	ck_assert_uint_eq(text_i64(text, numbers[_i]), strlen(expected));
	ck_assert_str_eq(text, expected);
	ck_assert_int_eq(text_to_i64(text, INT64_MIN, INT64_MAX, &back), 0);
	ck_assert_int_eq(back, numbers[_i]);
}
END_TEST

START_TEST(a_length_ends_the_number_where_no_nul_does)
{
	/* Just the bytes, so that a sanitizer sees a read too far. */
	static const char digits[] = { '1', '2', '3', 'x' };
	static const char hidden[] = { '1', '\0', '2' };
	int64_t out = UNTOUCHED;

	ck_assert_int_eq(text_n_to_i64(digits, 3, 0, 999, &out), 0);
	ck_assert_int_eq(out, 123);
	ck_assert_int_eq(text_n_to_i64(digits, 2, 0, 999, &out), 0);
	ck_assert_int_eq(out, 12);
	ck_assert_int_eq(text_n_to_i64(digits, 4, 0, 999, &out), -1);
	ck_assert_int_eq(text_n_to_i64(hidden, 3, 0, 999, &out), -1);
	ck_assert_int_eq(text_n_to_i64(digits, 0, 0, 999, &out), -1);
	ck_assert_int_eq(text_n_to_i64("-", 1, -9, 9, &out), -1);
	ck_assert_int_eq(out, 12);
}
END_TEST

static const struct {
	const char *s;
	int64_t want;
} spans[] = {
	{ "1", 1 },
	{ "1s", 1 },
	{ "45m", 45 * 60 },
	{ "24h", 86400 },
	{ "90d", 90 * 86400 },
	{ "2w", 14 * 86400 },
	{ "31557600000", INT64_C(31557600000) },
	{ "31557600001", NO },
	{ "365250d", INT64_C(31557600000) },
	{ "365251d", NO },
	{ "52178w", INT64_C(52178) * 604800 },
	{ "52179w", NO },
	{ "9223372036854775807w", NO },
	{ "0", NO },
	{ "0d", NO },
	{ "-1d", NO },
	{ "", NO },
	{ "d", NO },
	{ "1.5d", NO },
	{ "1 d", NO },
	{ "1D", NO },
	{ "1dd", NO },
	{ "1d1h", NO },
	{ "1y", NO },
};

START_TEST(spans_have_one_unit_and_an_end)
{
	int64_t out = UNTOUCHED;
	int result = text_to_span(spans[_i].s, &out);

	ck_number(spans[_i].s, result, out, spans[_i].want);
}
END_TEST

START_TEST(hex_goes_there_and_back)
{
	unsigned char all[256], back[256];
	char hex[2 * 256 + 1];

	for (int i = 0; i < 256; i++)
		all[i] = (unsigned char)i;
	ck_assert_ptr_eq(text_hex(hex, all, 256), hex);
	ck_assert_uint_eq(strlen(hex), 512);
	ck_assert_int_eq(strncmp(hex, "000102", 6), 0);
	ck_assert_str_eq(hex + 506, "fdfeff");
	ck_assert_int_eq(text_unhex(back, 256, hex), 0);
	ck_assert_mem_eq(all, back, 256);
	ck_assert_str_eq(text_hex(hex, all, 0), "");
}
END_TEST

static const struct {
	const char *s;
	int result;
} hexes[] = {
	{ "00fF", 0 },
	{ "00f", -1 },
	{ "00ff0", -1 },
	{ "00ff00", -1 },
	{ "", -1 },
	{ "0", -1 },
	{ "00fg", -1 },
	{ "00g0", -1 },
	{ "0x00", -1 },
	{ " 0ff", -1 },
	{ "00:f", -1 },
	{ "00/f", -1 },
	{ "00@f", -1 },
	{ "00`f", -1 },
};

START_TEST(hex_has_exactly_the_length_asked_for)
{
	/* On the heap, so that a sanitizer sees a read behind the end. */
	char *s = strdup(hexes[_i].s);
	unsigned char out[2];

	ck_assert_ptr_nonnull(s);
	ck_assert_msg(text_unhex(out, 2, s) == hexes[_i].result, "%s", s);
	free(s);
}
END_TEST

#define EUR INT64_C(1000000000)

static const struct {
	const char *s;
	int64_t want;
	const char *back; /* NULL when the same */
} sums[] = {
	{ "0", 0, NULL },
	{ "1", EUR, NULL },
	{ "10", 10 * EUR, NULL },
	{ "100.5", 100 * EUR + EUR / 2, NULL },
	{ "0.000000001", 1, NULL },
	{ "0.1", EUR / 10, NULL },
	{ "1.500", EUR + EUR / 2, "1.5" },
	{ "00.10", EUR / 10, "0.1" },
	{ "9223372036.854775807", INT64_MAX, NULL },
	{ "9223372036.854775808", NO, NULL },
	{ "9223372036.9", NO, NULL },
	{ "9223372037", NO, NULL },
	{ "9223372035.999999999", INT64_MAX - 854775808, NULL },
	{ "0.0000000001", NO, NULL },
	{ "1.", NO, NULL },
	{ ".5", NO, NULL },
	{ ".", NO, NULL },
	{ "", NO, NULL },
	{ "-1", NO, NULL },
	{ "-0", NO, NULL },
	{ "1.-5", NO, NULL },
	{ "1.-0", NO, NULL },
	{ "+1", NO, NULL },
	{ "1.+5", NO, NULL },
	{ "1,5", NO, NULL },
	{ "1.5.5", NO, NULL },
	{ "1e3", NO, NULL },
	{ "1.5 ", NO, NULL },
	{ " 1.5", NO, NULL },
	{ "nan", NO, NULL },
};

START_TEST(money_is_exact)
{
	const char *s = sums[_i].s;
	char back[TEXT_EUR_SIZE];
	int64_t out = UNTOUCHED;
	int result = text_to_eur(s, &out);

	ck_number(s, result, out, sums[_i].want);
	if (sums[_i].want != NO)
		ck_assert_str_eq(
		    text_eur(back, out), sums[_i].back ? sums[_i].back : s);
}
END_TEST

START_TEST(money_comes_back_as_it_went)
{
	uint64_t x = 88172645463325252U; /* xorshift64 */
	char s[TEXT_EUR_SIZE];
	int64_t back;

	for (int i = 0; i < 200000; i++) {
		int64_t sum;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		sum = (int64_t)(x >> 1 >> (i % 63));
		text_eur(s, sum);
		ck_assert_msg(text_to_eur(s, &back) == 0 && back == sum,
		    "%" PRId64 " as %s", sum, s);
		ck_assert_ptr_null(
		    strchr(s, '.') ? strchr("0.", s[strlen(s) - 1]) : NULL);
	}
}
END_TEST

START_TEST(debts_are_shown_with_a_sign)
{
	char s[TEXT_EUR_SIZE];

	ck_assert_str_eq(text_eur(s, -1), "-0.000000001");
	ck_assert_str_eq(text_eur(s, -EUR), "-1");
	ck_assert_str_eq(text_eur(s, INT64_MIN), "-9223372036.854775808");
}
END_TEST

static const struct {
	const char *s;
	int plus;
	const char *want; /* NULL: refused */
} escapes[] = {
	{ "", 0, "" },
	{ "plain", 0, "plain" },
	{ "%41", 0, "A" },
	{ "a%2fb%2Fc", 0, "a/b/c" },
	{ "%25%32%35", 0, "%25" }, /* decoded once */
	{ "%ff%C3%A9", 0, "\xff\xc3\xa9" },
	{ "a+b", 1, "a b" },
	{ "a+b", 0, "a+b" },
	{ "a%2Bb", 1, "a+b" },
	{ "%00", 0, NULL },
	{ "a%00b", 1, NULL },
	{ "%", 0, NULL },
	{ "%4", 0, NULL },
	{ "abc%4", 0, NULL },
	{ "%g1", 0, NULL },
	{ "%1g", 0, NULL },
	{ "%%41", 0, NULL },
	{ "%-1", 0, NULL },
	{ "%+1", 1, NULL },
	{ "% 1", 0, NULL },
	{ "%u0041", 0, NULL },
};

START_TEST(percent_escapes_are_whole_or_refused)
{
	char *s = strdup(escapes[_i].s);
	int result;

	ck_assert_ptr_nonnull(s);
	result = text_percent_decode(s, escapes[_i].plus);
	ck_assert_msg(
	    result == (escapes[_i].want ? 0 : -1), "%s", escapes[_i].s);
	if (escapes[_i].want != NULL)
		ck_assert_str_eq(s, escapes[_i].want);
	free(s);
}
END_TEST

static TCase *
cases(void)
{
	TCase *t = tcase_create("text");

	ADD_ROWS(t, integers_are_taken_whole_or_refused, integers);
	ADD_ROWS(t, integers_come_back_as_they_went, numbers);
	tcase_add_test(t, a_length_ends_the_number_where_no_nul_does);
	ADD_ROWS(t, spans_have_one_unit_and_an_end, spans);
	tcase_add_test(t, hex_goes_there_and_back);
	ADD_ROWS(t, hex_has_exactly_the_length_asked_for, hexes);
	ADD_ROWS(t, money_is_exact, sums);
	tcase_add_test(t, money_comes_back_as_it_went);
	tcase_add_test(t, debts_are_shown_with_a_sign);
	ADD_ROWS(t, percent_escapes_are_whole_or_refused, escapes);
	/* Room for valgrind on a busy machine. */
	tcase_set_timeout(t, 120);
	return t;
}

int
main(void)
{
	return suite_run("text", cases(), NULL);
}
