/* The checks of /health/ready, and what models the upstream lists. */
#include "gate_state.h"

#include "lib/keys.h"
#include "lib/limits.h"
#include "lib/probe.h"
#include "lib/settings.h"
#include "lib/usage.h"

/* A page must not wait for an upstream in trouble. */
#define WAIT_MS 2000

static void
put_line(struct admin *a, const char *what, int good, const char *text)
{
	html(&a->out,
	    "<dt>%s</dt><dd><span class=\"state %s\">%s</span></dd>\n", what,
	    good ? "yes" : "no", text);
}

static void
put_check(struct admin *a, const char *what, int good)
{
	put_line(a, what, good, good ? _("fine") : _("failed: see the log"));
}

static void
put_models(struct admin *a, const struct probe *look)
{
	html(&a->out, "<dt>%s</dt><dd>", _("Models it lists"));
	for (size_t i = 0; i < look->n; i++)
		html(&a->out, "<span class=\"mono\">%s</span><br>\n",
		    look->models[i]);
	html(&a->out, "</dd>\n");
}

/* As a responder sees it, asked this moment. */
static void
put_upstream(struct admin *a)
{
	static const char *const texts[PROBE_STATE__MAX] = {
		[PROBE_REACHABLE] = N_("reachable"),
		[PROBE_REFUSED] = N_("it refuses the Privatemode key"),
		[PROBE_SILENT] = N_("it does not answer"),
		[PROBE_UNREACHABLE] = N_("cannot be reached"),
	};
	const char *run_dir = config_text(a->config, CONFIG_RUN_DIR);
	struct probe look;

	switch (probe_ask(run_dir, WAIT_MS, &look)) {
	case 1:
		put_line(a, _("Upstream"), look.state == PROBE_REACHABLE,
		    _(texts[look.state]));
		if (look.n > 0)
			put_models(a, &look);
		break;
	case 0:
		put_line(a, _("Upstream"), 0,
		    _("no answer yet: look again in a moment"));
		break;
	default:
		put_line(a, _("Upstream"), 0,
		    _("not known: no responder answers, see the log"));
	}
}

static int
keys_are_fine(struct admin *a)
{
	struct keys *keys = keys_open(a->state_dir, NULL);
	int good = keys != NULL && keys_check(keys) == KEYS_OK;

	keys_close(keys);
	return good;
}

static int
settings_are_fine(struct admin *a)
{
	struct settings *s = settings_open(a->state_dir, a->config);
	struct settings_values values;
	int good = s != NULL && settings_read(s, &values) == 0;

	settings_close(s);
	return good;
}

static int
limits_are_fine(struct admin *a)
{
	struct limits *l =
	    limits_open(config_text(a->config, CONFIG_RUN_DIR), 1);
	int good = l != NULL && limits_check(l) == 0;

	limits_close(l);
	return good;
}

static int
journal_is_fine(struct admin *a)
{
	struct usage_journal *j = usage_journal_open(a->state_dir);
	int good = j != NULL && usage_journal_check(j) == 0;

	usage_journal_close(j);
	return good;
}

void
gate_state_put(struct admin *a)
{
	int key = *config_text(a->config, CONFIG_PRIVATEMODE_API_KEY) != '\0' ||
	    *config_text(a->config, CONFIG_PRIVATEMODE_API_KEY_FILE) != '\0';

	html(&a->out, "<section><h2>%s</h2>\n<dl class=\"facts\">\n",
	    _("State"));
	put_upstream(a);
	html(&a->out, "<dt>%s</dt><dd>%s</dd>\n", _("Privatemode key"),
	    key ? _("configured here")
		: _("not configured here; privatemode-proxy may have it"));
	put_check(a, _("Key store"), keys_are_fine(a));
	put_check(a, _("Settings"), settings_are_fine(a));
	put_check(a, _("Limits in shared memory"), limits_are_fine(a));
	put_check(a, _("Journal of usage"), journal_is_fine(a));
	html(&a->out, "</dl></section>\n");
}
