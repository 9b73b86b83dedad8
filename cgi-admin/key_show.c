/* Keys as people read them. */
#include "key_show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"

#define DAY INT64_C(86400)
#define HOUR INT64_C(3600)

static void
put_state(struct admin *a, const char *kind, const char *text)
{
	html(&a->out, "<span class=\"state %s\">%s</span>", kind, text);
}

/* A text with one %s, where a time goes that stays on one line. */
static void
put_with_time(struct admin *a, const char *text, const char *when)
{
	const char *at = strstr(text, "%s");
	int n = at != NULL ? (int)(at - text) : (int)strlen(text);
	char before[128];

	(void)snprintf(before, sizeof(before), "%.*s", n, text);
	html(&a->out, "%s<span class=\"when\">%s</span>%s", before, when,
	    at != NULL ? at + 2 : "");
}

/* Whole days until then, begun ones counted. */
static int64_t
days_until(const struct admin *a, int64_t then)
{
	return (then - a->now + DAY - 1) / DAY;
}

void
key_show_state(struct admin *a, const struct key *key)
{
	char until[ADMIN_VALUE_SIZE];

	if (key->disabled)
		put_state(a, "no", _("disabled"));
	else if (key->expires == 0)
		put_state(a, "yes", _("active"));
	else if (a->now >= key->expires)
		put_state(a, "no",
		    key->successor[0] != '\0' ? _("replaced") : _("expired"));
	else if (key->successor[0] != '\0') {
		html(&a->out, "<span class=\"state soon\">");
		put_with_time(
		    a, _("rotating until %s"), admin_time(until, key->expires));
		html(&a->out, "</span>");
	} else {
		html(&a->out, "<span class=\"state %s\">",
		    days_until(a, key->expires) <= 14 ? "soon" : "yes");
		html(&a->out,
		    ngettext("expires in %lld day", "expires in %lld days",
			(unsigned long)days_until(a, key->expires)),
		    (long long)days_until(a, key->expires));
		html(&a->out, "</span>");
	}
}

static void
put_limit(struct admin *a, int *n, int64_t limit, const char *unit)
{
	char number[ADMIN_VALUE_SIZE];

	if (limit == 0)
		return;
	html(&a->out, "%s%s %s", (*n)++ > 0 ? ", " : "",
	    admin_number(number, limit), unit);
}

void
key_show_limits(struct admin *a, const struct key *key)
{
	char eur[ADMIN_VALUE_SIZE];
	int n = 0;

	put_limit(a, &n, key->rate_limit, _("requests"));
	put_limit(a, &n, key->tokens_per_minute, _("tokens/min"));
	put_limit(a, &n, key->parallel, _("at once"));
	put_limit(a, &n, key->budget_tokens, _("tokens/month"));
	if (key->budget_eur > 0)
		html(&a->out, "%s%s %s", n++ > 0 ? ", " : "",
		    admin_eur(eur, key->budget_eur), _("EUR/month"));
	if (n == 0)
		html(&a->out, "%s", _("none"));
}

void
key_show_last(struct admin *a, int64_t last)
{
	char day[ADMIN_VALUE_SIZE];

	if (last != 0)
		html(&a->out, "%s", admin_day(day, last));
	else
		html(&a->out, "%s", _("no record"));
}

/* FNV-1a. */
static size_t
hash_of(const char *id)
{
	uint32_t hash = UINT32_C(2166136261);

	for (; *id != '\0'; id++)
		hash = (hash ^ (unsigned char)*id) * UINT32_C(16777619);
	return hash;
}

/* Where that id is, or the empty row where it belongs. */
static struct key_spend *
slot_of(const struct key_spends *s, const char *id)
{
	size_t i = hash_of(id) & (s->room - 1);

	while (s->rows[i].id[0] != '\0' && strcmp(s->rows[i].id, id) != 0)
		i = (i + 1) & (s->room - 1);
	return &s->rows[i];
}

/* Twice the room; 0 or -1. */
static int
grow(struct key_spends *s)
{
	struct key_spends wider = { .room = s->room > 0 ? 2 * s->room : 256 };

	wider.rows = calloc(wider.room, sizeof(*wider.rows));
	if (wider.rows == NULL) {
		log_warn("cannot add up usage");
		return -1;
	}
	for (size_t i = 0; i < s->room; i++)
		if (s->rows[i].id[0] != '\0')
			*slot_of(&wider, s->rows[i].id) = s->rows[i];
	free(s->rows);
	s->rows = wider.rows;
	s->room = wider.room;
	return 0;
}

static struct key_spend *
row_of(struct key_spends *s, const char *id)
{
	struct key_spend *row;

	if (2 * s->n >= s->room && grow(s) == -1)
		return NULL;
	row = slot_of(s, id);
	if (row->id[0] == '\0') {
		memcpy(row->id, id, KEYS_ID_SIZE);
		s->n++;
	}
	return row;
}

static int64_t
plus(int64_t a, int64_t b)
{
	int64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

static int
add(const struct usage_total *t, void *arg)
{
	struct key_spends *s = arg;
	struct key_spend *row = row_of(s, t->key_id);

	if (row == NULL)
		return -1;
	if (t->last > row->last)
		row->last = t->last;
	if (t->hour < s->month)
		return 0;
	row->cost = plus(row->cost, t->cost);
	row->tokens = plus(row->tokens, t->total);
	row->requests = plus(row->requests, t->requests);
	return 0;
}

/* What the month does not count, and so only tells when a key was used. */
static int
add_last(const struct usage_total *t, void *arg)
{
	struct usage_total before = *t;

	before.hour = INT64_MIN;
	return add(&before, arg);
}

static int
read_spends(
    struct key_spends *s, struct usage_reader *r, int64_t now, const char *id)
{
	struct usage_query all = { .from = INT64_MIN,
		.to = now + HOUR,
		.key_id = id,
		.grain = USAGE_MONTHS };
	struct usage_query month = all;

	if (!usage_reader_is_quick(r))
		return usage_reader_each(r, &all, add, s);
	all.grain = USAGE_WHOLE;
	month.from = s->month;
	return usage_reader_each(r, &all, add_last, s) != 0 ||
	    usage_reader_each(r, &month, add, s) != 0;
}

int
key_spends_read(struct key_spends *s, const struct admin *a, const char *id)
{
	struct prices *prices = prices_open(a->state_dir);
	struct usage_pricing pricing = costs_pricing(prices);
	struct usage_reader *reader = NULL;
	int bad;

	*s = (struct key_spends){ .month = admin_month_start(a->now) };
	if (prices != NULL && prices_refresh(prices) == 0)
		reader = usage_reader_open(a->state_dir, &pricing);
	bad = reader == NULL || read_spends(s, reader, a->now, id) != 0;
	usage_reader_close(reader);
	prices_close(prices);
	return bad ? -1 : 0;
}

struct key_spend
key_spends_of(const struct key_spends *s, const char *id)
{
	return s->room > 0 ? *slot_of(s, id) : (struct key_spend){ .cost = 0 };
}

void
key_spend_add(struct key_spend *to, struct key_spend more)
{
	to->cost = plus(to->cost, more.cost);
	to->tokens = plus(to->tokens, more.tokens);
	to->requests = plus(to->requests, more.requests);
}

void
key_spends_free(struct key_spends *s)
{
	free(s->rows);
	s->rows = NULL;
	s->n = s->room = 0;
}
