'use strict';
/*
 * podman.js - what is written for Docker, run by podman: the docker run line of
 * README.md and the services of compose.yaml, with the few changes that a test
 * needs, all of them in here.
 */
const child_process = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { exchange } = require('../e2e/lib/exchange');
const { eventually } = require('../e2e/lib/stack');

const ROOT = path.resolve(__dirname, '..', '..');
/* What podman asks for by itself is more than a test machine may give. */
const LIMITS = ['--ulimit', 'nofile=4096:4096', '--ulimit', 'nproc=2048:2048'];
/* Unasked, podman lays a tmpfs over /tmp where Docker leaves it read-only. */
const AS_DOCKER = ['--runtime', 'runc', '--read-only-tmpfs=false'];
const QUIET = ['--log-level', 'fatal'];

function podman(...args) {
  const done = child_process.spawnSync('podman', [...QUIET, ...args],
    { encoding: 'utf8', timeout: 120000 });

  if (done.error) throw done.error;
  return { status: done.status, out: done.stdout, err: done.stderr };
}

/* The same where nothing may go wrong: standard output. */
function must(...args) {
  const { status, out, err } = podman(...args);

  if (status !== 0)
    throw new Error(`podman ${args.join(' ')}: ${status} ${err}${out}`);
  return out.trim();
}

/* The arguments of README.md's docker run line. */
function readmeLine() {
  const text = fs.readFileSync(path.join(ROOT, 'README.md'), 'utf8');
  const [line] = text.match(/^ {4}docker run (?:.*\\\n)*.*/m);

  return line.replace(/\\\n/g, ' ').trim().split(/\s+/).slice(2);
}

/* Words in place of others; what is to be replaced must be there. */
function replaced(words, changes) {
  for (const [from, to] of Object.entries(changes))
    if (!words.includes(from)) throw new Error(`not in the line: ${from}`);
    else words = words.map((word) => (word === from ? to : word));
  return words.filter((word) => word !== null);
}

function freePort() {
  const net = require('node:net');

  return new Promise((resolve) => {
    const server = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

class Container {
  /* Takes what stands behind "docker run". */
  constructor(words, port) {
    this.port = port;
    this.id = must('run', ...AS_DOCKER, ...LIMITS, ...words);
  }

  exec(...args) {
    return podman('exec', this.id, ...args);
  }

  shell(script) {
    const { status, out, err } = this.exec('sh', '-c', script);

    if (status !== 0) throw new Error(`${script}: ${status} ${err}${out}`);
    return out.trim();
  }

  get(format) {
    return must('inspect', '--format', format, this.id);
  }

  log() {
    const { out, err } = podman('logs', this.id);

    return out + err;
  }

  /* Process ids of that name inside. */
  pids(name) {
    return this.shell('for f in /proc/[0-9]*; do ' +
      `[ "$(cat $f/comm 2>/dev/null)" != ${name} ] || echo \${f#/proc/}; done`)
      .split('\n').filter(Boolean).map(Number);
  }

  open(target, { key, json } = {}) {
    const body = json === undefined ? undefined : JSON.stringify(json);

    return exchange({ url: new URL(target, `http://127.0.0.1:${this.port}`),
      method: body === undefined ? 'GET' : 'POST', body, headers: {
        ...(key && { authorization: `Bearer ${key}` }),
        ...(body && { 'content-type': 'application/json' }) } });
  }

  request(target, options) {
    return this.open(target, options).whole();
  }

  isHealthy() {
    return podman('healthcheck', 'run', this.id).status === 0;
  }

  async up() {
    try {
      await eventually(async () => {
        if (this.get('{{.State.Status}}') === 'exited')
          throw new Error('it ended');
        return this.request('/health').then((a) => a.status === 200,
          () => false);
      }, 60000);
    } catch (error) {
      throw new Error(`${error.message}\n${this.log()}`);
    }
    return this;
  }

  makeKey() {
    return JSON.parse(this.shell('pmkey create --label test --json')).key;
  }

  remove() {
    podman('rm', '-f', '-t', '0', '-v', this.id);
  }
}

module.exports = { Container, LIMITS, ROOT, freePort, must, podman,
  readmeLine, replaced };
