/* Requests under way, and libfcgi's side of them. */
#include "job.h"

#include <errno.h>
#include <fastcgi.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/log.h"

/* Of those that are over, so many wait for the next; a few KiB each. */
#define IDLE_MOST 64
/* A request that is asked for at once, and a short body (lighttpd.conf). */
#define LOOK_BYTES 16384
/* After SIGTERM, for requests under way ... */
#define DRAIN_SECONDS 10
/* ... and then for telling the clients of the others, and for the journal. */
#define FAREWELL_SECONDS 3

/* All of it is guarded by the lock, which is held for nothing that waits. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t none_left = PTHREAD_COND_INITIALIZER;
static struct job *under_way, *idle;
static unsigned n_idle;

static void
take_lock(void)
{
	(void)pthread_mutex_lock(&lock); /* of the default kind: it */
}

static void
drop_lock(void)
{
	(void)pthread_mutex_unlock(&lock); /* cannot fail */
}

struct job *
job_of(struct call *c)
{
	return (struct job *)(void *)((char *)c - offsetof(struct job, call));
}

/* --- Their memory. --- */

static void
free_job(struct job *j)
{
	if (j != NULL)
		FCGX_Free(&j->fcgx, 1);
	free(j);
}

/* libfcgi accepts no connection by itself: -1 is no socket. */
static struct job *
new_job(void)
{
	struct job *j = calloc(1, sizeof(*j));

	if (j != NULL && FCGX_InitRequest(&j->fcgx, -1, 0) != 0) {
		free(j);
		j = NULL;
		errno = ENOMEM;
	}
	return j;
}

/* With the lock. */
static struct job *
take_idle(void)
{
	struct job *j = idle;

	if (j == NULL)
		return new_job();
	idle = j->next;
	n_idle--;
	return j;
}

/* With the lock; the last that was used is the next. */
static struct job *
give_idle(struct job *j)
{
	if (n_idle == IDLE_MOST)
		return j;
	j->next = idle;
	idle = j;
	n_idle++;
	return NULL;
}

/* --- The life of one. --- */

struct job *
job_accept(void)
{
	struct job *j, *surplus = NULL;
	int error;

	take_lock();
	if ((j = take_idle()) == NULL) {
		drop_lock();
		return NULL;
	}
	j->fd = accept4(STDIN_FILENO, NULL, NULL, SOCK_CLOEXEC);
	error = errno;
	if (j->fd == -1) {
		surplus = give_idle(j);
		j = NULL;
	} else {
		j->stage = JOB_ARRIVING;
		j->next = under_way;
		j->from = &under_way;
		if (j->next != NULL)
			j->next->from = &j->next;
		under_way = j;
	}
	drop_lock();
	free_job(surplus);
	errno = error;
	return j;
}

/* 1 when the records up to the one that ends a body are all there. */
static int
is_whole(const unsigned char *p, size_t n)
{
	while (n >= FCGI_HEADER_LEN && p[0] == FCGI_VERSION_1) {
		size_t content = (size_t)p[4] << 8 | p[5];
		size_t record = FCGI_HEADER_LEN + content + p[6];

		if (p[1] == FCGI_STDIN && content == 0)
			return 1;
		if (record > n)
			return 0;
		p += record;
		n -= record;
	}
	return 0;
}

enum job_look
job_look(const struct job *j)
{
	/* Of one thread; what is on a stack is wiped after each request. */
	static unsigned char bytes[LOOK_BYTES];
	ssize_t n = recv(j->fd, bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT);
	enum job_look look = JOB_GONE;

	if (n > 0)
		look = is_whole(bytes, (size_t)n) ? JOB_WHOLE : JOB_PARTIAL;
	else if (n == -1 && (errno == EAGAIN || errno == EINTR))
		look = JOB_SILENT;
	if (n > 0)
		explicit_bzero(bytes, (size_t)n);
	return look;
}

int
job_read(struct job *j, int whole)
{
	/* So libfcgi takes it for a connection that was kept. */
	j->fcgx.ipcFd = j->fd;
	j->fcgx.keepConnection = 1;
	j->stage = JOB_READ;
	if (FCGX_Accept_r(&j->fcgx) != 0)
		return -1;
	j->fcgx.keepConnection = 0; /* nobody would wait for its next request */
	http_from_fcgx(&j->http, &j->fcgx, whole);
	return 0;
}

void
job_close(struct job *j)
{
	int was_read = j->stage != JOB_ARRIVING && j->fcgx.ipcFd != -1;

	if (was_read)
		http_end(&j->http);
	take_lock();
	*j->from = j->next; /* before it is closed */
	if (j->next != NULL)
		j->next->from = j->from;
	drop_lock();
	if (was_read) {
		/* The request was read whole: no need to wait for its end. */
		FCGX_Detach(&j->fcgx);
		FCGX_Finish_r(&j->fcgx);
	} else if (j->stage == JOB_ARRIVING) {
		(void)close(j->fd); /* nothing of it is wanted */
	}
	take_lock();
	j = give_idle(j);
	if (under_way == NULL)
		(void)pthread_cond_signal(&none_left); /* cannot fail */
	drop_lock();
	free_job(j);
}

/* --- The end of all. --- */

/* With the lock; 0 once none is left. */
static int
wait_for_all(time_t seconds)
{
	struct timespec until;
	int result = 0;

	if (clock_gettime(CLOCK_REALTIME, &until) == -1)
		return -1;
	until.tv_sec += seconds;
	while (under_way != NULL && result == 0)
		result = pthread_cond_timedwait(&none_left, &lock, &until);
	return under_way == NULL ? 0 : -1;
}

void
jobs_drain(void)
{
	take_lock();
	if (wait_for_all(DRAIN_SECONDS) == -1) {
		log_info("requests under way are broken off");
		/* They take an error event; what was used is written down. */
		for (struct job *j = under_way; j != NULL; j = j->next)
			(void)shutdown(j->fd, SHUT_RD);
		(void)wait_for_all(FAREWELL_SECONDS);
	}
	drop_lock();
}
