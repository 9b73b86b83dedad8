/*
 * lib/openai, errors: each against the table that the clients' libraries
 * were read for, parsed by json-c as a client would.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

#include "lib/buf.h"
#include "lib/openai.h"
#include "tests/unit/suite.h"

#define INVALID "invalid_request_error"

static const struct {
	enum openai_error error;
	int status;
	const char *type, *param, *code, *anthropic;
} rows[] = {
	{ OPENAI_BAD_REQUEST, 400, INVALID, NULL, NULL, INVALID },
	{ OPENAI_BAD_JSON, 400, INVALID, NULL, NULL, INVALID },
	{ OPENAI_BAD_FORM, 400, INVALID, NULL, NULL, INVALID },
	{ OPENAI_SHORT_BODY, 400, INVALID, NULL, NULL, INVALID },
	{ OPENAI_LATE_BODY, 408, INVALID, NULL, NULL, INVALID },
	{ OPENAI_NO_MODEL, 400, INVALID, "model", NULL, INVALID },
	{ OPENAI_TWO_MODELS, 400, INVALID, "model", NULL, INVALID },
	{ OPENAI_NO_KEY, 401, INVALID, NULL, NULL, "authentication_error" },
	{ OPENAI_BAD_KEY, 401, INVALID, NULL, "invalid_api_key",
	    "authentication_error" },
	{ OPENAI_HTTPS_REQUIRED, 403, INVALID, NULL, "https_required",
	    "permission_error" },
	{ OPENAI_MODEL_NOT_FOUND, 404, INVALID, "model", "model_not_found",
	    "not_found_error" },
	{ OPENAI_UNKNOWN_URL, 404, INVALID, NULL, "unknown_url",
	    "not_found_error" },
	{ OPENAI_METHOD, 405, INVALID, NULL, "method_not_allowed", INVALID },
	{ OPENAI_NO_LENGTH, 411, INVALID, NULL, NULL, INVALID },
	{ OPENAI_TOO_LARGE, 413, INVALID, NULL, "request_too_large",
	    "request_too_large" },
	{ OPENAI_MEDIA_TYPE, 415, INVALID, NULL, "unsupported_media_type",
	    INVALID },
	{ OPENAI_RATE_REQUESTS, 429, "requests", NULL, "rate_limit_exceeded",
	    "rate_limit_error" },
	{ OPENAI_RATE_KEY_REQUESTS, 429, "requests", NULL,
	    "rate_limit_exceeded", "rate_limit_error" },
	{ OPENAI_RATE_TOKENS, 429, "tokens", NULL, "rate_limit_exceeded",
	    "rate_limit_error" },
	{ OPENAI_RATE_PARALLEL, 429, "requests", NULL, "rate_limit_exceeded",
	    "rate_limit_error" },
	{ OPENAI_RATE_BODIES, 429, "requests", NULL, "rate_limit_exceeded",
	    "rate_limit_error" },
	{ OPENAI_RATE_ADDRESS, 429, "requests", NULL, "rate_limit_exceeded",
	    "rate_limit_error" },
	{ OPENAI_RATE_FAILED_AUTH, 429, "requests", NULL, "rate_limit_exceeded",
	    "rate_limit_error" },
	{ OPENAI_BUDGET, 429, "insufficient_quota", NULL, "insufficient_quota",
	    "rate_limit_error" },
	{ OPENAI_CLIENT_GONE, 499, INVALID, NULL, NULL, INVALID },
	{ OPENAI_UPSTREAM_AUTH, 502, "server_error", NULL, "upstream_auth",
	    "api_error" },
	{ OPENAI_UPSTREAM_UNREACHABLE, 502, "server_error", NULL,
	    "upstream_unreachable", "api_error" },
	{ OPENAI_UPSTREAM_BROKEN, 502, "server_error", NULL,
	    "upstream_unreachable", "api_error" },
	{ OPENAI_UPSTREAM_TIMEOUT, 504, "server_error", NULL,
	    "upstream_timeout", "timeout_error" },
	{ OPENAI_UPSTREAM_ERROR, 502, "server_error", NULL, NULL, "api_error" },
	{ OPENAI_OVERLOADED, 503, "service_unavailable_error", NULL,
	    "server_is_overloaded", "overloaded_error" },
	{ OPENAI_STORE, 503, "server_error", NULL, "store_unavailable",
	    "overloaded_error" },
	{ OPENAI_INTERNAL, 500, "server_error", NULL, NULL, "api_error" },
};

#define N_ROWS COUNT(rows)

/* Parses one whole document; to be put by the caller. */
static struct json_object *
parse(const char *text, size_t n)
{
	struct json_tokener *tokener = json_tokener_new();
	struct json_object *top;

	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
	top = json_tokener_parse_ex(tokener, text, (int)n);
	ck_assert_msg(json_tokener_get_error(tokener) == json_tokener_success &&
		json_tokener_get_parse_end(tokener) == n,
	    "%s", text);
	json_tokener_free(tokener);
	return top;
}

