'use strict';
/*
 * A responder that runs out of file descriptors: requests fail meanwhile, but
 * it serves as many as before afterwards, and the log told at the start.
 */
const { test } = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { ROOT, startStack } = require('./lib/stack');
const { CHAT, faulty } = require('./lib/calls');

/* A folder of programs in which v1.fcgi has few descriptors. */
function programs(descriptors) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'descriptors-'));
  const build = path.resolve(ROOT, process.env.BUILD || 'build');

  fs.mkdirSync(path.join(dir, 'fcgi'));
  fs.symlinkSync(path.join(build, 'bin'), path.join(dir, 'bin'));
  fs.writeFileSync(path.join(dir, 'fcgi', 'v1.fcgi'), '#!/bin/sh\n' +
    `ulimit -n ${descriptors}\nexec '${build}/fcgi/v1.fcgi'\n`,
  { mode: 0o755 });
  return dir;
}

test('all is as before once descriptors have run out', { timeout: 60000 },
  async () => {
    const dir = programs(60);
    const gate = await startStack({ env: { PMPROXY_BIN: dir, PROCESSES: '1',
      MAX_IN_FLIGHT: '16' } });

    try {
      const [pid] = gate.responders();
      const ask = (n) => Promise.allSettled(Array.from({ length: n }, () =>
        gate.request(CHAT, faulty('delay-head=50'))));
      for (let round = 0; round < 4; round++)
        await ask(60);
      assert.match(gate.log(), /needs up to \d+ open files, the limit is 60/);
      assert.match(gate.log(), /Too many open files/, 'none ran out');
      for (const { value, reason } of await ask(10))
        assert.equal(value?.status, 200, String(reason));
      assert.deepEqual(gate.responders(), [pid]);
    } finally {
      await gate.stop();
      fs.rmSync(dir, { recursive: true });
    }
  });
