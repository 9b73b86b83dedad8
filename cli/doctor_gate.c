/* The gate as it runs, and its stores. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json.h>

#include "cli/doctor.h"
#include "lib/text.h"
#include "lib/usage.h"

/* The hourly roll-up may be late by one run. */
#define ROLLUP_LATE (3 * 3600)

/* What they need at most: see cli/lighttpd.c and fcgi/main.c. */
#define SERVER_FILES(in_flight) (2 * ((in_flight) + 1024) + 128)
#define RESPONDER_FILES(in_flight, processes) \
	((((in_flight) + (processes)-1) / (processes) + 16) * 4 + 32)

void
doctor_gate_processes(const struct doctor *d, struct doctor_finding *f)
{
	struct doctor_process found[DOCTOR_PARTS_MAX], server[DOCTOR_PARTS_MAX];
	int64_t wanted = config_number(d->config, CONFIG_PROCESSES);
	struct doctor_processes all;
	size_t n = 0, servers = 0;

	if (doctor_processes(d, &all) == 0) {
		n = doctor_find(d, &all, DOCTOR_RESPONDER, found);
		servers = doctor_find(d, &all, DOCTOR_SERVER, server);
	}
	if (all.n == 0)
		doctor_say(f, DOCTOR_UNKNOWN, "processes cannot be seen");
	else if (n == 0) {
		doctor_say(f, DOCTOR_FAULT, "no responder (v1.fcgi) runs");
		doctor_mend(f, "start the gate, and see its log");
	} else if (servers == 1 && strcmp(server[0].name, "lighttpd") == 0 &&
	    (int64_t)n < wanted) {
		doctor_say(f, DOCTOR_WARNING,
		    "%zu of %" PRId64 " responders run", n, wanted);
		doctor_mend(f, "see the gate's log: why do they end?");
	} else
		doctor_say(f, DOCTOR_OK, "%zu responders run as user %ld", n,
		    (long)found[0].uid);
	for (size_t i = 0; i < n; i++)
		if (found[i].uid == 0 &&
		    doctor_worse(f, DOCTOR_FAULT, "the gate runs as root"))
			doctor_mend(f, "run it as a system user of its own");
	doctor_processes_free(&all);
}

static void
compare_limit(const struct doctor *d, const struct doctor_process *p,
    int64_t need, struct doctor_finding *f)
{
	int64_t limit[2];

	if (doctor_limit(d, p->pid, "Max open files", limit) == -1)
		(void)doctor_worse(f, DOCTOR_UNKNOWN,
		    "the limits of %s cannot be seen", p->name);
	/* Both raise the soft limit as far as they may. */
	else if (limit[1] < need &&
	    doctor_worse(f, DOCTOR_WARNING,
		"%s may open %" PRId64 " files, MAX_IN_FLIGHT may need "
		"%" PRId64 ": fewer requests fit at once",
		p->name, limit[1], need))
		doctor_mend(f,
		    "LimitNOFILE=%" PRId64 " in the gate's service "
		    "(ulimit -n)",
		    need);
}

void
doctor_file_limits(const struct doctor *d, struct doctor_finding *f)
{
	int64_t in_flight = config_number(d->config, CONFIG_MAX_IN_FLIGHT);
	int64_t processes = config_number(d->config, CONFIG_PROCESSES);
	struct doctor_process found[DOCTOR_PARTS_MAX];
	struct doctor_processes all;
	size_t n, parts = 0;

	doctor_say(f, DOCTOR_OK, "enough for MAX_IN_FLIGHT");
	if (doctor_processes(d, &all) == 0) {
		parts = n = doctor_find(d, &all, DOCTOR_SERVER, found);
		for (size_t i = 0; i < n; i++)
			compare_limit(d, &found[i], SERVER_FILES(in_flight), f);
		n = doctor_find(d, &all, DOCTOR_RESPONDER, found);
		parts += n;
		for (size_t i = 0; i < n; i++)
			compare_limit(d, &found[i],
			    RESPONDER_FILES(in_flight, processes), f);
	}
	if (parts == 0)
		doctor_say(f, DOCTOR_UNKNOWN,
		    "the gate does not run or cannot be seen");
	doctor_processes_free(&all);
}

void
doctor_gate_health(const struct doctor *d, struct doctor_finding *f)
{
	struct doctor_answer answer;

	if (doctor_ask_gate(d, "/health", &answer) == -1) {
		doctor_say(
		    f, DOCTOR_FAULT, "the gate is silent: %s", answer.why);
		doctor_mend(f, "start it; its log says why it ended");
	} else if (answer.status != 200) {
		doctor_say(
		    f, DOCTOR_FAULT, "the gate answers %ld", answer.status);
		doctor_mend(f, "see the gate's log");
	} else
		doctor_say(f, DOCTOR_OK, "the gate answers");
	doctor_answer_free(&answer);
}

/* Names of what is not "ok", separated by blanks. */
static void
name_failures(const char *text, char *dst, size_t size)
{
	struct json_object *top = json_tokener_parse(text), *checks = NULL;
	size_t used = 0;

	dst[0] = '\0';
	if (json_object_is_type(top, json_type_object) &&
	    json_object_object_get_ex(top, "checks", &checks) &&
	    json_object_is_type(checks, json_type_object)) {
		json_object_object_foreach(checks, name, value)
		{
			/* A null is no object at all. */
			if ((value != NULL &&
				strcmp(json_object_get_string(value), "ok") ==
				    0) ||
			    used + strlen(name) + 2 > size)
				continue;
			used += (size_t)snprintf(
			    dst + used, size - used, " %s", name);
		}
	}
	json_object_put(top);
}

void
doctor_gate_ready(const struct doctor *d, struct doctor_finding *f)
{
	struct doctor_answer answer;
	char failing[200];

	if (doctor_ask_gate(d, "/health/ready", &answer) == -1)
		doctor_say(
		    f, DOCTOR_FAULT, "the gate is silent: %s", answer.why);
	else if (answer.status != 200) {
		name_failures(answer.body.data, failing, sizeof(failing));
		doctor_say(f, DOCTOR_FAULT, "not ready (%ld)%s%s",
		    answer.status, *failing != '\0' ? ":" : "", failing);
	} else
		doctor_say(f, DOCTOR_OK, "the gate is ready");
	if (f->state == DOCTOR_FAULT)
		doctor_mend(f, "see the gate's log, and the upstream's");
	doctor_answer_free(&answer);
}

void
doctor_journal(const struct doctor *d, struct doctor_finding *f)
{
	const char *state_dir = config_text(d->config, CONFIG_STATE_DIR);
	int64_t oldest = 0, due;
	char hour[TEXT_UTC_SIZE];

	if (access(state_dir, R_OK | X_OK) == -1) {
		doctor_say(
		    f, DOCTOR_UNKNOWN, "'%s': %s", state_dir, doctor_errno());
		return;
	}
	due = usage_due(state_dir, d->now, &oldest);
	if (due == -1)
		doctor_say(f, DOCTOR_UNKNOWN,
		    "how much is due cannot be told: see standard error");
	else if (due == 0 || oldest + 3600 + ROLLUP_LATE > d->now)
		doctor_say(f, DOCTOR_OK, "closed hours are rolled up");
	else {
		doctor_say(f, DOCTOR_WARNING,
		    "%" PRId64 " closed hours are not rolled up, from %s on",
		    due, text_utc(hour, oldest));
		doctor_mend(f,
		    "run pmusage rollup every hour, from cron or a "
		    "timer");
	}
}
