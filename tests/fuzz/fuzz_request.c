/*
 * A request as a web server hands it over: CGI variables, one a line, then an
 * empty line and the body. Whatever they hold, the path is plain or empty, an
 * address has its few bytes, and no header field of the answer can be broken
 * out of.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/http.h"
#include "lib/peers.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

#define VARIABLES_MAX 64

static void
must(int what)
{
	if (!what)
		abort();
}

/* The lines before the first empty one; returns where the body begins. */
static char *
split(char *text, const char *env[VARIABLES_MAX + 1])
{
	size_t n = 0;

	while (*text != '\0' && *text != '\n' && n < VARIABLES_MAX) {
		char *end = strchr(text, '\n');

		if (strchr(text, '=') != NULL)
			env[n++] = text;
		if (end == NULL)
			break;
		*end = '\0';
		text = end + 1;
	}
	env[n] = NULL;
	return *text == '\n' ? text + 1 : text + strlen(text);
}

static void
must_be_plain(const char *path)
{
	must(*path == '\0' || *path == '/');
	must(strstr(path, "/../") == NULL && strstr(path, "//") == NULL);
	for (; *path != '\0'; path++)
		must(*path > 0x20 && *path < 0x7f && *path != '\\');
}

static void
look(struct http *h)
{
	unsigned char network[HTTP_NETWORK_SIZE];
	struct peers peers;

	must(http_method(h) != NULL && http_query(h) != NULL);
	must_be_plain(http_path(h));
	for (int field = 0; field < HTTP_FIELD__MAX; field++)
		(void)http_field(h, (enum http_field)field);
	(void)http_is_ambiguous(h);
	must(http_is_tls(h) == 0 || http_is_tls(h) == 1);
	if (peers_parse(&peers, "127.0.0.1, 10.0.0.0/8, fd00::/8",
		"X-Forwarded-For") == 0) {
		must(
		    http_client_network(h, &peers, network) <= sizeof(network));
		(void)http_is_secure(h, &peers);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct buf text = BUF(65536), out = BUF(65536), body = BUF(32768);
	const char *env[VARIABLES_MAX + 1], *from;
	struct http h;

	if (buf_add(&text, data, len) == 0) {
		from = split(text.data, env);
		http_from_memory(
		    &h, env, from, (size_t)(text.data + text.len - from), &out);
		look(&h);
		if (http_body(&h, &body) == HTTP_BODY_OK)
			must(body.len <= (size_t)(text.data + text.len - from));
		if (http_status(&h, 200) == 0 &&
		    http_head(&h, "X-Told", "%s", http_query(&h)) == 0)
			(void)http_write(&h, "ok", 2);
		http_end(&h);
		must(strlen(out.data) == out.len);
	}
	buf_free(&text);
	buf_free(&out);
	buf_free(&body);
	return 0;
}
