'use strict';
/*
 * front.js - what tests of the web server by itself share, lighttpd's and
 * Caddy's: what its own answers must look like, and large bodies.
 */
const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const fs = require('node:fs');

const SECURITY_HEADERS = {
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'permissions-policy': 'camera=(), microphone=(), geolocation=()',
};

function parseAnswer(text) {
  const at = text.indexOf('\r\n\r\n');
  const [first, ...lines] = text.slice(0, at).split('\r\n');
  const headers = Object.fromEntries(lines.map((line) => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
  }));

  return { status: Number(first.split(' ')[1]), headers,
    text: text.slice(at + 4) };
}

function assertSecurityHeaders(headers, secure) {
  for (const [name, value] of Object.entries(SECURITY_HEADERS))
    assert.equal(headers[name], value, name);
  assert.equal(headers['strict-transport-security'],
    secure ? 'max-age=31536000' : undefined);
  assert.equal(headers.server, undefined);
}

function assertOpenaiError(answer, status, code) {
  assert.equal(answer.status, status, answer.text);
  assert.equal(answer.headers['content-type'], 'application/json');
  const { error, ...others } = JSON.parse(answer.text);
  assert.deepEqual(others, {});
  assert.deepEqual(Object.keys(error).sort(),
    ['code', 'message', 'param', 'type']);
  assert.match(error.message, /\w+ .*\.$/);
  assert.equal(error.param, null);
  assert.equal(error.code, code);
  return error;
}

function chat(words, extra = {}) {
  return { model: 'standin-chat',
    messages: [{ role: 'user', content: words }], ...extra };
}

/* A chat request of about 'size' bytes and its SHA-256. */
function bigChat(size) {
  const body = Buffer.from(JSON.stringify(chat('word '.repeat(size / 5))));

  return { body,
    sha256: crypto.createHash('sha256').update(body).digest('hex') };
}

async function* inPieces(body, size, wait = async () => {}) {
  for (let at = 0; at < body.length; at += size) {
    yield body.subarray(at, at + size);
    await wait(at);
  }
}

/*
 * Files that the web server has open for writing, "(deleted)" cut off. Error
 * texts, which it keeps open to read, are none of them.
 */
function writtenFiles(pid) {
  const read = (file) => {
    try {
      return file();
    } catch {
      return ''; // closed meanwhile
    }
  };

  return fs.readdirSync(`/proc/${pid}/fd`).filter((fd) => {
    const info = read(() =>
      fs.readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8'));
    const flags = /^flags:\s+([0-7]+)$/m.exec(info);
    return flags && (parseInt(flags[1], 8) & 3) !== fs.constants.O_RDONLY;
  }).map((fd) => read(() => fs.readlinkSync(`/proc/${pid}/fd/${fd}`)))
    .filter((link) => link.startsWith('/') && !link.startsWith('/dev/null'))
    .map((link) => link.replace(/ \(deleted\)$/, ''));
}

/* The latest chat request that the stand-in got; the gate also lists models. */
async function latestChat(gate) {
  const seen = await gate.standin.requests();

  return seen.filter((one) => one.path === '/v1/chat/completions').at(-1);
}

module.exports = { SECURITY_HEADERS, parseAnswer, assertSecurityHeaders,
  assertOpenaiError, chat, bigChat, inPieces, writtenFiles, latestChat };
