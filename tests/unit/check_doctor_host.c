/* pmdoctor: what it finds of the operating system, fine, wrong and unseen. */
#include "tests/unit/doctor_host.h"

#define HEADS "Filename\t\t\tType\t\tSize\tUsed\tPriority\n"
#define PARTITION(name) name "  partition\t1048572\t0\t-2\n"
/* The kernel's word for the devices below one. */
#define BELOW \
	"sla" \
	"ves"

static const struct {
	const char *why, *swaps;
	const char *files[4][2]; /* below /sys, with what is in them */
	enum doctor_state state;
	const char *says;
} swap_rows[] = {
	{ "none", HEADS, { { NULL } }, DOCTOR_OK, "off" },
	{ "an empty file", "", { { NULL } }, DOCTOR_OK, "off" },
	{ "a bare disk", HEADS PARTITION("/dev/sda2"), { { NULL } },
	    DOCTOR_FAULT, "'/dev/sda2' is not encrypted" },
	{ "dm-crypt", HEADS PARTITION("/dev/dm-0"),
	    { { "/sys/block/dm-0/dm/uuid", "CRYPT-PLAIN-cryptswap\n" } },
	    DOCTOR_OK, "encrypted" },
	{ "a volume that only sounds like it", HEADS PARTITION("/dev/dm-0"),
	    { { "/sys/block/dm-0/dm/uuid", "LVM-CRYPT-x\n" } }, DOCTOR_FAULT,
	    "dm-0" },
	{ "a volume on dm-crypt", HEADS PARTITION("/dev/dm-1"),
	    { { "/sys/block/dm-1/dm/uuid", "LVM-abc\n" },
		{ "/sys/block/dm-1/" BELOW "/dm-0/dev", "254:0\n" },
		{ "/sys/block/dm-0/dm/uuid", "CRYPT-LUKS2-def-root\n" } },
	    DOCTOR_OK, "encrypted" },
	{ "a volume on dm-crypt and on a bare disk",
	    HEADS PARTITION("/dev/dm-1"),
	    { { "/sys/block/dm-1/" BELOW "/dm-0/dev", "254:0\n" },
		{ "/sys/block/dm-1/" BELOW "/sdb/dev", "8:16\n" },
		{ "/sys/block/dm-0/dm/uuid", "CRYPT-LUKS2-def-root\n" } },
	    DOCTOR_FAULT, "dm-1" },
	{ "a volume on itself, which ends", HEADS PARTITION("/dev/dm-1"),
	    { { "/sys/block/dm-1/" BELOW "/dm-1/dev", "254:1\n" } },
	    DOCTOR_FAULT, "dm-1" },
	{ "zram", HEADS PARTITION("/dev/zram0"),
	    { { "/sys/block/zram0/backing_dev", "none\n" } }, DOCTOR_OK,
	    "in memory" },
	{ "zram of a kernel without writeback", HEADS PARTITION("/dev/zram0"),
	    { { NULL } }, DOCTOR_OK, "in memory" },
	{ "zram that writes back", HEADS PARTITION("/dev/zram0"),
	    { { "/sys/block/zram0/backing_dev", "/dev/sda3\n" } }, DOCTOR_FAULT,
	    "zram0" },
	{ "a file on who knows what", HEADS "/swapfile file 1 0 -2\n",
	    { { NULL } }, DOCTOR_FAULT, "/swapfile" },
	{ "one of two", HEADS PARTITION("/dev/zram0") PARTITION("/dev/sda2"),
	    { { NULL } }, DOCTOR_FAULT, "sda2" },
};

START_TEST(swap_is_off_or_safe)
{
	host_put("/proc/swaps", swap_rows[_i].swaps);
	for (int i = 0; i < 4 && swap_rows[_i].files[i][0] != NULL; i++)
		host_put(swap_rows[_i].files[i][0], swap_rows[_i].files[i][1]);
	FINDS("swap", swap_rows[_i].state, swap_rows[_i].says);
}
END_TEST

START_TEST(a_swap_file_is_as_safe_as_its_disk)
{
	char path[96];
	struct stat st;

	ck_assert_int_eq(stat(root, &st), 0);
	host_put("/swapfile", "");
	host_put("/proc/swaps", HEADS "/swapfile file 1 0 -2\n");
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", major(st.st_dev),
	    minor(st.st_dev));
	host_link(path, "../../devices/virtual/block/dm-3");
	FINDS("swap", DOCTOR_FAULT, "/swapfile");
	host_put("/sys/block/dm-3/dm/uuid", "CRYPT-LUKS2-x\n");
	FINDS("swap", DOCTOR_OK, "encrypted");
}
END_TEST

