/* The table of checks, and how a finding comes to be. */
#include "cli/doctor.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#define CONFIG 1
#define HOST 0

const struct doctor_check doctor_checks[] = {
	{ "confidential-vm", "memory that the machine's operator cannot read",
	    HOST, doctor_confidential_vm },
	{ "swap", "swap that keeps nothing on a disk", HOST, doctor_swap },
	{ "core-dumps", "no core dump of what people wrote", CONFIG,
	    doctor_core_dumps },
	{ "ptrace", "debuggers held off", HOST, doctor_ptrace },
	{ "user-namespaces", "user namespaces", HOST, doctor_user_namespaces },
	{ "clock", "a clock that can be relied on", HOST, doctor_clock },
	{ "configuration", "settings that can be read", HOST,
	    doctor_configuration },
	{ "env-file", "the file of settings is private", HOST,
	    doctor_env_file },
	{ "key-file", "the Privatemode key's file is private", CONFIG,
	    doctor_key_file },
	{ "state-dir", "STATE_DIR is private and the gate's", CONFIG,
	    doctor_state_dir },
	{ "run-dir", "RUN_DIR is private and in memory", CONFIG,
	    doctor_run_dir },
	{ "upload-dir", "uploads pass through memory", CONFIG,
	    doctor_upload_dir },
	{ "state-room", "room in STATE_DIR", CONFIG, doctor_state_room },
	{ "run-room", "room in RUN_DIR", CONFIG, doctor_run_room },
	{ "stores", "stores that can be read", CONFIG, doctor_stores },
	{ "sealed", "what is kept is sealed", CONFIG, doctor_seal },
	{ "journal", "use is rolled up", CONFIG, doctor_journal },
	{ "tls", "nothing in the clear on the network", CONFIG, doctor_tls },
	{ "tls-certificate", "the certificate is in force", CONFIG,
	    doctor_tls_certificate },
	{ "tls-key", "the private key fits and is private", CONFIG,
	    doctor_tls_key },
	{ "tls-name", "the certificate names the domain", CONFIG,
	    doctor_tls_name },
	{ "tls-chain", "clients trust the certificate", CONFIG,
	    doctor_tls_chain },
	{ "tls-served", "the web server shows that certificate", CONFIG,
	    doctor_tls_served },
	{ "force-https", "plain HTTP is refused", CONFIG, doctor_force_https },
	{ "trust-proxy", "forwarded headers", CONFIG, doctor_trust_proxy },
	{ "cors", "web pages of other origins", CONFIG, doctor_cors },
	{ "admin-password", "password of the admin pages", CONFIG,
	    doctor_admin_password },
	{ "env-keys", "keys beside the key store", CONFIG, doctor_env_keys },
	{ "metrics", "token of /metrics", CONFIG, doctor_metrics },
	{ "upstream-flags", "the upstream keeps nothing", CONFIG,
	    doctor_upstream_flags },
	{ "upstream-key", "there is a Privatemode key", CONFIG,
	    doctor_upstream_key },
	{ "upstream-user", "the upstream is not root", CONFIG,
	    doctor_upstream_user },
	{ "upstream-listens", "the upstream is for this host alone", CONFIG,
	    doctor_upstream_listens },
	{ "upstream-answers", "the upstream answers", CONFIG,
	    doctor_upstream_answers },
	{ "listening", "nothing else is open to the network", CONFIG,
	    doctor_listening },
	{ "gate-processes", "the gate runs", CONFIG, doctor_gate_processes },
	{ "file-limits", "open files that the gate may have", CONFIG,
	    doctor_file_limits },
	{ "gate-health", "/health", CONFIG, doctor_gate_health },
	{ "gate-ready", "/health/ready", CONFIG, doctor_gate_ready },
};
const size_t doctor_n_checks = sizeof(doctor_checks) / sizeof(doctor_checks[0]);

#if defined(__x86_64__)
static void
host_cpuid(uint32_t leaf, uint32_t registers[4])
{
	__cpuid_count(
	    leaf, 0, registers[0], registers[1], registers[2], registers[3]);
}
#endif

void
doctor_init(struct doctor *d)
{
	memset(d, 0, sizeof(*d));
	d->root = d->env_file = d->bind = d->domain = "";
	d->now = time(NULL);
	d->statvfs = statvfs;
	d->adjtimex = adjtimex;
#if defined(__x86_64__)
	d->cpuid = host_cpuid;
#endif
}

const char *
doctor_state_name(enum doctor_state state)
{
	static const char *const names[DOCTOR__MAX] = { "none", "ok", "unknown",
		"warning", "fault" };

	return names[state];
}

/* Names of files and processes may hold anything, lines are printable. */
static void
tame(char *s)
{
	for (; *s != '\0'; s++)
		if (*s < ' ' || *s > '~')
			*s = '?';
}

void
doctor_say(
    struct doctor_finding *f, enum doctor_state state, const char *fmt, ...)
{
	va_list list;

	va_start(list, fmt);
	(void)vsnprintf(f->what, sizeof(f->what), fmt, list);
	va_end(list);
	tame(f->what);
	f->mend[0] = '\0';
	f->state = state;
	f->more = 0;
}

int
doctor_worse(
    struct doctor_finding *f, enum doctor_state state, const char *fmt, ...)
{
	va_list list;

	if (state <= f->state) {
		f->more += state == f->state;
		return 0;
	}
	va_start(list, fmt);
	(void)vsnprintf(f->what, sizeof(f->what), fmt, list);
	va_end(list);
	tame(f->what);
	f->mend[0] = '\0';
	f->state = state;
	f->more = 0;
	return 1;
}

void
doctor_mend(struct doctor_finding *f, const char *fmt, ...)
{
	va_list list;

	va_start(list, fmt);
	(void)vsnprintf(f->mend, sizeof(f->mend), fmt, list);
	va_end(list);
	tame(f->mend);
}

void
doctor_run(const struct doctor *d, const struct doctor_check *check,
    struct doctor_finding *f)
{
	size_t used;

	memset(f, 0, sizeof(*f));
	if (check->needs_config && d->config == NULL) {
		doctor_say(
		    f, DOCTOR_UNKNOWN, "needs settings that cannot be read");
		return;
	}
	check->look(d, f);
	used = strlen(f->what);
	if (f->more > 0 && f->state >= DOCTOR_UNKNOWN)
		(void)snprintf(f->what + used, sizeof(f->what) - used,
		    " (and %d more like it)", f->more);
}
