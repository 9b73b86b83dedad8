/*
 * Settings out of the environment and a .env file, checked against one table.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "secret.h"
#include "text.h"

/* Longer lines are no settings; an API_KEYS of hundreds of keys still fits. */
#define LINE_SIZE 65536

enum kind {
	TEXT,
	NUMBER,
	SPAN,
	SWITCH
};

/* What a setting is good for besides its value. */
enum trait {
	PLAIN = 0,
	SECRET = 1,
	LIVE = 2
};

struct row {
	const char *label;
	enum kind kind;
	int traits;
	const char *fallback; /* "" is unset */
	int64_t min, max;
	const char *meaning;
};

#define DAY 86400
#define MANY 1000000000
#define MIB (INT64_C(1) << 20)

static const struct row table[CONFIG__MAX] = {
	[CONFIG_ADMIN_PASSWORD] = { "ADMIN_PASSWORD", TEXT, SECRET, "", 0, 0,
	    "password of the admin pages; without one they are off" },
	[CONFIG_PRIVATEMODE_API_KEY] = { "PRIVATEMODE_API_KEY", TEXT, SECRET,
	    "", 0, 0, "the organisation's Privatemode key, sent upstream" },
	[CONFIG_PRIVATEMODE_API_KEY_FILE] = { "PRIVATEMODE_API_KEY_FILE", TEXT,
	    PLAIN, "", 0, 0, "file that holds PRIVATEMODE_API_KEY instead" },
	[CONFIG_API_KEYS] = { "API_KEYS", TEXT, SECRET, "", 0, 0,
	    "comma-separated keys that are valid beside the key store" },
	[CONFIG_UPSTREAM_URL] = { "UPSTREAM_URL", TEXT, PLAIN,
	    "http://127.0.0.1:8081", 0, 0, "where privatemode-proxy listens" },
	[CONFIG_PORT] = { "PORT", NUMBER, PLAIN, "8080", 1, 65535,
	    "port of the web server" },
	[CONFIG_STATE_DIR] = { "STATE_DIR", TEXT, PLAIN, "/var/lib/pmproxy", 0,
	    0, "folder of the key store, the settings and the usage" },
	[CONFIG_RUN_DIR] = { "RUN_DIR", TEXT, PLAIN, "/run/pmproxy", 0, 0,
	    "folder on tmpfs: sockets, shared memory, uploads in passing" },
	[CONFIG_TLS_CERT_FILE] = { "TLS_CERT_FILE", TEXT, PLAIN, "", 0, 0,
	    "certificate chain (PEM); switches TLS on" },
	[CONFIG_TLS_KEY_FILE] = { "TLS_KEY_FILE", TEXT, PLAIN, "", 0, 0,
	    "private key of that certificate (PEM)" },
	[CONFIG_FORCE_HTTPS] = { "FORCE_HTTPS", SWITCH, PLAIN, "", 0, 1,
	    "refuse plain HTTP; on by default where TLS is on" },
	[CONFIG_TRUST_PROXY] = { "TRUST_PROXY", SWITCH, PLAIN, "0", 0, 1,
	    "believe X-Forwarded-For and -Proto of the nearest proxy" },
	[CONFIG_CORS_ALLOW_ORIGINS] = { "CORS_ALLOW_ORIGINS", TEXT, PLAIN, "",
	    0, 0, "comma-separated origins whose web pages may call" },
	[CONFIG_RATE_LIMIT_REQUESTS] = { "RATE_LIMIT_REQUESTS", NUMBER, LIVE,
	    "100", 0, MANY, "requests a window for all keys together; 0: any" },
	[CONFIG_RATE_LIMIT_WINDOW] = { "RATE_LIMIT_WINDOW", SPAN, LIVE, "60", 1,
	    DAY, "length of that window and of each key's own" },
	[CONFIG_IP_RATE_LIMIT_REQUESTS] = { "IP_RATE_LIMIT_REQUESTS", NUMBER,
	    LIVE, "1000", 0, MANY, "requests a window and address; 0: any" },
	[CONFIG_IP_RATE_LIMIT_WINDOW] = { "IP_RATE_LIMIT_WINDOW", SPAN, LIVE,
	    "60", 1, DAY, "length of that window" },
	[CONFIG_FAILED_AUTH_LIMIT] = { "FAILED_AUTH_LIMIT", NUMBER, LIVE, "30",
	    0, MANY, "wrong keys a window and address; 0: any" },
	[CONFIG_FAILED_AUTH_WINDOW] = { "FAILED_AUTH_WINDOW", SPAN, LIVE, "60",
	    1, DAY, "length of that window" },
	[CONFIG_MAX_BODY_BYTES] = { "MAX_BODY_BYTES", NUMBER, PLAIN, "67108864",
	    1024, 1024 * MIB, "largest request body" },
	[CONFIG_MAX_BODY_MEMORY] = { "MAX_BODY_MEMORY", NUMBER, PLAIN,
	    "536870912", MIB, 1024 * 1024 * MIB,
	    "memory for the bodies of all requests at once" },
	[CONFIG_MAX_IN_FLIGHT] = { "MAX_IN_FLIGHT", NUMBER, PLAIN, "1000", 1,
	    20000, "requests being answered at once" },
	[CONFIG_PROCESSES] = { "PROCESSES", NUMBER, PLAIN, "2", 1, 32,
	    "responder processes" },
	[CONFIG_CONNECT_TIMEOUT] = { "UPSTREAM_CONNECT_TIMEOUT", SPAN, LIVE,
	    "5", 1, 3600, "to connect to the upstream" },
	[CONFIG_FIRST_BYTE_TIMEOUT] = { "UPSTREAM_FIRST_BYTE_TIMEOUT", SPAN,
	    LIVE, "300", 1, DAY, "until the upstream's answer begins" },
	[CONFIG_IDLE_TIMEOUT] = { "UPSTREAM_IDLE_TIMEOUT", SPAN, LIVE, "120", 1,
	    DAY,
	    "of silence in an answer; also for clients that stop reading" },
	[CONFIG_KEEPALIVE_INTERVAL] = { "KEEPALIVE_INTERVAL", SPAN, LIVE, "15",
	    1, 3600, "of silence before a stream gets a keep-alive comment" },
};

