/*
 * A line of the journal: one that can be read is written again as it was read,
 * by whatever road it came; what is written can always be read.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/usage_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
must(int what)
{
	if (!what)
		abort();
}

static void
must_come_back(const struct usage_record *r)
{
	struct usage_record again = { .at = r->at };
	char line[USAGE_LINE_SIZE];
	size_t n = usage_line_format(line, r);

	must(n > 2 && n < USAGE_LINE_SIZE);
	must(line[0] == '\n' && line[n - 1] == '\n');
	must(memchr(line + 1, '\n', n - 2) == NULL);
	must(usage_line_parse(line + 1, n - 2, &again) == 0);
	must(again.prompt >= 0 && again.total >= 0);
}

/* Any bytes at all as a record: names without an end, wild numbers. */
static void
must_write(const uint8_t *data, size_t len)
{
	struct usage_record wild;

	memset(&wild, 0, sizeof(wild));
	memcpy(&wild, data, len < sizeof(wild) ? len : sizeof(wild));
	must_come_back(&wild);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct usage_record r, again;
	char line[USAGE_LINE_SIZE];
	size_t n;

	must_write(data, len);
	memset(&r, 0, sizeof(r));
	memset(&again, 0, sizeof(again));
	if (usage_line_parse((const char *)data, len, &r) == -1)
		return 0;
	must_come_back(&r);
	n = usage_line_format(line, &r);
	must(usage_line_parse(line + 1, n - 2, &again) == 0);
	must(strcmp(r.key_id, again.key_id) == 0);
	must(strcmp(r.model, again.model) == 0);
	must(strcmp(r.endpoint, again.endpoint) == 0);
	must(r.total == again.total && r.prompt == again.prompt &&
	    r.completion == again.completion && r.cached == again.cached);
	must(r.audio_bytes == again.audio_bytes &&
	    r.audio_ms == again.audio_ms && r.estimated == again.estimated);
	must(r.first_byte_ms == again.first_byte_ms &&
	    r.status_class == again.status_class);
	return 0;
}
