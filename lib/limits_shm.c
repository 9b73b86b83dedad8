/*
 * The handle: its life, its locks, and what happens when the file goes away
 * under it. A file that was deleted is made anew and all processes move on to
 * it; a damaged one is never repaired in silence.
 */
#include "limits_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "log.h"

#define CHECK_EVERY_MS 1000

/* For what only a bug can make fail; going on would be worse. */
static void
must(int error)
{
	if (error != 0)
		abort();
}

int
limits_shm_lock(struct limits_header *header, uint32_t lock)
{
	pthread_mutex_t *mutex = &header->lock[lock].mutex;
	int error = pthread_mutex_lock(mutex);

	if (error == EOWNERDEAD) {
		limits_table_repair(header, lock);
		error = pthread_mutex_consistent(mutex);
	}
	if (error == 0)
		return 0;
	errno = error;
	log_warn("a lock in '%s' is damaged", LIMITS_FILE);
	atomic_store(&header->magic, 0);
	return -1;
}

void
limits_shm_unlock(struct limits_header *header, uint32_t lock)
{
	int error = pthread_mutex_unlock(&header->lock[lock].mutex);

	if (error != 0) {
		errno = error;
		log_warn("a lock in '%s' is damaged", LIMITS_FILE);
		atomic_store(&header->magic, 0);
	}
}

enum state {
	GOOD,
	GONE, /* deleted or replaced: there is a new one, or can be */
	DAMAGED
};

static enum state
look(const struct limits *limits)
{
	struct stat mapped, named;

	if (fstat(limits->map.fd, &mapped) == -1)
		return DAMAGED;
	if (stat(limits->path, &named) == -1)
		return errno == ENOENT ? GONE : DAMAGED;
	if (mapped.st_dev != named.st_dev || mapped.st_ino != named.st_ino)
		return GONE;
	/* Not even a look at what lies beyond the end. */
	if (mapped.st_size != (off_t)limits_table_size())
		return DAMAGED;
	if (atomic_load(&limits->map.header->magic) != LIMITS_MAGIC)
		return DAMAGED;
	return GOOD;
}

/* Opens the file that took the place of ours and takes our leases along. */
static int
move_on(struct limits *limits)
{
	struct limits_map fresh = limits->map, old = fresh;
	struct stat st;

	if (limits_file_open(limits->run_dir, &fresh, 0) == -1)
		return -1;
	/* The others have to come along, or each half would count alone. */
	if (fstat(old.fd, &st) == 0 && st.st_size == (off_t)limits_table_size())
		atomic_store(&old.header->magic, LIMITS_RETIRED);
	limits->map = fresh;
	limits_file_close(&old);
	log_warnx(
	    "'%s' was deleted or replaced: counting afresh", limits->path);
	return 0;
}

static int
recover(struct limits *limits)
{
	enum state state = look(limits);

	if (state == GONE && move_on(limits) == 0)
		state = GOOD;
	if (state == GOOD) {
		limits_lease_sync(limits);
		atomic_store(&limits->failing, 0);
		return 0;
	}
	if (state == DAMAGED && !atomic_load(&limits->failing))
		log_warnx("'%s' is damaged: refusing all until it is deleted",
		    limits->path);
	atomic_store(&limits->failing, 1);
	return -1;
}

int
limits_shm_check(struct limits *limits)
{
	int result;

	must(pthread_rwlock_rdlock(&limits->map_lock));
	result = look(limits) == GOOD && !atomic_load(&limits->failing);
	limits_shm_end(limits);
	if (result)
		return 0;
	must(pthread_rwlock_wrlock(&limits->map_lock));
	result = recover(limits);
	limits_shm_end(limits);
	return result;
}

/* One thread a second looks whether the file still has its name. */
static int
check_is_due(struct limits *limits, int64_t now_ms)
{
	int64_t checked = atomic_load(&limits->checked_ms);

	if (now_ms >= checked && now_ms - checked < CHECK_EVERY_MS)
		return 0;
	return atomic_compare_exchange_strong(
	    &limits->checked_ms, &checked, now_ms);
}

