'use strict';
/*
 * pmproxy-certificate: from a gate without a certificate to one that renews
 * it, against a real ACME server.
 */
const { after, before, describe, test } = require('node:test');
const assert = require('node:assert/strict');
const { execFile, execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const tls = require('node:tls');
const { X509Certificate } = require('node:crypto');
const { promisify } = require('node:util');
const { startStack } = require('./lib/stack');
const { exchange } = require('./lib/exchange');
const { Authority, freePorts, missing } = require('./lib/authority');
const { CHAT, checkError, endsWithDone, faulty, said } =
  require('./lib/calls');

const DOMAIN = 'gate.example.org';
const skip = missing().length > 0 && `not installed: ${missing()}`;
let authority, folder, gate, httpPort;

const inState = (...names) => path.join(gate.stateDir, ...names);
const live = (name) => fs.readFileSync(inState('tls', 'live', name), 'utf8');

/* All below a folder, "name" or "name/", with its mode. */
function tree(top, prefix = '') {
  return fs.readdirSync(path.join(top, prefix), { withFileTypes: true })
    .flatMap((entry) => {
      const name = path.join(prefix, entry.name);
      const { mode } = fs.lstatSync(path.join(top, name),
        { throwIfNoEntry: false }) || { mode: 0 };
      const one = { name, mode: mode & 0o777, link: entry.isSymbolicLink() };

      return entry.isDirectory() ? [one, ...tree(top, name)] : [one];
    });
}

/* Runs it; { code, out, err }. In a folder for temporary files of its own. */
function run(args, more = {}) {
  return new Promise((resolve) => {
    execFile('pmproxy-certificate', args, { timeout: 60000,
      env: { ...gate.env, ...authority.env, TMPDIR: path.join(folder, 'tmp'),
        ...more } },
    (error, out, err) =>
      resolve({ code: error ? error.code : 0, out, err }));
  });
}

async function ok(...args) {
  const done = await run(args);

  assert.equal(done.code, 0, done.err);
  return done;
}

/* What the gate presents under its name, checked up to the authority's root. */
function presented() {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({ host: '127.0.0.1', port: gate.env.PORT,
      servername: DOMAIN, ca: authority.root }, () => {
      resolve(socket.getPeerCertificate(true));
      socket.destroy();
    });
    socket.once('error', reject);
  });
}

/* A request to the TLS port under the gate's name. */
function secure(target, options = {}) {
  const { headers, json, http } = options;
  const body = json && JSON.stringify(json);

  return exchange({ url: new URL(target, `https://${DOMAIN}:${gate.env.PORT}`),
    method: body ? 'POST' : 'GET', body, http, ca: authority.root,
    headers: { authorization: `Bearer ${gate.apiKey}`,
      'content-type': 'application/json', ...headers } });
}

/* node's resolver knows the name, as the DNS would. */
function knowTheName() {
  const dns = require('node:dns');
  const { lookup } = dns;

  dns.lookup = (name, options, done = options) => {
    if (name !== DOMAIN) lookup(name, options, done);
    else if (options.all) done(null, [{ address: '127.0.0.1', family: 4 }]);
    else done(null, '127.0.0.1', 4);
  };
}

/* A certificate for the live key that began and ends so many days from now. */
function forge(from, until, name = DOMAIN) {
  const dir = fs.mkdtempSync(inState('forge.'));
  const file = (part) => path.join(dir, part);
  const date = (days) => new Date(Date.now() + days * 864e5).toISOString()
    .replace(/[-:T]|\.\d+/g, '');

  fs.writeFileSync(file('index'), '');
  fs.writeFileSync(file('serial'), '01');
  fs.writeFileSync(file('ca.conf'), `[ca]\ndefault_ca=one\n[one]\n
database=${file('index')}\nserial=${file('serial')}\nnew_certs_dir=${dir}
default_md=sha256\npolicy=any\nx509_extensions=names\n[any]\n[names]
subjectAltName=DNS:${name}\n`);
  const openssl = (...args) => execFileSync('openssl', args, { stdio: 'pipe' });
  openssl('req', '-new', '-key', inState('tls/live/key.pem'), '-subj', '/',
    '-out', file('request'));
  openssl('ca', '-batch', '-config', file('ca.conf'), '-selfsign', '-keyfile',
    inState('tls/live/key.pem'), '-in', file('request'), '-startdate',
    date(from), '-enddate', date(until), '-notext', '-out', file('out'));
  fs.renameSync(file('out'), inState('tls/live/chain.pem'));
  fs.rmSync(dir, { recursive: true });
}

