'use strict';
/*
 * A state folder with many keys, and what the programs that read it take of
 * the processor. A bound holds on a machine where `openssl version`, a program
 * of much the same kind, takes no more than YARDSTICK; on one that is slower,
 * or busy with something else, it grows in proportion. Of several runs the
 * best counts.
 */
const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const crypto = require('node:crypto');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const ROOT = path.resolve(__dirname, '..', '..', '..');
const BUILD = path.resolve(ROOT, process.env.BUILD || 'build');
const YARDSTICK = 1.8; /* ms */
const ROUNDS = 7;
const AT_ONCE = 4; /* the shell counts in whole milliseconds */

const keyId = (i) => `key_${i.toString(16).padStart(16, '0')}`;

class BoundedGate {
  constructor(nKeys) {
    this.nKeys = nKeys;
    this.slowness = 1;
    this.cookie = '';
  }

  start() {
    const where = fs.existsSync('/dev/shm') ? '/dev/shm' : os.tmpdir();
    this.dir = fs.mkdtempSync(path.join(where, 'bounded-'));
    this.env = { PATH: process.env.PATH, STATE_DIR: path.join(this.dir, 'state'),
      RUN_DIR: path.join(this.dir, 'run'), ADMIN_PASSWORD: 'a long password' };
    fs.mkdirSync(this.env.STATE_DIR, { mode: 0o700 });
    fs.mkdirSync(this.env.RUN_DIR, { mode: 0o700 });
    this.#makeKeys();
  }

  stop() {
    fs.rmSync(this.dir, { recursive: true, force: true });
  }

  run(program, ...args) {
    const r = spawnSync(path.join(BUILD, program), args,
      { env: this.env, encoding: 'utf8', maxBuffer: 1 << 30 });
    assert.equal(r.status, 0, r.stderr);
    return r.stdout;
  }

  #makeKeys() {
    this.run('bin/pmkey', 'create', '--label', 'sample');
    const sample = JSON.parse(this.run('bin/pmkey', 'export'));
    const rows = Array.isArray(sample) ? sample : sample.keys;
    const hash = Object.keys(rows[0]).find((name) => /hash/.test(name));
    const many = Array.from({ length: this.nKeys }, (_, i) => ({ ...rows[0],
      key_id: keyId(i), label: `Campaign office ${i}`,
      [hash]: crypto.createHash('sha256').update(String(i)).digest('hex') }));
    const file = path.join(this.dir, 'keys.json');

    fs.writeFileSync(file, JSON.stringify(
      Array.isArray(sample) ? many : { ...sample, keys: many }));
    this.run('bin/pmkey', 'import', file);
  }

  /* Runs it so often; its outputs, and the processor time of one in ms. */
  #time(program, args, options, times = 1) {
    const r = spawnSync('bash', ['-c', `TIMEFORMAT="%U %S"
      time for ((i = 0; i < ${times}; i++)); do "$0" "$@"; done`,
    program, ...args], { encoding: 'utf8', maxBuffer: 1 << 30, ...options });
    const [user, system] = r.stderr.trim().split('\n').at(-1).split(' ')
      .map((seconds) => Number(seconds.replace(',', '.')) * 1000);

    return { text: r.stdout, ms: (user + system) / times };
  }

  /* How much slower than intended this machine is at this moment. */
  #look() {
    const { ms } = this.#time('openssl', ['version'], {}, AT_ONCE);
    this.yard = Math.min(this.yard ?? Infinity, ms);
    this.slowness = Math.max(1, this.yard / YARDSTICK);
  }

  /* One request as the web server would make it. */
  cgi(page, query = '', more = {}, body = '', times = 1) {
    return this.#time(path.join(BUILD, 'cgi-admin', `${page}.cgi`), [], {
      input: body,
      env: { ...this.env, REQUEST_METHOD: 'GET', REMOTE_ADDR: '127.0.0.1',
        REQUEST_URI: `/admin/${page}${query}`, HTTP_HOST: 'localhost',
        HTTP_COOKIE: this.cookie, ...more } }, times);
  }

  login() {
    const body = 'do=login&password=a+long+password';
    const { text } = this.cgi('login', '', { REQUEST_METHOD: 'POST',
      CONTENT_LENGTH: String(body.length),
      CONTENT_TYPE: 'application/x-www-form-urlencoded' }, body);
    [, this.cookie] = text.match(/Set-Cookie: (pmproxy=[\w-]{43});/);
  }

  #least(rounds, one) {
    let least = Infinity;
    this.yard = undefined;
    for (let i = 0; i < rounds; i++) {
      this.#look();
      least = Math.min(least, one());
    }
    return least;
  }

  leastOf(program, args, rounds = ROUNDS) {
    return this.#least(rounds, () => this.#time(path.join(BUILD, program), args,
      { env: this.env }).ms);
  }

  assertPage(t, page, query, most) {
    const { text } = this.cgi(page, query);
    assert.match(text, /^Status: 200\r\n/);
    assert.match(text, /<\/html>\n$/);
    const ms = this.#least(ROUNDS, () =>
      this.cgi(page, query, {}, '', AT_ONCE).ms);
    t.diagnostic(`${ms.toFixed(1)} ms, openssl ${this.yard.toFixed(1)} ms`);
    assert.ok(ms <= most * this.slowness,
      `${ms} ms, on a machine ${this.slowness} times as slow as intended`);
  }
}

module.exports = { BoundedGate, keyId };
