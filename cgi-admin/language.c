/*
 * Texts in the reader's language, through gettext(3). The system's locales
 * need not be there: C.UTF-8 is part of libc-bin, and once the locale is not
 * "C", LANGUAGE alone decides.
 */
#include <limits.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "admin.h"
#include "lib/log.h"

const struct admin_language admin_languages[] = { { "en", "English" },
	{ "es", "Español" }, { NULL, NULL } };

/* The language with that code, region and all behind it ignored; or NULL. */
static const char *
known(const char *code, size_t n)
{
	for (const struct admin_language *l = admin_languages; l->code; l++)
		if (n >= 2 && strncasecmp(code, l->code, 2) == 0 &&
		    (n == 2 || code[2] == '-'))
			return l->code;
	return NULL;
}

/* "0.8" in thousandths; what is no weight counts as 1. */
static int
weight_of(const char *s, size_t n)
{
	const char *q = memmem(s, n, "q=", 2);
	int weight = 0, digits = 0;

	if (q == NULL || q[2] != '0')
		return 1000;
	for (q += 3; digits < 3; digits++) {
		if (digits == 0 && *q == '.')
			q++;
		weight *= 10;
		if (q < s + n && *q >= '0' && *q <= '9')
			weight += *q++ - '0';
	}
	return weight;
}

/* The most wanted of those we have (RFC 9110, 12.5.4); or NULL. */
static const char *
accepted(const char *list)
{
	const char *best = NULL, *code;
	int most = 0, weight;
	size_t n;

	for (; *list != '\0'; list += n + (list[n] == ',')) {
		list += strspn(list, " \t");
		n = strcspn(list, ",");
		code = known(list, strcspn(list, ",; \t"));
		weight = weight_of(list, n);
		if (code != NULL && weight > most) {
			best = code;
			most = weight;
		}
	}
	return best;
}

/* Asked for by a link, remembered from one, or what the browser prefers. */
static const char *
choose(struct admin *a)
{
	const char *asked = admin_query(a, "lang");
	const char *kept = form_get(&a->cookies, "pmproxy-lang");
	const char *header = http_field(&a->http, HTTP_ACCEPT_LANGUAGE);
	const char *code = known(asked, strlen(asked));

	if (code != NULL) {
		(void)snprintf(a->language_cookie, sizeof(a->language_cookie),
		    "pmproxy-lang=%s; Path=/; Max-Age=31536000; HttpOnly; "
		    "SameSite=Strict%s",
		    code, a->secure ? "; Secure" : "");
		return code;
	}
	if (kept != NULL && (code = known(kept, strlen(kept))) != NULL)
		return code;
	if (header != NULL && (code = accepted(header)) != NULL)
		return code;
	return admin_languages[0].code;
}

/* Translations lie beside the program. */
static int
find_texts(char path[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 16);
	char *slash;

	if (n == -1)
		return -1;
	path[n] = '\0';
	if ((slash = strrchr(path, '/')) == NULL)
		return -1;
	memcpy(slash, "/locale", sizeof("/locale"));
	return 0;
}

void
admin_choose_language(struct admin *a)
{
	char path[PATH_MAX];

	a->language = choose(a);
	if (strcmp(a->language, "en") == 0)
		return;
	if (setlocale(LC_MESSAGES, "C.UTF-8") == NULL ||
	    setenv("LANGUAGE", a->language, 1) == -1 ||
	    find_texts(path) == -1 || bindtextdomain("pmproxy", path) == NULL ||
	    bind_textdomain_codeset("pmproxy", "UTF-8") == NULL ||
	    textdomain("pmproxy") == NULL) {
		log_warn("no texts in '%s'", a->language);
		a->language = "en";
	}
}
