/*
 * call.h - one exchange: a request that has come, and the sending of its
 * answer at the pace and with the faults that were asked for.
 */
#ifndef STANDIN_CALL_H
#define STANDIN_CALL_H

#include "answer.h"

struct conn;

/* How it breaks off, after so many events or (whole answers) bytes. */
enum call_cut {
	CUT_NOT,
	CUT_STALL,
	CUT_RESET,
	CUT_CLOSE,
	CUT_END,
	CUT_ERROR,
	CUT_TRUNCATE
};

struct call {
	struct record *record;
	struct answer answer;
	/* private */
	enum {
		CALL_HEAD,
		CALL_BODY,
		CALL_DONE
	} phase;
	enum call_cut cut;
	int64_t cut_at;
	int chunked, close, reset_soon;
	struct buf block; /* events about to be sent; 'sent' of it are */
	size_t sent;
	int64_t events, due_us;
	int turns;
};

/* A request's head has come. 0, or -1 out of memory. */
int call_begin(struct call *, const struct conn *, struct view head,
    const struct http_head *);

/* Its body has come, whole: make the answer and begin to send it. */
void call_answer(struct conn *);

/*
 * 1 when it asks for an answer ahead of its body, which has come in part;
 * call_answer_early then gives it.
 */
int call_wants_early(struct call *, struct view body);
void call_answer_early(struct conn *);

/* It is no request that can be read: an error, and the end. */
void call_refuse(struct conn *, int status, const char *message);

/* The connection's timer fired. */
void call_timer(struct conn *);

/* For send.c: the answer is dealt with. */
void call_end(struct conn *, enum report_state);

/* The connection goes; what is open now is aborted by the client. */
void call_abort(struct conn *);

/* send.c: before the first step, and on until it must wait. */
void send_begin(struct call *);
void send_run(struct conn *);

#endif
