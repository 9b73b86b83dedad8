'use strict';
// The organisation's Privatemode key: it goes upstream, and nowhere else.
const { after, before, describe, test } = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { startStack } = require('./lib/stack');
const standins = require('./lib/standin-client');
const { CHAT, chat, checkError, received } = require('./lib/calls');

const KEY = 'privatemode-key-0123456789';
let standin, upstream, dir;
before(async () => {
  standin = await standins.start('--require-key', KEY);
  upstream = `http://127.0.0.1:${standin.port}`;
  dir = fs.mkdtempSync(path.join(os.tmpdir(), 'upstream-key-'));
});
after(async () => {
  standin?.child.kill();
  await standin?.exit;
  if (dir) fs.rmSync(dir, { recursive: true });
});

async function withGate(env, act) {
  const gate = await startStack({ upstream, env: { PROCESSES: '1', ...env } });
  try {
    await act(gate);
  } finally {
    await gate.stop();
  }
}

function file(name, text) {
  const to = path.join(dir, name);
  fs.writeFileSync(to, text, { mode: 0o600 });
  return to;
}

describe('the organisation\'s key', { timeout: 30000 }, () => {
  for (const [where, env] of [
    ['from the environment', () => ({ PRIVATEMODE_API_KEY: KEY })],
    ['from a file', () =>
      ({ PRIVATEMODE_API_KEY_FILE: file('key', `${KEY}\n`) })]])
    test(`${where}: goes as Bearer, in place of the client's`, () =>
      withGate(env(), async (gate) => {
        for (const headers of [{}, { 'x-api-key': gate.apiKey }]) {
          const answer = await gate.request(CHAT, { ...chat(), headers });
          assert.equal(answer.status, 200, answer.text);
          const [got] = await received(gate);
          assert.deepEqual(got.headers.filter(([name]) =>
            /auth|key/i.test(name)).map(([, value]) => value), [`Bearer ${KEY}`]);
          assert.doesNotMatch(JSON.stringify(answer), /privatemode-key/);
        }
        assert.equal((await gate.request('/v1/models')).status, 200);
        assert.equal((await gate.request('/health/ready')).status, 200);
        for (const pid of [...gate.responders(), gate.serverPid])
          assert.doesNotMatch(fs.readFileSync(`/proc/${pid}/cmdline`, 'latin1'),
            /privatemode-key/);
        assert.doesNotMatch(gate.log(), /privatemode-key/);
      }));

  for (const [what, env] of [['a wrong one', { PRIVATEMODE_API_KEY: 'nope' }],
    ['none', {}]])
    test(`${what}: 502, and the log tells the admin`, () =>
      withGate(env, async (gate) => {
        checkError(await gate.request(CHAT, chat()), 502, 'server_error',
          'upstream_auth');
        checkError(await gate.request(CHAT, chat({ stream: true })), 502,
          'server_error', 'upstream_auth');
        checkError(await gate.request('/v1/models'), 502, 'server_error',
          'upstream_auth');
        const ready = await gate.request('/health/ready', { auth: false });
        assert.equal(ready.status, 503);
        assert.equal(ready.json().checks.upstream, 'failed');
        assert.match(gate.log(), /upstream refuses PRIVATEMODE_API_KEY/);
        assert.doesNotMatch(gate.log(), /nope|pm_/);
        /* The client's own key must not go in its place. */
        const [got] = await received(gate);
        assert.doesNotMatch(JSON.stringify(got.headers), /pm_/);
      }));

  test('a key file that cannot be read: the gate does not start', async () => {
    await assert.rejects(startStack({ upstream, env: {
      PRIVATEMODE_API_KEY_FILE: path.join(dir, 'gone') } }), /gone/);
  });
});
