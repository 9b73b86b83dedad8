/* job.h - a request of libfcgi's, from being accepted until it is over. */
#ifndef PMPROXY_JOB_H
#define PMPROXY_JOB_H

#include <fcgiapp.h>

#include "gate.h"

struct job {
	FCGX_Request fcgx;
	struct http http;
	struct call call;
	int fd; /* of its connection */
	struct job *next, **from; /* workers.c: of the streams, or the ended */
};

/* To be used for one request after the other. NULL after logging. */
struct job *job_new(void);
void job_free(struct job *); /* closes its connection */

/* Waits for a request on standard input; 0, or libfcgi's error. */
int job_accept(struct job *);

/* After http_end. */
void job_close(struct job *);

/*
 * After an accept that failed. A thread that ended here would be missing for
 * good, and in silence: a shortage passes, and without a socket the process
 * ends, so that lighttpd starts another.
 */
void job_wait_out(int error);

#endif
