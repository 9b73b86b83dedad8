/*
 * table.h - a table for people, its columns as wide as what is in them. Cells
 * are UTF-8; a column of numbers is aligned to the right.
 */
#ifndef PMPROXY_CLI_TABLE_H
#define PMPROXY_CLI_TABLE_H

#include <stddef.h>

#define TABLE_COLUMNS_MAX 12

struct table {
	const char *const *heads; /* a head that begins with '>' is numbers' */
	size_t n_columns;
	/* private */
	char **cells;
	size_t n, room;
	int failed;
};

/* struct table t = TABLE(heads); borrows an array of heads. */
#define TABLE(heads)                                                       \
	{                                                                  \
		(heads), sizeof(heads) / sizeof((heads)[0]), NULL, 0, 0, 0 \
	}

/* The next cell, row by row; copied. */
void table_add(struct table *, const char *);

/* Prints it and frees the cells; 0, or -1 when a cell found no memory. */
int table_print(struct table *);

#endif
