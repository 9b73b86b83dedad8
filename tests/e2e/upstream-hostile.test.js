'use strict';
/*
 * The upstream as an adversary: each row says what it sends, and what the
 * client must see of it. Whatever it does ends by a bound, takes no memory to
 * speak of, and puts no word of its own into the log or another's answer.
 */
const { after, before, describe, test } = require('node:test');
const assert = require('node:assert/strict');
const { EventEmitter, once: happens } = require('node:events');
const fs = require('node:fs');
const zlib = require('node:zlib');
const { startStack, eventually, events } = require('./lib/stack');
const { flood, startHostile, trickle } = require('./lib/hostile');
const { STREAM, chunk } = require('./lib/upstream');
const { CHAT, checkError, checkHead } = require('./lib/calls');

/* In all that the upstream says: the log must not know it. */
const WORD = 'waterbuffalo';
const SECONDS = 4; /* of a whole answer at most */
const GROWTH = 48 << 10; /* KiB that a responder may need more for all this */

const JSON_HEAD = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n';
const DOCUMENT = JSON.stringify({ id: WORD, choices: [],
  usage: { prompt_tokens: 2, completion_tokens: 3, total_tokens: 5 } });
const sized = (body, head = JSON_HEAD) =>
  `${head}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
const event = (text) =>
  `data: {"choices":[{"delta":{"content":"${text}"}}]}\n\n`;
const BOMB = zlib.gzipSync(Buffer.alloc(32 << 20), { level: 1 });
const KIB = `${WORD} `.repeat(80).slice(0, 1024);
const once = (...pieces) => (socket) => {
  for (const piece of pieces) socket.write(piece);
};
const close = (...pieces) => (socket) => socket.end(Buffer.concat(
  pieces.map((piece) => Buffer.from(piece, 'latin1'))));
const then = (head, go, ...more) => (socket) => {
  socket.write(head);
  go(socket, ...more);
};
const unread = (answer) => Object.assign(answer, { unread: true });

/* What a client must see. */
const unreachable = ({ answer }) =>
  checkError(answer, 502, 'server_error', 'upstream_unreachable');
const late = ({ answer }) =>
  checkError(answer, 504, 'server_error', 'upstream_timeout');
const cut = ({ answer, error, head }) => {
  assert.ok(error, `taken for whole: ${answer?.text.length} bytes`);
  assert.equal(head.status, 200);
};
const whole = ({ answer }) => {
  assert.equal(answer?.status, 200, answer?.text);
  checkHead(answer, 'application/json');
  assert.equal(answer.text, DOCUMENT);
};
/* An error that SDKs raise stands last, and nothing says [DONE]. */
const broken = ({ answer }) => {
  assert.equal(answer?.status, 200, answer?.text);
  checkHead(answer, 'text/event-stream');
  assert.ok(!answer.text.includes('[DONE]'));
  assert.equal(JSON.parse(events(answer.text).at(-1).data).error.code,
    'upstream_unreachable');
};

/* name: [what the upstream does, what is seen, a stream?] */
const ROWS = {
  /* A head without end. */
  'head-line-without-end': [then(`${JSON_HEAD}X-A: `, flood, KIB), unreachable],
  'head-of-many-lines': [then(JSON_HEAD, flood, `X-A: ${KIB}\r\n`),
    unreachable],
  'informational-flood': [(socket) =>
    flood(socket, 'HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n'.repeat(20)),
  unreachable],
  'informational-then-answer': [once('HTTP/1.1 103 Early Hints\r\n' +
    'Content-Type: text/html\r\nRetry-After: 9\r\n\r\n', sized(DOCUMENT)),
  whole],

  /* What is no answer in HTTP/1.1. */
  'http-09': [close(`<html>${WORD}</html>`), unreachable],
  'http-2-preface': [close('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), unreachable],
  'http-2-frames': [close('\x00\x00\x12\x04\x00\x00\x00\x00\x00'.repeat(9)),
    unreachable],
  'http-2-by-name': [close(sized(DOCUMENT,
    JSON_HEAD.replace('HTTP/1.1', 'HTTP/2'))), unreachable],
  'http-3-by-name': [close(sized(DOCUMENT,
    JSON_HEAD.replace('HTTP/1.1', 'HTTP/3.0'))), unreachable],
  'upgrade': [once('HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n' +
    'Connection: Upgrade\r\n\r\n', DOCUMENT), unreachable],
  'upgrade-flood': [then('HTTP/1.1 101 Switching Protocols\r\n' +
    'Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n', flood, KIB),
  unreachable],
  'status-of-two-digits': [close('HTTP/1.1 20 OK\r\n\r\n'), unreachable],
  'status-0': [close('HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n'),
    unreachable],
  'status-999': [close(`HTTP/1.1 999 ${WORD}\r\nContent-Length: 0\r\n\r\n`),
    unreachable],
  'no-content': [close('HTTP/1.1 204 No Content\r\n\r\n'), unreachable],
  'part-of-it': [close(sized(DOCUMENT, 'HTTP/1.1 206 Partial Content\r\n' +
    'Content-Type: application/json\r\nContent-Range: bytes 0-98/99999\r\n')),
  unreachable],
  'not-modified': [close('HTTP/1.1 304 Not Modified\r\n\r\n'), unreachable],
  'redirect': [close(`HTTP/1.1 307 ${WORD}\r\nLocation: /v1/chat/completions` +
    '\r\nContent-Length: 0\r\n\r\n'), unreachable],
  'redirect-to-a-file': [close('HTTP/1.1 301 x\r\nLocation: ' +
    'file:///etc/passwd\r\nContent-Length: 0\r\n\r\n'), unreachable],
  'refresh': [close(sized(DOCUMENT, `${JSON_HEAD}Refresh: 0; url=//x\r\n`)),
    whole],

  /* Fields. */
  'fields-of-its-own': [once(sized(DOCUMENT, `${JSON_HEAD}` +
    `Set-Cookie: a=${WORD}\r\nServer: ${WORD}\r\nX-Secret: ${WORD}\r\n` +
    'Keep-Alive: timeout=9\r\nX-Powered-By: x\r\n' +
    'Access-Control-Allow-Origin: *\r\nStatus: 201\r\nX-Sendfile: /etc/passwd' +
    '\r\nX-LIGHTTPD-send-file: /etc/passwd\r\nX-Accel-Redirect: /admin\r\n' +
    'Strict-Transport-Security: max-age=0\r\nTrailer: X-Trailed\r\n')),
  (seen) => {
    whole(seen);
    const { headers } = seen.answer;
    for (const name of ['access-control-allow-origin', 'status', 'x-sendfile',
      'x-lighttpd-send-file', 'x-accel-redirect', 'strict-transport-security',
      'trailer'])
      assert.equal(headers[name], undefined, name);
  }],
  'type-with-a-carriage-return': [close(sized(DOCUMENT,
    'HTTP/1.1 200 OK\r\nContent-Type: application/json\rSet-Cookie: a=b\r\n')),
  unreachable],
  'type-with-control-bytes': [close(sized(DOCUMENT,
    'HTTP/1.1 200 OK\r\nContent-Type: application/\x01json\r\n')), unreachable],
  'stream-type-with-a-carriage-return': [close(STREAM.replace('event-stream',
    'event-stream\rX: y'), chunk('data: [DONE]\n\n'), '0\r\n\r\n'),
  unreachable, true],
  'type-with-a-nul': [close(sized(DOCUMENT,
    'HTTP/1.1 200 OK\r\nContent-Type: application/json\x00\r\n')), unreachable],
  'retry-after-with-control-bytes': [close(sized(DOCUMENT,
    `${JSON_HEAD}Retry-After: 5\rX: y\r\n`)), unreachable],
  'field-that-goes-on': [close(sized(DOCUMENT,
    `${JSON_HEAD}X-A: b\r\n\tSet-Cookie: a=b\r\n`)), whole],

  /* Lengths. */
  'length-too-long': [close(`${JSON_HEAD}Content-Length: 999\r\n\r\n`,
    DOCUMENT), unreachable],
  'length-too-short': [once(sized(DOCUMENT), KIB), whole],
  'length-negative': [close(`${JSON_HEAD}Content-Length: -5\r\n\r\n`, DOCUMENT),
    unreachable],
  'length-beyond-counting': [close(
    `${JSON_HEAD}Content-Length: ${'9'.repeat(30)}\r\n\r\n`, DOCUMENT),
  unreachable],
  'length-of-no-number': [close(`${JSON_HEAD}Content-Length: 0x10\r\n\r\n`,
    DOCUMENT), unreachable],
  'two-lengths': [close(`${JSON_HEAD}Content-Length: 5\r\n`,
    `Content-Length: ${DOCUMENT.length}\r\n\r\n`, DOCUMENT), unreachable],
  'two-lengths-in-one': [close(`${JSON_HEAD}Content-Length: 5, ` +
    `${DOCUMENT.length}\r\n\r\n`, DOCUMENT), unreachable],
  'length-and-chunks': [close(`${JSON_HEAD}Content-Length: 5\r\n`,
    'Transfer-Encoding: chunked\r\n\r\n', chunk(DOCUMENT), '0\r\n\r\n'),
  unreachable],
  'chunks-and-length': [close(`${JSON_HEAD}Transfer-Encoding: chunked\r\n`,
    'Content-Length: 5\r\n\r\n', chunk(DOCUMENT), '0\r\n\r\n'), unreachable],

  /* Chunks. */
  'chunk-of-no-size': [close(`${JSON_HEAD}Transfer-Encoding: chunked\r\n\r\n`,
    'zz\r\n', DOCUMENT), unreachable],
  'chunk-size-beyond-counting': [close(
    `${JSON_HEAD}Transfer-Encoding: chunked\r\n\r\n`, 'f'.repeat(40), '\r\n',
    DOCUMENT), unreachable],
  'chunk-too-long': [close(`${JSON_HEAD}Transfer-Encoding: chunked\r\n\r\n`,
    `5\r\n${DOCUMENT}`, '0\r\n\r\n'), unreachable],
  'chunks-without-their-end': [close(
    `${JSON_HEAD}Transfer-Encoding: chunked\r\n\r\n`, chunk(DOCUMENT)),
  unreachable],
  'trailers': [once(`${JSON_HEAD}Transfer-Encoding: chunked\r\n\r\n`,
    chunk(DOCUMENT), '0\r\nContent-Type: text/html\r\nSet-Cookie: a=b\r\n' +
    'Content-Length: 3\r\n\r\n'), whole],
  'trailers-without-end': [then(
    `${JSON_HEAD}Transfer-Encoding: chunked\r\n\r\n${chunk(DOCUMENT)}0\r\n`,
    flood, `X-A: ${KIB}\r\n`), unreachable],
  'chunked-twice': [close(`${JSON_HEAD}Transfer-Encoding: chunked, chunked` +
    `\r\n\r\n${chunk(chunk(DOCUMENT))}0\r\n\r\n`), unreachable],

  /* Encodings that nobody asked for, bombs among them. */
  'gzip': [close(`${JSON_HEAD}Content-Encoding: gzip\r\n\r\n`,
    BOMB.toString('latin1')), unreachable],
  'gzip-of-a-stream': [(socket) => socket.end(Buffer.concat([Buffer.from(
    'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n' +
    'Content-Encoding: gzip\r\n\r\n'), zlib.gzipSync('data: [DONE]\n\n')])),
  unreachable, true],
  'gzip-as-transfer': [(socket) => socket.end(Buffer.concat([Buffer.from(
    `${JSON_HEAD}Transfer-Encoding: gzip\r\n\r\n`),
  BOMB])), unreachable],
  'identity': [once(sized(DOCUMENT,
    `${JSON_HEAD}Content-Encoding: identity\r\n`)), whole],

  /* Bodies without end. */
  'error-without-end': [then('HTTP/1.1 500 x\r\n\r\n', flood, KIB.repeat(64)),
    ({ answer }) => checkError(answer, 500, 'server_error', null)],
  'done-within-a-line': [close(STREAM, chunk(event('data: [DONE]')),
    chunk('data: x[DONE]\n\n'), chunk('xdata: [DONE]\n\n'), '0\r\n\r\n'),
  ({ answer }) => assert.equal(JSON.parse(events(answer.text).at(-1).data)
    .error.code, 'upstream_unreachable'), true],

  /* Before the request is read. */

  /* Counts that lie. */
  'counts-beyond-counting': [once(sized(DOCUMENT.replace('"total_tokens":5',
    `"total_tokens":${'9'.repeat(400)}`))), ({ answer }) =>
    assert.equal(answer.status, 200)],
  'counts-below-zero': [once(sized(DOCUMENT.replace('"total_tokens":5',
    '"total_tokens":-5'))), ({ answer }) => assert.equal(answer.status, 200)],
};

