/*
 * key_options.h - the options of pmkey that say what a key may do, as far as
 * they were given.
 */
#ifndef PMPROXY_CLI_KEY_OPTIONS_H
#define PMPROXY_CLI_KEY_OPTIONS_H

#include "lib/keys.h"

enum key_option {
	KEY_LABEL = 'l',
	KEY_EXPIRES = 'e',
	KEY_RATE_LIMIT = 'r',
	KEY_TOKENS = 't',
	KEY_PARALLEL = 'p',
	KEY_BUDGET_EUR = 'b',
	KEY_BUDGET_TOKENS = 'B',
	KEY_MODELS = 'm',
	KEY_CACHE = 'c',
	KEY_NO_CACHE = 'C'
};

/* Their letters, as command.h takes them. */
#define KEY_OPTIONS_TAKEN "lertpbBmcC"

struct key_options {
	int64_t now; /* set by the caller */
	struct key wanted; /* what of it is given, is told by 'given' */
	unsigned given;
};

/* NULL, or what is wrong with the value. */
const char *
key_options_set(struct key_options *, enum key_option, const char *value);

/* 1 when that option was given, or any of them. */
int key_options_given(const struct key_options *, enum key_option);
int key_options_any(const struct key_options *);

/* Puts what was given into a key; 'options' is a struct key_options. */
void key_options_apply(struct key *, const void *options);

#endif
