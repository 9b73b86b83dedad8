'use strict';
/*
 * The admin pages as a browser without scripts sees them: who gets in, what a
 * form changes and when the gate obeys it, and that nothing typed anywhere is
 * ever more than text.
 */
const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const { after, before, describe, it } = require('node:test');
const { startStack } = require('./lib/stack');
const { notOnCaddy } = require('./lib/servers');
const { Browser, formsOf, unescape } = require('./lib/browser');

const PAGES = ['keys', 'key', 'usage', 'settings', 'audit', 'help', 'login'];
const CHAT = { model: 'gpt-oss-120b',
  messages: [{ role: 'user', content: 'a note' }] };

const keyIdIn = (text) => text.match(/\/admin\/key\?id=(key_[0-9a-f]{16})/)[1];
const secretIn = (text) => text.match(/value="(pm_[\w-]{43})"/)?.[1];
const statusOf = async (gate, key) =>
  (await gate.request('/v1/chat/completions', { key, json: CHAT })).status;

/* A key made through the pages: { id, secret }. */
async function makeKey(browser, fields) {
  const answer = await browser.submit('/admin/key', 'create', fields);

  assert.equal(answer.status, 200, answer.text);
  return { id: keyIdIn(answer.text), secret: secretIn(answer.text), answer };
}

describe('who gets in', () => {
  let gate;

  before(async () => { gate = await startStack(); });
  after(() => gate?.stop());

  it('sends strangers to the login, and back to where they wanted', async () => {
    const b = new Browser(gate);

    for (const page of PAGES.filter((p) => p !== 'login')) {
      const answer = await b.get(`/admin/${page}`);
      assert.equal(answer.status, 303, page);
      assert.equal(answer.headers.location, `/admin/login?next=${page}`);
      assert.equal(answer.text, '');
    }
    const form = formsOf((await b.get('/admin/login?next=usage')).text)[0];
    const answer = await b.post('/admin/login',
      { ...form.fields, password: gate.adminPassword });
    assert.equal(answer.headers.location, '/admin/usage');
  });

  it('takes no other site for where they wanted', async () => {
    for (const next of ['//evil.example', 'https://evil.example', '../x',
      'keys?x=y', 'keys\r\nX-Injected: 1']) {
      const b = new Browser(gate);
      const page = await b.get(`/admin/login?next=${encodeURIComponent(next)}`);
      /* lighttpd takes no line ends in a query at all. */
      assert.equal(page.status,
        next.includes('\r') && !notOnCaddy('lineEnds') ? 400 : 200);
      if (page.status === 200)
        assert.equal(formsOf(page.text)[0].fields.next, 'keys');
      const answer = await b.post('/admin/login',
        { do: 'login', next, password: gate.adminPassword });
      assert.equal(answer.headers.location, '/admin/keys');
      assert.equal(answer.headers['x-injected'], undefined);
    }
  });

  it('gives a cookie that scripts and other sites never see', async () => {
    const b = new Browser(gate);
    const answer = await b.logIn();

    assert.equal(answer.status, 303);
    assert.match(answer.headers['set-cookie'][0],
      /^pmproxy=[\w-]{43}; Path=\/admin; HttpOnly; SameSite=Strict$/);
    assert.equal(answer.headers['cache-control'], 'no-store, no-cache');
    assert.equal((await b.get('/admin/keys')).status, 200);
  });

  it('refuses an unknown and a broken cookie', async () => {
    for (const value of ['', 'x', 'a'.repeat(43), 'a'.repeat(4000)]) {
      const b = new Browser(gate);
      b.cookies.set('pmproxy', value);
      assert.equal((await b.get('/admin/keys')).status, 303);
    }
  });

  it('keeps the token itself out of the store', async () => {
    const b = new Browser(gate);

    await b.logIn();
    const store = fs.readFileSync(path.join(gate.stateDir, 'admin.gdbm'));
    assert.equal(store.includes(b.cookies.get('pmproxy')), false);
    assert.equal(store.includes(gate.adminPassword), false);
  });

  it('ends a session for good when logging out', async () => {
    const b = new Browser(gate);
    const copy = new Browser(gate);

    await b.logIn();
    copy.cookies.set('pmproxy', b.cookies.get('pmproxy'));
    assert.equal((await copy.get('/admin/keys')).status, 200);
    const answer = await b.submit('/admin/keys', 'logout');
    assert.equal(answer.headers.location, '/admin/login?done=out');
    assert.match(answer.headers['set-cookie'][0], /^pmproxy=;.*Max-Age=0$/);
    assert.equal((await copy.get('/admin/keys')).status, 303);
  });

  it('ends all sessions at once', async () => {
    const all = [new Browser(gate), new Browser(gate), new Browser(gate)];

    for (const b of all) await b.logIn();
    await all[0].submit('/admin/login', 'end-all');
    for (const b of all)
      assert.equal((await b.get('/admin/keys')).status, 303);
  });
});

