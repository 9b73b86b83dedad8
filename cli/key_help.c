/* What pmkey and its commands say to --help. */
#include "cli/key_help.h"

const char key_help[] =
    "usage: pmkey COMMAND [OPTION]...\n"
    "\n"
    "  create   make a key and print it, once\n"
    "  list     show all keys\n"
    "  show     show one key's settings\n"
    "  set      change a key's settings\n"
    "  disable  stop a key from being used\n"
    "  enable   let a disabled key be used again\n"
    "  rotate   make a successor, and let the old key run out\n"
    "  delete   remove a key for good\n"
    "  import   add keys from a file\n"
    "  export   print all keys' settings and hashes, never a key\n"
    "  admin-password  set the password of the admin pages\n"
    "  store-key, reseal\n"
    "           seal what is kept under a key of your own\n"
    "  lockdown refuse all keys at once\n"
    "  destroy  overwrite and remove all that is kept\n"
    "\n"
    "pmkey COMMAND --help tells the options of one. A change is in force for\n"
    "the next request. The store is STATE_DIR/keys.gdbm.\n";

#define SETTINGS                                                               \
	"  --expires WHEN          90d from now (s, m, h, d, w), a day like\n" \
	"                          2027-01-31, a time in UTC, or never\n"      \
	"  --rate-limit N          requests a window; 0 is no limit\n"         \
	"  --tokens-per-minute N   0 is no limit\n"                            \
	"  --parallel N            requests at once; 0 is no limit\n"          \
	"  --budget-eur EUR        for a month (UTC); 0 is no budget\n"        \
	"  --budget-tokens N       for a month (UTC); 0 is no budget\n"        \
	"  --models A,B            the models it may use, or all\n"            \
	"  --prompt-cache          let the upstream cache prompts, for this\n" \
	"                          key alone\n"                                \
	"  --no-prompt-cache       the default\n"

#define AS_JSON "  --json                  print it for scripts\n"

const char key_help_create[] =
    "usage: pmkey create --label TEXT [OPTION]...\n"
    "\n"
    "Makes a key and prints it. It cannot be shown again: only its hash is\n"
    "kept.\n"
    "\n"
    "  --label TEXT            whose it is, or what for\n" SETTINGS AS_JSON;

const char key_help_list[] = "usage: pmkey list [--json]\n"
			     "\n"
			     "Shows all keys, the oldest first.\n"
			     "\n" AS_JSON;

const char key_help_show[] = "usage: pmkey show ID [--json]\n"
			     "\n" AS_JSON;

const char key_help_set[] =
    "usage: pmkey set ID [OPTION]...\n"
    "\n"
    "Changes what is given and leaves the rest.\n"
    "\n"
    "  --label TEXT            whose it is, or what for\n" SETTINGS AS_JSON;

const char key_help_disable[] = "usage: pmkey disable ID [--json]\n"
				"\n" AS_JSON;

const char key_help_enable[] = "usage: pmkey enable ID [--json]\n"
			       "\n" AS_JSON;

const char key_help_rotate[] =
    "usage: pmkey rotate ID [--grace SPAN] [--json]\n"
    "\n"
    "Makes a key with the same settings and prints it, once. The old one can\n"
    "be used until the grace is over.\n"
    "\n"
    "  --grace SPAN            24h by default; 0 ends the old key at once\n" AS_JSON;

const char key_help_delete[] =
    "usage: pmkey delete ID [--erase] [--yes]\n"
    "\n"
    "  --erase                 and all trace of it: what it used, and who\n"
    "                          changed it\n"
    "  --yes                   do not ask; without a terminal it never does\n";

const char key_help_import[] =
    "usage: pmkey import FILE [--json]\n"
    "\n"
    "Adds the keys of an export, or of the predecessor's api_keys.json; - is\n"
    "standard input. All rows are added, or none when one is wrong. Keys that\n"
    "are there already are skipped.\n"
    "\n" AS_JSON;

const char key_help_export[] =
    "usage: pmkey export\n"
    "\n"
    "Prints all keys' settings and hashes as JSON that import reads back.\n";

const char key_help_password[] =
    "usage: pmkey admin-password [--remove]\n"
    "\n"
    "Reads the password of the admin pages, twice from a terminal or else one\n"
    "line of standard input, and stores its hash. It stands in front of\n"
    "ADMIN_PASSWORD, and ends all sessions.\n"
    "\n"
    "  --remove                forget the stored one instead\n";

const char key_help_store_key[] =
    "usage: pmkey store-key [--new | --drop]\n"
    "\n"
    "Makes the file that STORE_KEY_FILE names, with a random key that all of\n"
    "STATE_DIR can be sealed under (reseal).\n"
    "\n"
    "  --new                   put another key in front of those in the file\n"
    "  --drop                  take all but the first out, once nothing needs\n"
    "                          them\n";

const char key_help_reseal[] =
    "usage: pmkey reseal [--first | --plain] [--cursor PATH]\n"
    "\n"
    "Writes what is sealed in STATE_DIR anew, under the first key of\n"
    "STORE_KEY_FILE. The gate goes on meanwhile. It may be repeated.\n"
    "\n"
    "  --first                 seal what is not sealed as well; the gate must\n"
    "                          not run. Only when it is yours: whoever had\n"
    "                          the disk may have put it there\n"
    "  --plain                 take the seal off; the gate must not run\n"
    "  --cursor PATH           an export's cursor outside of STATE_DIR, too\n";

const char key_help_lockdown[] =
    "usage: pmkey lockdown [--end]\n"
    "\n"
    "Refuses all keys at once, those in API_KEYS as well, from the next\n"
    "request on, and ends all sessions of the admin pages. Answers under way\n"
    "are not cut.\n"
    "\n"
    "  --end                   let keys be what they were before; asks for a\n"
    "                          typed line\n";

const char key_help_destroy[] =
    "usage: pmkey destroy --everything\n"
    "\n"
    "Overwrites and removes all that is in STATE_DIR and RUN_DIR: keys,\n"
    "settings, records of use; and the file that STORE_KEY_FILE names. Asks for a typed line, which may be piped in.\n";
