/*
 * gate.h - what the responder's parts share: the process (struct gate) and
 * the request in hand (struct call).
 */
#ifndef PMPROXY_GATE_H
#define PMPROXY_GATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/stat.h>

#include "lib/buf.h"
#include "lib/config.h"
#include "lib/http.h"
#include "lib/keys.h"
#include "lib/limits.h"
#include "lib/metrics.h"
#include "lib/openai.h"
#include "lib/peers.h"
#include "lib/prices.h"
#include "lib/settings.h"
#include "lib/upstream.h"
#include "lib/usage.h"

struct catalog;
struct connections;
struct json_object;
struct relay;

/* Made once; constant but for what guards itself. */
struct gate {
	struct config *config;
	struct peers peers; /* proxies that are believed */
	struct settings *settings;
	struct keys *keys;
	struct prices *prices;
	struct metrics *metrics;
	struct limits *limits;
	struct usage_journal *journal;
	struct upstream_pool *upstreams;
	struct upstream_loop *loop; /* for streams */
	struct upstream_loop *arrivals; /* for what arrivals.c serves */
	struct catalog *catalog;
	unsigned char secret[32];
	unsigned confined; /* enum sandbox_part: what holds */
	struct stat folders[2]; /* STATE_DIR and RUN_DIR, as confined to */
	int64_t max_in_flight; /* this process's share */
	char *upload_dir; /* where the web server keeps bodies */
	struct connections *connections; /* NULL: they tell nothing */
	atomic_int_fast64_t in_flight;
	atomic_int_fast64_t looked_ms; /* at the connections */
	atomic_int waiting; /* for room for a body */
	atomic_int journal_failed; /* or never tried: look before the next */
	pthread_mutex_t counting; /* the use of a key's month */
};

enum window {
	WINDOW_GLOBAL,
	WINDOW_KEY,
	WINDOW_TOKENS,
	WINDOW__MAX
};

/* The request in hand; wiped after it. */
struct call {
	struct gate *gate;
	struct http *http;
	const struct route *route;
	const char *origin; /* an allowed one, or NULL */
	char id[40]; /* x-request-id */
	int64_t now; /* Unix seconds when it came */
	int64_t began_ms; /* limits_now() when it came */
	struct settings_values live;
	struct key key;
	uint64_t key_hash; /* key_who: the same for all of its family */
	uint64_t address_hash; /* 0: not asked for yet */
	struct buf body;
	uint64_t ticket; /* of what the body holds; 0: nothing */
	int in_flight; /* counted as such */
	int status; /* of the answer, once it begins */
	struct openai_request request;
	struct limits_window windows[WINDOW__MAX];
	int windows_known; /* they were taken or looked at */
	struct limits_budget budget; /* month 0: none */
	int budget_known;
	int64_t prompt_expected, completion_expected; /* tokens */
	int scarce; /* less was left for it than it should have */
	int open_ended; /* its answer is as long as the model likes */
	struct limits_lease lease;
	int64_t retry_ms; /* when a refusal says when to return */
	struct relay *stream; /* its answer goes on without this thread */
	int quick; /* it is on the thread of arrivals.c, which must not wait */
	int left; /* it was, and would have had to */
};

/* A way to answer: a path, and what has to be true first. */
struct route {
	const char *method; /* HEAD goes with GET */
	const char *path; /* one that ends in "/" takes all below it */
	enum openai_endpoint endpoint;
	enum openai_dialect dialect;
	enum {
		OPEN_TO_ALL,
		LIMITED_BY_ADDRESS,
		FOR_METRICS,
		FOR_KEYS
	} access;
	/* Answers whole, or returns the error to answer with. */
	enum openai_error (*answer)(struct call *);
};

/*
 * serve.c: the life of one request. 'quick' says that the thread must not wait,
 * which is no use where serve_may_wait says so.
 */
enum served {
	SERVED, /* it is over */
	SERVED_BY_LOOP, /* relay_start is due; in the end serve_rest will be */
	SERVED_IN_PART /* quick: serve_on is due, where a wait harms nobody */
};
enum served serve(struct gate *, struct http *, struct call *, int quick);
enum served serve_on(struct call *);
void serve_rest(struct call *);
int serve_may_wait(struct http *);

