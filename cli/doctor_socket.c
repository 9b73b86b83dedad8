/* Listening sockets, out of /proc/net, and addresses out of settings. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "cli/doctor.h"
#include "lib/text.h"

#define TABLE_MAX (16 << 20)
#define LISTENING "0A"

/* Addresses stand there as words in the host's byte order. */
static int
read_address(const char *hex, size_t len, unsigned char address[16])
{
	unsigned char bytes[16];
	char digits[33];
	uint32_t word;

	if (len != 8 && len != 32)
		return -1;
	memcpy(digits, hex, len);
	digits[len] = '\0';
	if (text_unhex(bytes, len / 2, digits) == -1)
		return -1;
	for (size_t i = 0; i < len / 2; i += 4) {
		word = (uint32_t)bytes[i] << 24 | (uint32_t)bytes[i + 1] << 16 |
		    (uint32_t)bytes[i + 2] << 8 | bytes[i + 3];
		memcpy(address + i, &word, 4);
	}
	return (int)(len / 2);
}

static int
is_loopback(const unsigned char address[16], int len)
{
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
	static const unsigned char one[16] = { [15] = 1 };

	if (len == 4)
		return address[0] == 127;
	return memcmp(address, one, 16) == 0 ||
	    (memcmp(address, mapped, 12) == 0 && address[12] == 127);
}

/* "  0: 0100007F:1F91 00000000:0000 0A ... inode": 1, or 0 for others. */
static int
read_listener(char *line, struct doctor_listener *out)
{
	char *words[10], *colon;
	unsigned char address[16], port[2];
	int64_t inode;
	int len;

	for (size_t i = 0; i < 10; i++)
		if ((words[i] = doctor_next_word(&line)) == NULL)
			return 0;
	colon = strchr(words[1], ':');
	if (colon == NULL || strcmp(words[3], LISTENING) != 0 ||
	    text_unhex(port, 2, colon + 1) == -1 ||
	    text_to_i64(words[9], 0, INT64_MAX, &inode) == -1)
		return 0;
	len = read_address(words[1], (size_t)(colon - words[1]), address);
	if (len == -1)
		return 0;
	out->port = (uint16_t)(port[0] << 8 | port[1]);
	out->loopback = is_loopback(address, len);
	out->inode = (uint64_t)inode;
	return 1;
}

static int
add_listeners(const struct doctor *d, const char *path,
    struct doctor_listener list[DOCTOR_LISTENERS_MAX], int n)
{
	struct buf text = BUF(TABLE_MAX);
	char *rest, *line;
	int why;

	if (doctor_read(d, &text, path) == -1) {
		why = errno;
		buf_free(&text);
		errno = why;
		return -1;
	}
	rest = text.data;
	while (n < DOCTOR_LISTENERS_MAX &&
	    (line = doctor_next_line(&rest)) != NULL)
		n += read_listener(line, &list[n]);
	buf_free(&text);
	return n;
}

int
doctor_listeners(
    const struct doctor *d, struct doctor_listener list[DOCTOR_LISTENERS_MAX])
{
	int n = add_listeners(d, "/proc/net/tcp", list, 0), more;

	if (n == -1)
		return -1;
	more = add_listeners(d, "/proc/net/tcp6", list, n);
	/* A kernel without IPv6 has no such file. */
	return more == -1 ? (errno == ENOENT ? n : -1) : more;
}

int
doctor_upstream_port(const struct doctor *d, uint16_t *port)
{
	const char *url = config_text(d->config, CONFIG_UPSTREAM_URL);
	int tls = strncmp(url, "https://", 8) == 0;
	const char *host = url + (tls ? 8 : 7), *end;
	int64_t number = tls ? 443 : 80;
	size_t n;

	/* "[::1]:8081" has colons of its own. */
	end = *host == '[' ? strchr(host, ']') : NULL;
	end = end != NULL ? end + 1 : host + strcspn(host, ":/");
	n = strcspn(end, "/");
	if (*end == ':' &&
	    text_n_to_i64(end + 1, n - 1, 1, 65535, &number) == -1)
		return 0;
	*port = (uint16_t)number;
	n = (size_t)(end - host);
	return (n == 9 && strncmp(host, "localhost", 9) == 0) ||
	    (n == 5 && strncmp(host, "[::1]", 5) == 0) ||
	    strncmp(host, "127.", 4) == 0;
}
