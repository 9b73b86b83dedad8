/*
 * form.h - what forms send: parts of a multipart/form-data body (RFC 7578) as
 * views into it; urlencoded bodies, query strings and cookies, decoded in
 * place. Nothing is copied or allocated. A part's name is compared, never
 * printed.
 */
#ifndef PMPROXY_FORM_H
#define PMPROXY_FORM_H

#include <stddef.h>

struct form_view {
	const char *p;
	size_t len;
};

struct form_part {
	struct form_view name; /* quotes and backslashes removed is not done:
				  names we look for contain neither */
	int is_file; /* has a filename parameter */
	struct form_view data; /* without the line end before the delimiter */
};

struct form_multipart {
	struct form_view body, boundary;
	size_t at; /* private */
	size_t close; /* offset of the "--" that starts the closing
			     delimiter, once FORM_END was returned: a new part
			     can be spliced in here, as "--boundary\r\n..."
			     ending in "\r\n" */
	size_t n_parts;
};

enum form_result {
	FORM_PART,
	FORM_END,
	FORM_MALFORMED
};

/* More parts than this are malformed: no client of these APIs sends so many. */
#define FORM_PARTS_MAX 1000

/*
 * The boundary of a Content-Type value "multipart/form-data; boundary=...",
 * quoted or not, 1 to 70 characters (RFC 2046, 5.1.1). The view points into
 * 'content_type', or is empty when there is none.
 */
struct form_view form_boundary(const char *content_type);

/* 'body' and 'boundary' are borrowed for as long as parts are read. */
void form_multipart_init(
    struct form_multipart *, struct form_view body, struct form_view boundary);

/*
 * The next part, or FORM_END after the closing delimiter, or FORM_MALFORMED:
 * a delimiter or header that cannot be read, too many parts, or a body that
 * stops before its closing delimiter. So are a name that is given twice,
 * holds a backslash or is encoded, and data in a transfer encoding: another
 * parser could read another value. Believe no part before FORM_END came.
 */
enum form_result
form_multipart_next(struct form_multipart *, struct form_part *);

/* 1 when the view holds exactly this text. */
int form_view_is(struct form_view, const char *text);

/* More fields than this are refused: no form of ours has so many. */
#define FORM_FIELDS_MAX 128

struct form_field {
	const char *name, *value;
};

struct form {
	struct form_field fields[FORM_FIELDS_MAX];
	size_t n;
};

/*
 * Splits and decodes application/x-www-form-urlencoded text in place; the
 * text must outlive the form. 0, or -1 for a broken escape, an escaped NUL,
 * too many fields, or a name given twice: which one counts would be a guess.
 * After -1 the form is empty.
 */
int form_parse(struct form *, char *text);

/*
 * The same for a Cookie header (RFC 6265, 4.2.1), in which nothing is escaped
 * and of a name given twice the first counts, which is the one with the
 * longer path. What is no pair is skipped.
 */
void form_parse_cookies(struct form *, char *text);

/* The value; NULL when there is no such field. */
const char *form_get(const struct form *, const char *name);

#endif
