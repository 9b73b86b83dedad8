'use strict';
/*
 * A gate whose STATE_DIR is sealed: nothing can be read there without the key,
 * nothing can be put there, and the key changes while requests run.
 */
const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const crypto = require('node:crypto');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, before, describe, it } = require('node:test');
const { promisify } = require('node:util');
const execFile = promisify(require('node:child_process').execFile);

const { Browser } = require('./lib/browser');
const { startStack, eventually, seen } = require('./lib/stack');

const MODEL = 'standin-chat';
const CHAT = { model: MODEL, max_tokens: 4,
  messages: [{ role: 'user', content: 'a note' }] };
const PATIENCE = 60000;

/* Every regular file below a folder. */
function filesIn(folder) {
  return fs.readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((e) => e.isFile())
    .map((e) => path.join(e.parentPath ?? e.path, e.name));
}

/* Text or bytes as they may stand in a file: plain, hex, base64 anywhere. */
function forms(trace) {
  const bytes = Buffer.from(trace);
  const shifted = [0, 1, 2].flatMap((n) => {
    const text = Buffer.concat([Buffer.alloc(n), bytes]).toString('base64');
    const inner = text.slice(n === 0 ? 0 : 4, -4);

    return [inner, inner.replaceAll('+', '-').replaceAll('/', '_')];
  });

  return [bytes, bytes.toString('hex'), bytes.toString('hex').toUpperCase(),
    ...shifted];
}

function found(folder, traces) {
  return filesIn(folder).flatMap((file) => {
    const bytes = fs.readFileSync(file);

    return traces.filter((t) => forms(t).some((form) => bytes.includes(form)))
      .map((t) => `${path.basename(file)}: ${t}`);
  });
}

const hashOf = (key) => crypto.createHash('sha256').update(key).digest();
const newKey = () => `${crypto.randomBytes(32).toString('hex')}\n`;

