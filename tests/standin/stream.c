/*
 * stream.c - the answer as events: a few before the text, one for each piece
 * (and choice), a few after it.
 */
#include <stdio.h>
#include <string.h>

#include "loop.h"
#include "reply.h"

static const char *
line_end(const struct fault *fault)
{
	return fault->crlf ? "\r\n" : "\n";
}

/* One event; 'name' is NULL where there is no "event:" line. */
static void
add_event(struct buf *out, const struct fault *fault, const char *name,
    struct view data)
{
	const char *nl = line_end(fault);

	/* Out of memory shows in out->failed. */
	if (fault->comment)
		(void)buf_printf(out, ": ping%s%s", nl, nl);
	if (name != NULL)
		(void)buf_printf(out, "event: %s%s", name, nl);
	(void)buf_puts(out, "data: ");
	(void)buf_add(out, data.p, data.n);
	(void)buf_printf(out, "%s%s", nl, nl);
}

static void
add_text(struct buf *out, const struct fault *fault, const char *name,
    const char *data)
{
	add_event(out, fault, name, (struct view){ data, strlen(data) });
}

static void
add_json(struct buf *out, const struct fault *fault, const char *name,
    struct json_object *o)
{
	struct view data;

	data.p = json_object_to_json_string_length(o,
	    JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &data.n);
	add_event(out, fault, name, data);
	(void)json_object_put(o);
}

/* A chunk; 'choice' is NULL in the one that only tells usage. */
static struct json_object *
chunk(const struct reply *reply, struct json_object *choice,
    enum reply_usage usage)
{
	static const char *const objects[] = { "chat.completion.chunk",
		"text_completion", "transcription.chunk", "" };
	struct json_object *o = json_object_new_object();
	struct json_object *choices = json_object_new_array();

	put_text(o, "id", reply->id);
	put_text(o, "object", objects[reply->kind]);
	put_number(o, "created", reply->created);
	put_text(o, "model", reply->model);
	put_text(o, "system_fingerprint", "stand-in");
	if (choice != NULL)
		(void)json_object_array_add(choices, choice);
	put_json(o, "choices", choices);
	reply_put_usage(reply, o, usage, reply->said);
	return o;
}

/* A chat chunk carries a delta, a completion its text. */
static struct json_object *
choice(const struct reply *reply, int64_t index, struct json_object *delta,
    const char *finish)
{
	struct json_object *o = json_object_new_object();

	put_number(o, "index", index);
	put_json(o, reply->kind == REPLY_TEXT ? "text" : "delta", delta);
	put_null(o, "logprobs");
	if (finish == NULL)
		put_null(o, "finish_reason");
	else
		put_text(o, "finish_reason", finish);
	return o;
}

static struct json_object *
text_json(struct view text)
{
	return json_object_new_string_len(
	    text.n == 0 ? "" : text.p, (int)text.n);
}

/* A delta that begins ('name' given) or continues a tool call. */
static struct json_object *
tool_delta(const char *name, struct view arguments)
{
	struct json_object *delta = json_object_new_object();
	struct json_object *calls = json_object_new_array();
	struct json_object *call = json_object_new_object();
	struct json_object *function = json_object_new_object();

	put_number(call, "index", 0);
	if (name != NULL) {
		put_text(call, "id", "call_standin");
		put_text(call, "type", "function");
		put_text(function, "name", name);
	}
	put_view(function, "arguments", arguments);
	put_json(call, "function", function);
	(void)json_object_array_add(calls, call);
	put_json(delta, "tool_calls", calls);
	return delta;
}

static struct json_object *
piece_json(const struct reply *reply, struct view text, int64_t index)
{
	struct json_object *o;

	if (reply->kind == REPLY_MESSAGES) {
		o = json_object_new_object();
		put_text(o, "type", "content_block_delta");
		put_number(o, "index", 0);
		put_json(o, "delta", json_object_new_object());
		struct json_object *delta = json_object_object_get(o, "delta");
		put_text(delta, "type",
		    reply->tool != NULL ? "input_json_delta" : "text_delta");
		put_view(
		    delta, reply->tool != NULL ? "partial_json" : "text", text);
		return o;
	}
	if (reply->kind == REPLY_TEXT)
		o = text_json(text);
	else if (reply->tool != NULL)
		o = tool_delta(NULL, text);
	else {
		o = json_object_new_object();
		put_view(o, "content", text);
	}
	return chunk(reply, choice(reply, index, o, NULL), reply->each);
}

/* An event whose "data:" line is exactly fault->line bytes, if it can be. */
static void
long_line(struct reply *reply, const struct fault *fault, const char *name,
    struct buf *out)
{
	struct view none = { "", 0 };
	struct buf measure = BUF(1 << 20), pad = BUF((size_t)HTTP_BODY_MAX);
	size_t shell;
	char *room;

	(void)json_add(&measure, piece_json(reply, none, 0));
	shell = measure.len + strlen("data: ");
	if ((size_t)fault->line > shell) {
		pad.max = (size_t)fault->line - shell;
		if ((room = buf_room(&pad, pad.max)) != NULL) {
			memset(room, 'x', pad.max);
			buf_grown(&pad, pad.max);
		}
	}
	add_json(out, fault, name,
	    piece_json(reply, (struct view){ pad.data, pad.len }, 0));
	buf_free(&pad);
	buf_free(&measure);
}

/* Is a stamp the only thing in which two events with text can differ? */
static int
stamped_alike(const struct reply *reply)
{
	return reply->each != USAGE_REAL && reply->choices == 1;
}

static void
event_piece(
    struct reply *reply, const struct fault *fault, int64_t i, struct buf *out)
{
	const char *name =
	    reply->kind == REPLY_MESSAGES ? "content_block_delta" : NULL;
	size_t from = out->len;

