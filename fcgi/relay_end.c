/* How an answer ends: whole, broken, refused, or with nobody to read it. */
#include "relay_internal.h"

#include <stdio.h>

#include "lib/log.h"
#include "lib/text.h"

static enum openai_error
finish_error(struct relay *r)
{
	int status = r->head.status;

	if (status < 400 || status > 599) {
		log_warnx("the upstream answers with status %d", status);
		relay_settle(r, 502, 0);
		return OPENAI_UPSTREAM_UNREACHABLE;
	}
	if (status == 401 || status == 403) {
		log_warnx("the upstream refuses PRIVATEMODE_API_KEY");
		relay_settle(r, 502, 0);
		return OPENAI_UPSTREAM_AUTH;
	}
	relay_settle(r, status, 0);
	if (r->held.failed || !openai_is_error_object(r->held.data)) {
		int64_t seconds = 0;

		if (text_to_i64(r->head.retry_after, 1, 86400, &seconds) == 0)
			r->c->retry_ms = seconds * 1000;
		answer_error(r->c,
		    status == 429 ? OPENAI_RATE_REQUESTS
				  : OPENAI_UPSTREAM_ERROR,
		    status);
		return OPENAI_OK;
	}
	(void)snprintf(r->head.content_type, sizeof(r->head.content_type),
	    "application/json");
	if (relay_send_head(r, (int64_t)r->held.len) == -1 ||
	    relay_send_held(r) == -1)
		http_cut(r->c->http);
	return OPENAI_OK;
}

/* The answer broke off. Tell so in the way that is left. */
static enum openai_error
finish_broken(struct relay *r)
{
	struct buf event = BUF(4096);

	relay_settle(r, 502, relay_is_success(r));
	if (!r->head_sent)
		return OPENAI_UPSTREAM_BROKEN;
	if (r->kind != EVENTS ||
	    openai_error_event(&event, OPENAI_UPSTREAM_BROKEN,
		r->c->route->dialect, r->c->id) == -1 ||
	    relay_send(r, event.data, event.len) == -1)
		http_cut(r->c->http);
	buf_free(&event);
	return OPENAI_OK;
}

/* The client is gone; the upstream may have worked all the same. */
static enum openai_error
finish_stopped(struct relay *r)
{
	if (r->kind == ERROR)
		return finish_error(r);
	if (r->answer_bytes > RELAY_ANSWER_MAX) {
		log_warnx("the upstream's answer is too large");
		return finish_broken(r);
	}
	relay_settle(r, r->head_sent ? r->head.status : 499, 1);
	if (!r->head_sent)
		return OPENAI_CLIENT_GONE;
	/* Many a client hangs up on the last event. */
	if (r->kind == EVENTS && r->meter.finished) {
		(void)relay_send_held(r);
		return OPENAI_OK;
	}
	/* A client that closed one direction only may still read on. */
	return finish_broken(r);
}

static enum openai_error
finish_done(struct relay *r)
{
	if (r->kind == ERROR)
		return finish_error(r);
	meter_end(&r->meter);
	/* The SDKs take a tidy end without its last event for success. */
	if (r->kind == EVENTS && !r->meter.finished && !r->meter.failed) {
		log_warnx("the upstream ends a stream without its last event");
		return finish_broken(r);
	}
	relay_settle(r, r->head.status, 1);
	if ((!r->head_sent && relay_send_head(r, (int64_t)r->held.len) == -1) ||
	    relay_send_held(r) == -1)
		http_cut(r->c->http);
	return OPENAI_OK;
}

enum openai_error
relay_end(struct relay *r, enum upstream_end end)
{
	switch (end) {
	case UPSTREAM_DONE:
		return finish_done(r);
	case UPSTREAM_STOPPED:
		return finish_stopped(r);
	case UPSTREAM_UNSENT:
		relay_settle(r, 499, 0);
		return OPENAI_CLIENT_GONE;
	case UPSTREAM_BROKEN:
		if (r->kind == ERROR)
			return finish_error(r);
		/* Whatever breaks behind its last event, the stream is whole. */
		if (r->kind == EVENTS && r->meter.finished)
			return finish_done(r);
		return finish_broken(r);
	case UPSTREAM_TIMEOUT:
		relay_settle(r, 504, 0);
		return OPENAI_UPSTREAM_TIMEOUT;
	case UPSTREAM_UNREACHABLE:
	default:
		relay_settle(r, 502, 0);
		return OPENAI_UPSTREAM_UNREACHABLE;
	}
}
