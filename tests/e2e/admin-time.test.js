'use strict';
/*
 * What the admin pages cost the host: processor time of the CGI programs
 * themselves, with 1,000 keys and a year of usage. The bounds are many times
 * what is measured on an idle machine, so that only a fault in the order of
 * growth fails here; the figures are printed.
 */
const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const crypto = require('node:crypto');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, before, describe, it } = require('node:test');

const ROOT = path.resolve(__dirname, '..', '..');
const BUILD = path.resolve(ROOT, process.env.BUILD || 'build');
const KEYS = 1000;
const LINES_AN_HOUR = 10;
const HOUR = 3600;

const keyId = (i) => `key_${i.toString(16).padStart(16, '0')}`;

describe('a large gate', () => {
  let dir;
  let env;
  let cookie;

  const run = (program, ...args) => {
    const r = spawnSync(path.join(BUILD, program), args,
      { env, encoding: 'utf8', maxBuffer: 1 << 26 });
    assert.equal(r.status, 0, r.stderr);
    return r.stdout;
  };

  /* One request as lighttpd would make it, and its processor time in ms. */
  function cgi(page, query = '', more = {}, body = '') {
    const r = spawnSync('bash', ['-c',
      `TIMEFORMAT='%U %S'; time '${BUILD}/cgi-admin/${page}.cgi'`], {
      encoding: 'utf8', input: body,
      env: { ...env, REQUEST_METHOD: 'GET', REMOTE_ADDR: '127.0.0.1',
        REQUEST_URI: `/admin/${page}${query}`, HTTP_HOST: 'localhost',
        HTTP_COOKIE: cookie || '', ...more } });
    const [user, system] = r.stderr.trim().split('\n').at(-1).split(' ')
      .map((seconds) => Number(seconds.replace(',', '.')) * 1000);
    return { text: r.stdout, ms: user + system };
  }

  function makeKeys() {
    run('bin/pmkey', 'create', '--label', 'sample');
    const sample = JSON.parse(run('bin/pmkey', 'export'));
    const rows = Array.isArray(sample) ? sample : sample.keys;
    const hash = Object.keys(rows[0]).find((name) => /hash/.test(name));
    const many = Array.from({ length: KEYS }, (_, i) => ({ ...rows[0],
      key_id: keyId(i), label: `Campaign office ${i}`,
      [hash]: crypto.createHash('sha256').update(String(i)).digest('hex') }));
    const file = path.join(dir, 'keys.json');

    fs.writeFileSync(file, JSON.stringify(
      Array.isArray(sample) ? many : { ...sample, keys: many }));
    run('bin/pmkey', 'import', file);
  }

  function makeUsage() {
    const journal = path.join(env.STATE_DIR, 'journal');
    const now = Math.floor(Date.now() / 1000 / HOUR) * HOUR;

    fs.mkdirSync(journal, { mode: 0o700 });
    for (let h = 1; h <= 365 * 24; h++) {
      const name = new Date((now - h * HOUR) * 1000).toISOString()
        .slice(0, 13).replace(/[-T]/g, '');
      const lines = Array.from({ length: LINES_AN_HOUR }, (_, i) => [1,
        keyId((h * 7 + i * 13) % KEYS), 'gpt-oss-120b', 'chat.completions', 2,
        120, 310, 0, 430, 0, 0, 900, 120, 0, '.'].join('\t'));
      fs.writeFileSync(path.join(journal, name),
        lines.map((line) => `\n${line}\n`).join(''), { mode: 0o600 });
    }
    run('bin/pmusage', 'rollup');
  }

  before(() => {
    const where = fs.existsSync('/dev/shm') ? '/dev/shm' : os.tmpdir();
    dir = fs.mkdtempSync(path.join(where, 'admin-time-'));
    env = { PATH: process.env.PATH, STATE_DIR: path.join(dir, 'state'),
      RUN_DIR: path.join(dir, 'run'), ADMIN_PASSWORD: 'a long password' };
    fs.mkdirSync(env.STATE_DIR, { mode: 0o700 });
    fs.mkdirSync(env.RUN_DIR, { mode: 0o700 });
    makeKeys();
    makeUsage();
    const body = 'do=login&password=a+long+password';
    const { text } = cgi('login', '', { REQUEST_METHOD: 'POST',
      CONTENT_LENGTH: String(body.length),
      CONTENT_TYPE: 'application/x-www-form-urlencoded' }, body);
    [, cookie] = text.match(/Set-Cookie: (pmproxy=[\w-]{43});/);
  });
  after(() => fs.rmSync(dir, { recursive: true, force: true }));

  for (const [page, query, most] of [['keys', '', 400],
    ['keys', '?page=20', 400], ['keys', '?q=office+77', 400],
    ['key', `?id=${keyId(5)}`, 400], ['usage', '?period=30d', 400],
    ['usage', '?period=year&by=key', 1500], ['audit', '', 100],
    ['help', '', 100], ['login', '', 100]])
    it(`answers ${page}${query} within ${most} ms of processor`, (t) => {
      const all = [1, 2, 3].map(() => cgi(page, query));
      const least = Math.min(...all.map(({ ms }) => ms));

      assert.match(all[0].text, /^Status: 200\r\n/);
      assert.match(all[0].text, /<\/html>\n$/);
      t.diagnostic(`${least.toFixed(0)} ms`);
      assert.ok(least <= most, `${least} ms`);
    });

  it('adds up what was used to the last request', () => {
    const { text } = cgi('usage', '?period=all&by=model');

    assert.match(text,
      new RegExp(`<dt>Requests</dt><dd>${(365 * 24 * LINES_AN_HOUR).toString()
        .replace(/(\d)(\d{3})$/, '$1\u00a0$2')}</dd>`));
  });
});
