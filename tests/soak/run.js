#!/usr/bin/env node
'use strict';
/*
 * run.js - the soak: mixed load on a gate whose responders are killed at
 * random, and whose keys, roll-ups and exports go on meanwhile. Nothing may
 * hang, get lost, count twice, pass a limit or grow. Prints what it saw, and
 * exits with 1 when something was not as it must be. docs/testing.md says more.
 *
 *   SOAK_SECONDS  how long the load lasts (default: 600)
 *   CLIENTS       how many at once (default: 500)
 */
const child_process = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { promisify } = require('node:util');
const { setTimeout: sleep } = require('node:timers/promises');
const { startStack, eventually } = require('../e2e/lib/stack');
const { ask } = require('./ask');
const { EarlierHours, admin, bookkeeper } = require('./books');
const { asker, leaver, refused, unlucky } = require('./clients');
const { Ledger } = require('./ledger');
const limited = require('./limited');
const { conclude } = require('./report');
const { Watch, look, tree } = require('./watch');

const SECONDS = Number(process.env.SOAK_SECONDS || 600);
const CLIENTS = Number(process.env.CLIENTS || 500);
const PROCESSES = 4;
/* A part of the time at the end without deaths: there all is exact. */
const CALM = 0.1;
const BREACHES_SHOWN = 20;

const execFile = promisify(child_process.execFile);

class Soak {
  over = false;
  breaches = [];
  outcomes = new Map(); /* of each kind: how often, and how long */
  admitted = { requests: [], tokens: [], parallel: [] };
  changes = 0;
  broken = []; /* { sent, end, name, why } */
  #later = [];

  constructor(gate) {
    this.gate = gate;
    this.ledger = new Ledger();
    this.earlier = new EarlierHours(gate);
    /* Between the rounds of admin, bookkeeper and killer, in ms. */
    this.pace = Math.min(2000, SECONDS * 20);
    this.people = [];
  }

  breach(text) {
    this.breaches.push(text);
    if (this.breaches.length <= BREACHES_SHOWN)
      console.log(`breach: ${text.slice(0, 400)}`);
  }

  later(check) {
    this.#later.push(check);
  }

  settle() {
    for (const check of this.#later) check();
  }

  deathIn(from, to) {
    return this.watch.deathIn(from, to);
  }

  note(name, result) {
    const o = this.outcomes.get(name) ?? { whole: 0, error: 0, broken: 0,
      left: 0, hung: 0, times: [] };

    this.outcomes.set(name, o);
    o[result.how]++;
    o.times.push(result.end - result.sent);
    if (result.how === 'hung')
      this.breach(`${name}: no end within a minute`);
    if (result.how === 'broken')
      this.broken.push({ ...result, text: undefined, name });
  }

  async run(program, ...args) {
    const { stdout } = await execFile(program, args,
      { env: this.gate.env, maxBuffer: 1 << 28 });
    return stdout;
  }

  async pmkey(...args) {
    const out = await this.run('pmkey', ...args, '--json');
    return out.trim() === '' ? null : JSON.parse(out);
  }
}

/* Keys for all, in one import: { key, key_id, short } each. */
async function makePeople(soak, count, settings = {}) {
  const file = path.join(soak.gate.runDir, 'keys.json');
  const from = soak.people.length;
  const made = Array.from({ length: count }, (_, i) => ({
    key_id: `key_${(0x1000 + from + i).toString(16).padStart(16, '0')}`,
    key: `pm_soak-${process.pid}-${from + i}-${Math.random()}`,
    short: `p${from + i}`, label: `soak ${from + i}`, ...settings }));

  fs.writeFileSync(file, JSON.stringify({ keys: made }));
  await soak.run('pmkey', 'import', file);
  fs.rmSync(file);
  soak.people.push(...made);
  return made;
}

const limitedKeys = async (soak) => {
  const one = async (settings) => (await makePeople(soak, 1, settings))[0];
  const { LIMITS, BUDGET_STEP } = limited;

  soak.limited = {
    requests: await one({ rate_limit: LIMITS.requests }),
    tokens: await one({ tokens_per_minute: LIMITS.tokens }),
    parallel: await one({ parallel: LIMITS.parallel }),
    budget: await one({ budget_tokens: BUDGET_STEP }),
  };
  soak.limited.budget.budget = BUDGET_STEP;
};

const share = (part) => Math.max(2, Math.round(CLIENTS * part));

/* The share of each loop; three in four are askers. */
function loops(soak, people, confined) {
  const several = (n, fn) => Array.from({ length: n }, fn);
  const { requests, tokens, parallel, budget } = soak.limited;
  const of = (n, loop) => several(n, () => loop(soak, people.pop()));
  const shared = (n, loop, key) => several(n, () => loop(soak, key));

  return [
    ...of(share(0.08), leaver), ...confined.map((one) => refused(soak, one)),
    ...of(share(0.04), unlucky),
    ...shared(share(0.02), limited.requestsClient, requests),
    ...shared(share(0.02), limited.tokensClient, tokens),
    ...shared(Math.max(8, share(0.03)), limited.parallelClient, parallel),
    ...shared(share(0.01), limited.budgetClient, budget),
    ...several(Math.round(CLIENTS * 0.76), (_, i) =>
      asker(soak, people.pop(), i)),
    admin(soak), bookkeeper(soak), soak.watch.sampler(),
  ];
}

async function load(soak) {
  const people = await makePeople(soak, CLIENTS);
  const confined = await makePeople(soak, share(0.04),
    { models: ['gpt-oss-120b'] });
  const began = performance.now();
  const calmAt = began + SECONDS * 1000 * (1 - CALM);

  await limitedKeys(soak);
  soak.watch = new Watch(soak, PROCESSES);
  soak.quietBefore = look(soak.watch.first);
  const all = loops(soak, [...people], confined);
  const killing = soak.watch.killer(calmAt);
  const timer = setTimeout(() => { soak.over = true; }, SECONDS * 1000);

  try {
    await Promise.all([...all, killing]);
  } finally {
    soak.over = true;
    clearTimeout(timer);
  }
  soak.times = { began, calmAt, ended: performance.now() };
}

const settings = {
  PROCESSES: String(PROCESSES),
  /* Each of them can take all clients, when the others are dead. */
  MAX_IN_FLIGHT: String(PROCESSES * (CLIENTS + 20)),
  RATE_LIMIT_WINDOW: String(limited.WINDOW_MS / 1000),
  METRICS_TOKEN: 'a-token-of-the-soak',
};

/* Until nothing is under way, neither here nor upstream. */
async function untilQuiet(soak) {
  const { gate } = soak;

  await eventually(async () => {
    const { text } = await ask(gate, '/metrics', { method: 'GET', agent: false,
      key: settings.METRICS_TOKEN });
    return /^pmproxy_in_flight 0$/m.test(text ?? '') &&
      (await gate.standin.stats()).open === 0;
  }, 30000).catch((error) => soak.breach(`not quiet: ${error.message}`));
}

async function main() {
  const gate = await startStack({ env: settings });
  const soak = new Soak(gate);

  try {
    await load(soak);
    await untilQuiet(soak);
    await sleep(Math.min(3000, soak.pace * 3));
    await conclude(soak, { PROCESSES, SECONDS, CLIENTS, tree, look });
  } finally {
    await gate.stop();
  }
  console.log(soak.breaches.length === 0 ? 'soak: all as it must be'
    : `soak: ${soak.breaches.length} breaches`);
  process.exitCode = soak.breaches.length === 0 ? 0 : 1;
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
