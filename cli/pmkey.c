/* pmkey: makes, shows, changes and removes the keys of the gate. */
#include <inttypes.h>
#include <json-c/json.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/emergency.h"
#include "cli/erase.h"
#include "cli/key_help.h"
#include "cli/key_import.h"
#include "cli/key_list.h"
#include "cli/key_options.h"
#include "cli/key_view.h"
#include "cli/object.h"
#include "cli/password.h"
#include "cli/store_key.h"
#include "lib/audit.h"
#include "lib/keys.h"
#include "lib/log.h"
#include "lib/secret.h"
#include "lib/text.h"

/* Options beside those of key_options.h. */
enum {
	JSON = 'j',
	YES = 'y',
	GRACE = 'g',
	ERASE = 'E',
	REMOVE = 'x',
	END = 'n',
	EVERYTHING = 'A',
	NEW = 'N',
	DROP = 'D',
	FIRST = 'F',
	PLAIN = 'P',
	CURSOR = 'u'
};

#define DEFAULT_GRACE 86400

struct request {
	struct config *config;
	const char *state_dir; /* of the config */
	struct key_options options; /* its 'now' is everybody's */
	int json, yes, erase, remove, sure;
	enum store_key_change key_change;
	enum db_reseal reseal;
	const char *cursor;
	int64_t grace_s;
};

static const struct option options[] = {
	{ "label", required_argument, NULL, KEY_LABEL },
	{ "expires", required_argument, NULL, KEY_EXPIRES },
	{ "rate-limit", required_argument, NULL, KEY_RATE_LIMIT },
	{ "tokens-per-minute", required_argument, NULL, KEY_TOKENS },
	{ "parallel", required_argument, NULL, KEY_PARALLEL },
	{ "budget-eur", required_argument, NULL, KEY_BUDGET_EUR },
	{ "budget-tokens", required_argument, NULL, KEY_BUDGET_TOKENS },
	{ "models", required_argument, NULL, KEY_MODELS },
	{ "prompt-cache", no_argument, NULL, KEY_CACHE },
	{ "no-prompt-cache", no_argument, NULL, KEY_NO_CACHE },
	{ "json", no_argument, NULL, JSON },
	{ "yes", no_argument, NULL, YES },
	{ "erase", no_argument, NULL, ERASE },
	{ "remove", no_argument, NULL, REMOVE },
	{ "end", no_argument, NULL, END },
	{ "everything", no_argument, NULL, EVERYTHING },
	{ "grace", required_argument, NULL, GRACE },
	{ "new", no_argument, NULL, NEW },
	{ "drop", no_argument, NULL, DROP },
	{ "first", no_argument, NULL, FIRST },
	{ "plain", no_argument, NULL, PLAIN },
	{ "cursor", required_argument, NULL, CURSOR },
	{ "help", no_argument, NULL, COMMAND_HELP },
	{ NULL, 0, NULL, 0 },
};

static const char *
set_option(void *arg, int letter, const char *value)
{
	struct request *r = arg;

	switch (letter) {
	case JSON:
		r->json = 1;
		return NULL;
	case YES:
		r->yes = 1;
		return NULL;
	case ERASE:
		r->erase = 1;
		return NULL;
	case REMOVE:
		r->remove = 1;
		return NULL;
	case END:
	case EVERYTHING:
		r->sure = 1;
		return NULL;
	case NEW:
		r->key_change = STORE_KEY_NEW;
		return NULL;
	case DROP:
		r->key_change = STORE_KEY_DROP;
		return NULL;
	case FIRST:
		r->reseal = DB_RESEAL_FIRST;
		return NULL;
	case PLAIN:
		r->reseal = DB_RESEAL_PLAIN;
		return NULL;
	case CURSOR:
		r->cursor = value;
		return NULL;
	case GRACE:
		if (text_to_i64(value, 0, 0, &r->grace_s) == 0 ||
		    text_to_span(value, &r->grace_s) == 0)
			return NULL;
		return "not a span of time like 24h";
	default:
		return key_options_set(
		    &r->options, (enum key_option)letter, value);
	}
}

/* Says why there is no such key; the rest is logged where it happens. */
static enum command_exit
failed(enum keys_result result, const char *id)
{
	if (result == KEYS_UNKNOWN)
		log_warnx("no such key: '%s'", id);
	return COMMAND_FAILED;
}

static enum command_exit
show_key(const struct request *r, const struct key *key)
{
	if (!r->json) {
		key_view_print(key, r->options.now);
		return COMMAND_DONE;
	}
	return object_print(key_view_object(key, r->options.now)) == 0
	    ? COMMAND_DONE
	    : COMMAND_FAILED;
}

