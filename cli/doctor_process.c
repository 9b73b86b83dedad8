/* Who runs here: processes, their limits, and which of them are the gate. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "lib/text.h"

/* More than pid_max of a small host; a table without end would be no help. */
#define PROCESSES_MAX 65536
#define COMMAND_MAX (256 << 10)

/* The text behind "Uid:" and blanks, up to the next blank. */
static int
number_after(const char *text, const char *label, int column, int64_t *out)
{
	const char *at = strstr(text, label);
	size_t n;

	if (at == NULL)
		return -1;
	at += strlen(label);
	do {
		at += strspn(at, " \t");
		n = strcspn(at, " \t\n");
		if (column-- == 0)
			return text_n_to_i64(at, n, 0, INT64_MAX, out);
		at += n;
	} while (n > 0);
	return -1;
}

static int
read_process(const struct doctor *d, int pid, struct doctor_process *p)
{
	struct buf text = BUF(64 << 10);
	int64_t parent = 0;
	char path[64];
	int bad;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
	bad = doctor_read(d, &text, path) == -1 ||
	    strncmp(text.data, "Name:\t", 6) != 0 ||
	    number_after(text.data, "\nPPid:", 0, &parent) == -1 ||
	    number_after(text.data, "\nUid:", 1, &p->uid) == -1 ||
	    strstr(text.data, "\nState:\tZ") != NULL;
	if (!bad) {
		p->pid = pid;
		p->parent = (int)parent;
		(void)snprintf(p->name, sizeof(p->name), "%.*s",
		    (int)strcspn(text.data + 6, "\n"), text.data + 6);
	}
	buf_free(&text);
	return bad ? -1 : 0;
}

static int
add_process(struct doctor_processes *all, const struct doctor_process *p)
{
	struct doctor_process *list;
	size_t room;

	if (all->n == all->room) {
		room = all->room == 0 ? 256 : all->room * 2;
		if (room > PROCESSES_MAX)
			return -1;
		list = reallocarray(all->list, room, sizeof(*list));
		if (list == NULL)
			return -1;
		all->list = list;
		all->room = room;
	}
	all->list[all->n++] = *p;
	return 0;
}

int
doctor_processes(const struct doctor *d, struct doctor_processes *all)
{
	char path[DOCTOR_PATH_SIZE];
	struct doctor_process p;
	const struct dirent *e;
	int64_t pid;
	DIR *dir;

	memset(all, 0, sizeof(*all));
	if (doctor_path(d, path, "/proc") == -1 ||
	    (dir = opendir(path)) == NULL)
		return -1;
	while ((e = readdir(dir)) != NULL)
		if (text_to_i64(e->d_name, 1, INT32_MAX, &pid) == 0 &&
		    read_process(d, (int)pid, &p) == 0 &&
		    add_process(all, &p) == -1)
			break;
	(void)closedir(dir);
	return 0;
}

void
doctor_processes_free(struct doctor_processes *all)
{
	free(all->list);
	memset(all, 0, sizeof(*all));
}

/* "Max open files            1024                 4096                 files" */
int
doctor_limit(
    const struct doctor *d, int pid, const char *name, int64_t limit[2])
{
	struct buf text = BUF(64 << 10);
	char path[64], *at, *word;
	int i = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/limits", pid);
	if (doctor_read(d, &text, path) == 0 &&
	    (at = strstr(text.data, name)) != NULL) {
		at[strcspn(at, "\n")] = '\0';
		at += strlen(name);
		for (; i < 2 && (word = doctor_next_word(&at)) != NULL; i++)
			if (strcmp(word, "unlimited") == 0)
				limit[i] = INT64_MAX;
			else if (text_to_i64(word, 0, INT64_MAX, &limit[i]) ==
			    -1)
				break;
	}
	buf_free(&text);
	return i == 2 ? 0 : -1;
}

int
doctor_command_line(const struct doctor *d, int pid, struct buf *to)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	to->max = COMMAND_MAX;
	return doctor_read(d, to, path);
}

