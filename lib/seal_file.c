/*
 * Reading the file of store keys. It may be owned by root and readable by a
 * group, as packages and systemd's credentials have it; else it is its owner's
 * alone.
 */
#include "seal_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "log.h"
#include "secret.h"
#include "text.h"

/* A key a line and room for comments; what is longer is another file. */
#define FILE_MAX 8192
#define HEX_LEN ((size_t)2 * SEAL_KEY_LEN)
#define BASE64_LEN ((size_t)44)

static int
check_mode(int fd, const char *path, struct stat *st)
{
	if (fstat(fd, st) == -1) {
		log_warn("cannot look at '%s'", path);
		return -1;
	}
	if (!S_ISREG(st->st_mode)) {
		log_warnx("'%s' is not a regular file", path);
		return -1;
	}
	if (st->st_uid != 0 && st->st_uid != geteuid() && geteuid() != 0) {
		log_warnx("'%s' belongs to somebody else", path);
		return -1;
	}
	if ((st->st_mode & (st->st_uid == 0 ? 037 : 077)) != 0) {
		log_warnx("'%s' must have mode 0600", path);
		return -1;
	}
	return 0;
}

/* 0, or -1 for what is no key. */
static int
read_key(const char *line, size_t n, unsigned char key[SEAL_KEY_LEN])
{
	unsigned char decoded[SEAL_KEY_LEN + 1]; /* and the padding's byte */
	char copy[HEX_LEN + 1] = "";
	int bad = -1;

	if (n > HEX_LEN)
		return -1;
	memcpy(copy, line, n);
	if (n == HEX_LEN)
		bad = text_unhex(key, SEAL_KEY_LEN, copy);
	else if (n == BASE64_LEN && copy[n - 1] == '=' && copy[n - 2] != '=' &&
	    EVP_DecodeBlock(decoded, (const unsigned char *)copy, (int)n) ==
		(int)sizeof(decoded)) {
		memcpy(key, decoded, SEAL_KEY_LEN);
		bad = 0;
	}
	secret_wipe(decoded, sizeof(decoded));
	secret_wipe(copy, sizeof(copy));
	return bad;
}

static int
take_line(const char *path, int number, const char *line, size_t n,
    struct seal_file *f)
{
	while (n > 0 && strchr(" \t\r", line[n - 1]) != NULL)
		n--;
	if (n == 0 || *line == '#')
		return 0;
	if (f->n == SEAL_KEYS_MAX) {
		log_warnx(
		    "%s:%d: more than %d keys", path, number, SEAL_KEYS_MAX);
		return -1;
	}
	if (read_key(line, n, f->key[f->n]) == -1) {
		log_warnx("%s:%d: not 32 bytes in hex or base64", path, number);
		return -1;
	}
	f->n++;
	return 0;
}

static int
take_lines(const char *path, const char *text, size_t n, struct seal_file *f)
{
	const char *end = text + n, *stop;
	int number = 0;

	for (; text < end; text = stop + 1) {
		stop = memchr(text, '\n', (size_t)(end - text));
		if (stop == NULL)
			stop = end;
		if (take_line(path, ++number, text, (size_t)(stop - text), f) ==
		    -1)
			return -1;
	}
	if (f->n > 0)
		return 0;
	log_warnx("no key in '%s'", path);
	return -1;
}

int
seal_file_read(const char *path, struct seal_file *f)
{
	char text[FILE_MAX];
	/* Not blocking, lest somebody put a FIFO there. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	ssize_t n = -1;
	int done = -1;

	*f = (struct seal_file){ .n = 0 };
	if (fd == -1) {
		log_warn("cannot open '%s', which STORE_KEY_FILE names", path);
		return -1;
	}
	if (check_mode(fd, path, &f->st) == 0 &&
	    (n = read(fd, text, sizeof(text))) == -1)
		log_warn("cannot read '%s'", path);
	if (n == (ssize_t)sizeof(text))
		log_warnx("'%s' is longer than a file of keys", path);
	else if (n != -1)
		done = take_lines(path, text, (size_t)n, f);
	secret_wipe(text, sizeof(text));
	close(fd);
	if (done == -1)
		secret_wipe(f, sizeof(*f));
	return done;
}
