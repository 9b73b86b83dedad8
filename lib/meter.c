/*
 * Reads usage out of an answer as it goes by. An event stream is taken line
 * by line along the WHATWG's rules; the data of each event is skimmed as one
 * JSON document. Only what is not decided yet is held back.
 */
#include <string.h>

#include "meter_internal.h"

enum line {
	IN_NAME,
	AFTER_COLON,
	IN_VALUE
};

enum field {
	FIELD_OTHER,
	FIELD_COMMENT,
	FIELD_DATA,
	FIELD_EVENT
};

/* --- an event and its lines --- */

static void
begin_line(struct meter *m)
{
	m->line = IN_NAME;
	m->field = FIELD_OTHER;
	m->name_len = 0;
	m->value_at = 0;
	m->last_value = "";
}

static void
begin_event(struct meter *m)
{
	m->has_fields = m->has_data = m->terminal = m->gave_up = 0;
	m->undecided = m->strip_usage;
}

/* Could this line, as far as it goes, be the stream's last one with sense? */
static int
may_be_last(const struct meter *m)
{
	if (m->line == IN_NAME)
		return m->name_len <= strlen("event") &&
		    (strncmp(m->name, "data", m->name_len) == 0 ||
			strncmp(m->name, "event", m->name_len) == 0);
	return m->last_value != NULL;
}

/* A comment ahead of an event is no part of it. */
static int
is_lone_comment(const struct meter *m)
{
	return m->field == FIELD_COMMENT && !m->has_fields;
}

static int
holding(const struct meter *m)
{
	if (m->gave_up || m->finished)
		return 0;
	return m->terminal || may_be_last(m) ||
	    (m->undecided && !is_lone_comment(m));
}

/* Settles the event; 'cut' says that its blank line never came. */
static enum meter_verdict
end_event(struct meter *m, int cut)
{
	int whole = json_skim_end(&m->skim) == 0, only = 0;
	int held_all = m->undecided && !m->gave_up;
	int terminal = m->terminal;

	if (!m->has_data) {
		begin_event(m);
		return METER_PASS;
	}
	if (whole || (cut && json_skim_feed(&m->skim, "", 0) == 0)) {
		meter_read_document(m);
	}
	if (whole) {
		m->failed |= meter_is_error(m);
		only = meter_is_usage_only(m);
		terminal |= meter_is_type(m, "message_stop");
	}
	begin_event(m);
	if (terminal) {
		m->finished = 1;
		return METER_LAST;
	}
	if (only)
		return held_all ? METER_DROP : METER_PASS;
	m->events += whole || !cut;
	return METER_PASS;
}

static void
feed_data(struct meter *m, const char *p, size_t n)
{
	if (json_skim_feed(&m->skim, p, n) == -1 || !meter_may_be_usage_only(m))
		m->undecided = 0;
}

static int
is_name(const struct meter *m, const char *name)
{
	return m->name_len == strlen(name) &&
	    memcmp(m->name, name, m->name_len) == 0;
}

/* The name is complete; its value, maybe an empty one, follows. */
static void
begin_value(struct meter *m)
{
	m->line = AFTER_COLON;
	m->last_value = NULL;
	if (m->name_len == 0) {
		m->field = FIELD_COMMENT;
		return;
	}
	m->has_fields = 1;
	if (is_name(m, "event")) {
		m->field = FIELD_EVENT;
		m->last_value = "message_stop";
	} else if (is_name(m, "data")) {
		m->field = FIELD_DATA;
		if (m->has_data) {
			feed_data(m, "\n", 1);
		} else {
			m->has_data = 1;
			m->last_value = "[DONE]";
			json_skim_again(&m->skim);
		}
	}
}

static void
read_value(struct meter *m, const char *p, size_t n)
{
	const char *last = m->last_value;

	if (last != NULL &&
	    (n > strlen(last) - m->value_at ||
		memcmp(last + m->value_at, p, n) != 0))
		m->last_value = NULL;
	m->value_at += n;
	if (m->field == FIELD_DATA)
		feed_data(m, p, n);
}

/* At most as many bytes of a name are kept as tell it from all we know. */
static void
read_name(struct meter *m, char c)
{
	if (c == ':') {
		begin_value(m);
		return;
	}
	if (m->name_len < sizeof(m->name))
		m->name[m->name_len++] = c;
	if (m->at_start && is_name(m, "\xef\xbb\xbf")) {
		m->name_len = 0; /* a byte order mark */
		m->at_start = 0;
	}
}

static enum meter_verdict
end_line(struct meter *m, int cut)
{
	enum meter_verdict verdict = METER_PASS;

	if (m->line == IN_NAME && m->name_len == 0) {
		verdict = end_event(m, cut);
	} else {
		if (m->line == IN_NAME)
			begin_value(m);
		m->terminal |= m->last_value != NULL &&
		    m->value_at == strlen(m->last_value);
		m->last_value = NULL;
	}
	m->at_start = 0;
	return verdict;
}

/* --- the bytes --- */

struct taken {
	size_t used;
	enum meter_verdict verdict;
	int released; /* what was held up to here may go */
};

static struct taken
take_line_end(struct meter *m, char c)
{
	int blank = m->line == IN_NAME && m->name_len == 0;
	struct taken t = { 1, METER_PASS, 0 };

	t.verdict = end_line(m, 0);
	t.released = blank || !holding(m);
	m->after_cr = c == '\r';
	m->after_dropped_cr = t.verdict == METER_DROP;
	begin_line(m);
	return t;
}

