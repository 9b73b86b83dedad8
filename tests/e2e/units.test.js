'use strict';
/* The systemd units as systemd reads and judges them. */
const { after, before, test } = require('node:test');
const assert = require('node:assert/strict');
const child_process = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { ROOT } = require('./lib/stack');

/* What "systemd-analyze security" may say at most: 0 is best, 10 worst. */
const MOST = { 'pmproxy.service': 2.0, 'pmproxy-responder@1.service': 1.5,
  'privatemode-proxy.service': 1.5, 'pmproxy-usage.service': 1.0, 'pmproxy-certificate.service': 2.0 };
const UNITS = ['pmproxy-usage.timer', 'pmproxy-certificate.timer',
  'pmproxy-responder.socket',
  ...Object.keys(MOST)];
let folder;
const found = child_process.spawnSync('systemd-analyze', ['--version'],
  { encoding: 'utf8' });
const version = Number(/^systemd (\d+)/.exec(found.stdout || '')?.[1] || 0);
const skip = version < 252 && 'systemd-analyze 252 is not installed';

const analyze = (...args) => child_process.spawnSync('systemd-analyze',
  ['--no-pager', ...args], { encoding: 'utf8', timeout: 60000 });

before(() => {
  if (skip) return;
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'units-'));
  const done = child_process.spawnSync('make', ['-s', '-C', ROOT,
    'install-units', `DESTDIR=${folder}`, 'PREFIX=/usr'],
  { encoding: 'utf8', env: { PATH: process.env.PATH } });
  assert.equal(done.status, 0, done.stderr);
  /* What the units name, and what every system has. */
  const units = path.join(folder, 'usr/lib/systemd/system');
  for (const name of ['bin/pmproxy', 'bin/pmusage',
    'bin/pmproxy-certificate', 'lib/pmproxy/fcgi/v1.fcgi',
    'share/pmproxy/restart-delay', 'bin/find', 'bin/sh',
    'local/bin/privatemode-proxy']) {
    const file = path.join(folder, 'usr', name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, '#!/bin/sh\n', { mode: 0o755 });
  }
  fs.symlinkSync('usr/bin', path.join(folder, 'bin'));
  for (const name of ['sysinit', 'basic', 'shutdown', 'multi-user',
    'network-online', 'timers', 'sockets'])
    fs.writeFileSync(path.join(units, `${name}.target`),
      '[Unit]\nDefaultDependencies=no\n');
});
after(() => folder && fs.rmSync(folder, { recursive: true, force: true }));

test('systemd understands every line of them', { skip }, () => {
  const done = analyze('verify', '--man=no', `--root=${folder}`, ...UNITS);
  /* This system need not be one that systemd runs. */
  const said = done.stderr.split('\n').filter((line) => line !== '' &&
    !/cgroup|Failed to (connect|initialize)|\/run\/systemd/i.test(line));

  assert.deepEqual(said, []);
  assert.equal(done.status, 0);
});

test('a wrong line would be seen', { skip }, () => {
  const file = path.join(folder, 'usr/lib/systemd/system/pmproxy.service');
  const text = fs.readFileSync(file, 'utf8');

  fs.writeFileSync(file, text.replace('NoNewPrivileges=', 'NoNewPrivilege='));
  const done = analyze('verify', '--man=no', `--root=${folder}`,
    'pmproxy.service');
  fs.writeFileSync(file, text);
  assert.match(done.stderr, /NoNewPrivilege/);
});

for (const [unit, most] of Object.entries(MOST))
  test(`${unit} is exposed ${most} at most`, { skip }, () => {
    const done = analyze('security', '--offline=true', `--root=${folder}`, unit);
    const exposed = Number(/exposure level for .*: ([\d.]+)/
      .exec(done.stdout)?.[1]);

    assert.ok(exposed <= most, `${exposed}\n${done.stdout}${done.stderr}`);
  });
