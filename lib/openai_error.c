/* Every error a client can see, in one table; the JSON is json-c's. */
#include "openai.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "json.h"

struct error_row {
	int status;
	const char *type, *param, *code, *message;
};

#define INVALID "invalid_request_error"
#define LIMITED "rate_limit_exceeded"

static const struct error_row errors[OPENAI_ERROR__MAX] = {
	[OPENAI_OK] = { 500, "server_error", NULL, NULL, "No error." },
	[OPENAI_BAD_REQUEST] = { 400, INVALID, NULL, NULL,
	    "The request could not be understood. Check its path and its "
	    "headers." },
	[OPENAI_BAD_JSON] = { 400, INVALID, NULL, NULL,
	    "The body could not be parsed as a JSON object. Check its syntax; "
	    "nothing was sent on." },
	[OPENAI_BAD_FORM] = { 400, INVALID, NULL, NULL,
	    "The body could not be parsed as multipart/form-data. Check the "
	    "boundary and that the body is complete; nothing was sent on." },
	[OPENAI_SHORT_BODY] = { 400, INVALID, NULL, NULL,
	    "The body is shorter than its announced length. Nothing was sent "
	    "on; send it again." },
	[OPENAI_LATE_BODY] = { 408, INVALID, NULL, NULL,
	    "The rest of the body did not come. Nothing was sent on; send it "
	    "again, over HTTP/1.1 if it was HTTP/2." },
	[OPENAI_NO_MODEL] = { 400, INVALID, "model", NULL,
	    "The request needs a 'model', which is a string. GET /v1/models "
	    "lists those you can use." },
	[OPENAI_TWO_MODELS] = { 400, INVALID, "model", NULL,
	    "The request gives 'model' more than once. Give it once." },
	[OPENAI_NO_KEY] = { 401, INVALID, NULL, NULL,
	    "No API key was given. Send it as 'Authorization: Bearer KEY' or "
	    "as 'X-API-Key: KEY'." },
	[OPENAI_BAD_KEY] = { 401, INVALID, NULL, "invalid_api_key",
	    "This API key is not valid. Check it, or ask your admin for a new "
	    "one." },
	[OPENAI_HTTPS_REQUIRED] = { 403, INVALID, NULL, "https_required",
	    "Plain HTTP is refused here. Use https:// in the base URL, and "
	    "have the key replaced that was sent in the clear." },
	[OPENAI_MODEL_NOT_FOUND] = { 404, INVALID, "model", "model_not_found",
	    "The model does not exist or you do not have access to it. GET "
	    "/v1/models lists those you can use." },
	[OPENAI_UNKNOWN_URL] = { 404, INVALID, NULL, "unknown_url",
	    "There is no such path. The base URL ends in /v1." },
	[OPENAI_METHOD] = { 405, INVALID, NULL, "method_not_allowed",
	    "This path does not answer that method. The Allow header names "
	    "those it does." },
	[OPENAI_NO_LENGTH] = { 411, INVALID, NULL, NULL,
	    "The length of the body is not known. Send it with a "
	    "Content-Length." },
	[OPENAI_TOO_LARGE] = { 413, INVALID, NULL, "request_too_large",
	    "The body is larger than this gate takes. Send less at once." },
	[OPENAI_MEDIA_TYPE] = { 415, INVALID, NULL, "unsupported_media_type",
	    "This path takes another Content-Type: application/json, or "
	    "multipart/form-data where a file is sent." },
	[OPENAI_RATE_REQUESTS] = { 429, "requests", NULL, LIMITED,
	    "The organisation's requests for now are used up. Try again after "
	    "the time in the Retry-After header." },
	[OPENAI_RATE_KEY_REQUESTS] = { 429, "requests", NULL, LIMITED,
	    "This key's requests for now are used up. Try again after the "
	    "time in the Retry-After header." },
	[OPENAI_RATE_TOKENS] = { 429, "tokens", NULL, LIMITED,
	    "This key's tokens for this minute are used up. Try again after "
	    "the time in the Retry-After header." },
	[OPENAI_RATE_PARALLEL] = { 429, "requests", NULL, LIMITED,
	    "This key has too many requests open at once. Wait for one to "
	    "end." },
	[OPENAI_RATE_BODIES] = { 429, "requests", NULL, LIMITED,
	    "This key is sending too much at once. Wait for one of its large "
	    "requests to end." },
	[OPENAI_RATE_ADDRESS] = { 429, "requests", NULL, LIMITED,
	    "Too many requests come from your address. Try again after the "
	    "time in the Retry-After header." },
	[OPENAI_RATE_FAILED_AUTH] = { 429, "requests", NULL, LIMITED,
	    "Too many wrong keys come from your address. Check the key and "
	    "try again after the time in the Retry-After header." },
	[OPENAI_BUDGET] = { 429, "insufficient_quota", NULL,
	    "insufficient_quota",
	    "What is left of this key's budget for the month does not cover "
	    "the request. Ask your admin." },
	[OPENAI_CLIENT_GONE] = { 499, INVALID, NULL, NULL,
	    "The connection was closed before the answer began." },
	[OPENAI_UPSTREAM_AUTH] = { 502, "server_error", NULL, "upstream_auth",
	    "The model server refused the organisation's key. Your own key is "
	    "fine; tell your admin." },
	[OPENAI_UPSTREAM_UNREACHABLE] = { 502, "server_error", NULL,
	    "upstream_unreachable",
	    "The model server cannot be reached. Try again in a moment." },
	[OPENAI_UPSTREAM_BROKEN] = { 502, "server_error", NULL,
	    "upstream_unreachable",
	    "The model server broke off in the middle of the answer, which is "
	    "incomplete. Try again." },
	[OPENAI_UPSTREAM_TIMEOUT] = { 504, "server_error", NULL,
	    "upstream_timeout",
	    "The model server did not answer in time. Try again, or ask for a "
	    "shorter answer." },
	[OPENAI_UPSTREAM_ERROR] = { 502, "server_error", NULL, NULL,
	    "The model server refused the request without saying why." },
	[OPENAI_OVERLOADED] = { 503, "service_unavailable_error", NULL,
	    "server_is_overloaded",
	    "The gate is busy. Try again after the time in the Retry-After "
	    "header." },
	[OPENAI_STORE] = { 503, "server_error", NULL, "store_unavailable",
	    "The gate cannot check keys and limits just now, so it lets "
	    "nobody in. Tell your admin." },
	[OPENAI_INTERNAL] = { 500, "server_error", NULL, NULL,
	    "Something went wrong inside the gate. Try again; tell your admin "
	    "the request id." },
};

