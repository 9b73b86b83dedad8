/*
 * Live settings: a record "s:NAME" holds the value as it was typed. The
 * values of a snapshot are read once and then only copied.
 */
#include "settings.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db_watch.h"
#include "log.h"

#define PREFIX "s:"
#define NAME_SIZE 64
#define VALUE_MAX 64

struct settings {
	const struct config *config;
	pthread_rwlock_t lock; /* of all below */
	struct db_watch store;
	struct settings_values values; /* of the store's snapshot */
};

static char *
store_path(const char *state_dir)
{
	char *path;

	if (asprintf(&path, "%s/settings.gdbm", state_dir) != -1)
		return path;
	log_warn("cannot open the settings in '%s'", state_dir);
	return NULL;
}

static char *
record_name(char dst[NAME_SIZE], enum config_name name)
{
	snprintf(dst, NAME_SIZE, PREFIX "%s", config_label(name));
	return dst;
}

/* One value, out of the store or else the configuration; 0 or -1. */
static int
read_value(struct settings *s, enum config_name name, struct buf *text)
{
	struct settings_values *v = &s->values;
	char record[NAME_SIZE];
	int got = db_get(s->store.db, record_name(record, name), text);

	if (got == -1)
		return -1;
	v->stored[name] = got == 1;
	v->number[name] = config_number(s->config, name);
	if (got == 0)
		return 0;
	if (strlen(text->data) == text->len &&
	    config_parse(name, text->data, &v->number[name]) == 0)
		return 0;
	log_warnx("'%s' holds no valid value for %s", s->store.path,
	    config_label(name));
	return -1;
}

static int
read_values(struct settings *s)
{
	struct buf text = BUF(VALUE_MAX);
	int bad = 0;

	s->values = (struct settings_values){ 0 };
	for (enum config_name name = 0; name < CONFIG__MAX; name++)
		if (config_is_live(name))
			bad |= read_value(s, name, &text);
	buf_free(&text);
	return bad;
}

/* 0 with values that are in force, or -1. */
static int
refresh(struct settings *s)
{
	int fresh = db_watch_refresh(&s->store);

	if (fresh != 1 || read_values(s) == 0)
		return fresh == -1 ? -1 : 0;
	db_watch_drop(&s->store);
	return -1;
}

struct settings *
settings_open(const char *state_dir, const struct config *config)
{
	struct settings *s = calloc(1, sizeof(*s));
	char *path = store_path(state_dir);

	if (s == NULL || path == NULL ||
	    pthread_rwlock_init(&s->lock, NULL) != 0) {
		if (path != NULL)
			log_warn("cannot open '%s'", path);
		free(path);
		free(s);
		return NULL;
	}
	s->config = config;
	db_watch_init(&s->store, path);
	(void)refresh(s); /* what is wrong is better logged now */
	return s;
}

void
settings_close(struct settings *s)
{
	if (s == NULL)
		return;
	db_watch_close(&s->store);
	(void)pthread_rwlock_destroy(&s->lock);
	free(s);
}

static void
lock_or_die(int failed)
{
	if (failed)
		abort(); /* a lock of ours is broken: nothing can be right */
}

/* The common case, in which threads do not wait for each other. */
static int
read_current(struct settings *s, struct settings_values *out)
{
	int current;

	lock_or_die(pthread_rwlock_rdlock(&s->lock));
	current = db_watch_current(&s->store);
	if (current)
		*out = s->values;
	lock_or_die(pthread_rwlock_unlock(&s->lock));
	return current;
}

int
settings_read(struct settings *s, struct settings_values *out)
{
	int result;

	if (read_current(s, out))
		return 0;
	lock_or_die(pthread_rwlock_wrlock(&s->lock));
	if ((result = refresh(s)) == 0)
		*out = s->values;
	lock_or_die(pthread_rwlock_unlock(&s->lock));
	return result;
}

/* Changes one record; NULL removes it. */
static int
change(const char *state_dir, enum config_name name, const char *value)
{
	char *path = store_path(state_dir), record[NAME_SIZE];
	struct db *db = path == NULL ? NULL : db_edit(path);
	int bad;

	free(path);
	if (db == NULL)
		return -1;
	record_name(record, name);
	bad = value != NULL ? db_put(db, record, value, strlen(value))
			    : db_del(db, record);
	if (bad == -1) {
		db_close(db);
		return -1;
	}
	return db_watch_commit(db);
}

static int
check_live(enum config_name name)
{
	if (name < CONFIG__MAX && config_is_live(name))
		return 0;
	log_warnx("%s cannot be changed while the gate runs",
	    name < CONFIG__MAX ? config_label(name) : "an unknown setting");
	return -1;
}

int
settings_set(const char *state_dir, enum config_name name, const char *value)
{
	char least[CONFIG_NUMBER_SIZE], most[CONFIG_NUMBER_SIZE];
	int64_t number, min, max;

	if (check_live(name) == -1)
		return -1;
	if (strlen(value) > VALUE_MAX ||
	    config_parse(name, value, &number) == -1) {
		(void)config_is_number(name, &min, &max);
		log_warnx("%s is from %s to %s", config_label(name),
		    config_number_text(least, name, min),
		    config_number_text(most, name, max));
		return -1;
	}
	return change(state_dir, name, value);
}

int
settings_unset(const char *state_dir, enum config_name name)
{
	if (check_live(name) == -1)
		return -1;
	return change(state_dir, name, NULL);
}
