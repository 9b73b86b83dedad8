/* Settings out of PMPROXY_CGI_ENV. */
#include "environment.h"

#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "lib/text.h"

/* Stays for the life of the process, as putenv(3) wants it. */
static int
put_all(char *text, size_t len)
{
	size_t n;

	for (char *at = text; at < text + len; at += n + 1) {
		n = strlen(at);
		if (strchr(at, '=') == NULL || putenv(at) != 0)
			return -1;
	}
	return 0;
}

int
environment_take(void)
{
	const char *hex = getenv("PMPROXY_CGI_ENV");
	size_t len = hex == NULL ? 0 : strlen(hex) / 2;
	char *text;

	if (len == 0)
		return 0;
	text = malloc(len + 1);
	if (text != NULL && text_unhex((unsigned char *)text, len, hex) == 0) {
		text[len] = '\0';
		if (put_all(text, len) == 0)
			return unsetenv("PMPROXY_CGI_ENV");
	}
	/* What was put into the environment may point into 'text'. */
	log_warnx("PMPROXY_CGI_ENV cannot be read");
	return -1;
}
