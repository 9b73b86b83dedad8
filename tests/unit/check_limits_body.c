/*
 * Memory that bodies hold: shares, room, what comes back from the dead and
 * from those who left. A second handle stands for a second process.
 */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/limits.h"
#include "lib/limits_internal.h"
#include "tests/unit/limits_dir.h"

#define QUARTER (INT64_C(15) * 60 * 1000)

static void
setup(void)
{
	limits_dir_setup(8);
}

/* A share of 100, 250 in all, room for 200. */
static struct limits_body
body(uint64_t who, int64_t bytes, int waits)
{
	return (struct limits_body){ .who = who,
		.bytes = bytes,
		.share = 100,
		.all = 250,
		.room = 200,
		.waits = waits,
		.port = 40000 };
}

static enum limits_result
take(struct limits *from, uint64_t who, int64_t bytes, int waits)
{
	struct limits_body b = body(who, bytes, waits);
	enum limits_result result = limits_body_take(from, &b, T0);

	ck_assert_int_eq(b.ticket != 0, result == LIMITS_ADMITTED);
	return result;
}

/* What must come of them, one after the other. */
static const struct {
	const char *why;
	uint64_t who;
	int64_t bytes;
	int waits;
	enum limits_result result;
} takes[] = {
	{ "up to the share", 1, 60, 1, LIMITS_ADMITTED },
	{ "one byte more than it", 1, 41, 1, LIMITS_PARALLEL },
	{ "what comes here counts as well", 1, 41, 0, LIMITS_PARALLEL },
	{ "to the byte", 1, 40, 1, LIMITS_ADMITTED },
	{ "another's share is another", 2, 100, 1, LIMITS_ADMITTED },
	{ "no room where they wait", 3, 1, 1, LIMITS_REFUSED },
	{ "but here", 3, 50, 0, LIMITS_ADMITTED },
	{ "no more in all", 4, 1, 0, LIMITS_REFUSED },
	{ "nothing is always free", 4, 0, 0, LIMITS_ADMITTED },
	{ "the share is named first", 1, 1, 1, LIMITS_PARALLEL },
	{ "less than nothing is a mistake", 5, -1, 0, LIMITS_BROKEN },
};

START_TEST(shares_and_room)
{
	for (size_t i = 0; i < (size_t)COUNT(takes); i++)
		ck_assert_msg(take(limits, takes[i].who, takes[i].bytes,
				  takes[i].waits) == takes[i].result,
		    "%s", takes[i].why);
}
END_TEST

START_TEST(a_body_larger_than_the_share_comes_alone)
{
	ck_assert_int_eq(take(limits, 1, 150, 1), LIMITS_ADMITTED);
	ck_assert_int_eq(take(limits, 1, 1, 1), LIMITS_PARALLEL);
	ck_assert_int_eq(take(limits, 2, 20, 1), LIMITS_ADMITTED);
	ck_assert_int_eq(take(limits, 2, 150, 0), LIMITS_PARALLEL);
}
END_TEST

START_TEST(what_has_come_counts_as_what_it_is)
{
	struct limits_body b = body(1, 100, 1);

	ck_assert_int_eq(limits_body_take(limits, &b, T0), LIMITS_ADMITTED);
	ck_assert_int_eq(take(limits, 1, 1, 1), LIMITS_PARALLEL);
	ck_assert_int_eq(limits_body_arrive(limits, b.ticket, 30), 0);
	ck_assert_int_eq(take(limits, 1, 71, 1), LIMITS_PARALLEL);
	ck_assert_int_eq(take(limits, 1, 70, 1), LIMITS_ADMITTED);
	limits_body_release(limits, b.ticket);
	ck_assert_int_eq(take(limits, 1, 30, 1), LIMITS_ADMITTED);
	/* It is nobody's now, and its place may be another's. */
	ck_assert_int_eq(limits_body_arrive(limits, b.ticket, 30), -1);
	limits_body_release(limits, b.ticket);
	ck_assert_int_eq(take(limits, 1, 1, 1), LIMITS_PARALLEL);
}
END_TEST

START_TEST(no_ticket_is_made_up)
{
	struct limits_body b = body(1, 100, 1);

	ck_assert_int_eq(limits_body_take(limits, &b, T0), LIMITS_ADMITTED);
	ck_assert_int_eq(limits_body_arrive(limits, 0, 1), -1);
	ck_assert_int_eq(limits_body_arrive(limits, b.ticket + 1, 1), -1);
	ck_assert_int_eq(
	    limits_body_arrive(limits, b.ticket + LIMITS_BODIES, 1), -1);
	ck_assert_int_eq(limits_body_arrive(limits, b.ticket, -1), -1);
	limits_body_release(limits, 0);
	limits_body_release(limits, b.ticket + 1);
	ck_assert_int_eq(take(limits, 1, 1, 1), LIMITS_PARALLEL);
}
END_TEST

