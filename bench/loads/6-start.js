'use strict';
/* From the web server's start to the first answer; and a restart under load. */
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const { answers, freePort, ownFolder, spawnOwn, startGate, PROXIES } =
  require('../lib/gates.js');
const { ratio, show, showSpread, table } = require('../lib/numbers.js');
const { ROOT, streams, turns } = require('../lib/run.js');

const LIMIT_MS = 30000;
const CONNECTIONS = 32;
const STREAMS = 50;
/* What "pmproxy reload" takes, and some more. */
const RELOAD_SECONDS = 2.5;
const used = new WeakSet(); // connections

/* How to start each in a folder at a port: [program, arguments, environment]. */
function commands(stack) {
  const proxy = (name) => (folder, port) => {
    const file = path.join(folder, 'conf');
    fs.writeFileSync(file,
      PROXIES[name].conf(port, new URL(stack.upstreamUrl), folder));
    const [program, ...args] = PROXIES[name].args(file);
    return [program, args, process.env];
  };

  return { mod_proxy: proxy('mod_proxy'), nginx: proxy('nginx'),
    pmproxy: (folder, port) => ['lighttpd', ['-D', '-f',
      path.join(ROOT, 'lighttpd.conf')], { ...stack.env, PORT: String(port),
      RUN_DIR: folder }] };
}

async function startOnce(gate, stack, key) {
  const folder = fs.mkdtempSync(path.join(stack.runDir, 'start.'));
  const port = await freePort();

  fs.mkdirSync(path.join(folder, 'upload'));
  const [program, args, env] = gate.command(folder, port);
  const begun = process.hrtime.bigint();
  const child = spawnOwn(program, args, { env, stdio: 'ignore' });
  const ended = new Promise((done) => child.once('close', done));
  const ms = () => Number(process.hrtime.bigint() - begun) / 1e6;
  try {
    while (!await answers(`http://127.0.0.1:${port}`, key)) {
      if (child.exitCode !== null || ms() > LIMIT_MS)
        throw new Error(`${gate.name} did not start`);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return { ms: ms() };
  } finally {
    child.kill();
    await ended;
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

/*
 * One chat: "answered", "closed" under it before anything came on a connection
 * that had brought an answer before, or "lost". Node's own word for such a
 * connection (reusedSocket) is missing where a request waited for it.
 */
function chat(gate, agent) {
  const body = '{"model":"gpt-oss-120b","max_tokens":4,"messages":' +
    '[{"role":"user","content":"a note"}]}';

  return new Promise((resolve) => {
    const request = http.request(new URL('/v1/chat/completions', gate.url),
      { agent, method: 'POST', headers: { authorization: `Bearer ${gate.key}`,
        'content-type': 'application/json', 'content-length': body.length } },
      (answer) => {
        answer.resume();
        answer.on('end', () =>
          resolve(answer.statusCode === 200 ? 'answered' : 'lost'));
        answer.on('error', () => resolve('lost'));
      });
    let kept = false;
    request.on('socket', (socket) => {
      kept = used.has(socket);
      used.add(socket);
    });
    request.on('error', (error) => resolve(kept &&
      ['ECONNRESET', 'EPIPE'].includes(error.code) ? 'closed' : 'lost'));
    request.end(body);
  });
}

/*
 * Chats without a pause until stop() is called, on connections that are kept or
 * on one for each. None whose connection was closed may be one that the upstream
 * had.
 */
function steady(gate, keepAlive) {
  const agent = new http.Agent({ keepAlive, maxSockets: CONNECTIONS });
  const count = { answered: 0, closed: 0, lost: 0 };
  let over = false;
  const all = Promise.all(Array.from({ length: CONNECTIONS }, async () => {
    while (!over) count[await chat(gate, agent)]++;
  }));

  return { stop: async () => {
    over = true;
    await all;
    agent.destroy();
    return count;
  } };
}

/* Three restarts while requests and streams go on. */
async function restart(seconds) {
  const folder = ownFolder('restart');
  const gate = await startGate({ name: 'pmproxy',
    env: { PMPROXY_SOCKET: path.join(folder, 'v1.socket') } });

  try {
    const before = (await gate.stack.standin.stats()).posts;
    const load = [steady(gate, true), steady(gate, false)];
    const long = streams(gate, ['--streams', String(STREAMS), '--rate', '20',
      '--events', String(Math.ceil(20 * (4 * seconds + 3 * RELOAD_SECONDS)))]);
    for (let i = 0; i < 3; i++) {
      await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
      await gate.stack.reload();
    }
    const over = await long;
    const [kept, fresh] = await Promise.all(load.map((one) => one.stop()));
    const { posts } = await gate.stack.standin.stats();
    return { kept, fresh, twice: posts - before - STREAMS - kept.answered -
      fresh.answered, streams: over };
  } finally {
    await gate.stop();
  }
}

async function run({ rounds, seconds, say }) {
  const gate = await startGate({ name: 'pmproxy' });
  let results;

  try {
    const list = Object.entries(commands(gate.stack))
      .map(([name, command]) => ({ name, command }));
    results = await turns(rounds, list, (one) =>
      startOnce(one, gate.stack, gate.key));
  } finally {
    await gate.stop();
  }
  const times = (name) => results[name].map((r) => r.ms);
  const text = [table([['start of', 'ms to the first answer', 'ratio'],
    ...Object.keys(results).map((name) => [name, showSpread(times(name)),
      show(ratio(times(name), times('mod_proxy')))])]), ''];
  say(text[0]);

  const over = await restart(seconds);
  const lost = over.kept.lost + over.kept.closed + over.fresh.lost +
    Math.max(0, over.twice) + over.streams.lost + over.streams.merged +
    over.streams.failed;
  text.push(`Three restarts (pmproxy reload) under load: ` +
    `${over.kept.answered} chats over ${CONNECTIONS} kept connections, ` +
    `${over.kept.lost} lost, ${over.kept.closed} to be sent again because ` +
    'their connection was being closed; ' +
    `${over.fresh.answered} over new ones, ${over.fresh.lost} lost; ` +
    `${over.twice} that the upstream had twice; ${STREAMS} streams, ` +
    `${over.streams.events} of ${over.streams.expected} events, ` +
    `${over.streams.failed} broken.`, '');
  say(text.at(-2));
  return { text: text.join('\n'), data: { ...results, restart: over },
    goals: [{ name: 'lost by three hot restarts under load', goal: 0,
      measured: lost }] };
}

module.exports = { title: 'Start', run };
