/*
 * A file of keys to import: all of it or nothing, and what is taken can be
 * given out again.
 */
#include <json-c/json.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/key_import.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

#define NOW INT64_C(1790000000)

static char folder[] = "/dev/shm/fuzz-import-XXXXXX";
static char store[64], lock[80];

static void
must(int what)
{
	if (!what)
		abort();
}

static void
remove_folder(void)
{
	(void)unlink(store);
	(void)unlink(lock);
	(void)rmdir(folder);
}

static int
begin(void)
{
	int fd = memfd_create("keys", MFD_CLOEXEC);

	must(fd != -1 && mkdtemp(folder) != NULL);
	snprintf(store, sizeof(store), "%s/keys.gdbm", folder);
	snprintf(lock, sizeof(lock), "%s.lock", store);
	must(atexit(remove_folder) == 0);
	return fd;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static int fd = -1;
	struct json_object *told, *given, *rows, *added;
	char path[64];

	if (fd == -1)
		fd = begin();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	must(ftruncate(fd, 0) == 0);
	must(pwrite(fd, data, len, 0) == (ssize_t)len);
	told = key_import(folder, path, NOW);
	given = key_export(folder, NOW);
	must(given != NULL);
	must(json_object_object_get_ex(given, "keys", &rows));
	if (told == NULL)
		must(json_object_array_length(rows) == 0);
	else
		must(json_object_object_get_ex(told, "imported", &added) &&
		    json_object_get_int64(added) ==
			(int64_t)json_object_array_length(rows));
	json_object_put(told);
	json_object_put(given);
	(void)unlink(store);
	return 0;
}
