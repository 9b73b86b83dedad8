'use strict';
// pmdoctor on a real gate: fine where that can be, and what is wrong provoked.
const { test, before, after } = require('node:test');
const assert = require('node:assert/strict');
const { spawn, spawnSync, execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { ROOT, startStack } = require('./lib/stack');

const build = path.resolve(ROOT, process.env.BUILD || 'build');
const program = path.join(build, 'bin/pmdoctor');
let gate;

before(async () => {
  gate = await startStack({ tls: true, env: { PROCESSES: '1', MAX_IN_FLIGHT: '50' } });
});
after(() => gate.stop());

function run(args, extra = {}, options = {}) {
  const r = spawnSync(program, args, { encoding: 'utf8', timeout: 60000,
    env: { ...gate.env, ...extra }, ...options });
  assert.ifError(r.error);
  return r;
}

// What one check finds: state and sentence, with the exit status.
function check(id, extra, options) {
  const r = run(['--json', '--check', id], extra, options);
  const { status, checks } = JSON.parse(r.stdout);

  assert.equal(checks.length, 1);
  assert.equal(checks[0].id, id);
  assert.equal(r.status, status);
  assert.equal(r.status, checks[0].state === 'fault' ? 2 : 0);
  return checks[0];
}

function finds(id, state, says, extra, options) {
  const found = check(id, extra, options);

  assert.equal(found.state, state, `${id}: ${found.finding}`);
  assert.match(found.finding, says);
  if (state === 'warning' || state === 'fault') assert.notEqual(found.mend, '');
}

function folder(t) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'pmdoctor-'));
  t.after(() => fs.rmSync(dir, { recursive: true }));
  return dir;
}

function certificate(dir, ...more) {
  const [cert, key] = ['cert.pem', 'key.pem'].map((name) => path.join(dir, name));

  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt',
    'ec_paramgen_curve:P-256', '-nodes', '-keyout', key, '-out', cert,
    '-subj', '/CN=localhost', ...more], { stdio: 'ignore' });
  return { TLS_CERT_FILE: cert, TLS_KEY_FILE: key };
}

const has = (file, pattern) => pattern.test(fs.readFileSync(file, 'utf8'));

