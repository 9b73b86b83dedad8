'use strict';
/*
 * exchange.js - one HTTP request and its answer, over HTTP/1.1 or HTTP/2 with
 * the same face, so that a test can run over both.
 *
 * exchange({ url, method, headers, body, ca, http, agent }) begins a request on a
 * connection of its own (unless an agent of node:http keeps some) and returns at
 * once:
 *
 *   head     promise of { status, headers }
 *   body     async iterable of the answer's pieces (Buffers), as they come
 *   whole()  promise of { status, headers, body, text, json() }
 *   abort()  goes away in the middle: over HTTP/1.1 the connection closes,
 *            over HTTP/2 the stream is reset and the connection stays
 *   close()  closes the connection
 *   sent     promise: the request's body has been written
 */
const http = require('node:http');
const http2 = require('node:http2');
const https = require('node:https');
const { PassThrough } = require('node:stream');

/* HTTP/2 without TLS would need an upgrade nobody uses. */
function exchange(options) {
  return options.http === 2 ? exchange2(options) : exchange1(options);
}

function quiet(promise) {
  promise.catch(() => {});
  return promise;
}

async function sendBody(stream, body) {
  if (body === undefined) {
    stream.end();
    return;
  }
  if (typeof body === 'string' || Buffer.isBuffer(body)) {
    await new Promise((resolve) => stream.end(body, resolve));
    return;
  }
  for await (const piece of body)
    if (!stream.write(piece))
      await new Promise((resolve) => stream.once('drain', resolve));
  await new Promise((resolve) => stream.end(resolve));
}

/* A body of known length is announced; an iterable's is not. */
function lengthOf(body) {
  if (typeof body === 'string' || Buffer.isBuffer(body))
    return { 'content-length': Buffer.byteLength(body) };
  return {};
}

async function gather(head, body) {
  const { status, headers } = await head;
  const pieces = [];

  for await (const piece of body) pieces.push(piece);
  const bytes = Buffer.concat(pieces);
  const text = bytes.toString('utf8');
  return { status, headers, body: bytes, text, json: () => JSON.parse(text) };
}

function exchange1({ url, method, headers, body, ca, agent = false }) {
  const tls = url.protocol === 'https:';
  const request = (tls ? https : http).request(url, { method, ca, agent,
    headers: { ...lengthOf(body), ...headers } });
  const out = new PassThrough();
  const head = quiet(new Promise((resolve, reject) => {
    request.once('response', (answer) => {
      answer.on('error', (error) => out.destroy(error));
      answer.pipe(out);
      resolve({ status: answer.statusCode, headers: answer.headers });
    });
    request.on('error', reject);
  }));
  const close = () => request.destroy();

  out.on('error', () => {});
  /* A refusal may come, and the gate close, before all is sent. */
  const sent = quiet(sendBody(request, body));
  const whole = () => gather(head, out).finally(close);
  return { head, body: out, sent, abort: close, close, whole };
}

function exchange2({ url, method, headers, body, ca }) {
  const connection = http2.connect(url.origin, { ca });
  const stream = connection.request({ ':method': method,
    ':path': url.pathname + url.search, ...lengthOf(body), ...headers },
  { endStream: body === undefined });
  const head = quiet(new Promise((resolve, reject) => {
    stream.once('response', (fields) => {
      const { ':status': status, ...rest } = fields;
      resolve({ status, headers: rest });
    });
    for (const source of [stream, connection]) source.on('error', reject);
    stream.once('close', () => reject(new Error('stream closed')));
  }));
  const close = () => connection.destroy();
  const abort = () => stream.close(http2.constants.NGHTTP2_CANCEL);
  const sent = quiet(body === undefined ? Promise.resolve()
    : sendBody(stream, body));
  const whole = () => gather(head, stream).finally(close);

  return { head, body: stream, sent, abort, close, whole, connection };
}

module.exports = { exchange };