/* What goes on for ever, until a clock ends it. */
const SLOW = {
  'head-that-trickles': [then(JSON_HEAD, trickle, `X-A: ${WORD}\r\n`), late],
  'status-line-that-trickles': [then('HTTP/1.1 200 ', trickle, 'O'), late],
  'informational-trickle': [(socket) =>
    trickle(socket, 'HTTP/1.1 100 Continue\r\n\r\n'), late],
  'length-too-long-and-silence': [once(
    `${JSON_HEAD}Content-Length: 999\r\n\r\n`, DOCUMENT), unreachable],
  'chunk-extension-without-end': [then(
    `${JSON_HEAD}Transfer-Encoding: chunked\r\n\r\n5;`, trickle, KIB),
  unreachable],
  'trailers-that-trickle': [then(
    `${JSON_HEAD}Transfer-Encoding: chunked\r\n\r\n${chunk(DOCUMENT)}0\r\n`,
    trickle, 'X-A: b\r\n'), unreachable],
  'body-that-trickles': [then(`${JSON_HEAD}\r\n`, trickle, ' '), unreachable],
  'error-that-trickles': [then('HTTP/1.1 400 x\r\n\r\n', trickle, 'x'),
    ({ answer }) => checkError(answer, 400, 'invalid_request_error', null)],
  'stream-that-trickles': [then(STREAM, trickle, chunk(event(WORD))), broken,
    true],
  'comments-that-trickle': [then(STREAM, trickle, chunk(': ping\n\n')), broken,
    true],
  'line-without-end': [then(STREAM, trickle, chunk(KIB.repeat(64)), 20), broken,
    true],
  'name-without-end': [then(`${STREAM}${chunk('data')}`, trickle, chunk('a')),
    broken, true],
  'undecided-without-end': [then(`${STREAM}${chunk('data: {"usage":{"x":[')}`,
    trickle, chunk('1,'.repeat(8192)), 20), broken, true],
  'line-ends-without-end': [then(STREAM, trickle,
    chunk('\n'.repeat(65536)), 20), broken, true],
  'carriage-returns-without-end': [then(STREAM, trickle,
    chunk('\r'.repeat(65536)), 20), broken, true],
  'after-its-last-event': [then(`${STREAM}${chunk('data: [DONE]\n\n')}`,
    trickle, chunk(event(WORD))), ({ answer }) => {
    assert.equal(answer?.status, 200);
    assert.ok(answer.text.includes('data: [DONE]\n\n'));
  }, true],
  'early-and-whole': [unread(once(sized(DOCUMENT))), ({ answer }) =>
    assert.ok([200, 502, 504].includes(answer.status), answer.text)],
  'early-and-closed': [unread(close(sized(DOCUMENT,
    JSON_HEAD.replace('200', '413')))), ({ answer }) =>
    assert.ok([413, 502].includes(answer.status), answer.text)],
  'never-read': [unread(() => {}), late],
};

