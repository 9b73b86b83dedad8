'use strict';
/*
 * Caddy by itself, with Caddyfile.example: what it answers before or instead
 * of a responder, how bodies pass through it, what it writes down. What
 * docs/servers.md says of Caddy 2.6.2 stands on these.
 */
const assert = require('node:assert/strict');
const child_process = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const tls = require('node:tls');
const zlib = require('node:zlib');
const { after, before, describe, test } = require('node:test');
const { startStack, eventually, events } = require('./lib/stack');
const { call } = require('./lib/fastcgi');
const { parseAnswer, assertSecurityHeaders, assertOpenaiError, chat, bigChat,
  inPieces, writtenFiles, latestChat } = require('./lib/front');

const MIB = 1024 * 1024;
const BODY_LIMIT = 4 * MIB;
const POST = 'POST /v1/chat/completions HTTP/1.1\r\nConnection: close\r\n';

/* Go answers what it cannot parse itself: plain text, and it hangs up. */
const GO_REFUSES = [
  ['a line that is no request', 'GARBAGE\r\n\r\n', 400],
  ['no Host', 'GET /v1/models?words HTTP/1.1\r\n\r\n', 400],
  ['a Host with a space', 'GET /v1/models HTTP/1.1\r\nHost: a b\r\n\r\n', 400],
  ['a header without a colon',
    'GET /v1/models HTTP/1.1\r\nHost: a\r\nwords\r\n\r\n', 400],
  ['a length that is no number',
    `${POST}Host: a\r\nContent-Length: 99999999999999999999\r\n\r\n`, 400],
  ['two lengths that differ',
    `${POST}Host: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n`, 400],
  ['headers far too large',
    `GET /v1/models HTTP/1.1\r\nHost: a\r\nA: ${'words '.repeat(3000)}\r\n\r\n`,
    431],
  ['another transfer encoding',
    `${POST}Host: a\r\nTransfer-Encoding: gzip\r\n\r\n`, 501],
  ['another version', 'GET /v1/models HTTP/7.0\r\nHost: a\r\n\r\n', 505],
];

