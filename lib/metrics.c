/* Counts in shared memory, and their text. */
#include "metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"

/* Raise the last digits when the layout changes: an older file is replaced. */
#define MAGIC UINT64_C(0x706d6d6574720001)
#define KEYS 1024 /* and one for all others */
#define ID_SIZE 64
#define NOBODY 1 /* the hash of a place whose key was erased */

/* Upper bounds of the buckets; one more has none. */
static const int64_t bounds_ms[] = { 50, 100, 250, 500, 1000, 2500, 5000, 10000,
	30000, 60000, 120000, 300000 };
#define BOUNDS (sizeof(bounds_ms) / sizeof(bounds_ms[0]))

struct histogram {
	_Atomic int64_t bucket[BOUNDS + 1], sum_ms;
};

/* A place belongs to a key's hash at once, and is shown once it is 'named'. */
struct key_counts {
	_Atomic uint64_t hash; /* 0: free, NOBODY: no longer */
	_Atomic uint32_t named;
	char id[ID_SIZE];
	_Atomic int64_t requests, tokens;
};

struct shared {
	_Atomic uint64_t magic;
	_Atomic int64_t counter[METRICS_COUNTER__MAX];
	struct histogram histogram[METRICS_HISTOGRAM__MAX];
	struct key_counts key[KEYS + 1];
};

struct metrics {
	struct shared *shared;
};

static struct shared *
map(int fd)
{
	void *at = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE,
	    MAP_SHARED, fd, 0);

	return at == MAP_FAILED ? NULL : at;
}

/* The file as it is, when it is one of ours; NULL. */
static struct shared *
map_current(int fd, uid_t owner)
{
	struct shared *shared;
	struct stat st;

	if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode) ||
	    st.st_size != (off_t)sizeof(*shared) || st.st_uid != owner ||
	    (shared = map(fd)) == NULL)
		return NULL;
	if (atomic_load(&shared->magic) == MAGIC)
		return shared;
	(void)munmap(shared, sizeof(*shared));
	return NULL;
}

/*
 * Under the folder's lock. What is of another version is replaced and not
 * changed: others may still count there. All room is taken now, because later
 * a lack of it would be a SIGBUS.
 */
