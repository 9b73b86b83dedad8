'use strict';
// pmsettings: what is in force, where it comes from, and what is refused.
const { test } = require('node:test');
const assert = require('node:assert');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const root = path.resolve(__dirname, '..', '..');
const program = path.resolve(root, process.env.BUILD || 'build', 'bin/pmsettings');

function stateDir(t) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'pmsettings-'));
  t.after(() => fs.rmSync(dir, { recursive: true }));
  return dir;
}

// Only what a test sets, so that no setting of the surroundings slips in.
function run(dir, args, extra = {}) {
  const r = spawnSync(program, args, { encoding: 'utf8', timeout: 30000,
    env: { PATH: process.env.PATH, STATE_DIR: dir, ...extra } });
  assert.ifError(r.error);
  return r;
}

function ok(dir, args, extra) {
  const r = run(dir, args, extra);
  assert.strictEqual(r.stderr, '');
  assert.strictEqual(r.status, 0);
  return r.stdout;
}

function find(dir, name, extra) {
  return JSON.parse(ok(dir, ['list', '--json'], extra)).find((s) => s.name === name);
}

test('a value comes from the default, the configuration or here', (t) => {
  const dir = stateDir(t);
  const name = 'RATE_LIMIT_WINDOW';
  const extra = { RATE_LIMIT_WINDOW: '90' };

  assert.deepStrictEqual(Object.keys(find(dir, name)),
    ['name', 'value', 'default', 'source', 'min', 'max', 'meaning']);
  const at = (e) => { const s = find(dir, name, e); return [s.value, s.default, s.source]; };
  assert.deepStrictEqual(at(), [60, 60, 'default']);
  assert.deepStrictEqual(at(extra), [90, 60, 'configuration']);
  assert.strictEqual(ok(dir, ['set', name, '2h']), '');
  assert.deepStrictEqual(at(extra), [7200, 60, 'settings']);
  assert.match(ok(dir, ['list'], extra),
    /^RATE_LIMIT_WINDOW +7200 +60 +settings +length of/m);
  assert.strictEqual(ok(dir, ['unset', name]), '');
  assert.strictEqual(ok(dir, ['unset', name]), '');
  assert.deepStrictEqual(at(extra), [90, 60, 'configuration']);
});

test('only live settings, within their bounds', (t) => {
  const dir = stateDir(t);
  const misuse = [[], ['nothing'], ['set'], ['set', 'RATE_LIMIT_WINDOW'],
    ['set', 'RATE_LIMIT_WINDOW', '1', '2'], ['set', 'PORT', '80'], ['set', 'NOTHING', '1'],
    ['set', 'ADMIN_PASSWORD', 'x'], ['unset', 'PORT'], ['unset'],
    ['get'], ['get', 'NOTHING'], ['get', 'ADMIN_PASSWORD'], ['get', 'PORT', 'PORT'], ['list', 'x'],
    ['set', '--json', 'RATE_LIMIT_WINDOW', '1'],
    ...['', '0', '-1', '1.5', 'x', '86401', '2d'].map((v) => ['set', 'RATE_LIMIT_WINDOW', v])];

  for (const args of misuse) {
    const r = run(dir, args);
    assert.strictEqual(r.status, 2, args.join(' '));
    assert.match(r.stderr, /Try 'pmsettings .*--help'/);
  }
  assert.deepStrictEqual(fs.readdirSync(dir), []);
});

test('no secret shows', (t) => {
  const dir = stateDir(t);
  const extra = { ADMIN_PASSWORD: 'hush-1', PRIVATEMODE_API_KEY: 'hush-2', API_KEYS: 'hush-3' };

  for (const args of [['list'], ['list', '--json'], ['lighttpd']])
    assert.ok(!ok(dir, args, extra).includes('hush'), args.join(' '));
});

