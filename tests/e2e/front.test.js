'use strict';
/*
 * The web server by itself: what it answers before or instead of a responder,
 * how bodies pass through it, what it writes down. lighttpd.conf relies on
 * each of these facts about lighttpd 1.4.69.
 */
const assert = require('node:assert/strict');
const child_process = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const tls = require('node:tls');
const { after, before, describe, test } = require('node:test');
const { startStack, eventually, events } = require('./lib/stack');
const { parseAnswer, assertSecurityHeaders, assertOpenaiError, chat, bigChat,
  inPieces, writtenFiles, latestChat } = require('./lib/front');

/* Debian 13's 1.4.79 is kinder to HTTP/2 and says 400 where 1.4.69 says 505. */
const NEWER = Number(child_process.execFileSync('lighttpd', ['-v'],
  { encoding: 'utf8' }).match(/lighttpd\/1\.4\.(\d+)/)[1]) >= 79;

const MIB = 1024 * 1024;
const BODY_LIMIT = 4 * MIB;

const REFUSED = [
  ['a line that is no request', 'GARBAGE\r\n\r\n', 400, null],
  ['no Host', 'GET /v1/models?words HTTP/1.1\r\n\r\n', 400, null],
  ['a Host with a space',
    'GET /v1/models HTTP/1.1\r\nHost: a b\r\n\r\n', 400, null],
  ['a header without a colon',
    'GET /v1/models HTTP/1.1\r\nHost: a\r\nwords\r\n\r\n', 400, null],
  ['a broken chunk', 'POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n' +
    'X-API-Key: KEY\r\nTransfer-Encoding: chunked\r\n\r\nwords\r\n\r\n', 400, null],
  ['two lengths at once', 'POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n' +
    'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  400, null],
  ['no length',
    'POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n\r\n', 411, null],
  ['a length over the limit', 'POST /v1/chat/completions HTTP/1.1\r\n' +
    `Host: a\r\nContent-Length: ${BODY_LIMIT + 1}\r\n\r\n`,
  413, 'request_too_large'],
  ['headers too large', 'GET /v1/models HTTP/1.1\r\nHost: a\r\n' +
    `A: ${'words '.repeat(2000)}\r\n\r\n`, 431, null],
  ['a URL too long',
    `GET /v1/models?${'words'.repeat(2000)} HTTP/1.1\r\nHost: a\r\n\r\n`,
    431, null],
  ['a method nobody knows',
    'BREW /v1/models HTTP/1.1\r\nHost: a\r\n\r\n', 501, null],
  ['another transfer encoding', 'POST /v1/chat/completions HTTP/1.1\r\n' +
    'Host: a\r\nTransfer-Encoding: gzip\r\n\r\n', 501, null],
  ['another version', 'GET /v1/models HTTP/7.0\r\nHost: a\r\n\r\n',
    NEWER ? 400 : 505, null],
];

for (const secure of [false, true]) {
  describe(secure ? 'over TLS' : 'over plain HTTP', () => {
    let gate;

    before(async () => {
      gate = await startStack({ tls: secure,
        env: { MAX_BODY_BYTES: String(BODY_LIMIT), PROCESSES: '1' } });
    });
    after(() => gate.stop());

    for (const [what, bytes, status, code] of REFUSED)
      test(`${what} is refused as JSON: ${status}`, async () => {
        const answer = parseAnswer(await gate.raw(
          bytes.replace('KEY', gate.apiKey)));

        assertOpenaiError(answer, status, code);
        assert.equal(Number(answer.headers['content-length']),
          answer.text.length);
        assertSecurityHeaders(answer.headers, secure);
        assert.ok(!answer.text.includes('words'));
      });

    test('a chunked body over the limit: 413 before all of it is sent',
      async () => {
        const body = Buffer.alloc(BODY_LIMIT + 2 * MIB, 'x');
        const answer = await gate.request('/v1/chat/completions',
          { body: inPieces(body, 64 * 1024) });

        assertOpenaiError(answer, 413, 'request_too_large');
        assertSecurityHeaders(answer.headers, secure);
      });

    test('a body over the limit from a client that sends before it reads: ' +
      'the 413 is not lost', async () => {
      const body = Buffer.alloc(BODY_LIMIT + MIB, 'x');
      const answer = parseAnswer(await gate.raw(Buffer.concat([
        Buffer.from('POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n' +
          `Content-Length: ${body.length}\r\n\r\n`), body]).toString('latin1')));

      assertOpenaiError(answer, 413, 'request_too_large');
    });

    test('/v1/messages: refusals in the shape of Anthropic', async () => {
      const answer = parseAnswer(await gate.raw(
        'POST /v1/messages?beta=true HTTP/1.1\r\nHost: a\r\n' +
        `Content-Length: ${BODY_LIMIT + 1}\r\n\r\n`));

      assert.equal(answer.status, 413);
      assert.equal(answer.headers['content-type'], 'application/json');
      assertSecurityHeaders(answer.headers, secure);
      const { type, error } = JSON.parse(answer.text);
      assert.equal(type, 'error');
      assert.deepEqual(Object.keys(error).sort(), ['message', 'type']);
      assert.equal(error.type, 'request_too_large');
    });

    test('outside of the API: a small page, 404, no files, no lists',
      async () => {
        const fromRoot = path.relative('/', gate.runDir);

        for (const target of ['/', '/v1x', '/favicon.ico', '/index.html',
          `/${fromRoot}/`, `/${fromRoot}/gate.log`, '/%2e%2e/etc/passwd',
          '/run/', '/share/errors/openai/404.html']) {
          const answer = await gate.request(target);

          assert.equal(answer.status, 404, target);
          assert.equal(answer.headers['content-type'], 'text/html');
          assert.ok(answer.body.length < 1000);
          assert.doesNotMatch(answer.text, /lighttpd|root:/);
          assertSecurityHeaders(answer.headers, secure);
        }
      });

    test('the responder\'s answers have the headers too', async () => {
      for (const [target, status] of [['/health', 200], ['/v1/nothing', 404],
        ['/v1/models', 200]]) {
        const answer = await gate.request(target);

        assert.equal(answer.status, status, answer.text);
        assertSecurityHeaders(answer.headers, secure);
      }
    });

    test('a Range does not cut an answer up', async () => {
      const answer = await gate.request('/v1/models',
        { headers: { range: 'bytes=0-3' } });

      assert.equal(answer.status, 200);
      assert.ok(answer.json().data.length > 0);
    });

    test('a chunked upload in many pieces arrives whole', async () => {
      const { body, sha256 } = bigChat(3 * MIB);
      const answer = await gate.request('/v1/chat/completions', {
        body: inPieces(body, 50021),
        headers: { 'content-type': 'application/json' },
      });

      assert.equal(answer.status, 200, answer.text);
      const seen = await latestChat(gate);
      assert.equal(seen.body_length, body.length);
      assert.equal(seen.body_sha256, sha256);
      assert.deepEqual(fs.readdirSync(path.join(gate.runDir, 'upload')), []);
    });

    test('an upload in passing lies in RUN_DIR/upload and nowhere else',
      async () => {
        const { body } = bigChat(3 * MIB);
        const folder = path.join(gate.runDir, 'upload');
        let goOn;
        const held = new Promise((resolve) => { goOn = resolve; });
        const open = gate.open('/v1/chat/completions', {
          headers: { 'content-type': 'application/json' },
          body: inPieces(body, MIB, (at) => (at >= MIB ? held : undefined)),
        });
        const files = () => writtenFiles(gate.serverPid);

        await eventually(() => files().some((f) => f.startsWith(folder)));
        assert.deepEqual(files().filter((f) => !f.startsWith(gate.runDir)), []);
        goOn();
        assert.equal((await open.whole()).status, 200);
        await eventually(() => !files().some((f) => f.startsWith(folder)));
        assert.deepEqual(fs.readdirSync(folder), []);
      });

    test('an answer that nobody reads lies in RUN_DIR/upload and nowhere else',
      async () => {
        const open = gate.open('/v1/chat/completions',
          { json: { ...chat('hello'), model: 'standin/huge=30000000' } });

        await open.head;
        await eventually(async () => (await gate.standin.stats()).open > 0);
        // Give what piles up time to: the stand-in stops when nobody reads.
        await new Promise((resolve) => setTimeout(resolve, 300));
        assert.deepEqual(writtenFiles(gate.serverPid)
          .filter((f) => !f.startsWith(gate.runDir)), []);
        open.abort();
        await eventually(async () => (await gate.standin.stats()).open === 0);
        await eventually(() =>
          fs.readdirSync(path.join(gate.runDir, 'upload')).length === 0);
      });

    test('events come as they are made, not in lumps', async () => {
      const open = gate.open('/v1/chat/completions', { json: {
        ...chat('hello'), model: 'standin/words=20,rate=50', stream: true } });
      const arrived = [];
      let text = '';

      for await (const piece of open.body) {
        arrived.push(Date.now());
        text += piece;
      }
      open.close();
      assert.equal(events(text).at(-1).data, '[DONE]');
      // Twenty words, 20 ms apart; a busy machine joins some. One lump, or
      // all of them late, would be wrong.
      assert.ok(arrived.length >= 5, `${arrived.length} pieces`);
      assert.ok(arrived.at(-1) - arrived[0] > 300);
    });

    test('one connection serves many requests', async () => {
      const socket = await gate.socket();
      const target = 'GET /health HTTP/1.1\r\nHost: a\r\n\r\n';
      let seen = '';

      socket.setEncoding('latin1');
      socket.on('data', (piece) => { seen += piece; });
      for (let n = 1; n <= 3; n++) {
        socket.write(target);
        await eventually(() => seen.split('"healthy"').length === n + 1);
      }
      socket.destroy();
    });

    test('the log names no query, no address, no content', async () => {
      const answer = await gate.request('/v1/chat/completions?query-words', {
        json: chat('content-words'), headers: { 'x-words': 'header-words' } });

      assert.equal(answer.status, 200, answer.text);
      await gate.raw('GET /v1/models?query-words HTTP/1.1\r\n\r\n');
      assert.doesNotMatch(gate.log(), /-words|127\.0\.0\.1/);
    });
  });
}

describe('when responders fail', () => {
  let gate;

  before(async () => { gate = await startStack({ env: { PROCESSES: '1' } }); });
  after(() => gate.stop());

  test('one that dies with a request: 500 as JSON, no query in the log, and ' +
    'another takes its place', async () => {
    const open = gate.open('/v1/chat/completions?query-words', {
      json: { ...chat('content-words'), model: 'standin/delay-head=60000' } });

    await gate.standin.wait({ open: 1 });
    for (const pid of gate.responders()) process.kill(pid, 'SIGKILL');
    const answer = await open.whole();
    assertOpenaiError(answer, 500, null);
    assertSecurityHeaders(answer.headers, false);
    await eventually(() => /fastcgi process died/.test(gate.log()));
    assert.doesNotMatch(gate.log(), /-words/);
    await eventually(async () =>
      (await gate.request('/health')).status === 200);
  });

  test('one that dies in the middle of a stream: the client can tell',
    async () => {
      const open = gate.open('/v1/chat/completions', { json: {
        ...chat('hello'), model: 'standin/stall-after=3', stream: true } });
      let text = '';

      await assert.rejects(async () => {
        for await (const piece of open.body) {
          text += piece;
          if (events(text).length >= 3)
            for (const pid of gate.responders()) process.kill(pid, 'SIGKILL');
        }
      }, /aborted|ECONNRESET|socket hang up/);
      await eventually(async () =>
        (await gate.request('/health')).status === 200);
    });

  test('all gone and none to be started: 503 as JSON, both shapes',
    async () => {
      const programs = fs.mkdtempSync(path.join(os.tmpdir(), 'pmproxy-'));
      const build = gate.env.PMPROXY_BIN;

      fs.symlinkSync(path.join(build, 'bin'), path.join(programs, 'bin'));
      fs.mkdirSync(path.join(programs, 'fcgi'));
      fs.copyFileSync(path.join(build, 'fcgi', 'v1.fcgi'),
        path.join(programs, 'fcgi', 'v1.fcgi'));
      const other = await startStack({ env:
        { PROCESSES: '1', PMPROXY_BIN: programs } });
      try {
        fs.rmSync(path.join(programs, 'fcgi', 'v1.fcgi'));
        for (const pid of other.responders()) process.kill(pid, 'SIGKILL');
        await eventually(async () =>
          (await other.request('/health')).status === 503);
        const answer = await other.request('/v1/models?query-words');
        const error = assertOpenaiError(answer, 503, 'server_is_overloaded');
        assert.equal(error.type, 'service_unavailable_error');
        assertSecurityHeaders(answer.headers, false);
        const message = await other.request('/v1/messages', { body: '{}' });
        assert.equal(message.status, 503);
        assert.equal(message.json().error.type, 'overloaded_error');
        assert.doesNotMatch(other.log(), /-words/);
      } finally {
        await other.stop();
        fs.rmSync(programs, { recursive: true });
      }
    });
});

describe('TLS', () => {
  let gate;
  const hello = (options) => new Promise((resolve) => {
    const { port } = new URL(gate.baseUrl);
    const socket = tls.connect({ port, host: '127.0.0.1', ca: gate.ca,
      ...options }, () => {
      resolve({ protocol: socket.getProtocol(), alpn: socket.alpnProtocol });
      socket.destroy();
    });
    socket.on('error', (error) => resolve({ error: error.code }));
  });

  before(async () => {
    gate = await startStack({ tls: true, env: { PROCESSES: '1' } });
  });
  after(() => gate.stop());

  test('1.2 and 1.3 and nothing older', async () => {
    const old = { ciphers: 'DEFAULT@SECLEVEL=0', minVersion: 'TLSv1' };

    assert.ok((await hello({ ...old, maxVersion: 'TLSv1.1' })).error);
    assert.equal((await hello({ maxVersion: 'TLSv1.2' })).protocol, 'TLSv1.2');
    assert.equal((await hello({})).protocol, 'TLSv1.3');
  });

  test('no cipher without forward secrecy or authentication of data',
    async () => {
      for (const ciphers of ['AES128-GCM-SHA256', 'ECDHE-ECDSA-AES128-SHA',
        'ECDHE-ECDSA-AES128-SHA256'])
        assert.ok((await hello({ ciphers, maxVersion: 'TLSv1.2' })).error,
          ciphers);
      assert.equal((await hello({ maxVersion: 'TLSv1.2',
        ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' })).protocol, 'TLSv1.2');
    });

  test('HTTP/2 and HTTP/1.1 are on offer', async () => {
    assert.equal((await hello({ ALPNProtocols: ['h2', 'http/1.1'] })).alpn,
      'h2');
    assert.equal((await hello({ ALPNProtocols: ['http/1.1'] })).alpn,
      'http/1.1');
  });

  test('failed handshakes are logged without the client\'s address',
    async () => {
      await hello({ ciphers: 'AES128-GCM-SHA256', maxVersion: 'TLSv1.2' });
      await eventually(() => /SSL: .*withheld/.test(gate.log()));
      assert.doesNotMatch(gate.log(), /127\.0\.0\.1/);
    });

  test('HTTP/2: security headers, errors as JSON', async () => {
    const fine = await gate.request('/health', { http: 2 });
    assert.equal(fine.status, 200);
    assertSecurityHeaders(fine.headers, true);

    const large = await gate.request('/v1/models',
      { http: 2, headers: { large: 'words '.repeat(2000) } });
    assertOpenaiError(large, 431, null);
    assertSecurityHeaders(large.headers, true);
  });

  test('HTTP/2: an upload of known length arrives whole', async () => {
    const { body, sha256 } = bigChat(3 * MIB);
    const answer = await gate.request('/v1/chat/completions', { http: 2, body,
      headers: { 'content-type': 'application/json' } });

    assert.equal(answer.status, 200, answer.text);
    assert.equal((await latestChat(gate)).body_sha256, sha256);
  });

  test('HTTP/2: an upload of unknown length is never cut short',
    async () => {
      const { body, sha256 } = bigChat(MIB);
      const earlier = (await latestChat(gate))?.body_sha256;
      const answer = await gate.request('/v1/chat/completions',
        { http: 2, body: inPieces(body, 50021),
          headers: { 'content-type': 'application/json' } });

      if (NEWER) {
        assert.equal(answer.status, 200, answer.text);
        assert.equal((await latestChat(gate)).body_sha256, sha256);
        return;
      }
      const error = assertOpenaiError(answer, 411, null);
      assert.match(error.message, /Content-Length/);
      assert.equal((await latestChat(gate))?.body_sha256, earlier);
    });

  test('HTTP/2 can be switched off', async () => {
    const other = await startStack({ tls: true,
      env: { PROCESSES: '1', PMPROXY_HTTP2: 'off' } });
    try {
      const { port } = new URL(other.baseUrl);
      const alpn = await new Promise((resolve, reject) => {
        const socket = tls.connect({ port, host: '127.0.0.1', ca: other.ca,
          ALPNProtocols: ['h2', 'http/1.1'] }, () => {
          resolve(socket.alpnProtocol);
          socket.destroy();
        });
        socket.on('error', reject);
      });
      assert.equal(alpn, 'http/1.1');
    } finally {
      await other.stop();
    }
  });
});

// lighttpd cuts an answer that stands still for max-write-idle, even when it
// is the upstream that is silent (measured: 3 s with a limit of 2).
test('lighttpd waits longer for a silent stream than the responder does',
  () => {
    const build = path.resolve(__dirname, '..', '..',
      process.env.BUILD || 'build');
    const wait = (idle) => Number(/^var\.max_write_idle = (\d+)$/m.exec(
      child_process.execFileSync(path.join(build, 'bin', 'pmsettings'),
        ['lighttpd'], { encoding: 'utf8',
          env: { UPSTREAM_IDLE_TIMEOUT: idle } }))[1]);

    assert.equal(wait('120'), 600);
    assert.equal(wait('540'), 600);
    assert.equal(wait('541'), 601);
    assert.equal(wait('3600'), 3660);
    assert.equal(wait('86400'), 65535);
  });

test('every error text is what its status and its client need', () => {
  const share = path.resolve(__dirname, '..', '..', 'share', 'errors');
  const statuses = (kind) => fs.readdirSync(path.join(share, kind)).sort();

  assert.deepEqual(statuses('openai'), statuses('anthropic'));
  for (const name of statuses('openai')) {
    const read = (kind) =>
      JSON.parse(fs.readFileSync(path.join(share, kind, name), 'utf8'));
    assert.match(name, /^[45]\d\d\.html$/);
    const openai = read('openai').error;
    const anthropic = read('anthropic');
    assert.deepEqual(Object.keys(openai),
      ['message', 'type', 'param', 'code'], name);
    assert.equal(anthropic.type, 'error');
    assert.equal(anthropic.error.message, openai.message);
  }
});
