/*
 * privatemode-proxy as it runs: its command line, whom it listens to, and what
 * else listens. Nothing of an argument's value is ever printed.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "cli/doctor.h"

/* The upstream's process: 1, or 0 after saying why there is none to look at. */
static int
find_upstream(const struct doctor *d, struct doctor_process *out,
    struct doctor_finding *f)
{
	struct doctor_process found[DOCTOR_PARTS_MAX];
	struct doctor_processes all;
	size_t n = 0;
	uint16_t port;

	if (!doctor_upstream_port(d, &port)) {
		doctor_say(f, DOCTOR_UNKNOWN,
		    "the upstream is on another host, or in another container");
		doctor_mend(f, "see to it there");
		return 0;
	}
	if (doctor_processes(d, &all) == 0)
		n = doctor_find(d, &all, DOCTOR_UPSTREAM, found);
	doctor_processes_free(&all);
	if (n == 0) {
		doctor_say(f, DOCTOR_UNKNOWN,
		    "who listens at port %u cannot be seen", port);
		doctor_mend(f, "run it as root, in the upstream's container");
		return 0;
	}
	*out = found[0];
	return 1;
}

/* How the command line has an option. */
struct flag {
	const char *name; /* without dashes */
	int given;
	const char *value; /* behind "=" or as the next word; or NULL */
};

/* "--name", "-name", "--name=value", "--name value": as Go programs have it. */
static void
find_flag(const struct buf *args, struct flag *flag)
{
	const char *end = args->data + args->len, *at, *word;
	size_t n = strlen(flag->name);

	for (at = args->data; at < end; at += strlen(at) + 1) {
		word = at + strspn(at, "-");
		if (word == at || word > at + 2 ||
		    strncasecmp(word, flag->name, n) != 0)
			continue;
		if (word[n] == '=') {
			flag->given = 1;
			flag->value = word + n + 1;
		} else if (word[n] == '\0') {
			flag->given = 1;
			flag->value = at + strlen(at) + 1 < end
			    ? at + strlen(at) + 1
			    : NULL;
			/* The next word may be an option of its own. */
			if (flag->value != NULL && *flag->value == '-')
				flag->value = NULL;
		}
	}
}

/* Given, and not as --name=false. */
static int
is_on(const struct buf *args, const char *name)
{
	struct flag flag = { name, 0, NULL };

	find_flag(args, &flag);
	return flag.given &&
	    (flag.value == NULL ||
		(strcasecmp(flag.value, "false") != 0 &&
		    strcmp(flag.value, "0") != 0 &&
		    strcasecmp(flag.value, "f") != 0));
}

static void
judge_key_flag(const struct buf *args, struct doctor_finding *f)
{
	struct flag key = { "apiKey", 0, NULL };
	struct stat st;

	find_flag(args, &key);
	if (!key.given || key.value == NULL || *key.value == '\0')
		return;
	if (*key.value != '@') {
		if (doctor_worse(f, DOCTOR_FAULT,
			"the Privatemode key stands on the upstream's command "
			"line, for every process to see"))
			doctor_mend(f, "--apiKey=@FILE, and a new key");
	} else if (stat(key.value + 1, &st) == 0 && (st.st_mode & 0007) != 0 &&
	    doctor_worse(f, DOCTOR_FAULT,
		"the file of the upstream's key is open to others"))
		doctor_mend(f, "chmod 600, and a new key");
}

static void
judge_flags(const struct buf *args, struct doctor_finding *f)
{
	struct flag workspace = { "workspace", 0, NULL };

	doctor_say(f, DOCTOR_OK,
	    "its command line has no option that keeps or shows requests");
	if (is_on(args, "dumpRequests") &&
	    doctor_worse(f, DOCTOR_FAULT,
		"the upstream runs with --dumpRequests: every prompt is "
		"written to a disk"))
		doctor_mend(
		    f, "take it away, restart, and erase what it wrote");
	judge_key_flag(args, f);
	if (is_on(args, "promptCacheSalt") &&
	    doctor_worse(f, DOCTOR_WARNING,
		"--promptCacheSalt is a secret, and its command line is none"))
		doctor_mend(f,
		    "leave it out; pmkey set --prompt-cache gives "
		    "each key a salt of its own");
	if (is_on(args, "sharedPromptCache") &&
	    doctor_worse(f, DOCTOR_WARNING,
		"--sharedPromptCache: by the time an answer takes, one key's "
		"holder can guess what another asked"))
		doctor_mend(f,
		    "leave it out; pmkey set --prompt-cache gives "
		    "each key a cache of its own");
	find_flag(args, &workspace);
	if ((!workspace.given || workspace.value == NULL ||
		*workspace.value == '\0') &&
	    doctor_worse(f, DOCTOR_WARNING,
		"no --workspace: the log of what was attested is not kept"))
		doctor_mend(f, "--workspace=FOLDER, on a disk that stays");
}

void
doctor_upstream_flags(const struct doctor *d, struct doctor_finding *f)
{
	struct doctor_process upstream;
	struct buf args = BUF(0);

	if (!find_upstream(d, &upstream, f))
		return;
	if (doctor_command_line(d, upstream.pid, &args) == -1 || args.len == 0)
		doctor_say(f, DOCTOR_UNKNOWN,
		    "the upstream's command line (process %d) cannot be seen",
		    upstream.pid);
	else
		judge_flags(&args, f);
	buf_free(&args); /* wiped: a key may have stood there */
}

