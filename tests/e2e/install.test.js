'use strict';
/*
 * What "make install" puts where, "pmproxy setup" on top of it, and the gate
 * that comes of both: watched as by systemd, and reloaded.
 */
const { after, before, describe, test } = require('node:test');
const assert = require('node:assert/strict');
const child_process = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { PATIENCE } = require('./lib/patience');
const { ROOT, eventually, startStack } = require('./lib/stack');
const { CHAT, endsWithDone, faulty } = require('./lib/calls');

const BUILD = path.resolve(ROOT, process.env.BUILD || 'build');
const PASSWORD = 'correct horse, correct staple', KEY = 'pm-key-0123456789abcdef';
let folder, prefix;

/* Without what a make around this test tells its children. */
function environment(more = {}) {
  const env = { PATH: process.env.PATH, HOME: folder, LANG: 'C' };
  for (const [name, value] of Object.entries(process.env))
    if (name.endsWith('SAN_OPTIONS')) env[name] = value;
  return { ...env, ...more };
}

function run(program, args, { env = {}, input = '' } = {}) {
  const done = child_process.spawnSync(program, args,
    { env: environment(env), input, encoding: 'utf8',
      timeout: 60000 * PATIENCE });

  if (done.error) throw done.error;
  return { status: done.status, out: done.stdout, err: done.stderr };
}

function install(...more) {
  const done = run('make', ['-s', '-C', ROOT, 'install', `BUILD=${BUILD}`,
    /* As these programs were built: some are linked once more. */
    `SANITIZE=${process.env.SANITIZE || ''}`,
    `REPORTS=${process.env.REPORTS || ''}`, ...more]);
  assert.equal(done.status, 0, done.err);
}

const read = (...parts) => fs.readFileSync(path.join(...parts), 'utf8');
const mode = (...parts) =>
  (fs.statSync(path.join(...parts)).mode & 0o7777).toString(8);
const exists = (...parts) => fs.existsSync(path.join(...parts));

before(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'install-'));
  prefix = path.join(folder, 'usr');
  install(`PREFIX=${prefix}`, `DESTDIR=${folder}/dest`);
  /* Commands name whole paths, so that this one is where it thinks it is. */
  fs.renameSync(path.join(folder, 'dest', prefix), prefix);
});
after(() => fs.rmSync(folder, { recursive: true, force: true }));

describe('make install', () => {
  test('commands run, and find their folders', () => {
    for (const name of ['pmdoctor', 'pmkey', 'pmproxy',
      'pmproxy-certificate', 'pmsettings', 'pmusage']) {
      const done = run(path.join(prefix, 'bin', name), ['--help']);
      assert.equal(done.status, 0, done.err);
      assert.match(done.out, new RegExp(`^usage: ${name} `));
    }
    const told = run(path.join(prefix, 'bin/pmsettings'), ['lighttpd']).out;
    assert.match(told, new RegExp(`programs = "${prefix}/lib/pmproxy"`));
    assert.match(told, new RegExp(`share = "${prefix}/share/pmproxy"`));
    assert.match(told, /run_dir = "\/run\/pmproxy"/);
  });

  test('over an older one, whose lib/pmproxy/bin was a link', () => {
    const old = path.join(folder, 'old', 'usr');
    fs.mkdirSync(path.join(old, 'bin'), { recursive: true });
    fs.mkdirSync(path.join(old, 'lib/pmproxy'), { recursive: true });
    fs.symlinkSync('../../bin', path.join(old, 'lib/pmproxy/bin'));
    install(`PREFIX=/usr`, `DESTDIR=${folder}/old`);
    assert.ok(fs.lstatSync(path.join(old, 'lib/pmproxy/bin')).isDirectory());
    assert.ok(fs.statSync(path.join(old, 'lib/pmproxy/bin/pmkey')).size >
      10000);
    assert.equal(fs.readlinkSync(path.join(old, 'bin/pmkey')),
      '../lib/pmproxy/command');
  });

  test('what the admin changed in /etc stays', () => {
    const file = path.join(folder, 'old/etc/pmproxy/privatemode-proxy.conf');
    fs.writeFileSync(file, 'PRIVATEMODE_OPTIONS=--mine\n');
    install(`PREFIX=/usr`, `DESTDIR=${folder}/old`);
    assert.equal(read(file), 'PRIVATEMODE_OPTIONS=--mine\n');
  });

  test('units are whole: every path is there, nothing is left to fill in',
    () => {
      const units = path.join(prefix, 'lib/systemd/system');
      const names = fs.readdirSync(units);
      assert.ok(names.length >= 6, names.join());
      for (const name of names) {
        const text = read(units, name);
        assert.doesNotMatch(text.replace(/=~?@[a-z-]+.*/g, '')
          .replace(/@%d/g, '').replace(/responder@/g, ''), /@/, name);
        for (const [found] of text.matchAll(new RegExp(`${prefix}[^\\s;]*`, 'g')))
          assert.ok(exists(found), `${name}: ${found}`);
        if (name.endsWith('.service'))
          assert.match(text, /^SystemCallFilter=/m, `${name} is not hardened`);
      }
    });
});

