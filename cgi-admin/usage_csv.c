/* Rows as CSV: names of columns are the same in every language. */
#include "usage_csv.h"

#include <stdio.h>
#include <string.h>

#include "lib/text.h"

/*
 * Always in quotes; what a spreadsheet would run as a formula gets an
 * apostrophe in front.
 */
static void
put_text(struct buf *out, const char *text)
{
	(void)buf_puts(out, "\"");
	if (*text != '\0' && strchr("=+-@\t\r\n", *text) != NULL)
		(void)buf_puts(out, "'");
	for (; *text != '\0'; text++)
		(void)buf_add(
		    out, *text == '"' ? "\"\"" : text, *text == '"' ? 2 : 1);
	(void)buf_puts(out, "\"");
}

static void
put_row(struct admin *a, const struct usage_ask *ask, const struct usage_sum *s,
    const struct usage_total *t)
{
	char name[USAGE_NAME_SIZE], eur[TEXT_EUR_SIZE];

	put_text(&a->out, usage_sum_name(s, ask, t, name));
	if (strcmp(ask->by, "key") == 0) {
		(void)buf_puts(&a->out, ",");
		put_text(&a->out, t->key_id);
	}
	(void)buf_printf(&a->out, ",%lld,%lld,%lld,%lld,%lld,%lld,%lld,%s\r\n",
	    (long long)t->requests, (long long)t->errors, (long long)t->prompt,
	    (long long)t->completion, (long long)t->cached, (long long)t->total,
	    (long long)t->audio_bytes, text_eur(eur, t->cost));
}

void
usage_csv_put(struct admin *a, const struct usage_ask *ask, struct usage_sum *s)
{
	char from[ADMIN_VALUE_SIZE], to[ADMIN_VALUE_SIZE];

	a->type = "text/csv; charset=utf-8";
	(void)snprintf(a->disposition, sizeof(a->disposition),
	    "attachment; filename=\"usage-%s-%s-%s.csv\"", ask->by,
	    admin_day(from, ask->from), admin_day(to, ask->to - 1));
	(void)buf_printf(&a->out,
	    "%s,%srequests,errors,prompt_tokens,"
	    "completion_tokens,cached_tokens,total_tokens,"
	    "audio_bytes,cost_eur\r\n",
	    ask->by, strcmp(ask->by, "key") == 0 ? "key_id," : "");
	usage_sum_label(s, a, 0, s->rows.n);
	for (size_t i = 0; i < s->rows.n; i++)
		put_row(a, ask, s, &s->rows.rows[i]);
}
