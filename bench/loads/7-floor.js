'use strict';
/*
 * How much of what the gate costs is what any responder on libfcgi and libcurl
 * costs: short chats, beside the least of them (bench/floor.c).
 */
const { withAll } = require('../lib/gates.js');
const { difference, median, ratio, show, showSpread, table } =
  require('../lib/numbers.js');
const { chats, turns } = require('../lib/run.js');

const CONNECTIONS = [1, 32, 256];

function row(gate, results, base) {
  const of = (list, what) => list.map(what);
  const rate = (r) => r.rate;
  const p50 = (r) => r.p50;

  return [gate, showSpread(of(results, rate)),
    show(ratio(of(results, rate), of(base, rate))), showSpread(of(results, p50)),
    show(difference(of(results, p50), of(base, p50))),
    show(median(of(results, (r) => r.each.web))),
    show(median(of(results, (r) => r.each.responders))),
    show(ratio(of(results, (r) => r.each.responders),
      of(base, (r) => r.each.web))),
    results.reduce((n, r) => n + r.broken + r.statuses, 0)];
}

async function run({ rounds, seconds, say }) {
  const all = {};
  const text = [];

  await withAll({ names: ['mod_proxy', 'pmproxy'],
    floors: ['answer', 'bare', 'exchange'] }, async (gates) => {
    await turns(1, gates, (gate) => chats(gate, { connections: 32, seconds: 1 }));
    for (const connections of CONNECTIONS) {
      const results = await turns(rounds, gates, (gate) =>
        chats(gate, { connections, seconds }));
      all[connections] = results;
      text.push(`### ${connections} connections\n`, table([['through',
        'requests/s', 'ratio', 'p50 us', 'added us', 'CPU web', 'responders',
        'to mod_proxy\'s', 'errors'],
      ...Object.entries(results).map(([name, list]) =>
        row(name, list, results.mod_proxy))]), '');
      say(text.at(-2));
    }
  });
  text.push('CPU: seconds for 10,000 requests. The last but one column is the ' +
    'responders\' to all of mod_proxy\'s lighttpd.', '');
  return { text: text.join('\n'), data: all, goals: [] };
}

module.exports = { title: 'What libfcgi and libcurl leave', run };
