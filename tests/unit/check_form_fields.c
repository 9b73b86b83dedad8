/* Urlencoded forms and cookies, taken apart in place. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "lib/form.h"
#include "tests/unit/suite.h"

static struct form form;

/* "name=value;" of each field, in brackets. */
static const char *
told(char *dst, size_t size)
{
	size_t n = 0;

	dst[0] = '\0';
	for (size_t i = 0; i < form.n; i++)
		n += (size_t)snprintf(dst + n, size - n, "[%s|%s]",
		    form.fields[i].name, form.fields[i].value);
	return dst;
}

static const struct {
	const char *why, *text, *fields; /* NULL: refused */
} forms[] = {
	{ "nothing", "", "" },
	{ "one", "a=b", "[a|b]" },
	{ "two", "a=b&c=d", "[a|b][c|d]" },
	{ "no value", "a", "[a|]" },
	{ "an empty value", "a=&b=", "[a|][b|]" },
	{ "an empty name", "=x", "[|x]" },
	{ "empty pieces", "&&a=b&&", "[a|b]" },
	{ "an equals sign in the value", "a=b=c", "[a|b=c]" },
	{ "escapes and plus", "a+b=c+d%20e%2b", "[a b|c d e+]" },
	{ "an escaped ampersand is no separator", "a=1%26b=2", "[a|1&b=2]" },
	{ "an escaped equals sign is no separator", "a%3Db=c", "[a=b|c]" },
	{ "UTF-8", "l=Jalape%C3%B1o", "[l|Jalapeño]" },
	{ "a line end is data", "l=a%0D%0Ab", "[l|a\r\nb]" },
	{ "a broken escape", "a=%4", NULL },
	{ "no hex", "a=%zz", NULL },
	{ "a broken escape in the name", "%4=a", NULL },
	{ "an escaped NUL", "a=x%00y", NULL },
	{ "a name given twice", "a=1&b=2&a=3", NULL },
	{ "the same name, escaped", "a=1&%61=3", NULL },
};

START_TEST(parses_forms)
{
	char text[256], got[256];
	int result;

	snprintf(text, sizeof(text), "%s", forms[_i].text);
	memset(&form, 0xff, sizeof(form));
	result = form_parse(&form, text);
	ck_assert_msg(
	    result == (forms[_i].fields != NULL ? 0 : -1), "%s", forms[_i].why);
	ck_assert_str_eq(told(got, sizeof(got)),
	    forms[_i].fields != NULL ? forms[_i].fields : "");
}
END_TEST

static const struct {
	const char *why, *text, *fields;
} cookies[] = {
	{ "nothing", "", "" },
	{ "one", "a=b", "[a|b]" },
	{ "two", "a=b; c=d", "[a|b][c|d]" },
	{ "blanks around", " a = b ;\tc=d ", "[a | b][c|d]" },
	{ "no pair", "a; b=c; =d", "[b|c]" },
	{ "escapes are no escapes", "a=%41+b", "[a|%41+b]" },
	{ "an equals sign in the value", "a=b==", "[a|b==]" },
	{ "the first counts", "a=1; a=2", "[a|1]" },
	{ "a name that only ends alike", "xa=1; a=2", "[xa|1][a|2]" },
};

START_TEST(parses_cookies)
{
	char text[256], got[256];

	snprintf(text, sizeof(text), "%s", cookies[_i].text);
	memset(&form, 0xff, sizeof(form));
	form_parse_cookies(&form, text);
	ck_assert_str_eq(told(got, sizeof(got)), cookies[_i].fields);
}
END_TEST

static void
make_many(char *text, size_t size, int n, char separator)
{
	size_t at = 0;

	for (int i = 0; i < n; i++)
		at += (size_t)snprintf(
		    text + at, size - at, "f%d=%d%c", i, i, separator);
}

START_TEST(bounds_fields)
{
	char text[4096];

	make_many(text, sizeof(text), FORM_FIELDS_MAX, '&');
	ck_assert_int_eq(form_parse(&form, text), 0);
	ck_assert_str_eq(form_get(&form, "f127"), "127");
	make_many(text, sizeof(text), FORM_FIELDS_MAX + 1, '&');
	ck_assert_int_eq(form_parse(&form, text), -1);
	ck_assert_ptr_null(form_get(&form, "f0"));
	make_many(text, sizeof(text), FORM_FIELDS_MAX + 1, ';');
	form_parse_cookies(&form, text);
	ck_assert_uint_eq(form.n, FORM_FIELDS_MAX);
}
END_TEST

START_TEST(finds_whole_names)
{
	char text[] = "ab=1&a=2";

	ck_assert_int_eq(form_parse(&form, text), 0);
	ck_assert_str_eq(form_get(&form, "a"), "2");
	ck_assert_str_eq(form_get(&form, "ab"), "1");
	ck_assert_ptr_null(form_get(&form, "abc"));
	ck_assert_ptr_null(form_get(&form, ""));
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("form fields");

	ADD_ROWS(t, parses_forms, forms);
	ADD_ROWS(t, parses_cookies, cookies);
	tcase_add_test(t, bounds_fields);
	tcase_add_test(t, finds_whole_names);
	return suite_run("form fields", t, NULL);
}
