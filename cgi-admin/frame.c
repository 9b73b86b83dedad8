/* The frame of every page, and the few things found in many of them. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "admin.h"

#ifndef ADMIN_STYLE /* the build names it after its content */
#define ADMIN_STYLE "style.css"
#endif

static const struct {
	const char *name, *text;
} links[] = {
	{ "keys", N_("Keys") },
	{ "usage", N_("Usage") },
	{ "settings", N_("Settings") },
	{ "audit", N_("Changes") },
	{ "help", N_("Help") },
};

static void
put_links(struct admin *a)
{
	html(&a->out, "<nav aria-label=\"%s\"><ul>\n", _("Pages"));
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		html(&a->out, "<li><a href=\"/admin/%s\"", links[i].name);
		if (strcmp(a->page->name, links[i].name) == 0)
			html(&a->out, " aria-current=\"page\"");
		html(&a->out, ">%s</a></li>\n", _(links[i].text));
	}
	html(&a->out, "</ul></nav>\n");
}

/* Log-out is a form of another page, so its token is, too. */
static void
put_logout(struct admin *a)
{
	char token[SESSION_CSRF_SIZE];

	session_csrf(&a->rules, &a->session, "login.logout", token);
	html(&a->out,
	    "<form class=\"logout\" method=\"post\" action=\"/admin/login\">\n");
	html_hidden(&a->out, "do", "logout");
	html_hidden(&a->out, "csrf", token);
	html(&a->out, "<button class=\"quiet\">%s</button></form>\n",
	    _("Log out"));
}

void
admin_begin(struct admin *a, const char *title)
{
	if (title == NULL)
		title = _(a->page->title);
	html(&a->out,
	    "<!DOCTYPE html>\n<html lang=\"%s\">\n<head>\n"
	    "<meta charset=\"utf-8\">\n"
	    "<meta name=\"viewport\" content=\"width=device-width\">\n"
	    "<meta name=\"color-scheme\" content=\"light dark\">\n"
	    "<title>%s - pmproxy</title>\n"
	    "<link rel=\"stylesheet\" href=\"/admin/%s\">\n</head>\n<body>\n"
	    "<a class=\"skip\" href=\"#main\">%s</a>\n"
	    "<header><p class=\"brand\">pmproxy</p>\n",
	    a->language, title, ADMIN_STYLE, _("Skip to the content"));
	if (a->logged_in) {
		put_links(a);
		put_logout(a);
	}
	html(&a->out, "</header>\n<main id=\"main\">\n<h1>%s</h1>\n", title);
}

/* The same page with another language, whatever else was asked. */
static void
put_language(struct admin *a, const struct admin_language *l)
{
	html(&a->out, "<a href=\"?");
	for (size_t i = 0; i < a->query.n; i++) {
		const struct form_field *f = &a->query.fields[i];

		if (strcmp(f->name, "lang") == 0 ||
		    strcmp(f->name, "done") == 0)
			continue;
		html_argument(&a->out, f->name);
		html(&a->out, "=");
		html_argument(&a->out, f->value);
		html(&a->out, "&amp;");
	}
	html(&a->out, "lang=%s\" hreflang=\"%s\" lang=\"%s\">%s</a>\n", l->code,
	    l->code, l->code, l->name);
}

void
admin_end(struct admin *a)
{
	char now[ADMIN_VALUE_SIZE];

	html(&a->out, "</main>\n<footer><p>%s</p>\n<p>",
	    admin_time(now, a->now));
	for (const struct admin_language *l = admin_languages; l->code; l++)
		if (strcmp(l->code, a->language) != 0)
			put_language(a, l);
	html(&a->out, "</p></footer>\n</body>\n</html>\n");
}

void
admin_fail(struct admin *a, int status, const char *title, const char *text)
{
	buf_reset(&a->out);
	a->status = status;
	a->location[0] = '\0';
	admin_begin(a, title);
	if (text != NULL)
		html(&a->out, "<p>%s</p>\n", text);
	if (status != 403 || !a->logged_in)
		html(&a->out, "<p><a href=\"/admin/%s\">%s</a></p>\n",
		    a->logged_in ? "keys" : "login",
		    a->logged_in ? _("Keys") : _("Log in"));
	admin_end(a);
}

void
admin_fail_store(struct admin *a)
{
	admin_fail(a, 503, _("That cannot be read or written"),
	    _("A file of the gate is damaged, missing or full. The server's "
	      "log names it."));
}

static const struct {
	const char *name, *text;
} notices[] = {
	{ "saved", N_("Saved. It is in force now.") },
	{ "disabled", N_("The key is disabled. It is refused from now on.") },
	{ "enabled", N_("The key is enabled.") },
	{ "deleted", N_("The key is deleted.") },
	{ "erased", N_("The key and its usage are deleted.") },
	{ "all-disabled", N_("All keys are disabled.") },
	{ "all-enabled", N_("The keys disabled together are enabled again.") },
	{ "out", N_("You are logged out.") },
	{ "all-out", N_("All sessions have ended.") },
};

void
admin_notice(struct admin *a)
{
	const char *done = admin_query(a, "done");

	for (size_t i = 0; i < sizeof(notices) / sizeof(notices[0]); i++)
		if (strcmp(done, notices[i].name) == 0)
			html(&a->out,
			    "<p class=\"notice\" role=\"status\">%s</p>\n",
			    _(notices[i].text));
}

void
admin_say_errors(struct admin *a, int n)
{
	a->status = 422;
	html(&a->out, "<p class=\"problem\" role=\"alert\">%s</p>\n",
	    n == 1 ? _("One field needs another look. Nothing was changed.")
		   : _("Some fields need another look. Nothing was changed."));
}

void
admin_redirect(struct admin *a, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(a->location, sizeof(a->location), fmt, ap);
	va_end(ap);
	a->status = 303;
}

void
admin_form_end(struct admin *a, const char *button)
{
	html(&a->out, "<p><button>%s</button></p></form>\n", button);
}

void
admin_form_end_danger(struct admin *a, const char *button)
{
	html(&a->out, "<p><button class=\"danger\">%s</button></p></form>\n",
	    button);
}

void
admin_pager(struct admin *a, const char *query, int64_t page, int64_t n_rows)
{
	int64_t pages = (n_rows + ADMIN_ROWS - 1) / ADMIN_ROWS;

	if (pages <= 1)
		return;
	html(&a->out, "<nav class=\"pager\" aria-label=\"%s\"><p>",
	    _("Parts of the list"));
	if (page > 1) {
		html(&a->out, "<a rel=\"prev\" href=\"?");
		(void)buf_puts(&a->out, query);
		html(&a->out, "%lld\">%s</a> ", (long long)page - 1,
		    _("Previous"));
	}
	html(
	    &a->out, _("Page %lld of %lld"), (long long)page, (long long)pages);
	if (page < pages) {
		html(&a->out, " <a rel=\"next\" href=\"?");
		(void)buf_puts(&a->out, query);
		html(&a->out, "%lld\">%s</a>", (long long)page + 1, _("Next"));
	}
	html(&a->out, "</p></nav>\n");
}