/* A new key, the only time that it can be seen; wipes it. */
static enum command_exit
show_secret(const struct request *r, const struct key *key,
    char secret[KEYS_SECRET_SIZE], const char *replaces)
{
	struct json_object *o;
	int bad = 0;

	if (!r->json) {
		printf("%-15s %s\n", "Key:", secret);
		key_view_print(key, r->options.now);
		printf("\nThe key will not be shown again.\n");
	} else if ((o = key_view_object(key, r->options.now)) == NULL ||
	    object_add(o, "key", json_object_new_string(secret)) == -1 ||
	    (replaces != NULL &&
		object_add(o, "replaces", json_object_new_string(replaces)) ==
		    -1)) {
		json_object_put(o);
		log_warnx(
		    "'%s' is made, but cannot be shown: delete it", key->id);
		bad = 1;
	} else {
		bad = object_print(o) == -1;
	}
	secret_wipe(secret, KEYS_SECRET_SIZE);
	return bad ? COMMAND_FAILED : COMMAND_DONE;
}

static enum command_exit
create(char **none, void *arg)
{
	struct request *r = arg;
	char secret[KEYS_SECRET_SIZE];
	struct key key = { 0 };

	(void)none;
	if (!key_options_given(&r->options, KEY_LABEL))
		return command_misused("missing: --label");
	key_options_apply(&key, &r->options);
	if (keys_create(r->state_dir, &key, r->options.now, secret) != KEYS_OK)
		return COMMAND_FAILED;
	return show_secret(r, &key, secret, NULL);
}

static enum command_exit
list(char **none, void *arg)
{
	const struct request *r = arg;

	(void)none;
	return key_list(r->state_dir, r->options.now, r->json);
}

static enum command_exit
show(char **operands, void *arg)
{
	const struct request *r = arg;
	const char *id = operands[0];
	enum keys_result result;
	struct key key;

	result = keys_load(r->state_dir, id, &key);
	return result == KEYS_OK ? show_key(r, &key) : failed(result, id);
}

static enum command_exit
change(const struct request *r, const char *id,
    void (*how)(struct key *, const void *), const void *what)
{
	enum keys_result result;
	struct key key;

	result = keys_change(r->state_dir, id, how, what, &key);
	return result == KEYS_OK ? show_key(r, &key) : failed(result, id);
}

static enum command_exit
set(char **operands, void *arg)
{
	const struct request *r = arg;
	const char *id = operands[0];

	if (!key_options_any(&r->options))
		return command_misused("nothing to change is given");
	return change(r, id, key_options_apply, &r->options);
}

static void
set_disabled(struct key *key, const void *disabled)
{
	key->disabled = *(const int *)disabled;
}

static enum command_exit
disable(char **operands, void *arg)
{
	return change(arg, operands[0], set_disabled, &(int){ 1 });
}

static enum command_exit
enable(char **operands, void *arg)
{
	return change(arg, operands[0], set_disabled, &(int){ 0 });
}

static enum command_exit
rotate(char **operands, void *arg)
{
	const struct request *r = arg;
	const char *id = operands[0];
	char secret[KEYS_SECRET_SIZE];
	enum keys_result result;
	struct key key;

	result = keys_rotate(
	    r->state_dir, id, r->options.now, r->grace_s, &key, secret);
	if (result != KEYS_OK)
		return failed(result, id);
	return show_secret(r, &key, secret, id);
}

/* Only a person at a terminal is asked; 1 for yes. */
static int
confirmed(const struct request *r, const struct key *key)
{
	char answer[16] = "";

	if (r->yes || !isatty(STDIN_FILENO))
		return 1;
	fprintf(stderr, "Delete '%s' (%s)%s for good? [y/N] ", key->id,
	    key->label, r->erase ? " and all trace of its use" : "");
	return fgets(answer, sizeof(answer), stdin) != NULL &&
	    (strcmp(answer, "y\n") == 0 || strcmp(answer, "yes\n") == 0);
}

/*
 * The key first, so that nothing more is written under its name; then what was
 * used, and last who did what to it. May be repeated when it failed.
 */
static enum command_exit
erase_key(const struct request *r, const struct key *key)
{
	int bad;

	if (keys_erase(r->state_dir, key->id) != KEYS_OK)
		return COMMAND_FAILED;
	bad = erase_use(r->config, key, 1) == -1;
	bad |= audit_forget(r->state_dir, key->id) == -1;
	return bad ? COMMAND_FAILED : COMMAND_DONE;
}