describe('a certificate that comes by itself', { skip, timeout: 180000 }, () => {
  before(async () => {
    knowTheName();
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pmcert.'));
    fs.mkdirSync(path.join(folder, 'tmp'));
    [httpPort] = await freePorts(1);
    authority = await Authority.start({ httpPort });
    gate = await startStack({ env: { DOMAIN, TLS_AUTO: '1', PROCESSES: '1',
      HTTP_PORT: String(httpPort), ACME_URL: authority.url,
      ACME_EMAIL: 'admin@example.org',
      PMPROXY_SOCKET: path.join(folder, 'v1.socket') } });
  });
  after(async () => {
    await gate?.stop();
    await authority?.stop();
    if (folder) fs.rmSync(folder, { recursive: true });
  });

  test('before: plain HTTP, and nothing on it but health', async () => {
    assert.equal((await gate.request('/health')).status, 200);
    assert.equal((await gate.request('/health/ready')).status, 200);
    checkError(await gate.request('/v1/models'), 403,
      'invalid_request_error', 'https_required');
    assert.equal((await gate.request(
      '/.well-known/acme-challenge/nothing')).status, 404);
    await assert.rejects(presented(), { code: 'ECONNREFUSED' });
    const { code, out } = await run(['status']);
    assert.deepEqual([code, out],
      [1, `no certificate for ${DOMAIN}: there is none\n`]);
  });

  test('an authority that fails is told loudly', async () => {
    authority.refusing = true;
    const { code, err } = await run(['renew']);
    authority.refusing = false;
    assert.equal(code, 1);
    assert.match(err, /no account at .*clients cannot be served over TLS/);
    assert.equal((await gate.request('/health')).status, 200);
  });

  test('the first one', async () => {
    const open = [];
    /* Whoever looks while it works finds no file for others to read. */
    const watch = setInterval(() => {
      for (const name of ['tls', 'acme'])
        if (fs.existsSync(inState(name)))
          open.push(...tree(inState(name)).filter(({ mode, link }) =>
            mode & 0o077 && !link));
    }, 2);
    const { err } = await ok('renew');
    clearInterval(watch);
    assert.deepEqual(open, []);
    assert.match(err, /the certificate for gate\.example\.org ends /);

    const certificate = await presented();
    assert.equal(certificate.subjectaltname, `DNS:${DOMAIN}`);
    assert.equal(certificate.asn1Curve, 'prime256v1');
    assert.ok(certificate.issuerCertificate.subject.CN.includes('Intermediate'));
    assert.equal((await secure('/v1/models').whole()).status, 200);
    assert.equal((await secure('/v1/models', { http: 2 }).whole()).status, 200);
    checkError(await gate.request('/v1/models'), 403,
      'invalid_request_error', 'https_required');
    assert.equal((await gate.request('/health')).status, 200);
    assert.equal((await gate.request('/admin/login?x=1',
      { headers: { host: 'another.example.com' } })).headers.location,
    `https://${DOMAIN}:${gate.env.PORT}/admin/login?x=1`);
  });

  test('leaves key and chain, an account, and nothing else', () => {
    const name = fs.readlinkSync(inState('tls/live'));
    const seen = (top) => tree(inState(top)).map(({ name: file, mode }) =>
      `${file} ${mode.toString(8)}`).sort();
    const account = authority.url.replace(/[^A-Za-z0-9.-]/g, '_');

    assert.deepEqual(seen('tls'), [`${name} 700`, `${name}/chain.pem 400`,
      `${name}/key.pem 600`, 'live 777', 'lock 600']);
    assert.deepEqual(seen('acme'), [`${account} 700`, `${account}/private 700`,
      `${account}/private/key.pem 400`]);
    assert.deepEqual(fs.readdirSync(path.join(gate.runDir, 'acme')), []);
    assert.deepEqual(fs.readdirSync(path.join(folder, 'tmp')), []);
    assert.equal(fs.statSync(inState('tls')).mode & 0o777, 0o700);
  });

  test('while it is young, nobody is asked', async () => {
    const asked = authority.requests.length;
    assert.deepEqual(await run(['renew']), { code: 0, out: '', err: '' });
    assert.equal(authority.requests.length, asked);
    assert.match((await ok('status')).out, /DNS:gate\.example\.org/);
  });

  test('another one in mid-stream: nothing is lost, none is refused',
    async () => {
      const old = { ...await presented(), key: live('key.pem') };
      const before = fs.readlinkSync(inState('tls/live'));
      const streams = [1, 2].map((http) => secure(CHAT, { http,
        ...faulty('rate=20,words=300', { stream: true }) }).whole());
      await gate.standin.wait({ open: 2 });
      const statuses = [];
      let working = true;
      const others = (async () => {
        while (working) statuses.push((await secure('/v1/models').whole()).status);
      })();

      await ok('renew', '--force');
      working = false;
      await others;
      const fresh = await presented();
      assert.notEqual(fresh.serialNumber, old.serialNumber);
      assert.notEqual(live('key.pem'), old.key);
      assert.deepEqual([...new Set(statuses)], [200]);
      /* The pair before is kept for whoever looks for it. */
      assert.deepEqual(fs.readdirSync(inState('tls')).sort(), [before,
        fs.readlinkSync(inState('tls/live')), 'live', 'lock'].sort());
      assert.equal((await gate.standin.stats()).open, 2, 'both still run');
      for (const { status, text } of await Promise.all(streams)) {
        assert.equal(status, 200);
        assert.equal(said(endsWithDone(text)).split(' ').length, 300);
      }
    });

  test('an authority that fails leaves the old one in use', async () => {
    const old = await presented();
    authority.refusing = true;
    const { code, err } = await run(['renew', '--force']);
    authority.refusing = false;
    assert.equal(code, 1);
    assert.match(err, /no account at .*old certificate stays in use until/);
    assert.equal((await presented()).serialNumber, old.serialNumber);
    assert.deepEqual(fs.readdirSync(inState('tls')).filter((name) =>
      name.startsWith('new')), []);
  });

  test('one that cannot reach the gate does not certify', async () => {
    const [nowhere] = await freePorts(1);
    const stranger = await Authority.start({ httpPort: nowhere });
    const old = await presented();

    try {
      const { code, err } = await run(['renew', '--force'],
        { ...stranger.env, ACME_URL: stranger.url });
      assert.equal(code, 1);
      assert.match(err, /old certificate stays in use/);
      assert.equal((await presented()).serialNumber, old.serialNumber);
      assert.deepEqual(fs.readdirSync(path.join(gate.runDir, 'acme')), []);
    } finally {
      await stranger.stop();
    }
  });

  test('what is revoked is replaced, older ones are removed', async () => {
    const old = { serial: (await presented()).serialNumber,
      key: live('key.pem'), folder: fs.readlinkSync(inState('tls/live')) };
    await ok('revoke');
    assert.deepEqual(fs.readdirSync(inState('tls')).sort(), [old.folder,
      fs.readlinkSync(inState('tls/live')), 'live', 'lock'].sort());
    assert.ok(authority.requests.includes('POST /revoke-cert'));
    assert.notEqual((await presented()).serialNumber, old.serial);
    assert.notEqual(live('key.pem'), old.key);
  });

  for (const [why, from, until, name, due] of [
    ['two thirds are over', -61, 29, DOMAIN, /ends /],
    ['the name is another', -1, 89, 'old.example.org', /is wanted: it does not name/],
  ]) test(`is renewed when ${why}`, async () => {
    forge(from, until, name);
    assert.match((await ok('renew')).err, due);
    assert.equal((await presented()).serialNumber,
      new X509Certificate(live('chain.pem')).serialNumber);
  });

  test('not when a third is left, and more', async () => {
    forge(-59, 31);
    assert.deepEqual(await run(['renew']), { code: 0, out: '', err: '' });
  });

  test('nor without the gate, which would have to answer', async () => {
    const asked = authority.requests.length;
    const { code, err } = await run(['renew', '--force'],
      { RUN_DIR: path.join(folder, 'tmp') });
    assert.equal(code, 1);
    assert.match(err, /lighttpd does not run/);
    assert.equal(authority.requests.length, asked);
  });

  test('what is wrong with it is told', async () => {
    forge(-90, -1);
    let done = await run(['status']);
    assert.deepEqual([done.code, done.out],
      [1, `no certificate for ${DOMAIN}: it has expired\n`]);
    forge(-1, 89);
    assert.equal((await run(['status'])).code, 0);
    execFileSync('openssl', ['genpkey', '-algorithm', 'EC', '-pkeyopt',
      'ec_paramgen_curve:P-256', '-out', inState('tls/live/key.pem')]);
    done = await run(['status']);
    assert.equal(done.code, 1);
    assert.match(done.out, /not that of the key beside it/);
  });

  test('wrong use', async () => {
    for (const args of [[], ['x'], ['renew', '--now'], ['status', 'x']])
      assert.equal((await run(args)).code, 2, args.join(' '));
    const off = await run(['renew'], { TLS_AUTO: '0' });
    assert.equal(off.code, 1);
    assert.match(off.err, /TLS_AUTO is off/);
    assert.match((await ok('--help')).out, /^usage: pmproxy-certificate/);
  });

  test('nobody but uacme puts files where challenges are', async () => {
    const env = { PMPROXY_CHALLENGES: path.join(folder, 'tmp') };
    for (const [type, token] of [['http-01', '../x'], ['http-01', ''],
      ['http-01', 'a/b'], ['dns-01', 'token'], ['tls-alpn-01', 'token']])
      assert.equal((await run(['begin', type, DOMAIN, token, 'answer'], env))
        .code, 1, `${type} ${token}`);
    assert.deepEqual(fs.readdirSync(path.join(folder, 'tmp')), []);
  });
});

