/* Erasing a key, what it used, and who did what to it. */
#include "key_erase.h"

#include "lib/costs.h"
#include "lib/limits.h"
#include "lib/metrics.h"
#include "lib/secret.h"

/* What a gate that runs knows of it. */
static int
forget_counts(const struct admin *a, const struct key *key)
{
	const char *run_dir = config_text(a->config, CONFIG_RUN_DIR);
	unsigned char secret[SECRET_DIGEST_LEN];
	int bad = metrics_forget(run_dir, key->id);

	if (secret_installation(a->state_dir, secret) == -1)
		return -1;
	/* Another of its family goes on with their windows. */
	bad |= limits_forget(
	    run_dir, key_who(key, secret), key->family[0] == '\0');
	secret_wipe(secret, sizeof(secret));
	return bad;
}

/* The key first, so that nothing more is written under its name. */
int
key_erase(const struct admin *a, const struct key *key)
{
	int bad;

	if (keys_erase(a->state_dir, key->id) != KEYS_OK)
		return -1;
	bad = costs_erase(a->state_dir, key->id) == -1;
	bad |= forget_counts(a, key);
	bad |= audit_forget(a->state_dir, key->id);
	return bad ? -1 : 0;
}
