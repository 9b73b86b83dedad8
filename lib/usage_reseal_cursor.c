/*
 * What a cursor remembers, from plain lines to sealed ones and back. It is in
 * terms of plain lines as long as the cursor is plain itself, whatever has
 * become of the journals by then: so a reseal may be cut short in between.
 */
#include <inttypes.h>
#include <string.h>

#include "text.h"
#include "usage_reseal.h"

#define CURSOR_HOUR "hour:"

/* Counting the lines that were given, and how long they will be. */
struct counting {
	int64_t given; /* bytes, in terms of 'from' */
	int from_sealed, file_sealed;
	int64_t at_from, to; /* sums of lengths, as lines are written */
	const char *start;
};

static int
note_form(struct usage_resealing *r, const struct usage_line *l,
    const char *line, size_t n, void *arg)
{
	(void)r;
	(void)line;
	(void)n;
	((struct counting *)arg)->file_sealed |= l->sealed;
	return 0;
}

static int
count_line(struct usage_resealing *r, const struct usage_line *l,
    const char *line, size_t n, void *arg)
{
	static const struct usage_sealing plain = { .n = 0 };
	struct counting *c = arg;
	char as[USAGE_SEALED_SIZE];
	int64_t end = line + n - c->start;

	if (l->found != USAGE_FOUND && l->found != USAGE_FOUND_PLAIN)
		return 0;
	if (c->file_sealed != c->from_sealed) {
		/* The file is another one by now: where it would have been. */
		end = c->at_from +
		    (int64_t)usage_line_as(
			c->from_sealed ? &r->keys : &plain, l, as);
		c->at_from = end;
	}
	if (end > c->given)
		return 1;
	c->to +=
	    (int64_t)usage_line_as(c->from_sealed ? &plain : &r->keys, l, as);
	return 0;
}

/* 0 and the number translated, or -1 (logged). */
static int
translate(struct usage_resealing *r, int64_t *given)
{
	struct counting c = { .given = *given,
		.from_sealed = r->how == DB_RESEAL_PLAIN };
	struct usage_image i;
	int there = usage_image_open(&i, r->path);

	/* Without its journal an hour cannot have grown: any number does. */
	if (there != 1)
		return there;
	c.start = i.p;
	(void)usage_image_each(r, &i, note_form, &c);
	(void)usage_image_each(r, &i, count_line, &c);
	usage_image_close(&i);
	/* 0 would say that nothing was given. */
	*given = c.to > 0 ? c.to : 1;
	return 0;
}

static int
change_given(const char *key, struct buf *val, void *arg)
{
	struct usage_resealing *r = arg;
	int64_t hour, given;
	int done;

	if (strncmp(key, CURSOR_HOUR, sizeof(CURSOR_HOUR) - 1) != 0 ||
	    text_to_hour(key + sizeof(CURSOR_HOUR) - 1, &hour) == -1 ||
	    text_to_i64(val->data, 1, INT64_MAX, &given) == -1)
		return 0;
	done = usage_resealing_begin(r, hour);
	if (done == 0)
		done = translate(r, &given);
	usage_resealing_end(r);
	buf_reset(val);
	return done == -1 ? -1 : buf_printf(val, "%" PRId64, given);
}

int
usage_reseal_cursor(const char *state_dir, const char *path, enum db_reseal how)
{
	struct usage_resealing r = { .how = how, .state_dir = state_dir };

	return db_reseal(path, how, change_given, &r);
}
