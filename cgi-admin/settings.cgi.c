/* Settings in force at once, prices, and how the gate and the upstream are. */
#include <stdio.h>
#include <string.h>

#include "gate_state.h"
#include "lib/prices.h"
#include "lib/settings.h"
#include "lib/text.h"
#include "price_form.h"

/* What a person calls them; others go by what the configuration says. */
static const struct {
	enum config_name name;
	const char *text, *hint;
} known[] = {
	{ CONFIG_RATE_LIMIT_REQUESTS, N_("Requests of all keys together"),
	    N_("in a window; 0 is any number") },
	{ CONFIG_RATE_LIMIT_WINDOW, N_("Length of the window"),
	    N_("also of each key's own") },
	{ CONFIG_IP_RATE_LIMIT_REQUESTS, N_("Requests from one address"),
	    N_("in a window; 0 is any number") },
	{ CONFIG_IP_RATE_LIMIT_WINDOW, N_("Window for one address"), NULL },
	{ CONFIG_FAILED_AUTH_LIMIT, N_("Wrong keys from one address"),
	    N_("in a window; 0 is any number") },
	{ CONFIG_FAILED_AUTH_WINDOW, N_("Window for wrong keys"), NULL },
	{ CONFIG_BUDGET_WARNING, N_("Warn from this share of a budget"),
	    N_("in percent") },
	{ CONFIG_USAGE_RETENTION, N_("Usage is kept for"),
	    N_("at least 32d; what is older is removed within a day") },
	{ CONFIG_CONNECT_TIMEOUT, N_("Time to reach the upstream"), NULL },
	{ CONFIG_FIRST_BYTE_TIMEOUT, N_("Time until its answer begins"), NULL },
	{ CONFIG_IDLE_TIMEOUT, N_("Silence in an answer at most"), NULL },
	{ CONFIG_TOTAL_TIMEOUT, N_("Time for a whole answer at most"), NULL },
	{ CONFIG_KEEPALIVE_INTERVAL, N_("Sign of life in silent streams every"),
	    NULL },
};

#define N_KNOWN (sizeof(known) / sizeof(known[0]))

struct settings_form {
	const char *errors[CONFIG__MAX];
	char texts[CONFIG__MAX][96]; /* behind the errors */
	int n_errors;
};

static size_t
find_known(enum config_name name)
{
	size_t i = 0;

	while (i < N_KNOWN && known[i].name != name)
		i++;
	return i;
}

static void
put_setting(struct admin *a, enum config_name name,
    const struct settings_values *v, const struct settings_form *form)
{
	char number[CONFIG_NUMBER_SIZE], hint[256];
	size_t i = find_known(name);
	struct html_field f = { .name = config_label(name),
		.label = i < N_KNOWN ? _(known[i].text) : config_meaning(name),
		.value = number,
		.hint = hint,
		.error = form->errors[name],
		.size = 12,
		.maxlength = 20 };

	config_number_text(number, name, v->number[name]);
	(void)snprintf(hint, sizeof(hint), "%s%s%s%s",
	    i < N_KNOWN && known[i].hint != NULL ? _(known[i].hint) : "",
	    i < N_KNOWN && known[i].hint != NULL ? "; " : "",
	    config_label(name),
	    v->stored[name] ? _(", set here; empty goes back to the "
				"configuration's")
			    : "");
	if (form_get(&a->post, f.name) != NULL)
		f.value = admin_post(a, f.name);
	html_field(&a->out, &f);
}

static void
put_settings(struct admin *a, const struct settings_values *v,
    const struct settings_form *form)
{
	html(&a->out, "<section><h2>%s</h2>\n<p>%s</p>\n",
	    _("Limits and times"),
	    _("A change is in force for the next request. Times are seconds, "
	      "or a number with s, m, h or d."));
	admin_form(a, "save");
	html(&a->out, "<div class=\"grid\">\n");
	/* Those with texts first, in the order a reader thinks in. */
	for (size_t i = 0; i < N_KNOWN; i++)
		put_setting(a, known[i].name, v, form);
	for (enum config_name name = 0; name < CONFIG__MAX; name++)
		if (config_is_live(name) && find_known(name) == N_KNOWN)
			put_setting(a, name, v, form);
	html(&a->out, "</div>\n");
	admin_form_end(a, _("Save"));
	html(&a->out, "</section>\n");
}

