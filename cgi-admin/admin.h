/*
 * admin.h - what the admin pages share: one request, from the environment a
 * CGI program gets to the page it answers with.
 *
 * A page is a program with a table of what can be done there. Who may, with
 * which token, and what becomes of a failure is decided here for all of them.
 */
#ifndef PMPROXY_CGI_ADMIN_ADMIN_H
#define PMPROXY_CGI_ADMIN_ADMIN_H

#include <libintl.h>
#include <stdint.h>

#include "lib/audit.h"
#include "lib/buf.h"
#include "lib/config.h"
#include "lib/form.h"
#include "lib/html.h"
#include "lib/http.h"
#include "lib/peers.h"
#include "lib/session.h"

/* Texts stand in English in the source; po/ holds the other languages. */
/* NOLINTNEXTLINE(cert-dcl51-cpp): the name that gettext's tools look for */
#define _(text) gettext(text)
/* In a table: translated where it is shown. */
#define N_(text) text

#define ADMIN_ROWS 50 /* in a list, before it goes on on another page */

struct admin;

struct admin_action {
	const char *name; /* what a form sends as "do" */
	void (*run)(struct admin *);
	int open; /* without a session and a token */
};

struct admin_page {
	const char *name; /* in its path, /admin/NAME */
	const char *title; /* N_() */
	void (*show)(struct admin *);
	const struct admin_action *actions; /* ends with a NULL name */
	int open; /* to be seen without a session */
	int tls; /* it may speak TLS itself */
};

struct admin {
	const struct admin_page *page;
	struct http http;
	struct config *config;
	const char *state_dir;
	int64_t now; /* Unix seconds */
	struct peers peers; /* proxies that are believed */
	int secure; /* TLS, as the browser sees it */
	const char *language;
	unsigned char secret[SECRET_DIGEST_LEN];
	uint64_t address; /* hash of the client's */
	struct session_rules rules;
	struct session session;
	int logged_in;
	struct buf texts[3]; /* behind the forms */
	struct form query, post, cookies;
	int posted; /* this is a POST: forms show what was typed */

	/* The answer. */
	int status;
	struct buf out;
	const char *type; /* NULL: HTML */
	char location[1024]; /* a redirect, or "" */
	char disposition[96]; /* or "" */
	char cookie[160], language_cookie[128]; /* to be set, or "" */
	int64_t retry_s; /* 0: none */
};

/* The whole life of the program; returns what main is to return. */
int admin_main(const struct admin_page *);

/* --- what was asked: never NULL, "" when absent --- */

const char *admin_query(const struct admin *, const char *name);
const char *admin_post(const struct admin *, const char *name);
/* A whole number of the query, or 'fallback'. */
int64_t admin_query_number(const struct admin *, const char *name, int64_t min,
    int64_t max, int64_t fallback);

/* --- access.c --- */

/* Finds the session of the cookie. SESSION_ERROR: nothing can be said. */
enum session_result admin_find_session(struct admin *);
/* Sets the cookie; NULL takes it away. */
void admin_set_cookie(struct admin *, const char *token);
/* 1 when the request came from a page of this host, or when nobody says. */
int admin_same_origin(const struct admin *);
/* "https://gate.example.org" as the browser calls it, or "" */
#define ADMIN_ORIGIN_SIZE 300
const char *admin_origin(const struct admin *, char dst[ADMIN_ORIGIN_SIZE]);
/* Over plain HTTP: sends a GET on to the same page under https. */
void admin_refuse_plain(struct admin *);

/* --- frame.c: the page around --- */

/* Opens the page; 'title' NULL takes the page's own. */
void admin_begin(struct admin *, const char *title);
void admin_end(struct admin *);
/* A whole page that says what is wrong. */
void
admin_fail(struct admin *, int status, const char *title, const char *text);
/* The store cannot be read or written: see the log. */
void admin_fail_store(struct admin *);
/* What came of the form before, as "done" in the query names it. */
void admin_notice(struct admin *);
/* A box above a form that has errors. */
void admin_say_errors(struct admin *, int n);
/* 303 to a path of ours with values already safe in it. */
void admin_redirect(struct admin *, const char *fmt, ...) HTML_PRINTF(2, 3);
/* Links to the other parts of a list; 'query' ends in "page=", escaped. */
void
admin_pager(struct admin *, const char *query, int64_t page, int64_t n_rows);

/* --- forms --- */

/* Opens a form that posts to this page what is to be done, with its token. */
void admin_form(struct admin *, const char *action);
void admin_form_end(struct admin *, const char *button);
/* The same, with the button of something that cannot be taken back. */
void admin_form_end_danger(struct admin *, const char *button);

/* --- language.c --- */

struct admin_language {
	const char *code, *name;
};
extern const struct admin_language admin_languages[];
void admin_choose_language(struct admin *);

/* --- show.c: values as people read them --- */

#define ADMIN_VALUE_SIZE 48
/* "1 234 567" with spaces that do not break. Return dst. */
char *admin_number(char dst[ADMIN_VALUE_SIZE], int64_t n);
/* "12.34"; what is less than one with four digits, "0" for nothing. */
char *admin_eur(char dst[ADMIN_VALUE_SIZE], int64_t nano);
/* "2026-11-22", and "2026-11-22 18:00 UTC". */
char *admin_day(char dst[ADMIN_VALUE_SIZE], int64_t unix_s);
char *admin_time(char dst[ADMIN_VALUE_SIZE], int64_t unix_s);
/* Unix seconds of the start of that day, and of its month. */
int64_t admin_day_start(int64_t unix_s);
int64_t admin_month_start(int64_t unix_s);

/* An entry of the audit trail for what this session just did. */
void admin_audit(struct admin *, enum audit_action, const char *subject);

#endif
