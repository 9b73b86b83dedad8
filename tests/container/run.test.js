'use strict';
/* The docker run line of README.md, under podman. */
const { after, before, describe, test } = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { execFile } = require('node:child_process');
const { promisify } = require('node:util');
const { Container, freePort, must, readmeLine, replaced } =
  require('./podman');
const { eventually } = require('../e2e/lib/stack');
const { CHAT, chat, chunks, endsWithDone, faulty } =
  require('../e2e/lib/calls');

const SECRET = 'sk-privatemode-of-the-organisation';
/* Machines are slow at times. */
const PATIENCE = 60000;
let etc;
let volumes = 0;

/*
 * The line as it stands but for: where the folder of settings is, names that
 * no other run has, a free port of the loopback, and podman's own network.
 */
async function run({ change = {}, volume } = {}) {
  const name = `pmproxy-test-${process.pid}-${++volumes}`;
  const port = await freePort();
  const words = replaced(readmeLine(), {
    'pmproxy-state:/var/lib/pmproxy': `${volume || name}:/var/lib/pmproxy`,
    '/etc/pmproxy:/etc/pmproxy:ro': `${etc}:/etc/pmproxy:ro`,
    '443:8080': `127.0.0.1:${port}:8080`, ...change });
  /* The name, the network and the image are one word in the line. */
  const named = words.map((word, i) => {
    if (words[i - 1] === '--name') return name;
    if (words[i - 1] === '--network') return 'podman';
    return word === 'pmproxy' ? 'localhost/pmproxy' : word;
  });
  /* Would start one again that is to end. */
  return new Container(named.filter((word, i) => word !== '--restart' &&
    named[i - 1] !== '--restart'), port);
}

/* As "docker stop" does; not blocking, for a client is to go on. */
function stop(container) {
  return promisify(execFile)('podman', ['stop', container.id],
    { timeout: 60000 });
}

/* One that is to end by itself: its status and what it said. */
async function ended(options) {
  const container = await run(options);

  try {
    const status = Number(must('wait', container.id));
    return { status, log: container.log() };
  } finally {
    container.remove();
  }
}

before(() => {
  etc = fs.mkdtempSync(path.join(os.tmpdir(), 'pmcontainer-'));
  fs.writeFileSync(path.join(etc, 'privatemode.key'), `${SECRET}\n`);
  fs.writeFileSync(path.join(etc, 'pmproxy.env'), 'RATE_LIMIT_REQUESTS=0\n');
  for (const name of ['privatemode.key', 'pmproxy.env', '.']) {
    fs.chmodSync(path.join(etc, name), name === '.' ? 0o700 : 0o600);
    fs.chownSync(path.join(etc, name), 1000, 1000);
  }
});
after(() => fs.rmSync(etc, { recursive: true }));

describe('a running container', { timeout: 400000 }, () => {
  let gate;
  let key;
  const answers = async () =>
    (await gate.request(CHAT, { key, ...chat() })).status === 200;

  before(async () => {
    gate = await (await run()).up();
    key = gate.makeKey();
  });
  after(() => gate && gate.remove());

  test('it answers, whole and as a stream', async () => {
    const whole = await gate.request(CHAT, { key, ...chat() });

    assert.equal(whole.status, 200, whole.text);
    endsWithDone((await gate.request(CHAT,
      { key, ...chat({ stream: true }) })).text);
    assert.equal((await gate.request(CHAT,
      { key: 'pm_wrong', ...chat() })).status, 401);
    /* No ADMIN_PASSWORD, no admin pages. */
    assert.equal((await gate.request('/admin/login')).status, 403);
  });

  test('it may do nothing that it need not', () => {
    const status = gate.shell('cat /proc/1/status');

    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'])
      assert.match(status, new RegExp(`^${set}:\\s+0{16}$`, 'm'));
    assert.match(status, /^NoNewPrivs:\s+1$/m);
    assert.match(status, /^Seccomp:\s+2$/m);
    for (const name of ['lighttpd', 'v1.fcgi', 'privatemode-pro'])
      for (const pid of gate.pids(name)) {
        assert.match(gate.shell(`cat /proc/${pid}/status`),
          /^Uid:\s+1000\s+1000\s+1000\s+1000$/m);
        assert.match(gate.shell(`cat /proc/${pid}/limits`),
          /^Max core file size\s+([01])\s+\1\s/m, name);
      }
    assert.equal(gate.pids('privatemode-pro').length, 1);
  });

  test('it can write to its state and to memory, and nowhere else', () => {
    assert.equal(gate.shell('for d in / /etc /usr/bin /tmp /var/tmp ' +
      '/usr/lib/pmproxy/container; do ! touch $d/x 2>/dev/null || echo $d; ' +
      'done'), '');
    assert.match(gate.shell('grep " /run " /proc/mounts'),
      /^tmpfs \/run tmpfs \S*nosuid,nodev,noexec/);
    assert.equal(gate.shell('stat -c "%a %U" $RUN_DIR $STATE_DIR'),
      '700 pmproxy\n700 pmproxy');
    /* noexec holds, and nothing that is run lies there. */
    assert.notEqual(gate.exec('sh', '-c', 'cp /bin/true /run/pmproxy/true; ' +
      '/run/pmproxy/true').status, 0);
  });

  test('no key stands on a command line or in an environment', () => {
    const found = gate.shell('cat /proc/[0-9]*/cmdline | tr "\\0" "\\n"');

    assert.match(found, /^--apiKey=@\/etc\/pmproxy\/privatemode\.key$/m);
    assert.ok(!found.includes(SECRET));
    assert.ok(!gate.get('{{json .}}').includes(SECRET));
    const [pid] = gate.pids('privatemode-pro');
    assert.equal(gate.shell(`tr "\\0" "\\n" </proc/${pid}/environ`),
      'PATH=/usr/bin');
  });

  test('the health check tells how it is', async () => {
    assert.ok(gate.isHealthy());
    gate.shell('s6-svc -wD -d /run/pmproxy/services/responders');
    assert.ok(!gate.isHealthy());
    gate.shell('s6-svc -u /run/pmproxy/services/responders');
    await eventually(() => gate.isHealthy(), PATIENCE);
  });

  for (const name of ['lighttpd', 'v1.fcgi', 'privatemode-pro'])
    test(`${name} is started again when it is killed`, async () => {
      const [pid] = gate.pids(name);

      gate.shell(`kill -9 ${pid}`);
      await eventually(() => gate.pids(name).some((p) => p !== pid), PATIENCE);
      await eventually(answers, PATIENCE);
      assert.equal(gate.pids(name).includes(pid), false);
      assert.match(gate.log(), /ended by signal 9; starting it again in 1 s/);
    });

  test('what keeps ending is started ever more slowly', async () => {
    for (const delay of [2, 4]) {
      const [pid] = await eventually(() => {
        const list = gate.pids('privatemode-pro');
        return list.length > 0 && list;
      }, PATIENCE);
      gate.shell(`kill -9 ${pid}`);
      await eventually(() => gate.log().includes('upstream ended by signal 9' +
        `; starting it again in ${delay} s`), PATIENCE);
    }
    await eventually(answers, PATIENCE);
  });

  test('orphans are reaped', async () => {
    gate.shell('(sleep 0.2 &) ; exit 0');
    await eventually(() => gate.pids('sleep').length === 0, PATIENCE);
  });

  test('errors of the web server come to the log', async () => {
    gate.shell('s6-svc -1 /run/pmproxy/services/gate');
    await eventually(() =>
      (gate.log().match(/server started/g) || []).length >= 3, PATIENCE);
    await eventually(answers, PATIENCE);
  });
});

