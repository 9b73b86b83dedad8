/*
 * The first byte chooses format and stripping. Any split of the rest gives
 * the same bytes and counts; without stripping the bytes are the input's; the
 * last event is announced once at most.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/meter.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

#define INPUT_MAX 4096

struct outcome {
	struct meter meter;
	char out[INPUT_MAX];
	size_t sent, all; /* without and with what is held */
	size_t n_last, before_last;
};

static void
must(int what)
{
	if (!what)
		abort();
}

static void
relay(struct outcome *o, const char *p, size_t n)
{
	enum meter_verdict verdict;
	size_t used;

	for (; n > 0; p += used, n -= used) {
		used = meter_step(&o->meter, p, n, &verdict);
		must(used >= 1 && used <= n);
		if (verdict == METER_DROP) {
			o->all = o->sent;
			continue;
		}
		memcpy(o->out + o->all, p, used);
		o->all += used;
		if (verdict == METER_HOLD)
			continue;
		if (verdict == METER_LAST && o->n_last++ == 0)
			o->before_last = o->sent;
		o->sent = o->all;
	}
}

static void
run(struct outcome *o, int choice, const char *p, size_t len, size_t piece)
{
	size_t n;

	memset(o, 0, sizeof(*o));
	meter_init(&o->meter, (enum meter_format)(choice / 2 % 3), choice % 2);
	for (; len > 0; p += n, len -= n) {
		n = len < piece ? len : piece;
		relay(o, p, n);
	}
	meter_end(&o->meter);
}

static void
must_be_same(const struct outcome *a, const struct outcome *b)
{
	const struct meter *x = &a->meter, *y = &b->meter;

	must(a->all == b->all && memcmp(a->out, b->out, a->all) == 0);
	must(a->n_last == b->n_last && a->before_last == b->before_last);
	must(x->events == y->events && x->finished == y->finished &&
	    x->failed == y->failed);
	must(strcmp(x->model, y->model) == 0);
	must(memcmp(&x->usage, &y->usage, sizeof(x->usage)) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct outcome whole, pieces;
	const char *in = (const char *)data + 1;

	if (len < 1 || len > INPUT_MAX)
		return 0;
	len--;
	run(&whole, *data, in, len, len + 1);
	must(whole.n_last <= 1);
	must(whole.meter.usage.known || whole.meter.usage.total == 0);
	if (*data % 2 == 0)
		must(whole.all == len && memcmp(whole.out, in, len) == 0);
	run(&pieces, *data, in, len, 1);
	must_be_same(&whole, &pieces);
	run(&pieces, *data, in, len, len / 2 + 1);
	must_be_same(&whole, &pieces);
	return 0;
}
