/*
 * Budgets of a month: taken all or nothing, settled, counted anew whenever in
 * doubt, given back by the dead; and never overspent, whoever is killed when.
 */
#include <check.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/limits.h"
#include "lib/limits_internal.h"
#include "tests/unit/suite.h"

#define JANUARY INT64_C(1796083200)
#define FEBRUARY INT64_C(1798761600)
#define WHO UINT64_C(0x1234567890ab)
#define BASIS UINT64_C(7)

#define PROCESSES 4
#define THREADS 16

/* What all processes of a test see; 'used' stands for the journal. */
struct shared {
	_Atomic int64_t used_eur, used_tokens;
	_Atomic int admitted, refused;
	int64_t eur; /* the budget */
};

static char dir[FOLDER_SIZE], file[80];
static struct shared *shared;

static void
setup(void)
{
	make_memory_folder(dir);
	snprintf(file, sizeof(file), "%s/limits", dir);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(shared, MAP_FAILED);
}

static void
teardown(void)
{
	munmap(shared, sizeof(*shared));
	unlink(file);
	ck_assert_int_eq(rmdir(dir), 0);
}

static struct limits_budget
budget(int64_t eur, int64_t tokens, int64_t cost)
{
	return (struct limits_budget){ .month = JANUARY,
		.basis = BASIS,
		.eur = eur,
		.tokens = tokens,
		.cost_eur = cost,
		.cost_tokens = 2 * cost };
}

static enum limits_result
take(struct limits *limits, struct limits_budget *b, struct limits_lease *lease)
{
	return limits_take_budget(
	    limits, NULL, 0, WHO, 0, b, lease, limits_now());
}

/* Writes down and settles, as a responder does. */
static void
use(struct limits *limits, struct limits_lease *lease, int64_t month,
    int64_t cost)
{
	limits_budget_announce(limits, lease);
	atomic_fetch_add(&shared->used_eur, cost);
	atomic_fetch_add(&shared->used_tokens, 2 * cost);
	limits_budget_settle(limits, WHO, lease, month, BASIS, cost, 2 * cost);
}

/* What is left as anybody would be told, counted first when need be. */
static struct limits_budget
left(struct limits *limits, int64_t eur, int64_t tokens)
{
	struct limits_budget b = budget(eur, tokens, 0);

	if (limits_budget_look(limits, WHO, &b) == LIMITS_UNCOUNTED)
		ck_assert_int_eq(limits_budget_load(limits, WHO, &b,
				     atomic_load(&shared->used_eur),
				     atomic_load(&shared->used_tokens)),
		    0);
	ck_assert_int_eq(limits_budget_look(limits, WHO, &b), LIMITS_ADMITTED);
	return b;
}

static struct limits *
open_limits(void)
{
	struct limits *limits = limits_open(dir, 64);

	ck_assert_ptr_nonnull(limits);
	return limits;
}

START_TEST(reserved_then_settled)
{
	struct limits *limits = open_limits();
	struct limits_budget b = budget(100, 0, 30);
	struct limits_lease lease, other;

	ck_assert_int_eq(take(limits, &b, &lease), LIMITS_UNCOUNTED);
	ck_assert_uint_eq(lease.slot, 0);
	ck_assert_int_eq(limits_budget_load(limits, WHO, &b, 20, 0), 0);
	ck_assert_int_eq(take(limits, &b, &lease), LIMITS_ADMITTED);
	ck_assert_int_eq(b.left_eur, 50);
	b = budget(100, 0, 51);
	ck_assert_int_eq(take(limits, &b, &other), LIMITS_SPENT);
	ck_assert_int_eq(b.left_eur, 50);
	ck_assert_uint_eq(other.slot, 0);
	b = budget(100, 0, 50);
	ck_assert_int_eq(take(limits, &b, &other), LIMITS_ADMITTED);
	ck_assert_int_eq(b.left_eur, 0);
	/* One used less, one more: the truth counts. */
	use(limits, &lease, JANUARY, 10);
	use(limits, &other, JANUARY, 60);
	b = budget(100, 0, 0);
	ck_assert_int_eq(limits_budget_look(limits, WHO, &b), LIMITS_ADMITTED);
	ck_assert_int_eq(b.left_eur, 10);
	limits_release(limits, &lease);
	limits_release(limits, &other);
	ck_assert_int_eq(left(limits, 100, 0).left_eur, 10);
	/* Nothing written down: all of it comes back. */
	b = budget(100, 0, 10);
	ck_assert_int_eq(take(limits, &b, &lease), LIMITS_ADMITTED);
	ck_assert_int_eq(left(limits, 100, 0).left_eur, 0);
	limits_release(limits, &lease);
	ck_assert_int_eq(left(limits, 100, 0).left_eur, 10);
	limits_close(limits);
}
END_TEST

