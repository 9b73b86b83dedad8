/*
 * limits_internal.h - what the files of the limits module share: the layout
 * of RUN_DIR/limits and the steps that limits.c puts together. Nobody else
 * but their tests includes it.
 *
 * limits_entry.c  one ring of admissions; pure, knows no locks
 * limits_table.c  which entry belongs to whom, and who has to make room
 * limits_file.c   the file: made, checked, mapped
 * limits_shm.c    the handle, its locks, and the file going away under it
 * limits_lease.c  places in flight, and giving back those of the dead
 * limits_budget.c the month's use, and what those in flight have reserved
 * limits_body.c   memory that bodies hold
 * limits_closing.c  whether clients are asked to close their connections
 */
#ifndef PMPROXY_LIMITS_INTERNAL_H
#define PMPROXY_LIMITS_INTERNAL_H

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include "limits.h"

/* Raise it when anything below changes: an older file is then replaced. */
#define LIMITS_VERSION UINT64_C(4)
#define LIMITS_MAGIC UINT64_C(0x706d6c696d697473)
/* Written over it when the file was deleted and the users have to move on. */
#define LIMITS_RETIRED UINT64_C(0x706d6c2d676f6e65)

/* Counts are 32 bits wide in the rings; a higher limit is taken as this. */
#define LIMITS_MAX ((int64_t)UINT32_MAX)
/* Times are 32 bits wide there too: they wrap after 49 days. */
#define LIMITS_WINDOW_MAX_MS INT64_C(86400000)
#define LIMITS_WINDOWS 8 /* in one take */

/* Entries that compete for one place; more of them, fewer evicted early. */
#define LIMITS_WAYS 16u
#define LIMITS_PROCESSES 64u
#define LIMITS_LEASES 2048u /* in flight in one process */

/*
 * One lock per table and stripe, so that a take with one window of each table
 * seldom waits for another. They are taken in the order of their numbers; the
 * global one comes last because everybody needs it.
 */
#define LIMITS_STRIPES 256u
#define LIMITS_LOCK_PARALLEL ((LIMITS_TABLE__MAX - 1) * LIMITS_STRIPES)
#define LIMITS_LOCK_GLOBAL (LIMITS_LOCK_PARALLEL + LIMITS_STRIPES)
#define LIMITS_LOCK_REGISTRY (LIMITS_LOCK_GLOBAL + 1) /* of processes */
#define LIMITS_LOCK_BODIES (LIMITS_LOCK_REGISTRY + 1) /* none within it */
#define LIMITS_LOCKS (LIMITS_LOCK_BODIES + 1)
#define LIMITS_BODIES 4096u /* at once; a power of two */

/* What was admitted at one time, or shortly before it. */
struct limits_pair {
	uint32_t at; /* low 32 bits of milliseconds */
	uint32_t count;
};

/*
 * A process may die between any two stores. 'first' and 'next' count freely
 * and each moves with one store, so that the worst a death leaves is an
 * admission that nobody got; 'sum' is derived again when a lock's owner died.
 */
struct limits_entry {
	int64_t last_ms; /* the latest time it was used */
	int64_t born_ms; /* when 'who' got this entry */
	int64_t held_ms; /* refuses until then: not to be evicted */
	int64_t sum; /* of all pairs */
	uint32_t window_ms; /* as last used */
	uint32_t first, next; /* pairs first .. next - 1, modulo their number */
	uint32_t empty; /* given back wholly: a hint that a look is worth it */
	struct limits_pair ring[];
};

/* LIMITS_WAYS entries follow. */
struct limits_bucket {
	uint64_t who[LIMITS_WAYS];
};

struct limits_geometry {
	uint32_t buckets, pairs; /* powers of two */
};
extern const struct limits_geometry limits_geometry[LIMITS_TABLE__MAX];

/* What a place in flight has reserved of its holder's budget. */
struct limits_hold {
	_Atomic int64_t eur, tokens;
	/* Its use is written down but not tallied yet, or may be. */
	_Atomic uint32_t writing;
};

/*
 * What was used in a month. It is right while 'known' and 'known_at' equals
 * 'doubts': whoever has a doubt adds one, without a lock.
 */
struct limits_tally {
	_Atomic uint64_t who; /* 0: nobody */
	_Atomic uint64_t doubts;
	uint64_t known_at, basis;
	int64_t month, eur, tokens, used_ms;
	int known;
};

/*
 * What a body holds. All of it is guarded by LIMITS_LOCK_BODIES; 'ticket' is
 * set last and cleared first, so that a death leaves a whole one or none.
 */
struct limits_held_body {
	uint64_t ticket; /* 0: free */
	uint64_t who;
	int64_t bytes, since_ms;
	uint32_t process; /* whose row of leases, plus 1; 0: it waits */
	uint16_t port;
};

