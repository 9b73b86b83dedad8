/* The list of keys, with search, and the switch for an emergency. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "key_show.h"
#include "lib/log.h"

#define DISABLE_WORD "DISABLE ALL" /* typed, so that no slip does it */
#define PAGES_MAX 2000 /* of which nobody reads the last */

struct list {
	const char *search;
	/* The last that were found, enough for the page: the i-th is at
	   keys[i % room]. */
	struct key *keys;
	size_t n, room;
	int64_t all, usable, stopped; /* stopped: by the switch below */
	int64_t now;
};

static int
matches(const struct key *key, const char *search)
{
	return strcasestr(key->label, search) != NULL ||
	    strcasestr(key->id, search) != NULL ||
	    (strlen(search) == 4 && strcmp(key->last4, search) == 0);
}

static int
collect(const struct key *key, const unsigned char hash[32], void *arg)
{
	struct list *l = arg;

	(void)hash;
	l->all++;
	l->usable +=
	    !key->disabled && (key->expires == 0 || l->now < key->expires);
	l->stopped += key->disabled && key->disabled_all;
	if (matches(key, l->search))
		l->keys[l->n++ % l->room] = *key;
	return 0;
}

static void
put_search(struct admin *a, const struct list *l)
{
	html(&a->out,
	    "<div class=\"bar\"><form method=\"get\" action=\"/admin/keys\" "
	    "role=\"search\"><p>"
	    "<label for=\"q\">%s</label>\n"
	    "<input id=\"q\" name=\"q\" type=\"search\" value=\"%s\" "
	    "size=\"20\" maxlength=\"100\"> "
	    "<button class=\"quiet\">%s</button></p></form>\n"
	    "<p><a class=\"button\" href=\"/admin/key\">%s</a></p></div>\n",
	    _("Label, id or last four characters"), l->search, _("Search"),
	    _("New key"));
}

static void
put_head(struct admin *a)
{
	html(&a->out,
	    "<table class=\"list\"><thead><tr><th scope=\"col\">%s</th>"
	    "<th scope=\"col\">%s</th><th scope=\"col\">%s</th>"
	    "<th scope=\"col\" class=\"num\">%s</th>"
	    "<th scope=\"col\">%s</th></tr></thead>\n<tbody>\n",
	    _("Key"), _("State"), _("Limits"), _("EUR this month"),
	    _("Last used"));
}

static void
put_row(struct admin *a, const struct key *key, const struct key_spend *spend)
{
	char eur[ADMIN_VALUE_SIZE];
	const char *label = key->label[0] != '\0' ? key->label : key->id;

	html(&a->out,
	    "<tr><th scope=\"row\"><a href=\"/admin/key?id=%s\">%s</a> "
	    "<span class=\"mono\">&hellip;%s</span></th><td data-label=\"%s\">",
	    key->id, label, key->last4, _("State"));
	key_show_state(a, key);
	html(&a->out, "</td><td data-label=\"%s\">", _("Limits"));
	key_show_limits(a, key);
	html(&a->out,
	    "</td><td class=\"num\" data-label=\"%s\">%s</td>"
	    "<td data-label=\"%s\">",
	    _("EUR this month"), admin_eur(eur, spend->cost), _("Last used"));
	key_show_last(a, spend->last);
	html(&a->out, "</td></tr>\n");
}

/* Newest first. */
static void
put_rows(struct admin *a, const struct list *l, const struct key_spends *s,
    int64_t page)
{
	size_t from = (size_t)(page - 1) * ADMIN_ROWS;

	put_head(a);
	for (size_t i = from; i < l->n && i < from + ADMIN_ROWS; i++) {
		const struct key *key = &l->keys[(l->n - 1 - i) % l->room];
		struct key_spend spend = key_spends_of(s, key->id);

		put_row(a, key, &spend);
	}
	html(&a->out, "</tbody></table>\n");
}

static void
put_list(struct admin *a, const struct list *l, const struct key_spends *s)
{
	int64_t pages = ((int64_t)l->n + ADMIN_ROWS - 1) / ADMIN_ROWS;
	int64_t page = admin_query_number(a, "page", 1,
	    pages < 1               ? 1
		: pages > PAGES_MAX ? PAGES_MAX
				    : pages,
	    1);
	struct buf query = BUF(1024);

	if (l->all == 0)
		html(&a->out, "<p>%s</p>\n",
		    _("There are no keys yet. Make one for each activist or "
		      "app, so that each can be limited and disabled alone."));
	else if (l->n == 0)
		html(&a->out, "<p>%s</p>\n", _("No key is like that."));
	else
		put_rows(a, l, s, page);
	html(&query, "q=");
	html_argument(&query, l->search);
	html(&query, "&amp;page=");
	admin_pager(a, query.data, page, (int64_t)l->n);
	buf_free(&query);
}

