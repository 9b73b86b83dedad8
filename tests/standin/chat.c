/*
 * chat.c - /v1/chat/completions, /v1/completions and /v1/messages: from the
 * request to a reply.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"

#define CACHE_BLOCK 16
#define CACHE_SALT_MIN 32
#define TOOL_PIECE 8

static struct json_object *
get(struct json_object *o, const char *name)
{
	struct json_object *value = NULL;

	if (!json_object_is_type(o, json_type_object) ||
	    !json_object_object_get_ex(o, name, &value))
		return NULL;
	return value;
}

static struct view
text_of(struct json_object *o)
{
	if (!json_object_is_type(o, json_type_string))
		return (struct view){ "", 0 };
	return (struct view){ json_object_get_string(o),
		(size_t)json_object_get_string_len(o) };
}

static struct json_object *
element(struct json_object *array, size_t i)
{
	if (!json_object_is_type(array, json_type_array) ||
	    i >= json_object_array_length(array))
		return NULL;
	return json_object_array_get_idx(array, i);
}

static size_t
length(struct json_object *array)
{
	return json_object_is_type(array, json_type_array)
	    ? json_object_array_length(array)
	    : 0;
}

/* A string, or the texts among the parts of an array, or its strings. */
static void
add_content(struct buf *out, struct json_object *content)
{
	struct json_object *part;
	struct view text = text_of(content);
	size_t i;

	(void)buf_add(out, text.p, text.n);
	for (i = 0; (part = element(content, i)) != NULL; i++) {
		text = text_of(part);
		if (text.n == 0)
			text = text_of(get(part, "text"));
		(void)buf_add(out, text.p, text.n);
	}
}

/* One value that satisfies a property's type. */
static struct json_object *
example(struct json_object *schema)
{
	struct view type = text_of(get(schema, "type"));
	struct json_object *first = element(get(schema, "enum"), 0);

	if (first != NULL)
		return json_object_get(first);
	if (view_is(type, "integer") || view_is(type, "number"))
		return json_object_new_int(1);
	if (view_is(type, "boolean"))
		return json_object_new_boolean(1);
	if (view_is(type, "array"))
		return json_object_new_array();
	if (view_is(type, "object"))
		return json_object_new_object();
	return json_object_new_string("stand-in");
}

/* The arguments of a tool call: an example of each property. */
static int
tool_words(struct reply *reply, struct json_object *schema)
{
	struct json_object *properties = get(schema, "properties");
	struct json_object *arguments = json_object_new_object();
	struct json_object_iterator it, end;
	struct buf text = BUF(1 << 20);
	int rc;

	if (json_object_is_type(properties, json_type_object)) {
		it = json_object_iter_begin(properties);
		end = json_object_iter_end(properties);
		for (; !json_object_iter_equal(&it, &end);
		     json_object_iter_next(&it))
			put_json(arguments, json_object_iter_peek_name(&it),
			    example(json_object_iter_peek_value(&it)));
	}
	rc = json_add(&text, arguments);
	if (rc == 0)
		rc = words_set(&reply->words,
		    (struct view){ text.data, text.len }, TOOL_PIECE);
	buf_free(&text);
	return rc;
}

/* Calls the first tool if there is one and the prompt speaks of it. */
static int
reply_tool(struct reply *reply, struct json_object *root, struct view prompt)
{
	struct json_object *tool = element(get(root, "tools"), 0);
	const char *schema = "parameters";
	struct view name;

	if (tool == NULL || reply->kind == REPLY_TEXT ||
	    memmem(prompt.p, prompt.n, "tool", 4) == NULL)
		return 0;
	if (reply->kind == REPLY_MESSAGES)
		schema = "input_schema";
	else
		tool = get(tool, "function");
	name = text_of(get(tool, "name"));
	words_free(&reply->words);
	reply->tool = strndup(name.p, name.n);
	return tool_words(reply, get(tool, schema));
}

static int64_t
max_tokens(struct json_object *root)
{
	struct json_object *max = get(root, "max_completion_tokens");

	if (max == NULL)
		max = get(root, "max_tokens");
	if (!json_object_is_type(max, json_type_int) ||
	    json_object_get_int64(max) < 0)
		return -1;
	return json_object_get_int64(max);
}

