/*
 * config.h - the settings a program starts with: the environment, or a .env
 * file named by PMPROXY_ENV. A name set in the environment wins over the same
 * name in the file. One table (config.c) gives each its default, bounds and
 * meaning. After loading a configuration is constant.
 */
#ifndef PMPROXY_CONFIG_H
#define PMPROXY_CONFIG_H

#include <stddef.h>
#include <stdint.h>

enum config_name {
	CONFIG_ADMIN_PASSWORD,
	CONFIG_ADMIN_IDLE,
	CONFIG_ADMIN_LIFETIME,
	CONFIG_ADMIN_BIND_ADDRESS,
	CONFIG_PUBLIC_HELP,
	CONFIG_PRIVATEMODE_API_KEY,
	CONFIG_PRIVATEMODE_API_KEY_FILE,
	CONFIG_API_KEYS,
	CONFIG_UPSTREAM_URL,
	CONFIG_PORT,
	CONFIG_STATE_DIR,
	CONFIG_STORE_KEY_FILE,
	CONFIG_RUN_DIR,
	CONFIG_DOMAIN,
	CONFIG_TLS_AUTO,
	CONFIG_ACME_URL,
	CONFIG_ACME_EMAIL,
	CONFIG_HTTP_PORT,
	CONFIG_TLS_CERT_FILE,
	CONFIG_TLS_KEY_FILE,
	CONFIG_TLS_OCSP_FILE,
	CONFIG_FORCE_HTTPS,
	CONFIG_TRUST_PROXY,
	CONFIG_TRUST_PROXY_HEADER,
	CONFIG_PROXY_PROTOCOL,
	CONFIG_CORS_ALLOW_ORIGINS,
	CONFIG_RATE_LIMIT_REQUESTS,
	CONFIG_RATE_LIMIT_WINDOW,
	CONFIG_IP_RATE_LIMIT_REQUESTS,
	CONFIG_IP_RATE_LIMIT_WINDOW,
	CONFIG_FAILED_AUTH_LIMIT,
	CONFIG_FAILED_AUTH_WINDOW,
	CONFIG_BUDGET_WARNING,
	CONFIG_USAGE_RETENTION,
	CONFIG_MAX_BODY_BYTES,
	CONFIG_MAX_BODY_MEMORY,
	CONFIG_MAX_KEY_BODY_MEMORY,
	CONFIG_MAX_IN_FLIGHT,
	CONFIG_PROCESSES,
	CONFIG_CONNECT_TIMEOUT,
	CONFIG_FIRST_BYTE_TIMEOUT,
	CONFIG_IDLE_TIMEOUT,
	CONFIG_TOTAL_TIMEOUT,
	CONFIG_KEEPALIVE_INTERVAL,
	CONFIG_METRICS_TOKEN,
	CONFIG_METRICS_BY_KEY,
	CONFIG__MAX
};

struct config;
struct peers;

/*
 * Reads file and environment. NULL after logging each mistake with its name
 * (and "path:line" in the file), never a value. Free with config_free, which
 * wipes it. STORE_KEY_FILE holds from then on for the whole process (seal.h).
 */
struct config *config_load(void);
void config_free(struct config *);

/* Text settings: never NULL, "" when not set. Borrowed from the config. */
const char *config_text(const struct config *, enum config_name);

/* Whole numbers, spans in seconds, sizes in bytes, and 0 or 1 for switches. */
int64_t config_number(const struct config *, enum config_name);

/* Whom TRUST_PROXY names; 0, and -1 only before loading has checked it. */
int config_peers(const struct config *, struct peers *);

/* "RATE_LIMIT_REQUESTS"; and the enum of a name, CONFIG__MAX if unknown. */
const char *config_label(enum config_name);
enum config_name config_find(const char *label);

/* What it is where nobody set it, as text; "" for unset. */
const char *config_fallback(enum config_name);

/* 1 when the environment or the file gave it a value. */
int config_is_given(const struct config *, enum config_name);

/* What it is for, in one line. */
const char *config_meaning(enum config_name);

/* 1 when it can be changed while the gate runs (see settings.h). */
int config_is_live(enum config_name);

/* 1 when its value must never be shown. */
int config_is_secret(enum config_name);

/* 1 when it is a number (then its bounds), 0 when text. */
int config_is_number(enum config_name, int64_t *min, int64_t *max);

/* A number of that setting as a person would write it: "400d". Returns dst. */
#define CONFIG_NUMBER_SIZE 24
char *config_number_text(
    char dst[CONFIG_NUMBER_SIZE], enum config_name, int64_t number);

/* Parses and bounds-checks a value for a numeric setting; 0 or -1. */
int config_parse(enum config_name, const char *value, int64_t *out);

#endif
