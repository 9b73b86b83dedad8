/* The certificate: in force, whose, trusted, and the one that is shown. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "cli/doctor.h"

#define DAY 86400
#define CHAIN_MAX 10

/*
 * ACME clients renew when a third of the life is left. With a quarter left
 * that has failed for a while; with a twelfth an admin has to act.
 */
#define WARN_PART 4
#define WARN_MAX (30 * DAY)
#define FAULT_PART 12
#define FAULT_MAX (7 * DAY)

/* The file of a setting: "" when TLS is off, after saying so. */
static const char *
file_of(const struct doctor *d, enum config_name name, struct doctor_finding *f)
{
	const char *path = config_text(d->config, name);

	if (*path == '\0')
		doctor_say(f, DOCTOR_NONE, "TLS is off here");
	return path;
}

/* The leaf, and what stands behind it in the file; NULL after saying why. */
static X509 *
read_chain(const char *path, STACK_OF(X509) * behind, struct doctor_finding *f)
{
	BIO *file = BIO_new_file(path, "r");
	X509 *leaf = NULL, *next;

	if (file == NULL) {
		doctor_say(f, errno == EACCES ? DOCTOR_UNKNOWN : DOCTOR_FAULT,
		    "TLS_CERT_FILE '%s': %s", path, doctor_errno());
		doctor_mend(f, "correct TLS_CERT_FILE");
		return NULL;
	}
	leaf = PEM_read_bio_X509(file, NULL, NULL, NULL);
	while (leaf != NULL && behind != NULL &&
	    sk_X509_num(behind) < CHAIN_MAX &&
	    (next = PEM_read_bio_X509(file, NULL, NULL, NULL)) != NULL)
		if (sk_X509_push(behind, next) == 0)
			X509_free(next);
	BIO_free(file);
	ERR_clear_error(); /* the file's end is one */
	if (leaf == NULL) {
		doctor_say(
		    f, DOCTOR_FAULT, "there is no certificate in '%s'", path);
		doctor_mend(f, "put the whole chain there, in PEM");
	}
	return leaf;
}

/* From 'from' to 'to' in seconds; 0 or -1. */
static int
seconds_between(const ASN1_TIME *from, const ASN1_TIME *to, int64_t *out)
{
	int days, seconds;

	if (ASN1_TIME_diff(&days, &seconds, from, to) == 0)
		return -1;
	*out = (int64_t)days * DAY + seconds;
	return 0;
}

static int64_t
at_most(int64_t n, int64_t max)
{
	return n < max ? n : max;
}

/* "12 days" or "5 hours" */
static const char *
span(char dst[48], int64_t seconds)
{
	if (seconds >= 2 * DAY)
		(void)snprintf(dst, 48, "%" PRId64 " days", seconds / DAY);
	else
		(void)snprintf(dst, 48, "%" PRId64 " hours", seconds / 3600);
	return dst;
}

static void
judge_times(int64_t since, int64_t left, struct doctor_finding *f)
{
	int64_t life = since + left;
	char words[48];

	if (since < 0) {
		doctor_say(f, DOCTOR_FAULT,
		    "the certificate begins only in %s: is the clock right?",
		    span(words, -since));
		doctor_mend(f, "compare this machine's date with yours");
		return;
	}
	if (left <= 0)
		doctor_say(f, DOCTOR_FAULT, "the certificate expired %s ago",
		    span(words, -left));
	else
		doctor_say(f,
		    left < at_most(life / FAULT_PART, FAULT_MAX) ? DOCTOR_FAULT
			: left < at_most(life / WARN_PART, WARN_MAX)
			? DOCTOR_WARNING
			: DOCTOR_OK,
		    "the certificate is in force for another %s",
		    span(words, left));
	if (f->state > DOCTOR_OK)
		doctor_mend(f,
		    "renew it, and see why that did not happen by "
		    "itself");
}

static void
judge_strength(X509 *leaf, struct doctor_finding *f)
{
	EVP_PKEY *key = X509_get0_pubkey(leaf);

	if (key != NULL && EVP_PKEY_get_security_bits(key) < 112 &&
	    doctor_worse(f, DOCTOR_FAULT, "the certificate's key is too weak"))
		doctor_mend(f, "take an EC key (P-256) or RSA of 2048 bits");
}

