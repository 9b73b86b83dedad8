/*
 * Multipart bodies, mostly hostile ones: what two parsers could read in two
 * ways must be refused, not guessed.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/form.h"
#include "tests/unit/suite.h"

/* --- the boundary --- */

static const struct {
	const char *why, *type, *boundary;
} boundaries[] = {
	{ "as curl sends it",
	    "multipart/form-data; boundary=------------------------d74496d6",
	    "------------------------d74496d6" },
	{ "quoted", "multipart/form-data; boundary=\"a b:c/d\"", "a b:c/d" },
	{ "type and parameter in any case", "Multipart/Form-Data; BOUNDARY=aBc",
	    "aBc" },
	{ "behind another parameter",
	    "multipart/form-data; charset=utf-8;boundary=x", "x" },
	{ "before another parameter",
	    "multipart/form-data;boundary=x; charset=\"a;boundary=y\"", "x" },
	{ "a last semicolon", "multipart/form-data; boundary=x; ", "x" },
	{ "blanks around", "\tmultipart/form-data ;\tboundary=x ", "x" },
	{ "70 characters",
	    "multipart/form-data; boundary=0123456789012345678901234567890123"
	    "456789012345678901234567890123456789",
	    "0123456789012345678901234567890123456789012345678901234567890123"
	    "456789" },
	{ "71 characters",
	    "multipart/form-data; boundary=0123456789012345678901234567890123"
	    "4567890123456789012345678901234567890",
	    "" },
	{ "none", "multipart/form-data", "" },
	{ "an empty one", "multipart/form-data; boundary=", "" },
	{ "an empty quoted one", "multipart/form-data; boundary=\"\"", "" },
	{ "one that ends in a space", "multipart/form-data; boundary=\"x \"",
	    "" },
	{ "an open quote", "multipart/form-data; boundary=\"x", "" },
	{ "a backslash", "multipart/form-data; boundary=\"a\\b\"", "" },
	{ "a character no boundary has", "multipart/form-data; boundary=a*b",
	    "" },
	{ "two of them", "multipart/form-data; boundary=x; boundary=x", "" },
	{ "something behind it", "multipart/form-data; boundary=x y", "" },
	{ "unquoted with a slash", "multipart/form-data; boundary=x/y", "" },
	{ "a space before the value", "multipart/form-data; boundary= x", "" },
	{ "only inside another value",
	    "multipart/form-data; x=\"; boundary=y\"", "" },
	{ "a longer parameter name", "multipart/form-data; xboundary=y", "" },
	{ "another type", "multipart/mixed; boundary=x", "" },
	{ "a longer type", "multipart/form-datax; boundary=x", "" },
	{ "no semicolon", "multipart/form-data boundary=x", "" },
	{ "JSON", "application/json", "" },
	{ "nothing", "", "" },
};

START_TEST(finds_boundary)
{
	const char *type = boundaries[_i].type;
	struct form_view v = form_boundary(type);

	ck_assert_msg(form_view_is(v, boundaries[_i].boundary), "%s: '%.*s'",
	    boundaries[_i].why, (int)v.len, v.p);
	ck_assert(v.p >= type && v.p + v.len <= type + strlen(type));
}
END_TEST

/* --- bodies --- */

/* "[name=data]" for a field, "[name@data]" for a file, and how it ended. */
static void
describe(struct buf *b, const char *body, size_t len, const char *boundary)
{
	struct form_view bv = { body, len };
	struct form_view dv = { boundary, strlen(boundary) };
	enum form_result result;
	struct form_multipart f;
	struct form_part part;
	int more;

	buf_reset(b);
	form_multipart_init(&f, bv, dv);
	while ((result = form_multipart_next(&f, &part)) == FORM_PART) {
		ck_assert(part.name.p >= body &&
		    part.name.p + part.name.len <= body + len);
		ck_assert(part.data.p >= body &&
		    part.data.p + part.data.len <= body + len);
		(void)buf_puts(b, "[");
		(void)buf_add(b, part.name.p, part.name.len);
		(void)buf_puts(b, part.is_file ? "@" : "=");
		(void)buf_add(b, part.data.p, part.data.len);
		(void)buf_puts(b, "]");
	}
	(void)buf_puts(b, result == FORM_END ? "end" : "malformed");
	if (result == FORM_END)
		ck_assert(memcmp(body + f.close, "--", 2) == 0 &&
		    memcmp(body + f.close + 2, boundary, dv.len) == 0);
	/* It stays at its end, either way. */
	for (more = 0; more < 2; more++)
		ck_assert_int_eq(form_multipart_next(&f, &part), result);
	ck_assert_int_eq(b->failed, 0);
}

