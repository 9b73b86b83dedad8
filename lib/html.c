/* HTML that escapes by default. */
#include "html.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* What a byte has to be written as; NULL as itself. */
static const char *
entity_of(unsigned char c)
{
	switch (c) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '"':
		return "&quot;";
	case '\'':
		return "&#39;";
	case '\t':
	case '\n':
	case '\r':
		return NULL;
	default:
		/* Browsers would show some of these as other characters. */
		return c < 0x20 || c == 0x7f ? "\xef\xbf\xbd" : NULL;
	}
}

/* Clean runs go out in one piece. */
static void
put_escaped(struct buf *out, const char *s)
{
	const char *from = s, *entity;

	for (; *s != '\0'; s++) {
		entity = entity_of((unsigned char)*s);
		if (entity == NULL)
			continue;
		(void)buf_add(out, from, (size_t)(s - from)); /* sticks */
		(void)buf_puts(out, entity);
		from = s + 1;
	}
	(void)buf_add(out, from, (size_t)(s - from));
}

/* The value for what follows a '%'; returns the last byte of it. */
static const char *
put_value(struct buf *out, const char *at, va_list *ap)
{
	if (*at == 's')
		put_escaped(out, va_arg(*ap, const char *));
	else if (*at == 'd')
		(void)buf_printf(out, "%d", va_arg(*ap, int));
	else if (strncmp(at, "lld", 3) == 0) {
		(void)buf_printf(out, "%lld", va_arg(*ap, long long));
		at += 2;
	} else if (*at == '%')
		(void)buf_puts(out, "%");
	else
		abort(); /* a format of ours is wrong */
	return at;
}

void
html(struct buf *out, const char *fmt, ...)
{
	const char *at;
	va_list ap;

	va_start(ap, fmt);
	while ((at = strchr(fmt, '%')) != NULL) {
		(void)buf_add(out, fmt, (size_t)(at - fmt));
		fmt = put_value(out, at + 1, &ap) + 1;
	}
	(void)buf_puts(out, fmt);
	va_end(ap);
}

static int
is_unreserved(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	    (c >= 'A' && c <= 'Z') || (c != '\0' && strchr("-._~", c) != NULL);
}

void
html_argument(struct buf *out, const char *value)
{
	for (; *value != '\0'; value++)
		if (is_unreserved(*value))
			(void)buf_add(out, value, 1);
		else
			(void)buf_printf(out, "%%%02X", (unsigned char)*value);
}

void
html_hidden(struct buf *out, const char *name, const char *value)
{
	html(out, "<input type=\"hidden\" name=\"%s\" value=\"%s\">\n", name,
	    value);
}

void
html_option(struct buf *out, const char *value, const char *label, int selected)
{
	html(out, "<option value=\"%s\"", value);
	html(out, selected ? " selected>" : ">");
	html(out, "%s</option>\n", label);
}

/* Names the texts that belong to an input. */
static void
put_described(struct buf *out, const struct html_field *f, const char *id)
{
	if (f->error != NULL)
		html(out, " aria-invalid=\"true\"");
	if (f->error == NULL && f->hint == NULL)
		return;
	html(out, " aria-describedby=\"");
	if (f->error != NULL)
		html(out, "%s-error", id);
	if (f->error != NULL && f->hint != NULL)
		html(out, " ");
	if (f->hint != NULL)
		html(out, "%s-hint", id);
	html(out, "\"");
}

static void
put_input(struct buf *out, const struct html_field *f, const char *id)
{
	html(out, "<input id=\"%s\" name=\"%s\" type=\"%s\" value=\"%s\"", id,
	    f->name, f->type != NULL ? f->type : "text", f->value);
	html(out, " autocomplete=\"%s\"",
	    f->autocomplete != NULL ? f->autocomplete : "off");
	if (f->size > 0)
		html(out, " size=\"%d\"", f->size);
	if (f->maxlength > 0)
		html(out, " maxlength=\"%d\"", f->maxlength);
	if (f->numeric)
		html(out, " inputmode=\"decimal\"");
	if (f->required)
		html(out, " required");
	put_described(out, f, id);
	html(out, ">");
	if (f->unit != NULL)
		html(out, " <span class=\"unit\">%s</span>", f->unit);
}

void
html_field(struct buf *out, const struct html_field *f)
{
	const char *id = f->id != NULL ? f->id : f->name;

	html(out, "<p class=\"field\"><label for=\"%s\">%s</label>\n", id,
	    f->label);
	put_input(out, f, id);
	if (f->error != NULL)
		html(out, "\n<span class=\"error\" id=\"%s-error\">%s</span>",
		    id, f->error);
	if (f->hint != NULL)
		html(out, "\n<span class=\"hint\" id=\"%s-hint\">%s</span>", id,
		    f->hint);
	html(out, "</p>\n");
}

void
html_checkbox(struct buf *out, const char *name, const char *label, int checked)
{
	html(out,
	    "<p class=\"tick\"><input type=\"checkbox\" id=\"%s\" name=\"%s\" "
	    "value=\"1\"",
	    name, name);
	html(out, checked ? " checked>" : ">");
	html(out, " <label for=\"%s\">%s</label></p>\n", name, label);
}

/* The drawing's own units; the style sheet sets its size on the page. */
#define CHART_HEIGHT 100
#define BAR_STEP 10
#define BAR_WIDTH 8

/* What there is shows, however little. */
static int
bar_height(int64_t amount, int64_t most)
{
	if (amount <= 0)
		return 0;
	if (amount >= most)
		return CHART_HEIGHT;
	return 1 + (int)((double)amount / (double)most * (CHART_HEIGHT - 1));
}

void
html_bars(
    struct buf *out, const char *title, const struct html_bar *bars, size_t n)
{
	int64_t most = 1;

	for (size_t i = 0; i < n; i++)
		if (bars[i].amount > most)
			most = bars[i].amount;
	html(out,
	    "<svg class=\"bars\" role=\"img\" aria-label=\"%s\" "
	    "viewBox=\"0 0 %d %d\" preserveAspectRatio=\"none\">\n",
	    title, (int)n * BAR_STEP, CHART_HEIGHT);
	for (size_t i = 0; i < n; i++) {
		int height = bar_height(bars[i].amount, most);

		if (height == 0)
			continue;
		html(out,
		    "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\">"
		    "<title>%s: %s</title></rect>\n",
		    (int)i * BAR_STEP + 1, CHART_HEIGHT - height, BAR_WIDTH,
		    height, bars[i].label, bars[i].value);
	}
	html(out, "</svg>\n");
}
