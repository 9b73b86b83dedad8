/*
 * lib/openai, requests: what is read of a body, and that a splice changes
 * what it should and not one byte more.
 */
#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <json-c/json.h>

#include "lib/buf.h"
#include "lib/form.h"
#include "lib/openai.h"
#include "tests/unit/suite.h"

#define SALT "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define SALTED "\"cache_salt\":\"" SALT "\""
#define ASKED "\"stream_options\":{\"include_usage\":true}"
#define JSON "application/json"

/* The body after its splices; to be freed. */
static struct buf
rewritten(const struct openai_request *r, const char *body, size_t len)
{
	struct iovec pieces[OPENAI_PIECES_MAX];
	size_t n = openai_pieces(r, body, len, pieces);
	struct buf out = BUF(1 << 24);

	ck_assert_uint_le(n, OPENAI_PIECES_MAX);
	for (size_t i = 0; i < n; i++) {
		ck_assert_uint_gt(pieces[i].iov_len, 0);
		ck_assert_int_eq(
		    buf_add(&out, pieces[i].iov_base, pieces[i].iov_len), 0);
	}
	return out;
}

/* A body, and what goes upstream; NULL where that is the same. */
static const struct {
	const char *what, *body, *want;
	int strip;
} splices[] = {
	{ "no stream", "{\"model\":\"m\"}", NULL, 0 },
	{ "a stream that is off", "{\"model\":\"m\",\"stream\":false}", NULL,
	    0 },
	{ "options without a stream",
	    "{\"model\":\"m\",\"stream_options\":{\"include_usage\":false}}",
	    NULL, 0 },
	{ "no options", "{\"model\":\"m\",\"stream\":true}",
	    "{" ASKED ",\"model\":\"m\",\"stream\":true}", 1 },
	{ "blanks stay", "\n { \"model\" : \"m\" ,\t\"stream\" : true } \r\n",
	    "\n {" ASKED ", \"model\" : \"m\" ,\t\"stream\" : true } \r\n", 1 },
	{ "options are null",
	    "{\"stream_options\": null ,\"model\":\"m\",\"stream\":true}",
	    "{\"stream_options\": {\"include_usage\":true} "
	    ",\"model\":\"m\",\"stream\":true}",
	    1 },
	{ "options are empty",
	    "{\"stream_options\":{ },\"model\":\"m\",\"stream\":true}",
	    "{\"stream_options\":{\"include_usage\":true "
	    "},\"model\":\"m\",\"stream\":true}",
	    1 },
	{ "other options",
	    "{\"model\":\"m\",\"stream\":true,"
	    "\"stream_options\":{\"x\":{\"include_usage\":true}}}",
	    "{\"model\":\"m\",\"stream\":true,\"stream_options\":{"
	    "\"include_usage\":true,\"x\":{\"include_usage\":true}}}",
	    1 },
	{ "usage not wanted",
	    "{\"model\":\"m\",\"stream\":true,"
	    "\"stream_options\":{\"include_usage\" : false,\"y\":1}}",
	    "{\"model\":\"m\",\"stream\":true,"
	    "\"stream_options\":{\"include_usage\" : true,\"y\":1}}",
	    1 },
	{ "usage null",
	    "{\"model\":\"m\",\"stream\":true,"
	    "\"stream_options\":{\"include_usage\":null}}",
	    "{\"model\":\"m\",\"stream\":true,"
	    "\"stream_options\":{\"include_usage\":true}}",
	    1 },
	{ "usage is no switch",
	    "{\"model\":\"m\",\"stream\":true,"
	    "\"stream_options\":{\"include_usage\":{\"a\":[0]}}}",
	    "{\"model\":\"m\",\"stream\":true,"
	    "\"stream_options\":{\"include_usage\":true}}",
	    1 },
	{ "usage wanted",
	    "{\"model\":\"m\",\"stream\":true,"
	    "\"stream_options\":{\"include_usage\":true}}",
	    NULL, 0 },
	{ "options are a list",
	    "{\"model\":\"m\",\"stream\":true,\"stream_options\":[]}", NULL,
	    0 },
	{ "options are text",
	    "{\"model\":\"m\",\"stream\":true,\"stream_options\":\"\"}", NULL,
	    0 },
	{ "options are a switch",
	    "{\"model\":\"m\",\"stream\":true,\"stream_options\":true}", NULL,
	    0 },
	{ "stream is text", "{\"model\":\"m\",\"stream\":\"true\"}", NULL, 0 },
	{ "stream is a number", "{\"model\":\"m\",\"stream\":1}", NULL, 0 },
	{ "stream is null", "{\"model\":\"m\",\"stream\":null}", NULL, 0 },
	{ "a stream elsewhere", "{\"model\":\"m\",\"a\":{\"stream\":true}}",
	    NULL, 0 },
	{ "names with escapes",
	    "{\"m\\u006fdel\":\"m\",\"stre\\u0061m\":true,"
	    "\"stream\\u005foptions\":{\"include\\u005Fusage\":false}}",
	    "{\"m\\u006fdel\":\"m\",\"stre\\u0061m\":true,"
	    "\"stream\\u005foptions\":{\"include\\u005Fusage\":true}}",
	    1 },
	{ "the last stream counts, off",
	    "{\"model\":\"m\",\"stream\":true,\"stream\":false}", NULL, 0 },
	{ "the last stream counts, on",
	    "{\"model\":\"m\",\"stream\":false,\"stream\":true}",
	    "{" ASKED ",\"model\":\"m\",\"stream\":false,\"stream\":true}", 1 },
	{ "the last options count",
	    "{\"model\":\"m\",\"stream\":true,"
	    "\"stream_options\":{\"include_usage\":true},"
	    "\"stream_options\":{\"z\":0}}",
	    "{\"model\":\"m\",\"stream\":true,"
	    "\"stream_options\":{\"include_usage\":true},"
	    "\"stream_options\":{\"include_usage\":true,\"z\":0}}",
	    1 },
	{ "the last options are null",
	    "{\"model\":\"m\",\"stream\":true,"
	    "\"stream_options\":{\"include_usage\":true},"
	    "\"stream_options\":null}",
	    "{\"model\":\"m\",\"stream\":true,"
	    "\"stream_options\":{\"include_usage\":true},"
	    "\"stream_options\":{\"include_usage\":true}}",
	    1 },
	{ "the last usage counts",
	    "{\"model\":\"m\",\"stream\":true,\"stream_options\":"
	    "{\"include_usage\":true,\"include_usage\":false}}",
	    "{\"model\":\"m\",\"stream\":true,\"stream_options\":"
	    "{\"include_usage\":true,\"include_usage\":true}}",
	    1 },
	{ "numbers, escapes, order and doubles stay",
	    "{\"z\":9007199254740993,\"y\":1.0E+2,\"x\":-0,\"w\":1e400,"
	    "\"v\":\"\\u00e4\\/\\ud83d\\ude00\",\"u\":1,\"u\":2,"
	    "\"seed\":18446744073709551615,\"model\":\"m\",\"stream\":true}",
	    "{" ASKED ",\"z\":9007199254740993,\"y\":1.0E+2,\"x\":-0,"
	    "\"w\":1e400,\"v\":\"\\u00e4\\/\\ud83d\\ude00\",\"u\":1,\"u\":2,"
	    "\"seed\":18446744073709551615,\"model\":\"m\",\"stream\":true}",
	    1 },
};

