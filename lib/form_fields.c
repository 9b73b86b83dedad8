/* Fields of urlencoded forms, query strings and cookies, in place. */
#include "form.h"

#include <string.h>

#include "text.h"

const char *
form_get(const struct form *f, const char *name)
{
	for (size_t i = 0; i < f->n; i++)
		if (strcmp(f->fields[i].name, name) == 0)
			return f->fields[i].value;
	return NULL;
}

/* Cuts the text at the next separator; NULL at its end. */
static char *
next_piece(char **text, char separator)
{
	char *piece = *text, *end;

	if (piece == NULL)
		return NULL;
	end = strchr(piece, separator);
	if (end != NULL)
		*end++ = '\0';
	*text = end;
	return piece;
}

static int
add(struct form *f, const char *name, const char *value)
{
	if (f->n == FORM_FIELDS_MAX)
		return -1;
	f->fields[f->n].name = name;
	f->fields[f->n++].value = value;
	return 0;
}

static int
add_encoded(struct form *f, char *piece)
{
	char *value = strchr(piece, '=');

	if (value == NULL)
		value = piece + strlen(piece);
	else
		*value++ = '\0';
	if (text_percent_decode(piece, 1) == -1 ||
	    text_percent_decode(value, 1) == -1 || form_get(f, piece) != NULL)
		return -1;
	return add(f, piece, value);
}

int
form_parse(struct form *f, char *text)
{
	char *piece;

	f->n = 0;
	while ((piece = next_piece(&text, '&')) != NULL) {
		if (*piece == '\0' || add_encoded(f, piece) == 0)
			continue;
		f->n = 0;
		return -1;
	}
	return 0;
}

/* Without the blanks around it. */
static char *
trimmed(char *s)
{
	size_t n;

	s += strspn(s, " \t");
	for (n = strlen(s); n > 0 && (s[n - 1] == ' ' || s[n - 1] == '\t'); n--)
		continue;
	s[n] = '\0';
	return s;
}

void
form_parse_cookies(struct form *f, char *text)
{
	char *piece, *value;

	f->n = 0;
	while ((piece = next_piece(&text, ';')) != NULL) {
		piece = trimmed(piece);
		value = strchr(piece, '=');
		if (value == NULL || value == piece)
			continue;
		*value++ = '\0';
		if (form_get(f, piece) == NULL && add(f, piece, value) == -1)
			return; /* a hostile header; ours came first or not */
	}
}
