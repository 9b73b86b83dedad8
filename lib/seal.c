/* The process's keys, and AES-256-GCM. */
#include "seal.h"

#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "log.h"
#include "seal_file.h"
#include "secret.h"

static struct ring {
	pthread_mutex_t lock;
	char *path; /* NULL: nothing is sealed */
	int loaded;
	size_t n;
	struct stat read_from;
	unsigned char key[SEAL_KEYS_MAX][SEAL_KEY_LEN];
	unsigned char id[SEAL_KEYS_MAX][SEAL_ID_LEN];
} ring = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Sealing is on the way of requests: what can be found once is. */
static pthread_once_t fetched = PTHREAD_ONCE_INIT;
static EVP_CIPHER *gcm;
static EVP_KDF *hkdf;

static void
fetch(void)
{
	gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	if (gcm == NULL || hkdf == NULL)
		abort();
}

static void
need_fetched(void)
{
	if (pthread_once(&fetched, fetch) != 0)
		abort();
}

static void
forget(void)
{
	secret_wipe(ring.key, sizeof(ring.key));
	ring.loaded = 0;
	ring.n = 0;
}

int
seal_use(const char *path)
{
	char *copy = NULL;

	if (path != NULL && *path != '\0' && (copy = strdup(path)) == NULL) {
		log_warn("cannot keep the name of '%s'", path);
		return -1;
	}
	pthread_mutex_lock(&ring.lock);
	forget();
	free(ring.path);
	ring.path = copy;
	pthread_mutex_unlock(&ring.lock);
	return 0;
}

const char *
seal_path(void)
{
	return ring.path == NULL ? "" : ring.path;
}

static void
derive(const unsigned char key[SEAL_KEY_LEN], const char *purpose,
    unsigned char *out, size_t n)
{
	static const char salt[] = "pmproxy store key", digest[] = "SHA256";
	EVP_KDF_CTX *ctx;
	/* OpenSSL only reads them, but its type cannot say so. */
	OSSL_PARAM p[] = { OSSL_PARAM_construct_utf8_string(
			       OSSL_KDF_PARAM_DIGEST, (char *)(uintptr_t)digest,
			       0),
		OSSL_PARAM_construct_octet_string(
		    OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)key, SEAL_KEY_LEN),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT,
		    (void *)(uintptr_t)salt, sizeof(salt) - 1),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO,
		    (void *)(uintptr_t)purpose, strlen(purpose)),
		OSSL_PARAM_construct_end() };

	need_fetched();
	if ((ctx = EVP_KDF_CTX_new(hkdf)) == NULL ||
	    EVP_KDF_derive(ctx, out, n, p) != 1)
		abort();
	EVP_KDF_CTX_free(ctx);
}

/* 0, or -1 after logging. */
static int
load(void)
{
	struct seal_file file;

	if (seal_file_read(ring.path, &file) == -1)
		return -1;
	ring.n = file.n;
	ring.read_from = file.st;
	memcpy(ring.key, file.key, sizeof(ring.key));
	secret_wipe(&file, sizeof(file));
	for (size_t i = 0; i < ring.n; i++)
		derive(ring.key[i], "key id", ring.id[i], SEAL_ID_LEN);
	ring.loaded = 1;
	return 0;
}

int
seal_ready(void)
{
	int n = 0;

	pthread_mutex_lock(&ring.lock);
	if (ring.path != NULL)
		n = ring.loaded || load() == 0 ? (int)ring.n : -1;
	pthread_mutex_unlock(&ring.lock);
	return n;
}

int
seal_outdated(void)
{
	const struct stat *then = &ring.read_from;
	struct stat now;

	return ring.loaded && stat(ring.path, &now) == 0 &&
	    (now.st_dev != then->st_dev || now.st_ino != then->st_ino ||
		now.st_size != then->st_size ||
		now.st_ctim.tv_sec != then->st_ctim.tv_sec ||
		now.st_ctim.tv_nsec != then->st_ctim.tv_nsec);
}

void
seal_id(size_t i, unsigned char id[SEAL_ID_LEN])
{
	memcpy(id, ring.id[i], SEAL_ID_LEN);
}

int
seal_find(const unsigned char id[SEAL_ID_LEN])
{
	for (size_t i = 0; i < ring.n; i++)
		if (memcmp(ring.id[i], id, SEAL_ID_LEN) == 0)
			return (int)i;
	return -1;
}

void
seal_derive(size_t i, const char *purpose, unsigned char *out, size_t n)
{
	derive(ring.key[i], purpose, out, n);
}

/* A context for one message. NULL stays where nothing is to be set. */
static EVP_CIPHER_CTX *
begin(const unsigned char key[SEAL_KEY_LEN], struct seal_with with,
    const unsigned char *nonce, size_t n, int closing)
{
	EVP_CIPHER_CTX *ctx;
	int len;

	need_fetched();
	if (n > INT_MAX || with.n > INT_MAX ||
	    (ctx = EVP_CIPHER_CTX_new()) == NULL ||
	    EVP_CipherInit_ex2(ctx, gcm, key, nonce, closing, NULL) != 1 ||
	    EVP_CipherUpdate(ctx, NULL, &len, with.p, (int)with.n) != 1)
		abort();
	return ctx;
}

void
seal_close(unsigned char *out, const unsigned char key[SEAL_KEY_LEN],
    struct seal_with with, const unsigned char *nonce, const void *p, size_t n)
{
	unsigned char *text = out + SEAL_NONCE_LEN;
	EVP_CIPHER_CTX *ctx;
	int len;

	if (nonce != NULL)
		memcpy(out, nonce, SEAL_NONCE_LEN);
	else
		secret_random(out, SEAL_NONCE_LEN);
	ctx = begin(key, with, out, n, 1);
	if (EVP_CipherUpdate(ctx, text, &len, p, (int)n) != 1 ||
	    EVP_CipherFinal_ex(ctx, text + len, &len) != 1 ||
	    EVP_CIPHER_CTX_ctrl(
		ctx, EVP_CTRL_AEAD_GET_TAG, SEAL_TAG_LEN, text + n) != 1)
		abort();
	EVP_CIPHER_CTX_free(ctx);
}

int
seal_open(unsigned char *out, const unsigned char key[SEAL_KEY_LEN],
    struct seal_with with, const void *p, size_t n)
{
	const unsigned char *nonce = p, *text = nonce + SEAL_NONCE_LEN;
	unsigned char tag[SEAL_TAG_LEN];
	EVP_CIPHER_CTX *ctx;
	int len, good;

	if (n < SEAL_MORE)
		return -1;
	n -= SEAL_MORE;
	memcpy(tag, text + n, sizeof(tag));
	ctx = begin(key, with, nonce, n, 0);
	good = EVP_CipherUpdate(ctx, out, &len, text, (int)n) == 1 &&
	    EVP_CIPHER_CTX_ctrl(
		ctx, EVP_CTRL_AEAD_SET_TAG, SEAL_TAG_LEN, tag) == 1 &&
	    EVP_CipherFinal_ex(ctx, out + n, &len) == 1;
	EVP_CIPHER_CTX_free(ctx);
	if (!good)
		secret_wipe(out, n);
	return good ? 0 : -1;
}
