/* Settings out of the environment and a .env file, checked together. */
#include "config.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_internal.h"
#include "log.h"
#include "peers.h"
#include "seal.h"
#include "secret.h"

/* Longer than any key; a file that is longer is not one. */
#define KEY_MAX 1000
#define METRICS_TOKEN_MIN 16
#define URL_MAX 500
/* Of a host's name (RFC 1035, 2.3.4). */
#define DOMAIN_MAX 253
#define LABEL_MAX 63

struct config {
	char *text[CONFIG__MAX]; /* NULL: never given */
	int64_t number[CONFIG__MAX];
};

/* A later value takes the place of an earlier one. */
static int
remember(void *arg, enum config_name name, const char *value)
{
	struct config *c = arg;
	char *copy = strdup(value);

	if (copy == NULL) {
		log_warn("cannot keep '%s'", config_label(name));
		return -1;
	}
	if (c->text[name] != NULL) {
		secret_wipe(c->text[name], strlen(c->text[name]));
		free(c->text[name]);
	}
	c->text[name] = copy;
	return 0;
}

static int
read_environment(struct config *c)
{
	for (enum config_name name = 0; name < CONFIG__MAX; name++) {
		const char *value = getenv(config_label(name));

		/* Compose files pass on unset names as empty ones. */
		if (value != NULL && *value != '\0' &&
		    remember(c, name, value) == -1)
			return -1;
	}
	return 0;
}

/* The key may stand in a file of its own, as systemd's credentials do. */
static int
read_key_file(struct config *c)
{
	const char *path = config_text(c, CONFIG_PRIVATEMODE_API_KEY_FILE);
	struct buf key = BUF(KEY_MAX);
	int bad;

	if (*path == '\0')
		return 0;
	if (*config_text(c, CONFIG_PRIVATEMODE_API_KEY) != '\0') {
		log_warnx("PRIVATEMODE_API_KEY and PRIVATEMODE_API_KEY_FILE: "
			  "only one of them can hold");
		return -1;
	}
	bad = config_read_file(path, &key);
	while (key.len > 0 && strchr(" \t\r\n", key.data[key.len - 1]) != NULL)
		key.data[--key.len] = '\0';
	if (!bad && (key.len == 0 || strlen(key.data) != key.len)) {
		log_warnx("PRIVATEMODE_API_KEY_FILE: no key in '%s'", path);
		bad = -1;
	}
	if (!bad)
		bad = remember(c, CONFIG_PRIVATEMODE_API_KEY, key.data);
	buf_free(&key);
	return bad;
}

static int
settle_numbers(struct config *c)
{
	int64_t min, max;
	int bad = 0;

	for (enum config_name name = 0; name < CONFIG__MAX; name++) {
		const char *value = config_text(c, name);

		if (!config_is_number(name, &min, &max))
			continue;
		if (*value == '\0')
			value = config_fallback(name);
		if (config_parse(name, value, &c->number[name]) == 0)
			continue;
		log_warnx("%s: not %s from %lld to %lld", config_label(name),
		    config_wanted(name), (long long)min, (long long)max);
		bad = -1;
	}
	return bad;
}

/* Header values and lines of other files are made of them. */
static int
check_characters(const struct config *c)
{
	int bad = 0;

	for (enum config_name name = 0; name < CONFIG__MAX; name++) {
		const char *s = config_text(c, name);

		while ((unsigned char)*s >= 0x20 && *s != 0x7f)
			s++;
		if (*s == '\0')
			continue;
		log_warnx("%s: holds a control character", config_label(name));
		bad = -1;
	}
	return bad;
}

/* Paths are appended to it; a name and password in it would be sent along. */
static int
check_url(const struct config *c)
{
	const char *url = config_text(c, CONFIG_UPSTREAM_URL), *host = NULL;

	if (strncmp(url, "http://", 7) == 0)
		host = url + 7;
	else if (strncmp(url, "https://", 8) == 0)
		host = url + 8;
	if (host != NULL && *host != '\0' && *host != '/' &&
	    strpbrk(host, "?#@\\ ") == NULL && strlen(url) < URL_MAX)
		return 0;
	log_warnx("UPSTREAM_URL: not of the form http://host:port or "
		  "https://host:port");
	return -1;
}

/* A name as certificates have it; an address is not one. */
static int
check_domain(const struct config *c)
{
	const char *name = config_text(c, CONFIG_DOMAIN), *label = name;
	size_t n = strlen(name);

	if (n == 0)
		return 0;
	while (n <= DOMAIN_MAX) {
		size_t len = strspn(label,
		    "abcdefghijklmnopqrstuvwxyz"
		    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-");

		if (len == 0 || len > LABEL_MAX || *label == '-' ||
		    label[len - 1] == '-')
			break;
		if (label[len] == '\0' && strspn(label, "0123456789") != len)
			return 0;
		if (label[len] != '.')
			break;
		label += len + 1;
	}
	log_warnx("DOMAIN: not the name of a host");
	return -1;
}

/* What is told to it, and what it answers, would pass in the clear. */
static int
check_acme_url(const struct config *c)
{
	const char *url = config_text(c, CONFIG_ACME_URL);

	if (strlen(url) < URL_MAX && strpbrk(url, " \"\\") == NULL &&
	    strncmp(url, "https://", 8) == 0)
		return 0;
	log_warnx("ACME_URL: not of the form https://host/path");
	return -1;
}

/* Where pmproxy-certificate keeps what it got. */
static int
settle_automatic_files(struct config *c)
{
	static const struct {
		enum config_name name;
		const char *file;
	} all[] = { { CONFIG_TLS_CERT_FILE, "chain.pem" },
		{ CONFIG_TLS_KEY_FILE, "key.pem" },
		{ CONFIG_TLS_OCSP_FILE, "ocsp.der" } };
	char path[PATH_MAX];
	int n, bad = 0;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (*config_text(c, all[i].name) != '\0') {
			log_warnx("%s: is for a certificate of your own, "
				  "without TLS_AUTO",
			    config_label(all[i].name));
			return -1;
		}
		n = snprintf(path, sizeof(path), "%s/tls/live/%s",
		    config_text(c, CONFIG_STATE_DIR), all[i].file);
		if (n < 0 || (size_t)n >= sizeof(path)) {
			log_warnx("STATE_DIR: too long");
			return -1;
		}
		bad |= remember(c, all[i].name, path);
	}
	return bad;
}