/* Anthropic's types follow from the status. */
static const char *
anthropic_type(int status)
{
	static const struct {
		int status;
		const char *type;
	} types[] = { { 400, "invalid_request_error" },
		{ 401, "authentication_error" }, { 402, "billing_error" },
		{ 403, "permission_error" }, { 404, "not_found_error" },
		{ 413, "request_too_large" }, { 429, "rate_limit_error" },
		{ 503, "overloaded_error" }, { 504, "timeout_error" },
		{ 529, "overloaded_error" } };

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (types[i].status == status)
			return types[i].type;
	return status < 500 ? "invalid_request_error" : "api_error";
}

int
openai_error_status(enum openai_error error)
{
	return errors[error].status;
}

/* NULL becomes JSON's null, as the error object wants it. */
static int
add_text(struct json_object *to, const char *name, const char *text)
{
	struct json_object *value = NULL;

	if (text != NULL && (value = json_object_new_string(text)) == NULL)
		return -1;
	if (json_object_object_add(to, name, value) != 0) {
		json_object_put(value);
		return -1;
	}
	return 0;
}

/* Hands 'child' to 'parent', or frees it. */
static int
add_object(
    struct json_object *parent, const char *name, struct json_object *child)
{
	if (child == NULL || json_object_object_add(parent, name, child) != 0) {
		json_object_put(child);
		return -1;
	}
	return 0;
}

