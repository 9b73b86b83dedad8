/*
 * Settings as variables for lighttpd.conf.
 */
#include "lighttpd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/log.h"
#include "lib/peers.h"
#include "lib/text.h"

/* With settings in hex: as long as the environment may be, and more. */
#define OUTPUT_MAX (1 << 20)
#define ENVIRONMENT_MAX (128 << 10)

/*
 * Clients that hold a connection and ask nothing at the moment; and the files
 * that are neither connection nor stream.
 */
#define IDLE_CONNECTIONS 1024
#define OTHER_FILES 128

/* Seconds; the largest is what lighttpd can hold, 16 bits. */
#define WRITE_IDLE_MARGIN 60
#define WRITE_IDLE_MIN 600
#define WRITE_IDLE_MAX 65535

/* For answers under way when lighttpd is to end, and beside a new process. */
#define SHUTDOWN_SECONDS 10
#define BESIDE_SECONDS 3600

/*
 * lighttpd knows \" in a string, but no way to end one with a backslash, and
 * splits the path of a program at spaces. Rather than half of an escape, no
 * path may have any of these.
 */
static int
put_path(
    struct buf *out, const char *name, const char *label, const char *value)
{
	const unsigned char *p = (const unsigned char *)value;

	for (; *p != '\0'; p++)
		if (*p <= ' ' || *p == 0x7f || *p == '"' || *p == '\\') {
			log_warnx("%s: lighttpd takes no path with spaces, "
				  "quotes, backslashes or control characters",
			    label);
			return -1;
		}
	return buf_printf(out, "var.%s = \"%s\"\n", name, value);
}

static int
put_number(struct buf *out, const char *name, int64_t value)
{
	return buf_printf(out, "var.%s = %" PRId64 "\n", name, value);
}

static int
put_switch(struct buf *out, const char *name, int on)
{
	return buf_printf(
	    out, "var.%s = \"%s\"\n", name, on ? "enable" : "disable");
}

/*
 * The folder that holds bin/, fcgi/ and so on: where this program itself is,
 * unless told otherwise.
 */
static int
put_program_folder(struct buf *out)
{
	const char *given = getenv("PMPROXY_BIN");
	char path[PATH_MAX], *slash;
	ssize_t n;
	int i;

	if (given != NULL && *given != '\0')
		return put_path(out, "programs", "PMPROXY_BIN", given);
	n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	if (n == -1) {
		log_warn("cannot find the program's own folder");
		return -1;
	}
	path[n] = '\0';
	for (i = 0; i < 2; i++)
		if ((slash = strrchr(path, '/')) != NULL)
			*slash = '\0';
	return put_path(out, "programs", "PMPROXY_BIN", path);
}

/* Files the web server reads: beside lighttpd.conf unless told otherwise. */
static int
put_share_folder(struct buf *out)
{
	char path[PATH_MAX];
	const char *given = getenv("PMPROXY_SHARE");
	size_t len;

	if (given != NULL && *given != '\0')
		return put_path(out, "share", "PMPROXY_SHARE", given);
	if (getcwd(path, sizeof(path) - sizeof("/share")) == NULL) {
		log_warn("cannot find the folder of lighttpd.conf");
		return -1;
	}
	len = strlen(path);
	memcpy(path + len, "/share", sizeof("/share"));
	return put_path(out, "share", "the folder of lighttpd.conf", path);
}

/*
 * lighttpd counts the silence of an answer that has begun as a client that
 * does not read, and cuts the stream. So the responder's own timeout must come
 * first. That one can be changed while the gate runs; lighttpd's follows at
 * its next start.
 */
static int
put_write_idle(struct buf *out, int64_t upstream_idle)
{
	int64_t seconds = upstream_idle + WRITE_IDLE_MARGIN;

	if (seconds < WRITE_IDLE_MIN)
		seconds = WRITE_IDLE_MIN;
	if (seconds > WRITE_IDLE_MAX)
		seconds = WRITE_IDLE_MAX;
	return put_number(out, "max_write_idle", seconds);
}

/* On unless PMPROXY_HTTP2 is "off". */
static int
put_http2(struct buf *out)
{
	const char *given = getenv("PMPROXY_HTTP2");

	return put_switch(
	    out, "http2", given == NULL || strcmp(given, "off") != 0);
}

/*
 * The sockets of the responders once more, to be asked before a body is read:
 * lighttpd tells that by the request, and where it starts responders itself it
 * would start more for another list that does.
 */
static int
put_asked(struct buf *out, int64_t own)
{
	int64_t n = own > 0 ? own : 1;
	int bad = buf_puts(out, "var.asked = ( ") == -1;

	for (int64_t i = 0; i < 2 * n && !bad; i++) {
		bad = buf_puts(out, "( \"socket\" => var.socket") == -1;
		if (own > 0 && !bad)
			bad =
			    buf_printf(out, " + \"-%" PRId64 "\"", i % n) == -1;
		bad = bad ||
		    buf_printf(out, ", \"check-local\" => \"disable\", %s ), ",
			i < n ? "\"mode\" => \"authorizer\""
			      : "\"tcp-fin-propagate\" => \"enable\"") == -1;
	}
	return bad || buf_puts(out, ")\n") == -1 ? -1 : 0;
}

