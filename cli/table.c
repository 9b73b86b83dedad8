/* A table for people. */
#include "cli/table.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
table_add(struct table *t, const char *text)
{
	if (t->n == t->room) {
		size_t room = t->room * 2 + 64;
		char **cells = reallocarray(t->cells, room, sizeof(*cells));

		if (cells == NULL) {
			t->failed = 1;
			return;
		}
		t->cells = cells;
		t->room = room;
	}
	if ((t->cells[t->n] = strdup(text)) == NULL)
		t->failed = 1;
	else
		t->n++;
}

/* How many characters: bytes that do not continue another. */
static size_t
width_of(const char *text)
{
	size_t n = 0;

	for (; *text != '\0'; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

static const char *
head_of(const struct table *t, size_t column)
{
	return t->heads[column] + (t->heads[column][0] == '>');
}

static void
print_cell(const struct table *t, size_t column, const char *text, size_t width)
{
	int pad = (int)(width - width_of(text));
	int last = column + 1 == t->n_columns;

	if (t->heads[column][0] == '>')
		printf("%*s%s", pad, "", text);
	else
		printf("%s%*s", text, last ? 0 : pad, "");
	fputs(last ? "\n" : "  ", stdout);
}

int
table_print(struct table *t)
{
	size_t width[TABLE_COLUMNS_MAX];
	int bad = t->failed;

	assert(t->n_columns > 0 && t->n_columns <= TABLE_COLUMNS_MAX);
	for (size_t i = 0; i < t->n_columns; i++)
		width[i] = width_of(head_of(t, i));
	for (size_t i = 0; i < t->n; i++)
		if (width_of(t->cells[i]) > width[i % t->n_columns])
			width[i % t->n_columns] = width_of(t->cells[i]);
	for (size_t i = 0; i < t->n_columns && !bad; i++)
		print_cell(t, i, head_of(t, i), width[i]);
	for (size_t i = 0; i < t->n; i++) {
		size_t column = i % t->n_columns;

		if (!bad)
			print_cell(t, column, t->cells[i], width[column]);
		free(t->cells[i]);
	}
	free(t->cells);
	t->cells = NULL;
	t->n = t->room = 0;
	return bad ? -1 : 0;
}
