/*
 * The first byte chooses: an urlencoded form or a Cookie header. Names are
 * given once, everything lies in the text, and no value holds a NUL.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/form.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
must(int what)
{
	if (!what)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct form f;
	char *text;

	if (len < 1 || len > 65536)
		return 0;
	must((text = malloc(len)) != NULL);
	memcpy(text, data + 1, len - 1);
	text[len - 1] = '\0';
	memset(&f, 0, sizeof(f));
	if (data[0] % 2 == 0) {
		form_parse_cookies(&f, text);
	} else if (form_parse(&f, text) == -1) {
		must(f.n == 0);
	} else {
		for (size_t i = 0; i < f.n; i++)
			must(form_get(&f, f.fields[i].name) ==
			    f.fields[i].value);
	}
	must(f.n <= FORM_FIELDS_MAX);
	for (size_t i = 0; i < f.n; i++) {
		must(f.fields[i].name >= text && f.fields[i].name < text + len);
		must(f.fields[i].value >= text &&
		    f.fields[i].value + strlen(f.fields[i].value) < text + len);
	}
	free(text);
	return 0;
}
