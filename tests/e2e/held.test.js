'use strict';
/*
 * What clients can make the gate hold: two hundred of them at once, with bodies
 * of 30 MB, without a key, with a wrong one, and all with the same valid one;
 * and what happens when RUN_DIR is full.
 */
const assert = require('node:assert/strict');
const child_process = require('node:child_process');
const fs = require('node:fs');
const http2 = require('node:http2');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');
const { startStack, eventually } = require('./lib/stack');
const { assertOpenaiError, chat, parseAnswer } = require('./lib/front');
const { residentOf } = require('./lib/processes');
const { notOnCaddy } = require('./lib/servers');

const CLIENTS = 200;
const MB = 1000 * 1000;
const BODY = 30 * MB;
const SHARE = 64 * MB;
/* What two bodies leave no room for. */
const REST = 5 * MB;
const CHAT = '/v1/chat/completions';
/* What each sends before it waits for an answer. */
const EAGER = 4 * MB;
/* Buffers of connections and answers; bodies would be a hundred times that. */
const GROWTH = 60 * MB;
const PATIENCE_MS = 60000;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
/* A long question that gets a short answer. */
const long = (bytes) => ({ ...chat('x'.repeat(bytes)),
  model: 'standin/words=1' });
const piece = Buffer.alloc(64 * 1024, 'x');

function upload(gate) {
  const folder = path.join(gate.runDir, 'upload');
  return fs.readdirSync(folder).reduce((sum, name) => {
    try {
      return sum + fs.statSync(path.join(folder, name)).blocks * 512;
    } catch {
      return sum; // gone meanwhile
    }
  }, 0);
}

/* The largest of upload folder and of each process, until it is told to end. */
function watch(gate) {
  const pids = [gate.serverPid, ...gate.responders()];
  const atFirst = pids.map(residentOf);
  const most = { upload: 0, growth: 0 };
  let going = true;
  const done = (async () => {
    while (going) {
      most.upload = Math.max(most.upload, upload(gate));
      pids.forEach((pid, i) => {
        most.growth = Math.max(most.growth, residentOf(pid) - atFirst[i]);
      });
      await pause(20);
    }
  })();

  return { end: async () => {
    going = false;
    await done;
    return most;
  } };
}

/* Small chats, one after the other, three at least; the times they took. */
function honest(gate) {
  const times = [];
  let going = true;
  const done = (async () => {
    while (going || times.length < 3) {
      const began = Date.now();
      const answer = await gate.request(CHAT, { json: chat('hello') });
      assert.equal(answer.status, 200, answer.text);
      times.push(Date.now() - began);
      await pause(10);
    }
  })();

  done.catch(() => {});
  return { end: async () => {
    going = false;
    await done;
    return times;
  } };
}

const LENGTH = (n) => `Content-Length: ${n}`;
const CHUNKED = 'Transfer-Encoding: chunked';

/*
 * A client that sends a head and then as much as it is let, and no end. It
 * resolves with its socket, and the answer if one came.
 */
async function hostile(gate, key, how, eager = EAGER, target = CHAT) {
  const socket = await gate.socket();
  const chunked = how === CHUNKED;
  const state = { socket, text: '' };
  let sent = 0;

  socket.setMaxListeners(0);
  socket.setEncoding('latin1');
  socket.on('data', (text) => { state.text += text; });
  socket.write(`POST ${target} HTTP/1.1\r\nHost: a\r\n` +
    (key ? `Authorization: Bearer ${key}\r\n` : '') + `${how}\r\n\r\n`);
  while (sent < eager && state.text === '' && !socket.destroyed) {
    const n = Math.min(piece.length, eager - sent);
    sent += n;
    if (chunked) socket.write(`${n.toString(16)}\r\n`);
    if (!socket.write(piece.subarray(0, n)) && !socket.destroyed)
      await Promise.race([new Promise((resolve) => {
        for (const event of ['drain', 'data', 'close'])
          socket.once(event, resolve);
      })]);
    if (chunked) socket.write('\r\n');
    await new Promise(setImmediate);
  }
  return state;
}

/* All at once; their answers are what 'ended' says when that is true. */
async function attack(gate, { key, how = LENGTH(BODY), eager }, settled) {
  const seen = watch(gate), small = honest(gate);
  const clients = await Promise.all(Array.from({ length: CLIENTS },
    () => hostile(gate, key, how, eager)));

  await eventually(() => settled(clients.filter(({ text }) =>
    text.includes('}}'))), PATIENCE_MS);
  const times = await small.end();
  const most = await seen.end();
  const answers = clients.map(({ text }) => text).filter(Boolean)
    .map(parseAnswer);
  return { clients, answers, most, times,
    leave: () => clients.forEach(({ socket }) => socket.destroy()) };
}

function assertServed(times) {
  assert.ok(Math.max(...times) < 10000, `a chat took ${Math.max(...times)} ms`);
}