/* Files of secrets, and a program. */
function files() {
  const put = (name, text) => {
    fs.writeFileSync(path.join(folder, name), text, { mode: 0o600 });
    return path.join(folder, name);
  };
  return { password: put('password', `${PASSWORD}\n`),
    key: put('key', `${KEY}\n`), program: path.join(BUILD, 'tests/standin'),
    short: put('short', 'too short\n'), blank: put('blank', 'a key with a blank\n'),
    page: put('page', '<!doctype html>'), empty: put('empty', '') };
}

let roots = 0;
function newRoot() {
  const root = path.join(folder, `root${roots++}`);
  fs.mkdirSync(root);
  return root;
}

function setup(root, args, options) {
  return run(path.join(prefix, 'bin/pmproxy'),
    ['setup', '--root', root, ...args], options);
}

describe('pmproxy setup', () => {
  test('writes each file with its mode, and no secret anywhere else', () => {
    const root = newRoot(), f = files();
    const done = setup(root, ['--admin-password-file', f.password,
      '--privatemode-key-file', f.key, '--upstream-binary', f.program]);
    assert.equal(done.status, 0, done.err);
    assert.match(done.out, /systemctl enable --now privatemode-proxy pmproxy/);
    const etc = path.join(root, 'etc/pmproxy');
    assert.equal(read(etc, 'privatemode.key'), `${KEY}\n`);
    assert.equal(mode(etc, 'privatemode.key'), '600');
    assert.equal(mode(etc, 'env'), '640');
    assert.equal(read(etc, 'env'), read(ROOT, '.env.example'));
    assert.equal(mode(root, 'var/lib/pmproxy'), '700');
    assert.equal(mode(root, 'usr/local/bin/privatemode-proxy'), '755');
    assert.deepEqual(
      fs.readFileSync(path.join(root, 'usr/local/bin/privatemode-proxy')),
      fs.readFileSync(f.program));
    assert.ok(exists(root, 'var/lib/pmproxy/admin.gdbm'));
    const all = run('grep', ['-rlF', '-e', PASSWORD, root]);
    assert.equal(all.out, '');
    assert.equal(run('grep', ['-rlF', '-e', KEY, root]).out.trim(),
      path.join(etc, 'privatemode.key'));
    for (const secret of [PASSWORD, KEY])
      assert.ok(!(done.out + done.err).includes(secret));
    /* No draft is left. */
    assert.deepEqual(fs.readdirSync(etc).sort(), ['env', 'privatemode.key']);
  });

  test('keeps what is there, takes what is new', () => {
    const root = newRoot(), f = files(), etc = path.join(root, 'etc/pmproxy');
    assert.equal(setup(root, ['--privatemode-key-file', '-'],
      { input: `${KEY}\n` }).status, 0);
    fs.writeFileSync(path.join(etc, 'env'), '# mine\nMAX_IN_FLIGHT=7\n');
    const done = setup(root, ['--admin-password-file', f.password]);
    assert.equal(done.status, 0, done.err);
    assert.match(done.out, /Privatemode key +kept/);
    assert.match(done.out, /upstream +MISSING/);
    assert.equal(read(etc, 'env'), '# mine\nMAX_IN_FLIGHT=7\n');
    assert.equal(read(etc, 'privatemode.key'), `${KEY}\n`);
    const store = fs.readFileSync(path.join(root, 'var/lib/pmproxy/admin.gdbm'));
    assert.match(setup(root, []).out, /admin password +kept/);
    assert.deepEqual(
      fs.readFileSync(path.join(root, 'var/lib/pmproxy/admin.gdbm')), store);
  });

  test('a name brings TLS and its port; a certificate of one\'s own stays',
    () => {
      const root = newRoot(), env = path.join(root, 'etc/pmproxy/env');
      const done = setup(root, ['--domain', 'ai.example.org']);
      assert.equal(done.status, 0, done.err);
      assert.match(done.out, / pmproxy-certificate\.timer$/m);
      assert.match(read(env), /^DOMAIN=ai\.example\.org$/m);
      assert.match(read(env), /^TLS_AUTO=1$/m);
      assert.match(read(env), /^PORT=443$/m);
      assert.equal(setup(root, ['--domain', 'not a name']).status, 1);
      assert.match(read(env), /^DOMAIN=ai\.example\.org$/m);
      assert.equal(setup(root, ['--tls', 'none']).status, 0);
      assert.match(read(env), /^TLS_AUTO=0$/m);
      fs.writeFileSync(env, 'PORT=8443\nTLS_CERT_FILE=/a\nTLS_KEY_FILE=/b\n');
      assert.equal(setup(root, ['--domain', 'ai.example.org']).status, 0);
      assert.doesNotMatch(read(env), /TLS_AUTO/);
      assert.match(read(env), /^PORT=8443$/m);
    });

  test('what is wrong is told, and changes nothing', () => {
    const f = files(), ok = ['--privatemode-key-file', f.key];
    const rows = [
      [/needs 10 bytes/, [...ok, '--admin-password-file', f.short]],
      [/no password was given/, [...ok, '--admin-password-file', f.empty]],
      [/holds a blank/, ['--privatemode-key-file', f.blank]],
      [/not a program/, [...ok, '--upstream-binary', f.page]],
      [/cannot open/, [...ok, '--upstream-binary', `${folder}/none`]],
      [/only one secret/, ['--privatemode-key-file', '-',
        '--admin-password-file', '-']],
      [/neither auto nor none/, [...ok, '--tls', 'maybe']],
    ];
    for (const [why, args] of rows) {
      const root = newRoot();
      const done = setup(root, args);
      assert.notEqual(done.status, 0, `${args} was taken`);
      assert.match(done.err, why);
      assert.deepEqual(fs.readdirSync(root), [], `${args} left something`);
    }
  });

  test('settings that would not work are never put in place', () => {
    const root = newRoot(), env = path.join(root, 'etc/pmproxy/env');
    fs.mkdirSync(path.dirname(env), { recursive: true });
    fs.writeFileSync(env, 'PORT=none\n');
    const done = setup(root, ['--tls', 'none']);
    assert.equal(done.status, 1);
    assert.match(done.err, /PORT/);
    assert.equal(read(env), 'PORT=none\n');
  });
});

