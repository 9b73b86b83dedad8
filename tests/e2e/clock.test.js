'use strict';
/*
 * A clock that steps forward and back while the gate runs: what is over stays
 * over no longer than the clock says, nobody gets more than is theirs, and
 * every request is counted once.
 */
const { after, before, beforeEach, describe, test } = require('node:test');
const assert = require('node:assert/strict');
const child_process = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { startStack } = require('./lib/stack');
const { CHAT, chat, checkError } = require('./lib/calls');

const HOUR = 3600;
const DAY = 24 * HOUR;
let dir, gate, clock;

before(async () => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), 'clock-'));
  clock = path.join(dir, 'clock');
  const library = path.join(dir, 'step-clock.so');
  child_process.execFileSync(process.env.CC || 'gcc', ['-shared', '-fPIC',
    `-DSTEP_CLOCK_FILE="${clock}"`, '-o', library,
    path.join(__dirname, 'lib', 'step-clock.c')]);
  fs.writeFileSync(clock, Buffer.alloc(8));
  fs.chmodSync(dir, 0o755);
  gate = await startStack({ env: { PROCESSES: '1', LD_PRELOAD: library } });
});
after(async () => {
  await gate?.stop();
  fs.rmSync(dir, { recursive: true });
});
beforeEach(() => set(0));

/* The clock is off by so many seconds from now on, everywhere in the gate. */
function set(seconds) {
  const bytes = Buffer.alloc(8);
  const fd = fs.openSync(clock, 'r+');
  bytes.writeBigInt64LE(BigInt(seconds));
  fs.writeSync(fd, bytes, 0, 8, 0);
  fs.closeSync(fd);
}
const ask = (key) => gate.request(CHAT, { ...chat(), key });
const hours = () => fs.readdirSync(path.join(gate.stateDir, 'journal'));

describe('a clock that steps', { timeout: 60000 }, () => {
  test('is the clock of the gate', async () => {
    const seen = new Set();
    for (const off of [0, DAY, -DAY]) {
      set(off);
      assert.equal((await ask()).status, 200);
      const day = new Date(Date.now() + off * 1000).toISOString()
        .slice(0, 10).replaceAll('-', '');
      assert.ok(hours().some((hour) => hour.startsWith(day)), day);
      seen.add(day);
    }
    assert.equal(seen.size, 3);
  });

  test('a key ends when the clock says so, on either side', async () => {
    const { key } = gate.pmkey('create', '--label', 'short', '--expires', '12h');
    for (const [off, status] of [[0, 200], [DAY, 401], [-DAY, 200], [DAY, 401],
      [0, 200]]) {
      set(off);
      assert.equal((await ask(key)).status, status, `${off}`);
    }
  });

  test('a window is neither emptied nor stretched', async () => {
    const { key } = gate.pmkey('create', '--label', 'few', '--rate-limit', '2');
    assert.equal((await ask(key)).status, 200);
    set(DAY);
    assert.equal((await ask(key)).status, 200);
    for (const off of [DAY, 0, -DAY, DAY]) {
      set(off);
      const answer = await ask(key);
      assert.equal(answer.status, 429, `${off}`);
      const wait = Number(answer.headers['retry-after']);
      assert.ok(wait >= 1 && wait <= 60, `${wait} s`);
    }
  });

  test('a month\'s budget that is spent stays spent', async () => {
    const { key } = gate.pmkey('create', '--label', 'poor',
      '--budget-tokens', '100');
    let answer;
    for (let i = 0; i < 20 && answer?.status !== 429; i++)
      answer = await ask(key);
    checkError(answer, 429, 'insufficient_quota', 'insufficient_quota');
    set(40 * DAY);
    assert.equal((await ask(key)).status, 200, 'another month');
    set(0);
    assert.equal((await ask(key)).status, 429, 'the same month again');
  });

  test('a session ends by the clock, and is not young again', async () => {
    const body = `do=login&password=${gate.adminPassword}`;
    const { headers } = await gate.request('/admin/login', { auth: false,
      body, headers: { 'content-type': 'application/x-www-form-urlencoded',
        origin: gate.baseUrl } });
    const cookie = headers['set-cookie'][0].split(';')[0];
    const page = async () => (await gate.request('/admin/keys',
      { auth: false, headers: { cookie } })).status;
    assert.equal(await page(), 200);
    set(DAY);
    assert.notEqual(await page(), 200);
    set(-DAY);
    assert.notEqual(await page(), 200);
    set(0);
  });

  test('a request is counted once, whatever was rolled up', async () => {
    const { key, key_id: id } = gate.pmkey('create', '--label', 'counted');
    let n = 0;
    /* So many requests are told to somebody who asks what is new. */
    const give = () => gate.run('pmusage', 'export', '--format', 'jsonl',
      '--since-last', 'clock').split('\n').filter((line) => line.includes(id))
      .reduce((sum, line) => sum + JSON.parse(line).requests, 0);
    const use = async (off) => {
      set(off);
      assert.equal((await ask(key)).status, 200);
      n++;
    };

    for (const off of [0, 3 * HOUR, DAY, DAY + 3 * HOUR]) await use(off);
    gate.run('pmusage', 'rollup'); // closes hours that are still to come
    const given = give();
    for (const off of [0, -DAY, 3 * HOUR, DAY, 0]) await use(off);
    for (const off of [0, 2 * DAY, -DAY, 2 * DAY]) {
      set(off);
      gate.run('pmusage', 'rollup');
      const shown = JSON.parse(gate.run('pmusage', 'show', '--json', '--key', id,
        '--period', 'all'));
      assert.equal(shown.total.requests, n);
    }
    /* What was given to somebody on the way is given once. */
    set(3 * DAY);
    assert.ok(given > 0 && given < n, `${given}`);
    assert.equal(given + give(), n);
    assert.equal(give(), 0);
  });
});
