/* pmdoctor: folders and files, whose they are, and the settings. */
#include "tests/unit/doctor_host.h"

static void
mode(const char *path, mode_t bits)
{
	char full[512];

	snprintf(full, sizeof(full), "%s%s", root, path);
	ck_assert_int_eq(chmod(full, bits), 0);
}

static void
folder(const char *path)
{
	char full[512];

	snprintf(full, sizeof(full), "%s%s", root, path);
	ck_assert_int_eq(mkdir(full, 0700), 0);
}

static const struct {
	mode_t bits;
	enum doctor_state state;
	const char *says;
} secret_rows[] = {
	{ 0600, DOCTOR_OK, "mode 0600" },
	{ 0400, DOCTOR_OK, "mode 0400" },
	{ 0640, DOCTOR_OK, "mode 0640" }, /* root:pmproxy */
	{ 0660, DOCTOR_FAULT, "open to others (mode 0660)" },
	{ 0644, DOCTOR_FAULT, "open to others (mode 0644)" },
	{ 0604, DOCTOR_FAULT, "open to others (mode 0604)" },
	{ 0602, DOCTOR_FAULT, "open to others (mode 0602)" },
};

START_TEST(files_with_secrets_are_private)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/env", root);
	host_put("/env", "pm-secret\n");
	mode("/env", secret_rows[_i].bits);
	host.env_file = path;
	FINDS("env-file", secret_rows[_i].state, secret_rows[_i].says);
	host_configure("PRIVATEMODE_API_KEY_FILE", path, NULL);
	FINDS("key-file", secret_rows[_i].state, secret_rows[_i].says);
}
END_TEST

START_TEST(a_file_of_secrets_is_there_and_a_file)
{
	char path[96];

	FINDS("env-file", DOCTOR_NONE, "names none");
	FINDS("key-file", DOCTOR_NONE, "not set");
	snprintf(path, sizeof(path), "%s/env", root);
	host.env_file = path;
	FINDS("env-file", DOCTOR_FAULT, "it is not there");
	host.env_file = state_dir;
	FINDS("env-file", DOCTOR_FAULT, "is no file");
	host_put("/env", "");
	ck_assert_int_eq(chdir(root), 0);
	host.env_file = "env";
	FINDS("env-file", DOCTOR_WARNING, "no absolute path");
}
END_TEST

static const struct {
	const char *path;
	mode_t bits;
	enum doctor_state state;
	const char *says;
} state_rows[] = {
	{ "/state", 0700, DOCTOR_OK, "what is in it" },
	{ "/state", 0755, DOCTOR_FAULT,
	    "state' is open to everybody (mode 0755)" },
	{ "/state", 0750, DOCTOR_WARNING, "state' is open to its group" },
	{ "/state/keys.gdbm", 0604, DOCTOR_FAULT,
	    "keys.gdbm' is open to every" },
	{ "/state/keys.gdbm", 0640, DOCTOR_WARNING,
	    "keys.gdbm' is open to its" },
	{ "/state/journal", 0711, DOCTOR_FAULT,
	    "journal' is open to everybody" },
	{ "/state/journal/2026112218", 0644, DOCTOR_FAULT,
	    "journal/2026112218' is open to everybody" },
};

START_TEST(state_is_private)
{
	host_put("/state/keys.gdbm", "");
	host_put("/state/journal/2026112218", "");
	host_put("/state/journal/2026112219", "");
	host_mount(state_dir, "ext4", "");
	mode(state_rows[_i].path, state_rows[_i].bits);
	FINDS("state-dir", state_rows[_i].state, state_rows[_i].says);
	mode("/state", 0700);
}
END_TEST

START_TEST(each_file_in_the_open_counts)
{
	host_mount(state_dir, "ext4", "");
	host_put("/state/a", "");
	host_put("/state/b", "");
	host_put("/state/c", "");
	mode("/state/a", 0644);
	mode("/state/b", 0666);
	mode("/state/c", 0640);
	FINDS("state-dir", DOCTOR_FAULT, "(and 1 more like it)");
	ck_assert_ptr_nonnull(strstr(finding.mend, "chmod go= "));
}
END_TEST

START_TEST(state_is_the_gates_own)
{
	char says[96];

	host_mount(state_dir, "ext4", "");
	host_process(500, "v1.fcgi", 1, (long)getuid() + 1, "v1.fcgi", 8);
	snprintf(says, sizeof(says),
	    "belongs to user %ld, the gate is user %ld", (long)getuid(),
	    (long)getuid() + 1);
	FINDS("state-dir", DOCTOR_FAULT, says);
	FINDS("run-dir", DOCTOR_FAULT, says);
	ck_assert_ptr_nonnull(strstr(finding.mend, "chown"));
}
END_TEST