/* A datagram socket as systemd's, which Node has none of: prints each line. */
const LISTENER = `
use Socket; $| = 1; my $s; socket($s, PF_UNIX, SOCK_DGRAM, 0) &&
  bind($s, sockaddr_un($ARGV[0])) or die "socket: $!"; print "ready\\n";
while (1) { defined recv($s, my $m, 4096, 0) or next; print "$m\\n"; }`;

async function listen(socket) {
  const child = child_process.spawn('perl', ['-e', LISTENER, socket],
    { stdio: ['ignore', 'pipe', 'inherit'] });
  const all = { child, text: '' };
  child.stdout.setEncoding('utf8');
  child.stdout.on('data', (piece) => { all.text += piece; });
  await eventually(() => all.text.startsWith('ready\n'));
  return all;
}

describe('a gate that pmproxy starts', { timeout: 60000 }, () => {
  let gate, port, env, server, heard, home;
  const count = () => heard.text.split('WATCHDOG=1').length - 1;
  const health = () => fetch(`http://127.0.0.1:${port}/health`,
    { signal: AbortSignal.timeout(1000) }).then(({ status }) => status,
    () => 0);
  const children = () => read(`/proc/${server.pid}/task/${server.pid}/children`)
    .trim().split(' ').filter((pid) => pid !== '' &&
      read(`/proc/${pid}/comm`).trim() === 'v1.fcgi').map(Number);

  before(async () => {
    gate = await startStack(); // its upstream, its stores and its key
    home = fs.mkdtempSync(path.join(fs.existsSync('/dev/shm') ? '/dev/shm'
      : folder, 'pmserve-'));
    heard = await listen(path.join(home, 'notify'));
    fs.mkdirSync(path.join(home, 'upload'));
    for (let tries = 0; tries < 20 && !server; tries++) {
      port = 10000 + Math.floor(Math.random() * 20000);
      fs.writeFileSync(path.join(home, 'env'), `PORT=${port}\n` +
        `STATE_DIR=${gate.stateDir}\nRUN_DIR=${home}\nPROCESSES=1\n` +
        `UPSTREAM_URL=${gate.upstreamUrl}\n`);
      env = environment({ PMPROXY_ENV: path.join(home, 'env'),
        PMPROXY_BIND: '127.0.0.1' });
      const child = child_process.spawn(path.join(prefix, 'bin/pmproxy'),
        ['serve'], { stdio: ['ignore', 'ignore', 'pipe'], env: { ...env,
          NOTIFY_SOCKET: path.join(home, 'notify'), WATCHDOG_USEC: '800000' } });
      let said = '';
      child.stderr.on('data', (piece) => { said += piece; });
      child.ended = new Promise((done) => child.once('exit', done));
      const up = eventually(() => heard.text.includes('READY=1'), 20000)
        .then(() => child);
      server = await Promise.race([up, child.ended.then(() => null)]);
      if (!server) assert.match(said, /already in use/);
    }
  });
  after(async () => {
    server?.kill('SIGTERM');
    await server?.ended;
    heard?.child.kill();
    if (home) fs.rmSync(home, { recursive: true, force: true });
    await gate?.stop();
  });

  test('is the process that was started, and says when it is ready',
    async () => {
      assert.equal(read(`/proc/${server.pid}/comm`).trim(), 'lighttpd');
      assert.equal(await health(), 200);
      assert.equal(heard.text.split('READY=1').length, 2);
      const before = count();
      await eventually(() => count() >= before + 3);
    });

  test('says nothing more while it hangs', async () => {
    const [responder] = children();
    for (const pid of [responder, server.pid]) {
      process.kill(pid, 'SIGSTOP');
      /* What was under way may still be told. */
      await eventually(async () => {
        const n = count();
        await new Promise((done) => setTimeout(done, 1000));
        return count() === n;
      }, 10000);
      assert.equal(await health(), 0);
      process.kill(pid, 'SIGCONT');
      const then = count();
      await eventually(() => count() > then);
    }
  });

  test('takes no wrong settings up when it is reloaded', async () => {
    const file = path.join(home, 'env'), good = read(file);
    const reload = () => run(path.join(prefix, 'bin/pmproxy'), ['reload'],
      { env });

    fs.writeFileSync(file, `${good}MAX_IN_FLIGHT=many\n`);
    const done = reload();
    assert.equal(done.status, 1);
    assert.match(done.err, /MAX_IN_FLIGHT/);
    assert.equal(await health(), 200);
    fs.writeFileSync(file, good);
    const [old] = children();
    assert.equal(reload().status, 0);
    /* With responders of its own lighttpd starts them anew. */
    await eventually(() => children().some((pid) => pid !== old), 20000);
    await eventually(async () => (await health()) === 200, 20000);
    const then = count();
    await eventually(() => count() > then + 1, 20000);
  });

  test('is not reloaded where it does not run', () => {
    const other = path.join(home, 'other');
    fs.writeFileSync(other, `RUN_DIR=${home}/none\nPORT=${port}\n`);
    const done = run(path.join(prefix, 'bin/pmproxy'), ['reload'],
      { env: { ...env, PMPROXY_ENV: other } });
    assert.equal(done.status, 1);
    assert.match(done.err, /does not run/);
  });
});

