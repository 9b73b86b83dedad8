/*
 * meter.h - watches an answer's bytes go by and reads what it reports of its
 * use: token counts and the model. Constant memory, no allocation; content is
 * skipped over, never stored. Any split of the same bytes into pieces gives
 * the same result. Knows OpenAI's answers and event streams and Anthropic's.
 */
#ifndef PMPROXY_METER_H
#define PMPROXY_METER_H

#include <stddef.h>
#include <stdint.h>

#include "json.h"

enum meter_format {
	METER_OPAQUE, /* pass by unread: text, subtitles, unknown types */
	METER_JSON, /* one JSON document */
	METER_EVENTS /* a text/event-stream */
};

struct meter_usage {
	int64_t prompt, completion, cached, total; /* tokens */
	int64_t audio_ms; /* of audio, when told */
	int known; /* the answer reported usage; without it all are 0 */
};

/* What the relay does with the bytes that meter_step consumed. */
enum meter_verdict {
	METER_PASS, /* send what is held, then these */
	METER_HOLD, /* keep these: undecided yet */
	METER_DROP, /* forget what is held and these: an event with usage only,
		       which the client did not ask for */
	METER_LAST /* as METER_PASS, but these complete the stream's last
		       event: account for the request before sending them */
};

/* More than this is never held; an event that is undecided longer passes. */
#define METER_HOLD_MAX (256 * 1024)

#define METER_MEMBERS 22 /* looked for in each document */
#define METER_TEXTS 17 /* of which so many are read */
#define METER_MODEL_SIZE 64

/* Points into itself: not to be copied or moved once it was set up. */
struct meter {
	enum meter_format format;
	int strip_usage;
	int64_t events; /* data events passed on, usage-only ones not counted */
	int finished; /* the stream's last event was seen: "[DONE]" or
			   message_stop; a unary JSON document is complete */
	int failed; /* the upstream reported an error inside the stream */
	/* As the answer names it; "" when it does not, or when it is longer. */
	char model[METER_MODEL_SIZE];
	struct meter_usage usage;
	/* private */
	struct json_skim skim;
	struct json_member members[METER_MEMBERS];
	char text[METER_TEXTS][METER_MODEL_SIZE];
	/* The line being read: its field's name, then how far its value. */
	int line, field;
	char name[8];
	size_t name_len;
	const char *last_value; /* the value that would end the stream */
	size_t value_at;
	int after_cr, after_dropped_cr, at_start;
	/* The event being read. */
	int has_fields, has_data, terminal, undecided, gave_up;
	int64_t input, cache_read, cache_creation, output; /* Anthropic's */
	/* Bytes held so far, and bytes already judged but not yet returned. */
	size_t held, pending;
	enum meter_verdict pending_verdict;
};

/* 'strip_usage': take out events that hold only usage. */
void meter_init(struct meter *, enum meter_format, int strip_usage);

/*
 * Consumes between 1 and 'n' bytes (n > 0) up to where the verdict changes;
 * returns how many. Call again with the rest. METER_LAST comes at most once;
 * what follows it passes unread.
 */
size_t meter_step(struct meter *, const char *, size_t n, enum meter_verdict *);

/*
 * The answer ended; settles the usage that a document without a line end
 * still held. What is held then is to be sent.
 */
void meter_end(struct meter *);

#endif
