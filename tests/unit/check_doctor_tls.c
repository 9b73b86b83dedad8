/* pmdoctor: certificates made for the occasion, at every age. */
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "tests/unit/doctor_host.h"

#define DAY INT64_C(86400)

static char cert_path[96], key_path[96];

struct pair {
	X509 *cert;
	EVP_PKEY *key;
};

static void
add_extension(X509 *cert, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	ck_assert_ptr_nonnull(e);
	ck_assert_int_eq(X509_add_ext(cert, e, -1), 1);
	X509_EXTENSION_free(e);
}

/* Valid from HOST_NOW - age until HOST_NOW + left; signed by 'by' or itself. */
static struct pair
make_pair(const char *name, int64_t age, int64_t left, const struct pair *by)
{
	struct pair p = { X509_new(), EVP_EC_gen("P-256") };
	char names[128];
	X509_NAME *subject;

	ck_assert_ptr_nonnull(p.cert);
	ck_assert_ptr_nonnull(p.key);
	ck_assert_int_eq(X509_set_version(p.cert, 2), 1);
	ck_assert_int_eq(
	    ASN1_INTEGER_set(X509_get_serialNumber(p.cert), 7 + (by != NULL)),
	    1);
	ck_assert_ptr_nonnull(ASN1_TIME_set(
	    X509_getm_notBefore(p.cert), (time_t)(HOST_NOW - age)));
	ck_assert_ptr_nonnull(ASN1_TIME_set(
	    X509_getm_notAfter(p.cert), (time_t)(HOST_NOW + left)));
	subject = X509_get_subject_name(p.cert);
	ck_assert_int_eq(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
			     (const unsigned char *)name, -1, -1, 0),
	    1);
	ck_assert_int_eq(
	    X509_set_issuer_name(
		p.cert, by == NULL ? subject : X509_get_subject_name(by->cert)),
	    1);
	ck_assert_int_eq(X509_set_pubkey(p.cert, p.key), 1);
	snprintf(names, sizeof(names), "DNS:%s,IP:192.0.2.1", name);
	add_extension(p.cert, NID_subject_alt_name, names);
	add_extension(p.cert, NID_basic_constraints,
	    by == NULL ? "critical,CA:TRUE" : "CA:FALSE");
	ck_assert_int_gt(
	    X509_sign(p.cert, by == NULL ? p.key : by->key, EVP_sha256()), 0);
	return p;
}

static void
free_pair(struct pair *p)
{
	X509_free(p->cert);
	EVP_PKEY_free(p->key);
}

static void
write_chain(const char *path, X509 *first, X509 *second)
{
	BIO *file = BIO_new_file(path, "w");

	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(PEM_write_bio_X509(file, first), 1);
	if (second != NULL)
		ck_assert_int_eq(PEM_write_bio_X509(file, second), 1);
	BIO_free(file);
}

static void
write_key(EVP_PKEY *key, const char *passphrase, mode_t mode)
{
	BIO *file = BIO_new_file(key_path, "w");

	ck_assert_ptr_nonnull(file);
	ck_assert_int_eq(
	    PEM_write_bio_PKCS8PrivateKey(file, key,
		passphrase == NULL ? NULL : EVP_aes_128_cbc(), passphrase,
		passphrase == NULL ? 0 : (int)strlen(passphrase), NULL, NULL),
	    1);
	BIO_free(file);
	ck_assert_int_eq(chmod(key_path, mode), 0);
}

static void
setup(void)
{
	host_setup();
	snprintf(cert_path, sizeof(cert_path), "%s/cert.pem", root);
	snprintf(key_path, sizeof(key_path), "%s/key.pem", root);
	host_configure("TLS_CERT_FILE", cert_path, "TLS_KEY_FILE", key_path,
	    "PMPROXY_BIND", "127.0.0.1", NULL);
}

