/*
 * json.h - skims a JSON document (RFC 8259) for a few wanted members.
 *
 * The document comes in any pieces; nothing of it is stored but the values
 * that the caller asked for, into the caller's own storage, and nothing is
 * allocated. Each wanted member is reported with its place, so that a request
 * can be changed by splicing and never by writing it anew. Trees and building
 * are json-c's business, not ours.
 */
#ifndef PMPROXY_JSON_H
#define PMPROXY_JSON_H

#include <stddef.h>
#include <stdint.h>

/* Not "json_type": json-c has that name, and some files include both. */
enum json_kind {
	JSON_ABSENT,
	JSON_NULL,
	JSON_FALSE,
	JSON_TRUE,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT
};

/* Deeper nesting than this is refused as malformed. */
#define JSON_DEPTH_MAX 512
/* Wanted members at most; the names in one path, and its length, at most. */
#define JSON_MEMBERS_MAX 32
#define JSON_LEVELS_MAX 4
#define JSON_PATH_MAX 64

struct json_member {
	/* Set by the caller, and borrowed until the skim is over. */
	const char *path; /* "usage.total_tokens"; "" is the document itself;
			     only object members, no array elements */
	char *text; /* where the value goes, NUL-terminated: a string
			     decoded, a number or literal as written; or NULL */
	size_t size; /* bytes at 'text' */

	/*
	 * Filled in. Of a name given twice the last one counts, as in json-c:
	 * a member under a replaced object is absent again.
	 */
	enum json_kind type; /* known as soon as the value begins */
	size_t start, end; /* bytes [start, end) of the value in the
				document; end is 0 until it is complete */
	size_t count; /* how often the name was given in its object */
	int nonempty; /* an array or object has a first element;
				known as soon as that element begins */
	int truncated; /* 'text' was too small, or the string holds a NUL:
			  do not use it */
};

struct json_skim {
	struct json_member *members;
	size_t n_members;
	/* private */
	size_t offset; /* of the next byte */
	size_t length; /* decoded bytes of the current name or text */
	unsigned state, depth;
	unsigned char is_object[JSON_DEPTH_MAX / 8]; /* bit per open level */
	/* Sets of members, bit i for members[i]: */
	uint32_t ends[JSON_LEVELS_MAX + 1]; /* with so many names in the path */
	uint32_t alive[JSON_LEVELS_MAX + 1]; /* below the object open there */
	uint32_t open[JSON_LEVELS_MAX + 1]; /* whose value is open there */
	uint32_t matched; /* that the last name leads to */
	uint32_t hit; /* whose value is being read */
	/* Where each level's name starts in each member's path. */
	unsigned char name_at[JSON_LEVELS_MAX][JSON_MEMBERS_MAX];
	/* Those whose name there may begin with a byte, by its low bits. */
	uint32_t first[JSON_LEVELS_MAX][32];
	const char *literal; /* what is left of it */
	uint32_t code, high; /* of \u escapes; a high surrogate kept */
	unsigned digits;
	int in_name;
};

/* At most JSON_MEMBERS_MAX members; their filled-in part is reset. */
void json_skim_init(struct json_skim *, struct json_member *, size_t n);

/* Ready for another document and the same members; cheaper than init. */
void json_skim_again(struct json_skim *);

/* The next piece; 0, or -1 once the document is malformed (it stays so). */
int json_skim_feed(struct json_skim *, const char *, size_t);

/* After the last piece: 0 when exactly one whole value was read, else -1. */
int json_skim_end(struct json_skim *);

/* 1 once the document's value is complete (only space may follow). */
int json_skim_complete(const struct json_skim *);

/*
 * The value of a JSON_NUMBER member as an integer: 0, or -1 when the member is
 * something else, has a fraction or an exponent, or is out of [min, max].
 */
int json_member_i64(
    const struct json_member *, int64_t min, int64_t max, int64_t *out);

/*
 * A count of seconds, a number or (as vLLM writes it) a string holding one,
 * as milliseconds rounded up; 0 or -1. Needs 'text'.
 */
int json_member_ms(const struct json_member *, int64_t *out);

#endif
