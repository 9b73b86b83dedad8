/*
 * usage_report.h - what was used, from STATE_DIR to standard output. The
 * functions return 0, or -1 after logging; whether standard output took it
 * all, the program asks at its end.
 */
#ifndef PMPROXY_CLI_USAGE_REPORT_H
#define PMPROXY_CLI_USAGE_REPORT_H

#include <stdint.h>

#include "cli/usage_view.h"

struct config;

/* What the options of any command ask for. */
struct usage_request {
	struct usage_view view;
	struct usage_range range;
	const char *key_id; /* NULL: all */
	int json, format_given;
	enum usage_format {
		USAGE_CSV,
		USAGE_JSONL,
		USAGE_OPENMETRICS
	} format;
	const char *cursor; /* a name or a path, or NULL */
	int ranged; /* a part of all was asked for */
	int64_t older_than; /* seconds */
	int64_t now;
	const struct config *config; /* of the command that runs */
};

/* All rows at once, and their sum: a table or a JSON object. */
int usage_report_show(const char *state_dir, const struct usage_request *);

/* CSV or JSON lines, a period at a time; OpenMetrics all at once. */
int usage_report_export(const char *state_dir, const struct usage_request *);

/*
 * What the cursor has not given yet, of closed hours; it moves on once all of
 * it is written out.
 */
int usage_report_rest(const char *state_dir, const struct usage_request *);

/*
 * Logs how many lines were malformed. That is no failure: what could be read
 * is right, but somebody should look.
 */
void usage_report_malformed(void);

#endif
