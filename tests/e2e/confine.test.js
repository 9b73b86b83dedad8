'use strict';
/*
 * Who takes a responder over finds little to do: what the kernel says of
 * running ones. (tests/unit/check_sandbox.c tries each forbidden act.)
 */
const { after, before, describe, test } = require('node:test');
const assert = require('node:assert/strict');
const child_process = require('node:child_process');
const fs = require('node:fs');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { ROOT, startStack, eventually } = require('./lib/stack');
const { CHAT, chat, faulty } = require('./lib/calls');

const TOKEN = '0123456789abcdef';
const BUILD = path.resolve(ROOT, process.env.BUILD || 'build');

/* { Seccomp: '2', ... } of each thread. */
function statuses(pid) {
  return fs.readdirSync(`/proc/${pid}/task`).map((thread) =>
    Object.fromEntries(fs.readFileSync(`/proc/${pid}/task/${thread}/status`,
      'latin1').split('\n').map((line) => line.split(/:\s*/))));
}

/* What /metrics says holds: calls, files, ports. */
async function parts(gate) {
  const { text } = await gate.request('/metrics', { key: TOKEN });

  return Object.fromEntries([...text.matchAll(
    /^pmproxy_confined\{part="(\w+)"\} ([01])$/mg)].map((m) => [m[1], m[2]]));
}

describe('a running responder', { timeout: 60000 }, () => {
  let gate, bare;
  before(async () => {
    gate = await startStack({ env: { METRICS_TOKEN: TOKEN } });
    bare = /built with a sanitizer/.test(gate.log());
  });
  after(() => gate?.stop());

  test('has no capability, can gain none, and makes listed calls alone', async (t) => {
    if (bare) return t.skip('a sanitizer needs more');
    /* Threads begin when they are needed: for bodies that are asked about. */
    const { json } = faulty('delay-head=200');
    json.messages[0].content = 'a'.repeat(12000);
    await Promise.all(Array.from({ length: 40 }, () =>
      gate.request(CHAT, { json })));
    assert.equal(gate.responders().length, 2);
    for (const pid of gate.responders()) {
      const threads = statuses(pid);
      assert.ok(threads.length > 10, 'its threads are looked at, too');
      for (const status of threads) {
        assert.equal(status.NoNewPrivs, '1');
        for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapAmb'])
          assert.match(status[set], /^0+$/, set);
        assert.equal(status.Seccomp, '2');
      }
    }
  });

  test('says in /metrics what holds, and in the log what does not', async (t) => {
    if (bare) return t.skip('a sanitizer needs more');
    const held = await parts(gate);
    assert.deepEqual(Object.keys(held), ['calls', 'files', 'ports']);
    assert.equal(held.calls, '1');
    if (held.files === '0') assert.match(gate.log(), /files .*not confined/);
    else if (held.ports === '0') assert.match(gate.log(), /ports .*not confined/);
    else assert.doesNotMatch(gate.log(), /confined/);
  });

  test('reaches an upstream by its name, too', async () => {
    const { port } = new URL(gate.upstreamUrl);
    const other = await startStack({ upstream: `http://localhost:${port}` });
    try {
      assert.equal((await other.request(CHAT, chat())).status, 200);
    } finally {
      await other.stop();
    }
  });
});

test('a folder that takes the place of STATE_DIR is found, and served from',
  { timeout: 60000 }, async (t) => {
    const gate = await startStack({ env: { METRICS_TOKEN: TOKEN } });

    try {
      if ((await parts(gate)).files !== '1')
        return t.skip('the kernel does not confine files');
      const before = gate.responders();
      const dir = gate.stateDir;
      fs.renameSync(dir, `${dir}.old`);
      fs.cpSync(`${dir}.old`, dir, { recursive: true, preserveTimestamps: true });
      fs.chmodSync(dir, 0o700);
      await eventually(() => gate.responders().length === 2 &&
        gate.responders().every((pid) => !before.includes(pid)), 30000);
      await eventually(async () =>
        (await gate.request(CHAT, chat())).status === 200);
      assert.match(gate.log(), /state' is another folder now/);
    } finally {
      await gate.stop();
    }
  });

/* Tools, pages: what they hold is as secret. */
test('pmkey dumps no core and gains no rights', { timeout: 20000 }, async () => {
  const gate = await startStack();
  const child = child_process.spawn('pmkey', ['import', '-'],
    { env: gate.env, stdio: ['pipe', 'ignore', 'ignore'] });

  try {
    await eventually(() => statuses(child.pid)[0].NoNewPrivs === '1');
    assert.match(fs.readFileSync(`/proc/${child.pid}/limits`, 'latin1'),
      /^Max core file size +0 +0 /m);
  } finally {
    child.kill();
    await gate.stop();
  }
});

function freePort() {
  return new Promise((resolve) => {
    const server = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

const asNobody = (...command) => child_process.spawnSync('setpriv',
  ['--reuid=65534', '--regid=65534', '--clear-groups', ...command]).status === 0;

describe('started by root', { timeout: 30000,
  skip: process.getuid() !== 0 && 'only root can' }, () => {
  test('web server and responders go on as the owner of STATE_DIR', async (t) => {
    if (!asNobody('test', '-x', path.join(BUILD, 'fcgi', 'v1.fcgi')))
      return t.skip('nobody else may run these programs');
    const base = fs.mkdtempSync(path.join(os.tmpdir(), 'pmowner.'));
    const port = await freePort();
    fs.chmodSync(base, 0o755);
    for (const name of ['state', 'run', 'run/upload']) {
      fs.mkdirSync(path.join(base, name), { mode: 0o700 });
      fs.chownSync(path.join(base, name), 65534, 65534);
    }
    const child = child_process.spawn('lighttpd',
      ['-D', '-f', path.join(ROOT, 'lighttpd.conf')],
      { stdio: 'ignore', env: { PATH: process.env.PATH, SHELL: '/bin/sh',
        STATE_DIR: `${base}/state`, RUN_DIR: `${base}/run`, PORT: `${port}`,
        PMPROXY_BIND: '127.0.0.1', PMPROXY_BIN: BUILD,
        PMPROXY_SHARE: path.join(ROOT, 'share'),
        UPSTREAM_URL: 'http://127.0.0.1:1' } });
    const ended = new Promise((done) => child.once('exit', done));

    try {
      await eventually(() => fetch(`http://127.0.0.1:${port}/health`)
        .then(({ status }) => status === 200, () => false), 10000);
      const children = fs.readFileSync(
        `/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim();
      const pids = [child.pid, ...children.split(' ').map(Number)];
      assert.ok(pids.length >= 3);
      for (const pid of pids)
        for (const status of statuses(pid)) {
          assert.equal(status.Uid, '65534\t65534\t65534\t65534');
          assert.equal(status.Gid, '65534\t65534\t65534\t65534');
          assert.match(status.CapEff, /^0+$/);
        }
    } finally {
      child.kill();
      await ended;
      fs.rmSync(base, { recursive: true });
    }
  });
});