struct config {
	char *text[CONFIG__MAX]; /* NULL: never given */
	int64_t number[CONFIG__MAX];
};

const char *
config_label(enum config_name name)
{
	return table[name].label;
}

const char *
config_meaning(enum config_name name)
{
	return table[name].meaning;
}

const char *
config_fallback(enum config_name name)
{
	return table[name].fallback;
}

int
config_is_given(const struct config *c, enum config_name name)
{
	return c->text[name] != NULL && *c->text[name] != '\0';
}

enum config_name
config_find(const char *label)
{
	enum config_name name = 0;

	while (name < CONFIG__MAX && strcmp(table[name].label, label) != 0)
		name++;
	return name;
}

int
config_is_live(enum config_name name)
{
	return (table[name].traits & LIVE) != 0;
}

int
config_is_secret(enum config_name name)
{
	return (table[name].traits & SECRET) != 0;
}

int
config_is_number(enum config_name name, int64_t *min, int64_t *max)
{
	*min = table[name].min;
	*max = table[name].max;
	return table[name].kind != TEXT;
}

static int
parse_switch(const char *value, int64_t *out)
{
	static const char *const on[] = { "1", "true", "yes", "on" };
	static const char *const off[] = { "0", "false", "no", "off", "" };

	for (size_t i = 0; i < sizeof(on) / sizeof(on[0]); i++)
		if (strcasecmp(value, on[i]) == 0) {
			*out = 1;
			return 0;
		}
	for (size_t i = 0; i < sizeof(off) / sizeof(off[0]); i++)
		if (strcasecmp(value, off[i]) == 0) {
			*out = 0;
			return 0;
		}
	return -1;
}

int
config_parse(enum config_name name, const char *value, int64_t *out)
{
	const struct row *row = &table[name];
	int64_t n = 0;
	int bad = -1;

	if (row->kind == NUMBER)
		bad = text_to_i64(value, row->min, row->max, &n);
	else if (row->kind == SPAN)
		bad = text_to_span(value, &n);
	else if (row->kind == SWITCH)
		bad = parse_switch(value, &n);
	if (bad || n < row->min || n > row->max)
		return -1;
	*out = n;
	return 0;
}

/* A later value takes the place of an earlier one. */
static int
remember(struct config *c, enum config_name name, const char *value)
{
	char *copy = strdup(value);

	if (copy == NULL) {
		log_warn("cannot keep '%s'", table[name].label);
		return -1;
	}
	if (c->text[name] != NULL) {
		secret_wipe(c->text[name], strlen(c->text[name]));
		free(c->text[name]);
	}
	c->text[name] = copy;
	return 0;
}

static char *
trim(char *s)
{
	size_t n;

	s += strspn(s, " \t");
	for (n = strlen(s); n > 0 && strchr(" \t\r\n", s[n - 1]); n--)
		continue;
	s[n] = '\0';
	if (n >= 2 && (s[0] == '"' || s[0] == '\'') && s[n - 1] == s[0]) {
		s[n - 1] = '\0';
		s++;
	}
	return s;
}