#define FIELD(name) "Content-Disposition: form-data; name=\"" name "\"\r\n"
#define X FIELD("x") "\r\n"

static const struct {
	const char *why, *body, *parts;
} bodies[] = {
	{ "a field and a file",
	    "--B\r\n" FIELD(
		"model") "\r\nwhisper\r\n--B\r\n"
			 "Content-Disposition: form-data; name=\"file\"; "
			 "filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\n"
			 "RIFF\r\n\r\n--B--\r\n",
	    "[model=whisper][file@RIFF\r\n]end" },
	{ "nothing at all", "", "malformed" },
	{ "no parts", "--B--", "end" },
	{ "no line end behind the last delimiter", "--B\r\n" X "1\r\n--B--",
	    "[x=1]end" },
	{ "an epilogue", "--B\r\n" X "1\r\n--B--\r\n--B\r\n" X "2\r\n--B--",
	    "[x=1]end" },
	{ "a preamble", "hello\r\n--B\r\n" X "1\r\n--B--", "[x=1]end" },
	{ "an empty preamble", "\r\n--B\r\n" X "1\r\n--B--", "[x=1]end" },
	{ "a preamble with the boundary inside a line",
	    "x--B\r\n--B\r\n" X "1\r\n--B--", "[x=1]end" },
	{ "a preamble that ends in a bare LF", "x\n--B\r\n" X "1\r\n--B--",
	    "malformed" },
	{ "a preamble with a delimiter for whom LF ends lines",
	    "x\n--B\n" FIELD("model") "\r\na\n--B\r\n" X "1\r\n--B--",
	    "malformed" },
	{ "padding behind a delimiter", "--B \t \r\n" X "1\r\n--B-- \t\r\n",
	    "[x=1]end" },
	{ "padding behind the last one, no line end", "--B\r\n" X "1\r\n--B-- ",
	    "[x=1]end" },
	{ "empty data", "--B\r\n" X "\r\n--B--", "[x=]end" },
	{ "data that is a line end", "--B\r\n" X "\r\n\r\n--B--",
	    "[x=\r\n]end" },
	{ "no data line at all", "--B\r\n" X "--B\r\n" X "1\r\n--B--",
	    "malformed" },
	{ "the boundary inside a line of data",
	    "--B\r\n" X "a--B\r\n--C\r\n--\r\nB\r\n--B--",
	    "[x=a--B\r\n--C\r\n--\r\nB]end" },
	{ "the boundary behind a bare LF or CR",
	    "--B\r\n" X "a\n--B\r--B\r\n--B--", "[x=a\n--B\r--B]end" },
	{ "the boundary with something behind it",
	    "--B\r\n" X "a\r\n--Bc\r\n--B--", "[x=a]malformed" },
	{ "a delimiter with one dash behind it",
	    "--B\r\n" X "a\r\n--B-\r\n--B--", "[x=a]malformed" },
	{ "the end with something behind it", "--B\r\n" X "a\r\n--B--x\r\n",
	    "[x=a]malformed" },
	{ "the end with a bare LF", "--B\r\n" X "a\r\n--B--\n",
	    "[x=a]malformed" },
	{ "a delimiter with a bare LF", "--B\n" X "a\r\n--B--", "malformed" },
	{ "a delimiter with a bare CR", "--B\r" X "a\r\n--B--", "malformed" },
	{ "no last delimiter", "--B\r\n" X "a\r\n", "malformed" },
	{ "no last delimiter behind a second part",
	    "--B\r\n" X "a\r\n--B\r\n" X "b\r\n--", "[x=a]malformed" },
	{ "the body ends in a delimiter", "--B\r\n" X "a\r\n--B",
	    "[x=a]malformed" },
	{ "the body ends in a delimiter's line", "--B\r\n" X "a\r\n--B\r\n",
	    "[x=a]malformed" },
	{ "the body ends in the headers", "--B\r\n" FIELD("x"), "malformed" },
	{ "another boundary", "--C\r\n" X "a\r\n--C--", "malformed" },
	{ "header names and types in any case",
	    "--B\r\nCONTENT-disposition:Form-Data;NAME=x;FileName=y\r\n\r\n1"
	    "\r\n--B--",
	    "[x@1]end" },
	{ "an encoded file name makes a file too",
	    "--B\r\nContent-Disposition: form-data; name=x; "
	    "filename*=utf-8''%e2%82%ac\r\n\r\n1\r\n--B--",
	    "[x@1]end" },
	{ "an empty file name makes a file too",
	    "--B\r\nContent-Disposition: form-data; name=x; filename=\"\"\r\n"
	    "\r\n1\r\n--B--",
	    "[x@1]end" },
	{ "a name parameter inside a file name is none",
	    "--B\r\nContent-Disposition: form-data; filename=\"a\\\"; "
	    "name=\\\"model\"; name=\"y\"\r\n\r\n1\r\n--B--",
	    "[y@1]end" },
	{ "a file name in any bytes",
	    "--B\r\nContent-Disposition: form-data; name=\"x\"; "
	    "filename=\"\xff;=\xe2\x82\xac\"\r\n\r\n1\r\n--B--",
	    "[x@1]end" },
	{ "an empty name", "--B\r\n" FIELD("") "\r\n1\r\n--B--", "[=1]end" },
	{ "other headers around",
	    "--B\r\nX-A: b\r\n" FIELD("x") "Content-Type: text/plain\r\n"
					   "\r\n1\r\n--B--",
	    "[x=1]end" },
	{ "two names",
	    "--B\r\nContent-Disposition: form-data; name=\"x\"; "
	    "name=\"model\"\r\n\r\n1\r\n--B--",
	    "malformed" },
	{ "two dispositions",
	    "--B\r\n" FIELD("x") FIELD("model") "\r\n1\r\n--B--", "malformed" },
	{ "a second disposition without a name",
	    "--B\r\n" FIELD(
		"x") "Content-Disposition: form-data; filename=y\r\n\r\n1\r\n--B--",
	    "malformed" },
	{ "an encoded name",
	    "--B\r\nContent-Disposition: form-data; name=\"x\"; "
	    "name*=utf-8''model\r\n\r\n1\r\n--B--",
	    "malformed" },
	{ "a backslash in a name", "--B\r\n" FIELD("m\\odel") "\r\n1\r\n--B--",
	    "malformed" },
	{ "no name", "--B\r\nContent-Disposition: form-data\r\n\r\n1\r\n--B--",
	    "malformed" },
	{ "a name without a value",
	    "--B\r\nContent-Disposition: form-data; name\r\n\r\n1\r\n--B--",
	    "malformed" },
	{ "a name with an open quote",
	    "--B\r\nContent-Disposition: form-data; name=\"x\r\n\r\n1\r\n"
	    "--B--",
	    "malformed" },
	{ "a quote that a backslash keeps open",
	    "--B\r\nContent-Disposition: form-data; name=x; filename=\"\\\"\r\n"
	    "\r\n1\r\n--B--",
	    "malformed" },
	{ "no disposition", "--B\r\nX-A: b\r\n\r\n1\r\n--B--", "malformed" },
	{ "no headers", "--B\r\n\r\n1\r\n--B--", "malformed" },
	{ "another disposition",
	    "--B\r\nContent-Disposition: attachment; name=\"x\"\r\n\r\n1\r\n"
	    "--B--",
	    "malformed" },
	{ "a folded header",
	    "--B\r\nContent-Disposition: form-data;\r\n name=\"x\"\r\n\r\n1"
	    "\r\n--B--",
	    "malformed" },
	{ "a header without a colon",
	    "--B\r\nX-A\r\n" FIELD("x") "\r\n1\r\n--B--", "malformed" },
	{ "a space before the colon",
	    "--B\r\nX-A : b\r\n" FIELD("x") "\r\n1\r\n--B--", "malformed" },
	{ "a bare LF in a header",
	    "--B\r\n" FIELD("x") "X-A: b\nc\r\n\r\n1\r\n--B--", "malformed" },
	{ "a bare CR in a header",
	    "--B\r\n" FIELD("x") "X-A: b\rc\r\n\r\n1\r\n--B--", "malformed" },
	{ "data as it is",
	    "--B\r\n" FIELD("x") "Content-Transfer-Encoding: Binary \r\n\r\n1"
				 "\r\n--B--",
	    "[x=1]end" },
	{ "encoded data",
	    "--B\r\n" FIELD("x") "Content-Transfer-Encoding: quoted-printable"
				 "\r\n\r\n1\r\n--B--",
	    "malformed" },
};

