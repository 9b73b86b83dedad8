/*
 * What several processes and threads do to the limits together, and what one
 * leaves behind that is killed at any moment.
 */
#include <check.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/limits.h"
#include "lib/limits_internal.h"
#include "tests/unit/suite.h"

#define PROCESSES 4
#define THREADS 16
#define HOUR INT64_C(3600000)
#define LOGGED 1000000

/* Seen by all processes of a test. */
struct shared {
	pthread_barrier_t barrier;
	_Atomic int64_t clock;
	_Atomic int admitted, in_flight, wrong, logged, enough;
	_Atomic int by_process[PROCESSES];
	int64_t at[LOGGED]; /* when something was admitted */
};

static char dir[FOLDER_SIZE], file[80];
static struct shared *shared;

static void
setup(void)
{
	pthread_barrierattr_t attr;

	make_memory_folder(dir);
	snprintf(file, sizeof(file), "%s/limits", dir);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(shared, MAP_FAILED);
	ck_assert_int_eq(pthread_barrierattr_init(&attr), 0);
	ck_assert_int_eq(
	    pthread_barrierattr_setpshared(&attr, PTHREAD_PROCESS_SHARED), 0);
	ck_assert_int_eq(
	    pthread_barrier_init(&shared->barrier, &attr, PROCESSES * THREADS),
	    0);
	shared->clock = 5000000;
}

static void
teardown(void)
{
	munmap(shared, sizeof(*shared));
	unlink(file);
	ck_assert_int_eq(rmdir(dir), 0);
}

static struct limits_window
window(enum limits_table table, uint64_t who, int64_t limit, int64_t window_ms)
{
	struct limits_window w = { table, who, limit, window_ms, 1, 0, 0, 0,
		0 };

	return w;
}

struct worker {
	struct limits *limits;
	int process, thread;
	void (*work)(struct worker *);
};

static void *
work(void *arg)
{
	struct worker *worker = arg;

	worker->work(worker);
	return NULL;
}

/* One process: 'threads' threads on one handle. Never returns. */
static void __attribute__((__noreturn__))
run_process(int process, int threads, void (*fn)(struct worker *))
{
	struct limits *limits = limits_open(dir, THREADS);
	struct worker worker[THREADS];
	pthread_t thread[THREADS];
	int i;

	/* Should the test fail, nobody stays behind. */
	if (limits == NULL || prctl(PR_SET_PDEATHSIG, SIGKILL) == -1)
		_exit(2);
	for (i = 0; i < threads; i++) {
		worker[i] = (struct worker){ limits, process, i, fn };
		if (pthread_create(&thread[i], NULL, work, &worker[i]) != 0)
			_exit(3);
	}
	for (i = 0; i < threads; i++)
		if (pthread_join(thread[i], NULL) != 0)
			_exit(4);
	limits_close(limits);
	/* Not _exit: sanitizers report at exit. */
	exit(atomic_load(&shared->wrong) > 0);
}

static pid_t
start(int process, int threads, void (*fn)(struct worker *))
{
	pid_t pid = fork();

	ck_assert_int_ne(pid, -1);
	if (pid == 0)
		run_process(process, threads, fn);
	return pid;
}

/* PROCESSES x THREADS do 'fn' and end well. */
static void
hammer(void (*fn)(struct worker *))
{
	pid_t pid[PROCESSES];
	int i, status;

	for (i = 0; i < PROCESSES; i++)
		pid[i] = start(i, THREADS, fn);
	for (i = 0; i < PROCESSES; i++) {
		ck_assert_int_eq(waitpid(pid[i], &status, 0), pid[i]);
		ck_assert_int_eq(status, 0);
	}
	ck_assert_int_eq(shared->wrong, 0);
}

static void
together(void)
{
	(void)pthread_barrier_wait(&shared->barrier); /* who is last: no care */
}

static void
take_from_key_and_global(struct worker *worker)
{
	struct limits_window w[2] = {
		window(LIMITS_GLOBAL, 0, 700, HOUR),
		window(LIMITS_KEY_REQUESTS, 1, 1000, HOUR),
	};
	int i;

	together();
	for (i = 0; i < 2000; i++)
		if (limits_take(worker->limits, w, 2, 0, 0, NULL,
			limits_now()) == LIMITS_ADMITTED)
			shared->admitted++;
}

START_TEST(exactly_the_limit_passes)
{
	hammer(take_from_key_and_global);
	ck_assert_int_eq(shared->admitted, 700);
}
END_TEST

