'use strict';
/*
 * Requests that are meant to be misread, through the web server: a row is what
 * is sent, what must come of it, and why. An error is always an error object
 * and never a reset; what was refused never reaches the upstream, and what got
 * there is what was sent, to the byte.
 */
const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const { after, before, describe, test } = require('node:test');
const { startStack } = require('./lib/stack');
const { parseAnswer } = require('./lib/front');
const { cpuOf, residentOf } = require('./lib/processes');
const { notOnCaddy } = require('./lib/servers');

const CHAT = '/v1/chat/completions';
const SOUND = '/v1/audio/transcriptions';
const MODEL = '"model":"standin/words=1"';
const SAID = '"messages":[{"role":"user","content":"hello"}]';
const BODY = `{${MODEL},${SAID}}`;
const GROWTH = 64 * 1024 * 1024;
/* Of a responder's processor time, for one request; bombs cost far less. */
const CPU_MS = 3000;

const sha256 = (bytes) =>
  crypto.createHash('sha256').update(bytes).digest('hex');
const LENGTH = `Content-Length: ${BODY.length}\r\n`;
const TE = 'Transfer-Encoding: chunked\r\n';
const inChunks = (ending = '\r\n', extension = '', trailer = '') =>
  [`${BODY.length.toString(16)}${extension}`, BODY, `0${trailer}`, '', '']
    .join(ending);
const post = (fields, body = '', version = 'HTTP/1.1') =>
  `POST ${CHAT} ${version}\r\nHost: a\r\nX-API-Key: KEY\r\n` +
  `Connection: close\r\n${fields}\r\n${body}`;
const get = (target, fields = '', method = 'GET', version = 'HTTP/1.1') =>
  `${method} ${target} ${version}\r\nHost: a\r\nX-API-Key: KEY\r\n` +
  `Connection: close\r\n${fields}\r\n`;