START_TEST(streams_are_asked_for_their_usage)
{
	const char *body = splices[_i].body, *want = splices[_i].want;
	static const enum openai_endpoint asked[] = { OPENAI_CHAT,
		OPENAI_COMPLETIONS };
	static const enum openai_endpoint never[] = { OPENAI_EMBEDDINGS,
		OPENAI_MESSAGES };
	struct openai_request r;
	struct buf out;

	for (size_t i = 0; i < 2; i++) {
		ck_assert_int_eq(
		    openai_read(asked[i], JSON, body, strlen(body), NULL, &r),
		    OPENAI_OK);
		out = rewritten(&r, body, strlen(body));
		ck_assert_msg(strcmp(out.data, want != NULL ? want : body) == 0,
		    "%s: %s", splices[_i].what, out.data);
		ck_assert_msg(
		    r.strip_usage == splices[_i].strip, "%s", splices[_i].what);
		ck_assert_str_eq(r.model, "m");
		buf_free(&out);
		ck_assert_int_eq(
		    openai_read(never[i], JSON, body, strlen(body), SALT, &r),
		    OPENAI_OK);
		out = rewritten(&r, body, strlen(body));
		ck_assert_str_eq(out.data, body);
		ck_assert_int_eq(r.strip_usage, 0);
		buf_free(&out);
	}
}
END_TEST

static const struct {
	const char *what, *body, *want;
} salts[] = {
	{ "absent", "{\"model\":\"m\"}", "{" SALTED ",\"model\":\"m\"}" },
	{ "null", "{\"model\":\"m\",\"cache_salt\": null }",
	    "{\"model\":\"m\",\"cache_salt\": \"" SALT "\" }" },
	{ "its own", "{\"model\":\"m\",\"cache_salt\":\"x\"}", NULL },
	{ "its own, empty", "{\"model\":\"m\",\"cache_salt\":\"\"}", NULL },
	{ "a number", "{\"model\":\"m\",\"cache_salt\":1}", NULL },
	{ "elsewhere", "{\"a\":{\"cache_salt\":\"x\"},\"model\":\"m\"}",
	    "{" SALTED ",\"a\":{\"cache_salt\":\"x\"},\"model\":\"m\"}" },
	{ "escaped", "{\"model\":\"m\",\"c\\u0061che_salt\":null}",
	    "{\"model\":\"m\",\"c\\u0061che_salt\":\"" SALT "\"}" },
	{ "twice, the last null",
	    "{\"model\":\"m\",\"cache_salt\":\"x\",\"cache_salt\":null}",
	    "{\"model\":\"m\",\"cache_salt\":\"x\",\"cache_salt\":\"" SALT
	    "\"}" },
	{ "both absent", "{\"model\":\"m\",\"stream\":true}",
	    "{" ASKED "," SALTED ",\"model\":\"m\",\"stream\":true}" },
	{ "both null, salt first",
	    "{\"cache_salt\":null,\"model\":\"m\",\"stream\":true,"
	    "\"stream_options\":null}",
	    "{\"cache_salt\":\"" SALT "\",\"model\":\"m\",\"stream\":true,"
	    "\"stream_options\":{\"include_usage\":true}}" },
	{ "both null, options first",
	    "{\"stream_options\":null,\"model\":\"m\",\"stream\":true,"
	    "\"cache_salt\":null}",
	    "{\"stream_options\":{\"include_usage\":true},\"model\":\"m\","
	    "\"stream\":true,\"cache_salt\":\"" SALT "\"}" },
	{ "one at each end",
	    "{\"model\":\"m\",\"stream\":true,\"stream_options\":{}}",
	    "{" SALTED ",\"model\":\"m\",\"stream\":true,"
	    "\"stream_options\":{\"include_usage\":true}}" },
	{ "the other way round",
	    "{\"model\":\"m\",\"stream\":true,\"cache_salt\":null}",
	    "{" ASKED ",\"model\":\"m\",\"stream\":true,\"cache_salt\":\"" SALT
	    "\"}" },
};

