'use strict';
/*
 * bench/sse-load, which measures event streams: it counts what comes, notices
 * what does not, and loads this machine alone.
 */
const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const path = require('node:path');
const { test } = require('node:test');
const { ROOT, startStack } = require('./lib/stack');
const client = require('./lib/standin-client.js');

const PROGRAM = path.resolve(ROOT, process.env.BUILD || 'build',
  'bench/sse-load');

/* { code, result, stderr } of one run. */
function load(url, args, key) {
  return new Promise((resolve) => execFile(PROGRAM, [...args, url],
    { env: key ? { API_KEY: key } : {}, timeout: 60000 },
    (error, stdout, stderr) => resolve({ code: error ? error.code : 0, stderr,
      result: stdout ? JSON.parse(stdout) : null })));
}

test('through the gate every event arrives, a while after its stamp',
  { timeout: 120000 }, async () => {
    const gate = await startStack({ env: { PROCESSES: '1' } });

    try {
      const { code, result, stderr } = await load(gate.baseUrl, ['--streams',
        '20', '--events', '20', '--rate', '40'], gate.apiKey);
      assert.equal(code, 0, stderr);
      assert.equal(result.expected, 400);
      assert.equal(result.events, 400);
      assert.deepEqual([result.lost, result.merged, result.failed,
        result.refused], [0, 0, 0, 0]);
      assert.equal(result.first_byte_us.n, 20);
      assert.ok(result.first_byte_us.p50 > 0);
      if (result.delay_us) {
        const { p50, p99, p999, max } = result.delay_us;
        assert.ok(0 <= p50 && p50 <= p99 && p99 <= p999 && p999 <= max);
      }

      const refused = await load(gate.baseUrl, ['--streams', '3', '--events',
        '2'], 'pm_nobody');
      assert.equal(refused.code, 1);
      assert.equal(refused.result.failed, 3);
      assert.equal(refused.result.refused, 3);
      assert.equal(refused.result.lost, 6);
      assert.equal(refused.result.delay_us, null);

      const timed = await load(gate.baseUrl, ['--streams', '5', '--rate', '50',
        '--seconds', '1'], gate.apiKey);
      assert.equal(timed.code, 0, timed.stderr);
      assert.equal(timed.result.expected, 250);
      assert.ok(timed.result.delay_us.n > 0);
      await gate.standin.wait({ aborted: 5 }, 20000);
    } finally {
      await gate.stop();
    }
  });

/* A stand-in whose every answer breaks off could not be told from one that
 * was asked to, so this is a server of three lines. */
test('what is lost or merged on the way is counted', { timeout: 60000 },
  async () => {
    const standin = await client.start();
    const url = `http://127.0.0.1:${standin.port}`;
    const { createServer } = require('node:http');
    const spoils = {
      lost: (text) => text.replace(/data: [^\n]*@3:[^\n]*\n\n/, ''),
      merged: (text) => text.replace(/(@3:\d+;)/, '$1@4:1;')
        .replace(/data: [^\n]*"@4:[^\n]*\n\n/, ''),
      failed: (text) => text.replace(/data: \[DONE\]\n\n/, ''),
    };

    try {
      for (const [what, spoil] of Object.entries(spoils)) {
        const server = createServer(async (request, response) => {
          const body = [];
          for await (const part of request) body.push(part);
          const answer = await fetch(`${url}${request.url}`,
            { method: 'POST', body: Buffer.concat(body) });
          response.write('\n'); /* so that it is in chunks */
          response.end(spoil(await answer.text()));
        });
        await new Promise((done) => { server.listen(0, '127.0.0.1', done); });
        const { code, result } = await load(
          `http://127.0.0.1:${server.address().port}`,
          ['--events', '6', '--rate', '1000']);
        server.close();
        assert.equal(code, 1, what);
        assert.equal(result[what], 1, `${what}: ${JSON.stringify(result)}`);
        assert.equal(result.lost + result.merged + result.failed, 1, what);
      }
    } finally {
      standin.child.kill();
      await standin.exit;
    }
  });

test('nobody else is loaded', { timeout: 20000 }, async () => {
  for (const url of ['http://192.0.2.1:80', 'http://localhost:80',
    'https://127.0.0.1:80', 'http://127.0.0.1', 'http://127.0.0.1:0']) {
    const { code, result } = await load(url, []);
    assert.equal(code, 2, url);
    assert.equal(result, null);
  }
});
