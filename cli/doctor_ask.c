/* Questions over HTTP, to this host alone, with libcurl. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "cli/doctor.h"

#define BODY_MAX (64 << 10)
#define CONNECT_MS 3000L
#define TOTAL_MS 10000L

static size_t
take_body(char *bytes, size_t size, size_t n, void *to)
{
	return buf_add(to, bytes, size * n) == 0 ? size * n : 0;
}

/* The first one of the chain. */
static void
keep_certificate(CURL *curl, struct doctor_answer *answer)
{
	struct curl_certinfo *all = NULL;

	if (curl_easy_getinfo(curl, CURLINFO_CERTINFO, &all) != CURLE_OK ||
	    all == NULL || all->num_of_certs < 1)
		return;
	for (const struct curl_slist *at = all->certinfo[0]; at != NULL;
	     at = at->next)
		if (strncmp(at->data, "Cert:", 5) == 0 &&
		    answer->certificate == NULL)
			answer->certificate = strdup(at->data + 5);
}

/*
 * Without verification: the answer tells whether something lives, and the
 * certificate is compared with the file, which is more.
 */
static int
set_up(CURL *curl, const char *url, struct curl_slist *to,
    struct doctor_answer *answer)
{
	return curl_easy_setopt(curl, CURLOPT_URL, url) != CURLE_OK ||
		curl_easy_setopt(curl, CURLOPT_CONNECT_TO, to) != CURLE_OK ||
		curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https") !=
		    CURLE_OK ||
		curl_easy_setopt(curl, CURLOPT_PROXY, "") != CURLE_OK ||
		curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) != CURLE_OK ||
		curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS) !=
		    CURLE_OK ||
		curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, TOTAL_MS) !=
		    CURLE_OK ||
		curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L) !=
		    CURLE_OK ||
		curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L) !=
		    CURLE_OK ||
		curl_easy_setopt(curl, CURLOPT_CERTINFO, 1L) != CURLE_OK ||
		curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body) !=
		    CURLE_OK ||
		curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer->body) !=
		    CURLE_OK
	    ? -1
	    : 0;
}

/*
 * As the proxy in front does it, whose line says nothing here that the
 * connection does not say: 0 or -1.
 */
static int
speak_proxy_protocol(CURL *curl)
{
	return curl_easy_setopt(curl, CURLOPT_HAPROXYPROTOCOL, 1L) == CURLE_OK
	    ? 0
	    : -1;
}

int
doctor_ask(const char *url, const char *connect_to, int proxied,
    struct doctor_answer *answer)
{
	CURL *curl = curl_easy_init();
	struct curl_slist *to = NULL;
	CURLcode code = CURLE_FAILED_INIT;

	*answer = (struct doctor_answer){ .body = BUF(BODY_MAX) };
	if (connect_to != NULL)
		to = curl_slist_append(NULL, connect_to);
	if (curl != NULL && (connect_to == NULL || to != NULL) &&
	    set_up(curl, url, to, answer) == 0 &&
	    (!proxied || speak_proxy_protocol(curl) == 0))
		code = curl_easy_perform(curl);
	if (code == CURLE_OK)
		code = curl_easy_getinfo(
		    curl, CURLINFO_RESPONSE_CODE, &answer->status);
	if (code == CURLE_OK)
		keep_certificate(curl, answer);
	else
		(void)snprintf(answer->why, sizeof(answer->why), "%s",
		    curl_easy_strerror(code));
	curl_slist_free_all(to);
	curl_easy_cleanup(curl);
	return code == CURLE_OK ? 0 : -1;
}

int
doctor_behind_proxy(const struct doctor *d)
{
	struct peers peers = { 0 };

	(void)config_peers(d->config, &peers); /* loading has checked it */
	return peers.everybody || peers.local || peers.n > 0;
}

/* 1 when the web server takes this host itself for the proxy in front. */
static int
is_proxied(const struct doctor *d, const char *address)
{
	struct peers_address own;
	struct peers peers = { 0 };

	if (!config_number(d->config, CONFIG_PROXY_PROTOCOL) ||
	    config_peers(d->config, &peers) == -1)
		return 0;
	peers_address(&own, address, strlen(address));
	return peers_has(&peers, &own);
}

int
doctor_ask_gate(
    const struct doctor *d, const char *path, struct doctor_answer *answer)
{
	int tls = *config_text(d->config, CONFIG_TLS_CERT_FILE) != '\0';
	int64_t port = config_number(d->config, CONFIG_PORT);
	const char *bind = d->bind, *open = "", *close = "";
	char url[700], to[300];

	if (*bind == '\0' || strcmp(bind, "0.0.0.0") == 0)
		bind = "127.0.0.1";
	else if (strcmp(bind, "::") == 0 || strcmp(bind, "[::]") == 0)
		bind = "::1";
	if (*bind != '[' && strchr(bind, ':') != NULL) {
		open = "[";
		close = "]";
	}
	/* Under its own name where that is known, but never off this host. */
	(void)snprintf(
	    to, sizeof(to), "::%s%.200s%s:%d", open, bind, close, (int)port);
	(void)snprintf(url, sizeof(url), "http%s://%s%.300s%s:%d%s",
	    tls ? "s" : "", *d->domain != '\0' ? "" : open,
	    *d->domain != '\0' ? d->domain : bind,
	    *d->domain != '\0' ? "" : close, (int)port, path);
	return doctor_ask(url, to, is_proxied(d, bind), answer);
}

void
doctor_answer_free(struct doctor_answer *answer)
{
	buf_free(&answer->body);
	free(answer->certificate);
	answer->certificate = NULL;
}
