'use strict';
/*
 * The admin pages in w3m and lynx, by keyboard as a person would: log in, make
 * a key and use it, see its usage, change, rotate and disable it, log out.
 */
const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const { after, before, describe, it } = require('node:test');
const { setTimeout: pause } = require('node:timers/promises');
const { startStack } = require('./lib/stack');
const { Terminal } = require('./lib/terminal');

const CHAT = { model: 'gpt-oss-120b',
  messages: [{ role: 'user', content: 'a note' }] };
const STOPS_MAX = 150;

/* eslint-disable-next-line no-control-regex */
const ESCAPES = /\u001b\[[\d;]*m/g;
/* Bold yellow on no blue is where lynx is; headings are on blue. */
const HERE = /\u001b\[1m\u001b\[33m(?!\u001b\[44m)/;

/*
 * How each is started, how a field of a form is filled in, and where on the
 * screen it is: { x, y, row }, or null while it draws.
 */
const BROWSERS = {
  w3m: {
    command: ['w3m', '-cookie'],
    async fill(t, value) {
      t.keys('Enter');
      await t.shows(/^(TEXT|Password):/m);
      t.keys('C-u');
      t.type(value);
      t.keys('Enter');
      await t.shows((s) => !/^(TEXT|Password):/m.test(s));
    },
    top: (t) => t.keys('g'),
    at(t) {
      const { x, y, rows } = t.cursor();
      return { x, y, row: rows[y] ?? '' };
    },
  },
  lynx: {
    command: ['lynx', '-accept_all_cookies', '-cfg=cfg'],
    /* Messages do not stay for seconds. */
    files: { cfg: 'INCLUDE:/etc/lynx/lynx.cfg\n' +
      'INFOSECS:0\nMESSAGESECS:0\nALERTSECS:0\n' },
    async fill(t, value) {
      t.keys('C-u');
      t.type(value);
      t.keys('Tab');
    },
    /* After the last stop comes the first. */
    top() {},
    at(t) {
      const { rows } = t.cursor({ coloured: true });
      const y = rows.findIndex((row) => HERE.test(row));
      if (y === -1) return null;
      const x = rows[y].slice(0, rows[y].search(HERE)).replace(ESCAPES, '');
      return { x: x.length, y, row: rows[y].replace(ESCAPES, '') };
    },
  },
};

const missing = [...Object.keys(BROWSERS), 'tmux'].filter(
  (name) => spawnSync('which', [name]).status !== 0);

class TextBrowser {
  constructor(name, url) {
    this.how = BROWSERS[name];
    this.t = new Terminal([...this.how.command, url],
      { files: this.how.files });
  }

  /* Where it is once it is somewhere else, or after a while. */
  async #moved(from) {
    for (let i = 0; i < 30; i++) {
      const at = this.how.at(this.t);
      if (at && !(from && at.x === from.x && at.y === from.y)) return at;
      await pause(5);
    }
    return from;
  }

  /* Tab by Tab to the first stop that is right. */
  async #seek(is, what) {
    const seen = [];

    this.how.top(this.t);
    let at = await this.#moved(null);
    for (let i = 0; i < STOPS_MAX; i++) {
      if (at && is(at)) return;
      seen.push(at?.row);
      this.t.keys('Tab');
      at = await this.#moved(at);
    }
    throw new Error(`no ${what}:\n${seen.join('\n')}\n${this.t.screen()}`);
  }

  async fill(label, value) {
    await this.#seek(({ x, row }) =>
      row.slice(0, x).replace(/[[\s]+$/, '').endsWith(label), `field ${label}`);
    await this.how.fill(this.t, value);
  }

  /* Follows a link or presses a button; resolves with the next screen. */
  async go(name, wanted) {
    await this.#seek(({ x, row }) =>
      row.slice(x).replace(/^BUTTON\) /, '').startsWith(name), name);
    this.t.keys('Enter');
    return this.t.shows(wanted);
  }

  close() {
    this.t.close();
  }
}

for (const name of Object.keys(BROWSERS))
  describe(`the life of a key in ${name}`, {
    timeout: 120000,
    skip: missing.length > 0 && `not installed: ${missing.join(', ')}`,
  }, () => {
    let gate, b, key;
    const chat = async (secret = key) =>
      (await gate.request('/v1/chat/completions',
        { key: secret, json: CHAT })).status;
    const secretOn = (screen) => screen.match(/pm_[\w-]{43}/)[0];

    before(async () => {
      /* lynx leaves rests on the screen of what its field cannot show. */
      gate = await startStack({ env: { ADMIN_PASSWORD: 'quiet river 27' } });
      b = new TextBrowser(name, `${gate.baseUrl}/admin/keys`);
      await b.t.shows(/Admin password/);
    });
    after(async () => {
      b?.close();
      await gate?.stop();
    });

    it('begins after the right password', async () => {
      await b.fill('Admin password', 'wrong');
      await b.go('Log in', /That is not the password/);
      await b.fill('Admin password', gate.adminPassword);
      await b.go('Log in', /Keys: 1, of which can be used now: 1/);
    });

    it('is made and used', async () => {
      await b.go('New key', /Make the key/);
      await b.fill('Label', 'text browser');
      key = secretOn(await b.go('Make the key', /pm_[\w-]{43}/));
      assert.equal(await chat(), 200);
      await b.go('text browser', /, 1 request\b/);
      await b.go('its usage', /Summed by/);
    });

    it('is changed, and what is wrong is said', async () => {
      await b.go('Keys', /Keys: 2/);
      await b.go('text browser', /Rotate/);
      await b.fill('Label', 'text browser, north');
      await b.fill('Requests', 'many');
      await b.go('Save', /Not a whole number/);
      await b.fill('Requests', '1000');
      const screen = await b.go('Save', /Saved/);
      assert.match(screen, /^ *text browser, north *$/m);
    });

    it('is rotated', async () => {
      const fresh = secretOn(await b.go('Rotate', /pm_[\w-]{43}/));
      assert.notEqual(fresh, key);
      assert.equal(await chat(key), 200);
      assert.equal(await chat(fresh), 200);
      key = fresh;
      await b.go('text browser, north', /Ends in\s+\S{4}/);
    });

    it('is refused once disabled', async () => {
      await b.go('Disable', /The key is disabled/);
      assert.equal(await chat(), 401);
    });

    it('ends with the log-out', async () => {
      await b.go('Log out', /logged out/);
      await b.t.shows(/Admin password/);
    });
  });
