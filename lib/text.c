/* Numbers, money, times and hex, to and from text. */
#include "text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NANO 1000000000

int
text_n_to_i64(const char *s, size_t n, int64_t min, int64_t max, int64_t *out)
{
	int negative = n > 0 && s[0] == '-';
	size_t i = negative ? 1 : 0;
	int64_t value = 0;

	if (i == n)
		return -1;
	/* Counted downwards, because INT64_MIN has no positive twin. */
	for (; i < n; i++) {
		if (s[i] < '0' || s[i] > '9' ||
		    __builtin_mul_overflow(value, 10, &value) ||
		    __builtin_sub_overflow(value, s[i] - '0', &value))
			return -1;
	}
	if (!negative) {
		if (value == INT64_MIN)
			return -1;
		value = -value;
	}
	if (value < min || value > max)
		return -1;
	*out = value;
	return 0;
}

int
text_to_i64(const char *s, int64_t min, int64_t max, int64_t *out)
{
	return text_n_to_i64(s, strlen(s), min, max, out);
}

size_t
text_i64(char dst[TEXT_I64_SIZE], int64_t n)
{
	char backwards[TEXT_I64_SIZE];
	uint64_t left = n < 0 ? -(uint64_t)n : (uint64_t)n;
	size_t digits = 0, len = 0;

	do
		backwards[digits++] = (char)('0' + left % 10);
	while ((left /= 10) != 0);
	if (n < 0)
		dst[len++] = '-';
	while (digits > 0)
		dst[len++] = backwards[--digits];
	dst[len] = '\0';
	return len;
}

int
text_to_span(const char *s, int64_t *seconds)
{
	static const struct {
		char unit;
		int64_t seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 },
		{ 'w', 604800 } };
	size_t n = strlen(s);
	int64_t count, each = 1;

	for (size_t i = 0; n > 0 && i < sizeof(units) / sizeof(units[0]); i++)
		if (s[n - 1] == units[i].unit) {
			each = units[i].seconds;
			n--;
			break;
		}
	/* A thousand years is further than any expiry anybody means. */
	if (text_n_to_i64(s, n, 1, INT64_C(31557600000) / each, &count) == -1)
		return -1;
	*seconds = count * each;
	return 0;
}

char *
text_span(char dst[TEXT_SPAN_SIZE], int64_t seconds)
{
	int days = seconds > 0 && seconds % 86400 == 0;

	(void)snprintf(dst, TEXT_SPAN_SIZE, "%" PRId64 "%s",
	    days ? seconds / 86400 : seconds, days ? "d" : "");
	return dst;
}

/*
 * The calendar is computed here and not by gmtime_r(3) and timegm(3), which
 * read the zone files and take a lock, and whose -1 is a time as well.
 * 146097 days make 400 years, after which the calendar repeats. Years run
 * from March, so that a leap day is the last of its year.
 */
struct calendar {
	int64_t year;
	int month, day, hour, minute, second;
};

#define DAY_S INT64_C(86400)
/* Days from 0000-03-01 to 1970-01-01. */
#define EPOCH_DAYS 719468

static int64_t
days_of(int64_t year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t of_era = y - era * 400;
	/* 153 days are any five months from March on: 31 30 31 30 31. */
	int64_t of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 +
	    of_year - EPOCH_DAYS;
}

static int
month_length(int64_t year, int month)
{
	static const int length[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31,
		30, 31 };
	int leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return length[month - 1] + (month == 2 && leap);
}

/* -1 outside the years 0 to 9999, which is what four digits can say. */
static int
calendar_of(struct calendar *c, int64_t unix_s)
{
	int64_t days, second, of_era, era, left, shifted;

	if (unix_s < days_of(0, 1, 1) * DAY_S ||
	    unix_s >= days_of(10000, 1, 1) * DAY_S)
		return -1;
	second = (unix_s % DAY_S + DAY_S) % DAY_S;
	days = (unix_s - second) / DAY_S + EPOCH_DAYS;
	era = (days >= 0 ? days : days - 146096) / 146097;
	left = days - era * 146097;
	of_era = (left - left / 1460 + left / 36524 - left / 146096) / 365;
	left -= of_era * 365 + of_era / 4 - of_era / 100;
	shifted = (5 * left + 2) / 153;
	c->day = (int)(left - (153 * shifted + 2) / 5) + 1;
	c->month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
	c->year = of_era + era * 400 + (c->month <= 2);
	c->hour = (int)(second / 3600);
	c->minute = (int)(second / 60 % 60);
	c->second = (int)(second % 60);
	return 0;
}

char *
text_utc(char dst[TEXT_UTC_SIZE], int64_t unix_s)
{
	struct calendar c;

	dst[0] = '\0';
	if (calendar_of(&c, unix_s) == 0)
		snprintf(dst, TEXT_UTC_SIZE, "%04d-%02d-%02dT%02d:%02d:%02dZ",
		    (int)c.year, c.month, c.day, c.hour, c.minute, c.second);
	return dst;
}

int64_t
text_month_of(int64_t unix_s)
{
	struct calendar c;

	if (calendar_of(&c, unix_s) == -1)
		return unix_s;
	return days_of(c.year, c.month, 1) * DAY_S;
}

