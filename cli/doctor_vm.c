/*
 * Is this a confidential VM? Asked of the processor, which anybody may do. A
 * host that lies can fake the answer: proof is attestation's business; this
 * finds the VM that was ordered without.
 */
#include <string.h>
#include <unistd.h>

#include "cli/doctor.h"

/* Leaves of CPUID: AMD's manual, volume 3, E.4.17; Hyper-V's specification. */
#define LEAF_FEATURES 0x1u
#define LEAF_HYPERVISOR 0x40000000u
#define LEAF_HYPERV_FEATURES 0x40000003u
#define LEAF_HYPERV_ISOLATION 0x4000000cu
#define LEAF_TDX 0x21u

/* A guest with isolation, and not the one that manages the machine. */
#define HYPERV_ISOLATION (1u << 22)
#define HYPERV_MANAGES (1u << 12)

enum {
	EAX,
	EBX,
	ECX,
	EDX
};
enum {
	ISOLATION_SNP = 2,
	ISOLATION_TDX = 3
};

/* The hypervisor's type of isolation; 0: none, or it is not Hyper-V. */
static unsigned
hyperv_isolation(const struct doctor *d)
{
	uint32_t r[4];

	d->cpuid(LEAF_HYPERVISOR, r);
	if (memcmp(&r[EBX], "Micr", 4) != 0 ||
	    memcmp(&r[ECX], "osof", 4) != 0 ||
	    memcmp(&r[EDX], "t Hv", 4) != 0 || r[EAX] < LEAF_HYPERV_ISOLATION)
		return 0;
	d->cpuid(LEAF_HYPERV_FEATURES, r);
	if ((r[EBX] & HYPERV_ISOLATION) == 0 || (r[EBX] & HYPERV_MANAGES) != 0)
		return 0;
	d->cpuid(LEAF_HYPERV_ISOLATION, r);
	return r[EBX] & 0xf;
}

static int
is_tdx(const struct doctor *d)
{
	uint32_t r[4];

	d->cpuid(0, r);
	if (r[EAX] < LEAF_TDX)
		return 0;
	d->cpuid(LEAF_TDX, r);
	return memcmp(&r[EBX], "Inte", 4) == 0 &&
	    memcmp(&r[EDX], "lTDX", 4) == 0 && memcmp(&r[ECX], "    ", 4) == 0;
}

static int
has_device(const struct doctor *d, const char *path)
{
	char full[DOCTOR_PATH_SIZE];

	return doctor_path(d, full, "%s", path) == 0 && access(full, F_OK) == 0;
}

void
doctor_confidential_vm(const struct doctor *d, struct doctor_finding *f)
{
	unsigned isolation;
	uint32_t r[4];

	if (has_device(d, "/dev/sev-guest")) {
		doctor_say(f, DOCTOR_OK, "an SEV-SNP guest (/dev/sev-guest)");
		return;
	}
	if (d->cpuid == NULL) {
		doctor_say(f, DOCTOR_UNKNOWN, "not an x86-64 processor");
		return;
	}
	isolation = hyperv_isolation(d);
	if (isolation == ISOLATION_SNP) {
		/* On Azure evidence comes from the vTPM. */
		doctor_say(f, DOCTOR_OK, "an SEV-SNP guest of Hyper-V, %s",
		    has_device(d, "/dev/tpmrm0")
			? "with a vTPM"
			: "without /dev/tpmrm0 in sight: no attestation here");
		return;
	}
	if (isolation == ISOLATION_TDX || is_tdx(d)) {
		doctor_say(f, DOCTOR_WARNING,
		    "a TDX guest: its memory is closed to the operator, but "
		    "pmproxy's attestation is made for SEV-SNP");
		doctor_mend(f, "take a VM size with AMD SEV-SNP");
		return;
	}
	d->cpuid(LEAF_FEATURES, r);
	if ((r[ECX] >> 31) == 0) {
		doctor_say(f, DOCTOR_WARNING,
		    "no VM: who can touch this machine can read its memory");
		doctor_mend(f,
		    "keep it where only you can, or move to a "
		    "confidential VM");
		return;
	}
	doctor_say(f, DOCTOR_FAULT,
	    "an ordinary VM: whoever runs its host can read prompts in memory");
	doctor_mend(f, "move to a confidential VM (AMD SEV-SNP)");
}
