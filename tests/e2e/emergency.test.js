'use strict';
/*
 * pmkey's commands for the worst day: lockdown, destroy, and that what is
 * erased is really gone.
 */
const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { after, before, describe, it } = require('node:test');

const { Browser } = require('./lib/browser');
const { startStack } = require('./lib/stack');

const CHAT = { model: 'standin-chat', max_tokens: 4,
  messages: [{ role: 'user', content: 'a note' }] };
const ask = (gate, key = gate.apiKey) =>
  gate.request('/v1/chat/completions', { key, json: CHAT });
const status = async (gate, key) => (await ask(gate, key)).status;

function pmkey(gate, args, input = '') {
  return spawnSync('pmkey', args, { env: gate.env, encoding: 'utf8', input });
}

/* Every regular file below a folder. */
function filesIn(folder) {
  return fs.readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((e) => e.isFile())
    .map((e) => path.join(e.parentPath ?? e.path, e.name));
}

describe('a lockdown', () => {
  let gate;

  before(async () => {
    gate = await startStack({ env: { API_KEYS: 'a-key-of-the-environment' } });
  });
  after(() => gate?.stop());

  it('refuses every key and ends sessions, until a typed line', async () => {
    const b = new Browser(gate);

    await b.logIn();
    assert.equal((await b.get('/admin/keys')).status, 200);
    assert.equal(await status(gate), 200);
    assert.equal(await status(gate, 'a-key-of-the-environment'), 200);

    assert.equal(pmkey(gate, ['lockdown']).status, 0);
    const refused = await ask(gate);
    assert.equal(refused.status, 401);
    assert.equal(refused.json().error.code, 'invalid_api_key');
    assert.equal(await status(gate, 'a-key-of-the-environment'), 401);
    assert.equal((await b.get('/admin/keys')).status, 303);
    /* A key made meanwhile opens nothing either. */
    const { key } = gate.pmkey('create', '--label', 'new');
    assert.equal(await status(gate, key), 401);

    for (const line of ['', 'yes\n', 'end the lockdown now\n']) {
      assert.notEqual(pmkey(gate, ['lockdown', '--end'], line).status, 0);
      assert.equal(await status(gate), 401);
    }
    assert.equal(
      pmkey(gate, ['lockdown', '--end'], 'end the lockdown\n').status, 0);
    for (const one of [gate.apiKey, key, 'a-key-of-the-environment'])
      assert.equal(await status(gate, one), 200);
  });
});

describe('destroy', () => {
  let gate;

  before(async () => { gate = await startStack(); });
  after(() => gate?.stop());

  it('takes nothing without the words', async () => {
    const before = filesIn(gate.stateDir).length;

    assert.notEqual(pmkey(gate, ['destroy']).status, 0);
    assert.notEqual(pmkey(gate, ['destroy', '--everything'], 'yes\n').status, 0);
    assert.equal(filesIn(gate.stateDir).length, before);
    assert.equal(await status(gate), 200);
  });

  it('leaves no file, follows no link, and the gate refuses all', async () => {
    const outside = path.join(path.dirname(gate.stateDir), 'outside');

    fs.writeFileSync(outside, 'to be left alone');
    fs.symlinkSync(outside, path.join(gate.stateDir, 'link'));
    gate.run('pmusage', 'rollup');
    /* Kept open, to see that it is destroyed, and not only out of sight. */
    const store = fs.openSync(path.join(gate.stateDir, 'keys.gdbm'), 'r');
    assert.ok(fs.fstatSync(store).size > 0);

    const r = pmkey(gate, ['destroy', '--everything'], 'destroy everything\n');
    assert.equal(r.status, 0, r.stderr);
    assert.deepEqual(filesIn(gate.stateDir), []);
    assert.deepEqual(fs.readdirSync(gate.stateDir), []);
    assert.equal(fs.readFileSync(outside, 'utf8'), 'to be left alone');
    assert.equal(fs.fstatSync(store).size, 0);
    fs.closeSync(store);
    assert.notEqual(await status(gate), 200);
  });
});

describe('what is erased', () => {
  let gate;

  before(async () => { gate = await startStack(); });
  after(() => gate?.stop());

  it('is in no file any more: id, label, hash', async () => {
    const label = `Witness ${crypto.randomBytes(6).toString('hex')}`;
    const made = gate.pmkey('create', '--label', label);
    const hash = crypto.createHash('sha256').update(made.key).digest();
    const traces = [made.key_id, label, hash, hash.toString('hex'),
      made.key, made.key_id.slice(4)].map((t) => Buffer.from(t));
    const found = () => filesIn(gate.stateDir).flatMap((file) => {
      const bytes = fs.readFileSync(file);
      return traces.filter((t) => bytes.includes(t))
        .map((t) => `${path.basename(file)}: ${t.toString('latin1')}`);
    });

    assert.equal(await status(gate, made.key), 200);
    gate.pmkey('set', made.key_id, '--rate-limit', '50');
    const next = gate.pmkey('rotate', made.key_id);
    gate.pmkey('set', next.key_id, '--label', 'another');
    gate.run('pmusage', 'rollup');
    assert.notDeepEqual(found(), []);
    gate.run('pmkey', 'delete', made.key_id, '--erase', '--yes');
    /* The successor stays, and must not tell of it either. */
    assert.deepEqual(found(), []);
    assert.equal(await status(gate, next.key), 200);
    gate.run('pmusage', 'rollup');
    assert.deepEqual(found(), []);
  });
});
