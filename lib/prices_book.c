/*
 * Dated prices of all models. A model's record is a JSON array, oldest change
 * first: [{"from":1795370400,"prompt":5000000000,"completion":5000000000,
 * "audio_mib":0,"audio_hour":0}, {"from":1795374000}], where a change without
 * a price goes back to the program's list.
 */
#include "prices_internal.h"

#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#define HOUR 3600
#define MEMBERS 4

static const char *const names[MEMBERS] = { "prompt", "completion", "audio_mib",
	"audio_hour" };

static int64_t *
member_of(struct price *price, int i)
{
	int64_t *const member[MEMBERS] = { &price->prompt, &price->completion,
		&price->audio_mib, &price->audio_hour };

	return member[i];
}

void
prices_book_free(struct prices_book *book)
{
	for (size_t i = 0; i < book->n; i++)
		free(book->history[i].change);
	free(book->history);
	*book = (struct prices_book){ 0 };
}

const struct prices_history *
prices_book_find(const struct prices_book *book, const char *model)
{
	for (size_t i = 0; i < book->n; i++)
		if (strcmp(book->history[i].model, model) == 0)
			return &book->history[i];
	return NULL;
}

/* 1 with a price when the model has one of its own in that hour. */
static int
own_price(const struct prices_book *book, const char *model, int64_t at,
    struct price *price)
{
	const struct prices_history *h = prices_book_find(book, model);
	size_t i = h == NULL ? 0 : h->n;
	int found;

	while (i > 0 && h->change[i - 1].from > at)
		i--;
	if (i > 0 && !h->change[i - 1].listed) {
		*price = h->change[i - 1].price;
		return 1;
	}
	*price = prices_listed_at(model, at, &found);
	return found;
}

struct price
prices_book_at(const struct prices_book *book, const char *model, int64_t at)
{
	struct price price;

	if (!own_price(book, model, at, &price))
		(void)own_price(book, PRICES_OTHERS, at, &price);
	return price;
}

/* A member that is a whole number within its bounds; 0 or -1. */
static int
read_number(struct json_object *from, const char *name, int64_t min,
    int64_t max, int64_t *out)
{
	struct json_object *member;

	if (!json_object_object_get_ex(from, name, &member) ||
	    !json_object_is_type(member, json_type_int))
		return -1;
	*out = json_object_get_int64(member);
	return *out < min || *out > max ? -1 : 0;
}

static int
read_change(struct json_object *from, struct prices_change *c)
{
	*c = (struct prices_change){ .from = 0 };
	if (!json_object_is_type(from, json_type_object) ||
	    read_number(from, "from", INT64_MIN, INT64_MAX, &c->from) == -1 ||
	    c->from % HOUR != 0)
		return -1;
	c->listed = json_object_object_length(from) == 1;
	for (int i = 0; i < MEMBERS && !c->listed; i++)
		if (read_number(from, names[i], 0, PRICES_MAX,
			member_of(&c->price, i)) == -1)
			return -1;
	return 0;
}

static int
read_changes(struct json_object *array, struct prices_history *h)
{
	size_t n = json_object_array_length(array);

	if (n == 0 || n > PRICES_CHANGES_MAX ||
	    (h->change = calloc(n, sizeof(h->change[0]))) == NULL)
		return -1;
	for (; h->n < n; h->n++)
		if (read_change(json_object_array_get_idx(array, h->n),
			&h->change[h->n]) == -1 ||
		    (h->n > 0 &&
			h->change[h->n].from <= h->change[h->n - 1].from))
			return -1;
	return 0;
}

/* The one whole array that the text is, or NULL. */
static struct json_object *
parse(const char *text, size_t len)
{
	struct json_tokener *tokener = json_tokener_new_ex(4);
	struct json_object *value = NULL;

	if (tokener == NULL)
		return NULL;
	/* Not strictly: so json-c 0.18 would refuse all beyond ASCII. */
	if (len <= PRICES_RECORD_MAX)
		value = json_tokener_parse_ex(tokener, text, (int)len);
	if (value != NULL &&
	    (json_tokener_get_parse_end(tokener) != len ||
		!json_object_is_type(value, json_type_array))) {
		json_object_put(value);
		value = NULL;
	}
	json_tokener_free(tokener);
	return value;
}

