/*
 * doctor.h - is this host fit and safe for a gate? One table of checks; each
 * looks at one thing, changes nothing, and ends in one sentence on what is and
 * one on how to mend it. A sentence names files, ports and programs, never a
 * secret, a key or a client.
 *
 * What cannot be seen is DOCTOR_UNKNOWN, with why: never taken for fine.
 */
#ifndef PMPROXY_CLI_DOCTOR_H
#define PMPROXY_CLI_DOCTOR_H

#include <stddef.h>
#include <stdint.h>
#include <sys/statvfs.h>
#include <sys/timex.h>

#include "lib/buf.h"
#include "lib/config.h"
#include "lib/log.h"
#include "lib/peers.h"

/* Each is worse than the one before. */
enum doctor_state {
	DOCTOR_NONE, /* nothing of the kind here */
	DOCTOR_OK,
	DOCTOR_UNKNOWN,
	DOCTOR_WARNING,
	DOCTOR_FAULT,
	DOCTOR__MAX
};

struct doctor_finding {
	enum doctor_state state;
	char what[400];
	char mend[300]; /* "": nothing to be done */
	int more; /* others like it that 'what' does not name */
};

/* Where to look: the host itself, or what a test lays out. */
struct doctor {
	const char *root; /* in front of /proc, /sys, /dev and /etc; "" */
	const struct config *config; /* NULL: it cannot be read */
	const char *env_file; /* PMPROXY_ENV, or "" */
	const char *bind; /* PMPROXY_BIND, or "" */
	const char *domain; /* by which clients know the gate, or "" */
	const char *trust; /* file of authorities; NULL: the system's */
	int64_t now;
	int (*statvfs)(const char *, struct statvfs *);
	int (*adjtimex)(struct timex *);
	/* CPUID of a leaf: eax, ebx, ecx, edx. NULL: no such thing here. */
	void (*cpuid)(uint32_t leaf, uint32_t registers[4]);
};

struct doctor_check {
	const char *id; /* never changes its meaning */
	const char *title;
	int needs_config;
	void (*look)(const struct doctor *, struct doctor_finding *);
};

/* The host itself, without a configuration. */
void doctor_init(struct doctor *);

/* The table, in the order of printing. */
extern const struct doctor_check doctor_checks[];
extern const size_t doctor_n_checks;

/* Looks, and leaves a finding that can be printed. */
void doctor_run(const struct doctor *, const struct doctor_check *,
    struct doctor_finding *);

const char *doctor_state_name(enum doctor_state);

/* --- for checks --- */

/* Sets the finding. */
void doctor_say(struct doctor_finding *, enum doctor_state, const char *fmt,
    ...) LOG_PRINTF(3, 4);
/*
 * The same, when it is worse than what stands there already: 1, else 0. One
 * that is as bad is counted.
 */
int doctor_worse(struct doctor_finding *, enum doctor_state, const char *fmt,
    ...) LOG_PRINTF(3, 4);
void
doctor_mend(struct doctor_finding *, const char *fmt, ...) LOG_PRINTF(2, 3);

/* "root/proc/swaps"; 0, or -1 and errno. */
#define DOCTOR_PATH_SIZE 1024
int doctor_path(const struct doctor *, char dst[DOCTOR_PATH_SIZE],
    const char *fmt, ...) LOG_PRINTF(3, 4);
/* A file below the root, whole, up to the buffer's cap. 0, or -1 and errno. */
int doctor_read(const struct doctor *, struct buf *, const char *path);
/* Its first line only, in a caller's array. */
int doctor_read_line(
    const struct doctor *, char *dst, size_t size, const char *path);
/* Why the last call failed, for a sentence: "it is not there". */
const char *doctor_errno(void);

/* One line out of a text, NUL in place of its newline; NULL at the end. */
char *doctor_next_line(char **text);
/* The next word of a line, or NULL; blanks are its bounds. */
char *doctor_next_word(char **line);

/* --- processes --- */

struct doctor_process {
	int pid, parent;
	int64_t uid; /* the effective one */
	char name[16];
};

struct doctor_processes {
	struct doctor_process *list;
	size_t n, room;
};

/* All that can be seen. 0, or -1 when /proc cannot. Free it in any case. */
int doctor_processes(const struct doctor *, struct doctor_processes *);
void doctor_processes_free(struct doctor_processes *);

/* Soft and hard limit of a process, INT64_MAX for none; 0 or -1. */
int doctor_limit(
    const struct doctor *, int pid, const char *name, int64_t limit[2]);

/* A command line, its arguments NUL-terminated one by one. 0, -1 and errno. */
int doctor_command_line(const struct doctor *, int pid, struct buf *);

struct doctor_listener {
	uint16_t port;
	int loopback;
	uint64_t inode;
};
#define DOCTOR_LISTENERS_MAX 1024
/* Listening TCP sockets: how many, or -1 and errno. */
int doctor_listeners(
    const struct doctor *, struct doctor_listener list[DOCTOR_LISTENERS_MAX]);