START_TEST(each_kind_has_its_bound)
{
	static const struct {
		int64_t eur, tokens, used_eur, used_tokens, cost; /* 2 * cost */
		enum limits_result result;
	} row[] = {
		{ 0, 0, 1000, 1000, 1000, LIMITS_ADMITTED },
		{ 10, 0, 0, 1000, 10, LIMITS_ADMITTED },
		{ 10, 0, 0, 1000, 11, LIMITS_SPENT },
		{ 0, 10, 1000, 0, 5, LIMITS_ADMITTED },
		{ 0, 10, 1000, 0, 6, LIMITS_SPENT },
		{ 10, 10, 0, 0, 5, LIMITS_ADMITTED },
		{ 10, 10, 6, 0, 5, LIMITS_SPENT },
		{ 10, 10, 5, 1, 5, LIMITS_SPENT },
		/* an empty purse buys nothing, not even what is free */
		{ 10, 0, 9, 0, 0, LIMITS_ADMITTED },
		{ 10, 0, 10, 0, 0, LIMITS_SPENT },
		{ 10, 0, 11, 0, 0, LIMITS_SPENT },
		{ 0, 10, 0, 10, 0, LIMITS_SPENT },
		/* no sum wraps around */
		{ 10, 10, INT64_MAX, INT64_MAX, 1, LIMITS_SPENT },
		{ INT64_MAX, 0, INT64_MAX - 1, 0, 1, LIMITS_ADMITTED },
		{ INT64_MAX, 0, INT64_MAX - 1, 0, 2, LIMITS_SPENT },
	};
	struct limits *limits = open_limits();

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		struct limits_budget b =
		    budget(row[i].eur, row[i].tokens, row[i].cost);
		struct limits_lease lease;

		b.basis = 100 + i; /* to be counted each time */
		ck_assert_int_eq(take(limits, &b, &lease), LIMITS_UNCOUNTED);
		ck_assert_int_eq(limits_budget_load(limits, WHO, &b,
				     row[i].used_eur, row[i].used_tokens),
		    0);
		ck_assert_msg(
		    take(limits, &b, &lease) == row[i].result, "row %zu", i);
		limits_release(limits, &lease);
	}
	limits_close(limits);
}
END_TEST

