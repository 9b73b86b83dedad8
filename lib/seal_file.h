/* seal_file.h - the file of store keys. Private to seal. */
#ifndef PMPROXY_SEAL_FILE_H
#define PMPROXY_SEAL_FILE_H

#include <sys/stat.h>

#include "seal.h"

struct seal_file {
	struct stat st;
	size_t n;
	unsigned char key[SEAL_KEYS_MAX][SEAL_KEY_LEN];
};

/*
 * Reads all keys, at least one. 0, or -1 after logging what is wrong with the
 * file; the caller wipes them.
 */
int seal_file_read(const char *path, struct seal_file *);

#endif