/* The member is there, and is this text or, for NULL, null. */
static void
has(struct json_object *o, const char *name, const char *want)
{
	struct json_object *value = o;

	ck_assert_msg(json_object_object_get_ex(o, name, &value), "%s", name);
	if (want == NULL) {
		ck_assert_msg(value == NULL, "%s is not null", name);
		return;
	}
	ck_assert(json_object_is_type(value, json_type_string));
	ck_assert_str_eq(json_object_get_string(value), want);
}

/* The object "error", with a message that says something. */
static struct json_object *
error_of(struct json_object *top, int members)
{
	struct json_object *error = NULL, *message = NULL;
	const char *text;

	ck_assert(json_object_object_get_ex(top, "error", &error));
	ck_assert_int_eq(json_object_object_length(error), members);
	ck_assert(json_object_object_get_ex(error, "message", &message));
	ck_assert(json_object_is_type(message, json_type_string));
	text = json_object_get_string(message);
	ck_assert_uint_gt(strlen(text), 8);
	ck_assert_int_eq(text[strlen(text) - 1], '.');
	return error;
}

static void
is_openai(const char *text, size_t n, const char *type, const char *param,
    const char *code)
{
	struct json_object *top = parse(text, n), *error;

	ck_assert_int_eq(json_object_object_length(top), 1);
	error = error_of(top, 4);
	has(error, "type", type);
	has(error, "param", param);
	has(error, "code", code);
	json_object_put(top);
}

static void
is_anthropic(const char *text, size_t n, const char *type, const char *id)
{
	struct json_object *top = parse(text, n);

	ck_assert_int_eq(json_object_object_length(top), 3);
	has(top, "type", "error");
	has(top, "request_id", id);
	has(error_of(top, 2), "type", type);
	json_object_put(top);
}

START_TEST(each_error_is_as_the_libraries_expect)
{
	struct buf b = BUF(4096);

	ck_assert_int_eq(openai_error_status(rows[_i].error), rows[_i].status);
	ck_assert_int_eq(
	    openai_error_body(&b, rows[_i].error, OPENAI_DIALECT, 0, "req_1"),
	    0);
	is_openai(b.data, b.len, rows[_i].type, rows[_i].param, rows[_i].code);
	ck_assert_int_eq(openai_is_error_object(b.data), 1);
	buf_reset(&b);
	ck_assert_int_eq(openai_error_body(
			     &b, rows[_i].error, ANTHROPIC_DIALECT, 0, "req_1"),
	    0);
	is_anthropic(b.data, b.len, rows[_i].anthropic, "req_1");
	ck_assert_int_eq(openai_is_error_object(b.data), 1);
	buf_free(&b);
}
END_TEST

START_TEST(the_table_is_whole)
{
	int seen[OPENAI_ERROR__MAX] = { 0 };

	for (int i = 0; i < N_ROWS; i++)
		seen[rows[i].error]++;
	for (int i = OPENAI_OK + 1; i < OPENAI_ERROR__MAX; i++)
		ck_assert_msg(seen[i] == 1, "error %d", i);
}
END_TEST

static const struct {
	int status;
	const char *type, *code, *anthropic;
} theirs[] = {
	{ 400, INVALID, NULL, INVALID },
	{ 402, INVALID, NULL, "billing_error" },
	{ 404, INVALID, NULL, "not_found_error" },
	{ 409, INVALID, NULL, INVALID },
	{ 413, INVALID, NULL, "request_too_large" },
	{ 422, INVALID, NULL, INVALID },
	{ 429, "requests", "rate_limit_exceeded", "rate_limit_error" },
	{ 500, "server_error", NULL, "api_error" },
	{ 502, "server_error", NULL, "api_error" },
	{ 503, "server_error", NULL, "overloaded_error" },
	{ 504, "server_error", NULL, "timeout_error" },
	{ 529, "server_error", NULL, "overloaded_error" },
};

