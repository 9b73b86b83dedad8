/*
 * What one document of an answer says: the members that are looked for, and
 * the usage and model read out of them.
 */
#include <string.h>

#include "meter_internal.h"

/* Counts beyond this are a broken or lying upstream's. */
#define COUNT_MAX INT64_C(1000000000000)

enum member {
	/* Only looked at, not read. */
	DOCUMENT,
	CHOICES,
	ERROR,
	USAGE,
	MESSAGE_USAGE,
	/* Read. */
	MODEL,
	MESSAGE_MODEL,
	TYPE,
	DURATION,
	PROMPT,
	COMPLETION,
	TOTAL,
	CACHED,
	SECONDS,
	INPUT,
	OUTPUT,
	CACHE_READ,
	CACHE_CREATION,
	MESSAGE_INPUT,
	MESSAGE_OUTPUT,
	MESSAGE_CACHE_READ,
	MESSAGE_CACHE_CREATION
};

static const char *const paths[METER_MEMBERS] = {
	[DOCUMENT] = "",
	[CHOICES] = "choices",
	[ERROR] = "error",
	[TYPE] = "type",
	[MODEL] = "model",
	[MESSAGE_MODEL] = "message.model",
	[DURATION] = "duration",
	[USAGE] = "usage",
	[PROMPT] = "usage.prompt_tokens",
	[COMPLETION] = "usage.completion_tokens",
	[TOTAL] = "usage.total_tokens",
	[CACHED] = "usage.prompt_tokens_details.cached_tokens",
	[SECONDS] = "usage.seconds",
	[INPUT] = "usage.input_tokens",
	[OUTPUT] = "usage.output_tokens",
	[CACHE_READ] = "usage.cache_read_input_tokens",
	[CACHE_CREATION] = "usage.cache_creation_input_tokens",
	[MESSAGE_USAGE] = "message.usage",
	[MESSAGE_INPUT] = "message.usage.input_tokens",
	[MESSAGE_OUTPUT] = "message.usage.output_tokens",
	[MESSAGE_CACHE_READ] = "message.usage.cache_read_input_tokens",
	[MESSAGE_CACHE_CREATION] = "message.usage.cache_creation_input_tokens",
};

/* 1 and *out set when the member is a count to be believed. */
static int
count_of(const struct meter *m, enum member i, int64_t *out)
{
	return json_member_i64(&m->members[i], 0, COUNT_MAX, out) == 0;
}

static int
is_object(const struct meter *m, enum member i)
{
	return m->members[i].type == JSON_OBJECT && m->members[i].end > 0;
}

/* Each chunk's usage replaces the one before. */
static int
read_openai_usage(struct meter *m)
{
	struct meter_usage *u = &m->usage;
	int64_t prompt = 0, completion = 0, total, cached = 0;
	int found = count_of(m, PROMPT, &prompt);

	found |= count_of(m, COMPLETION, &completion);
	total = prompt + completion;
	found |= count_of(m, TOTAL, &total);
	if (!found)
		return 0;
	(void)count_of(m, CACHED, &cached);
	u->prompt = prompt;
	u->completion = completion;
	u->total = total;
	u->cached = cached;
	return 1;
}

/*
 * Counts are cumulative and come in several events: what is missing in one
 * keeps its value. OpenAI's transcriptions name their tokens like this too,
 * and add a total.
 */
static int
read_anthropic_usage(struct meter *m, enum member input, enum member output,
    enum member cache_read, enum member cache_creation)
{
	struct meter_usage *u = &m->usage;
	int found = count_of(m, input, &m->input);

	found |= count_of(m, output, &m->output);
	found |= count_of(m, cache_read, &m->cache_read);
	found |= count_of(m, cache_creation, &m->cache_creation);
	if (!found)
		return 0;
	u->prompt = m->input + m->cache_read + m->cache_creation;
	u->cached = m->cache_read;
	u->completion = m->output;
	u->total = u->prompt + u->completion;
	(void)count_of(m, TOTAL, &u->total);
	return 1;
}

static void
read_usage(struct meter *m)
{
	struct meter_usage *u = &m->usage;

	if (is_object(m, MESSAGE_USAGE))
		u->known |= read_anthropic_usage(m, MESSAGE_INPUT,
		    MESSAGE_OUTPUT, MESSAGE_CACHE_READ, MESSAGE_CACHE_CREATION);
	if (is_object(m, USAGE)) {
		if (read_anthropic_usage(
			m, INPUT, OUTPUT, CACHE_READ, CACHE_CREATION) ||
		    read_openai_usage(m))
			u->known = 1;
		if (json_member_ms(&m->members[SECONDS], &u->audio_ms) == 0)
			u->known = 1;
	}
	if (json_member_ms(&m->members[DURATION], &u->audio_ms) == 0)
		u->known = 1;
}

static void
read_model(struct meter *m)
{
	const struct json_member *model = &m->members[MODEL];

	if (model->type == JSON_ABSENT)
		model = &m->members[MESSAGE_MODEL];
	if (model->type == JSON_STRING && model->end > 0 && !model->truncated)
		memcpy(m->model, model->text, sizeof(m->model));
}

void
meter_read_document(struct meter *m)
{
	read_usage(m);
	read_model(m);
}

int
meter_is_type(const struct meter *m, const char *type)
{
	const struct json_member *t = &m->members[TYPE];

	return t->type == JSON_STRING && t->end > 0 &&
	    strcmp(t->text, type) == 0;
}

int
meter_is_error(const struct meter *m)
{
	enum json_kind type = m->members[ERROR].type;

	return (type != JSON_ABSENT && type != JSON_NULL) ||
	    meter_is_type(m, "error");
}

/*
 * Once "no", always "no", in whatever pieces the document comes: a name given
 * twice could make it a "yes" again after the event began to pass, so that is
 * a "no" too.
 */
int
meter_may_be_usage_only(const struct meter *m)
{
	const struct json_member *choices = &m->members[CHOICES];
	const struct json_member *usage = &m->members[USAGE];
	enum json_kind document = m->members[DOCUMENT].type;

	return (document == JSON_ABSENT || document == JSON_OBJECT) &&
	    !choices->nonempty && choices->count <= 1 && usage->count <= 1 &&
	    (choices->count == 0 || choices->type == JSON_ARRAY) &&
	    (usage->count == 0 || usage->type == JSON_OBJECT) &&
	    m->members[ERROR].count == 0;
}

int
meter_is_usage_only(const struct meter *m)
{
	return meter_may_be_usage_only(m) && m->members[CHOICES].count == 1 &&
	    m->members[USAGE].count == 1;
}

void
meter_init_document(struct meter *m)
{
	size_t i;

	for (i = 0; i < METER_MEMBERS; i++)
		m->members[i].path = paths[i];
	for (i = MODEL; i < METER_MEMBERS; i++) {
		m->members[i].text = m->text[i - MODEL];
		m->members[i].size = sizeof(m->text[0]);
	}
	json_skim_init(&m->skim, m->members, METER_MEMBERS);
}

int
meter_has_document(const struct meter *m)
{
	return m->members[DOCUMENT].end > 0;
}