START_TEST(all_or_nothing)
{
	struct limits *limits = open_limits();
	struct limits_window w = { .table = LIMITS_KEY_REQUESTS,
		.who = WHO,
		.limit = 1,
		.window_ms = 60000,
		.cost = 1 };
	struct limits_budget b = budget(100, 0, 60);
	struct limits_lease one, two;
	int64_t now = limits_now();

	/* A month that is not counted yet takes from no window. */
	ck_assert_int_eq(
	    limits_take_budget(limits, &w, 1, WHO, 0, &b, &one, now),
	    LIMITS_UNCOUNTED);
	ck_assert_int_eq(limits_peek(limits, &w, 1, now), LIMITS_ADMITTED);
	ck_assert_int_eq(w.remaining, 1);
	/* Nor does one that is spent. */
	ck_assert_int_eq(limits_budget_load(limits, WHO, &b, 41, 0), 0);
	ck_assert_int_eq(
	    limits_take_budget(limits, &w, 1, WHO, 0, &b, &one, now),
	    LIMITS_SPENT);
	ck_assert_int_eq(w.remaining, 1);
	ck_assert_int_eq(w.retry_ms, 0);
	/* A full window reserves nothing, nor does a key too busy. */
	b.cost_eur = 20;
	ck_assert_int_eq(
	    limits_take_budget(limits, &w, 1, WHO, 1, &b, &one, now),
	    LIMITS_ADMITTED);
	ck_assert_int_eq(b.left_eur, 39);
	ck_assert_int_eq(
	    limits_take_budget(limits, &w, 1, WHO, 0, &b, &two, now),
	    LIMITS_REFUSED);
	ck_assert_int_eq(
	    limits_take_budget(limits, &w, 0, WHO, 1, &b, &two, now),
	    LIMITS_PARALLEL);
	ck_assert_int_eq(limits_budget_look(limits, WHO, &b), LIMITS_ADMITTED);
	ck_assert_int_eq(b.left_eur, 39);
	/* Spent is the word, whatever else is full. */
	b.cost_eur = 40;
	ck_assert_int_eq(
	    limits_take_budget(limits, &w, 1, WHO, 1, &b, &two, now),
	    LIMITS_SPENT);
	limits_release(limits, &one);
	/* Only a bug asks for a reservation that nothing holds. */
	ck_assert_int_eq(
	    limits_take_budget(limits, NULL, 0, WHO, 0, &b, NULL, now),
	    LIMITS_BROKEN);
	b.cost_eur = -1;
	ck_assert_int_eq(take(limits, &b, &two), LIMITS_BROKEN);
	limits_close(limits);
}
END_TEST

START_TEST(a_new_month_is_a_new_purse)
{
	struct limits *limits = open_limits();
	struct limits_budget b = budget(100, 0, 100), next = b;
	struct limits_lease old, lease;

	next.month = FEBRUARY;
	ck_assert_int_eq(take(limits, &b, &old), LIMITS_UNCOUNTED);
	ck_assert_int_eq(limits_budget_load(limits, WHO, &b, 0, 0), 0);
	ck_assert_int_eq(take(limits, &b, &old), LIMITS_ADMITTED);
	/* What is in flight will be written down in the new month. */
	next.cost_eur = 1;
	ck_assert_int_eq(take(limits, &next, &lease), LIMITS_UNCOUNTED);
	ck_assert_int_eq(limits_budget_load(limits, WHO, &next, 0, 0), 0);
	ck_assert_int_eq(take(limits, &next, &lease), LIMITS_SPENT);
	use(limits, &old, FEBRUARY, 30);
	ck_assert_int_eq(take(limits, &next, &lease), LIMITS_ADMITTED);
	ck_assert_int_eq(next.left_eur, 69);
	limits_release(limits, &old);
	/* One that just made it into the old one's journal. */
	use(limits, &lease, JANUARY, 50);
	limits_release(limits, &lease);
	ck_assert_int_eq(take(limits, &next, &lease), LIMITS_UNCOUNTED);
	ck_assert_int_eq(limits_budget_load(limits, WHO, &next, 30, 0), 0);
	ck_assert_int_eq(take(limits, &next, &lease), LIMITS_ADMITTED);
	ck_assert_int_eq(next.left_eur, 69);
	limits_release(limits, &lease);
	limits_close(limits);
}
END_TEST

