/*
 * The upstream's models: one short exchange, and a set of names; and a thread
 * that asks for them when an admin page wants to know.
 */
#include "catalog.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <json-c/json.h>

#include "gate.h"
#include "lib/log.h"
#include "lib/probe.h"
#include "relay.h"

/* A list is a few KiB; past this it is none. */
#define LIST_MAX (1 << 20)
#define NAMES_MAX 1000
_Static_assert(PROBE_MODEL_SIZE == USAGE_MODEL_SIZE, "names are copied");
/* A list comes at once or the upstream is in trouble. */
#define LIST_TIMEOUT_MS 5000
/* No more often than this is the upstream asked on our own account. */
#define ASK_AGAIN_MS 5000

struct catalog {
	pthread_rwlock_t lock; /* around all of it; held for no I/O */
	char names[NAMES_MAX][USAGE_MODEL_SIZE];
	size_t n;
	int64_t asked_ms; /* limits_now() of the last answer; 0: never */
	int64_t asked_at; /* the same in Unix seconds */
	enum openai_error state;
	int probes; /* probe_listen's descriptor */
};

/* Pages wait for it, so it is not for a worker that may be busy for long. */
#define PROBE_STACK_BYTES (256 * 1024)

struct catalog *
catalog_new(const char *run_dir)
{
	struct catalog *c = calloc(1, sizeof(*c));

	if (c == NULL || pthread_rwlock_init(&c->lock, NULL) != 0) {
		log_warn("cannot keep the list of models");
		free(c);
		return NULL;
	}
	if ((c->probes = probe_listen(run_dir)) == -1) {
		(void)pthread_rwlock_destroy(&c->lock); /* nobody has it */
		free(c);
		return NULL;
	}
	return c;
}

struct listing {
	struct buf body;
	int status;
};

static int
on_head(void *arg, const struct upstream_head *head)
{
	struct listing *l = arg;

	l->status = head->status;
	return 0;
}

static int
on_body(void *arg, const char *p, size_t n)
{
	struct listing *l = arg;

	return buf_add(&l->body, p, n);
}

static int
on_pause(void *arg)
{
	(void)arg;
	return 0;
}

static struct json_object *
data_of(struct json_object *list)
{
	struct json_object *data = NULL;

	if (!json_object_is_type(list, json_type_object) ||
	    !json_object_object_get_ex(list, "data", &data) ||
	    !json_object_is_type(data, json_type_array))
		return NULL;
	return data;
}

static void
remember(struct catalog *c, struct json_object *data)
{
	size_t n = data != NULL ? json_object_array_length(data) : 0;

	c->n = 0;
	for (size_t i = 0; i < n && c->n < NAMES_MAX; i++) {
		struct json_object *id = NULL;
		const char *name;

		if (!json_object_object_get_ex(
			json_object_array_get_idx(data, i), "id", &id) ||
		    !json_object_is_type(id, json_type_string))
			continue;
		name = json_object_get_string(id);
		if (strlen(name) < USAGE_MODEL_SIZE)
			memcpy(c->names[c->n++], name, strlen(name) + 1);
	}
}

static enum openai_error
read_listing(
    enum upstream_end end, const struct listing *l, struct json_object **list)
{
	*list = NULL;
	if (end == UPSTREAM_TIMEOUT)
		return OPENAI_UPSTREAM_TIMEOUT;
	if (end == UPSTREAM_DONE && (l->status == 401 || l->status == 403)) {
		log_warnx("the upstream refuses PRIVATEMODE_API_KEY");
		return OPENAI_UPSTREAM_AUTH;
	}
	if (end != UPSTREAM_DONE || l->status != 200)
		return OPENAI_UPSTREAM_UNREACHABLE;
	*list = json_tokener_parse(l->body.data);
	if (data_of(*list) != NULL)
		return OPENAI_OK;
	log_warnx("the upstream's list of models cannot be read");
	json_object_put(*list);
	*list = NULL;
	return OPENAI_UPSTREAM_UNREACHABLE;
}

