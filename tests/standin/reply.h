/*
 * reply.h - what a model would say to one request, given whole (reply.c) or
 * as an event stream (stream.c).
 */
#ifndef STANDIN_REPLY_H
#define STANDIN_REPLY_H

#include <json-c/json.h>

#include "fault.h"
#include "stamp.h"
#include "words.h"

#define REPLY_CHOICES_MAX 16

enum reply_kind {
	REPLY_CHAT,
	REPLY_TEXT, /* /v1/completions */
	REPLY_SPEECH, /* transcriptions */
	REPLY_MESSAGES /* Anthropic */
};

enum reply_usage {
	USAGE_NONE,
	USAGE_NULL,
	USAGE_REAL
};

struct reply {
	enum reply_kind kind;
	struct words words;
	int64_t choices;
	int64_t prompt_tokens, cached_tokens;
	char *model, *tool; /* 'tool' is NULL when none is called */
	char id[40];
	int64_t created;
	/* Usage on a whole answer, on each chunk, and in a last chunk. */
	enum reply_usage whole, each, last;
	/* private to stream.c */
	int64_t next, said;
	size_t at;
	struct view piece;
	struct stamp stamp;
};

/* reply_free is safe on a zeroed one. */
void reply_init(struct reply *, enum reply_kind, const char *model);
void reply_free(struct reply *);

/* What the faults make of the usage; after whole, each and last are set. */
void reply_usage_faults(struct reply *, const struct fault *);

const char *reply_finish(const struct reply *);

/* Adds "usage" to 'object' as 'mode' says, 'said' pieces having been said. */
void reply_put_usage(const struct reply *, struct json_object *,
    enum reply_usage mode, int64_t said);

/* The whole answer; to be put by the caller. */
struct json_object *reply_whole(const struct reply *);

/* Appends the next event: 1, or 0 after the last. */
int stream_event(struct reply *, const struct fault *, struct buf *);

/* Appends what vLLM sends when it breaks in the middle. */
void stream_error(const struct reply *, const struct fault *, struct buf *);

/* Appends object as one line of JSON and puts it; 0 or -1. */
int json_add(struct buf *, struct json_object *);

/* json_object_object_add for the types used here. */
void put_text(struct json_object *, const char *name, const char *value);
void put_view(struct json_object *, const char *name, struct view);
void put_number(struct json_object *, const char *name, int64_t);
void put_null(struct json_object *, const char *name);
void put_json(struct json_object *, const char *name, struct json_object *);

#endif