void
doctor_upstream_key(const struct doctor *d, struct doctor_finding *f)
{
	struct flag key = { "apiKey", 0, NULL };
	struct doctor_process upstream;
	struct buf args = BUF(0);

	if (*config_text(d->config, CONFIG_PRIVATEMODE_API_KEY) != '\0') {
		doctor_say(f, DOCTOR_OK, "the gate has one");
		return;
	}
	if (!find_upstream(d, &upstream, f))
		return;
	if (doctor_command_line(d, upstream.pid, &args) == 0)
		find_flag(&args, &key);
	if (key.given)
		doctor_say(f, DOCTOR_OK, "the upstream has one");
	else {
		doctor_say(f, DOCTOR_WARNING,
		    "neither the gate nor the upstream's command line has one");
		doctor_mend(f,
		    "--apiKey=@FILE there, or "
		    "PRIVATEMODE_API_KEY_FILE here");
	}
	buf_free(&args);
}

void
doctor_upstream_user(const struct doctor *d, struct doctor_finding *f)
{
	struct doctor_process upstream;

	if (!find_upstream(d, &upstream, f))
		return;
	if (upstream.uid != 0) {
		doctor_say(
		    f, DOCTOR_OK, "it runs as user %ld", (long)upstream.uid);
		return;
	}
	doctor_say(f, DOCTOR_WARNING, "%s (process %d) runs as root",
	    upstream.name, upstream.pid);
	doctor_mend(f, "give its service a user of its own");
}

void
doctor_upstream_listens(const struct doctor *d, struct doctor_finding *f)
{
	struct doctor_listener list[DOCTOR_LISTENERS_MAX];
	int n, seen = 0;
	uint16_t port;

	if (!doctor_upstream_port(d, &port)) {
		if (strncmp(config_text(d->config, CONFIG_UPSTREAM_URL),
			"https:", 6) == 0)
			doctor_say(f, DOCTOR_NONE, "it is reached over TLS");
		else {
			doctor_say(f, DOCTOR_WARNING,
			    "UPSTREAM_URL is plain HTTP to another host: "
			    "prompts cross that network in the clear");
			doctor_mend(f,
			    "run privatemode-proxy on this host, or "
			    "with a network of these two alone");
		}
		return;
	}
	if ((n = doctor_listeners(d, list)) == -1) {
		doctor_say(
		    f, DOCTOR_UNKNOWN, "/proc/net/tcp: %s", doctor_errno());
		return;
	}
	doctor_say(f, DOCTOR_OK, "port %u is on the loopback address", port);
	for (int i = 0; i < n; i++) {
		if (list[i].port != port)
			continue;
		seen = 1;
		if (!list[i].loopback &&
		    doctor_worse(f, DOCTOR_FAULT,
			"port %u is open to the network: anybody may use the "
			"organisation's key, without the gate",
			port))
			doctor_mend(f,
			    "let the upstream listen at 127.0.0.1, "
			    "or close the port in a firewall");
	}
	if (!seen) {
		doctor_say(f, DOCTOR_FAULT, "nobody listens at port %u", port);
		doctor_mend(f, "start privatemode-proxy");
	}
}

/* Any answer will do: without a key it may be a refusal. */
void
doctor_upstream_answers(const struct doctor *d, struct doctor_finding *f)
{
	const char *base = config_text(d->config, CONFIG_UPSTREAM_URL);
	struct doctor_answer answer;
	size_t n = strlen(base);
	char url[600];

	while (n > 0 && base[n - 1] == '/')
		n--;
	(void)snprintf(url, sizeof(url), "%.*s/v1/models", (int)n, base);
	if (doctor_ask(url, NULL, 0, &answer) == -1) {
		doctor_say(
		    f, DOCTOR_FAULT, "the upstream is silent: %s", answer.why);
		doctor_mend(f, "start privatemode-proxy; correct UPSTREAM_URL");
	} else if (answer.status >= 500) {
		doctor_say(f, DOCTOR_WARNING, "the upstream answers %ld",
		    answer.status);
		doctor_mend(f, "see its log: it may not reach Privatemode");
	} else
		doctor_say(f, DOCTOR_OK, "it does");
	doctor_answer_free(&answer);
}

/* Web and ssh are meant to be reached. */
static int
is_expected(const struct doctor *d, uint16_t port)
{
	return port == 22 || port == 80 || port == 443 ||
	    port == config_number(d->config, CONFIG_PORT);
}

void
doctor_listening(const struct doctor *d, struct doctor_finding *f)
{
	struct doctor_listener list[DOCTOR_LISTENERS_MAX];
	struct doctor_process who;
	struct doctor_processes all;
	int n = doctor_listeners(d, list), hidden = 0, known;

	if (n == -1) {
		doctor_say(
		    f, DOCTOR_UNKNOWN, "/proc/net/tcp: %s", doctor_errno());
		return;
	}
	doctor_say(f, DOCTOR_OK, "only web and ssh are (TCP)");
	(void)doctor_processes(d, &all); /* only names come from it */
	for (int i = 0; i < n; i++) {
		if (list[i].loopback || is_expected(d, list[i].port))
			continue;
		known = doctor_holder(d, &all, list[i].inode, &who, &hidden);
		if (known && strcmp(who.name, "sshd") == 0)
			continue;
		if (doctor_worse(f, DOCTOR_WARNING,
			"port %u is open to the network%s%s%s", list[i].port,
			known ? " (" : "", known ? who.name : "",
			known ? ")" : ""))
			doctor_mend(f,
			    "stop it, bind it to 127.0.0.1, or "
			    "close it in a firewall");
	}
	doctor_processes_free(&all);
}
