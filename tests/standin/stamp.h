/*
 * stamp.h - events that say when they were made (the fault "stamp"). They
 * differ in their stamp alone, so that the rest is made once a stream: a load
 * has thousands of these, and building JSON would take its time from what is
 * to be measured.
 */
#ifndef STANDIN_STAMP_H
#define STANDIN_STAMP_H

#include <stdint.h>

#include "lib/buf.h"

#define STAMP_SIZE 48

struct stamp {
	char text[STAMP_SIZE]; /* "@NUMBER:MICROSECONDS;" */
	struct buf shell; /* an event without its stamp, once one was seen */
	size_t at; /* where it goes */
};

/* stamp_free is safe on a zeroed one. */
void stamp_free(struct stamp *);

/* 'text' becomes event number 'i's, of now. */
void stamp_now(struct stamp *, int64_t i);

/* Those that follow are like this event, which has 'text' in it. */
void stamp_learn(struct stamp *, const char *event, size_t n);

/* Appends such an event, of now; 0 when none was learnt. */
int stamp_event(struct stamp *, int64_t i, struct buf *out);

#endif
