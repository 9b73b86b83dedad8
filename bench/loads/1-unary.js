'use strict';
/*
 * Short chats: 300 bytes asked, some 500 answered, over 1, 32 and 256
 * connections.
 */
const path = require('node:path');
const { withAll } = require('../lib/gates.js');
const { difference, median, ratio, show, showSpread, table } =
  require('../lib/numbers.js');
const { chats, output, turns, BUILD, ROOT } = require('../lib/run.js');

const CONNECTIONS = [1, 32, 256];

const cost = (r) => r.each.web + r.each.responders;

function row(gate, results, base) {
  const of = (list, what) => list.map(what);
  const rate = (r) => r.rate;

  return [gate, showSpread(of(results, rate)),
    show(ratio(of(results, rate), of(base, rate))),
    showSpread(of(results, (r) => r.p50)), showSpread(of(results, (r) => r.p99)),
    show(median(of(results, (r) => r.each.web))),
    show(median(of(results, (r) => r.each.responders))),
    show(median(of(results, (r) => r.each.upstream))),
    show(ratio(of(results, cost), of(base, cost))),
    results.reduce((n, r) => n + r.broken + r.statuses, 0)];
}

function goals(all) {
  const at = (n, gate, what) => all[n][gate].map(what);
  const list = [32, 256].map((n) => ({
    name: `unary, ${n} connections: requests/s against mod_proxy`,
    goal: 0.85, least: true,
    measured: ratio(at(n, 'pmproxy', (r) => r.rate),
      at(n, 'mod_proxy', (r) => r.rate)) }));

  list.push({ name: 'CPU of responders a request against mod_proxy\'s lighttpd, ' +
    '32 connections', goal: 0.6,
  measured: ratio(at(32, 'pmproxy', (r) => r.each.responders),
    at(32, 'mod_proxy', (r) => r.each.web)) });
  list.push({ name: 'added p50 at 1 connection against mod_proxy', goal: 60,
    unit: 'us', measured: difference(at(1, 'pmproxy', (r) => r.p50),
      at(1, 'mod_proxy', (r) => r.p50)) });
  return list;
}

/* There is no counter of instructions in most virtual machines. */
async function instructions() {
  const text = await output(path.join(ROOT, 'bench/smoke'), [],
    { BUILD: path.relative(ROOT, BUILD) }, [0, 1]);

  return text.trim().split('\n').map((line) => `    ${line}`).join('\n');
}

async function run({ rounds, seconds, say, quick }) {
  const all = {};
  const text = [];

  await withAll({}, async (gates) => {
    await turns(1, gates, (gate) => chats(gate, { connections: 32, seconds: 1 }));
    for (const connections of CONNECTIONS) {
      const results = await turns(rounds, gates, (gate) =>
        chats(gate, { connections, seconds }));
      all[connections] = results;
      text.push(`### ${connections} connections\n`, table([['through',
        'requests/s', 'ratio', 'p50 us', 'p99 us', 'CPU web', 'responders',
        'upstream', 'ratio', 'errors'], ...Object.entries(results).map(([name, list]) =>
        row(name, list, results.mod_proxy))]), '');
      say(text.at(-2));
    }
  });
  text.push('CPU: seconds for 10,000 requests, and the ratio of web server and ' +
    'responders together.', '');
  if (!quick)
    text.push('Instructions of a responder for a request (callgrind):\n',
      await instructions(), '');
  return { text: text.join('\n'), data: all, goals: goals(all) };
}

module.exports = { title: 'Short requests', run };
