/* lib/text: times. Every parser at, below and above each of its bounds. */
#include <check.h>
#include <inttypes.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/text.h"
#include "tests/unit/suite.h"

/* Stands in *out before each call: a refusal must leave it alone. */
#define UNTOUCHED INT64_C(-77)
#define NO INT64_C(-78)

enum kind {
	UTC,
	DAY,
	HOUR
};

static const struct {
	enum kind kind;
	const char *s;
	int64_t want;
} times[] = {
	{ UTC, "1970-01-01T00:00:00Z", 0 },
	{ UTC, "1970-01-01T00:00:01Z", 1 },
	{ UTC, "1969-12-31T23:59:59Z", -1 }, /* no error value in here */
	{ UTC, "2026-11-22T18:50:00Z", 1795373400 },
	{ UTC, "2038-01-19T03:14:08Z", INT64_C(2147483648) },
	{ UTC, "2000-02-29T00:00:00Z", 951782400 },
	{ UTC, "2024-02-29T23:59:59Z", 1709251199 },
	{ UTC, "2023-02-29T00:00:00Z", NO },
	{ UTC, "2100-02-29T00:00:00Z", NO },
	{ UTC, "1900-02-29T00:00:00Z", NO },
	{ UTC, "2026-02-30T00:00:00Z", NO },
	{ UTC, "2026-04-31T00:00:00Z", NO },
	{ UTC, "2026-00-10T00:00:00Z", NO },
	{ UTC, "2026-13-10T00:00:00Z", NO },
	{ UTC, "2026-01-00T00:00:00Z", NO },
	{ UTC, "2026-01-32T00:00:00Z", NO },
	{ UTC, "2026-01-01T24:00:00Z", NO },
	{ UTC, "2026-01-01T00:60:00Z", NO },
	{ UTC, "2016-12-31T23:59:60Z", NO }, /* Unix time has none */
	{ UTC, "9999-12-31T23:59:59Z", INT64_C(253402300799) },
	{ UTC, "0000-01-01T00:00:00Z", INT64_C(-62167219200) },
	{ UTC, "2026-11-22T18:50:00", NO },
	{ UTC, "2026-11-22T18:50:00z", NO },
	{ UTC, "2026-11-22 18:50:00Z", NO },
	{ UTC, "2026-11-22T18:50:00+00:00", NO },
	{ UTC, "2026-11-22T18:50:00.5Z", NO },
	{ UTC, "2026-11-22T18:50:00Z ", NO },
	{ UTC, "2026-11-22T18:50", NO },
	{ UTC, "2026-1-22T18:50:00Z", NO },
	{ UTC, "+026-11-22T18:50:00Z", NO },
	{ UTC, "", NO },
	{ DAY, "2026-11-22", 1795305600 },
	{ DAY, "1970-01-01", 0 },
	{ DAY, "2026-11-31", NO },
	{ DAY, "2026-11", NO },
	{ DAY, "2026-11-2", NO },
	{ DAY, "2026-11-22T", NO },
	{ DAY, "20261122", NO },
	{ DAY, "YYYY-MM-DD", NO },
	{ HOUR, "2026112218", 1795370400 },
	{ HOUR, "1970010100", 0 },
	{ HOUR, "2026112224", NO },
	{ HOUR, "2026113118", NO },
	{ HOUR, "202611221", NO },
	{ HOUR, "20261122180", NO },
	{ HOUR, "2026112218.tmp", NO },
	{ HOUR, "", NO },
};

START_TEST(times_that_no_calendar_has_are_refused)
{
	static int (*const read[])(const char *, int64_t *) = { text_to_utc,
		text_to_day, text_to_hour };
	int64_t out = UNTOUCHED;
	int result = read[times[_i].kind](times[_i].s, &out);

	if (times[_i].want == NO) {
		ck_assert_msg(result == -1, "'%s' was taken", times[_i].s);
		ck_assert_int_eq(out, UNTOUCHED);
		return;
	}
	ck_assert_msg(result == 0, "'%s' was refused", times[_i].s);
	ck_assert_int_eq(out, times[_i].want);
}
END_TEST

