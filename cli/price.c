/* "pmsettings price": shows and changes what models cost. */
#include "cli/price.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/command.h"
#include "cli/object.h"
#include "cli/table.h"
#include "lib/config.h"
#include "lib/log.h"
#include "lib/prices.h"
#include "lib/text.h"

enum {
	ALL = 'a',
	COMPLETION = 'c',
	AUDIO_HOUR = 'H',
	JSON = 'j',
	AUDIO_MIB = 'M',
	PROMPT = 'p'
};

static const char overall_help[] =
    "usage: pmsettings price COMMAND [OPTION]...\n"
    "\n"
    "  list   show what each model costs\n"
    "  set    change what a model costs, from this hour on\n"
    "  unset  go back to Privatemode's list, from this hour on\n"
    "\n"
    "What was used before this hour costs what it cost. The model * stands\n"
    "for all that have no price of their own.\n";

static const char list_help[] =
    "usage: pmsettings price list [--all] [--json]\n"
    "\n"
    "Prices are EUR for a million tokens, a MiB or an hour of audio.\n"
    "\n"
    "  --all    earlier prices as well\n"
    "  --json   print it for scripts\n";

static const char set_help[] =
    "usage: pmsettings price set MODEL PRICE...\n"
    "\n"
    "Replaces the whole price; what is not given costs nothing.\n"
    "\n"
    "  --prompt EUR       a million prompt tokens\n"
    "  --completion EUR   a million completion tokens\n"
    "  --audio-mib EUR    a MiB of audio\n"
    "  --audio-hour EUR   an hour of audio\n";

static const char unset_help[] = "usage: pmsettings price unset MODEL\n";

struct request {
	struct config *config;
	const char *state_dir; /* of the config */
	struct price price;
	int given, all, json;
	int64_t now;
};

static const struct option options[] = {
	{ "all", no_argument, NULL, ALL },
	{ "json", no_argument, NULL, JSON },
	{ "prompt", required_argument, NULL, PROMPT },
	{ "completion", required_argument, NULL, COMPLETION },
	{ "audio-mib", required_argument, NULL, AUDIO_MIB },
	{ "audio-hour", required_argument, NULL, AUDIO_HOUR },
	{ "help", no_argument, NULL, COMMAND_HELP },
	{ NULL, 0, NULL, 0 },
};

static const char *
set_price(struct request *r, int64_t *price, const char *value)
{
	if (text_to_eur(value, price) == -1)
		return "not an amount of EUR like 0.13";
	r->given = 1;
	return prices_problem(PRICES_OTHERS, &r->price);
}

