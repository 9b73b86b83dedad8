/*
 * The first byte chooses the header, the next line is a list of proxies, the
 * rest is what the peer says. Whatever a client makes up left of a listed
 * proxy's own word, that word counts.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/http.h"
#include "lib/peers.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
must(int what)
{
	if (!what)
		abort();
}

/* The client that these proxies tell of, and what the length of it says. */
static size_t
client(const struct peers *peers, const char *said, unsigned char *network)
{
	const char *const env[] = { "REMOTE_ADDR=10.0.0.1", said, NULL };
	struct http h;
	size_t n;

	http_from_memory(&h, env, "", 0, NULL);
	(void)http_is_secure(&h, peers);
	n = http_client_network(&h, peers, network);
	must((network[0] == '4' && n == 5) || (network[0] == '6' && n == 9) ||
	    (network[0] == '?' && n == 1));
	return n;
}

/* Only where the rest cannot be read may the proxy's word be lost. */
static void
check_appended(const struct peers *peers, const char *name, const char *said)
{
	static const unsigned char proxied[5] = { '4', 198, 51, 100, 7 };
	unsigned char network[HTTP_NETWORK_SIZE];
	char *all;

	if (asprintf(&all, "%s=%s, %s198.51.100.7", name, said,
		peers->forwarded ? "for=" : "") == -1)
		return;
	if (client(peers, all, network) == 5 || !peers->forwarded)
		must(memcmp(network, proxied, sizeof(proxied)) == 0);
	free(all);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), *said, *all;
	unsigned char network[HTTP_NETWORK_SIZE];
	struct peers peers;
	const char *name;

	if (size == 0 || text == NULL)
		goto done;
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	name = data[0] & 1 ? "HTTP_FORWARDED" : "HTTP_X_FORWARDED_FOR";
	said = strchr(text, '\n');
	said = said == NULL ? text + strlen(text) : said;
	if (*said == '\n')
		*said++ = '\0';
	(void)peers_parse(&peers, text, "Forwarded"); /* any answer will do */
	must(peers.n <= PEERS_MAX);
	must(peers_parse(&peers, "10.0.0.0/8",
		 data[0] & 1 ? "Forwarded" : "X-Forwarded-For") == 0);
	if (asprintf(&all, "%s=%s", name, said) != -1) {
		(void)client(&peers, all, network);
		free(all);
	}
	check_appended(&peers, name, said);
done:
	free(text);
	return 0;
}
