/* Prices: shown as a table, set one model at a time. */
#include "price_form.h"

#include <stddef.h>
#include <string.h>

#include "lib/text.h"

static const struct {
	const char *name, *label, *unit;
	size_t at;
} fields[PRICE_FIELDS] = {
	{ "price_prompt", N_("Tokens in"), N_("EUR a million"),
	    offsetof(struct price, prompt) },
	{ "price_completion", N_("Tokens out"), N_("EUR a million"),
	    offsetof(struct price, completion) },
	{ "price_mib", N_("Audio by size"), N_("EUR a MiB"),
	    offsetof(struct price, audio_mib) },
	{ "price_hour", N_("Audio by time"), N_("EUR an hour"),
	    offsetof(struct price, audio_hour) },
};

static int64_t
amount_of(const struct price *p, size_t field)
{
	int64_t amount;

	memcpy(&amount, (const char *)p + fields[field].at, sizeof(amount));
	return amount;
}

struct listing {
	struct admin *a;
	int with_links;
	struct prices_row last; /* of one model: the one in force */
	char model[PRICES_MODEL_SIZE];
	int some;
};

static void
put_row(struct listing *l)
{
	struct buf *out = &l->a->out;
	char eur[TEXT_EUR_SIZE], day[ADMIN_VALUE_SIZE];
	int others = strcmp(l->model, PRICES_OTHERS) == 0;
	const char *name = others ? _("all others") : l->model;

	if (!l->some)
		return;
	html(out, "<tr><th scope=\"row\">");
	if (l->with_links) {
		html(out, "<a href=\"/admin/settings?model=");
		html_argument(out, l->model);
		html(out, "#prices\">%s</a></th>", name);
	} else
		html(out, "%s</th>", name);
	for (size_t i = 0; i < PRICE_FIELDS; i++)
		html(out, "<td class=\"num\" data-label=\"%s\">%s</td>",
		    _(fields[i].label),
		    text_eur(eur, amount_of(&l->last.price, i)));
	html(out, "<td data-label=\"%s\">%s</td></tr>\n", _("Since"),
	    l->last.set ? admin_day(day, l->last.from) : _("the list"));
}

/* Rows of one model come oldest first: the last of them is in force. */
static int
take_row(const struct prices_row *row, void *arg)
{
	struct listing *l = arg;

	if (l->some && strcmp(row->model, l->model) != 0)
		put_row(l);
	l->last = *row;
	l->some = 1;
	memcpy(l->model, row->model, strlen(row->model) + 1);
	return 0;
}

void
price_table_put(struct admin *a, int with_links)
{
	struct prices *prices = prices_open(a->state_dir);
	struct listing l = { .a = a, .with_links = with_links };

	if (prices == NULL || prices_refresh(prices) == -1) {
		html(&a->out, "<p class=\"problem\">%s</p>\n",
		    _("The prices cannot be read: see the server's log."));
		prices_close(prices);
		return;
	}
	html(&a->out,
	    "<table class=\"list\"><thead><tr><th scope=\"col\">%s</th>",
	    _("Model"));
	for (size_t i = 0; i < PRICE_FIELDS; i++)
		html(&a->out,
		    "<th scope=\"col\" class=\"num\">%s<br><small>%s</small>"
		    "</th>",
		    _(fields[i].label), _(fields[i].unit));
	html(&a->out, "<th scope=\"col\">%s</th></tr></thead>\n<tbody>\n",
	    _("Since"));
	(void)prices_each(prices, take_row, &l);
	put_row(&l);
	html(&a->out, "</tbody></table>\n");
	prices_close(prices);
}

static void
price_now(struct admin *a, const char *model, struct price *out)
{
	struct prices *prices = prices_open(a->state_dir);

	if (prices != NULL && prices_refresh(prices) == 0)
		*out = prices_at(prices, model, a->now);
	prices_close(prices);
}

static void
put_fields(struct admin *a, const struct price_form *form, const char *model)
{
	struct price now = { .prompt = 0 };
	char eur[TEXT_EUR_SIZE];

	if (*model != '\0')
		price_now(a, model, &now);
	for (size_t i = 0; i < PRICE_FIELDS; i++) {
		struct html_field f = { .name = fields[i].name,
			.label = _(fields[i].label),
			.value = text_eur(eur, amount_of(&now, i)),
			.error = form->errors[i],
			.unit = _(fields[i].unit),
			.size = 12,
			.maxlength = 24,
			.numeric = 1 };

		if (form_get(&a->post, f.name) != NULL)
			f.value = admin_post(a, f.name);
		html_field(&a->out, &f);
	}
}

void
price_form_put(struct admin *a, const struct price_form *form)
{
	const char *model = form_get(&a->post, "model") != NULL
	    ? admin_post(a, "model")
	    : admin_query(a, "model");
	struct html_field name = { .name = "model",
		.label = _("Model"),
		.value = model,
		.hint = _("* stands for all that have no price of their own."),
		.error = form->model_error,
		.size = 24,
		.maxlength = PRICES_MODEL_SIZE - 1,
		.required = 1 };

	html(&a->out, "<section id=\"prices\"><h2>%s</h2>\n<p>%s</p>\n",
	    _("Prices"),
	    _("A new price counts from this hour on. What was used before "
	      "costs what it cost."));
	price_table_put(a, 1);
	html(&a->out, "<details");
	html(&a->out, *model != '\0' ? " open>" : ">");
	html(&a->out, "<summary>%s</summary>\n", _("Set a price"));
	admin_form(a, "price");
	html_field(&a->out, &name);
	put_fields(a, form, model);
	html_checkbox(&a->out, "list",
	    _("Instead of these, go back to the list's price"),
	    form_get(&a->post, "list") != NULL);
	admin_form_end(a, _("Set the price"));
	html(&a->out, "</details></section>\n");
}

static void
read_amount(struct admin *a, struct price_form *form, size_t i)
{
	const char *typed = admin_post(a, fields[i].name);
	int64_t amount = 0;

	if (*typed != '\0' &&
	    (text_to_eur(typed, &amount) == -1 || amount > PRICES_MAX)) {
		form->errors[i] = _("Not an amount of EUR like 5 or 0.096.");
		form->n_errors++;
	}
	memcpy((char *)&form->price + fields[i].at, &amount, sizeof(amount));
}

void
price_form_read(struct admin *a, struct price_form *form)
{
	const char *model = admin_post(a, "model");

	*form = (struct price_form){ .n_errors = 0 };
	form->back_to_list = form_get(&a->post, "list") != NULL;
	for (size_t i = 0; i < PRICE_FIELDS && !form->back_to_list; i++)
		read_amount(a, form, i);
	if (strlen(model) < sizeof(form->model))
		memcpy(form->model, model, strlen(model) + 1);
	if (form->model[0] == '\0' ||
	    (form->n_errors == 0 &&
		prices_problem(form->model, &form->price) != NULL)) {
		form->model_error = _("That is no model's name.");
		form->n_errors++;
	}
}
