'use strict';
/*
 * stack.js - a throw-away gate for a test file, and ways to talk to it.
 *
 *   const { startStack } = require('./lib/stack');
 *   const gate = await startStack({ tls: true, env: { PROCESSES: '1' } });
 *   const answer = await gate.request('/v1/models');   // status, headers, json()
 *   await gate.stop();
 *
 * Only Node's own modules, Node 18 and later.
 */
const child_process = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const readline = require('node:readline');
const { exchange } = require('./exchange');
const { PATIENCE } = require('./patience');
const { connect, converse } = require('./socket');

const ROOT = path.resolve(__dirname, '..', '..', '..');

function stackArguments(options) {
  const args = [];

  if (options.server) args.push('--server', options.server);
  if (options.upstream) args.push('--upstream', options.upstream);
  if (options.tls) args.push('--tls');
  for (const [name, value] of Object.entries(options.env || {}))
    args.push('--env', `${name}=${value}`);
  args.push('--', process.execPath, path.join(__dirname, 'hold.js'));
  return args;
}

/*
 * options: env (settings of the gate by name), tls, server ("lighttpd" or
 * "caddy"; also STACK_SERVER in the environment), upstream (a URL instead of
 * the stand-in), wrapper (a command that runs the command behind it). Rejects
 * with what tests/stack said when it does not come up.
 */
function startStack(options = {}) {
  const server = options.server || process.env.STACK_SERVER;
  const [program, ...args] = [...(options.wrapper || []),
    path.join(ROOT, 'tests', 'stack'),
    ...stackArguments({ ...options, server })];
  const child = child_process.spawn(program, args,
    { stdio: ['pipe', 'pipe', 'pipe'] });
  let said = '';

  child.stderr.setEncoding('utf8');
  child.stderr.on('data', (text) => { said += text; });
  return new Promise((resolve, reject) => {
    const ended = new Promise((done) => child.once('exit', done));

    child.once('error', reject);
    child.once('exit', (code) =>
      reject(new Error(`tests/stack ended with ${code}: ${said}`)));
    readline.createInterface({ input: child.stdout }).once('line', (line) =>
      resolve(new Stack(child, ended, JSON.parse(line))));
  });
}

class Stack {
  #child;
  #ended;

  constructor(child, ended, env) {
    this.#child = child;
    this.#ended = ended;
    /* For programs of the gate: pmkey, pmusage and the like. */
    this.env = env;
    this.baseUrl = env.BASE_URL;
    this.apiKey = env.API_KEY;
    this.adminPassword = env.ADMIN_PASSWORD;
    this.stateDir = env.STATE_DIR;
    this.runDir = env.RUN_DIR;
    this.upstreamUrl = env.UPSTREAM_URL;
    this.gateLog = env.GATE_LOG;
    this.serverPid = Number(env.SERVER_PID);
    this.poolPid = Number(env.POOL_PID);
    this.ca = env.TLS_CA_FILE && fs.readFileSync(env.TLS_CA_FILE);
    this.standin = new Standin(env.UPSTREAM_URL);
  }

  /* Ends the gate and waits until nothing of it is left. */
  async stop() {
    this.#child.stdin.end();
    return this.#ended;
  }

  /*
   * Begins a request; see exchange.js. Options: method (GET, or POST with a
   * body), headers, body (string, Buffer, or an iterable of them, which is
   * sent without a length), json (a value to send as JSON), auth: false to
   * send no key, key, http: 1 or 2.
   */
  open(target, options = {}) {
    const headers = { ...options.headers };
    let { body } = options;

    if (options.auth !== false)
      headers.authorization = `Bearer ${options.key || this.apiKey}`;
    if (options.json !== undefined) {
      body = JSON.stringify(options.json);
      headers['content-type'] = 'application/json';
    }
    return exchange({
      ...options, url: new URL(target, this.baseUrl), ca: this.ca, headers,
      body, method: options.method || (body === undefined ? 'GET' : 'POST'),
    });
  }

  /* The whole answer: { status, headers, body, text, json() }. */
  async request(target, options) {
    return this.open(target, options).whole();
  }

