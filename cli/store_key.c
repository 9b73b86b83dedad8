/* The file of store keys. */
#include "cli/store_key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/seal.h"
#include "lib/secret.h"
#include "lib/text.h"

/* As much as is ever read. */
#define FILE_MAX 8192
/*
 * Responders notice another file one after another, and end what they have
 * within thirteen; before that an old key may still be written with.
 */
#define SETTLED 30

/* 0, or -1 after logging. */
static int
read_old(const char *path, struct buf *old)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char *room = buf_room(old, FILE_MAX);
	ssize_t n = -1;

	if (fd != -1 && room != NULL)
		n = read(fd, room, FILE_MAX);
	if (n == -1)
		log_warn("cannot read '%s'", path);
	else
		buf_grown(old, (size_t)n);
	if (fd != -1)
		close(fd);
	return n == -1 ? -1 : 0;
}

static void
add_new_key(struct buf *text, int64_t now)
{
	unsigned char key[SEAL_KEY_LEN];
	char hex[2 * SEAL_KEY_LEN + 1], when[TEXT_UTC_SIZE];

	secret_random(key, sizeof(key));
	(void)buf_printf(text, "# made %s\n%s\n", text_utc(when, now),
	    text_hex(hex, key, sizeof(key)));
	secret_wipe(key, sizeof(key));
	secret_wipe(hex, sizeof(hex));
}

/* The first key's line, with what stands before it. */
static void
add_first_key(struct buf *text, const struct buf *old)
{
	const char *at = old->data, *stop;

	for (; (stop = strchr(at, '\n')) != NULL; at = stop + 1)
		if (*at != '#' && strspn(at, " \t\r") < (size_t)(stop - at))
			break;
	if (stop == NULL)
		stop = old->data + old->len;
	(void)buf_add(text, old->data, (size_t)(stop - old->data));
	(void)buf_puts(text, "\n");
}

/*
 * What root makes is to be read by the gate, which is the owner of STATE_DIR.
 * A file that was there keeps its owner and mode.
 */
static int
settle_owner(int fd, const struct config *config, const struct stat *was)
{
	struct stat st;

	if (was != NULL)
		return (geteuid() == 0 &&
			   fchown(fd, was->st_uid, was->st_gid) == -1) ||
			fchmod(fd, was->st_mode & 0777) == -1
		    ? -1
		    : 0;
	if (geteuid() != 0 ||
	    stat(config_text(config, CONFIG_STATE_DIR), &st) == -1)
		return 0;
	return fchown(fd, st.st_uid, st.st_gid);
}

static int
sync_folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *folder = slash == NULL
	    ? strdup(".")
	    : strndup(path, (size_t)(slash - path) + 1);
	int fd = -1, done = -1;

	if (folder != NULL)
		fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd != -1) {
		done = fsync(fd);
		close(fd);
	}
	free(folder);
	return done;
}

/* A new file is never put in the place of one that came meanwhile. */
static int
publish(const char *draft, const char *path, const struct stat *was)
{
	if (was != NULL)
		return rename(draft, path);
	if (link(draft, path) == -1)
		return -1;
	return unlink(draft);
}

static int
write_file(const char *path, const struct config *config,
    const struct buf *text, const struct stat *was)
{
	char *draft = NULL;
	int fd = -1, bad;

	if (asprintf(&draft, "%s.XXXXXX", path) == -1)
		draft = NULL;
	else
		fd = mkostemp(draft, O_CLOEXEC);
	bad = fd == -1 ||
	    write(fd, text->data, text->len) != (ssize_t)text->len ||
	    settle_owner(fd, config, was) == -1 || fsync(fd) == -1 ||
	    publish(draft, path, was) == -1 || sync_folder_of(path) == -1;
	if (bad)
		log_warn("cannot write '%s'", path);
	if (bad && fd != -1)
		(void)unlink(draft);
	if (fd != -1)
		close(fd);
	free(draft);
	return bad ? -1 : 0;
}

/* 1 when it may go on with a file that is there, else 0 after saying why. */
static int
is_fit(const struct config *config, enum store_key_change change,
    const struct stat *was, int64_t now)
{
	int n = seal_ready();

	if (n == -1)
		return 0;
	if (change == STORE_KEY_NEW) {
		if (n < SEAL_KEYS_MAX)
			return 1;
		log_warnx("%d keys are enough: 'pmkey reseal', then 'pmkey "
			  "store-key --drop'",
		    n);
		return 0;
	}
	if (now - was->st_mtime < SETTLED) {
		log_warnx("the file was changed less than %d seconds ago: a "
			  "responder may still use an old key",
		    SETTLED);
		return 0;
	}
	return store_key_reseal(config, DB_RESEAL_KEYS, NULL, now) ==
	    COMMAND_DONE;
}

enum command_exit
store_key_change(
    const struct config *config, enum store_key_change change, int64_t now)
{
	const char *path = config_text(config, CONFIG_STORE_KEY_FILE);
	struct buf old = BUF(FILE_MAX), text = BUF((size_t)2 * FILE_MAX);
	int there, done = -1;
	struct stat was;

	if (*path == '\0') {
		log_warnx("STORE_KEY_FILE is not set: it names the file");
		return COMMAND_FAILED;
	}
	there = lstat(path, &was) == 0;
	if (there && change == STORE_KEY_MAKE)
		log_warnx("'%s' is there already; --new puts another key in "
			  "front",
		    path);
	else if (!there && change != STORE_KEY_MAKE)
		log_warn("cannot change '%s'", path);
	else if (!there || is_fit(config, change, &was, now))
		done = there ? read_old(path, &old) : 0;
	if (done == 0 && change == STORE_KEY_DROP)
		add_first_key(&text, &old);
	else if (done == 0) {
		add_new_key(&text, now);
		(void)buf_add(&text, old.data, old.len);
	}
	if (done == 0)
		done = write_file(path, config, &text, there ? &was : NULL);
	buf_free(&old);
	buf_free(&text);
	if (done == 0 && change != STORE_KEY_DROP)
		printf("Keep a copy of '%s' where neither fire nor a search "
		       "of the machine's disk finds it:\nwithout it all that "
		       "is sealed is lost.\n",
		    path);
	return done == 0 ? COMMAND_DONE : COMMAND_FAILED;
}
