/*
 * Parts of a multipart body. Whatever two readers could understand in two
 * ways is refused: we decide by what we read here, and the upstream reads the
 * same bytes with another parser.
 */
#include "form.h"

#include <string.h>
#include <strings.h>

#define BOUNDARY_MAX 70 /* RFC 2046, 5.1.1 */
#define HEADERS_MAX 8192 /* of one part; file names can be long */
#define MALFORMED_AT ((size_t)-1) /* form_multipart.at, once malformed */

static struct form_view
view(const char *p, size_t len)
{
	struct form_view v = { p, len };

	return v;
}

int
form_view_is(struct form_view v, const char *text)
{
	return v.len == strlen(text) && memcmp(v.p, text, v.len) == 0;
}

static int
is_any_case(struct form_view v, const char *text)
{
	return v.len == strlen(text) && strncasecmp(v.p, text, v.len) == 0;
}

static int
starts_with(struct form_view v, const char *p, size_t len)
{
	return v.len >= len && memcmp(v.p, p, len) == 0;
}

static void
skip(struct form_view *v, size_t n)
{
	v->p += n;
	v->len -= n;
}

static void
skip_blanks(struct form_view *v)
{
	while (v->len > 0 && (*v->p == ' ' || *v->p == '\t'))
		skip(v, 1);
}

static int
skip_char(struct form_view *v, char c)
{
	if (v->len == 0 || *v->p != c)
		return 0;
	skip(v, 1);
	return 1;
}

