'use strict';
/*
 * What a gate needs runs out, or its upstream goes away: an honest error, no
 * busy waiting, and all as before once it is there again, in the same
 * processes.
 */
const { after, before, describe, test } = require('node:test');
const assert = require('node:assert/strict');
const child_process = require('node:child_process');
const fs = require('node:fs');
const { setTimeout: sleep } = require('node:timers/promises');
const { startStack, eventually } = require('./lib/stack');
const { startUpstream } = require('./lib/upstream');
const { notOnCaddy } = require('./lib/servers');
const { CHAT, chat, checkError } = require('./lib/calls');

const IDLE = 1000;
/* Longer with make test-faults. */
const AWAY_MS = process.env.FAULTS ? 60000 : 2000;

const ask = (gate) => gate.request(CHAT, chat());
const descriptors = (pid) => fs.readdirSync(`/proc/${pid}/fd`).length;
const prlimit = (pid, n) => child_process.execFileSync('prlimit',
  ['--pid', String(pid), `--nofile=${n}`], { stdio: 'pipe' });
/* Processor time it took so far, in ms. */
const used = (pid) => fs.readFileSync(`/proc/${pid}/stat`, 'latin1')
  .split(') ')[1].split(' ').slice(11, 13)
  .reduce((sum, ticks) => sum + Number(ticks) * 10, 0);

describe('what a gate needs', { concurrency: 3 }, () => {
  describe('few file descriptors', { timeout: 120000, concurrency: 1 }, () => {
    let gate;
    before(async () => { gate = await startStack({ env: { PROCESSES: '1' } }); });
    after(() => gate?.stop());

    test('a responder that may open none: no answer is made up, none is lost',
      { skip: notOnCaddy('pool') }, async () => {
        const [pid] = gate.responders();
        const limits = fs.readFileSync(`/proc/${pid}/limits`, 'latin1');
        const [, soft, hard] = /Max open files +(\d+) +(\d+)/.exec(limits);
        assert.equal((await ask(gate)).status, 200);
        prlimit(pid, `${descriptors(pid)}:${hard}`);
        const busy = used(pid);
        const begun = Date.now();
        const calls = Array.from({ length: 12 },
          () => ask(gate).catch(() => null));
        await sleep(1500);
        const share = (used(pid) - busy) / (Date.now() - begun);
        assert.ok(share < 0.5, `it keeps the processor busy: ${share}`);
        prlimit(pid, `${soft}:${hard}`);
        /* Those that waited are served; the others were told, or cut off. */
        for (const answer of await Promise.all(calls))
          if (answer?.status === 200) assert.ok(answer.json().choices.length);
          else if (answer) assert.ok([502, 503].includes(answer.status));
        for (let i = 0; i < 8; i++) assert.equal((await ask(gate)).status, 200);
        assert.deepEqual(gate.responders(), [pid]);
      });

    test('a web server that may open none serves those who wait, afterwards',
      { skip: notOnCaddy('own') }, async () => {
        const pid = gate.serverPid;
        const limits = fs.readFileSync(`/proc/${pid}/limits`, 'latin1');
        const [, soft, hard] = /Max open files +(\d+) +(\d+)/.exec(limits);
        prlimit(pid, `${descriptors(pid)}:${hard}`);
        const calls = Array.from({ length: 6 }, () => ask(gate).catch((e) => e));
        await sleep(1000);
        prlimit(pid, `${soft}:${hard}`);
        for (const answer of await Promise.all(calls))
          assert.ok(answer instanceof Error || [200, 503].includes(answer.status),
            answer.text);
        assert.equal((await ask(gate)).status, 200);
      });
  });

  test(`${IDLE} clients that keep a connection and say nothing`,
    { timeout: 120000 }, async () => {
      const gate = await startStack();
      const sockets = [];
      try {
        const hello = 'GET /health HTTP/1.1\r\nHost: x\r\n\r\n';
        for (let i = 0; i < IDLE; i += 50)
          sockets.push(...await Promise.all(Array.from({ length: 50 }, async () => {
            const socket = await gate.socket();
            await new Promise((resolve, reject) => {
              socket.once('data', resolve);
              socket.once('close', () => reject(new Error('closed')));
              socket.write(hello);
            });
            socket.removeAllListeners('close');
            return socket;
          })));
        const begun = Date.now();
        for (let i = 0; i < 5; i++) assert.equal((await ask(gate)).status, 200);
        const ms = Date.now() - begun;
        assert.ok(ms < 5000, `five requests took ${ms} ms`);
        /* They were kept, and cost no responder anything. */
        const open = sockets.filter((socket) => !socket.destroyed).length;
        assert.equal(open, IDLE);
        for (const pid of gate.responders())
          assert.ok(descriptors(pid) < 100, `${descriptors(pid)}`);
      } finally {
        for (const socket of sockets) socket.destroy();
        await gate.stop();
      }
    });

  test('the upstream goes away and comes back', { timeout: 180000 }, async () => {
    const answer = (socket) => socket.write('HTTP/1.1 200 OK\r\n' +
      'Content-Type: application/json\r\nContent-Length: 14\r\n\r\n' +
      '{"choices":[]}');
    let upstream = await startUpstream();
    const port = Number(new URL(upstream.url).port);
    const gate = await startStack({ upstream: upstream.url,
      env: { PROCESSES: '1' } });
    const [pid] = gate.responders();
    try {
      upstream.next(answer);
      assert.equal((await ask(gate)).status, 200);
      await upstream.stop();
      const since = gate.log().length;
      for (const end = Date.now() + AWAY_MS; Date.now() < end;) {
        checkError(await ask(gate), 502, 'server_error', 'upstream_unreachable');
        await sleep(200);
      }
      await eventually(async () => (await gate.request('/health/ready',
        { auth: false })).status === 503, 20000);
      assert.match(gate.log().slice(since), /upstream: /);
      upstream = await startUpstream(undefined, port);
      upstream.next(answer);
      assert.equal((await ask(gate)).status, 200, 'at once');
      await eventually(async () => (await gate.request('/health/ready',
        { auth: false })).status === 200, 20000);
      assert.deepEqual(gate.responders(), [pid]);
    } finally {
      await gate.stop();
      await upstream.stop();
    }
  });
});
