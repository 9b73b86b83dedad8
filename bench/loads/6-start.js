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

/* One chat: "answered", "closed" under it before anything came, or "lost". */
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
    request.on('error', (error) => resolve(request.reusedSocket &&
      ['ECONNRESET', 'EPIPE'].includes(error.code) ? 'closed' : 'lost'));
    request.end(body);
  });
}

/*
 * Chats without a pause until stop() is called. One whose kept connection was
 * closed under it is sent again, as HTTP clients do; that must not be one that
 * the upstream had already.
 */
function steady(gate) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: CONNECTIONS });
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
    const before = (await gate.stack.standin.stats()).requests;
    const load = steady(gate);
    const long = streams(gate, ['--streams', String(STREAMS), '--rate', '20',
      '--events', String(20 * 4 * seconds)]);
    for (let i = 0; i < 3; i++) {
      await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
      process.kill(gate.stack.serverPid, 'SIGUSR1');
    }
    const over = await long;
    const count = await load.stop();
    const { requests } = await gate.stack.standin.stats();
    return { chats: { ...count, twice: requests - before - STREAMS -
      count.answered }, streams: over };
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
  const lost = over.chats.lost + Math.max(0, over.chats.twice) +
    over.streams.lost + over.streams.merged + over.streams.failed;
  text.push(`Three restarts (SIGUSR1) within ${4 * seconds} s of load: ` +
    `${over.chats.answered} chats over ${CONNECTIONS} connections, ` +
    `${over.chats.lost} lost, ${over.chats.twice} that the upstream had twice, ` +
    `${over.chats.closed} sent again because their connection was being ` +
    `closed; ${STREAMS} streams, ${over.streams.events} of ` +
    `${over.streams.expected} events, ${over.streams.failed} broken.`, '');
  say(text.at(-2));
  return { text: text.join('\n'), data: { ...results, restart: over },
    goals: [{ name: 'lost by three hot restarts under load', goal: 0,
      measured: lost }] };
}

module.exports = { title: 'Start', run };
