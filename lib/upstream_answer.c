/* What comes back: the head's few fields that matter, then the body. */
#include <string.h>
#include <strings.h>

#include "upstream_internal.h"

/* More than any honest head; past it the upstream is taken as broken. */
#define HEAD_BYTES_MAX 65536
/* So many digits of a length fit into any number. */
#define LENGTH_DIGITS_MAX 18

struct field {
	const char *value; /* without blanks around it; not terminated */
	size_t n;
};

/* 1 when 'line' is the field of that name; then its value. */
static int
is_field(const char *line, size_t n, const char *name, struct field *f)
{
	size_t len = strlen(name);

	if (n <= len || line[len] != ':' || strncasecmp(line, name, len) != 0)
		return 0;
	f->value = line + len + 1;
	f->n = n - len - 1;
	while (f->n > 0 && (*f->value == ' ' || *f->value == '\t')) {
		f->value++;
		f->n--;
	}
	while (f->n > 0 && strchr(" \t\r\n", f->value[f->n - 1]) != NULL)
		f->n--;
	return 1;
}

static int
has_control(const struct field *f)
{
	for (size_t i = 0; i < f->n; i++) {
		unsigned char c = (unsigned char)f->value[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return 1;
	}
	return 0;
}

/* Copies a value that may go to a client; one that is too long is left out. */
static void
copy_value(struct transfer *t, const struct field *f, char *to, size_t room)
{
	if (has_control(f))
		t->refused = "a field with control bytes";
	if (f->n >= room || t->refused != NULL)
		return;
	memcpy(to, f->value, f->n);
	to[f->n] = '\0';
}

static int
says(const struct field *f, const char *word)
{
	return f->n == strlen(word) && strncasecmp(f->value, word, f->n) == 0;
}

static int
is_length(const struct field *f)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->value[i] < '0' || f->value[i] > '9')
			return 0;
	return f->n > 0 && f->n <= LENGTH_DIGITS_MAX;
}

/*
 * Fields by which libcurl, or whoever reads after it, might find another end
 * of the answer than we, or other bytes.
 */
static void
check_framing(struct transfer *t, const char *line, size_t n)
{
	struct field f;

	if (is_field(line, n, "Content-Length", &f)) {
		t->n_lengths++;
		if (!is_length(&f))
			t->refused = "a length that is none";
	} else if (is_field(line, n, "Transfer-Encoding", &f)) {
		t->n_lengths++;
		if (!says(&f, "chunked"))
			t->refused = "an unknown transfer encoding";
	} else if (is_field(line, n, "Content-Encoding", &f)) {
		if (!says(&f, "identity"))
			t->refused = "an encoding that was not asked for";
	}
	if (t->n_lengths > 1)
		t->refused = "more than one length";
}

static void
take_fields(struct transfer *t, const char *line, size_t n)
{
	struct upstream_head *head = &t->head;
	const struct {
		const char *name;
		char *to;
		size_t room;
	} wanted[] = {
		{ "Content-Type", head->content_type,
		    sizeof(head->content_type) },
		{ "Retry-After", head->retry_after, sizeof(head->retry_after) },
		{ "Retry-After-Ms", head->retry_after_ms,
		    sizeof(head->retry_after_ms) },
		{ "X-Should-Retry", head->should_retry,
		    sizeof(head->should_retry) },
	};
	struct field f;

	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		if (is_field(line, n, wanted[i].name, &f))
			copy_value(t, &f, wanted[i].to, wanted[i].room);
	check_framing(t, line, n);
}

/* A head begins, the first or, after one of 1xx, the next. */
static void
take_status_line(struct transfer *t, const char *line, size_t n)
{
	t->head = (struct upstream_head){ 0 };
	t->n_lengths = 0;
	t->refused = NULL;
	if (n < 9 || strncmp(line, "HTTP/1.", 7) != 0 ||
	    (line[7] != '0' && line[7] != '1') || line[8] != ' ')
		t->refused = "not HTTP/1";
}

/* Nobody asks for a body again whose answer has come, unless it came early. */
static void
forget_sent_body(struct transfer *t)
{
	curl_off_t sent = 0;

	if (curl_easy_getinfo(t->easy, CURLINFO_SIZE_UPLOAD_T, &sent) ==
		CURLE_OK &&
	    (size_t)sent >= t->whole.len)
		buf_free(&t->whole);
}

/* Hands the head on, once it is whole and the final one. */
static int
begin_body(struct transfer *t)
{
	curl_off_t length = -1;
	long status = 0;

	if (t->body_began)
		return 0;
	if (curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status) !=
		CURLE_OK ||
	    curl_easy_getinfo(t->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T,
		&length) != CURLE_OK)
		return -1;
	if (status == 101)
		t->refused = "another protocol than was asked for";
	else if (status < 200)
		return 0;
	if (t->refused != NULL)
		return -1;
	t->head.status = (int)status;
	t->head.length = length;
	t->head.body_taken = t->piece == t->x->n_body;
	forget_sent_body(t);
	t->body_began = 1;
	upstream_mark(t);
	t->next_call_ms = t->heard_ms;
	if (t->x->on_head(t->x->arg, &t->head) != 0) {
		t->stopped = 1;
		return -1;
	}
	return 0;
}

size_t
upstream_take_head(char *line, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	size_t len = size * n;

	t->heard_ms = monotonic_ms();
	t->head_bytes += len;
	if (t->head_bytes > HEAD_BYTES_MAX) {
		t->refused = "a head that is too long";
		return 0;
	}
	if (t->body_began)
		return len; /* trailers: nobody asked for any */
	if (len >= 5 && strncmp(line, "HTTP/", 5) == 0)
		take_status_line(t, line, len);
	else
		take_fields(t, line, len);
	/* The line that ends the head; after a 1xx another head follows. */
	if ((line[0] == '\r' || line[0] == '\n') && begin_body(t) == -1)
		return 0;
	return len;
}

size_t
upstream_take_body(char *p, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;

	t->heard_ms = monotonic_ms();
	if (!t->body_began)
		return 0; /* it has no head that counts */
	upstream_mark(t);
	if (t->x->on_body(t->x->arg, p, size * n) != 0) {
		t->stopped = 1;
		return 0;
	}
	return size * n;
}