/* 1 when one of the process's files is that socket, 0 not, -1 not to be seen */
static int
holds_socket(const struct doctor *d, int pid, const char *socket)
{
	char path[DOCTOR_PATH_SIZE], target[64];
	const struct dirent *e;
	int found = 0;
	ssize_t n;
	DIR *dir;

	if (doctor_path(d, path, "/proc/%d/fd", pid) == -1 ||
	    (dir = opendir(path)) == NULL)
		return errno == ENOENT ? 0 : -1;
	while (!found && (e = readdir(dir)) != NULL) {
		n = readlinkat(
		    dirfd(dir), e->d_name, target, sizeof(target) - 1);
		if (n <= 0)
			continue;
		target[n] = '\0';
		found = strcmp(target, socket) == 0;
	}
	(void)closedir(dir);
	return found;
}

int
doctor_holder(const struct doctor *d, const struct doctor_processes *all,
    uint64_t inode, struct doctor_process *out, int *hidden)
{
	char socket[48];
	int answer;

	(void)snprintf(
	    socket, sizeof(socket), "socket:[%llu]", (unsigned long long)inode);
	for (size_t i = 0; i < all->n; i++) {
		answer = holds_socket(d, all->list[i].pid, socket);
		if (answer == -1)
			*hidden = 1;
		if (answer == 1) {
			*out = all->list[i];
			return 1;
		}
	}
	return 0;
}

/* 0 when nobody listens there who can be seen. */
static int
who_listens(const struct doctor *d, const struct doctor_processes *all,
    uint16_t port, struct doctor_process *out)
{
	struct doctor_listener list[DOCTOR_LISTENERS_MAX];
	int n = doctor_listeners(d, list), hidden = 0;

	for (int i = 0; i < n; i++)
		if (list[i].port == port &&
		    doctor_holder(d, all, list[i].inode, out, &hidden))
			return 1;
	return 0;
}

static size_t
all_named(const struct doctor_processes *all, const char *name, int parent,
    struct doctor_process out[DOCTOR_PARTS_MAX])
{
	size_t n = 0;

	/* The kernel cuts names off at 15 bytes. */
	for (size_t i = 0; i < all->n && n < DOCTOR_PARTS_MAX; i++)
		if (strncmp(all->list[i].name, name, 15) == 0 &&
		    (parent == 0 || all->list[i].parent == parent))
			out[n++] = all->list[i];
	return n;
}

static size_t
find_server(const struct doctor *d, const struct doctor_processes *all,
    struct doctor_process out[DOCTOR_PARTS_MAX])
{
	int64_t port = config_number(d->config, CONFIG_PORT);
	size_t n;

	if (who_listens(d, all, (uint16_t)port, out))
		return 1;
	n = all_named(all, "lighttpd", 0, out);
	if (n == 0)
		n = all_named(all, "caddy", 0, out);
	return n == 1 ? 1 : 0; /* one of many would be a guess */
}

static size_t
find_responders(const struct doctor *d, const struct doctor_processes *all,
    struct doctor_process out[DOCTOR_PARTS_MAX])
{
	struct doctor_process server[DOCTOR_PARTS_MAX];
	size_t n = 0;

	if (find_server(d, all, server) == 1)
		n = all_named(all, "v1.fcgi", server[0].pid, out);
	return n > 0 ? n : all_named(all, "v1.fcgi", 0, out);
}

size_t
doctor_find(const struct doctor *d, const struct doctor_processes *all,
    enum doctor_part part, struct doctor_process out[DOCTOR_PARTS_MAX])
{
	uint16_t port;

	if (d->config == NULL)
		return 0;
	if (part == DOCTOR_SERVER)
		return find_server(d, all, out);
	if (part == DOCTOR_RESPONDER)
		return find_responders(d, all, out);
	if (!doctor_upstream_port(d, &port))
		return 0;
	if (who_listens(d, all, port, out))
		return 1;
	return all_named(all, "privatemode-proxy", 0, out) == 1;
}

int64_t
doctor_gate_uid(const struct doctor *d)
{
	struct doctor_process found[DOCTOR_PARTS_MAX];
	struct doctor_processes all;
	int64_t uid = -1;
	struct stat st;

	if (doctor_processes(d, &all) == 0 &&
	    doctor_find(d, &all, DOCTOR_RESPONDER, found) > 0)
		uid = found[0].uid;
	else if (d->config != NULL &&
	    stat(config_text(d->config, CONFIG_STATE_DIR), &st) == 0)
		uid = st.st_uid;
	doctor_processes_free(&all);
	return uid;
}
