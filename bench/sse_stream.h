/*
 * sse_stream.h - reads one answer of the stand-in that is a stream of stamped
 * events (its fault "stamp"): the head, chunked coding or none, and the
 * events. Fed in any pieces; it keeps no more than its place.
 */
#ifndef BENCH_SSE_STREAM_H
#define BENCH_SSE_STREAM_H

#include <stddef.h>
#include <stdint.h>

struct sse_line {
	size_t len;
	char text[64]; /* its beginning */
};

struct sse_stream {
	int status; /* of the answer; 0 until its first line has come */
	int64_t events; /* with a stamp */
	int64_t lost; /* numbers that were left out, or came out of turn */
	int64_t merged; /* stamps in an event that had one already */
	int done; /* "data: [DONE]" was there */
	int ended; /* the last chunk was */
	int broken; /* what came is no HTTP */

	/* Private. */
	int place, chunked;
	struct sse_line http, event; /* an event's may go over chunks */
	int64_t chunk_left;
	int stamp, stamps_here;
	int64_t number, at_us, next;
};

/* Told of each stamp: microseconds of CLOCK_MONOTONIC. */
typedef void (*sse_stamp)(void *whose, int64_t at_us);

/* Begins as all zero. What follows after 'ended' or 'broken' is ignored. */
void sse_stream_feed(
    struct sse_stream *, const char *, size_t n, sse_stamp told, void *whose);

#endif