test('docker stop lets answers end, tells those that take too long, ' +
  'and loses nothing', { timeout: 240000 }, async () => {
  const first = await (await run()).up();
  let second;

  try {
    const key = first.makeKey();
    const ask = (faults) =>
      first.open(CHAT, { key, ...faulty(faults, { stream: true }) });
    const short = ask('rate=10,words=80');
    const long = ask('rate=5,words=1000');
    const usage = () => first.shell('cat $STATE_DIR/journal/* 2>/dev/null');

    for (const stream of [short, long])
      assert.equal((await stream.head).status, 200);
    const ends = [short, long].map((stream) => stream.whole());
    await stop(first);
    endsWithDone((await ends[0]).text);
    const list = chunks((await ends[1]).text);
    assert.equal(list.at(-1).error.code, 'upstream_unreachable');
    assert.equal(first.get('{{.State.ExitCode}}'), '0', first.log());
    assert.ok(!first.log().includes('starting it again'));

    /* Begun again, and one anew on the same volume. */
    must('start', first.id);
    await first.up();
    assert.equal((await first.request(CHAT, { key, ...chat() })).status, 200);
    assert.equal(usage().split('\n').filter(Boolean).length, 3);
    const volume = first.get('{{range .Mounts}}{{.Name}}{{end}}');
    await stop(first);
    second = await (await run({ volume })).up();
    assert.equal((await second.request(CHAT, { key, ...chat() })).status, 200);
  } finally {
    if (second) second.remove();
    first.remove();
  }
});

describe('it does not start', { timeout: 240000 }, () => {
  const TMPFS = '/run:mode=1777,size=1g,noexec,nosuid,nodev';

  test('without memory for what passes through', async () => {
    const { status, log } = await ended(
      { change: { '--tmpfs': null, [TMPFS]: null, '--read-only': null } });

    assert.equal(status, 1);
    assert.match(log, /\/run\/pmproxy is on a disk.*--tmpfs \/run/);
  });

  test('as root', async () => {
    const { status, log } = await ended(
      { change: { '--read-only': '--user=0:0' } });

    assert.equal(status, 1);
    assert.match(log, /started as root/);
  });

  test('without a Privatemode key', async () => {
    fs.renameSync(path.join(etc, 'privatemode.key'), path.join(etc, 'away'));
    try {
      const { status, log } = await ended();

      assert.equal(status, 1);
      assert.match(log, /no Privatemode key: mount its file/);
    } finally {
      fs.renameSync(path.join(etc, 'away'), path.join(etc, 'privatemode.key'));
    }
  });

  test('with a mistake in the settings', async () => {
    const file = path.join(etc, 'pmproxy.env');
    const sound = fs.readFileSync(file);

    fs.writeFileSync(file, 'RATE_LIMIT_REQUESTS=many\n');
    try {
      const { status, log } = await ended();

      assert.notEqual(status, 0);
      assert.match(log, /RATE_LIMIT_REQUESTS/);
    } finally {
      fs.writeFileSync(file, sound);
    }
  });
});
