/* Which paths mean the same to every reader. */
#include <string.h>

#include "http_internal.h"

static int
hex_digit(char c)
{
	const char *digits = "0123456789abcdef", *at;

	if (c >= 'A' && c <= 'F')
		c = (char)(c - 'A' + 'a');
	at = c != '\0' ? strchr(digits, c) : NULL;
	return at != NULL ? (int)(at - digits) : -1;
}

/* The byte at p[*i], unescaped, and *i moved behind it; -1 if malformed. */
static int
path_byte(const char *p, size_t n, size_t *i)
{
	int high, low;

	if (p[*i] != '%')
		return (unsigned char)p[(*i)++];
	if (n - *i < 3 || (high = hex_digit(p[*i + 1])) == -1 ||
	    (low = hex_digit(p[*i + 2])) == -1)
		return -1;
	*i += 3;
	return high << 4 | low;
}

int
http_is_plain_path(const char *p, size_t n)
{
	int before = 0;

	if (n == 0 || p[0] != '/')
		return 0;
	for (size_t i = 0; i < n;) {
		int escaped = p[i] == '%';
		int c = path_byte(p, n, &i);

		if (c < 0x20 || c == 0x7f || c == '\\')
			return 0;
		if (escaped ? c == '.' || c == '%' : c == ' ' || c > 0x7f)
			return 0;
		if (before == '/' && (c == '/' || c == '.'))
			return 0;
		before = c;
	}
	return 1;
}
