/* Writes what was gathered, and says what comes next. */
#include "cli/setup.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/setup_file.h"
#include "cli/setup_internal.h"
#include "lib/buf.h"
#include "lib/log.h"
#include "lib/secret.h"
#include "lib/session.h"

#define GATE_USER "pmproxy"
#define ENV_MAX (256 << 10)

struct owners {
	struct setup_owner root, root_private, readable, gate;
};

/* Who owns what; -1 when there is no such user yet. */
static int
find_owners(const struct setup *s, struct owners *o)
{
	const struct passwd *gate = getpwnam(GATE_USER);
	int change = geteuid() == 0 && gate != NULL;

	memset(o, 0, sizeof(*o));
	/* A folder that becomes an image may belong to anybody for now. */
	if (!change && *s->given.root == '\0') {
		log_warnx(geteuid() != 0
			? "only root can set the gate up"
			: "there is no user '" GATE_USER "': useradd --system "
			  "--user-group --shell /usr/sbin/nologin " GATE_USER);
		return -1;
	}
	o->root = (struct setup_owner){ 0, 0, 0755, change };
	o->root_private = (struct setup_owner){ 0, 0, 0600, change };
	o->readable =
	    (struct setup_owner){ 0, change ? gate->pw_gid : 0, 0640, change };
	o->gate = (struct setup_owner){ change ? gate->pw_uid : 0,
		change ? gate->pw_gid : 0, 0700, change };
	return 0;
}

/* The text to begin with: what is there, or the described defaults. */
static int
read_settings(const struct setup *s, struct buf *text)
{
	const char *share = getenv("PMPROXY_SHARE");
	char path[PATH_MAX];
	int n;

	if (s->has_env)
		return setup_file_read(s->env, text) == 1 ? 0 : -1;
	n = snprintf(
	    path, sizeof(path), "%s/.env.example", share != NULL ? share : ".");
	if (n < 0 || (size_t)n >= sizeof(path) ||
	    setup_file_read(path, text) == -1)
		return -1;
	return 0;
}

/* What follows from a name: a certificate for it, and the port for that. */
static int
put_settings(const struct setup *s, struct buf *text)
{
	const char *tls = s->given.tls;

	if (*s->domain != '\0' &&
	    setup_env_set(text, "DOMAIN", s->domain) == -1)
		return -1;
	if (tls == NULL && *s->domain != '\0' && !s->has_tls)
		tls = "auto";
	if (tls == NULL)
		return 0;
	if (strcmp(tls, "auto") != 0)
		return setup_env_set(text, "TLS_AUTO", "0");
	if (setup_env_set(text, "TLS_AUTO", "1") == -1)
		return -1;
	return s->has_port ? 0 : setup_env_set(text, "PORT", "443");
}

/* As a program of the gate will read it. */
static int
check_draft(struct setup *s)
{
	struct config *c;

	if (setenv("PMPROXY_ENV", s->draft, 1) == -1 ||
	    (c = config_load()) == NULL) {
		log_warnx("these settings are not right: nothing was changed");
		return -1;
	}
	s->gets_certificate = config_number(c, CONFIG_TLS_AUTO) != 0;
	config_free(c);
	return 0;
}

static int
write_settings(struct setup *s, const struct owners *o)
{
	struct buf text = BUF(ENV_MAX);
	int bad = read_settings(s, &text) == -1 || put_settings(s, &text) == -1;

	bad = bad ||
	    setup_file_write(s->draft, text.data, text.len, &o->readable) == -1;
	bad = bad || check_draft(s) == -1;
	(void)unlink(s->draft); /* there may be none */
	bad = bad ||
	    setup_file_write(s->env, text.data, text.len, &o->readable) == -1;
	buf_free(&text);
	return bad ? -1 : 0;
}