/*
 * lighttpd starts responders of its own, or finds those that others start and
 * watch. Only in the second case can it be started anew without a loss: the
 * old process stays with the answers under way, however long they take (an
 * hour at most), while a new one is there for new connections. With responders
 * of its own it would end them first.
 */
static int
put_responders(struct buf *out, const struct config *config)
{
	const char *given = getenv("PMPROXY_SOCKET");
	int own = given == NULL || *given == '\0';
	int64_t processes = config_number(config, CONFIG_PROCESSES);

	if (put_switch(out, "restart_beside", !own) == -1 ||
	    put_number(out, "shutdown_timeout",
		own ? SHUTDOWN_SECONDS : BESIDE_SECONDS) == -1)
		return -1;
	if (!own)
		return put_path(out, "socket", "PMPROXY_SOCKET", given) == -1 ||
			buf_puts(out, "var.own_responders = ()\n") == -1 ||
			put_asked(out, 0) == -1
		    ? -1
		    : 0;
	if (buf_printf(out,
		"var.socket = var.run_dir + \"/v1.socket\"\n"
		"var.own_responders = ( \"bin-path\" => var.programs + "
		"\"/fcgi/v1.fcgi\", \"max-procs\" => %" PRId64 " )\n",
		processes) == -1)
		return -1;
	return put_asked(out, processes);
}

/* All IPv4 addresses of this host unless told otherwise. */
static int
put_address(struct buf *out)
{
	const char *given = getenv("PMPROXY_BIND");

	if (given == NULL || *given == '\0')
		given = "0.0.0.0";
	return put_path(out, "address", "PMPROXY_BIND", given);
}

/*
 * lighttpd refuses to start when it may not open as many files as it is told,
 * so it is told no more than it may. It then serves fewer clients at once.
 */
static int
put_room(struct buf *out, int64_t in_flight)
{
	/* Each connection may need a second one, to a responder. */
	int64_t files = 2 * (in_flight + IDLE_CONNECTIONS) + OTHER_FILES;
	struct rlimit may;

	if (getrlimit(RLIMIT_NOFILE, &may) == -1) {
		log_warn("cannot read the limit of open files");
		return -1;
	}
	if (may.rlim_max != RLIM_INFINITY && (int64_t)may.rlim_max < files) {
		log_warnx("only %lld open files are allowed, %lld wanted for "
			  "MAX_IN_FLIGHT: fewer clients fit (see ulimit -n)",
		    (long long)may.rlim_max, (long long)files);
		files = (int64_t)may.rlim_max;
	}
	if (put_number(out, "max_fds", files) == -1)
		return -1;
	return put_number(out, "max_connections", (files - OTHER_FILES) / 2);
}

/*
 * Who may begin with a PROXY header; empty unless they are to. The list was
 * checked when the configuration was read.
 */
static int
put_forwarders(struct buf *out, const struct config *config)
{
	struct peers peers;
	char address[INET6_ADDRSTRLEN];
	int bad = config_peers(config, &peers) == -1 ||
	    put_switch(out, "proxy_protocol",
		config_number(config, CONFIG_PROXY_PROTOCOL) != 0) == -1 ||
	    buf_puts(out, "var.forwarders = ( ") == -1;

	if (!config_number(config, CONFIG_PROXY_PROTOCOL))
		peers.n = 0;
	for (size_t i = 0; i < peers.n && !bad; i++) {
		const struct peers_network *network = &peers.networks[i];

		bad =
		    inet_ntop(network->address.kind == '4' ? AF_INET : AF_INET6,
			network->address.bytes, address,
			sizeof(address)) == NULL ||
		    buf_printf(out, "\"%s/%u\" => \"trust\", ", address,
			network->bits) == -1;
	}
	return bad || buf_puts(out, ")\n") == -1 ? -1 : 0;
}

/* "NAME=value" and its NUL, when it is set. */
static int
add_variable(struct buf *all, const char *name)
{
	const char *value = getenv(name);

	if (value == NULL)
		return 0;
	if (buf_puts(all, name) == -1 || buf_puts(all, "=") == -1 ||
	    buf_add(all, value, strlen(value) + 1) == -1) {
		log_warnx("%s: longer than a CGI program can be told", name);
		return -1;
	}
	return 0;
}

/*
 * What the environment says goes to the CGI programs, whom lighttpd tells
 * nothing of its own; in hex, so that no value can be misread here.
 */
static int
put_environment(struct buf *out)
{
	struct buf all = BUF(ENVIRONMENT_MAX / 2 - 64);
	int bad = add_variable(&all, "PMPROXY_ENV");
	char hex[3];

	for (enum config_name name = 0; name < CONFIG__MAX && !bad; name++)
		bad = add_variable(&all, config_label(name));
	bad = bad || buf_puts(out, "var.cgi_environment = \"") == -1;
	for (size_t i = 0; i < all.len && !bad; i++)
		bad = buf_puts(
		    out, text_hex(hex, (const unsigned char *)all.data + i, 1));
	bad = bad || buf_puts(out, "\"\n") == -1;
	buf_free(&all);
	return bad ? -1 : 0;
}

