/* lib/upstream: which of the kept connections is taken, and what has none. */
#include <check.h>
#include <string.h>

#include "lib/upstream.h"
#include "tests/unit/suite.h"

/* Nobody is asked. */
#define URL "http://127.0.0.1:1"

START_TEST(the_warmest_is_taken_first)
{
	struct upstream_pool *pool = upstream_pool_new(URL, 2);
	struct upstream *a = upstream_pool_take(pool);
	struct upstream *b = upstream_pool_take(pool);
	struct upstream *c = upstream_pool_take(pool);

	ck_assert(a != b && b != c && a != c);
	upstream_pool_give(pool, a);
	upstream_pool_give(pool, b);
	upstream_pool_give(pool, c); /* one too many: freed */
	ck_assert_ptr_eq(upstream_pool_take(pool), b);
	ck_assert_ptr_eq(upstream_pool_take(pool), a);
	upstream_pool_give(pool, a);
	upstream_pool_give(pool, b);
	upstream_pool_give(pool, NULL);
	upstream_pool_free(pool);
	upstream_pool_free(NULL);
}
END_TEST

START_TEST(a_url_has_a_bound)
{
	char url[700];

	memset(url, 'a', sizeof(url));
	memcpy(url, "http://", 7);
	url[sizeof(url) - 1] = '\0';
	ck_assert_ptr_null(upstream_new(url));
}
END_TEST

static TCase *
cases(void)
{
	TCase *t = tcase_create("pool");

	tcase_add_test(t, the_warmest_is_taken_first);
	tcase_add_test(t, a_url_has_a_bound);
	return t;
}

int
main(void)
{
	return suite_run("upstream_pool", cases(), NULL);
}