/* Bytes, status, why. With 200 a POST arrives upstream, as BODY. */
const HTTP1 = [
  [post(LENGTH, BODY), 200, 'the request that the others are made of'],
  [post(LENGTH + LENGTH, BODY), 400, 'one length is enough'],
  [post(`${LENGTH}Content-Length: 5\r\n`, BODY), 400, 'which of two lengths?'],
  [post(`Content-Length: ${BODY.length}, 5\r\n`, BODY), 400,
    'two in one header'],
  [post('Content-Length: -1\r\n', BODY), 400, 'less than nothing'],
  [post(`Content-Length: +${BODY.length}\r\n`, BODY), 400, 'a sign'],
  [post('Content-Length: 0x44\r\n', BODY), 400, 'hexadecimal'],
  [post('Content-Length: 9223372036854775808\r\n', BODY), 400,
    'one more than 63 bits hold'],
  [post(`Content-Length: ${'9'.repeat(100)}\r\n`, BODY), 400,
    'more than any number holds'],
  [post('Content-Length: many\r\n', BODY), 400, 'a word'],
  [post('Content-Length:\r\n', BODY), 411, 'none at all'],
  [post(`Content-Length: 000000${BODY.length}\r\n`, BODY), 200,
    'zeros in front mean nothing, to everybody'],
  [post(`Content-Length : ${BODY.length}\r\n`, BODY), 400,
    'a name that ends in a space'],
  [post(`${LENGTH}Content_Length: 5\r\n`, BODY), 400,
    'another header of the same name in CGI'],
  [post(LENGTH + TE, inChunks()), 400, 'a length and chunks'],
  [post(TE + LENGTH, inChunks()), 400, 'chunks and a length'],
  [post(TE, inChunks()), 200, 'chunks'],
  [post('Transfer-Encoding: CHUNKED\r\n', inChunks()), 200, 'in capitals'],
  [post('Transfer-Encoding:\tchunked\r\n', inChunks()), 200,
    'a tab is a blank, to everybody'],
  [post('Transfer-Encoding: \x0bchunked\r\n', inChunks()), 400,
    'another control byte is none'],
  [post('Transfer-Encoding: xchunked\r\n', inChunks()), 501,
    'a word that ends in it'],
  [post('Transfer-Encoding: gzip, chunked\r\n', inChunks()), 501,
    'one that nobody here undoes'],
  [post(`Transfer-Encoding: identity\r\n${LENGTH}`, BODY), 501,
    'one that is none any more'],
  [post('Transfer-Encoding:\r\n chunked\r\n', inChunks()), 501, 'folded'],
  [post(TE, inChunks(), 'HTTP/1.0'), 400, 'HTTP/1.0 has no chunks'],
  [post(TE, inChunks('\n')), 400, 'chunks whose lines end in a bare LF'],
  [post(TE, inChunks('\r\n', ';a=b')), 200, 'a chunk with an extension'],
  [post(TE, inChunks('\r\n', `;${'a'.repeat(9000)}`)), 400,
    'an extension without end'],
  [post(TE, '-1\r\n'), 400, 'a chunk of less than nothing'],
  [post(TE, 'ffffffffffffffff\r\n'), 400, 'a chunk of all there is'],
  [post(TE, `0x44\r\n${BODY}\r\n0\r\n\r\n`), 400, 'a chunk\'s size with an x'],
  [post(TE, `5\r\n${BODY}\r\n0\r\n\r\n`), 400, 'a chunk longer than it says'],
  [post(TE, inChunks('\r\n', '', '\r\nX-API-Key: other')), 200,
    'headers after the body are nobody\'s'],

  [get('/v1/models', 'X-A: b\0c\r\n'), 400, 'NUL in a value'],
  [get('/v1/models', 'X\0A: b\r\n'), 400, 'NUL in a name'],
  [get('/v1/models', 'X-A: b\x01c\r\n'), 400, 'a control byte in a value'],
  [get('/v1/mod\0els'), 400, 'NUL in the path'],
  [get('/v1/models', 'X-A: b\rX-B: c\r\n'), 400, 'a bare CR'],
  [get('/v1/models').replace(/\r\n/g, '\n'), 400, 'bare LFs'],
  [get('/v1/models', 'X A: b\r\n'), 400, 'a space in a name'],
  [get('/v1/models', ': b\r\n'), 400, 'no name'],
  [get('/v1/models', 'Host: b\r\n'), 400, 'two hosts'],
  [get('/v1/models', 'X-API-Key: b\r\n'), 401, 'two keys are none'],
  [get('/v1/models', 'X_API_Key: b\r\n'), 400, 'nor with an underscore'],
  [get('/v1/models', `X-A: ${'a'.repeat(9000)}\r\n`), 431, 'a long header'],
  [get('/v1/models', 'A: b\r\n'.repeat(2000)), 431, 'very many'],
  [get(`/v1/models?${'a'.repeat(70000)}`), 431, 'a very long URL'],
  [get(`/v1/models/${'a'.repeat(7000)}`), 400, 'a long path'],

  [get('/v1/../v1/models'), 400, 'up and down'],
  [get('/v1/%2e%2e/v1/models'), 400, 'the same in disguise'],
  [get('/v1/..%2fv1/models'), 400, 'half of it'],
  [get('/v1/..%5cmodels'), 400, 'as some write it'],
  [get('/v1/./models'), 400, 'nowhere'],
  [get('/v1%2fmodels'), 404, 'a slash that is none'],
  [get('//v1/models'), 400, 'an empty name'],
  [get('/v1//models'), 400, 'another'],
  [get('/v1/models%00'), 400, 'an end that is none'],
  [get('/v1/models/%'), 400, 'half an escape'],
  [get('/v1/models/\xc3\xa9'), 400, 'bytes that no URL has'],
  [get('/v1/models;x=1'), 404, 'another path'],
  [get('v1/models'), 400, 'no path'],
  [get('http://other.example/v1/models'), 400, 'a host that is not Host'],
  [get('a:443', '', 'CONNECT'), 400, 'a tunnel'],

  [get('/v1/models', '', 'get'), 501, 'methods are in capitals'],
  [get('/v1/models', '', 'BREW'), 501, 'nobody\'s'],
  [get('/v1/models', '', 'A'.repeat(3000)), 501, 'a long one'],
  [get('/v1/models', '', 'TRACE'), 405, 'nothing is reflected'],
  [get('/v1/models', '', 'CONNECT'), 405, 'no tunnel'],
  [get('/v1/models', '', 'OPTIONS'), 405, 'nobody from elsewhere asks'],
  [get('/v1/models', 'Content-Length: 0\r\n', 'PUT'), 405, 'not here'],
  [get(CHAT), 405, 'not with GET'],
  [post(`${LENGTH}X-HTTP-Method-Override: DELETE\r\n`, BODY), 200,
    'the method is the method'],
  [`${get('/v1/models', 'Content-Length: 5\r\n')}hello`, 400,
    'GET has no body'],
  [`${get('/v1/models', TE)}0\r\n\r\n`, 400, 'nor in chunks'],

  ['GET /v1/models\r\n\r\n', 400, 'no version'],
  [get('/v1/models', '', 'GET', 'http/1.1'), 400, 'a version in small letters'],
  [get('/v1/models', '', 'GET', 'HTTP/1.11'), 400, 'a version too far'],
  ['\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03'.padEnd(600, 'x'), 400,
    'TLS on the plain port'],
  [post(`${LENGTH}Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n`, BODY), 200,
    'an upgrade that is not taken'],
];