/* FNV-1a over the name and what follows. */
static uint64_t
mark_of(const char *model, const void *more, size_t len)
{
	const unsigned char *byte = more;
	uint64_t h = UINT64_C(14695981039346656037);

	for (; *model != '\0'; model++)
		h = (h ^ (unsigned char)*model) * UINT64_C(1099511628211);
	h *= UINT64_C(1099511628211);
	for (size_t i = 0; i < len; i++)
		h = (h ^ byte[i]) * UINT64_C(1099511628211);
	return h;
}

static uint64_t
mark_of_price(const char *model, int64_t from, int listed, struct price price)
{
	const int64_t all[] = { from, listed, price.prompt, price.completion,
		price.audio_mib, price.audio_hour };

	return mark_of(model, all, sizeof(all));
}

uint64_t
prices_book_basis(const struct prices_book *book, int64_t before)
{
	uint64_t basis = 0;

	for (size_t i = 0; i < prices_list_n; i++)
		if (prices_list[i].from < before)
			basis += mark_of_price(prices_list[i].model,
			    prices_list[i].from, -1, prices_list[i].price);
	for (size_t i = 0; i < book->n; i++) {
		const struct prices_history *h = &book->history[i];

		for (size_t k = 0; k < h->n && h->change[k].from < before; k++)
			basis += mark_of_price(h->model, h->change[k].from,
			    h->change[k].listed, h->change[k].price);
	}
	return basis;
}

int
prices_book_read(
    struct prices_book *book, const char *model, const char *text, size_t len)
{
	struct prices_history h = { .n = 0 }, *more;
	struct json_object *array;
	int bad;

	if (prices_problem(model, NULL) != NULL ||
	    (array = parse(text, len)) == NULL)
		return -1;
	memcpy(h.model, model, strlen(model) + 1);
	bad = read_changes(array, &h);
	json_object_put(array);
	more = bad ? NULL
		   : reallocarray(book->history, book->n + 1, sizeof(more[0]));
	if (more == NULL) {
		free(h.change);
		return -1;
	}
	book->history = more;
	book->history[book->n++] = h;
	/* Order does not matter to a sum, and records come in any. */
	book->basis += mark_of(model, text, len);
	return 0;
}

static int
add_number(struct json_object *to, const char *name, int64_t n)
{
	struct json_object *value = json_object_new_int64(n);

	if (value != NULL && json_object_object_add(to, name, value) == 0)
		return 0;
	json_object_put(value);
	return -1;
}

static int
add_change(struct json_object *array, struct prices_change c)
{
	struct json_object *o = json_object_new_object();
	int bad = o == NULL || add_number(o, "from", c.from) == -1;

	for (int i = 0; i < MEMBERS && !bad && !c.listed; i++)
		bad = add_number(o, names[i], *member_of(&c.price, i));
	if (!bad && json_object_array_add(array, o) == 0)
		return 0;
	json_object_put(o);
	return -1;
}

int
prices_book_write(const struct prices_book *book, const char *model,
    const struct prices_change *change, struct buf *out)
{
	const struct prices_history *h = prices_book_find(book, model);
	struct json_object *array = json_object_new_array();
	size_t kept = h == NULL ? 0 : h->n;
	const char *text = NULL;
	int bad = array == NULL;

	if (kept > 0 && h->change[kept - 1].from > change->from) {
		json_object_put(array);
		return -2;
	}
	if (kept > 0 && h->change[kept - 1].from == change->from)
		kept--;
	for (size_t i = 0; i < kept && !bad; i++)
		bad = add_change(array, h->change[i]);
	if (!bad && kept < PRICES_CHANGES_MAX &&
	    add_change(array, *change) == 0)
		text = json_object_to_json_string_ext(
		    array, JSON_C_TO_STRING_PLAIN);
	bad = text == NULL || buf_puts(out, text) == -1;
	json_object_put(array);
	return bad ? -1 : 0;
}