/*
 * A server that root starts, for a low port, goes on as the owner of STATE_DIR
 * as soon as it listens, and its responders and pages with it.
 */
static int
put_user(struct buf *out, const char *state_dir)
{
	const struct passwd *user;
	const struct group *group;
	struct stat st;

	/* What is not there is reported by those who need it. */
	if (geteuid() != 0 || stat(state_dir, &st) == -1 || st.st_uid == 0)
		return 0;
	if ((user = getpwuid(st.st_uid)) == NULL ||
	    (group = getgrgid(st.st_gid)) == NULL) {
		log_warnx("the owner of '%s' has no name, so the web server "
			  "goes on as root",
		    state_dir);
		return 0;
	}
	return buf_printf(out,
	    "server.username = \"%s\"\nserver.groupname = \"%s\"\n",
	    user->pw_name, group->gr_name);
}

/*
 * 1 when a certificate is to come by itself and is not there yet. Then only
 * plain HTTP is spoken: for the authority's question, /health, and a refusal
 * of all else.
 */
static int
is_pending(const struct config *config)
{
	const char *file;

	if (!config_number(config, CONFIG_TLS_AUTO))
		return 0;
	file = config_text(config, CONFIG_TLS_CERT_FILE);
	if (access(file, F_OK) == 0 || errno != ENOENT)
		return 0;
	log_info("no certificate yet: plain HTTP alone, until "
		 "pmproxy-certificate has got one");
	return 1;
}

/* What listens where. */
static int
put_ports(struct buf *out, const struct config *config, int pending)
{
	int64_t port = config_number(config, CONFIG_PORT),
		plain = config_number(config, CONFIG_HTTP_PORT);

	if (put_address(out) == -1 ||
	    put_number(out, "port", pending ? plain : port) == -1)
		return -1;
	/*
	 * The port of TLS is left alone until then, unless root has to open it
	 * before it goes on as another.
	 */
	if (pending && port < 1024 && geteuid() == 0)
		plain = port;
	else if (plain == 0 || pending)
		return 0;
	return buf_printf(out,
	    "$SERVER[\"socket\"] == var.address + \":%" PRId64 "\" {\n"
	    "\tssl.engine = \"disable\"\n}\n",
	    plain);
}

static int
put_tls(struct buf *out, const struct config *config)
{
	const char *certificate = config_text(config, CONFIG_TLS_CERT_FILE),
		   *key = config_text(config, CONFIG_TLS_KEY_FILE),
		   *ocsp = config_text(config, CONFIG_TLS_OCSP_FILE);
	int pending = is_pending(config);

	/* lighttpd wants each file it is told of, be TLS on or not. */
	if (pending)
		certificate = key = "";
	/* Most authorities give none. */
	if (config_number(config, CONFIG_TLS_AUTO) && access(ocsp, F_OK) == -1)
		ocsp = "";
	if (put_switch(out, "tls", *certificate != '\0') == -1 ||
	    put_path(out, "tls_cert_file", "TLS_CERT_FILE", certificate) ==
		-1 ||
	    put_path(out, "tls_key_file", "TLS_KEY_FILE", key) == -1 ||
	    put_path(out, "tls_ocsp_file", "TLS_OCSP_FILE", ocsp) == -1)
		return -1;
	return put_ports(out, config, pending);
}

static int
put_all(struct buf *out, const struct config *config)
{
	int64_t body = config_number(config, CONFIG_MAX_BODY_BYTES);

	if (put_program_folder(out) == -1 || put_share_folder(out) == -1 ||
	    put_path(out, "run_dir", "RUN_DIR",
		config_text(config, CONFIG_RUN_DIR)) == -1 ||
	    put_responders(out, config) == -1 ||
	    /* lighttpd counts KiB; the responder knows the exact bound. */
	    put_number(out, "max_body_kib", (body + 1023) / 1024) == -1 ||
	    put_write_idle(out, config_number(config, CONFIG_IDLE_TIMEOUT)) ==
		-1 ||
	    put_room(out, config_number(config, CONFIG_MAX_IN_FLIGHT)) == -1 ||
	    put_tls(out, config) == -1 || put_http2(out) == -1 ||
	    put_forwarders(out, config) == -1 ||
	    put_user(out, config_text(config, CONFIG_STATE_DIR)) == -1 ||
	    put_environment(out) == -1)
		return -1;
	return 0;
}

int
lighttpd_print(const struct config *config, FILE *out)
{
	struct buf text = BUF(OUTPUT_MAX);
	int result = -1;

	if (put_all(&text, config) == -1)
		goto done;
	if (fwrite(text.data, 1, text.len, out) != text.len ||
	    fflush(out) == EOF) {
		log_warn("cannot write lighttpd's variables");
		goto done;
	}
	result = 0;
done:
	buf_free(&text);
	return result;
}
