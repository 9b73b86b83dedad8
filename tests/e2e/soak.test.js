'use strict';
/*
 * A short form of `make soak`: responders die under mixed load, and nothing is
 * lost, counted twice, let past a limit or left hanging.
 */
const { test } = require('node:test');
const assert = require('node:assert/strict');
const child_process = require('node:child_process');
const path = require('node:path');
const { promisify } = require('node:util');
const { ROOT } = require('./lib/stack');

const execFile = promisify(child_process.execFile);

test('nothing is lost or doubled when responders die', { timeout: 240000 },
  async (t) => {
    const env = { ...process.env, SOAK_SECONDS: '12', CLIENTS: '30' };
    const { stdout } = await execFile(process.execPath,
      [path.join(ROOT, 'tests/soak/run.js')], { env })
      .catch((error) => assert.fail(`${error.stdout}${error.stderr}`));

    for (const line of stdout.trim().split('\n')) t.diagnostic(line);
    assert.match(stdout, /\nsoak: all as it must be\n$/);
    const deaths = /deaths: (\d+) responders/.exec(stdout);
    assert.ok(Number(deaths[1]) > 0, 'nobody died');
  });