/* Each process its key, pairs of threads an address, and tokens. */
static void
take_from_several(struct worker *worker)
{
	struct limits_window w[4] = {
		window(LIMITS_KEY_REQUESTS, (uint64_t)worker->process + 1,
		    worker->process == 0 ? 1000 : 100, HOUR),
		window(LIMITS_GLOBAL, 0, 500, HOUR),
		window(LIMITS_ADDRESS, (uint64_t)worker->thread / 2, 200, HOUR),
		window(LIMITS_KEY_TOKENS, (uint64_t)worker->process + 1, 100000,
		    HOUR),
	};
	struct limits_lease lease = { 0 };
	struct limits_window *tokens = &w[3], swap;
	int i;

	tokens->cost = 7;
	/* In whichever order they come, nobody waits for ever. */
	if (worker->thread % 2 == 1) {
		swap = w[0], w[0] = w[3], w[3] = swap;
		swap = w[1], w[1] = w[2], w[2] = swap;
		tokens = &w[0];
	}
	together();
	for (i = 0; i < 2000; i++) {
		if (limits_take(worker->limits, w, 4, (uint64_t)worker->process,
			1000, &lease, limits_now()) != LIMITS_ADMITTED)
			continue;
		shared->admitted++;
		shared->by_process[worker->process]++;
		limits_settle(worker->limits, tokens, 9, limits_now());
		limits_release(worker->limits, &lease);
	}
}

START_TEST(several_windows_are_exact_together)
{
	struct limits *limits;
	struct limits_window w;
	int i, sum = 0;

	limits = limits_open(dir, 1);
	ck_assert_ptr_nonnull(limits);
	hammer(take_from_several);
	ck_assert_int_eq(shared->admitted, 500);
	for (i = 0; i < PROCESSES; i++) {
		/* Refused ones have left nothing in the other windows. */
		w = window(LIMITS_KEY_REQUESTS, (uint64_t)i + 1, 1000, HOUR);
		(void)limits_peek(limits, &w, 1, limits_now());
		ck_assert_int_eq(w.remaining, 1000 - shared->by_process[i]);
		w = window(LIMITS_KEY_TOKENS, (uint64_t)i + 1, 100000, HOUR);
		(void)limits_peek(limits, &w, 1, limits_now());
		ck_assert_int_eq(
		    w.remaining, 100000 - 9 * shared->by_process[i]);
		if (i > 0)
			ck_assert_int_le(shared->by_process[i], 100);
	}
	for (i = 0; i < THREADS / 2; i++) {
		w = window(LIMITS_ADDRESS, (uint64_t)i, 200, HOUR);
		(void)limits_peek(limits, &w, 1, limits_now());
		sum += 200 - (int)w.remaining;
	}
	ck_assert_int_eq(sum, 500);
	limits_close(limits);
}
END_TEST

#define MOVING_LIMIT 50
#define MOVING_MS 100

static void
take_while_time_moves(struct worker *worker)
{
	struct limits_window w =
	    window(LIMITS_ADDRESS, 3, MOVING_LIMIT, MOVING_MS);
	int i;

	together();
	for (i = 0; i < 1000; i++) {
		/* Ten tries a millisecond: 20 times what is allowed. */
		int64_t now = atomic_fetch_add(&shared->clock, 1) / 10;

		if (limits_take(worker->limits, &w, 1, 0, 0, NULL, now) ==
		    LIMITS_ADMITTED)
			shared->at[shared->logged++] = w.taken_at;
	}
}

static int
by_time(const void *a, const void *b)
{
	int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

	return (left > right) - (left < right);
}

static void
assert_any_window(int limit, int64_t window_ms)
{
	int i, n = shared->logged;

	qsort(shared->at, (size_t)n, sizeof(shared->at[0]), by_time);
	/* One killed between its number and its time has left a 0. */
	for (i = limit; i < n; i++)
		if (shared->at[i - limit] != 0)
			ck_assert_int_ge(
			    shared->at[i] - shared->at[i - limit], window_ms);
}

START_TEST(no_window_anywhere_holds_more_than_the_limit)
{
	hammer(take_while_time_moves);
	assert_any_window(MOVING_LIMIT, MOVING_MS);
	/* 64,000 tries are 6,400 ms: 64 windows, less what slips. */
	ck_assert_int_ge(shared->logged, 60 * MOVING_LIMIT);
	ck_assert_int_le(shared->logged, 65 * MOVING_LIMIT);
}
END_TEST

static void
hold_a_place(struct worker *worker)
{
	struct limits_lease lease;
	int round;

	for (round = 0; round < 20; round++) {
		together();
		if (limits_take(worker->limits, NULL, 0, 5, 5, &lease,
			limits_now()) == LIMITS_ADMITTED)
			shared->in_flight++;
		together();
		if (shared->in_flight != 5 ||
		    limits_parallel(worker->limits, 5) != 5)
			shared->wrong++;
		together();
		if (lease.slot != 0)
			shared->in_flight--;
		limits_release(worker->limits, &lease);
	}
}

