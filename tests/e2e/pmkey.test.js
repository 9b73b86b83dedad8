'use strict';
// pmkey as people and scripts call it: formats, exit codes, and what never
// shows.
const { test } = require('node:test');
const assert = require('node:assert');
const { spawn, spawnSync } = require('node:child_process');
const crypto = require('node:crypto');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const root = path.resolve(__dirname, '..', '..');
const program = path.resolve(root, process.env.BUILD || 'build', 'bin/pmkey');
const MEMBERS = ['key_id', 'label', 'last4', 'created', 'expires', 'enabled', 'state',
  'rate_limit', 'tokens_per_minute', 'parallel', 'budget_eur', 'budget_tokens',
  'models', 'prompt_cache', 'successor'];

const sha256 = (text) => crypto.createHash('sha256').update(text).digest('hex');
const seconds = (utc) => Date.parse(utc) / 1000;

function stateDir(t) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'pmkey-'));
  t.after(() => fs.rmSync(dir, { recursive: true }));
  return dir;
}

function env(dir) {
  const e = { ...process.env, STATE_DIR: dir };
  delete e.PMPROXY_ENV;
  return e;
}

function run(dir, args, options = {}) {
  const r = spawnSync(program, args, {
    env: env(dir), encoding: 'utf8', timeout: 30000, input: '', ...options });
  assert.ifError(r.error);
  return r;
}

function ok(dir, ...args) {
  const r = run(dir, args);
  assert.strictEqual(r.stderr, '');
  assert.strictEqual(r.status, 0);
  return r.stdout;
}

const json = (dir, ...args) => JSON.parse(ok(dir, ...args, '--json'));

function fails(dir, status, pattern, ...args) {
  const r = run(dir, args);
  assert.strictEqual(r.status, status, `${args.join(' ')}: ${r.stderr}`);
  assert.match(r.stderr, pattern);
  assert.strictEqual(r.stdout, '');
}

function importText(dir, text, ...args) {
  return run(dir, ['import', '-', ...args], { input: text });
}

const storeBytes = (dir) => fs.readFileSync(path.join(dir, 'keys.gdbm'));

test('create prints the key once, and the store does not hold it', (t) => {
  const dir = stateDir(t);
  const before = Math.floor(Date.now() / 1000);
  const made = json(dir, 'create', '--label', 'Rescue “é” 🐖', '--expires', '90d',
    '--rate-limit', '20', '--tokens-per-minute', '5000', '--parallel', '3',
    '--budget-eur', '20.5', '--budget-tokens', '1000000', '--models', 'standin/k=v, b', '--prompt-cache');

  assert.match(made.key, /^pm_[A-Za-z0-9_-]{43}$/);
  assert.strictEqual(Buffer.from(made.key.slice(3), 'base64url').length, 32);
  assert.match(made.key_id, /^key_[0-9a-f]{16}$/);
  assert.strictEqual(made.label, 'Rescue “é” 🐖');
  assert.strictEqual(made.last4, made.key.slice(-4));
  assert.ok(seconds(made.created) >= before);
  assert.strictEqual(seconds(made.expires) - seconds(made.created), 90 * 86400);
  assert.deepStrictEqual([made.rate_limit, made.tokens_per_minute, made.parallel,
    made.budget_eur, made.budget_tokens], [20, 5000, 3, 20.5, 1000000]);
  assert.deepStrictEqual(made.models, ['standin/k=v', 'b']);
  assert.strictEqual(made.prompt_cache, true);
  assert.deepStrictEqual(Object.keys(made), [...MEMBERS, 'key']);

  const listed = json(dir, 'list');
  const { key, ...rest } = made;
  assert.deepStrictEqual(listed, [rest]);
  assert.deepStrictEqual(json(dir, 'show', made.key_id), rest);

  const shown = [ok(dir, 'list'), ok(dir, 'show', made.key_id), ok(dir, 'export'),
    JSON.stringify(listed), storeBytes(dir).toString('latin1')].join('\n');
  for (let i = 0; i + 8 <= key.length; i++)
    assert.ok(!shown.includes(key.slice(i, i + 8)), 'a piece of the key shows');
  assert.ok(!ok(dir, 'list').includes(sha256(key)));
  assert.ok(ok(dir, 'export').includes(sha256(key)));
  assert.strictEqual(fs.statSync(path.join(dir, 'keys.gdbm')).mode & 0o777, 0o600);
});

