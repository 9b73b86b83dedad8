/*
 * answer.c - the route table, the models, and errors in their shapes.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "answer.h"
#include "lib/log.h"

#define CONTROL "/standin/"
#define MESSAGES "/v1/messages"
#define DEPTH_MAX 1024

static const char *required_key;

static const char *const models[] = { "gpt-oss-120b", "gemma-3-27b",
	"qwen3-coder-30b-a3b", "llama-3.3-70b", "qwen3-embedding-4b",
	"multilingual-e5", "whisper-large-v3", "standin-chat",
	"standin-embedding", "standin-audio" };

#define N_MODELS (sizeof(models) / sizeof(models[0]))

void
answer_require_key(const char *key)
{
	required_key = key;
}

void
answer_type(struct answer *a, const char *type)
{
	(void)snprintf(a->type, sizeof(a->type), "%s", type);
}

void
answer_json(struct answer *a, struct json_object *o)
{
	a->status = 200;
	answer_type(a, "application/json");
	(void)json_add(&a->body, o); /* a->body.failed remembers */
}

static struct json_object *
error_anthropic(const char *type, const char *message)
{
	struct json_object *error = json_object_new_object();
	struct json_object *o = json_object_new_object();

	put_text(error, "type", type == NULL ? "api_error" : type);
	put_text(error, "message", message);
	put_text(o, "type", "error");
	put_json(o, "error", error);
	return o;
}

/* vLLM gives the status as an integer in 'code'. */
static struct json_object *
error_openai(
    int status, const char *type, const char *param, const char *message)
{
	struct json_object *error = json_object_new_object();
	struct json_object *o = json_object_new_object();

	put_text(error, "message", message);
	put_text(error, "type", type == NULL ? "InternalServerError" : type);
	if (param == NULL)
		put_null(error, "param");
	else
		put_text(error, "param", param);
	put_number(error, "code", status);
	put_json(o, "error", error);
	return o;
}

void
answer_error(struct answer *a, int status, const char *type, const char *param,
    const char *message)
{
	int event = view_is(a->head.accept, "text/event-stream");
	struct json_object *o;

	if (view_begins(a->head.path, MESSAGES))
		o = error_anthropic(type, message);
	else
		o = error_openai(status, type, param, message);
	buf_reset(&a->body);
	if (event)
		(void)buf_puts(&a->body, "data: ");
	answer_json(a, o);
	if (event) {
		(void)buf_puts(&a->body, "\n\n");
		answer_type(a, "text/event-stream");
	}
	a->status = status;
	a->streaming = 0;
}

/* The status that was asked for, with a body of the asked for shape. */
static void
answer_fault(struct answer *a, int status)
{
	const char *shape = a->fault.error_body;

	answer_error(a, status, NULL, NULL, "stand-in fault");
	if (shape[0] == '\0' || strcmp(shape, "openai") == 0)
		return;
	buf_reset(&a->body);
	if (strcmp(shape, "html") == 0) {
		answer_type(a, "text/html");
		(void)buf_printf(&a->body,
		    "<html><head><title>%d</title></head>"
		    "<body><h1>stand-in fault</h1></body></html>\n",
		    status);
	} else if (strcmp(shape, "string") == 0) {
		(void)buf_puts(&a->body, "{\"error\":\"stand-in fault\"}");
	} else if (strcmp(shape, "text") == 0) {
		answer_type(a, "text/plain");
		(void)buf_puts(&a->body, "stand-in fault\n");
	} else if (strcmp(shape, "empty") != 0) {
		answer_error(a, 400, "BadRequestError", NULL,
		    "stand-in: error-body is openai, html, string, text or "
		    "empty");
	}
}

/* 1 when a fault takes the place of the answer. */
static int
answer_is_fault(struct answer *a)
{
	if (a->fault.redirect) {
		a->status = 302;
		(void)buf_puts(
		    &a->headers, "Location: http://127.0.0.1:9/elsewhere\r\n");
		return 1;
	}
	if (a->fault.status < 400)
		return 0;
	answer_fault(a, (int)a->fault.status);
	return 1;
}

static int
model_is_known(struct view model)
{
	size_t i;

	for (i = 0; i < N_MODELS; i++)
		if (view_is(model, models[i]))
			return 1;
	return view_begins(model, FAULT_MODEL_PREFIX);
}

int
answer_model(struct answer *a, struct view model)
{
	size_t prefix = strlen(FAULT_MODEL_PREFIX);
	char why[200];

	if (!model_is_known(model)) {
		(void)snprintf(why, sizeof(why),
		    "The model `%.*s` does not exist.",
		    (int)(model.n > 100 ? 100 : model.n), model.p);
		answer_error(a, 404, "NotFoundError", "model", why);
		return -1;
	}
	if (view_begins(model, FAULT_MODEL_PREFIX) &&
	    fault_parse(&a->fault, model.p + prefix, model.n - prefix, why,
		sizeof(why)) == -1) {
		answer_error(a, 400, "BadRequestError", "model", why);
		return -1;
	}
	return answer_is_fault(a) ? -1 : 0;
}

