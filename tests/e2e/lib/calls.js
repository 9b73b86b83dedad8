'use strict';
/*
 * calls.js - requests to every endpoint of the gate, and how to read what
 * comes back. A model "standin/FAULT=N,..." asks the stand-in for that fault.
 */
const crypto = require('node:crypto');
const assert = require('node:assert/strict');
const { setTimeout: sleep } = require('node:timers/promises');
const { events } = require('./stack');

const CHAT = '/v1/chat/completions';
const SAYS = 'This is a stand-in, not a model. You said: ';
const EDGE = '----edge7MA4YWxkTrZu0gW';

/* Options of a request with a form: fields by name, and a file. */
function form(fields, file, name = 'witness.wav') {
  const pieces = Object.entries(fields).map(([field, value]) =>
    Buffer.from(`--${EDGE}\r\nContent-Disposition: form-data; ` +
      `name="${field}"\r\n\r\n${value}\r\n`));

  if (file !== undefined)
    pieces.push(Buffer.from(`--${EDGE}\r\nContent-Disposition: form-data; ` +
      `name="file"; filename="${name}"\r\nContent-Type: audio/wav\r\n\r\n`),
    Buffer.from(file), Buffer.from('\r\n'));
  pieces.push(Buffer.from(`--${EDGE}--\r\n`));
  return { body: Buffer.concat(pieces),
    headers: { 'content-type': `multipart/form-data; boundary=${EDGE}` } };
}

const chat = (more = {}) => ({ json: { model: 'gpt-oss-120b',
  messages: [{ role: 'user', content: 'hello world' }], ...more } });
const faulty = (faults, more = {}) =>
  chat({ model: `standin/${faults}`, ...more });

/* The data of each event, parsed but for [DONE]. */
function chunks(text) {
  return events(text).map(({ data }) =>
    (data === '[DONE]' ? data : JSON.parse(data)));
}

/* All text in the chunks of a chat. */
function said(list) {
  return list.filter((chunk) => chunk.choices && chunk.choices[0])
    .map(({ choices: [choice] }) => choice.text || choice.delta?.content || '')
    .join('');
}

function endsWithDone(text) {
  assert.ok(text.endsWith('data: [DONE]\n\n'), text.slice(-200));
  return chunks(text);
}

const SOUND = Buffer.alloc(40000, 'x');
const messages = [{ role: 'user', content: 'hello world' }];

/*
 * name (as journalled), path, options(model, stream), answered(json) for a
 * whole answer, streamed(text) for events.
 */
const ENDPOINTS = [
  { name: 'chat.completions', path: CHAT, model: 'gpt-oss-120b',
    options: (model, stream) => ({ json: { model, stream, messages } }),
    answered: (json) => assert.equal(json.choices[0].message.content,
      `${SAYS}hello world`),
    streamed: (text) => assert.equal(said(endsWithDone(text)),
      `${SAYS}hello world`) },
  { name: 'completions', path: '/v1/completions', model: 'gpt-oss-120b',
    options: (model, stream) =>
      ({ json: { model, stream, prompt: 'hello world' } }),
    answered: (json) =>
      assert.equal(json.choices[0].text, `${SAYS}hello world`),
    streamed: (text) => assert.equal(said(endsWithDone(text)),
      `${SAYS}hello world`) },
  { name: 'messages', path: '/v1/messages', model: 'gpt-oss-120b',
    options: (model, stream) =>
      ({ json: { model, stream, max_tokens: 100, messages },
        headers: { 'anthropic-version': '2023-06-01' } }),
    answered: (json) =>
      assert.equal(json.content[0].text, `${SAYS}hello world`),
    streamed: (text) => {
      const list = events(text);
      assert.equal(list.at(-1).event, 'message_stop');
      assert.equal(list.map(({ data }) => JSON.parse(data).delta?.text || '')
        .join(''), `${SAYS}hello world`);
    } },
  { name: 'embeddings', path: '/v1/embeddings', model: 'qwen3-embedding-4b',
    options: (model) => ({ json: { model, input: 'hello world',
      encoding_format: 'base64' } }),
    answered: (json) => assert.equal(typeof json.data[0].embedding, 'string') },
  { name: 'audio.transcriptions', path: '/v1/audio/transcriptions',
    model: 'whisper-large-v3',
    options: (model, stream) =>
      form({ model, ...(stream && { stream: 'true' }) }, SOUND),
    answered: (json) => assert.match(json.text, /40000 bytes of audio/),
    streamed: (text) => assert.match(said(endsWithDone(text)),
      /40000 bytes of audio/) },
  { name: 'audio.translations', path: '/v1/audio/translations',
    model: 'whisper-large-v3',
    options: (model, stream) =>
      form({ model, ...(stream && { stream: 'true' }) }, SOUND),
    answered: (json) => assert.match(json.text, /40000 bytes of audio/),
    streamed: (text) => assert.match(said(endsWithDone(text)),
      /40000 bytes of audio/) },
  { name: 'unstructured', path: '/unstructured/general/v0/general', model: '',
    options: () => form({ strategy: 'fast' }, 'hello world', 'witness.txt'),
    answered: (json) => assert.ok(Array.isArray(json)) },
];

/* What every answer of the gate has, and has not. */
function checkHead({ headers }, type) {
  assert.match(headers['x-request-id'], /^req_[0-9a-f]{24}$/);
  assert.ok(headers['content-type'].startsWith(type), headers['content-type']);
  for (const name of ['server', 'set-cookie', 'x-secret', 'x-standin',
    'keep-alive', 'x-powered-by'])
    assert.equal(headers[name], undefined, name);
  if (type === 'text/event-stream') {
    assert.equal(headers['cache-control'], 'no-cache');
    assert.equal(headers['x-accel-buffering'], 'no');
  } else {
    assert.equal(headers['cache-control'], 'no-store');
  }
}

/* An error in OpenAI's shape, all four members there. */
function checkError(answer, status, type, code) {
  assert.equal(answer.status, status, answer.text);
  checkHead(answer, 'application/json');
  const { error, ...rest } = answer.json();
  assert.deepEqual(rest, {});
  assert.deepEqual(Object.keys(error).sort(),
    ['code', 'message', 'param', 'type']);
  assert.equal(error.type, type);
  assert.equal(error.code, code);
  assert.ok(error.message.length > 10);
  return error;
}

/* The latest requests that were no questions of the gate's own. */
async function received(gate, n = 1) {
  const all = await gate.standin.requests(50, { body: true });
  return all.filter(({ method }) => method === 'POST').slice(-n);
}

function requestBytes(gate, body, key = gate.apiKey) {
  const text = JSON.stringify(body);
  return `POST ${CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${key}\r\n` +
    'Content-Type: application/json\r\n' +
    `Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`;
}

/*
 * A client on a bare socket. lighttpd watches a client for hang-ups before the
 * answer's head only if the request came a moment after the connection: over
 * plain HTTP it never does otherwise, over TLS it mostly does.
 */
async function rawClient(gate, body, key) {
  const socket = await gate.socket();
  await sleep(100);
  socket.write(requestBytes(gate, body, key));
  socket.resume();
  return { leave: () => socket.destroy(), socket };
}

const bodyOf = ({ body_base64: text }) => Buffer.from(text, 'base64').toString();
const sha256 = (bytes) => crypto.createHash('sha256').update(bytes).digest('hex');

module.exports = { CHAT, ENDPOINTS, SAYS, bodyOf, chat, checkError, checkHead,
  chunks, endsWithDone, faulty, form, rawClient, received, said,
  sha256 };