async function arrivals(gate) {
  const all = await gate.standin.requests(1000);
  return all.filter(({ method }) => method === 'POST');
}

function assertErrorObject(text) {
  const { error } = JSON.parse(text);
  assert.match(error.message, /\w/);
  assert.equal(typeof error.type, 'string');
}

/* Each costs no more than it may; at the end nothing has grown. */
function bounded(gateOf) {
  let resident, pids;

  before(async () => {
    await Promise.all(Array.from({ length: 8 }, () =>
      gateOf().request(CHAT, { body: BODY })));
    pids = [gateOf().serverPid, ...gateOf().responders()];
    resident = pids.map(residentOf);
  });
  after(() => pids.forEach((pid, i) => {
    const more = residentOf(pid) - resident[i];
    assert.ok(more < GROWTH, `process ${i} grew by ${more} bytes`);
  }));
}

describe('HTTP/1.1', { skip: notOnCaddy('own') }, () => {
  let gate;

  before(async () => {
    gate = await startStack({ env: { PROCESSES: '1' } });
  });
  bounded(() => gate);
  after(() => gate?.stop());

  for (const [bytes, status, why] of HTTP1)
    test(`${status}: ${why}`, async () => {
      const earlier = (await arrivals(gate)).length;
      const text = await gate.raw(bytes.replace('KEY', gate.apiKey));
      const answer = parseAnswer(text);
      const later = (await arrivals(gate)).slice(earlier);

      assert.equal(answer.status, status, text);
      assert.equal(text.split(/HTTP\/1\.[01] \d{3} [A-Z]/).length, 2, 'one answer');
      if (status !== 200) {
        assertErrorObject(answer.text);
        assert.deepEqual(later, []);
        return;
      }
      assert.deepEqual(later.map(({ body_sha256: hash }) => hash),
        [sha256(BODY)]);
    });

  test('a chunked body that hides another request is one request', async () => {
    const inner = `POST ${CHAT} HTTP/1.1\r\nHost: a\r\n\r\n`;
    const earlier = (await arrivals(gate)).length;
    const answer = parseAnswer(await gate.raw(post(TE,
      `${inner.length.toString(16)}\r\n${inner}\r\n0\r\n\r\n`)
      .replace('KEY', gate.apiKey)));

    assert.equal(answer.status, 400);
    assert.equal((await arrivals(gate)).length, earlier);
  });

  test('requests one behind the other are answered in turn', async () => {
    const open = (text) => text.replace('Connection: close\r\n', '')
      .replace('KEY', gate.apiKey);
    const text = await gate.raw(open(get('/health')) + open(post(LENGTH, BODY)) +
      open(get('/v1/nothing')) + get('/health'));

    assert.deepEqual([...text.matchAll(/HTTP\/1\.1 (\d{3}) [A-Z]/g)]
      .map(([, status]) => status), ['200', '200', '404', '200']);
  });

  test('a scheme in the request line makes no HTTPS', async () => {
    const strict = await startStack({ env: { PROCESSES: '1',
      FORCE_HTTPS: '1' } });
    try {
      for (const target of ['/v1/models', 'https://a/v1/models',
        'http://a/v1/models']) {
        const answer = parseAnswer(await strict.raw(
          get(target).replace('KEY', strict.apiKey)));
        assert.equal(answer.status, 403, target);
        assertErrorObject(answer.text);
      }
    } finally {
      await strict.stop();
    }
  });
});

