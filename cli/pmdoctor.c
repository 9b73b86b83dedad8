/* pmdoctor: says what of this host is fit and safe for a gate, and what not. */
#include <getopt.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sysexits.h>

#include <curl/curl.h>

#include "cli/doctor.h"
#include "cli/object.h"
#include "lib/log.h"
#include "lib/text.h"

static const char help[] =
    "usage: pmdoctor [OPTION]...\n"
    "\n"
    "Looks at this host and at the gate on it, changes nothing, and says in a\n"
    "line each what is fine, what is not, and how to mend it. As root it sees\n"
    "all; as another user it says what it could not see.\n"
    "\n"
    "  --check NAME   look at that alone; may be given again\n"
    "  --skip NAME    leave that out; may be given again\n"
    "  --domain NAME  by which clients reach the gate\n"
    "  --env FILE     the file of settings, instead of PMPROXY_ENV\n"
    "  --quiet        print only warnings and faults\n"
    "  --strict       warnings, and what cannot be seen, count as well\n"
    "  --json         print it for scripts\n"
    "  --list         print the checks\n"
    "\n"
    "Exit status: 0 fine, 1 with --strict and a warning, 2 a fault, 64 wrong\n"
    "use, 74 when it could not be printed.\n";

enum {
	STATUS_FINE = 0,
	STATUS_WARNING = 1,
	STATUS_FAULT = 2
};

#define NAMES_MAX 64

struct request {
	struct doctor doctor;
	const char *only[NAMES_MAX], *skipped[NAMES_MAX];
	size_t n_only, n_skipped;
	int quiet, strict, json, list;
	int counts[DOCTOR__MAX];
};

static const struct option options[] = {
	{ "check", required_argument, NULL, 'c' },
	{ "skip", required_argument, NULL, 'x' },
	{ "domain", required_argument, NULL, 'd' },
	{ "env", required_argument, NULL, 'e' },
	{ "quiet", no_argument, NULL, 'q' },
	{ "strict", no_argument, NULL, 's' },
	{ "json", no_argument, NULL, 'j' },
	{ "list", no_argument, NULL, 'l' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static int
is_check(const char *name)
{
	for (size_t i = 0; i < doctor_n_checks; i++)
		if (strcmp(doctor_checks[i].id, name) == 0)
			return 1;
	log_warnx("no such check: '%s' (see pmdoctor --list)", name);
	return 0;
}

static int
add_name(const char *names[NAMES_MAX], size_t *n, const char *name)
{
	if (!is_check(name) || *n == NAMES_MAX)
		return -1;
	names[(*n)++] = name;
	return 0;
}

/* 1, 0 after --help, -1 after saying what is wrong. */
static int
read_option(struct request *r, int letter, const char *value)
{
	switch (letter) {
	case 'c':
		return add_name(r->only, &r->n_only, value) == 0 ? 1 : -1;
	case 'x':
		return add_name(r->skipped, &r->n_skipped, value) == 0 ? 1 : -1;
	case 'd':
		r->doctor.domain = value;
		return 1;
	case 'e':
		return setenv("PMPROXY_ENV", value, 1) == 0 ? 1 : -1;
	case 'q':
		r->quiet = 1;
		return 1;
	case 's':
		r->strict = 1;
		return 1;
	case 'j':
		r->json = 1;
		return 1;
	case 'l':
		r->list = 1;
		return 1;
	case 'h':
		fputs(help, stdout);
		return 0;
	default: /* getopt has said what is wrong */
		return -1;
	}
}

static int
read_options(struct request *r, int argc, char **argv)
{
	int letter, go_on = 1;

	while (go_on == 1 &&
	    (letter = getopt_long(argc, argv, "", options, NULL)) != -1)
		go_on = read_option(r, letter, optarg);
	if (go_on == 1 && optind < argc) {
		log_warnx("not expected: '%s'", argv[optind]);
		go_on = -1;
	}
	if (go_on == -1)
		fprintf(stderr, "Try 'pmdoctor --help'.\n");
	return go_on;
}

static int
is_named(const char *const names[], size_t n, const char *id)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(names[i], id) == 0)
			return 1;
	return 0;
}

static int
is_wanted(const struct request *r, const struct doctor_check *check)
{
	return (r->n_only == 0 || is_named(r->only, r->n_only, check->id)) &&
	    !is_named(r->skipped, r->n_skipped, check->id);
}

static int
is_loud(const struct request *r, enum doctor_state state)
{
	return !r->quiet || state >= DOCTOR_WARNING ||
	    (r->strict && state == DOCTOR_UNKNOWN);
}

