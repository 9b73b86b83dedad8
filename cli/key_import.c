/* Keys to and from files. */
#include "cli/key_import.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "cli/key_row.h"
#include "cli/key_view.h"
#include "cli/object.h"
#include "lib/buf.h"
#include "lib/keys.h"
#include "lib/log.h"
#include "lib/text.h"

/* A hundred thousand keys fit. */
#define FILE_MAX ((size_t)64 << 20)
#define DEPTH_MAX 16

static int
read_stream(FILE *f, struct buf *text)
{
	size_t n;
	char *to;

	do {
		if ((to = buf_room(text, 65536)) == NULL) {
			errno = EFBIG;
			return -1;
		}
		n = fread(to, 1, 65536, f);
		buf_grown(text, n);
	} while (n > 0);
	return ferror(f) ? -1 : 0;
}

static int
read_file(const char *path, struct buf *text)
{
	int from_stdin = strcmp(path, "-") == 0;
	FILE *f = from_stdin ? stdin : fopen(path, "re");
	int bad = f == NULL || read_stream(f, text) == -1;

	if (bad)
		log_warn("cannot read '%s'", path);
	if (f != NULL && !from_stdin)
		(void)fclose(f); /* read only */
	return bad ? -1 : 0;
}

/* The whole document, or NULL after logging where it is wrong. */
static struct json_object *
parse(const char *path, const struct buf *text)
{
	struct json_tokener *t = json_tokener_new_ex(DEPTH_MAX);
	struct json_object *document = NULL;
	enum json_tokener_error error;
	size_t end;

	if (t == NULL) {
		log_warn("cannot read '%s'", path);
		return NULL;
	}
	/* Strict would refuse the space that ends a text file. */
	json_tokener_set_flags(t, JSON_TOKENER_VALIDATE_UTF8);
	document = json_tokener_parse_ex(t, text->data, (int)text->len);
	error = json_tokener_get_error(t);
	end = json_tokener_get_parse_end(t);
	end += strspn(text->data + end, " \t\r\n");
	if (error != json_tokener_success || end != text->len) {
		log_warnx("'%s' is not JSON: %s at byte %zu", path,
		    error == json_tokener_success
			? "more follows"
			: json_tokener_error_desc(error),
		    end);
		json_object_put(document);
		document = NULL;
	}
	json_tokener_free(t);
	return document;
}

/* The rows, borrowed from the document; NULL after logging. */
static struct json_object *
find_rows(const char *path, struct json_object *document)
{
	struct json_object *rows, *version;

	if (!json_object_is_type(document, json_type_object) ||
	    !json_object_object_get_ex(document, "keys", &rows) ||
	    !json_object_is_type(rows, json_type_array)) {
		log_warnx("'%s' has no array \"keys\"", path);
		return NULL;
	}
	if (json_object_object_get_ex(document, "version", &version) &&
	    json_object_get_int64(version) != KEY_ROW_VERSION) {
		log_warnx("'%s' is of a version not known here", path);
		return NULL;
	}
	return rows;
}

/* What became of each row. */
struct summary {
	struct json_object *skipped;
	int64_t added, now;
};

static int
note_skipped(struct summary *s, const struct key_row *row)
{
	struct json_object *o = json_object_new_object();

	if (o != NULL &&
	    object_add(o, "key_id", json_object_new_string(row->key.id)) == 0 &&
	    object_add(o, "reason", json_object_new_string("exists")) == 0 &&
	    json_object_array_add(s->skipped, o) == 0)
		return 0;
	json_object_put(o);
	log_warnx("out of memory");
	return -1;
}

/* Adds one row; 0, or -1 after logging. */
static int
add_row(
    struct keys_edit *e, struct json_object *from, size_t i, struct summary *s)
{
	const char *problem;
	struct key_row row;

	if ((problem = key_row_read(from, s->now, &row)) != NULL) {
		log_warnx("row %zu%s%s%s: %s", i + 1, row.key.id[0] ? " (" : "",
		    row.key.id, row.key.id[0] ? ")" : "", problem);
		return -1;
	}
	switch (keys_edit_add(e, &row.key, row.hash)) {
	case KEYS_OK:
		s->added++;
		return 0;
	case KEYS_EXISTS:
		return note_skipped(s, &row);
	default:
		log_warnx("row %zu (%s) cannot be added", i + 1, row.key.id);
		return -1;
	}
}

