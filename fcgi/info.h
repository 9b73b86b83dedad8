/* info.h - what the files that answer with JSON of the gate's own share. */
#ifndef PMPROXY_FCGI_INFO_H
#define PMPROXY_FCGI_INFO_H

#include "gate.h"

struct json_object;

/*
 * Each adds a member to an object and owns the value; without memory the whole
 * object becomes NULL in the end. A limit or a time of 0 is null.
 */
void info_add(struct json_object **, const char *name, struct json_object *);
void info_add_text(struct json_object **, const char *name, const char *);
void info_add_number(struct json_object **, const char *name, int64_t);
void info_add_limit(struct json_object **, const char *name, int64_t);
void info_add_time(struct json_object **, const char *name, int64_t unix_s);

/* What the key may do. */
struct json_object *info_limits(const struct call *);

/* The key's use this month and its sum; NULL when it cannot be read. */
struct json_object *info_month(struct call *, struct usage_total *sum);

/*
 * Adds what the key's budget is, and what a month's use leaves of it; 0, or -1
 * when the use of those it shares the budget with cannot be read.
 */
int info_budget(
    struct json_object **, struct call *, const struct usage_total *month);

#endif
