'use strict';
/*
 * books.js - what admins and the timer do while the load is on: keys made,
 * changed, replaced and erased; hours rolled up; exports of what is new. Hours
 * before the soak hold lines of a key of its own, and late ones come to them,
 * so that there is something to roll up and to export.
 */
const fs = require('node:fs');
const path = require('node:path');
const { setTimeout: sleep } = require('node:timers/promises');
const { ask, newAgent } = require('./ask');

const HOUR_MS = 3600000;
const HOURS = 5;
const EARLIER_KEY = 'key_00000000000000ff';

const nameOf = (hour) => new Date(hour).toISOString().slice(0, 13)
  .replace(/[-T]/g, '');

class EarlierHours {
  #dir;
  #tokens = 0;
  written = 0;
  exported = { requests: 0, tokens: 0 };
  exports = 0;
  rollups = 0;

  constructor(gate) {
    this.#dir = path.join(gate.stateDir, 'journal');
    this.first = Math.floor(Date.now() / HOUR_MS) * HOUR_MS - HOURS * HOUR_MS;
    fs.mkdirSync(this.#dir, { recursive: true, mode: 0o700 });
    for (let i = 0; i < 200; i++) this.add();
  }

  /* One line more to one of the hours, as a responder that was late would. */
  add() {
    const hour = this.first + HOUR_MS * Math.floor(Math.random() * (HOURS - 1));
    const prompt = 1 + Math.floor(Math.random() * 1000);
    const line = [1, EARLIER_KEY, 'gpt-oss-120b', 'chat.completions', 2, prompt,
      0, 0, prompt, 0, 0, 1, 1, 0, '.'].join('\t');

    fs.appendFileSync(path.join(this.#dir, nameOf(hour)), `\n${line}\n`,
      { mode: 0o600 });
    this.written++;
    this.#tokens += prompt;
  }

  async rollup(soak) {
    await soak.run('pmusage', 'rollup');
    this.rollups++;
  }

  async export(soak) {
    const out = await soak.run('pmusage', 'export', '--format', 'jsonl',
      '--since-last', 'soak');

    this.exports++;
    for (const row of rows(out)) {
      if (row.key_id !== EARLIER_KEY) continue;
      this.exported.requests += row.requests;
      this.exported.tokens += row.total_tokens;
    }
  }

  check(soak) {
    const { requests, tokens } = this.exported;

    if (requests !== this.written || tokens !== this.#tokens)
      soak.breach(`exports gave ${requests} requests and ${tokens} tokens of ` +
        `the earlier hours, not ${this.written} and ${this.#tokens}`);
  }
}

const rows = (text) => text.split('\n').filter(Boolean).map(JSON.parse);

/* Roll-ups and exports, now and then side by side. */
async function bookkeeper(soak) {
  while (!soak.over) {
    soak.earlier.add();
    await Promise.all([soak.earlier.rollup(soak),
      ...(Math.random() < 0.5 ? [soak.earlier.rollup(soak)] : []),
      soak.earlier.export(soak)]);
    await sleep(soak.pace);
  }
}

/* Whether the gate takes a key, once no death stands in the way of knowing. */
async function takes(soak, key, agent) {
  for (;;) {
    const { how, status } = await ask(soak.gate, '/v1/embeddings', { key, agent,
      json: { model: 'qwen3-embedding-4b', input: 'x' } });
    if (how === 'whole') return true;
    if (how === 'error' && status === 401) return false;
    if (how !== 'broken') throw new Error(`admin: ${how}, status ${status}`);
    await sleep(200);
  }
}

async function expect(soak, what, key, wanted, agent) {
  if (await takes(soak, key, agent) !== wanted)
    soak.breach(`admin: ${what}: the key is ${wanted ? 'refused' : 'taken'}`);
}

/* The life of a key; what is changed holds for the next request. */
async function oneKey(soak, agent) {
  const { key, key_id: id } = await soak.pmkey('create', '--label', 'passing');
  const steps = [['made', true, []],
    ['changed', true, ['set', id, '--rate-limit', '1000']],
    ['disabled', false, ['disable', id]], ['enabled', true, ['enable', id]]];
  let next;

  for (const [what, wanted, command] of steps) {
    if (command.length > 0) await soak.pmkey(...command);
    await expect(soak, what, key, wanted, agent);
  }
  next = await soak.pmkey('rotate', id, '--grace', '0');
  await expect(soak, 'replaced', key, false, agent);
  await expect(soak, 'its successor', next.key, true, agent);
  for (const gone of [id, next.key_id]) {
    await soak.run('pmkey', 'delete', gone, '--erase', '--yes');
    soak.ledger.erased(gone);
  }
  await expect(soak, 'deleted', next.key, false, agent);
}

async function admin(soak) {
  const agent = newAgent();

  while (!soak.over) {
    const some = soak.people[Math.floor(Math.random() * soak.people.length)];
    await oneKey(soak, agent);
    await soak.pmkey('set', some.key_id, '--label', `renamed ${soak.changes}`);
    soak.changes += 10;
    await sleep(soak.pace);
  }
  agent.destroy();
}

/* What pmusage tells of each key against the journal's lines. */
async function checkExport(soak, lines) {
  const out = await soak.run('pmusage', 'export', '--format', 'jsonl',
    '--group', 'key');
  const sums = new Map();
  const add = (id, requests, tokens, sign) => {
    const [n, all] = sums.get(id) ?? [0, 0];
    sums.set(id, [n + sign * requests, all + sign * tokens]);
  };

  for (const { key, total } of lines) add(key, 1, total, 1);
  for (const { key_id: id, requests, total_tokens: tokens } of rows(out))
    add(id, requests, tokens, -1);
  for (const [id, [requests, tokens]] of sums)
    if (requests !== 0 || tokens !== 0)
      soak.breach(`export of ${id}: ${requests} requests and ${tokens} tokens ` +
        'fewer than the journal has');
}

module.exports = { EARLIER_KEY, EarlierHours, admin, bookkeeper, checkExport };