void
doctor_tls_certificate(const struct doctor *d, struct doctor_finding *f)
{
	const char *path = file_of(d, CONFIG_TLS_CERT_FILE, f);
	ASN1_TIME *now = ASN1_TIME_set(NULL, (time_t)d->now);
	X509 *leaf = NULL;
	int64_t since, left;

	if (*path != '\0' && (leaf = read_chain(path, NULL, f)) != NULL) {
		if (now == NULL ||
		    seconds_between(X509_get0_notBefore(leaf), now, &since) ==
			-1 ||
		    seconds_between(now, X509_get0_notAfter(leaf), &left) == -1)
			doctor_say(f, DOCTOR_UNKNOWN,
			    "the certificate's times cannot be read");
		else {
			judge_times(since, left, f);
			judge_strength(leaf, f);
		}
	}
	X509_free(leaf);
	ASN1_TIME_free(now);
}

/* A key with a passphrase: nobody is there to type it. */
static int
no_passphrase(char *to, int size, int writing, void *asked)
{
	(void)to;
	(void)size;
	(void)writing;
	*(int *)asked = 1;
	return -1;
}

/* The certificate may be NULL. */
static void
compare_key(X509 *leaf, const char *path, struct doctor_finding *f)
{
	BIO *file = BIO_new_file(path, "r");
	EVP_PKEY *key = NULL;
	int asked = 0;

	if (file == NULL) {
		doctor_say(f, errno == EACCES ? DOCTOR_UNKNOWN : DOCTOR_FAULT,
		    "TLS_KEY_FILE '%s': %s", path, doctor_errno());
		doctor_mend(f, "correct TLS_KEY_FILE");
		return;
	}
	key = PEM_read_bio_PrivateKey(file, NULL, no_passphrase, &asked);
	if (key == NULL) {
		doctor_say(f, DOCTOR_FAULT,
		    asked ? "the private key in '%s' has a passphrase"
			  : "there is no private key in '%s'",
		    path);
		doctor_mend(f, "put the key there in PEM, without passphrase");
	} else if (leaf == NULL) {
		doctor_say(f, DOCTOR_UNKNOWN,
		    "there is no certificate to compare it with");
	} else if (X509_check_private_key(leaf, key) != 1) {
		doctor_say(f, DOCTOR_FAULT,
		    "the private key does not belong to the certificate");
		doctor_mend(f,
		    "TLS_CERT_FILE and TLS_KEY_FILE must be of the "
		    "same renewal");
	}
	EVP_PKEY_free(key);
	BIO_free(file);
	ERR_clear_error();
}

void
doctor_tls_key(const struct doctor *d, struct doctor_finding *f)
{
	const char *path = file_of(d, CONFIG_TLS_KEY_FILE, f);
	struct doctor_finding other = { 0 };
	struct stat st;
	X509 *leaf;

	if (*path == '\0')
		return;
	doctor_say(f, DOCTOR_OK, "it is the certificate's, and private");
	leaf = read_chain(
	    config_text(d->config, CONFIG_TLS_CERT_FILE), NULL, &other);
	compare_key(leaf, path, f);
	X509_free(leaf);
	if (stat(path, &st) == 0 && (st.st_mode & 0027) != 0 &&
	    doctor_worse(f, DOCTOR_FAULT, "'%s' is open to others (mode %04o)",
		path, st.st_mode & 07777u))
		doctor_mend(f, "chmod 600 %s, and make a new key", path);
}

void
doctor_tls_name(const struct doctor *d, struct doctor_finding *f)
{
	const char *path = file_of(d, CONFIG_TLS_CERT_FILE, f);
	X509 *leaf;

	if (*path == '\0')
		return;
	if (*d->domain == '\0') {
		doctor_say(
		    f, DOCTOR_NONE, "no domain was given to compare it with");
		doctor_mend(f, "give it with --domain");
		return;
	}
	if ((leaf = read_chain(path, NULL, f)) == NULL)
		return;
	if (X509_check_host(leaf, d->domain, strlen(d->domain), 0, NULL) == 1 ||
	    X509_check_ip_asc(leaf, d->domain, 0) == 1)
		doctor_say(f, DOCTOR_OK, "it names '%s'", d->domain);
	else {
		doctor_say(f, DOCTOR_FAULT,
		    "the certificate does not name '%s'", d->domain);
		doctor_mend(f, "have one made for that name");
	}
	X509_free(leaf);
}

static int
verify(const struct doctor *d, X509 *leaf, STACK_OF(X509) * behind)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *context = X509_STORE_CTX_new();
	int why = X509_V_ERR_OUT_OF_MEM;

	if (store != NULL && context != NULL &&
	    (d->trust == NULL ? X509_STORE_set_default_paths(store)
			      : X509_STORE_load_file(store, d->trust)) == 1 &&
	    X509_STORE_CTX_init(context, store, leaf, behind) == 1 &&
	    X509_STORE_CTX_set_purpose(context, X509_PURPOSE_SSL_SERVER) == 1) {
		X509_STORE_CTX_set_time(context, 0, (time_t)d->now);
		why = X509_verify_cert(context) == 1
		    ? X509_V_OK
		    : X509_STORE_CTX_get_error(context);
	}
	X509_STORE_CTX_free(context);
	X509_STORE_free(store);
	ERR_clear_error();
	return why;
}

