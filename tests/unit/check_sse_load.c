/* What bench/sse-load makes of the bytes of a stream, and of its times. */
#include <stdlib.h>
#include <string.h>

#include "bench/sse_stream.h"
#include "bench/sse_tally.h"
#include "tests/unit/suite.h"

#define HEAD "HTTP/1.1 200 OK\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n"

/* An answer, and what it is. */
static const struct {
	const char *why, *bytes;
	int status, done, ended, broken;
	int64_t events, lost, merged, times;
} rows[] = {
	{ "two events and an end",
	    HEAD "d\r\ndata: @0:7;\n\n\r\n"
		 "1b\r\ndata: @1:8;\n\ndata: [DONE]\n\n\r\n0\r\n\r\n",
	    200, 1, 1, 0, 2, 0, 0, 15 },
	{ "events that go over chunks",
	    HEAD "8\r\ndata: @0\r\n3\r\n:12\r\n7\r\n3;\n\ndat\r\n"
		 "A\r\na: [DONE]\n\r\n1\r\n\n\r\n0\r\n\r\n",
	    200, 1, 1, 0, 1, 0, 0, 123 },
	{ "without chunks",
	    "HTTP/1.1 200 OK\r\n\r\ndata: \"@0:5;\"\r\n\r\n"
	    "data: [DONE]\r\n\r\n",
	    200, 1, 0, 0, 1, 0, 0, 5 },
	{ "cut before its end", HEAD "d\r\ndata: @0:7;\n\n\r\n1b\r\ndata: @1:8",
	    200, 0, 0, 0, 1, 0, 0, 7 },
	{ "a number left out, two at the beginning",
	    "HTTP/1.1 200 OK\r\n\r\ndata: @2:1;\n\ndata: @3:1;\n\n"
	    "data: @5:1;\n\n",
	    200, 0, 0, 0, 3, 3, 0, 3 },
	{ "one that comes twice",
	    "HTTP/1.1 200 OK\r\n\r\ndata: @0:1;\n\ndata: @0:1;\n\n"
	    "data: @1:1;\n\n",
	    200, 0, 0, 0, 3, 1, 0, 3 },
	{ "two in one event",
	    "HTTP/1.1 200 OK\r\n\r\ndata: @0:1;@1:1;\n\ndata: @2:1;\n\n", 200,
	    0, 0, 0, 3, 0, 1, 3 },
	{ "what is no stamp",
	    "HTTP/1.1 200 OK\r\n\r\ndata: @;@:;@1;@1:;@:1;@1:x;@@1:1:1;x@0\n:1;",
	    200, 0, 0, 0, 0, 0, 0, 0 },
	{ "no end but its letters",
	    "HTTP/1.1 200 OK\r\n\r\ndata: [DONE]!\n\nx data: [DONE]\n\n", 200,
	    0, 0, 0, 0, 0, 0, 0 },
	{ "refused", "HTTP/1.1 429 Too Many\r\n\r\n", 429, 0, 0, 0, 0, 0, 0,
	    0 },
	{ "no HTTP", "SSH-2.0-x\r\n", 0, 0, 0, 1, 0, 0, 0, 0 },
	{ "a chunk without a size", HEAD "x\r\n", 200, 0, 0, 1, 0, 0, 0, 0 },
	{ "a chunk that is longer than said", HEAD "1\r\nabc\r\n", 200, 0, 0, 1,
	    0, 0, 0, 0 },
};

static void
add_time(void *whose, int64_t at_us)
{
	*(int64_t *)whose += at_us;
}

static void
row_check(int i, const struct sse_stream *s, int64_t times, size_t split)
{
	ck_assert_msg(s->status == rows[i].status && s->done == rows[i].done &&
		s->ended == rows[i].ended && s->broken == rows[i].broken &&
		s->events == rows[i].events && s->lost == rows[i].lost &&
		s->merged == rows[i].merged && times == rows[i].times,
	    "%s, split at %zu: status %d done %d ended %d broken %d events "
	    "%lld lost %lld merged %lld times %lld",
	    rows[i].why, split, s->status, s->done, s->ended, s->broken,
	    (long long)s->events, (long long)s->lost, (long long)s->merged,
	    (long long)times);
}

START_TEST(streams_are_read_in_any_pieces)
{
	const char *bytes = rows[_i].bytes;
	size_t n = strlen(bytes), split;

	for (split = 0; split <= n; split++) {
		struct sse_stream s = { 0 };
		int64_t times = 0;

		sse_stream_feed(&s, bytes, split, add_time, &times);
		sse_stream_feed(&s, bytes + split, n - split, add_time, &times);
		row_check(_i, &s, times, split);
	}
}
END_TEST

START_TEST(what_follows_the_end_is_ignored)
{
	static const char more[] = "data: @1:9;\n\n";
	struct sse_stream s = { 0 };
	int64_t times = 0;

	sse_stream_feed(
	    &s, rows[0].bytes, strlen(rows[0].bytes), add_time, &times);
	sse_stream_feed(&s, more, strlen(more), add_time, &times);
	row_check(0, &s, times, 0);
}
END_TEST

/* So many times, 1 us to n us the wrong way round, and what is printed. */
static const struct {
	const char *why, *text;
	int64_t n;
} tallies[] = {
	{ "none", "\"t\":null", 0 },
	{ "one", "\"t\":{\"n\":1,\"p50\":1,\"p99\":1,\"p999\":1,\"max\":1}",
	    1 },
	{ "a hundred",
	    "\"t\":{\"n\":100,\"p50\":50,\"p99\":99,\"p999\":100,\"max\":100}",
	    100 },
	{ "more than fit at first",
	    "\"t\":{\"n\":10000,\"p50\":5000,\"p99\":9900,\"p999\":9990,"
	    "\"max\":10000}",
	    10000 },
};

START_TEST(shares_are_exact)
{
	struct sse_tally t = { 0 };
	char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);
	int64_t i;

	ck_assert_ptr_nonnull(to);
	for (i = tallies[_i].n; i > 0; i--)
		sse_tally_add(&t, i);
	sse_tally_print(&t, "t", to);
	ck_assert_int_eq(fclose(to), 0);
	ck_assert_msg(strcmp(text, tallies[_i].text) == 0, "%s: %s",
	    tallies[_i].why, text);
	free(text);
	sse_tally_free(&t);
}
END_TEST

int
main(void)
{
	TCase *stream = tcase_create("stream"), *tally = tcase_create("tally");

	ADD_ROWS(stream, streams_are_read_in_any_pieces, rows);
	tcase_add_test(stream, what_follows_the_end_is_ignored);
	ADD_ROWS(tally, shares_are_exact, tallies);
	return suite_run("sse-load", stream, tally, NULL);
}
