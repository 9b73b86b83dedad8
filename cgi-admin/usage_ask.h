/* usage_ask.h - what a query asks to see of the usage. */
#ifndef PMPROXY_CGI_ADMIN_USAGE_ASK_H
#define PMPROXY_CGI_ADMIN_USAGE_ASK_H

#include "admin.h"
#include "lib/keys.h"

struct usage_choice {
	const char *name, *text; /* the text is N_() */
};
/* End with a NULL name. */
extern const struct usage_choice usage_periods[], usage_groups[];

struct usage_ask {
	const char *period, *by; /* names of choices */
	const struct usage_choice *group;
	char key[KEYS_ID_SIZE]; /* "": all */
	int64_t from, to; /* Unix seconds; 'to' is not part of it */
	const char *from_error, *to_error;
	int n_errors;
};

/* What makes no sense is named in the errors, and today's month shown. */
void usage_ask_read(struct usage_ask *, struct admin *);

/* The same as a query, escaped for an attribute. */
void usage_ask_query(const struct usage_ask *, struct buf *);

#endif
