/*
 * embed.c - /v1/embeddings: vectors of length 1, out of the input's digest.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "answer.h"

#define DIMENSIONS 256
#define DIMENSIONS_MAX 4096

/* Newton's, so that libm is not needed for one square root. */
static double
square_root(double square)
{
	double guess = square + 1;
	int i;

	for (i = 0; i < 64; i++)
		guess = (guess + square / guess) / 2;
	return guess;
}

/* The same text gives the same vector (xorshift from its SHA-256). */
static void
vector_make(float *vector, size_t n, struct view text)
{
	unsigned char digest[SECRET_DIGEST_LEN];
	double square = 0, value, norm;
	uint64_t x;
	size_t i;

	secret_sha256(digest, text.p, text.n);
	memcpy(&x, digest, sizeof(x));
	x |= 1; /* xorshift must not start at 0 */
	for (i = 0; i < n; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		value = (double)(x >> 11) / (double)(1ULL << 52) - 1;
		vector[i] = (float)value;
		square += value * value;
	}
	norm = square_root(square);
	for (i = 0; i < n; i++)
		vector[i] = (float)((double)vector[i] / norm);
}

static struct json_object *
vector_floats(const float *vector, size_t n)
{
	struct json_object *array = json_object_new_array();
	char text[32];
	size_t i;

	for (i = 0; i < n; i++) {
		(void)snprintf(text, sizeof(text), "%.8f", (double)vector[i]);
		(void)json_object_array_add(
		    array, json_object_new_double_s((double)vector[i], text));
	}
	return array;
}

/* Little-endian float32, as every machine this runs on keeps them. */
static struct json_object *
vector_base64(const float *vector, size_t n)
{
	unsigned char text[(DIMENSIONS_MAX * sizeof(float) + 2) / 3 * 4 + 1];
	int len = EVP_EncodeBlock(
	    text, (const unsigned char *)vector, (int)(n * sizeof(float)));

	return json_object_new_string_len((const char *)text, len);
}

static struct json_object *
embedding(struct view text, size_t index, size_t n, int base64)
{
	struct json_object *o = json_object_new_object();
	float vector[DIMENSIONS_MAX];

	vector_make(vector, n, text);
	put_text(o, "object", "embedding");
	put_number(o, "index", (int64_t)index);
	put_json(o, "embedding",
	    base64 ? vector_base64(vector, n) : vector_floats(vector, n));
	return o;
}

/* One input as text: token numbers are taken as they are written. */
static struct view
input_text(struct json_object *input)
{
	const char *text = json_object_get_string(input);

	if (json_object_is_type(input, json_type_string))
		return (struct view){ text,
			(size_t)json_object_get_string_len(input) };
	return (struct view){ text, text == NULL ? 0 : strlen(text) };
}

/* Several inputs are an array of anything but numbers. */
static int
is_several(struct json_object *input)
{
	return json_object_is_type(input, json_type_array) &&
	    json_object_array_length(input) > 0 &&
	    !json_object_is_type(
		json_object_array_get_idx(input, 0), json_type_int);
}

static void
answer_vectors(struct answer *a, struct json_object *root,
    struct json_object *input, int base64, size_t dimensions)
{
	struct json_object *data = json_object_new_array();
	struct json_object *list = json_object_new_object(), *usage;
	size_t i, n = is_several(input) ? json_object_array_length(input) : 1;
	struct view text;
	int64_t tokens = 0;

	for (i = 0; i < n; i++) {
		text = input_text(is_several(input)
			? json_object_array_get_idx(input, i)
			: input);
		tokens += words_tokens(text.n);
		(void)json_object_array_add(
		    data, embedding(text, i, dimensions, base64));
	}
	put_text(list, "id", "embd-standin");
	put_text(list, "object", "list");
	put_text(list, "model",
	    json_object_get_string(json_object_object_get(root, "model")));
	put_json(list, "data", data);
	usage = json_object_new_object();
	put_number(usage, "prompt_tokens", tokens);
	put_number(usage, "total_tokens", tokens);
	put_number(usage, "completion_tokens", 0);
	put_null(usage, "prompt_tokens_details");
	if (a->fault.null_usage || a->fault.no_usage) {
		(void)json_object_put(usage);
		usage = NULL;
	}
	if (!a->fault.no_usage)
		put_json(list, "usage", usage);
	answer_json(a, list);
}

static void
answer_inputs(struct answer *a, struct json_object *root)
{
	struct json_object *input = json_object_object_get(root, "input");
	struct json_object *wanted = json_object_object_get(root, "dimensions");
	struct view format =
	    input_text(json_object_object_get(root, "encoding_format"));
	int64_t n = wanted == NULL ? DIMENSIONS : json_object_get_int64(wanted);

	if (input == NULL)
		answer_error(
		    a, 400, "BadRequestError", "input", "field required");
	else if (n < 1 || n > DIMENSIONS_MAX)
		answer_error(a, 400, "BadRequestError", "dimensions",
		    "dimensions out of range");
	else if (format.n > 0 && !view_is(format, "float") &&
	    !view_is(format, "base64"))
		answer_error(a, 400, "BadRequestError", "encoding_format",
		    "encoding_format is float or base64");
	else
		answer_vectors(
		    a, root, input, view_is(format, "base64"), (size_t)n);
}

void
answer_embeddings(struct answer *a, struct view body)
{
	struct json_object *root = answer_parse(a, body), *model;

	if (root == NULL)
		return;
	model = json_object_object_get(root, "model");
	if (!json_object_is_type(model, json_type_string))
		answer_error(a, 400, "BadRequestError", "model",
		    "model: a string is required");
	else if (answer_model(a, input_text(model)) == 0)
		answer_inputs(a, root);
	(void)json_object_put(root);
}
