/* One key: made, changed, disabled, rotated, deleted. */
#include <stdio.h>
#include <string.h>

#include "key_erase.h"
#include "key_form.h"
#include "key_show.h"
#include "lib/text.h"

#define HOUR 3600
#define FAMILY_MAX ((size_t)1 << 17)

static const struct {
	const char *value, *text;
	int64_t seconds;
} graces[] = {
	{ "now", N_("immediately"), 0 },
	{ "1h", N_("in an hour"), HOUR },
	{ "24h", N_("in 24 hours"), 24 * HOUR },
	{ "7d", N_("in 7 days"), 7 * 24 * HOUR },
};

/* Loads the key that is asked for; -1 after answering that there is none. */
static int
load(struct admin *a, const char *id, struct key *key)
{
	enum keys_result result = keys_load(a->state_dir, id, key);

	if (result == KEYS_OK)
		return 0;
	if (result == KEYS_UNKNOWN)
		admin_fail(a, 404, _("There is no such key"), NULL);
	else
		admin_fail_store(a);
	return -1;
}

static void
put_new(struct admin *a, const struct key_form *form)
{
	static const struct key none = { .id = "" };

	admin_begin(a, _("New key"));
	if (form->n_errors > 0)
		admin_say_errors(a, form->n_errors);
	admin_form(a, "create");
	key_form_put(a, &none, form);
	admin_form_end(a, _("Make the key"));
	admin_end(a);
}

static void
put_fact(struct admin *a, const char *name)
{
	html(&a->out, "<dt>%s</dt><dd>", name);
}

static void
put_budget(
    struct admin *a, const struct key *key, const struct key_spend *spend)
{
	char used[ADMIN_VALUE_SIZE], budget[ADMIN_VALUE_SIZE];

	html(&a->out, "%s EUR", admin_eur(used, spend->cost));
	if (key->budget_eur > 0)
		html(&a->out, " / %s EUR", admin_eur(budget, key->budget_eur));
	html(&a->out, ", %s", admin_number(used, spend->tokens));
	if (key->budget_tokens > 0)
		html(
		    &a->out, " / %s", admin_number(budget, key->budget_tokens));
	html(&a->out, " %s, %s %s</dd>\n", _("tokens"),
	    admin_number(budget, spend->requests),
	    ngettext("request", "requests", (unsigned long)spend->requests));
}

/* What cannot be read is logged, and shown as nothing used. */
static struct key_spend
read_spend(struct admin *a, const char *id)
{
	struct key_spends spends;
	struct key_spend spend;

	(void)key_spends_read(&spends, a, id);
	spend = key_spends_of(&spends, id);
	key_spends_free(&spends);
	return spend;
}

/* A family shares one budget: what the others used counts in it. */
static void
put_family(struct admin *a, const struct key *key, struct key_spend spend)
{
	struct buf ids = BUF(FAMILY_MAX);
	size_t at = strlen(key->id) + 1;

	if (keys_family_load(a->state_dir, key, &ids) == 0 && at < ids.len) {
		for (; at < ids.len; at += strlen(ids.data + at) + 1)
			key_spend_add(&spend, read_spend(a, ids.data + at));
		put_fact(a, _("With the keys of its rotations"));
		put_budget(a, key, &spend);
	}
	buf_free(&ids);
}

static void
put_facts(struct admin *a, const struct key *key)
{
	char text[ADMIN_VALUE_SIZE];
	struct key_spend spend = read_spend(a, key->id);

	html(&a->out, "<dl class=\"facts\">\n");
	put_fact(a, _("State"));
	key_show_state(a, key);
	html(&a->out, "</dd>\n");
	put_fact(a, _("Key id"));
	html(&a->out, "<span class=\"mono\">%s</span></dd>\n", key->id);
	put_fact(a, _("Ends in"));
	html(&a->out, "<span class=\"mono\">%s</span></dd>\n", key->last4);
	put_fact(a, _("Made"));
	html(&a->out, "%s</dd>\n", admin_day(text, key->created));
	if (key->successor[0] != '\0') {
		put_fact(a, _("Replaced by"));
		html(&a->out,
		    "<a class=\"mono\" href=\"/admin/key?id=%s\">%s</a></dd>\n",
		    key->successor, key->successor);
	}
	put_fact(a, _("This month"));
	put_budget(a, key, &spend);
	put_family(a, key, spend);
	put_fact(a, _("Last used"));
	key_show_last(a, spend.last);
	html(&a->out, " - <a href=\"/admin/usage?key=%s\">%s</a></dd>\n</dl>\n",
	    key->id, _("its usage"));
}

static void
begin_form(struct admin *a, const struct key *key, const char *action)
{
	admin_form(a, action);
	html_hidden(&a->out, "id", key->id);
}

