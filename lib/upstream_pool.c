/* A stack of idle upstreams: last in, first out keeps connections warm. */
#include <pthread.h>
#include <stdlib.h>

#include "log.h"
#include "upstream.h"

struct upstream_pool {
	pthread_mutex_t lock; /* around the stack; held for no I/O */
	const char *url;
	size_t keep, n;
	struct upstream *idle[];
};

struct upstream_pool *
upstream_pool_new(const char *url, size_t keep)
{
	/* NOLINTNEXTLINE(bugprone-sizeof-expression): pointers are meant */
	const size_t each = sizeof(struct upstream *);
	struct upstream_pool *p = calloc(1, sizeof(*p) + keep * each);

	if (p == NULL || pthread_mutex_init(&p->lock, NULL) != 0) {
		log_warn("cannot keep connections to the upstream");
		free(p);
		return NULL;
	}
	p->url = url;
	p->keep = keep;
	return p;
}

void
upstream_pool_free(struct upstream_pool *p)
{
	if (p == NULL)
		return;
	while (p->n > 0)
		upstream_free(p->idle[--p->n]);
	(void)pthread_mutex_destroy(&p->lock); /* nobody holds it */
	free(p);
}

struct upstream *
upstream_pool_take(struct upstream_pool *p)
{
	struct upstream *u = NULL;

	(void)pthread_mutex_lock(&p->lock); /* default kind: cannot fail */
	if (p->n > 0)
		u = p->idle[--p->n];
	(void)pthread_mutex_unlock(&p->lock);
	return u != NULL ? u : upstream_new(p->url);
}

void
upstream_pool_give(struct upstream_pool *p, struct upstream *u)
{
	(void)pthread_mutex_lock(&p->lock); /* default kind: cannot fail */
	if (u != NULL && p->n < p->keep) {
		p->idle[p->n++] = u;
		u = NULL;
	}
	(void)pthread_mutex_unlock(&p->lock);
	upstream_free(u);
}
