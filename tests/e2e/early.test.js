'use strict';
/*
 * A body whose beginning comes together with the head of a request over HTTP/2:
 * lighttpd 1.4.69 sends that to the responder that it only asks, and to nobody
 * else. All of it has to arrive all the same (lib/http_early.c).
 */
const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const { after, before, describe, test } = require('node:test');
const { DATA, END_HEADERS, END_STREAM, HEADERS, fields, frame, tell } =
  require('./lib/frames');
const { sha256 } = require('./lib/calls');
const { startStack } = require('./lib/stack');
const { notOnCaddy } = require('./lib/servers');

const PATH = '/v1/audio/transcriptions';
const EDGE = 'edge';
const TYPE = `multipart/form-data; boundary=${EDGE}`;

function form(file) {
  return Buffer.concat([Buffer.from(`--${EDGE}\r\nContent-Disposition: ` +
    'form-data; name="model"\r\n\r\nwhisper-large-v3\r\n' +
    `--${EDGE}\r\nContent-Disposition: form-data; name="file"; ` +
    'filename="a"\r\n\r\n'), file, Buffer.from(`\r\n--${EDGE}--\r\n`)]);
}

const every = Buffer.from(Array.from({ length: 12000 }, (_, i) => i & 255));
/* The file; how much of the body comes with the head; whether it is served. */
const BODIES = [
  [every, 1, 'one byte'],
  [every, 9999, 'most of it'],
  [every, Infinity, 'all of it, every byte there is'],
  [Buffer.alloc(12000, '%'), Infinity, 'percent signs'],
  [Buffer.alloc(12000, '\r\n \0'), 6000, 'line ends'],
  [crypto.randomBytes(200000), 16384, 'a little of much'],
  [crypto.randomBytes(40000), Infinity, 'all of more'],
  [Buffer.alloc(50000, '%'), Infinity, 'more than lighttpd reads at once'],
];

describe('a body that comes with its head', { skip: notOnCaddy('own'),
  timeout: 60000 }, () => {
  let gate;
  before(async () => {
    gate = await startStack({ tls: true, env: { PROCESSES: '2' } });
  });
  after(() => gate?.stop());

  const head = (body) => frame(HEADERS, END_HEADERS, 1, fields([
    [':method', 'POST'], [':scheme', 'https'], [':path', PATH],
    [':authority', 'a'], ['x-api-key', gate.apiKey], ['content-type', TYPE],
    ['content-length', String(body.length)]]));
  const data = (body, from, to) => {
    const frames = [];
    for (let at = from; at < to; at += 16384) {
      const end = Math.min(at + 16384, to);
      frames.push(frame(DATA, end === body.length ? END_STREAM : 0, 1,
        body.subarray(at, end)));
    }
    return Buffer.concat(frames);
  };

  for (const [file, early, why] of BODIES)
    test(`arrives: ${why}`, async () => {
      const body = form(file);
      const first = Math.min(early, body.length);
      const socket = await gate.socket({ alpn: ['h2'] });

      /* Stopped, lighttpd finds all of it there at once. */
      process.kill(gate.serverPid, 'SIGSTOP');
      const answer = tell(socket, Buffer.concat([head(body),
        data(body, 0, first)]), 30000);
      await new Promise((resolve) => socket.write('', resolve));
      process.kill(gate.serverPid, 'SIGCONT');
      /* Its first frame: the head has been worked on. */
      await new Promise((resolve) => socket.once('data', resolve));
      for (let at = first; at < body.length; at += 32768)
        socket.write(data(body, at, Math.min(at + 32768, body.length)));
      const { text } = await answer;
      assert.ok(!('error' in JSON.parse(text)), text);
      const got = (await gate.standin.requests(100)).map((request) =>
        request.body_sha256);
      assert.ok(got.includes(sha256(body)), text);
    });
});
