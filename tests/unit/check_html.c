/* html: whatever comes through a format is text, wherever it ends up. */
#include "lib/html.h"

#include <check.h>
#include <limits.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/unit/suite.h"

static struct buf page;

static void
setup(void)
{
	page = (struct buf)BUF(65536);
}

static void
teardown(void)
{
	buf_free(&page);
}

static const struct {
	const char *why, *text, *html;
} escapes[] = {
	{ "plain", "Rescue 7", "Rescue 7" },
	{ "nothing", "", "" },
	{ "a script", "<script>alert(1)</script>",
	    "&lt;script&gt;alert(1)&lt;/script&gt;" },
	{ "an attribute's end", "\" onfocus=\"x", "&quot; onfocus=&quot;x" },
	{ "the other one", "' onfocus='x", "&#39; onfocus=&#39;x" },
	{ "an entity", "&lt;b&gt;", "&amp;lt;b&amp;gt;" },
	{ "two in a row", "<<", "&lt;&lt;" },
	{ "only at the end", "x&", "x&amp;" },
	{ "a percent sign", "100 %s %n", "100 %s %n" },
	{ "UTF-8", "Jalapeño \xf0\x9f\x90\xa2", "Jalapeño \xf0\x9f\x90\xa2" },
	{ "control characters", "a\x01z\x7f", "a\xef\xbf\xbdz\xef\xbf\xbd" },
	{ "line ends and tabs stay", "a\r\n\tb", "a\r\n\tb" },
};

START_TEST(escapes_text)
{
	html(&page, "<b title=\"%s\">", escapes[_i].text);
	html(&page, "%s</b>", escapes[_i].text);
	ck_assert_ptr_nonnull(strstr(page.data, escapes[_i].html));
	struct buf wanted = BUF(1024);
	(void)buf_printf(&wanted, "<b title=\"%s\">%s</b>", escapes[_i].html,
	    escapes[_i].html);
	ck_assert_str_eq(page.data, wanted.data);
	buf_free(&wanted);
}
END_TEST

START_TEST(formats_numbers)
{
	html(&page, "%d|%lld|%lld|100%%", INT_MIN, LLONG_MIN, LLONG_MAX);
	ck_assert_str_eq(page.data,
	    "-2147483648|-9223372036854775808|9223372036854775807|100%");
}
END_TEST

/* A literal format would not compile: %x is for printf, not for us. */
START_TEST(aborts_on_a_format_it_does_not_know)
{
	html(&page, "%x", 1U);
}
END_TEST

START_TEST(percent_encodes_arguments)
{
	html_argument(&page, "a-b_c.d~e f&g=h+i%\xc3\xa9\"<");
	ck_assert_str_eq(page.data, "a-b_c.d~e%20f%26g%3Dh%2Bi%25%C3%A9%22%3C");
}
END_TEST

START_TEST(a_field_ties_its_error_and_its_hint_to_itself)
{
	struct html_field f = { .name = "label",
		.label = "Label & all",
		.value = "\"><script>",
		.hint = "a <hint>",
		.error = "no \"go\"",
		.size = 20,
		.maxlength = 255,
		.required = 1 };

	html_field(&page, &f);
	ck_assert_str_eq(page.data,
	    "<p class=\"field\"><label for=\"label\">Label &amp; all</label>\n"
	    "<input id=\"label\" name=\"label\" type=\"text\" "
	    "value=\"&quot;&gt;&lt;script&gt;\" autocomplete=\"off\" "
	    "size=\"20\" maxlength=\"255\" required aria-invalid=\"true\" "
	    "aria-describedby=\"label-error label-hint\">\n"
	    "<span class=\"error\" id=\"label-error\">no &quot;go&quot;</span>\n"
	    "<span class=\"hint\" id=\"label-hint\">a &lt;hint&gt;</span></p>\n");
}
END_TEST

