/* Swap, core dumps, debuggers, clock: what the operating system must grant. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "lib/text.h"

/* Volumes on volumes: none of use is deeper. */
#define DEPTH_MAX 8
/* The kernel's word for them, which is none of ours. */
#define DEVICES_BELOW \
	"sla"         \
	"ves"

/* 1 when /sys says of a block device that dm-crypt made it. */
static int
is_crypt(const struct doctor *d, const char *device)
{
	char path[512], uuid[160];

	(void)snprintf(path, sizeof(path), "%s/dm/uuid", device);
	return doctor_read_line(d, uuid, sizeof(uuid), path) == 0 &&
	    strncmp(uuid, "CRYPT-", 6) == 0;
}

/*
 * The one device that this one lies on: 1, or 0 when there is none or more
 * than one, of which any might be in the clear.
 */
static int
step_down(const struct doctor *d, char device[256])
{
	char path[DOCTOR_PATH_SIZE], below[256] = "";
	const struct dirent *e;
	int n = 0;
	DIR *dir;

	if (doctor_path(d, path, "%s/" DEVICES_BELOW, device) == -1 ||
	    (dir = opendir(path)) == NULL)
		return 0;
	while ((e = readdir(dir)) != NULL)
		if (e->d_name[0] != '.' && strlen(e->d_name) < 200) {
			n++;
			(void)snprintf(below, sizeof(below),
			    "/sys/block/%.200s", e->d_name);
		}
	(void)closedir(dir);
	memcpy(device, below, sizeof(below));
	return n == 1;
}

/* zram is memory, unless it may write pages back to a disk. */
static int
is_memory_only(const struct doctor *d, const char *device)
{
	char path[512], backing[160];

	if (strncmp(device, "/sys/block/zram", 15) != 0)
		return 0;
	(void)snprintf(path, sizeof(path), "%s/backing_dev", device);
	return doctor_read_line(d, backing, sizeof(backing), path) == -1 ||
	    strcmp(backing, "none") == 0;
}

/* The /sys folder of what a line of /proc/swaps names; 0 or -1. */
static int
find_device(const struct doctor *d, const char *name, const char *type,
    char device[256])
{
	char path[DOCTOR_PATH_SIZE], real[DOCTOR_PATH_SIZE];
	struct stat st;
	dev_t number;
	ssize_t n;

	if (strcmp(type, "partition") == 0 &&
	    strncmp(name, "/dev/mapper/", 12) != 0) {
		(void)snprintf(
		    device, 256, "/sys/block/%.200s", name + strlen("/dev/"));
		return 0;
	}
	if (doctor_path(d, path, "%s", name) == -1 || stat(path, &st) == -1)
		return -1;
	number = S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev;
	/* A link to "../../block/dm-0" or the like; its last part is it. */
	if (doctor_path(d, path, "/sys/dev/block/%u:%u", major(number),
		minor(number)) == -1 ||
	    (n = readlink(path, real, sizeof(real) - 1)) <= 0)
		return -1;
	real[n] = '\0';
	(void)snprintf(device, 256, "/sys/block/%.200s",
	    strrchr(real, '/') != NULL ? strrchr(real, '/') + 1 : real);
	return 0;
}

/* 1 when nothing on that swap can be read off a disk. */
static int
is_safe_swap(const struct doctor *d, const char *name, const char *type)
{
	char device[256];

	if (find_device(d, name, type, device) == -1)
		return 0;
	if (is_memory_only(d, device))
		return 1;
	for (int depth = 0; depth < DEPTH_MAX; depth++) {
		if (is_crypt(d, device))
			return 1;
		if (!step_down(d, device))
			return 0;
	}
	return 0;
}

struct swaps {
	int n, unsafe;
	char first[200]; /* of the unsafe ones */
};

static int
read_swaps(const struct doctor *d, struct swaps *s)
{
	struct buf text = BUF(256 << 10);
	char *rest, *line, *name, *type;
	int bad = doctor_read(d, &text, "/proc/swaps"), why = errno;

	memset(s, 0, sizeof(*s));
	rest = text.data;
	(void)doctor_next_line(&rest); /* heads */
	while (!bad && (line = doctor_next_line(&rest)) != NULL) {
		if ((name = doctor_next_word(&line)) == NULL ||
		    (type = doctor_next_word(&line)) == NULL)
			continue;
		s->n++;
		if (is_safe_swap(d, name, type))
			continue;
		if (s->unsafe++ == 0)
			(void)snprintf(s->first, sizeof(s->first), "%s", name);
	}
	buf_free(&text);
	errno = why;
	return bad;
}