/* Every row is looked at, so that one run names all mistakes. */
static int
add_rows(struct keys_edit *e, struct json_object *rows, struct summary *s)
{
	int bad = 0;

	for (size_t i = 0; i < json_object_array_length(rows); i++)
		bad |= add_row(e, json_object_array_get_idx(rows, i), i, s);
	return bad;
}

static int
store_rows(const char *state_dir, struct json_object *rows, struct summary *s)
{
	struct keys_edit *e = keys_edit(state_dir);

	if (e == NULL)
		return -1;
	if (add_rows(e, rows, s) == -1) {
		log_warnx("nothing is imported");
		keys_edit_close(e);
		return -1;
	}
	if (s->added > 0)
		return keys_edit_commit(e) == KEYS_OK ? 0 : -1;
	keys_edit_close(e);
	return 0;
}

static struct json_object *
import_rows(const char *state_dir, struct json_object *rows, int64_t now)
{
	struct summary s = { json_object_new_array(), 0, now };
	struct json_object *o = json_object_new_object();

	if (s.skipped != NULL && o != NULL &&
	    store_rows(state_dir, rows, &s) == 0 &&
	    object_add(o, "imported", json_object_new_int64(s.added)) == 0 &&
	    object_add(o, "skipped", json_object_get(s.skipped)) == 0) {
		json_object_put(s.skipped);
		return o;
	}
	json_object_put(s.skipped);
	json_object_put(o);
	return NULL;
}

struct json_object *
key_import(const char *state_dir, const char *path, int64_t now)
{
	struct json_object *document = NULL, *rows, *summary = NULL;
	struct buf text = BUF(FILE_MAX);

	if (read_file(path, &text) == 0)
		document = parse(path, &text);
	buf_free(&text);
	if (document != NULL && (rows = find_rows(path, document)) != NULL)
		summary = import_rows(state_dir, rows, now);
	json_object_put(document);
	return summary;
}

void
key_import_print(struct json_object *summary)
{
	struct json_object *imported, *skipped, *id;

	if (!json_object_object_get_ex(summary, "imported", &imported) ||
	    !json_object_object_get_ex(summary, "skipped", &skipped))
		return;
	for (size_t i = 0; i < json_object_array_length(skipped); i++)
		if (json_object_object_get_ex(
			json_object_array_get_idx(skipped, i), "key_id", &id))
			printf("skipped, because it exists: %s\n",
			    json_object_get_string(id));
	printf("imported: %" PRId64 ", skipped: %zu\n",
	    json_object_get_int64(imported), json_object_array_length(skipped));
}

struct listing {
	struct json_object *rows;
	int64_t now;
};

static int
add_export(const struct key *key, const unsigned char hash[32], void *arg)
{
	struct listing *l = arg;
	struct json_object *o = key_view_object(key, l->now);
	char hex[65];

	/* The state follows from the rest, and from when one looks. */
	if (o != NULL)
		json_object_object_del(o, "state");
	if (o != NULL &&
	    object_add(o, "key_hash",
		json_object_new_string(text_hex(hex, hash, 32))) == 0 &&
	    json_object_array_add(l->rows, o) == 0)
		return 0;
	json_object_put(o);
	log_warnx("out of memory");
	return -1;
}

struct json_object *
key_export(const char *state_dir, int64_t now)
{
	struct listing l = { json_object_new_array(), now };
	struct json_object *o = json_object_new_object();

	if (l.rows != NULL && o != NULL &&
	    keys_each(state_dir, add_export, &l) == 0 &&
	    object_add(o, "version", json_object_new_int(KEY_ROW_VERSION)) ==
		0 &&
	    object_add(o, "keys", json_object_get(l.rows)) == 0) {
		json_object_put(l.rows);
		return o;
	}
	json_object_put(l.rows);
	json_object_put(o);
	return NULL;
}
