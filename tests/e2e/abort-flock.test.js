'use strict';
// A flock of clients that vanish at random moments, over every kind of
// connection: the stand-in and the journal count the same.
const { after, before, describe, test } = require('node:test');
const assert = require('node:assert/strict');
const { setTimeout: sleep } = require('node:timers/promises');
const { startStack, eventually } = require('./lib/stack');
const { notOnCaddy } = require('./lib/servers');
const { journal } = require('./lib/journal');
const { CHAT, faulty, rawClient } = require('./lib/calls');

const env = { UPSTREAM_IDLE_TIMEOUT: '1', UPSTREAM_FIRST_BYTE_TIMEOUT: '30' };
let plain, tls;
before(async () => {
  [plain, tls] = await Promise.all([startStack({ env }),
    startStack({ tls: true, env })]);
});
after(() => Promise.all([plain, tls].map((gate) => gate?.stop())));

describe('200 clients that vanish at random moments', { timeout: 60000,
  skip: notOnCaddy('gone') }, () => {
  const FAULTS = ['rate=50,words=500', 'delay-head=20000', 'delay-body=900',
    'slow-body=100,pause=20', 'words=3', 'huge=2000000', 'stall-after=2',
    'rate=100,words=40,no-usage', 'status=500', 'close-after=2', 'words=2000'];
  /* A small generator, so that a failure can be repeated. */
  let seed = Number(process.env.ABORT_SEED || Date.now() % 1e6);
  const random = (n) => {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    return Math.floor(seed / 2147483648 * n);
  };

  test('each call ends, each has one line, no place is lost', async (t) => {
    t.diagnostic(`ABORT_SEED=${seed}`);
    await Promise.all([plain, tls].map((gate) => gate.standin.reset()));
    const keys = new Map([plain, tls].map((gate) => [gate,
      gate.pmkey('create', '--label', 'flock', '--parallel', '200')]));
    const lives = [];
    for (let i = 0; i < 200; i++) {
      const [gate, way] = [[plain, 'raw'], [tls, 'raw'], [tls, 'h2']][i % 3];
      const body = faulty(FAULTS[random(FAULTS.length)],
        { stream: random(2) === 1 }).json;
      const stay = random(700), begin = random(300);
      lives.push((async () => {
        await sleep(begin);
        const { key } = keys.get(gate);
        if (way === 'raw') {
          const { leave } = await rawClient(gate, body, key);
          await sleep(stay);
          leave();
        } else {
          const exchange = gate.open(CHAT, { http: 2, json: body, key });
          exchange.body.on('error', () => {}).resume();
          await sleep(stay);
          exchange.abort();
          await sleep(50);
          exchange.close();
        }
      })());
    }
    await Promise.all(lives);
    const gone = performance.now();
    for (const gate of [plain, tls])
      await gate.standin.wait({ open: 0 }, 1000);
    t.diagnostic(`all calls ended ${Math.round(performance.now() - gone)} ms ` +
      'after the last client');
    for (const gate of [plain, tls]) {
      const { key_id: id, key } = keys.get(gate);
      const received = (await gate.standin.requests(1000))
        .filter(({ method }) => method === 'POST').length;
      assert.ok(received > 40, `${received} calls`);
      const all = () => journal(gate).filter((one) => one.key === id);
      /* A client that left before its request was sent on: a line without use. */
      const lines = () => all().filter((one) =>
        one.status !== 4 || one.total > 0 || one.estimated > 0).length;
      await eventually(() => lines() >= received, 2000)
        .catch(() => {});
      assert.equal(lines(), received);
      assert.ok(all().length <= 134, `${all().length} lines`);
      /* All 200 places of the key are there again. */
      const answers = await Promise.all(Array.from({ length: 200 }, () =>
        gate.request(CHAT, { ...faulty('delay-head=1500'), key })));
      assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
      assert.equal(lines(), received + 200);
    }
  });
});
