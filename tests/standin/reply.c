/*
 * reply.c - a whole answer, in the shape of each endpoint.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "reply.h"

void
put_json(struct json_object *o, const char *name, struct json_object *value)
{
	/* Fails only out of memory; a member is then missing. */
	(void)json_object_object_add(o, name, value);
}

void
put_text(struct json_object *o, const char *name, const char *value)
{
	put_json(o, name, json_object_new_string(value));
}

void
put_view(struct json_object *o, const char *name, struct view v)
{
	put_json(
	    o, name, json_object_new_string_len(v.n == 0 ? "" : v.p, (int)v.n));
}

void
put_number(struct json_object *o, const char *name, int64_t n)
{
	put_json(o, name, json_object_new_int64(n));
}

void
put_null(struct json_object *o, const char *name)
{
	put_json(o, name, NULL);
}

int
json_add(struct buf *out, struct json_object *o)
{
	size_t n;
	const char *text = json_object_to_json_string_length(
	    o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &n);
	int rc = text == NULL ? -1 : buf_add(out, text, n);

	(void)json_object_put(o);
	return rc;
}

void
reply_init(struct reply *reply, enum reply_kind kind, const char *model)
{
	static const char *const prefixes[] = { "chatcmpl-", "cmpl-", "trsc-",
		"msg_" };
	static unsigned long long serial;

	memset(reply, 0, sizeof(*reply));
	reply->kind = kind;
	reply->choices = 1;
	reply->model = strdup(model);
	reply->created = (int64_t)time(NULL);
	reply->whole = USAGE_REAL;
	(void)snprintf(reply->id, sizeof(reply->id), "%sstandin%012llx",
	    prefixes[kind], ++serial);
}

void
reply_free(struct reply *reply)
{
	free(reply->model);
	free(reply->tool);
	words_free(&reply->words);
	stamp_free(&reply->stamp);
	memset(reply, 0, sizeof(*reply));
}

void
reply_usage_faults(struct reply *reply, const struct fault *fault)
{
	if (fault->continuous)
		reply->each = USAGE_REAL;
	if (fault->null_usage) {
		reply->whole = reply->each = USAGE_NULL;
		if (reply->last != USAGE_NONE)
			reply->last = USAGE_NULL;
	}
	if (fault->no_usage)
		reply->whole = reply->each = reply->last = USAGE_NONE;
}

const char *
reply_finish(const struct reply *reply)
{
	if (reply->kind == REPLY_MESSAGES) {
		if (reply->words.cut)
			return "max_tokens";
		return reply->tool != NULL ? "tool_use" : "end_turn";
	}
	if (reply->words.cut)
		return "length";
	return reply->tool != NULL ? "tool_calls" : "stop";
}

static struct json_object *
usage_openai(const struct reply *reply, int64_t said)
{
	struct json_object *usage = json_object_new_object(), *details;

	put_number(usage, "prompt_tokens", reply->prompt_tokens);
	put_number(usage, "total_tokens", reply->prompt_tokens + said);
	put_number(usage, "completion_tokens", said);
	details = json_object_new_object();
	put_number(details, "cached_tokens", reply->cached_tokens);
	put_json(usage, "prompt_tokens_details", details);
	return usage;
}

static struct json_object *
usage_anthropic(const struct reply *reply, int64_t said)
{
	struct json_object *usage = json_object_new_object();

	put_number(
	    usage, "input_tokens", reply->prompt_tokens - reply->cached_tokens);
	put_number(usage, "output_tokens", said);
	put_number(usage, "cache_read_input_tokens", reply->cached_tokens);
	put_number(usage, "cache_creation_input_tokens", 0);
	return usage;
}

void
reply_put_usage(const struct reply *reply, struct json_object *o,
    enum reply_usage mode, int64_t said)
{
	if (mode == USAGE_NULL)
		put_null(o, "usage");
	else if (mode == USAGE_REAL)
		put_json(o, "usage",
		    reply->kind == REPLY_MESSAGES ? usage_anthropic(reply, said)
						  : usage_openai(reply, said));
}

static struct view
whole_text(const struct reply *reply)
{
	return (struct view){ reply->words.text.data, reply->words.text.len };
}

/* The message of a chat choice. */
static struct json_object *
whole_message(const struct reply *reply)
{
	struct json_object *message = json_object_new_object();
	struct json_object *calls = json_object_new_array(), *call, *function;

	put_text(message, "role", "assistant");
	if (reply->tool == NULL) {
		put_view(message, "content", whole_text(reply));
	} else {
		put_null(message, "content");
		function = json_object_new_object();
		put_text(function, "name", reply->tool);
		put_view(function, "arguments", whole_text(reply));
		call = json_object_new_object();
		put_text(call, "id", "call_standin");
		put_text(call, "type", "function");
		put_json(call, "function", function);
		(void)json_object_array_add(calls, call);
	}
	put_null(message, "refusal");
	put_null(message, "reasoning_content");
	put_json(message, "tool_calls", calls);
	return message;
}

static struct json_object *
whole_choices(const struct reply *reply)
{
	struct json_object *choices = json_object_new_array(), *choice;
	int64_t i;

	for (i = 0; i < reply->choices; i++) {
		choice = json_object_new_object();
		put_number(choice, "index", i);
		if (reply->kind == REPLY_CHAT)
			put_json(choice, "message", whole_message(reply));
		else
			put_view(choice, "text", whole_text(reply));
		put_null(choice, "logprobs");
		put_text(choice, "finish_reason", reply_finish(reply));
		put_null(choice, "stop_reason");
		(void)json_object_array_add(choices, choice);
	}
	return choices;
}

static struct json_object *
whole_anthropic(const struct reply *reply)
{
	struct json_object *o = json_object_new_object();
	struct json_object *content = json_object_new_array();
	struct json_object *block = json_object_new_object();

	put_text(o, "id", reply->id);
	put_text(o, "type", "message");
	put_text(o, "role", "assistant");
	if (reply->tool != NULL) {
		put_text(block, "type", "tool_use");
		put_text(block, "id", "toolu_standin");
		put_text(block, "name", reply->tool);
		put_json(
		    block, "input", json_tokener_parse(reply->words.text.data));
	} else {
		put_text(block, "type", "text");
		put_view(block, "text", whole_text(reply));
	}
	(void)json_object_array_add(content, block);
	put_json(o, "content", content);
	put_text(o, "model", reply->model);
	put_text(o, "stop_reason", reply_finish(reply));
	put_null(o, "stop_sequence");
	reply_put_usage(reply, o, reply->whole, reply->words.pieces);
	return o;
}

struct json_object *
reply_whole(const struct reply *reply)
{
	struct json_object *o;

	if (reply->kind == REPLY_MESSAGES)
		return whole_anthropic(reply);
	o = json_object_new_object();
	put_text(o, "id", reply->id);
	put_text(o, "object",
	    reply->kind == REPLY_CHAT ? "chat.completion" : "text_completion");
	put_number(o, "created", reply->created);
	put_text(o, "model", reply->model);
	put_text(o, "system_fingerprint", "stand-in");
	put_json(o, "choices", whole_choices(reply));
	reply_put_usage(
	    reply, o, reply->whole, reply->words.pieces * reply->choices);
	return o;
}