START_TEST(reads_body)
{
	const char *body = bodies[_i].body;
	struct buf b = BUF(65536);
	size_t len = strlen(body);
	char *copy = malloc(len + 1);

	/* In memory of its own, so that a sanitizer sees a byte too far. */
	ck_assert_ptr_nonnull(copy);
	memcpy(copy, body, len);
	describe(&b, copy, len, "B");
	ck_assert_msg(strcmp(b.data, bodies[_i].parts) == 0, "%s: %s",
	    bodies[_i].why, b.data);
	free(copy);
	buf_free(&b);
}
END_TEST

/* Any body cut anywhere before its last delimiter is malformed. */
START_TEST(refuses_what_is_cut)
{
	static const char body[] = "--B\r\n" X "1\r\n--B\r\n" X "2\r\n--B--";
	struct buf b = BUF(65536);
	size_t len;

	for (len = 0; len < sizeof(body) - 1; len++) {
		describe(&b, body, len, "B");
		ck_assert_msg(strstr(b.data, "malformed") != NULL, "%zu", len);
	}
	buf_free(&b);
}
END_TEST

START_TEST(refuses_a_nul_in_headers)
{
	static const char body[] = "--B\r\nX-A: \0\r\n" X "1\r\n--B--";
	struct buf b = BUF(65536);

	describe(&b, body, sizeof(body) - 1, "B");
	ck_assert_str_eq(b.data, "malformed");
	buf_free(&b);
}
END_TEST

