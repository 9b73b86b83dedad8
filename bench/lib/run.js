'use strict';
/* run.js - one measurement: a load, what it says, and what it took. */
const child_process = require('node:child_process');
const path = require('node:path');
const { ROOT } = require('../../tests/e2e/lib/stack.js');
const { cpu } = require('./processes.js');

const BUILD = path.resolve(ROOT, process.env.BUILD || 'build');

/* What a program prints; it may end with any status that 'fine' names. */
function output(program, args, env, fine = [0]) {
  return new Promise((resolve, reject) => {
    const child = child_process.spawn(program, args,
      { env: { PATH: process.env.PATH, ...env },
        stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '';
    let said = '';
    child.stdout.on('data', (data) => { text += data; });
    child.stderr.on('data', (data) => { said += data; });
    child.on('error', reject);
    child.on('close', (code) => (fine.includes(code) ? resolve(text)
      : reject(new Error(`${program} ended with ${code}: ${said || text}`))));
  });
}

/* Processor seconds of each group of a gate while something runs. */
async function taking(gate, something) {
  const groups = { ...gate.groups(), upstream: [gate.standinPid] };
  const now = () => Object.fromEntries(Object.entries(groups)
    .map(([name, pids]) => [name, cpu(pids)]));
  const before = now();
  const result = await something();
  const after = now();

  return { ...result, cpu: Object.fromEntries(Object.keys(groups)
    .map((name) => [name, after[name] - before[name]])) };
}

/*
 * wrk with chat.lua: { rate, p50, p99 (us), requests, broken, statuses }, the
 * last two being connections that failed and answers from 400 on; 'cpu' as
 * above, and 'each', the same for 10,000 requests.
 */
async function chats(gate, { connections, seconds, env = {} }) {
  const result = await taking(gate, async () => {
    const text = await output('wrk', ['-t1', `-c${connections}`,
      `-d${seconds}s`, '--timeout', '20s', '-s',
      path.join(ROOT, 'bench/chat.lua'), gate.url],
    { API_KEY: gate.key, ...env });
    const [rate, p50, p99, requests, broken, statuses] =
      /^RESULT (.*)$/m.exec(text)[1].split(' ').map(Number);
    return { rate, p50, p99, requests, broken, statuses };
  });

  result.each = Object.fromEntries(Object.entries(result.cpu)
    .map(([name, s]) => [name, s / result.requests * 10000]));
  return result;
}

/* sse-load: what it prints, and 'cpu'. */
function streams(gate, args) {
  return taking(gate, async () => JSON.parse(await output(
    path.join(BUILD, 'bench/sse-load'), [...args, gate.url],
    { API_KEY: gate.key }, [0, 1])));
}

/* bodies.js: what it prints, and 'cpu'. */
function bodies(gate, args) {
  return taking(gate, async () => JSON.parse(await output(process.execPath,
    [path.join(ROOT, 'bench/bodies.js'), gate.url, ...args.map(String)],
    { API_KEY: gate.key })));
}

/*
 * So many rounds of a measurement, the gates taking turns in each:
 * { NAME: [result of each round] }.
 */
async function turns(rounds, gates, measure) {
  const results = Object.fromEntries(gates.map(({ name }) => [name, []]));

  for (let round = 0; round < rounds; round++)
    for (const gate of gates)
      results[gate.name].push(await measure(gate));
  return results;
}

module.exports = { BUILD, ROOT, output, chats, streams, bodies, turns };