/* A renewal is due at a third; a quarter warns, a twelfth is a fault. */
static const struct {
	const char *why;
	int64_t age, left;
	enum doctor_state state;
	const char *says;
} age_rows[] = {
	{ "fresh", 0, 90 * DAY, DOCTOR_OK, "another 90 days" },
	{ "at a quarter", 90 * DAY * 3, 90 * DAY, DOCTOR_OK, "90 days" },
	{ "just above a quarter of 88 days", 66 * DAY, 22 * DAY, DOCTOR_OK,
	    "22 days" },
	{ "just below", 66 * DAY + 1, 22 * DAY - 1, DOCTOR_WARNING, "21 days" },
	{ "a month of a long one", 336 * DAY, 30 * DAY, DOCTOR_OK, "30 days" },
	{ "less than a month of a long one", 336 * DAY, 30 * DAY - 1,
	    DOCTOR_WARNING, "29 days" },
	{ "a twelfth", 77 * DAY, 7 * DAY, DOCTOR_WARNING, "7 days" },
	{ "less than a twelfth", 77 * DAY + 1, 7 * DAY - 1, DOCTOR_FAULT,
	    "6 days" },
	{ "a week of a long one", 700 * DAY, 7 * DAY, DOCTOR_WARNING,
	    "7 days" },
	{ "less than that", 700 * DAY, 7 * DAY - 1, DOCTOR_FAULT, "6 days" },
	{ "one that lives six days, half of it", 3 * DAY, 3 * DAY, DOCTOR_OK,
	    "3 days" },
	{ "its last second", 90 * DAY, 1, DOCTOR_FAULT, "another 0 hours" },
	{ "the second of its end", 90 * DAY, 0, DOCTOR_FAULT, "expired" },
	{ "a day after", 90 * DAY, -DAY, DOCTOR_FAULT, "expired 24 hours ago" },
	{ "not yet", -DAY, 90 * DAY, DOCTOR_FAULT, "begins only in 24 hours" },
};

START_TEST(a_certificate_is_in_force)
{
	struct pair p = make_pair(
	    "ai.example.org", age_rows[_i].age, age_rows[_i].left, NULL);

	write_chain(cert_path, p.cert, NULL);
	FINDS("tls-certificate", age_rows[_i].state, age_rows[_i].says);
	free_pair(&p);
}
END_TEST

START_TEST(a_certificate_is_there)
{
	FINDS("tls-certificate", DOCTOR_FAULT, "cert.pem': it is not there");
	FINDS("tls-chain", DOCTOR_FAULT, "it is not there");
	FINDS("tls-key", DOCTOR_FAULT, "key.pem': it is not there");
	host_put("/cert.pem", "no certificate\n");
	FINDS("tls-certificate", DOCTOR_FAULT, "there is no certificate in");
	host_configure("TLS_CERT_FILE", "", "TLS_KEY_FILE", "", NULL);
	FINDS("tls-certificate", DOCTOR_NONE, "TLS is off");
	FINDS("tls-key", DOCTOR_NONE, "TLS is off");
	FINDS("tls-name", DOCTOR_NONE, "TLS is off");
	FINDS("tls-chain", DOCTOR_NONE, "TLS is off");
	FINDS("tls-served", DOCTOR_NONE, "TLS is off");
}
END_TEST

START_TEST(a_weak_key_is_told)
{
	struct pair p = make_pair("ai.example.org", 0, 90 * DAY, NULL);

	EVP_PKEY_free(p.key);
	p.key = EVP_RSA_gen(1024);
	ck_assert_ptr_nonnull(p.key);
	ck_assert_int_eq(X509_set_pubkey(p.cert, p.key), 1);
	ck_assert_int_gt(X509_sign(p.cert, p.key, EVP_sha256()), 0);
	write_chain(cert_path, p.cert, NULL);
	FINDS("tls-certificate", DOCTOR_FAULT, "too weak");
	free_pair(&p);
}
END_TEST

