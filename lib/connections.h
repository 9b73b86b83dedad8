/*
 * connections.h - from which ports somebody is connected to this machine: the
 * kernel's list of TCP connections. It is opened before a process is confined
 * and read when somebody wants to know. No address of it is kept.
 */
#ifndef PMPROXY_CONNECTIONS_H
#define PMPROXY_CONNECTIONS_H

struct connections;

#define CONNECTIONS_PORTS_SIZE (65536 / 8)

/* NULL after logging. */
struct connections *connections_open(void);
void connections_close(struct connections *);

/*
 * Sets the bit of each port at the other end of a connection that both sides
 * may still use, or whose other end has only said that it sends no more. 0, or
 * -1 after logging. Threads wait for each other.
 */
int connections_ports(
    struct connections *, unsigned char ports[CONNECTIONS_PORTS_SIZE]);

/* Sets the bit of one line of that list, if it tells of such a connection. */
void
connections_line(const char *line, unsigned char ports[CONNECTIONS_PORTS_SIZE]);

#endif
