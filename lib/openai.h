/*
 * openai.h - the wire: which endpoints there are, what a request says of
 * itself, how it is changed on its way, and every error a client can see.
 * Sources: OpenAI's API description and Anthropic's; vLLM for streams.
 */
#ifndef PMPROXY_OPENAI_H
#define PMPROXY_OPENAI_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "buf.h"

/* Endpoints that are answered by the upstream. */
enum openai_endpoint {
	OPENAI_CHAT,
	OPENAI_COMPLETIONS,
	OPENAI_EMBEDDINGS,
	OPENAI_TRANSCRIPTIONS,
	OPENAI_TRANSLATIONS,
	OPENAI_MESSAGES,
	OPENAI_UNSTRUCTURED,
	OPENAI_ENDPOINT__MAX
};

/* Whose error objects a client of that path understands. */
enum openai_dialect {
	OPENAI_DIALECT,
	ANTHROPIC_DIALECT
};

/* As usage records name it: "chat.completions". */
const char *openai_endpoint_name(enum openai_endpoint);

/* Errors, each with its status, type, code, param and message. */
enum openai_error {
	OPENAI_OK,
	OPENAI_BAD_REQUEST,
	OPENAI_BAD_JSON,
	OPENAI_BAD_FORM,
	OPENAI_SHORT_BODY,
	OPENAI_LATE_BODY,
	OPENAI_NO_MODEL,
	OPENAI_TWO_MODELS,
	OPENAI_NO_KEY,
	OPENAI_BAD_KEY,
	OPENAI_HTTPS_REQUIRED,
	OPENAI_MODEL_NOT_FOUND,
	OPENAI_UNKNOWN_URL,
	OPENAI_METHOD,
	OPENAI_NO_LENGTH,
	OPENAI_TOO_LARGE,
	OPENAI_MEDIA_TYPE,
	OPENAI_RATE_REQUESTS,
	OPENAI_RATE_KEY_REQUESTS,
	OPENAI_RATE_TOKENS,
	OPENAI_RATE_PARALLEL,
	OPENAI_RATE_BODIES,
	OPENAI_RATE_ADDRESS,
	OPENAI_RATE_FAILED_AUTH,
	OPENAI_BUDGET,
	OPENAI_CLIENT_GONE, /* nobody will read it; lighttpd wants an end */
	OPENAI_UPSTREAM_AUTH,
	OPENAI_UPSTREAM_UNREACHABLE,
	OPENAI_UPSTREAM_BROKEN,
	OPENAI_UPSTREAM_TIMEOUT,
	OPENAI_UPSTREAM_ERROR, /* its own 4xx or 5xx that was no error object */
	OPENAI_OVERLOADED,
	OPENAI_STORE,
	OPENAI_INTERNAL,
	OPENAI_ERROR__MAX
};

int openai_error_status(enum openai_error);

/*
 * Appends the error object as JSON. 'status' 0: the error's own; another one
 * is for OPENAI_UPSTREAM_ERROR, whose status is the upstream's. 0 or -1.
 */
int openai_error_body(struct buf *, enum openai_error, enum openai_dialect,
    int status, const char *request_id);

/* The same as an event that a client of a broken stream notices. */
int openai_error_event(struct buf *, enum openai_error, enum openai_dialect,
    const char *request_id);

/*
 * 1 when an answer's text is an object with an object "error" in it, as both
 * dialects and vLLM write errors: to be passed on as it is.
 */
int openai_is_error_object(const char *text);

#define OPENAI_MODEL_SIZE 256
#define OPENAI_SPLICES_MAX 3
/* Pieces at most in a rewritten body. */
#define OPENAI_PIECES_MAX (2 * OPENAI_SPLICES_MAX + 1)

/* What a request says of itself, as far as the gate must know. */
struct openai_request {
	char model[OPENAI_MODEL_SIZE]; /* "" where the endpoint has none */
	int stream;
	int strip_usage; /* usage is asked for, though not by the client */
	int64_t audio_bytes; /* of the file part */
	int64_t max_tokens; /* of one answer times 'n'; 0: not said */
	int64_t choices; /* 'n', answers to one request */
	int bounded; /* openai_bound can name a maximum */
	/* Where to change the body; private. */
	struct openai_splice {
		size_t at, removed;
		char text[256];
	} splices[OPENAI_SPLICES_MAX];
	size_t n_splices;
	size_t bound_at, bound_removed;
};

/*
 * Reads a whole body. 'cache_salt' NULL, or the salt to put into a chat or
 * completion that brings none of its own (32 to 128 characters of hex).
 * OPENAI_OK, or the error to answer with.
 */
enum openai_error
openai_read(enum openai_endpoint, const char *content_type, const char *body,
    size_t len, const char *cache_salt, struct openai_request *);

/*
 * Has the upstream end each answer after so many tokens, once, where the
 * request is one for a chat and names no maximum itself ('bounded').
 */
void openai_bound(struct openai_request *, int64_t tokens);

/*
 * The body with its changes spliced in, as pieces that point into 'body' and
 * into the request; every other byte is the client's own. Returns how many.
 */
size_t openai_pieces(const struct openai_request *, const char *body,
    size_t len, struct iovec pieces[OPENAI_PIECES_MAX]);

#endif