START_TEST(a_field_without_texts_names_none)
{
	struct html_field f = { .name = "q", .label = "Search", .value = "" };

	html_field(&page, &f);
	ck_assert_ptr_null(strstr(page.data, "aria-"));
	ck_assert_ptr_null(strstr(page.data, "required"));
}
END_TEST

START_TEST(small_parts_escape_too)
{
	html_hidden(&page, "n", "<v>");
	html_option(&page, "\"", "<l>", 1);
	html_option(&page, "2", "two", 0);
	html_checkbox(&page, "c", "<c>", 1);
	ck_assert_str_eq(page.data,
	    "<input type=\"hidden\" name=\"n\" value=\"&lt;v&gt;\">\n"
	    "<option value=\"&quot;\" selected>&lt;l&gt;</option>\n"
	    "<option value=\"2\">two</option>\n"
	    "<p class=\"tick\"><input type=\"checkbox\" id=\"c\" name=\"c\" "
	    "value=\"1\" checked> <label for=\"c\">&lt;c&gt;</label></p>\n");
}
END_TEST

START_TEST(bars_are_as_high_as_their_share)
{
	static const struct html_bar bars[] = { { "Mon <1>", "10", 10 },
		{ "Tue", "0", 0 }, { "Wed", "1000", 1000 },
		{ "Thu", "500", 500 }, { "Fri", "1", 1 } };

	html_bars(&page, "A \"week\"", bars, 5);
	ck_assert_ptr_nonnull(strstr(page.data,
	    "role=\"img\" aria-label=\"A &quot;week&quot;\" "
	    "viewBox=\"0 0 50 100\""));
	ck_assert_ptr_nonnull(strstr(page.data, "Mon &lt;1&gt;: 10"));
	ck_assert_ptr_null(strstr(page.data, "Tue"));
	ck_assert_ptr_nonnull(strstr(
	    page.data, "<rect x=\"21\" y=\"0\" width=\"8\" height=\"100\">"));
	ck_assert_ptr_nonnull(strstr(
	    page.data, "<rect x=\"31\" y=\"50\" width=\"8\" height=\"50\">"));
	/* However little, it shows. */
	ck_assert_ptr_nonnull(strstr(
	    page.data, "<rect x=\"41\" y=\"99\" width=\"8\" height=\"1\">"));
}
END_TEST

START_TEST(bars_of_the_largest_numbers_stay_inside)
{
	static const struct html_bar bars[] = { { "a", "much", INT64_MAX },
		{ "b", "less", INT64_MAX - 1 }, { "c", "wrong", -5 } };

	html_bars(&page, "t", bars, 3);
	ck_assert_ptr_nonnull(strstr(page.data, "height=\"100\""));
	ck_assert_ptr_null(strstr(page.data, "height=\"101\""));
	ck_assert_ptr_null(strstr(page.data, "wrong"));
}
END_TEST

START_TEST(a_full_page_says_so)
{
	struct buf small = BUF(8);

	html(&small, "%s", "<<<<<<<<");
	ck_assert(small.failed);
	ck_assert_uint_le(small.len, 8);
	buf_free(&small);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("html");

	tcase_add_checked_fixture(t, setup, teardown);
	ADD_ROWS(t, escapes_text, escapes);
	tcase_add_test(t, formats_numbers);
	tcase_add_test_raise_signal(
	    t, aborts_on_a_format_it_does_not_know, SIGABRT);
	tcase_add_test(t, percent_encodes_arguments);
	tcase_add_test(t, a_field_ties_its_error_and_its_hint_to_itself);
	tcase_add_test(t, a_field_without_texts_names_none);
	tcase_add_test(t, small_parts_escape_too);
	tcase_add_test(t, bars_are_as_high_as_their_share);
	tcase_add_test(t, bars_of_the_largest_numbers_stay_inside);
	tcase_add_test(t, a_full_page_says_so);
	return suite_run("html", t, NULL);
}
