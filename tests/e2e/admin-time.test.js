'use strict';
/*
 * What the admin pages cost the host: processor time of the CGI programs
 * themselves, with 1,000 keys and a year of usage, as lib/bounded.js measures
 * it. The figures are printed.
 */
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { after, before, describe, it } = require('node:test');

const { BoundedGate, keyId } = require('./lib/bounded.js');

const KEYS = 1000;
const LINES_AN_HOUR = 10;
const HOUR = 3600;
const MOST = 10; /* ms */

describe('a large gate', {
  skip: process.env.SANITIZE && 'a sanitizer takes most of the time',
}, () => {
  const gate = new BoundedGate(KEYS);

  function makeUsage() {
    const journal = path.join(gate.env.STATE_DIR, 'journal');
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
    gate.run('bin/pmusage', 'rollup');
  }

  before(() => {
    gate.start();
    makeUsage();
    gate.login();
  });
  after(() => gate.stop());

  for (const [page, query] of [['keys', ''], ['keys', '?page=20'],
    ['keys', '?q=office+77'], ['key', `?id=${keyId(5)}`],
    ['usage', '?period=30d'], ['usage', '?period=30d&by=model'],
    ['usage', `?period=month&key=${keyId(7)}`],
    ['usage', '?period=year&by=key'], ['usage', '?period=all&by=day'],
    ['settings', ''], ['audit', ''], ['help', ''], ['login', '']])
    it(`answers ${page}${query} within ${MOST} ms of processor`, (t) =>
      gate.assertPage(t, page, query, MOST));

  it('adds up what was used to the last request', () => {
    const { text } = gate.cgi('usage', '?period=all&by=model');
    const all = (365 * 24 * LINES_AN_HOUR).toString()
      .replace(/(\d)(\d{3})$/, '$1\u00a0$2');

    assert.match(text, new RegExp(`<dt>Requests</dt><dd>${all}</dd>`));
  });

  /* The last day that a key was used on, however long ago. */
  it('knows when a key was last used, over all that is kept', () => {
    const { text } = gate.cgi('keys', `?q=${keyId(5)}`);

    assert.match(text, /data-label="Last used">\d{4}-\d\d-\d\d</);
  });
});
