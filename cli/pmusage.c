/* pmusage: rolls the usage journal up, shows it, and exports it. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/erase.h"
#include "cli/usage_report.h"
#include "lib/config.h"
#include "lib/costs.h"
#include "lib/log.h"
#include "lib/sandbox.h"
#include "lib/settings.h"
#include "lib/text.h"

/* Exit codes. */
enum {
	DONE,
	FAILED,
	WRONG_USE
};

static const char overall_help[] =
    "usage: pmusage COMMAND [OPTION]...\n"
    "\n"
    "  rollup   roll closed hours of the journal up\n"
    "  show     totals and cost of a period, as a table\n"
    "  export   totals as CSV, JSON lines or OpenMetrics\n"
    "  prune    remove what is older than some time\n"
    "  erase    remove all that one key used\n"
    "\n"
    "pmusage COMMAND --help tells the options of one. All times are UTC.\n";

static const char rollup_help[] =
    "usage: pmusage rollup [--json]\n"
    "\n"
    "Rolls every closed hour of STATE_DIR/journal up into usage.gdbm. May be\n"
    "repeated, interrupted, and run twice at once.\n"
    "\n"
    "  --json   print the result as a JSON object\n";

static const char show_help[] =
    "usage: pmusage show [OPTION]...\n"
    "\n"
    "  --period PERIOD   today, yesterday, 7d, 30d, month (the default), year,\n"
    "                    all, a month YYYY-MM or a day YYYY-MM-DD\n"
    "  --by LIST         key, model, endpoint, and one of hour, day, month;\n"
    "                    separated by commas (default: key)\n"
    "  --key ID          this key only\n"
    "  --json            print a JSON object\n";

static const char export_help[] =
    "usage: pmusage export --format csv|jsonl|openmetrics [OPTION]...\n"
    "\n"
    "  --format FORMAT   csv, jsonl (JSON lines) or openmetrics\n"
    "  --since-last NAME only closed hours, and of them what was not given\n"
    "                    under this name (or path) before; for cron\n"
    "  --from DATE       from the start of this day (YYYY-MM-DD) or month\n"
    "                    (YYYY-MM), or this hour (YYYY-MM-DDTHH:00:00Z)\n"
    "  --to DATE         to the end of this day or month, or up to this hour\n"
    "  --by PERIOD       hour (the default), day or month\n"
    "  --group LIST      key, model, endpoint, separated by commas, or none\n"
    "                    (default: all three)\n"
    "  --key ID          this key only\n";

static const char prune_help[] =
    "usage: pmusage prune [--older-than SPAN]\n"
    "\n"
    "Removes journals and rolled-up hours that ended longer ago, for good.\n"
    "\n"
    "  --older-than SPAN   400d, 60w; at least 32d (default: the setting\n"
    "                      USAGE_RETENTION, which is 400d where nobody set\n"
    "                      it)\n";

static const char erase_help[] =
    "usage: pmusage erase KEY\n"
    "\n"
    "Removes all that the key with this id used, in every file, for good.\n"
    "See pmkey delete --erase to remove the key with it.\n";

/* As getopt_long returns them; a command names those it takes. */
enum option_letter {
	BY = 'b',
	FORMAT = 'f',
	FROM = 'F',
	GROUP = 'g',
	HELP = 'h',
	JSON = 'j',
	KEY = 'k',
	OLDER_THAN = 'o',
	PERIOD = 'p',
	SINCE_LAST = 's',
	TO = 'T'
};

static const struct option options[] = { { "by", 1, NULL, BY },
	{ "format", 1, NULL, FORMAT }, { "from", 1, NULL, FROM },
	{ "group", 1, NULL, GROUP }, { "help", 0, NULL, HELP },
	{ "json", 0, NULL, JSON }, { "key", 1, NULL, KEY },
	{ "older-than", 1, NULL, OLDER_THAN }, { "period", 1, NULL, PERIOD },
	{ "since-last", 1, NULL, SINCE_LAST }, { "to", 1, NULL, TO },
	{ NULL, 0, NULL, 0 } };

struct command {
	const char *name, *help, *takes; /* letters of options */
	int operand; /* it takes a key's id */
	struct usage_request defaults;
	int (*run)(
	    const char *state_dir, const struct usage_request *); /* 0, -1 */
};

