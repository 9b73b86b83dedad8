/* pmsettings: shows and changes the settings of a running gate. */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/object.h"
#include "cli/lighttpd.h"
#include "cli/price.h"
#include "cli/table.h"
#include "lib/config.h"
#include "lib/log.h"
#include "lib/settings.h"

#define JSON 'j'

static const char overall_help[] =
    "usage: pmsettings COMMAND [OPTION]...\n"
    "\n"
    "  list      show the settings that can be changed while the gate runs\n"
    "  set       change one\n"
    "  unset     go back to what the configuration says\n"
    "  price     show and change what models cost\n"
    "  get       print what a setting was at start, for scripts\n"
    "  lighttpd  print what lighttpd.conf needs; lighttpd runs this itself\n"
    "\n"
    "A change is in force for the next request, and stands in front of the\n"
    "environment and the .env file. It is kept in STATE_DIR/settings.gdbm.\n";

static const char list_help[] =
    "usage: pmsettings list [--json]\n"
    "\n"
    "Shows each live setting's value in force, where it comes from and what\n"
    "it is for. Times are seconds.\n"
    "\n"
    "  --json   print it for scripts\n";

static const char set_help[] =
    "usage: pmsettings set NAME VALUE\n"
    "\n"
    "VALUE is a whole number, or a span of time like 90, 5m, 2h.\n";

static const char unset_help[] = "usage: pmsettings unset NAME\n";

static const char get_help[] =
    "usage: pmsettings get NAME\n"
    "\n"
    "Prints what environment and .env file make of a setting, be it given,\n"
    "default or derived from others; an empty line if it is none of these.\n"
    "Secrets are not printed.\n";

static const char lighttpd_help[] =
    "usage: pmsettings lighttpd\n"
    "\n"
    "Prints variables in lighttpd's syntax, for include_shell.\n";

struct request {
	struct config *config;
	const char *state_dir; /* of the config */
	int json;
};

static const struct option options[] = {
	{ "json", no_argument, NULL, JSON },
	{ "help", no_argument, NULL, COMMAND_HELP },
	{ NULL, 0, NULL, 0 },
};

static const char *
set_option(void *arg, int letter, const char *value)
{
	struct request *r = arg;

	(void)letter; /* there is but one */
	(void)value;
	r->json = 1;
	return NULL;
}

static int
prepare(void *arg)
{
	struct request *r = arg;

	if ((r->config = config_load()) == NULL)
		return -1;
	r->state_dir = config_text(r->config, CONFIG_STATE_DIR);
	return 0;
}

static const char *
source_of(const struct request *r, const struct settings_values *values,
    enum config_name name)
{
	if (values->stored[name])
		return "settings";
	return config_is_given(r->config, name) ? "configuration" : "default";
}

static int64_t
default_of(enum config_name name)
{
	int64_t number = 0;

	(void)config_parse(name, config_fallback(name), &number);
	return number;
}

static int
print_table(const struct request *r, const struct settings_values *values)
{
	static const char *const heads[] = { "NAME", ">VALUE", ">DEFAULT",
		"FROM", "MEANING" };
	struct table t = TABLE(heads);
	char number[CONFIG_NUMBER_SIZE];

	for (enum config_name name = 0; name < CONFIG__MAX; name++) {
		if (!config_is_live(name))
			continue;
		table_add(&t, config_label(name));
		table_add(
		    &t, config_number_text(number, name, values->number[name]));
		table_add(
		    &t, config_number_text(number, name, default_of(name)));
		table_add(&t, source_of(r, values, name));
		table_add(&t, config_meaning(name));
	}
	if (table_print(&t) == 0)
		return 0;
	log_warnx("out of memory");
	return -1;
}

static struct json_object *
new_object(const struct request *r, const struct settings_values *values,
    enum config_name name)
{
	struct json_object *o = json_object_new_object();
	int64_t min, max;
	int bad = 0;

	if (o == NULL)
		return NULL;
	(void)config_is_number(name, &min, &max); /* live ones all are */
	bad |=
	    object_add(o, "name", json_object_new_string(config_label(name)));
	bad |=
	    object_add(o, "value", json_object_new_int64(values->number[name]));
	bad |=
	    object_add(o, "default", json_object_new_int64(default_of(name)));
	bad |= object_add(
	    o, "source", json_object_new_string(source_of(r, values, name)));
	bad |= object_add(o, "min", json_object_new_int64(min));
	bad |= object_add(o, "max", json_object_new_int64(max));
	bad |= object_add(
	    o, "meaning", json_object_new_string(config_meaning(name)));
	if (!bad)
		return o;
	json_object_put(o);
	return NULL;
}