static const char *
set_option(void *arg, int letter, const char *value)
{
	struct request *r = arg;

	switch (letter) {
	case ALL:
		r->all = 1;
		return NULL;
	case JSON:
		r->json = 1;
		return NULL;
	case PROMPT:
		return set_price(r, &r->price.prompt, value);
	case COMPLETION:
		return set_price(r, &r->price.completion, value);
	case AUDIO_MIB:
		return set_price(r, &r->price.audio_mib, value);
	case AUDIO_HOUR:
		return set_price(r, &r->price.audio_hour, value);
	default:
		return "not known";
	}
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

/* A list on its way; a row waits until it is known to be the latest. */
struct listing {
	const struct request *request;
	struct table table;
	struct json_object *array;
	struct prices_row last;
	char model[PRICES_MODEL_SIZE];
	int failed;
};

/* Adds and owns; NULL is a failure. */
static void
add(struct listing *l, struct json_object *to, const char *name,
    struct json_object *value)
{
	if (object_add(to, name, value) == -1)
		l->failed = 1;
}

static void
add_eur(struct listing *l, struct json_object *to, const char *name, int64_t n)
{
	char eur[TEXT_EUR_SIZE];

	/* What is printed is the text; the double is only its stand-in. */
	add(l, to, name, json_object_new_double_s((double)n, text_eur(eur, n)));
}

static void
add_object(struct listing *l, const char *from)
{
	const struct price *p = &l->last.price;
	struct json_object *o = json_object_new_object();

	if (o == NULL || json_object_array_add(l->array, o) != 0) {
		json_object_put(o);
		l->failed = 1;
		return;
	}
	add(l, o, "model", json_object_new_string(l->model));
	if (*from != '\0')
		add(l, o, "from", json_object_new_string(from));
	else if (json_object_object_add(o, "from", NULL) != 0)
		l->failed = 1;
	add(l, o, "source",
	    json_object_new_string(l->last.set ? "settings" : "list"));
	add_eur(l, o, "prompt", p->prompt);
	add_eur(l, o, "completion", p->completion);
	add_eur(l, o, "audio_mib", p->audio_mib);
	add_eur(l, o, "audio_hour", p->audio_hour);
}

static void
add_row(struct listing *l, const char *from)
{
	const struct price *p = &l->last.price;
	const int64_t cell[] = { p->prompt, p->completion, p->audio_mib,
		p->audio_hour };
	char eur[TEXT_EUR_SIZE];

	table_add(&l->table, l->model);
	for (size_t i = 0; i < sizeof(cell) / sizeof(cell[0]); i++)
		table_add(&l->table, text_eur(eur, cell[i]));
	table_add(&l->table, *from != '\0' ? from : "always");
	table_add(&l->table, l->last.set ? "settings" : "list");
}

static void
add_last(struct listing *l)
{
	char from[TEXT_UTC_SIZE] = "";

	if (l->model[0] == '\0')
		return;
	if (l->last.from != INT64_MIN)
		text_utc(from, l->last.from);
	if (l->array != NULL)
		add_object(l, from);
	else
		add_row(l, from);
}

static int
take_row(const struct prices_row *row, void *arg)
{
	struct listing *l = arg;

	if (!l->request->all && row->from > l->request->now)
		return 0;
	if (l->request->all || strcmp(l->model, row->model) != 0)
		add_last(l);
	l->last = *row;
	(void)snprintf(l->model, sizeof(l->model), "%s", row->model);
	return l->failed;
}

static int
take_rows(struct listing *l)
{
	struct prices *p = prices_open(l->request->state_dir);
	int bad = p == NULL || prices_refresh(p) == -1 ||
	    prices_each(p, take_row, l) != 0;

	prices_close(p);
	if (!bad)
		add_last(l);
	return bad ? -1 : 0;
}

static enum command_exit
list(char **none, void *arg)
{
	static const char *const heads[] = { "MODEL", ">PROMPT", ">COMPLETION",
		">AUDIO MIB", ">AUDIO HOUR", "SINCE", "FROM" };
	const struct request *r = arg;
	struct listing l = { .request = r, .table = TABLE(heads) };
	int bad;

	(void)none;
	if (r->json && (l.array = json_object_new_array()) == NULL) {
		log_warnx("out of memory");
		return COMMAND_FAILED;
	}
	bad = take_rows(&l) == -1 || l.failed;
	if (bad) {
		json_object_put(l.array);
		if (l.failed)
			log_warnx("out of memory");
	} else if (r->json) {
		bad = object_print(l.array) == -1;
	} else if (table_print(&l.table) == -1) {
		log_warnx("out of memory");
		bad = 1;
	}
	return bad ? COMMAND_FAILED : COMMAND_DONE;
}

static enum command_exit
set(char **operands, void *arg)
{
	const struct request *r = arg;
	const char *problem = prices_problem(operands[0], &r->price);

	if (problem != NULL)
		return command_misused(problem);
	if (!r->given)
		return command_misused("no price is given");
	return prices_set(r->state_dir, operands[0], &r->price, r->now) == 0
	    ? COMMAND_DONE
	    : COMMAND_FAILED;
}

static enum command_exit
unset(char **operands, void *arg)
{
	const struct request *r = arg;
	const char *problem = prices_problem(operands[0], NULL);

	if (problem != NULL)
		return command_misused(problem);
	return prices_set(r->state_dir, operands[0], NULL, r->now) == 0
	    ? COMMAND_DONE
	    : COMMAND_FAILED;
}

static const struct command commands[] = {
	{ "list", list_help, "aj", { NULL }, list },
	{ "set", set_help, "pcMH", { "MODEL" }, set },
	{ "unset", unset_help, "", { "MODEL" }, unset },
};

static const struct program program = { "pmsettings price", overall_help,
	commands, sizeof(commands) / sizeof(commands[0]), options, prepare,
	set_option };

int
price_main(int argc, char **argv)
{
	struct request r = { .now = time(NULL) };
	int code = command_main(&program, argc, argv, &r);

	config_free(r.config);
	return code;
}
