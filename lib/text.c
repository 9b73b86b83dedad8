/* Numbers, money, times and hex, to and from text. */
#include "text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

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
text_utc(char dst[TEXT_UTC_SIZE], int64_t unix_s)
{
	time_t t = (time_t)unix_s;
	struct tm tm;

	dst[0] = '\0';
	if (gmtime_r(&t, &tm) != NULL)
		(void)strftime(dst, TEXT_UTC_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return dst;
}

char *
text_hour(char dst[TEXT_HOUR_SIZE], int64_t unix_s)
{
	time_t t = (time_t)unix_s;
	struct tm tm;

	dst[0] = '\0';
	if (gmtime_r(&t, &tm) != NULL)
		(void)strftime(dst, TEXT_HOUR_SIZE, "%Y%m%d%H", &tm);
	return dst;
}

/* Turns broken-down digits into a time and refuses what no calendar has. */
static int
from_calendar(const int64_t part[6], int64_t *unix_s)
{
	struct tm tm = { .tm_year = (int)part[0] - 1900,
		.tm_mon = (int)part[1] - 1,
		.tm_mday = (int)part[2],
		.tm_hour = (int)part[3],
		.tm_min = (int)part[4],
		.tm_sec = (int)part[5] };
	time_t t = timegm(&tm);

	if (t == (time_t)-1 || tm.tm_mon != part[1] - 1 ||
	    tm.tm_mday != part[2] || tm.tm_hour != part[3] ||
	    tm.tm_min != part[4] || tm.tm_sec != part[5])
		return -1;
	*unix_s = t;
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
	int64_t part[6] = { 0, 1, 1, 0, 0, 0 };
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

	if (places > 9 || (point != NULL && places == 0) ||
	    text_n_to_i64(s, whole_len, 0, INT64_MAX / NANO - 1, &whole) ==
		-1 ||
	    s[0] == '-')
		return -1;
	if (places > 0 &&
	    (point[1] == '-' ||
		text_n_to_i64(point + 1, places, 0, NANO - 1, &part) == -1))
		return -1;
	for (; places > 0 && places < 9; places++)
		part *= 10;
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
