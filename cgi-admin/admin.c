/* The life of one request to an admin page. */
#include "admin.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "environment.h"
#include "lib/db.h"
#include "lib/log.h"
#include "lib/sandbox.h"
#include "lib/text.h"

#define BODY_MAX 65536 /* our longest form is a few KiB */
#define QUERY_MAX 8192
#define PAGE_MAX (8 << 20) /* a CSV of a thousand keys by the hour */

/* Keys and passwords pass through: nothing is left in freed memory. */
static void
harden(void)
{
	if (sandbox_private() == -1)
		exit(1);
#ifndef __SANITIZE_ADDRESS__ /* whose allocator has no such switch */
	(void)mallopt(M_PERTURB, 0xa5); /* as good as it gets */
#endif
}

static const char *
field_of(const struct form *f, const char *name)
{
	const char *value = form_get(f, name);

	return value != NULL ? value : "";
}

const char *
admin_query(const struct admin *a, const char *name)
{
	return field_of(&a->query, name);
}

const char *
admin_post(const struct admin *a, const char *name)
{
	return field_of(&a->post, name);
}

int64_t
admin_query_number(const struct admin *a, const char *name, int64_t min,
    int64_t max, int64_t fallback)
{
	int64_t n;

	return text_to_i64(admin_query(a, name), min, max, &n) == 0 ? n
								    : fallback;
}

void
admin_audit(struct admin *a, enum audit_action action, const char *subject)
{
	/* The change itself is made: it stands, and the log has the failure. */
	(void)audit_add(a->state_dir, a->now, a->session.id, action, subject);
}

static void
set_rules(struct admin *a)
{
	unsigned char message[1 + HTTP_NETWORK_SIZE] = "a";
	unsigned char digest[SECRET_DIGEST_LEN];
	size_t n = http_client_network(&a->http, &a->peers, message + 1);

	secret_hmac(digest, a->secret, message, n + 1);
	memcpy(&a->address, digest, sizeof(a->address));
	a->address |= 1; /* 0 means nobody's */
	a->rules = (struct session_rules){ .state_dir = a->state_dir,
		.secret = a->secret,
		.password = config_text(a->config, CONFIG_ADMIN_PASSWORD),
		.idle_s = config_number(a->config, CONFIG_ADMIN_IDLE),
		.absolute_s = config_number(a->config, CONFIG_ADMIN_LIFETIME),
		.address = config_number(a->config, CONFIG_ADMIN_BIND_ADDRESS)
		    ? a->address
		    : 0 };
}

static int
prepare(struct admin *a, const struct admin_page *page)
{
	log_init(page->name);
	harden();
	if (!page->tls)
		secret_start_small();
	a->page = page;
	a->now = time(NULL);
	a->status = 200;
	a->out = (struct buf)BUF(PAGE_MAX);
	a->texts[0] = (struct buf)BUF(QUERY_MAX);
	a->texts[1] = (struct buf)BUF(QUERY_MAX);
	a->texts[2] = (struct buf)BUF(BODY_MAX);
	if (environment_take() == -1)
		return -1;
	http_from_cgi(&a->http);
	if ((a->config = config_load()) == NULL ||
	    config_peers(a->config, &a->peers) == -1)
		return -1;
	a->state_dir = config_text(a->config, CONFIG_STATE_DIR);
	a->secure = http_is_secure(&a->http, &a->peers);
	if (secret_installation(a->state_dir, a->secret) == -1)
		return -1;
	set_rules(a);
	return 0;
}

/* 0, or -1 when it is no form of ours. */
static int
read_post(struct admin *a)
{
	static const char type[] = "application/x-www-form-urlencoded";
	const char *given = http_field(&a->http, HTTP_CONTENT_TYPE);

	if (given == NULL || strncasecmp(given, type, sizeof(type) - 1) != 0 ||
	    http_body(&a->http, &a->texts[2]) != HTTP_BODY_OK ||
	    strlen(a->texts[2].data) != a->texts[2].len)
		return -1;
	return form_parse(&a->post, a->texts[2].data);
}

static int
read_request(struct admin *a)
{
	const char *cookies = http_field(&a->http, HTTP_COOKIE);

	a->posted = strcmp(http_method(&a->http), "POST") == 0;
	if (buf_puts(&a->texts[1], cookies != NULL ? cookies : "") == 0)
		form_parse_cookies(&a->cookies, a->texts[1].data);
	if (buf_puts(&a->texts[0], http_query(&a->http)) == -1 ||
	    form_parse(&a->query, a->texts[0].data) == -1)
		return -1;
	return a->posted ? read_post(a) : 0;
}

static int
is_own_path(struct admin *a)
{
	const char *path = http_path(&a->http), *public = "/help";

	if (strcmp(a->page->name, "help") == 0 && strcmp(path, public) == 0)
		return config_number(a->config, CONFIG_PUBLIC_HELP) != 0;
	return strncmp(path, "/admin/", 7) == 0 &&
	    strcmp(path + 7, a->page->name) == 0;
}

static int
is_public_help(struct admin *a)
{
	return strcmp(http_path(&a->http), "/help") == 0;
}

/* 1 when there is nothing more to decide. */
static int
refuse_all(struct admin *a)
{
	int some = session_has_password(&a->rules);
	const char *method = http_method(&a->http);

	if (!is_own_path(a))
		admin_fail(a, 404, _("There is no such page"), NULL);
	else if (some == -1)
		admin_fail_store(a);
	else if (!some && !is_public_help(a))
		admin_fail(a, 403, _("The admin pages are off"),
		    _("No admin password is set. Set one on the host with "
		      "\"pmkey admin-password\", or as ADMIN_PASSWORD."));
	else if (!a->secure && config_number(a->config, CONFIG_FORCE_HTTPS))
		admin_refuse_plain(a);
	else if (!a->posted && strcmp(method, "GET") != 0 &&
	    strcmp(method, "HEAD") != 0)
		admin_fail(a, 405, _("That cannot be done here"), NULL);
	else
		return 0;
	return 1;
}