describe('two hundred hostile clients', { skip: notOnCaddy('own') }, () => {
  let gate;

  before(async () => {
    gate = await startStack({ env: { MAX_KEY_BODY_MEMORY: String(SHARE),
      MAX_BODY_BYTES: String(BODY) } });
    // Threads and connections once, so that growth is that of bodies.
    await Promise.all(Array.from({ length: 50 }, () =>
      gate.request(CHAT, { json: chat('hello') })));
  });
  after(() => gate?.stop());

  const outside = [
    ['without a key', undefined, LENGTH(BODY), 401, null],
    ['without a key, chunked', undefined, CHUNKED, 401, null],
    ['with a wrong key', 'pm_wrong', LENGTH(BODY), 401, 'invalid_api_key'],
  ];

  for (const [who, key, how, status, code] of outside)
    test(`${who}: each is refused before its body, and nothing is held`,
      async (t) => {
        const { answers, most, times, leave } = await attack(gate,
          { key, how }, (done) => done.length === CLIENTS);

        leave();
        for (const answer of answers) assertOpenaiError(answer, status, code);
        t.diagnostic(`upload ${most.upload}, growth ${most.growth}, ` +
          `${times.length} small chats, longest ${Math.max(...times)} ms`);
        assert.equal(most.upload, 0);
        assert.ok(most.growth < GROWTH, `${most.growth} bytes more`);
        assertServed(times);
      });

  for (const [how, fits] of [[LENGTH(BODY), 2], [CHUNKED, 2]])
    test(`with one valid key, ${how}: its share and no more`, async (t) => {
      const { answers, clients, most, times, leave } = await attack(gate,
        { key: gate.apiKey, how, eager: BODY - 1000 },
        (done) => done.length === CLIENTS - fits);

      for (const answer of answers) {
        assertOpenaiError(answer, 429, 'rate_limit_exceeded');
        assert.ok(Number(answer.headers['retry-after']) >= 1);
      }
      t.diagnostic(`upload ${most.upload}, growth ${most.growth}, ` +
        `${times.length} small chats, longest ${Math.max(...times)} ms`);
      assert.ok(most.upload > BODY / 2, 'nothing came at all');
      assert.ok(most.upload <= SHARE, `${most.upload} bytes held`);
      assert.ok(most.growth < GROWTH, `${most.growth} bytes more`);
      assertServed(times);
      /* Who is in may hold on as long as it likes, and others come in. */
      assert.equal(clients.filter(({ text, socket }) =>
        text === '' && !socket.destroyed).length, fits);
      const other = gate.pmkey('create', '--label', 'other').key;
      assert.equal((await gate.request(CHAT,
        { key: other, json: long(MB) })).status, 200);
      leave();
      /* Once they are gone the key has its share again. */
      await eventually(async () => (await gate.request(CHAT,
        { json: long(REST) })).status === 200, PATIENCE_MS);
      await eventually(() => upload(gate) === 0);
    });

  for (const target of ['/nothing', '/', '/admin/login', '/help', '/.error',
    '/.well-known/acme-challenge/abc'])
    test(`outside of the API nothing is held: ${target}`, async () => {
      const seen = watch(gate);

      for (const how of [LENGTH(BODY), CHUNKED]) {
        const one = await hostile(gate, undefined, how, EAGER, target);
        await eventually(() => /^HTTP\/1.1 4\d\d /.test(one.text), PATIENCE_MS);
        one.socket.destroy();
      }
      assert.equal((await seen.end()).upload, 0);
    });

  test('small bodies that never end: no file, and little memory', async () => {
    const seen = watch(gate), small = honest(gate);
    const clients = await Promise.all(Array.from({ length: CLIENTS },
      () => hostile(gate, undefined, LENGTH(9999), 9998)));

    await pause(300); // for what must not come
    assertServed(await small.end());
    const most = await seen.end();
    for (const { text } of clients) assert.equal(text, '');
    assert.equal(most.upload, 0);
    assert.ok(most.growth < GROWTH, `${most.growth} bytes more`);
    for (const { socket } of clients) socket.destroy();
  });

  test('heads that never end are no burden either', async () => {
    const small = honest(gate);
    const sockets = await Promise.all(Array.from({ length: CLIENTS },
      () => gate.socket()));

    for (const socket of sockets)
      socket.write(`POST ${CHAT} HTTP/1.1\r\nHost: a\r\nX-Long: `);
    await pause(300);
    assertServed(await small.end());
    for (const socket of sockets) socket.destroy();
  });
});

