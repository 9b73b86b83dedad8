/*
 * The input is a Content-Type line and a body. Parts lie inside the body, in
 * order, between delimiters; data holds no delimiter; and a field spliced in
 * before the close is the last part of the new body.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/form.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
must(int what)
{
	if (!what)
		abort();
}

static void
must_lie_inside(struct form_view v, struct form_view body)
{
	must(v.p >= body.p && v.p + v.len <= body.p + body.len);
}

/* Reads to the end; the last part in *last. */
static enum form_result
read_all(struct form_multipart *f, struct form_part *last, size_t *n)
{
	const char *after = f->body.p;
	enum form_result result;
	struct form_part part;

	for (*n = 0; (result = form_multipart_next(f, &part)) == FORM_PART;
	     ++*n) {
		must_lie_inside(part.name, f->body);
		must_lie_inside(part.data, f->body);
		must(part.name.p >= after && part.data.p > part.name.p);
		after = part.data.p + part.data.len;
		must(memcmp(after, "\r\n--", 4) == 0);
		must(memcmp(after + 4, f->boundary.p, f->boundary.len) == 0);
		must(f->boundary.len > part.data.len ||
		    memmem(part.data.p, part.data.len, after,
			4 + f->boundary.len) == NULL);
		*last = part;
	}
	must(*n <= FORM_PARTS_MAX);
	must(form_multipart_next(f, &part) == result);
	return result;
}

static void
must_splice(const struct form_multipart *f, size_t parts)
{
	static const char field[] =
	    "\r\nContent-Disposition: form-data; name=\"y\"\r\n\r\n2\r\n";
	size_t rest = f->body.len - f->close, n = 0;
	size_t len = f->body.len + 2 + f->boundary.len + sizeof(field) - 1;
	char *body = malloc(len), *p = body;
	struct form_view v = { body, len };
	struct form_multipart spliced;
	struct form_part last;

	must(body != NULL);
	p = mempcpy(p, f->body.p, f->close);
	p = mempcpy(p, f->body.p + f->close, 2 + f->boundary.len);
	p = mempcpy(p, field, sizeof(field) - 1);
	p = mempcpy(p, f->body.p + f->close, rest);
	must(p == body + len);
	form_multipart_init(&spliced, v, f->boundary);
	must(read_all(&spliced, &last, &n) == FORM_END && n == parts + 1);
	must(form_view_is(last.name, "y") && form_view_is(last.data, "2"));
	free(body);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *line_end = memchr(data, '\n', len);
	struct form_view boundary, body;
	struct form_multipart f;
	struct form_part last;
	char type[256];
	size_t n;

	if (line_end == NULL || line_end - (const char *)data > 255)
		return 0;
	n = (size_t)(line_end - (const char *)data);
	memcpy(type, data, n);
	type[n] = '\0';
	boundary = form_boundary(type);
	must(boundary.p >= type && boundary.p + boundary.len <= type + n);
	body.p = line_end + 1;
	body.len = len - n - 1;
	form_multipart_init(&f, body, boundary);
	if (read_all(&f, &last, &n) == FORM_END && n < FORM_PARTS_MAX)
		must_splice(&f, n);
	return 0;
}