/* DER that the gate staples, or null. */
function stapled() {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({ host: '127.0.0.1', port: gate.env.PORT,
      servername: DOMAIN, ca: authority.root, requestOCSP: true });
    let staple = null;

    socket.once('OCSPResponse', (bytes) => { staple = bytes; });
    socket.once('secureConnect', () => {
      socket.destroy();
      resolve(staple);
    });
    socket.once('error', reject);
  });
}

describe('an authority with OCSP', { skip, timeout: 120000 }, () => {
  let responder;

  before(async () => {
    knowTheName();
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pmcert.'));
    fs.mkdirSync(path.join(folder, 'tmp'));
    [httpPort, responder] = await freePorts(2);
    authority = await Authority.start({ httpPort,
      ocspResponderUrl: `http://127.0.0.1:${responder}` });
    gate = await startStack({ env: { DOMAIN, TLS_AUTO: '1', PROCESSES: '1',
      HTTP_PORT: String(httpPort), ACME_URL: authority.url } });
  });
  after(async () => {
    await gate?.stop();
    await authority?.stop();
    if (folder) fs.rmSync(folder, { recursive: true });
  });

  test('that is silent: TLS works, without a staple', async () => {
    const { err } = await ok('renew');
    assert.match(err, /no OCSP answer from/);
    assert.equal(await stapled(), null);
    assert.equal((await run(['staple'])).code, 1);
  });

  test('that does not know the certificate: none of that is stapled',
    async () => {
      await authority.respond(responder, []);
      assert.equal((await run(['staple'])).code, 1);
      assert.equal(fs.existsSync(inState('tls/live/ocsp.der')), false);
    });

  test('its word is stapled', async () => {
    await authority.respond(responder, [await presented()]);
    await ok('staple');
    assert.deepEqual(await stapled(),
      fs.readFileSync(inState('tls/live/ocsp.der')));
    /* Another one is not lost on the way, and brings no restart. */
    await ok('staple');
    assert.ok(await stapled());
    assert.deepEqual(tree(inState('tls/live', '..', fs.readlinkSync(
      inState('tls/live')))).map(({ name }) => name).sort(),
    ['chain.pem', 'key.pem', 'ocsp.der']);
  });
});

