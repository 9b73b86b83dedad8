/* Values as people read them, the same in every language. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "admin.h"
#include "lib/text.h"

#define NO_BREAK "\xc2\xa0"
#define DAY INT64_C(86400)
#define NANO INT64_C(1000000000)

char *
admin_number(char dst[ADMIN_VALUE_SIZE], int64_t n)
{
	char digits[24], *to = dst;
	size_t len;

	(void)snprintf(digits, sizeof(digits), "%" PRId64, n);
	len = strlen(digits);
	for (size_t i = 0; i < len; i++) {
		/* Four digits stay together. */
		if (i > 0 && digits[i - 1] != '-' && (len - i) % 3 == 0 &&
		    len > 4) {
			memcpy(to, NO_BREAK, 2);
			to += 2;
		}
		*to++ = digits[i];
	}
	*to = '\0';
	return dst;
}

char *
admin_eur(char dst[ADMIN_VALUE_SIZE], int64_t nano)
{
	/* To the hundredth, or the ten-thousandth below one; half up. */
	int64_t part = nano < NANO ? NANO / 10000 : NANO / 100;
	int64_t rounded = nano > INT64_MAX - part ? nano : nano + part / 2;
	char whole[ADMIN_VALUE_SIZE];

	if (nano <= 0)
		memcpy(dst, "0", 2);
	else if (nano >= NANO || rounded >= NANO)
		(void)snprintf(dst, ADMIN_VALUE_SIZE, "%.30s.%02d",
		    admin_number(whole, rounded / NANO),
		    (int)(rounded % NANO / (NANO / 100)));
	else if (rounded < part)
		(void)snprintf(dst, ADMIN_VALUE_SIZE, "<" NO_BREAK "0.0001");
	else
		(void)snprintf(
		    dst, ADMIN_VALUE_SIZE, "0.%04d", (int)(rounded / part));
	return dst;
}

char *
admin_day(char dst[ADMIN_VALUE_SIZE], int64_t unix_s)
{
	char utc[TEXT_UTC_SIZE];

	(void)snprintf(dst, ADMIN_VALUE_SIZE, "%.10s", text_utc(utc, unix_s));
	return dst;
}

char *
admin_time(char dst[ADMIN_VALUE_SIZE], int64_t unix_s)
{
	char utc[TEXT_UTC_SIZE];

	text_utc(utc, unix_s);
	(void)snprintf(dst, ADMIN_VALUE_SIZE, "%.10s %.5s UTC", utc,
	    utc[0] != '\0' ? utc + 11 : "");
	return dst;
}

int64_t
admin_day_start(int64_t unix_s)
{
	return unix_s - (unix_s % DAY + DAY) % DAY;
}

int64_t
admin_month_start(int64_t unix_s)
{
	char utc[TEXT_UTC_SIZE];
	int64_t start;

	text_utc(utc, unix_s);
	memcpy(utc + 8, "01", 3);
	return text_to_day(utc, &start) == 0 ? start : admin_day_start(unix_s);
}
