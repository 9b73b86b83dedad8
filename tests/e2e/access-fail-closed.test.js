'use strict';
// What cannot be checked lets nobody in, says why, and heals without a restart.
const { after, before, describe, test } = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { startStack, eventually, seen } = require('./lib/stack');
const { startUpstream } = require('./lib/upstream');
const { CHAT, chat, checkError } = require('./lib/calls');

const ENV_KEY = 'pm_environment-key';
let gate, upstream, other;
before(async () => {
  upstream = await startUpstream();
  [gate, other] = await Promise.all([
    startStack({ env: { PROCESSES: '2', API_KEYS: ENV_KEY } }),
    startStack({ upstream: upstream.url, env: { PROCESSES: '1' } })]);
});
after(async () => {
  await Promise.all([gate, other].map((one) => one?.stop()));
  await upstream?.stop();
});

const ready = (one = gate) => one.request('/health/ready', { auth: false });
async function checkReady(failing, one = gate) {
  const answer = await ready(one);
  const { status, checks } = answer.json();
  assert.deepEqual(Object.keys(checks).sort(),
    ['journal', 'keys', 'limits', 'settings', 'upstream']);
  assert.deepEqual(Object.keys(checks).filter((name) => checks[name] !== 'ok'),
    failing);
  assert.equal(answer.status, failing.length > 0 ? 503 : 200);
  assert.equal(status, failing.length > 0 ? 'not ready' : 'ready');
}
const healthy = async (one = gate) =>
  assert.equal((await one.request('/health', { auth: false })).status, 200);

/* Many at once, so that every process is asked. */
const everywhere = (target, options) => Promise.all(Array.from({ length: 16 },
  () => gate.request(target, options)));

async function refuses(options) {
  for (const [target, more] of [[CHAT, chat()], ['/v1/models', {}],
    ['/auth/key-info', {}]])
    for (const answer of await everywhere(target, { ...more, ...options })) {
      checkError(answer, 503, 'server_error', 'store_unavailable');
      assert.ok(!answer.text.includes('gdbm'));
    }
}

async function serves() {
  for (const answer of await everywhere(CHAT, chat()))
    assert.equal(answer.status, 200, answer.text);
  await checkReady([]);
}

function logged(pattern, since) {
  assert.match(gate.log().slice(since), pattern);
  assert.doesNotMatch(gate.log(), /pm_|hello/);
}

/* Damage in the ways that a disk, an editor or an admin may do it. */
const DAMAGE = {
  'emptied': (file) => fs.truncateSync(file, 0),
  'cut short': (file) => fs.truncateSync(file, 5000),
  'overwritten in place': (file) => {
    const fd = fs.openSync(file, 'r+');
    fs.writeSync(fd, Buffer.alloc(fs.fstatSync(fd).size, 'x'));
    fs.closeSync(fd);
  },
  'replaced by another file': (file) => {
    fs.writeFileSync(`${file}.new`, 'no database\n'.repeat(1000), { mode: 0o600 });
    fs.renameSync(`${file}.new`, file);
  },
  'replaced by a folder': (file) => {
    fs.unlinkSync(file);
    fs.mkdirSync(file);
  },
};

describe('the key store', { timeout: 60000 }, () => {
  for (const [what, damage] of Object.entries(DAMAGE))
    test(`${what}: 503 for everybody, then as before`, async () => {
      const file = path.join(gate.stateDir, 'keys.gdbm');
      const aside = path.join(gate.runDir, 'aside');
      await serves();
      const since = gate.log().length;
      fs.copyFileSync(file, aside);
      damage(file);
      await seen();
      await refuses({});
      await refuses({ key: 'pm_unknown' });
      await checkReady(['keys']);
      await healthy();
      logged(/keys\.gdbm/, since);
      fs.rmSync(file, { recursive: true });
      fs.copyFileSync(aside, `${file}.new`);
      fs.renameSync(`${file}.new`, file);
      await serves();
    });

  test('gone: no key of it is valid any more', async () => {
    const file = path.join(gate.stateDir, 'keys.gdbm');
    fs.renameSync(file, `${file}.aside`);
    await seen();
    const statuses = new Set((await everywhere('/v1/models'))
      .map(({ status }) => status));
    assert.ok(![...statuses].includes(200), [...statuses].join());
    fs.renameSync(`${file}.aside`, file);
    await serves();
  });
});

describe('settings, limits, journal', { timeout: 30000 }, () => {
  test('damaged settings: 503, and the file is named', async () => {
    const file = path.join(gate.stateDir, 'settings.gdbm');
    gate.run('pmsettings', 'set', 'RATE_LIMIT_REQUESTS', '0');
    await serves();
    const since = gate.log().length;
    const aside = fs.readFileSync(file);
    DAMAGE['overwritten in place'](file);
    await seen();
    await refuses({});
    await checkReady(['settings']);
    await healthy();
    logged(/settings\.gdbm/, since);
    fs.writeFileSync(`${file}.new`, aside, { mode: 0o600 });
    fs.renameSync(`${file}.new`, file);
    await serves();
  });

  test('limits deleted: they are made anew, and the log says so', async () => {
    const since = gate.log().length;
    fs.unlinkSync(path.join(gate.runDir, 'limits'));
    await eventually(async () => {
      assert.equal((await gate.request(CHAT, chat())).status, 200);
      return fs.existsSync(path.join(gate.runDir, 'limits'));
    });
    await serves();
    logged(/limits' was deleted/, since);
  });

  test('damaged limits: 503 until they are deleted', async () => {
    const file = path.join(gate.runDir, 'limits');
    const since = gate.log().length;
    const fd = fs.openSync(file, 'r+');
    fs.writeSync(fd, Buffer.alloc(4096, 'x'), 0, 4096, 0);
    fs.closeSync(fd);
    for (const answer of await everywhere(CHAT, chat()))
      checkError(answer, 503, 'server_error', 'store_unavailable');
    await checkReady(['limits']);
    await healthy();
    logged(/limits' is damaged/, since);
    fs.unlinkSync(file);
    await eventually(async () =>
      (await everywhere(CHAT, chat())).every(({ status }) => status === 200));
    await serves();
    assert.equal(gate.responders().length, 2);
  });

  test('a journal that takes no line: who cannot be counted is not let in', async () => {
    const dir = path.join(gate.stateDir, 'journal');
    const since = gate.log().length;
    fs.rmSync(dir, { recursive: true });
    fs.writeFileSync(dir, '');
    await checkReady(['journal']);
    /* Those that were in may end before a process knows. */
    await everywhere(CHAT, chat());
    await everywhere(CHAT, chat());
    for (const answer of await everywhere(CHAT, chat()))
      checkError(answer, 503, 'server_error', 'store_unavailable');
    await healthy();
    logged(/journal/, since);
    fs.unlinkSync(dir);
    await serves();
    assert.ok(fs.readdirSync(dir).length > 0);
  });
});

describe('the upstream', { timeout: 30000 }, () => {
  test('away: not ready within seconds, and the log says so', async () => {
    await checkReady([], other);
    await upstream.stop();
    upstream.stop = () => {};
    await eventually(async () => (await ready(other)).status === 503, 8000);
    await checkReady(['upstream'], other);
    await healthy(other);
    assert.match(other.log(), /upstream/);
  });
});
