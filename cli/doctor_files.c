/* Folders and files: whose they are, who may read them, where they lie. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/doctor.h"

/* A journal's file an hour: a century of them. */
#define ENTRIES_MAX 900000
#define MIB (INT64_C(1) << 20)

/*
 * A file that holds a secret: others may not read it. The group may, as in
 * root:pmproxy 0640, but not write.
 */
static void
look_at_secret(const char *path, const char *name, struct doctor_finding *f)
{
	struct stat st;

	if (stat(path, &st) == -1) {
		doctor_say(f, errno == EACCES ? DOCTOR_UNKNOWN : DOCTOR_FAULT,
		    "%s '%s': %s", name, path, doctor_errno());
		doctor_mend(f, "make it, or correct %s", name);
	} else if (!S_ISREG(st.st_mode)) {
		doctor_say(f, DOCTOR_FAULT, "'%s' is no file", path);
		doctor_mend(f, "correct %s", name);
	} else if ((st.st_mode & 0027) != 0) {
		doctor_say(f, DOCTOR_FAULT,
		    "'%s' is open to others (mode %04o)", path,
		    st.st_mode & 07777u);
		doctor_mend(f, "chmod %s %s; change the secrets in it",
		    (st.st_mode & 0040) != 0 ? "640" : "600", path);
	} else
		doctor_say(f, DOCTOR_OK, "'%s' has mode %04o", path,
		    st.st_mode & 07777u);
}

void
doctor_env_file(const struct doctor *d, struct doctor_finding *f)
{
	if (*d->env_file == '\0') {
		doctor_say(f, DOCTOR_NONE,
		    "PMPROXY_ENV names none: settings are the environment's");
		return;
	}
	look_at_secret(d->env_file, "PMPROXY_ENV", f);
	if (f->state == DOCTOR_OK && *d->env_file != '/') {
		doctor_say(f, DOCTOR_WARNING,
		    "PMPROXY_ENV is no absolute path: it depends on the folder "
		    "a program starts in");
		doctor_mend(f, "give the whole path");
	}
}

void
doctor_key_file(const struct doctor *d, struct doctor_finding *f)
{
	const char *path =
	    config_text(d->config, CONFIG_PRIVATEMODE_API_KEY_FILE);

	if (*path == '\0')
		doctor_say(
		    f, DOCTOR_NONE, "PRIVATEMODE_API_KEY_FILE is not set");
	else
		look_at_secret(path, "PRIVATEMODE_API_KEY_FILE", f);
}

/* What one folder or file of the gate must be: its own, and private. */
static void
look_at_entry(const char *path, const struct stat *st, int64_t owner,
    struct doctor_finding *f)
{
	unsigned mode = st->st_mode & 07777u;

	if ((mode & 0007) != 0) {
		if (doctor_worse(f, DOCTOR_FAULT,
			"'%s' is open to everybody (mode %04o)", path, mode))
			doctor_mend(f, "chmod go= %s", path);
	} else if (owner != -1 && st->st_uid != owner) {
		if (doctor_worse(f, DOCTOR_FAULT,
			"'%s' belongs to user %ld, the gate is user %" PRId64,
			path, (long)st->st_uid, owner))
			doctor_mend(f, "chown %" PRId64 " %s", owner, path);
	} else if ((mode & 0070) != 0 &&
	    doctor_worse(f, DOCTOR_WARNING,
		"'%s' is open to its group (mode %04o)", path, mode))
		doctor_mend(f, "chmod g= %s", path);
	if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode) &&
	    !S_ISSOCK(st->st_mode) &&
	    doctor_worse(
		f, DOCTOR_WARNING, "'%s' is neither file nor folder", path))
		doctor_mend(f, "see what it is, and take it away");
}

/* The folder itself; 0, or -1 when there is no looking into it. */
static int
look_at_folder(
    const char *path, const char *name, int64_t owner, struct doctor_finding *f)
{
	struct stat st;

	if (stat(path, &st) == -1) {
		(void)doctor_worse(f,
		    errno == EACCES ? DOCTOR_UNKNOWN : DOCTOR_FAULT,
		    "%s '%s': %s", name, path, doctor_errno());
		doctor_mend(f, "install -d -m 700 -o USER %s", path);
		return -1;
	}
	if (!S_ISDIR(st.st_mode)) {
		(void)doctor_worse(
		    f, DOCTOR_FAULT, "%s '%s' is no folder", name, path);
		doctor_mend(f, "correct %s", name);
		return -1;
	}
	look_at_entry(path, &st, owner, f);
	return 0;
}