/* Every test file that the suite runs anyway is about lighttpd or both. */
for (const secure of [false, true])
  describe(`Caddy ${secure ? 'over TLS' : 'over plain HTTP'}`,
    { timeout: 60000 }, () => {
      let gate;
      before(async () => {
        gate = await startStack({ server: 'caddy', tls: secure,
          env: { MAX_BODY_BYTES: String(BODY_LIMIT), PROCESSES: '1' } });
      });
      after(() => gate?.stop());

      test('what is no HTTP is refused, tells nothing, and hangs up',
        async () => {
          for (const [what, bytes, status] of GO_REFUSES) {
            const answer = parseAnswer(await gate.raw(bytes));
            assert.equal(answer.status, status, what);
            assert.doesNotMatch(answer.text, /words|caddy|[Gg]o/, what);
          }
        });

      test('a length of twice the limit: 413 before any of it, in both shapes',
        async () => {
          const head = `Host: a\r\nContent-Length: ${2 * BODY_LIMIT + 1}\r\n\r\n`;
          const answer = parseAnswer(await gate.raw(`${POST}${head}`));
          assertOpenaiError(answer, 413, 'request_too_large');
          assertSecurityHeaders(answer.headers, secure);
          const message = parseAnswer(await gate.raw(
            `${POST.replace('chat/completions', 'messages?beta=true')}${head}`));
          assert.equal(JSON.parse(message.text).error.type,
            'request_too_large');
          assert.equal(message.headers.etag, undefined);
        });

      test('a body over the limit from a client that sends before it reads: ' +
        'the 413 is not lost', async () => {
        const body = Buffer.alloc(2 * BODY_LIMIT, 'x');
        const answer = parseAnswer(await gate.raw(Buffer.concat([
          Buffer.from(`${POST}Host: a\r\nAuthorization: Bearer ` +
            `${gate.apiKey}\r\nContent-Length: ${body.length}\r\n\r\n`), body])
          .toString('latin1')));
        assertOpenaiError(answer, 413, 'request_too_large');
      });

      test('a body of unknown length: 411, and nothing of it goes up',
        async () => {
          const { body } = bigChat(MIB);
          for (const size of [20011, body.length]) {
            const answer = await gate.request('/v1/chat/completions', {
              body: inPieces(body, size),
              headers: { 'content-type': 'application/json' } });
            const error = assertOpenaiError(answer, 411, null);
            assert.match(error.message, /Content-Length/);
            assertSecurityHeaders(answer.headers, secure);
          }
          for (const both of ['', 'Content-Length: 2\r\n']) {
            const answer = parseAnswer(await gate.raw(`${POST}Host: a\r\n` +
              `Authorization: Bearer ${gate.apiKey}\r\n` +
              `Content-Type: application/json\r\n${both}` +
              'Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n'));
            assertOpenaiError(answer, 411, null);
          }
          assert.equal(await latestChat(gate), undefined);
        });

      test('one over the limit: 413 before all of it is sent', async () => {
        const answer = await gate.request('/v1/chat/completions',
          { body: inPieces(Buffer.alloc(BODY_LIMIT + 2 * MIB, 'x'), 65536) });
        assertOpenaiError(answer, 413, 'request_too_large');
        assertSecurityHeaders(answer.headers, secure);
      });

      test('a broken chunk is refused as JSON', async () => {
        const answer = parseAnswer(await gate.raw(`${POST}Host: a\r\n` +
          'Transfer-Encoding: chunked\r\n\r\nwords\r\n\r\n'));
        assert.ok([400, 502].includes(answer.status), answer.status);
        assertOpenaiError(answer, answer.status, null);
        assert.ok(!answer.text.includes('words'));
      });

      test('an upload of known length arrives whole and touches no file',
        async () => {
          const { body, sha256 } = bigChat(3 * MIB);
          let goOn;
          const held = new Promise((resolve) => { goOn = resolve; });
          const open = gate.open('/v1/chat/completions', {
            headers: { 'content-type': 'application/json',
              'content-length': body.length },
            body: inPieces(body, MIB, (at) => (at >= MIB ? held : undefined)),
          });
          /* Caddy has had enough of it to be passing it on. */
          await new Promise((resolve) => setTimeout(resolve, 200));
          assert.deepEqual(writtenFiles(gate.serverPid), [gate.gateLog,
            gate.gateLog].slice(0, writtenFiles(gate.serverPid).length));
          goOn();
          const answer = await open.whole();
          assert.equal(answer.status, 200, answer.text);
          assert.equal((await latestChat(gate)).body_sha256, sha256);
        });

      test('an answer that nobody reads touches no file either', async () => {
        const open = gate.open('/v1/chat/completions',
          { json: { ...chat('hello'), model: 'standin/huge=30000000' } });

        await open.head;
        await eventually(async () => (await gate.standin.stats()).open > 0);
        await new Promise((resolve) => setTimeout(resolve, 300));
        assert.deepEqual(writtenFiles(gate.serverPid)
          .filter((file) => file !== gate.gateLog), []);
        open.abort();
        await eventually(async () => (await gate.standin.stats()).open === 0);
      });

      test('outside of the API: a small page, 404, no files, no lists',
        async () => {
          const fromRoot = path.relative('/', gate.runDir);

          for (const target of ['/', '/v1x', '/favicon.ico',
            `/${fromRoot}/gate.log`, '/%2e%2e/etc/passwd', '/admin/keys.cgi',
            '/admin/nothing', '/admin/locale/', '/admin/../admin/style.css',
            '/admin/%2e%2e/v1.fcgi', '/admin/style-.css', '/errors/openai/404.html',
            '/admin/keys%00', '/admin/keys/x', '/help/x', '/config/', '/id/x']) {
            const answer = parseAnswer(await gate.raw(
              `GET ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`));

            assert.ok([404, 400].includes(answer.status),
              `${target} ${answer.status}`);
            assert.ok(answer.text.length < 1000);
            assert.doesNotMatch(answer.text, /[Cc]addy|fcgiwrap|root:/);
            assertSecurityHeaders(answer.headers, secure);
          }
        });

      test('the responder\'s answers have the headers too', async () => {
        for (const [target, status] of [['/health', 200], ['/v1/nothing', 404],
          ['/v1/models', 200], ['/metrics', 404]]) {
          const answer = await gate.request(target);

          assert.equal(answer.status, status, answer.text);
          assertSecurityHeaders(answer.headers, secure);
          assert.equal(answer.headers.status, undefined);
          assert.equal(answer.headers['x-powered-by'], undefined);
        }
      });

      test('a Range does not cut an answer up, no error is "not modified"',
        async () => {
          const answer = await gate.request('/v1/models',
            { headers: { range: 'bytes=0-3' } });
          assert.equal(answer.status, 200);
          assert.ok(answer.json().data.length > 0);
          for (const header of ['If-None-Match: *', 'Range: bytes=0-3',
            'If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT'])
            assertOpenaiError(parseAnswer(await gate.raw(`${POST}Host: a\r\n` +
              `${header}\r\nContent-Length: ${2 * BODY_LIMIT + 1}\r\n\r\n`)), 413,
            'request_too_large');
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
        assert.ok(arrived.length >= 5, `${arrived.length} pieces`);
        assert.ok(arrived.at(-1) - arrived[0] > 300);
      });

      test('a page is compressed and has its own headers', async () => {
        for (const target of ['/admin/login', '/admin/login?next=keys']) {
          const answer = await gate.request(target, { auth: false,
            headers: { 'accept-encoding': 'gzip' } });
          assert.equal(answer.status, 200);
          assert.equal(answer.headers['content-encoding'], 'gzip');
          assert.match(zlib.gunzipSync(answer.body).toString(), /<form /);
          assert.match(answer.headers['content-security-policy'],
            /style-src 'self'; form-action 'self'/);
          assert.equal(answer.headers['referrer-policy'], 'same-origin');
          assert.match(answer.headers['cache-control'], /no-store/);
          assert.equal(answer.headers.server, undefined);
        }
        const api = await gate.request('/v1/models',
          { headers: { 'accept-encoding': 'gzip' } });
        assert.equal(api.headers['content-encoding'], undefined);
      });

      test('the style sheet is kept for a year, its gzip too', async () => {
        const page = await gate.request('/admin/login', { auth: false });
        const [target] = /\/admin\/style-[0-9a-f]+\.css/.exec(page.text);
        for (const encoding of ['gzip', 'identity']) {
          const answer = await gate.request(target, { auth: false,
            headers: { 'accept-encoding': encoding } });
          assert.equal(answer.status, 200);
          assert.equal(answer.headers['cache-control'],
            'public, max-age=31536000, immutable');
          assert.equal(answer.headers['content-type'],
            'text/css; charset=utf-8');
          assert.equal(answer.headers['content-encoding'],
            encoding === 'gzip' ? 'gzip' : undefined);
        }
      });

      test('a form over 64 KiB is refused', async () => {
        const answer = await gate.request('/admin/login', { auth: false,
          body: `password=${'x'.repeat(70000)}`,
          headers: { 'content-type': 'application/x-www-form-urlencoded' } });
        assert.equal(answer.status, 413);
        assertSecurityHeaders(answer.headers, secure);
      });

      test('the log names no query, no address, no content', async () => {
        const answer = await gate.request('/v1/chat/completions?query-words', {
          json: chat('content-words'), headers: { 'x-words': 'header-words' } });

        assert.equal(answer.status, 200, answer.text);
        await gate.raw('GET /v1/models?query-words HTTP/1.1\r\n\r\n');
        await gate.request('/admin/login?query-words', { auth: false });
        assert.doesNotMatch(gate.log(), /-words|127\.0\.0\.1(?! *\])/);
      });
    });

