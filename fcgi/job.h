/* job.h - a request of libfcgi's, from its connection's begin to its end. */
#ifndef PMPROXY_JOB_H
#define PMPROXY_JOB_H

#include <fcgiapp.h>

#include "gate.h"

/* What is to be done with it next. */
enum job_stage {
	JOB_ARRIVING, /* it is to be read */
	JOB_READ, /* it is to be served */
	JOB_LEFT, /* to be served on, from where that would have had to wait */
	JOB_ENDED /* its exchange is over, the rest is to be seen to */
};

struct job {
	FCGX_Request fcgx;
	struct http http;
	struct call call;
	enum job_stage stage;
	int fd; /* of its connection */
	struct upstream_watched watched; /* by arrivals.c */
	struct job *next, **from; /* of all under way */
	struct job *behind; /* workers.c: it in a queue */
};

struct job *job_of(struct call *);

/*
 * Takes a connection off standard input, if one waits there. NULL with errno
 * when none does (EAGAIN), or for a failure. job_close ends it. Thread-safe.
 */
struct job *job_accept(void);

/*
 * Looks what is there of it, and takes nothing. A request that is whole
 * (FastCGI 1.0, 3.3) can be read and served without a wait. Not thread-safe:
 * for the one thread that looks (arrivals.c).
 */
enum job_look {
	JOB_SILENT, /* nothing yet */
	JOB_PARTIAL,
	JOB_WHOLE,
	JOB_GONE /* and nothing will come */
};
enum job_look job_look(const struct job *);

/*
 * Reads the request, all but its body; it may wait for that unless 'whole' says
 * that it was looked at. 0, or -1 when there is none, and job_close is due.
 */
int job_read(struct job *, int whole);

/* Answers what is not answered yet, and closes the connection. */
void job_close(struct job *);

/*
 * Once no more are taken: waits for those under way, some seconds, then they
 * are broken off as if their clients had left, but for the way back.
 */
void jobs_drain(void);

#endif