/* Whichever of them is read last. */
START_TEST(one_bare_disk_among_many_is_enough)
{
	char path[96];

	host_put("/proc/swaps", HEADS PARTITION("/dev/dm-9"));
	for (int i = 0; i < 8; i++) {
		snprintf(path, sizeof(path),
		    "/sys/block/dm-9/" BELOW "/dm-%d/dev", i);
		host_put(path, "254:0\n");
		snprintf(path, sizeof(path), "/sys/block/dm-%d/dm/uuid", i);
		host_put(path, i == 4 ? "LVM-x\n" : "CRYPT-LUKS2-x\n");
	}
	FINDS("swap", DOCTOR_FAULT, "dm-9");
}
END_TEST

START_TEST(two_unsafe_swaps_are_counted)
{
	host_put(
	    "/proc/swaps", HEADS PARTITION("/dev/sda2") PARTITION("/dev/sda3"));
	FINDS("swap", DOCTOR_FAULT, "(and 1 more like it)");
}
END_TEST

START_TEST(swap_that_cannot_be_seen_is_unknown)
{
	host_remove("/proc/swaps");
	FINDS("swap", DOCTOR_UNKNOWN, "/proc/swaps: it is not there");
}
END_TEST

/* A gate: a web server at HOST_PORT, and an upstream. */
static void
start_gate(const char *server_core, const char *upstream_core)
{
	static const char *const rows[][2] = { { "00000000:20FB", "501" },
		{ "0100007F:1F91", "502" }, { NULL } };

	host_listeners("tcp", rows);
	host_process(500, "lighttpd", 1, 990, "lighttpd\0-D", 12);
	host_link("/proc/500/fd/4", "socket:[501]");
	host_limits(500, server_core, "4096");
	host_process(600, "privatemode-pro", 1, 991, "/bin/p", 7);
	host_link("/proc/600/fd/3", "socket:[502]");
	host_limits(600, upstream_core, "4096");
}

static const struct {
	const char *why, *pattern, *server, *upstream;
	enum doctor_state state;
	const char *says;
} core_rows[] = {
	{ "nothing is kept", "|/bin/false\n", "unlimited", "unlimited",
	    DOCTOR_OK, "keeps no core dumps" },
	{ "a program that only begins so", "|/bin/falsehood %p\n", "1", "0",
	    DOCTOR_FAULT, "privatemode-pro" },
	{ "files, and no room for them", "core\n", "0", "0", DOCTOR_OK,
	    "no part" },
	{ "files of the web server", "core\n", "unlimited", "0", DOCTOR_FAULT,
	    "lighttpd (process 500)" },
	{ "files of the upstream", "/var/crash/%p\n", "1", "2", DOCTOR_FAULT,
	    "privatemode-pro" },
	{ "a limit of one is none", "core\n", "1", "1", DOCTOR_OK, "no part" },
	{ "a program, which a limit of 0 does not hold",
	    "|/usr/bin/apport %p\n", "1", "0", DOCTOR_FAULT,
	    "privatemode-pro" },
	{ "a program, held", "|/usr/bin/apport %p\n", "1", "1", DOCTOR_OK,
	    "no part" },
	{ "systemd's, which keeps to 0",
	    "|/usr/lib/systemd/systemd-coredump %P\n", "1", "0", DOCTOR_OK,
	    "no part" },
	{ "systemd's, without limit", "|/lib/systemd/systemd-coredump %P\n",
	    "1", "unlimited", DOCTOR_FAULT, "privatemode-pro" },
};

START_TEST(nothing_leaves_a_core_dump)
{
	host_put("/proc/sys/kernel/core_pattern", core_rows[_i].pattern);
	start_gate(core_rows[_i].server, core_rows[_i].upstream);
	FINDS("core-dumps", core_rows[_i].state, core_rows[_i].says);
}
END_TEST

