#include "monotonic.h"

#include <stdlib.h>
#include <time.h>

int64_t
monotonic_ms(void)
{
	struct timespec t;

	if (clock_gettime(CLOCK_MONOTONIC, &t) == -1)
		abort(); /* only a wrong clock id makes it fail */
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}