START_TEST(a_salt_is_put_where_none_is)
{
	const char *body = salts[_i].body;
	struct openai_request r;
	struct buf out;

	for (int i = OPENAI_CHAT; i <= OPENAI_COMPLETIONS; i++) {
		ck_assert_int_eq(openai_read((enum openai_endpoint)i, JSON,
				     body, strlen(body), SALT, &r),
		    OPENAI_OK);
		out = rewritten(&r, body, strlen(body));
		ck_assert_msg(
		    strcmp(out.data,
			salts[_i].want != NULL ? salts[_i].want : body) == 0,
		    "%s: %s", salts[_i].what, out.data);
		buf_free(&out);
	}
}
END_TEST

#define A10 "aaaaaaaaaa"
#define A50 A10 A10 A10 A10 A10
#define A255 A50 A50 A50 A50 A50 "aaaaa"

static const struct {
	const char *what, *body;
	size_t n; /* 0: up to the NUL */
	enum openai_error want;
} bodies[] = {
	{ "nothing", "", 0, OPENAI_BAD_JSON },
	{ "blanks", " \n", 0, OPENAI_BAD_JSON },
	{ "a list", "[{\"model\":\"m\"}]", 0, OPENAI_BAD_JSON },
	{ "text", "\"model\"", 0, OPENAI_BAD_JSON },
	{ "null", "null", 0, OPENAI_BAD_JSON },
	{ "cut short", "{\"model\":\"m\"", 0, OPENAI_BAD_JSON },
	{ "more behind it", "{\"model\":\"m\"}}", 0, OPENAI_BAD_JSON },
	{ "two documents", "{\"model\":\"m\"}{}", 0, OPENAI_BAD_JSON },
	{ "a NUL behind it", "{\"model\":\"m\"}\0", 14, OPENAI_BAD_JSON },
	{ "a trailing comma", "{\"model\":\"m\",}", 0, OPENAI_BAD_JSON },
	{ "single quotes", "{'model':'m'}", 0, OPENAI_BAD_JSON },
	{ "a comment", "{\"model\":\"m\"/**/}", 0, OPENAI_BAD_JSON },
	{ "NaN", "{\"model\":\"m\",\"a\":NaN}", 0, OPENAI_BAD_JSON },
	{ "a byte order mark", "\xef\xbb\xbf{\"model\":\"m\"}", 0,
	    OPENAI_BAD_JSON },
	{ "UTF-16", "{\0\"\0m\0", 6, OPENAI_BAD_JSON },
	{ "no model", "{}", 0, OPENAI_NO_MODEL },
	{ "one elsewhere", "{\"a\":{\"model\":\"m\"}}", 0, OPENAI_NO_MODEL },
	{ "one in other case", "{\"Model\":\"m\"}", 0, OPENAI_NO_MODEL },
	{ "null", "{\"model\":null}", 0, OPENAI_NO_MODEL },
	{ "a number", "{\"model\":1}", 0, OPENAI_NO_MODEL },
	{ "true", "{\"model\":true}", 0, OPENAI_NO_MODEL },
	{ "a list", "{\"model\":[\"m\"]}", 0, OPENAI_NO_MODEL },
	{ "an object", "{\"model\":{\"model\":\"m\"}}", 0, OPENAI_NO_MODEL },
	{ "empty", "{\"model\":\"\"}", 0, OPENAI_NO_MODEL },
	{ "twice", "{\"model\":\"a\",\"model\":\"b\"}", 0, OPENAI_TWO_MODELS },
	{ "twice the same", "{\"model\":\"a\",\"model\":\"a\"}", 0,
	    OPENAI_TWO_MODELS },
	{ "twice, once escaped", "{\"model\":\"a\",\"\\u006dodel\":\"b\"}", 0,
	    OPENAI_TWO_MODELS },
	{ "twice, the last no text", "{\"model\":\"a\",\"model\":1}", 0,
	    OPENAI_TWO_MODELS },
	{ "twice, the first no text", "{\"model\":1,\"model\":\"a\"}", 0,
	    OPENAI_TWO_MODELS },
	{ "as long as can be", "{\"model\":\"" A255 "\"}", 0, OPENAI_OK },
	{ "longer", "{\"model\":\"" A255 "a\"}", 0, OPENAI_MODEL_NOT_FOUND },
	{ "a NUL within", "{\"model\":\"m\\u0000x\"}", 0,
	    OPENAI_MODEL_NOT_FOUND },
	{ "only a NUL", "{\"model\":\"\\u0000\"}", 0, OPENAI_MODEL_NOT_FOUND },
};

