/* Logging in and out, and ending every session. */
#include <string.h>

#include "admin.h"
#include "lib/limits.h"
#include "lib/log.h"

static const struct {
	const char *name;
} after_login[] = { { "keys" }, { "key" }, { "usage" }, { "settings" },
	{ "audit" }, { "help" } };

/* A page of ours, or the first one. */
static const char *
next_page(const char *wanted)
{
	for (size_t i = 0; i < sizeof(after_login) / sizeof(after_login[0]);
	     i++)
		if (strcmp(after_login[i].name, wanted) == 0)
			return after_login[i].name;
	return "keys";
}

static void
put_form(struct admin *a, const char *error)
{
	struct html_field password = { .name = "password",
		.label = _("Admin password"),
		.value = "",
		.error = error,
		.type = "password",
		.autocomplete = "current-password",
		.size = 30,
		.required = 1 };
	const char *next =
	    a->posted ? admin_post(a, "next") : admin_query(a, "next");

	admin_form(a, "login");
	html_hidden(&a->out, "next", next_page(next));
	html_field(&a->out, &password);
	admin_form_end(a, _("Log in"));
}

static void
put_sessions(struct admin *a)
{
	int n = session_count(&a->rules, a->now);
	char began[ADMIN_VALUE_SIZE];

	html(&a->out, "<p>");
	html(&a->out, _("You are logged in. Your session %s began at %s."),
	    a->session.id, admin_time(began, a->session.created));
	html(&a->out, "</p>\n<h2>%s</h2>\n<p>", _("End all sessions"));
	html(&a->out,
	    _("Sessions that live now: %d. Ending them logs "
	      "everybody out, you as well."),
	    n < 0 ? 0 : n);
	html(&a->out, "</p>\n");
	admin_form(a, "end-all");
	admin_form_end_danger(a, _("End all sessions"));
}

static void
show(struct admin *a)
{
	admin_begin(a, a->logged_in ? _("Session") : NULL);
	admin_notice(a);
	if (a->logged_in)
		put_sessions(a);
	else
		put_form(a, NULL);
	admin_end(a);
}

static void
refuse(struct admin *a, int status, const char *error)
{
	a->status = status;
	admin_begin(a, NULL);
	put_form(a, error);
	admin_end(a);
}

static void
refuse_locked(struct admin *a, int64_t retry_ms)
{
	int64_t minutes;

	a->retry_s = (retry_ms + 999) / 1000;
	minutes = (a->retry_s + 59) / 60;
	a->status = 429;
	admin_begin(a, _("Too many wrong passwords"));
	html(&a->out, "<p>");
	html(&a->out,
	    _("Nobody can log in from here for now. Try again in %lld min."),
	    (long long)minutes);
	html(&a->out, "</p>\n");
	admin_end(a);
}

static void
let_in(struct admin *a)
{
	char token[SESSION_TOKEN_SIZE];

	/* A session from before ends: its token may be known to others. */
	if (a->logged_in && session_end(&a->rules, &a->session) == -1) {
		admin_fail_store(a);
		return;
	}
	if (session_begin(&a->rules, a->now, token, &a->session) == -1) {
		admin_fail_store(a);
		return;
	}
	admin_set_cookie(a, token);
	secret_wipe(token, sizeof(token));
	admin_audit(a, AUDIT_LOGIN, "");
	admin_redirect(a, "/admin/%s", next_page(admin_post(a, "next")));
}

static void
check(struct admin *a, struct limits *limits, struct session_attempt *attempt)
{
	switch (session_check_password(&a->rules, admin_post(a, "password"))) {
	case SESSION_PASSWORD_RIGHT:
		session_attempt_forgive(limits, attempt, limits_now());
		let_in(a);
		break;
	case SESSION_PASSWORD_WRONG:
	case SESSION_PASSWORD_NONE:
		log_warnx("a wrong admin password");
		refuse(a, 403, _("That is not the password."));
		break;
	case SESSION_PASSWORD_ERROR:
		admin_fail_store(a);
		break;
	}
}

/* Counts first, so that many tries at once find no gap. */
static void
login(struct admin *a)
{
	struct limits *limits =
	    limits_open(config_text(a->config, CONFIG_RUN_DIR), 1);
	struct session_attempt attempt;

	if (limits == NULL) {
		admin_fail_store(a);
		return;
	}
	switch (
	    session_attempt_take(limits, a->address, &attempt, limits_now())) {
	case LIMITS_ADMITTED:
		check(a, limits, &attempt);
		break;
	case LIMITS_REFUSED:
		refuse_locked(a, attempt.retry_ms);
		break;
	default:
		admin_fail_store(a);
		break;
	}
	limits_close(limits);
}

static void
logout(struct admin *a)
{
	if (session_end(&a->rules, &a->session) == -1) {
		admin_fail_store(a);
		return;
	}
	admin_audit(a, AUDIT_LOGOUT, "");
	admin_set_cookie(a, NULL);
	admin_redirect(a, "/admin/login?done=out");
}

static void
end_all(struct admin *a)
{
	if (session_end_all(&a->rules) == -1) {
		admin_fail_store(a);
		return;
	}
	admin_audit(a, AUDIT_SESSIONS_ENDED, "");
	admin_set_cookie(a, NULL);
	admin_redirect(a, "/admin/login?done=all-out");
}

static const struct admin_action actions[] = { { "login", login, 1 },
	{ "logout", logout, 0 }, { "end-all", end_all, 0 }, { NULL, NULL, 0 } };

static const struct admin_page page = { "login", N_("Log in"), show, actions, 1,
	0 };

int
main(void)
{
	return admin_main(&page);
}