enum openai_error
catalog_fetch(struct call *call, struct json_object **list)
{
	struct catalog *c = call->gate->catalog;
	struct listing l = { .body = BUF(LIST_MAX) };
	struct relay_fields fields;
	struct upstream_exchange x = {
		.method = "GET",
		.path = "/v1/models",
		.connect_ms = LIST_TIMEOUT_MS,
		.first_byte_ms = LIST_TIMEOUT_MS,
		.idle_ms = LIST_TIMEOUT_MS,
		.total_ms = LIST_TIMEOUT_MS,
		.watch_fd = -1,
		.on_head = on_head,
		.on_body = on_body,
		.on_pause = on_pause,
		.arg = &l,
	};
	enum upstream_end end = UPSTREAM_UNREACHABLE;
	enum openai_error error;

	x.fields = (const char *const *)fields.field;
	if (relay_fields_fill(call, &fields, 0) == 0)
		end = relay_run(call, &x);
	error = read_listing(end, &l, list);
	buf_free(&l.body);
	relay_fields_free(&fields);
	(void)pthread_rwlock_wrlock(&c->lock); /* only a bug makes it fail */
	c->asked_ms = limits_now();
	c->asked_at = time(NULL);
	c->state = error;
	if (error == OPENAI_OK)
		remember(c, data_of(*list));
	(void)pthread_rwlock_unlock(&c->lock);
	return error;
}

static int
has(const struct catalog *c, const char *model)
{
	for (size_t i = 0; i < c->n; i++)
		if (strcmp(c->names[i], model) == 0)
			return 1;
	return 0;
}

/* Asks the upstream unless that was done a moment ago. */
static void
ask_again(struct call *call)
{
	struct catalog *c = call->gate->catalog;
	struct json_object *list = NULL;
	int64_t asked_ms;

	(void)pthread_rwlock_rdlock(&c->lock); /* only a bug makes it fail */
	asked_ms = c->asked_ms;
	(void)pthread_rwlock_unlock(&c->lock);
	if (asked_ms != 0 && limits_now() - asked_ms < ASK_AGAIN_MS)
		return;
	if (catalog_fetch(call, &list) == OPENAI_OK)
		json_object_put(list);
}

int
catalog_lists(struct call *call, const char *model)
{
	struct catalog *c = call->gate->catalog;
	int known;

	for (int attempt = 0; attempt < 2; attempt++) {
		(void)pthread_rwlock_rdlock(&c->lock); /* as above */
		known = has(c, model);
		(void)pthread_rwlock_unlock(&c->lock);
		if (known || attempt == 1)
			break;
		ask_again(call);
	}
	return known;
}

enum openai_error
catalog_upstream_state(struct call *call)
{
	struct catalog *c = call->gate->catalog;
	enum openai_error state;

	ask_again(call);
	(void)pthread_rwlock_rdlock(&c->lock); /* as above */
	state = c->state;
	(void)pthread_rwlock_unlock(&c->lock);
	return state;
}

static enum probe_state
probe_state_of(enum openai_error state)
{
	switch (state) {
	case OPENAI_OK:
		return PROBE_REACHABLE;
	case OPENAI_UPSTREAM_AUTH:
		return PROBE_REFUSED;
	case OPENAI_UPSTREAM_TIMEOUT:
		return PROBE_SILENT;
	default:
		return PROBE_UNREACHABLE;
	}
}

static void
publish(struct gate *g, struct probe *p)
{
	struct catalog *c = g->catalog;

	(void)pthread_rwlock_rdlock(&c->lock); /* as above */
	*p = (struct probe){ .state = probe_state_of(c->state),
		.at = c->asked_at };
	for (; p->n < c->n && p->n < PROBE_MODELS_MAX; p->n++)
		memcpy(p->models[p->n], c->names[p->n], PROBE_MODEL_SIZE);
	(void)pthread_rwlock_unlock(&c->lock);
	/* It has been logged; whoever asked waits in vain, but not for long. */
	(void)probe_publish(config_text(g->config, CONFIG_RUN_DIR), p);
}

static void *
answer_probes(void *arg)
{
	struct call call = { .gate = arg };
	struct probe look;

	while (probe_wait(call.gate->catalog->probes) == 0) {
		ask_again(&call);
		publish(call.gate, &look);
	}
	return NULL;
}

int
catalog_answer_probes(struct gate *g)
{
	pthread_attr_t attr;
	pthread_t thread;
	int failed;

	if (pthread_attr_init(&attr) != 0)
		return -1;
	failed = pthread_attr_setstacksize(&attr, PROBE_STACK_BYTES) != 0 ||
	    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED) != 0 ||
	    pthread_create(&thread, &attr, answer_probes, g) != 0;
	(void)pthread_attr_destroy(&attr); /* glibc: always 0 */
	return failed ? -1 : 0;
}