START_TEST(who_left_holds_nothing)
{
	unsigned char ports[LIMITS_PORTS_SIZE] = { 0 };

	ports[40000 / 8] = 1u << 40000 % 8;
	ck_assert_int_eq(take(limits, 1, 100, 1), LIMITS_ADMITTED);
	ck_assert_int_eq(take(limits, 2, 50, 0), LIMITS_ADMITTED);
	ck_assert_int_eq(limits_body_sweep(limits, ports, T0 + 1), 0);
	ports[40000 / 8] = 0;
	/* As old as the look: it may have come after it. */
	ck_assert_int_eq(limits_body_sweep(limits, ports, T0), 0);
	ck_assert_int_eq(limits_body_sweep(limits, ports, T0 + 1), 1);
	ck_assert_int_eq(take(limits, 1, 100, 1), LIMITS_ADMITTED);
	ck_assert_int_eq(take(limits, 2, 51, 0), LIMITS_PARALLEL);
}
END_TEST

START_TEST(without_a_port_a_quarter_of_an_hour_must_do)
{
	unsigned char ports[LIMITS_PORTS_SIZE] = { 0 };
	struct limits_body b = body(1, 100, 1);

	b.port = 0;
	ck_assert_int_eq(limits_body_take(limits, &b, T0), LIMITS_ADMITTED);
	ck_assert_int_eq(limits_body_sweep(limits, ports, T0 + QUARTER), 0);
	ck_assert_int_eq(limits_body_sweep(limits, ports, T0 + QUARTER + 1), 1);
	ck_assert_int_eq(take(limits, 1, 100, 1), LIMITS_ADMITTED);
	ck_assert_int_eq(limits_body_sweep(limits, NULL, T0 + QUARTER), 0);
	ck_assert_int_eq(limits_body_sweep(limits, NULL, T0 + QUARTER + 1), 1);
}
END_TEST

START_TEST(the_dead_hold_nothing)
{
	struct limits_body b = body(1, 100, 1);
	struct limits *own;
	int status;
	pid_t pid;

	ck_assert_int_eq(limits_body_take(limits, &b, T0), LIMITS_ADMITTED);
	if ((pid = fork()) == 0) {
		if ((own = limits_open(dir, 8)) == NULL ||
		    limits_body_arrive(own, b.ticket, 100) == -1 ||
		    take(own, 2, 100, 0) != LIMITS_ADMITTED)
			_exit(1);
		(void)raise(SIGKILL);
	}
	ck_assert_int_ne(pid, -1);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(take(limits, 1, 100, 1), LIMITS_ADMITTED);
	ck_assert_int_eq(take(limits, 2, 100, 1), LIMITS_ADMITTED);
}
END_TEST

START_TEST(what_waits_outlives_a_responder)
{
	struct limits_body b = body(1, 100, 1);
	struct limits *other = limits_open(dir, 8);

	ck_assert_ptr_nonnull(other);
	ck_assert_int_eq(limits_body_take(other, &b, T0), LIMITS_ADMITTED);
	limits_close(other);
	ck_assert_int_eq(take(limits, 1, 1, 1), LIMITS_PARALLEL);
	ck_assert_int_eq(limits_body_arrive(limits, b.ticket, 100), 0);
}
END_TEST

START_TEST(all_places_taken)
{
	struct limits_body b = body(1, 0, 0);
	uint64_t one = 0;

	for (unsigned i = 0; i < LIMITS_BODIES; i++) {
		ck_assert_int_eq(
		    limits_body_take(limits, &b, T0), LIMITS_ADMITTED);
		if (i == 7)
			one = b.ticket;
	}
	ck_assert_int_eq(take(limits, 2, 0, 0), LIMITS_REFUSED);
	limits_body_release(limits, one);
	ck_assert_int_eq(take(limits, 2, 0, 0), LIMITS_ADMITTED);
	ck_assert_int_eq(take(limits, 2, 0, 0), LIMITS_REFUSED);
}
END_TEST

START_TEST(a_damaged_file_lets_nobody_in)
{
	hush();
	ck_assert_int_eq(truncate(file, 4096), 0);
	ck_assert_int_eq(limits_check(limits), -1);
	ck_assert_int_eq(take(limits, 1, 1, 1), LIMITS_BROKEN);
	ck_assert_int_eq(limits_body_arrive(limits, LIMITS_BODIES, 1), -1);
}
END_TEST

static TCase *
cases(void)
{
	TCase *t = tcase_create("limits_body");

	tcase_add_checked_fixture(t, setup, limits_dir_teardown);
	tcase_add_test(t, shares_and_room);
	tcase_add_test(t, a_body_larger_than_the_share_comes_alone);
	tcase_add_test(t, what_has_come_counts_as_what_it_is);
	tcase_add_test(t, no_ticket_is_made_up);
	tcase_add_test(t, who_left_holds_nothing);
	tcase_add_test(t, without_a_port_a_quarter_of_an_hour_must_do);
	tcase_add_test(t, the_dead_hold_nothing);
	tcase_add_test(t, what_waits_outlives_a_responder);
	tcase_add_test(t, all_places_taken);
	tcase_add_test(t, a_damaged_file_lets_nobody_in);
	return t;
}

int
main(void)
{
	return suite_run("limits, bodies", cases(), NULL);
}
