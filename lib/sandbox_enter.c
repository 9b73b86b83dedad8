/* The one-way door. */
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "log.h"
#include "sandbox_internal.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* Root without them is a user like others, but for the files it owns. */
static void
drop_capabilities(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3
	};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

	/* The bounding set, while there is a capability to; it ends with an
	   error past the last. No exec adds from it in any case. */
	for (long c = 0; prctl(PR_CAPBSET_DROP, c, 0L, 0L, 0L) == 0; c++)
		continue;
	if (syscall(SYS_capset, &head, none) == -1)
		log_warn("cannot give up capabilities");
}

unsigned
sandbox_enter(const struct sandbox *s)
{
	unsigned held;

	if (SANITIZED) {
		log_info("built with a sanitizer, so not confined");
		return 0;
	}
	drop_capabilities();
	if (prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) == -1) {
		log_warn("cannot give up new rights, so not confined");
		return 0;
	}
	held = sandbox_confine_files(s);
	return held | sandbox_confine_calls(s); /* these last: it needs some */
}
