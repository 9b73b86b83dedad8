'use strict';
// Clients that go away, or stop reading: the upstream's work ends, the place is
// free again, and the journal knows.
const { after, before, beforeEach, describe, test } = require('node:test');
const assert = require('node:assert/strict');
const http = require('node:http');
const http2 = require('node:http2');
const https = require('node:https');
const { setTimeout: sleep } = require('node:timers/promises');
const { startStack, eventually } = require('./lib/stack');
const { notOnCaddy } = require('./lib/servers');
const { journal } = require('./lib/journal');
const { CHAT, chat, faulty, form, rawClient } = require('./lib/calls');

const env = { UPSTREAM_IDLE_TIMEOUT: '1', UPSTREAM_FIRST_BYTE_TIMEOUT: '30' };
let plain, tls, tls2;
before(async () => {
  [plain, tls, tls2] = await Promise.all([startStack({ env }),
    startStack({ tls: true, env }), startStack({ tls: true, env })]);
});
after(() => Promise.all([plain, tls, tls2].map((gate) => gate?.stop())));

const SOON = 250;

async function half(gate, body) {
  const { socket } = await rawClient(gate, body);
  return { leave: () => socket.end(), close: () => socket.destroy() };
}

/* A connection that has served a request before. */
async function keptAlive(gate, body) {
  const { request: send, Agent } = gate.ca ? https : http;
  const agent = new Agent({ keepAlive: true, ca: gate.ca });
  const begin = (options, text) => send(new URL(CHAT, gate.baseUrl), { agent,
    method: 'POST', headers: { authorization: `Bearer ${gate.apiKey}`,
      'content-length': Buffer.byteLength(text) }, ...options });
  const warm = JSON.stringify(chat().json);
  await new Promise((resolve, reject) => begin({}, warm).on('error', reject)
    .on('response', (answer) => answer.resume().on('end', resolve)).end(warm));
  const text = JSON.stringify(body);
  /* As after a new connection; see rawClient. */
  await sleep(100);
  const request = begin({}, text).on('error', () => {})
    .on('response', (answer) => answer.on('error', () => {}).resume());
  request.end(text);
  return { leave: () => { request.destroy(); agent.destroy(); } };
}

function stream2(gate, body) {
  const exchange = gate.open(CHAT, { http: 2, json: body });
  exchange.body.on('error', () => {}).resume();
  return exchange;
}
/* A reset of the stream; the connection stays. */
async function reset(gate, body) {
  const exchange = stream2(gate, body);
  return { leave: exchange.abort, close: exchange.close };
}
async function close2(gate, body) {
  return { leave: stream2(gate, body).close };
}

const WAYS = [
  ['HTTP/1.1', () => plain, rawClient],
  ['HTTP/1.1, sending side only', () => plain, half],
  ['HTTP/1.1, connection used before', () => plain, keptAlive],
  ['TLS', () => tls, rawClient],
  ['TLS, connection used before', () => tls, keptAlive],
  ['HTTP/2, stream reset', () => tls, reset],
  ['HTTP/2, connection closed', () => tls, close2],
];
const MOMENTS = [
  ['before the head', 'delay-head=20000', false, 0],
  ['before the head of a stream', 'delay-head=20000', true, 0],
  ['before the first event', 'delay-body=900', true, 0],
  ['within a stream', 'rate=50,words=2000', true, 200],
  ['within a stream that is silent', 'stall-after=3', true, 200],
  ['within a whole answer', 'huge=100000,slow-body=1000,pause=20', false, 200],
];

describe('the upstream call ends', { timeout: 60000,
  skip: notOnCaddy('gone') }, () => {
  beforeEach(() => Promise.all([plain, tls].map((gate) => gate.standin.reset())));

  for (const [way, gate, begin] of WAYS)
    test(way, async (t) => {
      const times = [];
      for (const [moment, faults, stream, wait] of MOMENTS) {
        const { standin } = gate();
        await standin.reset();
        const client = await begin(gate(), faulty(faults, { stream }).json);
        await standin.wait({ open: 1 });
        const count = journal(gate()).length;
        await sleep(wait || 30);
        const left = performance.now();
        client.leave();
        await standin.wait({ aborted: 1 }, 5000)
          .catch((error) => { throw new Error(`${moment}: ${error.message}`); });
        times.push(performance.now() - left);
        assert.ok(times.at(-1) < SOON, `${moment}: ${times.at(-1)} ms`);
        client.close?.();
        await eventually(() => journal(gate()).length > count);
        const last = journal(gate()).at(-1);
        assert.equal(last.estimated, 1, moment);
        assert.ok(last.prompt > 0);
      }
      t.diagnostic(`after ${times.map((ms) => ms.toFixed(1)).join(', ')} ms`);
    });

  test('who leaves in the middle of an upload calls nobody', async () => {
    for (const gate of [plain, tls]) {
      const socket = await gate.socket();
      const { body, headers } = form({ model: 'whisper-large-v3' },
        Buffer.alloc(1e6));
      socket.write('POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\n' +
        `X-API-Key: ${gate.apiKey}\r\nContent-Length: ${body.length}\r\n` +
        `Content-Type: ${headers['content-type']}\r\n\r\n`);
      socket.write(body.subarray(0, 500000));
      await sleep(100);
      socket.destroy();
      await sleep(200);
      assert.equal((await gate.standin.stats()).requests, 0);
    }
  });
});

describe('who stops reading', { timeout: 60000, concurrency: true }, () => {
  const stall2 = async (gate, body, key) => {
    /* With the smallest window lighttpd 1.4.69 sends past it and the stream
       ends at once. */
    const connection = http2.connect(gate.baseUrl, { ca: gate.ca,
      settings: { initialWindowSize: 1 << 20 } });
    connection.on('error', () => {});
    const text = JSON.stringify(body);
    const stream = connection.request({ ':method': 'POST', ':path': CHAT,
      authorization: `Bearer ${key}`, 'content-length': text.length });
    stream.on('error', () => {});
    stream.end(text);
    return { leave: () => connection.destroy() };
  };
  const stall1 = async (gate, body, key) => {
    const { socket, leave } = await rawClient(gate, body, key);
    socket.pause();
    return { leave };
  };

  for (const [way, gate, begin] of [['HTTP/1.1', () => plain, stall1],
    ['TLS', () => tls, stall1], ['HTTP/2', () => tls2, stall2]])
    test(`over ${way}, gives its place back`, async (t) => {
      const { key } = gate().pmkey('create', '--label', 'slow', '--parallel', '1');
      for (const stream of [true, false]) {
        await gate().standin.reset();
        const client = await begin(gate(),
          faulty('huge=20000000', { stream }).json, key);
        await gate().standin.wait({ open: 1 });
        const stalled = performance.now();
        const busy = await gate().request(CHAT, { ...chat(), key });
        assert.equal(busy.status, 429);
        await gate().standin.wait({ aborted: 1 }, 10000);
        const ms = performance.now() - stalled;
        t.diagnostic(`${stream ? 'stream' : 'whole'}: after ${Math.round(ms)} ms`);
        assert.ok(ms > 900 && ms < 6000, `${ms} ms`);
        await eventually(async () =>
          (await gate().request(CHAT, { ...chat(), key })).status === 200, 1000);
        client.leave();
      }
    });
});