START_TEST(bodies_are_objects_with_one_model)
{
	const char *body = bodies[_i].body;
	size_t n = bodies[_i].n > 0 ? bodies[_i].n : strlen(body);
	struct openai_request r;

	for (int i = 0; i < OPENAI_ENDPOINT__MAX; i++) {
		enum openai_error got;

		if (i == OPENAI_TRANSCRIPTIONS || i == OPENAI_TRANSLATIONS ||
		    i == OPENAI_UNSTRUCTURED)
			continue;
		got = openai_read(
		    (enum openai_endpoint)i, JSON, body, n, SALT, &r);
		ck_assert_msg(got == bodies[_i].want, "%s: %d", bodies[_i].what,
		    (int)got);
	}
}
END_TEST

static const struct {
	const char *body;
	int64_t want;
} limits[] = {
	{ "", 0 },
	{ ",\"max_tokens\":7", 7 },
	{ ",\"max_completion_tokens\":7", 7 },
	{ ",\"max_tokens\":9,\"max_completion_tokens\":7", 7 },
	{ ",\"max_completion_tokens\":7,\"max_tokens\":9", 7 },
	{ ",\"max_completion_tokens\":null,\"max_tokens\":9", 9 },
	{ ",\"max_tokens\":null", 0 },
	{ ",\"max_tokens\":\"7\"", 0 },
	{ ",\"max_tokens\":7.5", 0 },
	{ ",\"max_tokens\":0", 0 },
	{ ",\"max_tokens\":-1", 0 },
	{ ",\"max_tokens\":1000000000", 1000000000 },
	{ ",\"max_tokens\":1000000001", 0 },
	{ ",\"max_tokens\":99999999999999999999999999999999", 0 },
	{ ",\"max_tokens\":7,\"n\":3", 21 },
	{ ",\"n\":3", 0 },
	{ ",\"n\":128,\"max_tokens\":1000000000", INT64_C(128000000000) },
	{ ",\"n\":129,\"max_tokens\":7", 7 },
	{ ",\"n\":0,\"max_tokens\":7", 7 },
	{ ",\"n\":\"2\",\"max_tokens\":7", 7 },
	{ ",\"n\":null,\"max_tokens\":7", 7 },
	{ ",\"max_tokens\":1,\"max_tokens\":2", 2 },
};

START_TEST(the_tokens_asked_for_are_the_longest_answer_times_n)
{
	struct openai_request r;
	char body[200];
	int n = snprintf(
	    body, sizeof(body), "{\"model\":\"m\"%s}", limits[_i].body);

	ck_assert_int_eq(
	    openai_read(OPENAI_CHAT, JSON, body, (size_t)n, NULL, &r),
	    OPENAI_OK);
	ck_assert_msg(r.max_tokens == limits[_i].want, "%s: %lld", body,
	    (long long)r.max_tokens);
}
END_TEST

/* A maximum where the client names none, and what then goes upstream. */
static const struct {
	const char *why, *body;
	int64_t tokens;
	const char *want; /* NULL: the body as it is */
} bounds[] = {
	{ "none said", "{\"model\":\"m\"}", 100,
	    "{\"max_tokens\":100,\"model\":\"m\"}" },
	{ "the least", "{\"model\":\"m\"}", 1,
	    "{\"max_tokens\":1,\"model\":\"m\"}" },
	{ "no maximum to name", "{\"model\":\"m\"}", 0, NULL },
	{ "less than none", "{\"model\":\"m\"}", -1, NULL },
	{ "null", "{\"max_tokens\": null ,\"model\":\"m\"}", 100,
	    "{\"max_tokens\": 100 ,\"model\":\"m\"}" },
	{ "its own", "{\"max_tokens\":7,\"model\":\"m\"}", 100, NULL },
	{ "its own, larger", "{\"max_tokens\":700,\"model\":\"m\"}", 100,
	    NULL },
	{ "no number, which the upstream will refuse",
	    "{\"max_tokens\":\"7\",\"model\":\"m\"}", 100, NULL },
	{ "by its newer name", "{\"max_completion_tokens\":7,\"model\":\"m\"}",
	    100, NULL },
	{ "null by its newer name",
	    "{\"max_completion_tokens\":null,\"model\":\"m\"}", 100,
	    "{\"max_tokens\":100,\"max_completion_tokens\":null,"
	    "\"model\":\"m\"}" },
	{ "twice: whichever the upstream takes",
	    "{\"max_tokens\":7,\"max_tokens\":null,\"model\":\"m\"}", 100,
	    NULL },
};

START_TEST(a_maximum_is_named_where_the_client_names_none)
{
	const char *body = bounds[_i].body;
	const char *want = bounds[_i].want != NULL ? bounds[_i].want : body;
	size_t len = strlen(body);

	for (int i = 0; i < 3; i++) {
		struct openai_request r;
		struct buf out;

		/* Of a chat alone. */
		ck_assert_int_eq(
		    openai_read(i == 2 ? OPENAI_COMPLETIONS : OPENAI_CHAT, JSON,
			body, len, NULL, &r),
		    OPENAI_OK);
		openai_bound(&r, bounds[_i].tokens);
		/* Once. */
		if (i == 1)
			openai_bound(&r, bounds[_i].tokens + 1);
		out = rewritten(&r, body, len);
		if (i != 1 || bounds[_i].tokens > 0)
			ck_assert_msg(
			    strcmp(out.data, i == 2 ? body : want) == 0,
			    "%s: %s", bounds[_i].why, out.data);
		buf_free(&out);
	}
}
END_TEST

