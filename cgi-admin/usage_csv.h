/* usage_csv.h - the rows of the usage page as a file (RFC 4180). */
#ifndef PMPROXY_CGI_ADMIN_USAGE_CSV_H
#define PMPROXY_CGI_ADMIN_USAGE_CSV_H

#include "usage_sum.h"

void
usage_csv_put(struct admin *, const struct usage_ask *, struct usage_sum *);

#endif
