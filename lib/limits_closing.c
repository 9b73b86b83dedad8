/* A word that programs outside leave for all responders. */
#include "limits_internal.h"

/* Whatever stands there, it ends by itself. */
#define CLOSING_MAX_MS INT64_C(60000)

int
limits_closing_set(const char *run_dir, int64_t until_ms)
{
	struct limits_map map = { 0 };
	int found = limits_file_find(run_dir, &map);

	if (found == 1) {
		atomic_store(&map.header->closing_ms, until_ms);
		limits_file_close(&map);
	}
	return found;
}

int
limits_closing(struct limits *limits, int64_t now_ms)
{
	int64_t until_ms = 0;

	if (limits_shm_enter(limits) == 0)
		until_ms = atomic_load(&limits->map.header->closing_ms);
	limits_shm_end(limits);
	return until_ms > now_ms && until_ms <= now_ms + CLOSING_MAX_MS;
}
