/*
 * peers.h - who stands in front and is believed: the value of TRUST_PROXY.
 *
 * "0" is nobody. "1" is whoever connects, with one proxy in front. Else it is
 * a list of addresses and networks (10.0.0.0/8, 2001:db8::/32), and "unix" for
 * whoever connects over a Unix socket; commas or blanks stand between.
 */
#ifndef PMPROXY_PEERS_H
#define PMPROXY_PEERS_H

#include <stddef.h>

#define PEERS_MAX 64

/* An address as limits compare it: an IPv4 inside of IPv6 is that IPv4. */
struct peers_address {
	unsigned char kind; /* '4' or '6'; '?' when it is none */
	unsigned char bytes[16];
};

struct peers_network {
	struct peers_address address;
	unsigned bits;
};

/* Constant once parsed; holds no pointers. All zero is nobody. */
struct peers {
	int everybody;
	int local; /* Unix sockets */
	int forwarded; /* they write Forwarded, not X-Forwarded-For */
	size_t n;
	struct peers_network networks[PEERS_MAX];
};

/*
 * Of a list, and the header that those in it write: "X-Forwarded-For" or
 * "Forwarded". 0, or -1 when one of them is neither: networks of a length that
 * is none, with bits set beyond it, or of length 0 (everybody would be
 * believed, and so nobody be kept from making things up).
 */
int peers_parse(struct peers *, const char *list, const char *header);

/* Reads an address without port; 'n' bytes of it. */
void peers_address(struct peers_address *, const char *text, size_t n);

/* 1 when the list has it; with "1" nothing is listed. */
int peers_has(const struct peers *, const struct peers_address *);

/* 1 when what this peer (REMOTE_ADDR) says of others is believed. */
int peers_believe(const struct peers *, const char *remote);

/* 1 when there is a list, rather than "0" or "1". */
int peers_is_list(const struct peers *);

#endif