void
doctor_tls_chain(const struct doctor *d, struct doctor_finding *f)
{
	const char *path = file_of(d, CONFIG_TLS_CERT_FILE, f);
	STACK_OF(X509) *behind = sk_X509_new_null();
	X509 *leaf = NULL;
	int why;

	if (behind != NULL && *path != '\0' &&
	    (leaf = read_chain(path, behind, f)) != NULL) {
		why = verify(d, leaf, behind);
		if (why == X509_V_OK)
			doctor_say(f, DOCTOR_OK,
			    "an authority that this host trusts vouches for it");
		else if (why == X509_V_ERR_CERT_HAS_EXPIRED ||
		    why == X509_V_ERR_CERT_NOT_YET_VALID) {
			doctor_say(f, DOCTOR_FAULT,
			    "a certificate of the chain is not in force");
			doctor_mend(f, "renew it, with its whole chain");
		} else if (why == X509_V_ERR_OUT_OF_MEM)
			doctor_say(f, DOCTOR_UNKNOWN,
			    "no list of authorities to compare it with");
		else {
			doctor_say(f, DOCTOR_WARNING,
			    "most clients would refuse it: %s",
			    X509_verify_cert_error_string(why));
			doctor_mend(f,
			    "put the whole chain into TLS_CERT_FILE;"
			    " where it is your own authority's, give"
			    " that to every client");
		}
	}
	X509_free(leaf);
	sk_X509_pop_free(behind, X509_free);
}

static X509 *
shown_certificate(const char *pem)
{
	BIO *text = pem == NULL ? NULL : BIO_new_mem_buf(pem, -1);
	X509 *got = NULL;

	if (text != NULL)
		got = PEM_read_bio_X509(text, NULL, NULL, NULL);
	BIO_free(text);
	ERR_clear_error();
	return got;
}

/* A renewal that the web server was not told of shows only in its hello. */
void
doctor_tls_served(const struct doctor *d, struct doctor_finding *f)
{
	const char *path = file_of(d, CONFIG_TLS_CERT_FILE, f);
	struct doctor_answer answer;
	X509 *leaf, *shown = NULL;

	if (*path == '\0' || (leaf = read_chain(path, NULL, f)) == NULL)
		return;
	if (doctor_ask_gate(d, "/health", &answer) == 0)
		shown = shown_certificate(answer.certificate);
	if (shown == NULL)
		doctor_say(f, DOCTOR_UNKNOWN, "the web server shows none: %s",
		    answer.why);
	else if (X509_cmp(leaf, shown) == 0)
		doctor_say(f, DOCTOR_OK, "it shows the one in '%s'", path);
	else {
		doctor_say(f, DOCTOR_FAULT,
		    "the web server shows another certificate than '%s'", path);
		doctor_mend(f, "have it read the file anew (a reload)");
	}
	doctor_answer_free(&answer);
	X509_free(shown);
	X509_free(leaf);
}

/* 1 when whatever comes to that address comes from this host. */
static int
is_local(const char *bind)
{
	return strncmp(bind, "127.", 4) == 0 || strcmp(bind, "::1") == 0 ||
	    strcmp(bind, "[::1]") == 0 || strcmp(bind, "localhost") == 0;
}

void
doctor_tls(const struct doctor *d, struct doctor_finding *f)
{
	if (*config_text(d->config, CONFIG_TLS_CERT_FILE) != '\0')
		doctor_say(f, DOCTOR_OK, "TLS is on");
	else if (is_local(d->bind))
		doctor_say(f, DOCTOR_OK,
		    "plain HTTP, for this host alone (PMPROXY_BIND)");
	else if (doctor_behind_proxy(d)) {
		doctor_say(f, DOCTOR_WARNING,
		    "plain HTTP to a proxy in front, and open to the network");
		doctor_mend(f,
		    "PMPROXY_BIND=127.0.0.1, or an address that the "
		    "proxy alone reaches");
	} else {
		doctor_say(f, DOCTOR_FAULT,
		    "plain HTTP: keys and prompts cross the network in the "
		    "clear");
		doctor_mend(f, "set TLS_CERT_FILE and TLS_KEY_FILE");
	}
}