static struct shared *
map_or_make(int dir)
{
	int fd = openat(dir, "metrics", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	struct shared *shared = fd == -1 ? NULL : map_current(fd, geteuid());

	if (fd != -1)
		(void)close(fd);
	if (shared != NULL)
		return shared;
	(void)unlinkat(dir, "metrics", 0);
	fd =
	    openat(dir, "metrics", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd == -1)
		return NULL;
	errno = posix_fallocate(fd, 0, (off_t)sizeof(*shared));
	if (errno == 0 && (shared = map(fd)) != NULL)
		atomic_store(&shared->magic, MAGIC);
	(void)close(fd);
	return shared;
}

struct metrics *
metrics_open(const char *run_dir)
{
	struct metrics *m = calloc(1, sizeof(*m));
	int dir = open(run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (m != NULL && dir != -1 && flock(dir, LOCK_EX) == 0)
		m->shared = map_or_make(dir);
	if (m == NULL || m->shared == NULL) {
		log_warn("cannot open '%s/metrics'", run_dir);
		free(m);
		m = NULL;
	}
	if (dir != -1)
		(void)close(dir);
	return m;
}

void
metrics_close(struct metrics *m)
{
	if (m == NULL)
		return;
	(void)munmap(m->shared, sizeof(*m->shared));
	free(m);
}

static void
add(_Atomic int64_t *to, int64_t n)
{
	atomic_fetch_add_explicit(to, n, memory_order_relaxed);
}

static int64_t
get(const _Atomic int64_t *from)
{
	return atomic_load_explicit(from, memory_order_relaxed);
}

void
metrics_add(struct metrics *m, enum metrics_counter counter, int64_t n)
{
	if (n > 0)
		add(&m->shared->counter[counter], n);
}

void
metrics_observe(struct metrics *m, enum metrics_histogram which, int64_t ms)
{
	struct histogram *h = &m->shared->histogram[which];
	size_t i = 0;

	if (ms < 0)
		return;
	while (i < BOUNDS && ms > bounds_ms[i])
		i++;
	add(&h->bucket[i], 1);
	add(&h->sum_ms, ms);
}

/* FNV-1a, never 0 or NOBODY. */
static uint64_t
hash_of(const char *id)
{
	uint64_t h = UINT64_C(14695981039346656037);

	for (; *id != '\0'; id++)
		h = (h ^ (unsigned char)*id) * UINT64_C(1099511628211);
	return h <= NOBODY ? NOBODY + 1 : h;
}

/*
 * The key's own place, claimed when it has none. Whoever comes before it is
 * named names it too: all write the same bytes.
 */
static struct key_counts *
find_key(struct shared *s, const char *id)
{
	uint64_t hash = hash_of(id);

	for (size_t i = 0; i < KEYS; i++) {
		struct key_counts *k = &s->key[(hash + i) % KEYS];
		uint64_t holder = 0;

		if (!atomic_compare_exchange_strong(&k->hash, &holder, hash) &&
		    holder != hash)
			continue;
		if (!atomic_load(&k->named)) {
			memcpy(k->id, id, strlen(id) + 1);
			atomic_store(&k->named, 1);
		}
		return k;
	}
	return &s->key[KEYS];
}

void
metrics_add_key(
    struct metrics *m, const char *key_id, int64_t requests, int64_t tokens)
{
	struct key_counts *k = &m->shared->key[KEYS];

	if (strlen(key_id) < ID_SIZE)
		k = find_key(m->shared, key_id);
	add(&k->requests, requests);
	add(&k->tokens, tokens > 0 ? tokens : 0);
}

/*
 * The place is not given to another: whoever found it before may still count
 * there. Looked for by its name, because such a one may write that again.
 */
static void
forget(struct shared *s, const char *id)
{
	for (size_t i = 0; i < KEYS; i++) {
		struct key_counts *k = &s->key[i];

		if (strncmp(k->id, id, ID_SIZE) != 0)
			continue;
		atomic_store(&k->hash, NOBODY);
		atomic_store(&k->named, 0);
		memset(k->id, 0, ID_SIZE);
		atomic_store(&k->requests, 0);
		atomic_store(&k->tokens, 0);
	}
}

void
metrics_forget_key(struct metrics *m, const char *key_id)
{
	if (*key_id != '\0')
		forget(m->shared, key_id);
}

/* Root asks on behalf of whose folder it is. */
static uid_t
owner_of(int dir)
{
	struct stat st;

	return geteuid() == 0 && fstat(dir, &st) == 0 ? st.st_uid : geteuid();
}

int
metrics_forget(const char *run_dir, const char *key_id)
{
	int dir = open(run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1;
	struct metrics m = { NULL };
	int bad = 0;

	if (dir != -1)
		fd = openat(dir, "metrics", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd == -1 && errno != ENOENT) {
		log_warn("cannot open '%s/metrics'", run_dir);
		bad = -1;
	} else if (fd != -1 &&
	    (m.shared = map_current(fd, owner_of(dir))) != NULL) {
		metrics_forget_key(&m, key_id);
		(void)munmap(m.shared, sizeof(*m.shared));
	}
	if (fd != -1)
		(void)close(fd);
	if (dir != -1)
		(void)close(dir);
	return bad;
}

/* How each counter is called; rows of one family stand together. */
static const struct row {
	const char *family, *label, *value;
} rows[METRICS_COUNTER__MAX] = {
	[METRICS_REQUESTS_1XX] = { "requests", "class", "1xx" },
	[METRICS_REQUESTS_2XX] = { "requests", "class", "2xx" },
	[METRICS_REQUESTS_3XX] = { "requests", "class", "3xx" },
	[METRICS_REQUESTS_4XX] = { "requests", "class", "4xx" },
	[METRICS_REQUESTS_5XX] = { "requests", "class", "5xx" },
	[METRICS_TOKENS_PROMPT] = { "tokens", "kind", "prompt" },
	[METRICS_TOKENS_COMPLETION] = { "tokens", "kind", "completion" },
	[METRICS_TOKENS_CACHED] = { "tokens", "kind", "cached" },
	[METRICS_REFUSED_REQUESTS] = { "refusals", "reason", "requests" },
	[METRICS_REFUSED_KEY_REQUESTS] = { "refusals", "reason",
	    "key_requests" },
	[METRICS_REFUSED_KEY_TOKENS] = { "refusals", "reason", "key_tokens" },
	[METRICS_REFUSED_PARALLEL] = { "refusals", "reason", "parallel" },
	[METRICS_REFUSED_BUDGET] = { "refusals", "reason", "budget" },
	[METRICS_REFUSED_ADDRESS] = { "refusals", "reason", "address" },
	[METRICS_REFUSED_FAILED_AUTH] = { "refusals", "reason", "failed_auth" },
	[METRICS_REFUSED_OVERLOAD] = { "refusals", "reason", "overload" },
	[METRICS_JOURNAL_ERRORS] = { "journal_errors", NULL, NULL },
};

static void
write_counters(struct shared *s, struct buf *out)
{
	const char *family = "";

	for (int i = 0; i < METRICS_COUNTER__MAX; i++) {
		const struct row *r = &rows[i];

		if (strcmp(family, r->family) != 0)
			(void)buf_printf(
			    out, "# TYPE pmproxy_%s counter\n", r->family);
		family = r->family;
		(void)buf_printf(out, "pmproxy_%s_total", r->family);
		if (r->label != NULL)
			(void)buf_printf(
			    out, "{%s=\"%s\"}", r->label, r->value);
		(void)buf_printf(out, " %" PRId64 "\n", get(&s->counter[i]));
	}
}

/* Buckets hold all that is not above their bound, so they add up. */
static void
write_histogram(const struct histogram *h, const char *name, struct buf *out)
{
	int64_t sum = 0, ms = get(&h->sum_ms);

	(void)buf_printf(out,
	    "# TYPE pmproxy_%s_seconds histogram\n"
	    "# UNIT pmproxy_%s_seconds seconds\n",
	    name, name);
	for (size_t i = 0; i < BOUNDS; i++) {
		sum += get(&h->bucket[i]);
		(void)buf_printf(out,
		    "pmproxy_%s_seconds_bucket{le=\"%" PRId64 ".%02" PRId64
		    "\"} %" PRId64 "\n",
		    name, bounds_ms[i] / 1000, bounds_ms[i] % 1000 / 10, sum);
	}
	sum += get(&h->bucket[BOUNDS]);
	(void)buf_printf(out,
	    "pmproxy_%s_seconds_bucket{le=\"+Inf\"} %" PRId64 "\n"
	    "pmproxy_%s_seconds_count %" PRId64 "\n"
	    "pmproxy_%s_seconds_sum %" PRId64 ".%03" PRId64 "\n",
	    name, sum, name, sum, name, ms / 1000, ms % 1000);
}

/* Ids are letters, digits and . _ -: nothing in them needs escaping. */
static void
write_keys(const struct shared *s, struct buf *out, const char *what)
{
	(void)buf_printf(out, "# TYPE pmproxy_key_%s counter\n", what);
	for (size_t i = 0; i <= KEYS; i++) {
		const struct key_counts *k = &s->key[i];
		int64_t n = get(what[0] == 'r' ? &k->requests : &k->tokens);

		if (i < KEYS ? atomic_load(&k->named) : n > 0)
			(void)buf_printf(out,
			    "pmproxy_key_%s_total{key_id=\"%s\"} %" PRId64 "\n",
			    what, i < KEYS ? k->id : "other", n);
	}
}

int
metrics_write(struct metrics *m, struct buf *out, int keys)
{
	static const char *const names[] = { "request_duration", "first_byte" };

	write_counters(m->shared, out);
	for (int i = 0; i < METRICS_HISTOGRAM__MAX; i++)
		write_histogram(&m->shared->histogram[i], names[i], out);
	if (keys) {
		write_keys(m->shared, out, "requests");
		write_keys(m->shared, out, "tokens");
	}
	return out->failed ? -1 : 0;
}