static void
show(struct admin *a)
{
	if (a->logged_in || a->page->open || is_public_help(a))
		a->page->show(a);
	else
		admin_redirect(a, "/admin/login?next=%s", a->page->name);
}

static const struct admin_action *
find_action(const struct admin *a)
{
	const char *name = admin_post(a, "do");
	const struct admin_action *action = a->page->actions;

	while (action != NULL && action->name != NULL &&
	    strcmp(action->name, name) != 0)
		action++;
	return action != NULL && action->name != NULL ? action : NULL;
}

/* Which form a token is for: one of another form does not fit. */
static void
form_name(char dst[32], const struct admin *a, const char *action)
{
	(void)snprintf(dst, 32, "%s.%s", a->page->name, action);
}

static void
act(struct admin *a)
{
	const struct admin_action *action = find_action(a);
	char form[32];

	if (!admin_same_origin(a)) {
		admin_fail(a, 403, _("That form came from another site"),
		    _("Nothing was changed."));
		return;
	}
	if (action == NULL || is_public_help(a)) {
		admin_fail(a, 400, _("That form is not known here"),
		    _("Nothing was changed."));
		return;
	}
	form_name(form, a, action->name);
	if (!action->open && !a->logged_in)
		admin_fail(a, 403, _("Your session has ended"),
		    _("Nothing was changed. Please log in again."));
	else if (!action->open &&
	    !session_csrf_ok(
		&a->rules, &a->session, form, admin_post(a, "csrf")))
		admin_fail(a, 403, _("This form is out of date"),
		    _("Nothing was changed. Please go back, reload the page "
		      "and try again."));
	else
		action->run(a);
}

void
admin_form(struct admin *a, const char *action)
{
	char token[SESSION_CSRF_SIZE], form[32];

	html(&a->out, "<form method=\"post\" action=\"/admin/%s\">\n",
	    a->page->name);
	html_hidden(&a->out, "do", action);
	if (!a->logged_in)
		return;
	form_name(form, a, action);
	session_csrf(&a->rules, &a->session, form, token);
	html_hidden(&a->out, "csrf", token);
}

static void
answer(struct admin *a)
{
	int readable = read_request(a) == 0;

	admin_choose_language(a);
	if (refuse_all(a))
		return;
	if (!readable)
		admin_fail(a, 400, _("That request cannot be read"),
		    _("Nothing was changed."));
	else if (admin_find_session(a) == SESSION_ERROR)
		admin_fail_store(a);
	else if (a->posted)
		act(a);
	else
		show(a);
}

/* Fields of every answer that the web server does not add. */
static void
send_head(struct admin *a)
{
	struct http *h = &a->http;
	int bad = http_status(h, a->status);

	bad |= http_head(h, "Content-Type", "%s",
	    a->type != NULL ? a->type : "text/html; charset=utf-8");
	/* no-cache says nothing more, but lynx does not know no-store. */
	bad |= http_head(h, "Cache-Control", "no-store, no-cache");
	bad |= http_head(h, "Vary", "Cookie, Accept-Language");
	if (config_number(a->config, CONFIG_FORCE_HTTPS))
		bad |= http_head_https_only(h, &a->peers);
	if (a->location[0] != '\0')
		bad |= http_head(h, "Location", "%s", a->location);
	if (a->disposition[0] != '\0')
		bad |=
		    http_head(h, "Content-Disposition", "%s", a->disposition);
	if (a->cookie[0] != '\0')
		bad |= http_head(h, "Set-Cookie", "%s", a->cookie);
	if (a->language_cookie[0] != '\0')
		bad |= http_head(h, "Set-Cookie", "%s", a->language_cookie);
	if (a->retry_s > 0)
		bad |=
		    http_head(h, "Retry-After", "%lld", (long long)a->retry_s);
	if (bad)
		log_warnx("a header field is missing from the answer");
}

static void
send_answer(struct admin *a)
{
	if (a->out.failed) {
		log_warnx("a page is too large, or memory is out");
		buf_reset(&a->out);
		a->type = NULL;
		a->disposition[0] = a->location[0] = '\0';
		admin_fail(a, 500, _("Something went wrong"), NULL);
	}
	send_head(a);
	/* Nobody is left to tell when this fails. */
	if (strcmp(http_method(&a->http), "HEAD") != 0)
		(void)http_write(&a->http, a->out.data, a->out.len);
	http_end(&a->http);
}

int
admin_main(const struct admin_page *page)
{
	static struct admin a;

	db_map_files();
	if (prepare(&a, page) == -1) {
		/* Without settings there are no pages; the log says why. */
		static const char text[] =
		    "Status: 503\r\nContent-Type: text/plain\r\n"
		    "Cache-Control: no-store\r\n\r\n"
		    "The admin pages cannot start. The server's log says why.\n";

		(void)fwrite(text, 1, sizeof(text) - 1, stdout);
		return 0;
	}
	answer(&a);
	send_answer(&a);
	for (int i = 0; i < 3; i++)
		buf_free(&a.texts[i]);
	buf_free(&a.out);
	config_free(a.config);
	secret_wipe(&a, sizeof(a));
	return 0;
}