describe('a sealed STATE_DIR', () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pmseal.'));
  const file = path.join(folder, 'store.key');
  let gate;

  /* In one step, as pmkey does it. */
  const putKeys = (text) => {
    fs.writeFileSync(`${file}.new`, text, { mode: 0o600 });
    fs.renameSync(`${file}.new`, file);
  };
  const status = async (key) => (await gate.request('/v1/chat/completions',
    { key, json: CHAT })).status;
  const requests = () =>
    JSON.parse(gate.run('pmusage', 'show', '--json')).total.requests;
  const waitFor = (code) =>
    eventually(async () => await status() === code, PATIENCE);

  before(async () => {
    putKeys(newKey());
    gate = await startStack({ env: { STORE_KEY_FILE: file } });
  });
  after(async () => {
    await gate?.stop();
    fs.rmSync(folder, { recursive: true, force: true });
  });

  it('tells of no key, label, model or hash', async () => {
    const label = `Witness ${crypto.randomBytes(6).toString('hex')}`;
    const made = gate.pmkey('create', '--label', label);
    const b = new Browser(gate);

    await b.logIn();
    assert.equal(await status(made.key), 200);
    assert.equal((await b.get('/admin/keys')).text.includes(label), true);
    const usage = await b.get('/admin/usage');
    assert.equal(usage.status, 200);
    assert.ok(usage.text.includes(label));
    gate.pmkey('set', made.key_id, '--rate-limit', '50');
    gate.run('pmusage', 'rollup');
    gate.run('pmusage', 'export', '--format', 'csv', '--since-last', 'x');

    const traces = [made.key_id, made.key_id.slice(4), label, made.key, MODEL,
      'chat.completions', 'rate_limit', hashOf(made.key),
      hashOf(made.key).toString('hex')];
    assert.deepEqual(found(gate.stateDir, traces), []);
    /* They would be found. */
    for (const trace of traces)
      for (const form of forms(trace)) {
        fs.writeFileSync(path.join(folder, 'control'),
          Buffer.concat([Buffer.from('??'), Buffer.from(form)]));
        assert.notDeepEqual(found(folder, [trace]), []);
      }
    fs.rmSync(path.join(folder, 'control'));
    assert.match(gate.run('pmdoctor', '--check', 'stores'), /^ok/);
  });

  it('gets another key while requests run, and loses none', async () => {
    const pmkey = (...args) => execFile('pmkey', args, { env: gate.env });
    let done = requests(), running = true;
    const refused = [];
    const load = [1, 2, 3].map(async () => {
      while (running) {
        const code = await status();

        if (code === 200) done++;
        else refused.push(code);
      }
    });
    const ids = () => new Set(filesIn(path.join(gate.stateDir, 'journal'))
      .flatMap((hour) => fs.readFileSync(hour, 'utf8').split('\n'))
      .filter((line) => line !== '').map((line) => line.split('\t')[1]));
    const [old] = ids();

    assert.equal(ids().size, 1);
    const responders = gate.responders();
    await pmkey('store-key', '--new');
    assert.equal(fs.statSync(file).mode & 0o777, 0o600);
    await eventually(() => {
      const now = gate.responders();
      return now.length > 0 && !now.some((pid) => responders.includes(pid));
    }, PATIENCE);
    await eventually(() => ids().size === 2, PATIENCE);
    await pmkey('reseal');
    await pmkey('reseal');
    assert.ok(!ids().has(old));
    /* As if half a minute had passed. */
    fs.utimesSync(file, Date.now() / 1000 - 60, Date.now() / 1000 - 60);
    await pmkey('store-key', '--drop');
    assert.equal(fs.readFileSync(file, 'utf8').match(/^[0-9a-f]{64}$/mg).length,
      1);
    running = false;
    await Promise.all(load);
    await waitFor(200);
    done++;
    assert.deepEqual(refused, []);
    assert.equal(requests(), done);
    assert.equal(ids().size, 1);
  });

  it('refuses all under a wrong key, and says of which file', async () => {
    const right = fs.readFileSync(file);

    putKeys(newKey());
    await waitFor(503);
    await eventually(() => gate.log().match(
      /keys\.gdbm' is sealed under a key \([0-9a-f]{16}\) that is not in '.*store\.key'/),
    PATIENCE);
    const wrong = spawnSync('pmkey', ['list'],
      { env: gate.env, encoding: 'utf8' });
    assert.equal(wrong.status, 1);
    assert.match(wrong.stderr, /keys\.gdbm' is sealed under a key/);
    assert.equal(wrong.stdout, '');
    putKeys(right);
    await waitFor(200);
  });

  it('believes no store that is put there', async () => {
    const theirs = path.join(folder, 'theirs');
    const store = path.join(gate.stateDir, 'keys.gdbm');

    fs.mkdirSync(theirs, { mode: 0o700 });
    const env = { ...gate.env, STATE_DIR: theirs, STORE_KEY_FILE: '' };
    const made = JSON.parse(spawnSync('pmkey',
      ['create', '--label', 'mine', '--json'], { env, encoding: 'utf8' }).stdout);
    fs.renameSync(store, `${store}.away`);
    fs.copyFileSync(path.join(theirs, 'keys.gdbm'), store);
    await seen();
    assert.equal(await status(made.key), 503);
    assert.match(gate.log(), /keys\.gdbm' is not sealed although/);
    fs.renameSync(`${store}.away`, store);
    assert.equal(await status(made.key), 401);
    assert.equal(await status(), 200);
  });

  it('is gone with its key', async () => {
    const key = fs.openSync(file, 'r');

    const r = spawnSync('pmkey', ['destroy', '--everything'],
      { env: gate.env, encoding: 'utf8', input: 'destroy everything\n' });
    assert.equal(r.status, 0, r.stderr);
    assert.match(r.stdout, /and the store key/);
    assert.equal(fs.existsSync(file), false);
    assert.equal(fs.fstatSync(key).size, 0);
    fs.closeSync(key);
  });
});
