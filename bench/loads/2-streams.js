'use strict';
/*
 * Event streams, so many at once. Each is measured once more, first, for its
 * memory: looking at that would delay events.
 */
const { withAll } = require('../lib/gates.js');
const { difference, median, show, showSpread, table } =
  require('../lib/numbers.js');
const { streams, turns } = require('../lib/run.js');
const { peak, resident } = require('../lib/processes.js');

/* Streams, events of each a second. */
const wanted = (process.env.STREAMS || '').split(/\s+/).filter(Boolean);
const STEPS = [[1, 20], [100, 20], [1000, 20], [4000, 5]]
  .filter(([n]) => wanted.length === 0 || wanted.includes(String(n)));
/* Two processes have 2,048 places each; Caddy's share them unevenly. */
const ENV = { MAX_IN_FLIGHT: '4060', PROCESSES: '2' };
const CADDY = { MAX_IN_FLIGHT: '8000', PROCESSES: '4' };
const OPENING = 1000;
/* The least that a responder can be (bench/floor.c); it is not for more. */
const FLOORS = ['exchange'];
const FLOORS_MOST = 1000;

const sum = (list, what) => list.reduce((n, r) => n + r[what], 0);
const ms = (us) => us / 1000;

function arguments_(n, rate, seconds) {
  return ['--streams', n, '--rate', rate, '--seconds', seconds, '--opening',
    OPENING].map(String);
}

/* { total, rest } bytes of web server and responders, most and before. */
async function memory(gate, n, rate) {
  const { web, responders } = gate.groups();
  const pids = [...web, ...responders];
  const rest = resident(pids);
  const most = peak(() => resident(pids));

  const result = await streams(gate, arguments_(n, rate, 1));
  return { rest, total: most.stop(), ...result };
}

function row(gate, n, results, used) {
  const delay = (share) => results.map((r) => ms(r.delay_us?.[share] ?? NaN));
  const cpu = (name) => median(results.map((r) =>
    r.cpu[name] / r.seconds / n * 1000));

  return [gate, show(median(results.map((r) => ms(r.first_byte_us?.p50 ?? NaN)))),
    showSpread(delay('p50')), showSpread(delay('p99')), showSpread(delay('p999')),
    show(median(results.map((r) => (r.delay_us?.n ?? 0) / r.expected * 100))),
    sum(results, 'lost') + sum(results, 'merged'),
    `${sum(results, 'failed')}, ${sum(results, 'refused')}`,
    show(cpu('web')), show(cpu('responders')),
    show(used.total / n / 1024), show((used.total - used.rest) / n / 1024)];
}

const HEAD = ['through', 'first byte ms', 'delay p50 ms', 'p99 ms', 'p99.9 ms',
  'events %', 'lost, merged', 'failed, refused', 'CPU web', 'responders', 'KiB a stream',
  'KiB more'];

function goals(all, used) {
  const p99 = (gate) => all[1000]?.[gate]
    .map((r) => ms(r.delay_us?.p99 ?? NaN)) ?? [];
  const most = used[4000]?.pmproxy[0];

  return [{ name: 'delay added to an event at 1,000 streams x 20/s against the ' +
    'upstream directly, p99', goal: 3, unit: 'ms',
  measured: difference(p99('pmproxy'), p99('direct')) },
  { name: 'lost or merged events', goal: 0, measured: STEPS.reduce((n, [step]) =>
    n + sum(all[step].pmproxy, 'lost') + sum(all[step].pmproxy, 'merged'), 0) },
  { name: 'resident memory an open stream, responders and lighttpd, at 4,000',
    goal: 48, unit: 'KiB', measured: most ? most.total / 4000 / 1024 : null }];
}

async function run({ rounds, seconds, say }) {
  const all = {};
  const used = {};
  const text = [];

  await withAll({ env: ENV, caddyEnv: CADDY, floors: FLOORS }, async (gates) => {
    for (const [n, rate] of STEPS) {
      const these = gates.filter(({ name }) =>
        n <= FLOORS_MOST || !name.startsWith('floor'));

      used[n] = await turns(1, these, (gate) => memory(gate, n, rate));
      all[n] = await turns(rounds, these, (gate) =>
        streams(gate, arguments_(n, rate, seconds)));
      text.push(`### ${n} streams x ${rate} events/s\n`, table([HEAD,
        ...Object.entries(all[n]).map(([name, list]) =>
          row(name, n, list, used[n][name][0]))]), '');
      say(text.at(-2));
    }
  });
  text.push('Delay: from the stand-in making an event to its being read. "events ' +
    '%": of those that were due while all streams were open. CPU: milliseconds ' +
    'a stream and second. KiB: web server and responders, all of it and what ' +
    'came on top of their rest.', '');
  return { text: text.join('\n'), data: { delays: all, memory: used },
    goals: goals(all, used) };
}

module.exports = { title: 'Event streams', run };