/* The object's members are numbers, so no JSON needs to be built. */
static int
rollup(const char *state_dir, const struct usage_request *request)
{
	int64_t hours = costs_rollup(state_dir, request->now);

	usage_report_malformed();
	if (hours == -1)
		return -1;
	if (request->json)
		printf("{\"hours\":%" PRId64 ",\"malformed_lines\":%" PRId64
		       "}\n",
		    hours, usage_malformed_lines());
	else
		printf("hours rolled up: %" PRId64 "\n", hours);
	return 0;
}

/* What cannot be read removes nothing. */
static int
read_retention(
    const struct config *config, const char *state_dir, int64_t *span)
{
	struct settings *settings = settings_open(state_dir, config);
	struct settings_values live;
	int bad = settings == NULL || settings_read(settings, &live) == -1;

	settings_close(settings);
	if (bad)
		return -1;
	*span = live.number[CONFIG_USAGE_RETENTION];
	return 0;
}

static int
prune(const char *state_dir, const struct usage_request *request)
{
	int64_t span = request->older_than, hours;

	if (span == 0 &&
	    read_retention(request->config, state_dir, &span) == -1)
		return -1;
	hours = costs_prune(state_dir, request->now - span);
	if (hours == -1)
		return -1;
	printf("hours removed: %" PRId64 "\n", hours);
	return 0;
}

static int
erase(const char *state_dir, const struct usage_request *request)
{
	struct key key;
	int64_t n;

	/* It may be gone, or one of API_KEYS; the others count anew. */
	if (strlen(request->key_id) >= sizeof(key.id) ||
	    keys_load(state_dir, request->key_id, &key) != KEYS_OK) {
		key = (struct key){ .created = 0 };
		(void)snprintf(key.id, sizeof(key.id), "%s", request->key_id);
	}
	if ((n = erase_use(request->config, &key, 0)) == -1)
		return -1;
	printf("lines and rows removed: %" PRId64 "\n", n);
	return 0;
}

static int
export_usage(const char *state_dir, const struct usage_request *request)
{
	return request->cursor != NULL
	    ? usage_report_rest(state_dir, request)
	    : usage_report_export(state_dir, request);
}

static const struct command commands[] = {
	{ "rollup", rollup_help, "hj", 0, { .now = 0 }, rollup },
	{ "show", show_help, "hjbkp", 0, { .view = { .key = 1 } },
	    usage_report_show },
	{ "export", export_help, "hbfFgksT", 0,
	    { .view = { USAGE_PERIOD_HOUR, 1, 1, 1 },
		.range = { INT64_MIN, INT64_MAX } },
	    export_usage },
	{ "prune", prune_help, "ho", 0, { .now = 0 }, prune },
	{ "erase", erase_help, "h", 1, { .now = 0 }, erase },
};

static int
set_format(struct usage_request *request, const char *name)
{
	static const char *const names[] = { "csv", "jsonl", "openmetrics" };

	request->format_given = 1;
	for (int i = 0; i < 3; i++)
		if (strcmp(name, names[i]) == 0) {
			request->format = (enum usage_format)i;
			return 0;
		}
	return -1;
}

/* An export has one period and a group apart; a table has both in one list. */
static int
set_by(const struct command *command, struct usage_request *request,
    const char *by)
{
	return command->run == export_usage
	    ? usage_view_period(&request->view, by)
	    : usage_view_by(&request->view, by);
}

/* A path, or a name that stays within its folder. */
static int
is_cursor_name(const char *name)
{
	return strchr(name, '/') != NULL ||
	    (name[0] != '\0' && name[0] != '.' &&
		strspn(name,
		    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
		    "abcdefghijklmnopqrstuvwxyz0123456789._-") == strlen(name));
}