static int
print_json(const struct request *r, const struct settings_values *values)
{
	struct json_object *array = json_object_new_array(), *o;

	for (enum config_name name = 0; name < CONFIG__MAX; name++) {
		if (array == NULL || !config_is_live(name))
			continue;
		o = new_object(r, values, name);
		if (o != NULL && json_object_array_add(array, o) == 0)
			continue;
		json_object_put(o);
		json_object_put(array);
		array = NULL;
	}
	return object_print(array);
}

static enum command_exit
list(char **none, void *arg)
{
	const struct request *r = arg;
	struct settings *s = settings_open(r->state_dir, r->config);
	struct settings_values values;
	int bad = s == NULL || settings_read(s, &values) == -1;

	(void)none;
	settings_close(s);
	if (bad)
		return COMMAND_FAILED;
	bad = r->json ? print_json(r, &values) : print_table(r, &values);
	return bad ? COMMAND_FAILED : COMMAND_DONE;
}

/* CONFIG__MAX after saying that there is none of that name to be changed. */
static enum config_name
find_live(const char *label)
{
	enum config_name name = config_find(label);

	if (name < CONFIG__MAX && config_is_live(name))
		return name;
	log_warnx(name == CONFIG__MAX
		? "no such setting: '%s'"
		: "'%s' is read at start only: change the configuration",
	    label);
	return CONFIG__MAX;
}

static enum command_exit
set(char **operands, void *arg)
{
	const struct request *r = arg;
	enum config_name name = find_live(operands[0]);
	char least[CONFIG_NUMBER_SIZE], most[CONFIG_NUMBER_SIZE];
	int64_t number, min, max;

	if (name == CONFIG__MAX)
		return COMMAND_WRONG_USE;
	if (config_parse(name, operands[1], &number) == -1) {
		(void)config_is_number(name, &min, &max);
		log_warnx("%s: not from %s to %s", operands[0],
		    config_number_text(least, name, min),
		    config_number_text(most, name, max));
		return COMMAND_WRONG_USE;
	}
	return settings_set(r->state_dir, name, operands[1]) == 0
	    ? COMMAND_DONE
	    : COMMAND_FAILED;
}

static enum command_exit
unset(char **operands, void *arg)
{
	const struct request *r = arg;
	enum config_name name = find_live(operands[0]);

	if (name == CONFIG__MAX)
		return COMMAND_WRONG_USE;
	return settings_unset(r->state_dir, name) == 0 ? COMMAND_DONE
						       : COMMAND_FAILED;
}

static enum command_exit
get(char **operands, void *arg)
{
	const struct request *r = arg;
	enum config_name name = config_find(operands[0]);
	int64_t min, max;

	if (name == CONFIG__MAX || config_is_secret(name)) {
		log_warnx(name == CONFIG__MAX ? "no such setting: '%s'"
					      : "'%s' is a secret",
		    operands[0]);
		return COMMAND_WRONG_USE;
	}
	if (config_is_number(name, &min, &max))
		printf("%" PRId64 "\n", config_number(r->config, name));
	else
		printf("%s\n", config_text(r->config, name));
	return COMMAND_DONE;
}

static enum command_exit
lighttpd(char **none, void *arg)
{
	const struct request *r = arg;

	(void)none;
	return lighttpd_print(r->config, stdout) == 0 ? COMMAND_DONE
						      : COMMAND_FAILED;
}

static const struct command commands[] = {
	{ "list", list_help, "j", { NULL }, list },
	{ "set", set_help, "", { "NAME", "VALUE" }, set },
	{ "unset", unset_help, "", { "NAME" }, unset },
	{ "get", get_help, "", { "NAME" }, get },
	{ "lighttpd", lighttpd_help, "", { NULL }, lighttpd },
};

static const struct program program = { "pmsettings", overall_help, commands,
	sizeof(commands) / sizeof(commands[0]), options, prepare, set_option };

int
main(int argc, char **argv)
{
	struct request r = { 0 };
	int code;

	/* A second word behind this one says what to do. */
	if (argc > 1 && strcmp(argv[1], "price") == 0)
		return price_main(argc - 1, argv + 1);
	code = command_main(&program, argc, argv, &r);
	config_free(r.config);
	return code;
}