test('a plain key has no limits, and people are told to keep it', (t) => {
  const dir = stateDir(t);
  assert.deepStrictEqual(json(dir, 'list'), []);
  assert.strictEqual(ok(dir, 'list'), 'There are no keys yet.\n');

  const text = ok(dir, 'create', '--label', 'Office');
  const key = /^Key: +(pm_\S{43})$/m.exec(text)[1];
  assert.match(text, /not be shown again/);
  const [listed] = json(dir, 'list');
  assert.strictEqual(listed.last4, key.slice(-4));
  for (const name of ['expires', 'rate_limit', 'tokens_per_minute', 'parallel', 'budget_eur',
    'budget_tokens', 'successor'])
    assert.strictEqual(listed[name], null, name);
  assert.deepStrictEqual(listed.models, []);
  assert.deepStrictEqual([listed.enabled, listed.state, listed.prompt_cache],
    [true, 'active', false]);
  assert.match(ok(dir, 'list'), new RegExp(`^KEY ID .*\n${listed.key_id}  Office .* all\n$`));
});

test('set changes what is given and leaves the rest', (t) => {
  const dir = stateDir(t);
  const { key, ...made } = json(dir, 'create', '--label', 'a', '--rate-limit', '5');
  const id = made.key_id;

  assert.deepStrictEqual(json(dir, 'set', id, '--parallel', '2'), { ...made, parallel: 2 });
  const all = json(dir, 'set', id, '--label', 'b', '--expires', '2h', '--rate-limit', '0',
    '--tokens-per-minute', '7', '--parallel', '0',
    '--budget-eur', '0.3', '--budget-tokens', '9', '--models', 'x,y', '--prompt-cache');
  const left = seconds(all.expires) - Date.now() / 1000;
  assert.ok(left > 7100 && left <= 7200, `${left} s`);
  assert.deepStrictEqual(all, { ...made, label: 'b', expires: all.expires, rate_limit: null,
    tokens_per_minute: 7, parallel: null, budget_eur: 0.3, budget_tokens: 9, models: ['x', 'y'], prompt_cache: true });
  assert.deepStrictEqual(json(dir, 'show', id), all);
  assert.deepStrictEqual(
    json(dir, 'set', id, '--label', 'a', '--expires', 'never', '--rate-limit', '5',
      '--tokens-per-minute', '0', '--budget-eur', '0', '--budget-tokens', '0', '--models', 'all', '--no-prompt-cache'), made);
  assert.strictEqual(json(dir, 'set', id, '--expires', '2999-01-31').expires,
    '2999-01-31T00:00:00Z');
  assert.strictEqual(json(dir, 'set', id, '--expires', '2999-01-31T12:30:00Z').expires,
    '2999-01-31T12:30:00Z');
  assert.strictEqual(json(dir, 'disable', id).state, 'disabled');
  assert.strictEqual(json(dir, 'show', id).enabled, false);
  assert.strictEqual(json(dir, 'enable', id).state, 'active');
  assert.match(ok(dir, 'disable', id), /^State: +disabled$/m);
});

