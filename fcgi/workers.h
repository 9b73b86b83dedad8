/*
 * workers.h - the threads of a responder, that take requests off the listening
 * socket (standard input) and serve them.
 */
#ifndef PMPROXY_WORKERS_H
#define PMPROXY_WORKERS_H

#include <stdint.h>

struct call;
struct gate;

/*
 * Starts as many threads as are needed, up to 'threads'; ends the process,
 * after logging, when it cannot start even the first.
 * 'shared_socket' says that other processes listen on it as well, and go on
 * to when this one ends. Once in a process.
 */
void workers_start(struct gate *, uint32_t threads, int shared_socket);

/*
 * A stream has come to its end: one of the threads is to see to the rest, with
 * serve_rest. Thread-safe.
 */
void workers_take_back(struct call *);

/*
 * Takes no more requests, and waits for those under way: some seconds, then
 * they are broken off, what was used is written down, and their clients are
 * told as far as that is possible.
 */
void workers_drain(void);

#endif
