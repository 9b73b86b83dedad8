/*
 * Prices in STATE_DIR/settings.gdbm: a record "price:MODEL" each, with the
 * model's whole history.
 */
#include "prices.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db_watch.h"
#include "log.h"
#include "prices_internal.h"

#define PREFIX "price:"
#define NAME_SIZE (sizeof(PREFIX) + PRICES_MODEL_SIZE)
#define HOUR 3600

struct prices {
	pthread_rwlock_t lock; /* of all below */
	struct db_watch store;
	struct prices_book book; /* of the store's snapshot */
};

static char *
store_path(const char *state_dir)
{
	char *path;

	if (asprintf(&path, "%s/settings.gdbm", state_dir) != -1)
		return path;
	log_warn("cannot open the prices in '%s'", state_dir);
	return NULL;
}

static int
read_record(const char *key, const char *val, size_t len, void *arg)
{
	const char *model = key + sizeof(PREFIX) - 1;

	if (prices_book_read(arg, model, val, len) == 0)
		return 0;
	log_warnx("the record '%s' of settings.gdbm holds no prices", key);
	return 1; /* -1 is db_each's own */
}

static int
read_book(struct db *db, struct prices_book *book)
{
	prices_book_free(book);
	if (db_each(db, PREFIX, read_record, book) == 0)
		return 0;
	prices_book_free(book);
	return -1;
}

static void
lock_or_die(int failed)
{
	if (failed)
		abort(); /* a lock of ours is broken: nothing can be right */
}

struct prices *
prices_open(const char *state_dir)
{
	struct prices *p = calloc(1, sizeof(*p));
	char *path = store_path(state_dir);

	if (p == NULL || path == NULL ||
	    pthread_rwlock_init(&p->lock, NULL) != 0) {
		log_warnx("out of memory for prices");
		free(path);
		free(p);
		return NULL;
	}
	db_watch_init(&p->store, path);
	return p;
}

void
prices_close(struct prices *p)
{
	if (p == NULL)
		return;
	prices_book_free(&p->book);
	db_watch_close(&p->store);
	(void)pthread_rwlock_destroy(&p->lock);
	free(p);
}

int
prices_refresh(struct prices *p)
{
	int fresh;

	lock_or_die(pthread_rwlock_rdlock(&p->lock));
	fresh = db_watch_current(&p->store);
	lock_or_die(pthread_rwlock_unlock(&p->lock));
	if (fresh)
		return 0;
	lock_or_die(pthread_rwlock_wrlock(&p->lock));
	fresh = db_watch_refresh(&p->store);
	if (fresh == 1 && read_book(p->store.db, &p->book) == -1) {
		db_watch_drop(&p->store);
		fresh = -1;
	}
	lock_or_die(pthread_rwlock_unlock(&p->lock));
	return fresh == -1 ? -1 : 0;
}

struct price
prices_at(struct prices *p, const char *model, int64_t at)
{
	struct price price;

	lock_or_die(pthread_rwlock_rdlock(&p->lock));
	price = prices_book_at(&p->book, model, at);
	lock_or_die(pthread_rwlock_unlock(&p->lock));
	return price;
}

int64_t
prices_cost(struct prices *p, const struct prices_use *use)
{
	struct price price = prices_at(p, use->model, use->at);

	return prices_cost_at(&price, use);
}

uint64_t
prices_basis(struct prices *p)
{
	uint64_t basis;

	lock_or_die(pthread_rwlock_rdlock(&p->lock));
	basis = p->book.basis;
	lock_or_die(pthread_rwlock_unlock(&p->lock));
	return basis;
}

uint64_t
prices_basis_before(struct prices *p, int64_t before)
{
	uint64_t basis;

	lock_or_die(pthread_rwlock_rdlock(&p->lock));
	basis = prices_book_basis(&p->book, before);
	lock_or_die(pthread_rwlock_unlock(&p->lock));
	return basis;
}

typedef int each_fn(const struct prices_row *, void *);

/* The rows of one model: what the list says, then what was set. */
static int
each_row(
    const struct prices_book *book, const char *model, each_fn *fn, void *arg)
{
	const struct prices_history *h = prices_book_find(book, model);
	struct prices_row row = { .model = model };
	int answer = 0, found;

	for (size_t i = 0; answer == 0 && i < prices_list_n; i++) {
		if (strcmp(prices_list[i].model, model) != 0)
			continue;
		row.from = prices_list[i].from;
		row.price = prices_list[i].price;
		answer = fn(&row, arg);
	}
	for (size_t i = 0; answer == 0 && h != NULL && i < h->n; i++) {
		row.from = h->change[i].from;
		row.set = !h->change[i].listed;
		row.price = h->change[i].price;
		if (!row.set)
			row.price = prices_listed_at(model, row.from, &found);
		answer = fn(&row, arg);
	}
	return answer;
}

static int
is_listed(const char *model)
{
	int found;

	(void)prices_listed_at(model, INT64_MAX, &found);
	return found;
}

static int
each_locked(const struct prices_book *book, each_fn *fn, void *arg)
{
	const char *last = "";
	int answer = 0;

	for (size_t i = 0; answer == 0 && i < prices_list_n; i++) {
		const char *model = prices_list[i].model;

		if (strcmp(model, PRICES_OTHERS) != 0 &&
		    strcmp(model, last) != 0)
			answer = each_row(book, model, fn, arg);
		last = model;
	}
	for (size_t i = 0; answer == 0 && i < book->n; i++)
		if (!is_listed(book->history[i].model))
			answer =
			    each_row(book, book->history[i].model, fn, arg);
	return answer == 0 ? each_row(book, PRICES_OTHERS, fn, arg) : answer;
}

int
prices_each(struct prices *p, each_fn *fn, void *arg)
{
	int answer;

	lock_or_die(pthread_rwlock_rdlock(&p->lock));
	answer = each_locked(&p->book, fn, arg);
	lock_or_die(pthread_rwlock_unlock(&p->lock));
	return answer;
}

/* Adds the change to the model's record in an edit of the store; 0 or -1. */
static int
put_change(struct db *db, const char *model, const struct prices_change *change)
{
	struct buf record = BUF(PRICES_RECORD_MAX);
	struct prices_book book = { 0 };
	char name[NAME_SIZE];
	int done = -1;

	(void)snprintf(name, sizeof(name), PREFIX "%s", model);
	if (read_book(db, &book) == 0)
		done = prices_book_write(&book, model, change, &record);
	prices_book_free(&book);
	if (done == -2)
		log_warnx("the price of '%s' was changed in a later hour than "
			  "this: is the clock right?",
		    model);
	else if (done == -1)
		log_warnx("no room for the price of '%s'", model);
	else
		done = db_put(db, name, record.data, record.len);
	buf_free(&record);
	return done == 0 ? 0 : -1;
}

int
prices_set(const char *state_dir, const char *model, const struct price *price,
    int64_t now)
{
	struct prices_change change = { .from = now - now % HOUR,
		.listed = price == NULL };
	const char *problem = prices_problem(model, price);
	char *path;
	struct db *db;

	if (problem != NULL || now < 0) {
		log_warnx("no price is set: %s",
		    problem != NULL ? problem : "the clock is before 1970");
		return -1;
	}
	if (price != NULL)
		change.price = *price;
	path = store_path(state_dir);
	db = path == NULL ? NULL : db_edit(path);
	free(path);
	if (db == NULL)
		return -1;
	if (put_change(db, model, &change) == 0)
		return db_watch_commit(db);
	db_close(db);
	return -1;
}
