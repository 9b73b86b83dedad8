/*
 * A key's record: one that is taken has sound settings, and is the same key
 * when it is written and read again, members of a later version included.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/keys_record.h"

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
	struct keys_record first, second;
	struct buf old = BUF(KEYS_RECORD_MAX), out = BUF(KEYS_RECORD_MAX);

	if (len > 16384)
		return 0;
	memset(&first, 0, sizeof(first));
	memset(&second, 0, sizeof(second));
	/* NUL-terminated, as db_get gives it. */
	must(buf_add(&old, data, len) == 0);
	if (keys_record_parse("key_1", old.data, old.len, &first) == 0) {
		must(key_problem(&first.key) == NULL);
		must(strcmp(first.key.id, "key_1") == 0);
		must(keys_record_write(&first, &old, &out) == 0);
		must(keys_record_parse("key_1", out.data, out.len, &second) ==
		    0);
		must(memcmp(first.hash, second.hash, sizeof(first.hash)) == 0);
		must(strcmp(first.key.label, second.key.label) == 0);
		must(strcmp(first.key.models, second.key.models) == 0);
		must(first.key.expires == second.key.expires &&
		    first.key.disabled == second.key.disabled &&
		    first.key.budget_eur == second.key.budget_eur &&
		    first.key.budget_tokens == second.key.budget_tokens &&
		    first.key.rate_limit == second.key.rate_limit);
		/* A glance lets in, or not, whom the whole record would. */
		must(keys_record_glance(old.data, old.len, &second) == 0);
		must(memcmp(first.hash, second.hash, sizeof(first.hash)) == 0);
		must(first.key.expires == second.key.expires &&
		    first.key.disabled == second.key.disabled);
	}
	buf_free(&old);
	buf_free(&out);
	return 0;
}
