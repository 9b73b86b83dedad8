/*
 * sandbox.h - what a process gives up for good once it has started, so that
 * who takes it over gains little, and so that its memory stays with it.
 */
#ifndef PMPROXY_SANDBOX_H
#define PMPROXY_SANDBOX_H

#include <stdint.h>

/* For every program that sees secrets or content; each 0, or -1 logged. */

/* No core dump, no debugger of the same user, no rights to gain by exec. */
int sandbox_private(void);

/*
 * Run by root on a folder of somebody else's: becomes that one, as whom
 * everything in there has to be read and written.
 */
int sandbox_leave_root(const char *folder);

/*
 * Keeps all memory, later one too, out of swap: where the limit of locked
 * memory is none or can be lifted. Else a warning, if there is any swap.
 */
void sandbox_no_swap(void);

struct sandbox {
	const char *const *folders; /* to read and write in; NULL-terminated */
	uint16_t port; /* the only one to connect to, over TCP */
	int by_name; /* ... at a host whose name must be looked up */
	int by_tls; /* ... with certificates to check */
};

/* What holds; the kernel may lack one. */
enum sandbox_part {
	SANDBOX_CALLS = 1, /* seccomp: system calls by list */
	SANDBOX_FILES = 2, /* Landlock: those folders */
	SANDBOX_PORTS = 4, /* Landlock: that port */
	SANDBOX_ALL = 7
};

/*
 * From here on this thread, and all that it starts, has no capability, runs no
 * program, opens files below the folders alone (and, to look a name up or to
 * check a certificate, reads the system's), and connects to that port alone.
 * To be called after start-up, before other threads are. Returns the parts
 * that hold; one that does not is logged. Nothing of it under a sanitizer,
 * which needs more.
 */
unsigned sandbox_enter(const struct sandbox *);

#endif
