/*
 * text.h - numbers, money, times and hex, to and from text. No I/O, no
 * allocation, no locale. A parser takes the whole string or refuses it.
 */
#ifndef PMPROXY_TEXT_H
#define PMPROXY_TEXT_H

#include <stddef.h>
#include <stdint.h>

/*
 * Decimal integer within [min, max]: digits, and perhaps a minus sign
 * before them ("-0" is 0, as in JSON). 0, or -1 and *out unchanged.
 */
int text_to_i64(const char *s, int64_t min, int64_t max, int64_t *out);

/* The same over 'n' bytes that need no NUL behind them. */
int
text_n_to_i64(const char *s, size_t n, int64_t min, int64_t max, int64_t *out);

/* The other way; returns how long it is without its NUL. */
#define TEXT_I64_SIZE 21
size_t text_i64(char dst[TEXT_I64_SIZE], int64_t n);

/*
 * A span of time as a person writes it: a whole number and one of s, m, h, d
 * or w ("90d"); a bare number is seconds. *seconds is at least 1. 0 or -1.
 */
int text_to_span(const char *s, int64_t *seconds);
/* The same as text: "400d" for whole days, else seconds. Returns dst. */
#define TEXT_SPAN_SIZE 24
char *text_span(char dst[TEXT_SPAN_SIZE], int64_t seconds);

/*
 * "2026-11-22T18:50:00Z" (RFC 3339, UTC); "" outside the years 0 to 9999.
 * Returns dst.
 */
#define TEXT_UTC_SIZE 32
char *text_utc(char dst[TEXT_UTC_SIZE], int64_t unix_s);

/* "2026112218": the UTC hour, as journal files are named. "" as above. */
#define TEXT_HOUR_SIZE 16
char *text_hour(char dst[TEXT_HOUR_SIZE], int64_t unix_s);

/* Unix seconds of the start of an hour "2026112218"; 0 or -1. */
int text_to_hour(const char *s, int64_t *unix_s);

/* Unix seconds of the start of a UTC day "2026-11-22"; 0 or -1. */
int text_to_day(const char *s, int64_t *unix_s);

/*
 * Unix seconds of the start of that month (UTC); 'unix_s' itself outside the
 * years 0 to 9999.
 */
int64_t text_month_of(int64_t unix_s);

/* Unix seconds of a whole RFC 3339 time in UTC ("...Z"); 0 or -1. */
int text_to_utc(const char *s, int64_t *unix_s);

/* Lower-case hex; dst holds 2 * len + 1 bytes. Returns dst. */
char *text_hex(char *dst, const unsigned char *src, size_t len);

/* Exactly 2 * len hex digits, either case, and no more; 0 or -1. */
int text_unhex(unsigned char *dst, size_t len, const char *src);

/*
 * Nano-EUR as a decimal number of EUR without trailing zeros ("1.5", "0",
 * "-0.000000001"). Returns dst.
 */
#define TEXT_EUR_SIZE 32
char *text_eur(char dst[TEXT_EUR_SIZE], int64_t nano_eur);

/* Decimal EUR with at most nine places to nano-EUR, not negative; 0 or -1. */
int text_to_eur(const char *s, int64_t *nano_eur);

/*
 * Percent-decoding in place (RFC 3986, 2.1), 'plus' turning "+" to a space as
 * in forms. -1 on a broken escape or an escaped NUL; the text is then
 * undefined.
 */
int text_percent_decode(char *s, int plus);

#endif
