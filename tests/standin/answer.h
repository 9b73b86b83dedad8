/*
 * answer.h - one call and what is answered: the endpoints, as vLLM behind
 * privatemode-proxy gives them. How it is sent is call.c's business.
 */
#ifndef STANDIN_ANSWER_H
#define STANDIN_ANSWER_H

#include "fault.h"
#include "http.h"
#include "reply.h"
#include "report.h"

struct answer {
	/* The request; views into the record's head. */
	struct http_head head;
	struct fault fault;
	/* What came of it: 'body', or 'reply' as events if 'streaming'. */
	int status;
	char type[80];
	struct buf headers; /* more of them, each line with its CRLF */
	struct buf body;
	int streaming;
	struct reply reply;
	/* A control request that waits: 'waiter' is set, until 'wait_ms'. */
	int waiting;
	int64_t wait_ms;
	struct waiter waiter;
};

/* With --require-key: who does not send this gets 401. NULL is no check. */
void answer_require_key(const char *key);

/* Nothing answered yet, and the faults of the head taken in. */
void answer_init(struct answer *, const struct http_head *);
void answer_free(struct answer *);

/* Answers with a whole body at hand. */
void answer_make(struct answer *, struct view body);

/* Answers before the body has come (early=), or because it is malformed. */
void answer_early(struct answer *);
void answer_refuse(struct answer *, int status, const char *message);

/* Whether this path is the tests' and not the upstream's. */
int answer_is_control(const struct http_head *);

/* For the endpoints: */

/* An error object; 'type' and 'param' may be NULL. */
void answer_error(struct answer *, int status, const char *type,
    const char *param, const char *message);

/* Status 200, and the object as JSON, which is put. */
void answer_json(struct answer *, struct json_object *);
void answer_type(struct answer *, const char *type);

/*
 * Takes in the faults in the model's name. 0 when the endpoint is to go on;
 * -1 when the answer is made: no such model, or a fault that asks for an
 * error or a redirect.
 */
int answer_model(struct answer *, struct view model);

/* The document, which must be an object; NULL once it is refused. */
struct json_object *answer_parse(struct answer *, struct view body);

void answer_chat(struct answer *, struct view body);
void answer_completion(struct answer *, struct view body);
void answer_messages(struct answer *, struct view body);
void answer_embeddings(struct answer *, struct view body);
void answer_transcription(struct answer *, struct view body);
void answer_translation(struct answer *, struct view body);
void answer_documents(struct answer *, struct view body);
void answer_control(struct answer *, struct view body);

#endif
