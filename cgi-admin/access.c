/* Whose session a request belongs to, and where it was sent from. */
#include <inttypes.h>
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

/*
 * Where https is spoken for this host: by DOMAIN, or as the browser calls it.
 * On PORT if TLS ends here; a proxy in front has the usual one.
 */
static int
put_https_origin(const struct admin *a, char *dst, size_t size)
{
	const char *host = config_text(a->config, CONFIG_DOMAIN);
	int64_t port = 443;
	size_t len;
	int n;

	if (*host == '\0')
		host = http_field(&a->http, HTTP_HOST);
	if (host == NULL || !is_host(host))
		return -1;
	len = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
	if (len > strlen(host))
		return -1;
	if (*config_text(a->config, CONFIG_TLS_CERT_FILE) != '\0')
		port = config_number(a->config, CONFIG_PORT);
	if (port == 443)
		n = snprintf(dst, size, "https://%.*s", (int)len, host);
	else
		n = snprintf(
		    dst, size, "https://%.*s:%" PRId64, (int)len, host, port);
	return n > 0 && (size_t)n < size ? 0 : -1;
}

void
admin_refuse_plain(struct admin *a)
{
	const char *method = http_method(&a->http),
		   *query = http_query(&a->http);
	char origin[ADMIN_ORIGIN_SIZE];
	int n;

	/* What a form held has passed in the clear already: say so. */
	if ((strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) ||
	    put_https_origin(a, origin, sizeof(origin)) == -1) {
		admin_fail(a, 403, _("Only over HTTPS"),
		    _("These pages are not served over plain HTTP."));
		return;
	}
	n = snprintf(a->location, sizeof(a->location), "%s%s%s%s", origin,
	    http_path(&a->http), *query != '\0' ? "?" : "", query);
	/* Without a query that nobody types the page is still the same. */
	if (n < 0 || (size_t)n >= sizeof(a->location))
		(void)snprintf(a->location, sizeof(a->location), "%s%s", origin,
		    http_path(&a->http));
	a->status = 308;
}
