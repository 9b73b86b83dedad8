'use strict';
/*
 * clients.js - what the soak's clients do, each in a loop of its own: ask in
 * one of the ways of ways.js; go away in mid-answer; ask for what is refused;
 * meet an upstream that fails.
 */
const { setTimeout: sleep } = require('node:timers/promises');
const { ask, newAgent } = require('./ask');
const { FEWEST, printOf, wayOf } = require('./ways');

/* Between two requests of a client, on average. */
const THINK_MS = 1500;
const think = () => sleep(-Math.log(1 - Math.random()) * THINK_MS);

/* What is whole must be right, and belong to this very request. */
function judge(soak, way, mark, n, result) {
  if (result.how !== 'whole') return;
  let why;
  try {
    why = way.check(result.text, mark, n);
  } catch (error) {
    why = error.message;
  }
  if (why) soak.breach(`${way.name}: ${why}: ${result.text.slice(0, 300)}`);
}

/* Asks, again and again, in its one way. */
async function asker(soak, person, i) {
  const way = wayOf(i);
  const agent = newAgent();

  while (!soak.over) {
    const n = soak.ledger.number(person.key_id, way.endpoint);
    const mark = `[${person.short}-${n}]`;
    const result = await ask(soak.gate, way.path,
      { ...way.make(mark, n), key: person.key, agent });

    judge(soak, way, mark, n, result);
    soak.note(way.name, result);
    soak.ledger.ended(person.key_id, way.endpoint, printOf(way, n),
      result.how === 'whole' ? 'whole' : 'broken');
    if (result.how === 'error')
      soak.breach(`${way.name}: ${result.status} ${result.text}`);
    await think();
  }
  agent.destroy();
}

/* Goes away before the answer begins, or in the middle of it. */
async function leaver(soak, person) {
  const chat = (model, stream) => ({ model, stream,
    messages: [{ role: 'user', content: 'x'.repeat(4 * FEWEST) }] });

  while (!soak.over) {
    const early = Math.random() < 0.5;
    const result = await ask(soak.gate, '/v1/chat/completions', { key: person.key,
      agent: false,
      ...(early ? { json: chat('standin/delay-head=2000', false),
        leave: 50 + Math.random() * 1500 }
      : { json: chat('standin/words=40,rate=10', true), leave: 'head' }) });
    const { sent } = result;

    soak.note(early ? 'left early' : 'left midway', result);
    /* Once its answer began, it is written down, unless there was a death. */
    soak.later(() => soak.ledger.count(person.key_id,
      result.how === 'left' && !early && !soak.deathIn(sent, result.end + 10000)
        ? 1 : 0, 1));
    await think();
  }
}

const REFUSALS = [
  [401, '/v1/chat/completions', { key: 'pm_nobody-has-this-key' }],
  [400, '/v1/chat/completions', { body: '{"model":',
    headers: { 'content-type': 'application/json' } }],
  [404, '/v1/no-such-path', {}],
  [404, '/v1/chat/completions', { json: { model: 'not-for-this-key',
    messages: [] } }],
];

async function refused(soak, person) {
  const agent = newAgent();

  for (let i = 0; !soak.over; i++) {
    const [status, path, options] = REFUSALS[i % REFUSALS.length];
    const result = await ask(soak.gate, path,
      { key: person.key, body: '{}', agent, ...options });

    soak.note('refused', result);
    if (result.how === 'whole' ||
        (result.how === 'error' && result.status !== status))
      soak.breach(`${path}: ${result.status} instead of ${status}`);
    soak.ledger.count(person.key_id, 0, 0);
    await think();
  }
  agent.destroy();
}

/* The upstream fails; what came of it is written down all the same. */
async function unlucky(soak, person) {
  const faults = ['status=500', 'status=429', 'bad-json', 'reset-after=0',
    'stream:reset-after=5', 'stream:error-after=3', 'stream:end-after=4'];
  const agent = newAgent();

  for (let i = 0; !soak.over; i++) {
    const fault = faults[i % faults.length];
    const result = await ask(soak.gate, '/v1/chat/completions',
      { key: person.key, agent, json: { stream: fault.startsWith('stream:'),
        model: `standin/${fault.replace('stream:', '')}`,
        messages: [{ role: 'user', content: 'x' }] } });

    soak.note('upstream fails', result);
    soak.ledger.count(person.key_id,
      ['whole', 'error'].includes(result.how) ? 1 : 0, 1);
    await think();
  }
  agent.destroy();
}

module.exports = { asker, leaver, refused, think, unlucky };
