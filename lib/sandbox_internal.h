/* sandbox_internal.h - between the files of sandbox.c alone. */
#ifndef PMPROXY_SANDBOX_INTERNAL_H
#define PMPROXY_SANDBOX_INTERNAL_H

#include "sandbox.h"

/* Each the parts that hold from here on; what does not is logged. */
unsigned sandbox_confine_calls(const struct sandbox *);
unsigned sandbox_confine_files(const struct sandbox *);

#endif
