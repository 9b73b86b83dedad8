/* The stores of STATE_DIR: whether they can be read, and what seals them. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "lib/db.h"
#include "lib/keys.h"
#include "lib/prices.h"
#include "lib/seal.h"
#include "lib/settings.h"
#include "lib/text.h"

static int
count_key(const struct key *key, const unsigned char hash[32], void *n)
{
	(void)key;
	(void)hash;
	++*(int *)n;
	return 0;
}

/* 1 when what is in it means something, 0 not. The log has said why. */
static int
reads_well(const struct doctor *d, const char *store)
{
	const char *state_dir = config_text(d->config, CONFIG_STATE_DIR);
	struct settings_values values;
	struct settings *settings;
	struct prices *prices;
	int good = 1, n = 0;

	if (strcmp(store, "keys.gdbm") == 0)
		return keys_each(state_dir, count_key, &n) == 0;
	if (strcmp(store, "settings.gdbm") != 0)
		return 1;
	settings = settings_open(state_dir, d->config);
	good = settings != NULL && settings_read(settings, &values) == 0;
	settings_close(settings);
	prices = prices_open(state_dir);
	good = prices != NULL && prices_refresh(prices) == 0 && good;
	prices_close(prices);
	return good;
}

/* 1 when the file of store keys has the one with this id. */
static int
has_key(const char *id)
{
	unsigned char raw[SEAL_ID_LEN];

	return seal_ready() > 0 && text_unhex(raw, sizeof(raw), id) == 0 &&
	    seal_find(raw) != -1;
}

/* 1 when a store is whole, for all we know, but not for us to read. */
static int
is_locked(const char *path, struct doctor_finding *f)
{
	char id[DB_KEY_ID_SIZE];
	int sealed = db_is_sealed(path, id);

	if (sealed == 1 && !has_key(id)) {
		if (doctor_worse(f, DOCTOR_FAULT,
			"'%s' is sealed under key %s, which is not here", path,
			id))
			doctor_mend(
			    f, "bring that key back: docs/sealed-stores.md");
		return 1;
	}
	if (sealed == 0 && seal_ready() > 0) {
		if (doctor_worse(f, DOCTOR_FAULT,
			"'%s' is refused: it is not sealed", path))
			doctor_mend(f, "pmkey reseal --first");
		return 1;
	}
	return 0;
}

void
doctor_stores(const struct doctor *d, struct doctor_finding *f)
{
	static const char *const names[] = { "keys.gdbm", "settings.gdbm",
		"usage.gdbm", "admin.gdbm" };
	char path[DOCTOR_PATH_SIZE];
	struct db *db;

	doctor_say(f, DOCTOR_OK, "each can be read, and is whole");
	for (size_t i = 0; i < 4; i++) {
		(void)snprintf(path, sizeof(path), "%.900s/%s",
		    config_text(d->config, CONFIG_STATE_DIR), names[i]);
		if (access(path, R_OK) == -1) {
			if (errno != ENOENT)
				(void)doctor_worse(f, DOCTOR_UNKNOWN,
				    "'%s': %s", path, doctor_errno());
			continue;
		}
		if (is_locked(path, f))
			continue;
		db = db_open(path);
		if ((db == NULL || !reads_well(d, names[i])) &&
		    doctor_worse(f, DOCTOR_FAULT, "'%s' is damaged", path))
			doctor_mend(f,
			    "the message on standard error says how;"
			    " bring it back from a backup");
		db_close(db);
	}
}

/* The id of the first key in the file, as stores name it. */
static void
first_id(char id[DB_KEY_ID_SIZE])
{
	unsigned char raw[SEAL_ID_LEN];

	seal_id(0, raw);
	text_hex(id, raw, sizeof(raw));
}

/* A disk that is imaged would have both. */
static void
look_at_place(
    const struct doctor *d, const char *path, struct doctor_finding *f)
{
	struct stat key, state;

	if (stat(path, &key) == 0 &&
	    stat(config_text(d->config, CONFIG_STATE_DIR), &state) == 0 &&
	    key.st_dev == state.st_dev &&
	    doctor_worse(f, DOCTOR_WARNING,
		"'%s' is on the disk of STATE_DIR: whoever has that disk has "
		"both",
		path))
		doctor_mend(f, "keep it elsewhere: docs/sealed-stores.md");
}

static void
look_at_store(
    const char *path, const char *first, int sealed, struct doctor_finding *f)
{
	char id[DB_KEY_ID_SIZE];
	int is = db_is_sealed(path, id);

	if (is == -1)
		return; /* the check of stores says it */
	if (is != sealed &&
	    doctor_worse(f, DOCTOR_FAULT, "'%s' is %s", path,
		is ? "sealed, and STORE_KEY_FILE is not set" : "not sealed")) {
		doctor_mend(
		    f, is ? "set STORE_KEY_FILE" : "pmkey reseal --first");
	} else if (is && strcmp(id, first) != 0 &&
	    doctor_worse(f, DOCTOR_WARNING,
		"'%s' is sealed under key %s, which is not the first one", path,
		id))
		doctor_mend(f, "pmkey reseal");
}

static void
look_at_stores(const struct doctor *d, const char *first, int sealed,
    struct doctor_finding *f)
{
	const char *folder = config_text(d->config, CONFIG_STATE_DIR);
	char path[DOCTOR_PATH_SIZE];
	DIR *all = opendir(folder);
	const struct dirent *e;

	if (all == NULL) {
		doctor_say(
		    f, DOCTOR_UNKNOWN, "'%s': %s", folder, doctor_errno());
		return;
	}
	while ((e = readdir(all)) != NULL) {
		size_t n = strlen(e->d_name);

		if (n < 5 || strcmp(e->d_name + n - 5, ".gdbm") != 0)
			continue;
		(void)snprintf(
		    path, sizeof(path), "%.700s/%s", folder, e->d_name);
		look_at_store(path, first, sealed, f);
	}
	closedir(all);
}

void
doctor_seal(const struct doctor *d, struct doctor_finding *f)
{
	const char *path = config_text(d->config, CONFIG_STORE_KEY_FILE);
	char first[DB_KEY_ID_SIZE] = "";
	int n = seal_ready();

	if (n == -1) {
		doctor_say(f,
		    access(path, R_OK) == -1 && geteuid() != 0 ? DOCTOR_UNKNOWN
							       : DOCTOR_FAULT,
		    "no key can be read from '%s'", path);
		doctor_mend(f,
		    "the message on standard error says why; pmkey store-key "
		    "makes one");
		return;
	}
	if (n == 0)
		doctor_say(f, DOCTOR_NONE, "STORE_KEY_FILE is not set");
	else {
		first_id(first);
		doctor_say(f, DOCTOR_OK, "sealed under key %s", first);
		look_at_place(d, path, f);
	}
	look_at_stores(d, first, n > 0, f);
	if (n > 1 &&
	    doctor_worse(f, DOCTOR_WARNING, "'%s' holds %d keys", path, n))
		doctor_mend(f, "pmkey reseal; pmkey store-key --drop");
}