START_TEST(an_upstream_error_takes_the_upstreams_status)
{
	struct buf b = BUF(4096);

	ck_assert_int_eq(openai_error_body(&b, OPENAI_UPSTREAM_ERROR,
			     OPENAI_DIALECT, theirs[_i].status, "r"),
	    0);
	is_openai(b.data, b.len, theirs[_i].type, NULL, theirs[_i].code);
	buf_reset(&b);
	ck_assert_int_eq(openai_error_body(&b, OPENAI_UPSTREAM_ERROR,
			     ANTHROPIC_DIALECT, theirs[_i].status, "r"),
	    0);
	is_anthropic(b.data, b.len, theirs[_i].anthropic, "r");
	buf_free(&b);
}
END_TEST

static void
add_body(struct buf *b, enum openai_error error, enum openai_dialect dialect,
    int status)
{
	ck_assert_int_eq(openai_error_body(b, error, dialect, status, "r"), 0);
}

/* It is built once: whatever was asked for first, and in between. */
START_TEST(an_error_is_the_same_each_time)
{
	const enum openai_error error = rows[_i].error;
	struct buf event = BUF(4096), b = BUF(4096), small = BUF(40);
	const char *first;

	ck_assert_int_eq(
	    openai_error_event(&event, error, OPENAI_DIALECT, "r"), 0);
	ck_assert_ptr_nonnull(first = strchr(event.data, '{'));
	add_body(&b, OPENAI_UPSTREAM_ERROR, OPENAI_DIALECT, 429);
	add_body(&b, error, ANTHROPIC_DIALECT, 0);
	buf_reset(&b);
	add_body(&b, error, OPENAI_DIALECT, 0);
	ck_assert_uint_eq(b.len, strlen(first) - strlen("\n\n"));
	ck_assert_mem_eq(b.data, first, b.len);
	is_openai(b.data, b.len, rows[_i].type, rows[_i].param, rows[_i].code);
	buf_reset(&event);
	add_body(&event, error, OPENAI_DIALECT, rows[_i].status);
	ck_assert_str_eq(event.data, b.data);
	ck_assert_int_eq(
	    openai_error_body(&small, error, OPENAI_DIALECT, 0, "r"), -1);
	buf_free(&event);
	buf_free(&b);
	buf_free(&small);
}
END_TEST

START_TEST(a_request_id_is_text_or_null)
{
	struct buf b = BUF(4096);

	ck_assert_int_eq(
	    openai_error_body(&b, OPENAI_STORE, ANTHROPIC_DIALECT, 0, NULL), 0);
	is_anthropic(b.data, b.len, "overloaded_error", NULL);
	buf_reset(&b);
	ck_assert_int_eq(openai_error_body(&b, OPENAI_STORE, ANTHROPIC_DIALECT,
			     0, "a\"b\\c\n/"),
	    0);
	is_anthropic(b.data, b.len, "overloaded_error", "a\"b\\c\n/");
	buf_free(&b);
}
END_TEST

START_TEST(a_full_buffer_is_told)
{
	struct buf b = BUF(40);

	ck_assert_int_eq(
	    openai_error_body(&b, OPENAI_STORE, OPENAI_DIALECT, 0, "r"), -1);
	buf_reset(&b);
	ck_assert_int_eq(
	    openai_error_event(&b, OPENAI_STORE, OPENAI_DIALECT, "r"), -1);
	buf_free(&b);
}
END_TEST

/*
 * Reads events as the standard says: lines that end in LF, CR LF or CR; a
 * blank one ends the event. Answers the last event's name and data.
 */