/* Ends by its size: 256 MiB each. */
const LARGE = {
  'body-without-end': [then(`${JSON_HEAD}\r\n`, flood, KIB.repeat(64)), cut],
  'stream-without-end': [then(STREAM, flood,
    chunk(event(WORD).repeat(500))), broken, true],
};

let upstream, gate, brisk;
/* Of a gate's responder: memory at its highest. */
const peak = (one) => Number(/^VmHWM:\s+(\d+) kB/m.exec(fs.readFileSync(
  `/proc/${one.responders()[0]}/status`, 'utf8'))[1]);

before(async () => {
  const env = { PROCESSES: '1' };
  upstream = await startHostile(Object.fromEntries(
    Object.entries({ ...ROWS, ...SLOW, ...LARGE }).map(([name, [answer]]) =>
      [name, answer])));
  [gate, brisk] = await Promise.all([
    startStack({ upstream: upstream.url, env }),
    startStack({ upstream: upstream.url, env: { ...env,
      UPSTREAM_FIRST_BYTE_TIMEOUT: '3', UPSTREAM_IDLE_TIMEOUT: '2',
      UPSTREAM_TOTAL_TIMEOUT: SECONDS } })]);
  for (const one of [gate, brisk])
    one.before = { pids: one.responders(), peak: peak(one) };
});
after(async () => {
  await Promise.all([gate, brisk].map((one) => one?.stop()));
  await upstream?.stop();
});