static void
put_rotate(struct admin *a, const struct key *key)
{
	html(&a->out, "<section><h2>%s</h2>\n<p>%s</p>\n", _("Rotate"),
	    _("Makes a new key with the same settings. The old one ends:"));
	begin_form(a, key, "rotate");
	html(&a->out,
	    "<p class=\"field\"><label for=\"grace\">%s</label>\n"
	    "<select id=\"grace\" name=\"grace\">\n",
	    _("The old key ends"));
	for (size_t i = 0; i < sizeof(graces) / sizeof(graces[0]); i++)
		html_option(
		    &a->out, graces[i].value, _(graces[i].text), i == 2);
	html(&a->out, "</select></p>\n");
	admin_form_end(a, _("Rotate"));
	html(&a->out, "</section>\n");
}

static void
put_delete(struct admin *a, const struct key *key, const char *error)
{
	html(&a->out, "<section><h2>%s</h2>\n", _("Delete"));
	if (error != NULL)
		html(&a->out, "<p class=\"problem\" role=\"alert\">%s</p>\n",
		    error);
	html(&a->out, "<p>%s</p>\n", _("There is no undo. Disabling has one."));
	begin_form(a, key, "delete");
	html_checkbox(&a->out, "sure", _("Yes, delete this key for good"), 0);
	html_checkbox(&a->out, "erase",
	    _("Also erase its usage, as if it had never been used"),
	    form_get(&a->post, "erase") != NULL);
	admin_form_end_danger(a, _("Delete"));
	html(&a->out, "</section>\n");
}

static void
put_switch(struct admin *a, const struct key *key)
{
	html(&a->out, "<section><h2>%s</h2>\n<p>%s</p>\n",
	    key->disabled ? _("Enable") : _("Disable"),
	    key->disabled ? _("It is accepted again from the next request on.")
			  : _("It is refused from the next request on."));
	begin_form(a, key, key->disabled ? "enable" : "disable");
	admin_form_end(a, key->disabled ? _("Enable") : _("Disable"));
	html(&a->out, "</section>\n");
}

/* 'form' has errors of the settings, 'error' is the deletion's. */
static void
put_key(struct admin *a, const struct key *stored, const struct key *typed,
    const struct key_form *form, const char *error)
{
	admin_begin(a, stored->label[0] != '\0' ? stored->label : stored->id);
	admin_notice(a);
	if (form->n_errors > 0)
		admin_say_errors(a, form->n_errors);
	put_facts(a, stored);
	html(&a->out, "<section><h2>%s</h2>\n", _("Settings"));
	begin_form(a, stored, "save");
	key_form_put(a, typed, form);
	admin_form_end(a, _("Save"));
	html(&a->out, "</section>\n");
	put_switch(a, stored);
	if (!stored->disabled)
		put_rotate(a, stored);
	put_delete(a, stored, error);
	admin_end(a);
}

static void
show(struct admin *a)
{
	static const struct key_form fine;
	const char *id = admin_query(a, "id");
	struct key key;

	if (*id == '\0')
		put_new(a, &fine);
	else if (load(a, id, &key) == 0)
		put_key(a, &key, &key, &fine, NULL);
}

/* The one time that the key can be seen: on the answer to this POST alone. */
static void
put_secret(struct admin *a, const struct key *key, const char *title,
    const char *secret)
{
	char origin[ADMIN_ORIGIN_SIZE];

	admin_begin(a, title);
	html(&a->out,
	    "<p class=\"notice\" role=\"status\">%s</p>\n"
	    "<p><label for=\"secret\">%s</label><br>\n"
	    "<input id=\"secret\" class=\"secret mono\" type=\"text\" readonly "
	    "size=\"50\" autocomplete=\"off\" spellcheck=\"false\" "
	    "value=\"%s\"></p>\n",
	    _("Copy the key now. It is not kept here and will never be shown "
	      "again."),
	    _("The key"), secret);
	html(&a->out,
	    "<p>%s</p>\n<p><label for=\"base\">%s</label><br>\n"
	    "<input id=\"base\" class=\"mono\" type=\"text\" readonly "
	    "size=\"50\" value=\"%s/v1\"></p>\n",
	    _("Pass it on over a channel you trust, one key for each person "
	      "or app."),
	    _("Base URL for apps"), admin_origin(a, origin));
	html(&a->out, "<p><a href=\"/admin/key?id=%s\">%s</a></p>\n", key->id,
	    key->label);
	admin_end(a);
}

/* A form sent twice (by a reload) makes one key. 1 to go on. */
static int
is_first_time(struct admin *a)
{
	switch (session_once(&a->rules, admin_post(a, "csrf"), a->now)) {
	case 1:
		return 1;
	case 0:
		admin_fail(a, 409, _("This form was sent before"),
		    _("The key was made then, and shown then. If it is lost, "
		      "rotate or delete it."));
		return 0;
	default:
		admin_fail_store(a);
		return 0;
	}
}

static void
create(struct admin *a)
{
	char secret[KEYS_SECRET_SIZE];
	struct key key = { .id = "" };
	struct key_form form;

	key_form_read(a, &key, &form);
	if (form.n_errors > 0) {
		put_new(a, &form);
		return;
	}
	if (!is_first_time(a))
		return;
	if (keys_create(a->state_dir, &key, a->now, secret) != KEYS_OK) {
		admin_fail_store(a);
		return;
	}
	admin_audit(a, AUDIT_KEY_CREATED, key.id);
	put_secret(a, &key, _("The new key"), secret);
	secret_wipe(secret, sizeof(secret));
}

