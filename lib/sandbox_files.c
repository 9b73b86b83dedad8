/*
 * Landlock: files below some folders, one port. The kernel tells how much of
 * it there is; the numbers are the kernel's own, which older headers lack.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "log.h"
#include "sandbox_internal.h"

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

/* What may be done to files: bits 0 to 12 are the first version's. */
#define WRITE_FILE (UINT64_C(1) << 1)
#define READ_FILE (UINT64_C(1) << 2)
#define READ_DIR (UINT64_C(1) << 3)
#define REMOVE_DIR (UINT64_C(1) << 4)
#define REMOVE_FILE (UINT64_C(1) << 5)
#define MAKE_DIR (UINT64_C(1) << 7)
#define MAKE_REG (UINT64_C(1) << 8)
#define REFER (UINT64_C(1) << 13) /* version 2: move between folders */
#define TRUNCATE (UINT64_C(1) << 14) /* version 3 */
#define IOCTL_DEV (UINT64_C(1) << 15) /* version 5 */
#define FIRST_VERSION ((UINT64_C(1) << 13) - 1)

#define READ_ONLY (READ_FILE | READ_DIR)
#define OUR_OWN                                                         \
	(READ_ONLY | WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | \
	    MAKE_REG | REFER | TRUNCATE)

#define BIND_TCP UINT64_C(1) /* version 4 */
#define CONNECT_TCP UINT64_C(2)
/* Version 6: abstract Unix sockets, and signals to others. */
#define SCOPES UINT64_C(3)

#define DNS_PORT 53

struct rules {
	uint64_t files, ports, scopes;
};

struct folder_rule {
	uint64_t access;
	int32_t fd;
} __attribute__((packed)); /* so the kernel has it */

struct port_rule {
	uint64_t access, port;
};

enum {
	FOLDER_RULE = 1,
	PORT_RULE = 2
};

/* All that this version of Landlock can forbid. */
static struct rules
handled_by(long version)
{
	struct rules r = { .files = FIRST_VERSION };

	if (version >= 2)
		r.files |= REFER;
	if (version >= 3)
		r.files |= TRUNCATE;
	if (version >= 4)
		r.ports = BIND_TCP | CONNECT_TCP;
	if (version >= 5)
		r.files |= IOCTL_DEV;
	if (version >= 6)
		r.scopes = SCOPES;
	return r;
}

/* 'may_lack': what is not there needs no permission. */
static int
allow_path(int rules, const char *path, uint64_t access, int may_lack)
{
	struct folder_rule rule = { .access = access };
	long done;

	rule.fd = open(path, O_PATH | O_CLOEXEC);
	if (rule.fd == -1)
		return may_lack ? 0 : -1;
	done = syscall(SYS_landlock_add_rule, rules, FOLDER_RULE, &rule, 0);
	close(rule.fd);
	return (int)done;
}

static int
allow_port(int rules, uint16_t port)
{
	struct port_rule rule = { CONNECT_TCP, port };

	return (int)syscall(SYS_landlock_add_rule, rules, PORT_RULE, &rule, 0);
}

/*
 * Folders, since the files in them are replaced now and then: what the C
 * library reads and loads for a name, and OpenSSL for a certificate.
 */
static int
allow_system(int rules, const struct sandbox *s)
{
	static const char *const folders[] = { "/etc", "/lib", "/lib64",
		"/usr/lib", "/usr/lib64", "/usr/share/ca-certificates",
		"/usr/local/share/ca-certificates", "/run/systemd/resolve",
		"/run/resolvconf", "/run/NetworkManager" };

	if (!s->by_name && !s->by_tls)
		return 0;
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		if (allow_path(rules, folders[i], READ_ONLY, 1) == -1)
			return -1;
	return 0;
}

static int
allow_ports(int rules, const struct sandbox *s)
{
	if (allow_port(rules, s->port) == -1)
		return -1;
	return s->by_name ? allow_port(rules, DNS_PORT) : 0;
}

static int
allow(int rules, const struct rules *handled, const struct sandbox *s)
{
	for (const char *const *f = s->folders; *f != NULL; f++)
		if (allow_path(rules, *f, OUR_OWN & handled->files, 0) == -1) {
			log_warn("cannot keep to '%s'", *f);
			return -1;
		}
	if (allow_system(rules, s) == -1 ||
	    (handled->ports != 0 && allow_ports(rules, s) == -1)) {
		log_warn("cannot prepare Landlock");
		return -1;
	}
	return 0;
}

unsigned
sandbox_confine_files(const struct sandbox *s)
{
	long version =
	    syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, 1 /* ask */);
	struct rules handled = handled_by(version);
	int rules, done;

	if (version < 1) {
		log_warn("files and ports are not confined: no Landlock");
		return 0;
	}
	/* An older kernel takes the longer struct, as its end is zero. */
	rules = (int)syscall(
	    SYS_landlock_create_ruleset, &handled, sizeof(handled), 0);
	if (rules == -1) {
		log_warn("cannot prepare Landlock");
		return 0;
	}
	done = allow(rules, &handled, s);
	if (done == 0 &&
	    (done = (int)syscall(SYS_landlock_restrict_self, rules, 0)) == -1)
		log_warn("files and ports are not confined");
	close(rules);
	if (done == -1)
		return 0;
	if (handled.ports == 0)
		log_warnx(
		    "ports are not confined: Landlock %ld is too old", version);
	return handled.ports != 0 ? SANDBOX_FILES | SANDBOX_PORTS
				  : SANDBOX_FILES;
}
