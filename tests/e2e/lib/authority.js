'use strict';
/*
 * authority.js - an ACME authority of one's own: Debian's pebble, which truly
 * asks the gate before it certifies, and pebble-challtestsrv, a DNS server
 * for which every name is 127.0.0.1.
 *
 * ACME clients reach it through a proxy that can fail on demand. uacme believes
 * the system's certificates alone, and has no option for others: trust-ca.c
 * gives it the proxy's.
 */
const child_process = require('node:child_process');
const fs = require('node:fs');
const https = require('node:https');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { eventually } = require('./stack');

/* The programs of Debian's packages that a machine lacks. */
function missing() {
  return ['pebble', 'pebble-challtestsrv', 'uacme'].filter((program) =>
    child_process.spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0);
}

/* What has uacme believe in the certificate of 'folder', in its environment. */
function trusting(folder) {
  const library = path.join(folder, 'trust-ca.so');

  child_process.execFileSync('cc', ['-shared', '-fPIC', '-o', library,
    path.join(__dirname, 'trust-ca.c')], { stdio: 'pipe' });
  return { LD_PRELOAD: library,
    TRUST_CA_FILE: path.join(folder, 'cert.pem') };
}

/* Ports that are free now, below those that outgoing connections get. */
async function freePorts(n) {
  const servers = [];

  while (servers.length < n) {
    const server = net.createServer();
    const port = 2000 + Math.floor(Math.random() * 7900);

    if (await new Promise((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => resolve(true));
    })) servers.push(server);
  }
  return Promise.all(servers.map((server) => {
    const { port } = server.address();
    return new Promise((resolve) => server.close(() => resolve(port)));
  }));
}

/* Resolves once the program says 'ready'. */
function start(program, args, ready, env = {}) {
  const child = child_process.spawn(program, args,
    { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
  let said = '';

  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`${program}: ${code} ${said}`)));
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (piece) => {
        said += piece;
        if (said.includes(ready)) resolve(child);
      });
  });
}

class Authority {
  /* While true, every request gets 503. */
  refusing = false;
  /* "POST /path" of each request that came. */
  requests = [];

  /*
   * Asks names' hosts on httpPort; certificates may name an OCSP responder.
   * With keys, { id: base64url }, an account must be bound to one of them.
   */
  static async start({ httpPort, ocspResponderUrl = '', keys }) {
    const authority = new Authority();

    await authority.#start(httpPort, ocspResponderUrl, keys);
    return authority;
  }

  async #start(httpPort, ocspResponderURL, keys) {
    const [api, management, dns, control] = await freePorts(4);
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pmacme.'));
    const file = (name) => path.join(folder, name);

    this.folder = folder;
    child_process.execFileSync('openssl', ['req', '-x509', '-newkey', 'ec',
      '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout',
      file('key.pem'), '-out', file('cert.pem'), '-days', '2', '-subj',
      '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1'], { stdio: 'pipe' });
    fs.writeFileSync(file('config.json'), JSON.stringify({ pebble: {
      listenAddress: `127.0.0.1:${api}`,
      managementListenAddress: `127.0.0.1:${management}`,
      certificate: file('cert.pem'), privateKey: file('key.pem'), httpPort,
      tlsPort: 1, ocspResponderURL, externalAccountMACKeys: keys,
      externalAccountBindingRequired: Boolean(keys) } }));
    this.children = [await start('pebble-challtestsrv', ['-dns01',
      `127.0.0.1:${dns}`, '-http01', '', '-https01', '', '-tlsalpn01', '',
      '-management', `127.0.0.1:${control}`, '-defaultIPv6', ''], 'Starting')];
    this.children.push(await start('pebble', ['-strict', '-config',
      file('config.json'), '-dnsserver', `127.0.0.1:${dns}`], 'Listening on',
    { PEBBLE_VA_NOSLEEP: '1', PEBBLE_VA_ALWAYS_VALID: '0' }));
    await this.#startProxy(api);
    this.management = management;
    this.env = trusting(folder);
    await eventually(() => this.#get('/roots/0').catch(() => false));
    for (const name of ['root', 'intermediate'])
      this[name] = await this.#get(`/${name}s/0`);
    this.intermediateKey = await this.#get('/intermediate-keys/0');
  }

  #startProxy(port) {
    const file = (name) => fs.readFileSync(path.join(this.folder, name));

    this.proxy = https.createServer({ key: file('key.pem'),
      cert: file('cert.pem') }, (request, response) => {
      this.requests.push(`${request.method} ${request.url}`);
      if (this.refusing) {
        request.resume();
        response.writeHead(503).end('{"type":"about:blank"}');
        return;
      }
      request.pipe(https.request({ host: '127.0.0.1', port,
        headers: request.headers, method: request.method, path: request.url, rejectUnauthorized: false },
      (answer) => {
        response.writeHead(answer.statusCode, answer.headers);
        answer.pipe(response);
      }).on('error', () => response.destroy()));
    });
    return new Promise((resolve) => this.proxy.listen(0, '127.0.0.1', () => {
      this.url = `https://127.0.0.1:${this.proxy.address().port}/dir`;
      resolve();
    }));
  }

  /* What its management tells: certificates and keys of its own. */
  #get(target) {
    return new Promise((resolve, reject) => {
      https.get({ host: '127.0.0.1', port: this.management, path: target,
        rejectUnauthorized: false }, async (answer) => {
        const pieces = [];
        for await (const piece of answer) pieces.push(piece);
        resolve(Buffer.concat(pieces).toString());
      }).once('error', reject);
    });
  }

  /* openssl's responder at that port, for those of its certificates. */
  async respond(port, certificates) {
    const file = (name) => path.join(this.folder, name);

    this.responder?.kill();
    fs.writeFileSync(file('issuer.pem'), this.intermediate);
    fs.writeFileSync(file('issuer.key'), this.intermediateKey);
    fs.writeFileSync(file('index'), certificates.map(({ serialNumber }) =>
      `V\t491231235959Z\t\t${serialNumber}\tunknown\t/CN=gate\n`).join(''));
    this.responder = await start('openssl', ['ocsp', '-port', String(port),
      '-index', file('index'), '-CA', file('issuer.pem'), '-rsigner',
      file('issuer.pem'), '-rkey', file('issuer.key'), '-ndays', '2'], 'ACCEPT');
  }

  async stop() {
    this.responder?.kill();
    for (const child of this.children || []) child.kill();
    await new Promise((resolve) => this.proxy.close(resolve));
    fs.rmSync(this.folder, { recursive: true });
  }
}

module.exports = { Authority, freePorts, missing };
