/*
 * The socket beneath an exchange. An answer that nobody asked for would be
 * taken for that to the next request, and everybody after it would read what
 * is somebody else's. libcurl 7.88 does not look, so we do.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "upstream_internal.h"

curl_socket_t
upstream_open_socket(
    void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct transfer *t = arg;

	(void)purpose; /* a connection of ours is the only one */
	*t->socket = (struct upstream_socket){ .fd = socket(address->family,
						   address->socktype,
						   address->protocol) };
	t->opened = 1;
	return t->socket->fd;
}

/* libcurl closes some after the exchange, and even after its handle. */
int
upstream_close_socket(void *arg, curl_socket_t fd)
{
	struct upstream_socket *kept = arg;

	if (kept->fd == fd)
		*kept = (struct upstream_socket){ .fd = -1 };
	return close(fd);
}

int
upstream_is_spoiled(const struct transfer *t)
{
	char byte;
	ssize_t n;

	if (t->opened)
		return 0;
	/* Of two that were tried for one name, it may not be known which. */
	if (t->socket->fd == -1)
		return 1;
	n = recv(t->socket->fd, &byte, sizeof(byte), MSG_PEEK | MSG_DONTWAIT);
	/* One that was closed libcurl finds out, and begins anew. */
	return n > 0 || (n == -1 && errno != EAGAIN && errno != ECONNRESET);
}