START_TEST(the_key_is_the_certificates_and_private)
{
	struct pair p = make_pair("ai.example.org", 0, 90 * DAY, NULL);
	struct pair other = make_pair("ai.example.org", 0, 90 * DAY, NULL);

	write_key(p.key, NULL, 0600);
	FINDS("tls-key", DOCTOR_UNKNOWN, "no certificate to compare");
	write_chain(cert_path, p.cert, NULL);
	FINDS("tls-key", DOCTOR_OK, "it is the certificate's, and private");
	write_key(p.key, NULL, 0640);
	FINDS("tls-key", DOCTOR_OK, "private");
	write_key(p.key, NULL, 0644);
	FINDS("tls-key", DOCTOR_FAULT, "open to others (mode 0644)");
	write_key(other.key, NULL, 0600);
	FINDS("tls-key", DOCTOR_FAULT, "does not belong");
	write_key(p.key, "open sesame", 0600);
	FINDS("tls-key", DOCTOR_FAULT, "has a passphrase");
	host_put("/key.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n");
	FINDS("tls-key", DOCTOR_FAULT, "there is no private key in");
	free_pair(&p);
	free_pair(&other);
}
END_TEST

START_TEST(the_certificate_names_the_domain)
{
	struct pair p = make_pair("*.example.org", 0, 90 * DAY, NULL);

	write_chain(cert_path, p.cert, NULL);
	FINDS("tls-name", DOCTOR_NONE, "no domain was given");
	host.domain = "ai.example.org";
	FINDS("tls-name", DOCTOR_OK, "ai.example.org");
	host.domain = "192.0.2.1";
	FINDS("tls-name", DOCTOR_OK, "192.0.2.1");
	host.domain = "example.org";
	FINDS("tls-name", DOCTOR_FAULT, "does not name 'example.org'");
	host.domain = "192.0.2.2";
	FINDS("tls-name", DOCTOR_FAULT, "does not name");
	free_pair(&p);
}
END_TEST

START_TEST(an_authority_vouches_for_it)
{
	struct pair authority = make_pair("Authority", DAY, 900 * DAY, NULL);
	struct pair stranger = make_pair("Stranger", DAY, 900 * DAY, NULL);
	struct pair p = make_pair("ai.example.org", 0, 90 * DAY, &authority);
	char trust[96];

	snprintf(trust, sizeof(trust), "%s/trust.pem", root);
	write_chain(cert_path, p.cert, NULL);
	write_chain(trust, stranger.cert, NULL);
	FINDS("tls-chain", DOCTOR_WARNING, "most clients would refuse it");
	host.trust = trust;
	FINDS("tls-chain", DOCTOR_WARNING, "most clients would refuse it");
	/* That the file brings its authority along is no trust. */
	write_chain(cert_path, p.cert, authority.cert);
	FINDS("tls-chain", DOCTOR_WARNING, "most clients would refuse it");
	write_chain(trust, stranger.cert, authority.cert);
	write_chain(cert_path, p.cert, NULL);
	FINDS("tls-chain", DOCTOR_OK, "vouches");
	host.now += 91 * DAY;
	FINDS("tls-chain", DOCTOR_FAULT, "not in force");
	host.now -= 91 * DAY;
	host.trust = "/nowhere/trust.pem";
	FINDS("tls-chain", DOCTOR_UNKNOWN, "no list of authorities");
	free_pair(&p);
	free_pair(&authority);
	free_pair(&stranger);
}
END_TEST

START_TEST(what_is_shown_needs_a_server)
{
	struct pair p = make_pair("ai.example.org", 0, 90 * DAY, NULL);

	write_chain(cert_path, p.cert, NULL);
	/* Port 1 of this host: nobody. */
	host_configure("PORT", "1", NULL);
	FINDS("tls-served", DOCTOR_UNKNOWN, "shows none");
	free_pair(&p);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("doctor");

	tcase_add_checked_fixture(t, setup, host_teardown);
	ADD_ROWS(t, a_certificate_is_in_force, age_rows);
	tcase_add_test(t, a_certificate_is_there);
	tcase_add_test(t, a_weak_key_is_told);
	tcase_add_test(t, the_key_is_the_certificates_and_private);
	tcase_add_test(t, the_certificate_names_the_domain);
	tcase_add_test(t, an_authority_vouches_for_it);
	tcase_add_test(t, what_is_shown_needs_a_server);
	return suite_run("doctor_tls", t, NULL);
}