static const struct {
	const char *type;
	int json, form; /* taken as such */
} types[] = {
	{ NULL, 1, 0 },
	{ "", 1, 0 },
	{ "application/json", 1, 0 },
	{ "Application/JSON", 1, 0 },
	{ " application/json", 1, 0 },
	{ "application/json;charset=utf-8", 1, 0 },
	{ "application/json ; charset=utf-8", 1, 0 },
	{ "application/jsonx", 0, 0 },
	{ "application/json+x", 0, 0 },
	{ "application/jso", 0, 0 },
	{ "application/x-ndjson", 0, 0 },
	{ "text/plain", 0, 0 },
	{ "text/plain;application/json", 0, 0 },
	{ "multipart/form-data;boundary=b", 0, 1 },
	{ "Multipart/Form-Data; Boundary=\"b\"", 0, 1 },
	{ "multipart/form-data", 0, 2 }, /* no boundary: refused as a form */
	{ "multipart/form-data; boundary=", 0, 2 },
	{ "multipart/mixed;boundary=b", 0, 0 },
};

#define PART(name, value)                                     \
	"--b\r\nContent-Disposition: form-data; name=\"" name \
	"\"\r\n\r\n" value "\r\n"
#define FILE_PART(value)                                         \
	"--b\r\nContent-Disposition: form-data; name=\"file\"; " \
	"filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\n" value "\r\n"
#define END "--b--\r\n"
#define USAGE_PART PART("stream_include_usage", "true")

START_TEST(content_types_are_told_apart)
{
	static const char json[] = "{\"model\":\"m\"}";
	static const char form[] = PART("model", "m") END;
	struct openai_request r;

	ck_assert_int_eq(openai_read(OPENAI_CHAT, types[_i].type, json,
			     sizeof(json) - 1, NULL, &r),
	    types[_i].json ? OPENAI_OK : OPENAI_MEDIA_TYPE);
	ck_assert_int_eq(openai_read(OPENAI_TRANSCRIPTIONS, types[_i].type,
			     form, sizeof(form) - 1, NULL, &r),
	    types[_i].form == 1       ? OPENAI_OK
		: types[_i].form == 2 ? OPENAI_BAD_FORM
				      : OPENAI_MEDIA_TYPE);
}
END_TEST

static const struct {
	const char *what, *body, *want; /* NULL: unchanged */
	enum openai_error error;
	int64_t bytes;
	int stream, strip;
} forms[] = {
	{ "a file", PART("model", "m") FILE_PART("12345") END, NULL, OPENAI_OK,
	    5, 0, 0 },
	{ "an empty one", FILE_PART("") PART("model", "m") END, NULL, OPENAI_OK,
	    0, 0, 0 },
	{ "two", FILE_PART("123") FILE_PART("4567") PART("model", "m") END,
	    NULL, OPENAI_OK, 7, 0, 0 },
	{ "line ends in a file",
	    FILE_PART("\r\n--\r\n--bb") PART("model", "m") END, NULL,
	    OPENAI_BAD_FORM, 0, 0, 0 },
	{ "dashes in a file", FILE_PART("\r\n--\r\n-b") PART("model", "m") END,
	    NULL, OPENAI_OK, 8, 0, 0 },
	{ "stream off", PART("model", "m") PART("stream", "false") END, NULL,
	    OPENAI_OK, 0, 0, 0 },
	{ "stream is nonsense", PART("stream", "ja") PART("model", "m") END,
	    NULL, OPENAI_OK, 0, 0, 0 },
	{ "a stream", PART("model", "m") PART("stream", "true") END,
	    PART("model", "m") PART("stream", "true") USAGE_PART END, OPENAI_OK,
	    0, 1, 1 },
	{ "a stream as Python says it",
	    PART("stream", "True") PART("model", "m") FILE_PART("1") END,
	    PART("stream", "True") PART("model", "m") FILE_PART("1")
		USAGE_PART END,
	    OPENAI_OK, 1, 1, 1 },
	{ "a stream said otherwise",
	    PART("stream", "YES") PART("model", "m") END,
	    PART("stream", "YES") PART("model", "m") USAGE_PART END, OPENAI_OK,
	    0, 1, 1 },
	{ "a preamble and an epilogue stay",
	    "before\r\n" PART("model", "m") PART("stream", "1") END "after--b",
	    "before\r\n" PART("model", "m") PART("stream", "1") USAGE_PART END
	    "after--b",
	    OPENAI_OK, 0, 1, 1 },
	{ "no line end at the end",
	    PART("model", "m") PART("stream", "1") "--b--",
	    PART("model", "m") PART("stream", "1") USAGE_PART "--b--",
	    OPENAI_OK, 0, 1, 1 },
	{ "usage wanted",
	    PART("model", "m") PART("stream", "true") USAGE_PART END, NULL,
	    OPENAI_OK, 0, 1, 0 },
	{ "usage not wanted",
	    PART("stream_include_usage", "false") PART("model", "m")
		PART("stream", "true") END,
	    PART("stream_include_usage", "true") PART("model", "m")
		PART("stream", "true") END,
	    OPENAI_OK, 0, 1, 1 },
	{ "usage empty",
	    PART("stream", "true") PART("stream_include_usage", "")
		PART("model", "m") END,
	    PART("stream", "true") USAGE_PART PART("model", "m") END, OPENAI_OK,
	    0, 1, 1 },
	{ "usage without a stream", PART("model", "m") USAGE_PART END, NULL,
	    OPENAI_OK, 0, 0, 0 },
	{ "no model", FILE_PART("1") END, NULL, OPENAI_NO_MODEL, 0, 0, 0 },
	{ "an empty model", PART("model", "") END, NULL, OPENAI_NO_MODEL, 0, 0,
	    0 },
	{ "two models", PART("model", "m") PART("model", "m") END, NULL,
	    OPENAI_TWO_MODELS, 0, 0, 0 },
	{ "two models, one empty", PART("model", "m") PART("model", "") END,
	    NULL, OPENAI_TWO_MODELS, 0, 0, 0 },
	{ "two models, one too long",
	    PART("model", A255 "a") PART("model", "m") END, NULL,
	    OPENAI_TWO_MODELS, 0, 0, 0 },
	{ "a model as long as can be", PART("model", A255) END, NULL, OPENAI_OK,
	    0, 0, 0 },
	{ "a longer one", PART("model", A255 "a") END, NULL,
	    OPENAI_MODEL_NOT_FOUND, 0, 0, 0 },
	{ "no end", PART("model", "m"), NULL, OPENAI_BAD_FORM, 0, 0, 0 },
	{ "no end behind a model too long", PART("model", A255 "a"), NULL,
	    OPENAI_BAD_FORM, 0, 0, 0 },
	{ "nothing", "", NULL, OPENAI_BAD_FORM, 0, 0, 0 },
	{ "another boundary", "--c\r\n\r\n\r\n--c--", NULL, OPENAI_BAD_FORM, 0,
	    0, 0 },
	{ "JSON", "{\"model\":\"m\"}", NULL, OPENAI_BAD_FORM, 0, 0, 0 },
};