/* Reads and forgets most of it: some of these are large. */
async function ask(one, model, stream, junk) {
  const exchange = one.open(CHAT,
    { json: { model, stream, messages: [], junk } });
  const seen = { head: await exchange.head };
  const kept = [];
  let size = 0;

  try {
    for await (const piece of exchange.body) {
      size += piece.length;
      kept.push(piece);
      if (size > 1 << 20) kept.splice(0, kept.length - 2);
    }
    const text = Buffer.concat(kept).toString();
    seen.answer = { ...seen.head, text, json: () => JSON.parse(text) };
  } catch (error) {
    seen.error = error;
  } finally {
    exchange.close();
  }
  return seen;
}

function play(rows, title, whose, options) {
  describe(title, { timeout: 120000, ...options }, () => {
    for (const [name, [answer, check, stream = false]] of Object.entries(rows))
      test(name, async () => {
        check(await ask(whose(), name, stream,
          answer.unread && 'x'.repeat(4 << 20)));
        assert.equal(upstream.calls[name], 1, 'asked once');
      });
  });
}
play(ROWS, 'an upstream that means harm', () => gate,
  { concurrency: 8 });
play(SLOW, 'and takes its time', () => brisk, { concurrency: 64 });
play(LARGE, 'at length', () => gate,
  { skip: !process.env.FAULTS && 'part of make test-faults' });

