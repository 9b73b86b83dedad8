'use strict';
/* compose.yaml: what it promises, and its two containers under podman. */
const { after, before, test } = require('node:test');
const assert = require('node:assert/strict');
const child_process = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { Container, ROOT, freePort, must } = require('./podman');
const { CHAT, chat } = require('../e2e/lib/calls');

const compose = JSON.parse(child_process.execFileSync('python3', ['-c',
  'import sys, json, yaml; json.dump(yaml.safe_load(sys.stdin), sys.stdout)'],
{ input: fs.readFileSync(path.join(ROOT, 'compose.yaml')) }));
const { gate, upstream } = compose.services;
const SECRET = 'sk-privatemode-of-the-organisation';

let folder;
const running = [];

/* The options of "docker run" that a service's members stand for. */
const OPTIONS = {
  read_only: (on) => (on ? ['--read-only'] : []),
  cap_drop: (list) => list.flatMap((cap) => ['--cap-drop', cap]),
  security_opt: (list) => list.flatMap((opt) =>
    ['--security-opt', opt.replace(/:true$/, '')]),
  tmpfs: (list) => list.flatMap((mount) => ['--tmpfs', mount]),
  mem_limit: (size) => ['--memory', size],
  memswap_limit: (size) => ['--memory-swap', size],
  pids_limit: (n) => ['--pids-limit', String(n)],
  stop_signal: (name) => ['--stop-signal', name],
  user: (name) => ['--user', name],
  environment: (names) => Object.entries(names).flatMap(([name, value]) =>
    ['--env', `${name}=${value}`]),
  secrets: (list) => list.flatMap((name) => ['-v',
    `${path.join(folder, path.basename(compose.secrets[name].file))}` +
      `:/run/secrets/${name}:ro`]),
};
/* Networks, ports, volumes and images are the tests' own. */
const ELSEWHERE = new Set(['image', 'build', 'restart', 'stop_grace_period',
  'depends_on', 'volumes', 'networks', 'ports', 'logging', 'command']);

function options(service) {
  return Object.entries(service).flatMap(([name, value]) => {
    if (ELSEWHERE.has(name)) return [];
    assert.ok(OPTIONS[name], `a member that no test knows: ${name}`);
    return OPTIONS[name](value);
  });
}

async function start(service, image, more, port) {
  const container = new Container(['-d', '--network', 'podman',
    ...options(service), ...more, image, ...(service.command || [])], port);

  running.push(container);
  return container;
}

before(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pmcompose-'));
  fs.writeFileSync(path.join(folder, 'privatemode.key'), `${SECRET}\n`);
  fs.writeFileSync(path.join(folder, 'pmproxy.env'), 'MAX_IN_FLIGHT=50\n');
  fs.mkdirSync(path.join(folder, 'workspace'));
  for (const name of fs.readdirSync(folder))
    fs.chownSync(path.join(folder, name), 1000, 1000);
});
after(() => {
  for (const container of running) container.remove();
  fs.rmSync(folder, { recursive: true });
});

test('both are bound as tightly as can be', () => {
  for (const service of [gate, upstream]) {
    assert.equal(service.read_only, true);
    assert.deepEqual(service.cap_drop, ['ALL']);
    assert.deepEqual(service.security_opt, ['no-new-privileges:true']);
    assert.equal(service.mem_limit, service.memswap_limit);
    assert.ok(!service.privileged && !service.cap_add && !service.devices);
    for (const mount of service.tmpfs || [])
      assert.match(mount, /size=.*noexec,nosuid,nodev/);
  }
  assert.equal(upstream.user, '1000:1000');
});

test('nobody but the gate reaches the upstream', () => {
  assert.equal(upstream.ports, undefined);
  assert.equal(compose.networks.inner.internal, true);
  const shared = gate.networks.filter((n) => upstream.networks.includes(n));
  assert.deepEqual(shared, ['inner']);
});

test('the upstream is pinned, keeps no requests, and has its key in a file',
  () => {
    assert.match(upstream.image, /@sha256:[0-9a-f]{64}$/);
    assert.ok(!upstream.command.some((word) => /dump/i.test(word)));
    assert.ok(upstream.command.includes(
      '--apiKey=@/run/secrets/privatemode_api_key'));
    assert.deepEqual(upstream.secrets, ['privatemode_api_key']);
    assert.deepEqual(gate.secrets, ['pmproxy.env']);
  });

test('together they answer', { timeout: 120000 }, async () => {
  const back = await start(upstream, 'localhost/pmproxy-standin',
    ['-v', `${path.join(folder, 'workspace')}:/workspace`]);
  const address = back.get('{{.NetworkSettings.IPAddress}}');
  const port = await freePort();
  const front = await (await start(gate, 'localhost/pmproxy-gate',
    ['--add-host', `upstream:${address}`, '-p', `127.0.0.1:${port}:8080`],
    port)).up();
  const key = front.makeKey();
  const answer = await front.request(CHAT, { key, ...chat() });

  assert.equal(answer.status, 200, answer.text);
  assert.ok(front.isHealthy());
  assert.deepEqual(front.pids('privatemode-pro'), []);
  assert.equal(front.exec('cat', '/usr/bin/privatemode-proxy').status, 1);
  assert.deepEqual(fs.readdirSync(path.join(folder, 'workspace')),
    ['manifests']);
  must('stop', back.id);
  assert.equal(back.get('{{.State.ExitCode}}'), '0');
  /* Without it the gate stays up, and says so. */
  assert.ok([502, 503].includes(
    (await front.request(CHAT, { key, ...chat() })).status));
  assert.ok(front.isHealthy());
});
