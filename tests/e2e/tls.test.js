'use strict';
/* What the gate's TLS offers, and what it refuses however it is asked. */
const { after, before, describe, test } = require('node:test');
const assert = require('node:assert/strict');
const { execFileSync, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const tls = require('node:tls');
const { startStack } = require('./lib/stack');
const { offer } = require('./lib/hello');
const { notOnCaddy } = require('./lib/servers');

/* Every suite that openssl knows, and some that it has forgotten. */
const SUITES = [...new Set([...execFileSync('openssl', ['ciphers', '-V',
  'ALL:COMPLEMENTOFALL:@SECLEVEL=0'], { encoding: 'utf8' })
  .matchAll(/0x(..),0x(..) -/g)].map(([, a, b]) => parseInt(a + b, 16))
  .filter((suite) => suite >> 8 !== 0x13)
  .concat([0x0001, 0x0004, 0x0005, 0x0009, 0x000a, 0x0016, 0x0018, 0x001b,
    0xc007, 0xc008, 0xc011, 0xc012]))];
let folder, gate;

const make = (...args) => execFileSync('openssl', args,
  { cwd: folder, stdio: 'pipe' });

/* root -> intermediate -> leaf.pem, with the intermediate in chain.pem. */
function makeChain() {
  const key = (name) => ['-newkey', 'ec', '-pkeyopt',
    'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${name}.key`];

  make('req', '-x509', ...key('root'), '-subj', '/CN=root', '-days', '2',
    '-out', 'root.pem');
  fs.writeFileSync(path.join(folder, 'ext'), '[ca]\nbasicConstraints=' +
    'critical,CA:TRUE\n[leaf]\nsubjectAltName=DNS:gate.example.org\n');
  for (const [name, signer, part] of [['intermediate', 'root', 'ca'],
    ['leaf', 'intermediate', 'leaf']]) {
    make('req', '-new', ...key(name), '-subj', `/CN=${name}`, '-out', 'csr');
    make('x509', '-req', '-in', 'csr', '-CA', `${signer}.pem`, '-CAkey',
      `${signer}.key`, '-CAcreateserial', '-days', '2', '-extfile', 'ext',
      '-extensions', part, '-out', `${name}.pem`);
  }
  fs.writeFileSync(path.join(folder, 'chain.pem'), ['leaf', 'intermediate']
    .map((name) => fs.readFileSync(path.join(folder, `${name}.pem`))).join(''));
}

/* A valid OCSP answer for the leaf, without a responder. */
function makeStaple() {
  const [, serial] = String(make('x509', '-in', 'leaf.pem', '-noout',
    '-serial')).trim().split('=');

  fs.writeFileSync(path.join(folder, 'index'),
    `V\t491231235959Z\t\t${serial}\tunknown\t/CN=leaf\n`);
  make('ocsp', '-issuer', 'intermediate.pem', '-cert', 'leaf.pem', '-reqout',
    'request.der', '-no_nonce');
  make('ocsp', '-index', 'index', '-CA', 'intermediate.pem', '-rsigner',
    'intermediate.pem', '-rkey', 'intermediate.key', '-reqin', 'request.der',
    '-respout', 'ocsp.der', '-ndays', '1');
}

function connect(options = {}) {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({ host: '127.0.0.1', port: gate.env.PORT,
      servername: 'gate.example.org',
      ca: fs.readFileSync(path.join(folder, 'root.pem')), ...options });
    socket.once('secureConnect', () => resolve(socket));
    socket.once('error', reject);
  });
}

async function facts(options) {
  const socket = await connect(options);
  const { name } = socket.getCipher();
  const found = { protocol: socket.getProtocol(), cipher: name,
    alpn: socket.alpnProtocol, subject: socket.getPeerCertificate().subject.CN };

  socket.destroy();
  return found;
}

before(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pmtls.'));
  makeChain();
  makeStaple();
  gate = await startStack({ env: { PROCESSES: '1',
    TLS_CERT_FILE: path.join(folder, 'chain.pem'),
    TLS_KEY_FILE: path.join(folder, 'leaf.key'),
    TLS_OCSP_FILE: path.join(folder, 'ocsp.der') } });
});
after(async () => {
  await gate?.stop();
  fs.rmSync(folder, { recursive: true });
});

