/*
 * Any document gives the same result whole, byte by byte and in two pieces;
 * values lie inside it; and a value spliced in is read back.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

#define N 6
#define TEXT 24

struct result {
	struct json_skim skim;
	struct json_member members[N];
	char text[N][TEXT];
	int valid;
};

static void
must(int what)
{
	if (!what)
		abort();
}

static void
begin(struct result *r)
{
	static const char *const paths[N] = { "", "a", "model", "usage",
		"usage.total", "usage.a.b" };
	size_t i;

	memset(r, 0, sizeof(*r));
	for (i = 0; i < N; i++) {
		r->members[i].path = paths[i];
		r->members[i].text = r->text[i];
		r->members[i].size = TEXT;
	}
	json_skim_init(&r->skim, r->members, N);
}

static void
end(struct result *r)
{
	r->valid = json_skim_end(&r->skim) == 0;
	must(r->valid == json_skim_complete(&r->skim));
}

static void
skim_pieces(struct result *r, const char *doc, size_t len, size_t piece)
{
	size_t at, n;

	begin(r);
	for (at = 0; at < len; at += n) {
		n = len - at < piece ? len - at : piece;
		(void)json_skim_feed(&r->skim, doc + at, n);
	}
	end(r);
}

static void
must_be_same(const struct result *a, const struct result *b, size_t len)
{
	size_t i;

	must(a->valid == b->valid);
	for (i = 0; i < N; i++) {
		const struct json_member *x = &a->members[i];
		const struct json_member *y = &b->members[i];

		must(x->type == y->type && x->start == y->start &&
		    x->end == y->end && x->count == y->count &&
		    x->nonempty == y->nonempty && x->truncated == y->truncated);
		must(strcmp(x->text, y->text) == 0);
		must(x->end <= len && (x->end == 0 || x->start < x->end));
		must(!a->valid || (x->end > 0) == (x->type != JSON_ABSENT));
	}
}

/* "7" in place of the member: still whole, and 7 is what is read there. */
static void
must_splice(const struct result *r, size_t i, const char *doc, size_t len)
{
	struct result spliced;
	const struct json_member *m = &r->members[i];
	int64_t seven;

	if (!r->valid || m->end == 0)
		return;
	begin(&spliced);
	(void)json_skim_feed(&spliced.skim, doc, m->start);
	(void)json_skim_feed(&spliced.skim, "7", 1);
	(void)json_skim_feed(&spliced.skim, doc + m->end, len - m->end);
	end(&spliced);
	must(spliced.valid);
	must(json_member_i64(&spliced.members[i], 7, 7, &seven) == 0);
	must(spliced.members[i].count == m->count);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *doc = (const char *)data;
	struct result whole, pieces;
	int64_t ms;
	size_t i;

	if (len > 65536)
		return 0;
	skim_pieces(&whole, doc, len, len + 1);
	skim_pieces(&pieces, doc, len, 1);
	must_be_same(&whole, &pieces, len);
	skim_pieces(&pieces, doc, len, len / 2 + 1);
	must_be_same(&whole, &pieces, len);
	for (i = 0; i < N; i++) {
		must_splice(&whole, i, doc, len);
		if (json_member_ms(&whole.members[i], &ms) == 0)
			must(ms >= 0);
	}
	return 0;
}