START_TEST(other_prices_are_counted_anew)
{
	struct limits *limits = open_limits();
	struct limits_budget b = budget(100, 0, 1), later = b;
	struct limits_lease lease;

	later.basis = BASIS + 1;
	ck_assert_int_eq(left(limits, 100, 0).left_eur, 100);
	ck_assert_int_eq(take(limits, &b, &lease), LIMITS_ADMITTED);
	ck_assert_int_eq(
	    limits_budget_look(limits, WHO, &later), LIMITS_UNCOUNTED);
	ck_assert_int_eq(limits_budget_load(limits, WHO, &later, 5, 0), 0);
	/* Priced as before: it does not fit what is counted now. */
	use(limits, &lease, JANUARY, 1);
	ck_assert_int_eq(
	    limits_budget_look(limits, WHO, &later), LIMITS_UNCOUNTED);
	limits_release(limits, &lease);
	limits_close(limits);
}
END_TEST

START_TEST(a_count_is_worth_nothing_when_use_was_written_meanwhile)
{
	struct limits *limits = open_limits();
	struct limits_budget b = budget(100, 0, 1);
	struct limits_lease lease, plain;
	int64_t seen;

	/* Without a budget as well: it may get one while it runs. */
	ck_assert_int_eq(
	    limits_take(limits, NULL, 0, WHO, 0, &plain, limits_now()),
	    LIMITS_ADMITTED);
	ck_assert_int_eq(take(limits, &b, &lease), LIMITS_UNCOUNTED);
	seen = atomic_load(&shared->used_eur);
	use(limits, &plain, JANUARY, 30);
	ck_assert_int_eq(limits_budget_load(limits, WHO, &b, seen, 0), -1);
	limits_release(limits, &plain);
	ck_assert_int_eq(left(limits, 100, 0).left_eur, 70);

	/* While one is being written nobody knows whether it was seen. */
	ck_assert_int_eq(take(limits, &b, &lease), LIMITS_ADMITTED);
	b.basis = BASIS + 1;
	ck_assert_int_eq(limits_budget_look(limits, WHO, &b), LIMITS_UNCOUNTED);
	limits_budget_announce(limits, &lease);
	ck_assert_int_eq(limits_budget_load(limits, WHO, &b, 30, 0), -1);
	limits_budget_settle(limits, WHO, &lease, JANUARY, b.basis, 5, 0);
	ck_assert_int_eq(limits_budget_load(limits, WHO, &b, 30, 0), -1);
	ck_assert_int_eq(limits_budget_look(limits, WHO, &b), LIMITS_UNCOUNTED);
	ck_assert_int_eq(limits_budget_load(limits, WHO, &b, 35, 0), 0);
	ck_assert_int_eq(limits_budget_look(limits, WHO, &b), LIMITS_ADMITTED);
	ck_assert_int_eq(b.left_eur, 65);
	limits_release(limits, &lease);
	limits_close(limits);
}
END_TEST

/* More keys than fit into one bucket: some are counted again, none wrongly. */
START_TEST(who_was_forgotten_is_counted_again)
{
	struct limits *limits = open_limits();
	int counted = 0, n = (int)LIMITS_WAYS + 4;

	for (int round = 0; round < 3; round++)
		for (int i = 0; i < n; i++) {
			uint64_t who = WHO + (uint64_t)i * LIMITS_STRIPES;
			struct limits_budget b = budget(1000, 0, 0);

			if (limits_budget_look(limits, who, &b) ==
			    LIMITS_UNCOUNTED) {
				counted++;
				ck_assert_int_eq(
				    limits_budget_load(limits, who, &b, i, 0),
				    0);
			}
			ck_assert_int_eq(limits_budget_look(limits, who, &b),
			    LIMITS_ADMITTED);
			ck_assert_int_eq(b.left_eur, 1000 - i);
		}
	ck_assert_int_gt(counted, n);
	limits_close(limits);
}
END_TEST

/* Whether eight bytes of that value stand in the file. */
static int
is_in_file(uint64_t value)
{
	FILE *f = fopen(file, "r");
	uint64_t word;
	int found = 0;

	ck_assert_ptr_nonnull(f);
	while (!found && fread(&word, sizeof(word), 1, f) == 1)
		found = word == value;
	ck_assert_int_eq(fclose(f), 0);
	return found;
}

