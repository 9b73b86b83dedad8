/*
 * Loaded into uacme by tests (LD_PRELOAD): its libcurl then believes in the
 * certificate of TRUST_CA_FILE instead of the system's. Nothing else changes:
 * it still checks.
 */
#include <stdlib.h>

int gnutls_certificate_set_x509_trust_file(void *, const char *, int);
int gnutls_certificate_set_x509_trust_dir(void *, const char *, int);

int
gnutls_certificate_set_x509_trust_dir(void *to, const char *path, int type)
{
	(void)path; /* Debian's default: /etc/ssl/certs */
	return gnutls_certificate_set_x509_trust_file(
	    to, getenv("TRUST_CA_FILE"), type);
}