/* What is in a folder; not what is in folders in it. */
static void
look_into(const char *path, int64_t owner, struct doctor_finding *f)
{
	char full[DOCTOR_PATH_SIZE];
	const struct dirent *e;
	struct stat st;
	DIR *dir = opendir(path);
	long left = ENTRIES_MAX;

	if (dir == NULL) {
		if (errno != ENOENT)
			(void)doctor_worse(f, DOCTOR_UNKNOWN,
			    "what is in '%s' cannot be seen: %s", path,
			    doctor_errno());
		return;
	}
	while (left-- > 0 && (e = readdir(dir)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		(void)snprintf(full, sizeof(full), "%s/%s", path, e->d_name);
		/* One that is renamed or removed meanwhile is no trouble. */
		if (fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) ==
		    0)
			look_at_entry(full, &st, owner, f);
	}
	(void)closedir(dir);
}

void
doctor_state_dir(const struct doctor *d, struct doctor_finding *f)
{
	const char *path = config_text(d->config, CONFIG_STATE_DIR);
	int64_t owner = doctor_gate_uid(d);
	char sub[DOCTOR_PATH_SIZE];
	struct doctor_mount mount;
	struct stat st;

	doctor_say(f, DOCTOR_OK, "'%s' and what is in it", path);
	if (look_at_folder(path, "STATE_DIR", owner, f) == -1)
		return;
	look_into(path, owner, f);
	(void)snprintf(sub, sizeof(sub), "%s/journal", path);
	look_into(sub, owner, f);
	(void)snprintf(sub, sizeof(sub), "%s/secret", path);
	if (stat(sub, &st) == 0 && st.st_size != 32 &&
	    doctor_worse(f, DOCTOR_FAULT, "'%s' does not hold 32 bytes", sub))
		doctor_mend(f, "bring it back from a backup");
	if (doctor_mount_of(d, path, &mount) == 0 && doctor_in_memory(&mount) &&
	    doctor_worse(f, DOCTOR_WARNING,
		"'%s' lies in memory: keys and use end with the machine", path))
		doctor_mend(f, "put STATE_DIR on the encrypted disk");
}

/* In memory, and that memory not on its way to a disk. */
static void
look_at_memory(
    const struct doctor *d, const char *path, struct doctor_finding *f)
{
	struct doctor_mount mount;
	int swap;

	if (doctor_mount_of(d, path, &mount) == -1) {
		(void)doctor_worse(f, DOCTOR_UNKNOWN, "where '%s' lies: %s",
		    path, doctor_errno());
		return;
	}
	if (!doctor_in_memory(&mount)) {
		if (doctor_worse(f, DOCTOR_FAULT,
			"'%s' is not on a tmpfs: uploads would reach a disk",
			path))
			doctor_mend(f,
			    "put RUN_DIR below /run, or mount a "
			    "tmpfs there");
		return;
	}
	swap = doctor_swap_on(d);
	if (swap == 0 || mount.noswap || strcmp(mount.type, "ramfs") == 0)
		return;
	if (doctor_worse(f, swap == 1 ? DOCTOR_WARNING : DOCTOR_UNKNOWN,
		swap == 1 ? "'%s' may be swapped out"
			  : "whether '%s' may be swapped out cannot be seen",
		path))
		doctor_mend(
		    f, "swapoff -a, or mount it noswap (Linux 6.4 and later)");
}

void
doctor_run_dir(const struct doctor *d, struct doctor_finding *f)
{
	const char *path = config_text(d->config, CONFIG_RUN_DIR);
	int64_t owner = doctor_gate_uid(d);

	doctor_say(f, DOCTOR_OK, "'%s' is private and in memory", path);
	if (look_at_folder(path, "RUN_DIR", owner, f) == -1)
		return;
	look_at_memory(d, path, f);
}

/*
 * The folder that the running web server's file names, in 'out' when that is
 * another than RUN_DIR's. -1 when the file cannot be read, else 0 or above.
 */
