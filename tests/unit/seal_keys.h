/* seal_keys.h - files of store keys, for tests of what is sealed. */
#ifndef PMPROXY_TESTS_SEAL_KEYS_H
#define PMPROXY_TESTS_SEAL_KEYS_H

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/seal.h"
#include "tests/unit/suite.h"

#define KEY_A \
	"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n"
/* The same in base64. */
#define KEY_A64 "ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v8=\n"
#define KEY_B \
	"ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100\n"

static char key_folder[FOLDER_SIZE], key_file[FOLDER_SIZE + 16];

static void
write_file(const char *path, const void *p, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(write(fd, p, n), (ssize_t)n);
	close(fd);
}

/* From here on these keys hold; NULL: none. */
__attribute__((__unused__)) static void
use_keys(const char *text)
{
	if (text != NULL)
		write_file(key_file, text, strlen(text));
	ck_assert_int_eq(seal_use(text == NULL ? NULL : key_file), 0);
}

static void
seal_keys_setup(void)
{
	make_folder(key_folder);
	snprintf(key_file, sizeof(key_file), "%s/store.key", key_folder);
}

static void
seal_keys_teardown(void)
{
	ck_assert_int_eq(seal_use(NULL), 0);
	remove_folder(key_folder);
}

#endif
