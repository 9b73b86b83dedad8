'use strict';
/*
 * The parts of bench/ that figures go through. The loads themselves take
 * minutes: make bench.
 */
const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { test } = require('node:test');
const { ROOT } = require('./lib/stack.js');
const { answers, startFloor } = require('../../bench/lib/gates.js');
const numbers = require('../../bench/lib/numbers.js');
const processes = require('../../bench/lib/processes.js');

const BUILD = path.resolve(ROOT, process.env.BUILD || 'build');

test('medians, spreads and ratios', () => {
  const { median, spread, ratio, difference, show, showSpread, table } = numbers;

  assert.equal(median([9, 1, 5]), 5);
  assert.equal(median([9, 1, 5, 7]), 6);
  assert.equal(median([NaN, 3, Infinity]), 3, 'what was not measured');
  assert.equal(median([]), null);
  assert.deepEqual(spread([2, 30, 4]), { median: 4, least: 2, most: 30 });
  /* Of each round; of the medians it would be 1.33. */
  assert.equal(ratio([1, 8, 9], [2, 8, 6]), 1);
  assert.equal(ratio([1, 10, 30], [2, 40, 60]), 0.5);
  assert.equal(difference([5, 7, 30], [1, 1, 1]), 6);
  assert.deepEqual([0.123, 12.34, 123.4, 12345, null].map(show),
    ['0.12', '12.3', '123', '12,345', '-']);
  assert.equal(showSpread([1, 2, 3]), '2.00 (1.00-3.00)');
  assert.equal(showSpread([NaN]), '-');
  assert.equal(table([['a', 'b'], [1, 2]]),
    '| a | b |\n| --- | --- |\n| 1 | 2 |');
});

test('what processes take', async () => {
  const self = process.pid;
  const begun = processes.cpu([self]);
  while (processes.cpu([self]) < begun + 0.05)
    for (let i = 0; i < 1e6; i++) Math.sqrt(i);
  assert.ok(processes.resident([self]) > 10 << 20);
  assert.equal(processes.resident([0]), 0, 'nobody');
  assert.ok(processes.family(processes.parentOf(self)).includes(self));
  assert.deepEqual(processes.groupsOf([self]).responders, []);

  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pmbenchtest.'));
  try {
    const gone = fs.openSync(path.join(folder, 'gone'), 'w+');
    fs.mkdirSync(path.join(folder, 'a'));
    fs.writeFileSync(path.join(folder, 'a', 'b'), Buffer.alloc(1 << 20));
    fs.writeSync(gone, Buffer.alloc(1 << 20));
    fs.fsyncSync(gone);
    fs.unlinkSync(path.join(folder, 'gone'));
    const bytes = processes.held(folder, [self]);
    assert.ok(bytes >= 2 << 20 && bytes < 3 << 20, `${bytes}`);
    fs.closeSync(gone);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
});

test('addresses are seen by the limiter', () => {
  const where = fs.existsSync('/dev/shm') ? '/dev/shm' : os.tmpdir();
  const folder = fs.mkdtempSync(path.join(where, 'pmbenchtest.'));

  try {
    const run = (n) => spawnSync(path.join(BUILD, 'bench/see-addresses'),
      [folder, n], { encoding: 'utf8' });
    assert.equal(run('20000').stdout, '20000 seen, 0 refused\n');
    assert.equal(run('many').status, 2);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
});

test('the least of responders answers a chat', async () => {
  const gate = await startFloor('exchange');

  try {
    assert.ok(await answers(gate.url, gate.key));
    assert.equal(gate.groups().responders.length, 2);
  } finally {
    await gate.stop();
  }
});

test('a load that does not exist is no load', () => {
  const { status, stderr } = spawnSync(path.join(ROOT, 'bench/run'),
    { env: { ...process.env, LOADS: '9' }, encoding: 'utf8' });

  assert.equal(status, 1);
  assert.match(stderr, /there is no load 9/);
});