int
limits_shm_enter(struct limits *limits)
{
	must(pthread_rwlock_rdlock(&limits->map_lock));
	/* It may be shorter now, and a look then deadly. */
	if (atomic_load(&limits->failing))
		return -1;
	return atomic_load(&limits->map.header->magic) == LIMITS_MAGIC ? 0 : -1;
}

static int
is_retired(const struct limits *limits)
{
	return !atomic_load(&limits->failing) &&
	    atomic_load(&limits->map.header->magic) == LIMITS_RETIRED;
}

int
limits_shm_begin(struct limits *limits, int64_t now_ms)
{
	int retired;

	if (check_is_due(limits, now_ms))
		(void)limits_shm_check(limits); /* it leaves a mark */
	if (limits_shm_enter(limits) == 0)
		return 0;
	retired = is_retired(limits);
	limits_shm_end(limits);
	if (!retired || limits_shm_check(limits) == -1)
		return -1;
	if (limits_shm_enter(limits) == 0)
		return 0;
	limits_shm_end(limits);
	return -1;
}

void
limits_shm_end(struct limits *limits)
{
	must(pthread_rwlock_unlock(&limits->map_lock));
}

static int
leases_init(struct limits *limits, uint32_t slots)
{
	uint32_t i;

	limits->slots = limits->free_len = slots;
	limits->free = calloc(slots + 1, sizeof(*limits->free));
	limits->held = calloc(slots + 1, sizeof(*limits->held));
	if (limits->free == NULL || limits->held == NULL)
		return -1;
	/* The lowest on top: the fewer are in use, the shorter a count. */
	for (i = 0; i < slots; i++)
		limits->free[i] = slots - 1 - i;
	return 0;
}

static int
locks_init(struct limits *limits)
{
	pthread_rwlockattr_t attr;
	int error;

	if ((error = pthread_rwlockattr_init(&attr)) != 0)
		return error;
	/* Or a stream of requests would keep out the one who remaps. */
	error = pthread_rwlockattr_setkind_np(
	    &attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	if (error == 0)
		error = pthread_rwlock_init(&limits->map_lock, &attr);
	(void)pthread_rwlockattr_destroy(&attr);
	if (error == 0)
		error = pthread_mutex_init(&limits->free_lock, NULL);
	return error;
}

static void
limits_free(struct limits *limits)
{
	free(limits->free);
	free(limits->held);
	free(limits->run_dir);
	free(limits->path);
	free(limits);
}

struct limits *
limits_open(const char *run_dir, uint32_t slots)
{
	struct limits *limits;

	if (slots > LIMITS_LEASES) {
		log_warnx("%u requests in flight: at most %u can be counted",
		    slots, LIMITS_LEASES);
		return NULL;
	}
	if ((limits = calloc(1, sizeof(*limits))) == NULL ||
	    (limits->run_dir = strdup(run_dir)) == NULL ||
	    asprintf(&limits->path, "%s/%s", run_dir, LIMITS_FILE) == -1 ||
	    leases_init(limits, slots) == -1 || locks_init(limits) != 0) {
		log_warnx("no memory for the limits");
		if (limits != NULL)
			limits_free(limits);
		return NULL;
	}
	atomic_store(&limits->checked_ms, limits_now());
	if (limits_file_open(run_dir, &limits->map, 1) == 0)
		return limits;
	(void)pthread_rwlock_destroy(&limits->map_lock);
	(void)pthread_mutex_destroy(&limits->free_lock);
	limits_free(limits);
	return NULL;
}

void
limits_close(struct limits *limits)
{
	if (limits == NULL)
		return;
	/* Any other map is left alone; the kernel gives its leases back. */
	if (look(limits) == GOOD)
		limits_lease_leave(&limits->map);
	limits_file_close(&limits->map);
	(void)pthread_rwlock_destroy(&limits->map_lock);
	(void)pthread_mutex_destroy(&limits->free_lock);
	limits_free(limits);
}
