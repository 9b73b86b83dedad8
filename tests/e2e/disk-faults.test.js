'use strict';
/*
 * A disk that is full, read-only, gone or damaged: nobody is let in who cannot
 * be checked or counted, the log names the file, what was there stays, and all
 * is well again once the cause is gone, without a restart.
 */
const { after, before, describe, test } = require('node:test');
const assert = require('node:assert/strict');
const child_process = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { startStack, eventually, seen } = require('./lib/stack');
const { CHAT, chat, checkError } = require('./lib/calls');

const root = process.getuid() === 0;
const namespaces = root && child_process.spawnSync('unshare', ['-m', 'true'])
  .status === 0;
const skip = !namespaces && 'needs root and a mount namespace of its own';

const ask = (gate) => gate.request(CHAT, chat());
const refused = (answer) =>
  checkError(answer, 503, 'server_error', 'store_unavailable');
const ready = async (gate) =>
  (await gate.request('/health/ready', { auth: false })).json().checks;
async function serves(gate) {
  await eventually(async () => (await ask(gate)).status === 200, 20000);
  for (let i = 0; i < 6; i++) assert.equal((await ask(gate)).status, 200);
  await eventually(async () => Object.values(await ready(gate))
    .every((state) => state === 'ok'), 20000);
}
/* Runs a program of the gate, which must fail and name a file. */
function fails(gate, named, program, ...args) {
  const { status, stderr } = child_process.spawnSync('nsenter',
    ['-t', String(gate.serverPid), '-m', program, ...args],
    { env: gate.env, encoding: 'utf8' });
  assert.notEqual(status, 0, `${program} ${args.join(' ')}`);
  assert.match(stderr, named);
}

describe('a small disk of its own', { skip, timeout: 120000 }, () => {
  let gate, dir, state;
  const inside = (...command) => child_process.execFileSync('nsenter',
    ['-t', String(gate.serverPid), '-m', ...command],
    { stdio: 'pipe', env: gate.env });
  /* Whole lines: those that were torn count for nothing. */
  const lines = () => fs.readdirSync(path.join(state, 'journal'))
    .flatMap((hour) => fs.readFileSync(path.join(state, 'journal', hour),
      'utf8').match(/\t\.$/gm) || []).length;

  before(async () => {
    dir = fs.mkdtempSync(path.join(os.tmpdir(), 'disk-'));
    gate = await startStack({ env: { STATE_DIR: dir, PROCESSES: '2' },
      wrapper: ['unshare', '-m', '--propagation', 'private', 'sh', '-c',
        'mount -t tmpfs -o size=1m,mode=0700 none "$0" && exec "$@"', dir] });
    state = `/proc/${gate.serverPid}/root${dir}`;
  });
  after(async () => {
    await gate?.stop();
    fs.rmSync(dir, { recursive: true });
  });

  test('full: 503 once a line finds no room, and back with room', async () => {
    await serves(gate);
    const since = gate.log().length;
    const filler = path.join(state, 'filler');
    child_process.spawnSync('dd', ['if=/dev/zero', `of=${filler}`, 'bs=4096'],
      { stdio: 'ignore' });
    /* The page that the journal has begun still takes some. */
    let served = 0;
    const before = lines();
    await eventually(async () => {
      const { status } = await ask(gate);
      served += status === 200;
      return status === 503;
    }, 30000);
    /* One for each process may end before that knows. */
    for (let i = 0; i < 4; i++) served += (await ask(gate)).status === 200;
    assert.ok(lines() - before >= served - 2, `${served} served`);
    for (let i = 0; i < 8; i++) refused(await ask(gate));
    assert.equal((await ready(gate)).journal, 'failed');
    assert.equal((await gate.request('/health', { auth: false })).status, 200);
    assert.match(gate.log().slice(since), /journal/);
    assert.match(gate.log().slice(since), /No space left/);
    const keys = fs.readFileSync(path.join(state, 'keys.gdbm'));
    fails(gate, /keys\.gdbm/, 'pmkey', 'create', '--label', 'no room');
    assert.deepEqual(fs.readFileSync(path.join(state, 'keys.gdbm')), keys);
    assert.deepEqual(fs.readdirSync(state).filter((name) =>
      /tmp|new/.test(name)), [], 'nothing half is left');
    fs.unlinkSync(filler);
    await serves(gate);
    inside('pmkey', 'create', '--label', 'room');
  });

  test('read-only: new processes let nobody in, and back', async () => {
    const pids = gate.responders();
    const since = gate.log().length;
    inside('mount', '--bind', dir, dir);
    inside('mount', '-o', 'remount,bind,ro', dir);
    assert.equal((await ready(gate)).journal, 'failed');
    fails(gate, /Read-only file system/, 'pmkey', 'create', '--label', 'x');
    fails(gate, /Read-only file system/, 'pmsettings', 'set',
      'RATE_LIMIT_REQUESTS', '5');
    for (const pid of pids) process.kill(pid, 'SIGKILL');
    await eventually(() => {
      const now = gate.responders();
      return now.length === 2 && now.every((pid) => !pids.includes(pid));
    }, 20000);
    const counted = lines();
    for (let i = 0; i < 8; i++) refused(await ask(gate));
    assert.equal(lines(), counted);
    assert.match(gate.log().slice(since), /journal.*Read-only file system/);
    inside('umount', '-l', dir);
    await serves(gate);
  });
});