	reply->said++;
	if (fault->stamp && stamp_event(&reply->stamp, i, out))
		return;
	if (i % reply->choices == 0 &&
	    !words_next(&reply->words, &reply->at, &reply->piece))
		reply->piece = (struct view){ "", 0 };
	if (fault->stamp) {
		stamp_now(&reply->stamp, i);
		reply->piece = (struct view){ reply->stamp.text,
			strlen(reply->stamp.text) };
	}
	if (i == 0 && fault->bad_json)
		add_text(out, fault, name, "{\"id\":\"broken\",\"choices\":[{");
	else if (i == 0 && fault->line > 0)
		long_line(reply, fault, name, out);
	else
		add_json(out, fault, name,
		    piece_json(reply, reply->piece, i % reply->choices));
	if (fault->stamp && stamped_alike(reply))
		stamp_learn(&reply->stamp, out->data + from, out->len - from);
}

/* The events before the text; returns how many there are. */
static int64_t
heads(const struct reply *reply)
{
	if (reply->kind == REPLY_MESSAGES)
		return 2;
	if (reply->kind != REPLY_CHAT)
		return 0;
	return reply->choices * (reply->tool != NULL ? 2 : 1);
}

static void
event_head(
    struct reply *reply, const struct fault *fault, int64_t i, struct buf *out)
{
	struct json_object *delta;

	if (i >= reply->choices) {
		delta = tool_delta(reply->tool, (struct view){ "", 0 });
	} else {
		delta = json_object_new_object();
		put_text(delta, "role", "assistant");
		put_text(delta, "content", "");
	}
	add_json(out, fault, NULL,
	    chunk(reply, choice(reply, i % reply->choices, delta, NULL),
		reply->each));
}

/* The events after the text; 0 when there is none any more. */
static int
event_tail(
    struct reply *reply, const struct fault *fault, int64_t i, struct buf *out)
{
	struct json_object *delta;
	int64_t last = reply->last == USAGE_NONE ? 0 : 1;

	if (i < reply->choices) {
		delta = reply->kind == REPLY_TEXT ? json_object_new_string("")
						  : json_object_new_object();
		add_json(out, fault, NULL,
		    chunk(reply, choice(reply, i, delta, reply_finish(reply)),
			reply->each));
	} else if (i < reply->choices + last) {
		add_json(out, fault, NULL, chunk(reply, NULL, reply->last));
	} else if (i == reply->choices + last) {
		add_text(out, fault, NULL, "[DONE]");
	} else {
		return 0;
	}
	return 1;
}

static struct json_object *
typed(const char *type)
{
	struct json_object *o = json_object_new_object();

	put_text(o, "type", type);
	return o;
}

static void
messages_head(
    struct reply *reply, const struct fault *fault, int64_t i, struct buf *out)
{
	struct json_object *o =
	    typed(i == 0 ? "message_start" : "content_block_start");
	struct json_object *inner;

	if (i == 0) {
		inner = typed("message");
		put_text(inner, "id", reply->id);
		put_text(inner, "role", "assistant");
		put_json(inner, "content", json_object_new_array());
		put_text(inner, "model", reply->model);
		put_null(inner, "stop_reason");
		put_null(inner, "stop_sequence");
		reply_put_usage(reply, inner, reply->whole, 0);
		put_json(o, "message", inner);
		add_json(out, fault, "message_start", o);
		return;
	}
	put_number(o, "index", 0);
	inner = typed(reply->tool != NULL ? "tool_use" : "text");
	if (reply->tool != NULL) {
		put_text(inner, "id", "toolu_standin");
		put_text(inner, "name", reply->tool);
		put_json(inner, "input", json_object_new_object());
	} else {
		put_text(inner, "text", "");
	}
	put_json(o, "content_block", inner);
	add_json(out, fault, "content_block_start", o);
}

static int
messages_tail(
    struct reply *reply, const struct fault *fault, int64_t i, struct buf *out)
{
	static const char *const names[] = { "content_block_stop",
		"message_delta", "message_stop" };
	struct json_object *o, *delta;

	if (i > 2)
		return 0;
	o = typed(names[i]);
	if (i == 0)
		put_number(o, "index", 0);
	if (i == 1) {
		delta = json_object_new_object();
		put_text(delta, "stop_reason", reply_finish(reply));
		put_null(delta, "stop_sequence");
		put_json(o, "delta", delta);
		reply_put_usage(reply, o, reply->whole, reply->said);
	}
	add_json(out, fault, names[i], o);
	return 1;
}

int
stream_event(struct reply *reply, const struct fault *fault, struct buf *out)
{
	int messages = reply->kind == REPLY_MESSAGES;
	int64_t i = reply->next++;

	if (i < heads(reply)) {
		(messages ? messages_head : event_head)(reply, fault, i, out);
		return 1;
	}
	i -= heads(reply);
	if (i < reply->words.pieces * reply->choices) {
		event_piece(reply, fault, i, out);
		return 1;
	}
	i -= reply->words.pieces * reply->choices;
	return (messages ? messages_tail : event_tail)(reply, fault, i, out);
}

void
stream_error(
    const struct reply *reply, const struct fault *fault, struct buf *out)
{
	if (reply->kind == REPLY_MESSAGES) {
		add_text(out, fault, "error",
		    "{\"type\":\"error\",\"error\":{\"type\":\"api_error\","
		    "\"message\":\"stand-in fault\"}}");
		return;
	}
	add_text(out, fault, NULL,
	    "{\"error\":{\"message\":\"stand-in fault\","
	    "\"type\":\"InternalServerError\",\"param\":null,\"code\":500}}");
	add_text(out, fault, NULL, "[DONE]");
}