static int
last_event(const char *p, char *name, char *data, size_t size)
{
	char event[200] = "", text[4096] = "";
	int events = 0;

	while (*p != '\0') {
		size_t n = strcspn(p, "\r\n");

		if (n == 0 && *text != '\0') {
			ck_assert_uint_lt(strlen(text), size);
			memcpy(name, event, strlen(event) + 1);
			memcpy(data, text, strlen(text) + 1);
			events++;
		}
		if (n == 0)
			*event = *text = '\0';
		if (strncmp(p, "event: ", 7) == 0)
			snprintf(
			    event, sizeof(event), "%.*s", (int)n - 7, p + 7);
		if (strncmp(p, "data: ", 6) == 0)
			snprintf(text, sizeof(text), "%.*s", (int)n - 6, p + 6);
		p += n;
		p += *p == '\r' && p[1] == '\n' ? 2 : *p != '\0';
	}
	return events;
}

/* Where a stream may break. */
static const char *const broken[] = {
	"",
	"data: {\"a\":1}\n\n",
	"data: {\"a\":1}\n",
	"data: {\"a\":1}\r\n\r\n",
	"data: {\"a\":1}\r\n\r",
	"data: {\"a\":1}\r\n",
	"data: {\"a\":1}\r",
	"data: {\"a\":",
	"data:",
	"dat",
	": comm",
	"event: content_block_delta\n",
	"event: content_block_delta\ndata: {\"type\":\"con",
	"event: conte",
	"id: 1\ndata: \"\\u00",
};

START_TEST(an_error_event_is_read_wherever_the_stream_broke)
{
	char name[200], data[4096];
	struct buf b = BUF(8192);

	(void)buf_puts(&b, broken[_i]);
	ck_assert_int_eq(openai_error_event(&b, OPENAI_UPSTREAM_BROKEN,
			     OPENAI_DIALECT, "req_1"),
	    0);
	ck_assert_int_ge(last_event(b.data, name, data, sizeof(data)), 1);
	ck_assert_str_eq(name, "");
	is_openai(
	    data, strlen(data), "server_error", NULL, "upstream_unreachable");
	buf_reset(&b);
	(void)buf_puts(&b, broken[_i]);
	ck_assert_int_eq(openai_error_event(&b, OPENAI_UPSTREAM_BROKEN,
			     ANTHROPIC_DIALECT, "req_1"),
	    0);
	ck_assert_int_ge(last_event(b.data, name, data, sizeof(data)), 1);
	ck_assert_str_eq(name, "error");
	is_anthropic(data, strlen(data), "api_error", "req_1");
	buf_free(&b);
}
END_TEST

static const struct {
	const char *text;
	int is;
} objects[] = {
	{ "{\"error\":{}}", 1 },
	{ "{\"error\":{\"message\":\"m\",\"code\":400}}", 1 },
	{ " {\"type\":\"error\",\"error\":{\"type\":\"x\"}}\n", 1 },
	{ "{\"error\":\"text\"}", 0 },
	{ "{\"error\":null}", 0 },
	{ "{\"error\":[]}", 0 },
	{ "{\"error\":true}", 0 },
	{ "{\"detail\":\"Not Found\"}", 0 },
	{ "{\"a\":{\"error\":{}}}", 0 },
	{ "{\"error\":{},\"error\":1}", 0 },
	{ "[{\"error\":{}}]", 0 },
	{ "\"error\"", 0 },
	{ "{\"error\":{}", 0 },
	{ "{\"error\":{}}}", 0 },
	{ "{\"error\":{}}<html>", 0 },
	{ "data: {\"error\":{}}\n\n", 0 },
	{ "<html>", 0 },
	{ "", 0 },
};

START_TEST(error_objects_are_told_from_other_texts)
{
	ck_assert_msg(
	    openai_is_error_object(objects[_i].text) == objects[_i].is, "%s",
	    objects[_i].text);
}
END_TEST

static TCase *
cases(void)
{
	TCase *t = tcase_create("openai_error");

	ADD_ROWS(t, each_error_is_as_the_libraries_expect, rows);
	tcase_add_test(t, the_table_is_whole);
	ADD_ROWS(t, an_upstream_error_takes_the_upstreams_status, theirs);
	ADD_ROWS(t, an_error_is_the_same_each_time, rows);
	tcase_add_test(t, a_request_id_is_text_or_null);
	tcase_add_test(t, a_full_buffer_is_told);
	ADD_ROWS(t, an_error_event_is_read_wherever_the_stream_broke, broken);
	ADD_ROWS(t, error_objects_are_told_from_other_texts, objects);
	tcase_set_timeout(t, 60);
	return t;
}

int
main(void)
{
	return suite_run("openai_error", cases(), NULL);
}
