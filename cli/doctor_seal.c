/* What STATE_DIR is sealed under. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "lib/db.h"
#include "lib/seal.h"
#include "lib/text.h"

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
