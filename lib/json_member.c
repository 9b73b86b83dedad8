/*
 * Reads the numbers among the wanted values.
 */
#include <string.h>

#include "json.h"
#include "text.h"

int
json_member_i64(
    const struct json_member *m, int64_t min, int64_t max, int64_t *out)
{
	if (m->type != JSON_NUMBER || m->end == 0 || m->text == NULL ||
	    m->truncated)
		return -1;
	return text_to_i64(m->text, min, max, out);
}

/* More than 30 years of audio is no answer to believe. */
#define SECONDS_MAX INT64_C(1000000000)

int
json_member_ms(const struct json_member *m, int64_t *out)
{
	const char *s = m->text;
	size_t whole, digits, i;
	int64_t ms, unit = 100;
	int rest = 0;

	if ((m->type != JSON_NUMBER && m->type != JSON_STRING) || m->end == 0 ||
	    s == NULL || m->truncated)
		return -1;
	whole = strspn(s, "0123456789");
	if (text_n_to_i64(s, whole, 0, SECONDS_MAX, &ms) == -1)
		return -1;
	ms *= 1000;
	if (s[whole] == '.') {
		s += whole + 1;
		digits = strspn(s, "0123456789");
		for (i = 0; i < digits; i++, unit /= 10) {
			ms += unit * (s[i] - '0');
			rest |= unit == 0 && s[i] != '0';
		}
		whole = digits;
		if (digits == 0)
			return -1;
	}
	if (s[whole] != '\0')
		return -1;
	*out = ms + rest;
	return 0;
}
