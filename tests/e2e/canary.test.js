'use strict';
/*
 * Zero retention: whatever is said, and however a request ends, no file holds
 * a word of it, in no form. And while it is said, it is written to sockets
 * alone, and to the web server's upload folder in memory.
 */
const { after, before, describe, test } = require('node:test');
const assert = require('node:assert/strict');
const { execFileSync, spawn, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const { everyEnd, everyEndpoint, everyForm, faulty } = require('./lib/canaries');
const { rawClient } = require('./lib/calls');
const memory = require('./lib/memory');
const { eventually, startStack } = require('./lib/stack');

const root = process.getuid() === 0;
const IN_MEMORY = /^(tmpfs|ramfs|proc|sysfs|devtmpfs|devpts|cgroup2?|mqueue)$/;

/* Where anything could have been left, memory aside. */
function disks() {
  return fs.readFileSync('/proc/self/mounts', 'latin1').split('\n')
    .map((line) => line.split(' '))
    .filter(([, at, type]) => at !== undefined && !IN_MEMORY.test(type) &&
      fs.statSync(at, { throwIfNoEntry: false })?.isDirectory())
    .map(([, at]) => at.replace(/\\040/g, ' '));
}

/* Files of a disk that were changed since, by anybody. */
function changedSince(mark) {
  const found = new Set();

  for (const disk of disks()) {
    const r = spawnSync('find', [disk, '-xdev', '-type', 'f', '-cnewer', mark,
      '-size', '-256M', '-print0'], { encoding: 'utf8', maxBuffer: 1 << 28 });
    r.stdout.split('\0').filter(Boolean).forEach((file) => found.add(file));
  }
  return [...found];
}

const below = (folder) => execFileSync('find', [folder, '-type', 'f', '-print0'],
  { encoding: 'utf8' }).split('\0').filter(Boolean);

function traces(files, word) {
  const wanted = Object.entries(memory.forms(word))
    .map(([name, form]) => [name, Buffer.from(form)]);

  return files.flatMap((file) => {
    let bytes;
    try {
      bytes = fs.readFileSync(file);
    } catch {
      return []; /* gone meanwhile, which is as good */
    }
    return wanted.filter(([, form]) => bytes.includes(form))
      .map(([name]) => `${file}: ${name}`);
  });
}

describe('what was said', { timeout: 180000 }, () => {
  let dir, mark, gate, keys;

  before(async () => {
    /* On a disk, as it is where the gate is installed. */
    dir = fs.mkdtempSync(path.join(os.tmpdir(), 'canary-'));
    mark = path.join(dir, 'mark');
    fs.writeFileSync(mark, '');
    fs.mkdirSync(path.join(dir, 'state'), { mode: 0o700 });
    gate = await startStack({ env: { MAX_BODY_BYTES: '40000000',
      /* Which would report the signals that this sends. */
      ASAN_OPTIONS: 'handle_segv=0',
      STATE_DIR: path.join(dir, 'state'), UPSTREAM_FIRST_BYTE_TIMEOUT: '20' } });
    const make = (...more) => gate.pmkey('create', '--label', 'a', ...more).key;
    keys = { expired: make('--expires', '1s'), disabled: make(),
      narrow: make('--models', 'standin-chat'), spent: make('--rate-limit', '1') };
  });
  after(async () => {
    await gate?.stop();
    fs.rmSync(dir, { recursive: true, force: true });
  });

  const ask = async (list) => {
    for (const [target, options] of list)
      await gate.request(target, options).catch(() => {});
  };
  const everywhere = (word) => [...everyEndpoint(word), ...everyForm(word),
    ...everyEnd(word, keys)];

  async function checkGone(word) {
    /* Uploads pass through files, until their requests end. */
    await eventually(() =>
      below(path.join(gate.runDir, 'upload')).length === 0);
    gate.run('pmusage', 'rollup');
    const files = new Set([...changedSince(mark), ...below(gate.stateDir),
      ...below(gate.runDir)]);
    assert.ok([...files].some((file) => /journal/.test(file)));
    assert.ok(files.has(gate.gateLog));
    assert.deepEqual(traces([...files], word), []);
  }

  test('the search sees what is there', () => {
    const word = memory.newCanary();

    for (const [name, form] of Object.entries(memory.forms(word))) {
      const file = path.join(dir, 'left');
      fs.writeFileSync(file, Buffer.concat(
        [Buffer.from('x'), Buffer.from(form)]));
      assert.deepEqual(traces(changedSince(mark), word), [`${file}: ${name}`]);
      fs.rmSync(file);
    }
  });

  test('is in no file afterwards', async () => {
    const word = memory.newCanary();

    await ask(everywhere(word));
    await checkGone(word);
  });

  test('nor when clients leave, read slowly, or responders crash', async () => {
    for (const signal of ['SIGSEGV', 'SIGABRT', 'SIGKILL']) {
      const word = memory.newCanary();
      await gate.standin.reset();
      const clients = [];
      for (const fault of ['delay-head=15000', 'stall-after=5', 'huge=4000000'])
        clients.push(await rawClient(gate, faulty(word, fault,
          fault[0] === 'd' ? {} : { stream: true }).json));
      clients[2].socket.pause();
      await gate.standin.wait({ open: 2 });
      const old = gate.responders();
      for (const pid of old) process.kill(pid, signal);
      for (const client of clients) client.leave();
      await eventually(() => {
        const now = gate.responders();
        return now.length === old.length && !now.some((p) => old.includes(p));
      });
      await eventually(async () =>
        (await gate.request('/health')).status === 200);
      await checkGone(word);
    }
  });

  const canTrace = () => root && spawnSync('strace', ['-qq', '-e', 'trace=none',
    'true']).status === 0;

  test('is written to sockets alone, and to the upload folder', async (t) => {
    if (!canTrace()) return t.skip('needs root and strace');
    const word = memory.newCanary();
    /* In memory, for it holds what was said. */
    const log = path.join(gate.runDir, 'trace');
    const pids = [gate.serverPid, ...gate.responders()];
    const tracer = spawn('strace', ['-f', '-qq', '-yy', '-s', '70000',
      '-e', 'trace=write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,' +
      'sendmmsg,sendfile,splice,mmap', '-o', log,
      ...pids.flatMap((pid) => ['-p', String(pid)])], { stdio: 'ignore' });
    const traced = (pid) => !/^TracerPid:\s+0$/m
      .test(fs.readFileSync(`/proc/${pid}/status`, 'latin1'));

    try {
      await eventually(() => pids.every(traced));
      /* Not the largest ones: each byte of them would be written down. */
      await ask([...everyEndpoint(word).slice(0, -1),
        ...everyForm(word).slice(0, 5), ...everyEnd(word, keys).slice(0, 40)]);
    } finally {
      tracer.kill('SIGINT');
      await new Promise((resolve) => { tracer.once('close', resolve); });
    }
    const lines = fs.readFileSync(log, 'latin1').split('\n');
    const upload = `<${path.join(gate.runDir, 'upload')}/`;
    fs.rmSync(log);
    const said = lines.filter((line) => line.includes(word));
    const into = said.map((line) => {
      const [, call, fd] = /^\d+ +(\w+)\(\d+(<.*?>)[,)]/.exec(line) ||
        [null, line.slice(0, 60), ''];
      return { call, fd };
    });
    assert.ok(into.length > 50, `${into.length} calls were seen`);
    const elsewhere = into.filter(({ fd }) =>
      !/^<(TCP|TCPv6|UNIX|UNIX-STREAM|socket):/.test(fd) &&
      !fd.startsWith(upload));
    assert.deepEqual(elsewhere.slice(0, 5), []);
    return undefined;
  });
});
