/*
 * meter_internal.h - between the files of meter.c alone: what a document that
 * was skimmed into the meter's members says.
 */
#ifndef PMPROXY_METER_INTERNAL_H
#define PMPROXY_METER_INTERNAL_H

#include "meter.h"

/* --- meter_document.c --- */

/* Sets the skim up for the first document; json_skim_again for the next. */
void meter_init_document(struct meter *);

/* 1 once the document is complete. */
int meter_has_document(const struct meter *);

/* Takes over its usage and its model. */
void meter_read_document(struct meter *);

/* 1 when it is an error, or of this type ("message_stop"). */
int meter_is_error(const struct meter *);
int meter_is_type(const struct meter *, const char *type);

/* Can the document, as far as it is known, hold nothing but usage? */
int meter_may_be_usage_only(const struct meter *);
/* Does it, now that it is whole? */
int meter_is_usage_only(const struct meter *);

/* --- meter_glance.c --- */

/*
 * How many of the 'n' bytes are the rest of an event, of which this line is
 * its one line of data, or its name and the next is, when it is whole and
 * certain to be neither the last nor to change anything but the count of
 * events; else 0. No line before may be data or "event: message_stop".
 */
size_t meter_glance(const struct meter *, const char *line, size_t n);

#endif