/* The authority asks on port 80, or wherever that leads. */
static int
settle_automatic(struct config *c)
{
	if (*config_text(c, CONFIG_DOMAIN) == '\0') {
		log_warnx("TLS_AUTO: needs DOMAIN");
		return -1;
	}
	if (!config_is_given(c, CONFIG_HTTP_PORT))
		c->number[CONFIG_HTTP_PORT] = 80;
	if (c->number[CONFIG_HTTP_PORT] == 0) {
		log_warnx("TLS_AUTO: needs an HTTP_PORT");
		return -1;
	}
	return settle_automatic_files(c);
}

static int
settle_tls(struct config *c)
{
	int tls;

	if (config_number(c, CONFIG_TLS_AUTO) && settle_automatic(c) == -1)
		return -1;
	tls = *config_text(c, CONFIG_TLS_CERT_FILE) != '\0';
	if (tls != (*config_text(c, CONFIG_TLS_KEY_FILE) != '\0')) {
		log_warnx("TLS_CERT_FILE and TLS_KEY_FILE go together");
		return -1;
	}
	if (c->number[CONFIG_HTTP_PORT] == c->number[CONFIG_PORT]) {
		log_warnx("HTTP_PORT: the same as PORT");
		return -1;
	}
	if (*config_text(c, CONFIG_FORCE_HTTPS) == '\0')
		c->number[CONFIG_FORCE_HTTPS] = tls;
	return 0;
}

/* One that can be guessed would show how much an organisation does. */
static int
check_metrics_token(const struct config *c)
{
	size_t n = strlen(config_text(c, CONFIG_METRICS_TOKEN));

	if (n == 0 || n >= METRICS_TOKEN_MIN)
		return 0;
	log_warnx(
	    "METRICS_TOKEN: shorter than %d characters", METRICS_TOKEN_MIN);
	return -1;
}

/* The PROXY protocol is only as good as the list of who may speak it. */
static int
check_proxies(const struct config *c)
{
	struct peers peers;

	if (peers_parse(
		&peers, "0", config_text(c, CONFIG_TRUST_PROXY_HEADER)) == -1) {
		log_warnx("TRUST_PROXY_HEADER: neither X-Forwarded-For nor "
			  "Forwarded");
		return -1;
	}
	if (config_peers(c, &peers) == -1) {
		log_warnx("TRUST_PROXY: not a switch, nor a list of addresses "
			  "and networks");
		return -1;
	}
	if (c->number[CONFIG_PROXY_PROTOCOL] && peers.n == 0) {
		log_warnx("PROXY_PROTOCOL: needs a list of addresses in "
			  "TRUST_PROXY");
		return -1;
	}
	return 0;
}

int
config_peers(const struct config *c, struct peers *peers)
{
	return peers_parse(peers, config_text(c, CONFIG_TRUST_PROXY),
	    config_text(c, CONFIG_TRUST_PROXY_HEADER));
}

struct config *
config_load(void)
{
	struct config *c = calloc(1, sizeof(*c));
	const char *path = getenv("PMPROXY_ENV");

	if (c == NULL) {
		log_warn("cannot load the configuration");
		return NULL;
	}
	if ((path != NULL && *path != '\0' &&
		config_read_env(path, remember, c) == -1) ||
	    read_environment(c) == -1 ||
	    /* Each, so that every mistake is told at once. */
	    (read_key_file(c) | settle_numbers(c) | check_characters(c) |
		check_url(c) | check_domain(c) | check_acme_url(c) |
		settle_tls(c) | check_proxies(c) | check_metrics_token(c)) !=
		0 ||
	    seal_use(config_text(c, CONFIG_STORE_KEY_FILE)) == -1) {
		config_free(c);
		return NULL;
	}
	return c;
}

void
config_free(struct config *c)
{
	if (c == NULL)
		return;
	for (enum config_name name = 0; name < CONFIG__MAX; name++)
		if (c->text[name] != NULL) {
			secret_wipe(c->text[name], strlen(c->text[name]));
			free(c->text[name]);
		}
	free(c);
}

const char *
config_text(const struct config *c, enum config_name name)
{
	const char *value = c->text[name];
	int64_t min, max;

	/* An empty value is an unset one. */
	if (value == NULL || *value == '\0')
		return config_is_number(name, &min, &max)
		    ? ""
		    : config_fallback(name);
	return value;
}

int64_t
config_number(const struct config *c, enum config_name name)
{
	return c->number[name];
}

int
config_is_given(const struct config *c, enum config_name name)
{
	return c->text[name] != NULL && *c->text[name] != '\0';
}