char *
text_hour(char dst[TEXT_HOUR_SIZE], int64_t unix_s)
{
	struct calendar c;

	dst[0] = '\0';
	if (calendar_of(&c, unix_s) == 0)
		snprintf(dst, TEXT_HOUR_SIZE, "%04d%02d%02d%02d", (int)c.year,
		    c.month, c.day, c.hour);
	return dst;
}

/* Turns digits into a time and refuses what no calendar and no clock has. */
static int
from_calendar(const int part[6], int64_t *unix_s)
{
	if (part[1] < 1 || part[1] > 12 || part[2] < 1 ||
	    part[2] > month_length(part[0], part[1]) || part[3] > 23 ||
	    part[4] > 59 || part[5] > 59)
		return -1;
	*unix_s = days_of(part[0], part[1], part[2]) * DAY_S + part[3] * 3600 +
	    part[4] * 60 + part[5];
	return 0;
}

/*
 * Reads 's' against a pattern in which Y, M, D, h, m and s stand for one digit
 * each and anything else for itself.
 */
static int
read_calendar(const char *s, const char *pattern, int64_t *unix_s)
{
	static const char letters[] = "YMDhms";
	int part[6] = { 0, 1, 1, 0, 0, 0 };
	int seen[6] = { 0 };

	for (; *pattern != '\0'; s++, pattern++) {
		const char *at = strchr(letters, *pattern);
		size_t i;

		if (at == NULL) {
			if (*s != *pattern)
				return -1;
			continue;
		}
		if (*s < '0' || *s > '9')
			return -1;
		i = (size_t)(at - letters);
		part[i] = (seen[i] ? part[i] * 10 : 0) + (*s - '0');
		seen[i] = 1;
	}
	return *s == '\0' ? from_calendar(part, unix_s) : -1;
}

int
text_to_hour(const char *s, int64_t *unix_s)
{
	return read_calendar(s, "YYYYMMDDhh", unix_s);
}

int
text_to_day(const char *s, int64_t *unix_s)
{
	return read_calendar(s, "YYYY-MM-DD", unix_s);
}

int
text_to_utc(const char *s, int64_t *unix_s)
{
	return read_calendar(s, "YYYY-MM-DDThh:mm:ssZ", unix_s);
}

char *
text_hex(char *dst, const unsigned char *src, size_t len)
{
	static const char digit[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		dst[2 * i] = digit[src[i] >> 4];
		dst[2 * i + 1] = digit[src[i] & 15];
	}
	dst[2 * len] = '\0';
	return dst;
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int
text_unhex(unsigned char *dst, size_t len, const char *src)
{
	for (size_t i = 0; i < len; i++) {
		int high = hex_value(src[2 * i]);
		int low = high < 0 ? -1 : hex_value(src[2 * i + 1]);

		if (low < 0)
			return -1;
		dst[i] = (unsigned char)(high * 16 + low);
	}
	return src[2 * len] == '\0' ? 0 : -1;
}

char *
text_eur(char dst[TEXT_EUR_SIZE], int64_t nano_eur)
{
	uint64_t n = nano_eur < 0 ? 0 - (uint64_t)nano_eur : (uint64_t)nano_eur;
	int len = snprintf(dst, TEXT_EUR_SIZE, "%s%" PRIu64 ".%09" PRIu64,
	    nano_eur < 0 ? "-" : "", n / NANO, n % NANO);

	while (len > 0 && dst[len - 1] == '0')
		len--;
	if (len > 0 && dst[len - 1] == '.')
		len--;
	dst[len] = '\0';
	return dst;
}

int
text_to_eur(const char *s, int64_t *nano_eur)
{
	const char *point = strchr(s, '.');
	size_t whole_len = point ? (size_t)(point - s) : strlen(s);
	size_t places = point ? strlen(point + 1) : 0;
	int64_t whole, part = 0;

	/* Digits alone: not even "-0" or "1.-0". */
	if (strchr(s, '-') != NULL || places > 9 ||
	    (point != NULL && places == 0) ||
	    text_n_to_i64(s, whole_len, 0, INT64_MAX / NANO, &whole) == -1)
		return -1;
	if (places > 0 &&
	    text_n_to_i64(point + 1, places, 0, NANO - 1, &part) == -1)
		return -1;
	for (; places > 0 && places < 9; places++)
		part *= 10;
	if (part > INT64_MAX - whole * NANO)
		return -1;
	*nano_eur = whole * NANO + part;
	return 0;
}

int
text_percent_decode(char *s, int plus)
{
	char *to = s;

	for (; *s != '\0'; s++, to++) {
		if (*s == '+' && plus) {
			*to = ' ';
		} else if (*s == '%') {
			int high = hex_value(s[1]);
			int low = high < 0 ? -1 : hex_value(s[2]);

			if (low < 0 || high * 16 + low == 0)
				return -1;
			*to = (char)(high * 16 + low);
			s += 2;
		} else {
			*to = *s;
		}
	}
	*to = '\0';
	return 0;
}
