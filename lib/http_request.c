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
#define HEAD_MAX 16384 /* of an answer */

void
http_from_fcgx(struct http *h, struct FCGX_Request *fcgx, int whole)
{
	*h = (struct http){ .fcgx = fcgx, .head = BUF(HEAD_MAX) };
	h->read_bound = whole; /* none waits */
	h->ambiguous =
	    http_file_variables((const char *const *)fcgx->envp, h->variables);
}

void
http_from_cgi(struct http *h)
{
	*h = (struct http){ .cgi = 1, .head = BUF(HEAD_MAX) };
}

void
http_from_memory(struct http *h, const char *const *env, const char *body,
    size_t len, struct buf *out)
{
	*h = (struct http){ .memory_body = body,
		.memory_left = len,
		.memory_out = out,
		.head = BUF(HEAD_MAX) };
	h->ambiguous = http_file_variables(env, h->variables);
}

/* Of a CGI program they are looked for each time: setenv(3) moves them. */
const char *
http_variable(const struct http *h, unsigned which)
{
	const char *filed[HTTP_VARIABLE__MAX];

	if (!h->cgi)
		return h->variables[which];
	(void)http_file_variables((const char *const *)environ, filed);
	return filed[which];
}

const char *
http_method(const struct http *h)
{
	const char *method = http_variable(h, HTTP_METHOD);

	return method != NULL ? method : "";
}

const char *
http_path(struct http *h)
{
	const char *target;
	size_t n;

	if (h->path != NULL)
		return h->path;
	target = http_variable(h, HTTP_TARGET);
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
	const char *target = http_variable(h, HTTP_TARGET);
	const char *query = target == NULL ? NULL : strchr(target, '?');

	return query != NULL ? query + 1 : "";
}

const char *
http_field(const struct http *h, enum http_field field)
{
	return http_variable(h, field);
}

int
http_is_ambiguous(const struct http *h)
{
	const char *filed[HTTP_VARIABLE__MAX];

	if (!h->cgi)
		return h->ambiguous;
	return http_file_variables((const char *const *)environ, filed);
}

const char *
http_remote_address(const struct http *h)
{
	const char *address = http_variable(h, HTTP_REMOTE_ADDRESS);

	return address != NULL ? address : "";
}

uint16_t
http_remote_port(const struct http *h)
{
	const char *port = http_variable(h, HTTP_REMOTE_PORT);
	int64_t n;

	if (port == NULL || text_to_i64(port, 1, UINT16_MAX, &n) == -1)
		return 0;
	return (uint16_t)n;
}

/* libfcgi's word for the role that the web server calls it in. */
int
http_is_asking(const struct http *h)
{
	const char *role = http_variable(h, HTTP_ROLE);

	return role != NULL && strcmp(role, "AUTHORIZER") == 0;
}

/* No header of a client's has a name like this here. */
uint64_t
http_ticket(const struct http *h)
{
	const char *ticket = http_variable(h, HTTP_TICKET);
	int64_t n;

	if (ticket == NULL || text_to_i64(ticket, 1, INT64_MAX, &n) == -1)
		return 0;
	return (uint64_t)n;
}

int
http_was_asked(const struct http *h)
{
	return http_variable(h, HTTP_TICKET) != NULL;
}

int
http_is_tls(const struct http *h)
{
	const char *https = http_variable(h, HTTP_TLS);

	return https != NULL && strcasecmp(https, "on") == 0;
}

int64_t
http_body_announced(const struct http *h)
{
	const char *length = http_field(h, HTTP_CONTENT_LENGTH);
	int64_t n;

	if (http_is_asking(h))
		length = http_variable(h, HTTP_LENGTH_ASKED) == NULL
		    ? NULL
		    : http_field(h, HTTP_CONTENT_LENGTH_SENT);
	if (length == NULL || *length == '\0')
		return 0;
	return text_to_i64(length, 0, INT64_MAX, &n) == 0 ? n : -1;
}