/*
 * Who holds that listening socket: 1, or 0 when nobody whose files can be
 * seen does. *hidden is set when there are processes that cannot be.
 */
int doctor_holder(const struct doctor *, const struct doctor_processes *,
    uint64_t inode, struct doctor_process *, int *hidden);

/*
 * The parts of the gate. The web server is who listens at PORT, else the only
 * process that has a web server's name; responders are its children, else all
 * of that name. The upstream is who listens at UPSTREAM_URL's port, else the
 * only one that is called so.
 */
enum doctor_part {
	DOCTOR_SERVER,
	DOCTOR_RESPONDER,
	DOCTOR_UPSTREAM
};
#define DOCTOR_PARTS_MAX 64
size_t doctor_find(const struct doctor *, const struct doctor_processes *,
    enum doctor_part, struct doctor_process out[DOCTOR_PARTS_MAX]);

/* UPSTREAM_URL's port; 1 when its host is this one, else 0. */
int doctor_upstream_port(const struct doctor *, uint16_t *port);

/* --- file systems --- */

/* Of the mount that a file is in. */
struct doctor_mount {
	char type[32];
	int noswap;
};
/* 0, or -1 and errno. */
int
doctor_mount_of(const struct doctor *, const char *path, struct doctor_mount *);
/* Those whose files live in memory. */
int doctor_in_memory(const struct doctor_mount *);

/* 1 when a proxy in front is believed. */
int doctor_behind_proxy(const struct doctor *);

/* 1 when there is swap that may reach a disk, 0 not, -1 cannot be told. */
int doctor_swap_on(const struct doctor *);

/* The user that the gate runs as: of its responders, else STATE_DIR's owner. */
int64_t doctor_gate_uid(const struct doctor *);

/* --- HTTP, to this host alone --- */

struct doctor_answer {
	long status;
	struct buf body;
	char why[128]; /* when there was no answer */
	char *certificate; /* PEM that the server showed, or NULL */
};
/* Of the gate, at its own address. 0 or -1 (why). */
int doctor_ask_gate(
    const struct doctor *, const char *path, struct doctor_answer *);
/* Of any URL; 'proxied' with a line of the PROXY protocol first. */
int doctor_ask(const char *url, const char *connect_to, int proxied,
    struct doctor_answer *);
void doctor_answer_free(struct doctor_answer *);

/* --- the checks --- */

#define DOCTOR_LOOK(name) \
	void name(const struct doctor *, struct doctor_finding *)

/* doctor_host.c */
DOCTOR_LOOK(doctor_swap);
DOCTOR_LOOK(doctor_core_dumps);
DOCTOR_LOOK(doctor_clock);
DOCTOR_LOOK(doctor_ptrace);
DOCTOR_LOOK(doctor_user_namespaces);
/* doctor_vm.c */
DOCTOR_LOOK(doctor_confidential_vm);
/* doctor_files.c */
DOCTOR_LOOK(doctor_env_file);
DOCTOR_LOOK(doctor_key_file);
DOCTOR_LOOK(doctor_state_dir);
DOCTOR_LOOK(doctor_run_dir);
DOCTOR_LOOK(doctor_upload_dir);
DOCTOR_LOOK(doctor_state_room);
DOCTOR_LOOK(doctor_run_room);
/* doctor_stores.c */
DOCTOR_LOOK(doctor_stores);
DOCTOR_LOOK(doctor_seal);
/* doctor_tls.c */
DOCTOR_LOOK(doctor_tls);
DOCTOR_LOOK(doctor_tls_certificate);
DOCTOR_LOOK(doctor_tls_key);
DOCTOR_LOOK(doctor_tls_name);
DOCTOR_LOOK(doctor_tls_chain);
DOCTOR_LOOK(doctor_tls_served);
/* doctor_upstream.c */
DOCTOR_LOOK(doctor_upstream_flags);
DOCTOR_LOOK(doctor_upstream_key);
DOCTOR_LOOK(doctor_upstream_user);
DOCTOR_LOOK(doctor_upstream_listens);
DOCTOR_LOOK(doctor_upstream_answers);
DOCTOR_LOOK(doctor_listening);
/* doctor_gate.c */
DOCTOR_LOOK(doctor_gate_processes);
DOCTOR_LOOK(doctor_file_limits);
DOCTOR_LOOK(doctor_gate_health);
DOCTOR_LOOK(doctor_gate_ready);
DOCTOR_LOOK(doctor_journal);
/* doctor_settings.c */
DOCTOR_LOOK(doctor_configuration);
DOCTOR_LOOK(doctor_force_https);
DOCTOR_LOOK(doctor_trust_proxy);
DOCTOR_LOOK(doctor_cors);
DOCTOR_LOOK(doctor_admin_password);
DOCTOR_LOOK(doctor_env_keys);
DOCTOR_LOOK(doctor_metrics);

#endif