describe('restart-delay', () => {
  const delay = (what, file, result = 'exit-code') => run(
    path.join(prefix, 'share/pmproxy/restart-delay'), [what, file],
    { env: { SERVICE_RESULT: result, PATH: `${folder}/fake:/usr/bin:/bin` } });

  test('twice as long each time, a minute at most, and none after a clean end',
    () => {
      const file = path.join(folder, 'restarts');
      /* A sleep that only says for how long. */
      fs.mkdirSync(path.join(folder, 'fake'));
      fs.writeFileSync(path.join(folder, 'fake/sleep'),
        '#!/bin/sh\necho "slept $1"\n', { mode: 0o755 });
      const pauses = [];
      for (let i = 0; i < 9; i++) {
        pauses.push(Number(/slept (\d+)/.exec(delay('wait', file).out)?.[1] || 0));
        assert.equal(delay('ended', file).status, 0);
      }
      assert.deepEqual(pauses, [0, 0, 2, 4, 8, 16, 32, 60, 60]);
      delay('ended', file, 'success');
      assert.equal(delay('wait', file).out, '');
      /* Ten good minutes count as a clean end. */
      for (let i = 0; i < 5; i++) delay('ended', file);
      fs.utimesSync(file, Date.now() / 1000 - 700, Date.now() / 1000 - 700);
      delay('ended', file);
      assert.equal(delay('wait', file).out, '');
      fs.writeFileSync(file, 'rubbish\n');
      assert.equal(delay('wait', file).status, 0);
    });
});
