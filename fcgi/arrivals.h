/*
 * arrivals.h - the thread that takes requests off the listening socket
 * (standard input). Those that are there whole it serves by itself, and their
 * exchanges run beside each other on its loop; whatever may have to be waited
 * for it gives to the workers.
 */
#ifndef PMPROXY_ARRIVALS_H
#define PMPROXY_ARRIVALS_H

struct call;
struct gate;

/*
 * Makes the gate's loop for short exchanges, and begins. Ends the process,
 * after logging, when it cannot. Once in a process. 'shared' says that other
 * processes listen on the socket as well, and go on to when this one ends.
 */
void arrivals_start(struct gate *, int shared);

/* On its thread: the exchange is over, and the rest takes no wait. */
void arrivals_end(struct call *);

/*
 * No more are taken off the socket, once those that wait there are. One that is
 * shared is left as it is.
 */
void arrivals_stop(void);

#endif
