/*
 * see-addresses - makes the limiter of a gate count one request each from so
 * many addresses, as if they had been there.
 */
#include <err.h>
#include <stdio.h>

#include "lib/limits.h"
#include "lib/log.h"
#include "lib/secret.h"
#include "lib/text.h"

#define WINDOW_MS 60000

int
main(int argc, char *argv[])
{
	struct limits *limits;
	struct limits_window w;
	int64_t n, i, refused = 0;

	log_init("see-addresses");
	if (argc != 3 || text_to_i64(argv[2], 0, 100000000, &n) == -1)
		errx(2, "usage: see-addresses RUN_DIR N");
	if ((limits = limits_open(argv[1], 1)) == NULL)
		errx(1, "no limiter in '%s'", argv[1]);
	for (i = 0; i < n; i++) {
		w = (struct limits_window){ .table = LIMITS_ADDRESS,
			.limit = 1000000,
			.window_ms = WINDOW_MS,
			.cost = 1 };
		secret_random(&w.who, sizeof(w.who));
		if (limits_take(limits, &w, 1, 0, 0, NULL, limits_now()) !=
		    LIMITS_ADMITTED)
			refused++;
	}
	limits_close(limits);
	if (printf("%lld seen, %lld refused\n", (long long)n,
		(long long)refused) < 0)
		err(1, "cannot print");
	return 0;
}
