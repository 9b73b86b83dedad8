/* Erasing what a key used: what was written down first, then the counts. */
#include "cli/erase.h"

#include "lib/costs.h"
#include "lib/limits.h"
#include "lib/metrics.h"
#include "lib/secret.h"

int64_t
erase_use(const struct config *config, const struct key *key, int gone)
{
	const char *state_dir = config_text(config, CONFIG_STATE_DIR);
	const char *run_dir = config_text(config, CONFIG_RUN_DIR);
	/* Another of its family goes on with their windows. */
	int windows = gone && key->family[0] == '\0', bad;
	int64_t erased = costs_erase(state_dir, key->id);
	unsigned char secret[SECRET_DIGEST_LEN];

	/* The rest in any case: a repetition may not know the family. */
	bad = metrics_forget(run_dir, key->id);
	if (secret_installation(state_dir, secret) == -1)
		return -1;
	bad |= limits_forget(run_dir, key_who(key, secret), windows);
	secret_wipe(secret, sizeof(secret));
	return bad ? -1 : erased;
}