START_TEST(systemd_may_be_told_to_keep_none)
{
	host_put("/proc/sys/kernel/core_pattern",
	    "|/lib/systemd/systemd-coredump %P\n");
	start_gate("unlimited", "unlimited");
	host_put("/etc/systemd/coredump.conf", "[Coredump]\n#Storage=none\n");
	FINDS("core-dumps", DOCTOR_FAULT, "lighttpd");
	host_put("/etc/systemd/coredump.conf", "[Coredump]\nStorage=none\n");
	FINDS("core-dumps", DOCTOR_OK, "keeps no core dumps");
	host_put("/usr/lib/systemd/coredump.conf.d/10-a.conf",
	    "[Coredump]\nStorage = external\n");
	FINDS("core-dumps", DOCTOR_FAULT, "lighttpd");
	host_put("/etc/systemd/coredump.conf.d/10-a.conf",
	    "[Coredump]\nStorage=none\n");
	FINDS("core-dumps", DOCTOR_OK, "keeps no core dumps");
	host_put("/run/systemd/coredump.conf.d/20-b.conf",
	    "[Coredump]\nStorage=none-of-it\n");
	FINDS("core-dumps", DOCTOR_FAULT, "lighttpd");
}
END_TEST

START_TEST(core_dumps_that_cannot_be_judged_are_unknown)
{
	FINDS("core-dumps", DOCTOR_UNKNOWN, "core_pattern: it is not there");
	host_put("/proc/sys/kernel/core_pattern", "core\n");
	FINDS("core-dumps", DOCTOR_UNKNOWN, "does not run or cannot be seen");
	start_gate("0", "0");
	host_remove("/proc/600/limits");
	FINDS("core-dumps", DOCTOR_UNKNOWN, "limits of privatemode-pro");
	host_put("/proc/600/limits", "Max core file size   what  ever\n");
	FINDS("core-dumps", DOCTOR_UNKNOWN, "limits of privatemode-pro");
}
END_TEST

static int
unsynchronised(struct timex *t)
{
	t->status = STA_UNSYNC;
	return TIME_OK;
}

static int
in_error(struct timex *t)
{
	t->status = 0;
	return TIME_ERROR;
}

static int
forbidden(struct timex *t)
{
	(void)t;
	errno = EPERM;
	return -1;
}

START_TEST(a_clock_is_synchronised_and_not_behind)
{
	struct timespec later[2] = { { .tv_sec = HOST_NOW + 301 },
		{ .tv_sec = HOST_NOW + 301 } };
	struct timespec now[2] = { { .tv_sec = HOST_NOW + 300 },
		{ .tv_sec = HOST_NOW + 300 } };
	char path[128];

	host_put("/state/keys.gdbm", "x");
	snprintf(path, sizeof(path), "%s/keys.gdbm", state_dir);
	ck_assert_int_eq(utimensat(AT_FDCWD, path, now, 0), 0);
	ck_assert_int_eq(utimensat(AT_FDCWD, state_dir, now, 0), 0);
	FINDS("clock", DOCTOR_OK, "is synchronised");
	host.adjtimex = unsynchronised;
	FINDS("clock", DOCTOR_WARNING, "not synchronised");
	host.adjtimex = in_error;
	FINDS("clock", DOCTOR_WARNING, "not synchronised");
	host.adjtimex = forbidden;
	FINDS("clock", DOCTOR_UNKNOWN, "try as root");
	host.adjtimex = host_adjtimex;
	ck_assert_int_eq(utimensat(AT_FDCWD, path, later, 0), 0);
	FINDS("clock", DOCTOR_FAULT, "keys.gdbm' was changed in its future");
	host.config = NULL;
	FINDS("clock", DOCTOR_OK, "is synchronised");
}
END_TEST

START_TEST(debuggers_are_held_off)
{
	FINDS("ptrace", DOCTOR_WARNING, "another's memory");
	host_put("/proc/sys/kernel/yama/ptrace_scope", "0\n");
	FINDS("ptrace", DOCTOR_WARNING, "another's memory");
	host_put("/proc/sys/kernel/yama/ptrace_scope", "1\n");
	FINDS("ptrace", DOCTOR_OK, "1");
	host_put("/proc/sys/kernel/yama/ptrace_scope", "3\n");
	FINDS("ptrace", DOCTOR_OK, "3");
	host_remove("/proc/sys/kernel/yama/ptrace_scope");
	host_link("/proc/sys/kernel/yama/ptrace_scope", "ptrace_scope");
	FINDS("ptrace", DOCTOR_UNKNOWN, "cannot be read");
}
END_TEST