test('changes made at once are all kept', async (t) => {
  const dir = stateDir(t);
  const id = json(dir, 'create', '--label', 'a').key_id;
  const given = [['--rate-limit', '1'], ['--parallel', '2'], ['--tokens-per-minute', '3'],
    ['--models', 'm'], ['--prompt-cache'], ['--label', 'b'], ['--budget-eur', '4'],
    ['--budget-tokens', '5']];

  const codes = await Promise.all(given.map((args) => new Promise((resolve) =>
    spawn(program, ['set', id, ...args], { env: env(dir), stdio: 'ignore' })
      .on('exit', resolve))));
  assert.deepStrictEqual(codes, given.map(() => 0));
  const key = json(dir, 'show', id);
  assert.deepStrictEqual([key.rate_limit, key.parallel, key.tokens_per_minute, key.models,
    key.prompt_cache, key.label, key.budget_eur, key.budget_tokens],
  [1, 2, 3, ['m'], true, 'b', 4, 5]);
});

test('rotate makes a successor and lets the old key run out', (t) => {
  const dir = stateDir(t);
  const old = json(dir, 'create', '--label', 'a', '--models', 'm', '--parallel', '2');
  const fresh = json(dir, 'rotate', old.key_id, '--grace', '1h');

  assert.notStrictEqual(fresh.key, old.key);
  assert.notStrictEqual(fresh.key_id, old.key_id);
  assert.strictEqual(fresh.replaces, old.key_id);
  assert.deepStrictEqual([fresh.label, fresh.models, fresh.parallel, fresh.expires],
    ['a', ['m'], 2, null]);
  const retired = json(dir, 'show', old.key_id);
  assert.strictEqual(retired.successor, fresh.key_id);
  assert.strictEqual(retired.state, 'active');
  assert.ok(Math.abs(seconds(retired.expires) - Date.now() / 1000 - 3600) < 60);

  const day = json(dir, 'rotate', fresh.key_id);
  assert.ok(Math.abs(seconds(json(dir, 'show', fresh.key_id).expires) - Date.now() / 1000 -
    86400) < 60);
  json(dir, 'rotate', day.key_id, '--grace', '0');
  assert.strictEqual(json(dir, 'show', day.key_id).state, 'expired');
  json(dir, 'disable', day.key_id);
  fails(dir, 1, /disabled/, 'rotate', day.key_id);
  assert.strictEqual(json(dir, 'list').length, 4);
  assert.match(ok(dir, 'rotate', json(dir, 'list').find((k) => k.state === 'active' &&
    k.expires === null).key_id), /^Key: +pm_/);
});