/* Beside the C library's calendar, over all years that four digits say. */
START_TEST(times_agree_with_the_c_library)
{
	char ours[TEXT_UTC_SIZE], theirs[96], hour[TEXT_HOUR_SIZE];
	int64_t back;

	/* 8640000 - 4999 wanders through days, hours and seconds. */
	for (int64_t t = INT64_C(-62167219200); t < INT64_C(253402300800);
	     t += 8635001) {
		time_t unix_s = (time_t)t;
		struct tm tm;

		ck_assert_ptr_nonnull(gmtime_r(&unix_s, &tm));
		/* strftime(3) does not fill the year up to four digits. */
		snprintf(theirs, sizeof(theirs),
		    "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900,
		    tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
		    tm.tm_sec);
		ck_assert_str_eq(text_utc(ours, t), theirs);
		ck_assert_int_eq(text_to_utc(ours, &back), 0);
		ck_assert_int_eq(back, t);
		text_hour(hour, t);
		ck_assert_int_eq(text_to_hour(hour, &back), 0);
		ck_assert(back <= t && t - back < 3600);
		ours[10] = '\0';
		ck_assert_int_eq(text_to_day(ours, &back), 0);
		ck_assert(back <= t && t - back < 86400);
	}
}
END_TEST

START_TEST(every_day_of_four_centuries_follows_the_one_before)
{
	char day[TEXT_UTC_SIZE], before[TEXT_UTC_SIZE] = "";
	int64_t back;

	for (int64_t n = -146097 / 2; n < 146097 / 2; n++) {
		text_utc(day, n * 86400);
		ck_assert_msg(strcmp(before, day) < 0, "%s, %s", before, day);
		memcpy(before, day, sizeof(day));
		day[10] = '\0';
		ck_assert_int_eq(text_to_day(day, &back), 0);
		ck_assert_int_eq(back, n * 86400);
		memcpy(day + 8, "01", 2);
		ck_assert_int_eq(text_to_day(day, &back), 0);
		ck_assert_int_eq(text_month_of(n * 86400), back);
		ck_assert_int_eq(text_month_of(n * 86400 + 86399), back);
	}
}
END_TEST

START_TEST(times_out_of_range_are_empty)
{
	static const int64_t out[] = { INT64_MIN, INT64_C(-62167219201),
		INT64_C(253402300800), INT64_MAX };
	char utc[TEXT_UTC_SIZE], hour[TEXT_HOUR_SIZE];

	for (int i = 0; i < COUNT(out); i++) {
		ck_assert_str_eq(text_utc(utc, out[i]), "");
		ck_assert_str_eq(text_hour(hour, out[i]), "");
		ck_assert_int_eq(text_month_of(out[i]), out[i]);
	}
	ck_assert_str_eq(text_hour(hour, 1795373400), "2026112218");
	ck_assert_str_eq(text_hour(hour, -1), "1969123123");
}
END_TEST

START_TEST(no_locale_and_no_time_zone_changes_anything)
{
	char s[TEXT_UTC_SIZE], eur[TEXT_EUR_SIZE];

	/* Where the locale is not installed, the zone alone is tried. */
	(void)setlocale(LC_ALL, "de_DE.UTF-8");
	ck_assert_int_eq(setenv("TZ", "Pacific/Kiritimati", 1), 0);
	tzset();
	ck_assert_str_eq(text_utc(s, 0), "1970-01-01T00:00:00Z");
	ck_assert_str_eq(text_eur(eur, 1500000000), "1.5");
}
END_TEST

static TCase *
cases(void)
{
	TCase *t = tcase_create("times");

	ADD_ROWS(t, times_that_no_calendar_has_are_refused, times);
	tcase_add_test(t, times_agree_with_the_c_library);
	tcase_add_test(t, every_day_of_four_centuries_follows_the_one_before);
	tcase_add_test(t, times_out_of_range_are_empty);
	tcase_add_test(t, no_locale_and_no_time_zone_changes_anything);
	/* Room for valgrind on a busy machine. */
	tcase_set_timeout(t, 120);
	return t;
}

int
main(void)
{
	return suite_run("text times", cases(), NULL);
}