static void
take_settings(struct key *key, const void *arg)
{
	const struct key *from = arg;

	memcpy(key->label, from->label, sizeof(key->label));
	memcpy(key->models, from->models, sizeof(key->models));
	key->expires = from->expires;
	key->prompt_cache = from->prompt_cache;
	key->rate_limit = from->rate_limit;
	key->tokens_per_minute = from->tokens_per_minute;
	key->parallel = from->parallel;
	key->budget_eur = from->budget_eur;
	key->budget_tokens = from->budget_tokens;
}

/* Changes the posted key; 0, or -1 after answering. */
static int
change(struct admin *a, void (*how)(struct key *, const void *),
    const void *arg, enum audit_action action, struct key *out)
{
	const char *id = admin_post(a, "id");
	enum keys_result result = keys_change(a->state_dir, id, how, arg, out);

	if (result == KEYS_OK) {
		admin_audit(a, action, out->id);
		return 0;
	}
	if (result == KEYS_UNKNOWN)
		admin_fail(a, 404, _("There is no such key"), NULL);
	else
		admin_fail_store(a);
	return -1;
}

static void
save(struct admin *a)
{
	struct key stored, typed;
	struct key_form form;

	if (load(a, admin_post(a, "id"), &stored) == -1)
		return;
	typed = stored;
	key_form_read(a, &typed, &form);
	if (form.n_errors > 0) {
		put_key(a, &stored, &typed, &form, NULL);
		return;
	}
	if (change(a, take_settings, &typed, AUDIT_KEY_CHANGED, &stored) == 0)
		admin_redirect(a, "/admin/key?id=%s&done=saved", stored.id);
}

static void
set_disabled(struct key *key, const void *disabled)
{
	key->disabled = *(const int *)disabled;
	key->disabled_all = 0;
}

static void
disable(struct admin *a)
{
	struct key key;

	if (change(a, set_disabled, &(int){ 1 }, AUDIT_KEY_DISABLED, &key) == 0)
		admin_redirect(a, "/admin/key?id=%s&done=disabled", key.id);
}

static void
enable(struct admin *a)
{
	struct key key;

	if (change(a, set_disabled, &(int){ 0 }, AUDIT_KEY_ENABLED, &key) == 0)
		admin_redirect(a, "/admin/key?id=%s&done=enabled", key.id);
}

/* 24 hours unless one of the others is asked for. */
static int64_t
grace_of(const char *value)
{
	for (size_t i = 0; i < sizeof(graces) / sizeof(graces[0]); i++)
		if (strcmp(graces[i].value, value) == 0)
			return graces[i].seconds;
	return 24 * HOUR;
}

static void
rotate(struct admin *a)
{
	char secret[KEYS_SECRET_SIZE];
	struct key old, fresh;

	if (load(a, admin_post(a, "id"), &old) == -1 || !is_first_time(a))
		return;
	switch (keys_rotate(a->state_dir, old.id, a->now,
	    grace_of(admin_post(a, "grace")), &fresh, secret)) {
	case KEYS_OK:
		admin_audit(a, AUDIT_KEY_ROTATED, old.id);
		put_secret(a, &fresh, _("The new key"), secret);
		secret_wipe(secret, sizeof(secret));
		break;
	case KEYS_DISABLED:
		admin_fail(a, 409, _("The key is disabled"),
		    _("Enable it before rotating it."));
		break;
	default:
		admin_fail_store(a);
		break;
	}
}

static void
delete_key(struct admin *a)
{
	static const struct key_form fine;
	int erase = form_get(&a->post, "erase") != NULL;
	struct key key;

	if (load(a, admin_post(a, "id"), &key) == -1)
		return;
	if (form_get(&a->post, "sure") == NULL) {
		a->status = 422;
		put_key(a, &key, &key, &fine,
		    _("Tick the box that says you are sure."));
		return;
	}
	if (erase ? key_erase(a, &key) == -1
		  : keys_delete(a->state_dir, key.id) != KEYS_OK) {
		admin_fail_store(a);
		return;
	}
	/* What is erased leaves no name in the trail, either. */
	admin_audit(a, erase ? AUDIT_KEY_ERASED : AUDIT_KEY_DELETED,
	    erase ? "" : key.id);
	admin_redirect(a, "/admin/keys?done=%s", erase ? "erased" : "deleted");
}

static const struct admin_action actions[] = { { "create", create, 0 },
	{ "save", save, 0 }, { "disable", disable, 0 }, { "enable", enable, 0 },
	{ "rotate", rotate, 0 }, { "delete", delete_key, 0 },
	{ NULL, NULL, 0 } };

static const struct admin_page page = { "key", N_("Key"), show, actions, 0, 0 };

int
main(void)
{
	return admin_main(&page);
}
