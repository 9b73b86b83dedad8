/* The kernel's list of TCP connections, as proc(5) has it. */
#include "connections.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

/* Longer than any line of it. */
#define LINE_SIZE 512

/* The second is missing where IPv6 is off. */
static const char *const paths[] = { "/proc/self/net/tcp",
	"/proc/self/net/tcp6" };
#define LISTS (sizeof(paths) / sizeof(paths[0]))

struct connections {
	pthread_mutex_t lock;
	int fd[LISTS]; /* -1: none */
};

struct connections *
connections_open(void)
{
	struct connections *c = calloc(1, sizeof(*c));

	if (c == NULL || pthread_mutex_init(&c->lock, NULL) != 0) {
		log_warnx("no memory for the list of connections");
		free(c);
		return NULL;
	}
	for (size_t i = 0; i < LISTS; i++)
		c->fd[i] = open(paths[i], O_RDONLY | O_CLOEXEC);
	if (c->fd[0] != -1)
		return c;
	log_warn("cannot open '%s'", paths[0]);
	connections_close(c);
	return NULL;
}

void
connections_close(struct connections *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; i < LISTS; i++)
		if (c->fd[i] != -1)
			(void)close(c->fd[i]); /* only read from */
	(void)pthread_mutex_destroy(&c->lock);
	free(c);
}

/* The n-th word of a line, from 0 on; "" when there are fewer. */
static const char *
word(const char *line, int n)
{
	line += strspn(line, " ");
	while (n-- > 0) {
		line += strcspn(line, " ");
		line += strspn(line, " ");
	}
	return line;
}

/* As many hexadecimal digits, or -1. */
static int
hex(const char *s, int digits)
{
	static const char all[] = "0123456789ABCDEF";
	const char *at;
	int value = 0;

	while (digits-- > 0) {
		if (*s == '\0' || (at = strchr(all, *s++)) == NULL)
			return -1;
		value = value * 16 + (int)(at - all);
	}
	return value;
}

/* "sl: local:port remote:port state ...", all in hexadecimal. */
void
connections_line(const char *line, unsigned char ports[CONNECTIONS_PORTS_SIZE])
{
	const char *remote = word(line, 2), *colon = strchr(remote, ':');
	int port = colon == NULL ? -1 : hex(colon + 1, 4);
	int state = hex(word(line, 3), 2);

	/* TCP_ESTABLISHED, TCP_CLOSE_WAIT */
	if (port > 0 && (state == 1 || state == 8))
		ports[port / 8] |= (unsigned char)(1u << port % 8);
}

/* A stream of its own each time: stdio would keep what it has read once. */
static FILE *
open_list(int fd)
{
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	FILE *list;

	if (own == -1)
		return NULL;
	if (lseek(own, 0, SEEK_SET) == 0 && (list = fdopen(own, "r")) != NULL)
		return list;
	(void)close(own); /* only read from */
	return NULL;
}

static int
read_list(int fd, unsigned char ports[CONNECTIONS_PORTS_SIZE])
{
	FILE *list = open_list(fd);
	char line[LINE_SIZE];
	int bad = list == NULL;

	while (!bad && fgets(line, sizeof(line), list) != NULL)
		connections_line(line, ports);
	bad = bad || ferror(list);
	if (bad)
		log_warn("cannot read the list of connections");
	if (list != NULL)
		(void)fclose(list); /* only read from */
	return bad ? -1 : 0;
}

int
connections_ports(
    struct connections *c, unsigned char ports[CONNECTIONS_PORTS_SIZE])
{
	int bad = 0;

	memset(ports, 0, CONNECTIONS_PORTS_SIZE);
	(void)pthread_mutex_lock(&c->lock); /* ours: cannot fail */
	for (size_t i = 0; i < LISTS && !bad; i++)
		if (c->fd[i] != -1)
			bad = read_list(c->fd[i], ports);
	(void)pthread_mutex_unlock(&c->lock);
	return bad;
}
