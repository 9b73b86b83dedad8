'use strict';
/*
 * bodies.js - large requests, so many at once, and how long all of them took.
 * usage: node bench/bodies.js URL json|audio BYTES LANES TIMES
 * API_KEY is the key. Prints one line of JSON.
 */
const http = require('node:http');

const [, , url, kind, ...numbers] = process.argv;
const [bytes, lanes, times] = numbers.map(Number);
const EDGE = 'edge-of-the-bench';
const KINDS = {
  json: { path: '/v1/chat/completions', type: 'application/json',
    head: '{"model":"gpt-oss-120b","max_tokens":4,"messages":[{"role":"user",' +
      '"content":"', fill: 'a long report ', tail: '"}]}' },
  audio: { path: '/v1/audio/transcriptions',
    type: `multipart/form-data; boundary=${EDGE}`,
    head: `--${EDGE}\r\nContent-Disposition: form-data; name="model"\r\n\r\n` +
      `whisper-large-v3\r\n--${EDGE}\r\nContent-Disposition: form-data; ` +
      'name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n',
    fill: '\x00\x01\x7f\x33', tail: `\r\n--${EDGE}--\r\n` },
};
const { path, type, head, fill, tail } = KINDS[kind];
const body = Buffer.concat([Buffer.from(head),
  Buffer.alloc(bytes - head.length - tail.length, fill), Buffer.from(tail)]);
const agent = new http.Agent({ keepAlive: true, maxSockets: lanes });

function send() {
  return new Promise((resolve) => {
    const request = http.request(new URL(path, url), { agent, method: 'POST',
      headers: { 'content-type': type, 'content-length': body.length,
        authorization: `Bearer ${process.env.API_KEY}` } }, (answer) => {
      answer.resume();
      answer.on('end', () => resolve(answer.statusCode === 200));
      answer.on('error', () => resolve(false));
    });
    request.on('error', () => resolve(false));
    request.end(body);
  });
}

async function main() {
  const begun = process.hrtime.bigint();
  let left = times;
  let failed = 0;
  await Promise.all(Array.from({ length: lanes }, async () => {
    while (left-- > 0)
      if (!await send()) failed++;
  }));
  const seconds = Number(process.hrtime.bigint() - begun) / 1e9;
  console.log(JSON.stringify({ seconds, failed,
    mbps: bytes * times / 1e6 / seconds }));
  agent.destroy();
}

main();