static int
fill_openai(struct json_object *top, const struct error_row *row)
{
	struct json_object *error = json_object_new_object();

	return add_object(top, "error", error) ||
	    add_text(error, "message", row->message) ||
	    add_text(error, "type", row->type) ||
	    add_text(error, "param", row->param) ||
	    add_text(error, "code", row->code);
}

static int
fill_anthropic(struct json_object *top, const struct error_row *row, int status,
    const char *request_id)
{
	struct json_object *error = json_object_new_object();

	return add_text(top, "type", "error") ||
	    add_object(top, "error", error) ||
	    add_text(error, "type", anthropic_type(status)) ||
	    add_text(error, "message", row->message) ||
	    add_text(top, "request_id", request_id);
}

static int
build_body(struct buf *b, enum openai_error error, enum openai_dialect dialect,
    int status, const char *request_id)
{
	struct error_row row = errors[error];
	struct json_object *top = json_object_new_object();
	int bad;

	if (status == 0)
		status = row.status;
	else if (error == OPENAI_UPSTREAM_ERROR && status == 429)
		row = (struct error_row){ status, "requests", NULL, LIMITED,
			row.message };
	else if (error == OPENAI_UPSTREAM_ERROR && status < 500)
		row.type = INVALID;
	bad = top == NULL ||
	    (dialect == ANTHROPIC_DIALECT
		    ? fill_anthropic(top, &row, status, request_id)
		    : fill_openai(top, &row));
	if (!bad)
		bad = buf_puts(b,
		    json_object_to_json_string_ext(top,
			JSON_C_TO_STRING_PLAIN |
			    JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(top);
	return bad ? -1 : 0;
}

/*
 * OpenAI's objects with a status of ours are the same each time, so each is
 * built once: a flood of refusals is to cost little. They hold no more than
 * the table above, and stay for as long as the process.
 */
static _Atomic(char *) built[OPENAI_ERROR__MAX];

static void
keep(enum openai_error error, const char *text)
{
	char *copy = strdup(text), *none = NULL;

	if (!atomic_compare_exchange_strong(&built[error], &none, copy))
		free(copy); /* another thread's is the same */
}

int
openai_error_body(struct buf *b, enum openai_error error,
    enum openai_dialect dialect, int status, const char *request_id)
{
	const int same = dialect == OPENAI_DIALECT &&
	    (status == 0 || status == errors[error].status);
	const char *text = same ? atomic_load(&built[error]) : NULL;
	const size_t at = b->len;

	if (text != NULL)
		return buf_puts(b, text);
	if (build_body(b, error, dialect, status, request_id) == -1)
		return -1;
	if (same)
		keep(error, b->data + at);
	return 0;
}

int
openai_error_event(struct buf *b, enum openai_error error,
    enum openai_dialect dialect, const char *request_id)
{
	/* The newlines first: the stream may have broken inside a line. */
	if (buf_puts(b,
		dialect == ANTHROPIC_DIALECT ? "\n\nevent: error\ndata: "
					     : "\n\ndata: ") == -1 ||
	    openai_error_body(b, error, dialect, 0, request_id) == -1)
		return -1;
	return buf_puts(b, "\n\n");
}

int
openai_is_error_object(const char *text)
{
	struct json_member m[] = { { .path = "" }, { .path = "error" } };
	struct json_skim skim;

	json_skim_init(&skim, m, sizeof(m) / sizeof(m[0]));
	return json_skim_feed(&skim, text, strlen(text)) == 0 &&
	    json_skim_end(&skim) == 0 && m[0].type == JSON_OBJECT &&
	    m[1].type == JSON_OBJECT;
}