START_TEST(refuses_without_boundary)
{
	static const char body[] = "--\r\n" X "1\r\n----";
	struct buf b = BUF(65536);

	describe(&b, body, sizeof(body) - 1, "");
	ck_assert_str_eq(b.data, "malformed");
	buf_free(&b);
}
END_TEST

static void
put_parts(struct buf *b, int n)
{
	buf_reset(b);
	while (n-- > 0)
		ck_assert_int_eq(buf_puts(b, "--B\r\n" X "1\r\n"), 0);
	ck_assert_int_eq(buf_puts(b, "--B--\r\n"), 0);
}

static int
count_parts(const struct buf *b, enum form_result *result)
{
	struct form_view body = { b->data, b->len }, boundary = { "B", 1 };
	struct form_multipart f;
	struct form_part part;
	int n = 0;

	form_multipart_init(&f, body, boundary);
	while ((*result = form_multipart_next(&f, &part)) == FORM_PART)
		n++;
	return n;
}

START_TEST(bounds_parts)
{
	enum form_result result;
	struct buf b = BUF(1U << 24);

	put_parts(&b, FORM_PARTS_MAX);
	ck_assert_int_eq(count_parts(&b, &result), FORM_PARTS_MAX);
	ck_assert_int_eq(result, FORM_END);
	put_parts(&b, FORM_PARTS_MAX + 1);
	ck_assert_int_eq(count_parts(&b, &result), FORM_PARTS_MAX);
	ck_assert_int_eq(result, FORM_MALFORMED);
	put_parts(&b, 100000);
	ck_assert_int_eq(count_parts(&b, &result), FORM_PARTS_MAX);
	ck_assert_int_eq(result, FORM_MALFORMED);
	buf_free(&b);
}
END_TEST