describe('Caddy when responders fail', { timeout: 60000 }, () => {
  let gate;
  before(async () => {
    gate = await startStack({ server: 'caddy', env: { PROCESSES: '1' } });
  });
  after(() => gate?.stop());

  const kill = () => gate.responders().forEach((pid) =>
    process.kill(pid, 'SIGKILL'));

  test('one that dies with a request: 502 as JSON, and another takes its place',
    async () => {
      const open = gate.open('/v1/chat/completions?query-words', {
        json: { ...chat('content-words'), model: 'standin/delay-head=60000' } });

      await gate.standin.wait({ open: 1 });
      kill();
      const answer = await open.whole();
      assertOpenaiError(answer, 502, null);
      assertSecurityHeaders(answer.headers, false);
      await eventually(async () =>
        (await gate.request('/health')).status === 200);
    });

  /* Caddy 2.6 ends the body tidily. When this one fails it has learnt to cut
   * it off, as lighttpd does: say so in docs/servers.md. */
  test('one that dies in the middle of a stream: no [DONE] is made up',
    async () => {
      const open = gate.open('/v1/chat/completions', { json: {
        ...chat('content-words'), model: 'standin/stall-after=3',
        stream: true } });
      let text = '';

      for await (const piece of open.body) {
        text += piece;
        if (events(text).length >= 3) kill();
      }
      assert.doesNotMatch(text, /DONE/);
      await eventually(async () =>
        (await gate.request('/health')).status === 200);
    });

  test('one that dies in an answer of known length: the client can tell',
    async () => {
      const open = gate.open('/v1/chat/completions',
        { json: { ...chat('hello'), model: 'standin/huge=30000000' } });

      await open.head;
      await gate.standin.wait({ open: 1 });
      kill();
      await assert.rejects(open.whole(), /aborted|ECONNRESET|socket hang up/);
      await eventually(async () =>
        (await gate.request('/health')).status === 200);
    });

  test('the pages\' pool runs the pages and nothing else', async () => {
    const ask = (script) => call(path.join(gate.runDir, 'pages.socket'), {
      SCRIPT_FILENAME: script, REQUEST_METHOD: 'GET', REMOTE_ADDR: '127.0.0.1',
      REQUEST_URI: '/admin/login' });
    const own = path.join(gate.env.PMPROXY_BIN, 'cgi-admin', 'login.cgi');

    assert.equal((await ask(own)).headers['content-type'],
      'text/html; charset=utf-8');
    for (const other of ['/usr/bin/env', `${own}/../../../bin/pmkey`,
      path.join(gate.env.PMPROXY_BIN, 'bin', 'pmkey')]) {
      const answer = await ask(other);
      assert.ok(parseInt(answer.headers.status, 10) >= 403,
        `${other}: ${answer.headers.status}`);
    }
  });

  test('no pool at all: 502 as JSON, both shapes, a page; nothing in the log',
    async () => {
      process.kill(-gate.poolPid, 'SIGKILL');
      const answer = await eventually(async () => {
        const one = await gate.request('/v1/models?query-words');
        return one.status === 502 && one;
      });
      const error = assertOpenaiError(answer, 502, null);
      assert.equal(error.type, 'server_error');
      assertSecurityHeaders(answer.headers, false);
      const message = await gate.request('/v1/messages?query-words',
        { json: chat('content-words') });
      assert.equal(message.status, 502);
      assert.equal(message.json().type, 'error');
      assert.equal((await gate.request('/health')).status, 502);
      assert.equal((await gate.request('/admin/login')).status, 200);
      assert.doesNotMatch(gate.log(), /-words|127\.0\.0\.1|v1\/messages/);
    });
});

