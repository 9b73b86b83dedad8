/* OpenSSL behind a few names that cannot be misused. */
#include "secret.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "log.h"

/* What SHA-256 takes at a time, and HMAC fills up with its key. */
#define SHA256_BLOCK 64

void
secret_start_small(void)
{
	const uint64_t without =
	    OPENSSL_INIT_NO_ADD_ALL_CIPHERS | OPENSSL_INIT_NO_ADD_ALL_DIGESTS;

	if (OPENSSL_init_crypto(without, NULL) != 1)
		abort();
}

/* The kernel's: OpenSSL's, seeded from it, keeps 5 KiB for each thread. */
void
secret_random(void *out, size_t n)
{
	unsigned char *to = out;
	ssize_t some;

	while (n > 0) {
		some = getrandom(to, n, 0);
		if (some == -1 && errno == EINTR)
			continue;
		if (some <= 0) {
			log_warn("no randomness from the kernel");
			abort();
		}
		to += some;
		n -= (size_t)some;
	}
}

/* OpenSSL looks an algorithm up by its name each time it is not given one. */
static const EVP_MD *sha256;

static void
fetch_sha256(void)
{
	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
}

/* For digest(): what it gets of a new one costs more than a short digest. */
static EVP_MD_CTX *
digest_new(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	EVP_MD_CTX *ctx;

	if (pthread_once(&once, fetch_sha256) != 0 || sha256 == NULL ||
	    (ctx = EVP_MD_CTX_new()) == NULL)
		abort();
	return ctx;
}

/* Of two pieces, one after the other. */
static void
digest(EVP_MD_CTX *ctx, unsigned char out[SECRET_DIGEST_LEN], const void *p,
    size_t n, const void *more, size_t n_more)
{
	if (EVP_DigestInit_ex2(ctx, sha256, NULL) != 1 ||
	    EVP_DigestUpdate(ctx, p, n) != 1 ||
	    EVP_DigestUpdate(ctx, more, n_more) != 1 ||
	    EVP_DigestFinal_ex(ctx, out, NULL) != 1)
		abort();
}

void
secret_sha256(unsigned char out[SECRET_DIGEST_LEN], const void *p, size_t n)
{
	EVP_MD_CTX *ctx = digest_new();

	digest(ctx, out, p, n, NULL, 0);
	EVP_MD_CTX_free(ctx); /* wipes it */
}

/*
 * RFC 2104 in terms of the digest: OpenSSL's own looks up four algorithms by
 * their names, which costs three times as much as hashing.
 */
void
secret_hmac(unsigned char out[SECRET_DIGEST_LEN],
    const unsigned char key[SECRET_DIGEST_LEN], const void *msg, size_t n)
{
	unsigned char inner[SHA256_BLOCK], outer[SHA256_BLOCK];
	EVP_MD_CTX *ctx = digest_new();

	memset(inner, 0x36, sizeof(inner));
	memset(outer, 0x5c, sizeof(outer));
	for (size_t i = 0; i < SECRET_DIGEST_LEN; i++) {
		inner[i] ^= key[i];
		outer[i] ^= key[i];
	}
	digest(ctx, out, inner, sizeof(inner), msg, n);
	digest(ctx, out, outer, sizeof(outer), out, SECRET_DIGEST_LEN);
	EVP_MD_CTX_free(ctx);
	secret_wipe(inner, sizeof(inner));
	secret_wipe(outer, sizeof(outer));
}

int
secret_equal(const void *a, const void *b, size_t n)
{
	return CRYPTO_memcmp(a, b, n) == 0;
}

void
secret_wipe(void *p, size_t n)
{
	explicit_bzero(p, n);
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

size_t
secret_unbase64url(unsigned char *dst, size_t max, const char *src, size_t n)
{
	unsigned char four[4];

	if (n % 4 != 0 || n / 4 * 3 > max)
		return 0;
	for (size_t i = 0; i < n; i++) {
		char c = src[i];

		/* Only what the other direction writes. */
		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
			(c >= '0' && c <= '9') || c == '-' || c == '_'))
			return 0;
		four[i % 4] = (unsigned char)(c == '-' ? '+'
			: c == '_'                     ? '/'
						       : c);
		if (i % 4 == 3 &&
		    EVP_DecodeBlock(dst + i / 4 * 3, four, 4) != 3)
			return 0;
	}
	return n / 4 * 3;
}

