/* What a URL says of the way to the upstream, as libcurl reads it. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "log.h"
#include "text.h"
#include "upstream.h"

/* IPv6 stands in brackets, perhaps with a zone: only for IPv4 is a look due. */
static int
is_name(const char *host)
{
	struct in_addr address;

	return host[0] != '[' && inet_pton(AF_INET, host, &address) != 1;
}

int
upstream_reach(const char *url, struct upstream_reach *r)
{
	char *host = NULL, *port = NULL, *scheme = NULL;
	int64_t number = 0;
	int done = -1;
	CURLU *parts = curl_url();

	if (parts != NULL &&
	    curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
	    curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
	    curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
	    curl_url_get(parts, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) ==
		CURLUE_OK &&
	    text_to_i64(port, 1, UINT16_MAX, &number) == 0) {
		*r = (struct upstream_reach){ .port = (uint16_t)number,
			.by_name = is_name(host),
			.by_tls = strcmp(scheme, "https") == 0 };
		done = 0;
	} else {
		log_warnx("UPSTREAM_URL is not one");
	}
	curl_free(scheme);
	curl_free(host);
	curl_free(port);
	curl_url_cleanup(parts);
	return done;
}