START_TEST(state_is_there_whole_and_of_files)
{
	host_mount(state_dir, "ext4", "");
	host_put("/state/secret", "0123456789abcdef0123456789abcdef");
	FINDS("state-dir", DOCTOR_OK, "what is in it");
	host_put("/state/secret", "0123456789abcdef0123456789abcde");
	FINDS("state-dir", DOCTOR_FAULT, "does not hold 32 bytes");
	host_remove("/state/secret");
	host_link("/state/journal", "/");
	FINDS("state-dir", DOCTOR_FAULT, "journal' is open to everybody");
	host_mount(state_dir, "tmpfs", "");
	host_remove("/state/journal");
	FINDS("state-dir", DOCTOR_WARNING, "lies in memory");
	host_configure("STATE_DIR", "/nowhere/pmproxy", NULL);
	FINDS("state-dir", DOCTOR_FAULT,
	    "STATE_DIR '/nowhere/pmproxy': it is not");
	host_configure("STATE_DIR", "/etc/passwd", NULL);
	FINDS("state-dir", DOCTOR_FAULT, "is no folder");
}
END_TEST

#define SWAP "Filename Type Size Used Priority\n/dev/dm-0 partition 1 0 -2\n"

START_TEST(run_dir_lies_in_memory)
{
	host_mount(run_dir, "ext4", "");
	FINDS("run-dir", DOCTOR_FAULT, "is not on a tmpfs");
	host_mount(run_dir, "tmpfs", "");
	FINDS("run-dir", DOCTOR_OK, "private and in memory");
	host_mount(run_dir, "ramfs", "");
	FINDS("run-dir", DOCTOR_OK, "in memory");
	host_put("/proc/swaps", SWAP);
	FINDS("run-dir", DOCTOR_OK, "in memory");
	host_mount(run_dir, "tmpfs", "");
	FINDS("run-dir", DOCTOR_WARNING, "may be swapped out");
	host_mount(run_dir, "tmpfs", ",noswapper");
	FINDS("run-dir", DOCTOR_WARNING, "may be swapped out");
	host_mount(run_dir, "tmpfs", ",nr=x_noswap");
	FINDS("run-dir", DOCTOR_WARNING, "may be swapped out");
	host_mount(run_dir, "tmpfs", ",noswap,inode64");
	FINDS("run-dir", DOCTOR_OK, "in memory");
	host_mount(run_dir, "tmpfs", ",inode64");
	host_remove("/proc/swaps");
	FINDS("run-dir", DOCTOR_UNKNOWN, "cannot be seen");
	host_mount(run_dir, "tmpfs", "");
	mode("/run", 0755);
	FINDS("run-dir", DOCTOR_FAULT, "open to everybody");
	host_configure("RUN_DIR", "/nowhere/run", NULL);
	FINDS("run-dir", DOCTOR_FAULT, "it is not there");
}
END_TEST

/* Where mountinfo does not tell, the kernel is asked itself. */
START_TEST(a_real_tmpfs_is_known)
{
	char real[FOLDER_SIZE];
	struct doctor_mount mount;

	make_memory_folder(real);
	ck_assert_int_eq(doctor_mount_of(&host, real, &mount), 0);
	ck_assert_int_eq(
	    doctor_in_memory(&mount), strncmp(real, "/dev/shm", 8) == 0);
	remove_folder(real);
	ck_assert_int_eq(doctor_mount_of(&host, "/proc", &mount), 0);
	ck_assert_int_eq(doctor_in_memory(&mount), 0);
	ck_assert_int_eq(doctor_mount_of(&host, "/nowhere", &mount), -1);
}
END_TEST

static void
start_lighttpd(const char *words, size_t n)
{
	static const char *const rows[][2] = { { "00000000:20FB", "501" },
		{ NULL } };

	host_listeners("tcp", rows);
	host_process(500, "lighttpd", 1, (long)getuid(), words, n);
	host_link("/proc/500/fd/4", "socket:[501]");
}

