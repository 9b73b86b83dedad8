/*
 * The meter against recorded-looking answers. Every row is run whole, byte by
 * byte and in random pieces, and must give the same bytes and counts.
 */
#include <check.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/meter.h"
#include "tests/unit/suite.h"

/* What a relay would have sent, and what it would know. */
struct outcome {
	struct meter meter;
	struct buf out, held;
	size_t n_last; /* METER_LAST verdicts */
	size_t before_last; /* bytes sent when the (first) one came */
	size_t held_most;
};

static void
relay(struct outcome *o, const char *p, size_t n)
{
	enum meter_verdict verdict;
	size_t used, given;

	for (; n > 0; p += used, n -= used) {
		given =
		    random_below(2) == 0 ? n : 1 + random_below((unsigned)n);
		used = meter_step(&o->meter, p, given, &verdict);
		MUST(used >= 1 && used <= given);
		if (verdict == METER_DROP) {
			buf_reset(&o->held);
			continue;
		}
		MUST(buf_add(&o->held, p, used) == 0);
		if (verdict == METER_HOLD) {
			if (o->held.len > o->held_most)
				o->held_most = o->held.len;
			continue;
		}
		if (verdict == METER_LAST && o->n_last++ == 0)
			o->before_last = o->out.len;
		MUST(buf_add(&o->out, o->held.data, o->held.len) == 0);
		buf_reset(&o->held);
	}
}

static void
run(struct outcome *o, enum meter_format format, int strip, const char *p,
    size_t len, unsigned piece_max)
{
	size_t n;

	*o = (struct outcome){ .out = BUF(1U << 24), .held = BUF(1U << 24) };
	meter_init(&o->meter, format, strip);
	for (; len > 0; p += n, len -= n) {
		n = 1 + random_below(piece_max);
		if (n > len)
			n = len;
		relay(o, p, n);
	}
	meter_end(&o->meter);
	MUST(o->held_most <= METER_HOLD_MAX);
	MUST(buf_add(&o->out, o->held.data, o->held.len) == 0);
}

static void
outcome_free(struct outcome *o)
{
	buf_free(&o->out);
	buf_free(&o->held);
}

