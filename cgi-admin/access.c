/* Whose session a request belongs to, and where it was sent from. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "admin.h"

/* A browser takes the first name only from this host, over TLS, for "/". */
static const char *
cookie_name(const struct admin *a)
{
	return a->secure ? "__Host-pmproxy" : "pmproxy";
}

enum session_result
admin_find_session(struct admin *a)
{
	const char *token = form_get(&a->cookies, cookie_name(a));
	enum session_result result;

	if (token == NULL)
		return SESSION_NONE;
	result = session_find(&a->rules, token, a->now, &a->session);
	a->logged_in = result == SESSION_OK;
	return result;
}

void
admin_set_cookie(struct admin *a, const char *token)
{
	(void)snprintf(a->cookie, sizeof(a->cookie),
	    "%s=%s; Path=%s; HttpOnly; SameSite=Strict%s%s", cookie_name(a),
	    token != NULL ? token : "", a->secure ? "/" : "/admin",
	    a->secure ? "; Secure" : "", token != NULL ? "" : "; Max-Age=0");
}

/* A name or address with a port perhaps: nothing that could be markup. */
static int
is_host(const char *s)
{
	size_t n = strspn(s,
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "0123456789.-:[]");

	return n > 0 && n < 256 && s[n] == '\0';
}

const char *
admin_origin(const struct admin *a, char dst[ADMIN_ORIGIN_SIZE])
{
	const char *host = http_field(&a->http, HTTP_HOST);

	dst[0] = '\0';
	if (host != NULL && is_host(host))
		(void)snprintf(dst, ADMIN_ORIGIN_SIZE, "%s://%s",
		    a->secure ? "https" : "http", host);
	return dst;
}

/*
 * Browsers say where a form was, text browsers often do not; for those the
 * token and the cookie's SameSite stand alone.
 */
int
admin_same_origin(const struct admin *a)
{
	const char *site = http_field(&a->http, HTTP_SEC_FETCH_SITE);
	const char *origin = http_field(&a->http, HTTP_ORIGIN);
	char own[ADMIN_ORIGIN_SIZE];

	if (site != NULL && strcmp(site, "same-origin") != 0)
		return 0;
	return origin == NULL ||
	    (*admin_origin(a, own) != '\0' && strcasecmp(origin, own) == 0);
}
