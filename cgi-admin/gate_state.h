/* gate_state.h - how the host and the upstream are, as /health/ready sees it. */
#ifndef PMPROXY_CGI_ADMIN_GATE_STATE_H
#define PMPROXY_CGI_ADMIN_GATE_STATE_H

#include "admin.h"

void gate_state_put(struct admin *);

#endif
