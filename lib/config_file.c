/*
 * A .env file: lines of NAME=value, blank ones and "# comments". What shells,
 * systemd and Compose read in different ways is refused with its line, rather
 * than read in one of them: a quote that does not close at the value's end,
 * a comment behind a value. Within quotes nothing has a meaning but the quote.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "config_internal.h"
#include "log.h"

/* An API_KEYS of thousands of keys still fits. */
#define FILE_MAX (256 << 10)
#define BLANKS " \t\r"

/* No stdio, whose buffer would go back to the heap with the secrets in it. */
int
config_read_file(const char *path, struct buf *b)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	char part[4096];
	ssize_t n = -1;
	int bad = 0;

	if (fd == -1) {
		log_warn("cannot open '%s'", path);
		return -1;
	}
	do {
		n = read(fd, part, sizeof(part));
		if (n > 0 && buf_add(b, part, (size_t)n) == -1)
			break;
	} while (n > 0 || (n == -1 && errno == EINTR));
	if (n == -1) {
		log_warn("cannot read '%s'", path);
		bad = -1;
	} else if (b->failed) {
		log_warnx("'%s' is longer than %zu bytes", path, b->max);
		bad = -1;
	}
	explicit_bzero(part, sizeof(part));
	(void)close(fd); /* read only: nothing can be lost */
	return bad;
}

static char *
trim(char *s)
{
	size_t n;

	s += strspn(s, BLANKS);
	for (n = strlen(s); n > 0 && strchr(BLANKS, s[n - 1]) != NULL; n--)
		continue;
	s[n] = '\0';
	return s;
}

/* The quotes taken off; NULL and *why when it can be read in two ways. */
static char *
unquote(char *value, const char **why)
{
	char quote = *value, *end;

	if (quote != '"' && quote != '\'') {
		*why = "a comment behind a value: quote the value, or give the "
		       "comment a line of its own";
		return strstr(value, " #") == NULL &&
			strstr(value, "\t#") == NULL
		    ? value
		    : NULL;
	}
	*why = "the value's quote does not close at its end";
	end = strchr(value + 1, quote);
	if (end == NULL || end[1] != '\0')
		return NULL;
	*end = '\0';
	return value + 1;
}

/* Only what looks like a setting's name is fit for the log. */
static int
is_name(const char *s)
{
	return *s >= 'A' && *s <= 'Z' && strlen(s) <= 64 &&
	    s[strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")] == '\0';
}

/*
 * Splits "NAME=value" in two. 1, 0 for a line without a setting of ours, or
 * -1 and *why.
 */
static int
split(char *line, enum config_name *name, char **value, const char **why)
{
	char *equals;

	line = trim(line);
	*why = NULL;
	if (*line == '#' || *line == '\0')
		return 0;
	if (strncmp(line, "export", 6) == 0 &&
	    (line[6] == ' ' || line[6] == '\t'))
		line = trim(line + 6);
	*why = "not of the form NAME=value";
	if ((equals = strchr(line, '=')) == NULL)
		return -1;
	*equals = '\0';
	line = trim(line);
	*name = config_find(line);
	if (*name == CONFIG__MAX) {
		*why = is_name(line) ? line : *why;
		return is_name(line) ? 0 : -1;
	}
	*value = unquote(trim(equals + 1), why);
	return *value != NULL ? 1 : -1;
}

struct taker {
	int (*take)(void *, enum config_name, const char *);
	void *arg;
};

static int
read_line(const char *path, int number, char *line, size_t n, struct taker to)
{
	enum config_name name;
	const char *why = "a NUL byte";
	char *value;
	int got = -1;

	if (strlen(line) == n)
		got = split(line, &name, &value, &why);
	if (got == -1)
		log_warnx("%s:%d: %s", path, number, why);
	else if (got == 0 && why != NULL)
		/* It may serve somebody else. */
		log_info(
		    "%s:%d: '%s' is no setting of pmproxy", path, number, why);
	return got == 1 ? to.take(to.arg, name, value) : got;
}

int
config_read_env(const char *path,
    int (*take)(void *, enum config_name, const char *value), void *arg)
{
	static const char mark[] =
	    "\xef\xbb\xbf"; /* some editors' first bytes */
	struct taker to = { take, arg };
	struct buf file = BUF(FILE_MAX);
	int bad = 0, number = 0;
	char *line, *end, *next;

	if (config_read_file(path, &file) == -1) {
		buf_free(&file);
		return -1;
	}
	line = file.data;
	end = line + file.len;
	if (strncmp(line, mark, 3) == 0)
		line += 3;
	for (; line < end; line = next) {
		next = memchr(line, '\n', (size_t)(end - line));
		next = next != NULL ? next : end;
		*next = '\0';
		if (read_line(path, ++number, line, (size_t)(next - line), to))
			bad = -1;
		next++;
	}
	buf_free(&file);
	return bad;
}
