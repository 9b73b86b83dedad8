/* What a request says of itself, and the few bytes that are spliced in. */
#include "openai.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "form.h"
#include "json.h"
#include "text.h"

enum body_kind {
	BODY_JSON,
	BODY_FORM
};

static const struct endpoint {
	const char *name;
	enum body_kind body;
	int has_model;
	int tells_usage; /* its streams do, when asked by a member or field */
	int salted; /* takes a cache_salt */
} endpoints[OPENAI_ENDPOINT__MAX] = {
	[OPENAI_CHAT] = { "chat.completions", BODY_JSON, 1, 1, 1 },
	[OPENAI_COMPLETIONS] = { "completions", BODY_JSON, 1, 1, 1 },
	[OPENAI_EMBEDDINGS] = { "embeddings", BODY_JSON, 1, 0, 0 },
	[OPENAI_TRANSCRIPTIONS] = { "audio.transcriptions", BODY_FORM, 1, 1,
	    0 },
	[OPENAI_TRANSLATIONS] = { "audio.translations", BODY_FORM, 1, 1, 0 },
	[OPENAI_MESSAGES] = { "messages", BODY_JSON, 1, 0, 0 },
	[OPENAI_UNSTRUCTURED] = { "unstructured", BODY_FORM, 0, 0, 0 },
};

/* An answer is never longer; a larger max_tokens says nothing. */
#define TOKENS_MAX INT64_C(1000000000)

const char *
openai_endpoint_name(enum openai_endpoint endpoint)
{
	return endpoints[endpoint].name;
}

/* The media type without its parameters, in any case. */
static int
is_type(const char *content_type, const char *type)
{
	size_t n = strlen(type);

	content_type += strspn(content_type, " \t");
	return strncasecmp(content_type, type, n) == 0 &&
	    strchr("; \t", content_type[n]) != NULL;
}

static void
splice(struct openai_request *r, size_t at, size_t removed, const char *before,
    const char *text, const char *after)
{
	struct openai_splice *s = &r->splices[r->n_splices++];

	s->at = at;
	s->removed = removed;
	(void)snprintf(s->text, sizeof(s->text), "%s%s%s", before, text, after);
}

enum wanted {
	ROOT,
	MODEL,
	STREAM,
	STREAM_OPTIONS,
	INCLUDE_USAGE,
	MAX_TOKENS,
	MAX_COMPLETION_TOKENS,
	CHOICES_ASKED,
	CACHE_SALT,
	WANTED__MAX
};

/* Puts a member in front of the others of an object. */
static void
splice_member(struct openai_request *r, const struct json_member *object,
    const char *member)
{
	splice(
	    r, object->start + 1, 0, member, "", object->nonempty ? "," : "");
}

static int
is_absent(const struct json_member *m)
{
	return m->type == JSON_ABSENT;
}

/* A stream tells its use only when asked. */
static void
ask_for_usage(struct openai_request *r, const struct json_member m[])
{
	const struct json_member *options = &m[STREAM_OPTIONS];
	const struct json_member *usage = &m[INCLUDE_USAGE];

	if (is_absent(options)) {
		splice_member(
		    r, &m[ROOT], "\"stream_options\":{\"include_usage\":true}");
	} else if (options->type == JSON_NULL) {
		splice(r, options->start, options->end - options->start,
		    "{\"include_usage\":true}", "", "");
	} else if (options->type != JSON_OBJECT || usage->type == JSON_TRUE) {
		/* The client asked itself, or the upstream will complain. */
		return;
	} else if (is_absent(usage)) {
		splice_member(r, options, "\"include_usage\":true");
	} else {
		splice(
		    r, usage->start, usage->end - usage->start, "true", "", "");
	}
	r->strip_usage = 1;
}

static void
put_salt(
    struct openai_request *r, const struct json_member m[], const char *salt)
{
	const struct json_member *own = &m[CACHE_SALT];
	char member[160];

	if (own->type == JSON_NULL) {
		splice(r, own->start, own->end - own->start, "\"", salt, "\"");
	} else if (is_absent(own)) {
		(void)snprintf(
		    member, sizeof(member), "\"cache_salt\":\"%s\"", salt);
		splice_member(r, &m[ROOT], member);
	}
}

static void
read_tokens(struct openai_request *r, const struct json_member m[])
{
	int64_t most = 0;

	(void)json_member_i64(&m[CHOICES_ASKED], 1, 128, &r->choices);
	if (json_member_i64(&m[MAX_COMPLETION_TOKENS], 1, TOKENS_MAX, &most) ==
		-1 &&
	    json_member_i64(&m[MAX_TOKENS], 1, TOKENS_MAX, &most) == -1)
		return;
	r->max_tokens = most * r->choices;
}

