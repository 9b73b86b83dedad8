/* How to use a key, and what the gate records: for admins and activists. */
#include <stdio.h>
#include <string.h>

#include "admin.h"
#include "price_form.h"

static void
put_code(struct admin *a, const char *title, const char *fmt, const char *base)
{
	struct buf text = BUF(2048);

	/* The same address once or twice, escaped with all around it. */
	for (const char *at; (at = strstr(fmt, "BASE")) != NULL; fmt = at + 4) {
		(void)buf_add(&text, fmt, (size_t)(at - fmt));
		(void)buf_puts(&text, base);
	}
	(void)buf_puts(&text, fmt);
	html(&a->out,
	    "<h3>%s</h3>\n<pre tabindex=\"0\"><code>%s</code></pre>\n", title,
	    text.data);
	buf_free(&text);
}

static void
put_use(struct admin *a)
{
	char origin[ADMIN_ORIGIN_SIZE], base[ADMIN_ORIGIN_SIZE + 4];

	admin_origin(a, origin);
	(void)snprintf(base, sizeof(base), "%s/v1",
	    origin[0] != '\0' ? origin : "https://gate.example.org");
	html(&a->out, "<section><h2>%s</h2>\n<p>%s</p>\n", _("Using a key"),
	    _("Any app that speaks OpenAI's API works. It needs two things: "
	      "this base URL, and a key."));
	html(&a->out, "<p><strong class=\"mono\">%s</strong></p>\n", base);
	put_code(a, "curl",
	    "curl BASE/chat/completions \\\n"
	    "  -H \"Authorization: Bearer $KEY\" \\\n"
	    "  -H \"Content-Type: application/json\" \\\n"
	    "  -d '{\"model\": \"gpt-oss-120b\",\n"
	    "       \"messages\": [{\"role\": \"user\", \"content\": "
	    "\"Hello\"}]}'",
	    base);
	put_code(a, "Python",
	    "import os\nfrom openai import OpenAI\n\n"
	    "client = OpenAI(base_url=\"BASE\",\n"
	    "                api_key=os.environ[\"KEY\"])\n"
	    "answer = client.chat.completions.create(\n"
	    "    model=\"gpt-oss-120b\",\n"
	    "    messages=[{\"role\": \"user\", \"content\": \"Hello\"}])\n"
	    "print(answer.choices[0].message.content)",
	    base);
	put_code(a, "Node",
	    "import OpenAI from \"openai\";\n\n"
	    "const client = new OpenAI({ baseURL: \"BASE\",\n"
	    "  apiKey: process.env.KEY });\n"
	    "const answer = await client.chat.completions.create({\n"
	    "  model: \"gpt-oss-120b\",\n"
	    "  messages: [{ role: \"user\", content: \"Hello\" }] });\n"
	    "console.log(answer.choices[0].message.content);",
	    base);
	html(&a->out, "<p>%s</p>\n</section>\n",
	    _("Keep a key as you would a password: in the app's settings or "
	      "in the environment, never in a chat or in shared files. "
	      "Whoever has it can use it."));
}

static void
put_item(struct admin *a, const char *text)
{
	html(&a->out, "<li>%s</li>\n", text);
}

static void
put_records(struct admin *a)
{
	html(&a->out, "<section><h2>%s</h2>\n<p>%s</p>\n<ul>\n",
	    _("What the gate records"), _("For each request, by the hour:"));
	put_item(a, _("which key, which model, which kind of request"));
	put_item(a, _("how many tokens, how much audio, how long it took"));
	html(&a->out, "</ul>\n<p>%s</p>\n<ul>\n", _("It does not record:"));
	put_item(a, _("what was asked or answered, or names of files"));
	put_item(a,
	    _("addresses: it counts them for limits, in memory and "
	      "hashed, and forgets them"));
	html(&a->out, "</ul>\n<p>%s</p>\n",
	    _("Words pass through the gate's memory on their way and are "
	      "wiped there; from there on they travel encrypted. The gate's "
	      "pages and files show that a key is used and when, never for "
	      "what. Whoever has full control of the host could change the "
	      "gate: ask those who run it."));
	html(&a->out, "</section>\n<section><h2>%s</h2>\n<ul>\n",
	    _("When something does not work"));
	put_item(a,
	    _("401: the key is wrong, disabled or has expired. Ask "
	      "for a new one."));
	put_item(a,
	    _("404: the model is not there, or this key may not use "
	      "it."));
	put_item(a,
	    _("429: too many requests, or this month's budget is "
	      "used up. The answer says when to come back."));
	put_item(a,
	    _("502, 503, 504: the gate or the model is in trouble. "
	      "Try again in a minute."));
	html(&a->out, "</ul></section>\n");
}

static void
show(struct admin *a)
{
	admin_begin(a, NULL);
	put_use(a);
	/* Without a login nothing of the organisation shows. */
	if (a->logged_in) {
		html(&a->out, "<section><h2>%s</h2>\n<p>%s</p>\n",
		    _("Models and prices"),
		    _("Models with a price of their own; the settings page "
		      "shows what the upstream lists now."));
		price_table_put(a, 0);
		html(&a->out, "</section>\n");
	}
	put_records(a);
	admin_end(a);
}

static const struct admin_page page = { "help", N_("Help"), show, NULL, 0, 0 };

int
main(void)
{
	return admin_main(&page);
}