START_TEST(uploads_pass_through_memory)
{
	static const char words[] = "lighttpd\0-D\0-f\0/gate/lighttpd.conf";

	host_mount(run_dir, "tmpfs", "");
	FINDS("upload-dir", DOCTOR_FAULT, "run/upload': it is not there");
	folder("/run/upload");
	FINDS("upload-dir", DOCTOR_OK, "run/upload', in memory");
	start_lighttpd(words, sizeof(words));
	FINDS("upload-dir", DOCTOR_UNKNOWN, "file cannot be read");
	host_put("/gate/lighttpd.conf",
	    "# server.upload-dirs = ( \"/elsewhere\" )\n"
	    "server.upload-dirs = ( var.run_dir + \"/upload\" )\n");
	FINDS("upload-dir", DOCTOR_OK, "run/upload', in memory");
	host_put("/gate/lighttpd.conf",
	    "server.upload-dirs = ( \"/nowhere/up\" )\n");
	FINDS("upload-dir", DOCTOR_FAULT, "'/nowhere/up': it is not there");
	host_put("/gate/lighttpd.conf", "server.port = 80\n");
	look("upload-dir");
	ck_assert_int_eq(finding.state, DOCTOR_FAULT);
	ck_assert_ptr_nonnull(strstr(finding.what, "/var/tmp"));
}
END_TEST

START_TEST(lighttpds_file_may_be_named_from_its_folder)
{
	static const char words[] = "lighttpd\0-f\0l.conf";

	host_mount(run_dir, "tmpfs", "");
	folder("/run/upload");
	start_lighttpd(words, sizeof(words));
	host_put(
	    "/proc/500/cwd/l.conf", "server.upload-dirs = (\"/nowhere\")\n");
	FINDS("upload-dir", DOCTOR_FAULT, "'/nowhere'");
	host_remove("/proc/500/cmdline");
	host_put("/proc/500/cmdline", "lighttpd");
	FINDS("upload-dir", DOCTOR_UNKNOWN, "file cannot be read");
}
END_TEST

static struct statvfs room;

static int
some_room(const char *path, struct statvfs *out)
{
	ck_assert_ptr_nonnull(path);
	*out = room;
	return 0;
}

static int
no_room_to_see(const char *path, struct statvfs *out)
{
	(void)path;
	(void)out;
	errno = EACCES;
	return -1;
}

#define MIB_BLOCKS(n) ((n)*256u)

static const struct {
	const char *check;
	unsigned mib, files, free_files;
	enum doctor_state state;
	const char *says;
} room_rows[] = {
	{ "state-room", 512, 9999, 2000, DOCTOR_OK, "512 MiB left" },
	{ "state-room", 511, 9999, 2000, DOCTOR_WARNING, "should be 512" },
	{ "state-room", 64, 9999, 2000, DOCTOR_WARNING, "64 MiB left" },
	{ "state-room", 63, 9999, 2000, DOCTOR_FAULT, "63 MiB left" },
	{ "state-room", 512, 9999, 1999, DOCTOR_WARNING,
	    "only 1999 more files" },
	{ "state-room", 512, 9999, 99, DOCTOR_FAULT, "only 99 more files" },
	{ "state-room", 512, 0, 0, DOCTOR_OK, "512 MiB left" },
	{ "run-room", 512, 0, 0, DOCTOR_OK, "512 MiB left" },
	{ "run-room", 511, 0, 0, DOCTOR_WARNING, "should be 512" },
	{ "run-room", 79, 0, 0, DOCTOR_FAULT, "79 MiB left" },
};

START_TEST(there_is_room)
{
	room = (struct statvfs){ .f_bsize = 1 << 20,
		.f_frsize = 4096,
		.f_bavail = MIB_BLOCKS(room_rows[_i].mib),
		.f_bfree = MIB_BLOCKS(100000u),
		.f_files = room_rows[_i].files,
		.f_favail = room_rows[_i].free_files };
	host.statvfs = some_room;
	FINDS(room_rows[_i].check, room_rows[_i].state, room_rows[_i].says);
	host.statvfs = no_room_to_see;
	FINDS(room_rows[_i].check, DOCTOR_UNKNOWN, "try as root");
}
END_TEST