static void
require_same(const struct outcome *a, const struct outcome *b, const char *why)
{
	const struct meter *x = &a->meter, *y = &b->meter;

#define REQUIRE(what)                                                        \
	do {                                                                 \
		if (!(what))                                                 \
			ck_abort_msg(                                        \
			    "seed %llu: %s: %s", random_seed, #what, (why)); \
	} while (0)
	REQUIRE(a->out.len == b->out.len);
	REQUIRE(memcmp(a->out.data, b->out.data, a->out.len) == 0);
	REQUIRE(a->n_last == b->n_last);
	REQUIRE(a->before_last == b->before_last);
	REQUIRE(x->events == y->events);
	REQUIRE(x->finished == y->finished);
	REQUIRE(x->failed == y->failed);
	REQUIRE(strcmp(x->model, y->model) == 0);
	REQUIRE(memcmp(&x->usage, &y->usage, sizeof(x->usage)) == 0);
}

/* Runs it in every kind of pieces; the outcome of the whole is the caller's. */
static void
run_all(struct outcome *whole, enum meter_format format, int strip,
    const char *p, size_t len, const char *why)
{
	static const unsigned piece_max[] = { 1, 2, 7, 64, 1000, 20000 };
	struct outcome pieces;
	size_t i;

	run(whole, format, strip, p, len, 1U << 30);
	for (i = 0; i < sizeof(piece_max) / sizeof(piece_max[0]); i++) {
		run(&pieces, format, strip, p, len, piece_max[i]);
		require_same(whole, &pieces, why);
		outcome_free(&pieces);
	}
}

/* --- event streams --- */

#define HEAD                                                           \
	"{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\"," \
	"\"created\":1763800000,\"model\":\"gpt-oss-120b\","
#define CHUNK(text, usage)                                         \
	"data: " HEAD                                              \
	"\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" text \
	"\"},\"finish_reason\":null}]" usage "}"
#define USAGE(prompt, completion, total)                                \
	"\"usage\":{\"prompt_tokens\":" prompt                          \
	",\"completion_tokens\":" completion ",\"total_tokens\":" total \
	",\"prompt_tokens_details\":{\"cached_tokens\":4}}"
#define USAGE_ONLY "data: " HEAD "\"choices\":[]," USAGE("10", "2", "12") "}"
#define DONE "data: [DONE]\n\n"

#define ANTHROPIC_START                                                    \
	"event: message_start\n"                                           \
	"data: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\"," \
	"\"type\":\"message\",\"role\":\"assistant\",\"content\":[],"      \
	"\"model\":\"gemma-3-27b\",\"usage\":{\"input_tokens\":25,"        \
	"\"cache_creation_input_tokens\":3,\"cache_read_input_tokens\":7," \
	"\"output_tokens\":1}}}\n\n"
#define ANTHROPIC_DELTA                                                  \
	"event: content_block_delta\n"                                   \
	"data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":" \
	"{\"type\":\"text_delta\",\"text\":\"Hello\"}}\n\n"
#define ANTHROPIC_USAGE(output)                                         \
	"event: message_delta\n"                                        \
	"data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":" \
	"\"end_turn\"},\"usage\":{\"output_tokens\":" output "}}\n\n"
#define ANTHROPIC_STOP \
	"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"

static const struct stream {
	const char *why, *in;
	const char *stripped; /* NULL: the same as in */
	const char *last; /* the end that came with METER_LAST; "" for none */
	int64_t events;
	int finished, failed;
	const char *model;
	struct meter_usage usage;
} streams[] = {
	{ "OpenAI with usage at the end",
	    CHUNK("He", ",\"usage\":null") "\n\n" CHUNK(
		"llo", ",\"usage\":null") "\n\n" USAGE_ONLY "\n\n" DONE,
	    CHUNK("He", ",\"usage\":null") "\n\n" CHUNK(
		"llo", ",\"usage\":null") "\n\n" DONE,
	    DONE, 2, 1, 0, "gpt-oss-120b", { 10, 2, 4, 12, 0, 1 } },
	{ "the same with CRLF",
	    CHUNK("He", "") "\r\n\r\n" USAGE_ONLY "\r\n\r\n"
			    "data: [DONE]\r\n\r\n",
	    CHUNK("He", "") "\r\n\r\ndata: [DONE]\r\n\r\n",
	    "data: [DONE]\r\n\r\n", 1, 1, 0, "gpt-oss-120b",
	    { 10, 2, 4, 12, 0, 1 } },
	{ "the same with CR",
	    CHUNK("He", "") "\r\r" USAGE_ONLY "\r\rdata: [DONE]\r\r",
	    CHUNK("He", "") "\r\rdata: [DONE]\r\r", "data: [DONE]\r\r", 1, 1, 0,
	    "gpt-oss-120b", { 10, 2, 4, 12, 0, 1 } },
	{ "a byte order mark before the first event",
	    "\xef\xbb\xbf" CHUNK("a", "," USAGE("1", "1", "2")) "\n\n" DONE,
	    NULL, DONE, 1, 1, 0, "gpt-oss-120b", { 1, 1, 4, 2, 0, 1 } },
	{ "a second byte order mark makes an unknown field",
	    "\xef\xbb\xbf\xef\xbb\xbf" DONE, NULL, "", 0, 0, 0, "", { 0 } },
	{ "vLLM's usage on each chunk: the last one counts, not the sum",
	    CHUNK("a", "," USAGE("9", "1", "10")) "\n\n" CHUNK(
		"b", "," USAGE("9", "2", "11")) "\n\n" DONE,
	    NULL, DONE, 2, 1, 0, "gpt-oss-120b", { 9, 2, 4, 11, 0, 1 } },
	{ "a later chunk without usage takes none back",
	    CHUNK("a", "," USAGE("9", "1", "10")) "\n\n" CHUNK(
		"b", ",\"usage\":null") "\n\n" CHUNK("c", "") "\n\n" DONE,
	    NULL, DONE, 3, 1, 0, "gpt-oss-120b", { 9, 1, 4, 10, 0, 1 } },
	{ "cached tokens do not outlive their chunk",
	    CHUNK("a", "," USAGE("9", "1", "10")) "\n\n" CHUNK("b",
		",\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2}") "\n\n",
	    NULL, "", 2, 0, 0, "gpt-oss-120b", { 9, 2, 0, 11, 0, 1 } },
	{ "nor do its other tokens",
	    CHUNK("a", "," USAGE("9", "1", "10")) "\n\n" CHUNK(
		"b", ",\"usage\":{\"completion_tokens\":2}") "\n\n",
	    NULL, "", 2, 0, 0, "gpt-oss-120b", { 0, 2, 0, 2, 0, 1 } },
	{ "no usage anywhere", CHUNK("a", "") "\n\n" DONE, NULL, DONE, 1, 1, 0,
	    "gpt-oss-120b", { 0 } },
	{ "usage before choices",
	    "data: {" USAGE("1", "2", "3") ",\"choices\":[]}\n\n", "", "", 0, 0,
	    0, "", { 1, 2, 4, 3, 0, 1 } },
	{ "an empty choices array with spaces in it",
	    "data: {\"choices\": [ ] , " USAGE("1", "2", "3") "}\n\n", "", "",
	    0, 0, 0, "", { 1, 2, 4, 3, 0, 1 } },
	{ "empty choices without usage pass (Azure's first chunk)",
	    "data: {\"choices\":[],\"x\":1}\n\n", NULL, "", 1, 0, 0, "",
	    { 0 } },
	{ "empty choices with null usage pass",
	    "data: {\"choices\":[],\"usage\":null}\n\n", NULL, "", 1, 0, 0, "",
	    { 0 } },
	{ "usage without choices passes",
	    "data: {" USAGE("1", "2", "3") "}\n\n", NULL, "", 1, 0, 0, "",
	    { 1, 2, 4, 3, 0, 1 } },
	{ "choices given twice pass",
	    "data: {\"choices\":[1],\"choices\":[]," USAGE(
		"1", "2", "3") "}\n\n",
	    NULL, "", 1, 0, 0, "", { 1, 2, 4, 3, 0, 1 } },
	{ "usage given twice passes",
	    "data: {\"choices\":[],\"usage\":null," USAGE(
		"1", "2", "3") "}\n\n",
	    NULL, "", 1, 0, 0, "", { 1, 2, 4, 3, 0, 1 } },
	{ "an error beside usage passes",
	    "data: {\"choices\":[],\"usage\":{},\"error\":{}}\n\n", NULL, "", 1,
	    0, 1, "", { 0 } },
	{ "broken data passes and is not believed",
	    "data: {\"choices\":[]," USAGE("1", "2", "3") "}}\n\n", NULL, "", 1,
	    0, 0, "", { 0 } },
	{ "the whole event goes: its other lines and its blank line",
	    ": keep-alive\nevent: message\nid: 7\n: inside\n" USAGE_ONLY
	    "\nretry: 1\n\n" DONE,
	    ": keep-alive\n" DONE, DONE, 0, 1, 0, "gpt-oss-120b",
	    { 10, 2, 4, 12, 0, 1 } },
	{ "data over several lines is one document",
	    "data: {\"choices\":\ndata:[],\ndata: " USAGE(
		"1", "2", "3") "\ndata\ndata:}\n\n" DONE,
	    DONE, DONE, 0, 1, 0, "", { 1, 2, 4, 3, 0, 1 } },
	{ "a line end inside a string breaks it",
	    "data: {\"model\":\"a\ndata: b\"}\n\n", NULL, "", 1, 0, 0, "",
	    { 0 } },
	{ "blank lines and comments between events",
	    "\n\n: ping\n\n" CHUNK("a", "") "\n\n\n: ping\n\n" DONE, NULL, DONE,
	    1, 1, 0, "gpt-oss-120b", { 0 } },
	{ "fields that only look like data",
	    "Data: [DONE]\n\ndatas: [DONE]\n\n data: [DONE]\n\n: data: x\n\n",
	    NULL, "", 0, 0, 0, "", { 0 } },
	{ "no space after the colon", "data:[DONE]\n\n", NULL,
	    "data:[DONE]\n\n", 0, 1, 0, "", { 0 } },
	{ "two spaces are not the end", "data:  [DONE]\n\n", NULL, "", 1, 0, 0,
	    "", { 0 } },
	{ "nearly the end", "data: [DONE]x\n\ndata: [DON\n\ndata: [DOME]\n\n",
	    NULL, "", 3, 0, 0, "", { 0 } },
	{ "the end within content is no end",
	    CHUNK("data: [DONE]\\n\\n", "") "\n\n", NULL, "", 1, 0, 0,
	    "gpt-oss-120b", { 0 } },
	{ "lines behind the end are still of its event",
	    "data: [DONE]\nid: 1\n\n", NULL, "data: [DONE]\nid: 1\n\n", 0, 1, 0,
	    "", { 0 } },
	{ "lines before the end", "id: 1\ndata: [DONE]\n\n", NULL, NULL, 0, 1,
	    0, "", { 0 } },
	{ "what follows the end passes unread",
	    DONE DONE "data: {\"choices\":[],\"usage\":{}}\n\n", NULL, NULL, 0,
	    1, 0, "", { 0 } },
	{ "the end without its blank line", CHUNK("a", "") "\n\ndata: [DONE]\n",
	    NULL, "", 1, 1, 0, "gpt-oss-120b", { 0 } },
	{ "the end without its line end", CHUNK("a", "") "\n\ndata: [DONE]",
	    NULL, "", 1, 1, 0, "gpt-oss-120b", { 0 } },
	{ "usage without its blank line, held to the end, is sent",
	    CHUNK("a", "") "\n\n" USAGE_ONLY, NULL, "", 1, 0, 0, "gpt-oss-120b",
	    { 10, 2, 4, 12, 0, 1 } },
	{ "cut inside content: nothing of it counts",
	    CHUNK("a", "") "\n\ndata: " HEAD "\"choices\":[{\"delta\":{\"co",
	    NULL, "", 1, 0, 0, "gpt-oss-120b", { 0 } },
	{ "cut behind whole usage: that counts",
	    "data: {" USAGE("1", "2", "3") ",\"choices\":[{\"delta\":", NULL,
	    "", 0, 0, 0, "", { 1, 2, 4, 3, 0, 1 } },
	{ "cut inside usage: that does not",
	    "data: {\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2",
	    NULL, "", 0, 0, 0, "", { 0 } },
	{ "an OpenAI error, then the end",
	    CHUNK(
		"a", "") "\n\ndata: {\"error\":{\"message\":\"no\"}}\n\n" DONE,
	    NULL, DONE, 2, 1, 1, "gpt-oss-120b", { 0 } },
	{ "error: null is none", "data: {\"error\":null}\n\n", NULL, "", 1, 0,
	    0, "", { 0 } },
	{ "an Anthropic error",
	    "event: error\ndata: {\"type\":\"error\",\"error\":{}}\n\n", NULL,
	    "", 1, 0, 1, "", { 0 } },
	{ "Anthropic's two sides; the output is cumulative",
	    ANTHROPIC_START ANTHROPIC_DELTA ANTHROPIC_USAGE("9")
		ANTHROPIC_USAGE("15") ANTHROPIC_STOP,
	    NULL, ANTHROPIC_STOP, 4, 1, 0, "gemma-3-27b",
	    { 35, 15, 7, 50, 0, 1 } },
	{ "a null keeps what was known",
	    ANTHROPIC_START ANTHROPIC_USAGE("8")
		ANTHROPIC_USAGE("null,\"input_tokens\":null"),
	    NULL, "", 3, 0, 0, "gemma-3-27b", { 35, 8, 7, 43, 0, 1 } },
	{ "a cut Anthropic stream knows its input",
	    ANTHROPIC_START ANTHROPIC_DELTA, NULL, "", 2, 0, 0, "gemma-3-27b",
	    { 35, 1, 7, 36, 0, 1 } },
	{ "message_stop by its data alone",
	    "data: {\"type\":\"message_stop\"}\n\n", NULL, "\n", 0, 1, 0, "",
	    { 0 } },
	{ "an event message_stop without data is none",
	    "event: message_stop\n\n" CHUNK("a", "") "\n\n" DONE, NULL, DONE, 1,
	    1, 0, "gpt-oss-120b", { 0 } },
	{ "a transcription's tokens",
	    "data: {\"type\":\"transcript.text.done\",\"text\":\"hi\","
	    "\"usage\":{\"type\":\"tokens\",\"input_tokens\":14,"
	    "\"output_tokens\":45,\"total_tokens\":60}}\n\n" DONE,
	    NULL, DONE, 1, 1, 0, "", { 14, 45, 0, 60, 0, 1 } },
	{ "counts out of bounds are not believed",
	    "data: {\"usage\":{\"prompt_tokens\":1000000000001,"
	    "\"completion_tokens\":-1,\"total_tokens\":1.5}}\n\n",
	    NULL, "", 1, 0, 0, "", { 0 } },
	{ "the largest count believed",
	    "data: {\"usage\":{\"prompt_tokens\":1000000000000}}\n\n", NULL, "",
	    1, 0, 0, "", { 1000000000000, 0, 0, 1000000000000, 0, 1 } },
	{ "a model of 63 bytes",
	    "data: {\"model\":\"123456789012345678901234567890123456789012345"
	    "678901234567890123\"}\n\n",
	    NULL, "", 1, 0, 0,
	    "123456789012345678901234567890123456789012345678901234567890123",
	    { 0 } },
	{ "a model of 64 bytes is not taken",
	    "data: {\"model\":\"1234567890123456789012345678901234567890123456"
	    "789012345678901234\"}\n\n",
	    NULL, "", 1, 0, 0, "", { 0 } },
	{ "the model stands though a message follows it",
	    "data: {\"model\":\"a\",\"message\":{\"x\":1}}\n\n", NULL, "", 1, 0,
	    0, "a", { 0 } },
	{ "an empty stream", "", NULL, "", 0, 0, 0, "", { 0 } },
	{ "an empty data line is an event that says nothing",
	    "data:\n\ndata\n\n", NULL, "", 2, 0, 0, "", { 0 } },
};

static void
check_stream(const struct stream *s, int strip)
{
	const char *out = strip && s->stripped != NULL ? s->stripped : s->in;
	const struct meter *m;
	struct outcome o;

	run_all(&o, METER_EVENTS, strip, s->in, strlen(s->in), s->why);
	m = &o.meter;
	ck_assert_msg(
	    strcmp(o.out.data, out) == 0, "%s: '%s'", s->why, o.out.data);
	ck_assert_msg(m->events == s->events, "%s: events %lld", s->why,
	    (long long)m->events);
	ck_assert_msg(m->finished == s->finished, "%s: finished", s->why);
	ck_assert_msg(m->failed == s->failed, "%s: failed", s->why);
	ck_assert_msg(
	    strcmp(m->model, s->model) == 0, "%s: '%s'", s->why, m->model);
	ck_assert_msg(memcmp(&m->usage, &s->usage, sizeof(s->usage)) == 0,
	    "%s: usage %lld %lld %lld %lld %lld %d", s->why,
	    (long long)m->usage.prompt, (long long)m->usage.completion,
	    (long long)m->usage.cached, (long long)m->usage.total,
	    (long long)m->usage.audio_ms, m->usage.known);
	if (s->last != NULL && *s->last == '\0')
		ck_assert_msg(o.n_last == 0, "%s: last", s->why);
	else
		ck_assert_msg(o.n_last == 1, "%s: last %zu", s->why, o.n_last);
	outcome_free(&o);
}

START_TEST(passes_stream)
{
	check_stream(&streams[_i], 0);
}
END_TEST

START_TEST(strips_stream)
{
	check_stream(&streams[_i], 1);
}
END_TEST

/* When the account is made, the client must not know yet that it is over. */
START_TEST(last_comes_before_the_end_shows)
{
	const struct stream *s = &streams[_i];
	struct outcome o;
	size_t len;

	if (s->last == NULL || *s->last == '\0')
		return;
	run_all(&o, METER_EVENTS, 0, s->in, strlen(s->in), s->why);
	len = strlen(s->last);
	/* The LF of a last CRLF may follow. */
	ck_assert_msg(o.before_last == strlen(s->in) - len, "%s: %zu", s->why,
	    o.before_last);
	outcome_free(&o);
}
END_TEST

/* Nothing is held but what might be the end. */
START_TEST(content_is_not_held)
{
	static const char stream[] =
	    CHUNK("a", "") "\n\n" CHUNK("b", "") "\n\n";
	enum meter_verdict verdict;
	struct meter m;
	size_t at;

	meter_init(&m, METER_EVENTS, 0);
	for (at = 0; at < sizeof(stream) - 1; at++) {
		ck_assert_uint_eq(meter_step(&m, stream + at, 1, &verdict), 1);
		if (stream[at] == '{')
			ck_assert_int_eq(verdict, METER_PASS);
	}
	ck_assert_int_eq(verdict, METER_PASS);
	ck_assert_uint_eq(meter_step(&m, stream, sizeof(stream) - 1, &verdict),
	    sizeof(stream) - 1);
	ck_assert_int_eq(verdict, METER_PASS);
}
END_TEST

/* A line that turned out not to be the last is not held for the next one. */
START_TEST(lines_are_not_held)
{
	static const char stream[] = "data: [DON\nevent: message_sto\nid: 1\n"
				     "data\r: c\n\n\n: c\r\rdata: [DONE\n";
	enum meter_verdict verdict;
	struct meter m;
	size_t at;

	meter_init(&m, METER_EVENTS, 0);
	for (at = 0; at < sizeof(stream) - 1; at++) {
		ck_assert_uint_eq(meter_step(&m, stream + at, 1, &verdict), 1);
		if (stream[at] == '\n' || stream[at] == '\r')
			ck_assert_int_eq(verdict, METER_PASS);
		if (stream[at] == '[')
			ck_assert_int_eq(verdict, METER_HOLD);
	}
}
END_TEST

/* With stripping, a chunk passes as soon as it has a choice. */
START_TEST(passes_once_decided)
{
	static const char head[] = "data: {\"choices\":[";
	enum meter_verdict verdict;
	struct meter m;

	meter_init(&m, METER_EVENTS, 1);
	ck_assert_uint_eq(
	    meter_step(&m, head, sizeof(head) - 1, &verdict), sizeof(head) - 1);
	ck_assert_int_eq(verdict, METER_HOLD);
	ck_assert_uint_eq(meter_step(&m, "{", 1, &verdict), 1);
	ck_assert_int_eq(verdict, METER_PASS);
}
END_TEST

/* --- long lines --- */

static void
add_filler(struct buf *b, size_t n)
{
	static const char text[] = "no \\\"quarter\\\" [DONE] \xc3\xa9 {}";

	while (n > sizeof(text)) {
		MUST(buf_puts(b, text) == 0);
		n -= sizeof(text) - 1;
	}
	while (n-- > 0)
		MUST(buf_puts(b, "x") == 0);
}

/* A stream of one event with 'n' bytes of text before its usage. */
static void
long_stream(struct buf *b, const char *head, size_t n, const char *tail)
{
	MUST(buf_puts(b, head) == 0);
	add_filler(b, n);
	MUST(buf_puts(b, tail) == 0);
}

START_TEST(reads_usage_behind_a_long_line)
{
	struct buf b = BUF(1U << 22);
	struct outcome o;

	long_stream(&b, "data: {\"choices\":[{\"text\":\"", (size_t)256 * 1024,
	    "\"}]," USAGE("1", "2", "3") "}\n\n" DONE);
	run_all(&o, METER_EVENTS, 1, b.data, b.len, "long line");
	ck_assert_uint_eq(o.out.len, b.len);
	ck_assert_int_eq(o.meter.usage.total, 3);
	ck_assert_int_eq(o.meter.finished, 1);
	outcome_free(&o);
	buf_free(&b);
}
END_TEST

/* One byte either side of what may be held. */
START_TEST(holds_no_more_than_the_bound)
{
	static const char head[] = "data: {\"x\":\"";
	static const char tail[] = "\",\"choices\":[],\"usage\":{}}\n\n";
	size_t n = METER_HOLD_MAX - (sizeof(head) - 1) - (sizeof(tail) - 1);
	struct buf b = BUF(1U << 22);
	struct outcome o;

	long_stream(&b, head, n, tail);
	ck_assert_uint_eq(b.len, METER_HOLD_MAX);
	run_all(&o, METER_EVENTS, 1, b.data, b.len, "at the bound");
	ck_assert_uint_eq(o.out.len, 0);
	outcome_free(&o);
	buf_reset(&b);
	long_stream(&b, head, n + 1, tail);
	run_all(&o, METER_EVENTS, 1, b.data, b.len, "over the bound");
	ck_assert_uint_eq(o.out.len, b.len);
	ck_assert_int_eq(o.meter.events, 0);
	outcome_free(&o);
	buf_reset(&b);
	long_stream(&b, "data: [DONE]\nid: ", METER_HOLD_MAX, "\n\n");
	run_all(&o, METER_EVENTS, 0, b.data, b.len, "a long last event");
	ck_assert_uint_eq(o.out.len, b.len);
	ck_assert_uint_eq(o.n_last, 1);
	outcome_free(&o);
	buf_free(&b);
}
END_TEST

/* --- documents --- */

static const struct {
	const char *why, *in;
	int finished;
	const char *model;
	struct meter_usage usage;
} documents[] = {
	{ "a chat completion",
	    "{\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"message\":{"
	    "\"content\":\"{\\\"usage\\\":{}}\"}}]," USAGE("1", "2", "3") "}\n",
	    1, "m", { 1, 2, 4, 3, 0, 1 } },
	{ "embeddings",
	    "{\"data\":[{\"embedding\":[0.5,-1e-3]}],\"model\":\"e\","
	    "\"usage\":{\"prompt_tokens\":8,\"total_tokens\":8}}",
	    1, "e", { 8, 0, 0, 8, 0, 1 } },
	{ "an Anthropic message",
	    "{\"type\":\"message\",\"model\":\"g\",\"usage\":{"
	    "\"input_tokens\":2,\"cache_read_input_tokens\":3,"
	    "\"cache_creation_input_tokens\":null,\"output_tokens\":5}}",
	    1, "g", { 5, 5, 3, 10, 0, 1 } },
	{ "a transcription by seconds",
	    "{\"text\":\"x\",\"usage\":{\"type\":\"duration\",\"seconds\":3}}",
	    1, "", { 0, 0, 0, 0, 3000, 1 } },
	{ "a transcription by tokens",
	    "{\"text\":\"x\",\"usage\":{\"type\":\"tokens\","
	    "\"input_tokens\":1,\"output_tokens\":2,\"total_tokens\":3}}",
	    1, "", { 1, 2, 0, 3, 0, 1 } },
	{ "vLLM's verbose_json", "{\"duration\":\"11.0\",\"text\":\"x\"}", 1,
	    "", { 0, 0, 0, 0, 11000, 1 } },
	{ "OpenAI's verbose_json", "{\"duration\":1.2345,\"text\":\"x\"}", 1,
	    "", { 0, 0, 0, 0, 1235, 1 } },
	{ "usage deeper down is not the answer's",
	    "{\"x\":{" USAGE("1", "2", "3") "}}", 1, "", { 0 } },
	{ "cut short behind usage", "{\"model\":\"m\"," USAGE("1", "2", "3"), 0,
	    "m", { 1, 2, 4, 3, 0, 1 } },
	{ "cut short inside usage", "{\"usage\":{\"prompt_tokens\":1", 0, "",
	    { 0 } },
	{ "broken behind usage", "{" USAGE("1", "2", "3") ",}", 0, "", { 0 } },
	{ "something behind the document", "{" USAGE("1", "2", "3") "}]", 1, "",
	    { 1, 2, 4, 3, 0, 1 } },
	{ "no JSON at all", "<html>", 0, "", { 0 } },
	{ "nothing", "", 0, "", { 0 } },
	{ "a bare number", "12", 1, "", { 0 } },
};

START_TEST(reads_document)
{
	const char *why = documents[_i].why, *in = documents[_i].in;
	const struct meter_usage *u = &documents[_i].usage;
	struct outcome o;

	run_all(&o, METER_JSON, _i % 2, in, strlen(in), why);
	ck_assert_str_eq(o.out.data, in);
	ck_assert_uint_eq(o.held_most, 0);
	ck_assert_msg(o.meter.finished == documents[_i].finished, "%s", why);
	ck_assert_msg(strcmp(o.meter.model, documents[_i].model) == 0, "%s: %s",
	    why, o.meter.model);
	ck_assert_msg(memcmp(&o.meter.usage, u, sizeof(*u)) == 0, "%s", why);
	outcome_free(&o);
}
END_TEST

/* The account is made before the last byte is sent, so it must be known. */
START_TEST(document_counts_at_its_last_byte)
{
	static const char doc[] = "{" USAGE("1", "2", "3") "}";
	enum meter_verdict verdict;
	struct meter m;

	meter_init(&m, METER_JSON, 0);
	ck_assert_uint_gt(meter_step(&m, doc, sizeof(doc) - 2, &verdict), 0);
	ck_assert_int_eq(m.finished, 0);
	ck_assert_uint_eq(meter_step(&m, "}", 1, &verdict), 1);
	ck_assert_int_eq(m.finished, 1);
	ck_assert_int_eq(m.usage.total, 3);
}
END_TEST

START_TEST(opaque_passes_unread)
{
	static const char in[] = "data: [DONE]\n\n{" USAGE("1", "2", "3") "}";
	struct outcome o;

	run_all(&o, METER_OPAQUE, 1, in, sizeof(in) - 1, "opaque");
	ck_assert_str_eq(o.out.data, in);
	ck_assert_int_eq(o.meter.finished, 0);
	ck_assert_int_eq(o.meter.usage.known, 0);
	ck_assert_uint_eq(o.n_last, 0);
	outcome_free(&o);
}
END_TEST

/* --- random streams --- */

START_TEST(any_split_of_random_streams)
{
	static const char *const bits[] = { "data: ", "data:", "data",
		"event:", "event: message_stop", "id: 1", ": c", "\n", "\n",
		"\n\n", "\r\n", "\r", "\r\n\r\n", "{", "}", "{\"choices\":[]",
		"{\"choices\":[{}]", ",\"usage\":{}", ",\"usage\":null",
		"," USAGE("1", "2", "3"), USAGE_ONLY, USAGE_ONLY "\r\n\r",
		CHUNK("x", ""), "[DONE]", "[DON", "\xef\xbb\xbf",
		",\"error\":{}", "{\"type\":\"message_stop\"}", " " };
	struct buf b = BUF(1U << 20);
	struct outcome o;
	int i, n;

	for (i = 0; i < 3000; i++) {
		buf_reset(&b);
		for (n = (int)random_below(20); n >= 0; n--)
			MUST(buf_puts(&b,
				 bits[random_below(
				     sizeof(bits) / sizeof(bits[0]))]) == 0);
		run_all(&o, METER_EVENTS, i % 2, b.data, b.len, b.data);
		if (i % 2 == 0)
			ck_assert_str_eq(o.out.data, b.data);
		outcome_free(&o);
	}
	buf_free(&b);
}
END_TEST

/*
 * Whole events are told by a glance where they say nothing, bytes that come
 * alone never are: what differs shows here. Each row is a member, or tries to
 * look like one.
 */
static const char *const members[] = { "\"model\":\"m\"", "\"model\" : \"m\"",
	"\"model\":\"m2\"", "\"model\":\"mm\"", "\"model\":\"\"",
	"\"model\":null", "\"model\":1", "\"model\":\"\\u006d\"",
	"\"mod\\u0065l\":\"x\"", "\"\\u006Dodel\":\"y\"",
	"\"model\":\"a\\\",\\\"x\\\":\\\"b\"", "\"model\":\"a\",\"x\":\"b\"",
	"\"model\":\"a\\\\nb\"", "\"model\":\"a\\nb\"", "\"usage\":null",
	"\"usage\": null", "\"usage\":nul", "\"usage\":[]",
	USAGE("1", "2", "3"), "\"usage\" : {\"prompt_tokens\":5}",
	"\"us\\u0061ge\":{\"prompt_tokens\":6}",
	"\"\\u0075sage\":{\"input_tokens\":7}", "\"error\":null",
	"\"error\":{}", "\"err\\u006fr\":1", "\"error\"", "\"type\":\"error\"",
	"\"type\" : \"error\"", "\"type\":\"\\u0065rror\"",
	"\"t\\u0079pe\":\"error\"", "\"type\":\"message_stop\"",
	"\"type\":\"text_delta\"", "\"type\":\"\"", "\"type\":null",
	"\"message\":{\"model\":\"z\",\"usage\":{\"input_tokens\":3}}",
	"\"message\":{\"usage\":null,\"model\":\"m\"}", "\"message\":null",
	"\"duration\":3", "\"duration\":\"4.5\"", "\"duration\":null",
	"\"choices\":[]", "\"choices\":[{}]", "\"x\":\"usage\"",
	"\"x\":\"\\\"usage\\\":{}\"", "\"x\":\"\\u4e2d\\ud83d\\ude00\"",
	"\"x\":\"\\\\u0075\"", "\"x\":\"\\\"error\"",
	"\"x\":{\"usage\":{\"prompt_tokens\":8}}", "\"x\":\"\\\\\"",
	"\"x\":[\"type\",\"error\"]", "\"x\":\"\xc3\xa9 caf\xe9\"" };
static const char *const before_data[] = { "", "", "", "", "", "id: 1\n",
	": c\n", ": c\n\n", "event: x\r\n", "event: message_stop\n",
	"event:message_stop\n", "event: message_stop\r\n", "event: y\n",
	"event: y\n", "event: a\rdata: [DONE]\n", "event: z\r\r\n", "event\n",
	"data\n", "data: {\n", "data: {\"model\":\"w\",\"x\":\n",
	"\xef\xbb\xbf", "\r", "\n" };
static const char *const behind_data[] = { "\n\n", "\n\n", "\n\n", "\r\n\r\n",
	"\r\r", "\n\r\n", "\r\n\n", "\n", "\n\n\n", "\ndata: }\n\n",
	"\nevent: message_stop\n\n", "}\n\n", " \n\n", "\t\n\n", "" };

#define ONE_OF(list) (list)[random_below(sizeof(list) / sizeof((list)[0]))]

static void
add_random_event(struct buf *b)
{
	unsigned i, n = random_below(4), filler = random_below(40);

	MUST(buf_puts(b, ONE_OF(before_data)) == 0);
	MUST(buf_puts(b, random_below(4) == 0 ? "data:" : "data: ") == 0);
	MUST(buf_printf(b, "{\"a\":\"%.*s\"", (int)filler,
		 "0123456789 no quarter given, nor 'usage'") == 0);
	for (i = 0; i < n; i++)
		MUST(buf_printf(b, "%s%s", random_below(20) == 0 ? " " : ",",
			 ONE_OF(members)) == 0);
	if (random_below(20) > 0)
		MUST(buf_puts(b, "}") == 0);
	MUST(buf_puts(b, ONE_OF(behind_data)) == 0);
}

START_TEST(a_glance_tells_what_reading_does)
{
	struct buf b = BUF(1U << 20);
	struct outcome whole, bytes;
	unsigned i, n;

	for (i = 0; i < 20000; i++) {
		buf_reset(&b);
		for (n = random_below(6); n < 6; n++)
			add_random_event(&b);
		if (random_below(4) == 0)
			b.data[random_below((unsigned)b.len)] =
			    "\"\\u\n\r\x01:{} "[random_below(10)];
		if (random_below(2) == 0)
			MUST(buf_puts(&b, DONE) == 0);
		run(&bytes, METER_EVENTS, i % 2, b.data, b.len, 1);
		run(&whole, METER_EVENTS, i % 2, b.data, b.len, 1U << 30);
		require_same(&whole, &bytes, b.data);
		outcome_free(&whole);
		run(&whole, METER_EVENTS, i % 2, b.data, b.len, 200);
		require_same(&whole, &bytes, b.data);
		outcome_free(&whole);
		outcome_free(&bytes);
	}
	buf_free(&b);
}
END_TEST

int
main(void)
{
	TCase *tests = tcase_create("meter");

	tcase_set_timeout(tests, 120);
	ADD_ROWS(tests, passes_stream, streams);
	ADD_ROWS(tests, strips_stream, streams);
	ADD_ROWS(tests, last_comes_before_the_end_shows, streams);
	tcase_add_test(tests, content_is_not_held);
	tcase_add_test(tests, lines_are_not_held);
	tcase_add_test(tests, passes_once_decided);
	tcase_add_test(tests, reads_usage_behind_a_long_line);
	tcase_add_test(tests, holds_no_more_than_the_bound);
	ADD_ROWS(tests, reads_document, documents);
	tcase_add_test(tests, document_counts_at_its_last_byte);
	tcase_add_test(tests, opaque_passes_unread);
	tcase_add_test(tests, any_split_of_random_streams);
	tcase_add_test(tests, a_glance_tells_what_reading_does);
	return suite_run("meter", tests, NULL);
}