/* Counts the parts, and that it is a whole form. */
static size_t
parts_of(const char *p, size_t n)
{
	struct form_multipart form;
	struct form_part part;
	enum form_result got;

	form_multipart_init(
	    &form, (struct form_view){ p, n }, (struct form_view){ "b", 1 });
	while ((got = form_multipart_next(&form, &part)) == FORM_PART)
		continue;
	ck_assert_int_eq(got, FORM_END);
	return form.n_parts;
}

START_TEST(forms_are_read_and_asked_for_usage)
{
	const char *body = forms[_i].body, *want = forms[_i].want;
	struct openai_request r;
	struct buf out;

	for (int i = OPENAI_TRANSCRIPTIONS; i <= OPENAI_TRANSLATIONS; i++) {
		ck_assert_msg(openai_read((enum openai_endpoint)i,
				  "multipart/form-data; boundary=b", body,
				  strlen(body), SALT, &r) == forms[_i].error,
		    "%s", forms[_i].what);
		if (forms[_i].error != OPENAI_OK)
			continue;
		out = rewritten(&r, body, strlen(body));
		ck_assert_msg(strcmp(out.data, want != NULL ? want : body) == 0,
		    "%s: %s", forms[_i].what, out.data);
		(void)parts_of(out.data, out.len); /* still a form */
		ck_assert_int_eq(r.audio_bytes, forms[_i].bytes);
		ck_assert_int_eq(r.stream, forms[_i].stream);
		ck_assert_int_eq(r.strip_usage, forms[_i].strip);
		buf_free(&out);
	}
}
END_TEST

START_TEST(a_form_without_a_model_is_only_passed_on)
{
	static const char body[] =
	    FILE_PART("123") PART("stream", "true") PART("model", A255 "a") END;
	static const char *const type = "multipart/form-data; boundary=b";
	struct openai_request r;
	struct buf out;

	ck_assert_int_eq(openai_read(OPENAI_UNSTRUCTURED, type, body,
			     sizeof(body) - 1, SALT, &r),
	    OPENAI_OK);
	out = rewritten(&r, body, sizeof(body) - 1);
	ck_assert_str_eq(out.data, body);
	ck_assert_str_eq(r.model, "");
	ck_assert_int_eq(r.audio_bytes, 0);
	buf_free(&out);
	ck_assert_int_eq(openai_read(OPENAI_UNSTRUCTURED, type, body,
			     sizeof(body) - 5, SALT, &r),
	    OPENAI_BAD_FORM);
}
END_TEST

/* A NUL in a form's model, and a boundary of 70 bytes, quoted. */
START_TEST(odd_forms)
{
	static const char nul[] = PART("model", "m\0x") END;
	const char *boundary = A50 A10 A10;
	struct openai_request r;
	char body[1000], type[200];
	struct buf out;
	int n;

	ck_assert_int_eq(
	    openai_read(OPENAI_TRANSCRIPTIONS, "multipart/form-data;boundary=b",
		nul, sizeof(nul) - 1, NULL, &r),
	    OPENAI_MODEL_NOT_FOUND);
	snprintf(type, sizeof(type), "multipart/form-data; boundary=\"%s\"",
	    boundary);
	n = snprintf(body, sizeof(body),
	    "--%s\r\nContent-Disposition: form-data; name=model\r\n\r\nm\r\n"
	    "--%s\r\nContent-Disposition: form-data; name=stream\r\n\r\n1\r\n"
	    "--%s--",
	    boundary, boundary, boundary);
	ck_assert_int_eq(
	    openai_read(OPENAI_TRANSCRIPTIONS, type, body, (size_t)n, NULL, &r),
	    OPENAI_OK);
	out = rewritten(&r, body, (size_t)n);
	ck_assert_int_eq(openai_read(OPENAI_TRANSCRIPTIONS, type, out.data,
			     out.len, NULL, &r),
	    OPENAI_OK);
	ck_assert_int_eq(r.strip_usage, 0);
	buf_free(&out);
}
END_TEST