START_TEST(what_is_erased_is_counted_anew)
{
	struct limits *limits = open_limits();
	struct limits_budget b = budget(100, 0, 30);
	struct limits_window w = { .table = LIMITS_KEY_TOKENS,
		.who = WHO,
		.limit = 100,
		.window_ms = 60000,
		.cost = 70 };
	struct limits_lease lease;

	atomic_store(&shared->used_eur, 60);
	ck_assert_int_eq(left(limits, 100, 0).left_eur, 40);
	ck_assert_int_eq(limits_take(limits, &w, 1, 0, 0, NULL, limits_now()),
	    LIMITS_ADMITTED);
	ck_assert(is_in_file(WHO));
	/* The use of one of a family: the month alone is counted again. */
	atomic_store(&shared->used_eur, 20);
	ck_assert_int_eq(limits_forget(dir, WHO, 0), 0);
	ck_assert_int_eq(take(limits, &b, &lease), LIMITS_UNCOUNTED);
	/* A count that began before an erasure may hold what was erased. */
	ck_assert_int_eq(limits_forget(dir, WHO, 0), 0);
	ck_assert_int_eq(limits_budget_load(limits, WHO, &b, 60, 0), -1);
	ck_assert_int_eq(left(limits, 100, 0).left_eur, 80);
	ck_assert_int_eq(limits_take(limits, &w, 1, 0, 0, NULL, limits_now()),
	    LIMITS_REFUSED);
	ck_assert_int_eq(limits_forget(dir, WHO, 1), 0);
	ck_assert(!is_in_file(WHO));
	ck_assert(!is_in_file(limits_lease_mark(WHO)));
	ck_assert_int_eq(limits_take(limits, &w, 1, 0, 0, NULL, limits_now()),
	    LIMITS_ADMITTED);
	limits_close(limits);
	/* Where no gate ran there is nothing to forget, and nothing is made. */
	ck_assert_int_eq(unlink(file), 0);
	ck_assert_int_eq(limits_forget(dir, WHO, 1), 0);
	ck_assert_int_eq(access(file, F_OK), -1);
	ck_assert_int_eq(limits_forget("/nowhere", WHO, 1), 0);
	ck_assert_int_eq(close(creat(file, 0600)), 0);
}
END_TEST

START_TEST(a_new_file_keeps_what_is_reserved)
{
	struct limits *limits = open_limits();
	struct limits_budget b = budget(100, 0, 40);
	struct limits_lease lease;

	ck_assert_int_eq(left(limits, 100, 0).left_eur, 100);
	ck_assert_int_eq(take(limits, &b, &lease), LIMITS_ADMITTED);
	ck_assert_int_eq(unlink(file), 0);
	ck_assert_ptr_nonnull(freopen("/dev/null", "w", stderr));
	ck_assert_int_eq(limits_check(limits), 0);
	ck_assert_int_eq(limits_budget_look(limits, WHO, &b), LIMITS_UNCOUNTED);
	ck_assert_int_eq(limits_budget_load(limits, WHO, &b, 7, 0), 0);
	ck_assert_int_eq(limits_budget_look(limits, WHO, &b), LIMITS_ADMITTED);
	ck_assert_int_eq(b.left_eur, 53);
	use(limits, &lease, JANUARY, 1);
	limits_release(limits, &lease);
	ck_assert_int_eq(limits_budget_look(limits, WHO, &b), LIMITS_ADMITTED);
	ck_assert_int_eq(b.left_eur, 92);
	limits_close(limits);
}
END_TEST

