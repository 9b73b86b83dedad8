'use strict';
/*
 * gates.js - what is measured side by side, all in front of one stand-in:
 *
 *   direct     the stand-in itself
 *   mod_proxy  lighttpd's, without keys
 *   nginx      proxy_pass with keep-alive, without keys
 *   pmproxy    lighttpd, keys, limits and journal
 *   caddy      the same responders behind Caddy
 *
 * and, where they are asked for, behind the gate's own lighttpd the least that
 * a responder can be (bench/floor.c): "floor: answer" and so on.
 *
 * Each: { name, url, key, groups(), uploads (a folder), standinPid }.
 */
const child_process = require('node:child_process');
const crypto = require('node:crypto');
const fs = require('node:fs');
const http = require('node:http');
const net = require('node:net');
const os = require('node:os');
const path = require('node:path');
const { eventually, startStack } = require('../../tests/e2e/lib/stack.js');
const { children, groupsOf, nameOf, parentOf } = require('./processes.js');
const { BUILD } = require('./run.js');

const MANY = '1000000000';
const PATIENCE_MS = 60000;

/* Limits that are counted and never reached. */
const LIMITS = { RATE_LIMIT_REQUESTS: MANY, IP_RATE_LIMIT_REQUESTS: MANY,
  FAILED_AUTH_LIMIT: MANY };
const KEY_LIMITS = ['--rate-limit', '1000000000', '--tokens-per-minute',
  '1000000000', '--parallel', '100000'];

function lighttpdConf(port, upstream, folder) {
  return `server.modules = ( "mod_proxy" )
server.compat-module-load = "disable"
server.document-root = "/dev/null"
server.bind = "127.0.0.1"
server.port = ${port}
server.upload-dirs = ( "${folder}/upload" )
server.max-fds = 16384
server.max-connections = 8000
server.listen-backlog = 1024
server.max-keep-alive-requests = 1000000
server.max-request-size = 65536
server.stream-response-body = 2
proxy.server = ( "" => (( "host" => "${upstream.hostname}",
  "port" => ${upstream.port} )) )
`;
}

function nginxConf(port, upstream, folder) {
  return `daemon off;
${process.getuid() === 0 ? 'user root;' : ''}
pid ${folder}/nginx.pid;
error_log stderr;
worker_processes auto;
worker_rlimit_nofile 16384;
events { worker_connections 12000; }
http {
  access_log off;
  client_body_temp_path ${folder}/upload/body;
  proxy_temp_path ${folder}/upload/proxy;
  client_max_body_size 64m;
  keepalive_requests 1000000;
  upstream standin {
    server ${upstream.host};
    keepalive 256;
    keepalive_requests 1000000;
  }
  server {
    listen 127.0.0.1:${port} backlog=1024;
    location / {
      proxy_pass http://standin;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
    }
  }
}
`;
}

const PROXIES = {
  mod_proxy: { conf: lighttpdConf, args: (file) => ['lighttpd', '-D', '-f', file] },
  nginx: { conf: nginxConf, args: (file) => ['nginx', '-c', file, '-e', 'stderr'] },
};

