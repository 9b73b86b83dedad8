/* Sealing lines of the journal, one by one. */
#include "usage_seal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "secret.h"
#include "text.h"

#define VERSION "2"
/* "2\tID\t", then base64, then "\t." */
#define HEAD_LEN ((size_t)3 + (size_t)2 * SEAL_ID_LEN)
#define TAIL "\t."
#define TAIL_LEN ((size_t)2)

/*
 * Lengths of text. With SEAL_MORE each is a multiple of three, so that base64
 * needs no padding and has one form alone. Most lines are shorter than the
 * first.
 */
#define TEXT_LEN ((size_t)128)
#define TEXT_STEP ((size_t)120)
#define TEXT_MAX ((size_t)728)
#define BYTES_MAX (TEXT_MAX + SEAL_MORE)

int
usage_sealing_of(struct usage_sealing *s, int64_t hour)
{
	char name[TEXT_HOUR_SIZE], purpose[TEXT_HOUR_SIZE + sizeof("journal ")];
	int n = seal_ready();

	*s = (struct usage_sealing){ .n = n > 0 ? (size_t)n : 0 };
	if (n == -1)
		return -1;
	(void)snprintf(
	    purpose, sizeof(purpose), "journal %s", text_hour(name, hour));
	for (size_t i = 0; i < s->n; i++) {
		seal_id(i, s->of[i].id);
		seal_derive(i, purpose, s->of[i].key, SEAL_KEY_LEN);
	}
	return 0;
}

void
usage_sealing_wipe(struct usage_sealing *s)
{
	secret_wipe(s, sizeof(*s));
}

static size_t
padded(size_t n)
{
	return n <= TEXT_LEN
	    ? TEXT_LEN
	    : TEXT_LEN + (n - TEXT_LEN + TEXT_STEP - 1) / TEXT_STEP * TEXT_STEP;
}

/*
 * Not inlined, here and below: a responder clears the stack that it used, which
 * a plain line is not to make deeper.
 */
static __attribute__((__noinline__)) size_t
seal_line(char dst[USAGE_SEALED_SIZE], const struct usage_sealing *s,
    const unsigned char *nonce, const char *line, size_t n)
{
	char text[TEXT_MAX], id[2 * SEAL_ID_LEN + 1];
	char base64[SECRET_BASE64_SIZE(BYTES_MAX)];
	unsigned char bytes[BYTES_MAX];
	size_t len = padded(n - 2);

	memset(text, ' ', len);
	memcpy(text, line + 1, n - 2); /* without its newlines */
	seal_close(
	    bytes, s->of[0].key, (struct seal_with){ "", 0 }, nonce, text, len);
	secret_base64url(base64, bytes, len + SEAL_MORE);
	n = (size_t)snprintf(dst, USAGE_SEALED_SIZE,
	    "\n" VERSION "\t%s\t%s" TAIL "\n",
	    text_hex(id, s->of[0].id, SEAL_ID_LEN), base64);
	secret_wipe(text, sizeof(text));
	return n;
}

size_t
usage_line_seal(char dst[USAGE_SEALED_SIZE], const struct usage_sealing *s,
    const unsigned char *nonce, const char *line, size_t n)
{
	if (s->n > 0)
		return seal_line(dst, s, nonce, line, n);
	memmove(dst, line, n);
	return n;
}

/* One form alone, in lower case; 0 or -1. */
static int
take_id(const char *p, unsigned char id[SEAL_ID_LEN])
{
	char hex[2 * SEAL_ID_LEN + 1], again[2 * SEAL_ID_LEN + 1];

	memcpy(hex, p, sizeof(hex) - 1);
	hex[sizeof(hex) - 1] = '\0';
	if (text_unhex(id, SEAL_ID_LEN, hex) == -1)
		return -1;
	return strcmp(text_hex(again, id, SEAL_ID_LEN), hex) == 0 ? 0 : -1;
}

/* The parts of a whole sealed line, whatever key; bytes it has, or 0. */
static size_t
take_apart(const char *line, size_t n, unsigned char id[SEAL_ID_LEN],
    unsigned char bytes[BYTES_MAX])
{
	size_t len;

	if (n <= HEAD_LEN + TAIL_LEN || n >= USAGE_SEALED_SIZE ||
	    memcmp(line, VERSION "\t", 2) != 0 || line[HEAD_LEN - 1] != '\t' ||
	    memcmp(line + n - TAIL_LEN, TAIL, TAIL_LEN) != 0 ||
	    take_id(line + 2, id) == -1)
		return 0;
	len = secret_unbase64url(
	    bytes, BYTES_MAX, line + HEAD_LEN, n - HEAD_LEN - TAIL_LEN);
	return len < SEAL_MORE ? 0 : len;
}