/* 0, or -1 when the value is not valid. */
static int
set_option(const struct command *command, struct usage_request *request,
    int letter, const char *value)
{
	switch ((enum option_letter)letter) {
	case BY:
		return set_by(command, request, value);
	case FORMAT:
		return set_format(request, value);
	case FROM:
		request->ranged = 1;
		return usage_range_from(&request->range, value);
	case GROUP:
		return usage_view_group(&request->view, value);
	case JSON:
		request->json = 1;
		return 0;
	case KEY:
		request->ranged = 1;
		request->key_id = value;
		return 0;
	case OLDER_THAN:
		/* Not the month that budgets are counted by. */
		return text_to_span(value, &request->older_than) == 0 &&
			request->older_than >= 32 * 86400
		    ? 0
		    : -1;
	case SINCE_LAST:
		request->cursor = value;
		return is_cursor_name(value) ? 0 : -1;
	case PERIOD:
		return usage_range_named(&request->range, value, request->now);
	case TO:
		request->ranged = 1;
		return usage_range_to(&request->range, value);
	case HELP:
		break;
	}
	return -1;
}

static int
wrong_use(const struct command *command, const char *why, const char *what)
{
	if (why != NULL)
		fprintf(stderr, "pmusage: %s '%s'\n", why, what);
	fprintf(stderr, "Try 'pmusage %s%s--help'.\n",
	    command ? command->name : "", command ? " " : "");
	return WRONG_USE;
}

static int
check_export(const struct command *command, const struct usage_request *request)
{
	if (!request->format_given)
		return wrong_use(command, "missing:", "--format");
	/* What is given once must not depend on how it was asked for. */
	if (request->cursor != NULL &&
	    (request->ranged || request->view.period != USAGE_PERIOD_HOUR))
		return wrong_use(
		    command, "all of each hour is given by", "--since-last");
	if (request->range.from >= request->range.to)
		return wrong_use(command, "--to lies before", "--from");
	return DONE;
}

/* DONE when the command is to run, else how to exit; 'helped' when it did. */
static int
read_options(const struct command *command, int argc, char **argv,
    struct usage_request *request, int *helped)
{
	int letter, at = 0;

	while ((letter = getopt_long(argc, argv, "", options, &at)) != -1) {
		if (letter == '?') /* getopt has said what is wrong */
			return wrong_use(command, NULL, NULL);
		if (strchr(command->takes, letter) == NULL)
			return wrong_use(
			    command, "no such option:", options[at].name);
		if (letter == HELP) {
			fputs(command->help, stdout);
			*helped = 1;
			return DONE;
		}
		if (set_option(command, request, letter, optarg) == -1)
			return wrong_use(command, "not valid:", optarg);
	}
	if (command->operand && optind == argc)
		return wrong_use(command, "missing:", "KEY");
	if (command->operand)
		request->key_id = argv[optind++];
	if (optind < argc)
		return wrong_use(command, "not expected:", argv[optind]);
	return command->run == export_usage ? check_export(command, request)
					    : DONE;
}

static int
run_command(const struct command *command, struct usage_request *request)
{
	struct config *config = config_load();
	int done;

	if (config == NULL)
		return FAILED;
	request->config = config;
	done = command->run(config_text(config, CONFIG_STATE_DIR), request);
	config_free(config);
	return done == 0 ? DONE : FAILED;
}

static const struct command *
find_command(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(name, commands[i].name) == 0)
			return &commands[i];
	return NULL;
}

/* A full disk or a closed pipe behind standard output is a failure too. */
static int
finish(int code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	log_warnx("cannot write to standard output");
	return code == DONE ? FAILED : code;
}

int
main(int argc, char **argv)
{
	const struct command *command;
	struct usage_request request;
	int helped = 0, code;

	log_init("pmusage");
	if (sandbox_private() == -1)
		return FAILED;
	if (argc > 1 && strcmp(argv[1], "--help") == 0) {
		fputs(overall_help, stdout);
		return finish(DONE);
	}
	if (argc < 2)
		return wrong_use(NULL, NULL, NULL);
	if ((command = find_command(argv[1])) == NULL)
		return wrong_use(NULL, "no such command:", argv[1]);
	request = command->defaults;
	request.now = time(NULL);
	/* Only 'show' has a period by default; the others ignore it. */
	if (command->run == usage_report_show)
		(void)usage_range_named(&request.range, "month", request.now);
	optind = 2;
	code = read_options(command, argc, argv, &request, &helped);
	if (code == DONE && !helped)
		code = run_command(command, &request);
	return finish(code);
}
