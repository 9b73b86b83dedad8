/*
 * A request's CGI variables (RFC 3875, 4.1), filed by those names that are ever
 * asked for: one look at each, however many are asked for how often.
 */
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "http.h"
#include "http_internal.h"

/* So that no typo can hide. */
static const char *const names[HTTP_VARIABLE__MAX] = {
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
	[HTTP_METHOD] = "REQUEST_METHOD",
	[HTTP_TARGET] = "REQUEST_URI",
	[HTTP_PROTOCOL] = "SERVER_PROTOCOL",
	[HTTP_REMOTE_ADDRESS] = "REMOTE_ADDR",
	[HTTP_REMOTE_PORT] = "REMOTE_PORT",
	[HTTP_TLS] = "HTTPS",
	[HTTP_ROLE] = "FCGI_ROLE",
	[HTTP_TICKET] = "PMPROXY_TICKET",
	[HTTP_LENGTH_ASKED] = "PMPROXY_LENGTH",
	[HTTP_EARLY] = HTTP_EARLY_NAME,
};

#define NAME_MAX_LEN 40
_Static_assert(
    HTTP_VARIABLE__MAX <= HTTP_VARIABLES_MAX && HTTP_VARIABLES_MAX <= 32,
    "each has a place, and a bit");

static pthread_once_t once = PTHREAD_ONCE_INIT;
static uint32_t of_length[NAME_MAX_LEN + 1]; /* bit i for names[i] */

static void
sort_by_length(void)
{
	for (unsigned i = 0; i < HTTP_VARIABLE__MAX; i++)
		of_length[strlen(names[i])] |= UINT32_C(1) << i;
}

/* Which of the names that is, or HTTP_VARIABLE__MAX. */
static unsigned
find(const char *name, size_t n)
{
	uint32_t left = n <= NAME_MAX_LEN ? of_length[n] : 0;
	unsigned i;

	for (; left != 0; left &= left - 1) {
		i = (unsigned)__builtin_ctz(left);
		/* Most of one length end in another letter. */
		if (names[i][n - 1] == name[n - 1] &&
		    memcmp(names[i], name, n) == 0)
			return i;
	}
	return HTTP_VARIABLE__MAX;
}

int
http_file_variables(const char *const *env, const char *filed[])
{
	int twice = 0;

	(void)pthread_once(&once, sort_by_length); /* cannot fail */
	for (unsigned i = 0; i < HTTP_VARIABLE__MAX; i++)
		filed[i] = NULL;
	for (; *env != NULL; env++) {
		const char *end = strchr(*env, '=');
		unsigned i = end == NULL ? HTTP_VARIABLE__MAX
					 : find(*env, (size_t)(end - *env));

		if (i == HTTP_VARIABLE__MAX)
			continue;
		if (filed[i] == NULL)
			filed[i] = end + 1;
		else
			twice |= i < HTTP_FIELD__MAX;
	}
	return twice;
}