START_TEST(user_namespaces_are_a_note)
{
	FINDS("user-namespaces", DOCTOR_NONE, "none");
	host_put("/proc/sys/user/max_user_namespaces", "15000\n");
	FINDS("user-namespaces", DOCTOR_OK, "open");
	host_put("/proc/sys/user/max_user_namespaces", "0\n");
	FINDS("user-namespaces", DOCTOR_OK, "closed");
	host_put("/proc/sys/kernel/unprivileged_userns_clone", "1\n");
	FINDS("user-namespaces", DOCTOR_OK, "open");
}
END_TEST

/* What a processor answers: rows of a leaf and its four registers. */
static uint32_t leaves[5][5];

static void
some_cpuid(uint32_t leaf, uint32_t registers[4])
{
	memset(registers, 0, 4 * sizeof(registers[0]));
	for (int i = 0; i < 5; i++)
		if (leaves[i][0] == leaf) {
			memcpy(registers, &leaves[i][1], 16);
			return;
		}
}

#define WORD(a, b, c, d)                                            \
	((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | \
	    (uint32_t)(d) << 24)
#define HYPER_V                                                        \
	{                                                              \
		0x40000000, 0x4000000c, WORD('M', 'i', 'c', 'r'),      \
		    WORD('o', 's', 'o', 'f'), WORD('t', ' ', 'H', 'v') \
	}
#define GUEST                                 \
	{                                     \
		1, 0, 0, UINT32_C(1) << 31, 0 \
	}
#define FEATURES(bits)                      \
	{                                   \
		0x40000003, 0, (bits), 0, 0 \
	}
#define ISOLATION(type)                                          \
	{                                                        \
		0x4000000c, 0, UINT32_C(0xabcde0) | (type), 0, 0 \
	}

static const struct {
	const char *why;
	uint32_t leaf[5][5];
	const char *device; /* below /dev */
	enum doctor_state state;
	const char *says;
} vm_rows[] = {
	{ "an SNP guest of Azure",
	    { GUEST, HYPER_V, FEATURES(1u << 22), ISOLATION(2) }, "/dev/tpmrm0",
	    DOCTOR_OK, "SEV-SNP guest of Hyper-V, with a vTPM" },
	{ "the same in a container",
	    { GUEST, HYPER_V, FEATURES(1u << 22), ISOLATION(2) }, NULL,
	    DOCTOR_OK, "without /dev/tpmrm0" },
	{ "TDX of Azure", { GUEST, HYPER_V, FEATURES(1u << 22), ISOLATION(3) },
	    "/dev/tpmrm0", DOCTOR_WARNING, "TDX" },
	{ "isolation by software alone",
	    { GUEST, HYPER_V, FEATURES(1u << 22), ISOLATION(1) }, "/dev/tpmrm0",
	    DOCTOR_FAULT, "ordinary VM" },
	{ "no isolation, whatever the leaf says",
	    { GUEST, HYPER_V, FEATURES(0), ISOLATION(2) }, "/dev/tpmrm0",
	    DOCTOR_FAULT, "ordinary VM" },
	{ "who manages the machine is no guest",
	    { GUEST, HYPER_V, FEATURES(1u << 22 | 1u << 12), ISOLATION(2) },
	    NULL, DOCTOR_FAULT, "ordinary VM" },
	{ "a Hyper-V too old to tell",
	    { GUEST,
		{ 0x40000000, 0x40000005, WORD('M', 'i', 'c', 'r'),
		    WORD('o', 's', 'o', 'f'), WORD('t', ' ', 'H', 'v') },
		FEATURES(1u << 22), ISOLATION(2) },
	    NULL, DOCTOR_FAULT, "ordinary VM" },
	{ "another hypervisor with the same numbers",
	    { GUEST,
		{ 0x40000000, 0x4000000c, WORD('K', 'V', 'M', 'K'),
		    WORD('V', 'M', 'K', 'V'), WORD('M', 0, 0, 0) },
		FEATURES(1u << 22), ISOLATION(2) },
	    NULL, DOCTOR_FAULT, "ordinary VM" },
	{ "the guest's device", { GUEST }, "/dev/sev-guest", DOCTOR_OK,
	    "/dev/sev-guest" },
	{ "TDX elsewhere",
	    { GUEST, { 0, 0x21, 0, 0, 0 },
		{ 0x21, 0, WORD('I', 'n', 't', 'e'), WORD(' ', ' ', ' ', ' '),
		    WORD('l', 'T', 'D', 'X') } },
	    NULL, DOCTOR_WARNING, "TDX" },
	{ "KVM", { GUEST }, NULL, DOCTOR_FAULT, "ordinary VM" },
	{ "a vTPM alone proves nothing", { GUEST }, "/dev/tpmrm0", DOCTOR_FAULT,
	    "ordinary VM" },
	{ "no VM at all", { { 1, 0, 0, 0, 0 } }, NULL, DOCTOR_WARNING,
	    "no VM" },
};

START_TEST(a_confidential_vm_is_told)
{
	memcpy(leaves, vm_rows[_i].leaf, sizeof(leaves));
	host.cpuid = some_cpuid;
	if (vm_rows[_i].device != NULL)
		host_put(vm_rows[_i].device, "");
	FINDS("confidential-vm", vm_rows[_i].state, vm_rows[_i].says);
}
END_TEST

START_TEST(another_processor_is_unknown)
{
	host.cpuid = NULL;
	FINDS("confidential-vm", DOCTOR_UNKNOWN, "x86");
}
END_TEST

START_TEST(names_of_checks_are_words_and_differ)
{
	for (size_t i = 0; i < doctor_n_checks; i++) {
		const char *id = doctor_checks[i].id;

		ck_assert_uint_eq(
		    strspn(id, "abcdefghijklmnopqrstuvwxyz-"), strlen(id));
		ck_assert_uint_lt(strlen(id), 17); /* its column */
		for (size_t k = 0; k < i; k++)
			ck_assert_str_ne(id, doctor_checks[k].id);
	}
}
END_TEST

START_TEST(without_settings_what_needs_them_is_unknown)
{
	host.config = NULL;
	host.env_file = "/nowhere/env";
	for (size_t i = 0; i < doctor_n_checks; i++) {
		enum doctor_state state = look(doctor_checks[i].id);

		if (doctor_checks[i].needs_config)
			ck_assert_int_eq(state, DOCTOR_UNKNOWN);
		ck_assert_str_ne(finding.what, "");
	}
	FINDS("configuration", DOCTOR_FAULT, "/nowhere/env");
}
END_TEST

START_TEST(a_finding_is_one_printable_line)
{
	struct doctor_finding f = { 0 };

	doctor_say(&f, DOCTOR_OK, "a\nb\x1b[31m\xff");
	ck_assert_str_eq(f.what, "a?b?[31m?");
	ck_assert_int_eq(doctor_worse(&f, DOCTOR_FAULT, "%0500d", 1), 1);
	ck_assert_uint_eq(strlen(f.what), sizeof(f.what) - 1);
	ck_assert_int_eq(doctor_worse(&f, DOCTOR_WARNING, "less"), 0);
	ck_assert_int_eq(f.more, 0);
	ck_assert_int_eq(doctor_worse(&f, DOCTOR_FAULT, "as bad"), 0);
	ck_assert_int_eq(f.more, 1);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("doctor");

	tcase_add_checked_fixture(t, host_setup, host_teardown);
	ADD_ROWS(t, swap_is_off_or_safe, swap_rows);
	tcase_add_test(t, a_swap_file_is_as_safe_as_its_disk);
	tcase_add_test(t, one_bare_disk_among_many_is_enough);
	tcase_add_test(t, two_unsafe_swaps_are_counted);
	tcase_add_test(t, swap_that_cannot_be_seen_is_unknown);
	ADD_ROWS(t, nothing_leaves_a_core_dump, core_rows);
	tcase_add_test(t, systemd_may_be_told_to_keep_none);
	tcase_add_test(t, core_dumps_that_cannot_be_judged_are_unknown);
	tcase_add_test(t, a_clock_is_synchronised_and_not_behind);
	tcase_add_test(t, debuggers_are_held_off);
	tcase_add_test(t, user_namespaces_are_a_note);
	ADD_ROWS(t, a_confidential_vm_is_told, vm_rows);
	tcase_add_test(t, another_processor_is_unknown);
	tcase_add_test(t, names_of_checks_are_words_and_differ);
	tcase_add_test(t, without_settings_what_needs_them_is_unknown);
	tcase_add_test(t, a_finding_is_one_printable_line);
	return suite_run("doctor_host", t, NULL);
}
