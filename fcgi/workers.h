/*
 * workers.h - threads for what may have to be waited for: bodies that are still
 * on their way, large ones, disks, clients that read slowly.
 */
#ifndef PMPROXY_WORKERS_H
#define PMPROXY_WORKERS_H

#include <stdint.h>

struct gate;
struct job;

/* Up to so many threads, which begin when they are needed. Once in a process. */
void workers_start(struct gate *, uint32_t threads);

/* What its stage says, and all that follows, is up to a worker. Thread-safe. */
void workers_give(struct job *);

#endif