function freePort() {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/* Whether somebody answers there; with a key, and a chat. */
function answers(url, key) {
  const body = '{"model":"gpt-oss-120b","max_tokens":1,"messages":' +
    '[{"role":"user","content":"a"}]}';
  return new Promise((resolve) => {
    const request = http.request(new URL('/v1/chat/completions', url),
      { method: 'POST', agent: false, headers: { authorization: `Bearer ${key}`,
        'content-type': 'application/json', 'content-length': body.length } },
      (answer) => {
        answer.resume();
        answer.on('end', () => resolve(answer.statusCode === 200));
        answer.on('error', () => resolve(false));
      });
    request.on('error', () => resolve(false));
    request.end(body);
  });
}

/* A folder that goes with this process, whatever ends it. */
function ownFolder(name) {
  const folder = fs.mkdtempSync(path.join(
    fs.existsSync('/dev/shm') ? '/dev/shm' : os.tmpdir(), `pmbench-${name}.`));

  process.once('exit', () => fs.rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/* A program that ends with this process. */
function spawnOwn(program, args, options) {
  return child_process.spawn('setpriv',
    ['--pdeathsig', 'TERM', program, ...args], options);
}

/* A proxy that is not ours; stop() ends it. */
async function startProxy(name, upstreamUrl, standinPid) {
  const folder = ownFolder(name);
  const port = await freePort();
  const file = path.join(folder, 'conf');
  const log = fs.openSync(path.join(folder, 'log'), 'w');

  fs.mkdirSync(path.join(folder, 'upload'));
  fs.writeFileSync(file,
    PROXIES[name].conf(port, new URL(upstreamUrl), folder));
  const [program, ...args] = PROXIES[name].args(file);
  const child = spawnOwn(program, args, { stdio: ['ignore', log, log] });
  const ended = new Promise((done) => child.once('close', done));
  const gate = { name, url: `http://127.0.0.1:${port}`, key: 'none', standinPid,
    uploads: path.join(folder, 'upload'), groups: () => groupsOf([child.pid]),
    stop: async () => {
      child.kill();
      await ended;
      fs.closeSync(log);
      fs.rmSync(folder, { recursive: true, force: true });
    } };

  try {
    await eventually(() => {
      if (child.exitCode !== null)
        throw new Error(fs.readFileSync(path.join(folder, 'log'), 'utf8'));
      return answers(gate.url, gate.key);
    }, PATIENCE_MS);
  } catch (error) {
    await gate.stop();
    throw error;
  }
  return gate;
}

/* So many keys beside those that are there. */
function importKeys(stack, n) {
  const [sample] = JSON.parse(stack.run('pmkey', 'export')).keys;
  const file = path.join(stack.runDir, 'keys.json');
  const keys = Array.from({ length: n }, (_, i) => ({ ...sample,
    key_id: `key_${i.toString(16).padStart(16, '0')}`,
    label: `Campaign office ${i}`,
    key_hash: crypto.createHash('sha256').update(String(i)).digest('hex') }));

  fs.writeFileSync(file, JSON.stringify({ version: 1, keys }));
  stack.run('pmkey', 'import', file);
  fs.unlinkSync(file);
}

/* The gate with keys; options: name, keys, env, server, upstream. */
async function startGate({ name, keys = 10000, env = {}, server, upstream }) {
  const stack = await startStack({ server, upstream,
    env: { ...LIMITS, ...env } });

  try {
    const { key } = stack.pmkey('create', '--label', 'bench', ...KEY_LIMITS);
    importKeys(stack, Math.max(0, keys - 2));
    const gate = { name, url: stack.baseUrl, key, stack,
      uploads: path.join(stack.runDir, 'upload'),
      standinPid: children(parentOf(stack.serverPid))
        .find((pid) => nameOf(pid) === 'standin'),
      groups: () => groupsOf([...new Set([stack.serverPid, stack.poolPid])]),
      stop: () => stack.stop() };
    await eventually(() => answers(gate.url, key), PATIENCE_MS);
    return gate;
  } catch (error) {
    await stack.stop();
    throw error;
  }
}

/* lighttpd as the gate has it, with bench/floor.c for its responders. */
async function startFloor(what, upstream, standinPid) {
  const programs = ownFolder('floor');

  fs.mkdirSync(path.join(programs, 'fcgi'));
  fs.symlinkSync(path.join(BUILD, 'bin'), path.join(programs, 'bin'));
  fs.symlinkSync(path.join(BUILD, 'bench/floor'),
    path.join(programs, 'fcgi/v1.fcgi'));
  const stack = await startStack({ upstream, server: 'lighttpd',
    env: { PMPROXY_BIN: programs, FLOOR: what } });

  return { name: `floor: ${what}`, url: stack.baseUrl, key: 'none', standinPid,
    groups: () => groupsOf([stack.serverPid]), stop: () => stack.stop() };
}

/*
 * Runs 'something' with those that 'names' lists or the five; 'env' is for the
 * two gates, 'caddyEnv' for one more, 'floors' lists what bench/floor does.
 */
async function withAll({ env = {}, caddyEnv = {}, names, floors = [] }, something) {
  const wants = (name) => !names || names.includes(name);
  const pmproxy = await startGate({ name: 'pmproxy', env });
  const up = pmproxy.stack.upstreamUrl;
  const { standinPid } = pmproxy;
  const gates = [{ name: 'direct', url: up, key: 'none', standinPid,
    groups: () => ({ web: [], responders: [] }), stop: async () => {} }];

  try {
    for (const name of ['mod_proxy', 'nginx'])
      if (wants(name)) gates.push(await startProxy(name, up, standinPid));
    gates.push(pmproxy);
    if (wants('caddy'))
      gates.push({ ...await startGate({ name: 'caddy', upstream: up,
        server: 'caddy', env: { ...env, ...caddyEnv } }), standinPid });
    for (const what of floors)
      gates.push(await startFloor(what, up, standinPid));
    return await something(gates.filter(({ name }) =>
      wants(name) || name.startsWith('floor')));
  } finally {
    for (const gate of gates.reverse())
      if (gate !== pmproxy) await gate.stop();
    await pmproxy.stop();
  }
}

module.exports = { answers, freePort, ownFolder, spawnOwn, startFloor,
  startGate, withAll, PROXIES };
