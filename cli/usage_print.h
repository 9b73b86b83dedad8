/*
 * usage_print.h - totals of a view, written to standard output as a JSON
 * object, a CSV record, or a table for people.
 */
#ifndef PMPROXY_CLI_USAGE_PRINT_H
#define PMPROXY_CLI_USAGE_PRINT_H

#include <stddef.h>

#include "cli/usage_view.h"

struct json_object;

/*
 * The object that scripts read: the view's columns by name, then the numbers.
 * To be given back with json_object_put; NULL when memory is out.
 */
struct json_object *
usage_print_object(const struct usage_view *, const struct usage_total *);

/* RFC 4180; a text that a spreadsheet would take for a formula is quoted. */
void usage_print_csv_head(const struct usage_view *);
void usage_print_csv(const struct usage_view *, const struct usage_total *);

/* OpenMetrics: a family for each number, a sample for each row. */
void usage_print_openmetrics(
    const struct usage_view *, const struct usage_total *, size_t n);

/* Aligned columns, a line a row, and a line of totals. */
void usage_print_table(const struct usage_view *, const struct usage_total *,
    size_t n, const struct usage_total *sum);

#endif
