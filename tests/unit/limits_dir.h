/* limits_dir.h - a limiter of its own for each test. */
#ifndef PMPROXY_TESTS_LIMITS_DIR_H
#define PMPROXY_TESTS_LIMITS_DIR_H

#include <check.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/limits.h"
#include "tests/unit/suite.h"

#define T0 INT64_C(5000000)
#define MINUTE INT64_C(60000)

static char dir[FOLDER_SIZE], file[80];
static struct limits *limits;

static void
limits_dir_setup(uint32_t slots)
{
	make_memory_folder(dir);
	snprintf(file, sizeof(file), "%s/limits", dir);
	limits = limits_open(dir, slots);
	ck_assert_ptr_nonnull(limits);
}

static void
limits_dir_teardown(void)
{
	limits_close(limits);
	unlink(file);
	ck_assert_int_eq(rmdir(dir), 0);
}

#endif
