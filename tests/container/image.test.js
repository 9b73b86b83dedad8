'use strict';
/* What the image holds, and what it leaves out. */
const { after, before, test } = require('node:test');
const assert = require('node:assert/strict');
const { LIMITS, must, podman } = require('./podman');

const IMAGE = 'localhost/pmproxy';
const BASE = 'localhost/debian:bookworm-slim';
const LIMIT = 60e6;

let id;
/* Lines of what a script prints in there, as root. */
const inImage = (script) =>
  must('exec', id, 'sh', '-c', script).split('\n').filter(Boolean);
const inspect = (image, format) =>
  must('image', 'inspect', '--format', format, image);

before(() => {
  id = must('run', '-d', '--rm', '--runtime', 'runc', ...LIMITS, '--network',
    'none', '--user', '0:0', '--entrypoint', 'sleep', IMAGE, 'infinity');
});
after(() => id && podman('rm', '-f', '-t', '0', id));

test('it is small beside its base', (t) => {
  const [all, base] = [IMAGE, BASE].map((image) =>
    Number(inspect(image, '{{.Size}}')));

  t.diagnostic(`${((all - base) / 1e6).toFixed(1)} MB more than the base`);
  assert.ok(all - base > 1e6);
  assert.ok(all - base < LIMIT, `${all - base} bytes`);
});

test('it runs as user 1000, says how to stop it and how it is', () => {
  assert.equal(inspect(IMAGE, '{{.User}}'), '1000:1000');
  assert.equal(inspect(IMAGE, '{{.Config.StopSignal}}'), 'SIGTERM');
  assert.match(inspect(IMAGE, '{{json .HealthCheck}}'), /pmdoctor.*gate-health/);
  assert.match(inspect(IMAGE, '{{json .Config.Volumes}}'), /var\/lib\/pmproxy/);
  const environment = inspect(IMAGE, '{{json .Config.Env}}');
  assert.ok(!/KEY|PASSWORD|TOKEN/.test(environment), environment);
});

test('no program gives rights that its caller lacks', () => {
  assert.deepEqual(inImage('find / -xdev -type f -perm /6000'), []);
  assert.deepEqual(inImage('find / -xdev -type f -perm -o+w'), []);
});

test('nothing is left of what built it', () => {
  assert.deepEqual(inImage('find /var/lib/apt/lists /var/cache/apt ' +
    '/var/log /src /out -type f 2>/dev/null; true'), []);
  assert.deepEqual(inImage('for p in gcc cc ld as make curl wget git nc ' +
    'python3 ssh; do command -v $p; done; true'), []);
  assert.deepEqual(inImage('find / -xdev -name .git -o -xdev -name "*.key" ' +
    '-o -xdev -name .env -o -xdev -name "*.h" -path "/usr/include/*"'), []);
});

test('the upstream is a program of its own, not a link out of the image', () => {
  assert.deepEqual(inImage('test -f /usr/bin/privatemode-proxy && ' +
    'test ! -L /usr/bin/privatemode-proxy && ' +
    'stat -c "%U %a" /usr/bin/privatemode-proxy'), ['root 755']);
});

test('nobody but root can change what is run', () => {
  assert.deepEqual(inImage('find / -xdev -user 1000'), ['/var/lib/pmproxy']);
});
