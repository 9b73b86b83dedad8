/*
 * report.c - a ring of the last requests, counts, and who awaits them.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "lib/text.h"
#include "loop.h"
#include "report.h"

static struct {
	struct record *ring[REPORT_KEPT];
	size_t next; /* where the next record goes */
	int64_t requests, posts, open, done, aborted;
	int64_t connections, connections_open;
	unsigned generation;
	struct waiter *waiters;
} report;

static void
record_drop(struct record *record)
{
	if (record == NULL || --record->holders > 0)
		return;
	free(record->body);
	free(record);
}

static int
wait_is_met(const struct waiter *w)
{
	switch (w->what) {
	case COUNT_OPEN:
		return report.open == w->n;
	case COUNT_ABORTED:
		return report.aborted >= w->n;
	case COUNT_DONE:
		return report.done >= w->n;
	default:
		return report.requests >= w->n;
	}
}

static void
report_changed(void)
{
	struct waiter *w, *next;

	for (w = report.waiters; w != NULL; w = next) {
		next = w->next;
		if (wait_is_met(w)) {
			report_forget(w);
			w->met(w);
		}
	}
}

static void
ring_add(struct record *record)
{
	record_drop(report.ring[report.next]);
	report.ring[report.next] = record;
	record->holders++;
	report.next = (report.next + 1) % REPORT_KEPT;
}

struct record *
report_begin(struct view head, int counted)
{
	struct record *record = malloc(sizeof(*record) + head.n);

	if (record == NULL)
		return NULL;
	memset(record, 0, sizeof(*record));
	record->start_us = loop_now();
	record->counted = counted;
	record->generation = report.generation;
	record->holders = 1;
	record->head_len = head.n;
	memcpy(record->head, head.p, head.n);
	if (!counted)
		return record;
	ring_add(record);
	report.requests++;
	report.posts += head.n > 5 && memcmp(head.p, "POST ", 5) == 0;
	report.open++;
	report_changed();
	return record;
}

void
report_body(struct record *record, const char *p, size_t n)
{
	if (!record->counted)
		return;
	record->body_len = n;
	secret_sha256(record->sha256, p, n);
	if (n == 0 || n > REPORT_BODY_KEPT)
		return;
	record->body = malloc(n);
	if (record->body != NULL)
		memcpy(record->body, p, n);
}

void
report_end(struct record *record, enum report_state state)
{
	record->state = state;
	record->end_us = loop_now();
	if (record->counted && record->generation == report.generation) {
		report.open--;
		if (state == REPORT_DONE)
			report.done++;
		else
			report.aborted++;
		report_changed();
	}
	record_drop(record);
}

void
report_connection(int opened)
{
	report.connections += opened;
	report.connections_open += opened ? 1 : -1;
}

void
report_reset(void)
{
	size_t i;

	for (i = 0; i < REPORT_KEPT; i++) {
		record_drop(report.ring[i]);
		report.ring[i] = NULL;
	}
	report.next = 0;
	report.requests = report.posts = report.connections = 0;
	report.open = report.done = report.aborted = 0;
	report.generation++;
	report_changed();
}

int
report_wait(struct waiter *w)
{
	if (wait_is_met(w))
		return 1;
	w->next = report.waiters;
	w->before = &report.waiters;
	if (w->next != NULL)
		w->next->before = &w->next;
	report.waiters = w;
	return 0;
}

void
report_forget(struct waiter *w)
{
	if (w->before == NULL)
		return;
	*w->before = w->next;
	if (w->next != NULL)
		w->next->before = w->before;
	w->before = NULL;
}

static void
put(struct json_object *object, const char *name, int64_t n)
{
	(void)json_object_object_add(object, name, json_object_new_int64(n));
}

struct json_object *
report_stats(void)
{
	struct json_object *stats = json_object_new_object();

	put(stats, "requests", report.requests);
	put(stats, "posts", report.posts);
	put(stats, "open", report.open);
	put(stats, "aborted", report.aborted);
	put(stats, "done", report.done);
	put(stats, "connections", report.connections);
	put(stats, "connections_open", report.connections_open);
	return stats;
}

static struct json_object *
view_json(struct view v)
{
	return json_object_new_string_len(v.p == NULL ? "" : v.p, (int)v.n);
}

static struct json_object *
headers_json(const struct record *record)
{
	struct json_object *all = json_object_new_array(), *pair;
	struct view head = { record->head, record->head_len }, name, value;
	size_t at = 0;

	while (http_header_next(head, &at, &name, &value)) {
		pair = json_object_new_array();
		(void)json_object_array_add(pair, view_json(name));
		(void)json_object_array_add(pair, view_json(value));
		(void)json_object_array_add(all, pair);
	}
	return all;
}

static struct json_object *
base64_json(const char *p, size_t n)
{
	struct json_object *text;
	char *encoded = malloc((n + 2) / 3 * 4 + 1);
	int len;

	if (encoded == NULL)
		return NULL;
	len = EVP_EncodeBlock(
	    (unsigned char *)encoded, (const unsigned char *)p, (int)n);
	text = json_object_new_string_len(encoded, len);
	free(encoded);
	return text;
}

static struct json_object *
record_json(const struct record *record, int with_body)
{
	static const char *const states[] = { "open", "done", "aborted" };
	struct json_object *o = json_object_new_object();
	char hex[2 * SECRET_DIGEST_LEN + 1];
	struct http_head head;
	int64_t end = record->end_us;

	(void)http_head_parse(&head, record->head, record->head_len);
	(void)json_object_object_add(o, "method", view_json(head.method));
	(void)json_object_object_add(o, "path", view_json(head.path));
	(void)json_object_object_add(o, "query", view_json(head.query));
	(void)json_object_object_add(o, "headers", headers_json(record));
	put(o, "body_length", (int64_t)record->body_len);
	(void)json_object_object_add(o, "body_sha256",
	    json_object_new_string(
		text_hex(hex, record->sha256, SECRET_DIGEST_LEN)));
	(void)json_object_object_add(
	    o, "state", json_object_new_string(states[record->state]));
	if (record->state == REPORT_OPEN)
		end = loop_now();
	put(o, "ms", (end - record->start_us) / 1000);
	put(o, "connection", (int64_t)record->connection);
	put(o, "request_on_connection", (int64_t)record->on_connection);
	if (with_body && record->body_len <= REPORT_BODY_KEPT)
		(void)json_object_object_add(o, "body_base64",
		    record->body == NULL
			? json_object_new_string("")
			: base64_json(record->body, record->body_len));
	return o;
}

struct json_object *
report_requests(int64_t n, int with_bodies)
{
	struct json_object *all = json_object_new_array();
	const struct record *record;
	size_t i;

	for (i = REPORT_KEPT - (size_t)n; i < REPORT_KEPT; i++) {
		record = report.ring[(report.next + i) % REPORT_KEPT];
		if (record != NULL)
			(void)json_object_array_add(
			    all, record_json(record, with_bodies));
	}
	return all;
}