/* The headers and their blank line are 8192 bytes, then 8193. */
START_TEST(bounds_headers)
{
	static const char disposition[] = FIELD("x");
	size_t extra, fill;
	struct buf b = BUF(65536), parts = BUF(65536);

	for (extra = 0; extra <= 1; extra++) {
		fill = 8192 + extra - (sizeof(disposition) - 1) -
		    strlen("A: ") - strlen("\r\n\r\n");
		buf_reset(&b);
		ck_assert_int_eq(buf_puts(&b, "--B\r\n"), 0);
		ck_assert_int_eq(buf_puts(&b, disposition), 0);
		ck_assert_int_eq(buf_puts(&b, "A: "), 0);
		while (fill-- > 0)
			ck_assert_int_eq(buf_puts(&b, "a"), 0);
		ck_assert_int_eq(buf_puts(&b, "\r\n\r\n1\r\n--B--"), 0);
		describe(&parts, b.data, b.len, "B");
		ck_assert_str_eq(
		    parts.data, extra == 0 ? "[x=1]end" : "malformed");
	}
	buf_free(&b);
	buf_free(&parts);
}
END_TEST

/* As the gate adds fields: before the last delimiter, touching nothing. */
START_TEST(splices_before_the_close)
{
	static const char body[] = "--B\r\n" X "1\r\n--B-- \r\nepilogue";
	struct form_view v = { body, sizeof(body) - 1 }, boundary = { "B", 1 };
	struct buf b = BUF(65536), parts = BUF(65536);
	struct form_multipart f;
	struct form_part part;

	form_multipart_init(&f, v, boundary);
	ck_assert_int_eq(form_multipart_next(&f, &part), FORM_PART);
	ck_assert_int_eq(form_multipart_next(&f, &part), FORM_END);
	ck_assert_int_eq(buf_add(&b, body, f.close), 0);
	ck_assert_int_eq(buf_puts(&b, "--B\r\n" FIELD("y") "\r\n2\r\n"), 0);
	ck_assert_int_eq(buf_add(&b, body + f.close, v.len - f.close), 0);
	describe(&parts, b.data, b.len, "B");
	ck_assert_str_eq(parts.data, "[x=1][y=2]end");
	buf_free(&b);
	buf_free(&parts);
}
END_TEST

/* --- random bodies --- */

/* Whatever is put into a body without a delimiter comes out again. */
START_TEST(reads_back_random_data)
{
	static const char *const bits[] = { "\r\n", "--", "\r\n--", "-", "\r",
		"\n", "b", "--b", "\r\n--b", "\r\r\n-", "x", "" };
	struct buf b = BUF(65536), expected = BUF(65536), got = BUF(65536);
	unsigned parts, i, n;
	size_t start;

	for (i = 0; i < 2000; i++) {
		buf_reset(&b);
		buf_reset(&expected);
		for (parts = random_below(4); parts > 0; parts--) {
			(void)buf_puts(&b, "--bb\r\n" X);
			start = b.len;
			for (n = random_below(12); n > 0; n--)
				(void)buf_puts(&b,
				    bits[random_below(
					sizeof(bits) / sizeof(*bits))]);
			if (strstr(b.data + start, "--bb") != NULL) {
				b.len = start;
				b.data[start] = '\0';
			}
			(void)buf_puts(&expected, "[x=");
			(void)buf_puts(&expected, b.data + start);
			(void)buf_puts(&expected, "]");
			(void)buf_puts(&b, "\r\n");
		}
		(void)buf_puts(&b, "--bb--");
		(void)buf_puts(&expected, "end");
		describe(&got, b.data, b.len, "bb");
		if (strcmp(got.data, expected.data) != 0)
			ck_abort_msg(
			    "seed %llu: %s: %s", random_seed, b.data, got.data);
	}
	buf_free(&b);
	buf_free(&expected);
	buf_free(&got);
}
END_TEST

int
main(void)
{
	TCase *tests = tcase_create("form");

	tcase_set_timeout(tests, 60);
	ADD_ROWS(tests, finds_boundary, boundaries);
	ADD_ROWS(tests, reads_body, bodies);
	tcase_add_test(tests, refuses_what_is_cut);
	tcase_add_test(tests, refuses_a_nul_in_headers);
	tcase_add_test(tests, refuses_without_boundary);
	tcase_add_test(tests, bounds_parts);
	tcase_add_test(tests, bounds_headers);
	tcase_add_test(tests, splices_before_the_close);
	tcase_add_test(tests, reads_back_random_data);
	return suite_run("form", tests, NULL);
}