struct limits_lock {
	alignas(64) pthread_mutex_t mutex;
};

/* The file; the tables follow in the order of enum limits_table. */
struct limits_header {
	_Atomic uint64_t magic;
	uint64_t version, size;
	char boot_id[40]; /* the clock starts again at every boot */
	/* Leases of a process that have ever been in use. */
	alignas(64) _Atomic uint32_t high[LIMITS_PROCESSES];
	struct limits_lock lock[LIMITS_LOCKS];
	/* Who holds each; 0: free. */
	alignas(64) _Atomic uint64_t lease[LIMITS_PROCESSES][LIMITS_LEASES];
	struct limits_hold hold[LIMITS_PROCESSES][LIMITS_LEASES];
	/* Guarded by the lock of the leases of the same 'who'. */
	struct limits_tally tally[LIMITS_STRIPES][LIMITS_WAYS];
	/* Clients are asked to close their connections until then. */
	_Atomic int64_t closing_ms;
	uint64_t tickets; /* given out; none is given twice */
	uint32_t bodies_high; /* those that have ever been in use */
	struct limits_held_body body[LIMITS_BODIES];
};

/* One mapping of the file. */
struct limits_map {
	struct limits_header *header;
	int fd;
	uint32_t process; /* our row of leases, ours by a lock on 'fd' */
	/* Read once ("" before): a confined process gets at it no more. */
	char boot_id[40];
};

/* What of it is to be written into a file that takes this one's place. */
struct limits_held {
	_Atomic uint64_t who;
	struct limits_hold hold;
};

struct limits {
	/* Held for reading while the map is in use, for writing to change it. */
	pthread_rwlock_t map_lock;
	struct limits_map map; /* header NULL: none */
	char *run_dir, *path;
	_Atomic int64_t checked_ms;
	_Atomic int failing; /* the last check failed, and was logged */
	_Atomic int full_logged;

	/* The leases of this process: who has them, and a stack of free ones. */
	pthread_mutex_t free_lock;
	uint32_t slots, free_len;
	uint32_t *free;
	struct limits_held *held;
};

/*
 * limits_entry.c. 'pairs' is the ring's size. limits_entry_refresh drops what
 * has left the window and returns the time to use from there on: now, or
 * later where a faster thread was admitted later already.
 */
int64_t limits_entry_refresh(
    struct limits_entry *, uint32_t pairs, int64_t window_ms, int64_t now_ms);
/* Milliseconds until 'cost' fits below 'limit'; 0: it does. */
int64_t limits_entry_wait(const struct limits_entry *, uint32_t pairs,
    int64_t limit, int64_t cost, int64_t at_ms);
/* Milliseconds until nothing is left of what counts now. */
int64_t
limits_entry_reset(const struct limits_entry *, uint32_t pairs, int64_t at_ms);
void limits_entry_charge(
    struct limits_entry *, uint32_t pairs, int64_t cost, int64_t at_ms);
void limits_entry_refund(struct limits_entry *, uint32_t pairs, int64_t amount,
    int64_t taken_at, int64_t at_ms);
/* After a death or damage: whatever is in the ring counts. */
void limits_entry_repair(struct limits_entry *, uint32_t pairs);
void
limits_entry_reborn(struct limits_entry *, int64_t window_ms, int64_t now_ms);
/* Whether it still refuses somebody; whether all in it has expired. */
int limits_entry_held(const struct limits_entry *, int64_t now_ms);
int limits_entry_idle(const struct limits_entry *, int64_t now_ms);

/* limits_table.c: one window of a take, and where it is counted. */
struct limits_seat {
	struct limits_window *window;
	enum limits_table table;
	uint64_t who;
	int64_t limit, window_ms, cost; /* within bounds */
	int64_t at_ms; /* see limits_entry_refresh */
	struct limits_bucket *bucket;
	struct limits_entry *entry; /* NULL: all others are held */
	uint32_t way, pairs;
	int newcomer; /* 'entry' still belongs to another, or to nobody */
};

size_t limits_table_size(void);
uint32_t limits_table_lock(enum limits_table, uint64_t who);
/* Under the locks: gives each seat its entry, or room for one. */
void limits_table_seat(
    struct limits_header *, struct limits_seat *, size_t n, int64_t now_ms);
/* Hands the entry of a newcomer over to it. */
void limits_table_claim(struct limits_seat *, int64_t now_ms);
/* Milliseconds until one of a full bucket's entries can be evicted. */
int64_t limits_table_room(const struct limits_seat *, int64_t now_ms);
/* Under that lock: nothing is left of 'who' in that table. */
void
limits_table_forget(struct limits_header *, enum limits_table, uint64_t who);
void limits_table_repair(struct limits_header *, uint32_t lock);

