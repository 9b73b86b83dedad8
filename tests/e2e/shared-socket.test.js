'use strict';
/*
 * Responders that share one listening socket, as systemd hands it to them: who
 * ends leaves it to the others, and to who comes next.
 */
const { after, before, test } = require('node:test');
const assert = require('node:assert/strict');
const child_process = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const readline = require('node:readline');
const { ROOT, eventually, startStack } = require('./lib/stack');
const { CHAT, endsWithDone, faulty } = require('./lib/calls');
const { call, connect, request } = require('./lib/fastcgi');

const PROGRAM = path.resolve(ROOT, process.env.BUILD || 'build',
  'fcgi/v1.fcgi');
/*
 * Keeps the socket as descriptor 3 and starts a responder for each line it
 * reads; says who started and who ended. Perl is part of every Debian.
 */
const KEEPER = `
use Socket; use POSIX ":sys_wait_h"; $| = 1; $^F = 3;
my $s; socket($s, PF_UNIX, SOCK_STREAM, 0) && bind($s, sockaddr_un($ARGV[0])) &&
  listen($s, 64) or die "socket: $!"; fileno($s) == 3 or die "not 3";
$SIG{CHLD} = sub { local ($!, $?); while ((my $p = waitpid(-1, WNOHANG)) > 0) {
  print "ended $p $?\n" } };
while (1) { my $l = <STDIN>; next if !defined $l && $!{EINTR};
  last unless defined $l; my $p = fork; if (!$p) {
  $ENV{LISTEN_PID} = $$; $ENV{LISTEN_FDS} = 1; exec $ARGV[1] or die }
  print "began $p\n" }`;
let gate, folder, socket, keeper;
const alive = new Set(), statuses = new Map(), listeners = new Set();

function heard(line) {
  const [what, pid, status] = line.split(' ');

  if (what === 'began') alive.add(Number(pid));
  else alive.delete(Number(pid)) && statuses.set(Number(pid), Number(status));
  for (const listener of listeners) listener();
}

/* Until 'what' returns something but undefined. */
function until(what) {
  return new Promise((resolve) => {
    const look = () => {
      const found = what();
      if (found === undefined) return;
      listeners.delete(look);
      resolve(found);
    };
    listeners.add(look);
    look();
  });
}

async function startResponder() {
  const before = new Set([...alive, ...statuses.keys()]);

  keeper.stdin.write('\n');
  const pid = await until(() => [...alive].find((one) => !before.has(one)));
  /* The one that accepts comes last, once it has taken signals over. */
  await eventually(() => fs.readdirSync(`/proc/${pid}/task`).length >= 4);
  return pid;
}

function endResponder(pid) {
  process.kill(pid, 'SIGTERM');
  return until(() => statuses.get(pid));
}

const health = () => call(socket, { REQUEST_METHOD: 'GET',
  REQUEST_URI: '/health', SCRIPT_NAME: '/health', SERVER_PROTOCOL: 'HTTP/1.1',
  REMOTE_ADDR: '127.0.0.1' });

const variables = (body) => ({ REQUEST_METHOD: 'POST', REQUEST_URI: CHAT,
  SCRIPT_NAME: CHAT, SERVER_PROTOCOL: 'HTTP/1.1', REMOTE_ADDR: '127.0.0.1',
  CONTENT_TYPE: 'application/json', CONTENT_LENGTH: String(body.length),
  HTTP_AUTHORIZATION: `Bearer ${gate.apiKey}` });

function stream(faults) {
  const { json } = faulty(faults, { stream: true });
  const body = JSON.stringify(json);

  return call(socket, variables(body), body);
}

before(async () => {
  gate = await startStack();
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'shared-socket-'));
  socket = path.join(folder, 'v1.socket');
  keeper = child_process.spawn('perl', ['-e', KEEPER, socket, PROGRAM],
    { env: { ...gate.env, PROCESSES: '2', MAX_IN_FLIGHT: '24' },
      stdio: ['pipe', 'pipe', 'inherit'] });
  readline.createInterface({ input: keeper.stdout }).on('line', heard);
});

after(async () => {
  for (const pid of alive) process.kill(pid, 'SIGKILL');
  keeper?.stdin.end();
  if (folder) fs.rmSync(folder, { recursive: true });
  await gate?.stop();
});

test('idle ones end at once, the others serve on', { timeout: 60000 },
  async () => {
    const [one, two] = [await startResponder(), await startResponder()];

    assert.equal((await health()).status, 200);
    const began = performance.now();
    assert.equal(await endResponder(one), 0);
    const took = performance.now() - began;
    assert.ok(took < 8000, `an idle responder took ${took} ms to end`);
    for (let i = 0; i < 20; i++)
      assert.equal((await health()).status, 200);
    /* None is there: the request waits for who comes. */
    assert.equal(await endResponder(two), 0);
    const waiting = health();
    await startResponder();
    assert.equal((await waiting).status, 200);
  });

test('requests are shared out, so that none is full before the others',
  { timeout: 60000 }, async () => {
    const two = await startResponder();
    const body = JSON.stringify(faulty('delay-head=600000').json);
    const held = [];

    /* Each has 12 places. One after the other, so that both are idle. */
    await gate.standin.reset();
    for (let i = 1; i <= 20; i++) {
      held.push(connect(socket));
      held.at(-1).answer.catch(() => {});
      held.at(-1).socket.write(request(variables(body), body));
      await gate.standin.wait({ open: i });
    }
    for (const { socket: one } of held) one.destroy();
    await gate.standin.wait({ aborted: 20 });
    assert.equal(await endResponder(two), 0);
  });

test('an answer under way is finished, nothing new is taken',
  { timeout: 60000 }, async () => {
    const [one] = alive;

    await gate.standin.reset();
    const answer = stream('rate=20,words=60');
    await gate.standin.wait({ open: 1 });
    const ended = endResponder(one);
    const two = await startResponder();
    for (let i = 0; i < 20; i++)
      assert.equal((await health()).status, 200);
    endsWithDone((await answer).text);
    assert.equal(await ended, 0);
    assert.deepEqual([...alive], [two]);
  });