/* One "NAME=value" line; a name that is not ours may serve somebody else. */
static int
read_line(struct config *c, char *line, const char *path, int number)
{
	char *name = line + strspn(line, " \t"), *equals;
	enum config_name which;

	if (*name == '#' || name[strspn(name, " \t\r\n")] == '\0')
		return 0;
	if (strncmp(name, "export ", 7) == 0)
		name += 7;
	if ((equals = strchr(name, '=')) == NULL) {
		log_warnx("%s:%d: not of the form NAME=value", path, number);
		return -1;
	}
	*equals = '\0';
	which = config_find(trim(name));
	if (which == CONFIG__MAX) {
		log_info("%s:%d: '%s' is no setting of pmproxy", path, number,
		    trim(name));
		return 0;
	}
	return remember(c, which, trim(equals + 1));
}

static int
read_file(struct config *c, const char *path)
{
	FILE *f = fopen(path, "re");
	char *line = NULL;
	int number = 0, bad = 0;

	if (f == NULL || (line = malloc(LINE_SIZE)) == NULL) {
		log_warn("cannot open '%s'", path);
		bad = -1;
		goto close;
	}
	while (fgets(line, LINE_SIZE, f) != NULL) {
		number++;
		if (strlen(line) == LINE_SIZE - 1) {
			log_warnx("%s:%d: the line is too long", path, number);
			bad = -1;
			break;
		}
		if (read_line(c, line, path, number) == -1)
			bad = -1;
	}
	if (ferror(f)) {
		log_warn("cannot read '%s'", path);
		bad = -1;
	}
	secret_wipe(line, LINE_SIZE);
close:
	free(line);
	if (f != NULL)
		(void)fclose(f); /* read only: nothing can be lost */
	return bad;
}

static int
read_environment(struct config *c)
{
	for (enum config_name name = 0; name < CONFIG__MAX; name++) {
		const char *value = getenv(table[name].label);

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
	char line[1024] = "";
	int bad = 0;
	FILE *f;

	if (*path == '\0')
		return 0;
	if ((f = fopen(path, "re")) == NULL ||
	    fgets(line, sizeof(line), f) == NULL || trim(line)[0] == '\0') {
		log_warnx("PRIVATEMODE_API_KEY_FILE: no key in '%s'", path);
		bad = -1;
	} else {
		bad = remember(c, CONFIG_PRIVATEMODE_API_KEY, trim(line));
	}
	secret_wipe(line, sizeof(line));
	if (f != NULL)
		(void)fclose(f); /* read only */
	return bad;
}

static int
settle_numbers(struct config *c)
{
	int bad = 0;

	for (enum config_name name = 0; name < CONFIG__MAX; name++) {
		const char *value = config_text(c, name);

		if (table[name].kind == TEXT)
			continue;
		if (*value == '\0')
			value = table[name].fallback;
		if (config_parse(name, value, &c->number[name]) == 0)
			continue;
		log_warnx("%s: not a %s from %lld to %lld", table[name].label,
		    table[name].kind == SPAN ? "span of time (in seconds)"
					     : "number",
		    (long long)table[name].min, (long long)table[name].max);
		bad = -1;
	}
	return bad;
}

/* A header value is built of them: no control characters. */
static int
is_printable(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return 0;
	return 1;
}

static int
check_together(struct config *c)
{
	const char *url = config_text(c, CONFIG_UPSTREAM_URL);
	int tls = *config_text(c, CONFIG_TLS_CERT_FILE) != '\0';
	int bad = 0;

	for (enum config_name name = 0; name < CONFIG__MAX; name++)
		if (!is_printable(config_text(c, name))) {
			log_warnx(
			    "%s: holds a control character", table[name].label);
			bad = -1;
		}
	if (strncmp(url, "http://", 7) != 0 &&
	    strncmp(url, "https://", 8) != 0) {
		log_warnx("UPSTREAM_URL: neither http:// nor https://");
		bad = -1;
	}
	if (tls != (*config_text(c, CONFIG_TLS_KEY_FILE) != '\0')) {
		log_warnx("TLS_CERT_FILE and TLS_KEY_FILE go together");
		bad = -1;
	}
	if (*config_text(c, CONFIG_FORCE_HTTPS) == '\0')
		c->number[CONFIG_FORCE_HTTPS] = tls;
	return bad;
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
	if ((path != NULL && *path != '\0' && read_file(c, path) == -1) ||
	    read_environment(c) == -1 || read_key_file(c) == -1 ||
	    (settle_numbers(c) | check_together(c)) != 0) {
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

	/* An empty value is an unset one. */
	if (value == NULL || *value == '\0')
		return table[name].kind == TEXT ? table[name].fallback : "";
	return value;
}

int64_t
config_number(const struct config *c, enum config_name name)
{
	return c->number[name];
}