/* --- Any JSON: what json-c reads differs in the intended member alone. --- */

static void
add_blank(struct buf *b)
{
	static const char *const blanks[] = { "", "", "", " ", "\n\t", "\r\n" };

	(void)buf_puts(b, blanks[random_below(6)]);
}

static void
add_random_value(struct buf *b, int depth)
{
	static const char *const scalars[] = { "null", "true", "false", "0",
		"-1.5e3", "12345678901234567890", "0.10", "\"\"", "\"text\"",
		"\"\\u00e4\\ud83d\\ude00\\\"\\\\\"", "\"\xc3\xa4\"",
		"\"stream_options\"", "\"}{][,:\"" };
	unsigned what = random_below(depth > 0 ? 6 : 4);
	unsigned n = random_below(4);

	if (what < 4) {
		(void)buf_puts(b, scalars[random_below(13)]);
		return;
	}
	(void)buf_puts(b, what == 4 ? "[" : "{");
	for (unsigned i = 0; i < n; i++) {
		add_blank(b);
		if (what == 5)
			(void)buf_printf(b, "\"%c\" :", 'a' + (char)i);
		add_random_value(b, depth - 1);
		if (i + 1 < n)
			(void)buf_puts(b, ",");
	}
	add_blank(b);
	(void)buf_puts(b, what == 4 ? "]" : "}");
}

static void
add_random_options(struct buf *b)
{
	static const char *const options[] = { "null", "{}", "{ }",
		"{\"include_usage\":false}", "{\"include_usage\":null}",
		"{\"include_usage\" : true}", "{\"x\":[1,{}]}",
		"{\"x\":{\"include_usage\":false},\"include_usage\":0}" };

	(void)buf_puts(b, options[random_below(8)]);
}

/* An object with a model, members of ours or not, in any order. */
static void
make_body(struct buf *b)
{
	unsigned model = random_below(5), n = model + 1 + random_below(4);
	unsigned options = random_below(8), salt = random_below(8);
	unsigned stream = random_below(6);

	add_blank(b);
	(void)buf_puts(b, "{");
	for (unsigned i = 0; i < n; i++) {
		add_blank(b);
		if (i == model)
			(void)buf_puts(b, "\"model\":\"m\"");
		else if (i == stream)
			(void)buf_puts(b, "\"stream\": true");
		else if (i == options) {
			(void)buf_puts(b, "\"stream_options\" : ");
			add_random_options(b);
		} else if (i == salt)
			(void)buf_printf(b, "\"cache_salt\":%s",
			    random_below(2) ? "null" : "\"own\"");
		else {
			(void)buf_printf(b, "\"other%u\":", i);
			add_random_value(b, 4);
		}
		add_blank(b);
		if (i + 1 < n)
			(void)buf_puts(b, ",");
	}
	(void)buf_puts(b, "}");
	add_blank(b);
}

static struct json_object *
member(struct json_object *o, const char *name)
{
	struct json_object *value = NULL;

	if (json_object_is_type(o, json_type_object))
		(void)json_object_object_get_ex(o, name, &value);
	return value;
}

/* Sets in the tree what the splices should set in the text. */
static void
change_tree(struct json_object *top)
{
	struct json_object *options = member(top, "stream_options");

	if (json_object_get_boolean(member(top, "stream"))) {
		if (options == NULL) {
			options = json_object_new_object();
			json_object_object_add(top, "stream_options", options);
		}
		json_object_object_add(
		    options, "include_usage", json_object_new_boolean(1));
	}
	if (member(top, "cache_salt") == NULL)
		json_object_object_add(
		    top, "cache_salt", json_object_new_string(SALT));
}

/* Every byte of the body is sent, in order, but for replaced values. */
static void
same_bytes(const struct openai_request *r, const struct buf *body)
{
	struct iovec pieces[OPENAI_PIECES_MAX];
	size_t n = openai_pieces(r, body->data, body->len, pieces), at = 0;

	for (size_t i = 0; i < n; i++) {
		const char *p = pieces[i].iov_base;
		size_t gap;

		if (p < body->data || p >= body->data + body->len)
			continue;
		gap = (size_t)(p - body->data) - at;
		ck_assert_msg(gap == 0 ||
			(gap == 4 &&
			    strncmp(body->data + at, "null", 4) == 0) ||
			(gap == 5 &&
			    strncmp(body->data + at, "false", 5) == 0) ||
			(gap == 1 && body->data[at] == '0'),
		    "%.*s", (int)gap, body->data + at);
		at += gap + pieces[i].iov_len;
	}
	ck_assert_uint_eq(at, body->len);
}

START_TEST(any_body_changes_in_the_intended_members_alone)
{

	random_start(20261122 + (unsigned)_i);
	for (int i = 0; i < 500; i++) {
		struct buf body = BUF(1 << 20), out;
		struct json_object *before, *after;
		struct openai_request r;

		make_body(&body);
		ck_assert_msg(openai_read(OPENAI_CHAT, JSON, body.data,
				  body.len, SALT, &r) == OPENAI_OK,
		    "seed %llu, %d: %s", random_seed, i, body.data);
		out = rewritten(&r, body.data, body.len);
		same_bytes(&r, &body);
		before = json_tokener_parse(body.data);
		after = json_tokener_parse(out.data);
		ck_assert_ptr_nonnull(before);
		change_tree(before);
		ck_assert_msg(json_object_equal(before, after),
		    "seed %llu, %d: %s became %s", random_seed, i, body.data,
		    out.data);
		json_object_put(before);
		json_object_put(after);
		buf_free(&body);
		buf_free(&out);
	}
}
END_TEST

