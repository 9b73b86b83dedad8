/* The table of settings, and what can be said of one without its value. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "config_internal.h"
#include "text.h"

/* How a value is read. */
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

/* What "make install" was told. */
#ifndef PMPROXY_STATE
#define PMPROXY_STATE "/var/lib/pmproxy"
#endif
#ifndef PMPROXY_RUN
#define PMPROXY_RUN "/run/pmproxy"
#endif

#define DAY 86400
#define MANY 1000000000
#define MIB (INT64_C(1) << 20)

static const struct row table[CONFIG__MAX] = {
	[CONFIG_ADMIN_PASSWORD] = { "ADMIN_PASSWORD", TEXT, SECRET, "", 0, 0,
	    "password of the admin pages; without one they are off" },
	[CONFIG_ADMIN_IDLE] = { "ADMIN_IDLE", SPAN, PLAIN, "1800", 60, DAY,
	    "without a request, after which an admin is logged out" },
	[CONFIG_ADMIN_LIFETIME] = { "ADMIN_LIFETIME", SPAN, PLAIN, "43200", 60,
	    30 * DAY, "after logging in, when an admin has to log in again" },
	[CONFIG_ADMIN_BIND_ADDRESS] = { "ADMIN_BIND_ADDRESS", SWITCH, PLAIN,
	    "0", 0, 1, "end an admin's session when the address changes" },
	[CONFIG_PUBLIC_HELP] = { "PUBLIC_HELP", SWITCH, PLAIN, "0", 0, 1,
	    "show how to use a key at /help, without login" },
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
	[CONFIG_STATE_DIR] = { "STATE_DIR", TEXT, PLAIN, PMPROXY_STATE, 0, 0,
	    "folder of the key store, the settings and the usage" },
	[CONFIG_STORE_KEY_FILE] = { "STORE_KEY_FILE", TEXT, PLAIN, "", 0, 0,
	    "file of the key that all of STATE_DIR is sealed under" },
	[CONFIG_RUN_DIR] = { "RUN_DIR", TEXT, PLAIN, PMPROXY_RUN, 0, 0,
	    "folder on tmpfs: sockets, shared memory, uploads in passing" },
	[CONFIG_DOMAIN] = { "DOMAIN", TEXT, PLAIN, "", 0, 0,
	    "the name under which clients reach this gate" },
	[CONFIG_TLS_AUTO] = { "TLS_AUTO", SWITCH, PLAIN, "0", 0, 1,
	    "get and renew a certificate for DOMAIN" },
	[CONFIG_ACME_URL] = { "ACME_URL", TEXT, PLAIN,
	    "https://acme-v02.api.letsencrypt.org/directory", 0, 0,
	    "directory of the authority that TLS_AUTO asks" },
	[CONFIG_ACME_EMAIL] = { "ACME_EMAIL", TEXT, PLAIN, "", 0, 0,
	    "where that authority may write to; it may go without" },
	[CONFIG_HTTP_PORT] = { "HTTP_PORT", NUMBER, PLAIN, "0", 0, 65535,
	    "port for plain HTTP beside PORT; 80 with TLS_AUTO, else none" },
	[CONFIG_TLS_CERT_FILE] = { "TLS_CERT_FILE", TEXT, PLAIN, "", 0, 0,
	    "certificate chain (PEM); switches TLS on" },
	[CONFIG_TLS_KEY_FILE] = { "TLS_KEY_FILE", TEXT, PLAIN, "", 0, 0,
	    "private key of that certificate (PEM)" },
	[CONFIG_TLS_OCSP_FILE] = { "TLS_OCSP_FILE", TEXT, PLAIN, "", 0, 0,
	    "stapled OCSP answer for that certificate (DER), if any" },
	[CONFIG_FORCE_HTTPS] = { "FORCE_HTTPS", SWITCH, PLAIN, "", 0, 1,
	    "refuse plain HTTP; on by default where TLS is on" },
	[CONFIG_TRUST_PROXY] = { "TRUST_PROXY", TEXT, PLAIN, "0", 0, 0,
	    "addresses of proxies in front; 0: none, 1: any" },
	[CONFIG_TRUST_PROXY_HEADER] = { "TRUST_PROXY_HEADER", TEXT, PLAIN,
	    "X-Forwarded-For", 0, 0,
	    "what they write: X-Forwarded-For or Forwarded" },
	[CONFIG_PROXY_PROTOCOL] = { "PROXY_PROTOCOL", SWITCH, PLAIN, "0", 0, 1,
	    "those in TRUST_PROXY speak the PROXY protocol" },
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
	[CONFIG_BUDGET_WARNING] = { "BUDGET_WARNING", NUMBER, LIVE, "80", 1,
	    100, "percent of a key's budget from which its holder is told" },
	/* The month that budgets are counted by is always kept. */
	[CONFIG_USAGE_RETENTION] = { "USAGE_RETENTION", SPAN, LIVE, "400d",
	    32 * DAY, INT64_C(36500) * DAY,
	    "how long usage is kept; pmusage prune removes what is older" },
	[CONFIG_MAX_BODY_BYTES] = { "MAX_BODY_BYTES", NUMBER, PLAIN, "67108864",
	    1024, 1024 * MIB, "largest request body" },
	[CONFIG_MAX_BODY_MEMORY] = { "MAX_BODY_MEMORY", NUMBER, PLAIN,
	    "536870912", MIB, 1024 * 1024 * MIB,
	    "memory for the bodies of all requests at once" },
	[CONFIG_MAX_KEY_BODY_MEMORY] = { "MAX_KEY_BODY_MEMORY", NUMBER, PLAIN,
	    "268435456", MIB, 1024 * 1024 * MIB,
	    "of that memory, what one key may take" },
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
	[CONFIG_TOTAL_TIMEOUT] = { "UPSTREAM_TOTAL_TIMEOUT", SPAN, LIVE, "7200",
	    1, DAY, "from a request until the end of its answer" },
	[CONFIG_KEEPALIVE_INTERVAL] = { "KEEPALIVE_INTERVAL", SPAN, LIVE, "15",
	    1, 3600, "of silence before a stream gets a keep-alive comment" },
	[CONFIG_METRICS_TOKEN] = { "METRICS_TOKEN", TEXT, SECRET, "", 0, 0,
	    "bearer token of /metrics; without one there is no such path" },
	[CONFIG_METRICS_BY_KEY] = { "METRICS_BY_KEY", SWITCH, PLAIN, "0", 0, 1,
	    "requests and tokens of each key in /metrics, by key id" },
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

const char *
config_fallback(enum config_name name)
{
	return table[name].fallback;
}

const char *
config_wanted(enum config_name name)
{
	static const char *const wanted[] = { "text", "a number",
		"a span of time (in seconds)", "a switch (on or off)" };

	return wanted[table[name].kind];
}

char *
config_number_text(
    char dst[CONFIG_NUMBER_SIZE], enum config_name name, int64_t number)
{
	if (table[name].kind == SPAN)
		return text_span(dst, number);
	(void)snprintf(dst, CONFIG_NUMBER_SIZE, "%" PRId64, number);
	return dst;
}

static int
is_one_of(const char *value, const char *const *words)
{
	while (*words != NULL && strcasecmp(value, *words) != 0)
		words++;
	return *words != NULL;
}

static int
parse_switch(const char *value, int64_t *out)
{
	static const char *const on[] = { "1", "true", "yes", "on", NULL };
	static const char *const off[] = { "0", "false", "no", "off", "",
		NULL };

	if (!is_one_of(value, on) && !is_one_of(value, off))
		return -1;
	*out = is_one_of(value, on);
	return 0;
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
