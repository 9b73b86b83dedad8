/* Settings that work and are not wise. */
#include <string.h>

#include "cli/doctor.h"

#define PASSWORD_MIN 12

void
doctor_configuration(const struct doctor *d, struct doctor_finding *f)
{
	if (d->config != NULL) {
		doctor_say(f, DOCTOR_OK, "%s",
		    *d->env_file != '\0' ? d->env_file : "the environment's");
		return;
	}
	/* Each mistake stands on standard error already. */
	doctor_say(f, DOCTOR_FAULT, "the settings cannot be read%s%s",
	    *d->env_file != '\0' ? ": " : "", d->env_file);
	doctor_mend(f, "see the messages before this; or run it as root");
}

void
doctor_force_https(const struct doctor *d, struct doctor_finding *f)
{
	if (config_number(d->config, CONFIG_FORCE_HTTPS))
		doctor_say(f, DOCTOR_OK, "FORCE_HTTPS is on");
	else if (*config_text(d->config, CONFIG_TLS_CERT_FILE) == '\0')
		doctor_say(f, DOCTOR_NONE, "TLS is off here");
	else {
		doctor_say(f, DOCTOR_WARNING,
		    "TLS is on, and FORCE_HTTPS is not: a key may arrive in "
		    "the clear");
		doctor_mend(f, "leave FORCE_HTTPS unset, or set it to 1");
	}
}

void
doctor_trust_proxy(const struct doctor *d, struct doctor_finding *f)
{
	if (!doctor_behind_proxy(d))
		doctor_say(f, DOCTOR_OK, "they are not believed");
	else if (strcmp(config_text(d->config, CONFIG_TRUST_PROXY), "1") != 0)
		doctor_say(f, DOCTOR_OK, "those that are named are believed");
	else if (strncmp(d->bind, "127.", 4) == 0)
		doctor_say(
		    f, DOCTOR_OK, "they are believed, of this host alone");
	else {
		doctor_say(f, DOCTOR_WARNING,
		    "anybody who reaches PORT may say where he comes from");
		doctor_mend(f, "name the proxy's address in TRUST_PROXY");
	}
}

void
doctor_cors(const struct doctor *d, struct doctor_finding *f)
{
	const char *origins = config_text(d->config, CONFIG_CORS_ALLOW_ORIGINS);

	if (*origins == '\0')
		doctor_say(f, DOCTOR_OK, "none may call");
	else if (strchr(origins, '*') == NULL)
		doctor_say(f, DOCTOR_OK, "those that are named may call");
	else {
		doctor_say(f, DOCTOR_WARNING, "pages of any origin may call");
		doctor_mend(f, "name the origins in CORS_ALLOW_ORIGINS");
	}
}

void
doctor_admin_password(const struct doctor *d, struct doctor_finding *f)
{
	const char *password = config_text(d->config, CONFIG_ADMIN_PASSWORD);

	if (*password == '\0')
		doctor_say(f, DOCTOR_OK, "none stands in the settings");
	else if (strlen(password) < PASSWORD_MIN) {
		doctor_say(f, DOCTOR_WARNING,
		    "ADMIN_PASSWORD is shorter than %d characters",
		    PASSWORD_MIN);
		doctor_mend(f, "pmkey admin-password, which keeps a hash only");
	} else {
		doctor_say(f, DOCTOR_OK, "ADMIN_PASSWORD is set");
		doctor_mend(f, "pmkey admin-password keeps a hash only");
	}
}

void
doctor_env_keys(const struct doctor *d, struct doctor_finding *f)
{
	if (*config_text(d->config, CONFIG_API_KEYS) == '\0')
		doctor_say(f, DOCTOR_NONE, "API_KEYS is not set");
	else {
		doctor_say(f, DOCTOR_WARNING,
		    "API_KEYS holds keys in the clear, without limits");
		doctor_mend(f, "make keys with pmkey, and take API_KEYS away");
	}
}

/* A note: to have none is as good as to have one. */
void
doctor_metrics(const struct doctor *d, struct doctor_finding *f)
{
	if (*config_text(d->config, CONFIG_METRICS_TOKEN) != '\0')
		doctor_say(f, DOCTOR_OK, "METRICS_TOKEN is set");
	else
		doctor_say(f, DOCTOR_NONE,
		    "METRICS_TOKEN is not set: there is no /metrics");
}
