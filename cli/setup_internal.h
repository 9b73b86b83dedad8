/* setup_internal.h - what the two halves of setup share. */
#ifndef PMPROXY_CLI_SETUP_INTERNAL_H
#define PMPROXY_CLI_SETUP_INTERNAL_H

#include <limits.h>

#include "cli/password.h"
#include "cli/setup.h"
#include "lib/config.h"

#define SETUP_NAME_SIZE 256

struct setup {
	struct setup_given given;
	/* Below 'root'. */
	char etc[PATH_MAX], env[PATH_MAX], draft[PATH_MAX], key[PATH_MAX],
	    upstream[PATH_MAX], state[PATH_MAX];
	/* What is there already. */
	int has_env, has_domain, has_tls, has_port, has_key, has_upstream,
	    has_password;
	int gets_certificate; /* by the settings that were written */
	/* What was asked for or read; "" for nothing new. */
	char domain[SETUP_NAME_SIZE], program[PATH_MAX];
	char new_password[PASSWORD_SIZE], new_key[PASSWORD_SIZE];
};

/* Looks what is there, reads and asks for the rest, checks it; 0 or -1. */
int setup_gather(struct setup *);

#endif
