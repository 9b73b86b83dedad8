/* What came: the request as CGI variables (RFC 3875, 4.1). */
#include "http.h"

#include <fcgiapp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "http_internal.h"
#include "text.h"

#define PATH_LEN_MAX 2048

/* CGI names of the fields (RFC 3875, 4.1.18), so that no typo can hide. */
static const char *const cgi_name[HTTP_FIELD__MAX] = {
	[HTTP_ACCEPT] = "HTTP_ACCEPT",
	[HTTP_ACCEPT_LANGUAGE] = "HTTP_ACCEPT_LANGUAGE",
	[HTTP_AUTHORIZATION] = "HTTP_AUTHORIZATION",
	[HTTP_ANTHROPIC_BETA] = "HTTP_ANTHROPIC_BETA",
	[HTTP_ANTHROPIC_VERSION] = "HTTP_ANTHROPIC_VERSION",
	[HTTP_CONTENT_LENGTH] = "CONTENT_LENGTH",
	[HTTP_CONTENT_LENGTH_SENT] = "HTTP_CONTENT_LENGTH",
	[HTTP_CONTENT_TYPE] = "CONTENT_TYPE",
	[HTTP_COOKIE] = "HTTP_COOKIE",
	[HTTP_FORWARDED] = "HTTP_FORWARDED",
	[HTTP_HOST] = "HTTP_HOST",
	[HTTP_OPENAI_BETA] = "HTTP_OPENAI_BETA",
	[HTTP_ORIGIN] = "HTTP_ORIGIN",
	[HTTP_REQUEST_METHOD_ASKED] = "HTTP_ACCESS_CONTROL_REQUEST_METHOD",
	[HTTP_SEC_FETCH_SITE] = "HTTP_SEC_FETCH_SITE",
	[HTTP_TRANSFER_ENCODING] = "HTTP_TRANSFER_ENCODING",
	[HTTP_X_API_KEY] = "HTTP_X_API_KEY",
	[HTTP_X_FORWARDED_FOR] = "HTTP_X_FORWARDED_FOR",
	[HTTP_X_FORWARDED_PROTO] = "HTTP_X_FORWARDED_PROTO",
};

/* setenv(3) moves the process's environment, so it is asked for each time. */
static const char *const *
variables(const struct http *h)
{
	if (h->fcgx != NULL)
		return (const char *const *)h->fcgx->envp;
	return h->cgi ? (const char *const *)environ : h->env;
}

/* The value of "NAME=value", or NULL. Most differ in their first letters. */
static const char *
value_of(const char *v, const char *name)
{
	while (*name != '\0' && *v == *name) {
		v++;
		name++;
	}
	return *name == '\0' && *v == '=' ? v + 1 : NULL;
}

const char *
http_variable(const struct http *h, const char *name)
{
	const char *value;

	for (const char *const *v = variables(h); *v != NULL; v++)
		if ((value = value_of(*v, name)) != NULL)
			return value;
	return NULL;
}

const char *
http_method(const struct http *h)
{
	const char *method = http_variable(h, "REQUEST_METHOD");

	return method != NULL ? method : "";
}

const char *
http_path(struct http *h)
{
	const char *target;
	size_t n;

	if (h->path != NULL)
		return h->path;
	target = http_variable(h, "REQUEST_URI");
	if (target == NULL)
		return "";
	n = strcspn(target, "?#");
	if (n > PATH_LEN_MAX || !http_is_plain_path(target, n) ||
	    (h->path = strndup(target, n)) == NULL)
		return "";
	h->path_len = n;
	return h->path;
}

const char *
http_query(const struct http *h)
{
	const char *target = http_variable(h, "REQUEST_URI");
	const char *query = target == NULL ? NULL : strchr(target, '?');

	return query != NULL ? query + 1 : "";
}

const char *
http_field(const struct http *h, enum http_field field)
{
	return http_variable(h, cgi_name[field]);
}

/* The first letter behind "HTTP_": most fields differ in it. */
static char
letter(const char *name)
{
	return strncmp(name, "HTTP_", 5) == 0 ? name[5] : name[0];
}

int
http_is_ambiguous(const struct http *h)
{
	const char *const *v = variables(h);
	char letters[HTTP_FIELD__MAX];
	unsigned seen = 0;

	for (unsigned i = 0; i < HTTP_FIELD__MAX; i++)
		letters[i] = letter(cgi_name[i]);
	for (; *v != NULL; v++) {
		char first = letter(*v);

		for (unsigned i = 0; i < HTTP_FIELD__MAX; i++) {
			if (letters[i] != first ||
			    value_of(*v, cgi_name[i]) == NULL)
				continue;
			if ((seen & 1u << i) != 0)
				return 1;
			seen |= 1u << i;
		}
	}
	return 0;
}

const char *
http_remote_address(const struct http *h)
{
	const char *address = http_variable(h, "REMOTE_ADDR");

	return address != NULL ? address : "";
}

uint16_t
http_remote_port(const struct http *h)
{
	const char *port = http_variable(h, "REMOTE_PORT");
	int64_t n;

	if (port == NULL || text_to_i64(port, 1, UINT16_MAX, &n) == -1)
		return 0;
	return (uint16_t)n;
}

/* libfcgi's word for the role that the web server calls it in. */
int
http_is_asking(const struct http *h)
{
	const char *role = http_variable(h, "FCGI_ROLE");

	return role != NULL && strcmp(role, "AUTHORIZER") == 0;
}

/* No header of a client's has a name like this here. */
uint64_t
http_ticket(const struct http *h)
{
	const char *ticket = http_variable(h, "PMPROXY_TICKET");
	int64_t n;

	if (ticket == NULL || text_to_i64(ticket, 1, INT64_MAX, &n) == -1)
		return 0;
	return (uint64_t)n;
}

int
http_was_asked(const struct http *h)
{
	return http_variable(h, "PMPROXY_TICKET") != NULL;
}

int
http_is_tls(const struct http *h)
{
	const char *https = http_variable(h, "HTTPS");

	return https != NULL && strcasecmp(https, "on") == 0;
}

int64_t
http_body_announced(const struct http *h)
{
	const char *length = http_field(h, HTTP_CONTENT_LENGTH);
	int64_t n;

	if (http_is_asking(h))
		length = http_variable(h, "PMPROXY_LENGTH") == NULL
		    ? NULL
		    : http_field(h, HTTP_CONTENT_LENGTH_SENT);
	if (length == NULL || *length == '\0')
		return 0;
	return text_to_i64(length, 0, INT64_MAX, &n) == 0 ? n : -1;
}
