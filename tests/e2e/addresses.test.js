'use strict';
/*
 * No client's address is ever written: not by the web server, not by the
 * responders, not by the pages; neither as text nor as bytes, nor as a hash
 * that anybody could compute. Whatever the client does, and however its
 * request fails.
 */
const { after, before, describe, it } = require('node:test');
const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const fs = require('node:fs');
const http = require('node:http');
const https = require('node:https');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');

const { Browser } = require('./lib/browser');
const { eventually, startStack } = require('./lib/stack');

/* Who connects, and whom proxies name. */
const PEER = '127.77.33.11';
const PEER_BYTES = '7f4d210b';
const FAR = '203.0.113.177';
const FAR_BYTES = 'cb0071b1';
const FAR6 = '2001:db8:7733:1100:a:b:c:d';
const FAR6_NETWORK = '20010db877331100';
const FAIL_LIMIT = 3;

const digests = (bytes) => ['sha256', 'sha1', 'md5'].flatMap((name) => {
  const digest = crypto.createHash(name).update(bytes).digest();
  return [digest.subarray(0, 8), Buffer.from(digest.toString('hex').slice(0, 16)),
    Buffer.from(digest.toString('base64').slice(0, 12))];
});

/* What an address would look like in a file. */
function looks(text, hex) {
  const bytes = Buffer.from(hex, 'hex');

  return [Buffer.from(text), Buffer.from(hex), Buffer.from(hex.toUpperCase()),
    ...(hex.length > 8 ? [bytes] : []), ...digests(text), ...digests(bytes)];
}

const WANTED = [...looks(PEER, PEER_BYTES), ...looks(FAR, FAR_BYTES),
  ...looks(FAR6, FAR6_NETWORK), Buffer.from('2001:db8:7733')];

function filesBelow(folder) {
  return fs.readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const file = path.join(folder, entry.name);
    if (entry.isDirectory()) return filesBelow(file);
    return entry.isFile() ? [file] : [];
  });
}

for (const tls of [false, true])
  describe(`addresses, ${tls ? 'TLS' : 'plain'}`, { timeout: 180e3 }, () => {
    let gate, agent, chat;

    before(async () => {
      gate = await startStack({ tls, env: { TRUST_PROXY: '127.0.0.0/8',
        FAILED_AUTH_LIMIT: String(FAIL_LIMIT), ADMIN_BIND_ADDRESS: '1',
        IP_RATE_LIMIT_REQUESTS: '40' } });
      agent = new (tls ? https : http).Agent({ localAddress: PEER });
      chat = (options) => gate.request('/v1/chat/completions', { agent,
        json: { model: 'gpt-oss-120b', messages: [{ role: 'user',
          content: 'a note' }] }, ...options });
    });
    after(() => gate?.stop());

    const connect = () => net.connect({ host: '127.0.0.1',
      port: Number(new URL(gate.baseUrl).port), localAddress: PEER });

    /* Sends bytes from the address and waits until the gate hangs up. */
    const hurl = (bytes) => new Promise((resolve) => {
      const socket = connect();
      socket.on('error', () => {});
      socket.once('close', resolve);
      socket.resume();
      socket.end(bytes);
    });

    async function everything(headers) {
      assert.equal((await chat({ headers })).status, 200);
      for (let i = 0; i <= FAIL_LIMIT; i++)
        assert.equal((await chat({ headers, key: `pm_wrong${i}` })).status,
          i < FAIL_LIMIT ? 401 : 429);
      assert.equal((await chat({ headers, auth: false })).status, 401);
      assert.equal((await chat({ headers, json: 1 })).status, 400);
      assert.equal((await gate.request('/v1/x', { agent, headers })).status, 404);
      const browser = new Browser({ request: (target, options) =>
        gate.request(target, { ...options, agent }) }, headers);
      for (const password of ['wrong', gate.adminPassword])
        await browser.submit('/admin/login', 'login', { password });
      assert.equal((await browser.get('/admin/keys')).status, 200);
      assert.equal((await browser.submit('/admin/settings', 'save',
        { IP_RATE_LIMIT_WINDOW: '600' })).status, 303);
      assert.equal((await browser.get('/admin/none')).status, 404);
      const gone = gate.open('/v1/chat/completions', { agent, headers,
        json: { model: 'gpt-oss-120b', stream: true,
          messages: [{ role: 'user', content: 'fault=pace:50' }] } });
      await gone.head;
      gone.abort();
    }

    it('are in no file of the gate, and in no log', async () => {
      await everything({});
      await everything({ 'x-forwarded-for': FAR });
      await everything({ 'x-forwarded-for': `${FAR6}` });
      /* The limit of one address, and that it was one. */
      const last = await eventually(async () => {
        const answer = await chat({ headers: { 'x-forwarded-for': FAR } });
        return answer.status === 429 ? answer : null;
      }, 30e3);
      assert.match(last.text, /rate_limit_exceeded/);
      await hurl('GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n');
      await hurl('\x16\x03\x01\x00\x05hello');
      await hurl('POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n' +
        'Content-Length: 100\r\n\r\n{');
      await hurl('\0\0\0\r\n\r\n');

      const files = [...filesBelow(gate.stateDir), ...filesBelow(gate.runDir),
        gate.gateLog];
      const found = files.flatMap((file) => {
        const bytes = fs.readFileSync(file);
        return WANTED.filter((form) => bytes.includes(form)).map((form) =>
          `${file}: ${form.toString('latin1')} (${form.toString('hex')})`);
      });
      assert.ok(files.length > 5, os.EOL + files.join(os.EOL));
      assert.deepEqual(found, []);
    });
  });