/* --- Hostile input, in bounded time. --- */

static double
seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* 'head', then n times 'filling', then 'tail'. */
static enum openai_error
read_long(const char *head, const char *filling, size_t n, const char *tail,
    struct openai_request *r)
{
	struct buf body = BUF(64 << 20);
	double began = seconds();
	enum openai_error got;

	(void)buf_puts(&body, head);
	for (size_t i = 0; i < n; i++)
		(void)buf_puts(&body, filling);
	(void)buf_puts(&body, tail);
	ck_assert_int_eq(body.failed, 0);
	got = openai_read(OPENAI_CHAT, JSON, body.data, body.len, SALT, r);
	ck_assert_double_lt(seconds() - began, 20);
	buf_free(&body);
	return got;
}

START_TEST(hostile_bodies_cost_little)
{
	struct openai_request r;

	ck_assert_int_eq(read_long("", "[", 5000000, "", &r), OPENAI_BAD_JSON);
	ck_assert_int_eq(
	    read_long("", "{\"model\":", 1000000, "", &r), OPENAI_BAD_JSON);
	ck_assert_int_eq(
	    read_long("{\"model\":\"m\",\"max_tokens\":", "9", 100000, "}", &r),
	    OPENAI_OK);
	ck_assert_int_eq(r.max_tokens, 0);
	ck_assert_int_eq(read_long("{\"model\":\"", "x", 5000000, "\"}", &r),
	    OPENAI_MODEL_NOT_FOUND);
	ck_assert_str_eq(r.model, "");
	ck_assert_int_eq(
	    read_long("{\"model\":\"m\"", ",\"stream\":true", 500000, "}", &r),
	    OPENAI_OK);
	ck_assert_int_eq(
	    read_long("{\"model\":\"m\"", ",\"stream_options\":{\"a\":[{}]}",
		500000, ",\"stream\":true}", &r),
	    OPENAI_OK);
	ck_assert_int_eq(
	    read_long("{\"", "\\u006d", 500000, "\":1,\"model\":\"m\"}", &r),
	    OPENAI_OK);
}
END_TEST

START_TEST(odd_text_in_a_model_does_no_harm)
{
	static const char *const models[] = { "\xff\xfe", "\xc0\x80", "\\ud800",
		"\\udc00x", "\\ud800\\ud800", "\xed\xa0\x80" };
	struct openai_request r;
	char body[64];

	for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
		int n = snprintf(
		    body, sizeof(body), "{\"model\":\"%s\"}", models[i]);
		enum openai_error got =
		    openai_read(OPENAI_CHAT, JSON, body, (size_t)n, NULL, &r);

		/* Taken as some name or refused, and never cut short. */
		ck_assert_msg(got == OPENAI_BAD_JSON ||
			(got == OPENAI_OK && r.model[0] != '\0'),
		    "%s: %d", models[i], (int)got);
	}
}
END_TEST

START_TEST(endpoints_have_names)
{
	ck_assert_str_eq(openai_endpoint_name(OPENAI_CHAT), "chat.completions");
	ck_assert_str_eq(
	    openai_endpoint_name(OPENAI_COMPLETIONS), "completions");
	ck_assert_str_eq(openai_endpoint_name(OPENAI_EMBEDDINGS), "embeddings");
	ck_assert_str_eq(openai_endpoint_name(OPENAI_TRANSCRIPTIONS),
	    "audio.transcriptions");
	ck_assert_str_eq(
	    openai_endpoint_name(OPENAI_TRANSLATIONS), "audio.translations");
	ck_assert_str_eq(openai_endpoint_name(OPENAI_MESSAGES), "messages");
	ck_assert_str_eq(
	    openai_endpoint_name(OPENAI_UNSTRUCTURED), "unstructured");
}
END_TEST

static TCase *
cases(void)
{
	TCase *t = tcase_create("openai");

	ADD_ROWS(t, streams_are_asked_for_their_usage, splices);
	ADD_ROWS(t, a_salt_is_put_where_none_is, salts);
	ADD_ROWS(t, bodies_are_objects_with_one_model, bodies);
	ADD_ROWS(
	    t, the_tokens_asked_for_are_the_longest_answer_times_n, limits);
	ADD_ROWS(t, a_maximum_is_named_where_the_client_names_none, bounds);
	ADD_ROWS(t, content_types_are_told_apart, types);
	ADD_ROWS(t, forms_are_read_and_asked_for_usage, forms);
	tcase_add_test(t, a_form_without_a_model_is_only_passed_on);
	tcase_add_test(t, odd_forms);
	tcase_add_loop_test(
	    t, any_body_changes_in_the_intended_members_alone, 0, 8);
	tcase_add_test(t, hostile_bodies_cost_little);
	tcase_add_test(t, odd_text_in_a_model_does_no_harm);
	tcase_add_test(t, endpoints_have_names);
	tcase_set_timeout(t, 120);
	return t;
}

int
main(void)
{
	return suite_run("openai", cases(), NULL);
}
