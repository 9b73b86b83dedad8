/* What is erased is not to stay in shared memory, either. */
#include "limits_internal.h"

static int
forget_window(
    struct limits_header *header, enum limits_table table, uint64_t who)
{
	uint32_t lock = limits_table_lock(table, who);

	if (limits_shm_lock(header, lock) == -1)
		return -1;
	limits_table_forget(header, table, who);
	limits_shm_unlock(header, lock);
	return 0;
}

static int
forget_budget(struct limits_header *header, uint64_t who)
{
	uint32_t lock = limits_lease_lock(who);

	if (limits_shm_lock(header, lock) == -1)
		return -1;
	limits_budget_drop(header, who);
	limits_shm_unlock(header, lock);
	return 0;
}

int
limits_forget(const char *run_dir, uint64_t who, int windows)
{
	struct limits_map map = { 0 };
	int found = limits_file_find(run_dir, &map), bad;

	if (found != 1)
		return found;
	bad = forget_budget(map.header, who);
	if (windows) {
		bad |= forget_window(map.header, LIMITS_KEY_REQUESTS, who);
		bad |= forget_window(map.header, LIMITS_KEY_TOKENS, who);
	}
	limits_file_close(&map);
	return bad;
}
