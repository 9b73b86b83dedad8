/* key_erase.h - a key and all trace of it, wherever it stands. */
#ifndef PMPROXY_CGI_ADMIN_KEY_ERASE_H
#define PMPROXY_CGI_ADMIN_KEY_ERASE_H

#include "admin.h"
#include "lib/keys.h"

/* 0, or -1 after logging; it may be repeated. */
int key_erase(const struct admin *, const struct key *);

#endif