describe('TLS', { timeout: 60000 }, () => {
  for (const [name, version] of [['SSL 3', 0x0300], ['TLS 1.0', 0x0301],
    ['TLS 1.1', 0x0302]])
    test(`${name} is refused`, async () => {
      const answer = await offer(gate.env.PORT, { version, suites: SUITES });
      assert.equal(answer.suite, undefined, JSON.stringify(answer));
    });

  test('TLS 1.2 has forward secrecy and authenticated encryption alone',
    async () => {
      const accepted = [];
      for (;;) {
        const suites = SUITES.filter((suite) => !accepted.includes(suite));
        const answer = await offer(gate.env.PORT, { version: 0x0303, suites });
        if (answer.suite === undefined) break;
        assert.ok(suites.includes(answer.suite));
        assert.equal(answer.version, 0x0303);
        accepted.push(answer.suite);
      }
      /* ECDHE-ECDSA with AES-128-GCM, AES-256-GCM, CHACHA20-POLY1305. */
      assert.deepEqual(accepted.sort((a, b) => a - b),
        [0xc02b, 0xc02c, 0xcca9]);
    });

  test('nothing is compressed', async () => {
    const answer = await offer(gate.env.PORT, { version: 0x0303,
      suites: [0xc02b], compression: [1, 0] });
    assert.equal(answer.compression, 0);
  });

  test('curves are modern ones', async () => {
    /* Caddy's own choice has no P-384. */
    const offered = ['X25519', 'P-256'];
    if (process.env.STACK_SERVER !== 'caddy') offered.push('P-384');
    for (const curve of offered)
      assert.equal((await facts({ ecdhCurve: curve })).protocol, 'TLSv1.3');
    for (const curve of ['P-521', 'X448', 'brainpoolP256r1'])
      await assert.rejects(facts({ ecdhCurve: curve }), curve);
  });

  test('TLS 1.3 is what clients get', async () => {
    for (const cipher of ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384',
      'TLS_CHACHA20_POLY1305_SHA256'])
      assert.deepEqual(await facts({ ciphers: cipher }), { protocol: 'TLSv1.3',
        cipher, alpn: false, subject: 'leaf' });
    assert.equal((await facts({ maxVersion: 'TLSv1.2' })).protocol, 'TLSv1.2');
  });

  test('HTTP/2 and HTTP/1.1 are offered by name', async () => {
    for (const [wanted, got] of [[['h2', 'http/1.1'], 'h2'], [['h2'], 'h2'],
      [['http/1.1'], 'http/1.1']])
      assert.equal((await facts({ ALPNProtocols: wanted })).alpn, got);
  });

  test('a client cannot have keys negotiated again and again', async () => {
    const socket = await connect({ maxVersion: 'TLSv1.2' });
    const ended = new Promise((resolve) => {
      socket.on('error', resolve);
      socket.on('close', resolve);
    });
    const done = new Promise((resolve) =>
      socket.renegotiate({}, (error) => resolve(error || 'renegotiated')));
    assert.notEqual(await Promise.race([ended, done]), 'renegotiated');
    socket.destroy();
  });

  test('no request is taken from before the handshake', () => {
    const { stdout } = spawnSync('openssl', ['s_client', '-tls1_3', '-connect',
      `127.0.0.1:${gate.env.PORT}`, '-ign_eof'], { encoding: 'utf8',
      input: 'GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n' });
    assert.match(stdout, /HTTP\/1\.1 200/);
    const allowed = [...stdout.matchAll(/Max Early Data: (\d+)/g)];
    assert.ok(allowed.length > 0);
    for (const [, bytes] of allowed) assert.equal(bytes, '0');
  });

  test('sessions are resumed by ticket', async () => {
    const first = await connect({ maxVersion: 'TLSv1.2' });
    const session = first.getSession();
    first.destroy();
    const second = await connect({ maxVersion: 'TLSv1.2', session });
    assert.ok(second.isSessionReused());
    second.destroy();
  });

  test('the whole chain is sent, to every name', async () => {
    for (const servername of ['gate.example.org', 'other.example.org', '']) {
      const socket = await connect({ servername,
        checkServerIdentity: () => undefined });
      assert.ok(socket.authorized);
      const { subject, issuerCertificate } = socket.getPeerCertificate(true);
      assert.deepEqual([subject.CN, issuerCertificate.subject.CN],
        ['leaf', 'intermediate']);
      socket.destroy();
    }
  });

  const byFile = { skip: notOnCaddy('staple') };
  test('an OCSP answer is stapled', byFile, async () => {
    const staple = await new Promise((resolve) => {
      const again = tls.connect({ host: '127.0.0.1', port: gate.env.PORT,
        rejectUnauthorized: false, requestOCSP: true });
      again.once('OCSPResponse', (bytes) => {
        again.destroy();
        resolve(bytes);
      });
    });
    assert.deepEqual(staple, fs.readFileSync(path.join(folder, 'ocsp.der')));
  });
});