static int
says_nothing(const struct json_member *m)
{
	return is_absent(m) || (m->type == JSON_NULL && m->count == 1);
}

/*
 * Where a maximum would go. Only a chat's answer is as long as the model likes
 * when nobody says how long.
 */
static void
find_bound(enum openai_endpoint endpoint, struct openai_request *r,
    const struct json_member m[])
{
	const struct json_member *own = &m[MAX_TOKENS];

	if (endpoint != OPENAI_CHAT || !says_nothing(own) ||
	    !says_nothing(&m[MAX_COMPLETION_TOKENS]))
		return;
	r->bounded = 1;
	r->bound_at = is_absent(own) ? m[ROOT].start + 1 : own->start;
	r->bound_removed = is_absent(own) ? 0 : own->end - own->start;
}

void
openai_bound(struct openai_request *r, int64_t tokens)
{
	char number[24];

	if (!r->bounded || tokens < 1)
		return;
	r->bounded = 0;
	(void)snprintf(number, sizeof(number), "%" PRId64, tokens);
	/* There are others: no chat is without a model. */
	splice(r, r->bound_at, r->bound_removed,
	    r->bound_removed == 0 ? "\"max_tokens\":" : "", number,
	    r->bound_removed == 0 ? "," : "");
}

static enum openai_error
read_json(enum openai_endpoint endpoint, const char *body, size_t len,
    const char *cache_salt, struct openai_request *r)
{
	char number[3][24];
	struct json_member m[WANTED__MAX] = {
		[ROOT] = { .path = "" },
		[MODEL] = { .path = "model",
		    .text = r->model,
		    .size = sizeof(r->model) },
		[STREAM] = { .path = "stream" },
		[STREAM_OPTIONS] = { .path = "stream_options" },
		[INCLUDE_USAGE] = { .path = "stream_options.include_usage" },
		[MAX_TOKENS] = { .path = "max_tokens",
		    .text = number[0],
		    .size = sizeof(number[0]) },
		[MAX_COMPLETION_TOKENS] = { .path = "max_completion_tokens",
		    .text = number[1],
		    .size = sizeof(number[1]) },
		[CHOICES_ASKED] = { .path = "n",
		    .text = number[2],
		    .size = sizeof(number[2]) },
		[CACHE_SALT] = { .path = "cache_salt" },
	};
	struct json_skim skim;

	json_skim_init(&skim, m, WANTED__MAX);
	if (json_skim_feed(&skim, body, len) == -1 ||
	    json_skim_end(&skim) == -1 || m[ROOT].type != JSON_OBJECT)
		return OPENAI_BAD_JSON;
	/* Which of two counts is the reader's choice: ours might differ. */
	if (m[MODEL].count > 1)
		return OPENAI_TWO_MODELS;
	if (m[MODEL].truncated)
		return OPENAI_MODEL_NOT_FOUND;
	if (m[MODEL].type != JSON_STRING || r->model[0] == '\0')
		return OPENAI_NO_MODEL;
	read_tokens(r, m);
	find_bound(endpoint, r, m);
	r->stream = m[STREAM].type == JSON_TRUE;
	if (r->stream && endpoints[endpoint].tells_usage)
		ask_for_usage(r, m);
	if (cache_salt != NULL && endpoints[endpoint].salted)
		put_salt(r, m, cache_salt);
	return OPENAI_OK;
}

