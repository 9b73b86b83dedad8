/*
 * keys.h - API keys: who may use the gate, and what each key may do.
 *
 * Only the SHA-256 of a key is stored (STATE_DIR/keys.gdbm); the key itself is
 * shown once, when it is made. A change that returned is in force for the next
 * request of every process. Nothing here knows HTTP.
 */
#ifndef PMPROXY_KEYS_H
#define PMPROXY_KEYS_H

#include <stddef.h>
#include <stdint.h>

#define KEYS_ID_SIZE 64 /* id and its NUL */
#define KEYS_LABEL_SIZE 256 /* bytes of UTF-8 and the NUL */
#define KEYS_MODELS_SIZE 1024
#define KEYS_SECRET_SIZE 64 /* "pm_" + 43 characters + NUL, and some room */
#define KEYS_FAMILY_SIZE 17
#define KEYS_TOKEN_MAX 512 /* a longer bearer token is malformed */

struct key {
	char id[KEYS_ID_SIZE]; /* public: "key_" + 16 hex digits */
	char label[KEYS_LABEL_SIZE];
	char last4[5]; /* last four characters of the key */
	char models[KEYS_MODELS_SIZE]; /* comma-separated; "" allows all */
	char successor[KEYS_ID_SIZE]; /* the key that replaces it, or "" */
	char family[KEYS_FAMILY_SIZE]; /* "" until it is rotated; see key_who */
	int64_t created; /* Unix seconds */
	int64_t expires; /* Unix seconds; 0: never */
	int disabled;
	int disabled_all; /* together with all others, and so enabled again;
			     of no meaning in a key that is not disabled */
	int prompt_cache; /* send a cache_salt of this key's own */
	int64_t rate_limit; /* requests a window; 0: no own limit */
	int64_t tokens_per_minute; /* 0: no limit */
	int64_t parallel; /* requests at once; 0: no limit */
	/* In a calendar month (UTC); 0: no budget. */
	int64_t budget_eur; /* nano-EUR */
	int64_t budget_tokens;
	/* Set by keys_verify; of no meaning elsewhere. */
	uint64_t snapshot; /* for keys_has_still */
	uint64_t who; /* key_who, after keys_count_by */
};

enum keys_result {
	KEYS_OK,
	KEYS_MALFORMED, /* not a key at all: empty, too long, control bytes */
	KEYS_UNKNOWN,
	KEYS_DISABLED,
	KEYS_EXPIRED,
	KEYS_EXISTS, /* keys_add: that id or that key is there already */
	KEYS_ERROR /* the store cannot be read or written; logged */
};

struct keys;

/*
 * The store below 'state_dir', and beside it the comma-separated keys of
 * 'env_keys' (NULL or "" for none), whose ids are "env_key_0", "env_key_1"...
 * NULL after logging, only for lack of memory or paths: a store that cannot be
 * read shows itself in keys_verify, so that it can heal without a restart.
 */
struct keys *keys_open(const char *state_dir, const char *env_keys);
void keys_close(struct keys *);

/*
 * keys_verify is to say who a key counts as, too, with this secret, which is
 * borrowed. It is told once, before other threads use the keys: what was found
 * out is kept as long as the key stays the same.
 */
void keys_count_by(struct keys *, const unsigned char secret[32]);

/*
 * Whose key is it, and is it valid now? Thread-safe. Whatever is refused takes
 * the same steps and so the same time. Fills 'out' for KEYS_OK only.
 */
enum keys_result keys_verify(
    struct keys *, const char *token, size_t len, int64_t now, struct key *out);

/* KEYS_OK when the store can be read at this moment, else KEYS_ERROR. */
enum keys_result keys_check(struct keys *);

/* 1 when there is a key with that id, 0 not, -1 the store cannot be read. */
int keys_has(struct keys *, const char *id);
/* The same for a key that keys_verify gave; at no cost while nothing changed. */
int keys_has_still(struct keys *, const struct key *);

/* 1 when the key may use that model. */
int key_allows(const struct key *, const char *model);

/*
 * Who a key counts as where limits and budgets are counted: a number that only
 * this installation can make, the same for a key and all its successors, so
 * that a rotation doubles nothing.
 */
uint64_t key_who(const struct key *, const unsigned char secret[32]);

/*
 * Whose use counts in that key's budget: appends the ids, each with its NUL,
 * its own first, deleted ones as well. 0, or -1 when the store cannot be read.
 */