test('a gate that runs is fine where it can be', () => {
  for (const id of ['configuration', 'stores', 'journal', 'tls', 'tls-certificate', 'tls-key',
    'tls-served', 'force-https', 'upstream-listens', 'upstream-answers', 'gate-health',
    'gate-ready', 'admin-password', 'cors', 'trust-proxy'])
    finds(id, 'ok', /./);
  // Of machines that have what it takes.
  const memory = gate.runDir.startsWith('/dev/shm') && !has('/proc/swaps', /^\//m);
  for (const id of ['run-dir', 'upload-dir'])
    if (memory) finds(id, 'ok', /in memory/);
  if (!has('/proc/self/limits', /^Max open files +\d+ +\d{1,3} /m) &&
    !has('/proc/self/limits', /^Max open files +\d+ +[12]\d{3} /m))
    finds('file-limits', 'ok', /enough/);
});

test('each check has a line, and the status is the worst', () => {
  const ids = run(['--list']).stdout.trim().split('\n').map((l) => l.split(' ')[0]);
  const r = run([]);
  const lines = r.stdout.trim().split('\n');

  assert.deepEqual(lines.map((l) => l.match(/^(-|ok|unknown|WARNING|FAULT) +([a-z-]+) +\S/)[2]),
    ids);
  assert.equal(r.status, /^FAULT/m.test(r.stdout) ? 2 : 0);
  const json = JSON.parse(run(['--json']).stdout);
  assert.deepEqual(Object.keys(json),
    ['at', 'status', 'fault', 'warning', 'unknown', 'ok', 'none', 'checks']);
  assert.deepEqual(json.checks.map((c) => c.id), ids);
  for (const state of ['fault', 'warning', 'unknown', 'ok', 'none'])
    assert.equal(json[state], json.checks.filter((c) => c.state === state).length);
});

test('no secret, key or address shows', () => {
  const said = ['--json', '--quiet'].map((o) => run([o], { API_KEYS: 'hush-hush-1',
    PRIVATEMODE_API_KEY: 'hush-hush-2', METRICS_TOKEN: 'hush-hush-hush-3' }))
    .map((r) => r.stdout + r.stderr).join('');

  assert.doesNotMatch(said, /hush/);
  assert.ok(!said.includes(gate.adminPassword));
  assert.ok(!said.includes(gate.apiKey));
});

test('for cron: silent when fine, and what is wrong otherwise', () => {
  const quiet = (...args) => run(['--quiet', ...args]);
  const fine = quiet('--check', 'gate-health', '--check', 'tls-key');
  assert.deepEqual([fine.stdout, fine.stderr, fine.status], ['', '', 0]);

  // Nobody gave the stand-in a folder for its log.
  const warned = quiet('--check', 'gate-health', '--check', 'upstream-flags');
  assert.match(warned.stdout, /^WARNING +upstream-flags .*no --workspace.*\n$/);
  assert.equal(warned.status, 0);
  assert.equal(quiet('--strict', '--check', 'upstream-flags').status, 1);
  assert.equal(quiet('--strict', '--check', 'gate-health').status, 0);
  const skipped = quiet('--strict', '--check', 'upstream-flags', '--skip', 'upstream-flags');
  assert.deepEqual([skipped.stdout, skipped.status], ['', 0]);
});

test('wrong use', () => {
  for (const args of [['--check', 'nothing'], ['--skip', ''], ['--what'], ['x'], ['--check'],
    ['--domain']]) {
    const r = run(args);
    assert.equal(r.status, 64, args.join(' '));
    assert.match(r.stderr, /Try 'pmdoctor --help'/);
    assert.equal(r.stdout, '');
  }
  assert.match(run(['--help']).stdout, /^usage: pmdoctor/);
  const full = run(['--check', 'metrics'], {}, { stdio: ['ignore', fs.openSync('/dev/full', 'w'), 'pipe'] });
  assert.equal(full.status, 74);
});

test('state that others may read', (t) => {
  const store = path.join(gate.stateDir, 'keys.gdbm');

  t.after(() => { fs.chmodSync(gate.stateDir, 0o700); fs.chmodSync(store, 0o600); });
  fs.chmodSync(gate.stateDir, 0o755);
  finds('state-dir', 'fault', /state' is open to everybody \(mode 0755\)/);
  fs.chmodSync(gate.stateDir, 0o700);
  fs.chmodSync(store, 0o644);
  finds('state-dir', 'fault', /keys\.gdbm' is open to everybody/);
});

test('a store that is damaged', (t) => {
  const dir = folder(t);
  fs.writeFileSync(path.join(dir, 'usage.gdbm'), 'no store', { mode: 0o600 });
  finds('stores', 'fault', /usage\.gdbm' is damaged/, { STATE_DIR: dir });
});

test('a roll-up that nobody runs', (t) => {
  const dir = folder(t);
  fs.mkdirSync(path.join(dir, 'journal'));
  fs.writeFileSync(path.join(dir, 'journal/2026010100'), '\n');
  finds('journal', 'warning', /1 closed hours .* from 2026-01-01T00:00:00Z/, { STATE_DIR: dir });
  execFileSync(path.join(build, 'bin/pmusage'), ['rollup'],
    { env: { ...gate.env, STATE_DIR: dir }, stdio: 'ignore' });
  finds('journal', 'ok', /rolled up/, { STATE_DIR: dir });
});

test('RUN_DIR on a disk', (t) => {
  const dir = folder(t);
  const type = execFileSync('stat', ['-f', '-c', '%T', dir], { encoding: 'utf8' }).trim();
  if (type === 'tmpfs') return t.skip(`${os.tmpdir()} is a tmpfs here`);
  fs.mkdirSync(path.join(dir, 'upload'), { mode: 0o700 });
  finds('run-dir', 'fault', /is not on a tmpfs/, { RUN_DIR: dir });
  return undefined;
});

// The only command of OpenSSL 3.0 that takes any dates.
function expired(dir) {
  const files = certificate(dir);
  const at = (name) => path.join(dir, name);

  fs.writeFileSync(at('index'), '');
  fs.writeFileSync(at('serial'), '01\n');
  fs.writeFileSync(at('ca.cnf'), `[ca]\ndefault_ca = x\n[x]\ndatabase = ${at('index')}\n` +
    `serial = ${at('serial')}\nnew_certs_dir = ${dir}\ndefault_md = sha256\npolicy = p\n` +
    '[p]\ncommonName = supplied\n');
  execFileSync('openssl', ['req', '-new', '-key', files.TLS_KEY_FILE, '-subj', '/CN=localhost',
    '-out', at('request')], { stdio: 'ignore' });
  execFileSync('openssl', ['ca', '-config', at('ca.cnf'), '-batch', '-notext', '-selfsign',
    '-keyfile', files.TLS_KEY_FILE, '-in', at('request'), '-out', files.TLS_CERT_FILE,
    '-startdate', '20200101000000Z', '-enddate', '20200201000000Z'], { stdio: 'ignore' });
  return files;
}

test('a certificate that expired, another one, and a key that does not fit', (t) => {
  const fresh = certificate(folder(t), '-days', '90');
  const old = expired(folder(t));

  finds('tls-certificate', 'ok', /another (89|90) days/, fresh);
  finds('tls-certificate', 'fault', /expired \d+ days ago/, old);
  finds('tls-key', 'ok', /private/, old);
  // The gate goes on with the one that it was started with.
  finds('tls-served', 'fault', /shows another certificate/, fresh);
  finds('tls-key', 'fault', /does not belong/,
    { ...fresh, TLS_KEY_FILE: gate.env.TLS_KEY_FILE });
  fs.chmodSync(fresh.TLS_KEY_FILE, 0o644);
  finds('tls-key', 'fault', /open to others/, fresh);
  finds('tls-chain', 'warning', /self-signed/, fresh);
});

test('the domain', () => {
  const name = (domain) => run(['--json', '--check', 'tls-name', '--domain', domain]);

  assert.equal(name('localhost').status, 0);
  assert.equal(name('ai.example.org').status, 2);
  // It is asked under its name, and here.
  assert.equal(run(['--domain', 'ai.example.invalid', '--check', 'gate-health', '--check',
    'tls-served']).status, 0);
});

test('a gate that is gone', async () => {
  const other = await startStack();
  const { env } = other;

  await other.stop();
  const r = spawnSync(program, ['--quiet', '--check', 'gate-health', '--check', 'gate-ready',
    '--check', 'upstream-listens'], { env, encoding: 'utf8' });
  assert.equal(r.status, 2);
  assert.equal(r.stdout.match(/^FAULT/gm).length, 3, r.stdout);
});

test('an upstream that is gone', () => {
  const extra = { UPSTREAM_URL: 'http://127.0.0.1:1' };
  finds('upstream-answers', 'fault', /silent/, extra);
  finds('upstream-listens', 'fault', /nobody listens at port 1/, extra);
});

// A process that listens, with the command line of an upstream.
async function pretend(t, host, ...words) {
  const code = 'require("net").createServer().listen(0, process.argv[1],' +
    ' function () { console.log(this.address().port); })';
  const child = spawn(process.execPath, ['-e', code, '--', host, ...words],
    { stdio: ['ignore', 'pipe', 'inherit'] });

  t.after(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((done) => child.once('exit', done));
    child.kill();
    await ended;
  });
  const [port] = await new Promise((done) => child.stdout.once('data',
    (d) => done([String(d).trim()])));
  return { UPSTREAM_URL: `http://127.0.0.1:${port}` };
}

test('an upstream that writes requests down, or shows its key', async (t) => {
  finds('upstream-flags', 'fault', /--dumpRequests/,
    await pretend(t, '127.0.0.1', '--workspace=/w', '--dumpRequests'));
  const shown = await pretend(t, '127.0.0.1', '--workspace=/w', '--apiKey=hush');
  finds('upstream-flags', 'fault', /key stands on the upstream's command line/, shown);
  assert.doesNotMatch(run(['--check', 'upstream-flags'], shown).stdout, /hush/);
  const fine = await pretend(t, '127.0.0.1', '--workspace=/w', '--apiKey=@/nowhere/key');
  finds('upstream-flags', 'ok', /no option/, fine);
  finds('upstream-key', 'ok', /upstream has one/, fine);
});

test('an upstream that is open to the network', async (t) => {
  const extra = await pretend(t, '0.0.0.0', '--workspace=/w');
  const { port } = new URL(extra.UPSTREAM_URL);

  finds('upstream-listens', 'fault', new RegExp(`port ${port} is open`), extra);
  finds('listening', 'warning', /open to the network/, extra);
});

test('too few open files', async () => {
  const script = 'ulimit -n 300; exec "$0" "$@"';
  const held = spawn('bash', ['-c', script, path.join(ROOT, 'tests/stack'), '--', 'sh', '-c',
    `"${program}" --check file-limits`], { env: process.env, stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';

  held.stdout.on('data', (d) => { said += d; });
  const code = await new Promise((done) => held.once('close', done));
  assert.equal(code, 0);
  assert.match(said, /^WARNING +file-limits .* may open 300 files/m);
});

test('an ordinary user is told what he could not see', (t) => {
  if (process.getuid() !== 0) return t.skip('needs root, to be somebody else');
  const env = folder(t);
  fs.chmodSync(env, 0o755);
  const file = path.join(env, 'env');
  fs.writeFileSync(file, 'ADMIN_PASSWORD=hush-hush-hush\n', { mode: 0o600 });

  // Where the programs lie may be closed to others.
  const copy = path.join(env, 'pmdoctor');
  fs.copyFileSync(program, copy);
  const other = (extra, ...args) => spawnSync('setpriv', ['--reuid=65534', '--regid=65534',
    '--clear-groups', copy, '--json', ...args], { encoding: 'utf8', env: { ...gate.env, ...extra } });
  const states = (r) => Object.fromEntries(
    JSON.parse(r.stdout).checks.map((c) => [c.id, c.state]));

  const closed = states(other({ PMPROXY_ENV: file }));
  assert.equal(closed.configuration, 'fault');
  assert.equal(closed['state-dir'], 'unknown');
  assert.notEqual(closed.swap, undefined);
  const open = states(other({}));
  assert.equal(open.configuration, 'ok');
  assert.equal(open['state-dir'], 'unknown');
  assert.equal(open.stores, 'unknown');
  assert.equal(open['gate-health'], 'ok');
  assert.equal(other({}, '--check', 'stores', '--strict').status, 1);
  return undefined;
});

test('another file of settings', (t) => {
  const file = path.join(folder(t), 'env');
  const env = { PATH: process.env.PATH };

  fs.writeFileSync(file, `STATE_DIR=${gate.stateDir}\nPORT=${gate.env.PORT}\n` +
    'ADMIN_PASSWORD=short\n', { mode: 0o644 });
  const r = spawnSync(program, ['--env', file, '--quiet', '--check', 'env-file',
    '--check', 'admin-password'], { env, encoding: 'utf8' });
  assert.equal(r.status, 2);
  assert.match(r.stdout, /^FAULT +env-file .*open to others/m);
  assert.match(r.stdout, /^WARNING +admin-password .*shorter than 12/m);
});
