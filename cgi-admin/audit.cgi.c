/* What was changed in these pages, when, and from which session. */
#include <stdlib.h>

#include "admin.h"

static const char *const texts[AUDIT_ACTION__MAX + 1] = {
	[AUDIT_LOGIN] = N_("logged in"),
	[AUDIT_LOGOUT] = N_("logged out"),
	[AUDIT_SESSIONS_ENDED] = N_("ended all sessions"),
	[AUDIT_KEY_CREATED] = N_("made a key"),
	[AUDIT_KEY_CHANGED] = N_("changed a key"),
	[AUDIT_KEY_DISABLED] = N_("disabled a key"),
	[AUDIT_KEY_ENABLED] = N_("enabled a key"),
	[AUDIT_KEY_ROTATED] = N_("rotated a key"),
	[AUDIT_KEY_DELETED] = N_("deleted a key"),
	[AUDIT_KEY_ERASED] = N_("deleted a key and its usage"),
	[AUDIT_ALL_DISABLED] = N_("disabled all keys"),
	[AUDIT_ALL_ENABLED] = N_("enabled the keys disabled together"),
	[AUDIT_SETTING_CHANGED] = N_("changed a setting"),
	[AUDIT_ACTION__MAX] = N_("did what this version does not know"),
};

struct listing {
	struct admin *a;
	int64_t n, from, to; /* rows [from, to) are shown */
};

static int
put_entry(const struct audit_entry *e, void *arg)
{
	struct listing *l = arg;
	struct buf *out = &l->a->out;
	char hour[ADMIN_VALUE_SIZE];
	int64_t i = l->n++;

	if (i < l->from || i >= l->to)
		return 0;
	html(out,
	    "<tr><td data-label=\"%s\">%s</td><td data-label=\"%s\">%s</td>",
	    _("Hour"), admin_time(hour, e->hour), _("What"),
	    _(texts[e->action]));
	html(out,
	    "<td class=\"mono\" data-label=\"%s\">%s</td>"
	    "<td class=\"mono\" data-label=\"%s\">%s</td></tr>\n",
	    _("Which"), e->subject, _("Session"), e->session);
	return 0;
}

static void
show(struct admin *a)
{
	int64_t page =
	    admin_query_number(a, "page", 1, AUDIT_MAX / ADMIN_ROWS, 1);
	struct listing l = { a, 0, (page - 1) * ADMIN_ROWS, page * ADMIN_ROWS };

	admin_begin(a, NULL);
	html(&a->out, "<p>%s</p>\n",
	    _("Times are kept to the hour, sessions by a short random name. "
	      "Changes made with pmkey and pmsettings on the host are not "
	      "listed here."));
	html(&a->out,
	    "<table class=\"list\"><thead><tr><th scope=\"col\">%s</th>"
	    "<th scope=\"col\">%s</th><th scope=\"col\">%s</th>"
	    "<th scope=\"col\">%s</th></tr></thead>\n<tbody>\n",
	    _("Hour"), _("What"), _("Which"), _("Session"));
	if (audit_each(a->state_dir, put_entry, &l) == -1) {
		admin_fail_store(a);
		return;
	}
	html(&a->out, "</tbody></table>\n");
	admin_pager(a, "page=", page, l.n);
	admin_end(a);
}

static const struct admin_page page = { "audit", N_("Changes"), show, NULL, 0,
	0 };

int
main(void)
{
	return admin_main(&page);
}