describe('an authority that binds accounts to its customers',
  { skip, timeout: 120000 }, () => {
    const ID = 'customer-1', KEY = Buffer.alloc(32, 'k').toString('base64url');

    before(async () => {
      knowTheName();
      folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pmcert.'));
      fs.mkdirSync(path.join(folder, 'tmp'));
      [httpPort] = await freePorts(1);
      authority = await Authority.start({ httpPort, keys: { [ID]: KEY } });
      gate = await startStack({ env: { DOMAIN, TLS_AUTO: '1', PROCESSES: '1',
        HTTP_PORT: String(httpPort), ACME_URL: authority.url } });
    });
    after(async () => {
      await gate?.stop();
      await authority?.stop();
      if (folder) fs.rmSync(folder, { recursive: true });
    });

    test('no account is made without it, the manual\'s line makes one, ' +
      'and renew uses that', async () => {
      const manual = fs.readFileSync(path.join(__dirname, '..', '..', 'docs',
        'man', 'pmproxy-certificate.8'), 'utf8');
      const failed = await run(['renew']);

      assert.equal(failed.code, 1);
      const [, account] = /no account at \S+ \(it would be in (\S+)\)/
        .exec(failed.err);
      const values = { ACME_URL: authority.url, FOLDER: account,
        'KEYID:KEY': `${ID}:${KEY}` };
      const [program, ...words] = /^\.Dl (uacme .*)$/m.exec(manual)[1]
        .split(' ').map((word) => values[word] ?? word);
      /* In place of the "y" that it asks for. */
      await promisify(execFile)(program, ['-y', ...words], { timeout: 60000,
        env: { ...process.env, ...authority.env } });
      await ok('renew');
      assert.equal((await presented()).subjectaltname, `DNS:${DOMAIN}`);
    });
  });