/* With the newline that an editor would leave. */
static int
write_key(const struct setup *s, const struct owners *o)
{
	char line[PASSWORD_SIZE + 1];
	int n, bad;

	if (*s->new_key == '\0')
		return 0;
	n = snprintf(line, sizeof(line), "%s\n", s->new_key);
	bad = setup_file_write(s->key, line, (size_t)n, &o->root_private);
	secret_wipe(line, sizeof(line));
	return bad;
}

/* Root's, so that it is not the gate's to change. */
static int
write_upstream(const struct setup *s, const struct owners *o)
{
	char folder[PATH_MAX], *slash;

	if (*s->program == '\0')
		return 0;
	memcpy(folder, s->upstream, sizeof(folder));
	if ((slash = strrchr(folder, '/')) != NULL)
		*slash = '\0';
	if (setup_folder(folder, &o->root) == -1)
		return -1;
	return setup_file_copy(s->upstream, s->program, &o->root);
}

static int
write_all(struct setup *s)
{
	struct owners o;

	if (find_owners(s, &o) == -1 || setup_folder(s->etc, &o.root) == -1 ||
	    write_settings(s, &o) == -1 || write_key(s, &o) == -1 ||
	    write_upstream(s, &o) == -1 ||
	    setup_folder(s->state, &o.gate) == -1)
		return -1;
	return *s->new_password == '\0'
	    ? 0
	    : session_store_password(s->state, s->new_password);
}

/* --- Afterwards --------------------------------------------------------------- */

static void
print_row(const char *what, const char *path, int is_new, int was_there)
{
	printf("%-16s %-9s %s\n", what,
	    is_new          ? "written"
		: was_there ? "kept"
			    : "MISSING",
	    path);
}

static void
print_next(const struct setup *s)
{
	print_row("settings", s->env, 1, 0);
	print_row("Privatemode key", s->key, *s->new_key != '\0', s->has_key);
	print_row(
	    "upstream", s->upstream, *s->program != '\0', s->has_upstream);
	print_row("admin password", s->state, *s->new_password != '\0',
	    s->has_password);
	printf("\nNext:\n");
	/* Debian's package starts one of its own, on the gate's ports. */
	if (access("/etc/systemd/system/multi-user.target.wants/"
		   "lighttpd.service",
		F_OK) == 0)
		printf("  systemctl disable --now lighttpd\n");
	printf("  systemctl enable --now privatemode-proxy pmproxy "
	       "pmproxy-usage.timer%s\n"
	       "  pmkey create --label \"who it is for\"\n"
	       "After a change of %s:\n"
	       "  systemctl restart pmproxy\n",
	    s->gets_certificate ? " pmproxy-certificate.timer" : "", s->env);
}

/* Beside this program; not every installation has it. */
static void
run_doctor(void)
{
	char path[PATH_MAX], *slash;
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 16);
	pid_t child;

	if (n == -1)
		return;
	path[n] = '\0';
	if ((slash = strrchr(path, '/')) == NULL)
		return;
	memcpy(slash, "/pmdoctor", sizeof("/pmdoctor"));
	if (access(path, X_OK) == -1 || fflush(stdout) == EOF)
		return;
	if ((child = fork()) == 0) {
		(void)execl(path, path, (char *)NULL);
		_exit(127);
	}
	/* Its findings are for whoever reads them. */
	if (child == -1 || waitpid(child, NULL, 0) == -1)
		log_warn("cannot run '%s'", path);
}

int
setup_run(const struct setup_given *given)
{
	struct setup *s = calloc(1, sizeof(*s));
	int bad;

	if (s == NULL) {
		log_warn("cannot set the gate up");
		return -1;
	}
	s->given = *given;
	bad = setup_gather(s);
	if (!bad)
		bad = write_all(s);
	if (!bad)
		print_next(s);
	if (!bad && !given->no_doctor && *given->root == '\0' &&
	    setenv("PMPROXY_ENV", s->env, 1) == 0)
		run_doctor();
	secret_wipe(s, sizeof(*s));
	free(s);
	return bad ? -1 : 0;
}
