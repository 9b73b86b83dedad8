/* A .env file: read whole or refused, never half; numbers keep their bounds. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
must(int what)
{
	if (!what)
		abort();
}

static void
must_be_bounded(const struct config *c)
{
	for (int i = 0; i < CONFIG__MAX; i++) {
		enum config_name name = (enum config_name)i;
		int64_t min, max;

		must(config_text(c, name) != NULL);
		if (config_is_number(name, &min, &max))
			must(config_number(c, name) >= min &&
			    config_number(c, name) <= max);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static int fd = -1;
	char path[64];
	struct config *c;

	if (fd == -1) {
		must((fd = memfd_create("env", MFD_CLOEXEC)) != -1);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		must(setenv("PMPROXY_ENV", path, 1) == 0);
	}
	must(ftruncate(fd, 0) == 0);
	must(pwrite(fd, data, len, 0) == (ssize_t)len);
	if ((c = config_load()) != NULL)
		must_be_bounded(c);
	config_free(c);
	return 0;
}
