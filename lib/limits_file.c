/*
 * The file RUN_DIR/limits: made whole before it gets its name, and replaced
 * when it is of another boot or version.
 */
#include "limits_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "log.h"

#define TEMP_NAME "limits.new"

static int
read_boot_id(char id[40])
{
	static const char path[] = "/proc/sys/kernel/random/boot_id";
	ssize_t n = -1;
	int fd;

	if (id[0] != '\0')
		return 0;
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) != -1) {
		n = read(fd, id, 36);
		(void)close(fd); /* only read from */
	}
	if (n == 36)
		return 0;
	id[0] = '\0';
	log_warn("cannot read '%s'", path);
	return -1;
}

static int
mutex_init(pthread_mutex_t *mutex)
{
	pthread_mutexattr_t attr;
	int error;

	if ((error = pthread_mutexattr_init(&attr)) != 0)
		return error;
	error = pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	if (error == 0)
		error =
		    pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	if (error == 0)
		error = pthread_mutex_init(mutex, &attr);
	(void)pthread_mutexattr_destroy(&attr);
	return error;
}

static int
map_file(int fd, struct limits_map *map)
{
	void *at = mmap(NULL, limits_table_size(), PROT_READ | PROT_WRITE,
	    MAP_SHARED, fd, 0);

	if (at == MAP_FAILED) {
		log_warn("cannot map '%s'", LIMITS_FILE);
		return -1;
	}
	map->header = at;
	map->fd = fd;
	return 0;
}

void
limits_file_close(struct limits_map *map)
{
	if (map->header != NULL) {
		(void)munmap(map->header, limits_table_size());
		(void)close(map->fd); /* nothing is buffered */
	}
	map->header = NULL;
}

/* Fills in a file that nobody else knows of yet. */
static int
make_whole(int fd, struct limits_map *map)
{
	struct limits_header *header;
	uint32_t i;
	int error;

	/*
	 * All of it now: a page that finds no room on the tmpfs later would
	 * be a SIGBUS in the middle of a request.
	 */
	error = posix_fallocate(fd, 0, (off_t)limits_table_size());
	if (error != 0) {
		errno = error;
		log_warn(
		    "no room for the limits (%zu bytes)", limits_table_size());
		return -1;
	}
	if (map_file(fd, map) == -1)
		return -1;
	header = map->header;
	header->version = LIMITS_VERSION;
	header->size = limits_table_size();
	memcpy(header->boot_id, map->boot_id, sizeof(header->boot_id));
	error = 0;
	for (i = 0; i < LIMITS_LOCKS && error == 0; i++)
		error = mutex_init(&header->lock[i].mutex);
	if (error == 0) {
		atomic_store(&header->magic, LIMITS_MAGIC);
		return 0;
	}
	(void)munmap(header, limits_table_size());
	map->header = NULL;
	return -1;
}

static int
make(int dir, struct limits_map *map)
{
	int fd;

	/* Left by a process that died here; the folder is locked. */
	if (unlinkat(dir, TEMP_NAME, 0) == -1 && errno != ENOENT)
		log_warn("cannot remove '%s'", TEMP_NAME);
	fd = openat(dir, TEMP_NAME,
	    O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd == -1) {
		log_warn("cannot make '%s'", TEMP_NAME);
		return -1;
	}
	if (make_whole(fd, map) == 0) {
		if (renameat(dir, TEMP_NAME, dir, LIMITS_FILE) == 0)
			return 0;
		log_warn("cannot rename '%s'", TEMP_NAME);
		(void)munmap(map->header, limits_table_size());
		map->header = NULL;
	}
	(void)unlinkat(dir, TEMP_NAME, 0);
	(void)close(fd);
	return -1;
}

/* Whether 'fd' is a file of that owner, this version and this boot; maps it. */
static int
map_if_current(int fd, uid_t owner, struct limits_map *map)
{
	const struct limits_header *header;
	struct stat st;

	if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode) ||
	    st.st_uid != owner || (st.st_mode & 077) != 0 ||
	    st.st_size != (off_t)limits_table_size() || map_file(fd, map) == -1)
		return 0;
	header = map->header;
	if (atomic_load(&header->magic) == LIMITS_MAGIC &&
	    header->version == LIMITS_VERSION &&
	    header->size == limits_table_size() &&
	    memcmp(header->boot_id, map->boot_id, sizeof(map->boot_id)) == 0)
		return 1;
	(void)munmap(map->header, limits_table_size());
	map->header = NULL;
	return 0;
}

static int
open_or_make(int dir, struct limits_map *map, int replace)
{
	int fd = openat(
	    dir, LIMITS_FILE, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd == -1 && errno == ENOENT)
		return make(dir, map);
	if (fd == -1 && !(replace && errno == ELOOP)) {
		log_warn("cannot open '%s'", LIMITS_FILE);
		return -1;
	}
	if (fd != -1 && map_if_current(fd, geteuid(), map))
		return 0;
	if (fd != -1)
		(void)close(fd);
	if (!replace) {
		log_warnx("'%s' is of another version: restart", LIMITS_FILE);
		return -1;
	}
	log_info(
	    "'%s' is of another boot or version: starting afresh", LIMITS_FILE);
	return make(dir, map);
}

/* Root asks on behalf of whose folder it is. */
static uid_t
owner_of(int dir)
{
	struct stat st;

	return geteuid() == 0 && fstat(dir, &st) == 0 ? st.st_uid : geteuid();
}

int
limits_file_find(const char *run_dir, struct limits_map *map)
{
	int dir = open(run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = -1, found = 0;

	if (dir != -1)
		fd = openat(dir, LIMITS_FILE,
		    O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd == -1 && errno != ENOENT) {
		log_warn("cannot open '%s/%s'", run_dir, LIMITS_FILE);
		found = -1;
	} else if (fd != -1 && read_boot_id(map->boot_id) == 0) {
		found = map_if_current(fd, owner_of(dir), map);
	}
	if (fd != -1 && found != 1)
		(void)close(fd);
	if (dir != -1)
		(void)close(dir);
	return found;
}

int
limits_file_open(const char *run_dir, struct limits_map *map, int replace)
{
	int dir, error, result = -1;

	map->header = NULL;
	if (read_boot_id(map->boot_id) == -1)
		return -1;
	dir = open(run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir == -1) {
		log_warn("cannot open '%s'", run_dir);
		return -1;
	}
	/* Two that find an old file must not both replace it. */
	while ((error = flock(dir, LOCK_EX)) == -1 && errno == EINTR)
		;
	if (error == -1)
		log_warn("cannot lock '%s'", run_dir);
	else
		result = open_or_make(dir, map, replace);
	if (result == 0 && limits_lease_join(map) == -1) {
		limits_file_close(map);
		result = -1;
	}
	(void)close(dir);
	return result;
}