START_TEST(as_many_as_allowed_are_in_flight)
{
	hammer(hold_a_place);
}
END_TEST

static void
come_and_go(struct worker *worker)
{
	struct limits_lease lease;
	int i;

	together();
	for (i = 0; i < 1000; i++) {
		if (limits_take(worker->limits, NULL, 0, 5, 5, &lease,
			limits_now()) != LIMITS_ADMITTED)
			continue;
		if (++shared->in_flight > 5)
			shared->wrong++;
		shared->admitted++;
		sched_yield();
		shared->in_flight--;
		limits_release(worker->limits, &lease);
	}
}

START_TEST(never_are_more_in_flight_than_allowed)
{
	struct limits *limits = limits_open(dir, 1);

	hammer(come_and_go);
	ck_assert_int_gt(shared->admitted, 5);
	ck_assert_int_eq(limits_parallel(limits, 5), 0);
	limits_close(limits);
}
END_TEST

static void
hold_and_wait(struct worker *worker)
{
	struct limits_lease lease[3];
	int i;

	for (i = 0; i < 3; i++)
		if (limits_take(worker->limits, NULL, 0, 8, 3, &lease[i],
			limits_now()) == LIMITS_ADMITTED)
			shared->admitted++;
	shared->logged = 1;
	for (;;)
		pause();
}

START_TEST(the_dead_give_their_places_back)
{
	struct limits *limits = limits_open(dir, 4);
	struct limits_lease lease;
	int round, status;
	pid_t pid;

	ck_assert_ptr_nonnull(limits);
	for (round = 0; round < 3; round++) {
		shared->logged = shared->admitted = 0;
		pid = start(0, 1, hold_and_wait);
		while (shared->logged == 0)
			sched_yield();
		ck_assert_int_eq(shared->admitted, 3);
		ck_assert_int_eq(limits_parallel(limits, 8), 3);
		ck_assert_int_eq(
		    limits_take(limits, NULL, 0, 8, 3, &lease, limits_now()),
		    LIMITS_PARALLEL);
		ck_assert_int_eq(kill(pid, SIGKILL), 0);
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		if (round == 1)
			ck_assert_int_eq(limits_parallel(limits, 8), 0);
		ck_assert_int_eq(
		    limits_take(limits, NULL, 0, 8, 3, &lease, limits_now()),
		    LIMITS_ADMITTED);
		ck_assert_int_eq(limits_parallel(limits, 8), 1);
		limits_release(limits, &lease);
	}
	limits_close(limits);
}
END_TEST

/* Dies with the lock held and the entry half written. */
static void
die_in_the_middle(struct worker *worker)
{
	struct limits_header *header = worker->limits->map.header;
	struct limits_seat seat = { .table = LIMITS_KEY_REQUESTS, .who = 6 };

	if (limits_shm_lock(header, limits_table_lock(seat.table, 6)) == -1)
		_exit(5);
	limits_table_seat(header, &seat, 1, limits_now());
	seat.entry->sum = 0; /* as between two stores */
	(void)raise(SIGKILL);
}

START_TEST(a_death_in_the_middle_loses_no_count)
{
	struct limits *limits = limits_open(dir, 4);
	struct limits_window w = window(LIMITS_KEY_REQUESTS, 6, 2, HOUR);
	int status;
	pid_t pid;

	ck_assert_ptr_nonnull(limits);
	ck_assert_int_eq(limits_take(limits, &w, 1, 0, 0, NULL, limits_now()),
	    LIMITS_ADMITTED);
	pid = start(0, 1, die_in_the_middle);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(limits_take(limits, &w, 1, 0, 0, NULL, limits_now()),
	    LIMITS_ADMITTED);
	ck_assert_int_eq(limits_take(limits, &w, 1, 0, 0, NULL, limits_now()),
	    LIMITS_REFUSED);
	ck_assert_int_eq(limits_check(limits), 0);
	limits_close(limits);
}
END_TEST

#define KILL_LIMIT 40
#define KILL_MS 50

