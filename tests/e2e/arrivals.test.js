'use strict';
/*
 * Requests as they arrive at a responder. Those that are there whole share a
 * thread, which nobody can hold up: not who sends nothing, a part, or nonsense.
 */
const { after, before, beforeEach, describe, test } = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { eventually, startStack } = require('./lib/stack');
const { CHAT, chat, faulty } = require('./lib/calls');
const { call, connect, record, request } = require('./lib/fastcgi');

const STDIN = 5;
let gate, socket;

function variables(body, more = {}) {
  return { REQUEST_METHOD: 'POST', REQUEST_URI: CHAT, SCRIPT_NAME: CHAT,
    SERVER_PROTOCOL: 'HTTP/1.1', REMOTE_ADDR: '127.0.0.1',
    CONTENT_TYPE: 'application/json', CONTENT_LENGTH: String(body.length),
    HTTP_AUTHORIZATION: `Bearer ${gate.apiKey}`, ...more };
}

const BODY = JSON.stringify(chat().json);
const ask = (body = BODY, more = {}) => call(socket, variables(body, more), body);
const threads = () =>
  fs.readdirSync(`/proc/${gate.responders()[0]}/task`).length;

/* Resolves once the responder took all connections that wait. */
async function servesOthers() {
  const began = performance.now();

  for (let i = 0; i < 5; i++)
    assert.equal((await ask()).status, 200);
  const took = performance.now() - began;
  assert.ok(took < 5000, `five chats took ${took} ms`);
}

before(async () => {
  gate = await startStack({ env: { PROCESSES: '1', MAX_IN_FLIGHT: '64',
    RATE_LIMIT_REQUESTS: '100000', IP_RATE_LIMIT_REQUESTS: '100000' } });
  socket = fs.readdirSync(gate.runDir).filter((name) =>
    name.startsWith('v1.socket')).map((name) => path.join(gate.runDir, name))[0];
});
after(() => gate?.stop());
beforeEach(() => gate.standin.reset());

describe('a request that comes in parts', { timeout: 60000 }, () => {
  const whole = () => request(variables(BODY), BODY);
  const cuts = {
    'nothing at first': () => 0,
    'a part of a record\'s head': () => 5,
    'a part of its variables': () => 60,
    'all but its body': () => whole().length - BODY.length - 16,
    'a part of its body': () => whole().length - 30,
    'all but the end of its body': () => whole().length - 8,
  };

  for (const [what, cut] of Object.entries(cuts))
    test(`${what}: others are served, and so is it`, async () => {
      const bytes = whole(), at = cut();
      const { socket: slow, answer } = connect(socket);

      await new Promise((done) => slow.on('connect', done));
      if (at > 0) slow.write(bytes.subarray(0, at));
      await servesOthers();
      slow.write(bytes.subarray(at));
      const { status, ended } = await answer;
      assert.equal(status, 200);
      assert.ok(ended);
    });

  test('many that send nothing hold nobody up, and no thread', async () => {
    const idle = Array.from({ length: 50 }, () => connect(socket));

    await Promise.all(idle.map(({ socket: one }) =>
      new Promise((done) => one.on('connect', done))));
    await servesOthers();
    assert.ok(threads() < 50, `${threads()} threads`);
    for (const { socket: one } of idle) one.end();
    await Promise.all(idle.map(({ answer }) => answer));
    await servesOthers();
  });
});

describe('a request that is not what it looks like', { timeout: 60000 }, () => {
  test('a body that ends like a request is read to its own end', async () => {
    /* The empty record with which a request ends, as text of a body. */
    const end = record(STDIN).toString('latin1');
    const body = JSON.stringify({ ...chat().json, user: `${end}x` })
      .replaceAll('\\u0000', end[4]).replaceAll('\\u0001', end[0])
      .replaceAll('\\u0005', end[1]);
    const bytes = request(variables(body), body);
    const { socket: slow, answer } = connect(socket);

    slow.write(bytes.subarray(0, bytes.indexOf(end) + 8));
    await servesOthers();
    slow.write(bytes.subarray(bytes.indexOf(end) + 8));
    /* Control characters in a string are no JSON; it was read for that. */
    assert.equal((await answer).status, 400);
  });

  for (const [what, bytes] of [['no FastCGI', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['zeros', Buffer.alloc(64)], ['an end without a begin', record(STDIN)],
    ['a record of its own kind', record(77)],
    ['twenty thousand bytes of 0xff', Buffer.alloc(20000, 0xff)]])
    test(`${what}: the connection goes, the responder stays`, async () => {
      const [pid] = gate.responders();
      const { socket: odd, answer } = connect(socket);

      odd.on('error', () => {});
      odd.end(bytes);
      await Promise.race([answer.catch(() => {}),
        new Promise((done) => odd.on('close', done))]);
      await servesOthers();
      assert.deepEqual(gate.responders(), [pid]);
    });

  test('who leaves after half of a request is forgotten', async () => {
    const bytes = request(variables(BODY), BODY);

    for (let i = 0; i < 20; i++) {
      const { socket: gone, answer } = connect(socket);
      gone.write(bytes.subarray(0, bytes.length - 20 * (i + 1)));
      gone.end();
      await answer.catch(() => {});
    }
    await servesOthers();
    const { requests } = await gate.standin.stats();
    assert.equal(requests, 5);
  });
});

describe('short requests at once', { timeout: 60000 }, () => {
  /* So many that the model works on until their clients leave. */
  async function hold(n) {
    const body = JSON.stringify(faulty('delay-head=600000').json);
    const held = Array.from({ length: n }, () => connect(socket));

    for (const { socket: one, answer } of held) {
      answer.catch(() => {});
      one.write(request(variables(body), body));
    }
    await gate.standin.wait({ open: n }, 30000);
    return { leave: async () => {
      for (const { socket: one } of held) one.destroy();
      await gate.standin.wait({ aborted: n }, 30000);
    } };
  }

  test('hold no thread each while the model works', async () => {
    await servesOthers();
    const before = threads();
    const held = await hold(40);

    assert.equal(threads(), before);
    await servesOthers();
    await held.leave();
  });

  test('more than MAX_IN_FLIGHT are told so, and their places come back',
    async () => {
      const held = await hold(64);
      const statuses = async (n) => (await Promise.all(
        Array.from({ length: n }, () => ask()))).map(({ status }) => status);

      assert.deepEqual(await statuses(20), Array(20).fill(503));
      await held.leave();
      await eventually(async () => (await statuses(64))
        .every((status) => status === 200));
    });

  test('a long answer is read at its reader\'s pace', async () => {
    const body = JSON.stringify(faulty('huge=3000000').json);
    const { socket: slow, answer } = connect(socket);

    slow.write(request(variables(body), body));
    slow.pause();
    await servesOthers();
    slow.resume();
    const { status, text, ended } = await answer;
    assert.equal(status, 200);
    assert.ok(ended);
    assert.ok(text.length > 3000000, `${text.length} bytes`);
  });
});
