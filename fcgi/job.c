/* libfcgi's side of a request: memory, accepting, closing. */
#include "job.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "lib/log.h"

struct job *
job_new(void)
{
	struct job *j = calloc(1, sizeof(*j));

	if (j == NULL) {
		log_warn("no memory for a request");
	} else if (FCGX_InitRequest(
		       &j->fcgx, STDIN_FILENO, FCGI_FAIL_ACCEPT_ON_INTR) != 0) {
		log_warnx("libfcgi cannot prepare a request");
		free(j);
		j = NULL;
	}
	return j;
}

void
job_free(struct job *j)
{
	if (j != NULL)
		FCGX_Free(&j->fcgx, 1);
	free(j);
}

int
job_accept(struct job *j)
{
	int error = FCGX_Accept_r(&j->fcgx);

	if (error == 0) {
		http_from_fcgx(&j->http, &j->fcgx);
		j->fd = http_watch_fd(&j->http);
	}
	return error;
}

void
job_close(struct job *j)
{
	/* The request was read whole: no need to wait for its end. */
	FCGX_Detach(&j->fcgx);
	FCGX_Finish_r(&j->fcgx);
}

void
job_wait_out(int error)
{
	static const struct timespec pause = { .tv_nsec = 100000000 };
	static _Atomic int64_t logged_at;
	int64_t now = limits_now() / 1000, last = atomic_load(&logged_at);

	errno = error < 0 ? -error : EIO;
	if (errno == EBADF || errno == EINVAL || errno == ENOTSOCK) {
		log_warn("cannot take requests: no listening socket");
		_exit(1);
	}
	if (last != now &&
	    atomic_compare_exchange_strong(&logged_at, &last, now))
		log_warn("cannot take requests");
	(void)nanosleep(&pause, NULL); /* cut short it is as good */
}