test('its list of models has a bound, too', { timeout: 30000 }, async () => {
  const head = 'HTTP/1.1 200 OK\r\n\r\n';
  const lists = [then(head, flood, '['.repeat(65536)),
    then(head, flood, ' '.repeat(65536)), then(head, trickle, ' '),
    then('HTTP/1.1 200 OK\r\n', trickle, 'X-A: b\r\n'),
    close(sized(`{"data":${'['.repeat(90000)}`)), close(sized(WORD))];
  const whenWell = upstream.models;
  let asked = 0;

  upstream.models = (socket) => lists[asked++ % lists.length](socket);
  for (const answer of await Promise.all(lists.map(() =>
    gate.request('/v1/models'))))
    assert.ok([502, 504].includes(answer.status), answer.text.slice(0, 200));
  assert.ok(asked >= lists.length);
  upstream.models = whenWell;
  assert.equal((await gate.request('/v1/models')).status, 200);
});

test('then all is as before', { timeout: 30000 }, async () => {
  await eventually(() => upstream.endless() === 0, 10000);
  for (const one of [gate, brisk]) {
    const grown = peak(one) - one.before.peak;
    assert.ok(grown < GROWTH, `${grown} KiB more at the peak`);
    assert.deepEqual(one.responders(), one.before.pids);
    assert.ok(!one.log().includes(WORD));
  }
  whole(await ask(gate, 'identity'));
});

describe('what nobody asked for', { timeout: 30000 }, () => {
  const names = ['hen', 'goose', 'duck', 'sheep'];
  const says = (name) => JSON.stringify({ id: name, choices: [] });
  let other, desk;

  /* Each gets its own answer, and the first another one behind it. */
  const answers = (late) => Object.fromEntries(names.map((name) => [name,
    (socket) => {
      socket.write(sized(says(name)));
      if (name !== 'hen') return;
      const more = () => socket.write(sized(says(WORD)));
      if (late) setTimeout(() => { more(); desk.emit('told'); }, 20);
      else more();
    }]));

  for (const late of [false, true])
    test(`${late ? 'later' : 'at once'}: it is nobody's answer`, async () => {
      desk = new EventEmitter();
      const told = late && happens(desk, 'told');
      other = await startHostile(answers(late));
      const stack = await startStack({ upstream: other.url,
        env: { PROCESSES: '1' } });
      try {
        for (const name of names) {
          const answer = await stack.request(CHAT,
            { json: { model: name, messages: [] } });
          assert.equal(answer.text, says(name));
          if (name === 'hen') await told;
        }
        for (const name of names) assert.equal(other.calls[name], 1);
      } finally {
        await stack.stop();
        await other.stop();
      }
    });
});