struct buf;
int keys_family(struct keys *, const struct key *, struct buf *ids);
/* The same for a program that opens the store for a moment. */
int
keys_family_load(const char *state_dir, const struct key *, struct buf *ids);

/*
 * Lockdown: all keys, those of the environment too, are refused as if they
 * were disabled, and what each of them was before stays known. In force for
 * the next request of every process. KEYS_OK or KEYS_ERROR.
 */
enum keys_result keys_lock(const char *state_dir, int locked);
/* 1 while it lasts, 0, or -1 when the store cannot be read. */
int keys_are_locked(const char *state_dir);

/* What is wrong with a key's settings, in a few words; NULL when nothing. */
const char *key_problem(const struct key *);

/*
 * Sets 'models' from a person's list: separated by commas, blanks around them
 * ignored, each named once; "all" allows all. A name consists of letters,
 * digits and . _ : / = + @ -, so a model whose name has a comma cannot be
 * listed. 0, or -1 when the list does not fit or is not such a list.
 */
int key_set_models(struct key *, const char *list);

/*
 * The rest is for the command line and the admin pages, which open the store
 * for a moment by its folder. They log their own failures.
 */

/*
 * Makes a key with the settings in 'key' (id, last4 and created are filled
 * in; KEYS_MALFORMED when key_problem finds one), and writes the key itself to
 * 'secret'; wipe that after showing it.
 */
enum keys_result keys_create(const char *state_dir, struct key *key,
    int64_t now, char secret[KEYS_SECRET_SIZE]);

/* Adds a key of which only the hash is known (an import). */
enum keys_result keys_add(
    const char *state_dir, const struct key *, const unsigned char hash[32]);

/*
 * The same for many at once, all or none: nothing is seen before the commit,
 * which closes the edit also when it fails; keys_edit_close drops it. NULL
 * when the store cannot be edited. KEYS_EXISTS leaves the edit as it was.
 */
struct keys_edit;
struct keys_edit *keys_edit(const char *state_dir);
enum keys_result keys_edit_add(
    struct keys_edit *, const struct key *, const unsigned char hash[32]);
enum keys_result keys_edit_commit(struct keys_edit *);
void keys_edit_close(struct keys_edit *);

enum keys_result
keys_load(const char *state_dir, const char *id, struct key *out);

/*
 * Calls 'fn' with the key of each id that 'next' gives until NULL; those that
 * are not there are left out. 0, or -1 after logging.
 */
int keys_load_some(const char *state_dir, const char *(*next)(void *),
    void (*fn)(const struct key *, void *), void *arg);

/*
 * Replaces the settings of the key with that id; its hash stays, and so does
 * what a later version may have added to its record. KEYS_MALFORMED as above.
 */
enum keys_result keys_save(const char *state_dir, const struct key *);

/*
 * Lets 'change' alter the settings of the key with that id, so that nobody
 * else's change in between is lost, and leaves them in 'out'.
 */
enum keys_result keys_change(const char *state_dir, const char *id,
    void (*change)(struct key *, const void *), const void *arg,
    struct key *out);

/*
 * The same for every key, in one commit; 'change' tells with 1 that it did
 * something, else 0. Damaged records are left as they are.
 */
enum keys_result keys_change_all(
    const char *state_dir, int (*change)(struct key *, void *), void *arg);

/*
 * A successor with the same settings, in one commit: the old key expires
 * 'grace_s' seconds from now (or earlier if it did already) and names it. Both
 * are one family from then on, which shares limits and budget. If
 * the old key was to expire, the successor lives as long from now on as the
 * old one was meant to. KEYS_DISABLED for a disabled key.
 */
enum keys_result keys_rotate(const char *state_dir, const char *id, int64_t now,
    int64_t grace_s, struct key *successor, char secret[KEYS_SECRET_SIZE]);

enum keys_result keys_delete(const char *state_dir, const char *id);

/*
 * The same, and leaves no trace of the id in the store, where no other key
 * names it as its successor any more, nor a family as its member. Not there is
 * fine, so it can be repeated.
 */
enum keys_result keys_erase(const char *state_dir, const char *id);

/*
 * Each key, oldest first; stops at the first nonzero answer, returns it. A
 * record that cannot be read is logged and left out, and the answer is -1.
 */
int keys_each(const char *state_dir,
    int (*fn)(const struct key *, const unsigned char hash[32], void *),
    void *);

#endif