static int
find_upload_dir(const struct doctor *d, int pid, char out[512])
{
	struct buf args = BUF(0), text = BUF(1 << 20);
	char path[600], *rest, *line, *value;
	const char *file = NULL, *at;
	int own = -1;

	if (doctor_command_line(d, pid, &args) == 0)
		for (at = args.data; at < args.data + args.len;
		     at += strlen(at) + 1)
			if (strcmp(at, "-f") == 0 &&
			    at + 3 < args.data + args.len)
				file = at + 3;
	if (file != NULL && *file == '/')
		(void)snprintf(path, sizeof(path), "%.500s", file);
	else if (file != NULL)
		(void)snprintf(
		    path, sizeof(path), "/proc/%d/cwd/%.500s", pid, file);
	if (file != NULL && doctor_read(d, &text, path) == 0) {
		own = 2;
		rest = text.data;
		while ((line = doctor_next_line(&rest)) != NULL) {
			line += strspn(line, " \t");
			if (strncmp(line, "server.upload-dirs", 18) != 0)
				continue;
			own = strstr(line, "var.run_dir") == NULL;
			value = strchr(line, '"');
			if (own && value != NULL)
				(void)snprintf(out, 512, "%.*s",
				    (int)strcspn(value + 1, "\""), value + 1);
		}
	}
	/* lighttpd's default when its file says nothing. */
	if (own == 2)
		(void)snprintf(out, 512, "/var/tmp");
	buf_free(&args);
	buf_free(&text);
	return own;
}

void
doctor_upload_dir(const struct doctor *d, struct doctor_finding *f)
{
	struct doctor_process server[DOCTOR_PARTS_MAX];
	int64_t owner = doctor_gate_uid(d);
	struct doctor_processes all;
	char path[512];
	int own = 0;

	(void)snprintf(path, sizeof(path), "%.480s/upload",
	    config_text(d->config, CONFIG_RUN_DIR));
	if (doctor_processes(d, &all) == 0 &&
	    doctor_find(d, &all, DOCTOR_SERVER, server) == 1 &&
	    strcmp(server[0].name, "lighttpd") == 0)
		own = find_upload_dir(d, server[0].pid, path);
	doctor_processes_free(&all);
	doctor_say(f, DOCTOR_OK, "uploads pass through '%s', in memory", path);
	if (own == -1)
		(void)doctor_worse(f, DOCTOR_UNKNOWN,
		    "the web server's file cannot be read, to see where "
		    "uploads pass through");
	if (look_at_folder(path, "the folder of uploads", owner, f) == 0)
		look_at_memory(d, path, f);
}

/* Whether there is as much as 'least', or at best 'well'. */
static void
look_at_room(const struct doctor *d, const char *path, int64_t least,
    int64_t well, struct doctor_finding *f)
{
	struct statvfs fs;
	int64_t room;

	if (d->statvfs(path, &fs) == -1) {
		doctor_say(f, DOCTOR_UNKNOWN, "'%s': %s", path, doctor_errno());
		return;
	}
	room = (int64_t)(fs.f_bavail * fs.f_frsize);
	doctor_say(f,
	    room < least      ? DOCTOR_FAULT
		: room < well ? DOCTOR_WARNING
			      : DOCTOR_OK,
	    "%" PRId64 " MiB left for '%s'%s%" PRId64 "%s", room / MIB, path,
	    room < well ? ", should be " : " (", well / MIB,
	    room < well ? "" : " are enough)");
	/* Some file systems have no such count. */
	if (fs.f_files > 0 && fs.f_favail < 2000)
		(void)doctor_worse(f,
		    fs.f_favail < 100 ? DOCTOR_FAULT : DOCTOR_WARNING,
		    "only %llu more files fit in '%s'",
		    (unsigned long long)fs.f_favail, path);
	if (f->state > DOCTOR_OK)
		doctor_mend(f, "make room, or make it larger");
}

void
doctor_state_room(const struct doctor *d, struct doctor_finding *f)
{
	look_at_room(d, config_text(d->config, CONFIG_STATE_DIR), 64 * MIB,
	    512 * MIB, f);
}

/* One body at least, and at best all that the responders take at once. */
void
doctor_run_room(const struct doctor *d, struct doctor_finding *f)
{
	look_at_room(d, config_text(d->config, CONFIG_RUN_DIR),
	    config_number(d->config, CONFIG_MAX_BODY_BYTES) + 16 * MIB,
	    config_number(d->config, CONFIG_MAX_BODY_MEMORY), f);
}
