'use strict';
/*
 * Few keys and many, few addresses and many; each request comes from an
 * address of its own. Then the pages over ten million requests, which
 * tests/large makes and times.
 */
const path = require('node:path');
const { startGate } = require('../lib/gates.js');
const { ratio, show, showSpread, table } = require('../lib/numbers.js');
const { BUILD, ROOT, chats, output, turns } = require('../lib/run.js');
const { resident } = require('../lib/processes.js');

const CONNECTIONS = 32;
/* Keys, addresses seen. */
const STEPS = [[10, 0], [1000, 0], [100000, 0], [10, 10000], [10, 1000000]];

async function start([keys, addresses]) {
  const gate = await startGate({ keys, name: `${keys} keys, ${addresses}`,
    env: { TRUST_PROXY: '127.0.0.1' } });

  return { ...gate, see: () => addresses && output(
    path.join(BUILD, 'bench/see-addresses'),
    [gate.stack.runDir, String(addresses)], {}) };
}

async function measure(gate, seconds) {
  const result = await chats(gate, { connections: CONNECTIONS, seconds,
    env: { BENCH_ADDRESSES: 'new' } });
  const { web, responders } = gate.groups();

  return { ...result, memory: resident([...web, ...responders]) };
}

async function scale({ rounds, seconds }) {
  const gates = [];

  try {
    for (const step of STEPS) gates.push(await start(step));
    return await turns(rounds, gates, async (gate) => {
      await gate.see(); /* within the window */
      return measure(gate, seconds);
    });
  } finally {
    for (const gate of gates) await gate.stop();
  }
}

/* [what, ms] of each thing that tests/large timed. */
async function large() {
  const tap = await output(process.execPath, ['--test', '--test-reporter=tap',
    path.join(ROOT, 'tests/large/usage.test.js')], { BUILD }, [0, 1]);
  const rows = [];
  let test = '';

  for (const line of tap.split('\n')) {
    const named = /^\s*(?:not )?ok \d+ - (.*)$/.exec(line);
    const page = /^\s*# ([\d.]+) ms, openssl/.exec(line);
    const command = /^\s*# (pmusage [^:]*): ([\d.]+) ms/.exec(line);
    if (named) test = named[1];
    if (page) rows.push([/^answers (\S+)/.exec(test)[1], Number(page[1])]);
    if (command) rows.push([command[1], Number(command[2])]);
  }
  return rows;
}

async function run({ rounds, seconds, say, quick }) {
  const results = await scale({ rounds, seconds });
  const names = Object.keys(results);
  const rates = (name) => results[name].map((r) => r.rate);
  const text = [table([['keys, addresses seen', 'requests/s', 'ratio to 10 keys',
    'MiB resident', 'errors'], ...names.map((name) => [name,
    showSpread(rates(name)), show(ratio(rates(name), rates(names[0]))),
    showSpread(results[name].map((r) => r.memory / 2 ** 20)),
    results[name].reduce((n, r) => n + r.broken + r.statuses, 0)])]), ''];
  const goals = [{ name: '100,000 keys against 10 keys, requests/s', goal: 0.97,
    least: true, measured: ratio(rates(names[2]), rates(names[0])) }];

  say(text[0]);
  if (!quick) {
    const times = await large();
    const pages = times.filter(([what]) => what.startsWith('usage'));
    text.push('### Ten million requests, ms of processor\n',
      table([['what', 'ms'], ...times.map(([what, ms]) => [what, show(ms)])]),
      '');
    say(text.at(-2));
    goals.push({ name: 'page of usage over 10 million requests', goal: 100,
      unit: 'ms', measured: pages.length === 0 ? null
        : Math.max(...pages.map(([, ms]) => ms)) });
    results.large = times;
  }
  return { text: text.join('\n'), data: results, goals };
}

module.exports = { title: 'Scale', run };