/* The bytes that RFC 9110, 5.6.2 allows in a token. */
static int
is_token_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	    (c >= 'A' && c <= 'Z') ||
	    (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static struct form_view
take_token(struct form_view *v)
{
	struct form_view token = view(v->p, 0);

	while (token.len < v->len && is_token_char(v->p[token.len]))
		token.len++;
	skip(v, token.len);
	return token;
}

/* What is between the quotes, backslashes and all; 0 or -1. */
static int
take_quoted(struct form_view *v, struct form_view *out)
{
	size_t i = 0;

	if (!skip_char(v, '"'))
		return -1;
	while (i < v->len && v->p[i] != '"')
		i += v->p[i] == '\\' && i + 1 < v->len ? 2 : 1;
	if (i >= v->len)
		return -1;
	*out = view(v->p, i);
	skip(v, i + 1);
	return 0;
}

struct parameter {
	struct form_view name, value;
};

/* The next "; name=value" of a header's value; 1, 0 at its end, or -1. */
static int
take_parameter(struct form_view *v, struct parameter *out)
{
	do {
		skip_blanks(v);
		if (v->len == 0)
			return 0;
		if (!skip_char(v, ';'))
			return -1;
		skip_blanks(v);
	} while (v->len == 0 || *v->p == ';');
	out->name = take_token(v);
	if (out->name.len == 0 || !skip_char(v, '='))
		return -1;
	if (v->len > 0 && *v->p == '"')
		return take_quoted(v, &out->value) == -1 ? -1 : 1;
	out->value = take_token(v);
	return out->value.len > 0 ? 1 : -1;
}

static int
is_boundary(struct form_view v)
{
	size_t i;

	if (v.len < 1 || v.len > BOUNDARY_MAX || v.p[v.len - 1] == ' ')
		return 0;
	for (i = 0; i < v.len; i++)
		if (v.p[i] == '\0' ||
		    strchr("0123456789abcdefghijklmnopqrstuvwxyz"
			   "ABCDEFGHIJKLMNOPQRSTUVWXYZ'()+_,-./:=? ",
			v.p[i]) == NULL)
			return 0;
	return 1;
}

struct form_view
form_boundary(const char *content_type)
{
	static const char type[] = "multipart/form-data";
	struct form_view none = view(content_type, 0), boundary = none;
	struct form_view v = view(content_type, strlen(content_type));
	struct parameter parameter;
	int found;

	skip_blanks(&v);
	if (v.len < sizeof(type) - 1 ||
	    !is_any_case(view(v.p, sizeof(type) - 1), type))
		return none;
	skip(&v, sizeof(type) - 1);
	while ((found = take_parameter(&v, &parameter)) == 1) {
		if (!is_any_case(parameter.name, "boundary"))
			continue;
		if (boundary.len > 0 || !is_boundary(parameter.value))
			return none;
		boundary = parameter.value;
	}
	return found == 0 ? boundary : none;
}

void
form_multipart_init(
    struct form_multipart *f, struct form_view body, struct form_view boundary)
{
	memset(f, 0, sizeof(*f));
	f->body = body;
	f->boundary = boundary;
}

/* CRLF, two dashes and the boundary: what ends a part's data. */
struct delimiter {
	char text[4 + BOUNDARY_MAX];
	size_t len;
};

static int
make_delimiter(struct delimiter *d, struct form_view boundary)
{
	if (boundary.len < 1 || boundary.len > BOUNDARY_MAX)
		return -1;
	memcpy(d->text, "\r\n--", 4);
	memcpy(d->text + 4, boundary.p, boundary.len);
	d->len = 4 + boundary.len;
	return 0;
}

/*
 * Goes to the first delimiter, past a preamble that no client sends. A line
 * that ends in a bare LF counts as a line for some readers, so a delimiter
 * behind one is refused.
 */
static int
find_first(struct form_multipart *f, const struct delimiter *d)
{
	const char *p, *body = f->body.p, *end = body + f->body.len;

	if (f->body.len == 0)
		return -1;
	if (starts_with(f->body, d->text + 2, d->len - 2))
		return 0;
	for (p = body + 1;; p++) {
		p = memmem(p, (size_t)(end - p), d->text + 2, d->len - 2);
		if (p == NULL)
			return -1;
		if (p[-1] == '\n' || p[-1] == '\r')
			break;
	}
	if (p - body < 2 || p[-1] != '\n' || p[-2] != '\r')
		return -1;
	f->at = (size_t)(p - body);
	return 0;
}

/* What follows the boundary in a delimiter's line. */
static enum form_result
read_delimiter(struct form_view *rest)
{
	int closes = starts_with(*rest, "--", 2);

	if (closes)
		skip(rest, 2);
	skip_blanks(rest);
	if (closes && rest->len == 0)
		return FORM_END;
	if (!starts_with(*rest, "\r\n", 2))
		return FORM_MALFORMED;
	skip(rest, 2);
	return closes ? FORM_END : FORM_PART;
}

/* A name given twice or encoded could be read in more than one way. */
static int
read_disposition(struct form_view v, struct form_part *part)
{
	struct parameter parameter;
	int found;

	if (!is_any_case(take_token(&v), "form-data"))
		return -1;
	while ((found = take_parameter(&v, &parameter)) == 1) {
		if (is_any_case(parameter.name, "name")) {
			if (part->name.p != NULL ||
			    memchr(parameter.value.p, '\\',
				parameter.value.len) != NULL)
				return -1;
			part->name = parameter.value;
		} else if (is_any_case(parameter.name, "name*")) {
			return -1;
		} else if (is_any_case(parameter.name, "filename") ||
		    is_any_case(parameter.name, "filename*")) {
			part->is_file = 1;
		}
	}
	return found == 0 && part->name.p != NULL ? 0 : -1;
}

/* Some readers would decode what we compare as it is. */
static int
is_plain_encoding(struct form_view v)
{
	while (v.len > 0 && (v.p[v.len - 1] == ' ' || v.p[v.len - 1] == '\t'))
		v.len--;
	return is_any_case(v, "7bit") || is_any_case(v, "8bit") ||
	    is_any_case(v, "binary");
}

static int
read_header(struct form_view line, struct form_part *part)
{
	struct form_view name = take_token(&line);

	if (name.len == 0 || !skip_char(&line, ':') ||
	    memchr(line.p, '\0', line.len) != NULL ||
	    memchr(line.p, '\r', line.len) != NULL ||
	    memchr(line.p, '\n', line.len) != NULL)
		return -1;
	skip_blanks(&line);
	if (is_any_case(name, "content-disposition"))
		return part->name.p == NULL ? read_disposition(line, part) : -1;
	if (is_any_case(name, "content-transfer-encoding"))
		return is_plain_encoding(line) ? 0 : -1;
	return 0;
}

/* Up to and with the empty line; 0 or -1. */
static int
read_headers(struct form_view *rest, struct form_part *part)
{
	size_t left = rest->len < HEADERS_MAX ? rest->len : HEADERS_MAX;
	const char *end;
	size_t len;

	for (;;) {
		end = memmem(rest->p, left, "\r\n", 2);
		if (end == NULL)
			return -1;
		len = (size_t)(end - rest->p);
		if (len > 0 && read_header(view(rest->p, len), part) == -1)
			return -1;
		skip(rest, len + 2);
		left -= len + 2;
		if (len == 0)
			return part->name.p != NULL ? 0 : -1;
	}
}

static enum form_result
read_part(struct form_multipart *f, const struct delimiter *d,
    struct form_view rest, struct form_part *part)
{
	const char *end;

	memset(part, 0, sizeof(*part));
	if (++f->n_parts > FORM_PARTS_MAX || read_headers(&rest, part) == -1)
		return FORM_MALFORMED;
	/* Data, or the end of a part without any? Readers differ. */
	if (starts_with(rest, d->text + 2, d->len - 2))
		return FORM_MALFORMED;
	end = memmem(rest.p, rest.len, d->text, d->len);
	if (end == NULL)
		return FORM_MALFORMED;
	part->data = view(rest.p, (size_t)(end - rest.p));
	f->at = (size_t)(end + 2 - f->body.p);
	return FORM_PART;
}

static enum form_result
read_next(struct form_multipart *f, struct form_part *part)
{
	enum form_result result;
	struct form_view rest;
	struct delimiter d;

	if (f->at == MALFORMED_AT || make_delimiter(&d, f->boundary) == -1)
		return FORM_MALFORMED;
	if (f->at == 0 && find_first(f, &d) == -1)
		return FORM_MALFORMED;
	rest = f->body;
	skip(&rest, f->at + d.len - 2);
	result = read_delimiter(&rest);
	if (result == FORM_END)
		f->close = f->at;
	if (result == FORM_PART)
		result = read_part(f, &d, rest, part);
	return result;
}

enum form_result
form_multipart_next(struct form_multipart *f, struct form_part *part)
{
	enum form_result result = read_next(f, part);

	if (result == FORM_MALFORMED)
		f->at = MALFORMED_AT;
	return result;
}
