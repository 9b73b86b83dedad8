'use strict';
/*
 * Requests that are meant to be misread over HTTP/2, made by hand: what its pseudo-headers, lengths and frames
 * can be made to say. Here an error may be the stream's or the connection's,
 * as the protocol has it; what was refused never reaches the upstream.
 */
const assert = require('node:assert/strict');
const { after, before, describe, test } = require('node:test');
const { CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, RST,
  fields, frame, request, tell } = require('./lib/frames');
const { eventually, startStack } = require('./lib/stack');
const { cpuOf, residentOf } = require('./lib/processes');
const { notOnCaddy } = require('./lib/servers');

const CHAT = '/v1/chat/completions';
const BODY = '{"model":"standin/words=1",' +
  '"messages":[{"role":"user","content":"hello"}]}';
const GROWTH = 64 * 1024 * 1024;

const HEAD = { ':method': 'POST', ':scheme': 'https', ':path': CHAT,
  ':authority': 'a', 'x-api-key': 'KEY', 'content-length': BODY.length };

/* With some of them changed (null: left out), more in front or behind. */
function head({ change = {}, first = [], last = [] } = {}) {
  return [...first, ...Object.entries({ ...HEAD, ...change })
    .filter(([, value]) => value !== null)
    .map(([name, value]) => [name, String(value)]), ...last];
}
const changed = (change) => ({ change });
const and = (...last) => ({ last });

/* What is done to the head; whether it is served; why. */
const HEADS = [
  [{}, true, 'the request that the others are made of'],
  [changed({ ':path': null }), false, 'no path'],
  [changed({ ':path': '' }), false, 'an empty path'],
  [changed({ ':method': null }), false, 'no method'],
  [changed({ ':scheme': null }), false, 'no scheme'],
  [changed({ ':authority': null }), false, 'no host'],
  [{ first: [[':path', '/v1/models']] }, false, 'which path?'],
  [{ change: { ':path': null }, last: [[':path', CHAT]] }, false,
    'a pseudo-header behind the others'],
  [{ first: [[':foo', 'b']] }, false, 'one that nobody knows'],
  [{ first: [[':status', '200']] }, false, 'one of answers'],
  [and(['X-Up', 'a']), false, 'a name in capitals'],
  [and(['connection', 'close']), false, 'a header of HTTP/1.1'],
  [and(['transfer-encoding', 'chunked']), false, 'chunks'],
  [and(['te', 'gzip']), false, 'others'],
  [and(['host', 'b']), false, 'which host?'],
  [changed({ 'content-length': 5 }), false, 'shorter than it is'],
  [changed({ 'content-length': 1000 }), false, 'longer than it is'],
  [changed({ 'content-length': -1 }), false, 'less than nothing'],
  [and(['content-length', '5']), false, 'which length?'],
  [and(['x-a', 'b\r\nx-api-key: c']), false, 'a line end in a value'],
  [and(['x-a\r\nx-b', 'c']), false, 'in a name'],
  [changed({ ':path': '/v1/models\r\nX: y' }), false, 'in the path'],
  [changed({ ':method': 'POST /x HTTP/1.1\r\nA: b\r\n\r\nGET' }), false,
    'in the method'],
  [changed({ ':path': `${CHAT} HTTP/1.1` }), false, 'a blank in the path'],
  [and(['x-a', 'b\0c']), false, 'NUL'],
  [and(['x:a', 'c']), false, 'a colon in a name'],
  [changed({ ':method': 'post' }), false, 'a method in small letters'],
  [changed({ ':path': `https://other.example${CHAT}` }), false,
    'a host in the path'],
  [changed({ ':path': '*' }), false, 'no path of ours'],
  [changed({ ':path': '/v1/../v1/chat/completions' }), false, 'up and down'],
  [and(['x-a', 'a'.repeat(9000)]), false, 'a long header'],
  [and(...Array.from({ length: 2000 }, () => ['x-a', 'b'])), false,
    'very many'],
];