struct json_object *
answer_parse(struct answer *a, struct view body)
{
	static struct json_tokener *tokener; /* its stack is large: kept */
	struct json_object *root;
	size_t end;

	if (tokener == NULL) {
		tokener = json_tokener_new_ex(DEPTH_MAX);
		if (tokener == NULL)
			log_fatalx("out of memory");
		/* json-c 0.18, when strict, refuses all beyond ASCII. */
		json_tokener_set_flags(tokener,
		    JSON_TOKENER_ALLOW_TRAILING_CHARS |
			(json_c_version_num() == 0x1200 ? 0
							: JSON_TOKENER_STRICT));
	}
	json_tokener_reset(tokener);
	root = json_tokener_parse_ex(tokener, body.p, (int)body.n);
	end = json_tokener_get_parse_end(tokener);
	while (end < body.n && isspace((unsigned char)body.p[end]))
		end++;
	if (end == body.n && json_object_is_type(root, json_type_object))
		return root;
	(void)json_object_put(root);
	answer_error(a, 400, "Bad Request", NULL,
	    "[{'type': 'json_invalid', 'loc': ('body', 0), 'msg': 'JSON "
	    "decode error'}]");
	return NULL;
}

static void
answer_models(struct answer *a, struct view body)
{
	struct json_object *list = json_object_new_object();
	struct json_object *data = json_object_new_array(), *model;
	size_t i;

	(void)body; /* a GET has none */
	for (i = 0; i < N_MODELS; i++) {
		model = json_object_new_object();
		put_text(model, "id", models[i]);
		put_text(model, "object", "model");
		put_number(model, "created", 1700000000);
		put_text(model, "owned_by", "stand-in");
		(void)json_object_array_add(data, model);
	}
	put_text(list, "object", "list");
	put_json(list, "data", data);
	answer_json(a, list);
}

static const struct route {
	const char *method, *path; /* a path ending in '/' is a prefix */
	void (*handler)(struct answer *, struct view body);
} routes[] = {
	{ "POST", "/v1/chat/completions", answer_chat },
	{ "POST", "/v1/completions", answer_completion },
	{ "POST", "/v1/embeddings", answer_embeddings },
	{ "POST", "/v1/audio/transcriptions", answer_transcription },
	{ "POST", "/v1/audio/translations", answer_translation },
	{ "POST", MESSAGES, answer_messages },
	{ "GET", "/v1/models", answer_models },
	{ "POST", "/unstructured/", answer_documents },
	{ "GET", CONTROL, answer_control },
	{ "POST", CONTROL, answer_control },
};

#define N_ROUTES (sizeof(routes) / sizeof(routes[0]))

static int
path_matches(struct view path, const char *pattern)
{
	if (pattern[strlen(pattern) - 1] == '/')
		return view_begins(path, pattern);
	return view_is(path, pattern);
}

/* NULL after a 404 or 405, which FastAPI gives without an error object. */
static const struct route *
route_find(struct answer *a)
{
	const char *allow = NULL;
	size_t i;

	for (i = 0; i < N_ROUTES; i++) {
		if (!path_matches(a->head.path, routes[i].path))
			continue;
		if (view_is(a->head.method, routes[i].method))
			return &routes[i];
		allow = routes[i].method;
	}
	answer_type(a, "application/json");
	a->status = allow == NULL ? 404 : 405;
	if (allow != NULL)
		(void)buf_printf(&a->headers, "Allow: %s\r\n", allow);
	(void)buf_puts(&a->body,
	    allow == NULL ? "{\"detail\":\"Not Found\"}"
			  : "{\"detail\":\"Method Not Allowed\"}");
	return NULL;
}

int
answer_is_control(const struct http_head *head)
{
	return view_begins(head->path, CONTROL);
}

static int
key_is_good(const struct http_head *head)
{
	size_t n = strlen("Bearer ");
	struct view key = head->authorization;

	if (required_key == NULL || answer_is_control(head))
		return 1;
	if (!view_begins(key, "Bearer "))
		return 0;
	return view_is((struct view){ key.p + n, key.n - n }, required_key);
}

void
answer_init(struct answer *a, const struct http_head *head)
{
	struct buf headers = BUF(4 << 20), body = BUF((size_t)HTTP_BODY_MAX);

	memset(a, 0, sizeof(*a));
	a->head = *head;
	a->headers = headers;
	a->body = body;
	fault_init(&a->fault);
}

void
answer_free(struct answer *a)
{
	buf_free(&a->headers);
	buf_free(&a->body);
	reply_free(&a->reply);
	if (a->waiting)
		report_forget(&a->waiter);
	a->waiting = 0;
}

void
answer_make(struct answer *a, struct view body)
{
	const struct route *route;
	char why[200];

	if (fault_parse(&a->fault, a->head.fault.p, a->head.fault.n, why,
		sizeof(why)) == -1)
		answer_error(a, 400, "BadRequestError", NULL, why);
	else if (!key_is_good(&a->head))
		answer_error(
		    a, 401, "authentication_error", NULL, "invalid API key");
	else if ((route = route_find(a)) != NULL) {
		/* Without a model no endpoint asks for its faults. */
		if (a->head.fault.n == 0 || !answer_is_fault(a))
			route->handler(a, body);
	}
	if (a->fault.status >= 200 && a->fault.status < 400 && a->status == 200)
		a->status = (int)a->fault.status;
}

void
answer_early(struct answer *a)
{
	answer_fault(a, a->fault.status >= 200 ? (int)a->fault.status : 413);
}

void
answer_refuse(struct answer *a, int status, const char *message)
{
	answer_error(a, status, "BadRequestError", NULL, message);
}