/* Damage at each 4 KiB of a file, and in ways that concern all of it. */
function* damages(bytes) {
  const with_ = (change) => {
    const copy = Buffer.from(bytes);
    change(copy);
    return copy;
  };

  for (let at = 0; at < bytes.length; at += 4096) {
    yield [`cut at ${at}`, bytes.subarray(0, at)];
    yield [`zeroes from ${at} on`, with_((copy) => copy.fill(0, at))];
    /* Where there were none before. */
    if (bytes.subarray(at, at + 4096).some((byte) => byte !== 0))
      yield [`zeroes at ${at}`, with_((copy) => copy.fill(0, at, at + 4096))];
  }
  yield ['one byte less', bytes.subarray(0, -1)];
  yield ['another magic number', with_((copy) => { copy[0] ^= 1; })];
  yield ['another byte order', with_((copy) => copy.subarray(0, 4).reverse())];
  yield ['twice', Buffer.concat([bytes, bytes])];
}

describe('a store that is damaged', { timeout: 120000 }, () => {
  let gate;
  before(async () => { gate = await startStack({ env: { PROCESSES: '1' } }); });
  after(() => gate?.stop());

  /* Runs 'during' with each damage, and puts the file back. */
  async function damaged(name, during) {
    const file = path.join(gate.stateDir, name);
    const bytes = fs.readFileSync(file);
    const put = (content) => {
      fs.writeFileSync(`${file}.new`, content, { mode: 0o600 });
      fs.renameSync(`${file}.new`, file);
    };

    for (const [what, content] of damages(bytes)) {
      put(content);
      await during(what);
    }
    put(bytes);
  }

  for (const name of ['keys.gdbm', 'settings.gdbm'])
    test(`${name}: 503 for everybody, whatever it is`, async () => {
      gate.run('pmsettings', 'set', 'RATE_LIMIT_REQUESTS', '0');
      await damaged(name, async (what) => {
        const since = gate.log().length;
        await seen();
        for (const key of [undefined, 'pm_of-nobody']) {
          const answer = await gate.request(CHAT, { ...chat(), key });
          assert.equal(answer.status, 503, `${what}: ${answer.text}`);
          refused(answer);
        }
        assert.match(gate.log().slice(since), new RegExp(name), what);
      });
      assert.equal((await ask(gate)).status, 200);
    });

  test('usage.gdbm: it is not added to, nor taken for empty', async () => {
    const hour = path.join(gate.stateDir, 'journal', '2020010203');
    fs.writeFileSync(hour, fs.readFileSync(path.join(gate.stateDir, 'journal',
      fs.readdirSync(path.join(gate.stateDir, 'journal'))[0])));
    gate.run('pmusage', 'rollup');
    const shown = gate.run('pmusage', 'show', '--period', '2020-01');
    for (const other of fs.readdirSync(gate.stateDir))
      if (/^usage-/.test(other)) fs.unlinkSync(path.join(gate.stateDir, other));
    await damaged('usage.gdbm', (what) => {
      const { status, stderr } = child_process.spawnSync('pmusage', ['rollup'],
        { env: gate.env, encoding: 'utf8' });
      assert.notEqual(status, 0, what);
      assert.match(stderr, /usage\.gdbm/, what);
    });
    gate.run('pmusage', 'rollup');
    assert.equal(gate.run('pmusage', 'show', '--period', '2020-01'), shown);
  });
});

test('STATE_DIR missing: 503, and back with it', { timeout: 60000 },
  async () => {
    const parent = fs.mkdtempSync(path.join(os.tmpdir(), 'disk-'));
    const dir = path.join(parent, 'state');
    fs.mkdirSync(dir, { mode: 0o700 });
    const gate = await startStack({ env: { STATE_DIR: dir, PROCESSES: '2' } });
    try {
      await serves(gate);
      const since = gate.log().length;
      fs.renameSync(dir, `${dir}.aside`);
      await seen();
      for (let i = 0; i < 6; i++) {
        refused(await ask(gate));
        refused(await gate.request(CHAT, { ...chat(), key: 'pm_of-nobody' }));
      }
      const checks = await ready(gate);
      assert.equal(checks.keys, 'failed');
      assert.equal(checks.journal, 'failed');
      assert.match(gate.log().slice(since), /state/);
      assert.ok(!fs.existsSync(dir), 'nobody makes it anew');
      fs.renameSync(`${dir}.aside`, dir);
      await serves(gate);
    } finally {
      await gate.stop();
      fs.rmSync(parent, { recursive: true });
    }
  });
