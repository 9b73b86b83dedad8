/*
 * html.h - HTML into a buf. What stands in a format is markup, what comes
 * through it is text and always escaped: there is no way to write a value
 * raw. Failures stick in the buf, so pages look at it once, at their end.
 */
#ifndef PMPROXY_HTML_H
#define PMPROXY_HTML_H

#include <stddef.h>
#include <stdint.h>

#include "buf.h"

#define HTML_PRINTF(f, a) __attribute__((__format__(__printf__, f, a)))

/*
 * Knows %s, %d, %lld and %%, and no widths. %s escapes all of & < > " ' and
 * so fits into text and into quoted attributes; a control character that HTML
 * has no use for becomes U+FFFD. Anything else behind a % is a bug and aborts.
 */
void html(struct buf *, const char *fmt, ...) HTML_PRINTF(2, 3);

/* A value inside a URL's query: percent-encoded (RFC 3986, 2.3). */
void html_argument(struct buf *, const char *value);

void html_hidden(struct buf *, const char *name, const char *value);
void
html_option(struct buf *, const char *value, const char *label, int selected);

/*
 * A labelled input with its hint and its error, both tied to it so that they
 * are read out with it.
 */
struct html_field {
	const char *name; /* also its id, unless 'id' is given */
	const char *id; /* NULL: as the name */
	const char *label;
	const char *value; /* as it was typed */
	const char *hint; /* NULL: none */
	const char *error; /* NULL: none */
	const char *type; /* NULL: "text" */
	const char *unit; /* behind the input; NULL: none */
	const char *autocomplete; /* NULL: "off" */
	int size; /* characters wide; 0: the browser's */
	int maxlength; /* 0: any */
	int numeric; /* a phone shows its digits */
	int required;
};
void html_field(struct buf *, const struct html_field *);

/* A box to tick, its label behind it. */
void
html_checkbox(struct buf *, const char *name, const char *label, int checked);

/*
 * Bars side by side as inline SVG, the highest 'height' tall. The chart is a
 * picture with a name; each bar tells its own label and value when pointed at.
 */
struct html_bar {
	char label[32];
	char value[48]; /* as text, with its unit */
	int64_t amount; /* at least 0 */
};
void
html_bars(struct buf *, const char *title, const struct html_bar *, size_t n);

#endif