const object = (...members) => `{${members.join(',')}}`;
const bytes = (...parts) => Buffer.concat(parts.map((part) =>
  Buffer.from(part)));

/* Body, status, why. With 200 it arrives unchanged. */
const JSONS = [
  [object(MODEL, `"messages":${'['.repeat(1e6)}${']'.repeat(1e6)}`), 400,
    'a million lists in each other'],
  [object(MODEL, SAID, `"x":${'{"a":'.repeat(3e5)}1${'}'.repeat(3e5)}`), 400,
    'as many objects'],
  [`{${MODEL},${SAID},"x":${'['.repeat(1e6)}`, 400, 'that never close'],
  [object(MODEL, SAID, `"stream_options":${'['.repeat(1e5)}`), 400,
    'in a member that matters'],
  [object(MODEL, SAID, Array.from({ length: 1e5 }, (_, i) => `"k${i}":${i}`)
    .join(',')), 200, 'a hundred thousand members'],
  [object(MODEL, SAID, `"x":[${'0,'.repeat(3e5)}0]`), 200, 'a long list'],
  [object(MODEL, SAID, `"seed":${'9'.repeat(1e5)}`), 200,
    'a number of 100,000 digits'],
  [object(MODEL, SAID, `"max_tokens":${'9'.repeat(1e5)}`), 200,
    'one that is counted by'],
  [object(MODEL, SAID, `"n":1e${'9'.repeat(1e5)}`), 200, 'its exponent'],
  [object(MODEL, SAID, '"x":007'), 400, 'a number that is none'],
  [object(MODEL, SAID, '"x":NaN'), 400, 'another'],
  [object(MODEL, MODEL, SAID), 400, 'which model?'],
  [object(MODEL, '"mod\\u0065l":"other"', SAID), 400, 'the same in disguise'],
  [object('"model":1', SAID), 400, 'a model that is a number'],
  [object('"model":null', SAID), 400, 'nothing'],
  [object('"model":["a"]', SAID), 400, 'a list'],
  [object('"model":{"model":"a"}', SAID), 400, 'an object'],
  [object('"model":""', SAID), 400, 'empty'],
  [object(`"x":{${MODEL}}`, SAID), 400, 'elsewhere'],
  [object(`"model":"${'m'.repeat(1e5)}"`, SAID), 404, 'very long'],
  [object('"model":"standin\\u0000x"', SAID), 404, 'with a NUL'],
  [bytes(`{${MODEL},"messages":[{"role":"user","content":"`, [0xff, 0xfe],
    '"}]}'), 200, 'invalid UTF-8 is the upstream\'s to judge'],
  [object(MODEL, '"messages":[{"role":"user","content":"\\ud800"}]'), 200,
    'so is half a surrogate'],
  [`\ufeff${BODY}`, 400, 'a byte order mark'],
  [Buffer.from(BODY, 'utf16le'), 400, 'UTF-16'],
  [`${BODY}x`, 400, 'something behind it'],
  [BODY + BODY, 400, 'twice'],
  [`${BODY}\0`, 400, 'NUL behind it'],
  [object(MODEL, SAID, '"x":"a\0b"'), 400, 'NUL in a string'],
  [BODY + ' '.repeat(1e6), 200, 'blanks behind it'],
  [' '.repeat(1e6), 400, 'only blanks'],
  ['', 400, 'nothing'],
  [`[${BODY}]`, 400, 'a list'],
  [BODY.slice(0, -1), 400, 'cut short'],
  [object(MODEL, SAID, ''), 400, 'a comma too many'],
  [`${BODY}//x`, 400, 'a comment'],
  ['{\'model\':\'a\'}', 400, 'other quotes'],
];

