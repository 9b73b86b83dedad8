/* OpenSSL behind a few names that cannot be misused. */
#include "secret.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include "log.h"

void
secret_random(void *out, size_t n)
{
	if (n > INT_MAX || RAND_bytes(out, (int)n) != 1) {
		log_warnx("no randomness from OpenSSL");
		abort();
	}
}

void
secret_sha256(unsigned char out[SECRET_DIGEST_LEN], const void *p, size_t n)
{
	if (EVP_Digest(p, n, out, NULL, EVP_sha256(), NULL) != 1)
		abort();
}

void
secret_hmac(unsigned char out[SECRET_DIGEST_LEN],
    const unsigned char key[SECRET_DIGEST_LEN], const void *msg, size_t n)
{
	if (HMAC(EVP_sha256(), key, SECRET_DIGEST_LEN, msg, n, out, NULL) ==
	    NULL)
		abort();
}

int
secret_equal(const void *a, const void *b, size_t n)
{
	return CRYPTO_memcmp(a, b, n) == 0;
}

void
secret_wipe(void *p, size_t n)
{
	OPENSSL_cleanse(p, n);
}

char *
secret_base64url(char *dst, const unsigned char *src, size_t n)
{
	int len;

	if (n > INT_MAX / 2)
		abort();
	len = EVP_EncodeBlock((unsigned char *)dst, src, (int)n);
	while (len > 0 && dst[len - 1] == '=')
		len--;
	dst[len] = '\0';
	for (int i = 0; i < len; i++) {
		if (dst[i] == '+')
			dst[i] = '-';
		else if (dst[i] == '/')
			dst[i] = '_';
	}
	return dst;
}

/* 1 when read whole, 0 when there is no such file, -1 after logging. */
static int
read_secret(const char *path, unsigned char out[SECRET_DIGEST_LEN])
{
	unsigned char more;
	ssize_t n, extra = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd == -1) {
		if (errno == ENOENT)
			return 0;
		log_warn("cannot open '%s'", path);
		return -1;
	}
	n = read(fd, out, SECRET_DIGEST_LEN);
	if (n == SECRET_DIGEST_LEN)
		extra = read(fd, &more, 1);
	close(fd);
	if (n != SECRET_DIGEST_LEN || extra != 0) {
		log_warnx("'%s' is not 32 bytes long", path);
		return -1;
	}
	return 1;
}

/* Publishes a new secret with link(2), which fails when another was first. */
static int
make_secret(const char *path)
{
	unsigned char fresh[SECRET_DIGEST_LEN];
	char draft[PATH_MAX];
	int fd, done = -1;

	if (snprintf(draft, sizeof(draft), "%s.XXXXXX", path) >=
		(int)sizeof(draft) ||
	    (fd = mkostemp(draft, O_CLOEXEC)) == -1) {
		log_warn("cannot create '%s'", path);
		return -1;
	}
	secret_random(fresh, sizeof(fresh));
	if (write(fd, fresh, sizeof(fresh)) == (ssize_t)sizeof(fresh) &&
	    fsync(fd) == 0 && (link(draft, path) == 0 || errno == EEXIST))
		done = 0;
	else
		log_warn("cannot create '%s'", path);
	secret_wipe(fresh, sizeof(fresh));
	close(fd);
	if (unlink(draft) == -1)
		log_warn("cannot remove '%s'", draft);
	return done;
}

int
secret_installation(const char *state_dir, unsigned char out[SECRET_DIGEST_LEN])
{
	char path[PATH_MAX];
	int found;

	if (snprintf(path, sizeof(path), "%s/secret", state_dir) >=
	    (int)sizeof(path)) {
		log_warnx("the path of STATE_DIR is too long");
		return -1;
	}
	if ((found = read_secret(path, out)) == 0 && make_secret(path) == 0)
		found = read_secret(path, out);
	return found == 1 ? 0 : -1;
}