int
secret_scrypt(unsigned char out[SECRET_DIGEST_LEN], const char *password,
    const unsigned char *salt, size_t salt_len, const struct secret_cost *c)
{
	uint64_t n = UINT64_C(1) << (c->log_n < 32 ? c->log_n : 32);
	/* What it needs, and some for the library. */
	uint64_t most = 128 * n * c->block + (UINT64_C(1) << 22);

	if (EVP_PBE_scrypt(password, strlen(password), salt, salt_len, n,
		c->block, c->parallel, most, out, SECRET_DIGEST_LEN) == 1)
		return 0;
	log_warnx("a password cannot be hashed: its cost is not possible");
	return -1;
}

/* A regular file that nobody else may read; anything else is a mistake. */
static int
is_private_file(int fd, const char *path)
{
	struct stat st;

	if (fstat(fd, &st) == -1) {
		log_warn("cannot look at '%s'", path);
		return 0;
	}
	if (!S_ISREG(st.st_mode)) {
		log_warnx("'%s' is not a regular file", path);
		return 0;
	}
	if ((st.st_mode & 077) != 0) {
		log_warnx("'%s' must have mode 0600", path);
		return 0;
	}
	return 1;
}

/* 0 after reading the whole file, which must have exactly the length. */
static int
read_exactly(int fd, unsigned char out[SECRET_DIGEST_LEN], const char *path)
{
	unsigned char all[SECRET_DIGEST_LEN + 1];
	ssize_t n = read(fd, all, sizeof(all));

	if (n == -1)
		log_warn("cannot read '%s'", path);
	else if (n != SECRET_DIGEST_LEN)
		log_warnx("'%s' is not 32 bytes long", path);
	else
		memcpy(out, all, SECRET_DIGEST_LEN);
	secret_wipe(all, sizeof(all));
	return n == SECRET_DIGEST_LEN ? 0 : -1;
}

enum found {
	FOUND,
	ABSENT,
	UNUSABLE /* logged */
};

static enum found
read_secret(const char *path, unsigned char out[SECRET_DIGEST_LEN])
{
	int fd, ok;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd == -1) {
		if (errno == ENOENT)
			return ABSENT;
		log_warn("cannot open '%s'", path);
		return UNUSABLE;
	}
	ok = is_private_file(fd, path) && read_exactly(fd, out, path) == 0;
	close(fd);
	return ok ? FOUND : UNUSABLE;
}

/*
 * What root makes belongs to the owner of the folder, or root's tools would
 * lock the web server's responders out.
 */
static int
give_to_owner(int fd, const char *state_dir)
{
	struct stat st;

	if (geteuid() != 0)
		return 0;
	return stat(state_dir, &st) == -1 ? -1
					  : fchown(fd, st.st_uid, st.st_gid);
}

/* The name must last as well as the bytes: keys are hashed under them. */
static int
sync_folder(const char *state_dir)
{
	int fd = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), done;

	if (fd == -1)
		return -1;
	done = fsync(fd);
	close(fd);
	return done;
}

/* Publishes a new secret with link(2), which fails when another was first. */
static int
make_secret(const char *path, const char *state_dir)
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
	    give_to_owner(fd, state_dir) == 0 && fsync(fd) == 0 &&
	    (link(draft, path) == 0 || errno == EEXIST) &&
	    sync_folder(state_dir) == 0)
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
	enum found found;

	if (snprintf(path, sizeof(path), "%s/secret", state_dir) >=
	    (int)sizeof(path)) {
		log_warnx("the path of STATE_DIR is too long");
		return -1;
	}
	found = read_secret(path, out);
	if (found == ABSENT && make_secret(path, state_dir) == 0 &&
	    (found = read_secret(path, out)) == ABSENT)
		log_warnx("'%s' was removed while being made", path);
	return found == FOUND ? 0 : -1;
}
