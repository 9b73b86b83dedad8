'use strict';
/*
 * What those cost who are refused, beside one who is served, and beside the
 * least of an answer: libfcgi's, and always the same (bench/floor.c).
 */
const { withAll } = require('../lib/gates.js');
const { median, ratio, show, showSpread, table } = require('../lib/numbers.js');
const { chats, turns } = require('../lib/run.js');

const CONNECTIONS = 32;
const KINDS = ['served', 'bad key', 'limited key'];

/* Who asks it. */
function lanesOf(gate) {
  if (gate.name.startsWith('floor'))
    return [{ ...gate, name: `pmproxy, ${gate.name}` }];
  const limited = gate.stack.pmkey('create', '--label', 'limited',
    '--rate-limit', '1').key;

  return KINDS.map((kind) => ({ ...gate, kind, name: `${gate.name}, ${kind}`,
    key: kind === 'limited key' ? limited : gate.key }));
}

const cost = (r) => r.each.web + r.each.responders;

async function run({ rounds, seconds, say }) {
  let results;
  let text;

  await withAll({ names: ['pmproxy', 'caddy'], floors: ['answer'] }, async (
    gates) => {
    const lanes = gates.flatMap(lanesOf);
    results = await turns(rounds, lanes, (gate) => chats(gate, { seconds,
      connections: CONNECTIONS,
      env: gate.kind === 'bad key' ? { BENCH_KEYS: 'bad' } : {} }));
    text = table([['through, who', 'requests/s', 'p99 us', 'CPU web',
      'responders', 'against served', 'refused %', 'broken'],
    ...lanes.map(({ name }) => {
      const list = results[name];
      const served = results[`${name.split(',')[0]}, served`];
      return [name, showSpread(list.map((r) => r.rate)),
        show(median(list.map((r) => r.p99))),
        show(median(list.map((r) => r.each.web))),
        show(median(list.map((r) => r.each.responders))),
        show(ratio(list.map(cost), served.map(cost))),
        show(median(list.map((r) => r.statuses / r.requests * 100))),
        list.reduce((n, r) => n + r.broken, 0)];
    })]);
    say(text);
  });
  return { text: `${text}\n\n${CONNECTIONS} connections. CPU: seconds for ` +
    '10,000 requests.\n', data: results, goals: KINDS.slice(1).map((kind) => ({
    name: `a refused request (${kind}) against a served one, CPU`, goal: 0.4,
    measured: ratio(results[`pmproxy, ${kind}`].map(cost),
      results['pmproxy, served'].map(cost)) })) };
}

module.exports = { title: 'Refusals', run };
