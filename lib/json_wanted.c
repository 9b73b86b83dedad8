/*
 * Finds the wanted members of a document and fills them in: sets of members,
 * one bit each, instead of stored names. A set is kept for each open level
 * that a path can reach.
 */
#include <assert.h>
#include <string.h>

#include "json_internal.h"

/* Takes a member out of the set; NULL when it is empty. */
static struct json_member *
take_member(const struct json_skim *s, uint32_t *set)
{
	unsigned m;

	if (*set == 0)
		return NULL;
	m = (unsigned)__builtin_ctz(*set);
	*set &= *set - 1;
	return &s->members[m];
}

static void
reset_member(struct json_member *m)
{
	m->type = JSON_ABSENT;
	m->start = m->end = m->count = 0;
	m->nonempty = m->truncated = 0;
	if (m->text != NULL && m->size > 0)
		m->text[0] = '\0';
}

static void
begin_member(struct json_member *m, enum json_kind type, size_t start)
{
	size_t count = m->count + 1;

	reset_member(m);
	m->count = count;
	m->type = type;
	m->start = start;
}

/* A dot in a document's name is no step down, so it matches nothing. */
static int
same_name(const char *path, const char *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (path[i] != p[i] || p[i] == '.' || p[i] == '\0')
			return 0;
	return 1;
}

static uint32_t *
first_with(struct json_skim *s, size_t level, char c)
{
	return &s->first[level][(unsigned char)c & 31];
}

/* What the member's path says from here on; its names so far matched. */
static const char *
path_here(const struct json_skim *s, const struct json_member *m)
{
	return m->path + s->name_at[s->depth - 1][m - s->members] + s->length;
}

static void
unmatch(struct json_skim *s, const struct json_member *m)
{
	s->matched &= ~(UINT32_C(1) << (m - s->members));
}

void
json_wanted_match_name(struct json_skim *s, const char *p, size_t n)
{
	struct json_member *m;
	uint32_t left;

	if (n == 0)
		return;
	/* Most differ in the first byte: none of those is looked at. */
	if (s->length == 0)
		s->matched &= *first_with(s, s->depth - 1, *p);
	left = s->matched;
	while ((m = take_member(s, &left)) != NULL)
		if (!same_name(path_here(s, m), p, n))
			unmatch(s, m);
	s->length += n;
}

void
json_wanted_match_end(struct json_skim *s)
{
	uint32_t left = s->matched;
	struct json_member *m;
	char c;

	while ((m = take_member(s, &left)) != NULL) {
		c = *path_here(s, m);
		if (c != '.' && c != '\0')
			unmatch(s, m);
	}
}

/* Tells the members that this value is theirs, or replaces their parent. */
void
json_wanted_claim(struct json_skim *s, enum json_kind type)
{
	uint32_t left = s->matched & s->ends[s->depth];
	struct json_member *m;

	s->hit = left;
	while ((m = take_member(s, &left)) != NULL)
		begin_member(m, type, s->offset);
	left = s->matched &= ~s->hit;
	while ((m = take_member(s, &left)) != NULL)
		reset_member(m);
}

/* A NUL within would make the text look shorter to its reader: not usable. */
static void
add_to_member(struct json_member *m, size_t length, const char *p, size_t n)
{
	if (m->text == NULL || m->truncated)
		return;
	if (length >= m->size || n >= m->size - length || *p == '\0') {
		m->truncated = 1;
		if (m->size > 0)
			m->text[0] = '\0';
		return;
	}
	memcpy(m->text + length, p, n);
	m->text[length + n] = '\0';
}

void
json_wanted_add_text(struct json_skim *s, const char *p, size_t n)
{
	uint32_t left = s->hit;
	struct json_member *m;

	while ((m = take_member(s, &left)) != NULL)
		add_to_member(m, s->length, p, n);
	s->length += n;
}

void
json_wanted_end(struct json_skim *s, size_t end)
{
	struct json_member *m;

	while ((m = take_member(s, &s->hit)) != NULL)
		m->end = end;
}

void
json_wanted_mark_nonempty(struct json_skim *s)
{
	uint32_t left = s->open[s->depth - 1];
	struct json_member *m;

	while ((m = take_member(s, &left)) != NULL)
		m->nonempty = 1;
}

/* Notes where each name of the path starts; returns how many it has. */
static size_t
split_path(struct json_skim *s, size_t m)
{
	const char *path = s->members[m].path, *name = path, *dot;
	size_t levels = 0;

	assert(strlen(path) <= JSON_PATH_MAX);
	if (*path == '\0')
		return 0;
	for (;; name = dot + 1) {
		assert(levels < JSON_LEVELS_MAX);
		*first_with(s, levels, *name) |= UINT32_C(1) << m;
		s->name_at[levels++][m] = (unsigned char)(name - path);
		if ((dot = strchr(name, '.')) == NULL)
			break;
	}
	return levels;
}

void
json_wanted_init(struct json_skim *s)
{
	size_t m;

	assert(s->n_members <= JSON_MEMBERS_MAX);
	for (m = 0; m < s->n_members; m++)
		s->ends[split_path(s, m)] |= UINT32_C(1) << m;
}

void
json_wanted_again(struct json_skim *s)
{
	size_t i;

	for (i = 0; i < s->n_members; i++)
		reset_member(&s->members[i]);
	s->hit = s->matched = 0;
	for (i = 0; i <= JSON_LEVELS_MAX; i++)
		s->matched |= s->ends[i];
}