/* Settings: one, its value, and what is thought of it. */
static const struct {
	const char *check, *name, *value, *bind;
	enum doctor_state state;
	const char *says;
} setting_rows[] = {
	{ "configuration", "PORT", "8443", "", DOCTOR_OK, "environment" },
	{ "force-https", "FORCE_HTTPS", "1", "", DOCTOR_OK, "is on" },
	{ "force-https", "FORCE_HTTPS", "", "", DOCTOR_NONE, "off" },
	{ "trust-proxy", "TRUST_PROXY", "0", "", DOCTOR_OK, "not believed" },
	{ "trust-proxy", "TRUST_PROXY", "1", "", DOCTOR_WARNING, "anybody" },
	{ "trust-proxy", "TRUST_PROXY", "1", "127.0.0.1", DOCTOR_OK, "alone" },
	{ "trust-proxy", "TRUST_PROXY", "192.0.2.1, unix", "", DOCTOR_OK,
	    "named" },
	{ "tls", "TRUST_PROXY", "192.0.2.1", "", DOCTOR_WARNING, "in front" },
	{ "cors", "CORS_ALLOW_ORIGINS", "", "", DOCTOR_OK, "none" },
	{ "cors", "CORS_ALLOW_ORIGINS", "https://a.example", "", DOCTOR_OK,
	    "named" },
	{ "cors", "CORS_ALLOW_ORIGINS", "https://a.example,*", "",
	    DOCTOR_WARNING, "any origin" },
	{ "admin-password", "ADMIN_PASSWORD", "", "", DOCTOR_OK, "none" },
	{ "admin-password", "ADMIN_PASSWORD", "elevenlong!", "", DOCTOR_WARNING,
	    "shorter than 12" },
	{ "admin-password", "ADMIN_PASSWORD", "twelve-long!", "", DOCTOR_OK,
	    "is set" },
	{ "env-keys", "API_KEYS", "", "", DOCTOR_NONE, "not set" },
	{ "env-keys", "API_KEYS", "hush-hush-1", "", DOCTOR_WARNING, "clear" },
	{ "metrics", "METRICS_TOKEN", "", "", DOCTOR_NONE, "not set" },
	{ "metrics", "METRICS_TOKEN", "hush-hush-hush-hush", "", DOCTOR_OK,
	    "is set" },
	{ "tls", "TRUST_PROXY", "0", "", DOCTOR_FAULT, "plain HTTP" },
	{ "tls", "TRUST_PROXY", "0", "192.0.2.1", DOCTOR_FAULT, "plain HTTP" },
	{ "tls", "TRUST_PROXY", "0", "127.0.0.1", DOCTOR_OK,
	    "this host alone" },
	{ "tls", "TRUST_PROXY", "0", "::1", DOCTOR_OK, "this host alone" },
	{ "tls", "TRUST_PROXY", "1", "", DOCTOR_WARNING, "proxy in front" },
};

START_TEST(settings_are_wise)
{
	host_configure(setting_rows[_i].name, setting_rows[_i].value, NULL);
	host.bind = setting_rows[_i].bind;
	FINDS(setting_rows[_i].check, setting_rows[_i].state,
	    setting_rows[_i].says);
	ck_assert_ptr_null(strstr(finding.what, "hush"));
	ck_assert_ptr_null(strstr(finding.mend, "hush"));
	if (*setting_rows[_i].value != '\0' &&
	    strcmp(setting_rows[_i].name, "ADMIN_PASSWORD") == 0)
		ck_assert_ptr_null(
		    strstr(finding.what, setting_rows[_i].value));
}
END_TEST

START_TEST(plain_http_beside_tls_is_told)
{
	host_configure("TLS_CERT_FILE", "/c", "TLS_KEY_FILE", "/k",
	    "FORCE_HTTPS", "0", NULL);
	FINDS("force-https", DOCTOR_WARNING, "FORCE_HTTPS is not");
	FINDS("tls", DOCTOR_OK, "TLS is on");
	host_configure("FORCE_HTTPS", "", NULL);
	FINDS("force-https", DOCTOR_OK, "is on");
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("doctor");

	tcase_add_checked_fixture(t, host_setup, host_teardown);
	ADD_ROWS(t, files_with_secrets_are_private, secret_rows);
	tcase_add_test(t, a_file_of_secrets_is_there_and_a_file);
	ADD_ROWS(t, state_is_private, state_rows);
	tcase_add_test(t, each_file_in_the_open_counts);
	tcase_add_test(t, state_is_the_gates_own);
	tcase_add_test(t, state_is_there_whole_and_of_files);
	tcase_add_test(t, run_dir_lies_in_memory);
	tcase_add_test(t, a_real_tmpfs_is_known);
	tcase_add_test(t, uploads_pass_through_memory);
	tcase_add_test(t, lighttpds_file_may_be_named_from_its_folder);
	ADD_ROWS(t, there_is_room, room_rows);
	ADD_ROWS(t, settings_are_wise, setting_rows);
	tcase_add_test(t, plain_http_beside_tls_is_told);
	return suite_run("doctor_files", t, NULL);
}