describe('forms of others', () => {
  let gate;
  let b;
  let form;

  before(async () => {
    gate = await startStack();
    b = new Browser(gate);
    await b.logIn();
    form = formsOf((await b.get('/admin/key')).text)
      .find((f) => f.fields.do === 'create').fields;
  });
  after(() => gate?.stop());

  const keys = () => gate.pmkey('list').length;

  it('are refused without the right token', async () => {
    const n = keys();
    const other = new Browser(gate);
    await other.logIn();
    const foreign = formsOf((await other.get('/admin/key')).text)
      .find((f) => f.fields.do === 'create').fields.csrf;
    const anotherForm = formsOf((await b.get('/admin/keys')).text)
      .find((f) => f.fields.do === 'disable-all').fields.csrf;

    for (const csrf of [undefined, '', 'x', foreign, anotherForm,
      form.csrf.replace(/.$/, (c) => (c === '0' ? '1' : '0'))]) {
      const fields = { ...form, label: 'forged', csrf };
      if (csrf === undefined) delete fields.csrf;
      const answer = await b.post('/admin/key', fields);
      assert.equal(answer.status, 403, String(csrf));
      assert.equal(secretIn(answer.text), undefined);
    }
    assert.equal(keys(), n);
  });

  it('are refused when the browser says they come from elsewhere', async () => {
    const n = keys();

    for (const headers of [{ origin: 'https://evil.example' },
      { origin: 'null' }, { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' }, { 'sec-fetch-site': 'none' },
      { origin: gate.baseUrl.replace('http:', 'https:') },
      { origin: gate.baseUrl, 'sec-fetch-site': 'cross-site' }]) {
      const answer = await b.post('/admin/key', { ...form, label: 'forged' },
        { headers });
      assert.equal(answer.status, 403, JSON.stringify(headers));
    }
    const login = await new Browser(gate).post('/admin/login',
      { do: 'login', password: gate.adminPassword },
      { headers: { origin: 'https://evil.example' } });
    assert.equal(login.status, 403);
    assert.equal(login.headers['set-cookie'], undefined);
    assert.equal(keys(), n);
  });

  it('work from our own pages', async () => {
    const answer = await b.post('/admin/key', { ...form, label: 'own' },
      { headers: { origin: gate.baseUrl, 'sec-fetch-site': 'same-origin' } });
    assert.equal(answer.status, 200);
  });

  it('change nothing with GET', async () => {
    const n = keys();
    const query = new URLSearchParams({ ...form, label: 'by link' });
    const answer = await b.get(`/admin/key?${query}`);

    assert.equal(secretIn(answer.text), undefined);
    assert.equal(keys(), n);
  });

  it('are refused when they are no form of ours', async () => {
    for (const [fields, type] of [
      [{ do: 'nothing', csrf: form.csrf }, undefined],
      [{ csrf: form.csrf }, undefined],
      [form, 'text/plain'], [form, 'multipart/form-data; boundary=x'],
    ]) {
      const answer = await b.post('/admin/key', fields,
        type && { headers: { 'content-type': type } });
      assert.equal(answer.status, 400, `${type} ${JSON.stringify(fields)}`);
    }
    const large = await b.post('/admin/key',
      { ...form, label: 'x'.repeat(70000) });
    assert.ok([400, 413].includes(large.status), String(large.status));
    const twice = await b.send('/admin/key', { method: 'POST',
      body: `${new URLSearchParams(form)}&label=a&label=b`,
      headers: { 'content-type': 'application/x-www-form-urlencoded' } });
    assert.equal(twice.status, 400);
    for (const method of ['PUT', 'DELETE', 'OPTIONS'])
      assert.ok((await b.send('/admin/key', { method })).status >= 400);
  });
});

describe('wrong passwords', () => {
  let gate;

  before(async () => {
    gate = await startStack({ env: { TRUST_PROXY: '1' } });
  });
  after(() => gate?.stop());

  const from = (address) =>
    new Browser(gate, { 'x-forwarded-for': address });

  it('lock an address out after five, with the time to wait', async () => {
    const inside = from('192.0.2.7');
    const b = from('192.0.2.7');

    await inside.logIn();
    for (let i = 0; i < 5; i++) {
      const answer = await b.logIn('wrong');
      assert.equal(answer.status, 403);
      assert.equal(answer.headers['set-cookie'], undefined);
    }
    for (const password of ['wrong', gate.adminPassword]) {
      const answer = await b.logIn(password);
      assert.equal(answer.status, 429);
      assert.equal(answer.headers['set-cookie'], undefined);
      const wait = Number(answer.headers['retry-after']);
      assert.ok(wait > 200 && wait <= 300, String(wait));
    }
    /* Whoever is in stays in, and others get in. */
    assert.equal((await inside.get('/admin/keys')).status, 200);
    assert.equal((await from('192.0.2.8').logIn()).status, 303);
  });

  it('lock everybody out after twenty, also when they come at once', async () => {
    const answers = await Promise.all(Array.from({ length: 30 },
      (_, i) => from(`198.51.100.${i}`).logIn('wrong')));

    assert.equal(answers.filter((a) => a.status === 403).length, 15);
    assert.equal(answers.filter((a) => a.status === 429).length, 15);
    assert.equal((await from('203.0.113.1').logIn()).status, 429);
  });
});

describe('without a password', () => {
  it('the pages say that they are off', async () => {
    const gate = await startStack({ env: { ADMIN_PASSWORD: '' } });

    try {
      const b = new Browser(gate);
      for (const page of PAGES)
        assert.equal((await b.get(`/admin/${page}`)).status, 403, page);
      const answer = await b.post('/admin/login', { do: 'login', password: '' });
      assert.equal(answer.status, 403);
      assert.equal(answer.headers['set-cookie'], undefined);
      assert.equal((await b.get('/help')).status, 404);
    } finally {
      await gate.stop();
    }
  });
});

describe('a stored password', () => {
  let gate;

  before(async () => { gate = await startStack(); });
  after(() => gate?.stop());

  const store = (input, ...args) => spawnSync('pmkey',
    ['admin-password', ...args], { input, env: gate.env, encoding: 'utf8' });

  it('stands in front of the configured one and ends its sessions', async () => {
    const b = new Browser(gate);

    await b.logIn();
    assert.equal(store('a stored password\n').status, 0);
    assert.equal((await b.get('/admin/keys')).status, 303);
    assert.equal((await b.logIn()).status, 403);
    assert.equal((await b.logIn('a stored password')).status, 303);
    const file = fs.readFileSync(path.join(gate.stateDir, 'admin.gdbm'));
    assert.equal(file.includes('a stored password'), false);
    assert.equal(store('', '--remove').status, 0);
    assert.equal((await b.get('/admin/keys')).status, 303);
    assert.equal((await b.logIn()).status, 303);
  });

  it('is refused when it is short, empty or too long', () => {
    for (const input of ['', '\n', 'ninechars\n', 'x'.repeat(2000)]) {
      const { status, stdout, stderr } = store(input);
      assert.equal(status, 1);
      assert.equal(stdout, '');
      assert.match(stderr, /password/);
      assert.doesNotMatch(stderr, /nine|xxx/);
    }
  });
});

describe('over TLS', () => {
  let gate;

  before(async () => {
    gate = await startStack({ tls: true, env: { PUBLIC_HELP: '1' } });
  });
  after(() => gate?.stop());

  it('the cookie belongs to this host alone', async () => {
    const b = new Browser(gate);
    const answer = await b.logIn();

    assert.match(answer.headers['set-cookie'][0],
      /^__Host-pmproxy=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict; Secure$/);
    assert.equal((await b.get('/admin/keys')).status, 200);
    const plain = new Browser(gate);
    plain.cookies.set('pmproxy', b.cookies.get('__Host-pmproxy'));
    assert.equal((await plain.get('/admin/keys')).status, 303);
  });

  it('pages carry every header of safety', async () => {
    const b = new Browser(gate);
    await b.logIn();

    for (const page of ['login', 'keys', 'key?id=none', 'nothing']) {
      const { headers } = await b.get(`/admin/${page}`);
      assert.match(headers['content-security-policy'], /default-src 'none'/);
      assert.doesNotMatch(headers['content-security-policy'], /unsafe/);
      assert.match(headers['strict-transport-security'], /max-age/);
      assert.equal(headers['x-content-type-options'], 'nosniff');
      assert.equal(headers.server, undefined);
    }
    const { headers } = await b.get('/admin/keys');
    assert.equal(headers['content-security-policy'], "default-src 'none'; " +
      "style-src 'self'; form-action 'self'; frame-ancestors 'none'; " +
      "base-uri 'none'");
    assert.equal(headers['cache-control'], 'no-store, no-cache');
  });

  it('the public help tells nothing of the organisation', async () => {
    const answer = await new Browser(gate).get('/help');

    assert.equal(answer.status, 200);
    assert.ok(answer.text.includes(`${gate.baseUrl}/v1`));
    assert.doesNotMatch(answer.text, /\/admin\/(keys|usage|settings|audit)/);
    assert.doesNotMatch(answer.text, /EUR/);
  });
});

describe('keys', () => {
  let gate;
  let b;

  before(async () => {
    gate = await startStack();
    b = new Browser(gate);
    await b.logIn();
  });
  after(() => gate?.stop());

  it('are made, shown once and work at once', async () => {
    const { id, secret, answer } = await makeKey(b, { label: 'Spring <b>' });

    assert.match(secret, /^pm_/);
    assert.equal(answer.headers['cache-control'], 'no-store, no-cache');
    assert.equal(answer.headers.location, undefined);
    assert.equal(await statusOf(gate, secret), 200);
    for (const page of [`key?id=${id}`, 'keys', 'audit', 'usage', 'settings']) {
      const { text } = await b.get(`/admin/${page}`);
      assert.equal(text.includes(secret), false, page);
      assert.equal(text.includes(secret.slice(3, 30)), false, page);
    }
    for (const name of fs.readdirSync(gate.stateDir)) {
      const file = path.join(gate.stateDir, name);
      if (fs.statSync(file).isFile())
        assert.equal(fs.readFileSync(file).includes(secret), false, name);
    }
  });

  it('are made once however often the form is sent', async () => {
    const page = await b.get('/admin/key');
    const { fields } = formsOf(page.text).find((f) => f.fields.do === 'create');
    const n = gate.pmkey('list').length;

    assert.equal(
      (await b.post('/admin/key', { ...fields, label: 'once' })).status, 200);
    const again = await b.post('/admin/key', { ...fields, label: 'once' });
    assert.equal(again.status, 409);
    assert.equal(secretIn(again.text), undefined);
    assert.equal(gate.pmkey('list').length, n + 1);
  });

  it('say what is wrong beside each field and keep what was typed', async () => {
    const typed = { label: '', expires: '2001-01-01', rate_limit: 'many',
      tokens_per_minute: '-1', parallel: '1.5', budget_eur: '1,5',
      budget_tokens: '99999999999999', models: 'a b,"<c>' };
    const n = gate.pmkey('list').length;
    const answer = await b.submit('/admin/key', 'create', typed);

    assert.equal(answer.status, 422);
    for (const name of Object.keys(typed)) {
      assert.match(answer.text, new RegExp(`id="${name}-error"`), name);
      assert.match(answer.text,
        new RegExp(`name="${name}"[^>]*aria-describedby="${name}-error`), name);
    }
    const { fields } = formsOf(answer.text)
      .find((f) => f.fields.do === 'create');
    for (const [name, value] of Object.entries(typed))
      assert.equal(fields[name], value, name);
    assert.equal(gate.pmkey('list').length, n);
  });

  it('are changed in all that can be set', async () => {
    const { id } = await makeKey(b, { label: 'before' });
    const answer = await b.submit(`/admin/key?id=${id}`, 'save', {
      label: ' after ', expires: '2096-02-29', rate_limit: '7',
      tokens_per_minute: '9000', parallel: '3', budget_eur: '7.50',
      budget_tokens: '100000', models: 'gpt-oss-120b, whisper-large-v3',
      prompt_cache: '1' });

    assert.equal(answer.status, 303, answer.text);
    assert.equal(answer.headers.location, `/admin/key?id=${id}&done=saved`);
    const key = gate.pmkey('show', id);
    assert.equal(key.label, 'after');
    assert.equal(key.expires, '2096-02-29T00:00:00Z');
    assert.deepEqual([key.rate_limit, key.tokens_per_minute, key.parallel],
      [7, 9000, 3]);
    assert.equal(key.budget_tokens, 100000);
    assert.deepEqual(key.models, ['gpt-oss-120b', 'whisper-large-v3']);
    assert.equal(key.prompt_cache, true);
    /* What the page shows goes back in unchanged. */
    await b.submit(`/admin/key?id=${id}`, 'save');
    assert.deepEqual({ ...gate.pmkey('show', id), prompt_cache: true }, key);
  });

  it('are disabled and enabled, and the gate obeys at once', async () => {
    const { id, secret } = await makeKey(b, { label: 'switch' });

    await b.submit(`/admin/key?id=${id}`, 'disable');
    assert.equal(await statusOf(gate, secret), 401);
    await b.submit(`/admin/key?id=${id}`, 'enable');
    assert.equal(await statusOf(gate, secret), 200);
  });

  it('are rotated: the old one lives until the grace is over', async () => {
    const old = await makeKey(b, { label: 'turning' });
    const answer = await b.submit(`/admin/key?id=${old.id}`, 'rotate',
      { grace: '24h' });
    const fresh = secretIn(answer.text);

    assert.notEqual(fresh, old.secret);
    assert.equal(await statusOf(gate, fresh), 200);
    assert.equal(await statusOf(gate, old.secret), 200);
    assert.match((await b.get(`/admin/key?id=${old.id}`)).text,
      /rotating until/);
    const last = await b.submit(`/admin/key?id=${keyIdIn(answer.text)}`,
      'rotate', { grace: 'now' });
    assert.equal(await statusOf(gate, fresh), 401);
    assert.equal(await statusOf(gate, secretIn(last.text)), 200);
  });

  it('are deleted only when one is sure', async () => {
    const { id, secret } = await makeKey(b, { label: 'gone' });
    const unsure = await b.submit(`/admin/key?id=${id}`, 'delete');

    assert.equal(unsure.status, 422);
    assert.equal(await statusOf(gate, secret), 200);
    const answer = await b.submit(`/admin/key?id=${id}`, 'delete', { sure: '1' });
    assert.equal(answer.headers.location, '/admin/keys?done=deleted');
    assert.equal(await statusOf(gate, secret), 401);
    assert.equal((await b.get(`/admin/key?id=${id}`)).status, 404);
  });

  it('are erased with their usage and every trace, when asked', async () => {
    const { id, secret } = await makeKey(b, { label: 'never was' });
    const traces = () => fs.readdirSync(gate.stateDir, { recursive: true })
      .map((name) => path.join(gate.stateDir, name))
      .filter((file) => fs.statSync(file).isFile() &&
        fs.readFileSync(file).includes(id));

    assert.equal(await statusOf(gate, secret), 200);
    assert.ok(traces().length > 0);
    const answer = await b.submit(`/admin/key?id=${id}`, 'delete',
      { sure: '1', erase: '1' });
    assert.equal(answer.headers.location, '/admin/keys?done=erased');
    assert.equal(await statusOf(gate, secret), 401);
    assert.deepEqual(traces(), []);
    assert.match((await b.get('/admin/audit')).text,
      /deleted a key and its usage/);
  });

  it('are all disabled after a typed word, and the undo enables those',
    async () => {
      const active = await makeKey(b, { label: 'active' });
      const off = await makeKey(b, { label: 'off before' });
      await b.submit(`/admin/key?id=${off.id}`, 'disable');

      const slip = await b.submit('/admin/keys', 'disable-all', { word: 'yes' });
      assert.equal(slip.status, 422);
      assert.equal(await statusOf(gate, active.secret), 200);

      await b.submit('/admin/keys', 'disable-all', { word: 'DISABLE ALL' });
      assert.equal(await statusOf(gate, active.secret), 401);
      assert.equal(await statusOf(gate, gate.apiKey), 401);
      /* Enabled and disabled by hand in between, it is no longer one of them. */
      const later = await makeKey(b, { label: 'made in between' });
      await b.submit(`/admin/key?id=${later.id}`, 'disable');

      await b.submit('/admin/keys', 'enable-all');
      assert.equal(await statusOf(gate, active.secret), 200);
      assert.equal(await statusOf(gate, gate.apiKey), 200);
      assert.equal(await statusOf(gate, off.secret), 401);
      assert.equal(await statusOf(gate, later.secret), 401);
      assert.equal(gate.pmkey('show', off.id).enabled, false);
    });

  it('leave a trail of ids, to the hour', async () => {
    const { text } = await b.get('/admin/audit');

    assert.match(text, /made a key/);
    assert.match(text, /disabled all keys/);
    assert.match(text, /key_[0-9a-f]{16}/);
    assert.doesNotMatch(text, /made in between/);
    for (const [, time] of text.matchAll(/>(\d{4}-[\d-]+ [\d:]+ UTC)</g))
      assert.match(time, /:00 UTC$|^\d{4}-\d\d-\d\d \d\d:\d\d UTC$/);
    assert.match(text, /Hour">\d{4}-\d\d-\d\d \d\d:00 UTC</);
  });
});

describe('settings', () => {
  let gate;
  let b;

  before(async () => {
    gate = await startStack({ env: { PRIVATEMODE_API_KEY: 'pm-secret-XYZZY' } });
    b = new Browser(gate);
    await b.logIn();
  });
  after(() => gate?.stop());

  it('are in force at once, and go back when emptied', async () => {
    const { secret } = await makeKey(b, { label: 'limited' });
    const answer = await b.submit('/admin/settings', 'save',
      { RATE_LIMIT_REQUESTS: '1', RATE_LIMIT_WINDOW: '1h' });

    assert.equal(answer.status, 303, answer.text);
    await statusOf(gate, secret);
    assert.equal(await statusOf(gate, secret), 429);
    await b.submit('/admin/settings', 'save', { RATE_LIMIT_REQUESTS: '' });
    assert.equal(await statusOf(gate, secret), 200);
    const { text } = await b.get('/admin/audit');
    assert.match(text, /RATE_LIMIT_REQUESTS/);
    assert.doesNotMatch(text, /KEEPALIVE_INTERVAL/);
  });

  it('are refused as a whole when one is wrong, with nothing lost', async () => {
    const answer = await b.submit('/admin/settings', 'save',
      { FAILED_AUTH_LIMIT: '12', KEEPALIVE_INTERVAL: 'soon "&' });

    assert.equal(answer.status, 422);
    assert.match(answer.text, /id="KEEPALIVE_INTERVAL-error"/);
    const { fields } = formsOf(answer.text).find((f) => f.fields.do === 'save');
    assert.equal(fields.KEEPALIVE_INTERVAL, 'soon "&');
    assert.equal(fields.FAILED_AUTH_LIMIT, '12');
    const now = formsOf((await b.get('/admin/settings')).text)
      .find((f) => f.fields.do === 'save').fields;
    assert.equal(now.FAILED_AUTH_LIMIT, '0');
  });

  it('say how long usage is kept, and what is too short', async () => {
    const save = (value) =>
      b.submit('/admin/settings', 'save', { USAGE_RETENTION: value });
    const shown = async () => formsOf((await b.get('/admin/settings')).text)
      .find((f) => f.fields.do === 'save').fields.USAGE_RETENTION;

    assert.equal(await shown(), '400d');
    const short = await save('31d');
    assert.equal(short.status, 422);
    assert.match(short.text, /Not from 32d to 36500d/);
    assert.equal((await save('60d')).status, 303);
    assert.equal(await shown(), '60d');
    assert.match(gate.run('pmsettings', 'list'), /USAGE_RETENTION +60d +400d/);
    await save('');
    assert.equal(await shown(), '400d');
  });

  it('all have a name and a hint in every language', async () => {
    const texts = async (language) => {
      const { text } = await new Browser(gate, { 'accept-language': language,
        cookie: [...b.cookies].map(([k, v]) => `${k}=${v}`).join('; ') })
        .get('/admin/settings');
      return Object.fromEntries([...text.matchAll(
        /<label for="([A-Z_]+)">([^<]+)<\/label>[^]*?id="\1-hint"[^>]*>([^<]*)</g)]
        .map(([, name, label, hint]) => [name, [label, hint.split(name)[0]]]));
    };
    const [en, es] = [await texts('en'), await texts('es')];
    const live = JSON.parse(gate.run('pmsettings', 'list', '--json'));

    assert.deepEqual(Object.keys(en).sort(), live.map((s) => s.name).sort());
    for (const { name, meaning } of live) {
      assert.notEqual(en[name][0], meaning, `${name} has no name`);
      assert.notEqual(en[name][0], es[name][0], `${name} in es`);
      assert.ok(en[name][1] === '' || en[name][1] !== es[name][1],
        `the hint of ${name} in es`);
    }
  });

  it('set prices, and tell what no price is', async () => {
    const wrong = await b.submit('/admin/settings?model=gpt-oss-120b', 'price',
      { price_prompt: 'cheap' });
    assert.equal(wrong.status, 422);
    assert.match(wrong.text, /id="price_prompt-error"/);
    const answer = await b.submit('/admin/settings?model=gpt-oss-120b', 'price',
      { price_prompt: '1.25', price_completion: '2' });
    assert.equal(answer.status, 303, answer.text);
    assert.match((await b.get('/admin/settings')).text, /1\.25/);
  });

  it('show how the gate and the upstream are, and no secret', async () => {
    const { text } = await b.get('/admin/settings');

    assert.match(text, /reachable/);
    assert.match(text, /gpt-oss-120b/);
    assert.match(text, /configured here/);
    for (const page of PAGES)
      for (const secret of ['XYZZY', gate.adminPassword, gate.apiKey])
        assert.equal(
          (await b.get(`/admin/${page}`)).text.includes(secret), false, page);
  });

  /* One who looks again after mending something wants to know of now. */
  it('show in what way the upstream is in trouble, without a wait', async () => {
    const server = http.createServer();
    let answer = (req, res) => res.writeHead(401).end();
    let other;

    server.on('request', (req, res) => answer(req, res));
    await new Promise((done) => server.listen(0, '127.0.0.1', done));
    try {
      other = await startStack(
        { upstream: `http://127.0.0.1:${server.address().port}` });
      const page = new Browser(other);
      /* What a responder saw is good for five seconds. */
      const shows = async (what) => {
        for (const until = Date.now() + 60e3; Date.now() < until;)
          if (what.test((await page.get('/admin/settings')).text)) return true;
        return false;
      };

      await page.logIn();
      assert.ok(await shows(/it refuses the Privatemode key/));
      answer = () => {}; /* never a word */
      assert.ok(await shows(/no answer yet: look again in a moment/));
      assert.ok(await shows(/it does not answer/));
      server.closeAllConnections();
      server.close();
      assert.ok(await shows(/cannot be reached/));
    } finally {
      server.closeAllConnections();
      server.close();
      await other?.stop();
    }
  });
});

describe('usage', () => {
  let gate;
  let b;

  before(async () => {
    gate = await startStack();
    b = new Browser(gate);
    await b.logIn();
  });
  after(() => gate?.stop());

  it('shows what was used, in every time and sum, and as CSV', async () => {
    const { id, secret } = await makeKey(b, { label: '=cmd|"x"!A1' });
    for (let i = 0; i < 3; i++) assert.equal(await statusOf(gate, secret), 200);
    const today = new Date().toISOString().slice(0, 10);

    for (const period of ['today', '7d', '30d', 'month', 'year', 'all'])
      for (const by of ['key', 'model', 'endpoint', 'day']) {
        const { text } =
          await b.get(`/admin/usage?period=${period}&by=${by}&key=${id}`);
        assert.match(text, /<dt>Requests<\/dt><dd>3<\/dd>/, `${period} ${by}`);
      }
    const yesterday = await b.get('/admin/usage?period=yesterday');
    assert.match(yesterday.text, /<dt>Requests<\/dt><dd>0<\/dd>/);
    const range = await b.get(
      `/admin/usage?period=range&from=${today}&to=${today}&key=${id}`);
    assert.match(range.text, /<dt>Requests<\/dt><dd>3<\/dd>/);
    const wrong = await b.get('/admin/usage?period=range&from=x&to=2026-02-30');
    assert.equal(wrong.status, 422);
    assert.match(wrong.text, /id="from-error"/);
    assert.match(wrong.text, /id="to-error"/);

    const csv = await b.get('/admin/usage?period=today&by=key&format=csv');
    assert.match(csv.headers['content-type'], /^text\/csv/);
    assert.equal(csv.headers['content-disposition'],
      `attachment; filename="usage-key-${today}-${today}.csv"`);
    const lines = csv.text.split('\r\n');
    assert.match(lines[0], /^key,key_id,requests,errors,/);
    assert.ok(lines.some((line) =>
      line.startsWith(`"'=cmd|""x""!A1","${id}",3,0,`)), csv.text);
  });

  it('draws the days and says the same in a table', async () => {
    const { text } = await b.get('/admin/usage?period=7d&by=model');
    const bars = [...text.matchAll(/<title>(\d{4}-\d\d-\d\d): (\d+)<\/title>/g)];

    assert.ok(bars.length >= 1);
    for (const [, day, n] of bars)
      assert.match(text, new RegExp(
        `<th scope="row">${day}</th><td class="num"[^>]*>${n}</td>`));
  });
});

describe('whatever is typed', () => {
  let gate;
  let b;
  const HOSTILE = ['<script>alert(1)</script>', '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)", '</title></style></textarea><svg/onload=alert(1)>',
    'javascript:alert(1)', '&lt;script&gt;', '%0d%0aX-Injected: 1',
    'a\r\nX-Injected: 1', '../../../../etc/passwd', '{{7*7}}${7*7}%s%n',
    '\u202egnp.exe', 'x'.repeat(3000)];

  before(async () => {
    gate = await startStack();
    b = new Browser(gate);
    await b.logIn();
  });
  after(() => gate?.stop());

  /* The same tags as without it, and the text only inside values and text. */
  function inert(answer, text) {
    assert.equal(answer.headers['x-injected'], undefined);
    assert.ok(answer.status < 500, `${answer.status}: ${text}`);
    assert.doesNotMatch(answer.text, /<(script|img|iframe|object|svg\/)/i);
    for (const [tag] of answer.text.matchAll(/<[a-z][^>]*>/gi))
      assert.doesNotMatch(tag.replace(/"[^"]*"/g, '""'),
        /\son\w+|javascript:/i, tag);
    for (const [, link] of answer.text.matchAll(/(?:href|action)="([^"]*)"/g))
      assert.match(unescape(link), /^(\/admin\/|\?|#)/, link);
  }

  it('is inert in every parameter of every page', async () => {
    const names = ['id', 'q', 'page', 'lang', 'done', 'next', 'period', 'by',
      'from', 'to', 'key', 'format', 'model', 'anything'];

    for (const page of PAGES)
      for (const text of HOSTILE) {
        const query = new URLSearchParams(names.map((n) => [n, text]));
        inert(await b.get(`/admin/${page}?${query}`), text);
        inert(await b.get(`/admin/${page}?${encodeURIComponent(text)}`), text);
      }
  });

  it('is inert in every field of every form', async () => {
    const { id } = await makeKey(b, { label: 'field' });

    for (const text of HOSTILE)
      for (const target of [`key?id=${id}`, 'key', 'keys', 'settings']) {
        const { text: html } = await b.get(`/admin/${target}`);
        for (const form of formsOf(html)) {
          if (form.method !== 'post' || ['logout', 'disable', 'delete',
            'rotate'].includes(form.fields.do)) continue;
          const fields = Object.fromEntries(Object.entries(form.fields).map(
            ([k, v]) => [k, ['do', 'csrf', 'id'].includes(k) ? v : text]));
          inert(await b.post(form.action, fields), text);
        }
      }
  });

  it('is inert as a label wherever labels show', async () => {
    for (const text of HOSTILE.slice(0, 6)) {
      const { id, answer } = await makeKey(b, { label: text });
      inert(answer, text);
      for (const page of ['keys', `key?id=${id}`, 'usage', 'audit', 'help'])
        inert(await b.get(`/admin/${page}`), text);
      assert.ok(unescape((await b.get(`/admin/key?id=${id}`)).text)
        .includes(text));
    }
  });

  it('is inert in headers', async () => {
    for (const headers of [{ host: '"><script>alert(1)</script>' },
      { 'accept-language': '"><script>, es;q=0.<' },
      { 'accept-language': ','.repeat(2000) },
      { cookie: `pmproxy="><script>; pmproxy-lang=<script>` }])
      for (const page of ['help', 'login', 'keys']) {
        const answer = await b.get(`/admin/${page}`, { headers });
        inert(answer, JSON.stringify(headers));
      }
  });

  it('names no file outside of the pages', async () => {
    for (const target of ['/admin/..%2f..%2fetc/passwd', '/admin/../fcgi/v1.fcgi',
      '/admin/keys.cgi/extra', '/admin/keys/extra', '/admin/admin.c',
      '/admin/locale/es/LC_MESSAGES/pmproxy.mo', '/admin/style.css',
      '/admin/%2e%2e/bin/pmkey', '/admin//keys', '/admin/KEYS', '/admin/.env',
      '/admin/keys.cgi', '/admin/help.cgi', '/help']) {
      const answer = await b.get(target);
      assert.equal(answer.status, target.includes('%2') ? answer.status : 404,
        target);
      assert.ok(answer.status >= 400, target);
      assert.doesNotMatch(answer.text, /root:|ELF/);
    }
  });
});

describe('languages', () => {
  let gate;

  before(async () => { gate = await startStack(); });
  after(() => gate?.stop());

  it('follow the browser, a link, and remember the link', async () => {
    const b = new Browser(gate, { 'accept-language': 'fr, es-MX;q=0.8, en;q=0.5' });
    const spanish = await b.get('/admin/login');

    assert.match(spanish.text, /<html lang="es">/);
    assert.match(spanish.text, /Contraseña/);
    const english = await b.get('/admin/login?lang=en');
    assert.match(english.text, /<html lang="en">/);
    assert.match((await b.get('/admin/login')).text, /<html lang="en">/);
    for (const header of ['en;q=0.9, es;q=0.8', 'de', '', 'es;q=0', '*'])
      assert.match((await new Browser(gate, { 'accept-language': header })
        .get('/admin/login')).text, /<html lang="en">/, header);
  });

  it('translate every text', async () => {
    const b = new Browser(gate, { 'accept-language': 'es' });
    await b.logIn();

    for (const page of PAGES) {
      const { text } = await b.get(`/admin/${page}`);
      assert.doesNotMatch(text, /\b(the|of|and|your|Keys|Usage|Save)\b/,
        `${page}: ${text.match(/.*\b(the|of|and|your|Keys|Usage|Save)\b.*/)}`);
    }
  });
});

describe('on a bad link', () => {
  const WIRE_MAX = 14 * 1024;
  const STYLE_MAX = 4 * 1024;
  let gate;
  let b;

  before(async () => {
    gate = await startStack();
    b = new Browser(gate, { 'accept-encoding': 'gzip' });
    for (let i = 0; i < 60; i++)
      gate.pmkey('create', '--label', `Campaign office ${i}, ${(i * 7919) % 1009}`,
        '--rate-limit', String(60 + i), '--tokens-per-minute', String(9000 + i));
    await b.logIn();
  });
  after(() => gate?.stop());

  it('each page fits the first flight of a connection', async () => {
    for (const page of PAGES) {
      const answer = await b.get(`/admin/${page}`);
      const bytes = answer.body.length +
        Object.entries(answer.headers).join('').length;

      assert.equal(answer.headers['content-encoding'], 'gzip', page);
      assert.ok(bytes <= WIRE_MAX, `${page}: ${bytes}`);
    }
    const rows = (await b.get('/admin/keys')).text.match(/<tr><th scope="row"/g);
    assert.equal(rows.length, 50);
  });

  it('the style sheet is small, and kept for a year', async () => {
    const name = (await b.get('/admin/login')).text
      .match(/href="(\/admin\/style-[0-9a-f]{12}\.css)"/)[1];
    const plain = await new Browser(gate).get(name);

    assert.ok(plain.body.length <= STYLE_MAX, String(plain.body.length));
    assert.match(plain.headers['content-type'], /^text\/css/);
    assert.match(plain.headers['cache-control'], /max-age=31536000, immutable/);
  });

  it('asks for nothing but the page and its style sheet', async () => {
    for (const page of PAGES) {
      const text = (await b.get(`/admin/${page}`)).text;
      const loads = [...text.matchAll(/\s(?:src|srcset|style|poster|data)=/g)];

      assert.equal(loads.length, 0, page);
      assert.equal(text.match(/<link /g).length, 1);
      assert.doesNotMatch(text, /<style|@import|url\(/);
    }
  });

  it('lists past fifty go on on another page, and can be searched', async () => {
    const first = (await b.get('/admin/keys')).text;
    const second = (await b.get('/admin/keys?page=2')).text;

    assert.match(first, /Page 1 of 2/);
    assert.match(first, /href="\?q=&amp;page=2"/);
    assert.equal(second.match(/<tr><th scope="row"/g).length, 11);
    const found = (await b.get('/admin/keys?q=OFFICE+59')).text;
    assert.equal(found.match(/<tr><th scope="row"/g).length, 1);
    assert.match((await b.get('/admin/keys?page=99')).text, /Page 1 of 2/);
  });
});