/* A child that takes 'cost' and dies before, while or after writing it down. */
static void
die_with(int64_t cost, int how)
{
	pid_t pid = fork();
	int status;

	ck_assert_int_ne(pid, -1);
	if (pid == 0) {
		struct limits *limits = limits_open(dir, 64);
		struct limits_budget b = budget(100, 0, cost);
		struct limits_lease lease;

		if (limits == NULL || take(limits, &b, &lease))
			_exit(1);
		if (how >= 1)
			limits_budget_announce(limits, &lease);
		if (how >= 2)
			atomic_fetch_add(&shared->used_eur, cost);
		if (how >= 3)
			limits_budget_settle(
			    limits, WHO, &lease, JANUARY, BASIS, cost, 0);
		raise(SIGKILL);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status));
}

START_TEST(what_the_dead_reserved_comes_back)
{
	struct limits *limits = open_limits();
	struct limits_budget b = budget(100, 0, 100);
	struct limits_lease lease;

	ck_assert_int_eq(left(limits, 100, 0).left_eur, 100);
	die_with(100, 0);
	ck_assert_int_eq(take(limits, &b, &lease), LIMITS_ADMITTED);
	limits_release(limits, &lease);

	/* Nobody knows whether it was written: count. */
	die_with(60, 1);
	ck_assert_int_eq(take(limits, &b, &lease), LIMITS_UNCOUNTED);
	ck_assert_int_eq(left(limits, 100, 0).left_eur, 100);
	die_with(60, 2);
	b.cost_eur = 40;
	ck_assert_int_eq(take(limits, &b, &lease), LIMITS_ADMITTED);
	limits_release(limits, &lease);
	b.cost_eur = 41;
	ck_assert_int_eq(take(limits, &b, &lease), LIMITS_UNCOUNTED);
	ck_assert_int_eq(left(limits, 100, 0).left_eur, 40);
	die_with(30, 3);
	ck_assert_int_eq(left(limits, 100, 0).left_eur, 10);
	limits_close(limits);
}
END_TEST

static uint64_t
random_number(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + 1;
	return *state >> 33;
}

#define COST 97

/* As a responder: takes until refused; uses at most what it reserved. */
static void
spend(struct limits *limits, uint64_t seed, int64_t stop_after)
{
	struct limits_budget b;
	struct limits_lease lease;
	enum limits_result result;
	int64_t used;

	for (int64_t i = 0; i < stop_after; i++) {
		b = budget(shared->eur, 0, COST);
		result = take(limits, &b, &lease);
		if (result == LIMITS_UNCOUNTED) {
			used = atomic_load(&shared->used_eur);
			(void)sched_yield();
			(void)limits_budget_load(limits, WHO, &b, used, 0);
			continue;
		}
		if (result == LIMITS_SPENT) {
			atomic_fetch_add(&shared->refused, 1);
			return;
		}
		if (result != LIMITS_ADMITTED)
			_exit(9);
		atomic_fetch_add(&shared->admitted, 1);
		if (random_number(&seed) % 4 == 0)
			(void)sched_yield();
		if (random_number(&seed) % 8 != 0)
			use(limits, &lease, JANUARY,
			    (int64_t)(random_number(&seed) % (COST + 1)));
		limits_release(limits, &lease);
	}
}

struct spender {
	struct limits *limits;
	uint64_t seed;
};

static void *
spend_in_thread(void *arg)
{
	struct spender *s = arg;

	spend(s->limits, s->seed, INT64_MAX);
	return NULL;
}

static pid_t
start_spenders(uint64_t seed)
{
	struct spender spender[THREADS];
	pthread_t thread[THREADS];
	pid_t pid = fork();

	ck_assert_int_ne(pid, -1);
	if (pid > 0)
		return pid;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) == -1)
		_exit(2);
	for (int i = 0; i < THREADS; i++) {
		spender[i].limits =
		    i == 0 ? limits_open(dir, THREADS) : spender[0].limits;
		spender[i].seed = seed * 1000 + (uint64_t)i;
		if (spender[i].limits == NULL ||
		    pthread_create(
			&thread[i], NULL, spend_in_thread, &spender[i]) != 0)
			_exit(3);
	}
	for (int i = 0; i < THREADS; i++)
		(void)pthread_join(thread[i], NULL);
	_exit(0);
}

