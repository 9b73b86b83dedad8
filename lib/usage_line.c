/* One request as a line of the journal, and back. */
#include "usage_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "text.h"

#define VERSION "1"
#define N_FIELDS 15

/*
 * The last field. A line torn inside its last number would otherwise read as
 * a whole one with a smaller number.
 */
#define END_MARK "."

struct view {
	const char *p;
	size_t len;
};

int
usage_name_valid(const char *s, size_t n, size_t size)
{
	if (n == 0 || n >= size)
		return 0;
	for (size_t i = 0; i < n; i++)
		if (s[i] < 0x20 || s[i] > 0x7e)
			return 0;
	return 1;
}

static const char *
name_or_other(const char *s, size_t size)
{
	return usage_name_valid(s, strnlen(s, size), size) ? s : "other";
}

static int64_t
at_least(int64_t min, int64_t n)
{
	return n < min ? min : n;
}

/* All fields at their longest need well under that. */
#define ALL_FIELDS                                                 \
	(USAGE_KEY_SIZE + USAGE_MODEL_SIZE + USAGE_ENDPOINT_SIZE + \
	    11 * (1 + TEXT_I64_SIZE) +                             \
	    sizeof("\n" VERSION "\t" END_MARK "\n"))
_Static_assert(ALL_FIELDS < USAGE_LINE_SIZE, "a line has room");

/* By hand: with printf(3) it takes five times as long. */
static char *
add_name(char *to, const char *name, size_t size)
{
	const char *s = name_or_other(name, size);
	size_t n = strlen(s);

	*to++ = '\t';
	memcpy(to, s, n);
	return to + n;
}

static char *
add_number(char *to, int64_t n)
{
	*to++ = '\t';
	return to + text_i64(to, n);
}

size_t
usage_line_format(char dst[USAGE_LINE_SIZE], const struct usage_record *r)
{
	static const char begin[] = "\n" VERSION, end[] = "\t" END_MARK "\n";
	const int64_t numbers[] = { r->prompt, r->completion, r->cached,
		r->total, r->audio_bytes, r->audio_ms, r->duration_ms };
	int class = r->status_class;
	char *to = dst;

	memcpy(to, begin, sizeof(begin));
	to += sizeof(begin) - 1;
	to = add_name(to, r->key_id, USAGE_KEY_SIZE);
	to = add_name(to, r->model, USAGE_MODEL_SIZE);
	to = add_name(to, r->endpoint, USAGE_ENDPOINT_SIZE);
	to = add_number(to, class >= 1 && class <= 5 ? class : 5);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		to = add_number(to, at_least(0, numbers[i]));
	to = add_number(to, at_least(-1, r->first_byte_ms));
	to = add_number(to, r->estimated != 0);
	memcpy(to, end, sizeof(end));
	return (size_t)(to - dst) + sizeof(end) - 1;
}

/* Splits at tabs; 0 when there are exactly N_FIELDS fields. */
static int
split(const char *line, size_t n, struct view field[N_FIELDS])
{
	const char *end = line + n;

	for (size_t i = 0; i < N_FIELDS; i++) {
		const char *tab = memchr(line, '\t', (size_t)(end - line));

		if ((tab == NULL) != (i == N_FIELDS - 1))
			return -1;
		field[i].p = line;
		field[i].len = (size_t)((tab ? tab : end) - line);
		line = tab ? tab + 1 : end;
	}
	return 0;
}

static int
view_is(struct view v, const char *s)
{
	return v.len == strlen(s) && memcmp(v.p, s, v.len) == 0;
}

static int
copy_name(char *dst, size_t size, struct view v)
{
	if (!usage_name_valid(v.p, v.len, size))
		return -1;
	memcpy(dst, v.p, v.len);
	dst[v.len] = '\0';
	return 0;
}

int
usage_line_parse(const char *line, size_t n, struct usage_record *r)
{
	struct view f[N_FIELDS];
	int64_t class, estimated;
	const struct {
		int64_t min, max, *out;
	} number[] = { { 1, 5, &class }, { 0, INT64_MAX, &r->prompt },
		{ 0, INT64_MAX, &r->completion }, { 0, INT64_MAX, &r->cached },
		{ 0, INT64_MAX, &r->total }, { 0, INT64_MAX, &r->audio_bytes },
		{ 0, INT64_MAX, &r->audio_ms },
		{ 0, INT64_MAX, &r->duration_ms },
		{ -1, INT64_MAX, &r->first_byte_ms }, { 0, 1, &estimated } };

	if (split(line, n, f) == -1 || !view_is(f[0], VERSION) ||
	    !view_is(f[N_FIELDS - 1], END_MARK) ||
	    copy_name(r->key_id, USAGE_KEY_SIZE, f[1]) == -1 ||
	    copy_name(r->model, USAGE_MODEL_SIZE, f[2]) == -1 ||
	    copy_name(r->endpoint, USAGE_ENDPOINT_SIZE, f[3]) == -1)
		return -1;
	for (size_t i = 0; i < sizeof(number) / sizeof(number[0]); i++)
		if (text_n_to_i64(f[4 + i].p, f[4 + i].len, number[i].min,
			number[i].max, number[i].out) == -1)
			return -1;
	r->status_class = (int)class;
	r->estimated = (int)estimated;
	return 0;
}

int64_t
usage_hour_of(int64_t t)
{
	int64_t into = t % USAGE_HOUR;

	return t - (into < 0 ? into + USAGE_HOUR : into);
}

int
usage_journal_path(char *dst, size_t size, const char *state_dir, int64_t hour)
{
	char name[TEXT_HOUR_SIZE] = "";
	int n;

	if (hour != USAGE_NO_HOUR)
		text_hour(name, hour);
	n = snprintf(
	    dst, size, "%s/journal%s%s", state_dir, name[0] ? "/" : "", name);
	if (n < 0 || (size_t)n >= size) {
		log_warnx("the path of STATE_DIR is too long");
		return -1;
	}
	return 0;
}