/* 0, or -1 when vLLM (or the proxy, for the salt) would refuse it. */
static int
check_options(struct answer *a, struct json_object *root)
{
	struct json_object *salt = get(root, "cache_salt");
	int streams = json_object_get_boolean(get(root, "stream"));

	if (get(root, "stream_options") != NULL && !streams) {
		answer_error(a, 400, "BadRequestError", "stream_options",
		    "Stream options can only be defined when `stream=True`.");
		return -1;
	}
	if (salt != NULL && text_of(salt).n < CACHE_SALT_MIN) {
		answer_error(a, 400, "BadRequestError", "cache_salt",
		    "cache_salt must have at least 32 characters");
		return -1;
	}
	return 0;
}

static void
take_usage(struct reply *reply, struct json_object *root, size_t prompt_len)
{
	struct json_object *options = get(root, "stream_options");

	reply->prompt_tokens = words_tokens(prompt_len);
	if (get(root, "cache_salt") != NULL)
		reply->cached_tokens =
		    reply->prompt_tokens / 2 / CACHE_BLOCK * CACHE_BLOCK;
	if (!json_object_get_boolean(get(options, "include_usage")))
		return;
	reply->last = USAGE_REAL;
	reply->each = USAGE_NULL;
	if (json_object_get_boolean(get(options, "continuous_usage_stats")))
		reply->each = USAGE_REAL;
}

static void
take_choices(struct reply *reply, struct json_object *root)
{
	struct json_object *n = get(root, "n");

	if (json_object_is_type(n, json_type_int) &&
	    reply->kind != REPLY_MESSAGES)
		reply->choices = json_object_get_int64(n);
	if (reply->choices < 1)
		reply->choices = 1;
	if (reply->choices > REPLY_CHOICES_MAX)
		reply->choices = REPLY_CHOICES_MAX;
}

static void
answer_reply(struct answer *a, struct json_object *root, enum reply_kind kind,
    struct view prompt)
{
	struct reply *reply = &a->reply;

	reply_init(reply, kind, json_object_get_string(get(root, "model")));
	if (words_make(&reply->words, prompt, &a->fault, max_tokens(root)) ==
		-1 ||
	    reply_tool(reply, root, prompt) == -1) {
		answer_error(a, 500, NULL, NULL, "stand-in: out of memory");
		return;
	}
	take_choices(reply, root);
	take_usage(reply, root, prompt.n);
	reply_usage_faults(reply, &a->fault);
	a->streaming = json_object_get_boolean(get(root, "stream"));
	if (!a->streaming) {
		answer_json(a, reply_whole(reply));
		return;
	}
	a->status = 200;
	answer_type(a, "text/event-stream; charset=utf-8");
}

/* All three differ in where the prompt stands. */
static void
answer_prompt(struct answer *a, struct view body, enum reply_kind kind)
{
	struct json_object *root = answer_parse(a, body), *from;
	struct buf prompt = BUF((size_t)HTTP_BODY_MAX);
	const char *where = kind == REPLY_TEXT ? "prompt" : "messages";

	if (root == NULL)
		return;
	from = get(root, where);
	if (!json_object_is_type(get(root, "model"), json_type_string))
		answer_error(a, 400, "BadRequestError", "model",
		    "model: a string is required");
	else if (answer_model(a, text_of(get(root, "model"))) == 0) {
		if (kind == REPLY_TEXT)
			add_content(&prompt, from);
		else if (length(from) > 0)
			add_content(&prompt,
			    get(element(from, length(from) - 1), "content"));
		if (from == NULL || (kind != REPLY_TEXT && length(from) == 0))
			answer_error(
			    a, 400, "BadRequestError", where, "field required");
		else if (check_options(a, root) == 0)
			answer_reply(a, root, kind,
			    (struct view){ prompt.data, prompt.len });
	}
	buf_free(&prompt);
	(void)json_object_put(root);
}

void
answer_chat(struct answer *a, struct view body)
{
	answer_prompt(a, body, REPLY_CHAT);
}

void
answer_completion(struct answer *a, struct view body)
{
	answer_prompt(a, body, REPLY_TEXT);
}

void
answer_messages(struct answer *a, struct view body)
{
	answer_prompt(a, body, REPLY_MESSAGES);
}