static int
read_values(struct admin *a, struct settings_values *v)
{
	struct settings *s = settings_open(a->state_dir, a->config);
	int bad = s == NULL ? -1 : settings_read(s, v);

	settings_close(s);
	return bad;
}

static void
show_with(struct admin *a, const struct settings_form *form,
    const struct price_form *price)
{
	struct settings_values values = { .number = { 0 } };
	int bad = read_values(a, &values);

	admin_begin(a, NULL);
	admin_notice(a);
	if (form->n_errors + price->n_errors > 0)
		admin_say_errors(a, form->n_errors + price->n_errors);
	if (bad)
		html(&a->out, "<p class=\"problem\" role=\"alert\">%s</p>\n",
		    _("The settings cannot be read; the gate refuses requests. "
		      "See the server's log."));
	else
		put_settings(a, &values, form);
	price_form_put(a, price);
	gate_state_put(a);
	html(&a->out,
	    "<section><h2>%s</h2>\n<p><a href=\"/admin/login\">%s"
	    "</a></p></section>\n",
	    _("Sessions"), _("Your session, and ending all sessions"));
	admin_end(a);
}

static void
show(struct admin *a)
{
	static const struct settings_form fine;
	static const struct price_form fine_price;

	show_with(a, &fine, &fine_price);
}

/* Looks at all fields before any is stored. */
static void
check(struct admin *a, struct settings_form *form)
{
	char least[CONFIG_NUMBER_SIZE], most[CONFIG_NUMBER_SIZE];
	int64_t n, min, max;

	for (enum config_name name = 0; name < CONFIG__MAX; name++) {
		const char *typed = admin_post(a, config_label(name));

		if (!config_is_live(name) || *typed == '\0' ||
		    config_parse(name, typed, &n) == 0)
			continue;
		(void)config_is_number(name, &min, &max);
		(void)snprintf(form->texts[name], sizeof(form->texts[name]),
		    _("Not from %s to %s."),
		    config_number_text(least, name, min),
		    config_number_text(most, name, max));
		form->errors[name] = form->texts[name];
		form->n_errors++;
	}
}

/* 0, or -1: what was stored before the failure stays. */
static int
store(struct admin *a, enum config_name name, const struct settings_values *v)
{
	const char *typed = form_get(&a->post, config_label(name));
	int64_t n;

	if (typed == NULL)
		return 0;
	if (*typed == '\0') {
		if (!v->stored[name])
			return 0;
		if (settings_unset(a->state_dir, name) == -1)
			return -1;
	} else if (config_parse(name, typed, &n) == 0 && n == v->number[name])
		return 0;
	else if (settings_set(a->state_dir, name, typed) == -1)
		return -1;
	admin_audit(a, AUDIT_SETTING_CHANGED, config_label(name));
	return 0;
}

static void
save(struct admin *a)
{
	static const struct price_form fine_price;
	static struct settings_form form;
	struct settings_values values;
	int bad;

	check(a, &form);
	if (form.n_errors > 0) {
		show_with(a, &form, &fine_price);
		return;
	}
	bad = read_values(a, &values);
	for (enum config_name name = 0; name < CONFIG__MAX && !bad; name++)
		if (config_is_live(name))
			bad = store(a, name, &values);
	if (bad)
		admin_fail_store(a);
	else
		admin_redirect(a, "/admin/settings?done=saved");
}

static void
set_price(struct admin *a)
{
	static const struct settings_form fine;
	struct price_form form;

	price_form_read(a, &form);
	if (form.n_errors > 0) {
		show_with(a, &fine, &form);
		return;
	}
	if (prices_set(a->state_dir, form.model,
		form.back_to_list ? NULL : &form.price, a->now) == -1) {
		admin_fail_store(a);
		return;
	}
	admin_audit(a, AUDIT_SETTING_CHANGED, "prices");
	admin_redirect(a, "/admin/settings?done=saved");
}

static const struct admin_action actions[] = { { "save", save, 0 },
	{ "price", set_price, 0 }, { NULL, NULL, 0 } };

static const struct admin_page page = { "settings", N_("Settings"), show,
	actions, 0, 1 };

int
main(void)
{
	return admin_main(&page);
}
