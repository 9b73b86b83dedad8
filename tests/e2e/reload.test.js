'use strict';
/*
 * SIGUSR1: lighttpd reads its certificate anew. Nothing under way is lost, and
 * nobody who comes meanwhile is turned away. "pmproxy reload" asks clients to
 * close their connections before, so that no request comes on one that lighttpd
 * closes.
 */
const { test } = require('node:test');
const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const https = require('node:https');
const os = require('node:os');
const path = require('node:path');
const { startStack, eventually } = require('./lib/stack');
const { journal } = require('./lib/journal');
const { CHAT, chat, chunks, endsWithDone, faulty, said } = require('./lib/calls');

/* Another certificate under the same names; the gate's CA from now on. */
function replaceCertificate(gate) {
  const { TLS_CERT_FILE: cert, TLS_KEY_FILE: key } = gate.env;

  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt',
    'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${key}.new`, '-out',
    `${cert}.new`, '-days', '2', '-subj', '/CN=renewed', '-addext',
    'subjectAltName=IP:127.0.0.1'], { stdio: 'pipe' });
  for (const file of [cert, key]) fs.renameSync(`${file}.new`, file);
  gate.ca = [gate.ca, fs.readFileSync(cert)];
}

async function presented(gate) {
  const socket = await gate.socket();
  const { subject } = socket.getPeerCertificate();

  socket.destroy();
  return subject.CN;
}

/* Processes of lighttpd: the one that was started, and its children. */
function servers(gate) {
  const file = `/proc/${gate.serverPid}/task/${gate.serverPid}/children`;

  return fs.readFileSync(file, 'utf8').trim().split(/\s+/).filter((pid) =>
    fs.readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === 'lighttpd');
}

test('responders of their own: streams run on beside the new process',
  { timeout: 60000 }, async () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pmreload.'));
    const gate = await startStack({ tls: true, env: { PROCESSES: '1',
      PMPROXY_SOCKET: path.join(folder, 'v1.socket') } });

    try {
      /* Longer than the ten seconds that a stop allows. */
      const streams = [1, 2].map((http) => gate.request(CHAT,
        faulty('rate=20,words=260', { http, stream: true })));
      await gate.standin.wait({ open: 2 });
      assert.equal(await presented(gate), 'pmproxy test');
      assert.equal(Number(fs.readFileSync(
        path.join(gate.runDir, 'lighttpd.pid'), 'utf8')), gate.serverPid);

      replaceCertificate(gate);
      process.kill(gate.serverPid, 'SIGUSR1');
      const arrived = [];
      await eventually(async () => {
        arrived.push((await gate.request('/v1/models')).status);
        return await presented(gate) === 'renewed';
      });
      for (let i = 0; i < 10; i++)
        arrived.push((await gate.request('/v1/models')).status);
      assert.deepEqual(new Set(arrived), new Set([200]));
      assert.equal((await gate.standin.stats()).open, 2, 'both still run');
      assert.equal(servers(gate).length, 1, 'the old process, for them');

      for (const { text } of await Promise.all(streams))
        assert.equal(said(endsWithDone(text)).split(' ').length, 260);
      await eventually(() => servers(gate).length === 0);
      assert.equal(Number(fs.readFileSync(
        path.join(gate.runDir, 'lighttpd.pid'), 'utf8')), gate.serverPid);
      assert.equal(journal(gate).filter((line) =>
        line.endpoint === 'chat.completions' && !line.estimated).length, 2);
    } finally {
      await gate.stop();
      fs.rmSync(folder, { recursive: true });
    }
  });

/* Clients that ask without a pause, each on a connection that it keeps. */
function busy(gate, clients) {
  const agents = Array.from({ length: clients }, () =>
    new https.Agent({ keepAlive: true, maxSockets: 1 }));
  const answers = [];
  let over = false;
  const all = Promise.all(agents.map(async (agent) => {
    while (!over) {
      const { status, headers } = await gate.request(CHAT,
        { ...chat(), agent });
      answers.push({ status, connection: headers.connection });
    }
  }));

  all.catch(() => {}); // stop() tells
  return { answers, stop: async () => {
    over = true;
    await all.finally(() => agents.forEach((agent) => agent.destroy()));
  } };
}

test('pmproxy reload: busy connections are closed by their clients',
  { timeout: 60000 }, async () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pmreload.'));
    const gate = await startStack({ tls: true, env: { PROCESSES: '1',
      PMPROXY_SOCKET: path.join(folder, 'v1.socket') } });
    const clients = busy(gate, 16);
    const closing = ({ connection }) => connection === 'close';

    try {
      await eventually(() => clients.answers.length >= 100);
      assert.ok(!clients.answers.some(closing));
      replaceCertificate(gate);
      const told = gate.reload();
      await eventually(() => clients.answers.some(closing));
      /* HTTP/2 has no such field, and would break at it. */
      assert.equal((await gate.request(CHAT, { ...chat(), http: 2 })).status,
        200);
      await told;
      await eventually(async () => await presented(gate) === 'renewed');
      await eventually(() => servers(gate).length === 0, 20000);
      await clients.stop();
      assert.deepEqual(new Set(clients.answers.map(({ status }) => status)),
        new Set([200]));
    } finally {
      await clients.stop().catch(() => {});
      await gate.stop();
      fs.rmSync(folder, { recursive: true });
    }
  });

test('responders of lighttpd\'s: short answers end, then it is a new one',
  { timeout: 60000 }, async () => {
    const gate = await startStack({ tls: true, env: { PROCESSES: '1' } });

    try {
      const short = gate.request(CHAT,
        faulty('rate=20,words=40', { stream: true }));
      await gate.standin.wait({ open: 1 });
      replaceCertificate(gate);
      process.kill(gate.serverPid, 'SIGUSR1');
      assert.equal(said(endsWithDone((await short).text)).split(' ').length, 40);
      await eventually(async () => await presented(gate) === 'renewed', 20000);
      assert.equal((await gate.request('/v1/models')).status, 200);
      assert.equal(chunks((await gate.request(CHAT,
        faulty('words=3', { stream: true }))).text).at(-1), '[DONE]');
    } finally {
      await gate.stop();
    }
  });