/*
 * wipe.c: clears what earlier calls left on this thread's stack. (free(3) and
 * realloc(3) clear what is given back.)
 */
void wipe_stack(void);

/*
 * From now on what this thread frees goes back to the kernel where that is a
 * page or more: of a stream much was given back (http_settle), and wiping it
 * by hand would take it all again.
 */
void wipe_sparingly(int yes);

/*
 * confine.c: the process becomes the owner of STATE_DIR; it is confined; 1
 * once it is confined to a folder that another has replaced. The first two end
 * the process when that is impossible.
 */
void confine_user(const struct gate *);
void confine(struct gate *);
int confine_outlived(const struct gate *);

/*
 * renew.c: 1 when this responder is to end for a new one. To be asked every
 * RENEW_SECONDS: with other keys to read, one responder goes in each.
 */
#define RENEW_SECONDS 5
int renew_due(const struct gate *);

/* admit.c: who is it, and is there room? Each OPENAI_OK or the refusal. */
enum openai_error admit_address(struct call *);
enum openai_error admit_key(struct call *);
enum openai_error admit_load(struct call *);
enum openai_error admit_metrics(struct call *);
enum openai_error admit_request(struct call *, int64_t tokens);
/* Both fill in the windows and take nothing; the second refuses, too. */
enum openai_error admit_look(struct call *);
enum openai_error admit_foresee(struct call *);
/* The true number of tokens is known. */
void admit_settle(struct call *, int64_t tokens);
void admit_release(struct call *);

/*
 * body.c: room for bodies. body_was_asked is 1 for one that the web server
 * asked about before it took it in; body_admit answers when it asks. The other
 * takes what has not been taken then. What is held admit_release gives back.
 */
int body_was_asked(struct call *);
enum openai_error body_admit(struct call *);
enum openai_error body_take(struct call *);

/*
 * budget.c: a key's month. budget_expect says what to reserve when the request
 * is admitted; 'open_ended': of 'completion' as much as there is, and near the
 * end of the budget the answer is bounded to it. budget_take is
 * limits_take_budget for a call, and counts the month's use when nobody has
 * yet.
 */
enum openai_error budget_expect(
    struct call *, int64_t prompt, int64_t completion, int open_ended);
enum limits_result budget_take(struct call *);
/*
 * Adds what the keys that it replaced, or that replace it, used this month; 0
 * or -1. All of them share one budget.
 */
int budget_add_others(struct call *, int64_t *eur, int64_t *tokens);
/* 1 when so much of a budget is gone that its holder is to be told. */
int budget_warns(const struct call *, int64_t budget, int64_t left);
/* Unix seconds of the start of the month (UTC) after that one. */
int64_t budget_next_month(int64_t unix_s);

/* answer.c: heads, errors and small JSON answers. */
int answer_begin(struct call *, int status); /* the fields of every answer */
void answer_error(struct call *, enum openai_error, int status);
/* Sends and frees; NULL (no memory) becomes an error. */
enum openai_error answer_json(struct call *, int status, struct json_object *);

/* relay.c: to the upstream and back. */
enum upstream_end relay_run(struct call *, const struct upstream_exchange *);
enum openai_error relay_answer(struct call *);
/* The same, after a wait was to be avoided (c->left). */
enum openai_error relay_answer_on(struct call *);
/* One that a loop has: its begin, and what is left to do at its end. */
void relay_start(struct call *);
enum openai_error relay_rest(struct call *);

/* account.c: one journal line a request, and the windows settled. */
struct outcome {
	int status; /* as sent, or 499 when the client was gone before */
	int estimated;
	int64_t prompt, completion, cached, total, audio_bytes, audio_ms;
	int64_t first_byte_ms; /* limits_now() then; -1: none came */
};
void account(struct call *, const struct outcome *);

/* metrics.c: GET /metrics, and what is counted for it. */
enum openai_error metrics_token(struct call *, const char *presented);
enum openai_error metrics_answer(struct call *);
void metrics_refusal(struct call *, enum openai_error);
void metrics_use(struct call *, const struct usage_record *);
void metrics_end(struct call *);

/* info.c: what the gate says of itself and its keys. */
enum openai_error info_health(struct call *);
enum openai_error info_ready(struct call *);
enum openai_error info_key(struct call *);
enum openai_error info_usage(struct call *);
enum openai_error info_models(struct call *);

#endif