/* As vLLM's forms are read (pydantic's lax booleans). */
static int
is_true(struct form_view v)
{
	static const char *const words[] = { "1", "on", "t", "true", "y",
		"yes" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (v.len == strlen(words[i]) &&
		    strncasecmp(v.p, words[i], v.len) == 0)
			return 1;
	return 0;
}

/* What the parts of a form say. */
struct said {
	int models;
	struct form_view usage; /* of stream_include_usage; p NULL: no part */
};

static enum openai_error
take_model(struct form_view data, struct openai_request *r)
{
	if (data.len >= sizeof(r->model) ||
	    memchr(data.p, '\0', data.len) != NULL)
		return OPENAI_MODEL_NOT_FOUND;
	memcpy(r->model, data.p, data.len);
	r->model[data.len] = '\0';
	return OPENAI_OK;
}

static enum openai_error
read_parts(
    struct form_multipart *form, struct openai_request *r, struct said *said)
{
	enum openai_error error = OPENAI_OK;
	struct form_part part;
	enum form_result got;

	while ((got = form_multipart_next(form, &part)) == FORM_PART) {
		if (form_view_is(part.name, "file"))
			r->audio_bytes += (int64_t)part.data.len;
		else if (form_view_is(part.name, "model") &&
		    said->models++ == 0)
			error = take_model(part.data, r);
		else if (form_view_is(part.name, "stream"))
			r->stream = is_true(part.data);
		else if (form_view_is(part.name, "stream_include_usage"))
			said->usage = part.data;
	}
	if (got != FORM_END)
		return OPENAI_BAD_FORM;
	return said->models > 1 ? OPENAI_TWO_MODELS : error;
}

/* One more part in front of the last delimiter, or another value. */
static void
ask_for_form_usage(struct openai_request *r, const struct form_multipart *form,
    struct form_view said)
{
	char delimiter[80];

	if (said.p != NULL && is_true(said))
		return;
	r->strip_usage = 1;
	if (said.p != NULL) {
		splice(r, (size_t)(said.p - form->body.p), said.len, "true", "",
		    "");
		return;
	}
	(void)snprintf(delimiter, sizeof(delimiter), "--%.*s\r\n",
	    (int)form->boundary.len, form->boundary.p);
	splice(r, form->close, 0, delimiter,
	    "Content-Disposition: form-data; "
	    "name=\"stream_include_usage\"\r\n\r\ntrue",
	    "\r\n");
}

static enum openai_error
read_form(enum openai_endpoint endpoint, const char *content_type,
    const char *body, size_t len, struct openai_request *r)
{
	struct form_view boundary = form_boundary(content_type);
	struct form_multipart form;
	enum openai_error error;
	struct said said = { 0 };

	if (boundary.len == 0)
		return OPENAI_BAD_FORM;
	form_multipart_init(&form, (struct form_view){ body, len }, boundary);
	error = read_parts(&form, r, &said);
	if (error == OPENAI_BAD_FORM)
		return error;
	if (!endpoints[endpoint].has_model) {
		/* No audio and no model of ours: only passed on. */
		*r = (struct openai_request){ .choices = 1 };
		return OPENAI_OK;
	}
	if (error != OPENAI_OK)
		return error;
	if (r->model[0] == '\0')
		return OPENAI_NO_MODEL;
	if (r->stream && endpoints[endpoint].tells_usage)
		ask_for_form_usage(r, &form, said.usage);
	return OPENAI_OK;
}

enum openai_error
openai_read(enum openai_endpoint endpoint, const char *content_type,
    const char *body, size_t len, const char *cache_salt,
    struct openai_request *r)
{
	*r = (struct openai_request){ .choices = 1 };
	if (endpoints[endpoint].body == BODY_FORM) {
		if (content_type == NULL ||
		    !is_type(content_type, "multipart/form-data"))
			return OPENAI_MEDIA_TYPE;
		return read_form(endpoint, content_type, body, len, r);
	}
	/* Lenient where nothing is said, as some clients say nothing. */
	if (content_type != NULL && *content_type != '\0' &&
	    !is_type(content_type, "application/json"))
		return OPENAI_MEDIA_TYPE;
	return read_json(endpoint, body, len, cache_salt, r);
}

static size_t
add_piece(struct iovec *to, const char *p, size_t n)
{
	/* An iovec is for reading and writing; these are only read. */
	union {
		const char *in;
		void *out;
	} same = { .in = p };

	if (n == 0)
		return 0;
	to->iov_base = same.out;
	to->iov_len = n;
	return 1;
}

size_t
openai_pieces(const struct openai_request *r, const char *body, size_t len,
    struct iovec pieces[OPENAI_PIECES_MAX])
{
	const struct openai_splice *order[OPENAI_SPLICES_MAX];
	size_t n = 0, at = 0;

	for (size_t i = 0; i < r->n_splices; i++) {
		size_t j = i;

		for (; j > 0 && order[j - 1]->at > r->splices[i].at; j--)
			order[j] = order[j - 1];
		order[j] = &r->splices[i];
	}
	for (size_t i = 0; i < r->n_splices; i++) {
		n += add_piece(&pieces[n], body + at, order[i]->at - at);
		n += add_piece(
		    &pieces[n], order[i]->text, strlen(order[i]->text));
		at = order[i]->at + order[i]->removed;
	}
	n += add_piece(&pieces[n], body + at, len - at);
	return n;
}
