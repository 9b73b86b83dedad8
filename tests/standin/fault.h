/*
 * fault.h - what a request asks the stand-in to do wrong: "k=v, k=v" in the
 * header X-Standin, or after "standin/" in the model's name. A name alone
 * means 1. README.md says what each one does.
 */
#ifndef STANDIN_FAULT_H
#define STANDIN_FAULT_H

#include <stddef.h>
#include <stdint.h>

#define FAULT_MODEL_PREFIX "standin/"

struct fault {
	/* Milliseconds, counts and bytes; -1 where nothing was asked. */
	int64_t delay_head, delay_body, rate, words, burst, pause;
	int64_t stall_after, reset_after, close_after, end_after, error_after;
	int64_t status, huge, line, headers, slow_body, early;
	/* Flags: 0 or 1. */
	int64_t truncate, bad_json, split_utf8, crlf, null_usage, no_usage;
	int64_t continuous, redirect, set_cookie, no_length, comment;
	int64_t die_on_reuse, close_idle, stamp;
	char type[64], retry_after[64], error_body[16];
};

void fault_init(struct fault *);

/*
 * Adds what 'n' bytes at 'spec' ask for. 0, or -1 with a sentence in 'why'
 * about the first thing that was not understood: a test that misspells a
 * fault must not pass for want of it.
 */
int
fault_parse(struct fault *, const char *spec, size_t n, char *why, size_t size);

#endif
