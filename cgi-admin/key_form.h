/*
 * key_form.h - the fields of a key's settings: shown, read back, and what is
 * wrong with each.
 */
#ifndef PMPROXY_CGI_ADMIN_KEY_FORM_H
#define PMPROXY_CGI_ADMIN_KEY_FORM_H

#include "admin.h"
#include "lib/keys.h"

enum key_field {
	KEY_FIELD_LABEL,
	KEY_FIELD_EXPIRES,
	KEY_FIELD_RATE,
	KEY_FIELD_TOKENS,
	KEY_FIELD_PARALLEL,
	KEY_FIELD_BUDGET_EUR,
	KEY_FIELD_BUDGET_TOKENS,
	KEY_FIELD_MODELS,
	KEY_FIELD__MAX
};

struct key_form {
	const char *errors[KEY_FIELD__MAX]; /* NULL: fine */
	int n_errors;
};

/* What was typed, or as the key has it. */
void key_form_put(struct admin *, const struct key *, const struct key_form *);

/*
 * Reads the posted fields into the key, whose other settings stay. Check
 * n_errors: a field that is wrong is left as it was.
 */
void key_form_read(struct admin *, struct key *, struct key_form *);

#endif