/* 40 in 50 ms with 32 pairs: full rings and merging all the time. */
static void
take_until_killed(struct worker *worker)
{
	struct limits_window w[2] = {
		window(LIMITS_FAILED_AUTH, 2, KILL_LIMIT, KILL_MS),
		window(LIMITS_GLOBAL, 0, 1000000, HOUR),
	};
	struct limits_lease lease;
	int slot;

	for (;;) {
		int64_t now = atomic_fetch_add(&shared->clock, 1) / 3;

		if (limits_take(worker->limits, w, 2, 7, 3, &lease, now) !=
		    LIMITS_ADMITTED)
			continue;
		slot = shared->logged++;
		if (slot >= LOGGED)
			shared->wrong++;
		else
			shared->at[slot] = w[0].taken_at;
		limits_release(worker->limits, &lease);
		while (slot >= shared->enough)
			pause();
	}
}

START_TEST(killed_at_any_moment_it_never_admits_too_many)
{
	struct limits *limits = limits_open(dir, 4);
	struct limits_window w =
	    window(LIMITS_FAILED_AUTH, 2, KILL_LIMIT, KILL_MS);
	struct timespec nap = { 0, 0 };
	int i, round, status, before;
	pid_t pid[2];
	int64_t now;

	ck_assert_ptr_nonnull(limits);
	srandom(1);
	for (round = 0; round < 60; round++) {
		before = shared->logged;
		shared->enough = before + 15000;
		for (i = 0; i < 2; i++)
			pid[i] = start(i, 2, take_until_killed);
		/* What a death left must not stop the others. */
		while (shared->logged <= before)
			sched_yield();
		nap.tv_nsec = random() % 1000000;
		nanosleep(&nap, NULL); /* any moment will do */
		for (i = 0; i < 2; i++) {
			ck_assert_int_eq(kill(pid[i], SIGKILL), 0);
			ck_assert_int_eq(waitpid(pid[i], &status, 0), pid[i]);
			ck_assert(WIFSIGNALED(status));
		}
	}
	ck_assert_int_eq(shared->wrong, 0);
	assert_any_window(KILL_LIMIT, KILL_MS);
	ck_assert_int_eq(limits_parallel(limits, 7), 0);
	now = shared->clock / 3 + KILL_MS;
	for (i = 0; i < KILL_LIMIT; i++)
		ck_assert_int_eq(limits_take(limits, &w, 1, 0, 0, NULL, now),
		    LIMITS_ADMITTED);
	ck_assert_int_eq(
	    limits_take(limits, &w, 1, 0, 0, NULL, now), LIMITS_REFUSED);
	limits_close(limits);
}
END_TEST

static void
take_what_is_left(struct worker *worker)
{
	struct limits_window w = window(LIMITS_ADDRESS, 1, 3, HOUR);

	/* limits_open was just now, in all processes at once. */
	if (limits_take(worker->limits, &w, 1, 0, 0, NULL, limits_now()) ==
	    LIMITS_ADMITTED)
		shared->admitted++;
}

static void
open_at_once(void)
{
	pid_t pid[PROCESSES];
	int i, status;

	shared->logged = shared->admitted = 0;
	for (i = 0; i < PROCESSES; i++) {
		ck_assert_int_ne(pid[i] = fork(), -1);
		if (pid[i] != 0)
			continue;
		shared->logged++;
		while (shared->logged < PROCESSES)
			;
		run_process(i, 1, take_what_is_left);
	}
	for (i = 0; i < PROCESSES; i++) {
		ck_assert_int_eq(waitpid(pid[i], &status, 0), pid[i]);
		ck_assert_int_eq(status, 0);
	}
	ck_assert_int_eq(shared->admitted, 3);
}

START_TEST(processes_that_start_at_once_share_one_file)
{
	struct limits_map map = { 0 };
	int round;

	for (round = 0; round < 5; round++) {
		open_at_once();
		/* And when all of them find one of another boot. */
		ck_assert_int_eq(limits_file_open(dir, &map, 0), 0);
		map.header->boot_id[0] ^= 1;
		limits_file_close(&map);
		open_at_once();
		ck_assert_int_eq(unlink(file), 0);
	}
}
END_TEST

static TCase *
cases(void)
{
	TCase *t = tcase_create("shared");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, exactly_the_limit_passes);
	tcase_add_test(t, several_windows_are_exact_together);
	tcase_add_test(t, no_window_anywhere_holds_more_than_the_limit);
	tcase_add_test(t, as_many_as_allowed_are_in_flight);
	tcase_add_test(t, never_are_more_in_flight_than_allowed);
	tcase_add_test(t, the_dead_give_their_places_back);
	tcase_add_test(t, a_death_in_the_middle_loses_no_count);
	tcase_add_test(t, killed_at_any_moment_it_never_admits_too_many);
	tcase_add_test(t, processes_that_start_at_once_share_one_file);
	return t;
}

int
main(void)
{
	return suite_run("limits, shared", cases(), NULL);
}
