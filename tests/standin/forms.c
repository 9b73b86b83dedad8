/*
 * forms.c - what comes as multipart forms: audio and documents. The form is
 * read here by itself and not by lib/form, which this is to test.
 */
#include <stdio.h>
#include <string.h>

#include "answer.h"

/* Usage of audio: seconds of 16 kHz, 16 bit, one channel. */
#define AUDIO_BYTES_A_SECOND 32000
#define FIELDS_MAX 64

struct field {
	struct view name, filename, data;
};

struct form {
	struct field fields[FIELDS_MAX];
	size_t n;
};

/* The value of name="..." in a part's head. */
static struct view
quoted(struct view head, const char *name)
{
	struct view value = { "", 0 };
	const char *p = memmem(head.p, head.n, name, strlen(name)), *end;

	if (p == NULL)
		return value;
	p += strlen(name);
	end = memchr(p, '"', (size_t)(head.p + head.n - p));
	if (end != NULL)
		value = (struct view){ p, (size_t)(end - p) };
	return value;
}

static int
boundary_of(struct view type, char *delimiter, size_t size)
{
	const char *p = memmem(type.p, type.n, "boundary=", 9), *end;
	size_t n;

	if (!view_begins(type, "multipart/form-data") || p == NULL)
		return -1;
	p += 9;
	end = type.p + type.n;
	if (p < end && *p == '"') {
		p++;
		end = memchr(p, '"', (size_t)(end - p));
	}
	n = end == NULL ? 0 : (size_t)(end - p);
	if (n == 0 || n + 5 > size)
		return -1;
	(void)snprintf(delimiter, size, "\r\n--%.*s", (int)n, p);
	return 0;
}

/* One part, from behind its delimiter; 1, 0 at the end, -1 malformed. */
static int
form_part(struct form *form, struct view *rest, const char *delimiter)
{
	const char *head_end, *end;
	struct view head;
	struct field *field = &form->fields[form->n];

	if (view_begins(*rest, "--"))
		return 0;
	head_end = memmem(rest->p, rest->n, "\r\n\r\n", 4);
	if (!view_begins(*rest, "\r\n") || head_end == NULL ||
	    form->n == FIELDS_MAX)
		return -1;
	head = (struct view){ rest->p, (size_t)(head_end - rest->p) };
	field->name = quoted(head, " name=\"");
	field->filename = quoted(head, "filename=\"");
	field->data.p = head_end + 4;
	rest->n -= (size_t)(field->data.p - rest->p);
	end = memmem(field->data.p, rest->n, delimiter, strlen(delimiter));
	if (end == NULL || field->name.n == 0)
		return -1;
	field->data.n = (size_t)(end - field->data.p);
	rest->p = end + strlen(delimiter);
	rest->n -= field->data.n + strlen(delimiter);
	form->n++;
	return 1;
}

static int
form_read(struct form *form, struct view type, struct view body)
{
	char delimiter[128];
	size_t n;
	int more;

	form->n = 0;
	if (boundary_of(type, delimiter, sizeof(delimiter)) == -1)
		return -1;
	n = strlen(delimiter + 2); /* the first one needs no line before */
	if (body.n < n || memcmp(body.p, delimiter + 2, n) != 0)
		return -1;
	body.p += n;
	body.n -= n;
	while ((more = form_part(form, &body, delimiter)) == 1)
		;
	return more;
}

static const struct field *
form_find(const struct form *form, const char *name)
{
	size_t i;

	for (i = 0; i < form->n; i++)
		if (view_is(form->fields[i].name, name))
			return &form->fields[i];
	return NULL;
}

static struct view
form_get(const struct form *form, const char *name)
{
	const struct field *field = form_find(form, name);

	return field == NULL ? (struct view){ "", 0 } : field->data;
}

static int
form_true(const struct form *form, const char *name)
{
	struct view value = form_get(form, name);

	return view_is_nocase(value, "true") || view_is(value, "1");
}

/* A form with a good model and a file, or an answer that refuses it. */
static int
audio_read(struct answer *a, struct form *form, struct view body)
{
	if (form_read(form, a->head.content_type, body) == -1) {
		answer_error(a, 400, "BadRequestError", NULL, "malformed form");
		return -1;
	}
	if (answer_model(a, form_get(form, "model")) == -1)
		return -1;
	if (form_find(form, "file") == NULL) {
		answer_error(
		    a, 400, "BadRequestError", "file", "field required");
		return -1;
	}
	return 0;
}

static int64_t
audio_seconds(const struct form *form)
{
	return (int64_t)((form_get(form, "file").n + AUDIO_BYTES_A_SECOND - 1) /
	    AUDIO_BYTES_A_SECOND);
}

/* What is "heard": how much audio there was, and the prompt. */
static int
audio_words(struct answer *a, const struct form *form, const char *model)
{
	struct buf heard = BUF(HTTP_BODY_MAX);
	struct view prompt = form_get(form, "prompt");
	int rc;

	reply_init(&a->reply, REPLY_SPEECH, model);
	(void)buf_printf(
	    &heard, "%zu bytes of audio", form_get(form, "file").n);
	if (prompt.n > 0) {
		(void)buf_puts(&heard, ", ");
		(void)buf_add(&heard, prompt.p, prompt.n);
	}
	rc = words_make(&a->reply.words, (struct view){ heard.data, heard.len },
	    &a->fault, -1);
	buf_free(&heard);
	if (rc == -1)
		answer_error(a, 500, NULL, NULL, "stand-in: out of memory");
	return rc;
}