describe('Caddy and clients that go', { timeout: 60000 }, () => {
  let gate;
  before(async () => {
    gate = await startStack({ server: 'caddy',
      env: { PROCESSES: '1', KEEPALIVE_INTERVAL: '1' } });
  });
  after(() => gate?.stop());

  /* Caddy 2.6 tells the responder nothing; the next write does. */
  test('in a silent stream: noticed when the next keep-alive is written',
    async () => {
      const open = gate.open('/v1/chat/completions', { json: {
        ...chat('hello'), model: 'standin/stall-after=2', stream: true } });
      await open.head;
      await gate.standin.wait({ open: 1 });
      open.abort();
      await gate.standin.wait({ aborted: 1 }, 15000);
    });
});

describe('Caddy and TLS', { timeout: 60000 }, () => {
  let gate;
  before(async () => {
    gate = await startStack({ server: 'caddy', tls: true,
      env: { PROCESSES: '1', FORCE_HTTPS: '1' } });
  });
  after(() => gate?.stop());

  const hello = (options) => new Promise((resolve) => {
    const { port } = new URL(gate.baseUrl);
    const socket = tls.connect({ port, host: '127.0.0.1', ca: gate.ca,
      ...options }, () => {
      resolve({ protocol: socket.getProtocol(), alpn: socket.alpnProtocol });
      socket.destroy();
    });
    socket.on('error', (error) => resolve({ error: error.code }));
  });

  test('1.2 and 1.3, no old ciphers, HTTP/2', async () => {
    assert.ok((await hello({ ciphers: 'DEFAULT@SECLEVEL=0',
      minVersion: 'TLSv1', maxVersion: 'TLSv1.1' })).error);
    for (const ciphers of ['AES128-GCM-SHA256', 'ECDHE-ECDSA-AES128-SHA',
      'ECDHE-ECDSA-AES128-SHA256'])
      assert.ok((await hello({ ciphers, maxVersion: 'TLSv1.2' })).error);
    assert.equal((await hello({ maxVersion: 'TLSv1.2',
      ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' })).protocol, 'TLSv1.2');
    assert.equal((await hello({})).protocol, 'TLSv1.3');
    assert.equal((await hello({ ALPNProtocols: ['h2', 'http/1.1'] })).alpn,
      'h2');
    assert.doesNotMatch(gate.log(), /127\.0\.0\.1(?! *\])/);
  });

  test('HTTP/2: known lengths arrive whole, unknown ones are refused',
    async () => {
      const { body, sha256 } = bigChat(3 * MIB);
      const headers = { 'content-type': 'application/json' };
      const whole = await gate.request('/v1/chat/completions',
        { http: 2, body, headers });
      assert.equal(whole.status, 200, whole.text);
      assertSecurityHeaders(whole.headers, true);
      assert.equal((await latestChat(gate)).body_sha256, sha256);
      const pieces = await gate.request('/v1/chat/completions',
        { http: 2, body: inPieces(body, 50021), headers });
      assertOpenaiError(pieces, 411, null);
    });

  test('the responder knows that it was HTTPS', async () => {
    assert.equal((await gate.request('/v1/models')).status, 200);
    const login = await gate.request('/admin/login', { auth: false });
    assert.equal(login.status, 200);
  });
});

test('nothing that Caddy does reaches this machine\'s trust store', async () => {
  const gate = await startStack({ server: 'caddy', env: { PROCESSES: '1' } });
  try {
    const read = (file) => fs.readFileSync(`/proc/${gate.serverPid}/${file}`,
      'utf8');
    assert.match(read('environ'), /\0HOME=[^\0]*pmstack\./);
    assert.match(read('environ'), /\0XDG_DATA_HOME=[^\0]*pmstack\./);
    /* The only socket it listens on is the gate's: no admin endpoint. */
    const inodes = new Set(fs.readdirSync(`/proc/${gate.serverPid}/fd`)
      .map((fd) => {
        try {
          return fs.readlinkSync(`/proc/${gate.serverPid}/fd/${fd}`);
        } catch {
          return '';
        }
      }));
    const listening = ['net/tcp', 'net/tcp6'].flatMap((file) =>
      read(file).split('\n').map((line) => line.trim().split(/\s+/))
        .filter((f) => f[3] === '0A' && inodes.has(`socket:[${f[9]}]`)));
    assert.equal(listening.length, 1);
    assert.equal(parseInt(listening[0][1].split(':')[1], 16),
      Number(new URL(gate.baseUrl).port));
    assert.deepEqual(child_process.execFileSync('sh', ['-c',
      'ls /usr/local/share/ca-certificates /etc/ssl/certs'],
    { encoding: 'utf8' }).match(/[Cc]addy\S*/g), null);
  } finally {
    await gate.stop();
  }
});