static enum command_exit
delete_key(char **operands, void *arg)
{
	const struct request *r = arg;
	const char *id = operands[0];
	struct key key = { 0 };
	enum keys_result result = keys_load(r->state_dir, id, &key);

	/* A damaged record can be deleted, and one that is gone be erased. */
	if (result == KEYS_UNKNOWN && !r->erase)
		return failed(result, id);
	if (result != KEYS_OK)
		snprintf(key.id, sizeof(key.id), "%s", id);
	if (!confirmed(r, &key))
		return COMMAND_FAILED;
	if (r->erase)
		return erase_key(r, &key);
	result = keys_delete(r->state_dir, id);
	return result == KEYS_OK ? COMMAND_DONE : failed(result, id);
}

static enum command_exit
import(char **operands, void *arg)
{
	const struct request *r = arg;
	struct json_object *summary =
	    key_import(r->state_dir, operands[0], r->options.now);

	if (summary == NULL)
		return COMMAND_FAILED;
	if (r->json)
		return object_print(summary) == 0 ? COMMAND_DONE
						  : COMMAND_FAILED;
	key_import_print(summary);
	json_object_put(summary);
	return COMMAND_DONE;
}

static enum command_exit export(char **none, void *arg) {
	const struct request *r = arg;
	    struct json_object *all = key_export(r->state_dir, r->options.now);

	    (void)none; if (all == NULL) return COMMAND_FAILED;
	    return object_print(all) == 0 ? COMMAND_DONE : COMMAND_FAILED;
}

static enum command_exit
admin_password(char **none, void *arg)
{
	const struct request *r = arg;

	(void)none;
	return password_change(r->state_dir, r->remove) == 0 ? COMMAND_DONE
							     : COMMAND_FAILED;
}

static enum command_exit
lockdown(char **none, void *arg)
{
	const struct request *r = arg;

	(void)none;
	return emergency_lockdown(r->config, r->sure);
}

static enum command_exit
destroy(char **none, void *arg)
{
	const struct request *r = arg;

	(void)none;
	if (!r->sure)
		return command_misused("destroy needs --everything");
	return emergency_destroy(r->config);
}

static enum command_exit
store_key(char **none, void *arg)
{
	const struct request *r = arg;

	(void)none;
	return store_key_change(r->config, r->key_change, r->options.now);
}

static enum command_exit
reseal(char **none, void *arg)
{
	const struct request *r = arg;

	(void)none;
	return store_key_reseal(
	    r->config, r->reseal, r->cursor, r->options.now);
}

static const struct command commands[] = {
	{ "create", key_help_create, "j" KEY_OPTIONS_TAKEN, { NULL }, create },
	{ "list", key_help_list, "j", { NULL }, list },
	{ "show", key_help_show, "j", { "ID" }, show },
	{ "set", key_help_set, "j" KEY_OPTIONS_TAKEN, { "ID" }, set },
	{ "disable", key_help_disable, "j", { "ID" }, disable },
	{ "enable", key_help_enable, "j", { "ID" }, enable },
	{ "rotate", key_help_rotate, "jg", { "ID" }, rotate },
	{ "delete", key_help_delete, "yE", { "ID" }, delete_key },
	{ "import", key_help_import, "j", { "FILE" }, import },
	{ "export", key_help_export, "j", { NULL }, export },
	{ "admin-password", key_help_password, "x", { NULL }, admin_password },
	{ "store-key", key_help_store_key, "ND", { NULL }, store_key },
	{ "reseal", key_help_reseal, "FPu", { NULL }, reseal },
	{ "lockdown", key_help_lockdown, "n", { NULL }, lockdown },
	{ "destroy", key_help_destroy, "A", { NULL }, destroy },
};

static int
prepare(void *arg)
{
	struct request *r = arg;

	if ((r->config = config_load()) == NULL)
		return -1;
	r->state_dir = config_text(r->config, CONFIG_STATE_DIR);
	return 0;
}

static const struct program program = { "pmkey", key_help, commands,
	sizeof(commands) / sizeof(commands[0]), options, prepare, set_option };

int
main(int argc, char **argv)
{
	struct request r = { .grace_s = DEFAULT_GRACE };
	int code;

	/* Freed memory is overwritten: json-c handles keys here. */
	(void)mallopt(M_PERTURB, 0x5a);
	r.options.now = time(NULL);
	code = command_main(&program, argc, argv, &r);
	config_free(r.config);
	return code;
}