test('get: what a setting was at start, for scripts', (t) => {
  const dir = stateDir(t);
  const auto = { TLS_AUTO: '1', DOMAIN: 'gate.example.org' };

  assert.strictEqual(ok(dir, ['get', 'PORT']), '8080\n');
  assert.strictEqual(ok(dir, ['get', 'PORT'], { PORT: '443' }), '443\n');
  assert.strictEqual(ok(dir, ['get', 'DOMAIN']), '\n');
  assert.strictEqual(ok(dir, ['get', 'HTTP_PORT'], auto), '80\n');
  assert.strictEqual(ok(dir, ['get', 'TLS_CERT_FILE'], auto),
    `${dir}/tls/live/chain.pem\n`);
});

test('a damaged store is a failure that names it', (t) => {
  const dir = stateDir(t);

  ok(dir, ['set', 'RATE_LIMIT_REQUESTS', '5']);
  fs.truncateSync(path.join(dir, 'settings.gdbm'), 5000);
  for (const args of [['list'], ['set', 'RATE_LIMIT_REQUESTS', '6'],
    ['unset', 'RATE_LIMIT_REQUESTS']]) {
    const r = run(dir, args);
    assert.strictEqual(r.status, 1, args.join(' '));
    assert.match(r.stderr, /settings\.gdbm' is damaged/);
    assert.strictEqual(r.stdout, '');
  }
});

test('the program and each command help', (t) => {
  const dir = stateDir(t);
  const commands = [...ok(dir, ['--help']).matchAll(/^ {2}([a-z]+) /gm)].map((m) => m[1]);

  assert.deepStrictEqual(commands, ['list', 'set', 'unset', 'price', 'get',
    'lighttpd']);
  for (const command of commands)
    assert.match(ok(dir, [command, '--help']), new RegExp(`^usage: pmsettings ${command}`));
});

test('prices: what is set applies from this hour on, and is kept', (t) => {
  const dir = stateDir(t);
  const price = (...args) => ok(dir, ['price', ...args]);
  const list = (...args) => JSON.parse(price('list', '--json', ...args));
  const hour = () => `${new Date().toISOString().slice(0, 13)}:00:00Z`;

  assert.deepStrictEqual(list().at(-1), { model: '*', from: null, source: 'list',
    prompt: 5, completion: 5, audio_mib: 0, audio_hour: 0 });
  const began = hour();
  price('set', 'whisper-large-v3', '--audio-hour', '0.36');
  price('set', 'my/model', '--prompt', '0.000000001', '--completion', '2.5');
  const ended = hour();
  const own = list().find((p) => p.model === 'my/model');
  assert.ok(own.from === began || own.from === ended);
  assert.deepStrictEqual({ ...own, from: 0 }, { model: 'my/model', from: 0,
    source: 'settings', prompt: 1e-9, completion: 2.5, audio_mib: 0, audio_hour: 0 });
  assert.match(price('list', '--json'), /"prompt": 0\.000000001,/);
  const audio = () => list().find((p) => p.model === 'whisper-large-v3');
  assert.deepStrictEqual([audio().audio_mib, audio().audio_hour], [0, 0.36]);
  price('unset', 'whisper-large-v3');
  assert.deepStrictEqual([audio().audio_mib, audio().source], [0.096, 'list']);
  assert.deepStrictEqual(list('--all').filter((p) => p.model === 'whisper-large-v3')[0],
    { model: 'whisper-large-v3', from: null, source: 'list', prompt: 0, completion: 0,
      audio_mib: 0.096, audio_hour: 0 });
  assert.match(price('list'), /^MODEL +PROMPT .*\n(.*\n)+my\/model +0\.000000001 +2\.5 /);
});

test('prices: wrong use changes nothing', (t) => {
  const dir = stateDir(t);
  for (const args of [['set', 'm'], ['set'], ['set', 'm', '--prompt', '-1'],
    ['set', 'm', '--prompt', '0.0000000001'], ['set', 'm', '--prompt', '1000001'],
    ['set', 'a b', '--prompt', '1'], ['unset', ''], ['unset'], ['list', 'm'], ['drop', 'm'], []]) {
    const r = run(dir, ['price', ...args]);
    assert.strictEqual(r.status, 2, args.join(' '));
    assert.match(r.stderr, /Try 'pmsettings price/);
  }
  assert.strictEqual(fs.existsSync(path.join(dir, 'settings.gdbm')), false);
});