/* The LF of a CRLF goes the way of its CR. */
static struct taken
take_lf_after_cr(struct meter *m)
{
	struct taken t = { 1, METER_PASS, m->held == 0 };

	if (m->after_dropped_cr)
		t.verdict = METER_DROP;
	return t;
}

static size_t
length_of_line(const char *p, size_t n)
{
	const char *end = memchr(p, '\n', n);

	if (end != NULL)
		n = (size_t)(end - p);
	end = memchr(p, '\r', n);
	return end != NULL ? (size_t)(end - p) : n;
}

/* One step through a line: at least one byte, all in one state. */
static struct taken
take_some(struct meter *m, const char *p, size_t n)
{
	struct taken t = { 1, METER_PASS, 0 };
	int after_cr = m->after_cr;

	m->after_cr = 0;
	if (after_cr && *p == '\n')
		return take_lf_after_cr(m);
	if (*p == '\n' || *p == '\r')
		return take_line_end(m, *p);
	if (m->line == IN_NAME) {
		read_name(m, *p);
	} else if (m->line == AFTER_COLON && *p == ' ') {
		m->line = IN_VALUE;
	} else {
		m->line = IN_VALUE;
		t.used = length_of_line(p, n);
		read_value(m, p, t.used);
	}
	return t;
}

/*
 * Bytes [0, from) pass, and [from, to) got another verdict: that is given now
 * or, if something must pass first, with the next call.
 */
static size_t
give_verdict(struct meter *m, size_t from, size_t to, enum meter_verdict given,
    enum meter_verdict *verdict)
{
	if (given != METER_HOLD)
		m->held = 0;
	if (from == 0) {
		*verdict = given;
		return to;
	}
	m->pending = to - from;
	m->pending_verdict = given;
	*verdict = METER_PASS;
	return from;
}

static size_t
step_pending(struct meter *m, size_t n, enum meter_verdict *verdict)
{
	if (n > m->pending)
		n = m->pending;
	m->pending -= n;
	*verdict = m->pending > 0 ? METER_HOLD : m->pending_verdict;
	return n;
}

/*
 * An event that says nothing, whole and from its name or its data on: its
 * bytes, or 0 when this is not known to be one.
 */
static size_t
take_plain_event(struct meter *m, const char *p, size_t n)
{
	size_t used;

	if ((*p != 'd' && *p != 'e') || m->line != IN_NAME || m->name_len > 0 ||
	    m->has_data || m->terminal)
		return 0;
	used = meter_glance(m, p, n);
	if (used > 0) {
		m->events++;
		m->held = 0;
		m->after_cr = m->after_dropped_cr = m->at_start = 0;
		begin_event(m);
	}
	return used;
}

static size_t
step_events(
    struct meter *m, const char *p, size_t n, enum meter_verdict *verdict)
{
	size_t at = 0, from = 0, room;
	struct taken t;
	int held;

	while (at < n) {
		room = n - at;
		t.used = take_plain_event(m, p + at, room);
		if (t.used > 0) {
			from = at += t.used;
			continue;
		}
		held = holding(m);
		if (held && m->held == METER_HOLD_MAX) {
			m->gave_up = 1;
			held = 0;
		}
		if (held && room > METER_HOLD_MAX - m->held)
			room = METER_HOLD_MAX - m->held;
		t = take_some(m, p + at, room);
		at += t.used;
		m->held += t.used;
		if (t.verdict != METER_PASS)
			return give_verdict(m, from, at, t.verdict, verdict);
		if (!held || t.released || !holding(m)) {
			from = at;
			m->held = 0;
		}
	}
	return give_verdict(m, from, at, METER_HOLD, verdict);
}

/* A document counts once its value is complete, whatever follows it. */
static void
read_json(struct meter *m, const char *p, size_t n)
{
	if (m->finished)
		return;
	(void)json_skim_feed(&m->skim, p, n); /* broken: never complete */
	if (!meter_has_document(m))
		return;
	m->finished = 1;
	meter_read_document(m);
}

size_t
meter_step(
    struct meter *m, const char *p, size_t n, enum meter_verdict *verdict)
{
	if (m->pending > 0)
		return step_pending(m, n, verdict);
	if (m->format == METER_EVENTS && !m->finished)
		return step_events(m, p, n, verdict);
	if (m->format == METER_JSON)
		read_json(m, p, n);
	*verdict = METER_PASS;
	return n;
}

static void
end_json(struct meter *m)
{
	int broken = json_skim_feed(&m->skim, "", 0) == -1;

	m->finished = json_skim_end(&m->skim) == 0;
	if (!broken) {
		meter_read_document(m);
	}
}

void
meter_end(struct meter *m)
{
	if (m->finished || m->format == METER_OPAQUE)
		return;
	if (m->format == METER_JSON) {
		end_json(m);
		return;
	}
	(void)end_line(m, 1); /* what is held is sent, whatever it is */
	begin_line(m);
	(void)end_event(m, 1);
}

void
meter_init(struct meter *m, enum meter_format format, int strip_usage)
{
	memset(m, 0, sizeof(*m));
	m->format = format;
	m->strip_usage = strip_usage;
	m->at_start = 1;
	meter_init_document(m);
	begin_line(m);
	begin_event(m);
}