const begun = frame(HEADERS, END_STREAM, 1,
  fields([[':method', 'GET'], [':scheme', 'https'], [':path', '/v1/models'],
    [':authority', 'a']]));
const many = (n, piece) => Buffer.concat(Array.from({ length: n },
  () => piece));

const FRAMES = [
  [Buffer.concat([begun, many(5000, frame(CONTINUATION, 0, 1,
    fields([['a', 'b']])))]), 'a head that never ends'],
  [Buffer.concat([begun, many(5000, frame(CONTINUATION, 0, 1))]),
    'nor with empty frames'],
  [Buffer.concat([begun, frame(CONTINUATION, END_HEADERS, 3)]),
    'the rest of another\'s head'],
  [frame(DATA, END_STREAM, 1, Buffer.from('x')), 'a body before its head'],
  [request(head(), BODY, 2), 'a stream that only a server may open'],
  [frame(HEADERS, END_STREAM | END_HEADERS, 1,
    Buffer.from([0xff, 0xff, 0xff, 0xff, 0x7f])), 'a header of no table'],
  [frame(DATA, 0, 1, Buffer.alloc(70000)), 'a frame larger than agreed'],
];

describe('HTTP/2', { skip: notOnCaddy('own') }, () => {
  let gate, pids, resident;
  const arrivals = async () => (await gate.standin.requests(1000))
    .filter(({ method }) => method === 'POST').length;
  const withKey = (list) => list.map(([name, value]) =>
    [name, value.replace('KEY', gate.apiKey)]);
  const speak = async (sent) => tell(await gate.socket({ alpn: ['h2'] }), sent);
  const chat = () => gate.request(CHAT, { http: 2, body: BODY,
    headers: { 'content-type': 'application/json' } });

  before(async () => {
    gate = await startStack({ tls: true, env: { PROCESSES: '1' } });
    await Promise.all(Array.from({ length: 8 }, chat));
    pids = [gate.serverPid, ...gate.responders()];
    resident = pids.map(residentOf);
  });
  after(async () => {
    const more = pids.map((pid, i) => residentOf(pid) - resident[i]);
    await gate.stop();
    assert.ok(Math.max(...more) < GROWTH, `grew by ${more} bytes`);
  });

  for (const [how, served, why] of HEADS)
    test(`${served ? 'served' : 'refused'}: ${why}`, async () => {
      const earlier = await arrivals();
      const { text, how: ended } = await speak(
        request(withKey(head(how)), BODY));

      assert.equal(await arrivals() - earlier, served ? 1 : 0, text);
      if (ended === 'answered')
        assert.equal('error' in JSON.parse(text), !served, text);
      else
        assert.ok(!served && ['reset', 'goaway'].includes(ended), ended);
    });

  for (const [sent, why] of FRAMES)
    test(`the connection ends: ${why}`, async () => {
      const earlier = await arrivals();

      assert.equal((await speak(sent)).how, 'goaway');
      assert.equal(await arrivals(), earlier);
      assert.equal((await chat()).status, 200);
    });

  test('a thousand requests, each taken back at once', async () => {
    const cpu = pids.map(cpuOf);
    const socket = await gate.socket({ alpn: ['h2'] });
    const closed = new Promise((resolve) => socket.once('close', resolve));
    const list = withKey(head());

    socket.resume();
    socket.write(PREFACE);
    for (let i = 0; i < 1000; i++)
      socket.write(Buffer.concat([request(list, BODY, 2 * i + 1),
        frame(RST, 0, 2 * i + 1, Buffer.from([0, 0, 0, 8]))]));
    const answer = await chat();
    assert.equal(answer.status, 200, answer.text);
    socket.end();
    await Promise.race([closed, eventually(() => socket.destroyed, 30000)]);
    socket.destroy();
    await eventually(async () => (await gate.standin.stats()).open === 0,
      30000);
    pids.forEach((pid, i) => assert.ok(cpuOf(pid) - cpu[i] < 10000,
      `${cpuOf(pid) - cpu[i]} ms of processor time`));
  });
});