static void
audio_stream(struct answer *a, const struct form *form)
{
	struct reply *reply = &a->reply;

	reply->prompt_tokens = audio_seconds(form) * 50;
	if (form_true(form, "stream_include_usage")) {
		reply->last = USAGE_REAL;
		reply->each = USAGE_NULL;
		if (form_true(form, "stream_continuous_usage_stats"))
			reply->each = USAGE_REAL;
	}
	reply_usage_faults(reply, &a->fault);
	a->streaming = 1;
	a->status = 200;
	answer_type(a, "text/event-stream; charset=utf-8");
}

static struct json_object *
audio_segment(struct view text, int64_t seconds)
{
	struct json_object *o = json_object_new_object();

	put_number(o, "id", 0);
	put_number(o, "start", 0);
	put_number(o, "end", seconds);
	put_view(o, "text", text);
	return o;
}

/* verbose_json has no usage, and its duration is a string. */
static void
audio_verbose(struct answer *a, struct view text, int64_t seconds)
{
	struct json_object *o = json_object_new_object();
	struct json_object *segments = json_object_new_array();
	char duration[32];

	(void)snprintf(
	    duration, sizeof(duration), "%lld.0", (long long)seconds);
	put_text(o, "duration", duration);
	put_text(o, "language", "en");
	put_view(o, "text", text);
	(void)json_object_array_add(segments, audio_segment(text, seconds));
	put_json(o, "segments", segments);
	put_null(o, "words");
	answer_json(a, o);
}

/* Translations have no usage. */
static void
audio_json(struct answer *a, struct view text, int64_t seconds, int usage)
{
	struct json_object *o = json_object_new_object(), *told = NULL;

	put_view(o, "text", text);
	if (usage && !a->fault.no_usage) {
		if (!a->fault.null_usage) {
			told = json_object_new_object();
			put_text(told, "type", "duration");
			put_number(told, "seconds", seconds);
		}
		put_json(o, "usage", told);
	}
	answer_json(a, o);
}

static void
audio_subtitles(struct answer *a, struct view text, int64_t seconds, int vtt)
{
	char mark = vtt ? '.' : ',';

	a->status = 200;
	answer_type(a, "text/plain; charset=utf-8");
	(void)buf_puts(&a->body, vtt ? "WEBVTT\n\n" : "1\n");
	(void)buf_printf(&a->body,
	    "00:00:00%c000 --> %02lld:%02lld:%02lld%c000\n", mark,
	    (long long)(seconds / 3600), (long long)(seconds / 60 % 60),
	    (long long)(seconds % 60), mark);
	(void)buf_add(&a->body, text.p, text.n);
	(void)buf_puts(&a->body, "\n\n");
}

static void
audio_whole(struct answer *a, const struct form *form, int usage)
{
	struct view format = form_get(form, "response_format");
	struct view text = { a->reply.words.text.data,
		a->reply.words.text.len };
	int64_t seconds = audio_seconds(form);

	if (format.n == 0 || view_is(format, "json"))
		audio_json(a, text, seconds, usage);
	else if (view_is(format, "verbose_json"))
		audio_verbose(a, text, seconds);
	else if (view_is(format, "srt") || view_is(format, "vtt"))
		audio_subtitles(a, text, seconds, view_is(format, "vtt"));
	else if (view_is(format, "text")) {
		a->status = 200;
		answer_type(a, "text/plain; charset=utf-8");
		(void)buf_add(&a->body, text.p, text.n);
		(void)buf_puts(&a->body, "\n");
	} else
		answer_error(a, 400, "BadRequestError", "response_format",
		    "unknown response_format");
}

static void
answer_audio(struct answer *a, struct view body, int usage)
{
	struct form form;
	struct view model;
	char name[256];

	if (audio_read(a, &form, body) == -1)
		return;
	model = form_get(&form, "model");
	(void)snprintf(name, sizeof(name), "%.*s", (int)model.n, model.p);
	if (audio_words(a, &form, name) == -1)
		return;
	if (form_true(&form, "stream"))
		audio_stream(a, &form);
	else
		audio_whole(a, &form, usage);
}

void
answer_transcription(struct answer *a, struct view body)
{
	answer_audio(a, body, 1);
}

void
answer_translation(struct answer *a, struct view body)
{
	answer_audio(a, body, 0);
}

/* Elements of a document: each file a title and what it is. */
void
answer_documents(struct answer *a, struct view body)
{
	struct json_object *all = json_object_new_array(), *o, *metadata;
	struct form form;
	struct view model;
	char text[128];
	size_t i;

	if (form_read(&form, a->head.content_type, body) == -1) {
		(void)json_object_put(all);
		answer_error(a, 400, "BadRequestError", NULL, "malformed form");
		return;
	}
	model = form_get(&form, "model");
	if (model.n > 0 && answer_model(a, model) == -1) {
		(void)json_object_put(all);
		return;
	}
	for (i = 0; i < form.n; i++) {
		if (form.fields[i].filename.n == 0)
			continue;
		(void)snprintf(text, sizeof(text),
		    "This is a stand-in, not a model. You sent %zu bytes.",
		    form.fields[i].data.n);
		o = json_object_new_object();
		put_text(o, "type", "NarrativeText");
		put_text(o, "element_id", "5ca1ab1e0000000000000000standin0");
		put_text(o, "text", text);
		metadata = json_object_new_object();
		put_view(metadata, "filename", form.fields[i].filename);
		put_number(metadata, "page_number", 1);
		put_json(o, "metadata", metadata);
		(void)json_object_array_add(all, o);
	}
	answer_json(a, all);
}