describe('over HTTP/2', { skip: notOnCaddy('own') }, () => {
  let gate;

  before(async () => {
    gate = await startStack({ tls: true, env: { MAX_BODY_BYTES: String(BODY),
      MAX_KEY_BODY_MEMORY: String(SHARE) } });
  });
  after(() => gate?.stop());

  /* Six at once on each of forty connections; lighttpd lets eight. */
  async function streams(key, settled) {
    const connections = Array.from({ length: 40 }, () =>
      http2.connect(gate.baseUrl, { ca: gate.ca }));
    const statuses = [];

    for (const connection of connections) {
      connection.on('error', () => {});
      for (let i = 0; i < 6; i++) {
        const stream = connection.request({ ':method': 'POST', ':path': CHAT,
          'content-length': BODY, ...(key && { 'x-api-key': key }) });
        stream.on('error', () => {});
        stream.on('response', (head) => statuses.push(head[':status']));
        stream.resume();
        for (let n = 0; n < 16; n++) stream.write(piece);
      }
    }
    await eventually(() => settled(statuses), PATIENCE_MS);
    return { statuses, leave: () => connections.forEach((c) => c.destroy()) };
  }

  for (const [who, key, inside] of [['no key', () => undefined, 0],
    ['one valid key', () => gate.apiKey, 2]])
    test(`240 streams with ${who}`, async () => {
      const seen = watch(gate), small = honest(gate);
      const { statuses, leave } = await streams(key(),
        (all) => all.length === 240 - inside);
      const most = await seen.end();

      assertServed(await small.end());
      assert.deepEqual([...new Set(statuses)], [inside ? 429 : 401]);
      assert.ok(most.upload <= (inside ? SHARE : 0), `${most.upload} held`);
      assert.ok(most.growth < GROWTH, `${most.growth} bytes more`);
      leave();
      await eventually(async () => (await gate.request(CHAT,
        { http: 2, json: long(REST) })).status === 200, PATIENCE_MS);
    });
});

/* A tmpfs of its own, if this process may mount one. */
function mountSmall(bytes) {
  const folder = fs.mkdtempSync('/tmp/pmheld-');
  const mount = child_process.spawnSync('mount', ['-t', 'tmpfs', '-o',
    `size=${bytes},mode=0700`, 'pmheld', folder]);

  if (mount.status === 0) {
    fs.mkdirSync(path.join(folder, 'upload'), { mode: 0o700 });
    return folder;
  }
  fs.rmdirSync(folder);
  return undefined;
}

describe('a RUN_DIR that is full', { skip: notOnCaddy('own') }, () => {
  const folder = mountSmall(50 * MB);
  /* The limits take 34 MB; one of these fits, and no second. */
  const LARGE = 8 * MB;
  const skip = !folder && 'no right to mount a tmpfs';
  const filler = folder && path.join(folder, 'filler');
  let gate;
  const send = (bytes) => gate.request(CHAT, { json: long(bytes) });

  before(async () => {
    if (!folder) return;
    gate = await startStack({ env: { RUN_DIR: folder, PROCESSES: '1',
      MAX_BODY_BYTES: String(LARGE) } });
  });
  after(async () => {
    await gate?.stop();
    if (!folder) return;
    child_process.execFileSync('umount', [folder]);
    fs.rmdirSync(folder);
  });

  test('two large bodies do not fit: the second comes back later', { skip },
    async () => {
      const first = await hostile(gate, gate.apiKey, LENGTH(LARGE), 2 * MB);
      const second = await send(LARGE - MB);

      assert.equal(first.text, '');
      assertOpenaiError(second, 503, 'server_is_overloaded');
      assert.ok(Number(second.headers['retry-after']) >= 1);
      assert.equal((await send(100)).status, 200);
      first.socket.destroy();
      await eventually(async () => (await send(LARGE - MB)).status === 200,
        PATIENCE_MS);
    });

  test('full to the brim: 503 before the body, small ones pass, and it ' +
    'recovers', { skip }, async () => {
    fs.writeFileSync(filler, Buffer.alloc(12 * MB));
    const answer = await send(5 * MB);
    assertOpenaiError(answer, 503, 'server_is_overloaded');
    assert.equal((await send(100)).status, 200);
    fs.rmSync(filler);
    assert.equal((await send(5 * MB)).status, 200);
  });

  test('full in the middle of a body: an error object, and it recovers',
    { skip }, async () => {
      const first = await hostile(gate, gate.apiKey, LENGTH(LARGE), MB);

      await eventually(() => upload(gate) > 0);
      try {
        fs.writeFileSync(filler, Buffer.alloc(20 * MB));
      } catch (error) {
        if (error.code !== 'ENOSPC') throw error;
      }
      first.socket.write(Buffer.alloc(LARGE - MB));
      await eventually(() => first.text.includes('}}'), PATIENCE_MS);
      assertOpenaiError(parseAnswer(first.text), 500, null);
      first.socket.destroy();
      assert.equal((await send(100)).status, 200);
      fs.rmSync(filler);
      await eventually(async () => (await send(5 * MB)).status === 200,
        PATIENCE_MS);
    });
});
