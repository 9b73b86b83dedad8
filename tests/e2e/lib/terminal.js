'use strict';
/*
 * terminal.js - a program in a terminal of its own, by tmux: keys go in, the
 * screen comes out. Nothing is slept for; what is awaited is a screen.
 *
 *   const t = new Terminal(['w3m', url], { columns: 100 });
 *   await t.shows(/Admin password/);
 *   t.keys('Tab', 'Enter');
 *   t.close();
 *
 * 'files' are put into the home folder, where the program starts.
 */
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { setTimeout: pause } = require('node:timers/promises');

const WAIT_MS = 15000;
const LOOK_MS = 20;

const quoted = (word) => `'${word.replaceAll('\'', '\'\\\'\'')}'`;

class Terminal {
  constructor(command, { columns = 120, rows = 200, env = {}, files = {} } = {}) {
    this.home = fs.mkdtempSync(path.join(os.tmpdir(), 'pmterm-'));
    for (const [name, text] of Object.entries(files))
      fs.writeFileSync(path.join(this.home, name), text);
    const words = ['env', '-i', `HOME=${this.home}`, 'TERM=screen',
      'LANG=C.UTF-8', `PATH=${process.env.PATH}`,
      ...Object.entries(env).map(([k, v]) => `${k}=${v}`), ...command];

    this.#tmux('-f', '/dev/null', 'new-session', '-d', '-c', this.home, '-x', String(columns),
      '-y', String(rows), words.map(quoted).join(' '));
  }

  #tmux(...args) {
    return execFileSync('tmux', ['-S', path.join(this.home, 'tmux'), ...args],
      { encoding: 'utf8', env: { ...process.env, TMUX: '' } });
  }

  screen() {
    return this.#tmux('capture-pane', '-p');
  }

  /*
   * Where the cursor is, and the screen's rows: { x, y, rows }. With 'coloured'
   * there are escape sequences in the rows.
   */
  cursor({ coloured = false } = {}) {
    const [at, ...rows] = this.#tmux('display-message', '-p',
      '#{cursor_x} #{cursor_y}', ';', 'capture-pane', '-p',
      ...(coloured ? ['-e'] : [])).split('\n');
    const [x, y] = at.split(' ').map(Number);

    return { x, y, rows };
  }

  /* Keys by tmux's names, like Tab and Enter. */
  keys(...names) {
    this.#tmux('send-keys', ...names);
  }

  type(text) {
    this.#tmux('send-keys', '-l', '--', text);
  }

  /* The first screen on which that is so; a pattern, or a function of it. */
  async shows(wanted) {
    const is = wanted instanceof RegExp ? (s) => wanted.test(s) : wanted;
    const end = Date.now() + WAIT_MS;

    for (;;) {
      const screen = this.screen();
      if (is(screen)) return screen;
      if (Date.now() > end)
        throw new Error(`no ${wanted} on the screen:\n${screen}`);
      await pause(LOOK_MS);
    }
  }

  close() {
    this.#tmux('kill-server');
    fs.rmSync(this.home, { recursive: true });
  }
}

module.exports = { Terminal };
