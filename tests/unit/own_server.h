/*
 * own_server.h - servers that say what no stand-in would, each a process that
 * ends with the test.
 */
#ifndef PMPROXY_TESTS_OWN_SERVER_H
#define PMPROXY_TESTS_OWN_SERVER_H

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static char url[64];

static int
listen_somewhere(int backlog)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, size), 0);
	ck_assert_int_eq(
	    getsockname(fd, (struct sockaddr *)&address, &size), 0);
	snprintf(
	    url, sizeof(url), "http://127.0.0.1:%d", ntohs(address.sin_port));
	if (backlog >= 0)
		ck_assert_int_eq(listen(fd, backlog), 0);
	return fd;
}

/* What a server of our own saw. */
static struct seen {
	int connections, requests;
	volatile int said; /* all that it says unasked */
} * seen;

/* Reads a request, its body too; 0 at the end of the connection. */
static int
read_request(int fd)
{
	static char text[1 << 16];
	size_t n = 0, body = 0;
	char *end, *length;
	ssize_t got;

	for (;;) {
		got = read(fd, text + n, sizeof(text) - 1 - n);
		if (got <= 0)
			return 0;
		n += (size_t)got;
		text[n] = '\0';
		if ((end = strstr(text, "\r\n\r\n")) == NULL)
			continue;
		length = strstr(text, "Content-Length: ");
		if (length != NULL && length < end)
			body = (size_t)strtoul(length + 16, NULL, 10);
		if (n >= (size_t)(end + 4 - text) + body)
			break;
	}
	(void)__atomic_add_fetch(&seen->requests, 1, __ATOMIC_SEQ_CST);
	return 1;
}

static void
say(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);

		if (sent <= 0)
			return;
		p += sent;
		n -= (size_t)sent;
	}
}

/*
 * Serves with a function that gets each connection and its number from 1; one
 * after another, or with 'many' each in a process of its own.
 */
static void
own_server(void (*connection)(int fd, int number, const void *arg),
    const void *arg, int many)
{
	int listener = listen_somewhere(512);

	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(seen, MAP_FAILED);
	if (fork() == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
		(void)signal(SIGCHLD, SIG_IGN);
		for (;;) {
			int fd = accept(listener, NULL, NULL);
			int number = ++seen->connections;

			if (!many || fork() == 0) {
				(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
				connection(fd, number, arg);
				if (many)
					_exit(0);
			}
			close(fd);
		}
	}
	close(listener);
}

#endif