static void
put_emergency(struct admin *a, const struct list *l, const char *error)
{
	struct html_field word = { .name = "word",
		.value = "",
		.error = error,
		.size = 16,
		.required = 1 };
	char label[128];

	html(&a->out, "<section class=\"emergency\"><h2>%s</h2>\n",
	    _("In an emergency"));
	if (l->stopped > 0) {
		html(&a->out, "<p>");
		html(&a->out,
		    _("Keys disabled together: %lld. The undo enables exactly "
		      "these."),
		    (long long)l->stopped);
		html(&a->out, "</p>\n");
		admin_form(a, "enable-all");
		admin_form_end(a, _("Undo: enable them again"));
	}
	html(&a->out, error != NULL ? "<details open>" : "<details>");
	html(&a->out, "<summary>%s</summary>\n<p>%s</p>\n",
	    _("Disable all keys now"),
	    _("Every key is refused from the next request on. Answers under "
	      "way are not cut. There is an undo."));
	if (*config_text(a->config, CONFIG_API_KEYS) != '\0')
		html(&a->out, "<p>%s</p>\n",
		    _("Keys in API_KEYS of the configuration stay valid: "
		      "remove them there."));
	(void)snprintf(
	    label, sizeof(label), _("Type %s to confirm"), DISABLE_WORD);
	word.label = label;
	admin_form(a, "disable-all");
	html_field(&a->out, &word);
	admin_form_end_danger(a, _("Disable all keys"));
	html(&a->out, "</details></section>\n");
}

static void
put_page(struct admin *a, const struct list *l, const char *error)
{
	struct key_spends spends;
	int bad = key_spends_read(&spends, a, NULL);

	admin_begin(a, NULL);
	admin_notice(a);
	if (bad)
		html(&a->out, "<p class=\"problem\" role=\"alert\">%s</p>\n",
		    _("The usage cannot be read: see the server's log."));
	if (error != NULL)
		admin_say_errors(a, 1);
	put_search(a, l);
	html(&a->out, "<p>");
	html(&a->out, _("Keys: %lld, of which can be used now: %lld."),
	    (long long)l->all, (long long)l->usable);
	html(&a->out, "</p>\n");
	put_list(a, l, &spends);
	put_emergency(a, l, error);
	admin_end(a);
	key_spends_free(&spends);
}

static void
show_with(struct admin *a, const char *error)
{
	struct list l = { .search = admin_query(a, "q"), .now = a->now };
	int64_t page = admin_query_number(a, "page", 1, PAGES_MAX, 1);

	l.room = (size_t)page * ADMIN_ROWS;
	if ((l.keys = calloc(l.room, sizeof(*l.keys))) == NULL) {
		log_warn("cannot list the keys");
		admin_fail_store(a);
		return;
	}
	/* Damaged records are logged and left out; the others are shown. */
	if (keys_each(a->state_dir, collect, &l) != 0 && l.all == 0)
		admin_fail_store(a);
	else
		put_page(a, &l, error);
	free(l.keys);
}

static void
show(struct admin *a)
{
	show_with(a, NULL);
}

static int
stop(struct key *key, void *arg)
{
	(void)arg;
	if (key->disabled)
		return 0;
	key->disabled = key->disabled_all = 1;
	return 1;
}

static int
resume(struct key *key, void *arg)
{
	(void)arg;
	if (!key->disabled || !key->disabled_all)
		return 0;
	key->disabled = key->disabled_all = 0;
	return 1;
}

static void
disable_all(struct admin *a)
{
	if (strcmp(admin_post(a, "word"), DISABLE_WORD) != 0) {
		show_with(a, _("That is not what is to be typed."));
		return;
	}
	if (keys_change_all(a->state_dir, stop, NULL) != KEYS_OK) {
		admin_fail_store(a);
		return;
	}
	admin_audit(a, AUDIT_ALL_DISABLED, "");
	admin_redirect(a, "/admin/keys?done=all-disabled");
}

static void
enable_all(struct admin *a)
{
	if (keys_change_all(a->state_dir, resume, NULL) != KEYS_OK) {
		admin_fail_store(a);
		return;
	}
	admin_audit(a, AUDIT_ALL_ENABLED, "");
	admin_redirect(a, "/admin/keys?done=all-enabled");
}

static const struct admin_action actions[] = { { "disable-all", disable_all,
						   0 },
	{ "enable-all", enable_all, 0 }, { NULL, NULL, 0 } };

static const struct admin_page page = { "keys", N_("Keys"), show, actions, 0,
	0 };

int
main(void)
{
	return admin_main(&page);
}