/*
 * limits_file.c. Maps RUN_DIR/limits and joins it; makes it when there is
 * none, and when 'replace', also when it is not of this boot and version.
 */
#define LIMITS_FILE "limits"
int limits_file_open(const char *run_dir, struct limits_map *, int replace);
void limits_file_close(struct limits_map *);
/* Maps the one that is in use, if any, without joining it: 1, 0 or -1. */
int limits_file_find(const char *run_dir, struct limits_map *);

/*
 * limits_shm.c. limits_shm_begin keeps the map in place until limits_shm_end;
 * -1: it is unusable, and nothing is to be ended.
 */
int limits_shm_begin(struct limits *, int64_t now_ms);
void limits_shm_end(struct limits *);
/* The same without recovering, and to be ended in any case. */
int limits_shm_enter(struct limits *);
int limits_shm_check(struct limits *);
/* 0, or -1 when the lock is damaged; repairs what a dead owner left. */
int limits_shm_lock(struct limits_header *, uint32_t lock);
void limits_shm_unlock(struct limits_header *, uint32_t lock);

/*
 * limits_lease.c. limits_lease_join finds a row of leases for this process,
 * limits_lease_leave gives it up.
 */
int limits_lease_join(struct limits_map *);
void limits_lease_leave(struct limits_map *);
/* Writes what this process holds into its row again, and nothing else. */
void limits_lease_sync(struct limits *);
/* The lock that keeps a count of 'who' true until it is acted upon. */
uint32_t limits_lease_lock(uint64_t who);
/* A free place of this process, or -1; and back. */
int limits_lease_pop(struct limits *, uint32_t *slot);
void limits_lease_push(struct limits *, uint32_t slot);
void limits_lease_hold(struct limits *, uint32_t slot, uint64_t who);
/* 'usable': the map may be written to. */
void limits_lease_drop(struct limits *, uint32_t slot, int usable);
int64_t limits_lease_count(struct limits_header *, uint64_t who);
int64_t limits_lease_count_all(struct limits_header *);
/* A place marks its holder with this, which is not 0. */
uint64_t limits_lease_mark(uint64_t who);
/* Sets what a place of this process has reserved; 'usable' as above. */
void limits_lease_reserve(struct limits *, uint32_t slot, int64_t eur,
    int64_t tokens, int writing, int usable);
/* Gives back what dead processes hold; how many processes that were. */
int limits_lease_reap(struct limits_map *);

/*
 * limits_budget.c. Under the lock of the leases of 'who': whether the cost
 * fits, LIMITS_ADMITTED, LIMITS_SPENT or LIMITS_UNCOUNTED.
 */
enum limits_result limits_budget_fit(struct limits_header *, uint64_t who,
    struct limits_budget *, int64_t now_ms);
/* Without a lock: whoever bears that mark is to be counted anew. */
void limits_budget_doubt(struct limits_header *, uint64_t mark);
/* Under that lock: nothing is left of that month's use. */
void limits_budget_drop(struct limits_header *, uint64_t who);
/* After a death under that lock of leases. */
void limits_budget_repair(struct limits_header *, uint32_t stripe);

/* limits_body.c. What that row's process held, which is dead. */
void limits_body_drop(struct limits_header *, uint32_t row);

/* One take, peek or settlement. */
struct limits_taking {
	struct limits_header *header;
	struct limits_seat seat[LIMITS_WINDOWS];
	size_t seats;
	uint32_t lock[LIMITS_WINDOWS + 1]; /* ascending, no two alike */
	size_t locks;
	int64_t now_ms;
};

/* 0, or -1 after logging when a window makes no sense. */
int limits_taking_init(
    struct limits_taking *, struct limits_window *, size_t n, int64_t now_ms);

/* Locks one more, besides those of the windows. */
void limits_taking_need(struct limits_taking *, uint32_t lock);

/* 0 or -1 with none held. */
int limits_taking_lock(struct limits_taking *);
void limits_taking_unlock(struct limits_taking *, size_t n);

/* Under the locks: is there room in every window? */
enum limits_result limits_taking_look(struct limits_taking *);

/* Under the locks: writes the costs down, tells the callers' windows. */
void limits_taking_charge(struct limits_taking *);
void limits_taking_tell(struct limits_taking *);

/* Only a bug makes a window invalid; none may end in a request let through. */
int limits_window_is_valid(const struct limits_window *);

void limits_seat_init(
    struct limits_seat *, const struct limits_window *, int64_t cost);
void limits_seat_charge(struct limits_seat *, int64_t cost, int64_t now_ms);

#endif
