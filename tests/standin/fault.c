/*
 * fault.c - the table of faults and its parser.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "fault.h"
#include "lib/text.h"

#define MS_MAX (3600 * 1000)
#define COUNT_MAX 100000000
#define BYTES_MAX (200 << 20)

#define NUMBER(name, field, min, max, initial)                        \
	{                                                             \
		name, offsetof(struct fault, field), 0, (min), (max), \
		    (initial)                                         \
	}
#define FLAG(name, field) NUMBER(name, field, 0, 1, 0)
#define WORD(name, field)                                          \
	{                                                          \
		name, offsetof(struct fault, field),               \
		    sizeof(((struct fault *)NULL)->field), 0, 0, 0 \
	}

static const struct row {
	const char *name;
	size_t offset, size; /* 'size' is 0 for numbers */
	int64_t min, max, initial;
} rows[] = {
	NUMBER("delay-head", delay_head, 0, MS_MAX, -1),
	NUMBER("delay-body", delay_body, 0, MS_MAX, -1),
	NUMBER("rate", rate, 1, 1000000, -1),
	NUMBER("words", words, 0, COUNT_MAX, -1),
	NUMBER("burst", burst, 1, 100000, -1),
	NUMBER("pause", pause, 0, MS_MAX, -1),
	NUMBER("stall-after", stall_after, 0, COUNT_MAX, -1),
	NUMBER("reset-after", reset_after, 0, COUNT_MAX, -1),
	NUMBER("close-after", close_after, 0, COUNT_MAX, -1),
	NUMBER("end-after", end_after, 0, COUNT_MAX, -1),
	NUMBER("error-after", error_after, 0, COUNT_MAX, -1),
	NUMBER("status", status, 200, 599, -1),
	NUMBER("huge", huge, 1, BYTES_MAX, -1),
	NUMBER("line", line, 1, BYTES_MAX, -1),
	NUMBER("headers", headers, 0, 10000, -1),
	NUMBER("slow-body", slow_body, 1, 100000, -1),
	NUMBER("early", early, 0, 2, -1),
	FLAG("truncate", truncate),
	FLAG("bad-json", bad_json),
	FLAG("split-utf8", split_utf8),
	FLAG("crlf", crlf),
	FLAG("null-usage", null_usage),
	FLAG("no-usage", no_usage),
	FLAG("continuous", continuous),
	FLAG("redirect", redirect),
	FLAG("set-cookie", set_cookie),
	FLAG("no-length", no_length),
	FLAG("comment", comment),
	FLAG("die-on-reuse", die_on_reuse),
	FLAG("close-idle", close_idle),
	FLAG("stamp", stamp),
	WORD("type", type),
	WORD("retry-after", retry_after),
	WORD("error-body", error_body),
};

#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

void
fault_init(struct fault *fault)
{
	size_t i;

	memset(fault, 0, sizeof(*fault));
	for (i = 0; i < N_ROWS; i++)
		if (rows[i].size == 0)
			*(int64_t *)(void *)((char *)fault + rows[i].offset) =
			    rows[i].initial;
}

static const struct row *
row_find(const char *name, size_t n)
{
	size_t i;

	for (i = 0; i < N_ROWS; i++)
		if (strlen(rows[i].name) == n &&
		    memcmp(rows[i].name, name, n) == 0)
			return &rows[i];
	return NULL;
}

/* No control characters: words end up in answer headers. */
static int
word_set(char *dst, size_t size, const char *value, size_t n)
{
	size_t i;

	if (n == 0 || n >= size)
		return -1;
	for (i = 0; i < n; i++)
		if (iscntrl((unsigned char)value[i]))
			return -1;
	memcpy(dst, value, n);
	dst[n] = '\0';
	return 0;
}

/* One "name=value" or "name". */
static int
item_set(struct fault *fault, const char *item, size_t n)
{
	const char *equals = memchr(item, '=', n);
	size_t name_len = equals == NULL ? n : (size_t)(equals - item);
	const char *value = equals == NULL ? "1" : equals + 1;
	size_t value_len = equals == NULL ? 1 : n - name_len - 1;
	const struct row *row = row_find(item, name_len);
	char *field;

	if (row == NULL)
		return -1;
	field = (char *)fault + row->offset;
	if (row->size != 0)
		return word_set(field, row->size, value, value_len);
	return text_n_to_i64(
	    value, value_len, row->min, row->max, (int64_t *)(void *)field);
}

int
fault_parse(
    struct fault *fault, const char *spec, size_t n, char *why, size_t size)
{
	const char *end = spec + n, *item, *comma;
	size_t len;

	for (item = spec; item < end; item = comma + 1) {
		comma = memchr(item, ',', (size_t)(end - item));
		if (comma == NULL)
			comma = end;
		len = (size_t)(comma - item);
		for (; len > 0 && *item == ' '; len--)
			item++;
		while (len > 0 && item[len - 1] == ' ')
			len--;
		if (len > 0 && item_set(fault, item, len) == -1) {
			(void)snprintf(why, size,
			    "stand-in: no such fault or value: '%.*s'",
			    (int)(len > 80 ? 80 : len), item);
			return -1;
		}
	}
	return 0;
}