static const unsigned char *
key_of(const struct usage_sealing *s, struct usage_line *l)
{
	for (size_t i = 0; i < s->n; i++)
		if (memcmp(s->of[i].id, l->id, SEAL_ID_LEN) == 0) {
			l->first = i == 0;
			return s->of[i].key;
		}
	return NULL;
}

static enum usage_found
open_sealed(const unsigned char *key, const unsigned char *bytes, size_t len,
    struct usage_record *record)
{
	enum usage_found found = USAGE_FOUND_MALFORMED;
	size_t n = len - SEAL_MORE;
	char text[TEXT_MAX];

	if (seal_open((unsigned char *)text, key, (struct seal_with){ "", 0 },
		bytes, len) == -1)
		return found;
	while (n > 0 && text[n - 1] == ' ')
		n--;
	if (usage_line_parse(text, n, record) == 0)
		found = USAGE_FOUND;
	secret_wipe(text, sizeof(text));
	return found;
}

/* 1 when it is a whole sealed line, and what became of it. */
static __attribute__((__noinline__)) int
try_sealed(const struct usage_sealing *s, const char *line, size_t n,
    struct usage_line *l)
{
	unsigned char bytes[BYTES_MAX];
	const unsigned char *key;
	size_t len = take_apart(line, n, l->id, bytes);

	if (len == 0)
		return 0;
	l->sealed = 1;
	memcpy(l->nonce, bytes, SEAL_NONCE_LEN);
	if ((key = key_of(s, l)) == NULL)
		l->found = USAGE_FOUND_SEALED;
	else
		l->found = open_sealed(key, bytes, len, &l->record);
	return 1;
}

void
usage_line_open(const struct usage_sealing *s, const char *line, size_t n,
    struct usage_line *l)
{
	/* No stray bytes behind names. */
	*l = (struct usage_line){ .found = USAGE_FOUND_MALFORMED };
	if (n > 0 && line[0] == VERSION[0] && try_sealed(s, line, n, l))
		return;
	if (n < USAGE_LINE_SIZE && usage_line_parse(line, n, &l->record) == 0)
		l->found = s->n == 0 ? USAGE_FOUND : USAGE_FOUND_PLAIN;
}

int
usage_line_refused(const char *path, const struct usage_line *l)
{
	char hex[2 * SEAL_ID_LEN + 1];

	text_hex(hex, l->id, SEAL_ID_LEN);
	if (l->found == USAGE_FOUND_PLAIN)
		log_warnx("'%s' has lines that are not sealed although "
			  "STORE_KEY_FILE is set: if they are yours, 'pmkey "
			  "reseal --first' seals them",
		    path);
	else if (*seal_path() == '\0')
		log_warnx("'%s' is sealed (key %s): STORE_KEY_FILE must name "
			  "the file of its key",
		    path, hex);
	else
		log_warnx("'%s' has lines sealed under a key (%s) that is not "
			  "in '%s'",
		    path, hex, seal_path());
	return -1;
}

/* Random bytes are their own hash. */
static uint64_t
number_of(const unsigned char nonce[SEAL_NONCE_LEN])
{
	uint64_t n;

	memcpy(&n, nonce, sizeof(n));
	return n == 0 ? 1 : n;
}

static size_t
slot_of(const struct usage_nonces *set, uint64_t n)
{
	size_t i = (size_t)n & (set->cap - 1);

	while (set->slot[i] != 0 && set->slot[i] != n)
		i = (i + 1) & (set->cap - 1);
	return i;
}

static int
grow(struct usage_nonces *set)
{
	struct usage_nonces larger = { .cap = set->cap ? set->cap * 2 : 256 };

	larger.slot = calloc(larger.cap, sizeof(larger.slot[0]));
	if (larger.slot == NULL) {
		log_warnx("out of memory for the lines of an hour");
		return -1;
	}
	for (size_t i = 0; i < set->cap; i++)
		if (set->slot[i] != 0)
			larger.slot[slot_of(&larger, set->slot[i])] =
			    set->slot[i];
	larger.n = set->n;
	free(set->slot);
	*set = larger;
	return 0;
}

int
usage_nonces_add(
    struct usage_nonces *set, const unsigned char nonce[SEAL_NONCE_LEN])
{
	uint64_t n = number_of(nonce);
	size_t i;

	if (set->n * 2 >= set->cap && grow(set) == -1)
		return -1;
	i = slot_of(set, n);
	if (set->slot[i] == n)
		return 0;
	set->slot[i] = n;
	set->n++;
	return 1;
}

void
usage_nonces_free(struct usage_nonces *set)
{
	free(set->slot);
	*set = (struct usage_nonces){ 0 };
}
