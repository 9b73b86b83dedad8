/* Sealing records, and which key a store is under. */
#include "db_seal.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "secret.h"
#include "text.h"

static void
derive(struct db_seal *seal, const char *path, size_t i)
{
	unsigned char keys[3 * SEAL_KEY_LEN];
	const char *slash = strrchr(path, '/');
	char purpose[NAME_MAX + sizeof("store ")];

	(void)snprintf(purpose, sizeof(purpose), "store %s",
	    slash == NULL ? path : slash + 1);
	seal_derive(i, purpose, keys, sizeof(keys));
	*seal = (struct db_seal){ .on = 1 };
	seal_id(i, seal->id);
	memcpy(seal->names, keys, SEAL_KEY_LEN);
	memcpy(seal->values, keys + SEAL_KEY_LEN, SEAL_KEY_LEN);
	memcpy(seal->sum, keys + (size_t)2 * SEAL_KEY_LEN, SEAL_KEY_LEN);
	secret_wipe(keys, sizeof(keys));
}

int
db_seal_new(struct db_seal *seal, const char *path)
{
	int n = seal_ready();

	*seal = (struct db_seal){ .on = 0 };
	if (n > 0)
		derive(seal, path, 0);
	return n == -1 ? -1 : 0;
}

static void
complain_of_key(const char *path, const unsigned char id[SEAL_ID_LEN])
{
	char hex[2 * SEAL_ID_LEN + 1];

	text_hex(hex, id, SEAL_ID_LEN);
	if (*seal_path() == '\0')
		log_warnx("'%s' is sealed (key %s): STORE_KEY_FILE must name "
			  "the file of its key",
		    path, hex);
	else
		log_warnx("'%s' is sealed under a key (%s) that is not in '%s'",
		    path, hex, seal_path());
}

int
db_seal_found(struct db_seal *seal, const char *path,
    const struct db_sum_found *found, enum db_seal_want want)
{
	int n = seal_ready(), i;

	*seal = (struct db_seal){ .on = 0 };
	if (n == -1)
		return -1;
	if (!found->sealed) {
		if (n == 0 || want == DB_SEAL_ANY)
			return 0;
		log_warnx("'%s' is not sealed although STORE_KEY_FILE is set: "
			  "if it is yours, 'pmkey reseal --first' seals it",
		    path);
		return -1;
	}
	if ((i = seal_find(found->id)) == -1) {
		complain_of_key(path, found->id);
		return -1;
	}
	derive(seal, path, (size_t)i);
	return 0;
}

void
db_seal_name(const struct db_seal *seal, const char *name,
    unsigned char out[DB_SEAL_NAME_LEN])
{
	secret_hmac(out, seal->names, name, strlen(name));
}

/* What is sealed is the name with its NUL, and the value. */
int
db_seal_record(const struct db_seal *seal, const char *name,
    const unsigned char at[DB_SEAL_NAME_LEN], const void *val, size_t len,
    struct buf *out)
{
	const struct seal_with with = { at, DB_SEAL_NAME_LEN };
	struct buf whole = BUF(INT_MAX);
	char *room;

	buf_reset(out);
	if (buf_add(&whole, name, strlen(name) + 1) == 0 &&
	    buf_add(&whole, val, len) == 0 &&
	    (room = buf_room(out, whole.len + SEAL_MORE)) != NULL) {
		seal_close((unsigned char *)room, seal->values, with, NULL,
		    whole.data, whole.len);
		buf_grown(out, whole.len + SEAL_MORE);
		buf_free(&whole);
		return 0;
	}
	buf_free(&whole);
	return -1;
}

int
db_seal_open(const struct db_seal *seal, const void *at, size_t at_len,
    const void *sealed, size_t len, struct buf *name, struct buf *val)
{
	size_t whole_len = len < SEAL_MORE ? 0 : len - SEAL_MORE, name_len;
	unsigned char *whole = whole_len == 0 ? NULL : malloc(whole_len);
	const unsigned char *nul;
	int done = -1;

	buf_reset(name);
	buf_reset(val);
	if (whole == NULL)
		return -1;
	if (seal_open(whole, seal->values, (struct seal_with){ at, at_len },
		sealed, len) == 0 &&
	    (nul = memchr(whole, '\0', whole_len)) != NULL) {
		name_len = (size_t)(nul - whole);
		if (buf_add(name, whole, name_len) == 0 &&
		    buf_add(val, nul + 1, whole_len - name_len - 1) == 0)
			done = 0;
	}
	secret_wipe(whole, whole_len);
	free(whole);
	return done;
}
