/* What a request says of itself, and the few bytes that are spliced in. */
#include "openai.h"

#include <stdio.h>
#include <string.h>

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

static int64_t
tokens_asked(const struct json_member m[])
{
	int64_t most = 0, n = 1;

	if (json_member_i64(&m[MAX_COMPLETION_TOKENS], 1, TOKENS_MAX, &most) ==
		-1 &&
	    json_member_i64(&m[MAX_TOKENS], 1, TOKENS_MAX, &most) == -1)
		return 0;
	if (json_member_i64(&m[CHOICES_ASKED], 1, 128, &n) == -1)
		n = 1;
	return most * n;
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
	if (m[MODEL].type != JSON_STRING || r->model[0] == '\0')
		return OPENAI_NO_MODEL;
	/* Which of two counts is the reader's choice: ours might differ. */
	if (m[MODEL].count > 1)
		return OPENAI_TWO_MODELS;
	if (m[MODEL].truncated)
		return OPENAI_MODEL_NOT_FOUND;
	r->max_tokens = tokens_asked(m);
	r->stream = m[STREAM].type == JSON_TRUE;
	if (r->stream && endpoints[endpoint].tells_usage)
		ask_for_usage(r, m);
	if (cache_salt != NULL && endpoints[endpoint].salted)
		put_salt(r, m, cache_salt);
	return OPENAI_OK;
}

static int
is_true(struct form_view v)
{
	return form_view_is(v, "true") || form_view_is(v, "True") ||
	    form_view_is(v, "1");
}

/* What the parts of a form say; *asked: the usage of a stream. */
static enum openai_error
read_parts(struct form_multipart *form, struct openai_request *r, int *models,
    int *asked)
{
	struct form_part part;
	enum form_result got;

	while ((got = form_multipart_next(form, &part)) == FORM_PART) {
		if (form_view_is(part.name, "file")) {
			r->audio_bytes += (int64_t)part.data.len;
		} else if (form_view_is(part.name, "model")) {
			(*models)++;
			if (part.data.len >= sizeof(r->model) ||
			    memchr(part.data.p, '\0', part.data.len) != NULL)
				return OPENAI_MODEL_NOT_FOUND;
			memcpy(r->model, part.data.p, part.data.len);
			r->model[part.data.len] = '\0';
		} else if (form_view_is(part.name, "stream")) {
			r->stream = is_true(part.data);
		} else if (form_view_is(part.name, "stream_include_usage")) {
			*asked = is_true(part.data);
		}
	}
	return got == FORM_END ? OPENAI_OK : OPENAI_BAD_FORM;
}

static enum openai_error
read_form(enum openai_endpoint endpoint, const char *content_type,
    const char *body, size_t len, struct openai_request *r)
{
	struct form_view boundary = form_boundary(content_type);
	struct form_multipart form;
	enum openai_error error;
	int models = 0, asked = 0;
	char delimiter[80];

	if (boundary.len == 0)
		return OPENAI_BAD_FORM;
	form_multipart_init(&form, (struct form_view){ body, len }, boundary);
	if ((error = read_parts(&form, r, &models, &asked)) != OPENAI_OK)
		return error;
	if (!endpoints[endpoint].has_model) {
		/* No audio and no model of ours: only passed on. */
		r->model[0] = '\0';
		r->audio_bytes = 0;
		return OPENAI_OK;
	}
	if (models == 0 || r->model[0] == '\0')
		return OPENAI_NO_MODEL;
	if (models > 1)
		return OPENAI_TWO_MODELS;
	if (r->stream && !asked && endpoints[endpoint].tells_usage) {
		(void)snprintf(delimiter, sizeof(delimiter), "--%.*s\r\n",
		    (int)boundary.len, boundary.p);
		splice(r, form.close, 0, delimiter,
		    "Content-Disposition: form-data; "
		    "name=\"stream_include_usage\"\r\n\r\ntrue",
		    "\r\n");
		r->strip_usage = 1;
	}
	return OPENAI_OK;
}

enum openai_error
openai_read(enum openai_endpoint endpoint, const char *content_type,
    const char *body, size_t len, const char *cache_salt,
    struct openai_request *r)
{
	*r = (struct openai_request){ 0 };
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

	for (size_t i = 0; i < r->n_splices; i++)
		order[i] = &r->splices[i];
	if (r->n_splices == 2 && order[1]->at < order[0]->at) {
		order[0] = &r->splices[1];
		order[1] = &r->splices[0];
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
