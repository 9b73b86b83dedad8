/* price_form.h - the prices in force, and the form that sets one. */
#ifndef PMPROXY_CGI_ADMIN_PRICE_FORM_H
#define PMPROXY_CGI_ADMIN_PRICE_FORM_H

#include "admin.h"
#include "lib/prices.h"

#define PRICE_FIELDS 4

struct price_form {
	char model[PRICES_MODEL_SIZE];
	struct price price;
	int back_to_list; /* drop what was set */
	const char *model_error;
	const char *errors[PRICE_FIELDS];
	int n_errors;
};

void price_form_put(struct admin *, const struct price_form *);
void price_form_read(struct admin *, struct price_form *);

/* The table alone, for readers. */
void price_table_put(struct admin *, int with_links);

#endif