int
doctor_swap_on(const struct doctor *d)
{
	struct swaps s;

	if (read_swaps(d, &s) == -1)
		return -1;
	return s.n > 0;
}

void
doctor_swap(const struct doctor *d, struct doctor_finding *f)
{
	struct swaps s;

	if (read_swaps(d, &s) == -1) {
		doctor_say(
		    f, DOCTOR_UNKNOWN, "/proc/swaps: %s", doctor_errno());
		return;
	}
	if (s.n == 0)
		doctor_say(f, DOCTOR_OK, "swap is off");
	else if (s.unsafe == 0)
		doctor_say(f, DOCTOR_OK, "swap is encrypted or in memory");
	else {
		doctor_say(f, DOCTOR_FAULT,
		    "swap at '%s' is not encrypted: prompts may reach a disk",
		    s.first);
		f->more = s.unsafe - 1;
		doctor_mend(f, "swapoff -a, and take it out of /etc/fstab");
	}
}

void
doctor_clock(const struct doctor *d, struct doctor_finding *f)
{
	struct timex t = { 0 };
	struct stat st;
	char path[DOCTOR_PATH_SIZE];
	const char *files[] = { "keys.gdbm", "usage.gdbm", "settings.gdbm",
		"journal", "." };
	int state = d->adjtimex(&t), why = errno;

	for (size_t i = 0; i < 5 && d->config != NULL; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s",
		    config_text(d->config, CONFIG_STATE_DIR), files[i]);
		/* Minutes are a step of NTP's; more is a clock that was set. */
		if (stat(path, &st) == -1 || st.st_mtime <= d->now + 300)
			continue;
		doctor_say(f, DOCTOR_FAULT,
		    "the clock is behind: '%s' was changed in its future",
		    path);
		doctor_mend(
		    f, "set the clock; expiry and budgets depend on it");
		return;
	}
	errno = why;
	if (state == -1)
		doctor_say(f, DOCTOR_UNKNOWN, "the kernel's clock state: %s",
		    doctor_errno());
	else if (state == TIME_ERROR || (t.status & STA_UNSYNC) != 0) {
		doctor_say(f, DOCTOR_WARNING, "the clock is not synchronised");
		doctor_mend(f, "install chrony or systemd-timesyncd");
	} else
		doctor_say(f, DOCTOR_OK, "the clock is synchronised");
}

void
doctor_ptrace(const struct doctor *d, struct doctor_finding *f)
{
	char scope[16];

	if (doctor_read_line(d, scope, sizeof(scope),
		"/proc/sys/kernel/yama/ptrace_scope") == -1) {
		if (errno != ENOENT) {
			doctor_say(f, DOCTOR_UNKNOWN, "ptrace_scope: %s",
			    doctor_errno());
			return;
		}
		(void)snprintf(scope, sizeof(scope), "0");
	}
	if (strcmp(scope, "0") != 0) {
		doctor_say(f, DOCTOR_OK, "ptrace_scope is %s", scope);
		return;
	}
	doctor_say(f, DOCTOR_WARNING,
	    "any process of the same user may read another's memory");
	doctor_mend(
	    f, "sysctl kernel.yama.ptrace_scope=1, where the kernel has Yama");
}

/* A note: containers need them, and they widen what a local attacker reaches */
void
doctor_user_namespaces(const struct doctor *d, struct doctor_finding *f)
{
	char value[24];

	if (doctor_read_line(d, value, sizeof(value),
		"/proc/sys/kernel/unprivileged_userns_clone") == -1 &&
	    doctor_read_line(d, value, sizeof(value),
		"/proc/sys/user/max_user_namespaces") == -1) {
		doctor_say(f, DOCTOR_NONE, "this kernel has none");
		return;
	}
	if (strcmp(value, "0") == 0)
		doctor_say(f, DOCTOR_OK, "closed to ordinary users");
	else {
		doctor_say(f, DOCTOR_OK, "open to ordinary users");
		doctor_mend(f,
		    "where no container needs them, "
		    "user.max_user_namespaces=0 leaves an intruder less");
	}
}
