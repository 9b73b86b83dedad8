/* pmdoctor: the stores, and what they are sealed under. */
#include "lib/db.h"
#include "tests/unit/doctor_host.h"
#include "tests/unit/seal_keys.h"

#define ID_A "544d2e2bd07123bd" /* KEY_A's */

static char memory[FOLDER_SIZE], far_file[FOLDER_SIZE + 16];

static void
setup(void)
{
	host_setup();
	seal_keys_setup();
	make_memory_folder(memory);
	snprintf(far_file, sizeof(far_file), "%s/store.key", memory);
	hush();
}

static void
teardown(void)
{
	remove_folder(memory);
	seal_keys_teardown();
	host_teardown();
}

/* As a process that starts now reads it; NULL: STORE_KEY_FILE is not set. */
static void
key_is(const char *path, const char *keys)
{
	if (path != NULL)
		write_file(path, keys, strlen(keys));
	host_configure("STORE_KEY_FILE", path == NULL ? "" : path, NULL);
}

static const char *const names[] = { "keys.gdbm", "settings.gdbm", "usage.gdbm",
	"admin.gdbm" };

static int
one_record(const char *store)
{
	char path[128];
	struct db *db;

	snprintf(path, sizeof(path), "%s/%s", state_dir, store);
	db = db_edit(path);
	ck_assert_ptr_nonnull(db);
	ck_assert_int_eq(db_put(db, "x", "y", 1), 0);
	return db_commit(db);
}

START_TEST(stores_can_be_read)
{
	char path[128];

	FINDS("stores", DOCTOR_OK, "whole");
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(one_record(names[i]), 0);
	FINDS("stores", DOCTOR_OK, "whole");
	for (int i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "%s/%s", state_dir, names[i]);
		ck_assert_int_eq(truncate(path, 100), 0);
		FINDS("stores", DOCTOR_FAULT, names[i]);
		ck_assert_int_eq(unlink(path), 0);
	}
	FINDS("stores", DOCTOR_OK, "whole");
	ck_assert_int_eq(symlink(path, path), 0);
	FINDS("stores", DOCTOR_UNKNOWN, "admin.gdbm': it cannot be read");
}
END_TEST

START_TEST(settings_out_of_bounds_are_damage)
{
	char path[128];
	struct db *db;

	snprintf(path, sizeof(path), "%s/settings.gdbm", state_dir);
	db = db_edit(path);
	ck_assert_ptr_nonnull(db);
	ck_assert_int_eq(db_put(db, "s:RATE_LIMIT_WINDOW", "nonsense", 8), 0);
	ck_assert_int_eq(db_commit(db), 0);
	FINDS("stores", DOCTOR_FAULT, "settings.gdbm' is damaged");
}
END_TEST

/* What is sealed and cannot be read is whole, for all we know. */
START_TEST(a_missing_key_is_no_damage)
{
	key_is(key_file, KEY_A);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(one_record(names[i]), 0);
	FINDS("stores", DOCTOR_OK, "whole");

	key_is(key_file, KEY_B);
	FINDS("stores", DOCTOR_FAULT,
	    "keys.gdbm' is sealed under key " ID_A ", which is not here");
	ck_assert_int_eq(finding.more, 3);
	key_is(key_file, KEY_B KEY_A);
	FINDS("stores", DOCTOR_OK, "whole");
	key_is(key_file, "no key\n");
	FINDS("stores", DOCTOR_FAULT, "which is not here");
	key_is(NULL, NULL);
	FINDS("stores", DOCTOR_FAULT, "which is not here");
}
END_TEST

START_TEST(a_store_in_the_open_is_refused)
{
	ck_assert_int_eq(one_record("keys.gdbm"), 0);
	key_is(key_file, KEY_A);
	FINDS("stores", DOCTOR_FAULT, "keys.gdbm' is refused: it is not seal");
	ck_assert_str_eq(finding.mend, "pmkey reseal --first");
	FINDS("sealed", DOCTOR_FAULT, "keys.gdbm' is not sealed");
	ck_assert_str_eq(finding.mend, "pmkey reseal --first");
}
END_TEST

/* Damage shows also in what is sealed. */
START_TEST(a_sealed_store_that_is_changed_is_damaged)
{
	char path[128];

	key_is(key_file, KEY_A);
	ck_assert_int_eq(one_record("keys.gdbm"), 0);
	snprintf(path, sizeof(path), "%s/keys.gdbm", state_dir);
	ck_assert_int_eq(truncate(path, 4096), 0);
	FINDS("stores", DOCTOR_FAULT, "keys.gdbm' is damaged");
}
END_TEST

START_TEST(what_seals_is_named)
{
	FINDS("sealed", DOCTOR_NONE, "STORE_KEY_FILE is not set");
	key_is(far_file, KEY_A);
	FINDS("sealed", DOCTOR_OK, "sealed under key " ID_A);
	ck_assert_int_eq(one_record("keys.gdbm"), 0);
	FINDS("sealed", DOCTOR_OK, "sealed under key " ID_A);

	key_is(far_file, KEY_B KEY_A);
	FINDS("sealed", DOCTOR_WARNING, "keys.gdbm' is sealed under key " ID_A);
	ck_assert_str_eq(finding.mend, "pmkey reseal");
	key_is(far_file, KEY_A KEY_B);
	FINDS("sealed", DOCTOR_WARNING, "holds 2 keys");
	key_is(NULL, NULL);
	FINDS("sealed", DOCTOR_FAULT,
	    "keys.gdbm' is sealed, and STORE_KEY_FILE is not set");
	ck_assert_str_eq(finding.mend, "set STORE_KEY_FILE");
}
END_TEST

START_TEST(a_key_beside_the_stores_is_no_use)
{
	char beside[128];

	snprintf(beside, sizeof(beside), "%s/store.key", state_dir);
	key_is(beside, KEY_A);
	FINDS("sealed", DOCTOR_WARNING, "is on the disk of STATE_DIR");
}
END_TEST

START_TEST(a_key_that_cannot_be_read_is_told)
{
	key_is(far_file, "no key\n");
	FINDS("sealed", DOCTOR_FAULT, "no key can be read from '/dev/shm/");
	ck_assert_int_eq(unlink(far_file), 0);
	host_configure("STORE_KEY_FILE", far_file, NULL);
	FINDS("sealed", DOCTOR_FAULT, "no key can be read");
}
END_TEST

START_TEST(a_folder_that_is_not_seen_is_unknown)
{
	char gone[128];

	snprintf(gone, sizeof(gone), "%s/gone", root);
	host_configure("STATE_DIR", gone, NULL);
	FINDS("sealed", DOCTOR_UNKNOWN, "gone': ");
	FINDS("stores", DOCTOR_OK, "whole");
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("stores");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, stores_can_be_read);
	tcase_add_test(t, settings_out_of_bounds_are_damage);
	tcase_add_test(t, a_missing_key_is_no_damage);
	tcase_add_test(t, a_store_in_the_open_is_refused);
	tcase_add_test(t, a_sealed_store_that_is_changed_is_damaged);
	tcase_add_test(t, what_seals_is_named);
	tcase_add_test(t, a_key_beside_the_stores_is_no_use);
	tcase_add_test(t, a_key_that_cannot_be_read_is_told);
	tcase_add_test(t, a_folder_that_is_not_seen_is_unknown);
	return suite_run("doctor_stores", t, NULL);
}