const part = (name, value, more = '') => '--b\r\nContent-Disposition: ' +
  `form-data; name="${name}"${more}\r\n\r\n${value}\r\n`;
const NAMED = part('model', 'standin/words=1');
const FILE = part('file', 'x'.repeat(100), '; filename="a.wav"');
const HEAD = '--b\r\nContent-Disposition: form-data; name="file"; ' +
  'filename="a"\r\n';
const END = '--b--\r\n';

const FORMS = [
  [NAMED + FILE + END, 200, 'the form that the others are made of'],
  [NAMED + FILE, 400, 'no end'],
  [`${NAMED + FILE}--b`, 400, 'half an end'],
  [NAMED + FILE.replace('xx', 'x'.repeat(3e6)), 400, 'long, and no end'],
  [NAMED + part('a', 'b').repeat(1e5) + FILE + END, 400, '100,000 parts'],
  [NAMED + FILE.repeat(1e5) + END, 400, 'as many files'],
  [NAMED + part('x', '--c\r\nContent-Disposition: form-data; ' +
    'name="model"\r\n\r\nother\r\n--c--') + FILE + END, 200,
  'a form in a part is its content'],
  [`${NAMED}--b\r\nContent-Disposition: form-data; name="x"\r\nContent-Type: ` +
    `multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n${FILE}${END}`, 400,
  'one with the same boundary'],
  [`${NAMED}${HEAD}X: ${'a'.repeat(2e6)}\r\n\r\nx\r\n${END}`, 400,
    'a part with a huge header'],
  [`${NAMED}${HEAD}${'X: a\r\n'.repeat(1e5)}\r\nx\r\n${END}`, 400,
    'with very many'],
  [`${NAMED}${HEAD}`, 400, 'whose head has no end'],
  [NAMED + part('n'.repeat(1e6), 'x') + FILE + END, 400, 'with a huge name'],
  [`${NAMED}--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n${FILE}${END}`,
    400, 'with none'],
  [NAMED + NAMED + FILE + END, 400, 'which model?'],
  [FILE + END, 400, 'no model'],
  [part('model', 'm'.repeat(1e5)) + FILE + END, 404, 'a very long one'],
  [(NAMED + FILE + END).replace(/\r\n/g, '\n'), 400, 'bare LFs'],
  ['', 400, 'nothing'],
  [END, 400, 'but an end'],
];

describe('bodies', { skip: notOnCaddy('own') }, () => {
  let gate;

  before(async () => {
    gate = await startStack({ env: { PROCESSES: '1' } });
  });
  bounded(() => gate);
  after(() => gate?.stop());

  const tables = [
    ['JSON', CHAT, 'application/json', JSONS],
    ['form', SOUND, 'multipart/form-data; boundary=b', FORMS],
  ];
  for (const [what, path, type, rows] of tables)
    for (const [body, status, why] of rows)
      test(`${what}, ${status}: ${why}`, async () => {
        const earlier = (await arrivals(gate)).length;
        const [responder] = gate.responders();
        const cpu = cpuOf(responder);
        const answer = await gate.request(path,
          { body, headers: { 'content-type': type } });
        const later = (await arrivals(gate)).slice(earlier);

        assert.equal(answer.status, status, answer.text);
        assert.ok(cpuOf(responder) - cpu < CPU_MS,
          `${cpuOf(responder) - cpu} ms of processor time`);
        if (status !== 200) {
          assertErrorObject(answer.text);
          assert.deepEqual(later, []);
          return;
        }
        assert.deepEqual(later.map(({ body_sha256: hash }) => hash),
          [sha256(body)]);
      });
});