static void
print_line(const struct doctor_check *check, const struct doctor_finding *f)
{
	static const char *const words[DOCTOR__MAX] = { "-", "ok", "unknown",
		"WARNING", "FAULT" };

	printf("%-8s %-16s %s%s%s\n", words[f->state], check->id, f->what,
	    *f->mend != '\0' ? "; " : "", f->mend);
}

static int
add_object(struct json_object *array, const struct doctor_check *check,
    const struct doctor_finding *f)
{
	struct json_object *o = json_object_new_object();

	if (o != NULL && json_object_array_add(array, o) != 0) {
		json_object_put(o);
		o = NULL;
	}
	if (o == NULL)
		return -1;
	return object_add(o, "id", json_object_new_string(check->id)) |
	    object_add(o, "title", json_object_new_string(check->title)) |
	    object_add(o, "state",
		json_object_new_string(doctor_state_name(f->state))) |
	    object_add(o, "finding", json_object_new_string(f->what)) |
	    object_add(o, "mend", json_object_new_string(f->mend));
}

static int
status_of(const struct request *r)
{
	if (r->counts[DOCTOR_FAULT] > 0)
		return STATUS_FAULT;
	if (r->strict &&
	    r->counts[DOCTOR_WARNING] + r->counts[DOCTOR_UNKNOWN] > 0)
		return STATUS_WARNING;
	return STATUS_FINE;
}

static int
print_json(const struct request *r, struct json_object *checks)
{
	struct json_object *top = json_object_new_object();
	char at[TEXT_UTC_SIZE];
	int bad;

	if (top == NULL) {
		json_object_put(checks);
		return object_print(NULL);
	}
	bad = object_add(
	    top, "at", json_object_new_string(text_utc(at, r->doctor.now)));
	bad |= object_add(top, "status", json_object_new_int(status_of(r)));
	for (int s = DOCTOR_FAULT; s >= DOCTOR_NONE; s--)
		bad |= object_add(top, doctor_state_name((enum doctor_state)s),
		    json_object_new_int(r->counts[s]));
	bad |= object_add(top, "checks", checks);
	if (bad) {
		json_object_put(top);
		top = NULL;
	}
	return object_print(top);
}

/* 0, or -1 when it found no memory. */
static int
look(struct request *r)
{
	struct json_object *array = r->json ? json_object_new_array() : NULL;
	struct doctor_finding f;
	int bad = r->json && array == NULL;

	for (size_t i = 0; i < doctor_n_checks; i++) {
		const struct doctor_check *check = &doctor_checks[i];

		if (!is_wanted(r, check))
			continue;
		doctor_run(&r->doctor, check, &f);
		r->counts[f.state]++;
		if (!is_loud(r, f.state))
			continue;
		if (!r->json)
			print_line(check, &f);
		else if (!bad)
			bad = add_object(array, check, &f);
	}
	if (!r->json)
		return 0;
	if (bad) {
		json_object_put(array);
		array = NULL;
	}
	return bad ? object_print(NULL) : print_json(r, array);
}

static void
print_list(void)
{
	for (size_t i = 0; i < doctor_n_checks; i++)
		printf(
		    "%-16s %s\n", doctor_checks[i].id, doctor_checks[i].title);
}

static const char *
environment(const char *name)
{
	const char *value = getenv(name);

	return value == NULL ? "" : value;
}

static int
run(struct request *r)
{
	struct config *config = config_load(); /* NULL is a finding */
	int bad;

	r->doctor.config = config;
	r->doctor.env_file = environment("PMPROXY_ENV");
	r->doctor.bind = environment("PMPROXY_BIND");
	bad = curl_global_init(CURL_GLOBAL_DEFAULT) != 0 || look(r) == -1;
	curl_global_cleanup();
	config_free(config);
	return bad ? EX_OSERR : status_of(r);
}

int
main(int argc, char **argv)
{
	const struct rlimit none = { 0, 0 };
	struct request r = { 0 };
	int code = EX_OK, go_on;

	log_init("pmdoctor");
	/* Settings are secrets. */
	if (setrlimit(RLIMIT_CORE, &none) == -1)
		log_warn("cannot keep the memory out of core dumps");
	doctor_init(&r.doctor);
	if ((go_on = read_options(&r, argc, argv)) == -1)
		return EX_USAGE;
	if (go_on == 1 && r.list)
		print_list();
	else if (go_on == 1)
		code = run(&r);
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	log_warn("cannot write to standard output");
	return EX_IOERR;
}
