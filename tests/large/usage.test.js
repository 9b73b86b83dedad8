'use strict';
/*
 * A month of 10,000 requests an hour, from a thousand keys of which few are
 * busy and many are not, and the year before it with less: over ten million
 * requests in all. The store stays small, and pages are quick. Each hour's
 * lines go through the roll-up; then its journal is removed, as it may be, so
 * that the test does not need a gigabyte.
 */
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { after, before, describe, it } = require('node:test');

const { BoundedGate, keyId } = require('../e2e/lib/bounded.js');

const HOUR = 3600;
const HOURS = 720;
const AN_HOUR = 10000;
const EARLIER_HOURS = 300;
const KEYS = 1000;
const MODELS = ['gpt-oss-120b', 'gemma-3-27b', 'qwen3-embedding-4b',
  'whisper-large-v3'];
const ENDPOINTS = ['chat.completions', 'chat.completions', 'embeddings',
  'audio.transcriptions'];
const VARIANTS = 5;

/* The same numbers in each run. */
function generator(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/* One hour's lines, and what they sum up to. */
function makeHour(random) {
  const lines = [];
  let tokens = 0;
  for (let i = 0; i < AN_HOUR; i++) {
    const key = Math.floor(KEYS ** random()) - 1; /* few are busy */
    const r = random();
    const model = r < 0.8 ? 0 : r < 0.92 ? 1 : r < 0.98 ? 2 : 3;
    const prompt = model === 3 ? 0 : 20 + Math.floor(random() * 4000);
    const completion = model < 2 ? 1 + Math.floor(random() * 1500) : 0;
    const audio = model === 3 ? 1 + Math.floor(random() * 3e6) : 0;
    tokens += prompt + completion;
    lines.push([1, keyId(key), MODELS[model], ENDPOINTS[model],
      random() < 0.01 ? 5 : 2, prompt, completion, 0, prompt + completion,
      audio, 0, 100 + Math.floor(random() * 9000), 90, 0, '.'].join('\t'));
  }
  return { text: lines.map((line) => `\n${line}\n`).join(''), tokens };
}

describe('ten million requests', { timeout: 600000 }, () => {
  const gate = new BoundedGate(KEYS);
  const now = Math.floor(Date.now() / 1000 / HOUR) * HOUR;
  let tokens = 0;
  let requests = 0;
  let monthRequests = 0;
  let rollups = 0;

  function put(variants, hours) {
    const journal = path.join(gate.env.STATE_DIR, 'journal');
    const monthStart = Date.UTC(new Date().getUTCFullYear(),
      new Date().getUTCMonth()) / 1000;
    for (const h of hours) {
      const at = now - h * HOUR;
      const name = new Date(at * 1000).toISOString().slice(0, 13)
        .replace(/[-T]/g, '');
      const variant = variants[h % VARIANTS];
      fs.writeFileSync(path.join(journal, name), variant.text, { mode: 0o600 });
      tokens += variant.tokens;
      requests += AN_HOUR;
      if (at >= monthStart)
        monthRequests += AN_HOUR;
    }
    gate.run('bin/pmusage', 'rollup');
    rollups++;
    for (const name of fs.readdirSync(journal))
      fs.unlinkSync(path.join(journal, name));
  }

  before(() => {
    const random = generator(7);
    const variants = Array.from({ length: VARIANTS }, () => makeHour(random));
    gate.start();
    fs.mkdirSync(path.join(gate.env.STATE_DIR, 'journal'), { mode: 0o700 });
    /* A day in a month, then the month itself, oldest first. */
    put(variants, Array.from({ length: EARLIER_HOURS },
      (_, i) => HOURS + (EARLIER_HOURS - i) * 24));
    for (let first = HOURS; first > 0; first -= 120)
      put(variants, Array.from({ length: 120 }, (_, i) => first - i));
    gate.login();
  });
  after(() => gate.stop());

  it('keeps usage.gdbm of a month under 50 MB', (t) => {
    const files = fs.readdirSync(gate.env.STATE_DIR)
      .filter((name) => name.startsWith('usage') && name.endsWith('.gdbm'));
    const sizes = files.map((name) =>
      [name, fs.statSync(path.join(gate.env.STATE_DIR, name)).size]);
    const all = Object.fromEntries(sizes);
    t.diagnostic(sizes.map(([n, s]) => `${n} ${(s / 1e6).toFixed(1)} MB`)
      .join(', '));
    /* With the hours of the year before in it as well. */
    const month = all['usage.gdbm'] * HOURS / (HOURS + EARLIER_HOURS);
    assert.ok(month < 50e6, `${month}`);
  });

  for (const [page, query] of [['usage', '?period=30d'],
    ['usage', '?period=30d&by=model'], ['usage', '?period=30d&by=day'],
    ['usage', `?period=30d&key=${keyId(0)}&by=model`],
    ['usage', '?period=all'], ['usage', '?period=all&by=endpoint'],
    ['keys', ''], ['key', `?id=${keyId(3)}`]])
    it(`answers ${page}${query} within 100 ms of processor`, (t) =>
      gate.assertPage(t, page, query, 100));

  it('tells the very number of requests and tokens', () => {
    const text = gate.cgi('usage', '?period=all&by=model').text
      .replace(/\u00a0/g, '');
    assert.ok(requests > 10e6);
    assert.match(text, new RegExp(`<dt>Requests</dt><dd>${requests}</dd>`));
    const shown = JSON.parse(gate.run('bin/pmusage', 'show', '--period', 'all',
      '--by', 'model', '--json'));
    assert.equal(shown.total.requests, requests);
    assert.equal(shown.total.total_tokens, tokens);
    const hours = gate.run('bin/pmusage', 'export', '--format', 'jsonl',
      '--group', 'none').trim().split('\n').map((line) => JSON.parse(line));
    assert.equal(hours.length, HOURS + EARLIER_HOURS);
    assert.equal(hours.reduce((n, row) => n + row.total_tokens, 0), tokens);
    assert.equal(hours.reduce((n, row) => n + row.requests, 0), requests);
    /* Hour by hour as from the sums, to the nano-euro. */
    const nano = (eur) => {
      const [whole, part = ''] = eur.split('.');
      return BigInt(whole) * 10n ** 9n + BigInt(part.padEnd(9, '0'));
    };
    const costs = (text2) => [...text2.matchAll(/"cost_eur":\s*([\d.]+)/g)]
      .map(([, eur]) => nano(eur)).reduce((a, b) => a + b, 0n);
    assert.equal(
      costs(gate.run('bin/pmusage', 'export', '--format', 'jsonl')),
      costs(gate.run('bin/pmusage', 'export', '--format', 'jsonl', '--by',
        'month')));
  });

  it('shows and exports in good time', (t) => {
    const month = new Date().toISOString().slice(0, 7);
    for (const [most, ...args] of [
      [100, 'show'], [100, 'show', '--period', '30d', '--by', 'model,day'],
      [200, 'show', '--period', 'all', '--by', 'key,model'],
      [300, 'export', '--format', 'csv', '--by', 'day', '--from', month],
      [6000, 'export', '--format', 'csv', '--by', 'hour']]) {
      const ms = gate.leastOf('bin/pmusage', args, 3);
      t.diagnostic(`pmusage ${args.join(' ')}: ${ms.toFixed(0)} ms`);
      assert.ok(ms <= most * gate.slowness, `${args}: ${ms} ms`);
    }
  });

  it('rolls one more hour up in good time', (t) => {
    const journal = path.join(gate.env.STATE_DIR, 'journal');
    const name = new Date((now - (HOURS + 5) * HOUR) * 1000).toISOString()
      .slice(0, 13).replace(/[-T]/g, '');
    fs.writeFileSync(path.join(journal, name),
      makeHour(generator(9)).text, { mode: 0o600 });
    const ms = gate.leastOf('bin/pmusage', ['rollup'], 1);
    t.diagnostic(`pmusage rollup: ${ms.toFixed(0)} ms after ${rollups} before`);
    assert.ok(ms <= 5000 * gate.slowness, `${ms} ms`);
  });
});
