/*
 * monotonic.h - spans of time on this host, whatever becomes of its date.
 */
#ifndef PMPROXY_MONOTONIC_H
#define PMPROXY_MONOTONIC_H

#include <stdint.h>

/* Milliseconds since some moment (CLOCK_MONOTONIC); it never goes back. */
int64_t monotonic_ms(void);

#endif
