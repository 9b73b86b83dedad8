/* Addresses and networks of proxies. */
#include "peers.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "text.h"

#define ADDRESS_LEN_MAX 63

void
peers_address(struct peers_address *a, const char *text, size_t n)
{
	char copy[ADDRESS_LEN_MAX + 1];

	memset(a, 0, sizeof(*a));
	a->kind = '?';
	if (n == 0 || n > ADDRESS_LEN_MAX || memchr(text, '\0', n) != NULL)
		return;
	memcpy(copy, text, n);
	copy[n] = '\0';
	if (inet_pton(AF_INET, copy, a->bytes) == 1) {
		a->kind = '4';
		return;
	}
	if (inet_pton(AF_INET6, copy, a->bytes) != 1)
		return;
	a->kind = '6';
	/* ::ffff:198.51.100.7 is an IPv4 client of a dual socket. */
	if (memcmp(a->bytes, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12) == 0) {
		a->kind = '4';
		memmove(a->bytes, a->bytes + 12, 4);
		memset(a->bytes + 4, 0, 12);
	}
}

/* The first 'bits' bits are the same. */
static int
starts_with(const unsigned char *a, const unsigned char *b, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	return memcmp(a, b, whole) == 0 &&
	    (rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0);
}

/* A network with bits beyond its length is a slip: 10.0.0.1/8. */
static int
is_network(const struct peers_network *network)
{
	const unsigned char *bytes = network->address.bytes;
	unsigned rest = network->bits % 8, i = network->bits / 8;

	if (rest != 0 && (bytes[i++] << rest & 0xff) != 0)
		return 0;
	while (i < sizeof(network->address.bytes))
		if (bytes[i++] != 0)
			return 0;
	return 1;
}

static int
parse_network(struct peers_network *network, const char *text)
{
	const char *slash = strchr(text, '/');
	size_t n = slash == NULL ? strlen(text) : (size_t)(slash - text);
	int64_t bits, most, least = 1;

	peers_address(&network->address, text, n);
	if (network->address.kind == '?')
		return -1;
	most = network->address.kind == '4' ? 32 : 128;
	/* The length of ::ffff:10.0.0.0/104 counts the bits before, too. */
	if (network->address.kind == '4' && memchr(text, ':', n) != NULL) {
		most += 96;
		least += 96;
	}
	bits = most;
	if (slash != NULL && text_to_i64(slash + 1, least, most, &bits) == -1)
		return -1;
	network->bits = (unsigned)(bits - least + 1);
	return is_network(network) ? 0 : -1;
}

static int
add(struct peers *p, const char *word)
{
	if (strcasecmp(word, "unix") == 0) {
		p->local = 1;
		return 0;
	}
	if (p->n == PEERS_MAX)
		return -1;
	return parse_network(&p->networks[p->n++], word);
}

static int
parse_list(struct peers *p, const char *list)
{
	static const char between[] = ", \t";
	char word[ADDRESS_LEN_MAX + 1];
	size_t n;

	for (list += strspn(list, between); *list != '\0';
	     list += strspn(list, between)) {
		n = strcspn(list, between);
		if (n >= sizeof(word))
			return -1;
		memcpy(word, list, n);
		word[n] = '\0';
		if (add(p, word) == -1)
			return -1;
		list += n;
	}
	return peers_is_list(p) ? 0 : -1;
}

static int
is_one_of(const char *value, const char *const *words)
{
	while (*words != NULL && strcasecmp(value, *words) != 0)
		words++;
	return *words != NULL;
}

int
peers_parse(struct peers *p, const char *list, const char *header)
{
	static const char *const on[] = { "1", "true", "yes", "on", NULL };
	static const char *const off[] = { "0", "false", "no", "off", "",
		NULL };

	memset(p, 0, sizeof(*p));
	p->forwarded = strcasecmp(header, "Forwarded") == 0;
	if (!p->forwarded && strcasecmp(header, "X-Forwarded-For") != 0)
		return -1;
	p->everybody = is_one_of(list, on);
	if (p->everybody || is_one_of(list, off))
		return 0;
	return parse_list(p, list);
}

int
peers_has(const struct peers *p, const struct peers_address *a)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct peers_network *network = &p->networks[i];

		if (network->address.kind == a->kind &&
		    starts_with(
			network->address.bytes, a->bytes, network->bits))
			return 1;
	}
	return 0;
}

int
peers_believe(const struct peers *p, const char *remote)
{
	struct peers_address a;

	if (p->everybody)
		return 1;
	/* Of a Unix socket lighttpd tells the path, Caddy "@". */
	if (*remote == '/' || *remote == '@')
		return p->local;
	peers_address(&a, remote, strlen(remote));
	return peers_has(p, &a);
}

int
peers_is_list(const struct peers *p)
{
	return p->local || p->n > 0;
}