test('delete removes a key; at a terminal it asks first', (t) => {
  const dir = stateDir(t);
  const ids = [1, 2, 3].map((n) => json(dir, 'create', '--label', `key ${n}`).key_id);
  const atTerminal = (answer, ...args) => spawnSync('script',
    ['-qec', [program, 'delete', ...args].join(' '), '/dev/null'],
    { env: env(dir), encoding: 'utf8', timeout: 30000, input: answer });

  assert.strictEqual(ok(dir, 'delete', ids[0]), '');
  fails(dir, 1, /no such key: '/, 'delete', ids[0]);
  let r = atTerminal('n\n', ids[1]);
  assert.match(r.stdout, /key 2.*\[y\/N\]/);
  assert.strictEqual(r.status, 1);
  assert.strictEqual(json(dir, 'list').length, 2);
  r = atTerminal('y\n', ids[1]);
  assert.strictEqual(r.status, 0);
  r = atTerminal('', ids[2], '--yes');
  assert.strictEqual(r.status, 0);
  assert.deepStrictEqual(json(dir, 'list'), []);
});

test('exit codes', (t) => {
  const dir = stateDir(t);
  const id = json(dir, 'create', '--label', 'a').key_id;

  for (const command of ['show', 'disable', 'enable', 'rotate', 'delete'])
    fails(dir, 1, /no such key: 'key_0'/, command, 'key_0');
  fails(dir, 1, /no such key/, 'set', 'key_0', '--parallel', '1');
  fails(dir, 1, /no such key/, 'show', 'k'.repeat(100));

  const misuse = [
    [], ['nothing'], ['--label'], ['create'], ['create', '--label'], ['create', 'x'],
    ['create', '--label', 'a', 'b'], ['create', '--label', 'a', '--key', 'pm_x'],
    ['create', '--label', 'a', '--grace', '1h'], ['show'], ['show', id, id], ['set', id],
    ['set', '--parallel', '1'], ['list', '--yes'], ['delete'], ['import'], ['export', 'x'],
    ...['1.5', '-1', '', 'x', '99999999999999999999', '1000000000001'].map((n) =>
      ['set', id, '--rate-limit', n]),
    ...['0', '0d', '1x', '-1d', 'tomorrow', '2020-01-01', '2026-02-30', '10000-01-01', ''].map(
      (when) => ['set', id, '--expires', when]),
    ...['', ',', 'a,,b', 'a b', 'a,', 'é'].map((list) => ['set', id, '--models', list]),
    ...['a\nb', '\u001b[2J', '\u202e', 'x'.repeat(256)].map((l) => ['set', id, '--label', l]),
    ['rotate', id, '--grace', '-1'], ['rotate', id, '--grace', 'x'],
  ];
  for (const args of misuse)
    fails(dir, 2, /Try 'pmkey .*--help'/, ...args);
  assert.strictEqual(json(dir, 'list').length, 1);
  assert.strictEqual(ok(dir, 'set', id, '--label', 'x'.repeat(255)).length > 255, true);
});

test('the program and each command help', (t) => {
  const dir = stateDir(t);
  const help = ok(dir, '--help');
  const commands = [...help.matchAll(/^ {2}([a-z]+) /gm)].map((m) => m[1]);

  assert.deepStrictEqual(commands, ['create', 'list', 'show', 'set', 'disable', 'enable',
    'rotate', 'delete', 'import', 'export', 'lockdown', 'destroy']);
  for (const command of commands)
    assert.match(ok(dir, command, '--help'), new RegExp(`^usage: pmkey ${command}`));
  // Whoever looks for help may have no working configuration yet.
  const r = run(dir, ['--help'], { env: { ...env(dir), PORT: 'x' } });
  assert.strictEqual(r.status, 0);
});

test('what cannot be read or written is a failure', (t) => {
  const dir = stateDir(t);
  const id = json(dir, 'create', '--label', 'a').key_id;

  for (const args of [['list'], ['list', '--json'], ['show', id], ['export']]) {
    const r = spawnSync('sh', ['-c', 'exec "$0" "$@" >/dev/full', program, ...args],
      { env: env(dir), encoding: 'utf8' });
    assert.strictEqual(r.status, 1, args.join(' '));
    assert.match(r.stderr, /standard output/);
  }
  fs.truncateSync(path.join(dir, 'keys.gdbm'), 5000);
  const bytes = storeBytes(dir);
  for (const args of [['list'], ['list', '--json'], ['show', id], ['export'], ['create', '--label', 'b'],
    ['set', id, '--parallel', '1'], ['rotate', id], ['delete', id]]) {
    const r = run(dir, args);
    assert.strictEqual(r.status, 1, args.join(' '));
    assert.match(r.stderr, /keys\.gdbm' is damaged/);
    assert.strictEqual(r.stdout, '');
  }
  assert.deepStrictEqual(storeBytes(dir), bytes);
  fails(path.join(dir, 'absent'), 1, /absent/, 'list');
});

test('an export reads back without loss', (t) => {
  const dir = stateDir(t);
  const copy = stateDir(t);
  const first = json(dir, 'create', '--label', 'a “b” \\ "c"', '--expires', '1w',
    '--rate-limit', '5', '--tokens-per-minute', '6', '--parallel', '7', '--models', 'm/n,o=p',
    '--budget-eur', '0.100000001', '--budget-tokens', '8',
    '--prompt-cache');
  json(dir, 'rotate', first.key_id);
  json(dir, 'disable', json(dir, 'create', '--label', 'c').key_id);

  const file = path.join(dir, 'export.json');
  const exported = ok(dir, 'export');
  fs.writeFileSync(file, exported);
  assert.deepStrictEqual(json(copy, 'import', file), { imported: 3, skipped: [] });
  assert.strictEqual(ok(copy, 'export'), exported);
  assert.deepStrictEqual(json(copy, 'list'), json(dir, 'list'));

  // Again: all there already.
  const ids = json(dir, 'list').map((k) => k.key_id);
  const before = storeBytes(copy);
  assert.deepStrictEqual(json(copy, 'import', file), {
    imported: 0, skipped: ids.map((key_id) => ({ key_id, reason: 'exists' })) });
  assert.deepStrictEqual(storeBytes(copy), before);
  assert.match(ok(copy, 'import', file), /imported: 0, skipped: 3\n$/);
});

test('the predecessor’s file', (t) => {
  const dir = stateDir(t);
  const text = JSON.stringify({ keys: [
    { key_id: 'abc123', key_hash: sha256('legacy-one'), created_at: 1700000000.75,
      expires_at: null, rate_limit: null, description: 'One', enabled: true, last_used: 5 },
    { key_id: 'two', key: 'a-legacy-key-in-the-clear', created_at: 1700000001,
      expires_at: 4000000000.5, rate_limit: 30, description: null, enabled: false },
    { key_id: 'three', key_hash: sha256('x').toUpperCase(), created_at: 1700000002,
      expires_at: 0, description: 'long expired' },
    { key_id: 'four', key_hash: sha256('legacy-one'), created_at: 1, description: 'same key' },
  ] }) + '\n';

  const r = importText(dir, text, '--json');
  assert.strictEqual(r.stderr, '');
  assert.deepStrictEqual(JSON.parse(r.stdout), { imported: 3,
    skipped: [{ key_id: 'four', reason: 'exists' }] });
  const [one, two, three] = json(dir, 'list');
  assert.deepStrictEqual([one.key_id, one.label, one.created, one.expires, one.rate_limit,
    one.enabled, one.last4],
  ['abc123', 'One', '2023-11-14T22:13:20Z', null, null, true, '']);
  assert.deepStrictEqual([two.key_id, two.label, two.expires, two.rate_limit, two.state,
    two.last4], ['two', '', '2096-10-02T07:06:40Z', 30, 'disabled', 'lear']);
  // 0 is a time long past, and must not come to mean never.
  assert.deepStrictEqual([three.key_id, three.state], ['three', 'expired']);
  const hashes = JSON.parse(ok(dir, 'export')).keys.map((k) => k.key_hash);
  assert.deepStrictEqual(hashes,
    [sha256('legacy-one'), sha256('a-legacy-key-in-the-clear'), sha256('x')]);
  assert.ok(!storeBytes(dir).includes('in-the-clear'));
});

test('an import is all or nothing, and names each wrong row', (t) => {
  const dir = stateDir(t);
  const good = { key_id: 'good', key_hash: sha256('good') };
  const wrong = {
    'it is not an object': [],
    '"key_id" is missing': { key_hash: sha256('a') },
    'the id is not': { ...good, key_id: '../x' },
    'no "key_hash"': { key_id: 'a' },
    '"key_hash" is not a SHA-256': { key_id: 'a', key_hash: 'abc' },
    'not the hash of "key"': { key_id: 'a', key_hash: sha256('a'), key: 'b' },
    '"key" is empty': { key_id: 'a', key: '' },
    '"key" is not text': { key_id: 'a', key: 5 },
    '"created" is not a time': { ...good, created_at: 'yesterday' },
    '"expires" is neither': { ...good, expires_at: 1e300 },
    'after 9999': { ...good, expires_at: 1e12 },
    '"rate_limit" is neither': { ...good, rate_limit: 1.5 },
    '"tokens_per_minute" is neither': { ...good, tokens_per_minute: '5' },
    '"parallel" is neither': { ...good, parallel: -1 },
    '"budget_eur" is neither': { ...good, budget_eur: -1 },
    '"budget_tokens" is neither': { ...good, budget_tokens: 0.5 },
    '"enabled" is neither': { ...good, enabled: 1 },
    '"prompt_cache" is neither': { ...good, prompt_cache: 'yes' },
    '"models" is not': { ...good, models: ['a,b'] },
    '"label" is not text': { ...good, description: 'x'.repeat(256) },
    'the label is not UTF-8': { ...good, description: 'a\nb' },
    '"successor" is not': { ...good, successor: 7 },
  };
  for (const models of ['a', [''], ['all'], ['a b'], [7], [['a']], ['a', null]])
    wrong[`"models" is not${' '.repeat(Object.keys(wrong).length)}`] = { ...good, models };

  for (const [problem, row] of Object.entries(wrong)) {
    const r = importText(dir, JSON.stringify({ keys: [good, row] }));
    assert.strictEqual(r.status, 1, problem);
    assert.match(r.stderr, /row 2[: (]/);
    assert.ok(r.stderr.includes(problem.trim()), `${problem}: ${r.stderr}`);
    assert.match(r.stderr, /nothing is imported/);
    assert.strictEqual(r.stdout, '');
  }
  let r = importText(dir, JSON.stringify({ keys: [wrong['no "key_hash"'], good, []] }));
  assert.match(r.stderr, /row 1 \(a\)[^]*row 3: /);
  for (const text of ['', '{', '[]', '{}', '{"keys":{}}', '{"keys":[]}x', 'null', '{"keys":[]',
    '{"version":2,"keys":[]}', '['.repeat(100), '{"keys":["\xff"]}']) {
    r = run(dir, ['import', '-'], { input: Buffer.from(text, 'latin1') });
    assert.strictEqual(r.status, 1, text);
    assert.notStrictEqual(r.stderr, '');
  }
  fails(dir, 1, /cannot read/, 'import', path.join(dir, 'absent.json'));
  assert.deepStrictEqual(json(dir, 'list'), []);
  assert.strictEqual(importText(dir, '{"keys":[]}').stdout, 'imported: 0, skipped: 0\n');
});

test('what a message repeats is escaped', (t) => {
  const dir = stateDir(t);
  const r = run(dir, ['show', 'a\u001b]0;x\u0007']);
  assert.strictEqual(r.status, 1);
  assert.match(r.stderr, /'a\\x1b\]0;x\\x07'/);
});

test('delete --erase leaves no byte of the key, and can be repeated', (t) => {
  const dir = stateDir(t);
  const old = json(dir, 'create', '--label', 'old');
  const key = json(dir, 'rotate', old.key_id);
  const id = key.key_id;
  const line = (who) => `\n1\t${who}\tm\te\t2\t1\t1\t0\t2\t0\t0\t1\t1\t0\t.\n`;

  fs.mkdirSync(path.join(dir, 'journal'), { mode: 0o700 });
  fs.writeFileSync(path.join(dir, 'journal', '2024022900'), line(id) + line(old.key_id));
  for (let i = 0; i < 2; i++) {
    assert.strictEqual(ok(dir, 'delete', id, '--erase', '--yes'), '');
    const grep = spawnSync('grep', ['-ra', id, dir], { encoding: 'utf8' });
    assert.strictEqual(grep.stdout, '');
    assert.strictEqual(grep.status, 1);
  }
  const [left, ...none] = json(dir, 'list');
  assert.deepStrictEqual([left.key_id, left.successor, none], [old.key_id, null, []]);
  assert.ok(fs.readFileSync(path.join(dir, 'journal', '2024022900'), 'latin1').includes(old.key_id));
});
