/* The checks of /health/ready, and what models the upstream lists. */
#include "gate_state.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "lib/keys.h"
#include "lib/limits.h"
#include "lib/settings.h"
#include "lib/upstream.h"
#include "lib/usage.h"

#define LIST_MAX (1 << 20)
/* A page must not wait for an upstream in trouble. */
#define WAIT_MS 2000

struct listing {
	struct buf body;
	int status;
};

static int
on_head(void *arg, const struct upstream_head *head)
{
	struct listing *l = arg;

	l->status = head->status;
	return 0;
}

static int
on_body(void *arg, const char *p, size_t n)
{
	struct listing *l = arg;

	return buf_add(&l->body, p, n);
}

static int
on_pause(void *arg)
{
	(void)arg;
	return 0;
}

/* As the responders ask; 'l' has the answer. */
static enum upstream_end
ask(struct admin *a, struct listing *l)
{
	const char *key = config_text(a->config, CONFIG_PRIVATEMODE_API_KEY);
	struct upstream *up =
	    upstream_new(config_text(a->config, CONFIG_UPSTREAM_URL));
	char field[1024];
	const char *fields[] = { NULL, NULL };
	struct upstream_exchange x = { .method = "GET",
		.path = "/v1/models",
		.fields = fields,
		.connect_ms = WAIT_MS,
		.first_byte_ms = WAIT_MS,
		.idle_ms = WAIT_MS,
		.watch_fd = -1,
		.on_head = on_head,
		.on_body = on_body,
		.on_pause = on_pause,
		.arg = l };
	enum upstream_end end = UPSTREAM_UNREACHABLE;

	if (*key != '\0') {
		(void)snprintf(
		    field, sizeof(field), "Authorization: Bearer %s", key);
		fields[0] = field;
	}
	if (up != NULL)
		end = upstream_run(up, &x);
	upstream_free(up);
	secret_wipe(field, sizeof(field));
	return end;
}

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
put_models(struct admin *a, struct json_object *list)
{
	struct json_object *data = NULL, *id;
	size_t n;

	if (!json_object_is_type(list, json_type_object) ||
	    !json_object_object_get_ex(list, "data", &data) ||
	    !json_object_is_type(data, json_type_array))
		return;
	n = json_object_array_length(data);
	html(&a->out, "<dt>%s</dt><dd>", _("Models it lists"));
	for (size_t i = 0; i < n && i < 100; i++)
		if (json_object_object_get_ex(
			json_object_array_get_idx(data, i), "id", &id))
			html(&a->out, "<span class=\"mono\">%s</span><br>\n",
			    json_object_get_string(id));
	html(&a->out, "</dd>\n");
}

static void
put_upstream(struct admin *a)
{
	struct listing l = { .body = BUF(LIST_MAX) };
	enum upstream_end end = ask(a, &l);
	struct json_object *list = NULL;
	char text[64];

	if (end == UPSTREAM_DONE && l.status == 200)
		list = json_tokener_parse(l.body.data);
	if (list != NULL)
		put_line(a, _("Upstream"), 1, _("reachable"));
	else if (end == UPSTREAM_DONE) {
		(void)snprintf(
		    text, sizeof(text), _("it answers with %d"), l.status);
		put_line(a, _("Upstream"), 0, text);
	} else
		put_line(a, _("Upstream"), 0, _("cannot be reached"));
	put_models(a, list);
	json_object_put(list);
	buf_free(&l.body);
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
