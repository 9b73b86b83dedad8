/* Tokens for forms: "NONCE.MAC" in hex. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "session_store.h"
#include "text.h"

#define NONCE_LEN 8
#define MAC_LEN 16
#define FORM_NAME_MAX 32

/* Over the session, the nonce and the form; what it is for comes first. */
static void
mac_of(const struct session_rules *rules, const struct session *s,
    const char *form, const unsigned char nonce[NONCE_LEN],
    unsigned char out[SECRET_DIGEST_LEN])
{
	unsigned char
	    message[5 + SECRET_DIGEST_LEN + NONCE_LEN + FORM_NAME_MAX];
	size_t n = strlen(form);

	if (n > FORM_NAME_MAX)
		n = FORM_NAME_MAX; /* forms are named in the source */
	memcpy(message, "csrf:", 5);
	memcpy(message + 5, s->hash, SECRET_DIGEST_LEN);
	memcpy(message + 5 + SECRET_DIGEST_LEN, nonce, NONCE_LEN);
	memcpy(message + 5 + SECRET_DIGEST_LEN + NONCE_LEN, form, n);
	secret_hmac(
	    out, rules->secret, message, 5 + SECRET_DIGEST_LEN + NONCE_LEN + n);
}

void
session_csrf(const struct session_rules *rules, const struct session *s,
    const char *form, char out[SESSION_CSRF_SIZE])
{
	unsigned char nonce[NONCE_LEN], mac[SECRET_DIGEST_LEN];

	secret_random(nonce, sizeof(nonce));
	mac_of(rules, s, form, nonce, mac);
	text_hex(out, nonce, NONCE_LEN);
	out[2 * NONCE_LEN] = '.';
	text_hex(out + 2 * NONCE_LEN + 1, mac, MAC_LEN);
}

int
session_csrf_ok(const struct session_rules *rules, const struct session *s,
    const char *form, const char *token)
{
	unsigned char nonce[NONCE_LEN], mac[SECRET_DIGEST_LEN];
	unsigned char given[MAC_LEN];
	char hex[2 * NONCE_LEN + 1] = "";

	if (token == NULL || strcspn(token, ".") != 2 * NONCE_LEN ||
	    token[2 * NONCE_LEN] != '.')
		return 0;
	memcpy(hex, token, 2 * NONCE_LEN);
	if (text_unhex(nonce, NONCE_LEN, hex) == -1 ||
	    text_unhex(given, MAC_LEN, token + 2 * NONCE_LEN + 1) == -1)
		return 0;
	mac_of(rules, s, form, nonce, mac);
	return secret_equal(given, mac, MAC_LEN);
}

/* A token dies with its session, so what is older need not be remembered. */
static int
is_past(const char *name, const char *text, void *oldest)
{
	int64_t at;

	(void)name;
	return text_to_i64(text, 0, INT64_MAX, &at) == -1 ||
	    at < *(const int64_t *)oldest;
}

int
session_once(const struct session_rules *rules, const char *token, int64_t now)
{
	char name[SESSION_NAME_SIZE] = SESSION_ONCE, text[24];
	struct db *db = session_store_edit(rules->state_dir);
	struct buf seen = BUF(sizeof(text));
	int64_t oldest = now - rules->absolute_s;
	int got, n;

	if (db == NULL)
		return -1;
	/* Digits of either case are one nonce. */
	for (n = 0; n < 2 * NONCE_LEN && token[n] != '\0'; n++)
		name[2 + n] = (char)(token[n] >= 'A' && token[n] <= 'F'
			? token[n] - 'A' + 'a'
			: token[n]);
	n = snprintf(text, sizeof(text), "%" PRId64, now);
	got = db_get(db, name, &seen);
	buf_free(&seen);
	if (got == 0 &&
	    session_store_prune(db, SESSION_ONCE, is_past, &oldest) != -1 &&
	    db_put(db, name, text, (size_t)n) == 0)
		return db_commit(db) == 0 ? 1 : -1;
	db_close(db);
	return got == 1 ? 0 : -1;
}