  /* An open socket to the gate (TLS if the gate has it). */
  socket(options) {
    return connect(new URL(this.baseUrl), this.ca, options);
  }

  /* Sends bytes, returns all that comes back until the gate closes. */
  async raw(bytes, options) {
    return converse(await this.socket(), bytes, options);
  }

  /* Runs a program of the gate on this gate's stores; its standard output. */
  run(program, ...args) {
    return child_process.execFileSync(program, args,
      { env: this.env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  }

  /* "pmproxy reload"; resolves once lighttpd has been told. */
  reload() {
    return new Promise((resolve, reject) => {
      child_process.execFile('pmproxy', ['reload'], { env: this.env },
        (error, out, said) => (error ? reject(new Error(said)) : resolve()));
    });
  }

  /* pmkey with --json: what it printed, parsed (null when nothing). */
  pmkey(...args) {
    const out = this.run('pmkey', ...args, '--json');

    return out.trim() === '' ? null : JSON.parse(out);
  }

  /* All that web server and responders have logged so far. */
  log() {
    return fs.readFileSync(this.gateLog, 'utf8');
  }

  /* A socket where responders listen; lighttpd gives each its own. */
  get socketPath() {
    const own = path.join(this.runDir, 'v1.socket-0');

    return fs.existsSync(own) ? own : path.join(this.runDir, 'v1.socket');
  }

  /* Process ids of the responders. */
  responders() {
    return descendants(this.poolPid)
      .filter((pid) => commandOf(pid) === 'v1.fcgi');
  }
}

function descendants(pid) {
  let children;

  try {
    children = fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
  } catch {
    return []; // ended meanwhile
  }
  return children.split(/\s+/).filter(Boolean).map(Number)
    .flatMap((child) => [child, ...descendants(child)]);
}

function commandOf(pid) {
  try {
    return fs.readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    return '';
  }
}

/* What the stand-in upstream received. */
class Standin {
  #url;

  constructor(url) {
    this.#url = url;
  }

  async #call(target, method = 'GET') {
    const answer = await exchange({ url: new URL(target, this.#url), method,
      headers: {} }).whole();

    if (answer.status !== 200)
      throw new Error(`stand-in: ${target}: ${answer.status} ${answer.text}`);
    return answer.json();
  }

  /* The latest requests, oldest first; with body: true their bodies too. */
  requests(n = 100, { body = false } = {}) {
    return this.#call(`/standin/requests?n=${n}${body ? '&body=1' : ''}`);
  }

  /* { requests, posts, open, aborted, done, connections, connections_open } */
  stats() {
    return this.#call('/standin/stats');
  }

  /* Resolves when a count is reached: wait({ open: 1 }), wait({ aborted: 1 }). */
  wait(counts, timeoutMs = 5000) {
    const [[name, n]] = Object.entries(counts);

    return this.#call(`/standin/wait?${name}=${n}&timeout=${timeoutMs * PATIENCE}`);
  }

  reset() {
    return this.#call('/standin/reset', 'POST');
  }
}

/* Tries until 'check' returns something true; its last failure otherwise. */
async function eventually(check, timeoutMs = 5000) {
  const end = Date.now() + timeoutMs * PATIENCE;

  for (;;) {
    const result = await check();
    if (result) return result;
    if (Date.now() > end)
      throw new Error(`not within ${timeoutMs} ms: ${check}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/* Events of a stream: [{ event, data }], comments left out. */
function events(text) {
  return text.split(/\r?\n\r?\n/).filter((block) => /^(data|event):/m.test(block))
    .map((block) => {
      const field = (name) => block.split(/\r?\n/)
        .filter((line) => line.startsWith(`${name}:`))
        .map((line) => line.slice(name.length + 1).replace(/^ /, ''));
      return { event: field('event')[0], data: field('data').join('\n') };
    });
}

/*
 * A store's file that is changed by hand is seen at the next look, 20 ms later
 * (lib/db_watch.h). Commands, pages and calls wait by themselves.
 */
const seen = () => new Promise((resolve) => { setTimeout(resolve, 100); });

module.exports = { ROOT, startStack, eventually, events, seen };