START_TEST(sixty_four_at_once_spend_all_and_no_more)
{
	struct limits *limits = open_limits();
	pid_t pid[PROCESSES];
	int status;

	shared->eur = 500000;
	for (int i = 0; i < PROCESSES; i++)
		pid[i] = start_spenders((uint64_t)i);
	for (int i = 0; i < PROCESSES; i++) {
		ck_assert_int_eq(waitpid(pid[i], &status, 0), pid[i]);
		ck_assert_int_eq(status, 0);
	}
	ck_assert_int_eq(atomic_load(&shared->refused), PROCESSES * THREADS);
	ck_assert_int_le(atomic_load(&shared->used_eur), shared->eur);
	/* The last were refused beside at most 63 others' reservations. */
	ck_assert_int_gt(
	    atomic_load(&shared->used_eur), shared->eur - 64 * COST);
	ck_assert_int_eq(left(limits, shared->eur, 0).left_eur,
	    shared->eur - atomic_load(&shared->used_eur));
	limits_close(limits);
}
END_TEST

static void
nap_us(long us)
{
	const struct timespec t = { 0, us * 1000 };

	(void)nanosleep(&t, NULL);
}

/* The same, and all the time somebody is killed and another takes its place. */
START_TEST(killed_at_any_moment_nobody_overspends)
{
	struct limits *limits = open_limits();
	uint64_t state = 3, seed = 100;
	pid_t pid[PROCESSES] = { 0 };
	int status, kills = 0;

	shared->eur = 5000000;
	while (atomic_load(&shared->refused) < THREADS && kills < 3000) {
		uint64_t i = random_number(&state) % PROCESSES;

		if (pid[i] != 0) {
			nap_us((long)(random_number(&state) % 3000));
			ck_assert_int_eq(kill(pid[i], SIGKILL), 0);
			ck_assert_int_eq(waitpid(pid[i], &status, 0), pid[i]);
			kills += WIFSIGNALED(status);
		}
		pid[i] = start_spenders(seed++);
	}
	for (int i = 0; i < PROCESSES; i++) {
		if (pid[i] == 0)
			continue;
		(void)kill(pid[i], SIGKILL);
		ck_assert_int_eq(waitpid(pid[i], &status, 0), pid[i]);
	}
	/* How many depends on the machine; none would prove nothing. */
	ck_assert_int_gt(kills, 0);
	ck_assert_int_le(atomic_load(&shared->used_eur), shared->eur);
	/* Those who are left, and who asks last, come to the same sum. */
	spend(limits, 1, INT64_MAX);
	ck_assert_int_le(atomic_load(&shared->used_eur), shared->eur);
	ck_assert_int_gt(atomic_load(&shared->used_eur), shared->eur - COST);
	ck_assert_int_eq(left(limits, shared->eur, 0).left_eur,
	    shared->eur - atomic_load(&shared->used_eur));
	limits_close(limits);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("budget");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, reserved_then_settled);
	tcase_add_test(t, each_kind_has_its_bound);
	tcase_add_test(t, all_or_nothing);
	tcase_add_test(t, a_new_month_is_a_new_purse);
	tcase_add_test(t, other_prices_are_counted_anew);
	tcase_add_test(
	    t, a_count_is_worth_nothing_when_use_was_written_meanwhile);
	tcase_add_test(t, who_was_forgotten_is_counted_again);
	tcase_add_test(t, what_is_erased_is_counted_anew);
	tcase_add_test(t, a_new_file_keeps_what_is_reserved);
	tcase_add_test(t, what_the_dead_reserved_comes_back);
	tcase_add_test(t, sixty_four_at_once_spend_all_and_no_more);
	tcase_add_test(t, killed_at_any_moment_nobody_overspends);
	return suite_run("limits, budgets", t, NULL);
}
