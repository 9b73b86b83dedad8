/*
 * Looked-up names, one table of libcurl's for all threads. Each would have one
 * of its own otherwise, of 2.5 KiB, for as long as its stream is open.
 */
#include <pthread.h>

#include "log.h"
#include "upstream_internal.h"

static pthread_mutex_t locks[CURL_LOCK_DATA_LAST];
static CURLSH *names;

/* The locks are of the default kind: these two cannot fail. */
static void
take_lock(CURL *easy, curl_lock_data data, curl_lock_access how, void *arg)
{
	(void)easy;
	(void)how;
	(void)arg;
	(void)pthread_mutex_lock(&locks[data]);
}

static void
drop_lock(CURL *easy, curl_lock_data data, void *arg)
{
	(void)easy;
	(void)arg;
	(void)pthread_mutex_unlock(&locks[data]);
}

static void
make_names(void)
{
	CURLSH *s = curl_share_init();

	for (int i = 0; i < CURL_LOCK_DATA_LAST; i++)
		(void)pthread_mutex_init(&locks[i], NULL); /* glibc: always 0 */
	if (s != NULL &&
	    curl_share_setopt(s, CURLSHOPT_LOCKFUNC, take_lock) == CURLSHE_OK &&
	    curl_share_setopt(s, CURLSHOPT_UNLOCKFUNC, drop_lock) ==
		CURLSHE_OK &&
	    curl_share_setopt(s, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS) ==
		CURLSHE_OK)
		names = s;
	else
		log_warnx("libcurl keeps names for each thread");
}

CURLSH *
upstream_names(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	return pthread_once(&once, make_names) == 0 ? names : NULL;
}
