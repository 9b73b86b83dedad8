/* Totals as JSON and as CSV: one table names the columns of both. */
#include "cli/usage_print.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/object.h"
#include "lib/text.h"

static const char *const period_columns[] = { "", "hour", "day", "month" };

struct number {
	const char *name;
	int64_t value;
	char decimal[TEXT_EUR_SIZE]; /* "" for a whole number */
};

#define N_NUMBERS 9

/* Milliseconds as seconds, without a floating-point number on the way. */
static void
print_seconds(char dst[TEXT_EUR_SIZE], int64_t ms)
{
	int n = snprintf(
	    dst, TEXT_EUR_SIZE, "%" PRId64 ".%03" PRId64, ms / 1000, ms % 1000);

	while (n > 0 && dst[n - 1] == '0')
		n--;
	if (n > 0 && dst[n - 1] == '.')
		n--;
	dst[n > 0 ? n : 0] = '\0';
}

static void
numbers_of(const struct usage_total *t, struct number out[N_NUMBERS])
{
	const struct number all[N_NUMBERS] = {
		{ "requests", t->requests, "" },
		{ "errors", t->errors, "" },
		{ "prompt_tokens", t->prompt, "" },
		{ "completion_tokens", t->completion, "" },
		{ "cached_tokens", t->cached, "" },
		{ "total_tokens", t->total, "" },
		{ "audio_bytes", t->audio_bytes, "" },
		{ "audio_seconds", t->audio_ms, "" },
		{ "cost_eur", t->cost, "" },
	};

	memcpy(out, all, sizeof(all));
	print_seconds(out[7].decimal, t->audio_ms);
	text_eur(out[8].decimal, t->cost);
}

struct name {
	const char *name, *value;
};

#define NAMES_MAX 4

/* The view's columns that are text; 'label' holds the period's. */
static size_t
names_of(const struct usage_view *view, const struct usage_total *t,
    char label[USAGE_LABEL_SIZE], struct name out[NAMES_MAX])
{
	size_t n = 0;

	if (view->period != USAGE_PERIOD_NONE)
		out[n++] = (struct name){ period_columns[view->period],
			usage_view_label(label, view->period, t->hour) };
	if (view->key)
		out[n++] = (struct name){ "key_id", t->key_id };
	if (view->model)
		out[n++] = (struct name){ "model", t->model };
	if (view->endpoint)
		out[n++] = (struct name){ "endpoint", t->endpoint };
	return n;
}

static struct json_object *
number_object(const struct number *n)
{
	/* What is printed is the text; the double is only its stand-in. */
	return n->decimal[0] != '\0'
	    ? json_object_new_double_s((double)n->value, n->decimal)
	    : json_object_new_int64(n->value);
}

struct json_object *
usage_print_object(const struct usage_view *view, const struct usage_total *t)
{
	struct json_object *object = json_object_new_object();
	struct number numbers[N_NUMBERS];
	struct name names[NAMES_MAX];
	char label[USAGE_LABEL_SIZE];
	size_t n = names_of(view, t, label, names);
	int failed = object == NULL;

	numbers_of(t, numbers);
	for (size_t i = 0; !failed && i < n; i++)
		failed = object_add(object, names[i].name,
			     json_object_new_string(names[i].value)) == -1;
	for (size_t i = 0; !failed && i < N_NUMBERS; i++)
		failed = object_add(object, numbers[i].name,
			     number_object(&numbers[i])) == -1;
	if (!failed)
		return object;
	json_object_put(object);
	return NULL;
}

/* A label's value, escaped as OpenMetrics wants it. */
static void
print_label(const char *name, const char *value, const char *before)
{
	printf("%s%s=\"", before, name);
	for (; *value != '\0'; value++)
		if (*value == '\n')
			fputs("\\n", stdout);
		else if (*value == '"' || *value == '\\')
			printf("\\%c", *value);
		else
			(void)putchar(*value);
	(void)putchar('"');
}

/*
 * A period's sum goes up and down with time, so it is a gauge; its time stamp
 * is the start of the period.
 */
static void
print_sample(const struct usage_view *view, const struct usage_total *t, int i)
{
	struct number numbers[N_NUMBERS];
	struct name names[NAMES_MAX];
	char label[USAGE_LABEL_SIZE];
	size_t n = names_of(view, t, label, names);
	size_t first = view->period != USAGE_PERIOD_NONE;

	numbers_of(t, numbers);
	printf("pmproxy_usage_%s", numbers[i].name);
	for (size_t k = first; k < n; k++)
		print_label(
		    names[k].name, names[k].value, k == first ? "{" : ",");
	fputs(n > first ? "} " : " ", stdout);
	if (numbers[i].decimal[0] != '\0')
		fputs(numbers[i].decimal, stdout);
	else
		printf("%" PRId64, numbers[i].value);
	if (first)
		printf(" %" PRId64, t->hour);
	(void)putchar('\n');
}

void
usage_print_openmetrics(
    const struct usage_view *view, const struct usage_total *row, size_t n)
{
	static const struct usage_total none;
	struct number numbers[N_NUMBERS];

	numbers_of(&none, numbers);
	for (int i = 0; i < N_NUMBERS; i++) {
		printf("# TYPE pmproxy_usage_%s gauge\n", numbers[i].name);
		for (size_t k = 0; k < n; k++)
			print_sample(view, &row[k], i);
	}
	fputs("# EOF\n", stdout);
}

/*
 * A quote mark in front keeps spreadsheets from running a name as a formula;
 * quotes around a field keep its commas and quotes in it.
 */
static void
print_field(const char *s)
{
	const char *mark =
	    s[0] != '\0' && strchr("=+-@\t\r", s[0]) != NULL ? "'" : "";

	if (s[strcspn(s, ",\"\r\n")] == '\0') {
		printf("%s%s,", mark, s);
		return;
	}
	printf("\"%s", mark);
	for (; *s != '\0'; s++) {
		if (*s == '"')
			(void)putchar('"');
		(void)putchar(*s);
	}
	fputs("\",", stdout);
}

void
usage_print_csv_head(const struct usage_view *view)
{
	static const struct usage_total none;
	struct number numbers[N_NUMBERS];
	struct name names[NAMES_MAX];
	char label[USAGE_LABEL_SIZE];
	size_t n = names_of(view, &none, label, names);

	numbers_of(&none, numbers);
	for (size_t i = 0; i < n; i++)
		printf("%s,", names[i].name);
	for (size_t i = 0; i < N_NUMBERS; i++)
		printf(
		    "%s%s", numbers[i].name, i + 1 < N_NUMBERS ? "," : "\r\n");
}

void
usage_print_csv(const struct usage_view *view, const struct usage_total *t)
{
	struct number numbers[N_NUMBERS];
	struct name names[NAMES_MAX];
	char label[USAGE_LABEL_SIZE];
	size_t n = names_of(view, t, label, names);

	numbers_of(t, numbers);
	for (size_t i = 0; i < n; i++)
		print_field(names[i].value);
	for (size_t i = 0; i < N_NUMBERS; i++) {
		if (numbers[i].decimal[0] != '\0')
			fputs(numbers[i].decimal, stdout);
		else
			printf("%" PRId64, numbers[i].value);
		fputs(i + 1 < N_NUMBERS ? "," : "\r\n", stdout);
	}
}
